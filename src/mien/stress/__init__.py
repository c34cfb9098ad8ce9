"""What corruptions of faces cost a recognizer: accuracy, calibration and "uncertain" by kind and strength.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019. Every
model sees the same corrupted faces of val, so differences are paired; test stays closed. They are given as crops, or
have to be found in photographs first. `stress` makes a folder with
`stress.html`, `numbers/` (CSV) and `figures/`; `summary` tells the result in the terminal.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mien.classifiers import Classifier, Probabilities, read_classifiers, together
from mien.dataset import Dataset, Faces, read_dataset, same_faces
from mien.errors import DataError, ModelError, RunError
from mien.faces import Finder
from mien.judge import judge_annotators
from mien.judge.parts import PARTS, parts_of, rows_of
from mien.judge.text import annotators_sentence
from mien.pages.report import writing_report
from mien.progress import Counting
from mien.stress.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from mien.stress.measure import Condition, Recognizing, Stress, as_crops, measure
from mien.stress.photographs import in_photographs
from mien.stress.report import PAGE, fill
from mien.stress.text import summary
from mien.text import quoted

__all__ = ["CORRUPTIONS", "STRENGTHS", "Condition", "Stress", "corrupted", "stress", "summary"]


def stress(
    models: Sequence[str | Path],
    data: Path,
    out: Path,
    *,
    others: Mapping[str, Probabilities] | None = None,
    photographs: bool = False,
    faces: int = 0,
    seed: int = 0,
    draws: int = 1000,
    progress: Counting | None = None,
) -> Stress:
    """Put models, or runs, under stress on a data set's val faces and write the report into folder `out`.

    A model is a shipped one's name, a `.onnx` file or the folder of a complete run. `others` are any other classifiers
    by name: functions from faces uint8 (N, S, S) to probabilities, float (N, C), in the order of the data set's labels;
    they are never "uncertain". With `photographs` each corrupted face is pasted into a picture, found and cropped
    again, and not correct where it is not found. The faces are val's strictly clean ones, where an audit has told
    these, else its clean ones; `faces` takes so many of them, drawn by `seed`, 0 all. Raises DataError where the data
    set has no val face, ModelError or RunError for a model that cannot be read or has other classes, StorageError where
    `out` holds anything else, MissingExtra without matplotlib.
    """
    data, out = Path(data), Path(out)
    if not models and not others:
        raise ModelError("there is no model to put under stress")
    dataset = read_dataset(data)
    part, val = _draw_val(dataset, faces, seed)
    classifiers = read_classifiers(models)
    recognizing = together(
        {name: _recognizing(classifier, dataset) for name, classifier in classifiers.items()},
        {name: Recognizing(each, 0.0) for name, each in (others or {}).items()},
    )
    view = partial(in_photographs, finder=Finder(), seed=seed) if photographs else as_crops
    with writing_report(out, PAGE, extra="compare") as report:
        result = measure(recognizing, val, seed=seed, draws=draws, view=view, progress=progress)
        command = f"mien stress {' '.join(map(quoted, models))} --data {quoted(data)} --out {quoted(out)}"
        command += " --photographs" * photographs
        command += f" --faces {faces}" if faces else ""
        command += f" --seed {seed}" if seed else ""
        fill(
            report,
            result,
            data=f"the {PARTS[part]} of {data.resolve().name}'s val",
            face=val.images[0],
            command=command,
            people=_about_annotators(dataset, val),
        )
    return result


def _draw_val(dataset: Dataset, count: int, seed: int) -> tuple[str, Faces]:
    """Return the strictest known part of val that has faces, and so many of these, drawn by the seed; 0 takes all.

    They are in the data set's order. DataError where val has no face.
    """
    val = dataset.development().val
    if not len(val):
        raise DataError(f"{dataset.info.folder}: no face in val")
    part = parts_of(val)[0]
    rows = np.flatnonzero(rows_of(val, part))
    if 0 < count < len(rows):
        rows = np.sort(rows[np.random.default_rng(seed).permutation(len(rows))[:count]])
    groups = val.families_or_groups[rows]
    return part, Faces(val.images[rows], val.labels[rows], val.ids[rows], groups, val.clean[rows])


def _about_annotators(dataset: Dataset, faces: Faces) -> str:
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
