"""Writes an audit's findings and counts as CSV. Computes next to nothing."""

from pathlib import Path

import numpy as np

from mien.audit.audited import Audited
from mien.audit.data import KINDS, AuditData, Finding
from mien.audit.votes import VoteCheck
from mien.files import write_csv
from mien.labels import SPLITS

FINDING_COLUMNS = (
    *("kind", "id", "split", "label", "source"),
    *("other_id", "other_split", "other_label", "other_source", "score", "detail"),
)


def write_findings(audited: Audited, path: Path) -> None:
    """Write a row a finding; the score of copies is their likeness, of votes the majority's share."""
    write_csv(path, FINDING_COLUMNS, (_finding(audited.data, f) for f in audited.findings))


def write_numbers(audited: Audited, folder: Path) -> None:
    """Write the tables of counts into a folder; figures keep 9 digits."""
    tables = [_copies, _families, _measures, _splits, _classes, _findings, _dropped]
    for table in tables:
        write_csv(folder / f"{table.__name__[1:]}.csv", *table(audited))
    if audited.votes:
        write_csv(folder / "votes.csv", *_votes(audited.votes))
        write_csv(folder / "confusion.csv", *_confusion(audited.votes))


def _finding(data: AuditData, finding: Finding) -> tuple:
    other = _face(data, finding.other) if finding.other is not None else ("",) * 4
    return (finding.kind, *_face(data, finding.row), *other, finding.score, finding.detail)


def _face(data: AuditData, row: int) -> tuple[str, ...]:
    return tuple(str(data.table[name][row]) for name in ("id", "split", "label", "source"))


def _copies(audited: Audited):
    copies, near = audited.copies, audited.near
    rows = [(*pair, copies.across[pair], near.across[pair]) for pair in copies.across]
    rows += [(split, "any earlier", copies.copied[split], near.copied[split]) for split in SPLITS[1:]]
    return ("split", "stands_in", "identical", "identical_or_near"), rows


def _families(audited: Audited):
    data, family = audited.data, audited.family
    sizes = np.bincount(family, minlength=len(data))[family]
    rows = [
        (data.ids[family[row]], *_face(data, row)[:3], data.table["group"][row])
        for row in np.lexsort((np.arange(len(family)), family))
        if sizes[row] > 1
    ]
    return ("family", "id", "split", "label", "group"), rows


def _measures(audited: Audited):
    rows = [
        (measure, split, spread.mean, spread.deviation, *spread.quantiles)
        for measure, of in audited.quality.spreads.items()
        for split, spread in of.items()
    ]
    return ("measure", "split", "mean", "deviation", "q05", "q25", "q50", "q75", "q95"), rows


def _splits(audited: Audited):
    rows = [(c.measure, c.split, c.other, c.effect, c.error, c.worth) for c in audited.quality.contrasts]
    return ("measure", "split", "other", "effect", "error", "worth"), rows


def _classes(audited: Audited):
    counts = audited.data.info.counts
    rows = [(split, label, n) for split in SPLITS for label, n in counts[split].items()]
    return ("split", "label", "faces"), rows


def _findings(audited: Audited):
    counts = audited.counts()
    return ("kind", "findings", "what"), [(kind, counts[kind], what) for kind, what in KINDS.items()]


def _dropped(audited: Audited):
    rows = [(split, kind, n) for split, of in audited.dropped.counts.items() for kind, n in of.items()]
    return ("split", "kind", "faces"), rows


def _votes(votes: VoteCheck):
    rows = [(label, faces, agreeing) for label, (agreeing, faces) in votes.by_class.items()]
    return ("label", "faces", "agreeing"), rows


def _confusion(votes: VoteCheck):
    confusion = votes.confusion
    names = list(next(iter(confusion.values())))
    return ("label", *names), [(label, *of.values()) for label, of in confusion.items()]
