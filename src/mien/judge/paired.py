"""Differences between networks on the same faces. Knows nothing about files or pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.judge.alignment import align, group_numbers
from mien.judge.bootstrap import Interval, all_agree, bootstrap, check_draws, exact_end, interval
from mien.judge.metrics import METRICS, scores_of
from mien.judge.sums import Sample
from mien.predictions import Predictions
from mien.text import Shown, many, p_statement, seeds_in_words

LEVEL = 0.05
P_PLACES = 4


@dataclass(frozen=True, slots=True)
class SeedPair:
    """McNemar's table of one seed of each network: faces that only one of them classifies correctly."""

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True, slots=True)
class Difference(Shown):
    """Network a minus network b on the same faces."""

    a: str
    b: str
    faces: int
    scores: dict[str, Interval]  # by METRICS, difference of the means over seeds
    seed_pairs: list[SeedPair]  # seed i of a with seed i of b, as many as both have
    p: float  # over all seed pairs
    p_holm: float  # the same, adjusted for all pairs of networks compared together
    conclusion: str  # of a's accuracy against b's: "better", "worse" or "cannot tell"
    sentence: str  # the same in plain English, with its numbers and limits

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as plain dicts, lists and numbers, ready for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        points = _points(self.scores["accuracy"].point)
        return f"Difference({self.a} minus {self.b}: accuracy {points} points, {self.conclusion})"


class Differences(list[Difference], Shown):
    """Every difference of some networks, as a list that a notebook shows."""


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p that two networks are right equally often, 1 without any evidence.

    `only_a` and `only_b` count the faces that only one network classifies correctly. McNemar, "Note
    on the sampling error of the difference between correlated proportions", 1947, with the
    binomial (n, 1/2) in place of the chi-squared. It takes faces for independent: copies of
    one face make p too small. Raises DataError for a negative count.
    """
    only_a, only_b = int(only_a), int(only_b)
    if min(only_a, only_b) < 0:
        raise DataError(f"counts of faces cannot be negative: {only_a}, {only_b}")
    n = only_a + only_b
    ways = all_ways = 1
    # Whole numbers of any length: exact, and the division below rounds once.
    for k in range(min(only_a, only_b)):
        ways = ways * (n - k) // (k + 1)
        all_ways += ways
    return min(1.0, 2 * all_ways / 2**n)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p values adjusted so that the chance of any false finding stays below the level.

    Holm, "A simple sequentially rejective multiple test procedure", 1979. The order is kept.
    """
    values = np.asarray(ps, np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(ps), 0, -1)))
    adjusted = np.empty(len(ps))
    adjusted[order] = steps
    return adjusted.tolist()


def differences(
    networks: Mapping[str, Sequence[Predictions]], *, draws: int = 2000, seed: int = 0
) -> Differences:
    """Compare every two networks, in the mapping's order; each maps to the predictions of its seeds.

    Intervals are those of `judge` for the difference: both networks see the same drawn faces,
    the seeds of each are drawn apart. "better" and "worse" need an accuracy interval without 0
    and p_holm < 0.05; all else is "cannot tell". Raises DataError as `judge` does.
    """
    check_draws(draws, seed)
    tables = _aligned(networks)
    if len(tables) < 2:
        return Differences()
    labels = next(iter(tables.values()))[0].labels
    group = group_numbers(next(iter(tables.values()))[0])
    samples = {name: Sample.of(seeds, group) for name, seeds in tables.items()}
    values = bootstrap(list(samples.values()), scores_of, draws=draws, seed=seed, names=list(samples))
    values = dict(zip(samples, values, strict=True))
    points = {name: scores_of(sample.total()).mean(0) for name, sample in samples.items()}
    right = {name: [table.probs.argmax(1) == labels for table in seeds] for name, seeds in tables.items()}
    unadjusted: list[Difference] = []
    for a, b in combinations(tables, 2):
        scores = _score_intervals(points[a] - points[b], values[a] - values[b], groups=int(group.max()) + 1)
        pairs = _seed_pairs(right[a], right[b])
        p = combined_p([pair.p for pair in pairs])
        unadjusted.append(Difference(a, b, len(labels), scores, pairs, p, p, "cannot tell", ""))
    adjusted = holm([difference.p for difference in unadjusted])
    accuracies = {name: float(points[name][list(METRICS).index("accuracy")]) for name in tables}
    seeds = {name: len(each) for name, each in tables.items()}
    return Differences(
        _concluded(replace(difference, p_holm=p), accuracies, seeds, comparisons=len(unadjusted))
        for difference, p in zip(unadjusted, adjusted, strict=True)
    )


def combined_p(ps: Sequence[float]) -> float:
    """Return one p for several tests of one claim, valid however they depend on each other.

    Twice the median: Rueschendorf, "Random variables with maximum sums", 1982; Vovk and Wang,
    "Combining p-values via averaging", 2020. A single p stays as it is.
    """
    return ps[0] if len(ps) == 1 else min(1.0, 2 * float(np.median(ps)))


def _aligned(networks: Mapping[str, Sequence[Predictions]]) -> dict[str, list[Predictions]]:
    for name, seeds in networks.items():
        if not len(seeds):
            raise DataError(f"{name}: there is no table of predictions to judge")
    places = [(name, i) for name, seeds in networks.items() for i in range(len(seeds))]
    if not places:
        return {}
    tables = align(
        [networks[name][i] for name, i in places], [f"{name}, table {i + 1}" for name, i in places]
    )
    aligned: dict[str, list[Predictions]] = {name: [] for name in networks}
    for (name, _), table in zip(places, tables, strict=True):
        aligned[name].append(table)
    return aligned


def _seed_pairs(right_a: Sequence[np.ndarray], right_b: Sequence[np.ndarray]) -> list[SeedPair]:
    pairs: list[SeedPair] = []
    for a, b in zip(right_a, right_b, strict=False):
        only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
        pairs.append(SeedPair(only_a, only_b, mcnemar_exact(only_a, only_b)))
    return pairs


def _score_intervals(points: np.ndarray, values: np.ndarray, *, groups: int) -> dict[str, Interval]:
    widest = {name: metric.highest - metric.lowest for name, metric in METRICS.items()}
    if groups == 1:
        return {
            name: Interval(float(point), -widest[name], widest[name])
            for name, point in zip(METRICS, points, strict=True)
        }
    # Recentered for the reason given in verdict.py: the biases of two ECEs need not cancel.
    intervals = {
        name: interval(point, drawn, lowest=-widest[name], highest=widest[name], recenter=name == "ece")
        for name, point, drawn in zip(METRICS, points, values.T, strict=True)
    }
    return intervals | {"accuracy": _with_far_end(intervals["accuracy"], groups)}


def _with_far_end(accuracy: Interval, groups: int) -> Interval:
    """Return the interval of a difference of accuracies; of all faces against none it is what both exact ends leave."""
    if not all_agree(accuracy, -1, 1):
        return accuracy
    nearest = 2 * exact_end(groups) - 1
    return Interval(1.0, nearest, 1.0) if accuracy.point > 0 else Interval(-1.0, -1.0, -nearest)


def _concluded(
    difference: Difference, accuracies: Mapping[str, float], seeds: Mapping[str, int], comparisons: int
) -> Difference:
    accuracy = difference.scores["accuracy"]
    significant = difference.p_holm < LEVEL
    conclusion = "cannot tell"
    if significant and accuracy.low > 0:
        conclusion = "better"
    if significant and accuracy.high < 0:
        conclusion = "worse"
    difference = replace(difference, conclusion=conclusion)
    parts = (
        _numbers(difference, accuracies, seeds, comparisons),
        _disagreement(accuracy, significant),
        _meaning(difference, one_seed=min(seeds[difference.a], seeds[difference.b]) == 1),
    )
    return replace(difference, sentence=" ".join(part for part in parts if part))


def _numbers(
    difference: Difference, accuracies: Mapping[str, float], seeds: Mapping[str, int], comparisons: int
) -> str:
    a, b, accuracy = difference.a, difference.b, difference.scores["accuracy"]
    of_a, of_b = (seeds_in_words(seeds[name]) for name in (a, b))
    trained = f"{of_a} each" if of_a == of_b else f"{of_a} of {a}, {of_b} of {b}"
    return (
        f"{a} classifies {accuracies[a]:.1%} and {b} {accuracies[b]:.1%} of {many(difference.faces, 'face')} correctly "
        f"({trained}): {in_words(accuracy, difference.p_holm)}"
        f"{f' (Holm, {comparisons} comparisons)' if comparisons > 1 else ''}."
    )


def in_words(accuracy: Interval, p_holm: float) -> str:
    """Return a difference of accuracies with its interval and p."""
    interval = f"95% interval {_points(accuracy.low)} to {_points(accuracy.high)}"
    return f"a difference of {_points(accuracy.point)} points, {interval}, {p_statement(p_holm, P_PLACES)}"


def _disagreement(accuracy: Interval, significant: bool) -> str:
    excludes_zero = accuracy.low > 0 or accuracy.high < 0
    if excludes_zero == significant:
        return ""
    if excludes_zero:
        return f"Interval and test disagree: the interval excludes 0, but p is not below {LEVEL}."
    return f"Interval and test disagree: p is below {LEVEL}, but the interval includes 0."


def _meaning(difference: Difference, *, one_seed: bool) -> str:
    a, b, accuracy = difference.a, difference.b, difference.scores["accuracy"]
    unknown = "With one seed the spread over seeds is unknown, so this is about these trained networks"
    apart = any(pair.only_a or pair.only_b for pair in difference.seed_pairs)
    if accuracy.low == accuracy.high == 0 and not apart:
        meaning = "Both are right on the same faces, so nothing here tells them apart."
    elif difference.conclusion == "cannot tell":
        meaning = (
            f"This cannot tell which is better: a true difference anywhere from {_points(accuracy.low)} "
            f"to {_points(accuracy.high)} points fits the data."
        )
    elif one_seed:
        meaning = f"As trained here, {a} is {difference.conclusion} than {b} on faces like these."
    else:
        meaning = f"{a} is {difference.conclusion} than {b} on faces like these."
    return f"{meaning} {unknown}, not about their recipes." if one_seed else meaning


def _points(difference: float) -> str:
    return f"{100 * difference:z.1f}"
