"""Reads anybody's predictions by network and seed, and fills in from a data set what they lack. Judges nothing.

What is given is `NAME=TABLE,TABLE,…`, the seeds of one network, or TABLE, a network with one seed. A table is a CSV
file as mien writes it. Beside a data set it may be what others save: without `label`, `split` or `id`, its rows then
being the faces of a split in the data set's order; with other spellings of the classes; with further columns; or
without names, as a `.npy` array and what `np.savetxt` writes.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from mien.dataset import Dataset
from mien.errors import DataError
from mien.judge.parts import with_copies
from mien.labels import SYNONYMS, did_you_mean, plain
from mien.predictions import OPTIONAL, REQUIRED, Predictions, is_number, parse_predictions, read_rows
from mien.reading import LARGEST_TABLE, read_bytes, reason
from mien.text import escaped, many

SEPARATOR = ","
ARRAYS = (".npy", ".npz")  # endings of what numpy saves; of these .npz is refused in words


@dataclass(frozen=True, slots=True)
class Source:
    """Where predictions come from besides their tables."""

    dataset: Dataset | None = None  # knows labels, splits, copies and columns by id
    split: str | None = None  # the rows to keep; None: all, of one split
    classes: tuple[str, ...] = ()  # of columns that have no names
    by: str = ""  # a column that groups the faces


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Predictions by network, of each seed, and the groups that a column makes of the faces."""

    networks: dict[str, list[Predictions]]
    by: Mapping[str, str] = field(default_factory=dict[str, str])  # id -> value of the column `Source.by`


def is_table(item: str | Path) -> bool:
    """Tell whether an item names tables, and is no folder of a run."""
    path = Path(item)
    return not path.is_dir() and (
        path.suffix in (".csv", *ARRAYS) or ("=" in str(item) and not path.exists())
    )


def named_tables(items: Sequence[str | Path]) -> dict[str, list[Path]]:
    """Return the files of each network by its name; DataError for a name or a file given twice."""
    named: dict[str, list[Path]] = {}
    alone = [Path(item) for item in items if isinstance(item, Path) or "=" not in item or Path(item).exists()]
    names = dict(zip(alone, _short_names(alone), strict=True))
    for item in items:
        path = Path(item)
        name, files = (names[path], [path]) if path in names else _network(str(item))
        if name in named:
            raise DataError(
                f'two networks have the name "{escaped(name)}"; give the seeds of one as NAME=A.csv,B.csv'
            )
        named[name] = files
    given = [file for files in named.values() for file in files]
    if twice := [file for file in given if given.count(file) > 1]:
        raise DataError(f"{twice[0]}: the same table is given twice")
    return named


def _network(item: str) -> tuple[str, list[Path]]:
    name, _, files = item.partition("=")
    if not name.strip() or not files.strip(SEPARATOR + " "):
        raise DataError(
            f'"{escaped(item)}" is not NAME=TABLE,TABLE,…, the predictions of the seeds of one network'
        )
    if Path(files).exists():
        return escaped(name.strip()), [Path(files)]
    paths: list[Path] = []
    for file in filter(None, (part.strip() for part in files.split(SEPARATOR))):
        matches = [] if Path(file).exists() else sorted(Path(file).parent.glob(Path(file).name))
        paths += matches or [Path(file)]
    return escaped(name.strip()), paths


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart."""
    for parts in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        whole = [str(Path(*path.parts[-parts:])) for path in paths]
        bare = [name.removesuffix(".csv").removesuffix(".npy") for name in whole]
        for names in ([escaped(name) for name in bare], [escaped(name) for name in whole]):
            if len(set(names)) == len(names):
                return names
    raise DataError(f"{paths[0]}: the same table is given twice")


def read_networks(named: Mapping[str, Sequence[Path]], source: Source) -> Given:
    """Read the tables of each network's seeds; DataError naming file and row."""
    by: dict[str, str] = {}
    networks = {name: [_read(path, source, by) for path in paths] for name, paths in named.items()}
    return Given(networks, by)


def _read(path: Path, source: Source, by: dict[str, str]) -> Predictions:
    header, rows = _array(path) if path.suffix in ARRAYS else read_rows(path)
    if not header[0]:  # the index of a data frame
        header, rows = header[1:], [row[1:] for row in rows]
    if header and all(map(is_number, header)):
        header, rows = _named(path, header, rows, source)
    if source.dataset is not None:
        header, rows = _completed(path, header, rows, source, source.dataset)
    header, rows = _without_by(path, header, rows, source, by)
    table = _of_split(parse_predictions(path, header, rows), path, source.split)
    return table if source.dataset is None else _annotated(path, table, source.dataset)


def _array(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return an array of probabilities (N, C) as the rows of a table whose columns are numbered."""
    try:
        content: np.ndarray | NpzFile = np.load(
            io.BytesIO(read_bytes(path, LARGEST_TABLE)), allow_pickle=False
        )
    except (OSError, ValueError, EOFError, BadZipFile) as fault:
        raise DataError(f"{path}: no array of numbers ({reason(fault)})") from None
    if isinstance(content, NpzFile):
        names = ", ".join(map(escaped, content.files))
        raise DataError(
            f"{path}: an archive of arrays ({names}); save the probabilities alone, with numpy.save, as .npy"
        )
    probs: np.ndarray = content
    if probs.dtype.kind not in "fiu" or probs.ndim != 2 or not probs.size:
        raise DataError(f"{path}: an array of probabilities has a row a face and a column a class")
    return _numbers(probs.shape[1]), [[repr(x) for x in row] for row in probs.astype(np.float64).tolist()]


def _numbers(columns: int) -> list[str]:
    return [str(number) for number in range(columns)]


def _named(
    path: Path, header: list[str], rows: list[list[str]], source: Source
) -> tuple[list[str], list[list[str]]]:
    """Return a table whose columns have numbers for names, or whose first row is a face's, with those of --classes."""
    if source.dataset is None:
        raise DataError(
            f"{path}: its columns have no names, so no ids and no labels; say which faces its rows are: --data DATASET"
        )
    labels = source.dataset.info.labels
    if not source.classes:
        raise DataError(
            f"{path}: nothing says which classes its columns are of; say it with --classes, as "
            f"{','.join(labels)} (the data set's) or {','.join(sorted(labels))} (the alphabet's, as scikit-learn and "
            f"class folders have it)"
        )
    if len(header) != len(source.classes):
        raise DataError(f"{path}: {len(header)} columns, and --classes names {len(source.classes)}")
    return list(source.classes), rows if header == _numbers(len(header)) else [header, *rows]


def _completed(
    path: Path, header: list[str], rows: list[list[str]], source: Source, dataset: Dataset
) -> tuple[list[str], list[list[str]]]:
    """Return a table with the columns of a data set's classes and all that a data set knows of its faces."""
    classes = _meant_classes(path, header, dataset.info.labels)
    ids = _ids(path, header, rows, source, dataset)
    known = dataset.annotations(ids)
    given = {name: header.index(name) for name in (*REQUIRED, source.by) if name in header}
    columns = {"id": ids, "label": known.labels.tolist(), "split": known.splits.tolist()}
    columns |= {name: [row[i] for row in rows] for name, i in given.items()}
    columns["label"] = [_meant(word, dataset.info.labels) for word in columns["label"]]
    if source.by in known.columns and source.by not in columns:
        columns[source.by] = known.columns[source.by].tolist()
    places = list(classes.values())
    whole = [[*more, *(row[i] for i in places)] for *more, row in zip(*columns.values(), rows, strict=True)]
    return [*columns, *classes], whole


def _meant_classes(path: Path, header: list[str], labels: Sequence[str]) -> dict[str, int]:
    """Return the column of each of the data set's classes, whatever its spelling; other columns are passed over."""
    meant: dict[str, int] = {}
    for i, name in enumerate(header):
        if name in (*REQUIRED, *OPTIONAL) or (label := _meant(name, labels)) not in labels:
            continue
        if label in meant:
            raise DataError(
                f'{path}: columns "{header[meant[label]]}" and "{name}" are both of class "{label}"'
            )
        meant[label] = i
    for label in labels:
        if label not in meant:
            raise DataError(f'{path}: no column of class "{label}"{did_you_mean(label, header)}')
    return {label: meant[label] for label in labels}


def _meant(word: str, labels: Sequence[str]) -> str:
    """Return the class that a word names, or the word."""
    if word in labels:
        return word
    spellings = {plain(other): label for label in labels for other in SYNONYMS.get(plain(label), ())}
    return (spellings | {plain(label): label for label in labels}).get(plain(word), word)


def _ids(path: Path, header: list[str], rows: list[list[str]], source: Source, dataset: Dataset) -> list[str]:
    if "id" in header:
        return [row[header.index("id")] for row in rows]
    if source.split is None:
        raise DataError(
            f"{path}: without ids its rows are the faces of a split, in the data set's order; say which: --split"
        )
    ids = dataset.ids(source.split).tolist()
    if len(ids) != len(rows):
        raise DataError(
            f"{path}: {many(len(rows), 'row')} without ids, and {source.split} of {dataset.info.folder} has "
            f"{many(len(ids), 'face')}; the rows must be its faces in their order"
        )
    return ids


def _without_by(
    path: Path, header: list[str], rows: list[list[str]], source: Source, by: dict[str, str]
) -> tuple[list[str], list[list[str]]]:
    """Return the table without the column that groups the faces, which goes into `by`."""
    if not source.by:
        return header, rows
    if source.by not in header or source.by in REQUIRED or "id" not in header:
        raise DataError(
            f'{path}: no column "{source.by}" to group the faces by{did_you_mean(source.by, header)}'
        )
    i, identity = header.index(source.by), header.index("id")
    for row in rows:
        value = by.setdefault(row[identity], row[i].strip())
        if value != row[i].strip():
            raise DataError(
                f'{path}: face "{row[identity]}" has {source.by} "{row[i].strip()}", elsewhere "{value}"'
            )
    return header[:i] + header[i + 1 :], [row[:i] + row[i + 1 :] for row in rows]


def _of_split(predictions: Predictions, path: Path, split: str | None) -> Predictions:
    splits = predictions.split_names
    if split is None and len(splits) > 1:
        raise DataError(f"{path}: holds the splits {', '.join(splits)}; say which with --split")
    if split is not None and split not in splits:
        raise DataError(
            f'{path}: no row of split "{split}"{did_you_mean(split, splits)} (it has {", ".join(splits)})'
        )
    return predictions if split is None else predictions.only(predictions.splits == split)


def _annotated(path: Path, table: Predictions, dataset: Dataset) -> Predictions:
    """Return a table with the copies that a data set knows of; DataError where their labels or splits differ."""
    known = dataset.annotations(table.ids)
    labels = np.array(table.classes)[table.labels]
    for what, here, there in (("labeled", labels, known.labels), ("of split", table.splits, known.splits)):
        if (differs := here != there).any():
            i = int(differs.argmax())
            raise DataError(
                f'{path}: face "{table.ids[i]}" is {what} "{here[i]}", in {dataset.info.folder} "{there[i]}"'
            )
    return with_copies(table, dataset)
