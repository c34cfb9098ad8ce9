"""Teaching: what networks or voters say of the train faces becomes a table of soft targets for `mien train`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces, read_dataset, same_faces
from mien.errors import DataError, RecipeError, RunError, StorageError
from mien.files import require_place
from mien.labels import FERPLUS_NAMES, FERPLUS_VOTES
from mien.model import read_model
from mien.predictions import Predictions, write_predictions
from mien.progress import Counting
from mien.recipe import TTA, Recipe
from mien.text import joined
from mien.train.views import SUFFIX, Views, draw_view, faces_sha256, read_views, view_fields, write_views


@dataclass(frozen=True, slots=True)
class TeacherNetwork:
    """What gives the probabilities float64 (N, C) of the train faces' pictures uint8 (N, S, S), plain or augmented.

    Nan stands for a face that a fold was trained on.
    """

    sha256: str  # of a run's weights or a model file
    answer: Callable[[np.ndarray], np.ndarray]


SOLVER_STEPS, PULL = 200, 1e-5  # of the regression from votes to labels


def teach(
    folder: Path,
    out: Path,
    *,
    teachers: Sequence[str | Path] = (),
    translate: bool = False,
    device: str = "auto",
) -> Predictions:
    """Write the mean of what teachers say of a data set's train faces to `out`, or without any what FER+'s voters said.

    A teacher is a run's folder, a model file or a shipped model's name. Give every fold of a cross-validation with
    `--val-apart`: each face then gets its soft targets from the network that was not trained on it, since a network
    that has memorized a face only repeats its label. The file is a table of predictions and can be judged like any
    other; `distillation.soft_targets=OUT` trains with it (Hinton et al. 2015; with annotators Barsoum et al. 2016).
    Annotators' shares of votes are used as they are, and a face without a vote for any of the data set's classes keeps
    its label; with `translate` they become how often train faces with such votes have each label.

    Raises DataError where the data set has no votes, RunError for a teacher of other data, for a fold of train and val
    together and where folds are missing, ModelError, StorageError.
    """
    require_place(out)
    dataset = read_dataset(folder)
    faces = dataset.development().train
    if teachers and translate:
        raise DataError(
            "teachers answer in labels already: translating is for voters alone, without a teacher"
        )
    if teachers:
        answers = [_teacher(str(where), dataset, faces, device).answer(faces.images) for where in teachers]
        probs = _mean(answers, teachers, faces)
    else:
        probs = _translated(dataset, faces) if translate else _shares(dataset, faces)
    splits = np.full(len(faces), "train")
    told = Predictions(
        dataset.info.labels, faces.ids, faces.labels, splits, probs, faces.groups, np.ones(len(faces), bool)
    )
    write_predictions(out, told)
    return told


def teach_views(
    folder: Path,
    out: Path,
    *,
    teachers: Sequence[str | Path],
    student: Recipe,
    views: int,
    device: str = "auto",
    progress: Counting | None = None,
) -> Views:
    """Write to `out` what teachers answer to so many views of each train face, augmented as a student's recipe says.

    `distillation.soft_targets=OUT` trains a student with those augmentations on these views: a face's target is what
    its teachers answer to the very picture that the student sees. Each view is kept once it is answered, and the same
    call goes on from there. Raises what `teach` raises, and RecipeError for a file of other views.
    """
    if not teachers:
        raise DataError("views are answered by networks: give runs or model files")
    if out.suffix != SUFFIX:
        raise StorageError(f"{out}: a file of views ends in {SUFFIX}")
    require_place(out)
    dataset, progress = read_dataset(folder), progress or Counting()
    faces = dataset.development().train
    networks = [_teacher(str(where), dataset, faces, device, once=True) for where in teachers]
    shape = (0, len(faces), len(dataset.info.labels))
    begun = Views(
        dataset.info.labels,
        view_fields(student.augment),
        faces_sha256(faces),
        tuple(network.sha256 for network in networks),
        views,
        np.zeros(shape, np.float16),
    )
    if out.exists():
        begun = _taken_up(out, begun)
    rest = range(len(begun.probs), views)
    for number in progress.over(f"{out.name}: views answered", len(rest), rest):
        images = draw_view(faces.images, student.augment, number)
        probs = _mean([network.answer(images) for network in networks], teachers, faces)
        begun = replace(begun, probs=np.concatenate([begun.probs, probs[None].astype(np.float16)]))
        write_views(out, begun)
    return begun


def _taken_up(out: Path, fresh: Views) -> Views:
    """Return the views that `out` holds, to which more may be added; RecipeError where they are others than `fresh`."""
    there = read_views(out)
    same = ("classes", "augment", "faces", "teachers")
    if differing := [name for name in same if getattr(there, name) != getattr(fresh, name)]:
        raise RecipeError(f"{out}: holds views that differ in {joined(differing)}; give another --out")
    return replace(there, total=max(fresh.total, len(there.probs)))


def _mean(said: Sequence[np.ndarray], teachers: Sequence[str | Path], faces: Faces) -> np.ndarray:
    """Return the mean of what teachers say of each face, float64 (N, C); nan of one is a face it does not tell."""
    told = np.array([~np.isnan(each).any(1) for each in said])
    folds = ~told.all(1)
    seen = told[folds].sum(0)
    if folds.any() and seen.min() < seen.max():
        first = Path(teachers[int(folds.argmax())])
        raise RunError(
            f"{first}: a face is told by the fold that has not seen it, and {(seen < seen.max()).sum():,} of the "
            f"{len(faces):,} train faces lack theirs; give all folds of each seed, once"
        )
    return np.nansum(said, axis=0) / told.sum(0)[:, None]


def _teacher(
    where: str, dataset: Dataset, faces: Faces, device: str, *, once: bool = False
) -> TeacherNetwork:
    """Return a run or a model file as a teacher of the faces; with `once` a run looks at a picture once."""
    from mien.evaluate import load_network, predict_faces, predictions_of, trained_on
    from mien.run import read_run

    if not Path(where).is_dir():
        model = read_model(where)
        _refuse_other(where, trained_on(model), dataset)
        return TeacherNetwork(
            model.sha256, lambda images: predictions_of(model, replace(faces, images=images), "train").probs
        )
    run = read_run(Path(where))
    if run.fold and not run.fold.val_apart:
        raise RunError(
            f"{where}: {run.fold}, dealt from train and val; a teacher has seen train and nothing else, so train "
            f"{run.name} with --folds {run.fold.of} --val-apart"
        )
    _refuse_other(where, run.data, dataset)
    sha256 = run.result()["weights_sha256"]
    network, engine = load_network(run, sha256, device)
    if once:
        run = replace(run, recipe=replace(run.recipe, tta=TTA()))
    unseen = np.ones(len(faces), bool)
    if run.fold:  # both in the data set's order
        unseen = np.isin(faces.ids, dataset.development(run.fold).val.ids)

    def answer(images: np.ndarray) -> np.ndarray:
        probs = np.full((len(faces), len(dataset.info.labels)), np.nan)
        rest = (part[unseen] for part in (faces.labels, faces.ids, faces.groups, faces.clean))
        own = Faces(images[unseen], *rest)
        probs[unseen] = predict_faces(run, network, engine, own, "train").probs
        return probs

    return TeacherNetwork(sha256, answer)


def _refuse_other(teacher: str, data, dataset: Dataset) -> None:
    if not same_faces(data, dataset.info):
        raise RunError(
            f"{teacher}: was trained on other data ({data.fingerprint}) than {dataset.info.folder} "
            f"({dataset.info.fingerprint})"
        )


def _votes(dataset: Dataset) -> np.ndarray:
    """Return the votes for each of FER+'s answers, float64 (N, 10)."""
    table = dataset.table("train")
    columns = [f"vote_{name}" for name in FERPLUS_VOTES]
    if not set(columns) <= set(table):
        raise DataError(
            f"{dataset.info.folder}: has no votes; give runs, or pack it with --votes fer2013new.csv"
        )
    return np.stack([table[column] for column in columns], axis=1).astype(float)


def _shares(dataset: Dataset, faces: Faces) -> np.ndarray:
    """Return each label's share of a face's votes, float64 (N, C); the face's own label where it has none."""
    votes, labels = _votes(dataset), dataset.info.labels
    names = [FERPLUS_NAMES.get(label, label) for label in labels]
    if other := [label for label, name in zip(labels, names, strict=True) if name not in FERPLUS_VOTES]:
        raise DataError(f"{dataset.info.folder}: FER+'s voters were not asked for {', '.join(other)}")
    votes = votes[:, [FERPLUS_VOTES.index(name) for name in names]]
    silent = votes.sum(1) == 0
    votes[silent] = np.eye(len(labels))[faces.labels[silent]]
    return votes / votes.sum(1, keepdims=True)


def _translated(dataset: Dataset, faces: Faces) -> np.ndarray:
    """Return how likely each label is under a face's votes, float64 (N, C): multinomial logistic regression.

    On the votes' shares and their roots, a bias for each label; a weak pull to zero keeps it finite where votes and
    labels agree without exception.
    """
    import torch

    votes = _votes(dataset)
    shares = torch.from_numpy(votes / np.maximum(votes.sum(1, keepdims=True), 1))
    seen, wanted = torch.cat([shares, shares.sqrt()], 1), torch.from_numpy(faces.labels)
    layer = torch.nn.Linear(seen.shape[1], len(dataset.info.labels), dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    solver = torch.optim.LBFGS(layer.parameters(), max_iter=SOLVER_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = torch.nn.functional.cross_entropy(layer(seen), wanted) + PULL * layer.weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    with torch.no_grad():
        return layer(seen).softmax(1).numpy()
