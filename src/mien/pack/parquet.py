"""Parquet files as dataset hubs use them: `image` with the image file's bytes, `label`, maybe `person`. Needs pyarrow.

A label is a name, or a number whose name is in the file's metadata as Hugging Face's `datasets`
writes them; a dataset with numbers and no names is refused unless --labels maps them.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mien.dataset import PERSON
from mien.errors import DataError, PictureError
from mien.labels import did_you_mean, split_of
from mien.pack.items import ImageItem, Item, SkippedImage
from mien.pack.naming import LEFT_OUT, Naming
from mien.pack.tree import shown

IMAGE, LABEL = ("image", "img"), ("label", "labels")
ROWS_AT_ONCE = 64


def read_parquet(root: Path, files: list[PurePosixPath], naming: Naming) -> Iterator[Item]:
    """Yield the images of parquet files below a folder.

    The split comes from a file's name, as in train-00000-of-00001, or from a folder below `root`.
    """
    for file in files:
        yield from _read(root, file, naming)


def count_rows(root: Path, files: list[PurePosixPath]) -> int:
    """Return how many rows the files hold; DataError for one that is damaged."""
    return sum(open_parquet(root / file).metadata.num_rows for file in files)


def names_people(root: Path, files: list[PurePosixPath]) -> bool:
    """Tell whether one of the files has a column `person`."""
    return any(PERSON in open_parquet(root / file).schema_arrow.names for file in files)


def open_parquet(path: Path):
    """Return a pyarrow ParquetFile; DataError for one that is damaged, or none."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as fault:
        raise DataError(f"{path}: not a parquet file, cut short or damaged ({_line(fault)})") from None


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:120]


def _split(file: PurePosixPath) -> str | None:
    words = (re.split(r"[-_.]", file.stem)[0], *reversed(file.parent.parts))
    return next((split for word in words if (split := split_of(word))), None)


def _read(root: Path, place: PurePosixPath, naming: Naming) -> Iterator[Item]:
    import pyarrow

    path = root / place
    file = open_parquet(path)
    image, label = (_column(path, file.schema_arrow.names, names) for names in (IMAGE, LABEL))
    person = [PERSON] if PERSON in file.schema_arrow.names else []
    names = _class_names(path, file.schema_arrow, label)
    split, number = _split(place), 0
    try:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[image, label, *person]):
            for row in batch.to_pylist():
                number += 1
                where = f"{shown(place)}, row {number}"
                who = _named(where, row.get(PERSON))
                yield from _picture(where, row[image], row[label], names, split, naming, who)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path}: damaged after row {number} ({_line(fault)})") from None


def _column(path: Path, found: list[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in found:
            return name
    raise DataError(
        f'{path}: no column "{names[0]}"{did_you_mean(names[0], found)} (it has {", ".join(found)})'
    )


def _class_names(path: Path, schema, label: str) -> list[str]:
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata.get("info", {}).get("features", {}).get(label, {})
        return [str(name) for name in feature.get("names", ())]
    except (ValueError, AttributeError, TypeError) as fault:
        raise DataError(f"{path}: the names of its labels cannot be read ({_line(fault)})") from None


def _named(where: str, person: Any) -> str:
    """Return the name or number of a person as text, "" for nobody known."""
    if not isinstance(person, int | str | None):
        raise DataError(f"{where}: the person is neither a name nor a number")
    return "" if person is None else shown(str(person).strip())


def _picture(
    where: str, image, label, names: list[str], split: str | None, naming: Naming, person: str
) -> Iterator[Item]:
    if label is None or label == -1:
        yield SkippedImage(where, "no label")
        return
    if not isinstance(label, int | str):
        raise DataError(f"{where}: the label is neither a name nor a number")
    if isinstance(label, int) and names and not 0 <= label < len(names):
        raise DataError(f"{where}: label {label} has no name; the file names 0 to {len(names) - 1}")
    name = names[label] if isinstance(label, int) and names else str(label)
    meant = naming.meant(name, where)
    if meant != LEFT_OUT:
        yield ImageItem(partial(image_bytes, image), meant, split, where, person)


def image_bytes(image: Any) -> bytes:
    """Return the bytes of a cell, or of a struct's `bytes` as Hugging Face writes them; PictureError without any."""
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        raise PictureError("the row holds no picture's bytes")
    return data
