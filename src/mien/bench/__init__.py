"""Measures how fast this machine trains and reads, by stage and by cause, beside a training as it is mostly written.

A recipe in, a table, two figures and the numbers out. Needs no data: the faces are random, as time does not depend
on them.
"""

from dataclasses import asdict, dataclass, replace

import torch

from mien.bench.clock import Speed, gain, race
from mien.bench.device import bytes_per_second, demand, operations_per_second
from mien.bench.others import other_steps
from mien.bench.own import Variant, looks, own_step
from mien.bench.plain import plain_step
from mien.labels import LABELS
from mien.networks.engine import Engine, choose_engine, on_threads
from mien.progress import Counting
from mien.recipe import Distillation, Recipe
from mien.train.environment import machine

__all__ = ["Bench", "bench", "gain"]

SIDE = 48
BATCHES = 8  # of random faces
PLAIN = "plain loop"


@dataclass(frozen=True, slots=True)
class Bench:
    """What `bench` measured."""

    recipe: str
    batch_size: int
    machine: dict
    engine: dict
    training: dict[str, Speed]  # a step: the plain loop, then with one gain more each
    reading: dict[str, Speed]  # of own.INFERENCE_FACES faces: "plain" and "mien"
    others: dict[
        str, Speed
    ]  # a step of DenseNet-121 on OTHERS_BATCH faces, by package; {} where there is none
    operations: int  # additions and multiplications of one step, mien's
    traffic_bytes: int  # of all calls of one step, mien's
    operations_per_second: dict[str, float]  # of a large matrix product, by precision
    bytes_per_second: float  # of a large copy

    def images_per_second(self, name: str) -> float:
        """Return a training's speed, by its name in `training`."""
        return self.batch_size / self.training[name].seconds

    @property
    def own(self) -> str:
        """The name of mien's own training: that with all gains which are chosen."""
        return list(self.training)[-1]

    @property
    def loop_share(self) -> float:
        """The loop's share of a step of `train`, in 0..1: all but the passes and the optimizer."""
        stages = self.training[self.own].stages
        return stages["data"] / sum(stages.values())

    @property
    def compute_share(self) -> float:
        """The training's share of what a large matrix product of the same precision reaches."""
        asked = self.operations / self.training[self.own].seconds
        return asked / self.operations_per_second[self.engine["precision"]]

    @property
    def bandwidth_share(self) -> float:
        """The training's share of what a large copy reaches; what caches serve can lift it above 1."""
        return self.traffic_bytes / self.training[self.own].seconds / self.bytes_per_second

    def __repr__(self) -> str:
        times = gain(self.training[self.own], self.training[PLAIN])
        speed = f"{self.images_per_second(self.own):.0f} faces a second"
        return f"Bench({self.recipe}: {speed}, {times:.2f} times the plain loop)"

    def to_dict(self) -> dict:
        """Return the measurements as plain dicts, lists, strings and numbers, ready for JSON."""
        return asdict(self) | {
            "loop_share": self.loop_share,
            "compute_share": self.compute_share,
            "bandwidth_share": self.bandwidth_share,
        }


def bench(
    recipe: Recipe,
    *,
    device: str = "auto",
    threads: int | None = None,
    rounds: int = 5,
    seconds: float = 1.0,
    progress: Counting | None = None,
) -> Bench:
    """Measure a recipe's training and reading on this machine, in `rounds` rounds of `seconds` a contender.

    Raises RunError for a device that is not there, RecipeError for a network that does not fit 48-pixel faces.
    """
    recipe = replace(recipe, distillation=Distillation(), network=replace(recipe.network, pretrained=""))
    engine = choose_engine(device=device, precision=recipe.training.precision, threads=threads)
    images, labels = random_faces(BATCHES * recipe.training.batch_size)
    timed = {
        "device": engine.device,
        "rounds": rounds,
        "seconds": seconds,
        "counting": progress or Counting(),
    }
    with on_threads(engine.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        training = {PLAIN: plain_step(recipe, images, labels, engine.device)}
        training |= {
            name: own_step(recipe, variant, images, labels) for name, variant in variants(engine).items()
        }
        operations, traffic = demand(own_step(recipe, Variant(engine), images, labels))
        precisions = ["fp32"] + ["bf16"] * (engine.precision == "bf16")
        return Bench(
            recipe=recipe.name,
            batch_size=recipe.training.batch_size,
            machine=machine(engine.device) | {"torch": torch.__version__},
            engine=asdict(engine),
            training=race(training, **timed),
            reading=race(looks(recipe, engine, images, len(LABELS)), **timed),
            others=race(other_steps(engine, SIDE), **timed),
            operations=operations,
            traffic_bytes=traffic,
            operations_per_second={one: operations_per_second(engine.device, one) for one in precisions},
            bytes_per_second=bytes_per_second(engine.device),
        )


def variants(engine: Engine) -> dict[str, Variant]:
    """Return mien's training with one gain more each, in the order in which they are told, ending with the engine."""
    first = Engine(engine.device, "fp32", "channels-first", engine.threads)
    placed = replace(first, layout=engine.layout)
    by_name = {
        "+ whole batches": Variant(first, fast=False, fused=False),
        "+ channels-last": Variant(placed, fast=False, fused=False),
        "+ fast parts": Variant(placed, fused=False),
        "+ fused steps": Variant(placed),
    }
    if engine.device != "cpu":
        del by_name["+ fast parts"]  # of networks/fast.py, which only a CPU has
    if engine != placed:
        by_name[f"+ {engine.precision}"] = Variant(engine)
    return by_name


def random_faces(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return uint8 faces (count, 48, 48) of noise and labels int64 (count,), the same at each call."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return images, torch.arange(count) % len(LABELS)
