"""Weights of teachers, chosen on val: the mixture of their answers with the lowest log loss.

That is a linear opinion pool with its weights by the log score (Geweke & Amisano, "Optimal prediction pools", 2011),
and stacking (Wolpert 1992) with the fewest parameters: one a teacher, none negative, with sum 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces
from mien.distill.teachers import Teacher, answering_once
from mien.errors import DataError
from mien.files import with_no_error, write_csv
from mien.judge import accuracy, log_loss
from mien.judge.sums import SMALLEST_PROBABILITY
from mien.text import decimal, in_columns, percent

MOST_STEPS, TOLERANCE = 10_000, 1e-6  # of EM; nats a face
COLUMNS = ("teacher", "weight", "val_log_loss", "val_accuracy", "sha256")
Row = tuple[str, float | None, float, float, str]  # of COLUMNS


@dataclass(frozen=True, slots=True)
class TeacherWeights:
    """How much each teacher's answers count, and why."""

    weights: tuple[float, ...]  # one a network; the folds of a cross-validation have the same
    rows: tuple[Row, ...]  # each teacher, the mean with equal weights, the mean with these

    def __str__(self) -> str:
        rows = [
            (name, "" if weight is None else decimal(weight), decimal(loss), percent(correct))
            for name, weight, loss, correct, _ in self.rows
        ]
        return in_columns([("teacher", "weight", "val log loss", "val accuracy"), *rows])


def teacher_weights(teachers: Sequence[Teacher], dataset: Dataset) -> TeacherWeights:
    """Return the weights by which the mean of teachers has the lowest log loss on val; DataError without val.

    Each answers in its evaluation views. The folds of a cross-validation count as one teacher, which answers val as
    often as it has folds, each time by another: so it is weighed as it answers a train face, by a single fold.
    """
    val = dataset.development().val
    if not len(val):
        raise DataError(f"{dataset.info.folder}: no face in val, on which teachers' weights are chosen")
    groups = answering_once(teachers)
    answers = _of_val(teachers, groups, val)
    labels = np.tile(val.labels, len(answers[0]) // len(val))
    of_label = np.stack([probs[np.arange(len(labels)), labels] for probs in answers], 1)
    weights = mixture_weights(of_label)
    rows: list[Row] = [
        _row(_name(teachers, group), float(weight), labels, probs, [teachers[n].sha256 for n in group])
        for group, weight, probs in zip(groups, weights, answers, strict=True)
    ]
    rows.append(_row("mean", None, labels, np.mean(answers, axis=0)))
    rows.append(_row("weighted mean", None, labels, np.tensordot(weights, answers, 1)))
    of_group = {
        number: float(weight) for group, weight in zip(groups, weights, strict=True) for number in group
    }
    return TeacherWeights(tuple(of_group[number] for number in range(len(teachers))), tuple(rows))


def mixture_weights(probs: np.ndarray) -> np.ndarray:
    """Return weights, float64 (T,), by whose mixture of T models the data are most likely.

    `probs`, float64 (M, T), are what each model gives to what is the case. EM for the proportions of a mixture
    (Dempster et al. 1977): the log likelihood is concave in them, and no other weights are better by more than the
    largest gradient less 1, in nats a row, so it ends where that is small.
    """
    probs = probs.clip(SMALLEST_PROBABILITY)
    weights = np.full(probs.shape[1], 1 / probs.shape[1])
    for _ in range(MOST_STEPS):
        gradient = (probs / (probs @ weights)[:, None]).mean(0)
        if gradient.max() <= 1 + TOLERANCE:
            break
        weights = weights * gradient
    return weights / weights.sum()


def write_weights(out: Path, weights: TeacherWeights | None) -> None:
    """Write the table of weights beside the soft targets `out`, or remove that of earlier ones."""
    path = out.with_name(f"{out.stem}.weights.csv")
    if weights is None:
        with_no_error(path.unlink)
    else:
        write_csv(path, COLUMNS, weights.rows)


def _of_val(teachers: Sequence[Teacher], groups: list[list[int]], val: Faces) -> np.ndarray:
    """Return each group's answers, float64 (G, R N, C), val repeated until each has had every fold equally often."""
    answers = [teacher.answer(val) for teacher in teachers]
    repeats = range(math.lcm(*map(len, groups)))
    return np.stack([np.concatenate([answers[group[r % len(group)]] for r in repeats]) for group in groups])


def _name(teachers: Sequence[Teacher], group: list[int]) -> str:
    return teachers[group[0]].name + (f" ({len(group)} folds)" if len(group) > 1 else "")


def _row(
    name: str, weight: float | None, labels: np.ndarray, probs: np.ndarray, sha256: Sequence[str] = ()
) -> Row:
    return name, weight, log_loss(labels, probs), accuracy(labels, probs), " ".join(sha256)
