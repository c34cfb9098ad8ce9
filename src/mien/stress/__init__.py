"""What corruptions of faces cost a recognizer: accuracy, calibration and "uncertain" by kind and strength.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019. Every
model sees the same corrupted faces of val, so differences are paired; test stays closed. `stress` makes a folder with
`stress.html`, `numbers/` (CSV) and `figures/`; `summary` tells the result in the terminal.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces, read_dataset
from mien.errors import DataError, ModelError
from mien.model import read_model
from mien.pages.report import writing_report
from mien.progress import Counting
from mien.stress.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from mien.stress.measure import Condition, Recognizing, Stress, measure
from mien.stress.report import PAGE, fill
from mien.stress.text import summary
from mien.text import quoted

__all__ = ["CORRUPTIONS", "STRENGTHS", "Condition", "Stress", "corrupted", "stress", "summary"]


def stress(
    models: Sequence[str | Path],
    data: Path,
    out: Path,
    *,
    faces: int = 0,
    seed: int = 0,
    draws: int = 1000,
    progress: Counting | None = None,
) -> Stress:
    """Put models, or runs, under stress on a data set's val faces and write the report into folder `out`.

    A model is a shipped one's name, a `.onnx` file or the folder of a complete run. `faces` takes so many faces, drawn
    by `seed`; 0 takes all. Raises DataError where the data set has no val face, ModelError or RunError for a model
    that cannot be read or has other classes, StorageError where `out` holds anything else, MissingExtra without
    matplotlib.
    """
    data, out = Path(data), Path(out)
    if not models:
        raise ModelError("there is no model to put under stress")
    dataset = read_dataset(data)
    val = _drawn(dataset, faces, seed)
    recognizing = {}
    for where in models:
        name = _name(where, recognizing)
        recognizing[name] = _recognizing(where, dataset)
    with writing_report(out, PAGE, extra="compare") as report:
        result = measure(recognizing, val, seed=seed, draws=draws, progress=progress)
        command = (
            f"mien stress {' '.join(quoted(m) for m in models)} --data {quoted(data)} --out {quoted(out)}"
        )
        command += f" --faces {faces}" if faces else ""
        command += f" --seed {seed}" if seed else ""
        fill(report, result, data=f"{data.resolve().name}'s val", face=val.images[0], command=command)
    return result


def _drawn(dataset: Dataset, count: int, seed: int) -> Faces:
    """Return val's faces, or so many of them in the data set's order."""
    val = dataset.development().val
    if not len(val):
        raise DataError(f"{dataset.info.folder}: no face in val")
    if not 0 < count < len(val):
        return val
    rows = np.sort(np.random.default_rng(seed).permutation(len(val))[:count])
    return Faces(val.images[rows], val.labels[rows], val.ids[rows], val.groups[rows], val.clean[rows])


def _name(where: str | Path, taken: dict) -> str:
    name = Path(where).stem if Path(where).suffix == ".onnx" else Path(where).name
    if name in taken:
        raise ModelError(f"{where}: two models are called {name}; rename one")
    return name


def _recognizing(where: str | Path, dataset: Dataset) -> Recognizing:
    """Return what answers for a model or a run, its probabilities in the order of the data set's classes."""
    from mien.evaluate import recognizing_run

    labels, side = dataset.info.labels, dataset.info.side
    if Path(where).is_dir():
        return Recognizing(recognizing_run(Path(where), dataset), 0.0)
    model = read_model(where)
    if sorted(labels) != sorted(model.labels) or side != model.side:
        raise ModelError(
            f"{where}: classifies {model.side} x {model.side} faces as {', '.join(model.labels)}; "
            f"{dataset.info.folder} has {side} x {side} faces and {', '.join(labels)}"
        )
    columns = [model.labels.index(label) for label in labels]
    return Recognizing(lambda images: model.probabilities(images)[:, columns], model.threshold)
