import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import known_function
import pytest
from databases import database
from known_function import plan_of, train_trial
from refusals import raises_naming

from mien.dataset import Development, read_dataset
from mien.errors import Stopped, StorageError, TrainingDiverged, TuneError
from mien.progress import Progress
from mien.recipe import read_recipe
from mien.run import read_run
from mien.tune import confirm, plan, search, trial, worker
from mien.tune.cost import cost_of
from mien.tune.search import tune, work
from mien.tune.space_file import read_space
from mien.tune.storage import FileLock
from mien.tune.study import read_study
from mien.tune.trial import key_of

WORKER = Path(known_function.__file__)
SMALL = ("network.hidden=8", "training.batch_size=42")


@pytest.fixture
def known(monkeypatch):
    """Have trials measure the known function instead of training."""
    monkeypatch.setattr(trial, "train_trial", train_trial)


def essence(study) -> list[tuple]:
    """Return what must be the same in two equal searches."""
    return [(t.number, t.state, t.values, t.params, t.curve, t.notes.get("recipe")) for t in study.trials]


def test_a_search_finds_the_lowest_value(toy, tmp_path, known):
    """Thirty trials come close to the known function's lowest value; pruning, failures and all are in order."""
    study = tune(plan_of(toy, tmp_path / "a", trials=30))
    best = study.ranked()[0]

    assert 30 == len(study.trials)
    assert 30 == len(study.of_state("complete", "pruned", "failed"))
    assert best.values[0] < 1.1
    assert 0.03 < best.params["optimizer.lr"] < 0.3
    assert study.of_state("pruned")
    assert all(len(t.curve) < 6 for t in study.of_state("pruned"))
    assert all("not finite" in t.notes["fault"] for t in study.of_state("failed"))
    assert best.notes["recipe"] == (tmp_path / "a" / "best.toml").read_text()
    assert best.params["optimizer.lr"] == read_recipe(tmp_path / "a" / "best.toml").optimizer.lr


def test_one_worker_with_one_seed_repeats_its_trials(toy, tmp_path, known):
    """The same seed draws and reaches the same, also where the search was stopped in between; another seed does not."""
    whole = tune(plan_of(toy, tmp_path / "a", trials=14))
    first = tune(plan_of(toy, tmp_path / "b", trials=5))
    again = tune(plan_of(toy, tmp_path / "b", trials=14))
    other = tune(plan_of(toy, tmp_path / "c", trials=5, seed=1))

    assert essence(whole)[:5] == essence(first)
    assert essence(whole) == essence(again)
    assert [t.params for t in other.trials] != [t.params for t in first.trials]


@pytest.mark.parametrize(
    ("sampler", "pruner"), [("tpe", "hyperband"), ("tpe", "none"), ("random", "median"), ("nsga2", "median")]
)
def test_every_sampler_and_pruner_works(toy, tmp_path, known, sampler, pruner):
    """Each sampler and each pruner searches, and what is not pruned has its whole curve."""
    assert sampler in plan.SAMPLERS and pruner in plan.PRUNERS
    study = tune(plan_of(toy, tmp_path / "a", trials=8, sampler=sampler, pruner=pruner))

    assert 8 == len(study.of_state("complete", "pruned", "failed"))
    assert all(len(t.curve) == 6 for t in study.of_state("complete"))
    assert pruner != "none" or not study.of_state("pruned")


def test_the_first_four_trials_are_never_pruned(toy, tmp_path, monkeypatch):
    """Where each trial is worse than all before, four reach their end and those after them do not."""

    def worse(recipe, *rest, on_epoch, **options) -> tuple[float, ...]:
        def worse_epoch(row):
            on_epoch({**row, "val_loss": row["val_loss"] + 10 * int(recipe.name[-4:])})

        return train_trial(recipe, *rest, on_epoch=worse_epoch, **options)

    monkeypatch.setattr(trial, "train_trial", worse)
    study = tune(plan_of(toy, tmp_path / "a", "optimizer.lr=0.1", trials=6))

    assert ["complete"] * 4 + ["pruned"] * 2 == [t.state for t in study.trials]


def test_a_cut_off_trial_keeps_its_number_and_is_taken_up(toy, tmp_path, monkeypatch):
    """Stopped inside trial 2, the search goes on with trial 2, reports no epoch twice and ends as if left alone."""
    asked = []

    def until_trial_2(*args, stop, on_epoch, **options) -> tuple[float, ...]:
        def stop_in_trial_2(row):
            on_epoch(row)
            asked.extend(["stop"] * (args[0].name == "known-0002" and row["epoch"] == 3))

        return train_trial(*args, stop=stop, on_epoch=stop_in_trial_2, **options)

    monkeypatch.setattr(trial, "train_trial", train_trial)
    whole = tune(plan_of(toy, tmp_path / "a", trials=4, pruner="none", seed=3))
    monkeypatch.setattr(trial, "train_trial", until_trial_2)
    with pytest.raises(Stopped):
        tune(plan_of(toy, tmp_path / "b", trials=4, pruner="none", seed=3), stop=lambda: bool(asked))
    cut = read_study(tmp_path / "b")
    monkeypatch.setattr(trial, "train_trial", train_trial)
    again = tune(plan_of(toy, tmp_path / "b", trials=4, pruner="none", seed=3))

    assert ["complete", "complete", "waiting"] == [t.state for t in cut.trials]
    assert [1, 2, 3] == list(cut.trials[2].curve)
    assert essence(whole) == essence(again)
    assert [1, 1, 2, 1] == [len(t.notes["sessions"]) for t in again.trials]


def test_a_search_that_is_done_trains_nothing(toy, tmp_path, known, monkeypatch):
    """The same command again returns what stands there; more trials go on from it."""
    before = tune(plan_of(toy, tmp_path / "a", trials=3))
    monkeypatch.setattr(trial, "train_trial", None)
    again = tune(plan_of(toy, tmp_path / "a", trials=3))

    assert essence(before) == essence(again)


def test_hours_end_a_search_that_goes_on_later(toy, tmp_path, monkeypatch):
    """When the hours are over the trial at work waits; the next call takes it up."""
    monkeypatch.setattr(trial, "train_trial", lambda *a, **o: train_trial(*a, **o, seconds=0.05))
    tune(plan_of(toy, tmp_path / "a", trials=400, hours=1.0 / 3600))
    study = read_study(tmp_path / "a")

    assert sum(len(t.curve) for t in study.trials) <= 20  # epochs of a twentieth of a second
    assert len(study.of_state("waiting")) <= 1
    assert len(study.trials) < 400


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_a_dead_workers_trial_is_freed_once(toy, tmp_path, known, storage):
    """A trial left running by a dead worker is taken up under its number and counted once, on every storage."""
    address = f"sqlite:///{tmp_path}/x.db" if storage else None
    mine = plan_of(toy, tmp_path / "a", trials=4, storage=address)
    tune(dataclasses.replace(mine, trials=2))
    with plan.open_search(mine) as (_, study):
        study.ask()  # a worker that dies right here
    found = worker.GRACE_SECONDS
    worker.GRACE_SECONDS = 0.2
    try:
        after = tune(mine)
    finally:
        worker.GRACE_SECONDS = found

    assert [0, 1, 2, 3] == [t.number for t in after.trials]
    assert 4 == len(after.of_state("complete", "pruned", "failed"))


def test_a_living_workers_trial_is_left_alone(toy, tmp_path, known):
    """A trial whose sign of life changes is nobody's to free; one whose sign stands still is."""
    mine = plan_of(toy, tmp_path / "a", trials=4)
    states = []
    with plan.open_search(mine) as (storage, study):
        me = worker.Worker(mine, storage, study, "me", lambda: False, Progress(), FileLock(tmp_path / "turn"))
        running = study.ask()
        for heartbeat in ("1", "2", "2"):
            storage.set_trial_system_attr(me.id_of(running.number), worker.HEARTBEAT, heartbeat)
            me.heartbeats.update({n: (last, at - 1000) for n, (last, at) in me.heartbeats.items()})
            me.requeue_dead()
            states.append(study.trials[running.number].state.name)

    assert ["RUNNING", "RUNNING", "WAITING"] == states


def test_a_trial_in_which_workers_die_again_and_again_is_failed(toy, tmp_path, known):
    """After three deaths a trial is told as failed, so that no search can hang on it."""
    mine = plan_of(toy, tmp_path / "a", trials=1)
    with plan.open_search(mine) as (_, study):
        study.ask().set_user_attr("sessions", [["w", "2026-01-01T00:00:00", None]] * 3)
    after = tune(mine)

    assert "failed" == after.trials[0].state
    assert "3 workers died in it" in after.trials[0].notes["fault"]


@pytest.mark.parametrize(
    "cause", [StorageError("the disk is full"), KeyboardInterrupt(), ZeroDivisionError()]
)
def test_what_ends_a_worker_fails_no_trial(toy, tmp_path, monkeypatch, cause):
    """A full disk, Ctrl-C of a script or a bug end the search; the trial waits and is trained by the next call."""

    def breaking(*args, **options):
        raise cause

    monkeypatch.setattr(trial, "train_trial", breaking)
    with pytest.raises(type(cause)):
        tune(plan_of(toy, tmp_path / "a", "optimizer.lr=0.1", trials=1))
    states = [t.state for t in read_study(tmp_path / "a").trials]
    monkeypatch.setattr(trial, "train_trial", train_trial)
    after = tune(plan_of(toy, tmp_path / "a", "optimizer.lr=0.1", trials=1))

    assert ["waiting"] == states
    assert ["complete"] == [t.state for t in after.trials]


@pytest.mark.parametrize(("state", "ends"), [("WAITING", ["complete"]), ("FAIL", ["failed", "complete"])])
def test_a_trial_that_others_took_for_dead_ends_once(toy, tmp_path, monkeypatch, state, ends):
    """Where others put a living worker's trial back its values count; where they ended it the search goes on."""
    from optuna.trial import TrialState

    mine = plan_of(toy, tmp_path / "a", "optimizer.lr=0.1", trials=len(ends))
    taken = []

    def taken_for_dead(*args, **options) -> tuple[float, ...]:
        if not taken:
            with plan.open_search(mine) as (storage, study):
                other = worker.Worker(
                    mine, storage, study, "other", lambda: False, Progress(), FileLock(tmp_path / "turn")
                )
                taken.append(storage.set_trial_state_values(other.id_of(0), TrialState[state]))
        return train_trial(*args, **options)

    monkeypatch.setattr(trial, "train_trial", taken_for_dead)
    after = tune(mine)

    assert ends == [t.state for t in after.trials]


def test_an_old_search_is_read_and_goes_on(toy, tmp_path, known):
    """A search that mien wrote before it used Optuna's optimize keeps its trials; the one cut off is taken up."""
    shutil.copytree(Path(__file__).parent / "old_search", tmp_path / "a")
    before = read_study(tmp_path / "a")
    after = tune(plan_of(toy, tmp_path / "a", "budget.parameters=9000", trials=8, seed=3))

    assert ["complete"] * 3 + ["refused", "complete", "refused", "refused", "running"] == [
        t.state for t in before.trials
    ]
    assert essence(before)[:7] == essence(after)[:7]
    assert before.trials[7].params == after.trials[7].params
    assert before.trials[7].curve.items() <= after.trials[7].curve.items()
    assert 8 == len(after.of_state("complete", "pruned", "failed"))
    assert {1: {4: (1.2101613496931748,)}} == before.confirmed == after.confirmed


def test_a_repeated_trial_is_told_and_not_trained(toy, tmp_path, monkeypatch):
    """In a space of two recipes eight trials train two, and all have their values."""
    trained = []
    monkeypatch.setattr(trial, "train_trial", lambda *a, **o: trained.append(1) or train_trial(*a, **o))
    few = ("optimizer.lr=0.1", "network.dropout=0", "network.channels=4,8")
    study = tune(plan_of(toy, tmp_path / "a", *few, trials=8, sampler="random"))
    values = {t.notes["key"]: t.values for t in study.trials if "repeats" not in t.notes}

    assert 2 == len(trained) == len(values)
    assert 6 == sum("repeats" in t.notes for t in study.trials)
    assert all(t.notes["parameters"] > 0 for t in study.trials)
    assert all(values[t.notes["key"]] == t.values for t in study.trials)


def test_a_network_over_the_budget_is_refused_and_does_not_count(toy, tmp_path, known):
    """Refused networks are recorded with the reason and their places go to others."""
    study = tune(plan_of(toy, tmp_path / "a", "budget.parameters=9000", trials=6))
    refused = study.of_state("refused")

    assert refused
    assert all("parameters, budget 9,000" in t.notes["refused"] for t in refused)
    assert 6 == len(study.of_state("complete", "pruned", "failed"))
    assert all(t.notes["parameters"] <= 9000 for t in study.of_state("complete"))


def test_a_budget_that_nothing_fits_ends_in_one_line(toy, tmp_path, known, monkeypatch):
    """Where every network is refused the search ends in one line."""
    monkeypatch.setattr(search, "MOST_REFUSED", 5)

    with pytest.raises(TuneError):
        tune(plan_of(toy, tmp_path / "a", "budget.parameters=1", trials=6))


def test_values_that_contradict_each_other_are_refused(toy, tmp_path, known):
    """A drawn recipe that is none is recorded with its fault."""
    text = 'name = "x"\nrecipe = "study-densenet"\n[parameters]\n'
    text += "network.min_layers = { low = 1, high = 4 }\nnetwork.max_layers = { low = 1, high = 4 }\n"
    (tmp_path / "x.toml").write_text(text)
    space = read_space(
        tmp_path / "x.toml", ("network.num_blocks=2", "training.epochs=2", "network.growth_rate=4")
    )
    study = tune(plan.Plan(space, read_dataset(toy).development(), tmp_path / "a", trials=6, threads=1))

    assert study.of_state("refused")
    assert all("max_layers at least min_layers" in t.notes["refused"] for t in study.of_state("refused"))


def test_several_objectives_give_a_front(toy, tmp_path, known):
    """With accuracy against multiply-adds no trial on the front is beaten, and its recipes are written."""
    overrides = ("objectives=accuracy,multiply_adds,milliseconds",)
    tune(plan_of(toy, tmp_path / "a", *overrides, trials=1))
    (tmp_path / "a" / "front-0099.toml").write_text("of a trial that is on the front no more")
    study = tune(plan_of(toy, tmp_path / "a", *overrides, trials=6))
    front = study.front()

    assert (True, False, False) == study.maximized
    assert front
    assert not study.of_state("pruned")
    for one in front:
        beaten = (
            t.values[0] >= one.values[0] and t.values[1] <= one.values[1] and t.values[2] <= one.values[2]
            and t.values != one.values for t in study.of_state("complete")
        )  # fmt: skip
        assert not any(beaten)
    assert {f"front-{t.number:04}.toml" for t in front} == {p.name for p in (tmp_path / "a").glob("front-*")}


def test_tuning_cannot_reach_the_test_split(toy, tmp_path, monkeypatch):
    """A search needs no more than train and val: the object that it is given has no test split, nor opens it files."""
    data = read_dataset(toy).development()
    for name in ("read_dataset", "open_test"):
        assert not [p for p in Path(search.__file__).parent.rglob("*.py") if name in p.read_text()]
    assert {"info", "train", "val", "fold"} == {field.name for field in dataclasses.fields(Development)}
    away = tmp_path / "away"
    shutil.copytree(toy, away)
    data = read_dataset(away).development()
    shutil.rmtree(away)
    mine = dataclasses.replace(plan_of(toy, tmp_path / "a", "training.epochs=1", *SMALL, trials=1), data=data)
    study = tune(mine)

    assert "complete" == study.trials[0].state


def test_trials_are_runs_and_pruned_ones_stay_in_order(toy, tmp_path, monkeypatch):
    """With real training a complete trial is a complete run; a pruned one is a run with its metrics and no state."""
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda self: self.number == 1)
    mine = plan_of(toy, tmp_path / "a", "training.epochs=2", "network.channels=4,8", *SMALL, trials=2)
    study = tune(mine)
    runs = [read_run(tmp_path / "a" / "trials" / f"trial-{n:04}") for n in (0, 1)]

    assert ["complete", "pruned"] == [t.state for t in study.trials]
    assert [True, False] == [run.complete for run in runs]
    assert 1 == len(runs[1].metrics())
    assert not (runs[1].folder / "state.safetensors").exists()
    assert study.trials[0].values == (runs[0].result()["val"]["log_loss"],)
    assert study.trials[0].curve[2] == runs[0].metrics()[1]["val_loss"]
    assert study.trials[1].values == (study.trials[1].curve[1],)


def test_confirming_trains_the_best_with_other_seeds(toy, tmp_path):
    """Each confirmed trial has a run a seed, none of them the search's; done again nothing is trained."""
    mine = plan_of(toy, tmp_path / "a", "training.epochs=1", "network.channels=4,8", *SMALL, trials=2)
    tune(mine)
    study = confirm.confirm(mine, 1)
    runs = {path.name for path in (tmp_path / "a" / "confirm").iterdir() if path.is_dir()}
    again = confirm.confirm(mine, 1)

    assert {0: {1}, 1: {1}} == {number: set(seeds) for number, seeds in study.confirmed.items()}
    assert {"trial-0000-s1", "trial-0001-s1"} == runs
    assert study.confirmed == again.confirmed


def test_a_seed_that_diverges_does_not_end_confirming(toy, tmp_path, monkeypatch):
    """It is told and passed over; the other trials get theirs."""
    mine = plan_of(toy, tmp_path / "a", "training.epochs=1", "network.channels=4,8", *SMALL, trials=2)
    best = tune(mine).ranked()[0].number
    trained, lines = confirm.train, []

    def diverging(recipe, data, folder, **options):
        if f"trial-{best:04}" in folder.name:
            raise TrainingDiverged(f"{folder}: the loss is not finite")
        return trained(recipe, data, folder, **options)

    monkeypatch.setattr(confirm, "train", diverging)
    study = confirm.confirm(mine, 1, log=lines.append)

    assert {1 - best: {1}} == {number: set(seeds) for number, seeds in study.confirmed.items()}
    assert any("the loss is not finite" in line for line in lines)


def test_equal_networks_have_one_key():
    """What trains alike has one key, however its layers and growth were given; another rate has another."""
    peak = ("network.num_blocks=2", "network.min_layers=3", "network.max_layers=5", "name=a")
    plain = (
        "network.num_blocks=0",
        "network.min_layers=0",
        "network.max_layers=0",
        "network.layers=3,5",
        "name=b",
    )
    one = read_recipe("study-densenet", peak)
    same = read_recipe("study-densenet", (*plain, "network.growth_rate=16,16"))
    other = read_recipe("study-densenet", (*peak, "optimizer.lr=0.002"))

    assert key_of(one) == key_of(same)
    assert key_of(one) != key_of(other)


def test_cost_is_that_of_the_network():
    """Parameters and multiply-adds are the known ones; memory grows with the batch and Adam's slots."""
    small, large = (
        cost_of(read_recipe("quick-densenet", (f"training.batch_size={n}",)), side=48, classes=7)
        for n in (64, 128)
    )
    adam = cost_of(
        read_recipe("quick-densenet", ("training.batch_size=64", "optimizer.kind=adam")), side=48, classes=7
    )

    assert (275_119, 35_556_840) == (small.parameters, small.multiply_adds)
    assert 1.9 < large.memory_mb / small.memory_mb < 2.1
    assert 275_119 * 4 / 1e6 == pytest.approx(adam.memory_mb - small.memory_mb)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "tpr"}, 'no sampler "tpr"; did you mean "tpe"? Known: tpe, random, nsga2'),
        ({"pruner": "medain"}, 'no pruner "medain"; did you mean "median"?'),
        ({"trials": 0}, "--trials must be at least 1"),
        ({"hours": 0}, "--hours above 0"),
        ({"storage": "postgresql+none://host/x"}, "the storage cannot be used"),
        ({"storage": "mysql://host/x"}, "pip install 'pymysql'"),
        ({"storage": "mysql+mysqldb://host/x"}, "pip install 'mysqlclient'"),
        ({"storage": "sqlite:////nowhere/x.db"}, "the storage cannot be used (unable to open database file)"),
    ],
)
def test_a_bad_plan_is_told_in_words(toy, tmp_path, options, message):
    """Unknown words, impossible numbers and storages that are not there end in one line."""
    with pytest.raises(TuneError) as caught:
        tune(plan_of(toy, tmp_path / "a", **options))

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_search_is_not_mixed_in(toy, tmp_path, known):
    """Another seed, range, sampler or data set in the same folder is told, and nothing is changed."""
    tune(plan_of(toy, tmp_path / "a", trials=2))
    before = (tmp_path / "a" / "journal.log").read_bytes()
    for options, part in (
        ({"seed": 1}, "seed (0 there, 1 here)"),
        ({"sampler": "random"}, "sampler (tpe there, random here)"),
    ):
        with pytest.raises(TuneError) as caught:
            tune(plan_of(toy, tmp_path / "a", trials=2, **options))
        assert part in str(caught.value)
    with pytest.raises(TuneError) as caught:
        tune(plan_of(toy, tmp_path / "a", "training.epochs=3", "network.dropout=0", trials=2))

    assert "space.recipe.training.epochs (6 there, 3 here)" in str(caught.value)
    assert "space.parameters.network.dropout" in str(caught.value)
    assert essence(read_study(tmp_path / "a")) == essence(tune(plan_of(toy, tmp_path / "a", trials=2)))
    assert (tmp_path / "a" / "journal.log").read_bytes().startswith(before)


def test_a_folder_with_other_contents_is_left_alone(toy, tmp_path, known):
    """A folder that holds anything else, or trials without their journal, is refused before anything is written."""
    for name, message in (
        ("notes.txt", r"not a search \(notes.txt\)"),
        ("trials", "its trials are there and its journal.log is not"),
    ):
        folder = tmp_path / name.partition(".")[0] / "out"
        folder.mkdir(parents=True)
        (folder / name).mkdir()
        with pytest.raises(TuneError, match=message):
            tune(plan_of(toy, folder, trials=1))
        assert [name] == [path.name for path in folder.iterdir()]


def test_somebody_elses_study_of_that_name_is_left_alone(toy, tmp_path):
    """A study in the storage that mien did not make is told, not joined."""
    import optuna

    address = f"sqlite:///{tmp_path}/x.db"
    with database(address) as storage:
        study = optuna.create_study(study_name="known", storage=storage)
        study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)

    with raises_naming(TuneError, "known"):
        tune(plan_of(toy, tmp_path / "a", storage=address))


def test_without_optuna_the_extra_is_named(toy, tmp_path):
    """A missing Optuna ends `mien tune` in one line that names the extra, and status 2."""
    code = "import sys; sys.modules['optuna'] = None; from mien.cli import main; main()"
    command = [sys.executable, "-c", code, "tune", "study", str(toy), "--out", str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert "pip install 'mien[tune]'" in done.stderr


def test_a_torn_line_in_the_journal_is_cut_off(toy, tmp_path, known):
    """What a full disk left without its end does not keep the search from going on."""
    whole = tune(plan_of(toy, tmp_path / "a", trials=4))
    tune(plan_of(toy, tmp_path / "b", trials=2))
    with open(tmp_path / "b" / "journal.log", "ab") as file:
        file.write(b'{"op_code": 5, "worker')

    assert essence(whole) == essence(tune(plan_of(toy, tmp_path / "b", trials=4)))


@pytest.mark.slow
def test_workers_share_a_search(toy, tmp_path):
    """Two processes finish exactly the trials asked for, each of them some."""
    command = [sys.executable, str(WORKER), str(toy), str(tmp_path / "a"), "12"]
    workers = [
        subprocess.Popen(command, env={**os.environ, "SLOW": "0.3"}, stderr=subprocess.PIPE) for _ in range(2)
    ]
    said = [worker.communicate()[1].decode() for worker in workers]
    study = read_study(tmp_path / "a")

    assert [0, 0] == [worker.returncode for worker in workers], said
    assert list(range(12)) == [t.number for t in study.trials]
    assert all(t.state in ("complete", "pruned", "failed") for t in study.trials)
    assert 2 == len({worker for t in study.trials for worker, *_ in t.notes["sessions"]})


def killed_in_the_middle(toy, folder: Path, storage: str | None, trials: int = 16):
    """Start four workers, kill two of them in a trial, let the others finish; return the study."""
    command = [
        sys.executable,
        str(WORKER),
        str(toy),
        str(folder),
        str(trials),
        *([storage] if storage else []),
    ]
    slow = {**os.environ, "SLOW": "0.3"}
    with open(folder.parent / "said.txt", "w") as said:
        workers = [subprocess.Popen(command, env=slow, stderr=said) for _ in range(4)]
    victims = {str(worker.pid) for worker in workers[:2]}
    while victims:
        assert all(worker.poll() in (None, -signal.SIGKILL) for worker in workers), (
            folder.parent / "said.txt"
        ).read_text()
        time.sleep(0.1)
        try:
            running = read_study(storage or folder).of_state("running")
        except TuneError:  # not begun yet
            continue
        at_work = {t.notes["sessions"][-1][0].rsplit("-", 1)[1] for t in running if 0 < len(t.curve) < 4}
        for victim in workers[:2]:
            if str(victim.pid) in victims & at_work:
                victim.kill()
                victims.discard(str(victim.pid))
    assert [-signal.SIGKILL] * 2 + [0, 0] == [worker.wait() for worker in workers]
    return read_study(storage or folder)


def none_lost_none_twice(study, trials: int = 16) -> None:
    """Every number is there once and has ended; the two trials that were cut off have been taken up."""
    assert list(range(trials)) == [t.number for t in study.trials]
    assert trials == len(study.of_state("complete", "pruned", "failed"))
    cut_off = [[end for *_, end in t.notes["sessions"]] for t in study.trials if len(t.notes["sessions"]) > 1]
    assert cut_off  # a worker may have told its trial just before it was killed
    assert all(None not in ends[-1:] and None in ends for ends in cut_off)
    assert all(len(t.curve) == 6 for t in study.of_state("complete") if "repeats" not in t.notes)


@pytest.mark.slow
def test_two_of_four_workers_killed_on_the_journal(toy, tmp_path):
    """SIGKILL in mid-trial loses no trial, counts none twice, and the number asked for is reached."""
    none_lost_none_twice(killed_in_the_middle(toy, tmp_path / "a", None))


@pytest.fixture
def postgresql():
    """The address of a PostgreSQL server of this test's own; skips where none is installed."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *filter(None, [shutil.which("initdb")])]
    if not found:
        pytest.skip("no PostgreSQL server is installed (initdb)")
    owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
    with tempfile.TemporaryDirectory() as folder:
        if owner:
            shutil.chown(folder, "postgres")

        def run(name: str, *options: str) -> None:
            command = [*owner, str(found[0].parent / name), "-D", f"{folder}/data", *options]
            subprocess.run(command, check=True, capture_output=True, cwd=folder)

        port = str(20000 + os.getpid() % 20000)
        run("initdb", "-A", "trust", "-U", "mien", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://mien@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@pytest.mark.slow
def test_two_of_four_workers_killed_on_postgresql(toy, tmp_path, postgresql):
    """The same on PostgreSQL; an empty database is no storage to report, and stays empty."""
    with pytest.raises(TuneError):
        read_study(postgresql)

    none_lost_none_twice(killed_in_the_middle(toy, tmp_path / "a", postgresql))


@pytest.mark.slow
def test_pruning_halves_the_work_at_the_same_best_value():
    """Over twelve seeds of a noisy known function pruning takes at most half the epochs, to a best value as good."""
    bench = Path(__file__).parent.parent / "bench" / "tune_pruning.py"
    done = subprocess.run(
        [sys.executable, str(bench), "--pruners", "median", "none"], capture_output=True, text=True
    )
    told = re.findall(r"(\d+)% of the epochs, best ([\d.]+) ± ([\d.]+)", done.stdout)
    (share, best, error), (whole, unpruned, spread) = ([float(v) for v in row] for row in told)

    assert 100 == whole
    assert share <= 50
    assert best <= unpruned + 2 * (error**2 + spread**2) ** 0.5


def test_a_worker_of_the_library_is_the_searchs(toy, tmp_path, known):
    """`work` is one worker of a search that `tune` began."""
    mine = plan_of(toy, tmp_path / "a", trials=2)
    work(mine)

    assert essence(read_study(tmp_path / "a")) == essence(tune(mine))
