"""The verdict on one network: every score with its interval. Knows nothing about other networks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from mien.judge.alignment import align, group_numbers
from mien.judge.bootstrap import (
    Interval,
    all_agree,
    bootstrap,
    calibrated_band,
    check_draws,
    interval,
    with_exact_end,
)
from mien.judge.metrics import METRICS, confusion, scores_of, shares_of
from mien.judge.sums import Sample, Sums
from mien.predictions import Predictions
from mien.text import Shown, seeds_in_words

SHARES_OF_FACES = ("accuracy", "top_2_accuracy")  # whose exact interval is known where all faces agree


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How one class is classified; shares in 0..1, means over seeds."""

    label: str
    support: int  # faces of the class
    precision: Interval
    recall: Interval
    f1: Interval

    @property
    def shares(self) -> dict[str, Interval]:
        """The three by name."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True, eq=False)
class Verdict(Shown):
    """What is known of one network on one set of faces."""

    faces: int
    groups: int  # of copies of one face; equal to faces where there are no copies
    seeds: int
    scores: dict[str, Interval]  # by METRICS; mean over seeds
    per_seed: list[dict[str, float]]  # by METRICS, one entry a seed
    seed_sd: dict[str, float] | None  # by METRICS, sample standard deviation; None with one seed
    per_class: list[ClassScores]  # in the order of the classes
    confusion: np.ndarray  # float64 (C, C), mean count over seeds; rows true, columns predicted
    ece_band: tuple[float, float]  # 95 % band of the ECE of a perfectly calibrated network of this confidence

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes that no face is of: every mean over classes leaves them out."""
        return tuple(scores.label for scores in self.per_class if not scores.support)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain dicts, lists and numbers, ready for JSON."""
        return asdict(self) | {"confusion": self.confusion.tolist(), "ece_band": list(self.ece_band)}

    def __repr__(self) -> str:
        accuracy, f1 = (f"{100 * self.scores[name].point:.1f} %" for name in ("accuracy", "macro_f1"))
        return (
            f"Verdict({self.faces:,} faces, {seeds_in_words(self.seeds)}: accuracy {accuracy}, macro F1 {f1})"
        )


def judge(predictions: Sequence[Predictions], *, draws: int = 2000, seed: int = 0) -> Verdict:
    """Judge one network by the predictions of its seeds on the same faces.

    Intervals are 95 % percentile intervals of a bootstrap by face (copies of one face drawn
    together) and, with several seeds, by seed. What they cannot hold:

    - with one seed, the spread over seeds;
    - with few seeds, all of a spread over seeds that outweighs that of the faces: simulated
      with three seeds, accuracy's intervals covered 95 % where the faces' spread dominated,
      89 % where a seed's was 1.7 times the faces' and 79 % where it was 4 times;
    - the bias of the ECE, which is too large on few faces: compare it with `ece_band`;
    - what a handful of faces cannot show, in scores that are no shares; of a single face they tell nothing.

    Where all faces agree, a share gets its exact interval, and a mean over classes the mean of theirs: a class that is
    correct 5 times of 5 gets .48 to 1. Means over classes are of those that some face is of. Draws without a face of a
    class tell nothing of it. A share of no faces, like the precision of a class never predicted, is 0 with the interval
    0 to 1. Raises DataError where `draws` is not 100 to 100,000, and where tables do not fit together (see `align`).
    """
    check_draws(draws, seed)
    tables = align(predictions)
    group = group_numbers(tables[0])
    sample, groups = Sample.of(tables, group), int(group.max()) + 1
    whole = sample.total()
    points, has_cases = _figures(whole), _cases(whole).min(0) > 0  # (K, figures), (C, 3)
    (values,) = bootstrap([sample], partial(_figures, has_cases=has_cases), draws=draws, seed=seed)
    scores = points[:, : len(METRICS)]
    per_class = _per_class(tables[0].classes, sample.groups, points.mean(0), values)
    intervals = _score_intervals(scores.mean(0), values, groups=groups)
    for name in SHARES_OF_FACES:
        intervals[name] = with_exact_end(intervals[name], groups)
    for name, shares in _classes_behind(per_class).items():
        intervals[name] = _with_classes_ends(intervals[name], shares)
    return Verdict(
        faces=len(tables[0]),
        groups=groups,
        seeds=len(tables),
        scores=intervals,
        per_seed=[dict(zip(METRICS, row, strict=True)) for row in scores.tolist()],
        seed_sd=_spread(scores),
        per_class=per_class,
        confusion=np.mean([confusion(table.labels, table.probs) for table in tables], axis=0),
        ece_band=calibrated_band([table.probs.max(1) for table in tables], group, seed=seed),
    )


def _figures(sums: Sums, has_cases: np.ndarray | None = None) -> np.ndarray:
    """Return the scores and then three shares a class, (..., scores + 3 C).

    A share of no faces is 0, and where `has_cases`, bool (C, 3), says that there are some among all faces, nan.
    """
    shares = shares_of(sums)
    if has_cases is not None:
        shares = np.where(has_cases & (_cases(sums) == 0), np.nan, shares)
    return np.concatenate([scores_of(sums), shares.reshape(*shares.shape[:-2], -1)], axis=-1)


def _cases(sums: Sums) -> np.ndarray:
    """Return of how many faces precision, recall and F1 of each class are shares, (..., C, 3)."""
    return np.stack([sums.predicted, sums.true, sums.predicted + sums.true], axis=-1)


def _score_intervals(points: np.ndarray, values: np.ndarray, *, groups: int) -> dict[str, Interval]:
    if groups == 1:
        bounds = METRICS.values()
        return {m.name: Interval(float(p), m.lowest, m.highest) for m, p in zip(bounds, points, strict=True)}
    # The ECE of a finite sample is too large, and that of a resample too large once more
    # (it takes the sample's noise for truth), so its draws are moved back to the point.
    return {
        m.name: interval(point, drawn, lowest=m.lowest, highest=m.highest, recenter=m.name == "ece")
        for m, point, drawn in zip(METRICS.values(), points, values.T, strict=False)
    }


def _classes_behind(per_class: Sequence[ClassScores]) -> dict[str, list[Interval]]:
    """Return the shares whose mean a score is, of the classes that there are."""
    return {
        "balanced_accuracy": [c.recall for c in per_class if c.support],
        "macro_f1": [c.f1 for c in per_class if c.support],
    }


def _with_classes_ends(score: Interval, shares: Sequence[Interval]) -> Interval:
    """Return the interval of a mean over classes; where all faces agree, it ends where the classes' do in the mean."""
    if not all_agree(score, 0, 1):
        return score
    return Interval(
        score.point, *(float(np.mean([getattr(s, end) for s in shares])) for end in ("low", "high"))
    )


def _spread(scores: np.ndarray) -> dict[str, float] | None:
    if len(scores) == 1:
        return None
    return dict(zip(METRICS, scores.std(0, ddof=1).tolist(), strict=True))


def _per_class(
    classes: Sequence[str], sums: Sums, points: np.ndarray, values: np.ndarray
) -> list[ClassScores]:
    shape = (len(classes), 3)
    points = points[len(METRICS) :].reshape(shape)
    values = values[:, len(METRICS) :].reshape(-1, *shape)
    has_cases = _cases(sums) > 0  # (K, G, C, 3)
    cases, known = has_cases.sum(1).min(0), has_cases.max((0, 1))  # (C, 3)
    scores: list[ClassScores] = []
    for i, label in enumerate(classes):
        shares = [
            with_exact_end(interval(points[i, j], values[:, i, j], lowest=0, highest=1), int(cases[i, j]))
            if known[i, j]
            else Interval(0.0, 0.0, 1.0)
            for j in range(3)
        ]
        scores.append(ClassScores(label, int(sums.true[0, :, i].sum()), *shares))
    return scores
