"""Distillation: the answers of teachers, or the votes of annotators, become soft targets of the train faces."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces, read_dataset
from mien.distill.teachers import Teacher, mean_answer, read_teachers
from mien.distill.votes import translated_votes, vote_shares
from mien.distill.weights import TeacherWeights, teacher_weights, write_weights
from mien.errors import DataError, RecipeError, RunError, StorageError
from mien.evaluate import as_predictions
from mien.files import make_folder, require_place
from mien.locks import locked_name
from mien.predictions import Predictions, write_predictions
from mien.progress import Counting
from mien.recipe import Recipe
from mien.text import joined
from mien.train.views import (
    SUFFIX,
    Views,
    draw_view,
    faces_sha256,
    joined_views,
    read_views,
    view_fields,
    views_folder,
    write_views,
)


def distill(
    folder: Path,
    out: Path,
    *,
    teachers: Sequence[str | Path] = (),
    translate: bool = False,
    weighted: bool = False,
    device: str = "auto",
    progress: Counting | None = None,
) -> Predictions:
    """Write the mean answer of teachers to each train face, or without teachers the votes of FER+'s annotators.

    A teacher is a run's folder, a model file or a shipped model's name. Give every fold of a cross-validation with
    `--val-apart`: each face then gets its soft targets from the network that was not trained on it, since a network
    that has memorized a face only repeats its label. With `weighted` teachers have the weights that minimize the log
    loss of their mean on val instead of equal ones; the table of these is noted by `progress` and written beside `out`
    (`mien.distill.weights`). The file is a table of predictions and can be judged like any
    other; `distillation.soft_targets=OUT` trains with it (Hinton et al. 2015; with annotators Barsoum et al. 2016).
    Annotators' shares of votes are used as they are, and a face without a vote for any of the data set's classes keeps
    its label; with `translate` they become how often train faces with such votes have each label.

    Raises DataError for a data set without votes, or without val where teachers are weighted, RunError for a teacher of
    other data, for a fold of train and val together and where folds are missing, ModelError, StorageError.
    """
    require_place(out)
    dataset, progress = read_dataset(folder), progress or Counting()
    faces = dataset.development().train
    if teachers and translate:
        raise DataError("translating is for annotators' votes; teachers answer with labels already")
    if weighted and not teachers:
        raise DataError("weights are of teachers: give runs or model files")
    weights = None
    if teachers:
        networks = read_teachers(teachers, dataset, faces, device)
        weights = _noted_weights(networks, dataset, progress) if weighted else None
        answers = [network.answer_train(faces) for network in networks]
        probs = mean_answer(answers, weights.weights if weights else ())
    else:
        probs = translated_votes(dataset, faces) if translate else vote_shares(dataset, faces)
    targets = as_predictions(dataset.info.labels, faces, "train", probs)
    write_predictions(out, targets)
    write_weights(out, weights)
    return targets


def distill_views(
    folder: Path,
    out: Path,
    *,
    teachers: Sequence[str | Path],
    student: Recipe,
    views: int,
    weighted: bool = False,
    features: bool = False,
    device: str = "auto",
    progress: Counting | None = None,
) -> Views:
    """Write teachers' mean answers to so many views of each train face, augmented by a student's recipe, to `out`.

    `distillation.soft_targets=OUT` trains a student on these very views, so that teacher and student see the same
    picture. With `features` the file keeps what each teacher's classifier reads of each view, too, for
    `distillation.features`; `progress` notes how large it becomes. Each view that is answered is kept as a file in the
    folder `OUT.unfinished` until all are one file; the same call resumes, with the weights that it began with, and one
    with more views adds them. Raises what `distill` raises, RunError for a teacher without features where they are
    asked for, RecipeError for files of other views, and StorageError where another process makes the same file.
    """
    if not teachers:
        raise DataError("views need teachers: give runs or model files")
    if views < 1:
        raise DataError(f"{views} views: at least one is made")
    if out.suffix != SUFFIX:
        raise StorageError(f"{out}: a file of views ends in {SUFFIX}")
    require_place(out)
    dataset, progress = read_dataset(folder), progress or Counting()
    faces = dataset.development().train
    networks = read_teachers(teachers, dataset, faces, device)
    fresh = _no_views(dataset, faces, networks, student, features)
    with locked_name(out, "the file of views"):
        if begun := _begun(out, fresh, weighted):
            fresh = replace(fresh, weights=begun[0].weights)
        else:
            weights = _noted_weights(networks, dataset, progress) if weighted else None
            fresh = replace(fresh, weights=weights.weights if weights else ())
            write_weights(out, weights)
        remaining = range(sum(len(part.probs) for part in begun), views)
        if remaining:
            size = f"{fresh.bytes_a_view * views / 1e6:,.1f} MB"
            progress.note(f"{out.name}: {views:,} views of {len(faces):,} faces, {size}")
            make_folder(views_folder(out))
        for number in progress.over(f"{out.name}: views answered", len(remaining), remaining):
            viewed = replace(faces, images=draw_view(faces.images, student.augment, number))
            write_views(_file_of(out, number), _answered(fresh, networks, viewed))
        return _joined(out)


def _no_views(
    dataset: Dataset, faces: Faces, networks: Sequence[Teacher], student: Recipe, features: bool
) -> Views:
    """Return what every file of these views says of them, and no view."""
    return Views(
        classes=dataset.info.labels,
        augment=view_fields(student.augment),
        faces=faces_sha256(faces),
        teachers=tuple(network.sha256 for network in networks),
        total=0,
        probs=np.zeros((0, len(faces), len(dataset.info.labels)), np.float16),
        features=tuple(network.feature_size() for network in networks) if features else (),
    )


def _file_of(out: Path, number: int) -> Path:
    return views_folder(out) / f"{number}{SUFFIX}"


def _files(out: Path) -> list[Path]:
    """Return the files of all views that are answered, first to last: `out` where it exists, then one a view."""
    first = len(read_views(out, features=False).probs) if out.exists() else 0
    later = takewhile(Path.exists, (_file_of(out, number) for number in count(first)))
    return [out] * out.exists() + list(later)


def _begun(out: Path, fresh: Views, weighted: bool) -> list[Views]:
    """Return the views that are answered, without features; RecipeError where they are others than `fresh`."""
    begun = []
    for path in _files(out):
        stored = read_views(path, features=False)
        same = ("classes", "augment", "faces", "teachers", "features")
        differing = [name for name in same if getattr(stored, name) != getattr(fresh, name)]
        if bool(stored.weights) != weighted:
            differing.append("weights")
        if differing:
            raise RecipeError(f"{path}: holds views that differ in {joined(differing)}; give another --out")
        begun.append(stored)
    return begun


def _joined(out: Path) -> Views:
    """Return all views, and put them into one file where some have files of their own."""
    views = joined_views([read_views(path) for path in _files(out)])
    if views_folder(out).exists():
        write_views(out, views)
        shutil.rmtree(views_folder(out), ignore_errors=True)
    return views


def _answered(fresh: Views, networks: Sequence[Teacher], faces: Faces) -> Views:
    """Return a single view, `faces` as they are augmented in it, which the teachers answer."""
    pooled = ()
    if fresh.features:
        probs, features = zip(*(network.answer_with_features(faces) for network in networks), strict=True)
        pooled = tuple(one[None] for one in map(_as_float16, networks, features))
    else:
        probs = [network.answer_train(faces, tta=False) for network in networks]
    mean = mean_answer(probs, fresh.weights).astype(np.float16)
    return replace(fresh, total=1, probs=mean[None], pooled=pooled)


def _as_float16(teacher: Teacher, features: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = features.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise RunError(f"{teacher.name}: its features are too large for float16, in which they are kept")
    return rounded


def _noted_weights(networks: Sequence[Teacher], dataset: Dataset, progress: Counting) -> TeacherWeights:
    weights = teacher_weights(networks, dataset)
    progress.note(str(weights))
    return weights
