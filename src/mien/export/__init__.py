"""Exporting: runs become one model file, calibrated and checked. The networks are read as they are, never trained.

`calibrate.py` finds temperature and threshold, `quantize.py` makes the graph an 8-bit one,
`card.py` writes the model card.
"""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mien.dataset import Faces, same_faces
from mien.errors import ModelError, RunError, StorageError
from mien.evaluate import evaluated, load_network, open_data, predict_clips, predictions_of
from mien.export.calibrate import calibrated, temperature, threshold, unlearned
from mien.export.card import card, without_folders
from mien.export.quantize import quantized
from mien.export.reports import report_sections
from mien.faces import MARKS, TEMPLATE, UPRIGHT
from mien.files import is_utf8, require_place, write_atomic
from mien.judge import accuracy
from mien.model import FORMAT, Model, read_model
from mien.model.onnx_file import NotOnnx, read_onnx, with_metadata
from mien.model.prior import TRAIN, Prior, prior_gains, read_prior, shift_prior, train_shares
from mien.networks.clip import ClipNetwork
from mien.networks.engine import INFERENCE_BATCH, Engine, probabilities
from mien.networks.graph import Reader, onnx_graph
from mien.predictions import Predictions
from mien.progress import Counting
from mien.recipe import TTA, ClipHead, to_toml
from mien.run import Run, read_run

MOST_APART = 1e-5  # between what the file and what torch says of any val face
MOST_LOST = 0.005  # of val's accuracy by 8 bits
FLIPPED = 2  # faces of val that 8 bits may cost, however few there are
NO_LICENCE = "not stated"


def export(
    runs: Sequence[Path],
    out: Path,
    *,
    data: Path | None = None,
    mirror: bool | None = None,
    int8: bool = False,
    prior: Prior = TRAIN,
    licence: str = NO_LICENCE,
    reports: Sequence[Path] = (),
    progress: Counting | None = None,
) -> Model:
    """Return the model that complete runs make together, written to `out`; several runs are an ensemble.

    A face is read in the views that the recipes say, or with its mirror picture alone, or once, as `mirror` says.
    Temperature and threshold are found on val's clean faces, of which 85 % are answered. The file is written when
    onnxruntime says of every val face what torch says in fp32, to 1e-5; then, with `int8`, the networks in it become
    8-bit ones, which may cost half a point of val's accuracy. `prior` says how frequent the answers take each class to
    be: "train", "balanced", label to share or a JSON file. It goes by its own name without ".onnx". `data` tells
    where the runs' data set lies now, if it was moved.

    The card gives the results of this very graph: on val, and on test where `mien evaluate --test` has judged it
    already. So exported again the file gets test's figures, and those of `reports`, folders of `mien stress` and
    `mien fairness` on the file; otherwise the same runs give the same bytes.

    Raises RunError, DataError, ModelError or StorageError in one line; `out` is then as it was.
    """
    out, progress = Path(out), progress or Counting()
    _refuse_other_file(out)
    sections = report_sections(reports, out.stem)
    read = _read_runs(runs)
    tta = _tta(read) if mirror is None else TTA(flip=mirror)
    over_time = [run for run in read if isinstance(run.recipe.network, ClipHead)]
    if over_time:
        _refuse_over_time(read, mirror, int8, prior)
    networks = [load_network(run, run.result()["weights_sha256"], "cpu")[0] for run in read]
    faces = open_data(read[0].data, data, read[0].folder).development()
    plain = _answers(read[0], networks, faces.val, tta, progress)
    fresh = unlearned(faces.val.clean)
    heat = temperature(faces.val.labels[fresh], plain[fresh])
    metadata = _metadata(out.stem, read, tta, heat, int8, licence)
    expected, gains = _under_prior(prior, read[0], calibrated(plain, heat), metadata)
    if over_time:
        graph = _clip_graph(read[0], networks[0], heat, metadata)
    else:
        reader = Reader(networks, classes=len(read[0].data.labels), tta=tta, temperature=heat, gains=gains)
        graph = onnx_graph(reader, read[0].data.side)
    model, told = _tried(graph, metadata, faces.val, progress)
    _refuse_apart(told, expected)
    exact = told
    if int8:
        graph = quantized(graph, faces.train.images)
        model, told = _tried(graph, metadata, faces.val, progress)
        _refuse_worse(told, exact)
    model = dataclasses.replace(model, threshold=threshold(told.probs[fresh]))
    test = evaluated(out, model.graph_sha256)
    splits = {"val": told} | ({} if test is None else {"test": test})
    metadata["mien.threshold"] = repr(model.threshold)
    metadata["mien.card"] = card(model, read, splits, plain=plain, exact=exact, reports=sections)
    write_atomic(out, with_metadata(graph, metadata))
    return read_model(out)


def _answers(run: Run, networks: Sequence[nn.Module], val: Faces, tta: TTA, progress: Counting) -> np.ndarray:
    """Return torch's probabilities of val, float64 (N, C), under train's shares and before calibration."""
    if isinstance(run.recipe.network, ClipHead):
        return predict_clips(run, networks[0], _engine(), val, "val")[0].probs
    return _pooled(networks, val, tta, progress)


def _under_prior(
    prior: Prior, run: Run, probs: np.ndarray, metadata: dict[str, str]
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return probabilities under a prior, which the metadata note, and by what it multiplies each class."""
    labels = run.data.labels
    train = train_shares(run.data.counts["train"], labels)
    target = read_prior(prior, labels, train)
    if target == train:
        return probs, ()
    metadata["mien.prior"] = json.dumps(dict(zip(labels, target, strict=True)))
    return shift_prior(probs, train, target), tuple(prior_gains(train, target).tolist())


def _refuse_other_file(out: Path) -> None:
    """Raise StorageError where anything but an earlier model would be lost."""
    if out.suffix != ".onnx":
        raise StorageError(f"{out}: a model file's name ends in .onnx")
    if not is_utf8(out.stem):
        raise StorageError(f"{out}: a model goes by its file's name, and this one is no UTF-8")
    require_place(out)
    if not out.exists():
        return
    try:
        if "mien.format" in read_onnx(out.read_bytes()).metadata:
            return
    except (OSError, NotOnnx):
        pass
    raise StorageError(f"{out}: exists and is no model of mien's; give another name")


def _read_runs(folders: Sequence[Path]) -> list[Run]:
    """Return complete runs that can read together; RunError or ModelError where they cannot."""
    if not folders:
        raise ModelError("there is no run to export")
    for folder in map(Path, folders):
        if folder.is_file():
            raise ModelError(
                f"{folder}: a file; what is exported are the folders of runs that mien train made"
            )
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        if run.fold:
            raise RunError(
                f"{run.folder}: {run.fold} of a cross-validation has learned from val or not from all of train; "
                f"train {run.name} without --folds to export it"
            )
        if not same_faces(run.data, runs[0].data):
            raise RunError(
                f"{run.folder}: trained on other data than {runs[0].folder}; an ensemble needs the same"
            )
    weights = [run.result()["weights_sha256"] for run in runs]
    if len(set(weights)) < len(weights):
        raise ModelError("the same weights are given twice; an ensemble needs networks that differ")
    return runs


def _refuse_over_time(runs: Sequence[Run], mirror: bool | None, int8: bool, prior: Prior) -> None:
    """Raise ModelError for what is not done with a head over time."""
    if len(runs) > 1:
        raise ModelError("a head over time is exported alone: the states of several would be one another's")
    if mirror is not None or int8 or prior != TRAIN:
        raise ModelError(
            "--mirror, --once, --int8 and --prior are of networks of single faces; a head over time reads the views of "
            "the model before it (--prior is given where the model is used)"
        )


def _clip_graph(run: Run, network: nn.Module, heat: float, metadata: dict[str, str]) -> bytes:
    """Return the graph of a head over time and the model before it, and note in the metadata what it is."""
    from mien.networks.clip_graph import clip_graph
    from mien.train.clips import run_features

    assert isinstance(run.recipe.network, ClipHead) and isinstance(network, ClipNetwork)
    features = run_features(run, _engine())
    metadata["mien.reading"] = json.dumps(features.model.reading)
    metadata["mien.clip"] = json.dumps({"state": network.state_size, "head": run.recipe.network.head})
    return clip_graph(network, features, heat)


def _tta(runs: Sequence[Run]) -> TTA:
    settings = {run.recipe.tta for run in runs}
    if len(settings) > 1:
        raise ModelError("these runs differ in test-time augmentation; give --mirror or --once")
    return settings.pop()


def _pooled(networks: Sequence[nn.Module], faces: Faces, tta: TTA, progress: Counting) -> np.ndarray:
    """Return the mean of what the networks say in fp32, float64 (N, C)."""
    engine = _engine()
    views = dataclasses.asdict(tta)
    batches = torch.from_numpy(faces.images).split(INFERENCE_BATCH)
    return np.concatenate(
        [
            np.mean([probabilities(network, batch, engine, **views) for network in networks], axis=0)
            for batch in progress.over("read by torch", len(batches), batches)
        ]
    )


def _engine() -> Engine:
    """Return how networks run here, whatever they were trained on."""
    return Engine("cpu", "fp32", "channels-last", torch.get_num_threads())


def _metadata(
    name: str, runs: Sequence[Run], tta: TTA, heat: float, int8: bool, licence: str
) -> dict[str, str]:
    """Return what a model tells of itself; threshold and card are not known yet."""
    data = runs[0].data
    crop = {"side": data.side, "marks": MARKS, "template": TEMPLATE.tolist(), "upright": UPRIGHT}
    kept = ("fingerprint", "learned_sha256", "origin", "counts", "notes")  # and not the path
    metadata = {
        "format": str(FORMAT),
        "name": name,
        "labels": json.dumps(data.labels),
        "side": str(data.side),
        "crop": json.dumps(crop),
        "temperature": repr(heat),
        "threshold": "0",
        "data": json.dumps({key: getattr(data, key) for key in kept}),
        "runs": json.dumps([_told(run) for run in runs]),
        "reading": json.dumps(
            {"mirror": tta.flip, "shift": tta.shift, "precision": "int8" if int8 else "fp32"}
        ),
        "card": "",
        "licence": licence,
    }
    return {f"mien.{key}": text for key, text in metadata.items()}


def _told(run: Run) -> dict:
    """Return what a model keeps of a run."""
    recipe, weights = to_toml(without_folders(run.recipe)), run.result()["weights_sha256"]
    return {"name": run.name, "seed": run.seed, "recipe": recipe, "weights_sha256": weights}


def _tried(
    graph: bytes, metadata: dict[str, str], faces: Faces, progress: Counting
) -> tuple[Model, Predictions]:
    """Return a graph as the model that it will be, and what onnxruntime reads with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(with_metadata(graph, metadata))
        model = dataclasses.replace(read_model(path), path=Path(f"{metadata['mien.name']}.onnx"))
    return model, predictions_of(model, faces, "val", progress)


def _refuse_apart(told: Predictions, expected: np.ndarray) -> None:
    """Raise ModelError where onnxruntime does not say what torch said."""
    apart = float(np.abs(told.probs - expected).max())
    if not apart <= MOST_APART:
        raise ModelError(
            f"onnxruntime and torch differ by {apart:.1g} on a face of val, more than {MOST_APART:g}; no model was "
            f"written"
        )


def _refuse_worse(told: Predictions, exact: Predictions) -> None:
    """Raise ModelError where 8 bits cost too much of val's accuracy, and more than the few faces that chance flips."""
    lost = accuracy(exact.labels, exact.probs) - accuracy(told.labels, told.probs)
    if lost > MOST_LOST and round(lost * len(exact)) > FLIPPED:
        raise ModelError(
            f"8 bits cost {100 * lost:.1f} points of val's accuracy, more than {100 * MOST_LOST:g}; no model was "
            "written: leave --int8 out"
        )
