"""The numbers, tables and galleries of an audit. Draws nothing and finds nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.audit.data import KINDS, AuditData, Finding
from mien.audit.quality import MEASURES
from mien.audit.result import Audit
from mien.judge.text import annotators_data, annotators_table
from mien.labels import SPLITS
from mien.pages.faces import data_uri
from mien.pages.tables import Column, Data, Table
from mien.text import decimal, percent, signed, thousands

MOST_SHOWN = {
    "near": 100,
    "augmented": 60,
    "across": 24,
    "conflict": 60,
    "flat": 24,
    "blurred": 48,
    "label-noise": 48,
    "doubtful-label": 48,
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


def galleries(audit: Audit) -> dict[str, Gallery]:
    """Return what the page shows of each kind."""
    kinds = {name: (name, f"{name}-across") for name in ("near", "augmented")}
    kinds |= {"across": ("identical-across",)}
    findings = {name: audit.of_kind(*kinds.get(name, (name,))) for name in MOST_SHOWN}
    findings["conflict"] = _one_a_group(audit, findings["conflict"])
    return {name: _gallery(audit, of, MOST_SHOWN[name]) for name, of in findings.items()}


def _gallery(audit: Audit, findings: Sequence[Finding], most: int) -> Gallery:
    pieces = []
    for finding in findings[:most]:
        rows = [finding.row] if finding.other is None else [finding.row, finding.other]
        pieces.append(Piece([_shown(audit, row) for row in rows], finding.detail, finding.score))
    return Gallery(pieces, len(findings))


def _one_a_group(audit: Audit, findings: Sequence[Finding]) -> list[Finding]:
    groups = {}
    for finding in findings:
        groups.setdefault(int(audit.data.first[finding.row]), finding)
    return list(groups.values())


def _shown(audit: Audit, row: int) -> Shown:
    table = audit.data.table
    picture = data_uri(np.asarray(audit.data.images[row]))
    identity, split, label = (str(table[name][row]) for name in ("id", "split", "label"))
    return Shown(identity, split, label, picture)


def largest_families(audit: Audit) -> list[Piece]:
    """Return the families with the most different pictures, each with some of them."""
    pictures = np.unique(audit.data.first)
    members = defaultdict(list)
    for row in pictures.tolist():
        members[int(audit.family[row])].append(row)
    largest = sorted(members.values(), key=lambda rows: (-len(rows), rows[0]))[:LARGEST_FAMILIES]
    return [
        Piece([_shown(audit, row) for row in rows[:FAMILY_FACES]], f"{thousands(len(rows))} pictures")
        for rows in largest
        if len(rows) > 2
    ]


FINDING_COLUMNS = (
    *("kind", "id", "split", "label", "source"),
    *("other_id", "other_split", "other_label", "other_source", "score", "detail"),
)
ANY = "any earlier"  # split


def findings(audit: Audit) -> Data:
    """Return a row a finding; the score of copies is their likeness, of votes the majority's share."""
    rows = []
    for one in audit.findings:
        other = _face(audit.data, one.other) if one.other is not None else ("",) * 4
        rows.append((one.kind, *_face(audit.data, one.row), *other, one.score, one.detail))
    return Data.of(FINDING_COLUMNS, rows)


def _face(data: AuditData, row: int) -> tuple[str, ...]:
    return tuple(str(data.table[name][row]) for name in ("id", "split", "label", "source"))


def data(audit: Audit) -> dict[str, Data]:
    """Return every count of an audit, by the name of its file."""
    subjects = {
        "copies": _copies(audit),
        "families": _families(audit),
        "measures": _measures(audit),
        "splits": _splits(audit),
        "classes": _by_split("label", audit.data.info.counts),
        "findings": _kinds(audit),
        "dropped": _by_split("kind", audit.dropped.counts),
    }
    if votes := audit.votes:
        by_class = [(label, faces, agreeing) for label, (agreeing, faces) in votes.by_class.items()]
        subjects["votes"] = Data.of(("label", "faces", "agreeing"), by_class)
        names = next(iter(votes.confusion.values()))
        rows = [(label, *of.values()) for label, of in votes.confusion.items()]
        subjects["confusion"] = Data.of(("label", *names), rows)
    if audit.annotators:
        subjects["annotators"] = annotators_data(audit.annotators)
    if doubts := audit.doubts:
        rows = [(label, *row) for label, row in zip(audit.data.info.labels, doubts.joint, strict=True)]
        subjects["doubts"] = Data.of(("label", *audit.data.info.labels), rows)
    return subjects


def tables(audit: Audit, data: dict[str, Data]) -> dict[str, Table]:
    """Return every table of the page by name."""
    return {
        "copies": _copies_table(data["copies"]),
        "redundant": _redundant(audit),
        "measures": _measures_table(data["measures"]),
        "contrasts": data["splits"].table("Differences of means, in standard deviations"),
        "classes": _classes(audit),
        "findings": data["findings"].table("Everything in findings.csv"),
        "dropped": _dropped(audit),
        "annotators": annotators_table(audit.annotators),
        "doubts": _doubts(audit),
    }


def _copies(audit: Audit) -> Data:
    copies, near = audit.copies, audit.near
    rows = [(*pair, copies.across[pair], near.across[pair]) for pair in copies.across]
    rows += [(split, ANY, copies.copied[split], near.copied[split]) for split in SPLITS[1:]]
    return Data.of(("split", "stands_in", "identical", "identical_or_near"), rows)


def _copies_table(copies: Data) -> Table:
    rows = [
        (f"{split} in {'train or val' if other == ANY else other}", *map(thousands, counts))
        for split, other, *counts in copies.rows
        if (split, other) != ("val", ANY)  # train alone is earlier
    ]
    head = ("", "identical", "with near and altered copies")
    return Table("Faces that stand in an earlier split too", head, [("", rows)])


def _redundant(audit: Audit) -> Table:
    stage, first = audit.data.stage, audit.data.first
    rows = []
    for i, split in enumerate(SPLITS):
        faces = int((stage == i).sum())
        identical = faces - len(np.unique(first[stage == i]))
        rows.append((split, thousands(faces), thousands(identical), thousands(audit.near.redundant[split])))
    head = ("", "faces", "identical to another of the split", "identical, near or altered")
    return Table("Faces that are there again within a split", head, [("", rows)])


def _families(audit: Audit) -> Data:
    data, family = audit.data, audit.family
    sizes = np.bincount(family, minlength=len(data))[family]
    rows = [
        (data.ids[family[row]], *_face(data, row)[:3], data.table["group"][row])
        for row in np.lexsort((np.arange(len(family)), family))
        if sizes[row] > 1
    ]
    return Data.of(("family", "id", "split", "label", "group"), rows)


def _measures(audit: Audit) -> Data:
    rows = [
        (measure, split, spread.mean, spread.deviation, *spread.quantiles)
        for measure, of in audit.quality.spreads.items()
        for split, spread in of.items()
    ]
    return Data.of(("measure", "split", "mean", "deviation", "q05", "q25", "q50", "q75", "q95"), rows)


def _measures_table(measures: Data) -> Table:
    bodies: dict[str, list[tuple[str, ...]]] = {}
    for name, split, *values in measures.rows:
        places = 2 if name == "sharpness" else 1
        body = bodies.setdefault(f"{name}: {MEASURES[name]}", [])
        body.append((split, *(decimal(value, places) for value in values)))
    head = ("", "mean", "sd", "5%", "25%", "median", "75%", "95%")
    return Table("Brightness, contrast and sharpness by split", head, list(bodies.items()))


def _splits(audit: Audit) -> Data:
    columns = (
        Column("between", "", str, in_file=False),
        *map(Column, ("measure", "split", "other")),
        Column("effect", "difference", lambda value: signed(value, 2)),
        Column("error", "standard error", lambda value: decimal(value, 2)),
        Column("worth", "worth a word"),
    )
    rows = [
        (f"{c.measure}, {c.split} minus {c.other}", c.measure, c.split, c.other, c.effect, c.error, c.worth)
        for c in audit.quality.contrasts
    ]
    return Data(columns, rows)


def _doubts(audit: Audit) -> Table:
    classes = audit.data.info.labels
    joint = audit.doubts.joint if audit.doubts else ()
    rows = [
        (label, *map(thousands, map(round, row)))
        for label, row in zip(classes, joint, strict=bool(len(joint)))
    ]
    return Table("Faces by label (rows) and likely class (columns), estimated", ("", *classes), [("", rows)])


def _by_split(what: str, counts: dict[str, dict[str, int]]) -> Data:
    rows = [(split, one, n) for split in SPLITS for one, n in counts[split].items()]
    return Data.of(("split", what, "faces"), rows)


def _classes(audit: Audit) -> Table:
    info = audit.data.info
    rows = []
    for label in info.labels:
        counts = [(info.counts[split][label], info.count(split)) for split in SPLITS]
        rows.append((label, *(f"{thousands(n)} ({percent(n / of)})" if of else "–" for n, of in counts)))
    return Table("Classes by split", ("", *SPLITS), [("", rows)])


def _kinds(audit: Audit) -> Data:
    columns = (
        Column("capitalized", "", str, in_file=False),
        Column("kind", "kind"),
        Column("findings", "findings", thousands),
        Column("what"),
    )
    return Data(columns, [(what.capitalize(), k, audit.counts[k], what) for k, what in KINDS.items()])


def _dropped(audit: Audit) -> Table:
    dropped = audit.dropped
    rows = [
        (kind, *(thousands(dropped.counts[split].get(kind, 0)) for split in SPLITS)) for kind in dropped.kinds
    ]
    sums = [sum(dropped.counts[split].values()) for split in SPLITS]
    left = [audit.data.info.count(split) - n for split, n in zip(SPLITS, sums, strict=True)]
    rows += [("all", *map(thousands, sums)), ("left", *map(thousands, left))]
    return Table("Faces that are dropped, by the first reason that holds", ("", *SPLITS), [("", rows)])
