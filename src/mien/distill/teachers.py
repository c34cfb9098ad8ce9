"""Teachers: trained networks that answer the faces of a data set. Writes nothing."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mien.dataset import Dataset, DatasetInfo, Faces, same_faces
from mien.errors import RunError
from mien.evaluate import load_network, predict_faces, predictions_of, trained_on
from mien.model import read_model
from mien.networks.features import FrameFeatures
from mien.networks.network import classifier_inputs, classifier_of
from mien.recipe import TTA, ClipHead
from mien.run import RunData, folder_name, read_run


class Teacher(ABC):
    """A network whose answers are distilled."""

    name: str  # the folds of a cross-validation share it
    sha256: str  # of a run's weights or a model file
    unseen: np.ndarray  # bool (N,), the train faces that it answers: of a fold those it was not trained on

    @abstractmethod
    def answer(self, faces: Faces, *, tta: bool = True) -> np.ndarray:
        """Return probabilities of faces, float64 (N, C), in the evaluation's views or by one look at each.

        A model file has its views in the graph.
        """

    @abstractmethod
    def feature_size(self) -> int:
        """Return how many pooled features its classifier reads; RunError where they are not to be had."""

    @abstractmethod
    def answer_with_features(self, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities, float64 (N, C), and pooled features, float32 (N, F), by one look at each face."""

    def answer_train(self, faces: Faces, *, tta: bool = True) -> np.ndarray:
        """Return probabilities of the train faces, plain or augmented, float64 (N, C); nan for those it has learned."""
        if self.unseen.all():
            return self.answer(faces, tta=tta)
        answered = self.answer(_subset(faces, self.unseen), tta=tta)
        probs = np.full((len(faces), answered.shape[1]), np.nan)
        probs[self.unseen] = answered
        return probs


class RunTeacher(Teacher):
    """A run of `mien train`."""

    def __init__(self, folder: Path, dataset: Dataset, faces: Faces, device: str):
        self._run = run = read_run(folder)
        if run.fold and not run.fold.val_apart:
            raise RunError(
                f"{folder}: {run.fold} of train and val together, so it was trained on faces of val; a teacher is "
                f"trained on train alone: train {run.name} with --folds {run.fold.of} --val-apart"
            )
        if isinstance(run.recipe.network, ClipHead):
            raise RunError(
                f"{folder}: a network over time, which answers no single faces; give runs of faces"
            )
        _refuse_other_data(folder, run.data, dataset)
        self.name = folder_name(run.name, run.seed, None)
        self.sha256 = run.result()["weights_sha256"]
        self._network, self._engine = load_network(run, self.sha256, device)
        self.unseen = np.ones(len(faces), bool)
        if run.fold:  # both in the data set's order
            self.unseen = np.isin(faces.ids, dataset.development(run.fold).val.ids)

    def answer(self, faces: Faces, *, tta: bool = True) -> np.ndarray:  # noqa: D102
        run = self._run if tta else replace(self._run, recipe=replace(self._run.recipe, tta=TTA()))
        return predict_faces(run, self._network, self._engine, faces, "train").probs

    def feature_size(self) -> int:  # noqa: D102
        if self._run.fold:
            raise RunError(
                f"{self._run.folder}: each fold has features of its own, so no student can predict those of all; "
                f"keep features of runs on the whole of train"
            )
        classifier = classifier_of(self._network)
        if classifier is None:
            raise RunError(
                f"{self._run.folder}: its network ends in no linear layer, so it has no pooled features"
            )
        return classifier.in_features

    def answer_with_features(self, faces: Faces) -> tuple[np.ndarray, np.ndarray]:  # noqa: D102
        with classifier_inputs(self._network) as inputs:
            probs = self.answer(faces, tta=False)
        features = torch.cat([part.float().cpu() for part in inputs])
        if features.shape != (len(faces), self.feature_size()):
            raise RunError(f"{self._run.folder}: its classifier does not read one row of features a face")
        return probs, features.numpy()


class ModelTeacher(Teacher):
    """A model file, or a model that ships."""

    def __init__(self, where: str, dataset: Dataset, faces: Faces):
        self._model = read_model(where)
        _refuse_other_data(where, trained_on(self._model), dataset)
        self.name, self.sha256 = self._model.name, self._model.sha256
        self.unseen = np.ones(len(faces), bool)
        self._features: FrameFeatures | None = None

    def answer(self, faces: Faces, *, tta: bool = True) -> np.ndarray:  # noqa: D102
        return predictions_of(self._model, faces, "train").probs

    def feature_size(self) -> int:  # noqa: D102
        if self._model.state_size:
            raise RunError(f"{self._model.path}: reads clips, and has no features of single faces")
        self._features = self._features or FrameFeatures(self._model, probabilities=True)
        if not self._features.pooled:
            raise RunError(
                f"{self._model.path}: no linear layer before a softmax, so it has no pooled features"
            )
        return self._features.pooled

    def answer_with_features(self, faces: Faces) -> tuple[np.ndarray, np.ndarray]:  # noqa: D102
        size = self.feature_size()
        assert self._features is not None
        probs, features = self._features.with_probabilities(faces.images)
        return probs.astype(np.float64), features[:, :size]


def read_teachers(wheres: Sequence[str | Path], dataset: Dataset, faces: Faces, device: str) -> list[Teacher]:
    """Return runs' folders, model files and shipped models' names as teachers of the train faces.

    Raises RunError for a teacher of other data, for a fold of train and val together and where folds are missing,
    ModelError.
    """
    teachers: list[Teacher] = []
    for where in map(Path, wheres):
        run = where.is_dir()
        teachers.append(
            RunTeacher(where, dataset, faces, device) if run else ModelTeacher(str(where), dataset, faces)
        )
    for group in answering_once(teachers):
        lacking = len(faces) - sum(np.count_nonzero(teachers[number].unseen) for number in group)
        if lacking:
            raise RunError(
                f"{wheres[group[0]]}: a face is answered by the fold that was not trained on it, and {lacking:,} of "
                f"the {len(faces):,} train faces lack theirs; give all folds of each seed, once"
            )
    return teachers


def answering_once(teachers: Sequence[Teacher]) -> list[list[int]]:
    """Return the teachers' numbers in groups that answer each train face once: a network, or a cross-validation's."""
    groups: list[list[int]] = []
    for number, teacher in enumerate(teachers):
        for group in groups:
            others = [teachers[member] for member in group]
            if others[0].name == teacher.name and not any((o.unseen & teacher.unseen).any() for o in others):
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def mean_answer(answers: Sequence[np.ndarray], weights: Sequence[float] = ()) -> np.ndarray:
    """Return the mean of teachers' answers to each face, float64 (N, C), over those that are not nan.

    Without weights all count alike.
    """
    answered = ~np.isnan(answers).any(2)  # (T, N)
    by_teacher = np.asarray(weights or [1.0] * len(answers))[:, None]
    total = np.nansum(by_teacher[:, :, None] * answers, axis=0)
    return total / (by_teacher * answered).sum(0)[:, None]


def _subset(faces: Faces, rows: np.ndarray) -> Faces:
    names = ("images", "labels", "ids", "groups", "clean")
    return Faces(**{name: getattr(faces, name)[rows] for name in names})


def _refuse_other_data(teacher: str | Path, data: RunData | DatasetInfo, dataset: Dataset) -> None:
    if not same_faces(data, dataset.info):
        raise RunError(
            f"{teacher}: was trained on other data ({data.fingerprint}) than {dataset.info.folder} "
            f"({dataset.info.fingerprint})"
        )
