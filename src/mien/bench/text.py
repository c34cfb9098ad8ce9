"""A measurement in words for the terminal. Computes nothing but ratios."""

from mien.bench import PLAIN, SIDE, Bench
from mien.bench.clock import STAGES, Speed, gain
from mien.bench.others import BATCH
from mien.bench.own import INFERENCE_FACES
from mien.text import in_columns

GIGA = 1e9
MICRO = 1e6


def summary(result: Bench) -> str:
    """Return tables of speeds, gains by cause and stages, then what the device could do."""
    machine, engine = result.machine, result.engine
    name = machine["cpu"] if machine["device"] == "cpu" else machine["device"]
    head = (
        f"{result.recipe}, batches of {result.batch_size} faces of {SIDE} x {SIDE} pixels\n"
        f"{name}, {engine['threads']} thread{'s' * (engine['threads'] > 1)}, torch {machine['torch']}; "
        f"mien here: {engine['precision']}, {engine['layout']}"
    )
    parts = [
        head,
        _causes(result),
        _stages(result),
        _reading(result),
        "\n".join(_device(result)),
        _others(result),
    ]
    return "\n\n".join(parts)


def _causes(result: Bench) -> str:
    rows, before = [], None
    for name, speed in result.training.items():
        step = f"{gain(speed, before):.2f}" if before else ""
        rows.append(
            (name, f"{result.images_per_second(name):,.0f}", step, _times(speed, result.training[PLAIN]))
        )
        before = speed
    return in_columns([("training", "faces/s", "gain", "in all"), *rows])


def _stages(result: Bench) -> str:
    rows = []
    for name in (PLAIN, result.own):
        faces = (result.training[name].stages[stage] / result.batch_size * MICRO for stage in STAGES)
        rows.append((PLAIN if name == PLAIN else "mien", *(f"{value:,.0f}" for value in faces)))
    return in_columns([("microseconds a face", *STAGES), *rows])


def _reading(result: Bench) -> str:
    plain = result.reading["plain"]
    rows = [
        (name, f"{INFERENCE_FACES / speed.seconds:,.0f}", _times(speed, plain))
        for name, speed in result.reading.items()
    ]
    return in_columns([("reading", "faces/s", "in all"), *rows])


def _device(result: Bench) -> list[str]:
    rates = " and ".join(
        f"{rate / GIGA:,.0f} GFLOP/s in {precision}"
        for precision, rate in result.operations_per_second.items()
    )
    return [
        f"the loop itself: {result.loop_share:.1%} of a step of `mien train`",
        f"this device: a large matrix product {rates}, a large copy {result.bytes_per_second / GIGA:,.0f} GB/s",
        f"mien's training: {result.compute_share:.0%} of that compute in {result.engine['precision']}, "
        f"{result.bandwidth_share:.0%} of that bandwidth (by what its calls read and write)",
    ]


def _others(result: Bench) -> str:
    if not result.others:
        return "DenseNet-121 of timm and torchvision: not installed"
    slowest = max(result.others.values(), key=lambda speed: speed.seconds)
    rows = [
        (name, f"{BATCH / speed.seconds:,.0f}", _times(speed, slowest))
        for name, speed in result.others.items()
    ]
    return in_columns([("DenseNet-121", "faces/s", "in all"), *rows])


def _times(speed: Speed, slower: Speed) -> str:
    return f"{gain(speed, slower):.2f}"
