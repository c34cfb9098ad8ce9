"""Distillation: the answers of teachers, or the votes of annotators, become soft targets of the train faces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.dataset import (
    Dataset,
    DatasetInfo,
    Faces,
    class_votes,
    not_asked,
    read_dataset,
    same_faces,
    vote_counts,
)
from mien.errors import DataError, RecipeError, RunError, StorageError
from mien.files import require_place
from mien.model import read_model
from mien.predictions import Predictions, write_predictions
from mien.progress import Counting
from mien.recipe import TTA, Recipe
from mien.run import RunData
from mien.text import joined
from mien.train.views import SUFFIX, Views, draw_view, faces_sha256, read_views, view_fields, write_views

SOLVER_STEPS, L2_PENALTY = 200, 1e-5  # of the logistic regression from votes to labels


@dataclass(frozen=True, slots=True)
class Teacher:
    """A network whose answers are distilled."""

    sha256: str  # of a run's weights or a model file
    probabilities: Callable[[np.ndarray], np.ndarray]
    """Probabilities float64 (N, C) of the train faces' pictures uint8 (N, S, S), plain or augmented.

    A face that the network, one fold of several, was trained on has nan.
    """


def distill(
    folder: Path,
    out: Path,
    *,
    teachers: Sequence[str | Path] = (),
    translate: bool = False,
    device: str = "auto",
) -> Predictions:
    """Write the mean answer of teachers to each train face, or without teachers the votes of FER+'s annotators.

    A teacher is a run's folder, a model file or a shipped model's name. Give every fold of a cross-validation with
    `--val-apart`: each face then gets its soft targets from the network that was not trained on it, since a network
    that has memorized a face only repeats its label. The file is a table of predictions and can be judged like any
    other; `distillation.soft_targets=OUT` trains with it (Hinton et al. 2015; with annotators Barsoum et al. 2016).
    Annotators' shares of votes are used as they are, and a face without a vote for any of the data set's classes keeps
    its label; with `translate` they become how often train faces with such votes have each label.

    Raises DataError for a data set without votes, RunError for a teacher of other data, for a fold of train and val
    together and where folds are missing, ModelError, StorageError.
    """
    from mien.evaluate import as_predictions

    require_place(out)
    dataset = read_dataset(folder)
    faces = dataset.development().train
    if teachers and translate:
        raise DataError("translating is for annotators' votes; teachers answer with labels already")
    if teachers:
        answers = [_teacher(str(t), dataset, faces, device).probabilities(faces.images) for t in teachers]
        probs = _mean_answer(answers, teachers, faces)
    else:
        probs = _translated_votes(dataset, faces) if translate else _vote_shares(dataset, faces)
    targets = as_predictions(dataset.info.labels, faces, "train", probs)
    write_predictions(out, targets)
    return targets


def distill_views(
    folder: Path,
    out: Path,
    *,
    teachers: Sequence[str | Path],
    student: Recipe,
    views: int,
    device: str = "auto",
    progress: Counting | None = None,
) -> Views:
    """Write teachers' mean answers to so many views of each train face, augmented by a student's recipe, to `out`.

    `distillation.soft_targets=OUT` trains a student on these very views, so that teacher and student see the same
    picture. Each view is kept once it is answered, and the same call resumes. Raises what `distill` raises, and
    RecipeError for a file of other views.
    """
    if not teachers:
        raise DataError("views need teachers: give runs or model files")
    if out.suffix != SUFFIX:
        raise StorageError(f"{out}: a file of views ends in {SUFFIX}")
    require_place(out)
    dataset, progress = read_dataset(folder), progress or Counting()
    faces = dataset.development().train
    networks = [_teacher(str(t), dataset, faces, device, tta=False) for t in teachers]
    shape = (0, len(faces), len(dataset.info.labels))
    answered = Views(
        dataset.info.labels,
        view_fields(student.augment),
        faces_sha256(faces),
        tuple(network.sha256 for network in networks),
        views,
        np.zeros(shape, np.float16),
    )
    if out.exists():
        answered = _resumed(out, answered)
    remaining = range(len(answered.probs), views)
    for number in progress.over(f"{out.name}: views answered", len(remaining), remaining):
        images = draw_view(faces.images, student.augment, number)
        probs = _mean_answer([network.probabilities(images) for network in networks], teachers, faces)
        answered = replace(answered, probs=np.concatenate([answered.probs, probs[None].astype(np.float16)]))
        write_views(out, answered)
    return answered


def _resumed(out: Path, fresh: Views) -> Views:
    """Return the views in `out`, to which more may be added; RecipeError where they are others than `fresh`."""
    stored = read_views(out)
    same = ("classes", "augment", "faces", "teachers")
    if differing := [name for name in same if getattr(stored, name) != getattr(fresh, name)]:
        raise RecipeError(f"{out}: holds views that differ in {joined(differing)}; give another --out")
    return replace(stored, total=max(fresh.total, len(stored.probs)))


def _mean_answer(answers: Sequence[np.ndarray], teachers: Sequence[str | Path], faces: Faces) -> np.ndarray:
    """Return the mean of teachers' answers to each face, float64 (N, C), over those that are not nan."""
    answered = np.array([~np.isnan(probs).any(1) for probs in answers])
    folds = ~answered.all(1)
    counts = answered[folds].sum(0)
    if folds.any() and counts.min() < counts.max():
        first = Path(teachers[int(folds.argmax())])
        raise RunError(
            f"{first}: a face is answered by the fold that was not trained on it, and "
            f"{(counts < counts.max()).sum():,} of the {len(faces):,} train faces lack theirs; "
            f"give all folds of each seed, once"
        )
    return np.nansum(answers, axis=0) / answered.sum(0)[:, None]


def _teacher(where: str, dataset: Dataset, faces: Faces, device: str, *, tta: bool = True) -> Teacher:
    """Return a run or a model file as a teacher of the faces; without `tta` a run sees one view of each."""
    if not Path(where).is_dir():
        return _model_as_teacher(where, dataset, faces)
    return _run_as_teacher(where, dataset, faces, device, tta)


def _model_as_teacher(where: str, dataset: Dataset, faces: Faces) -> Teacher:
    from mien.evaluate import predictions_of, trained_on

    model = read_model(where)
    _refuse_other_data(where, trained_on(model), dataset)

    def probabilities(images: np.ndarray) -> np.ndarray:
        return predictions_of(model, replace(faces, images=images), "train").probs

    return Teacher(model.sha256, probabilities)


def _run_as_teacher(where: str, dataset: Dataset, faces: Faces, device: str, tta: bool) -> Teacher:
    from mien.evaluate import load_network, predict_faces
    from mien.run import read_run

    run = read_run(Path(where))
    if run.fold and not run.fold.val_apart:
        raise RunError(
            f"{where}: {run.fold} of train and val together, so it was trained on faces of val; a teacher is "
            f"trained on train alone: train {run.name} with --folds {run.fold.of} --val-apart"
        )
    _refuse_other_data(where, run.data, dataset)
    sha256 = run.result()["weights_sha256"]
    network, engine = load_network(run, sha256, device)
    if not tta:
        run = replace(run, recipe=replace(run.recipe, tta=TTA()))
    unseen = np.ones(len(faces), bool)
    if run.fold:  # both in the data set's order
        unseen = np.isin(faces.ids, dataset.development(run.fold).val.ids)

    def probabilities(images: np.ndarray) -> np.ndarray:
        probs = np.full((len(faces), len(dataset.info.labels)), np.nan)
        labels, ids, groups, clean = (c[unseen] for c in (faces.labels, faces.ids, faces.groups, faces.clean))
        viewed = Faces(images[unseen], labels, ids, groups, clean)
        probs[unseen] = predict_faces(run, network, engine, viewed, "train").probs
        return probs

    return Teacher(sha256, probabilities)


def _refuse_other_data(teacher: str, data: RunData | DatasetInfo, dataset: Dataset) -> None:
    if not same_faces(data, dataset.info):
        raise RunError(
            f"{teacher}: was trained on other data ({data.fingerprint}) than {dataset.info.folder} "
            f"({dataset.info.fingerprint})"
        )


def _votes(dataset: Dataset) -> np.ndarray:
    """Return the number of votes for each of FER+'s answers, int64 (N, 10)."""
    votes = vote_counts(dataset.table("train"), dataset.info.folder)
    if votes is None:
        raise DataError(
            f"{dataset.info.folder}: has no votes; give runs, or pack it with --votes fer2013new.csv"
        )
    return votes


def _vote_shares(dataset: Dataset, faces: Faces) -> np.ndarray:
    """Return each label's share of a face's votes, float64 (N, C); the face's own label where it has none."""
    labels, counts = dataset.info.labels, _votes(dataset)
    if other := not_asked(labels):
        raise DataError(f"{dataset.info.folder}: FER+'s annotators could not choose {', '.join(other)}")
    votes = class_votes(counts, labels).astype(np.float64)
    without = votes.sum(1) == 0
    votes[without] = np.eye(len(labels))[faces.labels[without]]
    return votes / votes.sum(1, keepdims=True)


def _translated_votes(dataset: Dataset, faces: Faces) -> np.ndarray:
    """Return the probability of each label given a face's votes, float64 (N, C), by multinomial logistic regression.

    Its inputs are the votes' shares, their square roots and a bias; a weak L2 penalty keeps the weights finite where
    votes and labels agree without exception.
    """
    import torch

    votes = _votes(dataset)
    shares = torch.from_numpy(votes / np.maximum(votes.sum(1, keepdims=True), 1))
    inputs, labels = torch.cat([shares, shares.sqrt()], 1), torch.from_numpy(faces.labels)
    layer = torch.nn.Linear(inputs.shape[1], len(dataset.info.labels), dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    solver = torch.optim.LBFGS(layer.parameters(), max_iter=SOLVER_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(inputs), labels)
        loss = loss + L2_PENALTY * layer.weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        return layer(inputs).softmax(1).numpy()
