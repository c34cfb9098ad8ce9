"""What models answer to people who differ in one attribute, with paired intervals. Knows nothing about rendering.

People are the observations: intervals are of a bootstrap over people (95 % percentiles, the same people for all), p
values of exchanging the two levels within people (Fisher's randomization test; Pitman 1937), which supposes no more
than that without any effect the two levels could change places. All p values together are adjusted after Holm (1979).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mien.errors import DataError
from mien.judge import METRICS, Interval, holm
from mien.judge.bootstrap import check_draws, interval
from mien.judge.sums import BINS, Sums, add_up, share

LEVEL = 0.05
EXCHANGES_A_TEST = 100  # so that the smallest p that can come out stays significant after Holm
CHUNK = 4096  # exchanges at a time
MOST_UNDEFINED = 0.025  # share of the draws in which an outcome may be undefined
DETECTOR = "face detector"
BALANCED, UNCERTAIN, ECE, HALF, FOUND = (
    "balanced accuracy",
    "uncertain",
    "calibration error",
    "half at",
    "found",
)


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """What was shown of each person."""

    levels: Mapping[str, Sequence[str]]  # of each attribute; the others are compared with the first
    classes: Sequence[str]
    labels: np.ndarray  # int64 (K,), class of each face of a person at a level
    intensities: np.ndarray  # float64 (K,)
    graded: np.ndarray  # bool (K,), faces whose intensity varies
    controls: frozenset[str] = frozenset()  # attributes that change nothing that may matter

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Attribute and level in the order of the answers."""
        return [(name, level) for name, levels in self.levels.items() for level in levels]

    @property
    def steps(self) -> np.ndarray:
        """The intensities there are, rising."""
        return np.unique(self.intensities[self.graded])

    @property
    def outcomes(self) -> list[str]:
        """What is measured at each level."""
        recalls, wrong = ([f"{word} {c}" for c in self.classes] for word in ("recall of", "wrongly called"))
        return [BALANCED, *recalls, *wrong, UNCERTAIN, ECE, HALF]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model answers."""

    probs: np.ndarray  # float (people, levels, K, classes)
    threshold: float = 0.0  # below this highest probability the answer is "uncertain"


@dataclass(frozen=True, slots=True)
class LevelResult:
    """What one model answers at one level of an attribute."""

    model: str
    attribute: str
    level: str
    values: dict[str, Interval]  # by outcome; shares 0..1, HALF an intensity
    recall_by_intensity: list[float] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)  # faces, true class by predicted class


@dataclass(frozen=True, slots=True)
class Gap:
    """An outcome at a level minus that at the attribute's first level, of the same people."""

    model: str
    attribute: str
    level: str
    first: str
    outcome: str
    difference: Interval
    p: float
    p_holm: float  # adjusted for all gaps measured together

    @property
    def holds(self) -> bool:
        """Whether the difference is significant after Holm and its interval lacks 0."""
        return self.p_holm < LEVEL and (self.difference.low > 0 or self.difference.high < 0)


@dataclass(frozen=True, slots=True)
class Fairness:
    """What differs between people who differ in one attribute."""

    people: int
    faces: int  # that each model classified
    design: Design = field(repr=False, compare=False)
    levels: list[LevelResult]
    gaps: list[Gap]
    worst: dict[str, Gap]  # by model, of balanced accuracy; its interval holds for all attributes at once

    @property
    def models(self) -> list[str]:
        """The models' names."""
        return list(self.worst)

    def level(self, model: str, attribute: str, level: str) -> LevelResult:
        """Return what a model answers at a level."""
        return next(r for r in self.levels if (r.model, r.attribute, r.level) == (model, attribute, level))

    def gap(self, model: str, attribute: str, level: str, outcome: str) -> Gap | None:
        """Return the gap of an outcome, None for the first level."""
        place = model, attribute, level, outcome
        return next((g for g in self.gaps if (g.model, g.attribute, g.level, g.outcome) == place), None)

    def holding(self, model: str) -> list[Gap]:
        """Return a model's gaps that hold, the largest first."""
        return sorted(
            (g for g in self.gaps if g.model == model and g.holds), key=lambda g: -abs(g.difference.point)
        )


def measure(
    design: Design,
    answers: Mapping[str, Answers],
    detected: np.ndarray | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Fairness:
    """Compare the levels of each attribute; equal for equal seeds.

    `detected` has the share of a person's pictures in which the face was found, float (people, levels). Raises
    DataError for fewer than two people or answers of another shape.
    """
    check_draws(draws, seed)
    people = _checked(design, answers, detected)
    subjects = {name: _sums(design, each) for name, each in answers.items()}
    if detected is not None:
        subjects[DETECTOR] = np.asarray(detected, np.float64)[:, :, None]
    rng = np.random.default_rng([seed, 0])
    times = rng.multinomial(people, np.full(people, 1 / people), draws).astype(np.float64)
    drawn = {
        name: _outcomes(design, np.tensordot(times, sums, 1) / people) for name, sums in subjects.items()
    }
    points = {name: _outcomes(design, sums.mean(0)) for name, sums in subjects.items()}
    gaps = _gaps(design, subjects, points, drawn, seed)
    return Fairness(
        people=people,
        faces=people * len(design.rows) * len(design.labels),
        design=design,
        levels=[
            level for name in subjects for level in _levels(design, name, subjects, points, drawn, answers)
        ],
        gaps=gaps,
        worst={name: _worst(design, name, gaps, drawn[name]) for name in answers},
    )


def half_intensity(recall: np.ndarray, intensities: np.ndarray) -> np.ndarray:
    """Return the intensity at which half are recognized, (...), of recall (..., I) at rising intensities.

    Straight lines join what recall has reached so far. It is the lowest intensity where half are recognized there
    already, and nan where half are never reached.
    """
    best = np.maximum.accumulate(recall, axis=-1)
    reached = best >= 0.5
    place = reached.argmax(-1)
    before = np.maximum(place - 1, 0)
    low, high = (np.take_along_axis(best, at[..., None], -1)[..., 0] for at in (before, place))
    part = np.divide(0.5 - low, high - low, out=np.zeros(low.shape), where=high > low)
    value = intensities[before] + part * (intensities[place] - intensities[before])
    return np.where(reached.any(-1), value, np.nan)


def _checked(design: Design, answers: Mapping[str, Answers], detected: np.ndarray | None) -> int:
    """Return how many people there are."""
    people = {each.probs.shape[0] for each in answers.values()}
    shape = len(design.rows), len(design.labels), len(design.classes)
    if len(people) != 1 or any(each.probs.shape[1:] != shape for each in answers.values()):
        raise DataError(f"answers must have the shape (people, {', '.join(map(str, shape))}) for all models")
    (count,) = people
    if count < 2 or (detected is not None and np.shape(detected) != (count, shape[0])):
        raise DataError(f"people are compared with each other: {count} are too few, or not all were detected")
    return count


def _sums(design: Design, answers: Answers) -> np.ndarray:
    """Return the sums over each person's faces at each level, float64 (people, levels, F).

    F holds `Sums`, how many are uncertain and how many graded faces are correct at each intensity.
    """
    people, levels = answers.probs.shape[:2]
    owner = np.repeat(np.arange(people), len(design.labels))
    parts = []
    for level in range(levels):
        probs = np.asarray(answers.probs[:, level], np.float64)  # (P, K, C)
        probs = probs / probs.sum(-1, keepdims=True)
        labels = np.tile(design.labels, people)
        flat = add_up(labels, probs.reshape(len(labels), -1), owner).flat
        uncertain = (probs.max(-1) < answers.threshold).sum(1)
        correct = (probs.argmax(-1) == design.labels) & design.graded
        hits = [correct[:, design.intensities == step].sum(1) for step in design.steps]
        parts.append(np.column_stack([flat, uncertain, *hits]))
    return np.stack(parts, axis=1)


def _outcomes(design: Design, flat: np.ndarray) -> np.ndarray:
    """Return the outcomes (..., O) of sums (..., F); of one column, the detector's, that column."""
    if flat.shape[-1] == 1:
        return flat
    classes = len(design.classes)
    end = 3 * classes + 3 + BINS
    sums = Sums(flat[..., :end], classes)
    faces = sums.faces[..., None]
    columns = (
        METRICS["balanced_accuracy"].of(sums)[..., None],
        share(sums.correct, sums.true),
        share(sums.predicted - sums.correct, faces - sums.true),
        flat[..., end, None] / faces,
        METRICS["ece"].of(sums)[..., None],
        half_intensity(_by_intensity(design, flat), design.steps)[..., None],
    )
    return np.concatenate(columns, axis=-1)


def _by_intensity(design: Design, flat: np.ndarray) -> np.ndarray:
    """Return the recall of graded faces by intensity, (..., I), of sums of one person or of a mean over people."""
    each = [(design.graded & (design.intensities == step)).sum() for step in design.steps]
    return flat[..., -len(each) :] / each


def _names(design: Design, model: str) -> list[str]:
    return [FOUND] if model == DETECTOR else design.outcomes


def _pairs(design: Design) -> Iterator[tuple[int, int]]:
    """Yield the rows of each level and of the first level of its attribute."""
    start = 0
    for levels in design.levels.values():
        yield from ((start + number, start) for number in range(1, len(levels)))
        start += len(levels)


def _gaps(design: Design, subjects: dict, points: dict, drawn: dict, seed: int) -> list[Gap]:
    pairs = list(_pairs(design))
    tests = len(pairs) * sum(len(_names(design, name)) for name in subjects)
    tested: list[tuple[tuple[str, str, str, str, str], Interval, float]] = []
    for name, sums in subjects.items():
        ps = _randomization_ps(design, sums, pairs, exchanges=EXCHANGES_A_TEST * tests, seed=seed)
        for (row, first), row_ps in zip(pairs, ps, strict=True):
            attribute, level = design.rows[row]
            for i, outcome in enumerate(_names(design, name)):
                point = points[name][row, i] - points[name][first, i]
                difference = _interval(point, drawn[name][:, row, i] - drawn[name][:, first, i])
                place = name, attribute, level, design.rows[first][1], outcome
                tested.append((place, difference, float(row_ps[i])))
    adjusted = holm([p for _, _, p in tested])
    return [Gap(*place, difference, p, q) for (place, difference, p), q in zip(tested, adjusted, strict=True)]


def _randomization_ps(
    design: Design, sums: np.ndarray, pairs: list[tuple[int, int]], *, exchanges: int, seed: int
) -> np.ndarray:
    """Return p of each pair of levels and each outcome, float64 (pairs, O)."""
    people = len(sums)
    rng = np.random.default_rng([seed, 1])
    observed = [_difference(design, sums[:, row].mean(0), sums[:, first].mean(0)) for row, first in pairs]
    extreme = np.zeros((len(pairs), len(observed[0])))
    for start in range(0, exchanges, CHUNK):
        exchanged = rng.integers(0, 2, (min(CHUNK, exchanges - start), people)).astype(np.float64)
        for i, (row, first) in enumerate(pairs):
            moved = exchanged @ (sums[:, first] - sums[:, row]) / people
            away = np.abs(_difference(design, sums[:, row].mean(0) + moved, sums[:, first].mean(0) - moved))
            # What cannot be told counts against a difference; the last digits of equal sums do not count.
            extreme[i] += (~(away < np.abs(observed[i]) - 1e-9)).sum(0)
    ps = (1 + extreme) / (1 + exchanges)
    return np.where(np.isnan(observed), 1.0, ps)


def _difference(design: Design, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return _outcomes(design, one) - _outcomes(design, other)


def _levels(
    design: Design, name: str, subjects: dict, points: dict, drawn: dict, answers: Mapping[str, Answers]
) -> Iterator[LevelResult]:
    for row, (attribute, level) in enumerate(design.rows):
        values = {
            outcome: _interval(points[name][row, i], drawn[name][:, row, i])
            for i, outcome in enumerate(_names(design, name))
        }
        if name == DETECTOR:
            yield LevelResult(name, attribute, level, values)
            continue
        recall = _by_intensity(design, subjects[name][:, row].mean(0)).tolist()
        confusion = np.zeros((len(design.classes),) * 2, int)
        np.add.at(confusion, (design.labels[None], answers[name].probs[:, row].argmax(-1)), 1)
        yield LevelResult(name, attribute, level, values, recall, confusion.tolist())


def _worst(design: Design, name: str, gaps: list[Gap], drawn: np.ndarray) -> Gap:
    """Return the largest gap of balanced accuracy, with an interval that is as wide as all of them at once need.

    The width is the 95 % quantile of the largest studentized deviation over all these gaps (max-t bootstrap).
    """
    own = [
        g for g in gaps if g.model == name and g.outcome == BALANCED and g.attribute not in design.controls
    ]
    own = own or [g for g in gaps if g.model == name and g.outcome == BALANCED]
    rows = {place: row for row, place in enumerate(design.rows)}
    values = np.stack(
        [drawn[:, rows[g.attribute, g.level], 0] - drawn[:, rows[g.attribute, g.first], 0] for g in own],
        axis=1,
    )
    spread = values.std(0, ddof=1)
    moving = spread > 0
    away = np.abs(values - [g.difference.point for g in own])[:, moving] / spread[moving]
    width = float(np.quantile(away.max(1), 1 - LEVEL)) if moving.any() else 0.0
    chosen = max(range(len(own)), key=lambda i: abs(own[i].difference.point))
    gap, reach = own[chosen], width * float(spread[chosen])
    point = gap.difference.point
    return Gap(name, gap.attribute, gap.level, gap.first, BALANCED, Interval(point, point - reach, point + reach),
               gap.p, gap.p_holm)  # fmt: skip


def _interval(point: float, values: np.ndarray) -> Interval:
    """Return the percentile interval; all nan where the point, or too many of the draws, are undefined."""
    if math.isnan(point) or np.isnan(values).mean() > MOST_UNDEFINED:
        return Interval(math.nan, math.nan, math.nan)
    return interval(point, values, lowest=-math.inf, highest=math.inf)
