"""What parameters do to the value: importances, places on axes, smooth surfaces. Knows nothing about figures.

Only complete trials count: the values of pruned ones stand at other epochs.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from mien.tune.study import Axis, Study, Trial

GRID = 48
WIDTHS = (0.05, 0.1, 0.2, 0.4)  # of kernels, in lengths of an axis
SHUFFLES = 100
FEWEST_TRIALS = 8
MOST_TRIALS = 1000
FIRST_BESIDE_BLOCKS = (("l2", "weight_decay"), ("dropout",))  # contours that the original study drew


@dataclass(frozen=True, slots=True)
class Importance:
    """A parameter's share of all importance, 0 to 1, and the share that chance gives it."""

    axis: Axis
    share: float
    by_chance: float  # what 95 % of shuffled values stay below


def place(axis: Axis, value: Any) -> float:
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
    error when each value is predicted from all others.
    """
    points = np.stack([x, y], 1)
    ticks = np.linspace(0, 1, GRID)
    grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)

    def error(width: float) -> float:
        return ((_smooth(points, points, values, width, own=False) - values) ** 2).sum()

    return _smooth(grid, points, values, min(WIDTHS, key=error)).reshape(GRID, GRID)


def smooth_line(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values smoothed over one axis, float64 (GRID,)."""
    return surface(x, np.zeros(len(x)), values)[0]


def _smooth(
    at: np.ndarray, points: np.ndarray, values: np.ndarray, width: float, *, own: bool = True
) -> np.ndarray:
    """Return the weighted mean of the values (N,) at places; `own` False leaves each point's own value out."""
    distance = ((at[:, None] - points[None]) ** 2).sum(-1) / (2 * width**2)
    if not own:
        np.fill_diagonal(distance, np.inf)
    weights = np.exp(distance.min(1, keepdims=True) - distance)
    return (weights / weights.sum(1, keepdims=True)) @ values


def importances(study: Study) -> list[Importance]:
    """Return every parameter's importance, the greatest first; none where too few trials are complete.

    Optuna's PED-ANOVA (Watanabe et al., IJCAI 2023): how far the values of the best tenth of the trials differ from
    those of all. With few trials that were drawn where others did well a share means little without what chance
    gives, so the trials' values are shuffled, too.
    """
    trials = [t for t in study.of_state("complete") if np.isfinite(t.values[0])]
    trials = trials[:: -(-len(trials) // MOST_TRIALS) or 1]
    axes = {a.name: a for a in study.axes if sum(a.name in t.params for t in trials) >= FEWEST_TRIALS}
    if not axes:
        return []
    losses = np.array([t.values[0] * (-1 if study.maximized[0] else 1) for t in trials])
    with warnings.catch_warnings(action="ignore"):  # Optuna's: experimental, few trials, lists as choices
        copy = _copy(axes, trials)
        weights = _ped_anova(copy, losses)
        rng = np.random.default_rng(0)
        shuffled = [_ped_anova(copy, rng.permutation(losses)) for _ in range(SHUFFLES)]
    total = sum(weights.values()) or 1.0
    ranked = sorted(weights, key=lambda name: -weights[name])
    chances = {name: np.quantile([each[name] for each in shuffled], 0.95) for name in ranked}
    return [Importance(axes[n], weights[n] / total, float(chances[n]) / total) for n in ranked]


def _copy(axes: dict[str, Axis], trials: Sequence[Trial]):
    """Return an Optuna study in memory of these parameters and trials, without their values."""
    copy = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    distributions = {name: _distribution(axis) for name, axis in axes.items()}
    for trial in trials:
        params = {name: value for name, value in trial.params.items() if name in axes}
        drawn = {name: distributions[name] for name in params}
        copy.add_trial(optuna.trial.create_trial(params=params, distributions=drawn, value=0.0))
    return copy


def _distribution(axis: Axis) -> BaseDistribution:
    kinds = optuna.distributions
    if axis.choices:
        return kinds.CategoricalDistribution(axis.choices)
    if axis.whole:
        return kinds.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return kinds.FloatDistribution(axis.low, axis.high, log=axis.log)


def _ped_anova(copy, losses: np.ndarray) -> dict[str, float]:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    options = {"evaluator": evaluator, "target": lambda t: losses[t.number], "normalize": False}
    return optuna.importance.get_param_importances(copy, **options)


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
    drawn = [any(name in other.name for name in names) for names in FIRST_BESIDE_BLOCKS]
    return drawn.index(True) if "num_blocks" in one.name and any(drawn) else len(drawn)
