"""Writes a data set without the faces in question. Finds nothing itself.

The test split loses flat pictures and, when asked, those that are no face; every other finding
is settled in train and val. So networks that are judged on the test split before and after
cleaning are judged on the same faces, and no face of train or val stands in test any more.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.audit.data import KINDS, AuditData, Finding
from mien.dataset import COLUMNS, DatasetInfo, read_left_out, standing, writing_dataset
from mien.errors import DataError
from mien.labels import SPLITS, did_you_mean
from mien.text import many

DROPPED_BY_DEFAULT = (
    "flat",
    "conflict",
    "identical-across",
    "near-across",
    "augmented-across",
    "identical",
)
ALSO_FROM_TEST = ("flat", "not-a-face")
TEST = SPLITS.index("test")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a cleaned data set lacks."""

    folder: Path | None  # None where nothing was written
    kinds: tuple[str, ...]
    predictions: list[str]  # sha256 of each table whose doubts count
    reasons: dict[int, tuple[str, int | None]] = field(
        repr=False
    )  # row -> kind, and the row of the face it is like
    counts: dict[str, dict[str, int]]  # split -> kind -> faces


def chosen_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return kinds in their own order, each once; DataError for one that is not known."""
    for kind in kinds:
        if kind not in KINDS:
            raise DataError(f'"{kind}" is not one of {", ".join(KINDS)}{did_you_mean(kind, KINDS)}')
    return tuple(kind for kind in KINDS if kind in kinds)


def stands_already(target: Path, info: DatasetInfo, kinds: tuple[str, ...], predictions: list[str]) -> bool:
    """Tell whether `target` holds what would be written; DataError where it holds anything else."""
    if not target.exists() and not target.is_symlink():
        return False
    same = {"kind": "audit", "from": info.fingerprint, "kinds": list(kinds), **_doubted(predictions)}
    standing(target, lambda origin: {key: origin.get(key) for key in same} == same)
    return True


def _doubted(predictions: list[str]) -> dict[str, list[str]]:
    return {"predictions": predictions} if predictions else {}


def choose(data: AuditData, findings: Sequence[Finding], kinds: tuple[str, ...]) -> dict:
    """Return which rows to drop and why: row -> (kind, the row of the face it is like, or None)."""
    by_kind = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    members = data.members()
    reasons = {}
    for kind in kinds:
        if kind.endswith("-across"):
            drops = _across(data, members, by_kind[kind])
        elif kind == "identical":
            drops = _repeated(data, members, reasons)
        elif kind in ("near", "augmented"):
            drops = _alike(data, members, by_kind[kind] + by_kind[f"{kind}-across"], reasons)
        else:
            drops = ((finding.row, finding.other) for finding in by_kind[kind])
        for row, other in drops:
            if data.stage[row] != TEST or kind in ALSO_FROM_TEST:
                reasons.setdefault(row, (kind, other))
    return reasons


def _groups(members: dict, data: AuditData, finding: Finding) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the pixels of a finding's two faces."""
    firsts = (int(data.first[row]) for row in (finding.row, finding.other))
    return tuple(members.get(first, np.array([first])) for first in firsts)


def _across(data: AuditData, members: dict, findings: Sequence[Finding]) -> Iterator[tuple[int, int]]:
    """Yield the faces of an earlier split, each with one of the latest split that it copies."""
    for finding in findings:
        a, b = _groups(members, data, finding)
        for rows, others in ((a, b), (b, a)):
            latest = others[np.argmax(data.stage[others])]
            for row in rows:
                if data.stage[row] < data.stage[latest]:
                    yield int(row), int(latest)


def _repeated(data: AuditData, members: dict, reasons: dict) -> Iterator[tuple[int, int]]:
    """Yield the faces whose picture a face before them in their split, which stays, has too."""
    for rows in members.values():
        staying = {}
        for row in map(int, rows):
            if row not in reasons:
                first = staying.setdefault(int(data.stage[row]), row)
                if first != row:
                    yield row, first


def _alike(data: AuditData, members: dict, findings, reasons: dict) -> Iterator[tuple[int, int]]:
    """Yield the faces that are a near copy of a face before them in their split, which stays."""
    before = defaultdict(list)
    for finding in findings:
        a, b = _groups(members, data, finding)
        for row in map(int, a):
            for other in map(int, b[data.stage[b] == data.stage[row]]):
                before[max(row, other)].append(min(row, other))
    for row in sorted(before):
        stays = [other for other in before[row] if other not in reasons]
        if stays and row not in reasons:
            yield row, min(stays)


def write_clean(data: AuditData, dropped: Dropped, target: Path, counting: Callable) -> None:
    """Write the faces that stay, with their ids, and list every other one in left-out.csv.

    Raises DataError where a split would lose all its faces.
    """
    reasons, counts = dropped.reasons, dropped.counts
    for stage, split in enumerate(SPLITS):
        faces = int((data.stage == stage).sum())
        if faces and sum(counts[split].values()) == faces:
            why = ", ".join(f"{n:,} {kind}" for kind, n in counts[split].items())
            raise DataError(f"{target}: no face of {split} would be left ({why}); choose fewer --kinds")
    table, extra = data.table, tuple(name for name in data.table if name not in COLUMNS)
    info = data.info
    with writing_dataset(target, side=info.side, labels=info.labels, extra=extra) as writer:
        for source, reason in read_left_out(info):
            writer.leave_out(source, reason)
        for row in counting("writing faces", len(data), range(len(data))):
            if row in reasons:
                writer.leave_out(str(table["source"][row]), _reason(data, *reasons[row]))
                continue
            writer.add(
                data.images[row].tobytes(),
                label=str(table["label"][row]),
                split=str(table["split"][row]),
                source=str(table["source"][row]),
                extra=tuple(str(table[name][row]) for name in extra),
                identity=str(table["id"][row]),
            )
        writer.finish(
            {
                "kind": "audit",
                "from": info.fingerprint,
                "origin": info.origin,
                "kinds": list(dropped.kinds),
                **_doubted(dropped.predictions),
                "dropped": counts,
            },
            notes=(
                *info.notes,
                f"Cleaned: {many(len(reasons), 'face was', 'faces were')} left out by an audit.",
            ),
        )


def count_reasons(data: AuditData, reasons: dict) -> dict[str, dict[str, int]]:
    """Return the dropped faces by split and kind."""
    counts = Counter((int(data.stage[row]), kind) for row, (kind, _) in reasons.items())
    return {
        split: {kind: counts[stage, kind] for kind in KINDS if counts[stage, kind]}
        for stage, split in enumerate(SPLITS)
    }


def _reason(data: AuditData, kind: str, other: int | None) -> str:
    if other is None:
        return kind
    return f"{kind}: see face {data.ids[other]} of {data.table['split'][other]}"
