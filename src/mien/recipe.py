"""A recipe: all that a run depends on but the data. Knows nothing about torch.

A recipe is a TOML file whose sections are the dataclasses below. Every default and every
bound stands here and nowhere else. `key=value` on the command line changes a field.
"""

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from mien import notebook
from mien.errors import RecipeError
from mien.labels import did_you_mean
from mien.shipped import read_named, shipped

FORMAT = 1


def number(default, low, high):
    """Declare a number (or a list of numbers) with inclusive bounds."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class CNN:
    """The study's plain CNN: blocks of convolution, batch norm, pooling and dropout, then one hidden layer."""

    kind: Literal["cnn"] = "cnn"
    channels: tuple[int, ...] = number((16, 32, 64, 128, 256), 1, 4096)
    hidden: int = number(512, 1, 16384)
    dropout: float = number(0.2, 0, 0.95)
    hidden_dropout: float = number(0.3, 0, 0.95)
    init: str = ""  # file of the weights to start from; "": fresh ones


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseNet:
    """A DenseNet-BC. Give `layers` a block, or let `gaussian_peak` make them from three numbers.

    `connection` tells what becomes of the channels that a layer makes: put behind all earlier ones, added to
    them as in a residual network, or handed on alone. In the last two `growth` is a block's width.
    """

    kind: Literal["densenet"] = "densenet"
    layers: tuple[int, ...] = number((), 1, 128)
    num_blocks: int = number(0, 0, 12)
    min_layers: int = number(0, 0, 128)
    max_layers: int = number(0, 0, 128)
    connection: Literal["dense", "add", "none"] = "dense"
    growth: tuple[int, ...] = number((16,), 1, 1024)  # one a block, or one for all
    bottleneck: float = number(4.0, 0.25, 16)  # channels of the 1x1 convolution, in growths
    reduction: float = number(0.5, 0.05, 1)  # share of the channels that a transition keeps
    dropout: float = number(0.0, 0, 0.95)
    stochastic_depth: float = number(0.0, 0, 0.95)  # chance that the last layer is left out, the first's is 0
    squeeze: float = number(0.0, 0, 1)  # squeeze-and-excitation: hidden units, in growths; 0: none
    activation: Literal["pre", "post"] = "pre"  # norm and ReLU before or after a convolution
    stem_channels: int = number(0, 0, 4096)  # 0: two growths, or the first block's width
    stem_kernel: Literal[3, 5, 7] = 7
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    init: str = ""  # file of the weights to start from, torchvision's too; "": fresh ones


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet:
    """A ResNet (He et al. 2016), by default ResNet-18: stages of residual layers, each twice as wide as the last."""

    kind: Literal["resnet"] = "resnet"
    layers: tuple[int, ...] = number((2, 2, 2, 2), 1, 128)  # one a stage
    block: Literal["basic", "bottleneck"] = "basic"  # two 3x3 convolutions, or 1x1, 3x3 and 1x1
    width: int = number(64, 1, 1024)  # channels of the first stage's 3x3 convolutions, and of the stem
    stem_kernel: Literal[3, 5, 7] = 7
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    init: str = ""  # file of the weights to start from, torchvision's too; "": fresh ones


MOST_STAGES = 6  # of a ResNet: widths double

Network = CNN | DenseNet | ResNet
NETWORKS = {"cnn": CNN, "densenet": DenseNet, "resnet": ResNet}


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How weights move. Weight decay is coupled (L2) and touches kernels alone, never norms or biases."""

    kind: Literal["sgd", "adam"] = "sgd"
    lr: float = number(0.1, 1e-9, 100)
    momentum: float = number(0.9, 0, 0.9999)  # Nesterov's; sgd only
    weight_decay: float = number(0.0, 0, 1)  # Keras's l2=x is weight_decay=2x
    sam: float = number(0.0, 0, 10)  # radius of sharpness-aware minimization, at twice the time; 0: none
    ema: float = number(
        0.0, 0, 0.99999
    )  # keep a moving average of the weights, of this decay a step; 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the learning rate moves: up and down once by step, or down on a plateau of val loss."""

    kind: Literal["constant", "one-cycle", "plateau"] = "constant"
    warmup: float = number(0.2, 0, 0.95)  # one-cycle: share of the steps that the rate rises
    factor: float = number(0.5, 0.01, 0.99)  # plateau
    patience: int = number(5, 0, 1000)  # plateau: epochs without a lower val loss
    floor: float = number(1e-7, 0, 1)  # plateau


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long, on what, and which epoch's weights are kept."""

    epochs: int = number(10, 1, 100_000)
    batch_size: int = number(128, 1, 65_536)
    label_smoothing: float = number(0.0, 0, 0.9)
    class_weights: Literal["none", "balanced"] = "none"
    keep: Literal["last", "best"] = "last"  # best: highest val accuracy, the earliest of equals
    patience: int = number(0, 0, 100_000)  # epochs without a better val accuracy; 0: never stop early
    start_side: int = number(0, 0, 1024)  # progressive resizing: pixels a side at the start; 0: whole faces
    precision: Literal["auto", "fp32", "bf16"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """Changes of the training faces, drawn anew for each face and step."""

    flip: bool = False
    shift: int = number(0, 0, 64)  # pixels, up to, each way
    rotation: float = number(0.0, 0, 180)  # degrees, up to, each way
    zoom: float = number(0.0, 0, 0.9)  # up to this share larger or smaller
    brightness: float = number(0.0, 0, 255)  # greys, up to, brighter or darker
    contrast: float = number(0.0, 0, 1)  # up to this share more or less
    erasing: float = number(0.0, 0, 1)  # chance that a rectangle of the face is lost
    mixup: float = number(0.0, 0, 100)  # alpha of Beta(alpha, alpha): how two faces are blended; 0: never
    cutmix: float = number(0.0, 0, 100)  # alpha of Beta(alpha, alpha): a rectangle of another face; 0: never
    mixed: float = number(1.0, 0, 1)  # share of the batches that mixup or CutMix touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Soft targets beside the labels: tables of predictions on the train faces, of networks or of people who voted."""

    tables: tuple[str, ...] = ()  # files from `mien teach`; the mean of several; (): labels alone
    share: float = number(0.5, 0, 1)  # of the target; the label has the rest
    temperature: float = number(1.0, 0.05, 100)  # above 1: softer than the tables say


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a face is read when it is judged: the mean of the probabilities of its views."""

    mirror: bool = False  # its mirror picture, too
    shift: int = number(0, 0, 16)  # and moved by so many pixels to each of the four corners; 0: not


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole recipe."""

    name: str
    network: Network
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training = Training()
    augment: Augment = Augment()
    teacher: Teacher = Teacher()
    evaluation: Evaluation = Evaluation()

    def __repr__(self) -> str:
        kinds = f"{self.network.kind}, {self.optimizer.kind}"
        return f"Recipe({self.name}: {kinds}, {self.training.epochs} epochs)"

    def _repr_html_(self) -> str:
        sections = ((name, dataclasses.asdict(getattr(self, name))) for name in SECTIONS)
        rows = [
            (name, ", ".join(f"{key} = {_toml_value(value)}" for key, value in fields.items()))
            for name, fields in sections
        ]
        return notebook.html(notebook.table(self.name, (), rows))


SECTIONS = ("network", "optimizer", "schedule", "training", "augment", "teacher", "evaluation")


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with mien, by name."""
    return shipped("recipes")


def read_recipe(name: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by name (one of `shipped_recipes`) or path, then apply `key=value` overrides.

    Raises RecipeError; its one message lists every fault found.
    """
    _, tree = read_named(name, "recipes", what="recipe", error=RecipeError)
    faults: list[str] = []
    for override in overrides:
        _apply(tree, override, faults)
    return _build(tree, str(name), faults)


def _apply(tree: dict, override: str, faults: list[str]) -> None:
    """Write one `section.key=value` into the tree."""
    key, equals, text = override.partition("=")
    section, dot, option = key.strip().partition(".")
    if not equals:
        faults.append(f'"{override}" is not key=value')
    elif key.strip() == "name":
        tree["name"] = text.strip()
    elif not dot or section not in SECTIONS:
        faults.append(f'unknown field "{key.strip()}"{did_you_mean(key.strip(), known_fields())}')
    else:
        tree.setdefault(section, {})[option] = _parse(text)


def _parse(text: str):
    """Read a value as TOML writes it; a bare word is a string, bare commas a list."""
    text = text.strip()
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return text


def _build(tree: dict, where: str, faults: list[str]) -> Recipe:
    """Check a tree and make the recipe of it; raises RecipeError with all faults."""
    written = tree.pop("format", FORMAT)
    if not isinstance(written, int) or written > FORMAT:
        raise RecipeError(f"{where}: written in format {written}; this mien reads up to format {FORMAT}")
    name = tree.pop("name", None)
    if (
        not isinstance(name, str)
        or not name
        or not all(c.isalnum() or c in "-_." for c in name)
        or name[0] == "."
    ):
        faults.append(f"name must be a word of letters, digits, - _ . and is {name!r}")
    for section in sorted(set(tree) - set(SECTIONS)):
        faults.append(f'unknown section "{section}"{did_you_mean(section, SECTIONS)}')
    parts = {"network": _network(tree.get("network"), faults)}
    for section in SECTIONS[1:]:
        parts[section] = _section(
            Recipe.__dataclass_fields__[section].type, tree.get(section, {}), section, faults
        )
    if not faults:
        recipe = Recipe(name=name, **parts)
        faults += _contradictions(recipe)
    if faults:
        raise RecipeError(f"{where}: " + "; ".join(faults))
    return recipe


def _network(options, faults: list[str]) -> Network | None:
    if not isinstance(options, dict) or options.get("kind") not in NETWORKS:
        kind = options.get("kind") if isinstance(options, dict) else None
        faults.append(
            f"network.kind must be one of {', '.join(NETWORKS)} and is {kind!r}{did_you_mean(kind, NETWORKS)}"
        )
        return None
    return _section(NETWORKS[options["kind"]], options, "network", faults)


def _section(cls, options, section: str, faults: list[str]):
    """Make one section's dataclass of a dict, or note its faults and return None."""
    if not isinstance(options, dict):
        faults.append(f"{section} must be a section of fields")
        return None
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    values, before = {}, len(faults)
    for key, value in options.items():
        if key not in fields:
            faults.append(f'unknown field "{section}.{key}"{did_you_mean(key, fields)}')
            continue
        fault, values[key] = _coerce(value, hints[key], fields[key].metadata)
        if fault:
            faults.append(f"{section}.{key} {fault} and is {value!r}")
    return cls(**values) if len(faults) == before else None


def _coerce(value, hint, bounds):
    """Return (fault or None, value as the hint wants it)."""
    if get_origin(hint) is Literal:
        words = get_args(hint)
        known = any(type(value) is type(w) and value == w for w in words)
        return (None if known else f"must be one of {', '.join(map(str, words))}"), value
    if get_origin(hint) is tuple:
        bare = isinstance(value, str) and get_args(hint)[0] is str  # a.csv,b.csv on the command line
        items = value.split(",") if bare else value if isinstance(value, list) else [value]
        results = [_coerce(item, get_args(hint)[0], bounds) for item in items]
        return next((fault for fault, _ in results if fault), None), tuple(v for _, v in results)
    if hint is str:
        plain = isinstance(value, str) and value.isprintable()
        return (None if plain else "must be printable text"), value
    if hint is bool:
        return (None if isinstance(value, bool) else "must be true or false"), value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number{' without a fraction' if hint is int else ''}", value
    if hint is int and not isinstance(value, int):
        return "must be a number without a fraction", value
    if not math.isfinite(value) or not bounds["low"] <= value <= bounds["high"]:
        return f"must be between {bounds['low']} and {bounds['high']}", value
    return None, hint(value)


def _contradictions(recipe: Recipe) -> list[str]:
    """Return what no single field shows."""
    faults = []
    network, training = recipe.network, recipe.training
    if isinstance(network, DenseNet):
        peak = (network.num_blocks, network.min_layers, network.max_layers)
        if bool(network.layers) == any(peak):
            faults.append(
                "give network.layers, or network.num_blocks with min_layers and max_layers, and not both"
            )
        elif any(peak) and not (min(peak) > 0 and network.min_layers <= network.max_layers):
            faults.append(
                "network.num_blocks and min_layers must be at least 1, max_layers at least min_layers"
            )
        elif len(network.growth) not in (1, len(block_layers(network))):
            faults.append(
                f"network.growth has {len(network.growth)} values for {len(block_layers(network))} blocks"
            )
        elif network.connection != "dense" and network.stem_channels not in (0, network.growth[0]):
            faults.append(
                f"network.stem_channels must be 0 or the first block's width, {network.growth[0]}, where layers are "
                f"not connected densely, and is {network.stem_channels}"
            )
        elif network.connection == "none" and network.stochastic_depth:
            faults.append("network.stochastic_depth needs layers that others bypass: connection dense or add")
    elif isinstance(network, ResNet):
        if not 1 <= len(network.layers) <= MOST_STAGES:
            faults.append(
                f"network.layers must have 1 to {MOST_STAGES} values, one a stage, and has {len(network.layers)}"
            )
    elif not network.channels:
        faults.append("network.channels must have at least one value")
    if training.start_side and isinstance(network, CNN):
        faults.append("training.start_side needs a network that takes any side, which a cnn does not")
    if training.patience and training.keep == "last":
        faults.append("training.patience stops early, so training.keep must be best")
    return faults


def chosen_on_val(recipe: Recipe) -> list[str]:
    """Return what a run of this recipe lets its val faces choose, in words; those faces then flatter it."""
    choices = {
        "the epoch kept": recipe.training.keep == "best",
        "when training ended": recipe.training.patience > 0,
        "the learning rate": recipe.schedule.kind == "plateau",
    }
    return [what for what, by_val in choices.items() if by_val]


def gaussian_peak(low: int, high: int, blocks: int) -> tuple[int, ...]:
    """Return the study's layers per block: a bump exp(-.01 (i - (n//2 + n//5))^2) scaled to low..high."""
    bump = [math.exp(-0.01 * (i - (blocks // 2 + blocks // 5)) ** 2) for i in range(blocks)]
    spread = max(bump) - min(bump)
    if spread == 0:
        return (high,) * blocks
    return tuple(round(low + (high - low) * (b - min(bump)) / spread) for b in bump)


def block_layers(network: DenseNet) -> tuple[int, ...]:
    """Return the number of dense layers of each block."""
    return network.layers or gaussian_peak(network.min_layers, network.max_layers, network.num_blocks)


def known_fields() -> list[str]:
    """Return every `section.option` that some recipe has."""
    return [f"{section}.{option}" for section in SECTIONS for option in _all_options(section)]


def field_type(key: str, network: str) -> type | None:
    """Return the type of `section.option` as annotated, for a kind of network; None where there is no such field."""
    section, _, option = key.partition(".")
    if section not in SECTIONS:
        return None
    return get_type_hints(_class_of(section, network)).get(option)


def fault_of(key: str, value, network: str) -> str | None:
    """Return what is wrong with a value of a known `section.option` for a kind of network, or None."""
    section, _, option = key.partition(".")
    cls = _class_of(section, network)
    fault, _ = _coerce(value, get_type_hints(cls)[option], cls.__dataclass_fields__[option].metadata)
    return fault


def _class_of(section: str, network: str):
    return NETWORKS[network] if section == "network" else Recipe.__dataclass_fields__[section].type


def _all_options(section: str) -> list[str]:
    classes = NETWORKS.values() if section == "network" else [Recipe.__dataclass_fields__[section].type]
    return sorted({f.name for cls in classes for f in dataclasses.fields(cls)})


def to_toml(recipe: Recipe) -> str:
    """Return the recipe, every field written out, as TOML that `read_recipe` reads back as equal."""
    lines = [f"format = {FORMAT}", f'name = "{recipe.name}"']
    for section in SECTIONS:
        lines.append(f"\n[{section}]")
        for key, value in dataclasses.asdict(getattr(recipe, section)).items():
            lines.append(f"{key} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # of printable text JSON's quotes are TOML's
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    return repr(value)


def differing_fields(one: Recipe, other: Recipe) -> list[str]:
    """Return 'section.key (a here, b there)' for each field in which two recipes differ."""
    found = []
    for section in SECTIONS:
        a, b = dataclasses.asdict(getattr(one, section)), dataclasses.asdict(getattr(other, section))
        found += [
            f"{section}.{k} ({_or_none(a.get(k))} there, {_or_none(b.get(k))} here)"
            for k in {**a, **b}
            if a.get(k) != b.get(k)
        ]
    return found


def _or_none(value):
    return "none" if value in (None, "") else value
