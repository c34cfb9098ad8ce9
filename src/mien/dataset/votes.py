"""The votes of FER+'s annotators in a data set's table. Reads no file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import FERPLUS_NAMES, FERPLUS_VOTES


def vote_counts(table: Mapping[str, np.ndarray], folder: Path) -> np.ndarray | None:
    """Return how many chose each of FERPLUS_VOTES, int64 (N, 10), or None for a table without votes.

    `table` has the columns of `folder`'s table, str (N,); raises DataError for a vote that is no whole number.
    """
    columns = [f"vote_{name}" for name in FERPLUS_VOTES]
    if not set(columns) <= set(table):
        return None
    try:
        return np.stack([table[name].astype(np.int64) for name in columns], axis=1)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{folder}: a vote in table.csv is no whole number ({error})") from None


def not_asked(labels: Sequence[str]) -> list[str]:
    """Return the classes that FER+'s annotators could not choose."""
    return [label for label in labels if FERPLUS_NAMES.get(label, label) not in FERPLUS_VOTES]


def class_votes(counts: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Return the votes for a data set's classes, int64 (N, C), of counts (N, 10); none of them may be `not_asked`."""
    return counts[:, [FERPLUS_VOTES.index(FERPLUS_NAMES.get(label, label)) for label in labels]]
