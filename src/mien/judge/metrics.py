"""The scores of a network: one table, `METRICS`, from which all that shows a score follows.

To add a score: write its function of `Sums` here and a row in `METRICS`; tables, figures, CSV and text show it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mien.judge.sums import (
    BINS,
    SMALLEST_PROBABILITY,
    Sums,
    add_up,
    bin_edges,
    bin_of,
    checked,
    rank,
    share,
)
from mien.text import decimal, percent, points, signed

UNDECIDED_AUROC = 0.5  # of faces of one class alone: there is nothing to rank


@dataclass(frozen=True, slots=True)
class Metric:
    """One score: what it is called, what its values mean, and the function that gives it."""

    name: str  # in files, JSON and Python
    title: str
    short: str  # in the head of a column and in the terminal
    unit: Literal["share", "nats", ""]  # shares are shown in percent, their differences in percentage points
    higher_is_better: bool
    lowest: float
    highest: float
    of: Callable[[Sums], np.ndarray]  # (...) of sums with leading axes (...)
    has_figure: bool = True  # whether a report draws it; every score stands in its tables
    over_classes: bool = False  # whether it is a mean over the classes that some face is of

    @property
    def is_share(self) -> bool:
        """Whether values are shares, shown in percent."""
        return self.unit == "share"

    @property
    def direction(self) -> str:
        """Which values are better, in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    def number(self, value: float) -> str:
        """Return a value without its unit: "70.2" of a share, "0.839" of any other."""
        return f"{100 * value:z.1f}" if self.is_share else decimal(value)

    def text(self, value: float) -> str:
        """Return a value with its unit: "70.2%", "0.839"."""
        return percent(value) if self.is_share else decimal(value)

    def change(self, value: float) -> str:
        """Return a difference with its sign, of shares in percentage points: "+1.3", "+0.012"."""
        return points(value) if self.is_share else signed(value, 3)


def _accuracy(sums: Sums) -> np.ndarray:
    return sums.correct.sum(-1) / sums.faces


def _balanced_accuracy(sums: Sums) -> np.ndarray:
    return share(sums.correct, sums.true).sum(-1) / (sums.true > 0).sum(-1)


def _macro_f1(sums: Sums) -> np.ndarray:
    f1 = share(2 * sums.correct, sums.true + sums.predicted)
    return f1.sum(-1) / (sums.true > 0).sum(-1)  # the F1 of a class without faces is 0


def _top_2_accuracy(sums: Sums) -> np.ndarray:
    return sums.top_2 / sums.faces


def _mcc(sums: Sums) -> np.ndarray:
    faces = sums.faces
    covariance = sums.correct.sum(-1) * faces - (sums.true * sums.predicted).sum(-1)
    spreads = (faces**2 - (sums.predicted**2).sum(-1)) * (faces**2 - (sums.true**2).sum(-1))
    return np.clip(share(covariance, np.sqrt(np.maximum(spreads, 0))), -1, 1)


def _auroc(sums: Sums) -> np.ndarray:
    if sums.auroc is None:
        raise ValueError("AUROC is no function of sums: draw them from a Sample with rankings")
    known = ~np.isnan(sums.auroc)
    mean = share(np.where(known, sums.auroc, 0).sum(-1), known.sum(-1))
    return np.where(known.any(-1), mean, UNDECIDED_AUROC)


def _log_loss(sums: Sums) -> np.ndarray:
    return sums.log_loss / sums.faces


def _brier(sums: Sums) -> np.ndarray:
    return sums.brier / sums.faces


def _ece(sums: Sums) -> np.ndarray:
    return np.abs(sums.gaps).sum(-1) / sums.faces


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", "accuracy", "share", True, 0, 1, _accuracy),
        Metric(
            "balanced_accuracy",
            "balanced accuracy",
            "balanced accuracy",
            "share",
            True,
            0,
            1,
            _balanced_accuracy,
            over_classes=True,
        ),
        Metric("macro_f1", "macro F1", "macro F1", "share", True, 0, 1, _macro_f1, over_classes=True),
        Metric(
            "top_2_accuracy", "top-2 accuracy", "top-2 accuracy", "share", True, 0, 1, _top_2_accuracy, False
        ),
        Metric("auroc", "AUROC (macro)", "AUROC", "", True, 0, 1, _auroc, False, over_classes=True),
        Metric("mcc", "Matthews correlation", "MCC", "", True, -1, 1, _mcc, False),
        Metric(
            "log_loss", "log loss", "log loss", "nats", False, 0, -math.log(SMALLEST_PROBABILITY), _log_loss
        ),
        Metric("brier", "Brier score", "Brier", "", False, 0, 2, _brier, False),
        Metric("ece", "calibration error (ECE)", "ECE", "", False, 0, 1, _ece),
    )
}
"""Every score by its name, in the order in which they are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often a network is correct where it is so confident: one entry a bin of top-label confidence."""

    edges: np.ndarray  # float64 (bins + 1,), from 0 to 1; bin i is (edges[i], edges[i + 1]]
    count: np.ndarray  # int64 (bins,), faces
    confidence: np.ndarray  # float64 (bins,), mean top-label confidence, nan in an empty bin
    accuracy: np.ndarray  # float64 (bins,), share of correct faces, nan in an empty bin

    def to_dict(self) -> dict[str, list[float | int | None]]:
        """Return the arrays as lists, ready for JSON; None stands for the nan of an empty bin."""
        means = {"confidence": self.confidence, "accuracy": self.accuracy}
        return {
            "edges": self.edges.tolist(),
            "count": self.count.tolist(),
            **{name: [None if np.isnan(x) else x for x in mean.tolist()] for name, mean in means.items()},
        }


def scores_of(sums: Sums, kept: np.ndarray | None = None) -> np.ndarray:
    """Return all scores in the order of METRICS: float64 (..., scores) for sums with leading axes (...).

    `kept`, bool (C,), are the classes that means over classes are of; by default all that some face is of.
    """
    of_kept = sums if kept is None else sums.of_classes(kept)
    return np.stack([m.of(of_kept if m.over_classes else sums) for m in METRICS.values()], axis=-1)


def shares_of(sums: Sums) -> np.ndarray:
    """Return precision, recall and F1 of each class: float64 (..., C, 3)."""
    pairs = (
        (sums.correct, sums.predicted),
        (sums.correct, sums.true),
        (2 * sums.correct, sums.true + sums.predicted),
    )
    return np.stack([share(part, whole) for part, whole in pairs], axis=-1)


def accuracy(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the share of faces whose most probable class is the true one, in 0..1.

    Here and below `labels` are integers (N,), indices of classes, and `probs` floats (N, C)
    whose rows sum to 1; DataError tells where they do not fit. Of equal probabilities the
    first counts as the most probable.
    """
    return float(_accuracy(add_up(labels, probs)))


def balanced_accuracy(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the mean recall of the classes that `labels` hold, in 0..1.

    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    return float(_balanced_accuracy(add_up(labels, probs)))


def macro_f1(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the mean F1 of the classes that `labels` hold, in 0..1.

    The mean of each class's F1, not the F1 of mean precision and recall (Opitz and Burst,
    "Macro F1 and Macro F1", 2019). The F1 of a class that is never predicted is 0. A class without faces is left
    out, as it is of balanced accuracy and AUROC; scikit-learn counts it as 0 where some face is predicted as it,
    unless it is given `labels`.
    """
    return float(_macro_f1(add_up(labels, probs)))


def top_2_accuracy(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the share of faces whose class is among the two most probable ones, in 0..1."""
    return float(_top_2_accuracy(add_up(labels, probs)))


def auroc(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the area under the ROC curve, one class against the rest, macro mean, in 0..1.

    The mean over the classes that `labels` hold, ties counted half (Hanley and McNeil 1982; Provost and Domingos 2000
    without class weights). Faces of one class alone cannot be ranked: 0.5.
    """
    labels, probs = checked(labels, probs)
    rankings = rank(labels, probs, np.zeros(len(labels), np.int64))
    each = np.concatenate([ranking.auroc(np.ones((1, 1))) for ranking in rankings])
    return float(_auroc(Sums(np.empty(0), probs.shape[1], each)))


def mcc(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the Matthews correlation of true and predicted classes, in -1..1; 0 where either does not vary.

    For several classes the R_K of Gorodkin, "Comparing two K-category assignments by a K-category correlation
    coefficient", 2004.
    """
    return float(_mcc(add_up(labels, probs)))


def log_loss(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the mean of -ln of the true class's probability, in nats; it counts as 1e-15 at least."""
    return float(_log_loss(add_up(labels, probs)))


def brier(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the mean squared distance between probabilities and truth, summed over classes, in 0..2.

    Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    return float(_brier(add_up(labels, probs)))


def ece(labels: ArrayLike, probs: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error of the top label, in 0..1.

    Guo et al., "On calibration of modern neural networks", ICML 2017: the mean over faces of
    `|accuracy - mean confidence|` of their bin, bins (low, high] of equal width. With few faces
    even a perfectly calibrated network shows more than 0; see `Verdict.ece_band`.
    """
    return float(_ece(add_up(labels, probs, bins=bins)))


def confusion(labels: ArrayLike, probs: ArrayLike) -> np.ndarray:
    """Return the counts of faces, int64 (C, C): rows are true labels, columns predicted labels."""
    labels, probs = checked(labels, probs)
    classes = probs.shape[1]
    return np.bincount(labels * classes + probs.argmax(1), minlength=classes**2).reshape(classes, classes)


def reliability(labels: ArrayLike, probs: ArrayLike, bins: int = BINS) -> Reliability:
    """Return the reliability diagram's numbers: `ece` is the mean of its gaps, weighted by `count`.

    DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983.
    """
    labels, probs = checked(labels, probs)
    confidence = probs.max(1)
    number = bin_of(confidence, bins)
    count = np.bincount(number, minlength=bins)
    empty = np.where(count > 0, 0, np.nan)
    mean_confidence = share(np.bincount(number, confidence, bins), count)
    bin_accuracy = share(np.bincount(number, probs.argmax(1) == labels, bins), count)
    return Reliability(bin_edges(bins), count, mean_confidence + empty, bin_accuracy + empty)
