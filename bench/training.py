"""What training costs over the bare network: python bench/training.py [--recipe quick-densenet] [--rounds 5].

One line a round: seconds of `train()` on random faces (data, augmentation, sums, progress and, told apart,
the look at val) beside seconds of the same number of forward, backward and optimizer steps on one fixed
batch, in turn, in one process. The ratio is the figure; the aim is at most 1.05.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mien.dataset import Development, Faces, read_dataset, writing_dataset
from mien.labels import LABELS
from mien.networks import as_input, build
from mien.networks.engine import choose_engine
from mien.progress import Progress
from mien.recipe import Recipe, read_recipe
from mien.train import train
from mien.train.loop import make_optimizer

SIDE = 48
VAL_SHARE = 8  # FER2013 has one val face for eight of train


class Clock(Progress):
    """Notes when training began, when the epoch's steps were done and when val was looked at."""

    def begin(self, *_):
        """Start."""
        self.began = time.perf_counter()

    def step(self, *_):
        """Note the last step."""
        self.stepped = time.perf_counter()

    def epoch(self, _):
        """Note the end of the epoch."""
        self.judged = time.perf_counter()


def random_development(folder: Path, steps: int, batch: int) -> Development:
    """Return random faces: `steps` batches of train and an eighth of that of val."""
    rng = np.random.default_rng(0)
    with writing_dataset(folder, side=SIDE, labels=LABELS) as writer:
        for split, count in (("train", steps * batch), ("val", steps * batch // VAL_SHARE)):
            for number in range(count):
                pixels = rng.bytes(SIDE * SIDE)
                writer.add(pixels, label=LABELS[number % 7], split=split, source="random")
        writer.finish({"kind": "random", "files": {}})
    return read_dataset(folder).development()


def train_seconds(recipe: Recipe, data: Development, folder: Path) -> tuple[float, float]:
    """Return seconds of one epoch of `train()` without and with the look at val."""
    clock = Clock()
    train(recipe, data, folder, progress=clock)
    return clock.stepped - clock.began, clock.judged - clock.began


def bare_seconds(recipe: Recipe, faces: Faces, steps: int) -> float:
    """Return seconds of as many forward, backward and optimizer steps on one batch that is ready."""
    engine = choose_engine(precision=recipe.training.precision)
    network = engine.place(build(recipe.network, side=SIDE, classes=len(LABELS))).train()
    optimizer = make_optimizer(network, recipe.optimizer)
    x = as_input(torch.from_numpy(faces.images[: recipe.training.batch_size]))
    target = torch.from_numpy(faces.labels[: recipe.training.batch_size])
    began = time.perf_counter()
    for _ in range(steps):
        with engine.autocast():
            logits = network(x).float()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, target).backward()
        optimizer.step()
    return time.perf_counter() - began


def main() -> None:
    """Print a line a round and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="quick-densenet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    recipe = read_recipe(options.recipe, ("training.epochs=1",))
    print(f"{options.recipe}, {choose_engine(precision=recipe.training.precision)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = random_development(folder / "faces", options.steps, recipe.training.batch_size)
        bare_seconds(recipe, data.train, options.steps)  # warm
        loops, wholes = [], []
        for number in range(options.rounds):
            bare = bare_seconds(recipe, data.train, options.steps)
            loop, whole = train_seconds(recipe, data, folder / f"run{number}")
            loops.append(loop / bare)
            wholes.append(whole / bare)
            print(f"bare {bare:.2f} s, training {loop:.2f} s, with val {whole:.2f} s")
    print(
        f"training / bare: {statistics.median(loops):.3f}, with the look at val: {statistics.median(wholes):.3f}"
    )


if __name__ == "__main__":
    main()
