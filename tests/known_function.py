"""A search whose training is a known function: for tests of all that is around it.

    python known_function.py DATASET FOLDER TRIALS [STORAGE]

is a worker of it, with signs of life at short intervals and SLOW seconds an epoch.
"""

import dataclasses
import math
import os
import sys
import time
from functools import partial
from pathlib import Path

from mien.dataset import read_dataset
from mien.errors import Stopped, TrainingDiverged
from mien.files import write_atomic
from mien.tune import search, trial, worker
from mien.tune.plan import Plan
from mien.tune.space_file import read_space

SPACE = """
name = "known"
recipe = "quick-cnn"
objectives = ["log_loss"]
[fixed]
training.epochs = 6
training.batch_size = 16
network.hidden = 16
[parameters]
network.channels.0 = { low = 4, high = 12, step = 4 }
optimizer.lr = { low = 1e-3, high = 1.0, log = true }
network.dropout = { low = 0.0, high = 0.5 }
augment.flip = { choices = [true, false] }
"""


def known_value(recipe, epoch: int) -> float:
    """The log loss after some epochs: lowest at a rate of .1 without dropout, whatever the rest."""
    final = 1 + (math.log10(recipe.optimizer.lr) + 1) ** 2 / 4 + recipe.network.dropout
    return final + (2 - final) * math.exp(-epoch)


def train_trial(
    recipe, plan, folder, cost, *, engine, stop, progress, on_epoch, seconds=0.0
) -> tuple[float, ...]:
    """What `trial.train_trial` does, without training; a rate above .8 diverges."""
    if recipe.optimizer.lr > 0.8:
        raise TrainingDiverged("the loss is not finite")
    for epoch in range(1, recipe.training.epochs + 1):
        time.sleep(seconds)
        if stop():
            raise Stopped("stopped")
        loss = known_value(recipe, epoch)
        on_epoch({"epoch": epoch, "val_loss": loss, "val_accuracy": 1 - loss / 4})
    known = {"log_loss": loss, "accuracy": 1 - loss / 4, **dataclasses.asdict(cost)}
    return tuple(float(known[name]) for name in plan.space.objectives)


def space_file(folder: Path) -> Path:
    """Write the space and return its path."""
    path = folder / "known.toml"
    write_atomic(path, SPACE)  # several workers write it at once
    return path


def plan_of(toy, folder: Path, *overrides: str, **options) -> Plan:
    """Return a plan to search the known function, its space beside the search's folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    space = read_space(space_file(folder.parent), overrides)
    return Plan(space, read_dataset(toy).development(), folder, threads=1, **options)


def main() -> None:
    """Be a worker."""
    dataset, folder, trials, *storage = sys.argv[1:]
    seconds = float(os.environ.get("SLOW", "0"))
    trial.train_trial = partial(train_trial, seconds=seconds)
    worker.GRACE_SECONDS, worker.HEARTBEAT_SECONDS = 3.0, 0.5
    plan = plan_of(dataset, Path(folder), trials=int(trials), storage=storage[0] if storage else None)
    search.tune(plan, log=search.log)


if __name__ == "__main__":
    main()
