"""Verdicts in words and plain tables. Computes nothing.

Shares are printed as percent with one decimal place; log loss, Brier and ECE as decimals.
"""

from collections.abc import Mapping, Sequence

from mien.judge.scores import METRICS, Interval
from mien.judge.verdict import Verdict

WIDTH = 100
TITLES = {
    "accuracy": "accuracy %",
    "balanced_accuracy": "balanced accuracy %",
    "macro_f1": "macro F1 %",
    "log_loss": "log loss",
    "brier": "Brier",
    "ece": "ECE",
}
ONE_SEED = "One seed: the spread over seeds is unknown and not in the intervals."


def table(verdicts: Mapping[str, Verdict]) -> str:
    """Return a table of networks by name: a row a score, a column a network.

    At most 100 characters wide for names up to about 75; where the networks do not fit side by
    side they follow below each other.
    """
    columns = [_column(name, verdict) for name, verdict in verdicts.items()]
    rows = ("", "faces", "seeds", *TITLES.values(), "ECE if calibrated")
    label_width = max(map(len, rows))
    widths = [max(map(len, column)) for column in columns]
    blocks = []
    for block in _side_by_side(widths, WIDTH - label_width):
        lines = (
            row.ljust(label_width) + "".join("  " + columns[i][n].rjust(widths[i]) for i in block)
            for n, row in enumerate(rows)
        )
        blocks.append("\n".join(line.rstrip() for line in lines))
    if any(verdict.seeds == 1 for verdict in verdicts.values()):
        blocks.append(ONE_SEED)
    return "\n\n".join(blocks) + "\n"


def per_class_table(verdict: Verdict) -> str:
    """Return a table of one network: a row a class, with support (faces), precision, recall and F1 in %."""
    rows = [("", "faces", "precision %", "recall %", "F1 %")]
    for scores in verdict.per_class:
        shares = (_percent(share) for share in (scores.precision, scores.recall, scores.f1))
        rows.append((scores.label, f"{scores.support:,}", *shares))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )
    return "\n".join(lines) + "\n"


def _percent(value: Interval) -> str:
    return f"{100 * value.point:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _decimal(value: Interval) -> str:
    return f"{value.point:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _column(name: str, verdict: Verdict) -> tuple[str, ...]:
    scores = (
        (_percent if TITLES[metric].endswith("%") else _decimal)(verdict.scores[metric]) for metric in METRICS
    )
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
