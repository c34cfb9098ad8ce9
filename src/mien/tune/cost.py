"""What a recipe's network costs, known before it is trained. Knows nothing about searches."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from mien.networks import as_input, build
from mien.networks.cost import describe
from mien.networks.engine import Engine, on_threads, probabilities
from mien.recipe import Recipe

FLOAT_BYTES = 4
FACES_WEIGHED = 2  # batch norm needs two
TIMED, WARMING = 30, 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters, multiply-adds a face, and about how much memory training takes."""

    parameters: int
    multiply_adds: int
    memory_mb: float
    milliseconds: float | None = None  # one face on this machine, where it was measured


def cost_of(recipe: Recipe, *, side: int, classes: int) -> Cost:
    """Return what a recipe's network costs: it is made and reads FACES_WEIGHED empty faces, some 0.1 s."""
    with torch.random.fork_rng(devices=[]):
        network = build(recipe.network, side=side, classes=classes)
        told = describe(network, side)
        kept = _kept_for_backward(network, side) / FACES_WEIGHED
    slots = 2 + (
        2 if recipe.optimizer.kind == "adam" else recipe.optimizer.momentum > 0
    )  # weights, gradients, …
    size = told["parameters"] * slots * FLOAT_BYTES + kept * recipe.training.batch_size
    return Cost(told["parameters"], told["multiply_adds"], size / 1e6)


def _kept_for_backward(network: nn.Module, side: int) -> int:
    """Return the bytes that a forward pass of FACES_WEIGHED faces keeps in fp32: most of what training takes."""
    sizes, weights = {}, {id(p) for p in network.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in weights:
            sizes[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = network(as_input(torch.zeros(FACES_WEIGHED, side, side, dtype=torch.uint8)))
    del kept
    return sum(sizes.values())


def milliseconds(recipe: Recipe, *, side: int, classes: int, engine: Engine) -> float:
    """Return the median time in which a network of a recipe reads one face, weights as they come."""
    with torch.random.fork_rng(devices=[]):
        network = engine.place(build(recipe.network, side=side, classes=classes))
    face = torch.zeros(1, side, side, dtype=torch.uint8, device=engine.device)
    times = []
    with on_threads(engine.threads):
        for _ in range(WARMING + TIMED):
            began = time.perf_counter()
            probabilities(network, face, engine, mirror=False)
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[WARMING:])
