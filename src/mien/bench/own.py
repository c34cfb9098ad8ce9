"""mien's own training step and look at faces, put together so that each of its gains can be left out."""

from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from mien.bench.clock import Mark, Step
from mien.bench.plain import plain_network, plain_optimizer
from mien.networks import as_input, build
from mien.networks.engine import Engine, probabilities
from mien.networks.fast import make_plain
from mien.recipe import Recipe
from mien.train.augment import augment, mixed
from mien.train.loop import derive_seed, epoch_order, follow, make_optimizer

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
    """Return a function that takes one step as `train` does, but for sharpness-aware ones, and marks its stages.

    `images` are uint8 (N, S, S), `labels` int64 (N,); they go to the device whole.
    """
    engine, batch_size = variant.engine, recipe.training.batch_size
    classes = int(labels.max()) + 1
    network = own_network(recipe, variant, side=images.shape[1], classes=classes)
    make = make_optimizer if variant.fused else plain_optimizer
    optimizer = make(network, recipe.optimizer)
    images, wanted = images.to(engine.device), F.one_hot(labels).float().to(engine.device)
    judged = deepcopy(network) if recipe.optimizer.ema else None
    engine.record(network, as_input(images[:batch_size]))
    generator = torch.Generator(engine.device)
    done, order = 0, torch.empty(0)

    def step(mark: Mark) -> None:
        nonlocal done, order
        place = done * batch_size % len(images)
        if place == 0:
            order = epoch_order(0, done, len(images), engine.device)
        generator.manual_seed(derive_seed(0, "step", done))
        torch.manual_seed(done)
        batch = order[place : place + batch_size]
        faces, target = augment(images[batch], recipe.augment, generator=generator), wanted[batch]
        faces, target = mixed(faces, target, recipe.augment, generator=generator)
        x = as_input(faces)
        done += 1
        mark("data")
        passes(network, engine, optimizer, x, target, mark)
        if judged is not None:
            follow(judged, network, recipe.optimizer.ema)
            mark("step")

    return step


def passes(network: nn.Module, engine: Engine, optimizer, x, target: torch.Tensor, mark: Mark) -> None:
    """Go forward, backward and a step on, as `train` does, and mark each; `target` are labels or shares of classes."""
    with engine.autocast():
        logits = network(x).float()
    loss = F.cross_entropy(logits, target)
    mark("forward")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    mark("backward")
    optimizer.step()
    mark("step")


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
