"""What a network shall answer for each face: labels, softened by the recipe and by teachers."""

from pathlib import Path

import numpy as np
import torch

from mien.dataset import Faces
from mien.errors import DataError, RecipeError
from mien.files import sha256_file
from mien.predictions import read_predictions
from mien.recipe import Recipe, Teacher


def targets(faces: Faces, recipe: Recipe, labels: tuple[str, ...]) -> torch.Tensor:
    """Return the target of each face, float32 (N, C), such that the loss is its cross-entropy with the answer.

    Label and teacher share out 1; label smoothing moves some of it to all classes evenly (Szegedy et al. 2016); a
    class's weight multiplies the rows of its faces, as the cross-entropy is linear in its target.

    Raises DataError where a class has no face but needs a weight, RecipeError for a teacher that does not fit.
    """
    wanted = np.eye(len(labels))[faces.labels]
    if recipe.teacher.tables:
        share = recipe.teacher.share
        wanted = (1 - share) * wanted + share * taught(faces, recipe.teacher, labels)
    smoothing = recipe.training.label_smoothing
    wanted = (1 - smoothing) * wanted + smoothing / len(labels)
    return torch.from_numpy(wanted * class_weights(faces, recipe, labels)[faces.labels, None]).float()


def class_weights(faces: Faces, recipe: Recipe, labels: tuple[str, ...]) -> np.ndarray:
    """Return a loss weight a class, float64 (C,): 1, or N / (C * count) when balanced."""
    counts = np.bincount(faces.labels, minlength=len(labels))
    if recipe.training.class_weights == "none":
        return np.ones(len(labels))
    if not counts.all():
        missing = ", ".join(name for name, count in zip(labels, counts, strict=True) if not count)
        raise DataError(
            f"no train face is labelled {missing}: training.class_weights=balanced needs every class"
        )
    return len(faces) / (len(labels) * counts)


def taught(faces: Faces, teacher: Teacher, labels: tuple[str, ...]) -> np.ndarray:
    """Return the teachers' mean probabilities of each face, float64 (N, C), each softened by the temperature."""
    return np.mean(
        [_read(_there(table), faces, teacher.temperature, labels) for table in teacher.tables], axis=0
    )


def teacher_files(teacher: Teacher) -> tuple[dict, ...]:
    """Return name and sha256 of each table of targets; RecipeError where one is missing."""
    return tuple({"file": Path(table).name, "sha256": sha256_file(_there(table))} for table in teacher.tables)


def _there(table: str) -> Path:
    if not Path(table).is_file():
        raise RecipeError(f"teacher.tables: there is no file {table}; `mien teach` makes such tables")
    return Path(table)


def _read(path: Path, faces: Faces, temperature: float, labels: tuple[str, ...]) -> np.ndarray:
    told = read_predictions(path)
    if set(told.classes) != set(labels):
        raise RecipeError(
            f"{path}: has the classes {', '.join(told.classes)}, the data set {', '.join(labels)}"
        )
    rows = {identity: row for row, identity in enumerate(told.ids.tolist())}
    missing = [identity for identity in faces.ids.tolist() if identity not in rows]
    if missing:
        raise RecipeError(
            f"{path}: says nothing of {len(missing):,} of the {len(faces):,} train faces, the first with id "
            f"{missing[0]}; make it from this data set with `mien teach`"
        )
    picked = [rows[identity] for identity in faces.ids.tolist()]
    columns = [told.classes.index(label) for label in labels]
    own = np.array(labels)[faces.labels]
    other = np.flatnonzero(np.array(told.classes)[told.labels[picked]] != own)
    if len(other):
        raise RecipeError(
            f"{path}: face {faces.ids[other[0]]} is labelled {told.classes[told.labels[picked[other[0]]]]} there and "
            f"{own[other[0]]} here; make it from this data set with `mien teach`"
        )
    softened = told.probs[picked][:, columns] ** (1 / temperature)
    return softened / softened.sum(1, keepdims=True)
