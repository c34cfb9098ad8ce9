"""What `mien judge` says of anybody's predictions: as text, JSON, CSV and one HTML page. Computes no score."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mien.files import to_json, write_atomic, write_csv
from mien.judge.bootstrap import Interval
from mien.judge.coverage import write_coverage
from mien.judge.groups import FEWEST
from mien.judge.judgement import Judgement
from mien.judge.paired import Difference
from mien.judge.parts import CLEAN, PARTS
from mien.judge.text import (
    about_absent,
    absent_in,
    class_table,
    difference_table,
    gap_table,
    per_class_table,
    scores_table,
    table,
)
from mien.judge.verdict import Verdict
from mien.pages.tables import Table
from mien.predictions import Predictions
from mien.text import Conclusion, joined, many, percent, seeds_in_words, typeset

HEAD = ("network", "minus", "part", "group", "group_minus", "class", "faces", "seeds", "score", "point", "low", "high",
        "accuracy_p_holm", "conclusion")  # fmt: skip


def as_text(judgement: Judgement, *, per_class: bool = False) -> str:
    """Return the figures with 95 % intervals, as text for a terminal."""
    verdicts = _by_name(judgement)
    parts = [table(verdicts)]
    if per_class:
        parts += [f"{name}\n{per_class_table(verdict)}" for name, verdict in verdicts.items()]
    parts += [sentence for name in judgement.tables for sentence in _about_copies(judgement, name)]
    if judgement.apart:
        parts.append(judgement.apart)
    parts += [difference.sentence for difference in conclusions(judgement)]
    if judgement.grouped:
        parts += [of.caption + "\n" + of.text() + "\n" for of in _group_tables(judgement)]
        parts += _about_groups(judgement)
    return "\n".join(parts).rstrip()


def _by_name(judgement: Judgement) -> dict[str, Verdict]:
    """Return every verdict by the network's name, and the part's where it is not the whole."""
    verdicts: dict[str, Verdict] = {}
    for name, parts in judgement.verdicts.items():
        for part, verdict in reversed(parts.items()):
            verdicts[name if part == "all" else f"{name}, {CLEAN[part]}"] = verdict
    return verdicts


def conclusions(judgement: Judgement) -> list[Difference]:
    """Return the differences on the strictest part; none where the networks are not compared."""
    return list(judgement.differences.values())[0] if judgement.differences else []


def _about_copies(judgement: Judgement, name: str) -> Iterator[str]:
    first = judgement.tables[name][0]
    if not first.clean.any():
        yield f"Every face of {name} stands in an earlier split too; nothing can be concluded."
    elif first.strict is not None and not first.strict.any():
        yield f"Every face of {name} has a copy of some kind in an earlier split; the clean part decides."


def _about_groups(judgement: Judgement) -> list[str]:
    grouped = judgement.grouped
    if grouped is None:
        return []
    sentences: list[str] = []
    groups = len(next(iter(grouped.verdicts.values())))
    for verdicts in list(grouped.verdicts.values())[:1]:
        sentences += [
            f"{group}: {about_absent(verdict)}" for group, verdict in verdicts.items() if verdict.absent
        ]
    if len(grouped.gaps) > len(grouped.verdicts):
        sentences.append(
            f"Intervals between groups are of the same draws of faces; with {groups} groups some of them exclude 0 by "
            f"chance, since none is adjusted for the others."
        )
    if grouped.uncommon and grouped.gaps:
        sentences.append(
            f"Some group has no face labeled {joined(list(grouped.uncommon), 'or')}: differences between groups leave "
            f"that out of every mean over classes."
        )
    if grouped.small:
        sentences.append(
            f"Too few faces for an interval to other groups: {joined(list(grouped.small))}. "
            f"A group needs {FEWEST}, copies and pictures of one person counted once."
        )
    return sentences


def _group_tables(judgement: Judgement) -> Iterator[Table]:
    grouped = judgement.grouped
    if grouped is None:
        return
    for network, verdicts in grouped.verdicts.items():
        yield scores_table(verdicts, f"{network} by {grouped.column}").without("seeds")
        gaps = [gap for gap in grouped.gaps if gap.network == network]
        if gaps:
            yield gap_table(network, gaps)


def rows(judgement: Judgement) -> Iterator[tuple[str | int | float, ...]]:
    """Yield a row a score of networks, classes and differences, on every part and in every group; see HEAD."""
    for network, parts in judgement.verdicts.items():
        for part, verdict in parts.items():
            yield from _of_verdict(network, part, "", verdict)
    for part, pairs in judgement.differences.items():
        yield from _of_pairs(part, "", pairs)
    if (grouped := judgement.grouped) is None:
        return
    part = judgement.part_of(next(iter(judgement.tables)))
    for network, verdicts in grouped.verdicts.items():
        for group, verdict in verdicts.items():
            yield from _of_verdict(network, part, group, verdict)
    for group, pairs in grouped.differences.items():
        yield from _of_pairs(part, group, pairs)
    for gap in grouped.gaps:
        faces = grouped.verdicts[gap.network][gap.a].faces + grouped.verdicts[gap.network][gap.b].faces
        for name, value in gap.scores.items():
            yield (gap.network, "", part, gap.a, gap.b, "", faces, "", name, *_ends(value), "", "")


def _of_verdict(
    network: str, part: str, group: str, verdict: Verdict
) -> Iterator[tuple[str | int | float, ...]]:
    for name, value in verdict.scores.items():
        yield (network, "", part, group, "", "", verdict.faces, verdict.seeds, name, *_ends(value), "", "")
    for one in verdict.per_class:
        for name, share in one.shares.items():
            about = (network, "", part, group, "", one.label, one.support, verdict.seeds, name)
            yield (*about, *_ends(share), "", "")


def _of_pairs(part: str, group: str, pairs: Sequence[Difference]) -> Iterator[tuple[str | int | float, ...]]:
    for pair in pairs:
        for name, value in pair.scores.items():
            tested = (pair.p_holm, pair.conclusion) if name == "accuracy" else ("", "")
            yield (pair.a, pair.b, part, group, "", "", pair.faces, "", name, *_ends(value), *tested)


def _ends(value: Interval) -> tuple[float, float, float]:
    return value.point, value.low, value.high


def write_json(path: Path, judgement: Judgement) -> None:
    """Write all that is known as JSON; figures are shares in 0..1, log loss is in nats."""
    write_atomic(path, to_json(judgement.to_dict()))


def write_table(path: Path, judgement: Judgement) -> None:
    """Write a row a score as CSV, see HEAD; a difference has a network, or a group, in a column "minus"."""
    write_csv(path, HEAD, rows(judgement))


def write_page(path: Path, judgement: Judgement) -> None:
    """Write one HTML page that opens anywhere."""
    from mien.pages import render

    names = list(judgement.tables)
    html = render(
        "mien.judge",
        "report.html",
        title=f"{names[0]}, judged" if len(names) == 1 else f"{joined(names)}, judged",
        lead=_lead(judgement),
        conclusions=_page_conclusions(judgement),
        notes=[
            *(s for name in names for s in _about_copies(judgement, name)),
            *filter(None, [judgement.apart]),
        ],
        absent=absent_in(_by_name(judgement).values()),
        scores=[_part_table(judgement, part) for part in PARTS if _having(judgement, part)],
        differences=[difference_table(pair) for pair in conclusions(judgement)],
        classes=[
            class_table(judgement.verdicts[name][judgement.part_of(name)], caption=name) for name in names
        ],
        groups=list(_group_tables(judgement)),
        about_groups=_about_groups(judgement),
        column=judgement.grouped.column if judgement.grouped else "",
        one_seed=any(verdict.seeds == 1 for verdict in _by_name(judgement).values()),
    )
    write_atomic(path, html)


def _having(judgement: Judgement, part: str) -> list[str]:
    return [name for name, parts in judgement.verdicts.items() if part in parts]


def _part_table(judgement: Judgement, part: str) -> Table:
    verdicts = {name: judgement.verdicts[name][part] for name in _having(judgement, part)}
    faces = joined(list(dict.fromkeys(many(verdict.faces, "face") for verdict in verdicts.values())))
    return scores_table(verdicts, f"{PARTS[part]}, {faces}".capitalize()).without("faces")


def _lead(judgement: Judgement) -> str:
    sentences: list[str] = []
    for name, (first, *_) in judgement.tables.items():
        seeds = seeds_in_words(len(judgement.tables[name]))
        sentences.append(f"{name} ({seeds}) on {many(len(first), 'face')} of {joined(first.split_names)}")
    return "; ".join(sentences) + "."


def _page_conclusions(judgement: Judgement) -> list[Conclusion]:
    pairs = conclusions(judgement)
    if pairs:
        return [Conclusion(_head(pair), typeset(pair.sentence)) for pair in pairs]
    heads: list[Conclusion] = []
    for name in judgement.tables:
        part = judgement.part_of(name)
        accuracy = judgement.verdicts[name][part].scores["accuracy"]
        ends = f"95 % interval {percent(accuracy.low)} to {percent(accuracy.high)}"
        heads.append(
            Conclusion(
                f"{name}: {percent(accuracy.point)} correct", f"Accuracy on the {PARTS[part]}, {ends}."
            )
        )
    return heads


def _head(pair: Difference) -> str:
    if pair.conclusion == "cannot tell":
        return f"{pair.a} and {pair.b} cannot be told apart"
    better, other = (pair.a, pair.b) if pair.conclusion == "better" else (pair.b, pair.a)
    return f"{better} is better than {other}"


def coverage_of(
    tables: Mapping[str, Sequence[Predictions]], folder: Path, *, threshold: float | None, draws: int = 2000
) -> str:
    """Draw risk-coverage curves, one a seed, into a folder, see `coverage.py`; return it in words."""
    curves = {
        name if len(seeds) == 1 else f"{name}, table {i}": table
        for name, seeds in tables.items()
        for i, table in enumerate(seeds, start=1)
    }
    text = write_coverage(curves, folder, threshold=threshold, draws=draws)
    return f"{text}\n{folder}: coverage.svg, coverage.png and coverage.csv".lstrip()
