"""A space: which fields of a recipe are searched, where, and what for. Knows nothing about torch or Optuna.

A space is a TOML file:

    format = 1
    name = "mine"                      # the search's name
    recipe = "quick-densenet"          # the base: a shipped recipe's name, or a path seen from this file
    objectives = ["accuracy"]          # the first is accuracy or log_loss, on val; see OBJECTIVES

    [budget]                           # a network above one of these is refused before it is trained
    parameters = 2_000_000             # also multiply_adds, memory_mb, milliseconds

    [fixed]                            # fields of the base that are set otherwise
    training.epochs = 10

    [parameters]                       # fields that are searched
    optimizer.lr = { low = 0.01, high = 0.5, log = true }
    network.growth = { choices = [16, 32, [16, 24, 32]] }
    network.layers.0 = { low = 2, high = 6, step = 2 }      # the first value of a list
    optimizer.momentum = { low = 0.8, high = 0.98, when = { optimizer.kind = "sgd" } }
    optimizer.lr-adam = { low = 1e-4, high = 1e-2, log = true, when = { optimizer.kind = "adam" } }

What follows a hyphen only tells two parameters of one field apart. `when` may name fields of the
base and parameters further up; a list stands for any of its values. Of a list whose values are
drawn one by one nothing of the base is kept.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args, get_origin

from mien.errors import RecipeError, TuneError
from mien.labels import did_you_mean
from mien.reading import LARGEST_TOML, read_text
from mien.recipe import Recipe, fault_of, field_type, known_fields, read_recipe, shipped_recipes
from mien.shipped import read_named, shipped

FORMAT = 1
OBJECTIVES = {
    "accuracy": "maximize",
    "log_loss": "minimize",
    "multiply_adds": "minimize",
    "parameters": "minimize",
    "milliseconds": "minimize",  # of one face on this machine, measured
}
LEARNT = ("accuracy", "log_loss")
BUDGETS = ("parameters", "multiply_adds", "memory_mb", "milliseconds")
KEYS = ("format", "name", "recipe", "objectives", "budget", "fixed", "parameters")
SPEC = ("low", "high", "step", "log", "choices", "when")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a space: the recipe's field that it sets, and the values that it takes."""

    name: str
    field: str  # "section.option", or "section.option.N" for one value of a list
    whole: bool = False  # numbers without a fraction
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple = ()  # in place of low and high; a list stands as its JSON text
    when: tuple[tuple[str, tuple], ...] = ()  # (field, values): drawn only where each holds

    def draw(self, trial):
        """Return a value that Optuna's trial suggests."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.whole:
            return trial.suggest_int(
                self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log
            )
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True, slots=True)
class Space:
    """A whole space, checked."""

    name: str
    base: str  # of the recipe: its name or path
    fixed: tuple[str, ...]  # key=value
    objectives: tuple[str, ...]
    budget: tuple[tuple[str, float], ...]
    parameters: tuple[Parameter, ...]

    def values(self, trial) -> dict[str, object]:
        """Return what a trial suggests, by field."""
        recipe, drawn = read_recipe(self.base, self.fixed), {}
        for parameter in self.parameters:
            if all(_standing(field, drawn, recipe) in values for field, values in parameter.when):
                drawn[parameter.field] = parameter.draw(trial)
        return drawn

    def recipe(self, values: dict[str, object], name: str) -> Recipe:
        """Return the recipe that has these values; RecipeError where they contradict each other."""
        return read_recipe(self.base, (*self.fixed, *_overrides(values), f"name={name}"))

    def most_epochs(self) -> int:
        """Return how many epochs the longest training of the space may take."""
        drawn = [p for p in self.parameters if p.field == "training.epochs"]
        known = [int(p.high or max(p.choices)) for p in drawn]
        return max([read_recipe(self.base, self.fixed).training.epochs, *known])

    def to_dict(self) -> dict:
        """Return all that makes the space what it is, ready for JSON: two equal ones search alike."""
        told = {"name": self.name, "recipe": asdict(read_recipe(self.base, self.fixed))}
        told |= {"objectives": self.objectives, "budget": dict(self.budget)}
        return json.loads(json.dumps(told | {"parameters": {p.name: asdict(p) for p in self.parameters}}))


def _standing(field: str, drawn: dict, recipe: Recipe):
    """Return a field's value in a recipe that is being drawn."""
    section, _, option = field.partition(".")
    return drawn.get(field, getattr(getattr(recipe, section), option, None))


def _overrides(values: dict[str, object]) -> list[str]:
    """Return values as `key=value`, those of one list together."""
    lists: dict[str, list] = {}
    found = {}
    for field, value in values.items():
        section, option, *place = field.split(".")
        if place:
            lists.setdefault(f"{section}.{option}", []).append(value)
        else:
            found[field] = value
    return [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in {**found, **lists}.items()]


def shipped_spaces() -> dict[str, Path]:
    """Return the spaces that come with mien, by name."""
    return shipped("spaces")


def is_space(path: Path) -> bool:
    """Tell whether a name or a TOML file is a space's and not a recipe's."""
    try:
        return str(path) in shipped_spaces() or "parameters" in tomllib.loads(read_text(path, LARGEST_TOML))
    except (OSError, ValueError, RecursionError):
        return False


def costly(value: float) -> str:
    """Return a cost as text: whole parameters or multiply-adds, milliseconds with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def in_words(space: Space) -> str:
    """Return a space as lines: what is searched for, its budget, and a line a parameter."""
    lines = [f"space {space.name} over {space.base}: {', '.join(space.objectives)}"]
    lines += [f"at most {costly(most)} {name}" for name, most in space.budget]
    for p in space.parameters:
        values = ", ".join(map(str, p.choices)) or f"{p.low} to {p.high}{', logarithmic' if p.log else ''}"
        when = "".join(f", where {field} is {' or '.join(map(str, of))}" for field, of in p.when)
        lines.append(f"  {p.name}: {values}{when}")
    return "\n".join(lines)


def read_space(name: str | Path, overrides: Sequence[str] = ()) -> Space:
    """Read a space by name (one of `shipped_spaces`) or path, then apply `key=value` overrides.

    An override is a recipe's field, which is then fixed and no longer searched, `name`, `objectives`
    with commas between, or `budget.NAME`. Raises TuneError; its one message lists every fault found.
    """
    path, tree = read_named(name, "spaces", what="space", error=TuneError)
    faults: list[str] = []
    space = _build(tree, path.parent, _own(tree, overrides, faults), faults)
    if faults:
        raise TuneError(f"{name}: " + "; ".join(faults))
    return space


def _own(tree: dict, overrides: Sequence[str], faults: list[str]) -> list[str]:
    """Apply the overrides that are the space's own to its tree; return those of the recipe."""
    rest = []
    for override in overrides:
        key, equals, text = (part.strip() for part in override.partition("="))
        if not equals:
            faults.append(f'"{override}" is not key=value')
        elif key == "name":
            tree["name"] = text
        elif key == "objectives":
            tree["objectives"] = [word.strip() for word in text.split(",")]
        elif key.startswith("budget."):
            if isinstance(tree.setdefault("budget", {}), dict):  # of anything else the check tells
                tree["budget"][key.removeprefix("budget.")] = _number(text)
        else:
            rest.append(f"{key}={text}")
    return rest


def _number(text: str):
    try:
        return float(text)
    except ValueError:
        return text


def _build(tree: dict, folder: Path, overrides: list[str], faults: list[str]) -> Space | None:
    """Check a tree and make the space of it, or note all its faults."""
    if not isinstance(tree.get("format", FORMAT), int) or tree.get("format", FORMAT) > FORMAT:
        faults.append(f"written in format {tree['format']}; this mien reads up to format {FORMAT}")
        return None
    faults += [f'unknown key "{key}"{did_you_mean(key, KEYS)}' for key in tree if key not in KEYS]
    name, base = tree.get("name"), str(tree.get("recipe", ""))
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "-_" for c in name):
        faults.append(f"name must be a word of letters, digits, - and _ and is {name!r}")
    if base not in shipped_recipes() and base.endswith(".toml"):
        base = str(folder / base)
    fixed = _flat(tree.get("fixed", {}), faults).items()
    fixed = [f"{key}={json.dumps(value, default=str)}" for key, value in fixed]
    recipe = _base(base, fixed + overrides, faults)
    objectives = _objectives(tree.get("objectives", ["accuracy"]), faults)
    budget = _budget(tree.get("budget", {}), faults)
    if recipe is None:
        return None
    parameters = _parameters(tree.get("parameters"), recipe, faults)
    taken = {override.partition("=")[0] for override in overrides}
    kept = tuple(p for p in parameters if ".".join(p.field.split(".")[:2]) not in taken)
    if parameters and not kept:
        faults.append("every parameter is fixed, so there is nothing to search")
    return Space(name, base, (*fixed, *overrides), objectives, budget, kept)


def _base(base: str, overrides: list[str], faults: list[str]) -> Recipe | None:
    try:
        return read_recipe(base, tuple(overrides))
    except RecipeError as fault:
        faults.append(f"recipe: {fault}")
        return None


def _flat(tree, faults: list[str]) -> dict[str, object]:
    """Return a tree of sections as a dict by "section.option"."""
    if not isinstance(tree, dict) or not all(isinstance(options, dict) for options in tree.values()):
        faults.append("fixed, parameters and when hold fields such as optimizer.lr")
        return {}
    return {
        f"{section}.{option}": value for section, options in tree.items() for option, value in options.items()
    }


def _objectives(names, faults: list[str]) -> tuple[str, ...]:
    names = names if isinstance(names, list) and names else [names]
    unknown = [name for name in names if str(name) not in OBJECTIVES]
    faults += [
        f"objectives must be of {', '.join(OBJECTIVES)} and one is {name!r}{did_you_mean(name, OBJECTIVES)}"
        for name in unknown
    ]
    if not unknown and names[0] not in LEARNT:
        faults.append(f"the first of objectives must be {' or '.join(LEARNT)} and is {names[0]}")
    if len(set(map(str, names))) < len(names):
        faults.append("objectives names one twice")
    return tuple(map(str, names))


def _budget(tree, faults: list[str]) -> tuple[tuple[str, float], ...]:
    if not isinstance(tree, dict):
        faults.append("budget must be a section of numbers")
        return ()
    for name, most in tree.items():
        if name not in BUDGETS:
            faults.append(f'unknown budget "{name}"{did_you_mean(name, BUDGETS)}')
        elif not _is_number(most) or not 0 < most < float("inf"):
            faults.append(f"budget.{name} must be a number above 0 and is {most!r}")
    return tuple(tree.items())


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parameters(tree, recipe: Recipe, faults: list[str]) -> list[Parameter]:
    specs = {}
    for name, spec in _flat(tree or {}, faults).items():
        places = isinstance(spec, dict) and spec and all(key.isdigit() for key in spec)
        specs |= (
            {f"{name}.{place}": spec[place] for place in sorted(spec, key=int)} if places else {name: spec}
        )
    if not specs:
        faults.append("parameters has no field to search")
    found: list[Parameter] = []
    for name, spec in specs.items():
        parameter = _parameter(name, spec, recipe.network.kind, faults)
        if parameter is not None:
            found.append(parameter)
    for field in sorted({p.field for p in found}):
        same = [p for p in found if p.field == field]
        if len(same) > 1 and not all(p.when for p in same):
            faults.append(
                f"{field} is set by {' and '.join(p.name for p in same)}: give each of them its when"
            )
    for i, parameter in enumerate(found):
        later = {p.field for p in found[i:]} - {p.field for p in found[:i]}
        faults += [
            f'parameter "{parameter.name}": its when names {field}, which is drawn further down'
            for field, _ in parameter.when
            if field in later
        ]
    return found


def _parameter(name: str, spec, network: str, faults: list[str]) -> Parameter | None:
    """Make one parameter, or note its faults and return None."""
    field = name.partition("-")[0]
    option = ".".join(field.split(".")[:2])
    hint = field_type(option, network)
    if hint is None or field == "network.kind":
        known = [f for f in known_fields() if field_type(f, network)]
        why = "a space is for one kind of network" if hint else f"unknown field{did_you_mean(option, known)}"
        faults.append(f'parameter "{name}": {why.removeprefix("; ")}')
        return None
    if not isinstance(spec, dict):
        faults.append(f'parameter "{name}" must be {{ low = …, high = … }} or {{ choices = […] }}')
        return None
    own = [f'unknown key "{key}"{did_you_mean(key, SPEC)}' for key in spec if key not in SPEC]
    when = _when(spec.get("when", {}), network, own)
    element = get_args(hint)[0] if get_origin(hint) is tuple else hint
    made = Parameter(name, field, whole=element is int, when=when)
    if "choices" in spec:
        made = _of_choices(made, spec, option, network, own)
    elif element in (int, float):
        made = _of_range(made, spec, option, network, own)
    else:
        own.append("needs choices")
    faults += [f'parameter "{name}": {fault}' for fault in own]
    return None if own else made


def _of_choices(made: Parameter, spec: dict, option: str, network: str, own: list[str]) -> Parameter:
    choices = spec["choices"]
    if {"low", "high", "step", "log"} & set(spec):
        own.append("give choices, or low and high, and not both")
    if not isinstance(choices, list) or len(choices) < 2:
        own.append("choices must be a list of two values or more")
        return made
    told = [(value, fault_of(option, value, network)) for value in choices]
    own += [f"choices {fault} and one is {value!r}" for value, fault in told if fault]
    texts = [json.dumps(value, default=str) for value in choices]
    if len(set(texts)) < len(texts):
        own.append("choices has a value twice")
    plain = tuple(text if isinstance(v, list) else v for v, text in zip(choices, texts, strict=True))
    return replace(made, whole=False, choices=plain)


def _of_range(made: Parameter, spec: dict, option: str, network: str, own: list[str]) -> Parameter:
    low, high, step, log = (spec.get(key) for key in ("low", "high", "step", "log"))
    before = len(own)
    for key, value in (("low", low), ("high", high)):
        if not _is_number(value):
            own.append(f"{key} must be a number and is {value!r}")
        elif fault := fault_of(option, value, network):
            own.append(f"{key} {fault} and is {value!r}")
    if log not in (None, True, False):
        own.append(f"log must be true or false and is {log!r}")
    if step is not None and (
        not _is_number(step) or not 0 < step < float("inf") or made.whole and step != int(step)
    ):
        own.append(
            f"step must be a number above 0{' without a fraction' if made.whole else ''} and is {step!r}"
        )
    if step is not None and log:
        own.append("a logarithmic range has no step")
    if len(own) > before:
        return made
    if low > high:
        own.append(f"low {low} is above high {high}")
    elif low == high:
        own.append(f"low and high are both {low}: a single value belongs under fixed")
    elif log and low <= 0:
        own.append(f"a logarithmic range starts above 0 and low is {low}")
    return replace(made, low=low, high=high, step=step, log=bool(log))


def _when(tree, network: str, own: list[str]) -> tuple[tuple[str, tuple], ...]:
    found = []
    for field, values in _flat(tree, own).items():
        values = values if isinstance(values, list) else [values]
        if field_type(field, network) is None:
            own.append(f'when has an unknown field "{field}"{did_you_mean(field, known_fields())}')
            continue
        own += [
            f"when {field} {fault} and is {v!r}" for v in values if (fault := fault_of(field, v, network))
        ]
        found.append((field, tuple(values)))
    return tuple(found)
