"""The numbers behind figures that no verdict holds. Knows nothing about files or drawing."""

import math
from collections.abc import Sequence

import numpy as np

from mien.judge import reliability
from mien.judge.sums import share
from mien.predictions import Predictions

PROBABILITY_BINS = 25
TAIL = 0.025


def normalized(counts: np.ndarray) -> np.ndarray:
    """Return a confusion matrix's rows as shares, (C, C); a class without faces gets zeros."""
    return share(counts, counts.sum(1, keepdims=True))


def probability_shares(tables: Sequence[Predictions]) -> tuple[np.ndarray, np.ndarray]:
    """Return how each class's probability spreads over its own faces and over all others.

    Both are shares of faces by bin of probability, (C, PROBABILITY_BINS), over all seeds.
    """
    labels = np.concatenate([table.labels for table in tables])
    probs = np.concatenate([table.probs for table in tables])
    own, others = (
        np.stack([_histogram(probs[(labels == c) == of_class, c]) for c in range(probs.shape[1])])
        for of_class in (True, False)
    )
    return own, others


def _histogram(values: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(values, PROBABILITY_BINS, (0, 1))
    return counts / max(1, len(values))


def reliability_bins(tables: Sequence[Predictions]) -> dict[str, np.ndarray]:
    """Return the reliability diagram of a network's seeds with the band of perfect calibration.

    edges (bins + 1); count (mean over seeds), confidence and accuracy (over all seeds), low and
    high (bins): where 95% of perfectly calibrated seeds would have a bin's accuracy. nan where
    a bin is empty.
    """
    diagrams = [reliability(table.labels, table.probs) for table in tables]
    counts = np.array([one.count for one in diagrams])
    total = counts.sum(0)
    weights = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)

    def mean(name: str) -> np.ndarray:
        values = np.nan_to_num(np.array([getattr(one, name) for one in diagrams]))
        return np.where(total > 0, (weights * values).sum(0), np.nan)

    confidence, count = mean("confidence"), counts.mean(0)
    limits = [
        binomial_band(round(n), p) if n >= 0.5 else (math.nan,) * 2
        for n, p in zip(count, confidence, strict=True)
    ]
    low, high = np.array(limits).T
    return {"edges": diagrams[0].edges, "count": count, "confidence": confidence, "accuracy": mean("accuracy"),
            "low": low, "high": high}  # fmt: skip


def binomial_band(n: int, p: float) -> tuple[float, float]:
    """Return the shares k / n between which 95% of binomial (n, p) counts lie."""
    if n == 0 or not 0 < p < 1:
        return p, p
    k = np.arange(n + 1)
    ways = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k])
    below = np.cumsum(np.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p)))
    low, high = (int(np.searchsorted(below, share)) for share in (TAIL, 1 - TAIL))
    return low / n, min(n, high) / n
