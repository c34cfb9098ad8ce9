"""A data set: a folder with `faces.npy`, `table.csv` and `dataset.json`. Knows nothing about networks.

`faces.npy` is uint8 (N, S, S). `table.csv` has a row a face, in the same order:
id, label, split, source, group (the id of the first face with the same pixels) and, where
known, votes or other truth. `dataset.json` holds the side S, the ordered labels, where the
faces come from, the counts, and the sha256 of pixels and table.
"""

import csv
import hashlib
import io
import json
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.files import appearing_folder, read_json, sha256_file, to_json
from mien.labels import SPLITS, did_you_mean

FORMAT = 1
COLUMNS = ("id", "label", "split", "source", "group")
WHAT = "a mien data set"


@dataclass(frozen=True, slots=True)
class Faces:
    """Some faces of one split, in the data set's order."""

    images: np.ndarray  # uint8 (N, S, S)
    labels: np.ndarray  # int64 (N,), indices into the data set's labels
    ids: np.ndarray  # str (N,)
    groups: np.ndarray  # str (N,), equal for pixel-identical pictures
    clean: np.ndarray  # bool (N,), False where the same picture stands in an earlier split

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What `dataset.json` says."""

    folder: Path
    side: int
    labels: tuple[str, ...]
    origin: dict
    counts: dict[str, dict[str, int]]  # split -> label -> faces
    pixels_sha256: str
    table_sha256: str

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any pixel, label, split or group."""
        return hashlib.sha256(f"{self.pixels_sha256}{self.table_sha256}".encode()).hexdigest()[:16]

    def count(self, split: str) -> int:
        """Return the number of faces in a split."""
        return sum(self.counts.get(split, {}).values())


@dataclass(frozen=True, slots=True)
class Development:
    """What training, tuning, calibrating and choosing may see: there is no test split in it."""

    info: DatasetInfo
    train: Faces
    val: Faces


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set read and checked; pixels stay memory-mapped until a split is taken."""

    info: DatasetInfo
    _images: np.ndarray = field(repr=False)
    _table: dict[str, np.ndarray] = field(repr=False)

    def development(self) -> Development:
        """Return the `train` and `val` splits; DataError when one of them is empty."""
        return Development(self.info, self._faces("train"), self._faces("val"))

    def open_test(self) -> Faces:
        """Return the `test` split. Only `mien evaluate` calls this, and it records each call."""
        return self._faces("test")

    def pictures(self, ids) -> np.ndarray:
        """Return the pixels, uint8 (n, S, S), of faces by id, for pages that show them."""
        rows = {identity: row for row, identity in enumerate(self._table["id"])}
        try:
            return self._images[[rows[str(i)] for i in ids]]
        except KeyError as unknown:
            raise DataError(f"{self.info.folder}: no face with id {unknown}") from None

    def table(self, split: str) -> dict[str, np.ndarray]:
        """Return every column of the table (str arrays) for `train` or `val`."""
        if split == "test":
            raise DataError("the test split is opened by `mien evaluate --test` alone")
        rows = self._table["split"] == split
        return {name: column[rows] for name, column in self._table.items()}

    def _faces(self, split: str) -> Faces:
        rows = np.flatnonzero(self._table["split"] == split)
        if not len(rows):
            raise DataError(f'{self.info.folder}: the data set has no face in its "{split}" split')
        index = {label: i for i, label in enumerate(self.info.labels)}
        groups = self._table["group"]
        earlier = np.isin(self._table["split"], SPLITS[: SPLITS.index(split)])
        return Faces(
            images=self._images[rows],
            labels=np.array([index[label] for label in self._table["label"][rows]], np.int64),
            ids=self._table["id"][rows],
            groups=groups[rows],
            clean=~np.isin(groups[rows], groups[earlier]),
        )


def read_info(folder: Path) -> DatasetInfo:
    """Read `dataset.json` alone; raises DataError in one line."""
    folder = Path(folder)
    value = read_json(folder / "dataset.json", what=WHAT, newest=FORMAT, error=DataError)
    try:
        return DatasetInfo(
            folder=folder,
            side=int(value["side"]),
            labels=tuple(value["labels"]),
            origin=value["origin"],
            counts=value["counts"],
            pixels_sha256=value["pixels_sha256"],
            table_sha256=value["table_sha256"],
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise DataError(f"{folder / 'dataset.json'}: {WHAT} is damaged here ({fault!r})") from None


def read_dataset(folder: Path) -> Dataset:
    """Read a data set and check it against its own checksums.

    Raises DataError when the folder is no data set, is cut short or was changed.
    """
    info = read_info(folder)
    table = _read_table(info)
    images = _read_images(info, len(table["id"]))
    return Dataset(info, images, table)


def _read_table(info: DatasetInfo) -> dict[str, np.ndarray]:
    path = info.folder / "table.csv"
    _check_sha256(path, info.table_sha256)
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return {name: np.array(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}


def _read_images(info: DatasetInfo, count: int) -> np.ndarray:
    path = info.folder / "faces.npy"
    _check_sha256(path, info.pixels_sha256, skip=_npy_header_bytes(count, info.side))
    return np.load(path, mmap_mode="r")


def _check_sha256(path: Path, expected: str, skip: int = 0) -> None:
    try:
        with open(path, "rb") as file:
            file.seek(skip)
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {WHAT} is damaged here ({error.strerror}); pack it again") from None
    if actual != expected:
        raise DataError(f"{path}: the file is cut short or was changed after packing; pack it again")


class DatasetWriter:
    """Writes a data set face by face in constant memory; used through `writing_dataset`."""

    def __init__(self, folder: Path, side: int, labels: tuple[str, ...], extra: tuple[str, ...]):
        self.side, self.labels = side, labels
        self.count = 0
        self._folder = folder
        self._first: dict[bytes, str] = {}
        self._copied: set[str] = set()
        self._counts = {split: Counter() for split in SPLITS}
        self._pixels = hashlib.sha256()
        self._faces = open(folder / "faces.npy", "wb")  # noqa: SIM115 (closed by close)
        self._faces.write(_npy_header(0, side))
        self._text = open(folder / "table.csv", "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._table = csv.writer(self._text, lineterminator="\n")
        self._table.writerow(COLUMNS + extra)

    def add(self, pixels: bytes, *, label: str, split: str, source: str, extra: tuple = ()) -> None:
        """Append one face: S*S grey bytes, row by row. Its id is its number, from 0."""
        identity = str(self.count)
        group = self._first.setdefault(hashlib.blake2b(pixels, digest_size=16).digest(), identity)
        if group != identity:
            self._copied.add(group)
        self._table.writerow((identity, label, split, source, group, *extra))
        self._faces.write(pixels)
        self._pixels.update(pixels)
        self._counts[split][label] += 1
        self.count += 1

    def finish(self, origin: dict) -> None:
        """Complete the three files."""
        self._faces.seek(0)
        self._faces.write(_npy_header(self.count, self.side))
        self.close()
        described = {
            "format": FORMAT,
            "side": self.side,
            "labels": self.labels,
            "faces": self.count,
            "identical": {"groups": len(self._copied), "redundant": self.count - len(self._first)},
            "origin": origin,
            "counts": {s: {name: self._counts[s][name] for name in self.labels} for s in SPLITS},
            "pixels_sha256": self._pixels.hexdigest(),
            "table_sha256": sha256_file(self._folder / "table.csv"),
        }
        (self._folder / "dataset.json").write_text(to_json(described), encoding="utf-8")

    def close(self) -> None:
        """Close the files; harmless when they are closed already."""
        for file in (self._faces, self._text):
            if not file.closed:
                file.flush()
                os.fsync(file.fileno())
                file.close()


@contextmanager
def writing_dataset(folder: Path, *, side: int, labels: tuple[str, ...], extra: tuple[str, ...] = ()):
    """Yield a DatasetWriter; the data set appears at `folder` when the block ends well, else not at all."""
    with appearing_folder(folder) as hidden:
        writer = DatasetWriter(hidden, side, labels, extra)
        try:
            yield writer
        finally:
            writer.close()


def _npy_header(count: int, side: int) -> bytes:
    """Return the header of a .npy file, padded alike for every count."""
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        text, {"descr": "|u1", "fortran_order": False, "shape": (count, side, side)}
    )
    return text.getvalue()


def _npy_header_bytes(count: int, side: int) -> int:
    return len(_npy_header(count, side))


def summary(info: DatasetInfo) -> str:
    """Return the data set's counts by split and label as lines of text."""
    width = max(len(label) for label in info.labels) + 2
    lines = [f"{'':10}" + "".join(f"{label:>{width}}" for label in info.labels) + f"{'all':>9}"]
    for split in SPLITS:
        row = "".join(f"{info.counts[split][label]:>{width},}" for label in info.labels)
        lines.append(f"{split:10}{row}{info.count(split):>9,}")
    return "\n".join(lines)


def unknown_label(word: str, labels: tuple[str, ...]) -> str:
    """Return the end of a message about a label that is not known."""
    return f'"{word}" is not one of {", ".join(labels)}{did_you_mean(word, labels)}'


def dumps_origin(origin: dict) -> str:
    """Return an origin as one comparable text."""
    return json.dumps(origin, sort_keys=True)
