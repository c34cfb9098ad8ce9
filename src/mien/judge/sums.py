"""What the scores need of labels and probabilities. Knows nothing about files, intervals or networks.

Nearly every score is a function of sums over faces, with any leading axes: the same lines give one point, a point a
seed, and the thousands of points of a bootstrap. AUROC alone needs the order of the faces (`Ranking`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mien.errors import DataError
from mien.predictions import SUM_TOLERANCE, Predictions

BINS = 15
BLOCK_ROWS = 64  # of running sums; 32 to 128 are as fast for 3,000 rows
SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over faces, and of each class the AUROC, which is no sum and so unknown for single groups of faces."""

    flat: np.ndarray  # float64 (..., 3 C + 3 + bins); sums of two sets of faces add up to those of both
    classes: int  # C
    auroc: np.ndarray | None = None  # float64 (..., C), one against the rest; nan without a face of either

    @property
    def true(self) -> np.ndarray:
        """Faces of each class, (..., C)."""
        return self.flat[..., : self.classes]

    @property
    def predicted(self) -> np.ndarray:
        """Faces predicted as each class, (..., C)."""
        return self.flat[..., self.classes : 2 * self.classes]

    @property
    def correct(self) -> np.ndarray:
        """Correctly predicted faces of each class, (..., C)."""
        return self.flat[..., 2 * self.classes : 3 * self.classes]

    @property
    def top_2(self) -> np.ndarray:
        """Faces whose class is among the two most probable ones, (...)."""
        return self.flat[..., 3 * self.classes]

    @property
    def log_loss(self) -> np.ndarray:
        """Sum of -ln of the true class's probability, (...)."""
        return self.flat[..., 3 * self.classes + 1]

    @property
    def brier(self) -> np.ndarray:
        """Sum of squared distances between probabilities and truth, (...)."""
        return self.flat[..., 3 * self.classes + 2]

    @property
    def gaps(self) -> np.ndarray:
        """Sum of confidence minus correctness in each bin of confidence, (..., bins)."""
        return self.flat[..., 3 * self.classes + 3 :]

    @property
    def faces(self) -> np.ndarray:
        """Number of faces, (...)."""
        return self.true.sum(-1)

    def of_classes(self, kept: np.ndarray) -> "Sums":
        """Return the sums as if the other classes had no face, for means over classes; `kept` is bool (C,)."""
        flat = self.flat.copy()
        flat[..., : 3 * self.classes] *= np.concatenate([kept, np.ones(self.classes, bool), kept])
        return Sums(flat, self.classes, None if self.auroc is None else np.where(kept, self.auroc, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The order of the faces by a class's probability, in the form that gives the AUROC of any draw of groups.

    AUROC is the chance that a face of the class has a higher probability than one of another class, ties half
    (Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982).
    """

    positives: np.ndarray  # int64 (P,), group of each face of the class
    negatives: np.ndarray  # int64 (N - P,), group of each other face, by rising probability
    below: np.ndarray  # int64 (P,), how many of the negatives have a lower probability
    up_to: np.ndarray  # int64 (P,), the same and those of equal probability

    @classmethod
    def of(cls, positive: np.ndarray, probability: np.ndarray, group: np.ndarray) -> "Ranking":
        """Return the ranking of faces by one class: bool (N,), float64 (N,), int64 (N,)."""
        order = np.argsort(probability[~positive], kind="stable")
        others = probability[~positive][order]
        below, up_to = (np.searchsorted(others, probability[positive], side) for side in ("left", "right"))
        return cls(group[positive], group[~positive][order], below, up_to)

    def auroc(self, times: np.ndarray) -> np.ndarray:
        """Return the AUROC of draws, float64 (D,), of how often each group was drawn, (G, D); nan where it has none."""
        positives = times[self.positives]
        lower = running_sums(times, self.negatives)
        wins = np.einsum("pd,pd->d", positives, lower[self.below] + lower[self.up_to]).astype(np.float64) / 2
        pairs = positives.sum(0, dtype=np.float64) * lower[-1]
        return np.divide(wins, pairs, out=np.full(len(wins), np.nan), where=pairs > 0)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The faces of each seed of a network, to be drawn with replacement by group."""

    groups: Sums  # with leading axes (K, G): seeds and groups of faces
    rankings: tuple[tuple[Ranking, ...], ...] = ()  # of each seed one a class; () where no score needs them

    @classmethod
    def of(cls, tables: Sequence[Predictions], group: np.ndarray) -> "Sample":
        """Return the sample of a network's tables, of the same faces whose groups are int64 (N,) from 0 up."""
        sums = [add_up(table.labels, table.probs, group) for table in tables]
        rankings = tuple(rank(table.labels, table.probs, group) for table in tables)
        return cls(Sums(np.stack([each.flat for each in sums]), sums[0].classes), rankings)

    def drawn(self, times: np.ndarray) -> Sums:
        """Return the sums of draws, with leading axes (K, D), of how often each group was drawn, (D, G)."""
        by_group = np.ascontiguousarray(
            times.T, np.float32
        )  # counts up to 2**24 are exact; half the memory to move
        return Sums(times @ self.groups.flat, self.groups.classes, self._auroc(by_group))

    def total(self) -> Sums:
        """Return the sums of all faces, with the leading axis (K,)."""
        auroc = self._auroc(np.ones((self.groups.flat.shape[1], 1)))
        return Sums(self.groups.flat.sum(1), self.groups.classes, auroc[:, 0] if auroc is not None else None)

    def _auroc(self, times: np.ndarray) -> np.ndarray | None:
        if not self.rankings:
            return None
        return np.stack([np.stack([each.auroc(times) for each in seed], axis=-1) for seed in self.rankings])


def running_sums(times: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return 0 and the running sums down the columns of these rows of (G, D), whole numbers: (R + 1, D).

    In blocks, each row of a block being added in all blocks at once: some three times as fast as `numpy.cumsum`, which
    adds column by column.
    """
    blocks = -(-len(rows) // BLOCK_ROWS)
    sums = np.zeros((blocks * BLOCK_ROWS + 1, times.shape[1]), times.dtype)
    np.take(times, rows, axis=0, out=sums[1 : len(rows) + 1])
    by_block = sums[1:].reshape(blocks, BLOCK_ROWS, times.shape[1])
    for row in range(1, BLOCK_ROWS):
        by_block[:, row] += by_block[:, row - 1]
    by_block[1:] += by_block[:-1, -1].cumsum(axis=0)[:, None]
    return sums[: len(rows) + 1]


def rank(labels: np.ndarray, probs: np.ndarray, group: np.ndarray) -> tuple[Ranking, ...]:
    """Return a ranking a class of labels (N,), probabilities (N, C) and groups (N,)."""
    return tuple(Ranking.of(labels == c, probs[:, c], group) for c in range(probs.shape[1]))


def add_up(labels: ArrayLike, probs: ArrayLike, group: np.ndarray | None = None, *, bins: int = BINS) -> Sums:
    """Return the sums of all faces, or of each group of faces.

    `labels` are integers (N,), `probs` floats (N, C) whose rows sum to 1, `group` int64 (N,)
    from 0 to G - 1. The sums have no leading axis without `group`, and (G,) with it. Raises
    DataError where labels and probabilities do not fit, and where there is no face.
    """
    labels, probs = checked(labels, probs)
    faces, classes = probs.shape
    predicted, confidence = probs.argmax(1), probs.max(1)
    correct = predicted == labels
    of_truth = probs[np.arange(faces), labels]
    none = np.zeros(faces, np.int64)
    owner = none if group is None else group
    owners = int(owner.max()) + 1

    def tally(key: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(owner * size + key, weights, owners * size).reshape(owners, size)

    columns = (
        tally(labels, classes),
        tally(predicted, classes),
        tally(labels, classes, correct),
        tally(none, 1, in_top_2(labels, probs)),
        tally(none, 1, -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1))),
        tally(none, 1, (probs**2).sum(1) - 2 * of_truth + 1),
        tally(bin_of(confidence, bins), bins, confidence - correct),
    )
    flat = np.concatenate(columns, axis=1, dtype=np.float64)
    return Sums(flat[0] if group is None else flat, classes)


def bin_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the index of each confidence's bin among `bins` bins (low, high] of equal width in 0..1."""
    return np.searchsorted(bin_edges(bins)[1:-1], confidence, side="left")


def bin_edges(bins: int = BINS) -> np.ndarray:
    """Return the edges of bins of equal width in 0..1, float64 (bins + 1,)."""
    return np.linspace(0, 1, bins + 1)


def checked(labels: ArrayLike, probs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as int64 (N,) and probabilities as float64 (N, C); DataError where they do not fit."""
    labels, probs = np.asarray(labels), np.asarray(probs, np.float64)
    if probs.ndim != 2 or probs.shape[1] < 2 or labels.shape != probs.shape[:1]:
        raise DataError(f"labels of shape {labels.shape} do not go with probabilities of shape {probs.shape}")
    if not len(labels):
        raise DataError("there is no face to judge")
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers (indices of classes), not {labels.dtype}")
    outside = (labels < 0) | (labels >= probs.shape[1])
    if outside.any():
        row = int(outside.argmax())
        raise DataError(f"face {row}: label {labels[row]} is no class, there are {probs.shape[1]}")
    # A nan fails the first comparison, whatever it is compared with.
    sound = (np.abs(probs.sum(1) - 1) <= SUM_TOLERANCE) & (probs >= 0).all(1)
    if not sound.all():
        row = int((~sound).argmax())
        raise DataError(f"face {row}: probabilities must be 0..1 and sum to 1 (logits need a softmax first)")
    return labels.astype(np.int64), probs


def in_top_2(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Tell of which faces the class is among the two most probable, bool (N,); of equal ones the first counts."""
    rest = probs.copy()
    rows, first = np.arange(len(probs)), probs.argmax(1)
    rest[rows, first] = -1
    return (first == labels) | (rest.argmax(1) == labels)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; a share of nothing is 0, as scikit-learn has it."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)
