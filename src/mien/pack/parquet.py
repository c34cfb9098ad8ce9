"""Parquet files as dataset hubs use them: `image` with the picture's bytes, and `label`. Needs pyarrow.

A label is a name, or a number whose names stand in the file's metadata as Hugging Face's `datasets`
writes them; a number without a name means nothing and is refused.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mien.errors import DataError, PictureError
from mien.labels import did_you_mean, split_of
from mien.pack.items import Found, Item, LeftOut
from mien.pack.naming import LEFT_OUT, Naming

IMAGE, LABEL = ("image", "img"), ("label", "labels")
ROWS_AT_ONCE = 64


def read_parquet(files: list[Path], naming: Naming) -> Iterator[Item]:
    """Yield the pictures of parquet files; the split comes from a file's name, as in train-00000-of-00001."""
    for path in files:
        yield from _read(path, naming)


def count_rows(files: list[Path]) -> int:
    """Return how many rows the files hold; DataError for one that is damaged."""
    return sum(_open(path).metadata.num_rows for path in files)


def _open(path: Path):
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as fault:
        raise DataError(f"{path}: not a parquet file, cut short or damaged ({_line(fault)})") from None


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:120]


def _read(path: Path, naming: Naming) -> Iterator[Item]:
    import pyarrow

    file = _open(path)
    image, label = (_column(path, file.schema_arrow.names, names) for names in (IMAGE, LABEL))
    names = _class_names(path, file.schema_arrow, label)
    split = split_of(re.split(r"[-_.]", path.stem)[0]) or split_of(path.parent.name)
    number = 0
    try:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[image, label]):
            for row in batch.to_pylist():
                number += 1
                yield from _picture(
                    f"{path.name}, row {number}", row[image], row[label], names, split, naming
                )
    except (pyarrow.ArrowException, OSError) as fault:
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
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = told.get("info", {}).get("features", {}).get(label, {})
        return [str(name) for name in feature.get("names", ())]
    except (ValueError, AttributeError, TypeError) as fault:
        raise DataError(f"{path}: the names of its labels cannot be read ({_line(fault)})") from None


def _picture(where: str, image, label, names: list[str], split: str | None, naming: Naming) -> Iterator[Item]:
    if label is None or label == -1:
        yield LeftOut(where, "no label")
        return
    if isinstance(label, int) and names and not 0 <= label < len(names):
        raise DataError(f"{where}: label {label} has no name; the file names 0 to {len(names) - 1}")
    name = names[label] if isinstance(label, int) and names else str(label)
    naming.check([name], where)
    meant = naming.class_of(name)
    if meant != LEFT_OUT:
        yield Found(partial(_bytes, image), meant, split, where)


def _bytes(image) -> bytes:
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        raise PictureError("the row holds no picture's bytes")
    return data
