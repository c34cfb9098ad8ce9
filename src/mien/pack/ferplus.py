"""FER+'s votes (Barsoum et al. 2016): ten counts a face, in FER2013's row order."""

import csv
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError
from mien.labels import FER2013_SPLITS, FERPLUS_LABELS, FERPLUS_NAMES, FERPLUS_VOTES, did_you_mean


@dataclass(frozen=True, slots=True)
class Votes:
    """All rows of a vote table."""

    path: Path
    rows: tuple[tuple[str, tuple[str, ...]], ...]  # split, ten counts

    def of(self, number: int, split: str, source: str) -> tuple[str, ...]:
        """Return face `number`'s counts; DataError when the two tables do not match row by row."""
        if number >= len(self.rows):
            raise DataError(
                f"{self.path}: {len(self.rows):,} rows of votes, fewer than there are faces ({source})"
            )
        voted_split, counts = self.rows[number]
        if split is None:
            raise DataError(
                f"{self.path}: votes go with a table that has the column Usage; {source} has no split"
            )
        if voted_split != split:
            raise DataError(
                f"{self.path}, row {number + 2}: votes for a {voted_split} face, but {source} is a {split} face; "
                "the two tables must have the same rows in the same order"
            )
        return counts

    def must_be_used_up(self, faces: int) -> None:
        """Raise DataError when there are votes for more faces than there were."""
        if len(self.rows) != faces:
            raise DataError(f"{self.path}: {len(self.rows):,} rows of votes for {faces:,} faces")


def majority_of(counts: tuple[str, ...]) -> str | None:
    """Return the label of FER+'s majority protocol, None for a face that it drops.

    As in Barsoum et al.'s own code: a single vote is an outlier, and a class needs more than half of the others.
    A face whose majority is "unknown" or "not a face" is dropped, as is one without a majority.
    """
    votes = {name: int(count) for name, count in zip(FERPLUS_VOTES, counts, strict=True) if int(count) > 1}
    first = max(votes, key=votes.__getitem__, default=None)
    if first is None or 2 * votes[first] <= sum(votes.values()):
        return None
    return next((label for label in FERPLUS_LABELS if FERPLUS_NAMES.get(label, label) == first), None)


def read_votes(path: Path) -> Votes:
    """Read `fer2013new.csv`; DataError names file and row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table of votes ({error})") from None
    if not rows:
        raise DataError(f"{path}: the file is empty")
    header = rows[0]
    for column in ("Usage", *FERPLUS_VOTES):
        if column not in header:
            raise DataError(f'{path}: no column "{column}"{did_you_mean(column, header)}')
    usage, counts = header.index("Usage"), [header.index(name) for name in FERPLUS_VOTES]
    return Votes(
        path, tuple(_row(f"{path}, row {n}", row, usage, counts) for n, row in enumerate(rows[1:], start=2))
    )


def _row(where: str, row: list[str], usage: int, counts: list[int]) -> tuple[str, tuple[str, ...]]:
    if len(row) <= max(usage, *counts):
        raise DataError(f"{where}: {len(row)} fields, too few")
    if row[usage] not in FER2013_SPLITS:
        raise DataError(f'{where}: Usage "{row[usage]}" is not one of {", ".join(FER2013_SPLITS)}')
    votes = tuple(row[i] for i in counts)
    wrong = next((vote for vote in votes if not (vote.isascii() and vote.isdigit() and len(vote) < 4)), None)
    if wrong is not None:
        raise DataError(f'{where}: "{wrong}" is not a number of votes')
    return FER2013_SPLITS[row[usage]], votes
