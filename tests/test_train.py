import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from conftest import write_toy
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises_naming

from mien.dataset import read_dataset
from mien.errors import DataError, MienError, OutOfMemory, RunError, Stopped, StorageError, TrainingDiverged
from mien.locks import locked
from mien.networks import build
from mien.networks.engine import Engine
from mien.progress import Progress
from mien.reading import unsealed
from mien.recipe import read_recipe, to_toml
from mien.run import read_run
from mien.train import state, train
from mien.train.augment import flip, shift
from mien.train.loop import SaveTimes
from mien.train.schedule import TrainState, finished, judge_epoch, lr_at
from mien.train.seeds import epoch_order
from mien.train.step import Training, set_up, train_step
from mien.train.targets import class_weights

FINAL = ("weights.safetensors", "metrics.csv", "result.json", "recipe.toml", "network.json", "run.json")
TOY = ("network.layers=1,1", "network.growth_rate=8", "network.stem_channels=8", "training.batch_size=16")
PEAK = ("network.layers=[]", "network.num_blocks=2", "network.min_layers=1", "network.max_layers=2")
TOY_CNN = ("network.channels=8,16", "network.hidden=16", "training.batch_size=16")


def toy_recipe(name: str = "quick-densenet", *overrides: str):
    """Return a recipe small enough for the toy faces."""
    return read_recipe(name, ((TOY if "densenet" in name else TOY_CNN) + overrides))


def final_bytes(folder) -> list[bytes]:
    """Return all that must be the same in equal runs, of a folder that holds nothing else."""
    assert {*FINAL, "environment.json"} == {p.name for p in folder.iterdir()}
    return [(folder / name).read_bytes() for name in FINAL]


# Every kind of optimizer, schedule, choice, precision and random draw stands in one of these.
RECIPES = {
    "sgd": toy_recipe("quick-densenet", "training.epochs=3"),
    "adam": toy_recipe(
        "study-cnn",
        "training.epochs=6",
        "training.patience=2",
        "schedule.patience=1",
        "training.precision=fp32",
    ),
    "dropout": toy_recipe(
        "quick-densenet", "training.epochs=3", "network.dropout=0.3", "network.activation=pre"
    ),
    "means": toy_recipe(
        "quick-densenet",
        "training.epochs=3",
        "optimizer.ema_decay=0.9",
        "optimizer.sam_rho=0.05",
        "network.se_ratio=0.5",
        "network.drop_path=0.3",
        "augment.rotation=10",
        "augment.contrast=0.2",
        "augment.random_erasing=0.5",
        "augment.mixup=0.4",
        "augment.cutmix=1",
    ),
}


def test_a_network_learns_the_toy_task(toy_data, tmp_path):
    """A small DenseNet reads the toy's bars, from chance to at least 90 % of val."""
    recipe = toy_recipe("quick-densenet", "training.epochs=15", "augment.flip=false", "augment.shift=0")
    run = train(recipe, toy_data, tmp_path / "run")
    metrics = run.metrics()

    assert run.result()["val"]["accuracy"] >= 0.9
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]


def test_the_shuffled_toy_cannot_be_learnt(toy_data, tmp_path):
    """With labels that mean nothing val stays near chance: nothing leaks from val into training."""
    shuffled = np.random.default_rng(0).permutation(toy_data.train.labels)
    faces = type(toy_data.train)(
        toy_data.train.images, shuffled, toy_data.train.ids, toy_data.train.groups, toy_data.train.clean
    )
    data = type(toy_data)(toy_data.info, faces, toy_data.val)
    run = train(toy_recipe("quick-densenet", "training.epochs=15"), data, tmp_path / "run")

    assert run.result()["val"]["accuracy"] < 0.5


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_stopped_again_and_again_ends_in_the_same_bytes(toy_data, tmp_path, name):
    """Stopped at every third step, inside epochs too, a run ends as one that was never stopped."""
    train(RECIPES[name], toy_data, tmp_path / "whole", seed=3)
    steps = Counter()

    def stop():
        steps["done"] += 1
        return steps["done"] % 3 == 0

    for _ in range(1000):
        try:
            train(RECIPES[name], toy_data, tmp_path / "stopped", seed=3, stop=stop)
            break
        except Stopped:
            steps["stops"] += 1

    assert final_bytes(tmp_path / "whole") == final_bytes(tmp_path / "stopped")
    assert steps["stops"] >= 4


TRAIN_ONCE = """
import sys
from pathlib import Path
from mien.dataset import read_dataset
from mien.networks import build
from mien.networks.engine import Engine
from mien.progress import Progress
from mien.recipe import read_recipe, to_toml
from mien.train import state, train

data, recipe, folder, seed = sys.argv[1:]
train(read_recipe(Path(recipe)), read_dataset(data).development(), folder, seed=int(seed), save_every_seconds=0.05)
"""


def kill_and_take_up(toy, recipe, folder, seed: int, moments: list[float]) -> int:
    """Train in a process of its own, killed so many seconds after its first save, time and again; return the kills."""
    path = folder.parent / "recipe.toml"
    path.write_text(to_toml(recipe))
    command = [sys.executable, "-c", TRAIN_ONCE, str(toy), str(path), str(folder), str(seed)]
    kills = 0
    for moment in moments:
        before = state_time(folder)
        process = subprocess.Popen(command)
        while process.poll() is None and state_time(folder) == before:
            time.sleep(0.01)
        time.sleep(moment)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    subprocess.run(command, check=True)
    return kills


def state_time(folder) -> int:
    """Return when the state was saved last, 0 before that."""
    path = folder / "state.safetensors"
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_a_run_killed_in_the_middle_ends_in_the_same_bytes(toy, toy_data, tmp_path):
    """SIGKILL inside an epoch, twice, changes nothing of the final bytes."""
    recipe = toy_recipe("quick-densenet", "training.epochs=30")
    whole = train(recipe, toy_data, tmp_path / "whole", seed=5)
    kills = kill_and_take_up(toy, recipe, tmp_path / "killed", 5, [0.02, 0.1])

    assert 2 == kills
    assert final_bytes(whole.folder) == final_bytes(tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_runs_killed_at_random_moments_end_in_the_same_bytes(toy, toy_data, tmp_path, seed):
    """Each of ten runs, killed three times at random moments and taken up, ends as one left alone."""
    recipe = toy_recipe("study-densenet", "training.epochs=200", "training.patience=0", *PEAK)
    rng = random.Random(seed)
    whole = train(recipe, toy_data, tmp_path / "whole", seed=seed)
    kills = kill_and_take_up(toy, recipe, tmp_path / "killed", seed, [rng.uniform(0, 0.6) for _ in range(3)])

    assert kills >= 1
    assert final_bytes(whole.folder) == final_bytes(tmp_path / "killed")


def test_ctrl_c_saves_and_the_same_command_goes_on(toy, toy_data, tmp_path):
    """Ctrl-C ends the command with status 130 and one line; given again, it ends in the same bytes."""
    epochs = "training.epochs=12"
    command = [
        sys.executable,
        "-m",
        "mien",
        "train",
        "quick-densenet",
        str(toy),
        *TOY,
        epochs,
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "quick-densenet-s0"
    while not (folder / "metrics.csv").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    whole = train(toy_recipe("quick-densenet", epochs), toy_data, tmp_path / "whole")

    assert 130 == process.returncode
    assert "the same command goes on from here" in said.splitlines()[-1]
    assert "goes on in epoch" in again.stderr
    assert final_bytes(whole.folder) == final_bytes(folder)


def test_the_seed_decides_everything(toy_data, tmp_path):
    """The same seed gives the same bytes, another seed others."""
    runs = [
        train(toy_recipe("quick-cnn", "training.epochs=2"), toy_data, tmp_path / name, seed=seed).folder
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    one, same, other = ((run / "weights.safetensors").read_bytes() for run in runs)

    assert one == same
    assert one != other


def test_training_leaves_the_callers_generators_alone(toy_data, tmp_path):
    """Neither torch's global generator nor its threads are changed for the one who calls."""
    torch.manual_seed(11)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(toy_recipe("quick-cnn", "training.epochs=1"), toy_data, tmp_path / "run")

    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_a_complete_run_is_returned_as_it_is(toy_data, tmp_path):
    """The same command on a complete run trains nothing."""
    recipe = toy_recipe("quick-cnn", "training.epochs=1")
    first = train(recipe, toy_data, tmp_path / "run")
    before = {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()}
    train(recipe, toy_data, tmp_path / "run")

    assert before == {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()}


def test_the_best_epoch_is_kept_and_training_stops_early(toy_data, tmp_path):
    """With keep=best and patience, the kept epoch has the highest val accuracy and nothing came after the wait."""
    run = train(RECIPES["adam"], toy_data, tmp_path / "run")
    accuracies = [row["val_accuracy"] for row in run.metrics()]
    told = run.result()

    assert 1 + int(np.argmax(accuracies)) == told["kept_epoch"]
    assert max(accuracies) == told["val"]["accuracy"]
    assert min(6, told["kept_epoch"] + 2) == told["epochs"]


@pytest.mark.parametrize(
    ("recipe", "seed", "message"),
    [
        (toy_recipe("quick-cnn", "optimizer.lr=0.05"), 0, r"optimizer.lr \(0.1 there, 0.05 here\)"),
        (toy_recipe("quick-cnn"), 1, r"seed \(0 there, 1 here\)"),
        (toy_recipe("quick-cnn", "name=other"), 0, r"name \(quick-cnn there, other here\)"),
    ],
)
def test_another_run_is_never_overwritten(toy_data, tmp_path, recipe, seed, message):
    """A folder that holds a run of another recipe, seed or name is refused, and the difference named."""
    short = ("training.epochs=1",)
    train(toy_recipe("quick-cnn", *short), toy_data, tmp_path / "run")

    with pytest.raises(RunError, match=f"holds another run.*{message}"):
        train(
            replace(recipe, training=toy_recipe("quick-cnn", *short).training),
            toy_data,
            tmp_path / "run",
            seed=seed,
        )


def test_a_run_on_other_data_is_refused(toy_data, tmp_path):
    """A run is not taken up with faces it was not begun with."""
    recipe = toy_recipe("quick-cnn", "training.epochs=1")
    train(recipe, toy_data, tmp_path / "run")
    other = read_dataset(write_toy(tmp_path / "other", copies=5)).development()

    with raises_naming(RunError, "data"):
        train(recipe, other, tmp_path / "run")


def test_a_folder_of_other_things_is_refused(toy_data, tmp_path):
    """A folder that is no run and not empty is left alone."""
    (tmp_path / "thesis.txt").write_text("mine")

    with raises_naming(RunError, "thesis.txt"):
        train(toy_recipe(), toy_data, tmp_path)
    assert ["thesis.txt"] == [p.name for p in tmp_path.iterdir()]


def test_a_run_in_use_is_refused(toy_data, tmp_path):
    """Two processes never train one run."""
    (tmp_path / "run").mkdir()

    with locked(tmp_path / "run", "it"), pytest.raises(StorageError):
        train(toy_recipe(), toy_data, tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run(toy_data, tmp_path):
    """A learning rate that breaks the numbers ends in one line; no broken state and no result are left."""
    recipe = toy_recipe("quick-cnn", "optimizer.lr=100", "optimizer.weight_decay=1", "training.epochs=30")

    with raises_naming(TrainingDiverged, "optimizer.lr"):
        train(recipe, toy_data, tmp_path / "run", save_every_seconds=0)
    assert not read_run(tmp_path / "run").complete


def test_weights_that_break_in_an_epochs_last_step_stop_the_run(toy_data, tmp_path, monkeypatch):
    """Where every loss was finite and val is read as nan, the run ends as any that diverges."""
    broken = np.full((len(toy_data.val), len(toy_data.info.labels)), np.nan)
    monkeypatch.setattr("mien.train.step.probabilities", lambda *_: broken)

    with pytest.raises(TrainingDiverged):
        train(toy_recipe("quick-cnn"), toy_data, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.parametrize(
    "fault",
    [MemoryError(), RuntimeError("CUDA out of memory"), RuntimeError("can't allocate memory: you tried")],
)
def test_too_little_memory_is_told(toy_data, tmp_path, monkeypatch, fault):
    """What numpy and torch say of it becomes a line that says what to lower."""

    def refuse(*_, **__):
        raise fault

    monkeypatch.setattr("mien.train.targets.augment", refuse)
    with raises_naming(OutOfMemory, "training.batch_size"):
        train(toy_recipe("quick-cnn"), toy_data, tmp_path / "run")


def test_another_fault_is_not_taken_for_too_little_memory(toy_data, tmp_path, monkeypatch):
    """An error that only names memory is what it is."""

    def refuse(*_, **__):
        raise RuntimeError("unsupported memory format option")

    monkeypatch.setattr("mien.train.targets.augment", refuse)
    with pytest.raises(RuntimeError, match="memory format"):
        train(toy_recipe("quick-cnn"), toy_data, tmp_path / "run")


def test_a_step_can_be_called_alone(toy_data):
    """A training is set up and stepped without a run: the loss falls, and the same steps give the same weights."""
    recipe, faces = toy_recipe("quick-cnn", "training.epochs=40"), toy_data.train

    def stepped(count: int) -> Training:
        torch.manual_seed(1)
        network = build(recipe.network, side=toy_data.info.side, classes=len(toy_data.info.labels))
        training = set_up(
            recipe, Engine("cpu", "fp32", "channels-first", 1), network, faces, toy_data.info.labels
        )
        for _ in range(count):
            if training.state.step == training.steps_per_epoch:
                losses.append(training.loss_sum.item() / training.state.seen)
                training.state.next_epoch()
            train_step(training, mark=marks.append)
        return training

    losses, marks = [], []
    one, other = (stepped(60).network.state_dict() for _ in "12")

    assert losses[-1] < losses[0]
    assert ["data", "forward", "backward", "step"] * 120 == marks
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_each_epochs_row_is_handed_on(toy_data, tmp_path):
    """`on_epoch` gets the rows of metrics.csv; what it raises ends the training, which then can go on."""
    recipe, rows = toy_recipe("quick-cnn", "training.epochs=3"), []

    def enough(row):
        rows.append(row)
        if len(rows) == 2:
            raise KeyError

    with pytest.raises(KeyError):
        train(recipe, toy_data, tmp_path / "run", on_epoch=enough, save_every_seconds=0)
    run = train(recipe, toy_data, tmp_path / "run", on_epoch=rows.append)

    assert [1, 2, 2, 3] == [row["epoch"] for row in rows]
    assert run.metrics() == [pytest.approx(row) for row in (rows[0], *rows[2:])]


def test_a_state_is_saved_soon_and_then_seldom(monkeypatch):
    """The first state is saved after two seconds, the next ones after twice as long each, up to what is asked."""
    now = [0.0]
    monkeypatch.setattr("mien.train.loop.time.monotonic", lambda: now[0])
    times, saved = SaveTimes(30), []
    for now[0] in np.arange(0, 130, 0.25):
        if times.due():
            times.done()
            saved.append(float(now[0]))

    assert [2.25, 6.5, 14.75, 31.0, 61.25, 91.5, 121.75] == saved


def test_what_no_face_shows_is_noted(toy_data, tmp_path):
    """Classes that train or val lack are named before training; faces of one class alone are refused."""
    notes, recipe = [], toy_recipe("quick-cnn", "training.epochs=1")
    happy = toy_data.info.labels.index("happy")

    class Notes(Progress):
        def note(self, text):
            notes.append(text)

    def without(faces, chosen):
        columns = {f.name: getattr(faces, f.name) for f in fields(faces)}
        return replace(faces, **{name: c[chosen] for name, c in columns.items() if c is not None})

    train_faces, val_faces = toy_data.train, toy_data.val
    lacking = replace(toy_data, val=without(val_faces, val_faces.labels != happy))
    train(recipe, lacking, tmp_path / "lacking", progress=Notes())
    assert 1 == len(notes)
    assert "happy" in notes[0]

    one_class = replace(toy_data, train=without(train_faces, train_faces.labels == happy))
    with raises_naming(DataError, "happy"):
        train(recipe, one_class, tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_a_run_without_a_state_says_that_it_begins_anew(toy_data, tmp_path):
    """A run that was killed before its first state says so when it is taken up; a complete one that it is complete."""
    notes, recipe = [], toy_recipe("quick-cnn", "training.epochs=1")

    class Notes(Progress):
        def note(self, text):
            notes.append(text)

    def killed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, toy_data, tmp_path / "run", stop=killed, progress=Notes())
    assert [] == notes
    train(recipe, toy_data, tmp_path / "run", progress=Notes())
    assert 1 == len(notes)
    train(recipe, toy_data, tmp_path / "run", progress=Notes())
    assert 2 == len(notes)


def test_who_trains_the_same_run_waits(toy_data, tmp_path):
    """Of two trainings of one run the second waits, then has the first one's run."""
    recipe = toy_recipe("quick-cnn", "training.epochs=2")
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(train, recipe, toy_data, tmp_path / "run", waiting=lambda: None) for _ in range(2)
        ]

    assert both[0].result().result() == both[1].result().result()


def test_a_run_of_before_is_taken_up(toy_data, tmp_path):
    """An engine that was recorded with fields of earlier versions is read."""
    recipe = toy_recipe("quick-cnn", "training.epochs=2")
    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "run", stop=lambda: True)
    record = unsealed(json.loads((tmp_path / "run" / "run.json").read_text()))
    record["engine"]["graphs"] = False
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))

    assert train(recipe, toy_data, tmp_path / "run").complete


def test_a_damaged_state_is_told(toy_data, tmp_path):
    """A state file cut short ends in one line that says what to do."""
    recipe = toy_recipe("quick-cnn", "training.epochs=2")
    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "run", stop=lambda: True)
    path = tmp_path / "run" / "state.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])

    with raises_naming(RunError, "state.safetensors"):
        train(recipe, toy_data, tmp_path / "run")
    other = tmp_path / "other"
    with pytest.raises(Stopped):
        train(toy_recipe("quick-densenet", "training.epochs=2"), toy_data, other, stop=lambda: True)
    path.write_bytes((other / "state.safetensors").read_bytes())
    with raises_naming(RunError, "state.safetensors") as told:
        train(recipe, toy_data, tmp_path / "run")
    assert "\n" not in str(told.value)
    path.write_bytes(whole)
    run = unsealed(json.loads((tmp_path / "run" / "run.json").read_text()))
    del run["engine"]["layout"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    with raises_naming(RunError, "run.json"):
        train(recipe, toy_data, tmp_path / "run")


def test_a_full_disk_keeps_the_last_state(toy_data, tmp_path, monkeypatch):
    """When a state cannot be written, the one before stays and the run ends as if nothing had been."""
    recipe = toy_recipe("quick-cnn", "training.epochs=3")
    writes = Counter()

    def full_after_six(path, data, write=state.write_atomic):
        writes["done"] += 1
        if writes["done"] > 6:
            raise StorageError(f"{path}: could not be written (No space left on device)")
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(state, "write_atomic", full_after_six)
        with pytest.raises(StorageError):
            train(recipe, toy_data, tmp_path / "run", save_every_seconds=0)
    train(recipe, toy_data, tmp_path / "run")
    train(recipe, toy_data, tmp_path / "whole")

    assert final_bytes(tmp_path / "whole") == final_bytes(tmp_path / "run")


def test_balanced_class_weights_weigh_each_class_alike(toy_data):
    """N / (C * count): the classes' weights times their counts are equal, with mean 1 over the faces."""
    labels = np.array([0] * 6 + [1] * 3 + list(range(2, 7)))
    faces = replace(toy_data.train, labels=labels, ids=labels)
    weights = class_weights(faces, toy_recipe("study-cnn"), toy_data.info.labels)

    assert np.allclose(2.0, weights * np.bincount(labels))
    assert np.isclose(1, weights[labels].mean())


def test_balancing_a_class_that_is_not_there_is_refused(toy_data):
    """A weight for a class without a train face would be infinite; the class is named."""
    faces = replace(toy_data.train, labels=np.array([0, 2, 3, 4, 5, 6]))

    with raises_naming(DataError, "disgust"):
        class_weights(faces, toy_recipe("study-cnn"), toy_data.info.labels)


def test_one_train_face_is_too_few(tmp_path):
    """Batch norm needs two faces; a data set with one is refused before anything is written."""
    data = read_dataset(write_toy(tmp_path / "toy")).development()
    one = replace(data.train, images=data.train.images[:1], labels=data.train.labels[:1])

    with pytest.raises(DataError):
        train(toy_recipe(), replace(data, train=one), tmp_path / "run")


images_and_seed = st.tuples(st.integers(1, 9), st.integers(3, 20), st.integers(0, 2**31))


@given(images_and_seed)
@settings(deadline=None)
def test_flip_mirrors_about_half_and_changes_nothing_else(drawn):
    """Each face is itself or its mirror picture, the caller's tensor is untouched, the generator decides."""
    count, side, seed = drawn
    images = torch.randint(0, 256, (count, side, side), dtype=torch.uint8, generator=torch.manual_seed(seed))
    before = images.clone()
    flipped = flip(images, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(before, images)
    assert torch.equal(flipped, flip(images, generator=torch.Generator().manual_seed(seed)))
    for was, now in zip(images, flipped, strict=True):
        assert torch.equal(was, now) or torch.equal(was.flip(1), now)


def test_flip_mirrors_half_of_the_faces():
    """Of 10,000 faces half are mirrored."""
    images = torch.tensor([[[0, 1]]], dtype=torch.uint8).expand(10_000, 1, 2)
    flipped = flip(images, generator=torch.Generator().manual_seed(0))

    assert abs(flipped[:, 0, 0].float().mean().item() - 0.5) < 0.02


@given(images_and_seed, st.integers(0, 4))
@settings(deadline=None)
def test_shift_equals_a_shift_written_plainly(drawn, pixels):
    """Each face is moved by whole pixels within the bound, its edge repeated: the same as padding and cropping."""
    count, side, seed = drawn
    images = torch.randint(0, 256, (count, side, side), dtype=torch.uint8, generator=torch.manual_seed(seed))
    shifted = shift(images, pixels, generator=torch.Generator().manual_seed(seed))
    dy, dx = torch.randint(-pixels, pixels + 1, (2, count, 1), generator=torch.Generator().manual_seed(seed))
    for face, now, y, x in zip(images, shifted, dy.flatten(), dx.flatten(), strict=True):
        padded = np.pad(face.numpy(), pixels, mode="edge")
        plain = padded[pixels + y : pixels + y + side, pixels + x : pixels + x + side]
        assert np.array_equal(plain, now.numpy())


def test_an_epochs_order_holds_every_face_once():
    """The order is a permutation that seed and epoch alone decide."""
    orders = [epoch_order(seed, epoch, 500, "cpu") for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]

    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[3])
    assert all(torch.equal(torch.arange(500), order.sort().values) for order in orders)


def test_one_cycle_goes_up_and_down_once():
    """The rate rises linearly over the warm-up, peaks at the recipe's rate and ends near zero."""
    recipe = toy_recipe("quick-densenet", "training.epochs=10")
    states = [TrainState(lr=0.1, epoch=step // 50, step=step % 50) for step in range(500)]
    rates = np.array([lr_at(recipe, state, 50) for state in states])

    assert 99 <= rates.argmax() <= 100
    assert np.isclose(0.1, rates.max(), rtol=0.01)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()
    assert 0 < rates[-1] < 0.001


def test_the_plateau_halves_the_rate_as_torch_does():
    """On any losses our plateau schedule moves as torch's ReduceLROnPlateau with Keras's threshold."""
    recipe = toy_recipe("study-cnn", "schedule.patience=2")
    losses = np.random.default_rng(4).normal(1, 0.2, 60).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, threshold=1e-4, threshold_mode="abs", min_lr=1e-7, eps=0
    )
    where = TrainState(lr=1e-3)
    for loss in losses:
        judge_epoch(recipe, where, 0.5, loss)
        theirs.step(loss)

        assert optimizer.param_groups[0]["lr"] == pytest.approx(where.lr)


def test_early_stopping_waits_its_patience():
    """Training ends when so many epochs brought no better val accuracy, or when all are done."""
    recipe = toy_recipe("study-cnn", "training.patience=3", "training.epochs=50")
    accuracies = [0.3, 0.5, 0.4, 0.5, 0.5]
    where = TrainState(lr=1e-3)
    ends = []
    for accuracy in accuracies:
        judge_epoch(recipe, where, accuracy, 1.0)
        where.next_epoch()
        ends.append(finished(recipe, where))

    assert [False, False, False, False, True] == ends
    assert 2 == where.best_epoch


def damage(folder, kind: str) -> None:
    """Damage a complete run in one way."""
    if kind == "no recipe":
        (folder / "recipe.toml").unlink()
    elif kind == "newer":
        told = unsealed(json.loads((folder / "run.json").read_text()))
        (folder / "run.json").write_text(json.dumps({**told, "format": 99}))
    elif kind == "cut":
        (folder / "run.json").write_text((folder / "run.json").read_text()[:50])
    elif kind == "key":
        (folder / "run.json").write_text('{"format": 1}')
    else:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no recipe", "recipe.toml: a mien run is damaged here"),
        ("newer", "written in format 99 by a newer mien"),
        ("cut", "run.json: a mien run is damaged here"),
        ("key", "run.json: a mien run is damaged here"),
        ("gone", "not a mien run"),
    ],
)
def test_a_damaged_run_is_told_in_one_line(toy_data, tmp_path, kind, message):
    """A run that is cut short, newer or none at all is named with its file."""
    folder = train(toy_recipe("quick-cnn", "training.epochs=1"), toy_data, tmp_path / "run").folder
    damage(folder, kind)

    with pytest.raises(MienError, match=message):
        read_run(folder)


def test_a_run_begun_elsewhere_is_told_of_its_device(toy_data, tmp_path):
    """A run begun on a GPU is not silently gone on with where there is none."""
    recipe = toy_recipe("quick-cnn", "training.epochs=2")
    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "run", stop=lambda: True)
    path = tmp_path / "run" / "run.json"
    record = unsealed(json.loads(path.read_text()))
    record["engine"]["device"] = "tpu"
    path.write_text(json.dumps(record))

    with raises_naming(RunError, "tpu"):
        train(recipe, toy_data, tmp_path / "run")
