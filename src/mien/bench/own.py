"""mien's own training step and inference, set up so that each of its gains can be left out."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mien.bench.clock import Mark, Step
from mien.bench.plain import plain_network, plain_optimizer
from mien.dataset import Faces
from mien.labels import LABELS
from mien.networks import as_input, build
from mien.networks.engine import Engine, probabilities
from mien.networks.fast import make_plain
from mien.recipe import Recipe
from mien.train.schedule import TrainState
from mien.train.step import set_up, train_step

INFERENCE_FACES = 512


@dataclass(frozen=True, slots=True)
class Variant:
    """A training step with some of mien's gains."""

    engine: Engine
    fast: bool = True  # networks/fast.py
    fused: bool = True  # the optimizer moves all weights in one call


def own_network(recipe: Recipe, variant: Variant, *, side: int, classes: int) -> nn.Module:
    """Return the recipe's network as the variant runs it, in training mode."""
    network = variant.engine.place(build(recipe.network, side=side, classes=classes)).train()
    return network if variant.fast else make_plain(network)


def own_step(recipe: Recipe, variant: Variant, images: torch.Tensor, labels: torch.Tensor) -> Step:
    """Return a function that takes a step of `train` and marks its stages.

    `images` are uint8 (N, S, S), `labels` int64 (N,); they go to the device whole.
    """
    classes = int(labels.max()) + 1
    network = own_network(recipe, variant, side=images.shape[1], classes=classes)
    ids = np.arange(len(labels)).astype(str)
    faces = Faces(images.numpy(), labels.numpy(), ids, groups=ids, clean=np.ones(len(ids), bool))
    optimizer = None if variant.fused else plain_optimizer(network, recipe.optimizer)
    training = set_up(recipe, variant.engine, network, faces, LABELS[:classes], optimizer=optimizer)

    def step(mark: Mark) -> None:
        if training.state.step == training.steps_per_epoch:
            training.state = TrainState(lr=recipe.optimizer.lr)  # the first epoch for ever
        train_step(training, mark=mark)

    return step


def looks(recipe: Recipe, engine: Engine, images: torch.Tensor, classes: int) -> dict[str, Step]:
    """Return what reads INFERENCE_FACES faces once, with the plain network in fp32 and as mien does."""
    side = images.shape[1]
    images = images[torch.arange(INFERENCE_FACES) % len(images)].to(engine.device)
    plain = plain_network(recipe, side=side, classes=classes, device=engine.device).eval()
    own = own_network(recipe, Variant(engine), side=side, classes=classes)

    def plainly(mark: Mark) -> None:
        with torch.no_grad():
            plain(as_input(images)).softmax(1).cpu()

    def owned(mark: Mark) -> None:
        probabilities(own, images, engine)

    return {"plain": plainly, "mien": owned}
