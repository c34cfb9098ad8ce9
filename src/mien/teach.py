"""Teaching: what networks or voters say of the train faces becomes a table of soft targets for `mien train`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces, read_dataset, same_faces
from mien.errors import DataError, RunError
from mien.files import require_place
from mien.labels import FERPLUS_NAMES, FERPLUS_VOTES
from mien.model import read_model
from mien.predictions import Predictions, write_predictions

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

    A teacher is a run's folder, a model file or a shipped model's name. Of a cross-validation with `--val-apart` every
    fold is given, and a face is told by the network that has not seen it: what a network knows by heart is the label
    again. The table is one of predictions, so it can be
    judged like any other; `teacher.tables=OUT` in a recipe trains with it beside the labels (Hinton et al. 2015; with
    voters Barsoum et al. 2016). Voters' shares stand as they are, and a face without a vote for any of the data set's
    classes keeps its label; with `translate` they become how often train's faces with such votes have each label.

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
        probs = _mean([_said(str(teacher), dataset, faces, device) for teacher in teachers], teachers, faces)
    else:
        probs = _translated(dataset, faces) if translate else _shares(dataset, faces)
    splits = np.full(len(faces), "train")
    told = Predictions(
        dataset.info.labels, faces.ids, faces.labels, splits, probs, faces.groups, np.ones(len(faces), bool)
    )
    write_predictions(out, told)
    return told


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


def _said(teacher: str, dataset: Dataset, faces: Faces, device: str) -> np.ndarray:
    """Return what a run or a model says of the faces, float64 (N, C); nan of those that a fold was trained on."""
    from mien.evaluate import load_network, predict_faces, predictions_of, trained_on
    from mien.run import read_run

    if not Path(teacher).is_dir():
        model = read_model(teacher)
        _refuse_other(teacher, trained_on(model), dataset)
        return predictions_of(model, faces, "train").probs
    run = read_run(Path(teacher))
    if run.fold and not run.fold.val_apart:
        raise RunError(
            f"{teacher}: {run.fold}, dealt from train and val; a teacher has seen train and nothing else, so train "
            f"{run.name} with --folds {run.fold.of} --val-apart"
        )
    _refuse_other(teacher, run.data, dataset)
    network, engine = load_network(run, run.result()["weights_sha256"], device)
    if not run.fold:
        return predict_faces(run, network, engine, faces, "train").probs
    own = dataset.development(run.fold).val
    probs = np.full((len(faces), len(dataset.info.labels)), np.nan)
    rows = np.isin(faces.ids, own.ids)  # both in the data set's order
    probs[rows] = predict_faces(run, network, engine, own, "train").probs
    return probs


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
