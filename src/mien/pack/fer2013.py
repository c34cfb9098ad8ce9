"""FER2013's table (Goodfellow et al. 2013): emotion, pixels, Usage. Knows nothing about files.

`icml_face_data.csv` has the same columns in another order, with a space before their names; the
challenge's `train.csv` has no Usage, and its faces no split.
"""

import csv
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from mien.errors import DataError
from mien.labels import FER2013_SPLITS, NUMBERS, did_you_mean
from mien.pack.items import Face

SIDE = 48
COLUMNS = ("emotion", "pixels", "Usage")
OPTIONAL = "Usage"


def read_faces(name: str, lines: Iterable[str]) -> Iterator[Face]:
    """Yield the faces of a table, in its order; DataError names the table and the row.

    Row 1 is the header, as in a spreadsheet.
    """
    rows = csv.reader(lines)
    number, faces = 1, 0
    try:
        header = next(rows, None)
        if header is None:
            raise DataError(f"{name}: the file is empty")
        columns = _columns(name, header)
        for number, row in enumerate(rows, start=2):
            if row:
                faces += 1
                yield _face(f"{name}, row {number}", row, columns, len(header))
    except csv.Error as error:
        raise DataError(f"{name}, row {number + 1}: not a table row ({error})") from None
    if not faces:
        raise DataError(f"{name}: the table has a header and no face")


def _columns(name: str, header: list[str]) -> dict[str, int]:
    header = [column.strip() for column in header]
    if not set(COLUMNS) & set(header):
        raise DataError(f"{name}: neither the columns {', '.join(COLUMNS)} nor path, label{_near(header)}")
    for column in COLUMNS:
        if column not in header and column != OPTIONAL:
            raise DataError(f'{name}: no column "{column}"{did_you_mean(column, header)}')
        if header.count(column) > 1:
            raise DataError(f'{name}: column "{column}" stands twice')
    return {column: header.index(column) for column in COLUMNS if column in header}


def _near(header: list[str]) -> str:
    return next(
        (near for column in (*COLUMNS, "path", "label") if (near := did_you_mean(column, header))), ""
    )


def _face(where: str, row: list[str], columns: dict[str, int], width: int) -> Face:
    if len(row) != width:
        raise DataError(f"{where}: {len(row)} fields, the header has {width}")
    cells = {column: row[index].strip() for column, index in columns.items()}
    emotion, usage = cells["emotion"], cells.get(OPTIONAL)
    if emotion not in NUMBERS:
        raise DataError(f'{where}: emotion "{emotion[:40]}" is not a number from 0 to {len(NUMBERS) - 1}')
    if usage is not None and usage not in FER2013_SPLITS:
        known = ", ".join(FER2013_SPLITS)
        raise DataError(
            f'{where}: Usage "{usage[:40]}" is not one of {known}{did_you_mean(usage, FER2013_SPLITS)}'
        )
    split = None if usage is None else FER2013_SPLITS[usage]
    return Face(parse_pixels(cells["pixels"], where), NUMBERS[emotion], split, where)


def parse_pixels(text: str, where: str) -> bytes:
    """Return the gray bytes of a row's text: SIDE * SIDE whole numbers from 0 to 255."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of text that is no number
        try:
            values = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            raise DataError(f"{where}: pixels hold something that is not a whole number") from None
    if len(values) != SIDE * SIDE:
        raise DataError(f"{where}: {len(values):,} pixels, {SIDE} x {SIDE} = {SIDE * SIDE:,} are needed")
    if values.min() < 0 or values.max() > 255:
        worst = values.min() if values.min() < 0 else values.max()
        raise DataError(f"{where}: pixel value {worst} is outside 0 to 255")
    return values.astype(np.uint8).tobytes()
