"""The tables of results/study/ and how a page tells their numbers. Concludes nothing that they do not say."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.judge.parts import CLEAN
from mien.text import joined, p_statement, points

WAYS = ("dense", "residual", "plain")
TITLES = {
    "study-cnn": "study's CNN",
    "study-densenet": "study's DenseNet",
    "swapped-cnn": "study's CNN",
    "swapped-densenet": "study's DenseNet",
    "quick-cnn": "study's CNN",
    "quick-densenet": "small DenseNet",
    "study-densenet-better": "study's DenseNet",
    "cnn-narrow": "narrower CNN",
}

Span = tuple[float, float, float]


@dataclass(frozen=True)
class Tables:
    """The tables of results/study/, read when they are asked for."""

    folder: Path

    def __call__(self, name: str, /, **wanted) -> list[dict[str, str]]:
        """Return a table's rows whose columns have the wanted values; none where the table is missing."""
        path = self.folder / f"{name}.csv"
        if not path.exists():
            return []
        with open(path, encoding="utf-8", newline="") as file:
            return [row for row in csv.DictReader(file) if all(row[k] == str(v) for k, v in wanted.items())]

    def part(self, *groups: str) -> str:
        """Return the strictest part that is known of all of these groups, from which conclusions are drawn."""
        parts = [{row["part"] for row in self(f"{group}/scores")} for group in groups]
        return next((part for part in CLEAN if all(part in of_group for of_group in parts)), "clean")

    def word(self, *groups: str) -> str:
        """Return what the faces of that part are: "strictly clean" or "clean"."""
        return CLEAN[self.part(*groups)]

    def score(
        self, group: str, network: str, *, part: str | None = None, score: str = "accuracy"
    ) -> Span | None:
        """Return a network's score with its interval on a part, the strictest unless told, or None if not measured."""
        rows = self(f"{group}/scores", network=network, part=part or self.part(group), score=score)
        return span_of(rows[0]) if rows else None


def span_of(row: dict[str, str]) -> Span:
    """Return a row's point with its interval."""
    point, low, high = (float(row[key]) for key in ("point", "low", "high"))
    return point, low, high


def shown(span: Span | None) -> str:
    """Return a share with its interval in percent, or that it was not measured."""
    if span is None:
        return "not measured yet"
    point, low, high = (100 * value for value in span)
    return f"{point:.1f} [{low:.1f}, {high:.1f}]"


def table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def seeds_of(tables: Tables, group: str, network: str) -> int:
    """Return over how many seeds a network was judged."""
    rows = tables(f"{group}/networks", network=network)
    return int(rows[0]["seeds"]) if rows else 0


@dataclass(frozen=True, slots=True)
class Paired:
    """A paired difference of accuracies on the strictest part, the first network minus the second."""

    span: Span
    p: str  # "p = 0.010"
    outcome: int  # 1: the first is better, -1: the second, 0: they cannot be told apart


def difference_of(tables: Tables, group: str, a: str, b: str) -> Paired | None:
    """Return `a` minus `b` as the comparison of a group found it, or None where it was not measured."""
    for first, second, sign in ((a, b, 1), (b, a, -1)):
        rows = tables(f"{group}/differences", a=first, b=second, part=tables.part(group), score="accuracy")
        if rows:
            point, low, high = span_of(rows[0])
            span = (point, low, high) if sign > 0 else (-point, -high, -low)
            won = {"better": 1, "worse": -1}.get(rows[0]["conclusion"], 0)
            return Paired(span, p_statement(float(rows[0]["accuracy_p_holm"])), sign * won)
    return None


def told_pair(tables: Tables, group: str, a: str, b: str) -> str:
    """Return what the paired comparison of two networks on the strictest part says, as a sentence."""
    found = difference_of(tables, group, a, b)
    if found is None:
        return f"`{a}` against `{b}` is not measured yet."
    point, low, high = map(points, found.span)
    ends = {0: "undecided", 1: f"`{a}` is better", -1: f"`{b}` is better"}
    numbers = f"{point} points [{low}, {high}] on the {tables.word(group)} faces, {found.p}"
    single = [f"`{name}`" for name in (a, b) if seeds_of(tables, group, name) == 1]
    caveat = f" (of {joined(single)} one seed: another may come out differently)" if single else ""
    return f"`{a}` minus `{b}`: {numbers}; {ends[found.outcome]}{caveat}."
