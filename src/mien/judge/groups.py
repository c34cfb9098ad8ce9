"""Scores of groups of faces, and how far apart they are. Knows nothing about what makes the groups.

Groups are judged on the same draws of the whole set, so that what they share drops out of a difference: copies and
pictures of one person that stand in two groups are drawn into both, and so are a network's seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.judge.alignment import group_numbers
from mien.judge.bootstrap import Interval, bootstrap, interval
from mien.judge.metrics import METRICS, scores_of
from mien.judge.paired import Difference, differences
from mien.judge.sums import Ranking, Sample, Sums, add_up, rank
from mien.judge.verdict import Verdict, judge
from mien.predictions import Predictions
from mien.text import Shown

FEWEST = (
    30  # faces, copies and persons counted once: with fewer a draw of all faces may have none of the group
)
MOST_GROUPS = 40


@dataclass(frozen=True, slots=True)
class Gap(Shown):
    """A network's scores on one group of faces minus those on another."""

    network: str
    a: str
    b: str
    # by METRICS, means over classes over those that every group has; each interval is for itself alone, not adjusted
    # for several groups
    scores: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Return the gap as plain dicts and numbers, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Networks judged on each group of faces."""

    column: str  # what makes the groups
    verdicts: dict[str, dict[str, Verdict]]  # network -> group -> verdict
    differences: dict[str, list[Difference]]  # group -> pairs of networks
    gaps: list[Gap]  # of each network, every two groups
    small: tuple[str, ...]  # groups that are too small for a gap

    @property
    def uncommon(self) -> tuple[str, ...]:
        """The classes that some group has no face of: they are in no gap's mean over classes."""
        each = list(next(iter(self.verdicts.values())).values())
        return tuple(c.label for c in each[0].per_class if any(c.label in verdict.absent for verdict in each))


def judge_groups(
    networks: Mapping[str, Sequence[Predictions]],
    column: str,
    values: np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Grouped:
    """Judge networks, whose tables are of the same faces in the same order, on each group of faces.

    `values` are the groups' names, str (N,); "" is a face of no group. DataError for more than 40 groups, or none.
    """
    names = sorted(set(values.tolist()) - {""})
    if not 0 < len(names) <= MOST_GROUPS:
        raise DataError(f"{column} has {len(names)} values; 1 to {MOST_GROUPS} groups can be judged")
    parts = {name: {net: _only(seeds, values == name) for net, seeds in networks.items()} for name in names}
    verdicts = {
        net: {name: judge(parts[name][net], draws=draws, seed=seed) for name in names} for net in networks
    }
    units = group_numbers(next(iter(networks.values()))[0])
    small = tuple(name for name in names if len(np.unique(units[values == name])) < FEWEST)
    large = [name for name in names if name not in small]
    gaps = [
        gap
        for net, seeds in networks.items()
        for gap in _gaps(net, seeds, units, {name: values == name for name in large}, draws, seed)
    ]
    pairs = {name: list(differences(parts[name], draws=draws, seed=seed)) for name in names}
    return Grouped(column, verdicts, pairs, gaps, small)


def _only(tables: Sequence[Predictions], rows: np.ndarray) -> list[Predictions]:
    return [table.only(rows) for table in tables]


def _gaps(
    network: str,
    tables: Sequence[Predictions],
    units: np.ndarray,
    groups: Mapping[str, np.ndarray],
    draws: int,
    seed: int,
) -> list[Gap]:
    if len(groups) < 2:
        return []
    samples = [_sample(tables, units, rows) for rows in groups.values()]
    common = np.all([one.total().true[0] > 0 for one in samples], axis=0)
    figures = partial(scores_of, kept=common)
    drawn = bootstrap(samples, figures, draws=draws, seed=seed, names=[network] * len(samples))
    drawn_of = dict(zip(groups, drawn, strict=True))
    point_of = {name: figures(one.total()).mean(0) for name, one in zip(groups, samples, strict=True)}
    return [
        Gap(network, a, b, _intervals(point_of[a] - point_of[b], drawn_of[a] - drawn_of[b]))
        for a, b in combinations(groups, 2)
    ]


def _sample(tables: Sequence[Predictions], units: np.ndarray, rows: np.ndarray) -> Sample:
    """Return the sample of some faces with the units of all faces; what is not in `rows` adds nothing."""
    count, own = int(units.max()) + 1, units[rows]
    sums: list[np.ndarray] = []
    rankings: list[tuple[Ranking, ...]] = []
    for table in _only(tables, rows):
        some = add_up(table.labels, table.probs, own)
        missing = count - some.flat.shape[0]
        sums.append(np.pad(some.flat, ((0, missing), (0, 0))))
        rankings.append(rank(table.labels, table.probs, own))
    return Sample(Sums(np.stack(sums), len(tables[0].classes)), tuple(rankings))


def _intervals(points: np.ndarray, values: np.ndarray) -> dict[str, Interval]:
    widest = [metric.highest - metric.lowest for metric in METRICS.values()]
    return {
        name: interval(point, drawn, lowest=-reach, highest=reach, recenter=name == "ece")
        for name, point, drawn, reach in zip(METRICS, points, values.T, widest, strict=True)
    }
