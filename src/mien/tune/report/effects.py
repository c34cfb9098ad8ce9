"""What parameters do to the value: places on axes, smooth surfaces, importances. Knows nothing about figures.

Only complete trials count: the values of pruned ones stand at other epochs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.tune.study import Axis, Study, Trial

GRID = 48
WIDTHS = (0.05, 0.1, 0.2, 0.4)  # of kernels, in lengths of an axis
SHUFFLES = 100
FEWEST_TRIALS = 8
MOST_TRIALS = 1000
FIRST_BESIDE_BLOCKS = (("l2", "weight_decay"), ("dropout",))


@dataclass(frozen=True, slots=True)
class Importance:
    """How much of the ranked values one parameter explains beyond those before it, 0 to 1, and how much by chance."""

    axis: Axis
    share: float
    by_chance: float  # what 95 % of shuffled values stay below


def place(axis: Axis, value) -> float:
    """Return where a value lies on its axis, 0 to 1; logarithmic axes by the logarithm, choices in their order."""
    if axis.choices:
        return axis.choices.index(value) / max(1, len(axis.choices) - 1)
    low, high, value = (np.log(v) if axis.log else v for v in (axis.low, axis.high, value))
    return float((value - low) / (high - low)) if high > low else 0.5


def having(study: Study, *axes: Axis) -> list[Trial]:
    """Return the complete trials that have all of these parameters."""
    return [t for t in study.of_state("complete") if all(axis.name in t.params for axis in axes)]


def places(trials: Sequence[Trial], axis: Axis) -> np.ndarray:
    """Return where trials lie on an axis, float64 (N,)."""
    return np.array([place(axis, trial.params[axis.name]) for trial in trials])


def surface(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values smoothed over the unit square, float64 (GRID, GRID), rows by `y`.

    A mean weighted by a Gaussian kernel (Nadaraya 1964, Watson 1964), as wide as leaves the least
    error when each value is told from all others.
    """
    points = np.stack([x, y], 1)
    ticks = np.linspace(0, 1, GRID)
    grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    width = min(WIDTHS, key=lambda w: ((_smooth(points, points, values, w, own=False) - values) ** 2).sum())
    return _smooth(grid, points, values, width).reshape(GRID, GRID)


def smooth_line(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values smoothed over one axis, float64 (GRID,)."""
    return surface(x, np.zeros(len(x)), values)[0]


def _smooth(
    at: np.ndarray, points: np.ndarray, values: np.ndarray, width: float, *, own: bool = True
) -> np.ndarray:
    """Return the weighted mean of values (..., N) at places; `own` False leaves each point's own value out."""
    distance = ((at[:, None] - points[None]) ** 2).sum(-1) / (2 * width**2)
    if not own:
        np.fill_diagonal(distance, np.inf)
    weights = np.exp(distance.min(1, keepdims=True) - distance)
    return values @ (weights / weights.sum(1, keepdims=True)).T


def importances(study: Study) -> list[Importance]:
    """Return every parameter's importance, the greatest first; none where too few trials are complete.

    The share of the values' ranks that a kernel mean over one parameter tells of a trial from all the others,
    beyond what the parameters before it tell: an additive model, built forward and cross-validated. Ranks,
    since one diverged value would outweigh all others; forward, since a search draws good values together.
    """
    trials, rng = study.of_state("complete"), np.random.default_rng(0)
    trials = trials[:: -(-len(trials) // MOST_TRIALS) or 1]  # the work grows with their square
    values = np.array([trial.values[0] for trial in trials])
    rest = (values[:, None] > values).sum(1) + (values[:, None] == values).sum(1) / 2
    rest = rest - rest.mean() if len(rest) else rest
    whole = (rest**2).sum() or 1.0
    left = {axis: np.array([axis.name in trial.params for trial in trials], bool) for axis in study.axes}
    left = {axis: there for axis, there in left.items() if there.sum() >= FEWEST_TRIALS}
    at = {axis: places([t for t in trials if axis.name in t.params], axis) for axis in left}
    found = []
    while left:
        gains = {axis: _gain(at[axis], rest[None, there]) for axis, there in left.items()}
        axis = max(gains, key=lambda axis: gains[axis][0][0])
        there, (gain, told) = left.pop(axis), gains[axis]
        shuffled = np.array([rng.permutation(rest[there]) for _ in range(SHUFFLES)])
        by_chance = np.quantile(_gain(at[axis], shuffled)[0], 0.95)
        found.append(Importance(axis, float(gain[0] / whole), float(by_chance / whole)))
        rest[there] -= told if gain[0] > 0 else 0
    return sorted(found, key=lambda each: -each.share)


def _gain(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much a kernel mean over `x` lowers the squared error of values (K, N), and what it tells of row 0.

    Each value is told from all others; the rival is their plain mean, and a gain is at least 0.
    """
    told = np.array([_smooth(x[:, None], x[:, None], values, width, own=False) for width in WIDTHS])
    errors = ((told - values) ** 2).sum(2)
    plain = ((values - values.mean(1, keepdims=True)) ** 2).sum(1)
    rival = plain * (values.shape[1] / (values.shape[1] - 1)) ** 2  # the mean of all others
    share = 1 - errors.min(0) / np.maximum(rival, 1e-12)
    return plain * np.maximum(0, share), told[errors[:, 0].argmin(), 0]


def pairs(study: Study, ranked: Sequence[Importance]) -> list[tuple[Axis, Axis]]:
    """Return the pairs of parameters to be drawn: the original study's two first, then by importance.

    Of each pair the first comes first in the study.
    """
    weight = {each.axis.name: each.share for each in ranked}
    axes = [axis for axis in study.axes if axis.name in weight]
    both = [(a, b) for i, a in enumerate(axes) for b in axes[i + 1 :]]
    return sorted(both, key=lambda pair: (_turn(*pair), -sum(weight[axis.name] for axis in pair)))


def _turn(one: Axis, other: Axis) -> int:
    """Return 0 and 1 for the pairs that the original study drew, 2 for all others."""
    told = (any(w in other.name for w in words) for words in FIRST_BESIDE_BLOCKS)
    return next(
        (i for i, drawn in enumerate(told) if drawn and "num_blocks" in one.name), len(FIRST_BESIDE_BLOCKS)
    )
