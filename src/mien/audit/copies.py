"""Identical pictures: within a split, across splits, with different labels. Looks at the table alone."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mien.audit.data import AuditData, Finding
from mien.dataset import PERSON
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
    people: dict[str, int] | None  # split -> its faces of a person of an earlier split; None: nobody is named


def pairs_of_splits() -> list[tuple[str, str]]:
    """Return (later, earlier) for every two splits: a network that saw the earlier may know the later."""
    return [(later, earlier) for i, later in enumerate(SPLITS) for earlier in SPLITS[:i]]


def find_copies(data: AuditData) -> tuple[Copies, list[Finding]]:
    """Count identical pictures and tell each, in the data set's order."""
    members = data.members()
    conflicting = [rows for rows in members.values() if len(set(data.labels[rows])) > 1]
    findings = [f for rows in conflicting for f in _conflict(data, rows)]
    for rows in members.values():
        findings += _pairs(data, rows)
    across = {
        (later, earlier): int(_stands_in(data, later, [earlier]).sum())
        for later, earlier in pairs_of_splits()
    }
    copied = {split: int(_stands_in(data, split, SPLITS[:i]).sum()) for i, split in enumerate(SPLITS)}
    redundant = len(data) - len(np.unique(data.first))
    return Copies(len(members), redundant, len(conflicting), across, copied, _people(data)), findings


def _people(data: AuditData) -> dict[str, int] | None:
    """Return how many faces of each split show a person of an earlier split; faces of nobody known are left out."""
    people = data.table.get(PERSON)
    if people is None:
        return None
    named = people != ""
    return {
        split: int(np.isin(people[(data.stage == i) & named], people[data.stage < i]).sum())
        for i, split in enumerate(SPLITS)
    }


def _stands_in(data: AuditData, split: str, others) -> np.ndarray:
    """Return bool by face: is it of `split`, and does its picture stand in one of the others too?"""
    there = np.isin(data.stage, [SPLITS.index(other) for other in others])
    return (data.stage == SPLITS.index(split)) & np.isin(data.first, data.first[there])


def _conflict(data: AuditData, rows: np.ndarray) -> Iterator[Finding]:
    """Tell each face of a group, beside the first one there with another label."""
    counts = Counter(data.labels[rows].tolist()).most_common()
    detail = "labeled " + joined([f"{label} {n} time{'s' * (n > 1)}" for label, n in counts])
    for row in rows:
        other = next(o for o in rows if data.labels[o] != data.labels[row])
        yield Finding("conflict", int(row), int(other), None, detail)


def _pairs(data: AuditData, rows: np.ndarray) -> Iterator[Finding]:
    """Tell a face beside the first like it in its own split, and the first in each earlier split."""
    stages = data.stage[rows]
    for row, stage in zip(rows, stages, strict=True):
        first = rows[stages == stage][0]
        if first != row:
            yield Finding("identical", int(row), int(first), 1.0, "the same pixels")
        for earlier in np.unique(stages[stages < stage]):
            other = rows[stages == earlier][0]
            yield Finding("identical-across", int(row), int(other), 1.0, "the same pixels")
