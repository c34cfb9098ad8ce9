"""The parts of a split that networks are judged on. Knows nothing about scores.

A network may have memorized a face that stands in an earlier split too, so conclusions are drawn from the strictest
part that is known: *strictly clean* has no copy of any kind in an earlier split, as the families of an audit tell,
*clean* none with the same pixels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mien.dataset import Dataset, Faces
from mien.errors import DataError
from mien.predictions import Predictions

CLEAN = {"strict": "strictly clean", "clean": "clean"}
"""What the faces of a part are that leaves some out, the strictest first."""

PARTS = {part: f"{words} part" for part, words in CLEAN.items()} | {"all": "whole split"}
"""Every part by its name in files and Python, the strictest first, and what readers see of it."""


def rows_of(table: Predictions | Faces, part: str) -> np.ndarray:
    """Return which faces are of a part, bool (N,); DataError where that is not known."""
    if part == "all":
        return np.ones(len(table), bool)
    rows = table.strict if part == "strict" else table.clean
    if rows is None:
        raise DataError("no audit has told which faces are strictly clean: mien audit DATASET --store")
    return rows


def parts_of(table: Predictions | Faces) -> tuple[str, ...]:
    """Return the parts that are known and have faces, the strictest first; "clean" and "all" are always known."""
    known = [part for part in PARTS if part != "strict" or table.strict is not None]
    return tuple(part for part in known if rows_of(table, part).any())


def different_parts(table: Predictions) -> tuple[str, ...]:
    """Return the known parts, the strictest first, without those that have the same faces as a later one."""
    parts = parts_of(table)
    sizes = [int(rows_of(table, part).sum()) for part in parts]
    return tuple(
        part
        for part, size, next_size in zip(parts, sizes, [*sizes[1:], -1], strict=True)
        if size != next_size
    )


def with_copies(table: Predictions, dataset: Dataset) -> Predictions:
    """Return a table with what a data set of its faces, which an audit may have told more, knows of copies now."""
    known = dataset.annotations(table.ids)
    return replace(table, groups=known.groups, clean=known.clean, strict=known.strict)


def audited(table: Predictions, dataset: Dataset | None) -> Predictions:
    """Return a run's table with what an audit has told since; as it is where the data set lacks its faces."""
    if dataset is None or not dataset.audited or table.strict is not None:
        return table
    try:
        return with_copies(table, dataset)
    except DataError:  # packed without the test split, and evaluated on another one
        return table


def only_part(tables: Sequence[Predictions], part: str) -> list[Predictions]:
    """Return the faces of a part of aligned tables."""
    return [table.only(rows_of(table, part)) for table in tables]
