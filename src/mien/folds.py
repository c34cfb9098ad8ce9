"""Deals faces into the folds of a cross-validation. Knows nothing about pictures, files or networks."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.text import many


@dataclass(frozen=True, slots=True)
class Fold:
    """One of the folds of a cross-validation: a run is judged on it and trained on all others."""

    number: int  # from 1 to `of`
    of: int
    val_apart: bool = False  # dealt from train alone, so that no fold's network has learned from val
    by_person: bool = False  # each fold is one person: leave-one-subject-out

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were dealt."""
        return ("train",) if self.val_apart else ("train", "val")

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}" + " people" * self.by_person + " of train" * self.val_apart


def folds_of(count: int | None, val_apart: bool = False, by_person: bool = False) -> Iterator[Fold | None]:
    """Yield every fold of a cross-validation, or None once where none is wanted."""
    numbers = [] if count is None else range(1, max(1, count) + 1)
    yield from [None] if count is None else (Fold(n, count, val_apart, by_person) for n in numbers)


def deal_people(people: np.ndarray, folds: int) -> np.ndarray:
    """Return each face's fold where each of the `people`, str (N,), is one: int64 (N,) from 1, in the order of names.

    Raises DataError for a face without a person, and where there are not so many people, or fewer than two.
    """
    names, fold = np.unique(people, return_inverse=True)
    if not len(names) or names[0] == "":
        raise DataError("some faces have no person, so a fold cannot be a person")
    if len(names) != folds or folds < 2:
        raise DataError(
            f"{many(len(names), 'person', 'people')} in train and val, and {folds} folds are asked for"
        )
    return fold + 1


def deal(labels: np.ndarray, groups: np.ndarray, folds: int) -> np.ndarray:
    """Return each face's fold, int64 (N,) from 1 to `folds`.

    `labels` and `groups` are names, str (N,). The faces of one group come into one fold, their labels
    may disagree. Groups are dealt one by one, the largest first and equals in the order of a hash of
    their names, each to the fold with the fewest faces of its classes, of equal ones to the smallest.
    So the folds follow from the names of labels and groups alone, in whatever order the faces come.

    A class's counts in two folds differ by at most B: its largest group, and its faces in groups whose
    labels disagree. They differ by at most 1 where (folds - 1) * B of its faces are alone in their group.

    Raises DataError for fewer than 2 folds, for no face, and where a fold would lack a class.
    """
    if folds < 2:
        raise DataError(f"a cross-validation needs at least 2 folds, not {folds}")
    if not len(labels):
        raise DataError("there is no face in train or val to deal into folds")
    classes, label = np.unique(labels, return_inverse=True)
    names, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)  # faces of each group by class
    np.add.at(counts, (group, label), 1)
    pictures = (counts > 0).sum(0)
    _refuse_scarce(pictures < folds, classes, counts, folds)
    size, shuffled = counts.sum(1), [_hash(name) for name in names]
    dealt = np.zeros((folds, len(classes)), np.int64)  # faces of each fold by class
    fold = np.empty(len(names), np.int64)
    for g in sorted(range(len(names)), key=lambda g: (-size[g], shuffled[g])):
        # Whole numbers, so that every machine deals alike: this product is the growth of the sum
        # of squared counts, but for what is the same in every fold.
        fold[g] = np.lexsort((dealt.sum(1), dealt @ counts[g]))[0]
        dealt[fold[g]] += counts[g]
    _refuse_scarce(dealt.min(0) == 0, classes, counts, folds)
    return fold[group] + 1


def merged(*columns: np.ndarray) -> np.ndarray:
    """Return the group of each face, str (N,), where faces with an equal name in any of the columns are of one group.

    `columns` are names, str (N,), "" for a face of which nothing is known. A group goes by the first column's name of
    its first face, so columns that add nothing change nothing.
    """
    pairs: list[tuple[int, int]] = []
    for column in columns:
        first: dict[str, int] = {}
        pairs += [(row, first.setdefault(name, row)) for row, name in enumerate(column.tolist()) if name]
    return columns[0][first_connected(list(range(len(columns[0]))), pairs)]


def first_connected(parent: list[int], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each row the first row that pairs connect it with; `parent` has an earlier one, or the row itself."""

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for pair in pairs:
        a, b = map(root, pair)
        parent[max(a, b)] = min(a, b)
    return [root(row) for row in range(len(parent))]


def subset(labels: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    """Return the rows, int64 in their order, of about a `share` of the faces of each class, and of one face at least.

    `labels` are any (N,), `groups` names, str (N,): faces of one group are all taken or all left, with the class of the
    first. Groups are taken in the order of a hash of their names, so a smaller share's faces are among a larger one's.
    """
    if share >= 1:
        return np.arange(len(labels))
    names, first, group, size = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    taken = np.zeros(len(names), bool)
    for label in np.unique(labels[first]):
        own = sorted(np.flatnonzero(labels[first] == label), key=lambda g: _hash(names[g]))
        before = np.cumsum(size[own]) - size[own]  # faces of the class that come before each group
        taken[np.array(own)[before < max(1.0, share * size[own].sum())]] = True
    return np.flatnonzero(taken[group])


def _refuse_scarce(scarce: np.ndarray, classes: np.ndarray, counts: np.ndarray, folds: int) -> None:
    """Raise DataError where a class is marked as one that cannot stand in every fold."""
    if scarce.any():
        c = int(scarce.argmax())
        raise DataError(
            f'{folds} folds are too many for "{classes[c]}": its {many(int(counts[:, c].sum()), "face")}, '
            f"{many(int((counts[:, c] > 0).sum()), 'different picture')}, cannot be dealt so that each fold has one"
        )


def _hash(name: str) -> bytes:
    return hashlib.blake2b(str(name).encode(errors="surrogateescape"), digest_size=16).digest()
