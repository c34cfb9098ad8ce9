"""Near copies seen across splits: which faces of which split they touch. Compares no picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.audit.copies import pairs_of_splits
from mien.audit.data import AuditData, Finding
from mien.audit.near import Pair, describe
from mien.folds import first_connected
from mien.labels import SPLITS


@dataclass(frozen=True, slots=True)
class Near:
    """Counts of near and augmented copies. Identical pictures count as copies in all but `pairs`."""

    pairs: dict[str, int]  # "near" or "augmented" -> pairs of different pictures
    across: dict[
        tuple[str, str], int
    ]  # (later, earlier) -> faces of the later one with a copy in the earlier
    copied: dict[str, int]  # split -> its faces with a copy in any earlier split
    redundant: dict[str, int]  # split -> faces it could lose and still hold every photograph
    families: int  # sets of pictures that hang together by near copies
    largest: int  # pictures of the largest one
    conflicting: int  # families with more than one label
    limited: bool  # were there too many candidates to look at all?


def tell_pairs(data: AuditData, pairs: Sequence[Pair]) -> list[Finding]:
    """Return a finding a pair; of identical pictures, the two stand for it whose splits lie furthest apart."""
    members = data.members()
    findings = []
    for pair in pairs:
        a, b = (members.get(row, np.array([row])) for row in (pair.row, pair.other))
        gaps = data.stage[a][:, None] - data.stage[b][None, :]
        i, j = np.unravel_index(np.abs(gaps).argmax(), gaps.shape)
        kind = ("augmented" if pair.augmented else "near") + ("-across" if gaps[i, j] else "")
        findings.append(Finding(kind, int(a[i]), int(b[j]), pair.score, describe(pair)))
    return findings


def families(data: AuditData, pairs: Sequence[Pair]) -> np.ndarray:
    """Return int64 (N,): the first row of the family that each face belongs to, by copies of any kind."""
    return np.array(first_connected(data.first.tolist(), ((p.row, p.other) for p in pairs)), np.int64)


def members(data: AuditData, family: np.ndarray) -> list[list[str]]:
    """Return the ids of each family of two and more faces, in the data set's order."""
    order = np.argsort(family, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(family[order])) + 1)
    return [data.ids[rows].tolist() for rows in groups if len(rows) > 1]


def count_near(data: AuditData, pairs: Sequence[Pair], family: np.ndarray, *, limited: bool = False) -> Near:
    """Count near copies by split."""
    partners = _stages_of_copies(data, pairs)
    stage = data.stage
    across, copied, redundant = {}, {}, {}
    for later, earlier in pairs_of_splits():
        touched = (stage == SPLITS.index(later)) & partners[:, SPLITS.index(earlier)]
        across[later, earlier] = int(touched.sum())
    for i, split in enumerate(SPLITS):
        copied[split] = int(((stage == i) & partners[:, :i].any(1)).sum())
        redundant[split] = int((stage == i).sum()) - len(np.unique(family[stage == i]))
    pictures = np.unique(data.first)
    _, sizes = np.unique(family[pictures], return_counts=True)
    touched = np.unique([family[pair.row] for pair in pairs])
    labels = [set(data.labels[family == first]) for first in touched] if len(touched) else []
    augmented = sum(pair.augmented for pair in pairs)
    return Near(
        pairs={"near": len(pairs) - augmented, "augmented": augmented},
        across=across,
        copied=copied,
        redundant=redundant,
        families=len(touched),
        largest=int(sizes.max(initial=1)),
        conflicting=sum(len(of) > 1 for of in labels),
        limited=limited,
    )


def _stages_of_copies(data: AuditData, pairs: Sequence[Pair]) -> np.ndarray:
    """Return bool (N, 3): has a face a copy, identical or near, in train, val and test?"""
    stands = np.zeros((len(data), len(SPLITS)), bool)
    np.logical_or.at(stands, (data.first, data.stage), True)  # by picture
    copies = stands.copy()
    for pair in pairs:
        copies[pair.row] |= stands[pair.other]
        copies[pair.other] |= stands[pair.row]
    return copies[data.first]
