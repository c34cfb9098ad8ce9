"""What models answer to corrupted faces, with intervals. Knows nothing about how a face is corrupted."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
Figures = tuple[float, float, float]  # calibration error, share of "uncertain", share found
View = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From faces uint8 (N, S, S) to those that a model gets to see, uint8 (n, S, S), and which of the N they are, bool."""


def as_crops(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all faces as they are: the view of a model that is given crops."""
    return faces, np.ones(len(faces), bool)


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
    accuracy: Interval  # 0..1, of all faces: one that is not found is not correct
    ece: float  # 0..1, of those found; nan where none is
    uncertain: float  # share of those found whose highest probability is below the model's threshold
    found: float = 1.0  # share of faces


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
    photographs: bool = False  # the faces were found in pictures first

    @property
    def found(self) -> float:
        """The share of corrupted faces that were found, the mean over all corruptions and strengths."""
        return float(np.mean([c.found for c in self.conditions if c.corruption != CLEAN[0]]))

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
    view: View = as_crops,
    progress: Counting | None = None,
) -> Stress:
    """Ask each model for every face under every corruption and strength, as `view` shows it; equal for equal seeds.

    Intervals are 95 % percentile intervals of a bootstrap over faces, copies of one drawn together, the same draws for
    all. Raises DataError where there is no face or no model.
    """
    check_draws(draws, seed)
    if not len(faces) or not models:
        raise DataError("there is no face, or no model, to put under stress")
    correct = np.zeros((len(models), len(CONDITIONS), len(faces)), np.float32)
    figures: dict[tuple[int, int], Figures] = {}
    conditions = enumerate(CONDITIONS)
    for column, condition in (progress or Counting()).over("corruptions", len(CONDITIONS), conditions):
        images, found = view(_under(faces.images, *condition, seed))
        for row, model in enumerate(models.values()):
            answers, figures[row, column] = _asked(model, images, faces.labels[found], float(found.mean()))
            correct[row, column, found] = answers
    drawn = _drawn_means(correct, faces, draws, seed)
    points = correct.mean(2, dtype=np.float64)
    result = _stress(list(models), points, drawn, figures, len(faces))
    return replace(result, photographs=view is not as_crops)


def _asked(
    model: Recognizing, images: np.ndarray, labels: np.ndarray, found: float
) -> tuple[np.ndarray, Figures]:
    """Return of which faces a model's answer is correct, bool (n,), and its other figures of them."""
    if not len(images):
        return np.zeros(0, bool), (math.nan, math.nan, found)
    probs = np.asarray(model.probabilities(images), np.float64)
    uncertain = float(np.mean(probs.max(1) < model.threshold))
    return probs.argmax(1) == labels, (ece(labels, probs / probs.sum(1, keepdims=True)), uncertain, found)


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
    figures: dict[tuple[int, int], Figures],
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
