"""A trial's recipe becomes its values: budget, twin, training. Knows nothing about Optuna, and no test split."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mien.dataset import Development
from mien.errors import OutOfMemory, TrainingDiverged
from mien.files import with_no_error
from mien.networks.engine import Engine
from mien.progress import Progress
from mien.recipe import DenseNet, Recipe, block_layers, to_toml
from mien.run import Run
from mien.train import train
from mien.tune.cost import Cost, cost_of, milliseconds
from mien.tune.space import Space, costly


class Pruned(Exception):  # noqa: N818 (nothing is wrong)
    """The trial is not worth more epochs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended."""

    state: str  # complete, pruned, refused or failed
    values: tuple[float, ...] = ()
    why: str = ""


class Watched(Progress):
    """Hands each epoch's row to `look` and everything to another Progress."""

    def __init__(self, inner: Progress, look: Callable[[dict], None]):
        self._look = look
        self.begin, self.step, self.end, self._epoch = inner.begin, inner.step, inner.end, inner.epoch

    def epoch(self, row):
        """Tell both."""
        self._epoch(row)
        self._look(row)


def key_of(recipe: Recipe) -> str:
    """Return 16 hex digits that two recipes share if, and only if, their runs of one seed are the same."""
    network = recipe.network
    if isinstance(network, DenseNet):
        layers = block_layers(network)
        growth = network.growth if len(network.growth) > 1 else network.growth * len(layers)
        peak = dict.fromkeys(("num_blocks", "min_layers", "max_layers"), 0)
        network = replace(network, layers=layers, growth=growth, **peak)
    text = to_toml(replace(recipe, name="x", network=network))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def weigh(recipe: Recipe, space: Space, data: Development, engine: Engine) -> Cost:
    """Return what the recipe's network costs; milliseconds are measured where the space asks for them."""
    shape = {"side": data.info.side, "classes": len(data.info.labels)}
    cost = cost_of(recipe, **shape)
    if "milliseconds" in (*space.objectives, *dict(space.budget)):
        cost = replace(cost, milliseconds=milliseconds(recipe, engine=engine, **shape))
    return cost


def over_budget(cost: Cost, budget: tuple[tuple[str, float], ...]) -> str:
    """Return what of a network's cost is above the budget, in words, or ""."""
    costs = asdict(cost)
    return ", ".join(
        f"{costly(costs[name])} {name}, budget {costly(most)}" for name, most in budget if costs[name] > most
    )


def measure(
    recipe: Recipe,
    space: Space,
    data: Development,
    folder: Path,
    *,
    seed: int,
    engine: Engine,
    cost: Cost,
    look: Callable[[dict], None],
    stop: Callable[[], bool],
    progress: Progress,
) -> Outcome:
    """Train the recipe in `folder`, or take its run up, and return how it ended.

    `look` gets each epoch's row and raises Pruned where it has seen enough; the run's folder then
    stays as a run that is not complete. Raises Stopped with the run's state saved.
    """
    try:
        watched = Watched(progress, look)
        run = train(recipe, data, folder, seed=seed, engine=engine, stop=stop, progress=watched)
    except Pruned:
        with_no_error((folder / "state.safetensors").unlink)
        return Outcome("pruned")
    except (TrainingDiverged, OutOfMemory) as fault:
        return Outcome("failed", why=str(fault))
    return Outcome("complete", values_of(run, space.objectives, cost))


def values_of(run: Run, objectives: tuple[str, ...], cost: Cost | Mapping) -> tuple[float, ...]:
    """Return a complete run's values: those learnt as its kept epoch reached them on val."""
    costs = asdict(cost) if isinstance(cost, Cost) else cost
    known = {**costs, **run.result()["val"]}
    return tuple(float(known[name]) for name in objectives)
