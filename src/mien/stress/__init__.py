"""What corruptions of faces cost a recognizer: accuracy, calibration and "uncertain" by kind and strength.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019. Every
model sees the same corrupted faces of val, so differences are paired; test stays closed. `stress` makes a folder with
`stress.html`, `numbers/` (CSV) and `figures/`; `summary` tells the result in the terminal.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.classifiers import Classifier, read_classifiers
from mien.dataset import Dataset, Faces, read_dataset, same_faces
from mien.errors import DataError, ModelError, RunError
from mien.judge import judge_annotators
from mien.judge.text import annotators_sentence
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
    val = draw_val(dataset, faces, seed)
    classifiers = read_classifiers(models)
    recognizing = {name: _recognizing(classifier, dataset) for name, classifier in classifiers.items()}
    with writing_report(out, PAGE, extra="compare") as report:
        result = measure(recognizing, val, seed=seed, draws=draws, progress=progress)
        command = (
            f"mien stress {' '.join(quoted(m) for m in models)} --data {quoted(data)} --out {quoted(out)}"
        )
        command += f" --faces {faces}" if faces else ""
        command += f" --seed {seed}" if seed else ""
        people = about_annotators(dataset, val)
        fill(
            report,
            result,
            data=f"{data.resolve().name}'s val",
            face=val.images[0],
            command=command,
            people=people,
        )
    return result


def draw_val(dataset: Dataset, count: int, seed: int) -> Faces:
    """Return so many of val's faces, drawn by the seed, in the data set's order; 0 takes all. DataError for none."""
    val = dataset.development().val
    if not len(val):
        raise DataError(f"{dataset.info.folder}: no face in val")
    if not 0 < count < len(val):
        return val
    rows = np.sort(np.random.default_rng(seed).permutation(len(val))[:count])
    return Faces(val.images[rows], val.labels[rows], val.ids[rows], val.groups[rows], val.clean[rows])


def about_annotators(dataset: Dataset, faces: Faces) -> str:
    """Return what annotators reach on the faces as they are, as a sentence, or "" where votes are not known."""
    votes = dataset.class_votes(faces.ids)
    judged = None if votes is None else judge_annotators(votes, faces.labels, faces.groups)
    return "" if judged is None else annotators_sentence(judged, "these, as they are,")


def _recognizing(classifier: Classifier, dataset: Dataset) -> Recognizing:
    """Return what answers for a model or a run, its probabilities in the order of the data set's classes."""
    classifier.refuse_other_faces(dataset.info.labels, dataset.info.side, dataset.info.folder)
    if classifier.data is not None and not same_faces(dataset.info, classifier.data):
        raise RunError(f"{classifier.path}: was trained on other faces than those of {dataset.info.folder}")
    return Recognizing(classifier.in_order(dataset.info.labels), classifier.threshold)
