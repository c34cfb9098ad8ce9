"""Training targets: labels with label smoothing, class weights and soft targets."""

from pathlib import Path

import numpy as np
import torch

from mien.dataset import Faces
from mien.errors import DataError, RecipeError
from mien.predictions import read_predictions
from mien.reading import sha256_file
from mien.recipe import Recipe
from mien.train.augment import augment, degraded, mixed
from mien.train.hints import TeacherFeatures
from mien.train.outliers import with_outliers
from mien.train.views import SUFFIX, draw_view, view_targets, views_folder


class TrainBatches:
    """Batches of faces and targets: augmented anew each time, or views with the answers of teachers."""

    def __init__(self, faces: Faces, recipe: Recipe, labels: tuple[str, ...], device: str):
        self._faces, self._augment, self._device = faces, recipe.augment, device
        self._all_targets = targets(faces, recipe, labels)
        self._with_views = any(map(holds_views, recipe.distillation.soft_targets))
        self._images = torch.from_numpy(faces.images).to(device)
        self._targets = self._all_targets[0].to(device)
        hints = recipe.distillation.features > 0
        self.features = TeacherFeatures(recipe, len(faces), device) if hints else None

    def begin_epoch(self, epoch: int) -> None:
        """Draw the epoch's view of all faces, where the soft targets are of views."""
        if not self._with_views:
            return
        number = epoch % len(self._all_targets)
        view = draw_view(self._faces.images, self._augment, number)
        self._images = torch.from_numpy(view).to(self._device)
        self._targets = self._all_targets[number].to(self._device)
        if self.features:
            self.features.draw(number)

    def batch(
        self, rows: torch.Tensor, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return faces uint8 (B, S, S) and targets (B, C) of a batch, blended or made outliers as the recipe says.

        With them come teachers' features (B, F), nan for outliers, where the student shall predict them.
        """
        faces, batch_targets = self._images[rows], self._targets[rows]
        if not self._with_views:
            faces = augment(faces, self._augment, generator=generator)
        faces = degraded(faces, self._augment, generator=generator)
        faces, batch_targets = mixed(faces, batch_targets, self._augment, generator=generator)
        images, batch_targets = with_outliers(
            faces, batch_targets, self._augment.outliers, generator=generator
        )
        if self.features is None:
            return images, batch_targets, None
        outliers = (images != faces).flatten(1).any(1)
        return images, batch_targets, self.features.of(rows).masked_fill(outliers[:, None], float("nan"))


def targets(faces: Faces, recipe: Recipe, labels: tuple[str, ...]) -> torch.Tensor:
    """Return each face's targets, float32 (V, N, C), such that the loss is a target's cross-entropy with the answer.

    V is the number of views that teachers answered, or 1. The weights of label and soft target sum to 1; label
    smoothing moves some of the label to all classes evenly (Szegedy et al. 2016); a class's weight multiplies the
    targets of its faces, since the cross-entropy is linear in its target.

    Raises DataError where a class has no face but needs a weight, RecipeError for a teacher that does not fit.
    """
    probs = np.eye(len(labels))[None, faces.labels]
    if recipe.distillation.soft_targets:
        weight = recipe.distillation.weight
        probs = (1 - weight) * probs + weight * soft_targets(faces, recipe, labels)
    smoothing = recipe.training.label_smoothing
    probs = (1 - smoothing) * probs + smoothing / len(labels)
    return torch.from_numpy(probs * class_weights(faces, recipe, labels)[faces.labels, None]).float()


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


def soft_targets(faces: Faces, recipe: Recipe, labels: tuple[str, ...]) -> np.ndarray:
    """Return the teachers' mean probabilities of each face, float64 (V, N, C), each softened by the temperature.

    A table of the plain faces stands for each of their views.
    """
    tables = []
    for table in map(_there, recipe.distillation.soft_targets):
        if holds_views(table):
            probs = view_targets(table, faces, recipe.augment, labels)
        else:
            probs = _read(table, faces, labels)[None]
        softened = probs ** (1 / recipe.distillation.temperature)
        tables.append(softened / softened.sum(2, keepdims=True))
    if len({len(table) for table in tables} - {1}) > 1:
        raise RecipeError("distillation.soft_targets: files of views have as many views each")
    return sum(tables[1:], tables[0]) / len(tables)


def holds_views(table: str | Path) -> bool:
    """Tell whether a file of soft targets is one of views, by its name."""
    return Path(table).suffix == SUFFIX


def soft_target_files(recipe: Recipe) -> tuple[dict, ...]:
    """Return name and sha256 of each table of targets; RecipeError where one is missing."""
    files = recipe.distillation.soft_targets
    return tuple({"file": Path(file).name, "sha256": sha256_file(_there(file))} for file in files)


def _there(table: str) -> Path:
    if not Path(table).is_file():
        begun = views_folder(Path(table)).is_dir()
        done = "some of its views are answered; the `mien distill` that began it goes on"
        rest = done if begun else "`mien distill` makes such tables"
        raise RecipeError(f"distillation.soft_targets: there is no file {table}; {rest}")
    return Path(table)


def _read(path: Path, faces: Faces, labels: tuple[str, ...]) -> np.ndarray:
    table = read_predictions(path)
    if set(table.classes) != set(labels):
        raise RecipeError(
            f"{path}: has the classes {', '.join(table.classes)}, the data set {', '.join(labels)}"
        )
    rows = {identity: row for row, identity in enumerate(table.ids.tolist())}
    missing = [identity for identity in faces.ids.tolist() if identity not in rows]
    if missing:
        raise RecipeError(
            f"{path}: lacks {len(missing):,} of the {len(faces):,} train faces, the first with id "
            f"{missing[0]}; make it from this data set with `mien distill`"
        )
    picked = [rows[identity] for identity in faces.ids.tolist()]
    columns = [table.classes.index(label) for label in labels]
    own = np.array(labels)[faces.labels]
    other = np.flatnonzero(np.array(table.classes)[table.labels[picked]] != own)
    if len(other):
        raise RecipeError(
            f"{path}: face {faces.ids[other[0]]} is labelled {table.classes[table.labels[picked[other[0]]]]} there and "
            f"{own[other[0]]} here; make it from this data set with `mien distill`"
        )
    return table.probs[picked][:, columns]
