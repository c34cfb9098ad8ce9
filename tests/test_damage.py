"""Flipped bits and cut ends in each kind of file that mien writes: told, or harmless, and never another answer."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from conftest import train_toy, write_toy

from mien.dataset import read_dataset, read_left_out, writing_dataset
from mien.errors import MienError, Stopped
from mien.evaluate import evaluate, load_network
from mien.labels import LABELS
from mien.model import read_model
from mien.networks import build
from mien.predictions import read_predictions
from mien.reading import CHECKSUM
from mien.recipe import read_recipe
from mien.run import read_run
from mien.train import train
from mien.train.state import load_state
from mien.train.step import make_optimizer
from mien.tune.storage import _journal
from mien.tune.study import read_study

FLIPS, CUTS = 500, 200
FAST_FLIPS, FAST_CUTS = 16, 8
MEANINGLESS = ("path", "folder", "source")  # where a copy of the files lies


@dataclass(frozen=True)
class Kind:
    """A kind of file: what is damaged, and how it is read whole."""

    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], object]
    grows: bool = False  # line by line, so that one cut short may be whole, of an earlier moment


def answer(value) -> object:
    """What was read as plain values that can be compared, arrays by their bytes."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [name for name in value.__dataclass_fields__ if name not in MEANINGLESS]
        return {name: answer(getattr(value, name)) for name in names if not name.startswith("_")}
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value)
        return array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, dict):
        kept = [key for key in value if key not in MEANINGLESS and not misspelt(key)]
        return {key: answer(value[key]) for key in kept}
    return [answer(part) for part in value] if isinstance(value, list | tuple) else value


def misspelt(key: object) -> bool:
    """Tell whether a key is that of a checksum but for one letter: nobody looks for it, and what it covers is whole."""
    pairs = list(zip(str(key), CHECKSUM, strict=False))
    return len(str(key)) == len(CHECKSUM) and sum(one != other for one, other in pairs) == 1


def dataset_kind(folder: Path) -> Kind:
    """A data set with a face left out."""

    def read(folder: Path):
        dataset = read_dataset(folder)
        whole = dataset.whole()
        return answer([dataset.info, np.array(whole.images), whole.table, read_left_out(dataset.info)])

    with writing_dataset(folder / "faces", side=8, labels=LABELS) as writer:
        rng = np.random.default_rng(3)
        for number in range(30):
            split = ("train", "val", "test")[number % 3]
            writer.add(rng.bytes(64), label=LABELS[number % 7], split=split, source=f"face {number}")
        writer.leave_out("broken.png", "damaged or cut short")
        writer.finish({"kind": "toy", "files": {}}, notes=["Made of noise."])
    return Kind(folder / "faces", ("dataset.json", "table.csv", "faces.npy", "left-out.csv"), read)


def run_kind(folder: Path) -> Kind:
    """A complete run, evaluated on val and test."""

    def read(folder: Path):
        run = read_run(folder)
        network, _ = load_network(run, run.result()["weights_sha256"], "cpu")
        parts = [run.result(), run.network(), run.environment(), run.metrics(), run.openings()]
        tables = [run.predictions(split) for split in ("val", "test")]
        return answer([run, *parts, *tables, network.state_dict()])

    path = train_toy(write_toy(folder / "toy"), folder / "run", "training.epochs=2")
    for split in ("val", "test"):
        evaluate(path, split=split)
    return Kind(path, tuple(sorted(file.name for file in path.iterdir())), read)


def state_kind(folder: Path) -> Kind:
    """The state of a training that was stopped."""
    recipe = read_recipe(
        "quick-densenet", ("network.layers=1,1", "network.growth_rate=4", "training.batch_size=16")
    )
    data = read_dataset(write_toy(folder / "toy")).development()
    steps = iter([False] * 9)
    with pytest.raises(Stopped):
        train(recipe, data, folder / "run", stop=lambda: next(steps, True))

    def read(folder: Path):
        network = build(recipe.network, side=16, classes=7)
        optimizer = make_optimizer(network, recipe.optimizer)
        best, standing = load_state(folder / "state.safetensors", network, network, optimizer)
        return answer([best or {}, asdict(standing), network.state_dict(), list(optimizer.state.values())])

    return Kind(folder / "run", ("state.safetensors",), read)


def model_kind(folder: Path, toy_model: Path) -> Kind:
    """A model file."""
    faces = np.random.default_rng(5).integers(0, 256, (2, 16, 16), dtype=np.uint8)
    (folder / "toy.onnx").write_bytes(toy_model.read_bytes())

    def read(folder: Path):
        model = read_model(folder / "toy.onnx", threads=1)
        return answer([model, model.probabilities(faces)])

    return Kind(folder, ("toy.onnx",), read)


def predictions_kind(folder: Path, run: Path) -> Kind:
    """A table of predictions with its checksum."""
    for name in ("predictions-val.csv", "predictions-val.csv.sha256"):
        (folder / name).write_bytes((run / name).read_bytes())
    return Kind(
        folder,
        ("predictions-val.csv", "predictions-val.csv.sha256"),
        lambda folder: answer(read_predictions(folder / "predictions-val.csv")),
    )


def search_kind(folder: Path) -> Kind:
    """A search's journal with a few trials; one that lost its last lines is of an earlier moment."""
    path = folder / "journal.log"
    study = optuna.create_study(study_name="s", storage=_journal(path), direction="maximize")
    for number in range(4):
        trial = study.ask()
        value = trial.suggest_float("lr", 0.001, 0.1) + trial.suggest_int("layers", 1, 9)
        trial.report(value, 1)
        trial.set_user_attr("recipe", f"name = {number}")
        study.tell(trial, value)
    lines = path.read_bytes().splitlines(keepends=True)
    earlier = []
    for number in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:number]))
        with suppress(MienError):
            earlier.append(answer(read_study(path)))
    path.write_bytes(b"".join(lines))
    whole = answer(read_study(path))

    def read(folder: Path):
        study = answer(read_study(folder / "journal.log"))
        return whole if study in earlier else study

    return Kind(folder, ("journal.log",), read, grows=True)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, toy_model) -> dict[str, Kind]:
    """A whole example of each kind."""
    place = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    run = run_kind(place["run"])
    return {
        "dataset": dataset_kind(place["dataset"]),
        "run": run,
        "state": state_kind(place["state"]),
        "model": model_kind(place["model"], toy_model),
        "predictions": predictions_kind(place["predictions"], run.folder),
        "search": search_kind(place["search"]),
    }


NAMES = ("dataset", "run", "state", "model", "predictions", "search")


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of which one bit is another."""
    place, bit = int(rng.integers(len(data))), int(rng.integers(8))
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def detected(kind: Kind, damages: int, damage: Callable[[bytes, int, int], bytes]) -> int:
    """Damage each file in turn, so many times in all; hold what is read against the whole, count what is told."""
    whole = kind.read(kind.folder)
    told = 0
    for number in range(damages):
        path = kind.folder / kind.files[number % len(kind.files)]
        data = path.read_bytes()
        path.write_bytes(damage(data, number // len(kind.files), -(-damages // len(kind.files))))
        try:
            assert whole == kind.read(kind.folder), f"{path.name}, damage {number}"
        except MienError as error:
            assert "\n" not in str(error)
            told += 1
        finally:
            path.write_bytes(data)
    assert kind.read(kind.folder) == whole
    return told


def flip_bits(kind: Kind, flips: int) -> None:
    """Flip so many bits, one at a time."""
    rng = np.random.default_rng(11)
    assert detected(kind, flips, lambda data, number, of: flipped(data, rng)) > flips / 2


def cut_short(kind: Kind, cuts: int) -> None:
    """Cut files at so many places, the first byte and the last one too."""

    def cut(data: bytes, number: int, of: int) -> bytes:
        return data[: round((len(data) - 1) * number / max(1, of - 1))]

    assert detected(kind, cuts, cut) > cuts / 2 or kind.grows


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_change_no_answer(kinds, name):
    """Of a few flipped bits in each kind of file each is told in one line or changes nothing."""
    flip_bits(kinds[name], FAST_FLIPS)


@pytest.mark.parametrize("name", NAMES)
def test_cut_files_change_no_answer(kinds, name):
    """A file that ends too early is told in one line, wherever it ends."""
    cut_short(kinds[name], FAST_CUTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hundreds_of_flipped_bits_change_no_answer(kinds, name):
    """Of 500 flipped bits in each kind of file each is told in one line or changes nothing."""
    flip_bits(kinds[name], FLIPS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_files_cut_at_hundreds_of_places_change_no_answer(kinds, name):
    """A file that ends too early is told in one line, at 200 places in each kind."""
    cut_short(kinds[name], CUTS)
