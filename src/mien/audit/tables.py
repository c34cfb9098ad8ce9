"""The tables and galleries of an audit's page. Draws nothing and finds nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.audit import text
from mien.audit.audited import Audited
from mien.audit.data import KINDS, Finding
from mien.audit.quality import MEASURES
from mien.labels import SPLITS
from mien.pages.faces import data_uri
from mien.pages.tables import Table
from mien.text import decimal, percent, thousands

MOST_SHOWN = {
    "near": 100,
    "augmented": 60,
    "across": 24,
    "conflict": 60,
    "flat": 24,
    "blurred": 48,
    "label-noise": 48,
    "not-a-face": 24,
}
LARGEST_FAMILIES, FAMILY_FACES = 8, 16


@dataclass(frozen=True, slots=True)
class Shown:
    """A face in the page."""

    id: str
    split: str
    label: str
    uri: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A finding in the page: one or two faces, or some, and a line on them."""

    faces: Sequence[Shown]
    detail: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pieces of a kind, and how many there are in all."""

    pieces: Sequence[Piece]
    all: int


def galleries(audited: Audited) -> dict[str, Gallery]:
    """Return what the page shows of each kind."""
    kinds = {name: (name, f"{name}-across") for name in ("near", "augmented")}
    kinds |= {"across": ("identical-across",)}
    findings = {name: audited.of_kind(*kinds.get(name, (name,))) for name in MOST_SHOWN}
    findings["conflict"] = _one_a_group(audited, findings["conflict"])
    return {name: _gallery(audited, of, MOST_SHOWN[name]) for name, of in findings.items()}


def _gallery(audited: Audited, findings: Sequence[Finding], most: int) -> Gallery:
    pieces = []
    for finding in findings[:most]:
        rows = [finding.row] if finding.other is None else [finding.row, finding.other]
        pieces.append(Piece([_shown(audited, row) for row in rows], finding.detail, finding.score))
    return Gallery(pieces, len(findings))


def _one_a_group(audited: Audited, findings: Sequence[Finding]) -> list[Finding]:
    groups = {}
    for finding in findings:
        groups.setdefault(int(audited.data.first[finding.row]), finding)
    return list(groups.values())


def _shown(audited: Audited, row: int) -> Shown:
    table = audited.data.table
    picture = data_uri(np.asarray(audited.data.images[row]))
    identity, split, label = (str(table[name][row]) for name in ("id", "split", "label"))
    return Shown(identity, split, label, picture)


def largest_families(audited: Audited) -> list[Piece]:
    """Return the families with the most different pictures, each with some of them."""
    pictures = np.unique(audited.data.first)
    members = defaultdict(list)
    for row in pictures.tolist():
        members[int(audited.family[row])].append(row)
    largest = sorted(members.values(), key=lambda rows: (-len(rows), rows[0]))[:LARGEST_FAMILIES]
    return [
        Piece([_shown(audited, row) for row in rows[:FAMILY_FACES]], f"{thousands(len(rows))} pictures")
        for rows in largest
        if len(rows) > 2
    ]


def tables(audited: Audited) -> dict[str, Table]:
    """Return every table of the page by name."""
    return {
        "copies": _copies(audited),
        "redundant": _redundant(audited),
        "measures": _measures(audited),
        "contrasts": _contrasts(audited),
        "classes": _classes(audited),
        "findings": _findings(audited),
        "dropped": _dropped(audited),
    }


def _copies(audited: Audited) -> Table:
    copies, near = audited.copies, audited.near
    rows = [
        (f"{later} in {earlier}", thousands(n), thousands(near.across[later, earlier]))
        for (later, earlier), n in copies.across.items()
    ]
    rows.append(("test in train or val", thousands(copies.copied["test"]), thousands(near.copied["test"])))
    head = ("", "identical", "with near and altered copies")
    return Table("Faces that stand in an earlier split too", head, [("", rows)])


def _redundant(audited: Audited) -> Table:
    stage, first = audited.data.stage, audited.data.first
    rows = []
    for i, split in enumerate(SPLITS):
        faces = int((stage == i).sum())
        identical = faces - len(np.unique(first[stage == i]))
        rows.append((split, thousands(faces), thousands(identical), thousands(audited.near.redundant[split])))
    head = ("", "faces", "identical to another of the split", "identical, near or altered")
    return Table("Faces that are there again within a split", head, [("", rows)])


def _measures(audited: Audited) -> Table:
    bodies = []
    for name, of in audited.quality.spreads.items():
        places = 2 if name == "sharpness" else 1
        rows = [
            (
                split,
                decimal(s.mean, places),
                decimal(s.deviation, places),
                *(decimal(q, places) for q in s.quantiles),
            )
            for split, s in of.items()
        ]
        bodies.append((f"{name}: {MEASURES[name]}", rows))
    head = ("", "mean", "sd", "5%", "25%", "median", "75%", "95%")
    return Table("Brightness, contrast and sharpness by split", head, bodies)


def _contrasts(audited: Audited) -> Table:
    rows = [
        (f"{c.measure}, {c.split} minus {c.other}", text.effect(c.effect), decimal(c.error, 2), c.worth)
        for c in audited.quality.contrasts
    ]
    head = ("", "difference", "standard error", "worth a word")
    return Table("Differences of means, in standard deviations", head, [("", rows)])


def _classes(audited: Audited) -> Table:
    info = audited.data.info
    rows = []
    for label in info.labels:
        counts = [(info.counts[split][label], info.count(split)) for split in SPLITS]
        rows.append((label, *(f"{thousands(n)} ({percent(n / of)})" if of else "–" for n, of in counts)))
    return Table("Classes by split", ("", *SPLITS), [("", rows)])


def _findings(audited: Audited) -> Table:
    counts = audited.counts()
    rows = [(what.capitalize(), kind, thousands(counts[kind])) for kind, what in KINDS.items()]
    return Table("Everything in findings.csv", ("", "kind", "findings"), [("", rows)])


def _dropped(audited: Audited) -> Table:
    dropped = audited.dropped
    rows = [
        (kind, *(thousands(dropped.counts[split].get(kind, 0)) for split in SPLITS)) for kind in dropped.kinds
    ]
    sums = [sum(dropped.counts[split].values()) for split in SPLITS]
    left = [audited.data.info.count(split) - n for split, n in zip(SPLITS, sums, strict=True)]
    rows += [("all", *map(thousands, sums)), ("left", *map(thousands, left))]
    return Table("Faces that are dropped, by the first reason that holds", ("", *SPLITS), [("", rows)])
