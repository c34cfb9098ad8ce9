"""Audits a data set: copies, poor pictures, splits that differ, labels in question. Trains nothing.

`audit` makes a folder with `audit.html` (one file that opens anywhere), `findings.csv` (a row a
finding), `numbers/` (CSV) and `figures/` (each as SVG and PNG), and on request a cleaned data
set; `summary` tells the result in the terminal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien import __version__
from mien.audit import tables, text
from mien.audit.audited import Audited
from mien.audit.clean import (
    DROPPED_BY_DEFAULT,
    Dropped,
    choose,
    chosen_kinds,
    count_reasons,
    stands_already,
    write_clean,
)
from mien.audit.copies import Copies, find_copies
from mien.audit.csv_tables import write_findings, write_numbers
from mien.audit.data import KINDS, AuditData, gather
from mien.audit.families import Near, count_near, families, tell_pairs
from mien.audit.figures import draw
from mien.audit.near import LEAST, Pair, find_pairs, moves
from mien.audit.pictures import SIDE
from mien.audit.quality import BLURRED_BELOW, Quality, find_poor
from mien.audit.votes import VoteCheck, find_label_noise
from mien.errors import StorageError
from mien.files import refuse_other_contents, replacing_folder, write_atomic
from mien.labels import SPLITS
from mien.pages import render
from mien.pages.figures import themed
from mien.progress import Counting
from mien.text import Said, filled, joined, quoted, thousands

__all__ = ["DROPPED_BY_DEFAULT", "KINDS", "Audit", "audit", "summary"]

PAGE, FINDINGS = "audit.html", "findings.csv"
CONTENTS = {PAGE, FINDINGS, "figures", "numbers"}
SECTIONS = (
    ("copies", "Copies across splits"),
    ("near", "Near copies"),
    ("augmented", "Turned, zoomed or moved"),
    ("poor", "Flat and blurred"),
    ("splits", "Do the splits look alike?"),
    ("classes", "Classes"),
    ("votes", "Labels and votes"),
    ("cleaning", "Cleaning"),
    ("method", "How this was done"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What `audit` found, and where its page lies."""

    folder: Path
    page: Path
    fingerprint: str
    copies: Copies
    near: Near
    quality: Quality
    votes: VoteCheck | None  # None without votes
    counts: dict[str, int]  # kind -> findings
    said: tuple[Said, ...]  # the conclusions in words
    dropped: Dropped | None  # None where no cleaned data set was asked for

    def to_dict(self) -> dict:
        """Return the audit as plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "folder": str(self.folder),
            "page": str(self.page),
            "fingerprint": self.fingerprint,
            "copies": self.copies.to_dict(),
            "near": self.near.to_dict(),
            "quality": self.quality.to_dict(),
            "votes": self.votes.to_dict() if self.votes else None,
            "counts": self.counts,
            "said": [{"head": said.head, "sentence": said.sentence} for said in self.said],
            "dropped": self.dropped.to_dict() if self.dropped else None,
        }


def audit(
    folder: Path,
    out: Path,
    *,
    drop: Path | None = None,
    kinds: Sequence[str] = DROPPED_BY_DEFAULT,
    progress: Counting | None = None,
) -> Audit:
    """Audit a data set, write the page and its tables into folder `out`, and a cleaned one to `drop`.

    `kinds` says which findings cost a face its place there. Either folder appears whole or not at
    all; an audit that stands at `out` is replaced, a data set at `drop` that was cleaned in the
    same way is left as it is. Raises DataError where `folder` is no data set, a kind is not known
    or `drop` holds anything else, StorageError where `out` holds anything else, MissingExtra
    without matplotlib.
    """
    folder, out, drop = Path(folder), Path(out), None if drop is None else Path(drop)
    chosen, counting = chosen_kinds(kinds), (progress or Counting()).over
    refuse_other_contents(out, CONTENTS)
    if drop is not None and out.resolve() in (drop.resolve(), *drop.resolve().parents):
        raise StorageError(
            f"{drop}: lies in the audit's own folder {out}; choose another place for the data set"
        )
    with themed("audit"):
        data = gather(folder)
        there = drop is not None and stands_already(drop, data.info, chosen)
        audited = _examine(data, drop, chosen, counting)
        if drop is not None and not there:
            write_clean(data, audited.dropped, drop, counting)
        said = tuple(text.say(data, audited.copies, audited.near, audited.quality, audited.votes))
        with replacing_folder(out) as hidden:
            for name in ("figures", "numbers"):
                (hidden / name).mkdir()
            drawn = draw(audited, hidden / "figures")
            write_atomic(hidden / PAGE, _html(audited, said, drawn, out))
            write_findings(audited, hidden / FINDINGS)
            write_numbers(audited, hidden / "numbers")
    return Audit(
        folder=out,
        page=out / PAGE,
        fingerprint=data.info.fingerprint,
        copies=audited.copies,
        near=audited.near,
        quality=audited.quality,
        votes=audited.votes,
        counts=audited.counts(),
        said=said,
        dropped=None if drop is None else audited.dropped,
    )


def _examine(data: AuditData, drop: Path | None, chosen: tuple[str, ...], counting: Callable) -> Audited:
    """Find everything that is in question, and what is dropped for it."""
    copies, findings = find_copies(data)
    quality, poor = find_poor(data, counting)
    votes, noise = find_label_noise(data)
    pairs, limited = _pairs(data, quality, counting)
    family = families(data, pairs)
    order = {kind: place for place, kind in enumerate(KINDS)}
    findings = sorted(findings + poor + noise + tell_pairs(data, pairs), key=lambda f: order[f.kind])
    near = count_near(data, pairs, family, limited=limited)
    reasons = choose(data, findings, chosen)
    dropped = Dropped(drop, chosen, reasons, count_reasons(data, reasons))
    return Audited(data, copies, near, quality, votes, family, findings, dropped)


def _pairs(data: AuditData, quality: Quality, counting: Callable) -> tuple[list[Pair], bool]:
    """Return near copies among the different pictures that show anything, and whether some were left.

    Their rows are those of the data set.
    """
    fresh = data.first == np.arange(len(data))
    rows = np.flatnonzero(fresh & ~np.isnan(quality.values["sharpness"]))
    pairs, limited = find_pairs(data.images[rows], counting)
    return [replace(pair, row=int(rows[pair.row]), other=int(rows[pair.other])) for pair in pairs], limited


def _html(audited: Audited, said: Sequence[Said], drawn: dict, out: Path) -> str:
    """Return the page."""
    data, dropped = audited.data, audited.dropped
    info = data.info
    command = f"mien audit {quoted(info.folder)} --out {quoted(out)}"
    if dropped.folder is not None:
        command += f" \\\n  --drop {quoted(dropped.folder)} --kinds {','.join(dropped.kinds)}"
    return render(
        "mien.audit",
        "audit.html",
        title=f"The audit of {info.folder.resolve().name}",
        lead=_lead(data),
        said=said,
        sections=SECTIONS,
        tables=tables.tables(audited),
        galleries=tables.galleries(audited),
        families=tables.largest_families(audited),
        drawn=drawn,
        least=LEAST,
        blurred_below=BLURRED_BELOW,
        limited=audited.near.limited,
        moves=len(moves()) - 1,
        large=info.side > SIDE,
        about_cleaning=text.about_cleaning(audited.data, dropped),
        folder=info.folder,
        fingerprint=info.fingerprint,
        command=command,
        version=__version__,
    )


def _lead(data: AuditData) -> str:
    info = data.info
    splits = joined([f"{thousands(info.count(split))} in {split}" for split in SPLITS])
    return f"{thousands(len(data))} faces of {info.side} × {info.side} pixels: {splits}."


def summary(audit: Audit) -> str:
    """Return the result as text of at most 100 columns: what was found, and the page's path."""
    lines = []
    for said in audit.said:
        lines += [said.head, filled(said.sentence, "  "), ""]
    if audit.dropped:
        lines += [filled(text.about_dropped(audit.dropped), "  "), ""]
    return "\n".join([*lines, str(audit.page)])
