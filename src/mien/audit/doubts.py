"""Labels that predictions contradict: confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021).

Predictions must be of networks that were not trained on the faces (folds of a cross-validation), as a network that
has memorized a face repeats its label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.audit.data import AuditData, Finding
from mien.dataset import class_votes, not_asked
from mien.errors import DataError
from mien.judge.annotators import most_voted
from mien.predictions import read_predictions
from mien.reading import reason, sha256_file
from mien.text import percent

KIND = "doubtful-label"


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """What predictions say of labels."""

    tables: tuple[Path, ...]
    faces: int  # with a prediction
    joint: np.ndarray  # float64 (C, C), estimated faces by label and true class
    doubtful: int  # labels
    against_votes: (
        tuple[float, float] | None
    )  # share that is not annotators' majority, of the doubtful and the others


def find_doubts(data: AuditData, tables: Sequence[Path]) -> tuple[Doubts | None, list[Finding]]:
    """Find doubtful labels, the most doubtful first; (None, []) without tables of predictions.

    Several predictions of a face are averaged. Raises DataError for a table of other classes, or of no face of the
    data set.
    """
    if not tables:
        return None, []
    rows, probs = _predicted(data, tables)
    classes = data.info.labels
    labels = np.array([classes.index(label) for label in data.labels[rows]])
    joint = estimated_joint(labels, probs)
    doubtful = doubtful_labels(labels, probs, joint)
    doubted = np.flatnonzero(doubtful)
    margins = probs.max(1) - probs[np.arange(len(labels)), labels]
    findings = [
        Finding(
            KIND,
            int(rows[i]),
            None,
            float(margins[i]),
            f"predicted {classes[probs[i].argmax()]} {percent(probs[i].max(), 0)}, "
            f"{data.labels[rows[i]]} {percent(float(probs[i, labels[i]]), 0)}",
        )
        for i in doubted[np.argsort(-margins[doubted], kind="stable")]
    ]
    against = _against_votes(data, rows, labels, doubtful)
    return Doubts(tuple(map(Path, tables)), len(rows), joint, len(findings), against), findings


def sha256_of(tables: Sequence[Path], kinds: Sequence[str]) -> list[str]:
    """Return the tables' sha256, sorted, where their doubts are among the kinds; DataError for one that is no file."""
    return sorted(_sha256(path) for path in tables) if KIND in kinds else []


def _sha256(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from None


def estimated_joint(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return about how many faces have each label and each true class, float64 (C, C), rows labels.

    A face counts for the most probable class whose probability reaches the mean that faces of that label have
    (equation 1 there); each row is brought to as many faces as have the label (equation 3).
    """
    count = probs.shape[1]
    own = np.eye(count, dtype=bool)[labels]
    thresholds = np.array([probs[own[:, c], c].mean() if own[:, c].any() else np.inf for c in range(count)])
    confident = probs >= thresholds
    counted = confident.any(1)
    true = np.where(confident, probs, -1.0).argmax(1)
    joint = np.zeros((count, count))
    np.add.at(joint, (labels[counted], true[counted]), 1)
    joint[np.arange(count), np.arange(count)] += joint.sum(1) == 0  # of no confident face: labels are right
    return joint / joint.sum(1, keepdims=True) * own.sum(0)[:, None]


def doubtful_labels(labels: np.ndarray, probs: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Return which labels are doubtful, bool (N,): "prune by noise rate" there.

    Of the faces of each label as many as the joint has under another class, those whose probability of that class
    exceeds that of their label the most.
    """
    doubtful = np.zeros(len(labels), bool)
    for label, true in np.argwhere(~np.eye(probs.shape[1], dtype=bool)):
        mine = np.flatnonzero(labels == label)
        margin = probs[mine, true] - probs[mine, label]
        most = np.argsort(-margin, kind="stable")[: round(float(joint[label, true]))]
        doubtful[mine[most[margin[most] > 0]]] = True
    return doubtful


def _against_votes(
    data: AuditData, rows: np.ndarray, labels: np.ndarray, doubtful: np.ndarray
) -> tuple[float, float] | None:
    """Return how many labels are not the annotators' majority; None without votes, or with none to compare with."""
    if data.votes is None or not_asked(data.info.labels):
        return None
    votes = class_votes(data.votes[rows], data.info.labels)
    voted = votes.sum(1) > 0
    if not (doubtful & voted).any() or doubtful[voted].all():
        return None
    against = 1 - most_voted(votes[voted])[np.arange(voted.sum()), labels[voted]]
    return float(against[doubtful[voted]].mean()), float(against[~doubtful[voted]].mean())


def _predicted(data: AuditData, tables: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with a prediction, and their mean probabilities (n, C) in the order of the data set's classes."""
    number = {identity: row for row, identity in enumerate(data.ids.tolist())}
    sums, counts = np.zeros((len(data), len(data.info.labels))), np.zeros(len(data), int)
    for path in tables:
        table = read_predictions(path)
        if sorted(table.classes) != sorted(data.info.labels):
            raise DataError(
                f"{path}: predicts {', '.join(table.classes)}, the data set has {', '.join(data.info.labels)}"
            )
        if unknown := next((identity for identity in table.ids.tolist() if identity not in number), None):
            raise DataError(f'{path}: the data set has no face with the id "{unknown}"')
        rows = [number[identity] for identity in table.ids.tolist()]
        sums[rows] += table.probs[:, [table.classes.index(label) for label in data.info.labels]]
        counts[rows] += 1
    predicted = np.flatnonzero(counts)
    return predicted, sums[predicted] / counts[predicted, None]
