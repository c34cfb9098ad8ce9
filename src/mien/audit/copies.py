"""Identical pictures: within a split, across splits, with different labels. Looks at the table alone."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mien.audit.material import Finding, Material
from mien.labels import SPLITS
from mien.text import joined


@dataclass(frozen=True, slots=True)
class Copies:
    """Counts of identical pictures; a pair of splits is (later, earlier)."""

    groups: int  # of two and more identical pictures
    redundant: int  # pictures that are not the first of their group
    conflicting: int  # groups whose labels disagree
    across: dict[tuple[str, str], int]  # faces of the later split that stand in the earlier one too
    copied: dict[str, int]  # split -> its faces that stand in any earlier split too

    def to_dict(self) -> dict:
        """Return the counts as plain values."""
        return {
            "groups": self.groups,
            "redundant": self.redundant,
            "conflicting": self.conflicting,
            "across": {f"{later} in {earlier}": n for (later, earlier), n in self.across.items()},
            "copied": self.copied,
        }


def pairs_of_splits() -> list[tuple[str, str]]:
    """Return (later, earlier) for every two splits: a network that saw the earlier may know the later."""
    return [(later, earlier) for i, later in enumerate(SPLITS) for earlier in SPLITS[:i]]


def find_copies(material: Material) -> tuple[Copies, list[Finding]]:
    """Count identical pictures and tell each, in the data set's order."""
    members = material.members()
    conflicting = [rows for rows in members.values() if len(set(material.labels[rows])) > 1]
    found = [f for rows in conflicting for f in _conflict(material, rows)]
    for rows in members.values():
        found += _pairs(material, rows)
    across = {
        (later, earlier): int(_stands_in(material, later, [earlier]).sum())
        for later, earlier in pairs_of_splits()
    }
    copied = {split: int(_stands_in(material, split, SPLITS[:i]).sum()) for i, split in enumerate(SPLITS)}
    redundant = len(material) - len(np.unique(material.first))
    return Copies(len(members), redundant, len(conflicting), across, copied), found


def _stands_in(material: Material, split: str, others) -> np.ndarray:
    """Return bool by face: is it of `split`, and does its picture stand in one of the others too?"""
    there = np.isin(material.stage, [SPLITS.index(other) for other in others])
    return (material.stage == SPLITS.index(split)) & np.isin(material.first, material.first[there])


def _conflict(material: Material, rows: np.ndarray) -> Iterator[Finding]:
    """Tell each face of a group, beside the first one there with another label."""
    counts = Counter(material.labels[rows].tolist()).most_common()
    told = "labeled " + joined([f"{label} {n} time{'s' * (n > 1)}" for label, n in counts])
    for row in rows:
        other = next(o for o in rows if material.labels[o] != material.labels[row])
        yield Finding("conflict", int(row), int(other), None, told)


def _pairs(material: Material, rows: np.ndarray) -> Iterator[Finding]:
    """Tell a face beside the first like it in its own split, and the first in each earlier split."""
    stages = material.stage[rows]
    for row, stage in zip(rows, stages, strict=True):
        first = rows[stages == stage][0]
        if first != row:
            yield Finding("identical", int(row), int(first), 1.0, "the same pixels")
        for earlier in np.unique(stages[stages < stage]):
            other = rows[stages == earlier][0]
            yield Finding("identical-across", int(row), int(other), 1.0, "the same pixels")
