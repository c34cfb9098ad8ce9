"""Evaluating: a run and a data set become predictions. The only room that opens the test split."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mien.dataset import Dataset, Faces, read_dataset
from mien.errors import RunError
from mien.files import append_line, locked, sha256_file
from mien.networks import build
from mien.networks.engine import Engine, choose_engine, on_threads, probabilities
from mien.predictions import Predictions, write_predictions
from mien.run import Run, read_run

EVALUATED = ("val", "test")


def evaluate(
    folder: Path, *, split: str = "val", data: Path | None = None, device: str = "auto"
) -> Predictions:
    """Return a complete run's predictions on `val` or `test`, written to `predictions-SPLIT.csv`.

    The `val` of a fold's run is that fold, and it has no `test`: see "Folds" in docs/architecture.md.
    Predictions that stand there already are returned as they are, so a run opens the test split
    once; the opening is recorded in `openings.jsonl` before the first face is read.
    `data` says where the data set lies now, if it was moved; its fingerprint must be the run's.

    Raises RunError, DataError or StorageError in one line.
    """
    if split not in EVALUATED:
        raise RunError(f'a run is evaluated on {" or ".join(EVALUATED)}, and not on "{split}"')
    run = read_run(folder)
    weights_sha256 = run.result()["weights_sha256"]
    if run.fold and split == "test":
        raise RunError(
            f"{folder}: {run.fold} of a cross-validation is judged on that fold alone; "
            f"train {run.name} without --folds to open the test split"
        )
    if (run.folder / f"predictions-{split}.csv").exists():
        return run.predictions(split)
    with locked(run.folder, "the run"):
        network, engine = load_network(run, weights_sha256, device)
        dataset = open_data(run, data)
        if split == "test":
            record_opening(run, weights_sha256)
            faces = dataset.open_test()
        else:
            faces = dataset.development(run.fold).val
        predictions = predict_faces(run, network, engine, faces, split)
        write_predictions(run.folder / f"predictions-{split}.csv", predictions)
    return predictions


def load_network(run: Run, weights_sha256: str, device: str):
    """Return the run's network with its chosen weights, and the engine it runs on."""
    path = run.folder / "weights.safetensors"
    if not path.exists() or sha256_file(path) != weights_sha256:
        raise RunError(f"{path}: missing, cut short or changed since training; train the run again")
    network = build(run.recipe.network, side=run.data.side, classes=len(run.data.labels))
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as fault:
        raise RunError(f"{path}: not this run's weights ({fault})") from None
    engine = Engine(**run.engine)
    if device != "auto" or (engine.device != "cpu" and not torch.cuda.is_available()):
        engine = replace(choose_engine(device=device), threads=engine.threads)
    return engine.place(network), engine


def open_data(run: Run, moved_to: Path | None) -> Dataset:
    """Return the run's data set; RunError when it is another one."""
    dataset = read_dataset(moved_to or Path(run.data.path))
    if dataset.info.fingerprint != run.data.fingerprint:
        raise RunError(
            f"{dataset.info.folder}: not the data that {run.folder} was trained on "
            f"({dataset.info.fingerprint} here, {run.data.fingerprint} there); say where it lies with --data"
        )
    return dataset


def record_opening(run: Run, weights_sha256: str) -> None:
    """Write down that the test split is opened, with which weights and data."""
    told = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "split": "test",
        "weights_sha256": weights_sha256,
        "data_fingerprint": run.data.fingerprint,
    }
    append_line(run.folder / "openings.jsonl", json.dumps(told))


def predict_faces(run: Run, network, engine: Engine, faces: Faces, split: str) -> Predictions:
    """Return what the network says of the faces, read as the recipe's [evaluation] says."""
    images = torch.from_numpy(faces.images).to(engine.device)
    with on_threads(engine.threads):
        probs = probabilities(network, images, engine, mirror=run.recipe.evaluation.mirror)
    splits = np.full(len(faces), split)
    return Predictions(run.data.labels, faces.ids, faces.labels, splits, probs, faces.groups, faces.clean)
