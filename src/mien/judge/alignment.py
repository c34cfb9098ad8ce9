"""Brings tables of predictions to the same faces in the same order. Knows nothing about scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mien.errors import DataError
from mien.predictions import Predictions


def align(predictions: Sequence[Predictions], names: Sequence[str] | None = None) -> list[Predictions]:
    """Return the tables with the first one's order of faces and of classes.

    All tables must hold the same ids with the same labels, and the same classes by name;
    DataError names the table ("table 2", or its entry in `names`) and the face. A table from
    elsewhere may lack the columns `group`, `clean` and `strict`, so all get the coarsest grouping
    that a table has, and a face is clean, or strictly clean, if no table denies it. Splits stay as they are.
    """
    tables = list(predictions)
    names = list(names) if names is not None else [f"table {i + 1}" for i in range(len(tables))]
    if not tables:
        raise DataError("there is no table of predictions to judge")
    for name, table in zip(names, tables, strict=True):
        _refuse_empty_or_repeated(name, table)
    first = tables[0]
    aligned = [first]
    for name, table in zip(names[1:], tables[1:], strict=True):
        table = _with_classes(table, first.classes, name, names[0])
        table = _with_faces(table, first.ids, name, names[0])
        _compare_labels(table, first, name, names[0])
        aligned.append(table)
    groups = min((table.groups for table in aligned), key=lambda groups: len(np.unique(groups)))
    clean = np.logical_and.reduce([table.clean for table in aligned])
    known = [table.strict for table in aligned if table.strict is not None]
    strict = np.logical_and.reduce([*known, clean]) if known else None
    return [replace(table, groups=groups, clean=clean, strict=strict) for table in aligned]


def group_numbers(table: Predictions) -> np.ndarray:
    """Return each face's group as a number from 0 up, int64 (N,).

    Groups are numbered by their first face in the order of ids: neither the order of the rows
    nor the names of the groups can change what a bootstrap draws.
    """
    order = np.argsort(table.ids, kind="stable")
    _, first, name = np.unique(table.groups[order], return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))
    group = np.empty(len(table), np.int64)
    group[order] = number[name]
    return group


def _refuse_empty_or_repeated(name: str, table: Predictions) -> None:
    if not len(table):
        raise DataError(f"{name}: there is no face to judge")
    ids, counts = np.unique(table.ids, return_counts=True)
    if len(ids) != len(table):
        raise DataError(f'{name}: face "{ids[counts > 1][0]}" stands more than once')


def _with_classes(table: Predictions, classes: tuple[str, ...], name: str, first: str) -> Predictions:
    if table.classes == classes:
        return table
    for classes_of, has, other, lacks in (
        (classes, first, table.classes, name),
        (table.classes, name, classes, first),
    ):
        for label in classes_of:
            if label not in other:
                raise DataError(f'{lacks}: no class "{label}", which {has} has')
    if len(table.classes) != len(classes):
        raise DataError(f"{name}: {len(table.classes)} classes, {first} has {len(classes)}")
    place = np.array([classes.index(label) for label in table.classes])
    return replace(
        table, classes=classes, labels=place[table.labels], probs=table.probs[:, np.argsort(place)]
    )


def _with_faces(table: Predictions, ids: np.ndarray, name: str, first: str) -> Predictions:
    if np.array_equal(table.ids, ids):
        return table
    row = {identity: i for i, identity in enumerate(table.ids.tolist())}
    order = ids.tolist()
    missing = next((identity for identity in order if identity not in row), None)
    if missing is not None:
        raise DataError(f'{name}: no face "{missing}", which {first} has')
    extra = set(row).difference(order)
    if extra:
        raise DataError(f'{name}: face "{min(extra)}" is not in {first}')
    return table.only(np.array([row[identity] for identity in order]))


def _compare_labels(table: Predictions, other: Predictions, name: str, first: str) -> None:
    differs = table.labels != other.labels
    if differs.any():
        i = int(differs.argmax())
        here, there = table.classes[int(table.labels[i])], other.classes[int(other.labels[i])]
        raise DataError(f'{name}: face "{table.ids[i]}" is labeled "{here}", in {first} "{there}"')
