"""Work spread over the cores by threads. Knows nothing about the work.

Threads are enough where the work is numpy's, Pillow's or onnxruntime's: these free the interpreter.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AHEAD = 32  # things that wait done, a worker

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use; all where the system does not tell (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Thing], Result], things: Iterable[Thing], *, ahead: int = AHEAD
) -> Iterator[Result]:
    """Yield `work(thing)` of each thing, in their order, on all cores.

    At most `ahead` things a core are begun or done before the reader wants them, so memory does not grow
    with their number. What has not begun is left when the reader stops.
    """
    workers = cores()
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(work, thing))
                while waiting and (waiting[0].done() or len(waiting) >= ahead * workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
