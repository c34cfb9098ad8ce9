"""Verdicts and differences in words, plain tables, Markdown and, for notebooks, HTML. Computes nothing.

Shares are printed as percent with one decimal place; log loss, Brier and ECE as decimals.
"""

from collections.abc import Mapping, Sequence

from mien import notebook
from mien.judge.bootstrap import Interval
from mien.judge.metrics import METRICS, Metric
from mien.judge.paired import P_PLACES, Difference
from mien.judge.verdict import Verdict
from mien.text import WIDTH, in_columns, many, p_value

CLASS_HEAD = ("faces", "precision %", "recall %", "F1 %")
ROWS = (
    "faces",
    "seeds",
    *(f"{m.short} %" if m.is_share else m.short for m in METRICS.values()),
    "ECE if calibrated",
)
ONE_SEED = "One seed: the spread over seeds is unknown and not in the intervals."


def table(verdicts: Mapping[str, Verdict]) -> str:
    """Return a table of networks by name: a row a score, a column a network.

    At most 100 characters wide for names up to about 75; where the networks do not fit side by
    side they follow below each other.
    """
    columns = [_column(name, verdict) for name, verdict in verdicts.items()]
    rows = ("", *ROWS)
    label_width = max(map(len, rows))
    widths = [max(map(len, column)) for column in columns]
    blocks = [
        in_columns(list(zip(rows, *(columns[i] for i in block), strict=True)))
        for block in _side_by_side(widths, WIDTH - label_width)
    ]
    if any(verdict.seeds == 1 for verdict in verdicts.values()):
        blocks.append(ONE_SEED)
    return "\n\n".join(blocks) + "\n"


def per_class_table(verdict: Verdict) -> str:
    """Return a table of one network: a row a class, with support (faces), precision, recall and F1 in %."""
    return in_columns([("", *CLASS_HEAD), *_class_rows(verdict)]) + "\n"


def table_markdown(verdicts: Mapping[str, Verdict]) -> str:
    """Return `table` in Markdown, however wide, without the seeds."""
    columns = [_column(name, verdict) for name, verdict in verdicts.items()]
    rows = [
        (row, *(column[n] for column in columns)) for n, row in enumerate(ROWS, start=1) if row != "seeds"
    ]
    return markdown(("", *(column[0] for column in columns)), rows)


def per_class_markdown(verdict: Verdict) -> str:
    """Return `per_class_table` in Markdown."""
    return markdown(("class", *CLASS_HEAD), _class_rows(verdict))


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown whose columns stand right but for the first."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def table_html(verdicts: Mapping[str, Verdict], caption: str) -> str:
    """Return `table` as HTML."""
    columns = [_column(name, verdict) for name, verdict in verdicts.items()]
    head = ("", *(column[0] for column in columns))
    rows = [(row, *(column[n] for column in columns)) for n, row in enumerate(ROWS, start=1)]
    return notebook.table(caption, head, rows)


def per_class_html(verdict: Verdict) -> str:
    """Return `per_class_table` as HTML."""
    return notebook.table("Each class", ("class", *CLASS_HEAD), _class_rows(verdict))


def difference_html(difference: Difference) -> str:
    """Return every score's difference, and the test of accuracy's, as HTML; shares are in percentage points."""
    rows = [
        (f"{m.short} points" if m.is_share else m.short, _score(m, difference.scores[m.name]))
        for m in METRICS.values()
    ]
    tests = [("p of accuracy", difference.p), ("p by Holm", difference.p_holm)]
    tests = [(name, p_value(p, P_PLACES)) for name, p in tests]
    conclusion = difference.conclusion
    conclusion = conclusion if conclusion == "cannot tell" else f"{difference.a} is {conclusion}"
    caption = f"{difference.a} minus {difference.b}, {many(difference.faces, 'face')}"
    return notebook.table(caption, (), [*rows, *tests, ("conclusion", conclusion)])


def _class_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    rows = []
    for scores in verdict.per_class:
        shares = (_percent(share) for share in (scores.precision, scores.recall, scores.f1))
        rows.append((scores.label, f"{scores.support:,}", *shares))
    return rows


def _score(metric: Metric, value: Interval) -> str:
    return _percent(value) if metric.is_share else _decimal(value)


def _percent(value: Interval) -> str:
    return f"{100 * value.point:z.1f} [{100 * value.low:z.1f}, {100 * value.high:z.1f}]"


def _decimal(value: Interval) -> str:
    return f"{value.point:z.3f} [{value.low:z.3f}, {value.high:z.3f}]"


def _column(name: str, verdict: Verdict) -> tuple[str, ...]:
    scores = (_score(metric, verdict.scores[name]) for name, metric in METRICS.items())
    low, high = verdict.ece_band
    return name, f"{verdict.faces:,}", str(verdict.seeds), *scores, f"[{low:.3f}, {high:.3f}]"


def _side_by_side(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return the columns' indices in blocks, each as many as fit into `room`, one at least."""
    blocks: list[list[int]] = []
    left = 0
    for i, width in enumerate(widths):
        if not blocks or width + 2 > left:
            blocks.append([])
            left = room
        blocks[-1].append(i)
        left -= width + 2
    return blocks
