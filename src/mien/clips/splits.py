"""Draws the splits that a source of clips lacks: whole people, or whole clips where nobody is named."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from mien.dataset import Row
from mien.labels import SPLITS

SHARE = 0.1
FEWEST = 3  # units from which on one is drawn


def fill_clip_splits(rows: Sequence[Row], units: Sequence[str], *, seed: int) -> list[str]:
    """Give every row without a split one, in place; return a sentence for the summary.

    `units` is the person or clip of each row. Rows without a split go to train, of which a tenth of the units is drawn
    for each split that is missing: of each class, where a unit shows one alone.
    """
    loose = sum(row.split is None for row in rows)
    by_unit: dict[str, list[Row]] = defaultdict(list)
    for row, unit in zip(rows, units, strict=True):
        row.split = row.split or "train"
        by_unit[unit].append(row)
    missing = [split for split in SPLITS if split not in {row.split for row in rows}]
    if not loose or not missing or "train" in missing:
        return []
    for split in reversed(missing):
        _draw(by_unit, split, seed)
    drawn = {row.split for row in rows}
    notes = [
        f"There are too few people or clips to draw any for {split}."
        for split in missing
        if split not in drawn
    ]
    if there := [split for split in missing if split in drawn]:
        notes.append(
            f"{' and '.join(there)} drawn from train, {SHARE:.0%} of the people each, or of the clips where nobody is "
            f"named, seed {seed}; nobody who is named stands in two splits."
        )
    return notes


def _draw(by_unit: dict[str, list[Row]], split: str, seed: int) -> None:
    strata: dict[str, list[str]] = defaultdict(list)
    for unit, rows in by_unit.items():
        if rows[0].split == "train":
            labels = {row.label for row in rows}
            strata[labels.pop() if len(labels) == 1 else ""].append(unit)
    for units in strata.values():
        units.sort(
            key=lambda unit: hashlib.blake2b(f"{seed}/{split}/{unit}".encode(), digest_size=16).digest()
        )
        for unit in units[: round(SHARE * len(units)) or int(len(units) >= FEWEST)]:
            for row in by_unit[unit]:
                row.split = split
