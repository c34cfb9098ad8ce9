"""Feature distillation: a student's pooled features shall predict those of its teachers, which are its hints.

What a student's classifier reads of a face goes through a linear regressor, which is trained with it and dropped
afterwards, and the squared error from what the teachers' classifiers read of the same view joins the loss (Romero et
al., "FitNets: Hints for thin deep nets", 2015; of the last features as in Chen et al., "Knowledge distillation with the
reused teacher classifier", 2022). A cosine would forget how strong a feature is, and of means of what a ReLU gives,
which are never negative, it says mostly what all faces have in common. Teachers' features are standardized instead, by
their mean and one scale for all dimensions of a teacher, which did better than a scale each (Ranzinger et al., "PHI-S:
Distribution balancing for label-free multi-teacher distillation", 2024; its rotation changes no squared error). So the
loss is the share of the features' variance that is not predicted, averaged over teachers, and a weight means the same
for all of them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mien.errors import RecipeError
from mien.networks import as_input
from mien.networks.network import classifier_inputs
from mien.recipe import Recipe
from mien.train.views import SUFFIX, read_views, view_features

TRIED_FACES = 2  # by which a student is tried


class TeacherFeatures:
    """Teachers' features of a view of all faces, as the files of views in `distillation.soft_targets` keep them."""

    def __init__(self, recipe: Recipe, faces: int, device: str):
        paths = [Path(table) for table in recipe.distillation.soft_targets if Path(table).suffix == SUFFIX]
        sizes = [(path, read_views(path, features=False).features) for path in paths]
        self._files = [(path, kept) for path, kept in sizes if kept]
        if not self._files:
            raise RecipeError(
                "distillation.features: no file of distillation.soft_targets keeps features; "
                "`mien distill --views N --features` makes one that does"
            )
        self._faces, self._device = faces, device
        of_teachers = [size for _, kept in self._files for size in kept]
        self.size = sum(of_teachers)
        first = self._read(0)
        variance = first.var(0, dtype=np.float64)
        parts = np.split(variance, np.cumsum(of_teachers)[:-1])
        scales = [1 / np.sqrt(max(part.sum(), np.finfo(np.float32).tiny) * len(parts)) for part in parts]
        self._mean = torch.from_numpy(first.mean(0, dtype=np.float64)).float().to(device)
        self._scale = torch.from_numpy(np.repeat(scales, of_teachers)).float().to(device)

    def draw(self, number: int) -> None:
        """Take up view `number` of all faces."""
        self._view = torch.from_numpy(self._read(number)).to(self._device)

    def of(self, rows: torch.Tensor) -> torch.Tensor:
        """Return standardized features, float32 (B, F), of some faces in the view that was taken up."""
        return (self._view[rows].float() - self._mean) * self._scale

    def _read(self, number: int) -> np.ndarray:
        views = [view_features(path, kept, number) for path, kept in self._files]
        for view, (path, kept) in zip(views, self._files, strict=True):
            if view.shape != (self._faces, sum(kept)):
                raise RecipeError(
                    f"{path}: its features are not {sum(kept)} of each of {self._faces:,} faces"
                )
        return np.concatenate(views, axis=1)


class Regressor(nn.Sequential):
    """Predicts teachers' features from a student's: batch norm and a linear layer, which starts from 0.

    The norm takes the mean away and scales features so that their squares sum to 1 in the mean, whatever the network:
    so the error's curvature is at most twice its weight, and the network's learning rate serves the regressor, too
    (on such norms: Miles & Mikolajczyk, "Understanding the role of the projector in knowledge distillation", 2024).
    """

    def __init__(self, student: int, teachers: int):
        norm, linear = nn.BatchNorm1d(student), nn.Linear(student, teachers)
        nn.init.constant_(norm.weight, student**-0.5)
        for fixed in norm.parameters():
            fixed.requires_grad_(False)
        for fresh in linear.parameters():
            nn.init.zeros_(fresh)
        super().__init__(norm, linear)


@dataclass(frozen=True, slots=True)
class Hint:
    """What a student shall predict of a batch."""

    regressor: Regressor
    weight: float  # of the prediction's error in the loss
    features: torch.Tensor  # float32 (B, F), of teachers, standardized; nan where a picture shows no face

    def loss(self, student: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return the weighted squared error, the mean over faces, of student's features (B, S) from these (B, F)."""
        predicted = self.regressor(student.float())
        expected = torch.where(features.isnan(), predicted.detach(), features)
        return self.weight * (predicted - expected).square().sum(1).mean()


def require_pooled_features(network: nn.Module, kind: str, side: int) -> None:
    """Raise RecipeError unless the network's classifier reads one row of features a face, in one go."""
    device = next(network.parameters()).device
    faces = torch.zeros(TRIED_FACES, side, side, dtype=torch.uint8, device=device)
    with torch.no_grad(), classifier_inputs(network.eval()) as inputs:
        network(as_input(faces))
    network.train()
    if [part.shape[:-1] for part in inputs] != [(TRIED_FACES,)]:
        raise RecipeError(
            f"distillation.features: {kind} has no linear layer at its end that reads a row of features a face"
        )
