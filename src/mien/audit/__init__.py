"""Audits a data set: copies, poor pictures, splits that differ, labels in question. Trains nothing.

`audit` makes a folder with `audit.html` (one file that opens anywhere), `findings.csv` (a row a
finding), `numbers/` (CSV) and `figures/` (each as SVG and PNG), and on request a cleaned data
set; `summary` tells the result in the terminal.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.audit import text
from mien.audit.annotators import find_annotators
from mien.audit.clean import (
    DROPPED_BY_DEFAULT,
    Dropped,
    choose,
    chosen_kinds,
    count_reasons,
    stands_already,
    write_clean,
)
from mien.audit.copies import find_copies
from mien.audit.data import KINDS, AuditData, gather
from mien.audit.doubts import find_doubts, sha256_of
from mien.audit.families import count_near, families, members, tell_pairs
from mien.audit.near import Pair, find_pairs
from mien.audit.quality import Quality, find_poor
from mien.audit.report import FINDINGS, PAGE, fill
from mien.audit.result import Audit, count_kinds
from mien.audit.text import summary
from mien.audit.votes import find_label_noise
from mien.dataset import units_of, write_families
from mien.errors import StorageError
from mien.pages.report import writing_report
from mien.progress import Counting

__all__ = ["DROPPED_BY_DEFAULT", "KINDS", "Audit", "audit", "summary"]


def audit(
    folder: Path,
    out: Path,
    *,
    drop: Path | None = None,
    kinds: Sequence[str] = DROPPED_BY_DEFAULT,
    store: bool = False,
    predictions: Sequence[Path] = (),
    progress: Counting | None = None,
) -> Audit:
    """Audit a data set, write the page and its tables into folder `out`, and a cleaned one to `drop`.

    `kinds` says which findings cost a face its place there. With `store` the families of copies are kept beside the
    faces, in `families.json`: predictions made and judged from then on know which faces are strictly clean.
    `predictions` are tables of networks that were not trained on the faces in them; labels that they contradict are
    doubtful. Either folder appears whole or not at all; an audit that stands at `out` is replaced, a data set at `drop`
    that was cleaned in the same way is left as it is. Raises DataError where `folder` is no data set, a kind is not
    known, predictions are of other classes or faces or `drop`
    holds anything else, StorageError where `out` holds anything else, MissingExtra without matplotlib.
    """
    folder, out, drop = Path(folder), Path(out), None if drop is None else Path(drop)
    chosen, counting = chosen_kinds(kinds), (progress or Counting()).over
    if drop is not None and out.resolve() in (drop.resolve(), *drop.resolve().parents):
        raise StorageError(
            f"{drop}: lies in the audit's own folder {out}; choose another place for the data set"
        )
    with writing_report(out, PAGE, extra="audit", others=(FINDINGS,)) as report:
        data = gather(folder)
        there = drop is not None and stands_already(drop, data.info, chosen, sha256_of(predictions, chosen))
        result = _examine(data, out, drop, chosen, predictions, counting)
        if drop is not None and not there:
            write_clean(data, result.dropped, drop, counting)
        fill(report, result)
    if store:
        write_families(data.info, members(data, result.family))
    return result


def _examine(
    data: AuditData,
    out: Path,
    drop: Path | None,
    chosen: tuple[str, ...],
    predictions: Sequence[Path],
    counting: Callable,
) -> Audit:
    """Find everything that is in question, and what is dropped for it."""
    doubts, doubtful = find_doubts(data, predictions)
    copies, findings = find_copies(data)
    quality, poor = find_poor(data, counting)
    votes, noise = find_label_noise(data)
    annotators = find_annotators(data)
    pairs, limited = _pairs(data, quality, counting)
    family = families(data, pairs)
    order = {kind: place for place, kind in enumerate(KINDS)}
    findings = sorted(
        findings + poor + noise + doubtful + tell_pairs(data, pairs), key=lambda f: order[f.kind]
    )
    near = count_near(data, pairs, family, limited=limited)
    reasons = choose(data, findings, chosen)
    return Audit(
        folder=out,
        page=out / PAGE,
        fingerprint=data.info.fingerprint,
        copies=copies,
        near=near,
        quality=quality,
        votes=votes,
        annotators=annotators,
        doubts=doubts,
        counts=count_kinds(findings),
        conclusions=tuple(text.conclude(data, copies, near, quality, votes, annotators, doubts)),
        dropped=Dropped(drop, chosen, sha256_of(predictions, chosen), reasons, count_reasons(data, reasons)),
        data=data,
        family=family,
        findings=findings,
    )


def _pairs(data: AuditData, quality: Quality, counting: Callable) -> tuple[list[Pair], bool]:
    """Return near copies among the different pictures that show anything, and whether some were left.

    Their rows are those of the data set. Of a clip its first, middle and last frame are compared with those of others,
    of other people where they are named, since the frames of one are alike.
    """
    fresh = data.first == np.arange(len(data))
    units = None
    if "clip" in data.table:
        units = units_of(data.table["clip"], data.table.get("person"))
        fresh &= _few_frames(data.table["clip"])
    rows = np.flatnonzero(fresh & ~np.isnan(quality.values["sharpness"]))
    pairs, limited = find_pairs(data.images[rows], counting)
    pairs = [replace(pair, row=int(rows[pair.row]), other=int(rows[pair.other])) for pair in pairs]
    if units is not None:
        pairs = [pair for pair in pairs if units[pair.row] != units[pair.other]]
    return pairs, limited


def _few_frames(clips: np.ndarray) -> np.ndarray:
    """Return which faces are the first, middle or last of their clip in the table, bool (N,)."""
    _, clip = np.unique(clips, return_inverse=True)
    few = np.zeros(len(clips), bool)
    for rows in np.split(np.argsort(clip, kind="stable"), np.cumsum(np.bincount(clip))[:-1]):
        few[rows[[0, len(rows) // 2, -1]]] = True
    return few
