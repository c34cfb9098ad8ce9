"""Draws every figure of an audit. Counts and finds nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.audit.audited import Audited
from mien.audit.data import Finding
from mien.audit.quality import MEASURES
from mien.audit.votes import VoteCheck
from mien.labels import FERPLUS_NAMES, SPLITS
from mien.pages import charts
from mien.pages.faces import Tile, sheet
from mien.pages.figures import Drawn, save
from mien.pages.legend import Series
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


def draw(audited: Audited, folder: Path) -> dict[str, list[Drawn]]:
    """Draw, write and return the figures by section; draw inside `themed()`."""
    _sheets(audited, folder)
    return {
        "classes": [_classes(audited, folder)],
        "measures": [_measure(audited, folder, name) for name in MEASURES],
        "votes": _votes(audited.votes, audited.data.info.labels, folder) if audited.votes else [],
    }


def _looks(audited: Audited) -> list[tuple[str, Series]]:
    """Return the splits that have faces, each with its look."""
    there = [s for i, s in enumerate(SPLITS) if (audited.data.stage == i).any()]
    return [(split, Series(split, *series(SPLITS.index(split)))) for split in there]


def _classes(audited: Audited, folder: Path) -> Drawn:
    info = audited.data.info
    looks = [
        Series(split, look.color, "s", [info.counts[split][label] for label in info.labels])
        for split, look in _looks(audited)
    ]
    figure = charts.bars("Faces by class", f"{thousands(len(audited.data))} faces", info.labels, looks)
    return save(figure, folder, "classes", "Faces by class and split")


def _measure(audited: Audited, folder: Path, name: str) -> Drawn:
    values = audited.quality.values[name]
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, (0.001, 0.999)) if len(known) else (0, 1)
    if high - low < 1e-3 * max(1, abs(low)):  # (nearly) one value: a bar in the middle
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    looks = []
    for split, look in _looks(audited):
        own = values[(audited.data.stage == SPLITS.index(split)) & ~np.isnan(values)]
        shares = np.histogram(own.clip(edges[0], edges[-1]), edges)[0] / max(1, len(own))
        looks.append(Series(split, look.color, "s", shares.tolist()))
    figure = charts.outlines(name.capitalize(), "share of each split's faces", looks, edges, MEASURES[name])
    return save(figure, folder, name, f"Distribution of {name} by split")


def _votes(votes: VoteCheck, labels: Sequence[str], folder: Path) -> list[Drawn]:
    return [_agreement(votes, folder), _confusion(votes, labels, folder)]


def _agreement(votes: VoteCheck, folder: Path) -> Drawn:
    by_class = votes.by_class
    looks = [
        Series("all faces", *series(5)[:1], "s", [faces for _, faces in by_class.values()]),
        Series("label has most votes", *series(0)[:1], "s", [agreeing for agreeing, _ in by_class.values()]),
    ]
    rest = f"{percent(votes.share)} of {thousands(votes.faces)} faces agree"
    figure = charts.bars("Labels that most voters give", rest, list(by_class), looks)
    return save(figure, folder, "agreement", "Faces whose label has the most votes, by class")


def _confusion(votes: VoteCheck, labels: Sequence[str], folder: Path) -> Drawn:
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
    return save(figure, folder, "votes", "What most voters say, by label")


def _sheets(audited: Audited, folder: Path) -> None:
    for name, kinds, title in SHEETS:
        findings = audited.of_kind(*kinds)
        if findings:
            rest = f"{thousands(min(len(findings), ON_A_SHEET))} of {thousands(len(findings))}"
            tiles = [tile for finding in findings[:ON_A_SHEET] for tile in _tiles(audited, finding)]
            save(sheet(title, rest, tiles, 8), folder, f"faces-{name}", title)


def _tiles(audited: Audited, finding: Finding) -> Sequence[Tile]:
    data = audited.data
    rows = [finding.row] if finding.other is None else [finding.row, finding.other]
    return [
        Tile(
            data.images[row],
            (str(data.labels[row]), f"{SPLITS[data.stage[row]]} {data.ids[row]}"),
        )
        for row in rows
    ]
