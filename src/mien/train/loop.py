"""One `train()` that reads from top to bottom. Knows nothing about the test split or the terminal."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from mien.dataset import Development, Faces
from mien.errors import Stopped, TrainingDiverged, enough_memory
from mien.files import make_folder, remove_leftovers, with_no_error
from mien.judge import accuracy, log_loss
from mien.locks import locked
from mien.networks import build
from mien.networks.custom import answers, described, require_same_tensors, with_defaults
from mien.networks.engine import Engine, on_threads, require_device
from mien.networks.initial import initial_file, start_from
from mien.plugins import user_code
from mien.progress import Progress
from mien.reading import sha256_file
from mien.recipe import ClipHead, CustomNetwork, Recipe
from mien.run import Run, read_run, write_json, write_metrics
from mien.train import distributed
from mien.train.beginning import begin_or_take_up, checked, remarks
from mien.train.clips import begin_clips
from mien.train.environment import environment
from mien.train.schedule import TrainState, finished, judge_epoch
from mien.train.seeds import derive_seed
from mien.train.state import load_state, save_state, save_weights
from mien.train.step import Training, set_up

CHECK_EVERY_STEPS = 50
SAVE_EVERY_SECONDS = 30.0
FIRST_SAVE_SECONDS = 2.0  # then twice as long each time, up to the above
GO_ON, SAVE, STOP = range(3)  # what a process wants after a step; of several the largest holds


def train(
    recipe: Recipe,
    data: Development,
    folder: Path,
    *,
    network: nn.Module | Callable[..., nn.Module] | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    stop: Callable[[], bool] = lambda: False,
    on_epoch: Callable[[dict], None] = lambda row: None,
    waiting: Callable[[], None] | None = None,
    progress: Progress | None = None,
    save_every_seconds: float = SAVE_EVERY_SECONDS,
) -> Run:
    """Train a network and return its complete run; take the run up where it stands if it was begun.

    On a CPU the same recipe, data, seed and engine give the same bytes of weights and metrics,
    however often the training was stopped in between. Started by `torchrun`, its processes train one network
    together, and the first of them writes the run.

    `network` stands for the recipe's: a class or function of a module that can be imported, a `functools.partial` with
    its options, or a module that one made. Fresh weights follow from the seed all the same, unless
    `network.pretrained` names others; such a module gets the run's weights in the end.

    `on_epoch` gets each epoch's row of `metrics.csv`; what it raises ends the training, and the run stays as it is
    then. While another process trains this run, `waiting()` is called again and again.

    Raises DataError for fewer than two train faces or classes, RunError when `folder` holds another run, or one begun
    with other weights or targets than stand in the recipe's files now, RecipeError when such a file is missing or
    does not fit, StorageError when the folder is in use (and `waiting` is not given) or the disk is full,
    TrainingDiverged for a loss that is not finite, Stopped (state saved) when `stop()` is true.
    """
    folder = Path(folder)
    if network is not None:
        recipe = replace(recipe, network=described(network))
        if isinstance(network, nn.Module):
            shape = {"side": data.info.side, "classes": len(data.info.labels)}
            require_same_tensors(network, described(network), **shape)
    recipe = replace(recipe, network=with_defaults(recipe.network))
    begun = (folder / "run.json").exists()
    init = None if begun else checked(recipe, data)
    make_folder(folder)
    distributed.init(engine.device if engine else "auto")
    with _held(folder, waiting), torch.random.fork_rng(devices=[]):
        progress = (progress if distributed.is_main() else None) or Progress()
        is_main = distributed.is_main()
        run = begin_or_take_up(recipe, data, folder, seed, engine, init) if is_main else None
        distributed.barrier()
        run = run or read_run(folder)
        if run.complete:
            progress.note(f"{folder.name}: trained before")
            with_no_error((folder / "state.safetensors").unlink)
            return _loaded_back(run, network)
        for remark in remarks(data):
            progress.note(f"{folder.name}: {remark}")
        engine = Engine.of(run.engine)
        require_device(engine.device)
        distributed.check(engine.device, min(recipe.training.batch_size, len(data.train)))
        try:
            with on_threads(engine.threads), enough_memory(folder):
                _train(run, data, engine, stop, on_epoch, progress, SaveTimes(save_every_seconds), begun)
        finally:
            progress.end()
    return _loaded_back(run, network)


def _loaded_back(run: Run, network: nn.Module | Callable[..., nn.Module] | None) -> Run:
    """Return a complete run, and put its weights into the module that was given for its network, if one was."""
    if isinstance(network, nn.Module):
        network.load_state_dict(load_file(run.folder / "weights.safetensors"))
    return run


def _train(
    run: Run,
    data: Development,
    engine: Engine,
    stop: Callable[[], bool],
    on_epoch: Callable[[dict], None],
    progress: Progress,
    saves: "SaveTimes",
    begun: bool,
) -> None:
    # ---- network, optimizer, faces, and where they stand
    training = begin(run, data, engine, stop)
    state, steps = training.state, training.steps_per_epoch
    if begun and not (state.rows or state.step):
        progress.note(f"{run.folder.name}: begun before, and stopped before its state was saved: begins anew")
    session = _session()
    state.sessions.append(session)
    started = time.monotonic()
    progress.begin(run.folder.name, run.recipe.training.epochs, steps, state.epoch, state.step)

    while not finished(run.recipe, state):
        # ---- one step
        with _network_code(run, training.network):
            training.step()
        session["seconds"] = time.monotonic() - started
        wish = STOP if stop() else SAVE if saves.due() else GO_ON
        wish = distributed.all_reduce_max(wish, state.epoch * steps + state.step - 1)
        at_end = state.step == steps
        if at_end or wish or state.step % CHECK_EVERY_STEPS == 0:
            read_sums(training)
            check_finite(run, training)
        progress.step(state.epoch, state.step)

        # ---- end of the epoch: judge val, keep the best
        if at_end:
            row = end_epoch(run, training, data.val)
            if distributed.is_main():
                write_metrics(run, state.rows)
            progress.epoch(row)
            on_epoch(row)

        if wish:
            if distributed.is_main():
                save_state(
                    _state_of(run),
                    training.network,
                    training.eval_network,
                    training.optimizer,
                    training.best,
                    state,
                    training.regressor,
                )
            saves.done()
        if wish == STOP and not finished(run.recipe, state):
            raise Stopped(
                f"{run.folder}: stopped in epoch {state.epoch + 1}; the same command goes on from here"
            )

    session["seconds"] = time.monotonic() - started
    if distributed.is_main():
        complete(run, training)
    distributed.barrier()


def begin(run: Run, data: Development, engine: Engine, stop: Callable[[], bool]) -> Training:
    """Return the training of a run: from its first step, or from where its state was saved."""
    if isinstance(run.recipe.network, ClipHead):
        training = begin_clips(run, data, engine, stop)
    else:
        training = _begin_faces(run, data, engine)
    if _state_of(run).exists():
        trained = (training.network, training.eval_network, training.optimizer, training.regressor)
        training.best, training.state = load_state(_state_of(run), *trained)
    return training


def _begin_faces(run: Run, data: Development, engine: Engine) -> Training:
    """Return the training of a network of faces before its first step."""
    torch.manual_seed(derive_seed(run.seed, "init", 0))
    network = engine.place(build(run.recipe.network, side=run.data.side, classes=len(run.data.labels)))
    if run.init and not _state_of(run).exists():
        start_from(initial_file(run.recipe.network.pretrained), network, run.data.labels, data.train.images)
    return set_up(run.recipe, engine, network, data.train, data.info.labels, seed=run.seed)


def end_epoch(run: Run, training: Training, val: Faces) -> dict:
    """Judge val and return the epoch's row of `metrics.csv`; the best weights so far are kept."""
    recipe, state = training.recipe, training.state
    with _network_code(run, training.network):
        probs = training.judge(val)
    check_finite(run, training, probs)
    row = metrics_row(state, training.optimizer.param_groups[0]["lr"], val.labels, probs)
    is_best = judge_epoch(recipe, state, row["val_accuracy"], row["val_loss"])
    if is_best and recipe.training.checkpoint == "best":
        training.best = {name: value.clone() for name, value in training.eval_network.state_dict().items()}
    state.rows.append(row)
    state.next_epoch()
    return row


def complete(run: Run, training: Training) -> None:
    """Write the chosen weights, and last what marks the run complete."""
    weights = training.best if training.best is not None else training.eval_network.state_dict()
    save_weights(run.folder / "weights.safetensors", weights, run.data.labels)
    write_json(run.folder / "environment.json", environment(training.engine, training.state.sessions))
    remove_leftovers(run.folder)
    write_json(run.folder / "result.json", result(run, training.state) | _answers(run, training, weights))
    with_no_error(_state_of(run).unlink)


def _answers(run: Run, training: Training, weights: dict[str, torch.Tensor]) -> dict:
    """Return what a network of the user's own code answers with the chosen weights, for when the code has changed."""
    if not isinstance(run.recipe.network, CustomNetwork):
        return {}
    training.eval_network.load_state_dict(weights)
    return {"answers": answers(training.eval_network, run.data.side)}


class SaveTimes:
    """When a state is to be saved: soon at first, so that little is lost early, then seldom."""

    def __init__(self, longest_seconds: float):
        self._longest = longest_seconds
        self._seconds = min(FIRST_SAVE_SECONDS, longest_seconds)
        self._last = time.monotonic()

    def due(self) -> bool:
        """Tell whether it is time."""
        return time.monotonic() - self._last > self._seconds

    def done(self) -> None:
        """Note that a state was saved now."""
        self._last, self._seconds = time.monotonic(), min(2 * self._seconds, self._longest)


def _state_of(run: Run) -> Path:
    return run.folder / "state.safetensors"


def _session() -> dict:
    """Return what is recorded of this process's share of the training; `seconds` grow."""
    session = {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": 0.0}
    processes = distributed.world_size()
    return session | ({"processes": processes} if processes > 1 else {})


def _held(folder: Path, waiting: Callable[[], None] | None) -> AbstractContextManager[None]:
    """Return the lock on a run's folder; of several processes the first one holds it."""
    return locked(folder, "the run", waiting=waiting) if distributed.is_main() else nullcontext()


def _network_code(run: Run, network: nn.Module) -> AbstractContextManager[None]:
    """Raise RecipeError in one line for what a network of the user's own code raises on some batch."""
    options = run.recipe.network
    if not isinstance(options, CustomNetwork):
        return nullcontext()
    return user_code(f"{run.folder}: network {options.kind} fails", network.forward)


def read_sums(training: Training) -> None:
    """Take the epoch's loss and correct answers from the device into the state."""
    training.state.loss_sum, training.state.correct = training.loss_sum.item(), int(training.correct.item())


def check_finite(run: Run, training: Training, probs: np.ndarray | float = 0.0) -> None:
    """Stop a run whose loss, or whose answers on val, are not finite, before such a state could be saved."""
    state = training.state
    if not (np.isfinite(state.loss_sum) and np.isfinite(probs).all()):
        lr = training.optimizer.param_groups[0]["lr"]
        raise TrainingDiverged(
            f"{run.folder}: the loss is not finite by epoch {state.epoch + 1}, step {state.step}; "
            f"lower optimizer.lr (the rate was {lr:.3g} here)"
        )


def metrics_row(state: TrainState, lr: float, labels: np.ndarray, probs: np.ndarray) -> dict:
    """Return an epoch's row of `metrics.csv`; train figures are those of the augmented batches."""
    return {
        "epoch": state.epoch + 1,
        "lr": lr,
        "train_loss": state.loss_sum / state.seen,
        "train_accuracy": state.correct / state.seen,
        "val_loss": log_loss(labels, probs),
        "val_accuracy": accuracy(labels, probs),
    }


def result(run: Run, state: TrainState) -> dict:
    """Return what `result.json` says: nothing that differs between equal runs."""
    keep_best = run.recipe.training.checkpoint == "best"
    kept = state.best_epoch if keep_best else state.epoch
    row = state.rows[kept - 1]
    return {
        "kept_epoch": kept,
        "epochs": state.epoch,
        "stopped_early": state.epoch < run.recipe.training.epochs,
        "val": {"accuracy": row["val_accuracy"], "log_loss": row["val_loss"]},
        "weights_sha256": sha256_file(run.folder / "weights.safetensors"),
        "metrics_sha256": sha256_file(run.folder / "metrics.csv"),
    }
