"""What pruning saves and costs: python bench/tune_pruning.py [--seeds 12] [--data DATASET --out FOLDER KEY=VALUE …].

A line a pruner: the share of all epochs that were trained, and the mean best value with its standard error over
seeds, on a known function of the study's space with noise. Curves cross: dropout slows learning. With --data the
same for real training of a space (bench/pruning.toml is a cheap one) on --faces of the train faces, a search a pruner
and seed in FOLDER; there the same command goes on where it was stopped. The aim: at most half the epochs at the same
best value within noise.
"""

import argparse
import dataclasses
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.dataset import Development, read_dataset, writing_dataset
from mien.labels import LABELS
from mien.progress import Terminal
from mien.tune import trial
from mien.tune.cost import Cost
from mien.tune.plan import PRUNERS, Plan
from mien.tune.search import log, tune
from mien.tune.space_file import read_space
from mien.tune.study import Study


def known_loss(recipe) -> tuple[float, float]:
    """Return the loss that a recipe of the study's space ends at, and how fast it gets there."""
    network = recipe.network
    blocks, low, high = (
        (network.num_blocks - 3) / 8,
        (network.min_layers - 5) / 4,
        (network.max_layers - 26) / 16,
    )
    growth, reduction = math.log2(network.growth_rate[0] / 16) / 2, (network.reduction - 0.45) / 0.4
    dropout, decay = (network.dropout - 0.25) / 0.5, (math.log10(recipe.optimizer.weight_decay / 2) + 5) / 3
    loss = 1.2 + 0.5 * blocks**2 + 0.02 * low**2 + 0.1 * high**2 + 0.15 * growth**2 + 0.1 * reduction**2
    return loss + 0.4 * dropout**2 + 0.4 * decay**2 + 0.3 * max(0, blocks * decay), 5 - 3 * min(
        1, abs(dropout)
    )


def known(recipe, plan, folder, cost, *, on_epoch, **_) -> tuple[float]:
    """Stand for training: noise of a run and of an epoch follow from the recipe's name and the search's folder."""
    rng = np.random.default_rng([*f"{folder.parent.parent.name}{recipe.name}".encode()])
    final, speed = known_loss(recipe)
    luck = rng.normal(0, 0.01)
    for epoch in range(1, recipe.training.epochs + 1):
        loss = final + (1.95 - final) * math.exp(-speed * epoch / recipe.training.epochs)
        loss += luck + rng.normal(0, 0.015)
        on_epoch({"epoch": epoch, "val_loss": loss, "val_accuracy": 0.0})
    return (loss,)


def any_faces(folder: Path) -> Development:
    """Return a data set that is never looked at."""
    with writing_dataset(folder, side=8, labels=LABELS) as writer:
        for split in ("train", "val"):
            writer.add(bytes(64), label=LABELS[0], split=split, source="none")
        writer.finish({"kind": "none", "files": {}})
    return read_dataset(folder).development()


def fewer(data: Development, count: int | None) -> Development:
    """Return a data set with `count` of its train faces, always the same ones."""
    if count is None:
        return data
    rows = np.sort(np.random.default_rng(0).permutation(len(data.train))[:count])
    taken = {f.name: getattr(data.train, f.name)[rows] for f in dataclasses.fields(data.train)}
    return replace(data, train=replace(data.train, **taken))


def line(pruner: str, studies: list[Study], epochs: int) -> str:
    """Return the line of a pruner's searches, `epochs` an unpruned trial."""
    trained = sum(max(t.curve, default=0) for study in studies for t in study.trials)
    whole = epochs * sum(len(study.trials) for study in studies)
    best = np.array([study.ranked()[0].values[0] for study in studies])
    error = best.std(ddof=1) / math.sqrt(len(best)) if len(best) > 1 else float("nan")
    return f"{pruner:10} {trained / whole:4.0%} of the epochs, best {best.mean():.4f} ± {error:.4f}"


def main() -> None:
    """Print a line a pruner."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--space", default="study")
    parser.add_argument("--pruners", nargs="*", default=PRUNERS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--faces", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    space = read_space(options.space, options.overrides)
    with tempfile.TemporaryDirectory() as name:
        folder = options.out or Path(name)
        if options.data is None:
            trial.train_trial, trial.estimate_cost = known, lambda *_: Cost(0, 0, 0.0)
        data = read_dataset(options.data).development() if options.data else any_faces(Path(name) / "faces")
        data = fewer(data, options.faces)
        for pruner in options.pruners:
            plans = [
                Plan(space, data, folder / f"{pruner}-{seed}", options.trials, seed=seed, pruner=pruner)
                for seed in range(options.seeds)
            ]
            shown = {"log": log, "progress": Terminal()} if options.data else {}
            print(line(pruner, [tune(plan, **shown) for plan in plans], space.most_epochs()), flush=True)


if __name__ == "__main__":
    main()
