"""Weights to start from: a safetensors file's tensors as a network's own. Knows nothing about runs or training.

The file is a run's `weights.safetensors` of the same network, or has torchvision's names for it. Torchvision's
weights read three channels, (x / 255 - mean) / deviation; ours read one, `as_input`. Of a grey picture these are
the same number but for a factor and a shift, so a first layer can be made that answers alike.
"""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from mien.errors import RecipeError
from mien.model.onnx_file import NotOnnx, read_onnx
from mien.networks import GREY_ONE, GREY_ZERO, as_input
from mien.networks.network import classifier_name
from mien.reading import reason, refuse_other_than_file, shipped

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's red, green and blue in 0..1, as torchvision takes it off
DEVIATION = (0.229, 0.224, 0.225)
FIRST_KERNEL, FIRST_MEAN = "stem.0.weight", "stem.1.running_mean"
COUNTER = "num_batches_tracked"  # older files lack it, and nothing depends on it
HUB_SPELLING = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")  # norm.1 where the module has norm1
PICKLED = (".pth", ".pt", ".bin", ".ckpt")
FIXED = "fixed"  # metadata "norms": scales and shifts of a network that had no batch norm
MATCHED_FACES = 512  # of which the norms take statistics then
NESTED = ("state_dict", "model_state_dict", "model", "net")  # where checkpoints keep a state dict
WRAPPED = re.compile(r"^(?:module\.|_orig_mod\.)+")  # before the names of DataParallel and of torch.compile
NAMED = 3  # names listed of each kind of fault


@runtime_checkable
class TorchvisionNames(Protocol):
    """A network that knows what torchvision calls its tensors."""

    def torchvision_name(self, key: str) -> str:
        """Return torchvision's name of the tensor that the state dict names `key`."""
        ...


def initial_file(where: str) -> Path:
    """Return the file that `network.pretrained` names: weights that ship with mien go by name, all others by path."""
    return shipped("weights", ".safetensors").get(where, Path(where))


def read_initial(path: str | Path, network: nn.Module, labels: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """Return a file's tensors under the network's own names, in its shapes and dtypes, on the CPU.

    `labels` are the network's classes. Where the file names its own, the classifier takes them over by name, and is
    skipped unless it has them all; where it does not, the classifier is skipped if their numbers differ. Norms'
    counters are skipped where the file has none. Raises RecipeError when the file is missing, not safetensors or
    not of this network.
    """
    path = Path(path)
    own = network.state_dict()
    name = classifier_name(network)
    with _opened(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
        places, of_torchvision = _places(shapes, network)
        expected = {key: tuple(value.shape) for key, value in own.items()}
        if of_torchvision:
            expected[FIRST_KERNEL] = _with_channels(
                expected[FIRST_KERNEL], shapes.get(places.get(FIRST_KERNEL), ())
            )
        classifier = [f"{name}.{part}" for part in ("weight", "bias") if f"{name}.{part}" in own]
        if not any(key in places for key in classifier):  # features alone: a fresh classifier goes on top
            expected = {key: shape for key, shape in expected.items() if key not in classifier}
            classifier = []
        named = _labels_of(path, file)
        there = shapes.get(places.get(classifier[0]), ()) if classifier else ()
        rows = _classes_there(named, labels, expected[classifier[0]], there) if classifier else []
        for key in classifier if rows is not None else ():
            expected[key] = shapes.get(places.get(key), ())
        spelled = (
            network.torchvision_name if isinstance(network, TorchvisionNames) and of_torchvision else str
        )
        faults = _misfits(expected, shapes, places, spelled)
        tensors = {} if faults else {key: file.get_tensor(place) for key, place in places.items()}
    broken = [places[key] for key, value in tensors.items() if not _usable(value, own[key])]
    faults += _listed(broken, "not of finite numbers")
    if faults:
        others = ", or with torchvision's names" if isinstance(network, TorchvisionNames) else ""
        raise RecipeError(
            f"network.pretrained: {path} does not fit this {type(network).__name__}: {'; '.join(faults)}; it takes "
            f"the weights.safetensors of a run of the same network{others}"
        )
    if of_torchvision:
        first = tensors[FIRST_KERNEL], tensors[FIRST_MEAN]
        tensors[FIRST_KERNEL], tensors[FIRST_MEAN] = grey_first_layer(*first)
    classifier_rows = {key: tensors.pop(key)[rows] for key in classifier}
    tensors |= classifier_rows if rows else {}
    return {key: value.to(own[key].dtype) for key, value in tensors.items()}


def start_from(path: Path, network: nn.Module, labels: Sequence[str], images: np.ndarray) -> None:
    """Put a file's tensors into a network; norms that lack statistics take them from the first of the uint8 faces."""
    network.load_state_dict(read_initial(path, network, labels), strict=False)
    with _opened(path) as file:
        fixed = (file.metadata() or {}).get("norms") == FIXED
    if fixed:
        parameter = next(network.parameters())
        match_norms(network, as_input(torch.from_numpy(images[:MATCHED_FACES])).to(parameter.device))


@torch.no_grad()
def match_norms(network: nn.Module, x: torch.Tensor) -> None:
    """Give each batch norm the statistics of a batch x (B, 1, S, S), and let it answer as it did by its own.

    Weights that were trained without batch norm, or on quite other pictures, would answer otherwise once training
    normalizes by the batch: scale and shift take up the difference, in the order in which the norms run.
    """

    def match(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        own_mean, own_variance = norm.running_mean, norm.running_var
        if own_mean is None or own_variance is None:
            return  # it normalizes by the batch at all times
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        gain = norm.weight / (own_variance + norm.eps).sqrt()
        norm.bias.add_(gain * (mean - own_mean))
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        own_mean.copy_(mean)
        own_variance.copy_(variance)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(match) for norm in norms]
    was_training = network.training
    try:
        network.eval()
        network(x)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()


def grey_first_layer(kernel: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the kernel (C, 1, K, K) and running mean (C,), float64, that read one grey channel of `as_input`.

    `kernel` (C, 3, K, K) and `mean` (C,) are those of a first convolution and its batch norm that read
    torchvision's three, or of timm's `in_chans=1` (C, 1, K, K), whose one channel has the mean of these three means and
    deviations. A channel is x * GREY_ONE / (255 deviation) + shift of our x, so the kernels add up with
    those factors, and what the shifts add to each output goes into the mean that is taken off it. With running
    statistics the answers to a grey picture are equal but for the border: zeros stand for grey 128 here, and
    for ImageNet's mean there.
    """
    kernel, mean = kernel.double(), mean.double()
    middle, deviation = torch.tensor((MEAN, DEVIATION), dtype=torch.float64)
    if kernel.shape[1] == 1:
        middle, deviation = middle.mean()[None], deviation.mean()[None]
    factor = GREY_ONE / 255 / deviation
    shift = (GREY_ZERO / 255 - middle) / deviation
    grey = (kernel * factor[:, None, None]).sum(1, keepdim=True)
    return grey, mean - (kernel.sum((2, 3)) * shift).sum(1)


def _with_channels(own: tuple[int, ...], there: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a first kernel that reads a grey channel, as the file's may, or else torchvision's three."""
    grey = len(there) > 1 and there[1] == 1
    return own if grey else (own[0], len(MEAN), *own[2:])


@contextmanager
def _opened(path: Path):
    """Yield a safetensors file; RecipeError when it is none, with the way out for a pickled one."""
    if path.is_dir():
        raise RecipeError(
            f"network.pretrained: {path}: a folder; give a file, as {path / 'weights.safetensors'}"
        )
    if not path.exists():
        raise RecipeError(f"network.pretrained: {path}: no such file")
    try:
        refuse_other_than_file(path)
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as fault:
        if _pickled(path):
            raise RecipeError(
                f"network.pretrained: {path}: pickled, which can run code when it is read; convert it once in Python:\n"
                + _conversion(path)
            ) from None
        raise RecipeError(
            f"network.pretrained: {path}: cannot be read as safetensors ({reason(fault)})"
        ) from None


def _conversion(path: Path) -> str:
    """Return two lines of Python that convert what torch saved: a state dict, or a checkpoint with one in it.

    A semicolon ends the first, since the command line makes one line of them.
    """
    target = str(path.with_suffix(".safetensors"))
    return (
        f"import torch, safetensors.torch; saved = torch.load({str(path)!r}, map_location='cpu', weights_only=True);\n"
        f"safetensors.torch.save_file({{k: v.clone() for k, v in next((saved[name] for name in {NESTED} if name in "
        f"saved), saved).items() if hasattr(v, 'shape')}}, {target!r})"
    )


def _pickled(path: Path) -> bool:
    """Tell whether a file that is no safetensors is what `torch.save` writes: a zip or a pickle."""
    if path.suffix in PICKLED:
        return True
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith((b"PK\3\4", b"\x80"))
    except OSError:
        return False


def _places(names: Iterable[str], network: nn.Module) -> tuple[dict[str, str], bool]:
    """Return the file's name for each of the network's own that it has, and whether they are torchvision's."""
    own = list(network.state_dict())
    if isinstance(network, TorchvisionNames):
        theirs = {network.torchvision_name(key): key for key in own}
        places: dict[str, str] = {}
        for name in names:
            key = theirs.get(HUB_SPELLING.sub(r"\1", WRAPPED.sub("", name)))
            if key:
                places.setdefault(key, name)
        if places:
            return places, True
    bare = {WRAPPED.sub("", name): name for name in names}
    return {key: bare[key] for key in own if key in bare}, False


def _labels_of(path: Path, file) -> list[str]:
    """Return the classes that weights name, or a model of that name beside them, as ships; none where neither does."""
    model = path.with_suffix(".onnx")
    try:
        metadata = file.metadata() or (read_onnx(model.read_bytes()).metadata if model.is_file() else {})
        labels = json.loads(metadata.get("labels") or metadata.get("mien.labels", "[]"))
        return labels if isinstance(labels, list) else []
    except (OSError, ValueError, NotOnnx):
        return []


def _classes_there(
    named: Sequence[str], labels: Sequence[str], expected: tuple, there: tuple
) -> list[int] | None:
    """Return the row of the file's classifier, of shape `there`, that each class takes over; [] where they stay fresh.

    By name where both sides have names, else all or none by their number. None where the classifier does not fit.
    """
    if not there or there[1:] != expected[1:]:
        return None
    if not labels or len(named) != there[0]:
        return list(range(there[0])) if there == expected else []
    return [named.index(label) for label in labels] if set(labels) <= set(named) else []


def _misfits(expected: dict, shapes: dict, places: dict, name) -> list[str]:
    """Return what is missing, surplus or of another shape, in the file's names."""
    missing = [name(key) for key in expected if key not in places and not key.endswith(COUNTER)]
    surplus = sorted(set(shapes) - set(places.values()))
    shaped = [
        f"{place} {_shape(shapes[place])} where {_shape(expected[key])} belongs"
        for key, place in places.items()
        if shapes[place] != expected[key]
    ]
    return [
        *_listed(missing, "missing"),
        *_listed(surplus, "surplus"),
        *_listed(shaped, "of another shape"),
    ]


def _listed(names: list[str], fault: str) -> list[str]:
    """Return no line or one: how many tensors have a fault, and the first of them."""
    if not names:
        return []
    more = ", …" if len(names) > NAMED else ""
    return [f"{len(names)} {fault} ({', '.join(names[:NAMED])}{more})"]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _usable(value: torch.Tensor, own: torch.Tensor) -> bool:
    """Tell whether a tensor can stand for the network's own: whole numbers for whole ones, else finite floats."""
    if not own.is_floating_point():
        return not value.is_floating_point()
    return value.is_floating_point() and bool(value.to(own.dtype).isfinite().all())
