"""Networks as one ONNX graph: views of a face, scale, mean, temperature. Knows nothing about runs or metadata."""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.errors import ModelError, RecipeError
from mien.judge.sums import SMALLEST_PROBABILITY
from mien.model import INPUT, OUTPUT, run_graph
from mien.networks import as_input
from mien.networks.engine import tta_views
from mien.recipe import TTA
from mien.text import shortened

LONGEST_REASON = 300  # characters of what torch says
TRIED_FACES = 3  # another number than the graph is traced with
MOST_APART = 1e-3  # between probabilities of fresh weights
OPSET = 17  # onnxruntime 1.19 and onnxruntime-web read it


class Reader(nn.Module):
    """Networks that read a face together, once or in several views.

    Their probabilities are averaged first and the mean is calibrated (pool, then calibrate: Rahaman and Thiery,
    "Uncertainty quantification and deep ensembles", NeurIPS 2021), so a temperature never changes the answer. `gains`,
    one a class, bring the answers to another prior (mien/model/prior.py): they do change it.
    """

    losses: torch.Tensor | None

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        classes: int,
        tta: TTA,
        temperature: float,
        gains: Sequence[float] = (),
    ):
        super().__init__()
        losses = -torch.tensor(gains, dtype=torch.float64).log().float() if gains else None
        self.register_buffer("losses", losses, persistent=False)
        self.networks = nn.ModuleList(networks)
        self.classes, self.tta, self.temperature = classes, asdict(tta), temperature

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Return probabilities, float32 (N, C), of faces uint8 (N, 1, S, S)."""
        views = tta_views(faces.squeeze(1), **self.tta)
        x = as_input(torch.cat(views))  # (views N, 1, S, S)
        probs = torch.cat([network(x).softmax(1) for network in self.networks])
        probs = probs.reshape(len(views) * len(self.networks), -1, self.classes).mean(0)  # (N, C)
        logits = probs.clamp_min(SMALLEST_PROBABILITY).log()  # as calibrate.py has them: 0 stays what it is
        logits = logits / self.temperature
        return logits.softmax(1) if self.losses is None else (logits - self.losses).softmax(1)


def onnx_graph(reader: Reader, side: int) -> bytes:
    """Return the reader as the bytes of an ONNX file without metadata, N free.

    Torch's older exporter writes it: the newer one needs another package, and half a minute for a second's work.
    Raises ModelError where it cannot.
    """
    reader.eval()
    try:
        return _exported(reader, side)
    except (
        Exception
    ) as error:  # torch's exporter raises errors of many kinds, and what a network's code raises
        raise ModelError(f"cannot be written as ONNX ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return shortened(text, LONGEST_REASON)


def require_exportable(network: nn.Module, kind: str, *, side: int, classes: int) -> None:
    """Raise RecipeError unless onnxruntime, given the network as a graph, answers a batch of any size as torch does."""
    faces = torch.randint(0, 256, (TRIED_FACES, 1, side, side), generator=torch.Generator().manual_seed(0))
    faces = faces.to(torch.uint8)
    reader = Reader([network], classes=classes, tta=TTA(), temperature=1.0)
    try:
        probs = run_graph(onnx_graph(reader, side), faces.numpy())
        with torch.inference_mode():
            expected = reader(faces).numpy()
        if probs.shape != expected.shape or not np.abs(probs - expected).max() <= MOST_APART:
            raise ModelError("answers otherwise in onnxruntime than in torch")
    except ModelError as error:
        raise RecipeError(
            f"network: {kind} cannot be exported: {error}; change it, or train it without a model file in view with "
            f"network.export=false"
        ) from None


@contextmanager
def _without_dump() -> Iterator[None]:
    """Keep torch from printing the whole graph when an operator is missing: 2.9 to 2.13 do, whatever `verbose` says.

    torch/onnx/_internal/torchscript_exporter/utils.py takes the function that tells whether to log for its answer.
    """
    binding: Any = torch._C  # pyright: ignore[reportPrivateUsage]
    log = getattr(binding, "_jit_onnx_log", None)
    binding._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        binding._jit_onnx_log = log


def _exported(reader: Reader, side: int) -> bytes:
    return exported(reader, (torch.zeros(2, 1, side, side, dtype=torch.uint8),), [INPUT], [OUTPUT])


def exported(
    module: nn.Module, example: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str]
) -> bytes:
    """Return a module as the bytes of an ONNX file, the first dimension of all that goes in and out free."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _without_dump():
        file = Path(folder) / "graph.onnx"
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.9 to 2.13 tell of the newer one
        # sides of a face are constants, and meant to be; torch.jit has the class and does not list it in __all__
        tracer = torch.jit.TracerWarning  # pyright: ignore[reportPrivateImportUsage]
        warnings.simplefilter("ignore", tracer)
        warnings.filterwarnings(
            "ignore", "Constant folding", UserWarning
        )  # of paddings: onnxruntime folds them
        torch.onnx.export(
            module,
            example,
            file,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "N"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
        return file.read_bytes()
