"""A data set: a folder with `faces.npy`, `table.csv` and `dataset.json`. Knows nothing about networks.

`faces.npy` is uint8 (N, S, S). `table.csv` has a row a face, in the same order:
id, label, split, source, group (the id of the first face with the same pixels) and, where
known, votes or other truth. `dataset.json` holds the side S, the ordered labels, where the
faces come from, the counts, and the sha256 of pixels and table. Where faces were left out,
`left-out.csv` has a row for each: source and reason.
"""

import csv
import hashlib
import io
import os
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.files import appearing_folder, read_json, sha256_file, to_json
from mien.labels import SPLITS

FORMAT = 1
COLUMNS = ("id", "label", "split", "source", "group")
LEFT_OUT_FILE = "left-out.csv"
LEFT_OUT_COLUMNS = ("source", "reason")
MOST_LEFT_OUT_SHOWN = 10
TERMINAL_WIDTH = 100
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
    left_out: int = 0  # faces named in left-out.csv
    notes: tuple[str, ...] = ()  # sentences on how it was made

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
class Whole:
    """Every face of a data set with every column of its table, test split and all: what an audit reads."""

    images: np.ndarray  # uint8 (N, S, S), memory-mapped
    table: dict[str, np.ndarray]  # str (N,) by column


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

    def whole(self) -> Whole:
        """Return all faces. Only `mien audit` calls this: it looks for copies and knows no network."""
        return Whole(self._images, self._table)

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
        labels = tuple(value["labels"])
        return DatasetInfo(
            folder=folder,
            side=int(value["side"]),
            labels=labels,
            origin={**value["origin"]},
            counts={
                split: {label: int(value["counts"][split][label]) for label in labels} for split in SPLITS
            },
            pixels_sha256=value["pixels_sha256"],
            table_sha256=value["table_sha256"],
            left_out=int(value.get("left_out", 0)),
            notes=tuple(value.get("notes", ())),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise DataError(f"{folder / 'dataset.json'}: {WHAT} is damaged here ({fault!r})") from None


def standing(target: Path, same: Callable[[dict], bool]) -> DatasetInfo:
    """Return the data set at `target` if `same(origin)` says that it was made as is wanted now.

    Raises DataError where anything else is there.
    """
    try:
        info = read_dataset(target).info
    except DataError as fault:
        raise DataError(
            f"{target}: exists and is not {WHAT} in order ({fault}); delete it or give another name"
        ) from None
    if not same(info.origin):
        raise DataError(
            f"{target}: exists and was made of other files or in another way; delete it or give another name"
        )
    return info


def read_dataset(folder: Path) -> Dataset:
    """Read a data set and check it against its own checksums.

    Raises DataError when the folder is no data set, is cut short or was changed.
    """
    info = read_info(folder)
    table = _read_table(info)
    images = _read_images(info, len(table["id"]))
    counts = Counter(zip(table["split"].tolist(), table["label"].tolist(), strict=True))
    if counts != Counter({(s, c): n for s, of in info.counts.items() for c, n in of.items() if n}):
        raise DataError(
            f"{info.folder / 'dataset.json'}: {WHAT} is damaged here (its counts are not the table's)"
        )
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
    images = np.load(path, mmap_mode="r")
    if images.shape != (count, info.side, info.side):
        raise DataError(
            f"{path}: holds {images.shape} and not {(count, info.side, info.side)}; pack it again"
        )
    return images


def _check_sha256(path: Path, expected: str, skip: int = 0) -> None:
    try:
        with open(path, "rb") as file:
            file.seek(skip)
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {WHAT} is damaged here ({error.strerror}); pack it again") from None
    if actual != expected:
        raise DataError(f"{path}: the file is cut short or was changed after packing; pack it again")


@dataclass(slots=True)
class Row:
    """A face's row in the table. `split` may be None until the data set is finished."""

    id: str
    label: str
    split: str | None
    source: str
    group: str
    extra: tuple = ()


class DatasetWriter:
    """Writes a data set face by face, pixels in constant memory; used through `writing_dataset`."""

    def __init__(self, folder: Path, side: int, labels: tuple[str, ...], extra: tuple[str, ...]):
        self.side, self.labels = side, labels
        self.rows: list[Row] = []
        self.left_out: list[tuple[str, str]] = []
        self._folder = folder
        self._extra = extra
        self._first: dict[bytes, str] = {}
        self._pixels = hashlib.sha256()
        self._faces = open(folder / "faces.npy", "wb")  # noqa: SIM115 (closed by close)
        self._faces.write(_npy_header(0, side))

    def add(
        self,
        pixels: bytes,
        *,
        label: str,
        split: str | None,
        source: str,
        extra: tuple = (),
        identity: str | None = None,
    ) -> None:
        """Append one face: S*S grey bytes, row by row. Its id is its number, from 0, unless one is given."""
        identity = str(len(self.rows)) if identity is None else identity
        group = self._first.setdefault(hashlib.blake2b(pixels, digest_size=16).digest(), identity)
        self.rows.append(Row(identity, label, split, source, group, extra))
        self._faces.write(pixels)
        self._pixels.update(pixels)

    def leave_out(self, source: str, reason: str) -> None:
        """Note a face that is not in the data set, and why."""
        self.left_out.append((source, reason))

    def finish(self, origin: dict, *, notes: Iterable[str] = ()) -> None:
        """Complete the files; every row must have its split by now. `notes` say how it was made."""
        self._faces.seek(0)
        self._faces.write(_npy_header(len(self.rows), self.side))
        self.close()
        table = [(r.id, r.label, r.split, r.source, r.group, *r.extra) for r in self.rows]
        _write_csv(self._folder / "table.csv", COLUMNS + self._extra, table)
        if self.left_out:
            _write_csv(self._folder / LEFT_OUT_FILE, LEFT_OUT_COLUMNS, self.left_out)
        counts = Counter((r.split, r.label) for r in self.rows)
        sizes = Counter(r.group for r in self.rows)
        described = {
            "format": FORMAT,
            "side": self.side,
            "labels": self.labels,
            "faces": len(self.rows),
            "identical": {
                "groups": sum(size > 1 for size in sizes.values()),
                "redundant": len(self.rows) - len(sizes),
            },
            "left_out": len(self.left_out),
            "notes": list(notes),
            "origin": origin,
            "counts": {s: {name: counts[s, name] for name in self.labels} for s in SPLITS},
            "pixels_sha256": self._pixels.hexdigest(),
            "table_sha256": sha256_file(self._folder / "table.csv"),
        }
        with open(self._folder / "dataset.json", "w", encoding="utf-8") as file:
            file.write(to_json(described))
            _sync(file)

    def close(self) -> None:
        """Close the file of pixels; harmless when it is closed already."""
        if not self._faces.closed:
            _sync(self._faces)
            self._faces.close()


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
        _sync(file)


def _sync(file) -> None:
    file.flush()
    os.fsync(file.fileno())


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
    """Return the data set's counts by split and label, how it was made and what was left out, as text."""
    width = max(len(label) for label in info.labels) + 2
    lines = [f"{'':10}" + "".join(f"{label:>{width}}" for label in info.labels) + f"{'all':>9}"]
    for split in SPLITS:
        row = "".join(f"{info.counts[split][label]:>{width},}" for label in info.labels)
        lines.append(f"{split:10}{row}{info.count(split):>9,}")
    lines += [textwrap.fill(note, TERMINAL_WIDTH, break_on_hyphens=False) for note in info.notes]
    if info.left_out:
        lines.append(f"{info.left_out:,} left out, each with its reason in {info.folder / LEFT_OUT_FILE}:")
        lines += [f"  {source}: {reason}" for source, reason in read_left_out(info)[:MOST_LEFT_OUT_SHOWN]]
        lines += ["  …"] * (info.left_out > MOST_LEFT_OUT_SHOWN)
    return "\n".join(lines)


def read_left_out(info: DatasetInfo) -> list[tuple[str, str]]:
    """Return (source, reason) of each face that is not in the data set."""
    if not info.left_out:
        return []
    path = info.folder / LEFT_OUT_FILE
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [(row[0], row[1]) for row in list(csv.reader(file))[1:]]
    except (OSError, UnicodeDecodeError, csv.Error, IndexError) as fault:
        raise DataError(f"{path}: {WHAT} is damaged here ({fault})") from None
