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
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien import notebook
from mien.errors import DataError
from mien.files import appearing_folder, read_json, sha256_file, to_json
from mien.folds import Fold, deal
from mien.labels import SPLITS

FORMAT = 1
COLUMNS = ("id", "label", "split", "source", "group")
LEFT_OUT_FILE = "left-out.csv"
LEFT_OUT_COLUMNS = ("source", "reason")
MOST_LEFT_OUT_SHOWN = 10
TERMINAL_WIDTH = 100
MOST_SHOWN, ALL_SHOWN = 8, 96  # faces of a class, and of all, that a notebook shows
LARGEST_SHOWN_SIDE = 48
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

    def __repr__(self) -> str:
        side = self.images.shape[-1]
        return f"Faces({len(self):,} of {side} x {side} pixels, {np.count_nonzero(self.clean):,} clean)"


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
    learned_sha256: str = ""  # of the faces of train and val alone; "": packed before this was noted
    left_out: int = 0  # faces named in left-out.csv
    notes: tuple[str, ...] = ()  # sentences on how it was made

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any pixel, label, split or group."""
        return hashlib.sha256(f"{self.pixels_sha256}{self.table_sha256}".encode()).hexdigest()[:16]

    def count(self, split: str) -> int:
        """Return the number of faces in a split."""
        return sum(self.counts.get(split, {}).values())

    def __repr__(self) -> str:
        return f"DatasetInfo({_told(self)})"

    def _repr_html_(self) -> str:
        return notebook.html(counts_table(self), *self.notes, _told_left_out(self))


@dataclass(frozen=True, slots=True)
class Development:
    """What training, tuning, calibrating and choosing may see: there is no test split in it."""

    info: DatasetInfo
    train: Faces
    val: Faces
    fold: Fold | None = None  # val is this fold of both splits, and train is all other folds

    def __repr__(self) -> str:
        fold = f", {self.fold}" if self.fold else ""
        told = f"{len(self.train):,} train and {len(self.val):,} val faces{fold}, no test split"
        return f"Development({self.info.folder}: {told})"


@dataclass(frozen=True, slots=True)
class Whole:
    """Every face of a data set with every column of its table, test split and all: what an audit reads."""

    images: np.ndarray = field(repr=False)  # uint8 (N, S, S), memory-mapped
    table: dict[str, np.ndarray] = field(repr=False)  # str (N,) by column


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set read and checked; pixels stay memory-mapped until a split is taken."""

    info: DatasetInfo
    _images: np.ndarray = field(repr=False)
    _table: dict[str, np.ndarray] = field(repr=False)

    def development(self, fold: Fold | None = None) -> Development:
        """Return the `train` and `val` splits, or one fold of both as val and the other folds as train.

        Raises DataError when a split is empty, or where there are too few faces for so many folds.
        """
        if fold is None:
            return Development(self.info, self._faces("train"), self._faces("val"))
        rows = np.flatnonzero(np.isin(self._table["split"], ("train", "val")))
        try:
            number = deal(self._table["label"][rows], self._table["group"][rows], fold.of)
        except DataError as fault:
            raise DataError(f"{self.info.folder}: {fault}") from None
        train, val = (self._taken(rows[mine]) for mine in (number != fold.number, number == fold.number))
        return Development(self.info, train, val, fold)

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

    def __repr__(self) -> str:
        return f"Dataset({_told(self.info)})"

    def _repr_html_(self) -> str:
        told = counts_table(self.info, self._samples())
        return notebook.html(told, *self.info.notes, _told_left_out(self.info))

    def _samples(self) -> list[np.ndarray]:
        """Return a few `train` faces of each class, uint8 (n, S, S), drawn at random and small."""
        from mien.pictures import shrink

        rng = np.random.default_rng(0)
        train, side = self._table["split"] == "train", min(self.info.side, LARGEST_SHOWN_SIDE)
        found = []
        for label in self.info.labels:
            rows = np.flatnonzero(train & (self._table["label"] == label))
            rows = np.sort(rng.permutation(rows)[: min(MOST_SHOWN, ALL_SHOWN // len(self.info.labels))])
            found.append(np.array([shrink(self._images[row], side) for row in rows], np.uint8))
        return found

    def _faces(self, split: str) -> Faces:
        rows = np.flatnonzero(self._table["split"] == split)
        if not len(rows):
            raise DataError(f'{self.info.folder}: the data set has no face in its "{split}" split')
        earlier = np.isin(self._table["split"], SPLITS[: SPLITS.index(split)])
        return self._taken(rows, seen=self._table["group"][earlier])

    def _taken(self, rows: np.ndarray, seen: Sequence[str] = ()) -> Faces:
        """Return the faces of some rows; those of a group that was seen are not clean."""
        index = {label: i for i, label in enumerate(self.info.labels)}
        groups = self._table["group"][rows]
        return Faces(
            images=self._images[rows],
            labels=np.array([index[label] for label in self._table["label"][rows]], np.int64),
            ids=self._table["id"][rows],
            groups=groups,
            clean=~np.isin(groups, seen),
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
            learned_sha256=value.get("learned_sha256", ""),
            left_out=int(value.get("left_out", 0)),
            notes=tuple(value.get("notes", ())),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise DataError(f"{folder / 'dataset.json'}: {WHAT} is damaged here ({fault!r})") from None


def same_faces(one, other) -> bool:
    """Return whether two descriptions are of one data set, be it that one of them lacks the test split.

    So what was trained where test is not may be judged where it is. Each is a DatasetInfo or what a run keeps of one;
    labels are compared, too, since a fingerprint does not tell their order.
    """
    blind = not all(any(data.counts.get("test", {}).values()) for data in (one, other))
    learned = blind and one.learned_sha256 == other.learned_sha256 != ""
    return one.labels == other.labels and (one.fingerprint == other.fingerprint or learned)


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
            "learned_sha256": self._learned_sha256(),
        }
        with open(self._folder / "dataset.json", "w", encoding="utf-8") as file:
            file.write(to_json(described))
            _sync(file)

    def _learned_sha256(self) -> str:
        """Return a hash of all that training and choosing will see: change it, and the run is another one."""
        digest = hashlib.sha256()
        with open(self._folder / "faces.npy", "rb") as file:
            file.seek(_npy_header_bytes(len(self.rows), self.side))
            for row in self.rows:
                pixels = file.read(self.side * self.side)
                if row.split != "test":
                    digest.update(f"{row.id},{row.label},{row.split},{row.group};".encode() + pixels)
        return digest.hexdigest()

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


def counts_table(info: DatasetInfo, samples: Sequence[np.ndarray] = ()) -> str:
    """Return the counts as HTML, a row a class, with pictures uint8 (n, S, S) of each class if given."""
    caption = f"{_told(info)}, fingerprint {info.fingerprint}"
    rows = [
        (label, *(f"{info.counts[split][label]:,}" for split in SPLITS), *_shown(label, number, samples))
        for number, label in enumerate(info.labels)
    ]
    total = ("all", *(f"{info.count(split):,}" for split in SPLITS), *([""] if samples else []))
    head = ("class", *SPLITS, *([notebook.words("faces of train")] if samples else []))
    return notebook.table(caption, head, [*rows, total])


def _shown(label: str, number: int, samples: Sequence[np.ndarray]) -> list[str]:
    if not samples:
        return []
    pictures = samples[number]
    return [notebook.faces(pictures, f"{len(pictures)} faces labeled {label}") if len(pictures) else ""]


def _told(info: DatasetInfo) -> str:
    """Return what a data set is, in a line."""
    faces = sum(info.count(split) for split in SPLITS)
    told = f"{faces:,} faces of {info.side} x {info.side} pixels in {len(info.labels)} classes"
    return f"{info.folder}: {told}"


def _told_left_out(info: DatasetInfo) -> str:
    if not info.left_out:
        return ""
    return f"{info.left_out:,} left out, each with its reason in {info.folder / LEFT_OUT_FILE}"


def summary(info: DatasetInfo) -> str:
    """Return the data set's counts by split and label, how it was made and what was left out, as text."""
    width = max(len(label) for label in info.labels) + 2
    lines = [f"{'':10}" + "".join(f"{label:>{width}}" for label in info.labels) + f"{'all':>9}"]
    for split in SPLITS:
        row = "".join(f"{info.counts[split][label]:>{width},}" for label in info.labels)
        lines.append(f"{split:10}{row}{info.count(split):>9,}")
    lines += [textwrap.fill(note, TERMINAL_WIDTH, break_on_hyphens=False) for note in info.notes]
    if info.left_out:
        lines.append(f"{_told_left_out(info)}:")
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
