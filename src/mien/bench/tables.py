"""The tables of a measurement, for terminal and page. Computes nothing but ratios."""

from mien.bench import PLAIN, Bench
from mien.bench.clock import STAGES, Speed, gain
from mien.bench.others import BATCH
from mien.bench.own import INFERENCE_FACES
from mien.pages.tables import Data, Table

MICRO = 1e6


def tables(result: Bench) -> dict[str, Table]:
    """Return the tables by name: training, stages, reading and, where other packages are installed, others."""
    always = {"training": _training(result), "stages": _stages(result), "reading": _reading(result)}
    return always | ({"others": _others(result)} if result.others else {})


def data(result: Bench) -> dict[str, Data]:
    """Return what the CSV file holds: each round's seconds a step of each training, and its mean stages."""
    rows = [
        (name, number, seconds, *(speed.stages[stage] for stage in STAGES))
        for name, speed in result.training.items()
        for number, seconds in enumerate(speed.rounds)
    ]
    return {"training": Data.of(("training", "round", "seconds", *STAGES), rows)}


def _training(result: Bench) -> Table:
    rows, before = [], None
    for name, speed in result.training.items():
        step = f"{gain(speed, before):.2f}" if before else ""
        rows.append(
            (name, f"{result.images_per_second(name):,.0f}", step, _times(speed, result.training[PLAIN]))
        )
        before = speed
    return Table("Faces a second in training", ("training", "faces/s", "gain", "in all"), [("", rows)])


def _stages(result: Bench) -> Table:
    rows = []
    for name in (PLAIN, result.own):
        faces = (result.training[name].stages[stage] / result.batch_size * MICRO for stage in STAGES)
        rows.append((PLAIN if name == PLAIN else "mien", *(f"{value:,.0f}" for value in faces)))
    return Table("Where a step's time goes", ("microseconds a face", *STAGES), [("", rows)])


def _reading(result: Bench) -> Table:
    plain = result.reading["plain"]
    rows = [
        (name, f"{INFERENCE_FACES / speed.seconds:,.0f}", _times(speed, plain))
        for name, speed in result.reading.items()
    ]
    return Table("Faces a second in classifying", ("reading", "faces/s", "in all"), [("", rows)])


def _others(result: Bench) -> Table:
    slowest = max(result.others.values(), key=lambda speed: speed.seconds)
    rows = [
        (name, f"{BATCH / speed.seconds:,.0f}", _times(speed, slowest))
        for name, speed in result.others.items()
    ]
    return Table("DenseNet-121 by package", ("DenseNet-121", "faces/s", "in all"), [("", rows)])


def _times(speed: Speed, slower: Speed) -> str:
    return f"{gain(speed, slower):.2f}"
