"""How a network runs on this machine: device, precision, memory layout, threads. Knows nothing about recipes.

The one place that chooses them, by rules that were measured (docs/architecture.md, "Engine"), not
by timing at each start: a choice that flips with the machine's load would change a run's bytes.
"""

from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import nn

from mien.errors import RunError
from mien.networks import as_input
from mien.networks.network import Kind
from mien.workers import available_cores

INFERENCE_BATCH = 512


@dataclass(frozen=True, slots=True)
class Engine:
    """The choices that a run records, so that it is taken up again with the same ones."""

    device: str
    precision: str  # "fp32" (a GPU's convolutions in TF32, as torch has it) or "bf16"
    layout: str  # "channels-first" or "channels-last"
    threads: int

    @classmethod
    def of(cls, record: dict) -> "Engine":
        """Return the engine that a run's record names; what earlier versions recorded beside is passed over."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})

    def place(self, network: Kind) -> Kind:
        """Move a network to the device in the chosen layout."""
        layout = torch.channels_last if self.layout == "channels-last" else torch.contiguous_format
        # torch's overloads lack memory_format without a dtype, which its documentation and its code take
        return network.to(self.device, memory_format=layout)  # pyright: ignore[reportCallIssue]

    def autocast(self):
        """Return the context in which the forward pass runs."""
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.precision == "bf16")


def choose_engine(*, device: str = "auto", precision: str = "auto", threads: int | None = None) -> Engine:
    """Return the fastest engine that was measured for this kind of machine.

    bf16 where the hardware multiplies it (CPUs with avx512_bf16 or AMX, GPUs that support it),
    else fp32; channels-last everywhere. Raises RunError for a device that is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    require_device(device)
    if precision == "auto":
        precision = "bf16" if _multiplies_bf16(device) else "fp32"
    return Engine(
        device, precision, "channels-last", threads or min(torch.get_num_threads(), available_cores())
    )


def devices() -> list[str]:
    """Return the devices of this machine, as torch calls them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *["cuda"] * (count > 0), *(f"cuda:{number}" for number in range(count))]


def require_device(device: str) -> None:
    """Raise RunError when this machine lacks a device."""
    if device not in devices():
        raise RunError(f'device "{device}" is not there; this machine has {", ".join(devices())}')


def _multiplies_bf16(device: str) -> bool:
    if device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()  # no public question exists in torch 2.9


@torch.inference_mode()
def probabilities(
    network: nn.Module, images: torch.Tensor, engine: Engine, *, flip: bool = False, shift: int = 0
) -> np.ndarray:
    """Return class probabilities, float64 (N, classes), of uint8 faces (N, S, S) on the device.

    The mean of those of each face's views: itself, moved by `shift` pixels to each corner, and the mirror pictures.
    """
    was_training = network.training
    network.eval()
    parts = []
    for batch in images.split(INFERENCE_BATCH):
        with engine.autocast():
            logits = [network(as_input(view)) for view in tta_views(batch, flip, shift)]
        parts.append(torch.stack([part.double().softmax(1) for part in logits]).mean(0).cpu())
    network.train(was_training)
    return torch.cat(parts).numpy()


def tta_views(images: torch.Tensor, flip: bool, shift: int) -> list[torch.Tensor]:
    """Return the faces (N, S, S), themselves moved to the four corners where `shift` is not 0, and all mirrored.

    The ten crops of Krizhevsky et al. (2012), with the face's edge repeated where nothing is left to see.
    """
    crops = [images]
    if shift:
        side = images.shape[1]
        places = torch.arange(side, device=images.device)
        shifted = [(places + by).clamp(0, side - 1) for by in (-shift, shift)]
        crops += [images[:, rows][:, :, columns] for rows in shifted for columns in shifted]
    return crops + [view.flip(2) for view in crops] if flip else crops


@contextmanager
def on_threads(threads: int):
    """Run a block on so many CPU threads: sums, and so bytes, depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
