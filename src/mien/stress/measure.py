"""What models answer to corrupted faces, with intervals. Knows nothing about how a face is corrupted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mien.dataset import Faces
from mien.errors import DataError
from mien.judge import Interval, ece
from mien.judge.bootstrap import check_draws, interval, times_drawn
from mien.progress import Counting
from mien.stress.corruptions import CORRUPTIONS, STRENGTHS, corrupted

CLEAN = ("none", 0)  # the faces as they are
CONDITIONS = (CLEAN, *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS))
CHUNK = 512  # faces that are corrupted together


@dataclass(frozen=True, slots=True)
class Recognizing:
    """What answers for a model."""

    probabilities: Callable[[np.ndarray], np.ndarray]  # of faces uint8 (N, S, S), float (N, C)
    threshold: float  # below this highest probability the answer is "uncertain"; 0 where a model has none


@dataclass(frozen=True, slots=True)
class Condition:
    """What one model answers to faces under one corruption at one strength."""

    model: str
    corruption: str  # "none" for the faces as they are
    strength: int  # 1 to 5; 0 for the faces as they are
    accuracy: Interval  # 0..1
    ece: float  # 0..1
    uncertain: float  # share of faces whose highest probability is below the model's threshold


@dataclass(frozen=True, slots=True)
class Stress:
    """What models answer to corrupted faces."""

    faces: int
    conditions: list[Condition]
    accuracy: dict[str, Interval]  # by model, the mean over all corruptions and strengths
    loss: dict[str, Interval]  # by model, accuracy on the faces as they are minus that mean
    mean_corruption_error: dict[
        str, float
    ]  # by model, relative to the first, over corruptions under which it errs
    differences: dict[
        tuple[str, str], Interval
    ]  # of two models, the first's mean accuracy minus the second's

    def unchanged(self, model: str) -> Condition:
        """Return what a model answers to the faces as they are."""
        return self.of(model, CLEAN[0])[0]

    def mean_of(self, model: str, corruption: str) -> float:
        """Return a model's accuracy under a corruption, the mean over strengths."""
        return float(np.mean([condition.accuracy.point for condition in self.of(model, corruption)[1:]]))

    def of(self, model: str, corruption: str) -> list[Condition]:
        """Return a model's conditions of one corruption by rising strength, the faces as they are first."""
        chosen = [c for c in self.conditions if c.model == model and c.corruption in (corruption, CLEAN[0])]
        return sorted(chosen, key=lambda condition: condition.strength)


def measure(
    models: Mapping[str, Recognizing],
    faces: Faces,
    *,
    draws: int = 1000,
    seed: int = 0,
    progress: Counting | None = None,
) -> Stress:
    """Ask each model for every face under every corruption and strength; equal for equal seeds.

    Intervals are 95 % percentile intervals of
    a bootstrap over faces, copies of one drawn together, the same draws for all. Raises DataError where there is no
    face or no model.
    """
    check_draws(draws, seed)
    if not len(faces) or not models:
        raise DataError("there is no face, or no model, to put under stress")
    correct = np.zeros((len(models), len(CONDITIONS), len(faces)), np.float32)
    figures: dict[tuple[int, int], tuple[float, float]] = {}
    cells = [(row, column) for column in range(len(CONDITIONS)) for row in range(len(models))]
    images, at = faces.images, -1
    for row, column in (progress or Counting()).over("models under stress", len(cells), cells):
        if column != at:
            images, at = _under(faces.images, *CONDITIONS[column], seed), column
        name = list(models)[row]
        probs = np.asarray(models[name].probabilities(images), np.float64)
        correct[row, column] = probs.argmax(1) == faces.labels
        uncertain = float(np.mean(probs.max(1) < models[name].threshold))
        figures[row, column] = (ece(faces.labels, probs / probs.sum(1, keepdims=True)), uncertain)
    drawn = _drawn_means(correct, faces, draws, seed)
    points = correct.mean(2, dtype=np.float64)
    return _stress(list(models), points, drawn, figures, len(faces))


def _under(images: np.ndarray, corruption: str, strength: int, seed: int) -> np.ndarray:
    if (corruption, strength) == CLEAN:
        return images
    parts = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    return np.concatenate(
        [corrupted(part, corruption, strength, seed=seed + number) for number, part in enumerate(parts)]
    )


def _drawn_means(correct: np.ndarray, faces: Faces, draws: int, seed: int) -> np.ndarray:
    """Return the accuracies of resampled faces, float64 (draws, models, conditions)."""
    group = np.unique(faces.groups, return_inverse=True)[1]
    groups = int(group.max()) + 1
    flat = correct.reshape(-1, len(faces))
    sums = np.stack([np.bincount(group, row, groups) for row in flat], axis=1)
    sizes = np.bincount(group, minlength=groups)
    times = times_drawn(np.random.default_rng([seed, 0]), draws, groups)
    return (times @ sums / (times @ sizes)[:, None]).reshape(draws, *correct.shape[:2])


def _stress(
    names: list[str],
    points: np.ndarray,
    drawn: np.ndarray,
    figures: dict[tuple[int, int], tuple[float, float]],
    faces: int,
) -> Stress:
    mean, means = points[:, 1:].mean(1), drawn[:, :, 1:].mean(2)
    errors = (1 - points[:, 1:]).reshape(len(names), len(CORRUPTIONS), len(STRENGTHS)).sum(2)
    erring = errors[0] > 0
    relative = (
        (errors[:, erring] / errors[0, erring]).mean(1) if erring.any() else np.full(len(names), np.nan)
    )
    return Stress(
        faces=faces,
        conditions=[
            Condition(
                name, *condition, _interval(points[row, column], drawn[:, row, column]), *figures[row, column]
            )
            for row, name in enumerate(names)
            for column, condition in enumerate(CONDITIONS)
        ],
        accuracy={name: _interval(mean[row], means[:, row]) for row, name in enumerate(names)},
        loss={
            name: _interval(points[row, 0] - mean[row], drawn[:, row, 0] - means[:, row])
            for row, name in enumerate(names)
        },
        mean_corruption_error=dict(zip(names, relative.tolist(), strict=True)),
        differences={
            (names[a], names[b]): _interval(mean[a] - mean[b], means[:, a] - means[:, b])
            for a in range(len(names))
            for b in range(a + 1, len(names))
        },
    )


def _interval(point: float, values: np.ndarray) -> Interval:
    """Return the interval of a share, or of a difference of two."""
    return interval(point, values, lowest=-1, highest=1)
