"""A data set in memory, as frozen objects. Reads and writes no file."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.dataset import convert
from mien.dataset.files import PERSON
from mien.dataset.votes import class_votes, not_asked, vote_counts
from mien.errors import DataError
from mien.folds import Fold, deal, deal_people, merged
from mien.labels import SPLITS
from mien.text import Shown

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset


@dataclass(frozen=True, slots=True)
class Frames:
    """Which moment of which clip each face of a data set of clips is."""

    clips: np.ndarray  # str (N,)
    seconds: np.ndarray  # float64 (N,), from the clip's beginning
    clip_labels: np.ndarray  # int64 (N,), the class of the whole clip, -1 where it has none

    def rows(self) -> list[np.ndarray]:
        """Return the rows of each clip, int64, in the order of time; clips in the order in which they begin."""
        names, first, clip = np.unique(self.clips, return_index=True, return_inverse=True)
        order = np.lexsort((self.seconds, clip))
        parts = np.split(order, np.cumsum(np.bincount(clip, minlength=len(names)))[:-1])
        return [parts[number] for number in np.argsort(first)]


@dataclass(frozen=True, slots=True)
class Faces:
    """Some faces of one split, in the data set's order."""

    images: np.ndarray  # uint8 (N, S, S)
    labels: np.ndarray  # int64 (N,), indices into the data set's labels
    ids: np.ndarray  # str (N,)
    groups: np.ndarray  # str (N,), equal for pixel-identical images and for images, or clips, of one person
    clean: (
        np.ndarray
    )  # bool (N,), False where an earlier split has the same image, or in clips the same person
    frames: Frames | None = None  # of a data set of clips
    # str (N,), groups in which copies of any kind are equal, too; None: not audited
    families: np.ndarray | None = None
    strict: np.ndarray | None = None  # bool (N,), False where an earlier split has a copy of any kind

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def families_or_groups(self) -> np.ndarray:
        """Which faces a bootstrap draws together, str (N,): by families, where an audit has told them."""
        return self.groups if self.families is None else self.families

    def __repr__(self) -> str:
        side = self.images.shape[-1]
        return f"Faces({len(self):,} of {side} x {side} pixels, {np.count_nonzero(self.clean):,} clean)"


@dataclass(frozen=True, slots=True)
class DatasetInfo(Shown):
    """The contents of `dataset.json`."""

    folder: Path
    side: int
    labels: tuple[str, ...]
    origin: dict[str, Any]  # JSON: kind, checksums of files, options and the like
    counts: dict[str, dict[str, int]]  # split -> label -> faces
    pixels_sha256: str
    table_sha256: str
    learned_sha256: str = ""  # of the faces of train and val alone; "": packed before this was recorded
    left_out: int = 0  # faces listed in left-out.csv
    left_out_sha256: str = ""  # of that file; "": none, or packed before this was recorded
    notes: tuple[str, ...] = ()  # sentences on how it was made
    clips: int = 0  # in a data set of clips
    people: int = 0  # known by name in a data set of clips

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any pixel, label, split or group."""
        return hashlib.sha256(f"{self.pixels_sha256}{self.table_sha256}".encode()).hexdigest()[:16]

    def count(self, split: str) -> int:
        """Return the number of faces in a split."""
        return sum(self.counts.get(split, {}).values())

    def __str__(self) -> str:
        """One line: folder, faces, side and classes."""
        faces = sum(self.count(split) for split in SPLITS)
        words = f"{faces:,} faces of {self.side} x {self.side} pixels in {len(self.labels)} classes"
        words += f", {self.clips:,} clips" if self.clips else ""
        return f"{self.folder}: {words}"

    def __repr__(self) -> str:
        return f"DatasetInfo({self})"


@dataclass(frozen=True, slots=True)
class Development:
    """The splits for training, tuning, calibration and model selection: no test split."""

    info: DatasetInfo
    train: Faces
    val: Faces
    fold: Fold | None = None  # val is this fold of the splits it is dealt from, and train is all other folds

    def __repr__(self) -> str:
        fold = f", {self.fold}" if self.fold else ""
        words = f"{len(self.train):,} train and {len(self.val):,} val faces{fold}, no test split"
        return f"Development({self.info.folder}: {words})"


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a data set knows of some faces besides their pixels."""

    labels: np.ndarray  # str (N,)
    splits: np.ndarray  # str (N,)
    groups: np.ndarray  # str (N,), as `Faces.families` where it was audited, else as `Faces.groups`
    clean: np.ndarray  # bool (N,)
    strict: np.ndarray | None  # bool (N,); None where it was not audited
    columns: dict[str, np.ndarray]  # str (N,) by name, all of the table


@dataclass(frozen=True, slots=True)
class Whole:
    """Every face of a data set with every column of its table, test split included: the input of an audit."""

    images: np.ndarray = field(repr=False)  # uint8 (N, S, S), memory-mapped
    table: dict[str, np.ndarray] = field(repr=False)  # str (N,) by column


@dataclass(frozen=True, slots=True)
class Dataset(Shown):
    """A data set, read and verified; pixels stay memory-mapped until a split is opened."""

    info: DatasetInfo
    _images: np.ndarray = field(repr=False)
    _table: dict[str, np.ndarray] = field(repr=False)
    _families: np.ndarray | None = field(default=None, repr=False)  # str (N,), id of each family's first face

    @property
    def audited(self) -> bool:
        """Whether the families of copies that `mien audit --store` found lie beside the faces."""
        return self._families is not None

    def development(self, fold: Fold | None = None) -> Development:
        """Return the `train` and `val` splits, or one fold of both, or of train, as val and the other folds as train.

        Raises DataError when a split is empty, or where there are too few faces for so many folds.
        """
        if fold is None:
            return Development(self.info, self._faces("train"), self._faces("val"))
        rows = np.flatnonzero(np.isin(self._table["split"], fold.splits))
        try:
            number = self._dealt(rows, fold)
        except DataError as fault:
            raise DataError(f"{self.info.folder}: {fault}") from None
        train, val = rows[number != fold.number], rows[number == fold.number]
        return Development(self.info, self._taken(train), self._taken(val, earlier=train), fold)

    def _dealt(self, rows: np.ndarray, fold: Fold) -> np.ndarray:
        """Return the fold of some rows, int64 (n,) from 1."""
        if fold.by_person:
            return deal_people(self._people()[rows], fold.of)
        return deal(self._table["label"][rows], self._groups()[rows], fold.of)

    def people_count(self, fold: Fold) -> int:
        """Return how many people there are in the splits from which a fold is dealt: as many as folds can be."""
        return len(np.unique(self._people()[np.isin(self._table["split"], fold.splits)]))

    def _people(self) -> np.ndarray:
        """Return the person of each row, str (N,)."""
        if PERSON not in self._table:
            raise DataError(f"{self.info.folder}: its table has no column person")
        return self._table[PERSON]

    def _groups(self) -> np.ndarray:
        """Return what no split or fold may tear apart, str (N,): persons, clips or identical pictures."""
        if "clip" in self._table:
            return units_of(self._table["clip"], self._table.get(PERSON))
        group = self._table["group"]
        return merged(group, self._table[PERSON]) if PERSON in self._table else group

    def _copies(self) -> np.ndarray:
        """Return what makes a face of a later split known, str (N,): its pixels, or in clips its person or clip."""
        return self._groups() if "clip" in self._table else self._table["group"]

    def open_val(self) -> Faces:
        """Return the `val` split, for networks trained elsewhere; training uses `development`."""
        return self._faces("val")

    def open_test(self) -> Faces:
        """Return the `test` split. Only `mien evaluate` calls this, and it records each call."""
        return self._faces("test")

    def whole(self) -> Whole:
        """Return all faces. Only `mien audit` calls this: it searches for duplicates and knows no network."""
        return Whole(self._images, self._table)

    def pictures(self, ids: Iterable[str]) -> np.ndarray:
        """Return the pixels, uint8 (n, S, S), of faces by id, for pages that show them."""
        return self._images[self._rows_by_id(ids)]

    def class_votes(self, ids: Iterable[str]) -> np.ndarray | None:
        """Return annotators' votes for the classes, int64 (n, C), of faces by id; None where they are not known."""
        counts = vote_counts(self._table, self.info.folder)
        if counts is None or not_asked(self.info.labels):
            return None
        return class_votes(counts[self._rows_by_id(ids)], self.info.labels)

    def table(self, split: str) -> dict[str, np.ndarray]:
        """Return every column of the table (str arrays) for `train` or `val`."""
        if split == "test":
            raise DataError("the test split is opened by `mien evaluate --test` alone")
        rows = self._table["split"] == split
        return {name: column[rows] for name, column in self._table.items()}

    def ids(self, split: str) -> np.ndarray:
        """Return the ids of a split's faces in the data set's order, str (N,)."""
        return self._table["id"][self._table["split"] == split]

    def annotations(self, ids: Iterable[str]) -> Annotations:
        """Return labels, splits, copies and all columns of faces by id, for judging predictions; opens no picture.

        DataError for an id that is not there.
        """
        rows = self._rows_by_id(ids)
        families, clean, strict = (self._families, self._clean(self._copies()), None)
        if families is not None:
            strict = self._clean(families)[rows] & clean[rows]
        groups = self._groups() if families is None else merged(self._groups(), families)
        columns = {name: column[rows] for name, column in self._table.items()}
        return Annotations(columns["label"], columns["split"], groups[rows], clean[rows], strict, columns)

    def shared(self) -> dict[str, dict[str, int]]:
        """Return how many faces of each split share something with an earlier split, by what they share.

        That is "pixels", and where they are known "family" (a copy of any kind) and "person".
        """
        known = {"pixels": self._table["group"], "family": self._families, PERSON: self._table.get(PERSON)}
        split = self._table["split"]
        counts: dict[str, dict[str, int]] = {}
        for what, names in known.items():
            if names is not None:
                seen = ~self._clean(names) & (names != "")
                counts[what] = {name: int((seen & (split == name)).sum()) for name in SPLITS[1:]}
        return counts

    def _clean(self, names: np.ndarray) -> np.ndarray:
        """Tell of which faces no earlier split has a face of the same name, bool (N,)."""
        stage = np.array([SPLITS.index(split) for split in self._table["split"]])
        _, number = np.unique(names, return_inverse=True)
        first = np.full(number.max(initial=0) + 1, len(SPLITS))
        np.minimum.at(first, number, stage)
        return first[number] == stage

    def as_torch(self, split: "str | Faces" = "train") -> "TensorDataset":
        """Return `train`, `val` or faces of this data set as a `torch.utils.data.Dataset` for a DataLoader.

        An item is a face, a uint8 tensor (1, S, S) of gray values, and its label, an int64 tensor () that indexes
        `info.labels`. mien's own networks take `mien.networks.as_input` of the bytes (N, S, S).

        In this method and the two below, faces that `open_test` gave stand for the test split, which has no name here:
        DataError for "test", an unknown split and faces of another data set, MissingExtra where the library is not
        installed.
        """
        rows = self._rows_of(split)
        faces = self._taken(rows)
        return convert.to_torch(faces.images, faces.labels)

    def to_pandas(self, split: "str | Faces | None" = None) -> Any:
        """Return `train`, `val` or some faces, by default train and val, as a `pandas.DataFrame`, a row a face.

        Its columns are those of `table.csv`, annotator votes and other truth as numbers, and `image`, an object column
        of uint8 arrays (S, S): `np.stack(frame["image"])` is (N, S, S).
        """
        return convert.to_pandas(*self._columns_of(split))

    def to_arrow(self, split: "str | Faces | None" = None) -> Any:
        """Return what `to_pandas` does as a `pyarrow.Table`; `image` is a fixed-shape tensor column of uint8 (S, S).

        `table["image"].combine_chunks().to_numpy_ndarray()` is (N, S, S). Parquet files keep the column's type.
        """
        return convert.to_arrow(*self._columns_of(split))

    def _columns_of(self, split: "str | Faces | None") -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the images, uint8 (N, S, S), and the table's columns, str (N,) each, of a split or of some faces."""
        splits = ("train", "val") if split is None else (split,)
        rows = np.concatenate([self._rows_of(one) for one in splits])
        return self._images[rows], {name: column[rows] for name, column in self._table.items()}

    def _rows_of(self, split: "str | Faces") -> np.ndarray:
        """Return the rows, int64 (N,), of `train`, `val` or some faces."""
        if isinstance(split, Faces):
            return self._rows_by_id(split.ids)
        if split not in ("train", "val"):
            test = "; faces of test come of open_test alone" if split == "test" else ""
            raise DataError(f'no split "{split}" is given here: train or val{test}')
        return np.flatnonzero(self._table["split"] == split)

    def _rows_by_id(self, ids: Iterable[str]) -> np.ndarray:
        rows = {identity: row for row, identity in enumerate(self._table["id"])}
        try:
            return np.array([rows[str(i)] for i in ids], np.int64)
        except KeyError as unknown:
            raise DataError(f"{self.info.folder}: no face with id {unknown}") from None

    def __repr__(self) -> str:
        return f"Dataset({self.info})"

    def samples(self, most: int, side: int) -> list[np.ndarray]:
        """Return at most so many `train` faces of each class, uint8 (n, S, S), drawn at random, S at most `side`."""
        from mien.pictures import shrink

        rng = np.random.default_rng(0)
        train, side = self._table["split"] == "train", min(self.info.side, side)
        samples: list[np.ndarray] = []
        for label in self.info.labels:
            rows = np.flatnonzero(train & (self._table["label"] == label))
            rows = np.sort(rng.permutation(rows)[:most])
            samples.append(np.array([shrink(self._images[row], side) for row in rows], np.uint8))
        return samples

    def _faces(self, split: str) -> Faces:
        rows = np.flatnonzero(self._table["split"] == split)
        if not len(rows):
            raise DataError(f'{self.info.folder}: the data set has no face in its "{split}" split')
        earlier = np.flatnonzero(np.isin(self._table["split"], SPLITS[: SPLITS.index(split)]))
        return self._taken(rows, earlier=earlier)

    def _taken(self, rows: np.ndarray, earlier: np.ndarray | None = None) -> Faces:
        """Return the faces of some rows; those with a copy among the `earlier` rows are not clean."""
        index = {label: i for i, label in enumerate(self.info.labels)}
        earlier = np.empty(0, np.int64) if earlier is None else earlier
        copies, groups, families = self._copies(), self._groups(), self._families
        clean = ~np.isin(copies[rows], copies[earlier])
        return Faces(
            images=self._images[rows],
            labels=np.array([index[label] for label in self._table["label"][rows]], np.int64),
            ids=self._table["id"][rows],
            groups=groups[rows],
            clean=clean,
            frames=self._frames(rows, index),
            families=None if families is None else merged(groups, families)[rows],
            strict=None if families is None else clean & ~np.isin(families[rows], families[earlier]),
        )

    def _frames(self, rows: np.ndarray, index: dict[str, int]) -> Frames | None:
        """Return which moment of which clip some rows are; None in a data set of pictures."""
        if "clip" not in self._table:
            return None
        labels = self._table.get("clip_label", self._table["label"])[rows]
        numbers = np.array([index.get(label, -1) for label in labels], np.int64)
        return Frames(self._table["clip"][rows], self._table["seconds"][rows].astype(np.float64), numbers)


def units_of(clips: np.ndarray, people: np.ndarray | None) -> np.ndarray:
    """Return what no split or fold may tear apart, str (N,): each frame's person, or its clip where none is named."""
    if people is None:
        return np.char.add("clip ", clips)
    return np.where(people == "", np.char.add("clip ", clips), np.char.add("person ", people))
