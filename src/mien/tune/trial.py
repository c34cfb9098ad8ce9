"""One trial: drawn, refused or trained, reported to Optuna epoch by epoch. Never sees the test split.

`run_trial` is the objective of Optuna's `optimize`, which knows three ends: values, TrialPruned and a failure.
What is cut off has none of them and leaves `optimize` as TrialInterrupted, so that its trial can wait again
under its number.
"""

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from optuna import Trial, TrialPruned
from optuna.trial import FrozenTrial, TrialState

from mien.errors import OutOfMemory, RecipeError, TrainingDiverged
from mien.files import with_no_error
from mien.networks.engine import Engine, choose_engine
from mien.progress import Progress
from mien.recipe import DenseNet, Recipe, block_layers, recipe_of, to_toml
from mien.run import Run
from mien.train import train
from mien.tune.cost import Cost, estimate_cost, over_budget
from mien.tune.plan import Plan
from mien.tune.worker import Worker

MOST_DEATHS = 3  # of workers in one trial
COSTS = tuple(field.name for field in fields(Cost))
REPORTED = {"accuracy": "val_accuracy", "log_loss": "val_loss"}  # column of metrics.csv by objective


class TrialFailed(Exception):  # noqa: N818 (as Optuna's TrialPruned)
    """The trial has no value and will get none."""


class TrialInterrupted(BaseException):  # noqa: N818 (no error, and past what `optimize` takes for a failure)
    """The trial of this number is to wait again; the cause is what cut it off, if anything did."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def run_trial(worker: Worker, number: int, trial: Trial) -> tuple[float, ...]:
    """Return the values of one of Optuna's trials, which is to have this number: the sampler was made for it.

    Raises TrialPruned also for a trial that is refused before training, TrialFailed, and TrialInterrupted.
    """
    worker.turn.release()
    if trial.number != number or place(worker.trials(), number) >= worker.plan.trials:
        raise TrialInterrupted(trial.number)  # a worker of another machine was quicker
    before = trial.user_attrs.get("sessions", [])
    session = [worker.name, _now()]
    try:
        trial.set_user_attr("sessions", [*before, [*session, None]])
        try:
            with worker.heartbeat(number):
                return _values(worker, trial, deaths=sum(end is None for *_, end in before))
        finally:
            trial.set_user_attr("sessions", [*before, [*session, _now()]])
            worker.claim(number)
    except (TrialPruned, TrialFailed):
        raise
    except BaseException as cause:
        raise TrialInterrupted(number) from cause


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")


def counts(trial: FrozenTrial) -> bool:
    """Tell whether a trial counts towards the number asked for: all but those refused before training."""
    return "refused" not in trial.user_attrs


def place(trials: list[FrozenTrial], number: int) -> int:
    """Return a trial's place in the search: how many before it count. So workers need no counter of their own."""
    return sum(counts(trial) for trial in trials if trial.number < number)


def _values(worker: Worker, trial: Trial, deaths: int) -> tuple[float, ...]:
    """Draw a recipe and train it, or end the trial without; what is known by then is noted on the trial."""
    plan, space = worker.plan, worker.plan.space
    if deaths >= MOST_DEATHS:
        _fail(trial, f"{deaths} workers died in it, perhaps for want of memory")
    try:
        recipe = space.recipe(space.values(trial), f"{space.name}-{trial.number:04}")
    except RecipeError as error:
        _refuse(trial, str(error))
    key = key_of(recipe)
    _note(trial, recipe=to_toml(recipe), key=key)
    ended = [t for t in worker.trials() if t.state.is_finished()]
    if twin := next((t for t in ended if _key_of_trial(t) == key), None):
        return _repeat(trial, twin)
    engine = choose_engine(device=plan.device, precision=recipe.training.precision, threads=plan.threads)
    cost = estimate_cost(recipe, space, plan.data, engine)
    _note(trial, **asdict(cost))
    if why := over_budget(cost, space.budget):
        _refuse(trial, why)
    on_epoch = partial(_report, worker, trial, recipe.training.epochs)
    options = {"engine": engine, "stop": worker.stop, "progress": worker.progress, "on_epoch": on_epoch}
    try:
        return train_trial(recipe, plan, plan.trial_folder(trial.number), cost, **options)
    except (TrainingDiverged, OutOfMemory) as error:
        _fail(trial, str(error))


def train_trial(
    recipe: Recipe,
    plan: Plan,
    folder: Path,
    cost: Cost,
    *,
    engine: Engine,
    stop: Callable[[], bool],
    progress: Progress,
    on_epoch: Callable[[dict], None],
) -> tuple[float, ...]:
    """Train the recipe in `folder`, or take its run up, and return its values.

    `on_epoch` gets each epoch's row and raises TrialPruned where it has seen enough; the run's folder then
    stays as a run that is not complete. Raises Stopped with the run's state saved.
    """
    options = {"engine": engine, "stop": stop, "on_epoch": on_epoch, "progress": progress}
    try:
        run = train(recipe, plan.data, folder, seed=plan.seed, **options)
    except TrialPruned:
        with_no_error((folder / "state.safetensors").unlink)
        raise
    return values_of(run, plan.space.objectives, asdict(cost))


def values_of(run: Run, objectives: tuple[str, ...], costs: Mapping[str, Any]) -> tuple[float, ...]:
    """Return a complete run's values: those learnt as its kept epoch reached them on val."""
    known = {**costs, **run.result()["val"]}
    return tuple(float(known[name]) for name in objectives)


def key_of(recipe: Recipe) -> str:
    """Return 16 hex digits that two recipes share if, and only if, their runs of one seed are the same."""
    network = recipe.network
    if isinstance(network, DenseNet):
        layers = block_layers(network)
        growth = network.growth_rate if len(network.growth_rate) > 1 else network.growth_rate * len(layers)
        peak = dict.fromkeys(("num_blocks", "min_layers", "max_layers"), 0)
        network = replace(network, layers=layers, growth_rate=growth, **peak)
    text = to_toml(replace(recipe, name="x", network=network))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _key_of_trial(trial: FrozenTrial) -> str | None:
    """Return the key of a trial's recipe, made anew: an earlier version may have named the fields otherwise."""
    try:
        return key_of(recipe_of(tomllib.loads(trial.user_attrs["recipe"]), "trial"))
    except (KeyError, ValueError, RecipeError):
        return None


def _report(worker: Worker, trial: Trial, epochs: int, row: dict) -> None:
    """Report an epoch, unless it was reported before the trial was cut off; raises TrialPruned."""
    first, *others = worker.plan.space.objectives
    epoch, known = row["epoch"], worker.storage.get_trial(worker.id_of(trial.number)).intermediate_values
    if others or epoch in known:
        return
    trial.report(row[REPORTED[first]], epoch)
    if epoch < epochs and trial.should_prune():
        raise TrialPruned


def _repeat(trial: Trial, twin: FrozenTrial) -> tuple[float, ...]:
    """End as the trial of the same recipe ended; of a pruned one the curve is repeated too."""
    notes = twin.user_attrs
    _note(trial, repeats=twin.number, **{name: notes[name] for name in COSTS if name in notes})
    if "refused" in notes:
        _refuse(trial, notes["refused"])
    if twin.state == TrialState.FAIL:
        _fail(trial, notes.get("fault", ""))
    if twin.state == TrialState.COMPLETE:
        return tuple(twin.values or ())
    for step, value in twin.intermediate_values.items():
        trial.report(value, step)
    raise TrialPruned


def _note(trial: Trial, **notes: Any) -> None:
    for name, value in notes.items():
        trial.set_user_attr(name, value)


def _refuse(trial: Trial, why: str) -> NoReturn:
    _note(trial, refused=why)
    raise TrialPruned


def _fail(trial: Trial, why: str) -> NoReturn:
    _note(trial, fault=why)
    raise TrialFailed(why)
