"""Writes a data set face by face, in constant memory."""

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mien.dataset.faces import DatasetInfo
from mien.dataset.files import (
    COLUMNS,
    FAMILIES_FILE,
    FORMAT,
    LEFT_OUT_COLUMNS,
    LEFT_OUT_FILE,
    npy_header,
    npy_header_bytes,
)
from mien.files import appearing_folder, to_json, write_atomic
from mien.labels import SPLITS, refuse_class_names
from mien.reading import sealed, sha256_file


@dataclass(slots=True)
class Row:
    """A face's row in the table. `split` may be None until `finish`."""

    id: str
    label: str
    split: str | None
    source: str
    group: str
    extra: tuple[str | int, ...] = ()


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
        self._faces.write(npy_header(0, side))

    def add(
        self,
        pixels: bytes,
        *,
        label: str,
        split: str | None,
        source: str,
        extra: tuple[str | int, ...] = (),
        identity: str | None = None,
    ) -> None:
        """Append one face: S*S gray bytes, row by row. Its id is its index, from 0, unless `identity` is given."""
        identity = str(len(self.rows)) if identity is None else identity
        group = self._first.setdefault(hashlib.blake2b(pixels, digest_size=16).digest(), identity)
        self.rows.append(Row(identity, label, split, source, group, extra))
        self._faces.write(pixels)
        self._pixels.update(pixels)

    def leave_out(self, source: str, reason: str) -> None:
        """Record a skipped face and the reason."""
        self.left_out.append((source, reason))

    def finish(self, origin: dict[str, Any], *, notes: Iterable[str] = ()) -> None:
        """Complete the files; every row must have its split by now. `notes` are sentences on how it was made."""
        self._faces.seek(0)
        self._faces.write(npy_header(len(self.rows), self.side))
        self.close()
        table = ((r.id, r.label, r.split, r.source, r.group, *r.extra) for r in self.rows)
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
            **self._clips(),
            "left_out": len(self.left_out),
            **({"left_out_sha256": sha256_file(self._folder / LEFT_OUT_FILE)} if self.left_out else {}),
            "notes": list(notes),
            "origin": origin,
            "counts": {s: {name: counts[s, name] for name in self.labels} for s in SPLITS},
            "pixels_sha256": self._pixels.hexdigest(),
            "table_sha256": sha256_file(self._folder / "table.csv"),
            "learned_sha256": self._learned_sha256(),
        }
        with open(self._folder / "dataset.json", "w", encoding="utf-8") as file:
            file.write(to_json(sealed(described)))
            _sync(file)

    def _clips(self) -> dict[str, int]:
        """Return how many clips and people by name there are, in a data set of clips."""
        if "clip" not in self._extra:
            return {}
        counts: dict[str, int] = {}
        for name, column in (("clips", "clip"), ("people", "person")):
            at = self._extra.index(column) if column in self._extra else None
            counts[name] = len({row.extra[at] for row in self.rows} - {""}) if at is not None else 0
        return counts

    def _learned_sha256(self) -> str:
        """Return the SHA-256 of train and val, pixels and rows: all of a data set that a training depends on."""
        digest = hashlib.sha256()
        with open(self._folder / "faces.npy", "rb") as file:
            file.seek(npy_header_bytes(len(self.rows), self.side))
            for row in self.rows:
                pixels = file.read(self.side * self.side)
                if row.split != "test":
                    digest.update(f"{row.id},{row.label},{row.split},{row.group};".encode() + pixels)
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file of pixels; may be called twice."""
        if not self._faces.closed:
            _sync(self._faces)
            self._faces.close()


def write_families(info: DatasetInfo, families: Iterable[Sequence[str]]) -> Path:
    """Write which faces of a data set are copies of any kind, each family a list of ids, beside it; return the file."""
    path = info.folder / FAMILIES_FILE
    stored = {"format": FORMAT, "fingerprint": info.fingerprint, "families": [list(ids) for ids in families]}
    write_atomic(path, to_json(sealed(stored)))
    return path


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str | int | None, ...]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
        _sync(file)


def _sync(file: IO[str] | IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def writing_dataset(
    folder: Path,
    *,
    side: int,
    labels: tuple[str, ...],
    extra: tuple[str, ...] = (),
    waiting: Callable[[], None] = lambda: None,
) -> Generator[DatasetWriter]:
    """Yield a DatasetWriter; the data set appears at `folder` when the block succeeds, else not at all.

    `waiting()` is called repeatedly while another process writes it. Raises FolderExists when that has finished, and
    DataError for invalid or duplicate names in `labels`.
    """
    refuse_class_names(labels)
    with appearing_folder(folder, waiting=waiting) as hidden:
        writer = DatasetWriter(hidden, side, labels, extra)
        try:
            yield writer
        finally:
            writer.close()
