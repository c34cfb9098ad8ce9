"""Draws the splits that a source lacks. Knows nothing about images or files.

Faces without a split go to train; a missing split is then drawn from train: a tenth of each class, identical images
and images of one person kept together, by a hash of seed and source, so that few faces change splits when others are
added.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from mien.dataset import Row
from mien.folds import merged
from mien.labels import SPLITS
from mien.text import many

SHARE = 0.1
FEWEST = 3  # faces of a class that are enough for one in a drawn split


def fill_splits(rows: Sequence[Row], *, seed: int, people: Sequence[str] = ()) -> list[str]:
    """Assign every row its split, in place; return sentences for the summary.

    `people` is the person of each row, "" where it is not known; none where no person is known.
    """
    loose = [row for row in rows if row.split is None]
    for row in loose:
        row.split = "train"
    there = {row.split for row in rows}
    missing = [split for split in SPLITS if split not in there]
    if "train" in missing:
        return [f"There is no face for {' and '.join(missing)}, and none was drawn: that needs train faces."]
    groups = np.array([row.group for row in rows])
    units = (merged(groups, np.array(people)) if people else groups).tolist()
    for split in reversed(missing):
        _draw(rows, units, split, seed)
    drawn = {row.split for row in rows}
    few = "There are too few different pictures to draw any for"
    notes = [f"{few} {split}." for split in missing if split not in drawn]
    drawn_now = [split for split in missing if split in drawn]
    return notes + _notes(len(loose), len(rows), drawn_now, seed, people=bool(people))


def _notes(loose: int, faces: int, missing: list[str], seed: int, *, people: bool) -> list[str]:
    notes = []
    if loose and loose < faces:
        notes.append(
            f"{many(loose, 'face had', 'faces had')} no split and counted as train, of which others are drawn."
        )
    if missing:
        had = (
            "The source has no splits"
            if loose == faces
            else f"The source has no {' and no '.join(missing)} split"
        )
        drawn = f"{missing[0]} was drawn from train, {SHARE:.0%} of each class"
        if len(missing) > 1:
            drawn = f"val and test were drawn from train, {SHARE:.0%} of each class for test, then of the rest for val"
        notes.append(
            f"{had}: {drawn}, seed {seed}, "
            + (
                "identical pictures and the pictures of one person kept together."
                if people
                else "identical pictures kept together. One person may stand in several splits; a column person in a "
                "table or parquet file, or --person PATTERN, keeps each in one."
            )
        )
    return notes


def _draw(rows: Sequence[Row], units: Sequence[str], split: str, seed: int) -> None:
    """Move units of faces from train to a split: those of one class while it needs as many, persons while faces do."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row, unit in zip(rows, units, strict=True):
        groups[unit].append(row)
    faces = Counter(row.label for row in rows if row.split == "train")
    quota = {label: round(SHARE * n) or int(n >= FEWEST) for label, n in faces.items()}
    free = [group for group in groups.values() if all(row.split == "train" for row in group)]
    for group in sorted(free, key=lambda group: _key(seed, split, group[0])):
        if _fits(group, quota):
            for row in group:
                quota[row.label] -= 1
                row.split = split


def _fits(group: Sequence[Row], quota: Mapping[str, int]) -> bool:
    label = group[0].label
    if all(row.group == group[0].group for row in group):
        return quota[label] >= len(group)
    return sum(quota.values()) >= len(group) / 2  # a person has several classes


def _key(seed: int, split: str, row: Row) -> bytes:
    return hashlib.blake2b(f"{seed}/{split}/{row.source}".encode(), digest_size=16).digest()
