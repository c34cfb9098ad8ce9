"""Timing of steps: stages within a step, and contenders in turn so that a busy machine is busy for all of them."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch

from mien.progress import Counting

STAGES = ("data", "forward", "backward", "step")

Mark = Callable[[str], None]
Step = Callable[[Mark], None]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one contender was: seconds of a step, the median over the rounds."""

    seconds: float
    rounds: tuple[float, ...]  # a round's seconds a step, in the order in which all contenders took them
    stages: dict[str, float]  # seconds of a step by stage; of steps timed stage by stage


def race(
    steps: Mapping[str, Step], *, device: str, rounds: int, seconds: float, counting: Counting
) -> dict[str, Speed]:
    """Return each contender's speed, after one step to warm it, from rounds in which all take turns.

    In a round each steps for about so many seconds. On a GPU stages are timed in steps of their own, since to
    time one is to wait for it.
    """
    staged = [True] if device == "cpu" else [False, True]
    counts = {name: _steps_in(step, device, seconds) for name, step in steps.items()}
    turns = [(name, both) for _ in range(rounds) for name in steps for both in staged]
    whole: dict[str, list[float]] = {name: [] for name in steps}
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in steps}
    for name, with_stages in counting.over("bench", len(turns), turns):
        took, parts = _timed(steps[name], counts[name], device, with_stages)
        if with_stages == staged[0]:
            whole[name].append(took)
        if with_stages:
            stages[name].append(parts)
    return {
        name: Speed(
            median(whole[name]),
            tuple(whole[name]),
            {stage: median(parts.get(stage, 0.0) for parts in stages[name]) for stage in STAGES},
        )
        for name in steps
    }


def gain(faster: Speed, slower: Speed) -> float:
    """Return how many times as fast one was as the other: the median over the rounds, pair by pair."""
    return median(b / a for a, b in zip(faster.rounds, slower.rounds, strict=True))


def now(device: str) -> float:
    """Return the time in seconds once the device has done all it was asked."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _steps_in(step: Step, device: str, seconds: float) -> int:
    """Return how many steps take about so long, at least two; the first is not counted."""
    _timed(step, 1, device, False)
    once, _ = _timed(step, 1, device, False)
    return max(2, math.ceil(seconds / max(once, 1e-6)))


def _timed(step: Step, count: int, device: str, with_stages: bool) -> tuple[float, dict[str, float]]:
    """Return seconds a step, and by stage where asked, of so many steps."""
    parts: dict[str, float] = {}
    began = last = now(device)

    def mark(stage: str) -> None:
        nonlocal last
        if with_stages:
            reached = now(device)
            parts[stage] = parts.get(stage, 0.0) + (reached - last) / count
            last = reached

    for _ in range(count):
        step(mark)
    return (now(device) - began) / count, parts
