"""Evaluating: a run, or a model file, and a data set become predictions. The only room that opens the test split.

A run's predictions are kept in its folder. Those of NAME.onnx lie beside it: NAME.predictions-SPLIT.csv and
NAME.openings.jsonl; those on other data than it was made from where the user wants them. A model file is read by
onnxruntime alone, so only runs need torch.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, DatasetInfo, Faces, read_dataset, same_faces
from mien.errors import DataError, ModelError, RunError
from mien.files import append_line, require_place, with_no_error
from mien.locks import locked, locked_name
from mien.model import BATCH, Model, read_model, shipped_models
from mien.networks import build
from mien.predictions import Predictions, pooled, read_predictions, write_predictions
from mien.progress import Counting
from mien.reading import read_lines, sealed, sha256_file
from mien.recipe import ClipHead
from mien.run import Run, RunData, read_run

EVALUATED = ("val", "test")


def evaluate(
    path: Path, *, split: str = "val", data: Path | None = None, device: str = "auto"
) -> Predictions:
    """Return predictions on `val` or `test` of a complete run, or of a model file that mien exported.

    The `val` of a fold's run is that fold, and it has no `test`: see "Folds" in docs/architecture.md.
    A run's predictions that stand there already are returned as they are, and so are a model's on test if they are of
    the same graph. So test is opened once; the opening is recorded before the first face is read.
    `data` says where the data set lies now, if it was moved, and always for a model file, which holds no path; its
    train and val must be the faces trained on. A model file is read on the CPU.

    Raises RunError, ModelError, DataError or StorageError in one line.
    """
    path = Path(path)
    subject, known = _checked(path, split, data)
    if isinstance(known, Predictions):
        return known
    if isinstance(subject, Model):
        return _evaluate_model(path, subject, known, split)
    return _evaluate_run(subject, known, split, device)


def evaluate_all(
    paths: Sequence[Path], *, splits: Sequence[str], data: Path | None = None, device: str = "auto"
) -> Iterator[tuple[Path, str, Predictions]]:
    """Yield path, split and predictions of several runs or model files; arguments and errors as of `evaluate`.

    Each is checked before the first is evaluated, so that no test split is opened beside one that is wrong.
    """
    jobs = [(Path(path), split) for path in paths for split in splits]
    for path, split in jobs:
        _checked(path, split, data)
    for path, split in jobs:
        yield path, split, evaluate(path, split=split, data=data, device=device)


def _checked(path: Path, split: str, data: Path | None) -> tuple[Run | Model, Predictions | Dataset]:
    """Return a run or a model, and its predictions if there are some, else the data set to make them of.

    Raises what `evaluate` raises, and opens no test split.
    """
    if split not in EVALUATED:
        raise RunError(f'a run is evaluated on {" or ".join(EVALUATED)}, and not on "{split}"')
    if str(path) in shipped_models() and not path.exists():
        raise ModelError(
            f"{path} ships with mien: say on which faces, --data FOLDER, and where to write, --out TABLE"
        )
    is_model = path.suffix == ".onnx" and not path.is_dir()
    subject, known = _checked_model(path, split, data) if is_model else _checked_run(path, split, data)
    if split == "test" and isinstance(known, Dataset):
        _refuse_no_test(known)
    return subject, known


def _checked_run(folder: Path, split: str, data: Path | None) -> tuple[Run, Predictions | Dataset]:
    run = read_run(folder)
    weights_sha256 = run.result()["weights_sha256"]
    if run.fold and split == "test":
        raise RunError(
            f"{folder}: {run.fold} of a cross-validation is judged on that fold alone; "
            f"train {run.name} without --folds to open the test split"
        )
    if (run.folder / f"predictions-{split}.csv").exists():
        return run, run.predictions(split)
    _refuse_changed_weights(run, weights_sha256)
    return run, open_data(run.data, data, run.folder)


def _checked_model(path: Path, split: str, data: Path | None) -> tuple[Model, Predictions | Dataset]:
    model = read_model(path)
    if split == "test" and (predictions := evaluated(path, model.graph_sha256)) is not None:
        return model, predictions
    if data is None:
        raise ModelError(f"{path}: a model file does not know where its data set lies; say it with --data")
    return model, open_data(trained_on(model), data, path)


def _evaluate_run(run: Run, dataset: Dataset, split: str, device: str) -> Predictions:
    weights_sha256 = run.result()["weights_sha256"]
    with locked(run.folder, "the run", waiting=_patiently):
        if (run.folder / f"predictions-{split}.csv").exists():
            return run.predictions(split)  # of another process, meanwhile
        network, engine = load_network(run, weights_sha256, device)
        if split == "test":
            faces = _open_test(dataset, run.folder / "openings.jsonl", weights_sha256=weights_sha256)
        else:
            faces = dataset.development(run.fold).val
        if isinstance(run.recipe.network, ClipHead):
            predictions, clips = predict_clips(run, network, engine, faces, split)
            write_predictions(run.folder / f"clips-{split}.csv", clips)
        else:
            predictions = predict_faces(run, network, engine, faces, split)
        write_predictions(run.folder / f"predictions-{split}.csv", predictions)
    return predictions


def _evaluate_model(path: Path, model: Model, dataset: Dataset, split: str) -> Predictions:
    table = _beside(path, f"predictions-{split}.csv")
    with locked_name(path, "the model", waiting=_patiently):
        if split == "test" and (predictions := evaluated(path, model.graph_sha256)) is not None:
            return predictions  # of another process, meanwhile
        if split == "test":
            with_no_error(table.unlink)  # of another graph: with the next line it would pass for this one's
            faces = _open_test(dataset, _beside(path, "openings.jsonl"), graph_sha256=model.graph_sha256)
        else:
            faces = dataset.development().val
        predictions = predictions_of(model, faces, split)
        write_predictions(table, predictions)
    return predictions


def _patiently() -> None:
    """Wait for who holds a lock: another evaluation, which takes seconds."""


def evaluate_on(where: str | Path, data: Path, out: Path, *, test: bool = False) -> dict[str, Predictions]:
    """Write what a model, a file or one that ships, says of any data set with its classes; return it by split.

    So the model that ships is judged on own faces, beside a run that was trained on them. The table `out` has the
    faces of val, and with `test` those of test, too; then NAME.openings.jsonl lies beside it. The classes stand
    in the data set's order. Raises ModelError where the classes are others, DataError or StorageError.
    """
    require_place(out)
    model, dataset = read_model(where), read_dataset(data)
    labels = dataset.info.labels
    if sorted(labels) != sorted(model.labels):
        raise ModelError(
            f"{model.name} reads {', '.join(model.labels)}; {data} has {', '.join(labels)}: judge it on its own "
            f"classes (mien pack --labels), or train finetune for others"
        )
    if dataset.info.side != model.side:
        raise ModelError(f"{model.name} reads faces of {model.side} pixels; {data} has {dataset.info.side}")
    if not test and not dataset.info.count("val"):
        raise DataError(f"{data}: no face in val; --test reads those of test")
    faces = {"val": dataset.open_val()} if dataset.info.count("val") else {}
    if test:
        faces["test"] = _open_test(dataset, _beside(out, "openings.jsonl"), graph_sha256=model.graph_sha256)
    columns = [model.labels.index(label) for label in labels]
    predictions = {
        split: replace((p := predictions_of(model, some, split)), classes=labels, probs=p.probs[:, columns])
        for split, some in faces.items()
    }
    write_predictions(out, pooled(tuple(predictions.values())))
    return predictions


def evaluated(path: Path, graph_sha256: str) -> Predictions | None:
    """Return the predictions on test that lie beside a model file if they are of this graph, else None."""
    table, openings = _beside(path, "predictions-test.csv"), _beside(path, "openings.jsonl")
    if not table.exists() or not openings.exists():
        return None
    *_, last = read_lines(openings, what="the list of openings", error=ModelError)
    return read_predictions(table) if last.get("graph_sha256") == graph_sha256 else None


def trained_on(model: Model) -> RunData:
    """Return the data set that a model was trained on; where it lies a model's file does not tell."""
    data = {key: model.data[key] for key in ("fingerprint", "learned_sha256", "origin", "counts")}
    return RunData(path="", side=model.side, labels=model.labels, notes=tuple(model.data["notes"]), **data)


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}")


def load_network(run: Run, weights_sha256: str, device: str):
    """Return the run's network with its chosen weights, and the engine it runs on."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from mien.networks.engine import Engine, choose_engine, devices

    path = run.folder / "weights.safetensors"
    _refuse_changed_weights(run, weights_sha256)
    network = build(run.recipe.network, side=run.data.side, classes=len(run.data.labels))
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as fault:
        raise RunError(f"{path}: not this run's weights ({fault})") from None
    _refuse_changed_code(run, network)
    engine = Engine.of(run.engine)
    if device not in ("auto", engine.device) or engine.device not in devices():
        precision = run.recipe.training.precision
        engine = replace(choose_engine(device=device, precision=precision), threads=engine.threads)
    return engine.place(network), engine


def run_probabilities(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives probabilities float64 (N, C) of faces uint8 (N, S, S), as a complete run evaluates them."""
    import torch

    from mien.networks.engine import on_threads, probabilities

    network, engine = load_network(run, run.result()["weights_sha256"], "auto")

    def answer(images: np.ndarray) -> np.ndarray:
        with on_threads(engine.threads):
            faces = torch.from_numpy(images).to(engine.device)
            return probabilities(network, faces, engine, **asdict(run.recipe.tta))

    return answer


def _refuse_changed_code(run: Run, network) -> None:
    """Raise RunError where a network of the user's own code answers otherwise than at the end of its training."""
    from mien.networks.custom import same_answers

    if not same_answers(network, run.result().get("answers"), run.data.side):
        raise RunError(
            f"{run.folder}: {run.recipe.network.kind} answers otherwise than when it was trained; bring its code back "
            f"as it was, or train it again"
        )


def _refuse_changed_weights(run: Run, sha256: str) -> None:
    path = run.folder / "weights.safetensors"
    if not path.is_file() or sha256_file(path) != sha256:
        raise RunError(f"{path}: missing, cut short or changed since training; train the run again")


def open_data(trained_on: RunData, moved_to: Path | None, whose: Path) -> Dataset:
    """Return the data set that a run or a model was trained on; RunError when it is another one."""
    dataset = read_dataset(moved_to or Path(trained_on.path))
    if not same_faces(dataset.info, trained_on):
        raise RunError(
            f"{dataset.info.folder}: not the data that {whose} was trained on "
            f"({_named(dataset.info)} here, {_named(trained_on)} there); say where it lies with --data"
        )
    return dataset


def _named(data: DatasetInfo | RunData) -> str:
    """Return the fingerprint and the labels, whose order a fingerprint does not tell."""
    return f"{data.fingerprint}, {' '.join(data.labels)}"


def _refuse_no_test(dataset: Dataset) -> None:
    if not dataset.info.count("test"):
        raise DataError(f"{dataset.info.folder}: has no test split to open")


def _open_test(dataset: Dataset, openings: Path, **opened_for: str) -> Faces:
    """Return the test split's faces, once it is written down that they are opened; DataError where there are none."""
    _refuse_no_test(dataset)
    record_opening(openings, dataset.info.fingerprint, **opened_for)
    return dataset.open_test()


def record_opening(file: Path, fingerprint: str, **opened_for: str) -> None:
    """Write down that the test split is opened, with which weights or graph and data."""
    opening = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "split": "test",
        **opened_for,
        "data_fingerprint": fingerprint,
    }
    append_line(file, json.dumps(sealed(opening)))


def predict_faces(run: Run, network, engine, faces: Faces, split: str) -> Predictions:
    """Return the network's predictions of the faces, with the recipe's test-time augmentation."""
    import torch

    from mien.networks.engine import on_threads, probabilities

    images = torch.from_numpy(faces.images).to(engine.device)
    with on_threads(engine.threads):
        probs = probabilities(network, images, engine, **asdict(run.recipe.tta))
    return as_predictions(run.data.labels, faces, split, probs)


def predict_clips(run: Run, network, engine, faces: Faces, split: str) -> tuple[Predictions, Predictions]:
    """Return a head's predictions of the frames, and of the clips that have a class, at the end of each."""
    from mien.networks.engine import on_threads
    from mien.train.clips import classify_clip, clips_of, inputs_of

    probs = np.empty((len(faces), len(run.data.labels)))
    ends = {}
    with on_threads(engine.threads):
        for clip in clips_of(faces, inputs_of(run, engine, faces), engine.device):
            probs[clip.rows], so_far, _ = classify_clip(network, clip)
            ends[clip.rows[-1]] = so_far[-1]
    return as_predictions(run.data.labels, faces, split, probs), _of_clips(
        run.data.labels, faces, split, ends
    )


def _of_clips(
    labels: tuple[str, ...], faces: Faces, split: str, ends: Mapping[int, np.ndarray]
) -> Predictions:
    """Return predictions of the clips that have a class; `ends` are the probabilities (C,) at their last rows."""
    assert faces.frames is not None
    rows = np.array([row for row in ends if faces.frames.clip_labels[row] >= 0], np.int64)
    columns = (faces.frames.clips[rows], faces.frames.clip_labels[rows], np.full(len(rows), split))
    probs = np.array([ends[row] for row in rows]).reshape(-1, len(labels))
    strict = None if faces.strict is None else faces.strict[rows]
    return Predictions(labels, *columns, probs, faces.families_or_groups[rows], faces.clean[rows], strict)


def predictions_of_clips(
    model: Model, faces: Faces, split: str, progress: Counting | None = None
) -> tuple[Predictions, Predictions]:
    """Return what a model over time says of the frames, and of the clips that have a class, at the end of each."""
    assert faces.frames is not None
    clips = faces.frames.rows()
    probs, ends = np.empty((len(faces), len(model.labels))), {}
    state, last = model.start(len(clips)), np.zeros(len(clips))
    for frame in (progress or Counting()).over("read by onnxruntime", None, range(max(map(len, clips)))):
        going = np.array([number for number, rows in enumerate(clips) if frame < len(rows)])
        rows = np.array([clips[number][frame] for number in going])
        seconds = faces.frames.seconds[rows]
        answer = model.step(faces.images[rows], seconds - last[going] if frame else 0 * seconds, state[going])
        probs[rows], state[going], last[going] = answer.probabilities, answer.state, seconds
        ends |= {clips[n][-1]: p for n, p in zip(going, answer.clip_probabilities, strict=True)}
    return as_predictions(model.labels, faces, split, probs), _of_clips(model.labels, faces, split, ends)


def predictions_of(model: Model, faces: Faces, split: str, progress: Counting | None = None) -> Predictions:
    """Return what a model file says of the faces, of the frames of clips in their order where it knows time."""
    if model.state_size and faces.frames is not None:
        return predictions_of_clips(model, faces, split, progress)[0]
    starts = range(0, len(faces), BATCH)
    counted = (progress or Counting()).over("read by onnxruntime", len(starts), starts)
    probs = [model.probabilities(faces.images[start : start + BATCH]) for start in counted]
    return as_predictions(model.labels, faces, split, np.concatenate(probs).astype(np.float64))


def as_predictions(labels: tuple[str, ...], faces: Faces, split: str, probs: np.ndarray) -> Predictions:
    """Return probabilities, float64 (N, C), of faces of a split with all that the data set knows of them."""
    splits = np.full(len(faces), split)
    together = faces.families_or_groups
    return Predictions(labels, faces.ids, faces.labels, splits, probs, together, faces.clean, faces.strict)
