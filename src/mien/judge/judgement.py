"""Anybody's predictions, judged: every network on every part, in pairs and by group. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.dataset import read_dataset
from mien.errors import DataError
from mien.files import plain
from mien.judge.alignment import align
from mien.judge.groups import Grouped, judge_groups
from mien.judge.inputs import Given, Source, named_tables, read_networks
from mien.judge.paired import Difference, differences
from mien.judge.parts import different_parts, only_part, rows_of
from mien.judge.verdict import Verdict, judge
from mien.predictions import Predictions
from mien.text import many

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of some networks by their predictions."""

    tables: dict[str, list[Predictions]] = field(repr=False)  # network -> seeds
    verdicts: dict[str, dict[str, Verdict]]  # network -> part of judge.parts.PARTS -> verdict
    differences: dict[str, list[Difference]]  # part -> pairs of networks; none where they are not compared
    apart: str  # why the networks are not compared, or ""
    grouped: Grouped | None = None  # on the strictest part

    def part_of(self, network: str) -> str:
        """Return the strictest part with a face, which a conclusion is drawn from."""
        return next(iter(self.verdicts[network]))

    def to_dict(self) -> dict[str, Any]:
        """Return the judgement as plain dicts, lists, strings and numbers, ready for JSON."""
        groups = self.grouped and {
            "column": self.grouped.column,
            "networks": plain(self.grouped.verdicts),
            "differences": plain(self.grouped.differences),
            "gaps": plain(self.grouped.gaps),
        }
        return {
            "format": FORMAT,
            "classes": list(next(iter(self.tables.values()))[0].classes),
            "networks": plain(self.verdicts),
            "differences": plain(self.differences),
            "not_compared": self.apart,
            "groups": groups,
        }


def judge_files(
    items: Sequence[str | Path],
    *,
    as_seeds: bool = False,
    split: str | None = None,
    data: Path | None = None,
    classes: Sequence[str] = (),
    by: str = "",
    draws: int = 2000,
) -> Judgement:
    """Judge tables of predictions, see `inputs.py`, with 95 % intervals.

    Each item is a network, or (`as_seeds`) all are seeds of one. Networks of the same faces are compared pair by pair,
    on the part that has no copies in an earlier split as far as that is known: `data` is the data set that knows it.
    `by` is a column of the tables or of the data set: every network is judged on each of its values, too. Raises
    DataError naming file and row.
    """
    named = named_tables(items)
    if as_seeds:
        named = {" + ".join(named): [path for paths in named.values() for path in paths]}
    dataset = None if data is None else read_dataset(data)
    return judge_given(read_networks(named, Source(dataset, split, tuple(classes), by)), by=by, draws=draws)


def judge_given(given: Given, *, by: str = "", draws: int = 2000) -> Judgement:
    """Judge predictions by network; see `judge_files`."""
    apart = why_not_compared({name: seeds[0] for name, seeds in given.networks.items()})
    networks = _aligned_apart(given.networks) if apart else _aligned(given.networks)
    if apart and by:
        raise DataError(f"--by compares groups of the same faces. {apart}")
    verdicts = {name: _by_part(seeds, draws) for name, seeds in networks.items()}
    one = next(iter(networks.values()))[0]
    compared = not apart and len(networks) > 1 and one.clean.any()
    parts = different_parts(one) if compared else ()
    pairs = {part: list(differences(_only(networks, part), draws=draws)) for part in parts}
    grouped = None
    if by:
        part = different_parts(one)[0]
        values = np.array([given.by[identity] for identity in one.ids.tolist()])[rows_of(one, part)]
        grouped = judge_groups(_only(networks, part), by, values, draws=draws)
    return Judgement(networks, verdicts, pairs, apart, grouped)


def _by_part(seeds: Sequence[Predictions], draws: int) -> dict[str, Verdict]:
    return {part: judge(only_part(seeds, part), draws=draws) for part in different_parts(seeds[0])}


def _only(networks: Mapping[str, Sequence[Predictions]], part: str) -> dict[str, list[Predictions]]:
    return {name: only_part(seeds, part) for name, seeds in networks.items()}


def _aligned(networks: Mapping[str, Sequence[Predictions]]) -> dict[str, list[Predictions]]:
    """Return all tables in the order of the first one."""
    names = [f"{name}, table {i}" for name, seeds in networks.items() for i in range(1, len(seeds) + 1)]
    names = [name.removesuffix(", table 1") for name in names]
    tables = iter(align([table for seeds in networks.values() for table in seeds], names))
    return {name: [next(tables) for _ in seeds] for name, seeds in networks.items()}


def _aligned_apart(networks: Mapping[str, Sequence[Predictions]]) -> dict[str, list[Predictions]]:
    return {name: _aligned({name: seeds})[name] for name, seeds in networks.items()}


def why_not_compared(tables: Mapping[str, Predictions]) -> str:
    """Return why tables are not of the same faces, "" where they are."""
    (first, one), *others = tables.items()
    for name, other in others:
        if one.split_names != other.split_names:
            held, here = (", ".join(table.split_names) for table in (one, other))
            return f"Not compared: {first} holds {held}, {name} holds {here}."
        shared = len(np.intersect1d(one.ids, other.ids))
        if not shared == len(one) == len(other):
            both = (
                f"{first} has {many(len(one), 'face')} and {name} {len(other):,}, {shared:,} with the same id"
            )
            return f"Not compared, as they are not of the same faces: {both}."
    return ""
