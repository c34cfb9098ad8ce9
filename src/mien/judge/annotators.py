"""How far annotators agree with labels and with each other: the ceiling for a network. Knows nothing about files.

Votes hold several answers to a face, as FER+'s ten do (Barsoum et al. 2016). Each figure is a mean over faces, so its
interval is that of a bootstrap over faces, copies of one drawn together.
"""

from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.judge.bootstrap import Interval, check_draws, interval, times_drawn

FEWEST_VOTES = 2  # for the classes of a data set: one annotator, and another one to agree with


@dataclass(frozen=True, slots=True)
class Annotators:
    """What annotators reach on faces that at least two of them gave a class; shares 0..1."""

    faces: int
    majority: Interval  # accuracy of the class with the most votes, by the labels
    one: Interval  # accuracy of one annotator, drawn at random from those who gave a class, by the labels
    one_by_others: Interval  # accuracy of one annotator, by the class with the most votes of the others


@dataclass(frozen=True, slots=True)
class BesideAnnotators:
    """A network's accuracy minus that of one annotator on the same faces; shares -1..1."""

    by_labels: Interval
    by_others: Interval  # both by the class with the most votes of the other annotators


def judge_annotators(
    votes: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Annotators | None:
    """Judge annotators by their votes (N, C) for each class of N faces, labels int (N,), groups of copies (N,).

    Classes with equally many votes share a face. Returns None where no face has two votes; raises DataError for arrays
    of different lengths, and for draws or a seed that cannot be used.
    """
    check_draws(draws, seed)
    voted = _voted(votes, labels, groups)
    if not voted.any():
        return None
    votes, labels = votes[voted], labels[voted]
    majority = np.take_along_axis(most_voted(votes), labels[:, None], 1)[:, 0]
    columns = np.stack([majority, *_one_annotator(votes, labels)], axis=1)
    return Annotators(len(votes), *_intervals(columns, groups[voted], draws, seed))


def beside_annotators(
    predicted: np.ndarray,
    votes: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> BesideAnnotators | None:
    """Compare what a network's seeds predict, int (seeds, N), with one annotator; the rest is as above."""
    check_draws(draws, seed)
    voted = _voted(votes, labels, groups)
    if not voted.any():
        return None
    votes, labels, predicted = votes[voted], labels[voted], predicted[:, voted]
    agreed = np.einsum("nc,ncd->nd", _shares(votes), _most_voted_of_others(votes))
    by_others = np.take_along_axis(agreed, predicted.T, 1).mean(1)
    columns = np.stack([(predicted == labels).mean(0), by_others], 1) - np.stack(
        _one_annotator(votes, labels), 1
    )
    return BesideAnnotators(*_intervals(columns, groups[voted], draws, seed))


def _voted(votes: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return which faces have enough votes, bool (N,)."""
    if votes.ndim != 2 or not len(votes) == len(labels) == len(groups):
        raise DataError(
            f"votes {votes.shape}, labels {labels.shape} and groups {groups.shape} must be of the same faces"
        )
    return votes.sum(1) >= FEWEST_VOTES


def _shares(votes: np.ndarray) -> np.ndarray:
    return votes / votes.sum(-1, keepdims=True)


def most_voted(votes: np.ndarray) -> np.ndarray:
    """Return 1 / k for each of the k classes with the most votes, else 0, float64 (..., C)."""
    return _shares(votes == votes.max(-1, keepdims=True))


def _most_voted_of_others(votes: np.ndarray) -> np.ndarray:
    """Return `most_voted` without one vote for each class in turn, float64 (N, C, C)."""
    return most_voted(votes[:, None, :] - np.eye(votes.shape[1], dtype=int))


def _one_annotator(votes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected accuracy of one annotator by face, by the labels and by the others' majority."""
    shares = _shares(votes)
    agreeing = np.einsum("ncc->nc", _most_voted_of_others(votes))
    return np.take_along_axis(shares, labels[:, None], 1)[:, 0], (shares * agreeing).sum(1)


def _intervals(columns: np.ndarray, groups: np.ndarray, draws: int, seed: int) -> list[Interval]:
    """Return the mean of each column (N, K) with its interval."""
    number = np.unique(groups, return_inverse=True)[1]
    count = int(number.max()) + 1
    sums = np.stack([np.bincount(number, column, count) for column in columns.T], axis=1)
    times = times_drawn(np.random.default_rng([seed, 0]), draws, count)
    drawn = times @ sums / (times @ np.bincount(number, minlength=count))[:, None]
    return [
        interval(point, values, lowest=-1, highest=1)
        for point, values in zip(columns.mean(0), drawn.T, strict=True)
    ]
