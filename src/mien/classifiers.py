"""Models and runs as one thing: what gives probabilities of faces. Knows nothing about where faces come from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mien.errors import ModelError
from mien.evaluate import run_probabilities
from mien.model import read_model
from mien.run import RunData, read_run

T = TypeVar("T")
Probabilities = Callable[[np.ndarray], np.ndarray]  # of faces uint8 (N, S, S), float (N, C)


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model or a complete run, ready to classify."""

    path: str | Path
    labels: tuple[str, ...]
    side: int  # pixels of the faces
    threshold: float  # below this highest probability the answer is "uncertain"; 0 for a run, which has none
    data: RunData | None  # what a run was trained on; None for a model
    probabilities: Probabilities

    def in_order(self, labels: Sequence[str]) -> Probabilities:
        """Return `probabilities` with the classes in another order."""
        columns = [self.labels.index(label) for label in labels]
        return lambda images: self.probabilities(images)[:, columns]

    def refuse_other_faces(self, labels: Sequence[str], side: int, whose: str | Path) -> None:
        """Raise ModelError unless this classifies faces of that side as those classes, in any order."""
        if sorted(labels) != sorted(self.labels) or side != self.side:
            raise ModelError(
                f"{self.path}: classifies {self.side} x {self.side} faces as {', '.join(self.labels)}; "
                f"{whose} has {side} x {side} faces and {', '.join(labels)}"
            )


def read_classifiers(paths: Sequence[str | Path]) -> dict[str, Classifier]:
    """Read models (a shipped one's name or a `.onnx` file) and runs (their folders), by name.

    Raises ModelError or RunError for what cannot be read, and for two of one name.
    """
    classifiers: dict[str, Classifier] = {}
    for path in paths:
        name = Path(path).stem if Path(path).suffix == ".onnx" else Path(path).resolve().name
        if name in classifiers:
            raise ModelError(f"{path}: two models are called {name}; rename one")
        classifiers[name] = _read(path)
    return classifiers


def together(models: Mapping[str, T], others: Mapping[str, T]) -> dict[str, T]:
    """Return models and other classifiers by name; ModelError where two have one name."""
    if both := sorted(models.keys() & others.keys()):
        raise ModelError(f"two classifiers are called {both[0]}; rename one")
    return {**models, **others}


def _read(path: str | Path) -> Classifier:
    if Path(path).is_dir():
        run = read_run(Path(path))
        return Classifier(path, run.data.labels, run.data.side, 0.0, run.data, run_probabilities(run))
    model = read_model(path)
    return Classifier(path, model.labels, model.side, model.threshold, None, model.probabilities)
