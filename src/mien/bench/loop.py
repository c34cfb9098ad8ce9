"""What the training loop itself costs: all of `train` but the network's passes and the optimizer's step."""

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from mien.bench.clock import now
from mien.dataset import Development, read_dataset, writing_dataset
from mien.labels import LABELS
from mien.networks.engine import Engine
from mien.progress import Progress
from mien.recipe import Recipe
from mien.train import loop, train

VAL_SHARE = 8  # FER2013 has one val face for eight of train


class Clock(Progress):
    """Notes when training began and when the epoch's steps were done."""

    def __init__(self, device: str):
        self._device = device

    def begin(self, *_):
        """Start."""
        self.began = now(self._device)

    def step(self, *_):
        """Note the last step."""
        self.stepped = now(self._device)


def loop_share(recipe: Recipe, engine: Engine, *, side: int, steps: int) -> float:
    """Return the loop's share of the time of an epoch's steps: data, augmentation, sums, progress, in 0..1.

    An epoch of `train` on random faces, its passes and optimizer steps timed from within. The look at val that
    ends an epoch is not in it.
    """
    clock, spent = Clock(engine.device), []
    recipe = replace(recipe, training=replace(recipe.training, epochs=1, patience=0))
    with tempfile.TemporaryDirectory() as name:
        data = random_development(Path(name) / "faces", steps, recipe.training.batch_size, side)
        with _timed(engine.device, spent):
            train(recipe, data, Path(name) / "run", engine=engine, progress=clock)
    whole = clock.stepped - clock.began
    return (whole - sum(spent)) / whole


def random_development(folder: Path, steps: int, batch: int, side: int) -> Development:
    """Return random faces: `steps` batches of train and an eighth of that of val."""
    rng = np.random.default_rng(0)
    with writing_dataset(folder, side=side, labels=LABELS) as writer:
        for split, count in (("train", steps * batch), ("val", max(len(LABELS), steps * batch // VAL_SHARE))):
            for number in range(count):
                pixels = rng.bytes(side * side)
                writer.add(pixels, label=LABELS[number % len(LABELS)], split=split, source="random")
        writer.finish({"kind": "random", "files": {}})
    return read_dataset(folder).development()


@contextmanager
def _timed(device: str, spent: list[float]):
    """Add to `spent` the seconds of each of the loop's passes and of each optimizer step within the block."""
    plain, began = loop.backward, []

    def backward(*arguments):
        start = now(device)
        told = plain(*arguments)
        spent.append(now(device) - start)
        return told

    hooks = [
        register_optimizer_step_pre_hook(lambda *_: began.append(now(device))),
        register_optimizer_step_post_hook(lambda *_: spent.append(now(device) - began.pop())),
    ]
    loop.backward = backward
    try:
        yield
    finally:
        loop.backward = plain
        for hook in hooks:
            hook.remove()
