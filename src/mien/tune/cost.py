"""What a recipe's network costs, known before it is trained, and whether that is within a space's budget."""

import statistics
import time
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from mien.dataset import Development
from mien.networks import as_input, build
from mien.networks.cost import describe
from mien.networks.engine import Engine, on_threads, probabilities
from mien.recipe import Recipe
from mien.tune.space import Space, cost_in_words

FLOAT_BYTES = 4
TRACED_FACES = 2  # batch norm needs two
TIMED, WARMUP = 30, 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters, multiply-adds a face, and about how much memory training takes."""

    parameters: int
    multiply_adds: int
    memory_mb: float
    milliseconds: float | None = None  # one face on this machine, where it was measured


def cost_of(recipe: Recipe, *, side: int, classes: int) -> Cost:
    """Return what a recipe's network costs: it is made and classifies TRACED_FACES empty faces, some 0.1 s."""
    with torch.random.fork_rng(devices=[]):
        network = build(recipe.network, side=side, classes=classes)
        description = describe(network, side)
        kept = _kept_for_backward(network, side) / TRACED_FACES
    optimizer_slots = 2 if recipe.optimizer.kind != "sgd" else int(recipe.optimizer.momentum > 0)
    parameters = description["parameters"]
    size = parameters * (2 + optimizer_slots) * FLOAT_BYTES + kept * recipe.training.batch_size
    return Cost(parameters, description["multiply_adds"], size / 1e6)


def estimate_cost(recipe: Recipe, space: Space, data: Development, engine: Engine) -> Cost:
    """Return what the recipe's network costs; milliseconds are measured where the space asks for them."""
    shape = {"side": data.info.side, "classes": len(data.info.labels)}
    cost = cost_of(recipe, **shape)
    if "milliseconds" in (*space.objectives, *dict(space.budget)):
        return replace(cost, milliseconds=milliseconds(recipe, engine=engine, **shape))
    return cost


def over_budget(cost: Cost, budget: tuple[tuple[str, float], ...]) -> str:
    """Return what of a network's cost is above the budget, in words, or ""."""
    costs = asdict(cost)
    over = [(name, most) for name, most in budget if costs[name] > most]
    return ", ".join(f"{cost_in_words(costs[n])} {n}, budget {cost_in_words(most)}" for n, most in over)


def _kept_for_backward(network: nn.Module, side: int) -> int:
    """Return the bytes that a forward pass of TRACED_FACES faces keeps in fp32: most of what training takes."""
    sizes, weights = {}, {id(p) for p in network.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in weights:
            sizes[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = network(as_input(torch.zeros(TRACED_FACES, side, side, dtype=torch.uint8)))
    del kept
    return sum(sizes.values())


def milliseconds(recipe: Recipe, *, side: int, classes: int, engine: Engine) -> float:
    """Return the median time in which a network of a recipe classifies one face, weights as they come."""
    with torch.random.fork_rng(devices=[]):
        network = engine.place(build(recipe.network, side=side, classes=classes))
    face = torch.zeros(1, side, side, dtype=torch.uint8, device=engine.device)
    times = []
    with on_threads(engine.threads):
        for _ in range(WARMUP + TIMED):
            began = time.perf_counter()
            probabilities(network, face, engine)
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[WARMUP:])
