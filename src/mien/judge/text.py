"""Verdicts and differences as tables, for a terminal, Markdown and notebooks. Computes nothing.

Shares are printed as percent with one decimal place; log loss, Brier and ECE as decimals.
"""

from collections.abc import Iterable, Mapping, Sequence

from mien.judge.annotators import Annotators
from mien.judge.bootstrap import Interval
from mien.judge.groups import Gap
from mien.judge.metrics import METRICS, Metric
from mien.judge.paired import P_PLACES, Difference
from mien.judge.verdict import Verdict
from mien.pages.tables import Data, Table
from mien.text import joined, many, p_value, percent, points, thousands

ROWS = (
    "faces",
    "seeds",
    *(f"{m.short} %" if m.is_share else m.short for m in METRICS.values()),
    "ECE if calibrated",
)
NO_SHARE = "\N{EN DASH}"  # of a class that no face is of
ONE_SEED = "One seed: the spread over seeds is unknown and not in the intervals."


def scores_table(verdicts: Mapping[str, Verdict], caption: str = "") -> Table:
    """Return a table of networks by name: a row a score, a column a network."""
    columns = [_column(verdict) for verdict in verdicts.values()]
    return Table(caption, ("", *verdicts), [("", list(zip(ROWS, *columns, strict=True)))])


def class_table(verdict: Verdict, head: str = "class", caption: str = "Each class") -> Table:
    """Return a table of one network: a row a class, with support (faces), precision, recall and F1 in %."""
    rows: list[tuple[str, ...]] = []
    for scores in verdict.per_class:
        shares = [_percent(share) for share in scores.shares.values()]
        shares = shares if scores.support else [shares[0], NO_SHARE, NO_SHARE]
        rows.append((scores.label, f"{scores.support:,}", *shares))
    return Table(caption, (head, "faces", "precision %", "recall %", "F1 %"), [("", rows)])


def gap_table(network: str, gaps: Sequence[Gap]) -> Table:
    """Return how far apart a network's scores on two groups are, a column a pair of groups."""
    columns = [[_score(m, gap.scores[m.name]) for m in METRICS.values()] for gap in gaps]
    names = [f"{m.short} points" if m.is_share else m.short for m in METRICS.values()]
    head = ("", *(f"{gap.a} minus {gap.b}" for gap in gaps))
    return Table(f"{network}: one group minus another", head, [("", list(zip(names, *columns, strict=True)))])


def difference_table(difference: Difference) -> Table:
    """Return every score's difference, and the test of accuracy's; shares are in percentage points."""
    rows = [
        (f"{m.short} points" if m.is_share else m.short, _score(m, difference.scores[m.name]))
        for m in METRICS.values()
    ]
    tests = [("p of accuracy", difference.p), ("p by Holm", difference.p_holm)]
    tests = [(name, p_value(p, P_PLACES)) for name, p in tests]
    conclusion = difference.conclusion
    conclusion = conclusion if conclusion == "cannot tell" else f"{difference.a} is {conclusion}"
    caption = f"{difference.a} minus {difference.b}, {many(difference.faces, 'face')}"
    return Table(caption, (), [("", [*rows, *tests, ("conclusion", conclusion)])])


def about_absent(verdict: Verdict) -> str:
    """Return which classes no face is of and what that means for the scores, "" where there is none."""
    if not verdict.absent:
        return ""
    left_out = "it is" if len(verdict.absent) == 1 else "they are"
    return f"No face is labeled {joined(verdict.absent, 'or')}: {left_out} in no mean over classes."


def absent_in(verdicts: Iterable[Verdict]) -> list[str]:
    """Return `about_absent` of each verdict, once each."""
    return [sentence for sentence in dict.fromkeys(about_absent(verdict) for verdict in verdicts) if sentence]


def table(verdicts: Mapping[str, Verdict]) -> str:
    """Return `scores_table` as text, at most 100 characters wide for names up to about 75."""
    blocks = [scores_table(verdicts).text()]
    if any(verdict.seeds == 1 for verdict in verdicts.values()):
        blocks.append(ONE_SEED)
    blocks += absent_in(verdicts.values())
    return "\n\n".join(blocks) + "\n"


def per_class_table(verdict: Verdict) -> str:
    """Return `class_table` as text."""
    return class_table(verdict, "").text() + "\n"


def share_with_interval(share: Interval) -> str:
    """Return a share 0..1 with its interval, in percent."""
    return f"{percent(share.point)} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def points_with_interval(difference: Interval) -> str:
    """Return a difference of shares with its interval, in percentage points."""
    return f"{points(difference.point)} [{points(difference.low)}, {points(difference.high)}]"


def annotators_table(annotators: Mapping[str, Annotators]) -> Table:
    """Return what annotators reach on sets of faces by name, a row a set."""
    rows = [
        (
            name,
            thousands(each.faces),
            *map(share_with_interval, (each.majority, each.one, each.one_by_others)),
        )
        for name, each in annotators.items()
    ]
    head = (
        "",
        "faces",
        "their majority, by the labels",
        "one, by the labels",
        "one, by the others' majority",
    )
    return Table("What annotators reach", head, [("", rows)])


def annotators_data(annotators: Mapping[str, Annotators]) -> Data:
    """Return the numbers behind `annotators_table`: a row a set of faces and measure, shares 0..1."""
    rows = [
        (name, each.faces, measure, value.point, value.low, value.high)
        for name, each in annotators.items()
        for measure, value in (
            ("majority_by_labels", each.majority),
            ("one_by_labels", each.one),
            ("one_by_others", each.one_by_others),
        )
    ]
    return Data.of(("part", "faces", "measure", "point", "low", "high"), rows)


def annotators_sentence(annotators: Annotators, where: str) -> str:
    """Return what annotators reach on the faces of `where`, as a sentence."""
    return (
        f"On {thousands(annotators.faces)} faces of {where} the annotators' majority agrees with "
        f"{share_with_interval(annotators.majority)} of the labels, one annotator with "
        f"{share_with_interval(annotators.one)}, and one annotator with "
        f"{share_with_interval(annotators.one_by_others)} of the majorities of the others."
    )


def _score(metric: Metric, value: Interval) -> str:
    return _percent(value) if metric.is_share else _decimal(value)


def _percent(value: Interval) -> str:
    return f"{100 * value.point:z.1f} [{100 * value.low:z.1f}, {100 * value.high:z.1f}]"


def _decimal(value: Interval) -> str:
    return f"{value.point:z.3f} [{value.low:z.3f}, {value.high:z.3f}]"


def _column(verdict: Verdict) -> tuple[str, ...]:
    scores = (_score(metric, verdict.scores[name]) for name, metric in METRICS.items())
    low, high = verdict.ece_band
    return f"{verdict.faces:,}", str(verdict.seeds), *scores, f"[{low:.3f}, {high:.3f}]"
