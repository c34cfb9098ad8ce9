"""A table of images by path: path, label and, where given, split and person. Opens no image."""

import csv
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PureWindowsPath

from mien.errors import DataError, PictureError
from mien.labels import SPLITS, did_you_mean, split_of
from mien.pack.items import ImageItem
from mien.pack.naming import LEFT_OUT, Naming
from mien.pack.tree import shown
from mien.pictures import read_file

COLUMNS = ("path", "label")


def is_listing(header: list[str]) -> bool:
    """Return whether a table's header is that of a list of images."""
    return set(COLUMNS) <= {name.strip() for name in header}


def read_listing(name: str, lines: Iterable[str], *, root: Path, naming: Naming) -> Iterator[ImageItem]:
    """Yield the images of a table; paths are relative to `root`. DataError names the table and the row."""
    rows = csv.reader(lines)
    number = 1
    try:
        header = [column.strip() for column in next(rows)]
        for column in (*COLUMNS, "split", "person"):
            if header.count(column) > 1:
                raise DataError(f'{name}: column "{column}" stands twice')
        for number, row in enumerate(rows, start=2):
            if row:
                yield from _picture(f"{name}, row {number}", row, header, root, naming)
    except csv.Error as error:
        raise DataError(f"{name}, row {number + 1}: not a table row ({error})") from None


def _picture(
    where: str, row: list[str], header: list[str], root: Path, naming: Naming
) -> Iterator[ImageItem]:
    if len(row) != len(header):
        raise DataError(f"{where}: {len(row)} fields, the header has {len(header)}")
    fields = {column: field.strip() for column, field in zip(header, row, strict=True)}
    if not fields["path"]:
        raise DataError(f"{where}: no path")
    label = naming.meant(fields["label"], where)
    if label != LEFT_OUT:
        read = partial(_read, root, fields["path"])
        split, person = split_in_table(where, fields.get("split", "")), shown(fields.get("person", ""))
        yield ImageItem(read, label, split, shown(fields["path"]), person)


def _read(root: Path, path: str) -> bytes:
    """Return an image's bytes; a path that has none may be one of Windows, as `faces\\a.png`.

    PictureError, which points out a drive of Windows.
    """
    try:
        return read_file(root / path)
    except PictureError as error:
        windows = PureWindowsPath(path)
        if windows.drive and os.name != "nt":
            words = f"{error}; it is a path of Windows, and {windows.drive} is not here"
            raise PictureError(words) from None
        if "\\" in path:
            return read_file(root / windows.as_posix())
        raise


def split_in_table(where: str, word: str) -> str | None:
    """Return the split that a table's word means, None for no word; DataError for any other one."""
    if not word:
        return None
    split = split_of(word)
    if split is None:
        raise DataError(
            f'{where}: split "{word[:40]}" is not one of {", ".join(SPLITS)}{did_you_mean(word, SPLITS)}'
        )
    return split
