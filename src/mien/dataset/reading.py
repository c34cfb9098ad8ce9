"""Reads a data set's files and verifies their checksums."""

import csv
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mien.dataset.faces import Dataset, DatasetInfo
from mien.dataset.files import FAMILIES_FILE, FORMAT, WHAT, npy_header_bytes
from mien.errors import DataError
from mien.labels import SPLITS, refuse_class_names
from mien.reading import LARGEST_TABLE, open_file, read_bytes, read_json, reason

SHAPE = {
    "side": int,
    "labels": [str],
    "origin": dict,
    "counts": {split: {str: int} for split in SPLITS},
    "pixels_sha256": str,
    "table_sha256": str,
    "learned_sha256?": str,
    "left_out?": int,
    "left_out_sha256?": str,
    "notes?": [str],
    "clips?": int,
    "people?": int,
}

FAMILIES = {"fingerprint": str, "families": [[str]]}


def read_info(folder: Path) -> DatasetInfo:
    """Read `dataset.json` alone; raises DataError in one line."""
    folder = Path(folder)
    path = folder / "dataset.json"
    value = read_json(path, what=WHAT, newest=FORMAT, error=DataError, shape=SHAPE)
    labels = tuple(value["labels"])
    try:
        refuse_class_names(labels)
        counts = {split: {label: value["counts"][split][label] for label in labels} for split in SPLITS}
    except (KeyError, DataError) as fault:
        raise DataError(f"{path}: {WHAT} is damaged here ({reason(fault)})") from None
    return DatasetInfo(
        folder=folder,
        side=value["side"],
        labels=labels,
        origin=value["origin"],
        counts=counts,
        pixels_sha256=value["pixels_sha256"],
        table_sha256=value["table_sha256"],
        learned_sha256=value.get("learned_sha256", ""),
        left_out=value.get("left_out", 0),
        left_out_sha256=value.get("left_out_sha256", ""),
        notes=tuple(value.get("notes", ())),
        clips=value.get("clips", 0),
        people=value.get("people", 0),
    )


class _Described(Protocol):
    """A DatasetInfo, or a run's record of one."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def counts(self) -> dict[str, dict[str, int]]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def learned_sha256(self) -> str: ...


def same_faces(one: _Described, other: _Described) -> bool:
    """Return whether two descriptions are of the same data set, where one may lack the test split.

    So a network trained without the test split can be evaluated with it. Labels are compared, too, since a fingerprint
    does not depend on their order.
    """
    blind = not all(any(data.counts.get("test", {}).values()) for data in (one, other))
    learned = blind and one.learned_sha256 == other.learned_sha256 != ""
    return one.labels == other.labels and (one.fingerprint == other.fingerprint or learned)


def standing(target: Path, same: Callable[[dict[str, Any]], bool]) -> DatasetInfo:
    """Return the data set at `target` if `same(origin)` accepts how it was made.

    Raises DataError for anything else at that path.
    """
    if not (target / "dataset.json").exists():
        raise DataError(f"{target}: exists and is not {WHAT}; give another name")
    try:
        info = read_dataset(target).info
    except DataError as fault:
        fault = str(fault).removeprefix(f"{target}: ")
        raise DataError(
            f"{target}: exists and is not {WHAT} in order ({fault}); delete it or give another name"
        ) from None
    if not same(info.origin):
        raise DataError(
            f"{target}: exists and was made of other files or in another way; delete it or give another name"
        )
    return info


def read_dataset(folder: Path) -> Dataset:
    """Read a data set and verify its checksums.

    Raises DataError when the folder is no data set, is truncated or was changed.
    """
    info = read_info(folder)
    table = _read_table(info)
    images = _read_images(info, len(table["id"]))
    counts = Counter(zip(table["split"].tolist(), table["label"].tolist(), strict=True))
    if counts != Counter({(s, c): n for s, of in info.counts.items() for c, n in of.items() if n}):
        raise DataError(
            f"{info.folder / 'dataset.json'}: {WHAT} is damaged here (its counts are not the table's)"
        )
    return Dataset(info, images, table, _read_families(info, table["id"]))


def _read_families(info: DatasetInfo, ids: np.ndarray) -> np.ndarray | None:
    """Return the id of the first face of each face's family, str (N,), None where no audit has stored them."""
    path = info.folder / FAMILIES_FILE
    if not path.exists():
        return None
    stored = read_json(path, what="the families of an audit", newest=FORMAT, error=DataError, shape=FAMILIES)
    if stored["fingerprint"] != info.fingerprint:
        raise DataError(f"{path}: of other faces than these; delete it, or make it anew: mien audit --store")
    first = {identity: family[0] for family in stored["families"] for identity in family}
    return np.array([first.get(identity, identity) for identity in ids.tolist()])


def _read_table(info: DatasetInfo) -> dict[str, np.ndarray]:
    path = info.folder / "table.csv"
    with _damage(path):
        data = read_bytes(path, LARGEST_TABLE)
    _refuse_changed(path, hashlib.sha256(data).hexdigest(), info.table_sha256)
    with _damage(path):
        header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
        columns = zip(*rows, strict=True)
        return {name: np.array(column) for name, column in zip(header, columns, strict=True)}


def _read_images(info: DatasetInfo, count: int) -> np.ndarray:
    path, shape = info.folder / "faces.npy", (count, info.side, info.side)
    head = npy_header_bytes(count, info.side)  # skipped: the checksum is of the pixels alone
    with _damage(path), open_file(path) as file:
        file.seek(head)
        sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.seek(0, os.SEEK_END)
    _refuse_changed(path, sha256, info.pixels_sha256)
    if size != head + math.prod(shape):
        raise DataError(f"{path}: does not hold {count:,} faces of {info.side} pixels; pack it again")
    return np.memmap(path, np.uint8, "r", head, shape)


@contextmanager
def _damage(path: Path):
    """Raise DataError, in one line, for an error while a file is read in this block."""
    try:
        yield
    except (OSError, ValueError, csv.Error) as fault:
        raise DataError(f"{path}: {WHAT} is damaged here ({reason(fault)}); pack it again") from None


def _refuse_changed(path: Path, sha256: str, expected: str) -> None:
    if sha256 != expected:
        raise DataError(f"{path}: the file is cut short or was changed after packing; pack it again")
