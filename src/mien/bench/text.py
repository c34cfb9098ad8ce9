"""A measurement in words for terminal and page. Computes nothing but ratios."""

from mien.bench import SIDE, Bench
from mien.bench.tables import tables

GIGA = 1e9
NO_OTHERS = "DenseNet-121 of timm and torchvision: not installed"


def summary(result: Bench) -> str:
    """Return tables of speeds, gains by cause and stages, then what the device could do."""
    lines = {name: table.text() for name, table in tables(result).items()}
    others = lines.pop("others", NO_OTHERS)
    return "\n\n".join(["\n".join(head(result)), *lines.values(), "\n".join(device(result)), others])


def head(result: Bench) -> list[str]:
    """Return what was measured, and on which machine."""
    machine, engine = result.machine, result.engine
    name = machine["cpu"] if machine["device"] == "cpu" else machine["device"]
    return [
        f"{result.recipe}, batches of {result.batch_size} faces of {SIDE} x {SIDE} pixels",
        f"{name}, {engine['threads']} thread{'s' * (engine['threads'] > 1)}, torch {machine['torch']}; "
        f"mien here: {engine['precision']}, {engine['layout']}",
    ]


def device(result: Bench) -> list[str]:
    """Return what the device could do, and which share of it the training reaches."""
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
