"""Reads a data set's files and checks them against their checksums."""

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.dataset.faces import Dataset, DatasetInfo
from mien.dataset.files import FORMAT, WHAT, npy_header_bytes
from mien.errors import DataError
from mien.files import read_json
from mien.labels import SPLITS


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
    path, shape = info.folder / "faces.npy", (count, info.side, info.side)
    head = npy_header_bytes(count, info.side)  # known, so not read: it stands in no sum
    _check_sha256(path, info.pixels_sha256, skip=head)
    if path.stat().st_size != head + math.prod(shape):
        raise DataError(f"{path}: does not hold {count:,} faces of {info.side} pixels; pack it again")
    return np.memmap(path, np.uint8, "r", head, shape)


def _check_sha256(path: Path, expected: str, skip: int = 0) -> None:
    try:
        with open(path, "rb") as file:
            file.seek(skip)
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {WHAT} is damaged here ({error.strerror}); pack it again") from None
    if actual != expected:
        raise DataError(f"{path}: the file is cut short or was changed after packing; pack it again")
