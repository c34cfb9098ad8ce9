"""Work spread over the cores by threads; numpy frees the interpreter while it computes."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def spread(work: Callable[[Thing], Result], things: Iterable[Thing]) -> Iterator[Result]:
    """Yield `work(thing)` of each thing, in their order; what has not begun is left when the reader stops."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        yield from pool.map(work, things)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
