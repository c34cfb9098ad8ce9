"""Teaching: what networks or voters say of the train faces becomes a table of soft targets for `mien train`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces, read_dataset, same_faces
from mien.errors import DataError, RunError
from mien.labels import FERPLUS_NAMES, FERPLUS_VOTES
from mien.predictions import Predictions, write_predictions


def teach(folder: Path, out: Path, *, runs: Sequence[Path] = (), device: str = "auto") -> Predictions:
    """Write the mean of what runs say of a data set's train faces to `out`, or without runs what FER+'s voters said.

    The table is one of predictions, so it can be judged like any other; `teacher.tables=OUT` in a recipe trains with
    it beside the labels (Hinton et al. 2015; with voters Barsoum et al. 2016). A face without a vote for any of the
    data set's classes keeps its label.

    Raises DataError where the data set has no votes, RunError for a run on other data or of a fold.
    """
    dataset = read_dataset(folder)
    faces = dataset.development().train
    probs = _of_runs(dataset, faces, runs, device) if runs else _of_voters(dataset, faces)
    splits = np.full(len(faces), "train")
    told = Predictions(
        dataset.info.labels, faces.ids, faces.labels, splits, probs, faces.groups, np.ones(len(faces), bool)
    )
    write_predictions(out, told)
    return told


def _of_runs(dataset: Dataset, faces: Faces, folders: Sequence[Path], device: str) -> np.ndarray:
    from mien.evaluate import load_network, predict_faces
    from mien.run import read_run

    runs = [read_run(folder) for folder in folders]
    for run in runs:
        if run.fold:
            raise RunError(
                f"{run.folder}: {run.fold} of a cross-validation; a teacher has seen train and nothing else"
            )
        if not same_faces(run.data, dataset.info):
            raise RunError(
                f"{run.folder}: was trained on other data ({run.data.fingerprint}) than {dataset.info.folder} "
                f"({dataset.info.fingerprint})"
            )
    said = []
    for run in runs:
        network, engine = load_network(run, run.result()["weights_sha256"], device)
        said.append(predict_faces(run, network, engine, faces, "train").probs)
    return np.mean(said, axis=0)


def _of_voters(dataset: Dataset, faces: Faces) -> np.ndarray:
    table, labels = dataset.table("train"), dataset.info.labels
    columns = [f"vote_{FERPLUS_NAMES.get(label, label)}" for label in labels]
    known = {f"vote_{name}" for name in FERPLUS_VOTES}
    if not known <= set(table):
        raise DataError(
            f"{dataset.info.folder}: has no votes; give runs, or pack it with --votes fer2013new.csv"
        )
    if other := [label for label, column in zip(labels, columns, strict=True) if column not in known]:
        raise DataError(f"{dataset.info.folder}: FER+'s voters were not asked for {', '.join(other)}")
    votes = np.stack([table[column] for column in columns], axis=1).astype(float)
    silent = votes.sum(1) == 0
    votes[silent] = np.eye(len(labels))[faces.labels[silent]]
    return votes / votes.sum(1, keepdims=True)
