"""Scores of labels and probabilities. Knows nothing about files, resampling or networks.

Every score is a function of sums over faces (`Sums`), with any leading axes: the same lines
give one point, a point a seed, and the thousands of points of a bootstrap.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from mien.errors import DataError
from mien.predictions import SUM_TOLERANCE

BINS = 15
SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True, slots=True)
class Interval:
    """A point and its 95 % interval, in the unit of the score (shares are 0..1); low <= point <= high."""

    point: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the three numbers by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often a network is right where it is so sure: one entry a bin of top-label confidence."""

    edges: np.ndarray  # float64 (bins + 1,), from 0 to 1; bin i is (edges[i], edges[i + 1]]
    count: np.ndarray  # int64 (bins,), faces
    confidence: np.ndarray  # float64 (bins,), mean top-label confidence, nan in an empty bin
    accuracy: np.ndarray  # float64 (bins,), share of right faces, nan in an empty bin

    def to_dict(self) -> dict[str, list]:
        """Return the arrays as lists, ready for JSON; None stands for the nan of an empty bin."""
        means = {"confidence": self.confidence, "accuracy": self.accuracy}
        return {
            "edges": self.edges.tolist(),
            "count": self.count.tolist(),
            **{name: [None if np.isnan(x) else x for x in mean.tolist()] for name, mean in means.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What the scores need of some faces. Sums of two sets of faces add up to those of both."""

    flat: np.ndarray  # float64 (..., 3 C + 2 + bins)
    classes: int  # C

    @property
    def true(self) -> np.ndarray:
        """Faces of each class, (..., C)."""
        return self.flat[..., : self.classes]

    @property
    def guessed(self) -> np.ndarray:
        """Faces read as each class, (..., C)."""
        return self.flat[..., self.classes : 2 * self.classes]

    @property
    def hits(self) -> np.ndarray:
        """Faces of each class read rightly, (..., C)."""
        return self.flat[..., 2 * self.classes : 3 * self.classes]

    @property
    def log_loss(self) -> np.ndarray:
        """Sum of -ln of the true class's probability, (...)."""
        return self.flat[..., 3 * self.classes]

    @property
    def brier(self) -> np.ndarray:
        """Sum of squared distances between probabilities and truth, (...)."""
        return self.flat[..., 3 * self.classes + 1]

    @property
    def gaps(self) -> np.ndarray:
        """Sum of confidence minus correctness in each bin of confidence, (..., bins)."""
        return self.flat[..., 3 * self.classes + 2 :]

    @property
    def faces(self) -> np.ndarray:
        """Number of faces, (...)."""
        return self.true.sum(-1)


def add_up(labels, probs, group: np.ndarray | None = None, *, bins: int = BINS) -> Sums:
    """Return the sums of all faces, or of each group of faces.

    `labels` are integers (N,), `probs` floats (N, C) whose rows sum to 1, `group` int64 (N,)
    from 0 to G - 1. The sums have no leading axis without `group`, and (G,) with it. Raises
    DataError where labels and probabilities do not fit, and where there is no face.
    """
    labels, probs = _checked(labels, probs)
    faces, classes = probs.shape
    guesses, confidence = probs.argmax(1), probs.max(1)
    right = guesses == labels
    of_truth = probs[np.arange(faces), labels]
    none = np.zeros(faces, np.int64)
    owner = none if group is None else group
    owners = int(owner.max()) + 1

    def tally(key: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(owner * size + key, weights, owners * size).reshape(owners, size)

    columns = (
        tally(labels, classes),
        tally(guesses, classes),
        tally(labels, classes, right),
        tally(none, 1, -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1))),
        tally(none, 1, (probs**2).sum(1) - 2 * of_truth + 1),
        tally(bin_of(confidence, bins), bins, confidence - right),
    )
    flat = np.concatenate(columns, axis=1, dtype=np.float64)
    return Sums(flat[0] if group is None else flat, classes)


def bin_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the index of each confidence's bin among `bins` bins (low, high] of equal width in 0..1."""
    return np.searchsorted(_edges(bins)[1:-1], confidence, side="left")


def _edges(bins: int) -> np.ndarray:
    return np.linspace(0, 1, bins + 1)


def _checked(labels, probs) -> tuple[np.ndarray, np.ndarray]:
    labels, probs = np.asarray(labels), np.asarray(probs, np.float64)
    if probs.ndim != 2 or probs.shape[1] < 2 or labels.shape != probs.shape[:1]:
        raise DataError(f"labels of shape {labels.shape} do not go with probabilities of shape {probs.shape}")
    if not len(labels):
        raise DataError("there is no face to judge")
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers (indices of classes), not {labels.dtype}")
    strange = (labels < 0) | (labels >= probs.shape[1])
    if strange.any():
        row = int(strange.argmax())
        raise DataError(f"face {row}: label {labels[row]} is no class, there are {probs.shape[1]}")
    # A nan fails the first comparison, whatever it is compared with.
    sound = (np.abs(probs.sum(1) - 1) <= SUM_TOLERANCE) & (probs >= 0).all(1)
    if not sound.all():
        row = int((~sound).argmax())
        raise DataError(f"face {row}: probabilities must be 0..1 and sum to 1 (logits need a softmax first)")
    return labels.astype(np.int64), probs


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; a share of nothing is 0, as scikit-learn has it."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def _accuracy(sums: Sums) -> np.ndarray:
    return sums.hits.sum(-1) / sums.faces


def _balanced_accuracy(sums: Sums) -> np.ndarray:
    return share(sums.hits, sums.true).sum(-1) / (sums.true > 0).sum(-1)


def _macro_f1(sums: Sums) -> np.ndarray:
    either = sums.true + sums.guessed
    return share(2 * sums.hits, either).sum(-1) / (either > 0).sum(-1)


def _log_loss(sums: Sums) -> np.ndarray:
    return sums.log_loss / sums.faces


def _brier(sums: Sums) -> np.ndarray:
    return sums.brier / sums.faces


def _ece(sums: Sums) -> np.ndarray:
    return np.abs(sums.gaps).sum(-1) / sums.faces


_SCORES = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "brier": _brier,
    "ece": _ece,
}

METRICS = tuple(_SCORES)
"""The names of the scores, in the order in which they are shown."""

HIGHER_IS_BETTER = {
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
}

HIGHEST = {
    name: {"log_loss": -math.log(SMALLEST_PROBABILITY), "brier": 2.0}.get(name, 1.0) for name in METRICS
}
"""The largest value that a score can take; the smallest is 0 for each."""


def scores_of(sums: Sums) -> np.ndarray:
    """Return all scores in the order of METRICS: float64 (..., 6) for sums with leading axes (...)."""
    return np.stack([score(sums) for score in _SCORES.values()], axis=-1)


def shares_of(sums: Sums) -> np.ndarray:
    """Return precision, recall and F1 of each class: float64 (..., C, 3)."""
    pairs = (
        (sums.hits, sums.guessed),
        (sums.hits, sums.true),
        (2 * sums.hits, sums.true + sums.guessed),
    )
    return np.stack([share(part, whole) for part, whole in pairs], axis=-1)


def accuracy(labels, probs) -> float:
    """Return the share of faces whose most probable class is the true one, in 0..1.

    Here and below `labels` are integers (N,), indices of classes, and `probs` floats (N, C)
    whose rows sum to 1; DataError tells where they do not fit. Of equal probabilities the
    first counts as the most probable.
    """
    return float(_accuracy(add_up(labels, probs)))


def balanced_accuracy(labels, probs) -> float:
    """Return the mean recall of the classes that `labels` hold, in 0..1.

    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    return float(_balanced_accuracy(add_up(labels, probs)))


def macro_f1(labels, probs) -> float:
    """Return the mean F1 of the classes that stand among labels or guesses, in 0..1.

    The mean of each class's F1, not the F1 of mean precision and recall (Opitz and Burst,
    "Macro F1 and Macro F1", 2019). The F1 of a class that is never guessed is 0.
    """
    return float(_macro_f1(add_up(labels, probs)))


def log_loss(labels, probs) -> float:
    """Return the mean of -ln of the true class's probability, in nats; it counts as 1e-15 at least."""
    return float(_log_loss(add_up(labels, probs)))


def brier(labels, probs) -> float:
    """Return the mean squared distance between probabilities and truth, summed over classes, in 0..2.

    Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    return float(_brier(add_up(labels, probs)))


def ece(labels, probs, bins: int = BINS) -> float:
    """Return the expected calibration error of the top label, in 0..1.

    Guo et al., "On calibration of modern neural networks", ICML 2017: the mean over faces of
    |accuracy - mean confidence| of their bin, bins (low, high] of equal width. With few faces
    even a perfectly calibrated network shows more than 0; see `Verdict.ece_band`.
    """
    return float(_ece(add_up(labels, probs, bins=bins)))


def confusion(labels, probs) -> np.ndarray:
    """Return the counts of faces, int64 (C, C): rows are true classes, columns the most probable ones."""
    labels, probs = _checked(labels, probs)
    classes = probs.shape[1]
    return np.bincount(labels * classes + probs.argmax(1), minlength=classes**2).reshape(classes, classes)


def reliability(labels, probs, bins: int = BINS) -> Reliability:
    """Return the reliability diagram's numbers: `ece` is the mean of its gaps, weighted by `count`.

    DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983.
    """
    labels, probs = _checked(labels, probs)
    confidence = probs.max(1)
    number = bin_of(confidence, bins)
    count = np.bincount(number, minlength=bins)
    empty = np.where(count > 0, 0, np.nan)
    sure = share(np.bincount(number, confidence, bins), count)
    right = share(np.bincount(number, probs.argmax(1) == labels, bins), count)
    return Reliability(_edges(bins), count, sure + empty, right + empty)
