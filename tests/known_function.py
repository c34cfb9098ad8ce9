"""A search whose training is a known function: for tests of all that is around it.

    python known_function.py DATASET FOLDER TRIALS [STORAGE]

is a worker of it, with signs of life at short intervals and SLOW seconds an epoch.
"""

import math
import os
import sys
import time
from pathlib import Path

from mien.dataset import read_dataset
from mien.errors import Stopped, TrainingDiverged
from mien.tune import objective, search, trial
from mien.tune.objective import Outcome, Pruned
from mien.tune.plan import Plan
from mien.tune.space import read_space

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


def measure(recipe, space, data, folder, *, seed, engine, cost, look, stop, progress, seconds=0.0) -> Outcome:
    """What `objective.measure` does, without training; a rate above .8 diverges."""
    if recipe.optimizer.lr > 0.8:
        return Outcome("failed", why=str(TrainingDiverged("the loss is not finite")))
    try:
        for epoch in range(1, recipe.training.epochs + 1):
            time.sleep(seconds)
            if stop():
                raise Stopped("stopped")
            loss = known_value(recipe, epoch)
            look({"epoch": epoch, "val_loss": loss, "val_accuracy": 1 - loss / 4})
    except Pruned:
        return Outcome("pruned")
    known = {"log_loss": loss, "accuracy": 1 - loss / 4, **objective.asdict(cost)}
    return Outcome("complete", tuple(float(known[name]) for name in space.objectives))


def space_file(folder: Path) -> Path:
    """Write the space and return its path."""
    path = folder / "known.toml"
    path.write_text(SPACE)
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
    trial.measure = lambda *args, **options: measure(*args, **options, seconds=seconds)
    search.GRACE_SECONDS, trial.BEAT_SECONDS = 3.0, 0.5
    plan = plan_of(dataset, Path(folder), trials=int(trials), storage=storage[0] if storage else None)
    search.tune(plan, say=search.aloud)


if __name__ == "__main__":
    main()
