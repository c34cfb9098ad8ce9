"""One `train()` that reads from top to bottom. Knows nothing about the test split or the terminal."""

import hashlib
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mien.dataset import Development
from mien.errors import OutOfMemory, Stopped, TrainingDiverged
from mien.files import make_folder, remove_leftovers, with_no_error
from mien.judge import accuracy, log_loss
from mien.locks import locked
from mien.networks import as_input, build
from mien.networks.engine import Engine, on_threads, probabilities, require_device
from mien.networks.initial import initial_file, start_from
from mien.progress import Progress
from mien.reading import sha256_file
from mien.recipe import Optimizer, Recipe
from mien.run import Run, read_run, write_json, write_metrics
from mien.train import together
from mien.train.augment import shrink
from mien.train.beginning import begin_or_take_up, checked
from mien.train.environment import environment
from mien.train.schedule import Standing, decay_at, finished, judge_epoch, lr_at, side_at
from mien.train.state import load_state, save_state, save_weights
from mien.train.targets import Lessons

CHECK_EVERY_STEPS = 50
SAVE_EVERY_SECONDS = 30.0
NO_MEMORY = ("out of memory", "allocate memory")  # in what torch says of GPUs and of CPUs


def train(
    recipe: Recipe,
    data: Development,
    folder: Path,
    *,
    seed: int = 0,
    engine: Engine | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
    save_every_seconds: float = SAVE_EVERY_SECONDS,
) -> Run:
    """Train a network and return its complete run; take the run up where it stands if it was begun.

    On a CPU the same recipe, data, seed and engine give the same bytes of weights and metrics,
    however often the training was stopped in between. Started by `torchrun`, its processes train one network
    together, and the first of them writes the run.

    Raises DataError for fewer than two train faces, RunError when `folder` holds another run, or one begun with other
    weights or targets than stand in the recipe's files now, RecipeError when such a file is missing or does not fit,
    StorageError when the folder is in use or the disk is full, TrainingDiverged for a loss that is not finite,
    Stopped (state saved) when `stop()` is true.
    """
    folder = Path(folder)
    begun = (folder / "run.json").exists()
    init = None if begun else checked(recipe, data)
    make_folder(folder)
    together.join(engine.device if engine else "auto")
    with _held(folder), torch.random.fork_rng(devices=[]):
        progress = (progress if together.first() else None) or Progress()
        if together.first():
            run = begin_or_take_up(recipe, data, folder, seed, engine, init)
        together.wait()
        run = run if together.first() else read_run(folder)
        state_path = folder / "state.safetensors"
        if run.complete:
            with_no_error(state_path.unlink)
            return run
        engine = Engine(**run.engine)
        require_device(engine.device)
        together.refuse_misfit(engine.device, min(recipe.training.batch_size, len(data.train)))
        try:
            with on_threads(engine.threads):
                return _train(run, data, engine, state_path, stop, progress, save_every_seconds)
        except (MemoryError, RuntimeError) as fault:
            if not (isinstance(fault, MemoryError) or any(said in str(fault) for said in NO_MEMORY)):
                raise
            raise OutOfMemory(
                f"{folder}: not enough memory; lower training.batch_size or the network's size"
            ) from fault
        finally:
            progress.end()


def _train(run, data, engine, state_path, stop, progress, save_every_seconds) -> Run:
    recipe, seed = run.recipe, run.seed

    # ---- network, optimizer, and where they stand
    torch.manual_seed(derive_seed(seed, "init", 0))
    network = engine.place(build(recipe.network, side=run.data.side, classes=len(run.data.labels)))
    optimizer = make_optimizer(together.synchronize(network), recipe.optimizer)
    if run.init and not state_path.exists():
        start_from(initial_file(recipe.network.init), network, run.data.labels, data.train.images)
    judged = deepcopy(network) if recipe.optimizer.ema else network  # whose weights are looked at and kept
    best, standing = None, Standing(lr=recipe.optimizer.lr)
    if state_path.exists():
        best, standing = load_state(state_path, network, judged, optimizer)
    started = {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": 0.0}
    standing.sessions.append(started | ({"processes": together.count()} if together.count() > 1 else {}))
    began = saved = time.monotonic()

    # ---- data: uint8 on the device, whole
    lessons = Lessons(data.train, recipe, data.info.labels, engine.device)
    labels = torch.from_numpy(data.train.labels).to(engine.device)
    val_images = torch.from_numpy(data.val.images).to(engine.device)
    batch_size = min(recipe.training.batch_size, len(data.train))
    steps_per_epoch = len(data.train) // batch_size
    generator = torch.Generator(engine.device)
    ordered_epoch, order = -1, torch.empty(0)
    changing = recipe.optimizer.sam or recipe.training.start_side or together.count() > 1
    if not changing:  # a graph holds one kind of pass
        engine.record(network, as_input(torch.from_numpy(data.train.images[:batch_size]).to(engine.device)))

    def save() -> None:
        if not together.first():
            return
        standing.sessions[-1]["seconds"] = time.monotonic() - began
        save_state(state_path, network, judged, optimizer, best, standing)

    progress.begin(
        f"{run.folder.name}", recipe.training.epochs, steps_per_epoch, standing.epoch, standing.step
    )
    while not finished(recipe, standing):
        if ordered_epoch != standing.epoch:
            ordered_epoch, order = (
                standing.epoch,
                epoch_order(seed, standing.epoch, len(data.train), engine.device),
            )
            lessons.begin_epoch(standing.epoch)
            network.train()
            loss_sum = torch.tensor(standing.loss_sum, dtype=torch.float64, device=engine.device)
            correct = torch.tensor(standing.correct, device=engine.device)

        # ---- one step
        number = standing.epoch * steps_per_epoch + standing.step
        step_seed = derive_seed(seed, "step", number)
        generator.manual_seed(step_seed)
        torch.manual_seed(step_seed + together.rank())
        batch = order[standing.step * batch_size : (standing.step + 1) * batch_size]
        faces, target = lessons.batch(batch, generator=generator)
        x = as_input(shrink(faces, side_at(recipe, standing.epoch, run.data.side)))
        for group in optimizer.param_groups:
            group["lr"] = lr_at(recipe, standing, steps_per_epoch)
        loss, right = backward(network, engine, optimizer, x, target, labels[batch])
        if recipe.optimizer.sam:
            torch.manual_seed(step_seed + together.rank())
            with uphill(network, recipe.optimizer.sam):
                backward(network, engine, optimizer, x, target, labels[batch])
        optimizer.step()
        if judged is not network:
            follow(judged, network, decay_at(recipe.optimizer.ema, number))

        # ---- the epoch's sums stay on the device until someone looks
        loss_sum += loss.double() * len(batch)
        correct += right
        standing.step += 1
        standing.seen += len(batch)
        at_end = standing.step == steps_per_epoch
        wish = together.highest(2 if stop() else int(time.monotonic() - saved > save_every_seconds), number)
        stopping, saving = wish == 2, wish > 0
        if at_end or saving or standing.step % CHECK_EVERY_STEPS == 0:
            standing.loss_sum, standing.correct = loss_sum.item(), correct.item()
            check_finite(run, standing, optimizer)
        progress.step(standing.epoch, standing.step)

        # ---- end of the epoch: look at val, keep the best
        if at_end:
            probs = together.gathered(probabilities(judged, together.own(val_images), engine), len(data.val))
            check_finite(run, standing, optimizer, probs)
            row = metrics_row(standing, optimizer.param_groups[0]["lr"], data.val.labels, probs)
            if (
                judge_epoch(recipe, standing, row["val_accuracy"], row["val_loss"])
                and recipe.training.keep == "best"
            ):
                best = {name: value.clone() for name, value in judged.state_dict().items()}
            standing.rows.append(row)
            standing.next_epoch()
            if together.first():
                write_metrics(run, standing.rows)
            progress.epoch(row)

        if saving:
            save()
            saved = time.monotonic()
        if stopping and not finished(recipe, standing):
            raise Stopped(
                f"{run.folder}: stopped in epoch {standing.epoch + 1}; the same command goes on from here"
            )

    # ---- the chosen weights, then what marks the run complete
    standing.sessions[-1]["seconds"] = time.monotonic() - began
    if together.first():
        weights = best if best is not None else judged.state_dict()
        save_weights(run.folder / "weights.safetensors", weights, run.data.labels)
        write_json(run.folder / "environment.json", environment(engine, standing.sessions))
        remove_leftovers(run.folder)
        write_json(run.folder / "result.json", result(run, standing))
        with_no_error(state_path.unlink)
    together.wait()
    return run


def _held(folder: Path):
    """Return the lock on a run's folder; of several processes the first one holds it."""
    return locked(folder, "the run") if together.first() else nullcontext()


def backward(network, engine, optimizer, x, target, labels) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the gradients of the batch's mean loss into the network; return that loss and how many were read rightly.

    Of several processes each takes its part of the batch, and all end with the same.
    """
    part = together.own(x)
    with engine.autocast():
        logits = network(part).float()
    loss = F.cross_entropy(logits, together.own(target)) * (len(part) / len(x))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    loss, right = loss.detach(), (logits.detach().argmax(1) == together.own(labels)).sum()
    together.add_up([*(p.grad for p in network.parameters() if p.grad is not None), loss, right])
    return loss, right


@contextmanager
def uphill(network: nn.Module, radius: float):
    """Stand where the loss is highest nearby, to take the gradients there: sharpness-aware minimization.

    Foret et al. 2021: a step of length `radius` along the gradient, taken back at the end. Running statistics stay
    those of the weights that are kept.
    """
    moved = [p for p in network.parameters() if p.grad is not None]
    length = torch.stack([p.grad.norm() for p in moved]).norm()
    steps = [p.grad * (radius / (length + 1e-12)) for p in moved]
    before = [p.detach().clone() for p in moved]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    with torch.no_grad():
        torch._foreach_add_(moved, steps)
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(moved, before)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average's weights and running statistics toward the network's (Polyak & Juditsky 1992)."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    moving = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([kept for kept, _ in moving], [new for _, new in moving], 1 - decay)
    for kept, new in pairs:
        if not kept.is_floating_point():
            kept.copy_(new)


def derive_seed(seed: int, purpose: str, number: int) -> int:
    """Return 63 bits for one purpose, so that no two draws of a run share a stream."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_order(seed: int, epoch: int, count: int, device: str) -> torch.Tensor:
    """Return the faces' order in an epoch, int64 (count,), from the seed and the epoch alone."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(count, generator=generator).to(device)


def make_optimizer(network: nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """Return the recipe's optimizer; weight decay acts on kernels, not on norms and biases."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    rules = {"lr": options.lr, "fused": True}  # a call for all tensors: one each took up to 5 % of a step
    if options.kind == "adam":
        return torch.optim.Adam(groups, **rules)
    return torch.optim.SGD(groups, momentum=options.momentum, nesterov=options.momentum > 0, **rules)


def check_finite(
    run: Run, standing: Standing, optimizer: torch.optim.Optimizer, probs: np.ndarray | float = 0.0
) -> None:
    """Stop a run whose loss, or what it says of val, is broken, before such a state could be saved."""
    if not (np.isfinite(standing.loss_sum) and np.isfinite(probs).all()):
        raise TrainingDiverged(
            f"{run.folder}: the loss is not finite by epoch {standing.epoch + 1}, step {standing.step}; "
            f"lower optimizer.lr (the rate was {optimizer.param_groups[0]['lr']:.3g} here)"
        )


def metrics_row(standing: Standing, lr: float, labels: np.ndarray, probs: np.ndarray) -> dict:
    """Return an epoch's row of `metrics.csv`; train figures are those of the augmented batches."""
    return {
        "epoch": standing.epoch + 1,
        "lr": lr,
        "train_loss": standing.loss_sum / standing.seen,
        "train_accuracy": standing.correct / standing.seen,
        "val_loss": log_loss(labels, probs),
        "val_accuracy": accuracy(labels, probs),
    }


def result(run: Run, standing: Standing) -> dict:
    """Return what `result.json` says: nothing that differs between equal runs."""
    keep_best = run.recipe.training.keep == "best"
    kept = standing.best_epoch if keep_best else standing.epoch
    row = standing.rows[kept - 1]
    return {
        "kept_epoch": kept,
        "epochs": standing.epoch,
        "stopped_early": standing.epoch < run.recipe.training.epochs,
        "val": {"accuracy": row["val_accuracy"], "log_loss": row["val_loss"]},
        "weights_sha256": sha256_file(run.folder / "weights.safetensors"),
        "metrics_sha256": sha256_file(run.folder / "metrics.csv"),
    }
