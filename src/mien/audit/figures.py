"""Draws every figure of an audit. Counts and finds nothing."""

from collections.abc import Sequence

import numpy as np

from mien.audit.data import Finding
from mien.audit.quality import MEASURES
from mien.audit.result import Audit
from mien.audit.votes import VoteCheck
from mien.labels import FERPLUS_NAMES, SPLITS
from mien.pages import charts
from mien.pages.faces import Tile, sheet
from mien.pages.legend import Series
from mien.pages.report import Report
from mien.pages.theme import series
from mien.text import percent, thousands

BINS = 40
ON_A_SHEET = 24  # faces, or pairs
SHEETS = (
    ("near", ("near", "near-across"), "Near copies"),
    ("augmented", ("augmented", "augmented-across"), "Turned, zoomed or moved copies"),
    ("conflict", ("conflict",), "Identical pictures with different labels"),
    ("flat", ("flat",), "Flat pictures"),
    ("blurred", ("blurred",), "The most blurred pictures"),
    ("label-noise", ("label-noise",), "Labels that got no vote"),
    ("not-a-face", ("not-a-face",), "No face, say most voters"),
)


def draw(report: Report, audit: Audit) -> None:
    """Draw the figures by section; draw inside `themed()`."""
    _sheets(report, audit)
    _classes(report, audit)
    for name in MEASURES:
        _measure(report, audit, name)
    if audit.votes:
        _agreement(report, audit.votes)
        _confusion(report, audit.votes, audit.data.info.labels)


def _looks(audit: Audit) -> list[tuple[str, Series]]:
    """Return the splits that have faces, each with its look."""
    there = [s for i, s in enumerate(SPLITS) if (audit.data.stage == i).any()]
    return [(split, Series(split, *series(SPLITS.index(split)))) for split in there]


def _classes(report: Report, audit: Audit) -> None:
    info = audit.data.info
    looks = [
        Series(split, look.color, "s", [info.counts[split][label] for label in info.labels])
        for split, look in _looks(audit)
    ]
    figure = charts.bars("Faces by class", f"{thousands(len(audit.data))} faces", info.labels, looks)
    report.draw("classes", figure, "classes", "Faces by class and split")


def _measure(report: Report, audit: Audit, name: str) -> None:
    values = audit.quality.values[name]
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, (0.001, 0.999)) if len(known) else (0, 1)
    if high - low < 1e-3 * max(1, abs(low)):  # (nearly) one value: a bar in the middle
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    looks = []
    for split, look in _looks(audit):
        own = values[(audit.data.stage == SPLITS.index(split)) & ~np.isnan(values)]
        shares = np.histogram(own.clip(edges[0], edges[-1]), edges)[0] / max(1, len(own))
        looks.append(Series(split, look.color, "s", shares.tolist()))
    figure = charts.outlines(name.capitalize(), "share of each split's faces", looks, edges, MEASURES[name])
    report.draw("measures", figure, name, f"Distribution of {name} by split")


def _agreement(report: Report, votes: VoteCheck) -> None:
    by_class = votes.by_class
    looks = [
        Series("all faces", *series(5)[:1], "s", [faces for _, faces in by_class.values()]),
        Series("label has most votes", *series(0)[:1], "s", [agreeing for agreeing, _ in by_class.values()]),
    ]
    rest = f"{percent(votes.share)} of {thousands(votes.faces)} faces agree"
    figure = charts.bars("Labels that most voters give", rest, list(by_class), looks)
    report.draw("votes", figure, "agreement", "Faces whose label has the most votes, by class")


def _confusion(report: Report, votes: VoteCheck, labels: Sequence[str]) -> None:
    own = [FERPLUS_NAMES.get(label, label) for label in labels]
    columns = own + [name for name in votes.confusion[labels[0]] if name not in own]
    counts = np.array([[votes.confusion[label][c] for c in columns] for label in labels], float)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    texts = [[f"{100 * share:.0f}" if share >= 0.005 else "" for share in row] for row in shares]
    figure = charts.matrix(
        "Labels and votes",
        "percent of each label's faces",
        labels,
        shares,
        texts,
        columns=columns,
        sides=("labeled", "most votes"),
    )
    report.draw("votes", figure, "votes", "What most voters say, by label")


def _sheets(report: Report, audit: Audit) -> None:
    for name, kinds, title in SHEETS:
        findings = audit.of_kind(*kinds)
        if findings:
            rest = f"{thousands(min(len(findings), ON_A_SHEET))} of {thousands(len(findings))}"
            tiles = [tile for finding in findings[:ON_A_SHEET] for tile in _tiles(audit, finding)]
            report.draw("sheets", sheet(title, rest, tiles, 8), f"faces-{name}", title)


def _tiles(audit: Audit, finding: Finding) -> Sequence[Tile]:
    data = audit.data
    rows = [finding.row] if finding.other is None else [finding.row, finding.other]
    return [
        Tile(
            data.images[row],
            (str(data.labels[row]), f"{SPLITS[data.stage[row]]} {data.ids[row]}"),
        )
        for row in rows
    ]
