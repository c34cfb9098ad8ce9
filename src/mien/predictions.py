"""A table of predictions, the one format for everybody's. Knows nothing about networks or pictures.

A CSV file with a row a face: `id`, `label` (a class by name), `split`, one column of
probability a class, headed by the class's name. More columns are optional: `group`
(equal for copies of one picture, and for pictures of one person) and `clean` (0 where the picture stands in an
earlier split); and so is `strict` (0 where an earlier split has a copy of any kind, as an audit finds them).
Beside a table that mien wrote lies TABLE.sha256, as sha256sum writes it: a flipped bit in a number is a number, too.
"""

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.files import with_no_error, write_atomic, write_csv
from mien.labels import did_you_mean, refuse_class_names
from mien.reading import LARGEST_TABLE, read_file_or_pipe, read_text, reason, sha256_file
from mien.text import many

REQUIRED = ("id", "label", "split")
OPTIONAL = ("group", "clean", "strict")
COLUMNS = ("ids", "labels", "splits", "probs", "groups", "clean", "strict")  # of a Predictions
SUM_TOLERANCE = 0.01
LONGEST = 1000  # letters of a field; an array of text takes the longest times the rows
TRUE, FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")
ROUNDED = 0.005  # what a probability with two decimals may be off by


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What one recognizer says of N faces in C classes."""

    classes: tuple[str, ...]
    ids: np.ndarray  # str (N,)
    labels: np.ndarray  # int64 (N,), indices into classes
    splits: np.ndarray  # str (N,)
    probs: np.ndarray  # float64 (N, C), rows sum to 1
    groups: np.ndarray  # str (N,)
    clean: np.ndarray  # bool (N,)
    strict: np.ndarray | None = (
        None  # bool (N,), no copy of any kind in an earlier split; None where not audited
    )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def split_names(self) -> list[str]:
        """The splits that some face is of, sorted."""
        return sorted(set(self.splits.tolist()))

    def __repr__(self) -> str:
        return (
            f"Predictions({len(self):,} faces of {', '.join(self.split_names)}, {len(self.classes)} classes)"
        )

    def only(self, rows: np.ndarray) -> "Predictions":
        """Return the faces that a boolean mask or an index array picks."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return replace(self, **{name: c[rows] for name, c in columns.items() if c is not None})


def pooled(tables: Sequence[Predictions]) -> Predictions:
    """Return tables of different faces, in the same classes, as one."""
    columns = {name: [getattr(table, name) for table in tables] for name in COLUMNS}
    known = {name: each for name, each in columns.items() if all(column is not None for column in each)}
    whole = {name: np.concatenate(each) for name, each in known.items()}
    return Predictions(tables[0].classes, **whole)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a table of predictions and its checksum, whole or not at all; probabilities keep 9 digits.

    Raises DataError for a class that goes by the name of another column, StorageError.
    """
    refuse_column_names(predictions.classes)
    labels = np.array(predictions.classes)[predictions.labels]
    columns = (predictions.ids, labels, predictions.splits, *predictions.probs.T, predictions.groups)
    parts = [part.astype(int) for part in (predictions.clean, predictions.strict) if part is not None]
    rows = zip(*columns, *parts, strict=True)
    with_no_error(_checksum_of(path).unlink)  # of an earlier table: this one is not it
    write_csv(path, (*REQUIRED, *predictions.classes, *OPTIONAL[: 1 + len(parts)]), rows)
    write_atomic(_checksum_of(path), f"{sha256_file(path)}  {Path(path).name}\n")


def _checksum_of(path: Path) -> Path:
    return Path(f"{path}.sha256")


def refuse_column_names(classes: Sequence[str]) -> None:
    """Raise DataError for a class by whose name a table of predictions has another column."""
    if taken := [name for name in classes if name in REQUIRED + OPTIONAL]:
        raise DataError(
            f'"{taken[0]}" is a column of every table of predictions; give the class another name'
        )


def read_predictions(path: Path) -> Predictions:
    """Read anybody's table of predictions; raises DataError naming file and row.

    Probabilities must be finite, in 0..1, and sum to 1 as nearly as two decimals allow; they
    are then scaled to sum to exactly 1.
    """
    return parse_predictions(Path(path), *read_rows(Path(path)))


def parse_predictions(path: Path, header: list[str], rows: list[list[str]]) -> Predictions:
    """Return what the rows of a table say; errors as of `read_predictions`, which `path` is named in."""
    classes = _classes(path, header)
    column = {name: i for i, name in enumerate(header)}
    ids = _column(rows, column["id"])
    _refuse_repeated(path, ids)
    return Predictions(
        classes=classes,
        ids=ids,
        labels=_labels(path, rows, column["label"], classes),
        splits=np.char.strip(_column(rows, column["split"])),
        probs=_probs(path, rows, {name: column[name] for name in classes}),
        groups=_column(rows, column["group"]) if "group" in column else ids,
        clean=_flags(path, rows, column, "clean") if "clean" in column else np.ones(len(rows), bool),
        strict=_flags(path, rows, column, "strict") if "strict" in column else None,
    )


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of anybody's table, as text; DataError where it is none."""
    try:
        data = read_file_or_pipe(path, LARGEST_TABLE)
        _refuse_changed(path, data)
        header, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError):
            raise DataError(f"{path}: not a table of predictions (not UTF-8 text)") from None
        raise DataError(f"{path}: the file is empty; a table of predictions starts with a header") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error).lower()})") from None
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    _refuse_other_separator(path, header)
    header = [name.strip() for name in header]
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise DataError(f"{path}: the table has a header and no row")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            fields = many(len(row), "field")
            raise DataError(f"{path}, row {number}: {fields}, the header has {len(header)}")
        if max(map(len, row)) > LONGEST:
            raise DataError(f"{path}, row {number}: a field of more than {LONGEST:,} letters")
    return header, rows


def _refuse_changed(path: Path, data: bytes) -> None:
    """Raise DataError where a checksum lies beside the table and is another one; anybody's table has none."""
    noted = _checksum_of(path)
    if not noted.exists():
        return
    try:
        sha256 = read_text(noted, LARGEST_TABLE).split(maxsplit=1)[0]
    except (OSError, ValueError, IndexError):
        sha256 = ""
    if sha256 != hashlib.sha256(data).hexdigest():
        raise DataError(
            f"{path}: cut short or changed after mien wrote it; make it anew, or delete {noted} if you changed it"
        )


def _refuse_other_separator(path: Path, header: list[str]) -> None:
    for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) < len(REQUIRED) and sum(field.count(sign) for field in header) >= len(REQUIRED):
            raise DataError(f"{path}: its columns stand between {name}; a table of predictions has commas")


def _classes(path: Path, header: list[str]) -> tuple[str, ...]:
    for name in REQUIRED:
        if name not in header:
            raise DataError(f'{path}: no column "{name}"{did_you_mean(name, header)}')
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f'{path}: column "{twice}" stands twice')
    classes = tuple(name for name in header if name not in REQUIRED + OPTIONAL)
    if len(classes) < 2:
        raise DataError(f"{path}: at least two columns of class probabilities are needed")
    try:
        refuse_class_names(classes)
    except DataError as fault:
        raise DataError(f"{path}: column {fault}") from None
    return classes


def _column(rows: list[list[str]], index: int) -> np.ndarray:
    return np.array([row[index] for row in rows], dtype=str)


def _refuse_repeated(path: Path, ids: np.ndarray) -> None:
    seen: dict[str, int] = {}
    for number, identity in enumerate(ids, start=2):
        if identity in seen:
            raise DataError(f'{path}, row {number}: id "{identity}" stands in row {seen[identity]} too')
        seen[identity] = number


def _labels(path: Path, rows: list[list[str]], index: int, classes: tuple[str, ...]) -> np.ndarray:
    known = {name: i for i, name in enumerate(classes)}
    labels = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        label = row[index].strip()
        if label not in known:
            raise DataError(
                f'{path}, row {i + 2}: label "{label}" has no column of probabilities'
                f"{did_you_mean(label, classes)} (labels are class names, not numbers)"
            )
        labels[i] = known[label]
    return labels


def _probs(path: Path, rows: list[list[str]], columns: dict[str, int]) -> np.ndarray:
    """Return the probabilities that stand in some columns, by class; DataError names row and column."""
    try:
        probs = np.array([[row[i] for i in columns.values()] for row in rows]).astype(np.float64)
    except ValueError:
        number, name, word = next(
            (number, name, row[i])
            for number, row in enumerate(rows, start=2)
            for name, i in columns.items()
            if not is_number(row[i])
        )
        raise DataError(
            f'{path}, row {number}: column "{name}" has no probability but "{word}" (a column that is no class must be '
            f"taken out, or --data DATASET given, which knows the classes)"
        ) from None
    outside = ~((probs >= 0) & (probs <= 1 + SUM_TOLERANCE)).all(1)
    if outside.any():
        worst = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"{path}, row {worst + 2}: probabilities must be between 0 and 1 "
            f"(columns that are no class must be taken out, or --data DATASET given; logits need a softmax first)"
        )
    sums = probs.sum(1)
    wrong = np.abs(sums - 1) > max(SUM_TOLERANCE, ROUNDED * len(columns)) + 1e-9
    if wrong.any():
        worst = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}, row {worst + 2}: the probabilities sum to {sums[worst]:.4g}, not 1 (logits need a "
            "softmax first, and rounded ones two decimals at least)"
        )
    return probs / sums[:, None]


def is_number(word: str) -> bool:
    """Tell whether a field of a table is a finite number."""
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _flags(path: Path, rows: list[list[str]], column: dict[str, int], name: str) -> np.ndarray:
    words = [row[column[name]].strip().lower() for row in rows]
    for number, word in enumerate(words, start=2):
        if word not in TRUE + FALSE:
            raise DataError(f'{path}, row {number}: column "{name}" takes 0 or 1, not "{word}"')
    return np.array([word in TRUE for word in words])
