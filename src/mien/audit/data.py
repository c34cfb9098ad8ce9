"""What an audit looks at and what it finds, as frozen objects. Looks for nothing itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.dataset import DatasetInfo, read_dataset, vote_counts
from mien.labels import SPLITS

KINDS = {
    "flat": "pictures of one single grey",
    "not-a-face": "pictures that most voters call no face",
    "conflict": "identical pictures with different labels",
    "label-noise": "labels that nobody voted for",
    "doubtful-label": "labels that predictions contradict",
    "blurred": "blurred pictures",
    "identical-across": "identical pictures in two splits",
    "near-across": "near copies in two splits",
    "augmented-across": "turned or zoomed copies in two splits",
    "identical": "identical pictures in one split",
    "near": "near copies in one split",
    "augmented": "turned or zoomed copies in one split",
}
"""Every kind of finding. Where several hold for a face, the first is the reason it is dropped for."""


@dataclass(frozen=True, slots=True, eq=False)
class AuditData:
    """The faces of a data set, column by column; `stage` and `first` are numbers of splits and rows."""

    info: DatasetInfo
    images: np.ndarray  # uint8 (N, S, S), memory-mapped
    table: dict[str, np.ndarray]  # str (N,) by column
    stage: np.ndarray  # int64 (N,), 0 for train, 1 for val, 2 for test
    first: np.ndarray  # int64 (N,), row of the first face with the same pixels
    votes: np.ndarray | None  # int64 (N, V) in the order of FERPLUS_VOTES

    def __len__(self) -> int:
        return len(self.stage)

    @property
    def ids(self) -> np.ndarray:
        """The faces' ids, str (N,)."""
        return self.table["id"]

    @property
    def labels(self) -> np.ndarray:
        """The faces' labels, str (N,)."""
        return self.table["label"]

    def members(self) -> dict[int, np.ndarray]:
        """Return the rows of each group of two and more identical pictures, by the group's first row."""
        order = np.argsort(self.first, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(self.first[order])) + 1)
        return {int(rows[0]): rows for rows in groups if len(rows) > 1}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in question: a face, and where it is like another one, that one too."""

    kind: str
    row: int
    other: int | None = None
    score: float | None = None
    detail: str = ""


def gather(folder: Path) -> AuditData:
    """Read a data set for an audit; DataError where it is none or its votes are no numbers."""
    dataset = read_dataset(folder)
    whole = dataset.whole()
    table = whole.table
    _, first, number = np.unique(table["group"], return_index=True, return_inverse=True)
    return AuditData(
        info=dataset.info,
        images=whole.images,
        table=table,
        stage=np.array([SPLITS.index(split) for split in table["split"]], np.int64),
        first=first[number],
        votes=vote_counts(table, folder),
    )
