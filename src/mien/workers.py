"""Work spread over the cores by threads, and how many cores there are. Knows nothing about the work.

Threads are enough where the work is numpy's, Pillow's or onnxruntime's: these free the interpreter.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import TypeVar

from mien.system import PROCESS_FILES, cores_of_affinity

AHEAD = 32  # things that wait done, a worker
UNLIMITED = ("max", "-1")  # in a control group of version 2, and of version 1

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use: of its affinity, and no more than its control groups' CPU quota.

    A container that may use two and a half cores of 64 has three. Where the system does not say (macOS), all.
    """
    return max(1, math.ceil(min(cores_of_affinity(), cpu_quota())))


def cpu_quota(process: Path = PROCESS_FILES) -> float:
    """Return the smallest CPU quota, in cores, of the control groups a process is in; infinity where there is none.

    Linux's cgroups(7), version 1 and 2. `process` is its folder among Linux's processes.
    """
    quotas = [math.inf]
    for mount, group in _cpu_groups(process):
        quotas += [_quota_of(folder) for folder in (group, *group.parents) if folder.is_relative_to(mount)]
    return min(quotas)


def _cpu_groups(process: Path) -> Iterator[tuple[Path, Path]]:
    """Yield where each hierarchy of control groups that may limit the CPU is mounted, and the process's group."""
    try:
        memberships = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
        mounts = [line.split(" ") for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:
        return  # no Linux, or its files are hidden
    # proc_pid_mountinfo(5): id, parent, device, root, place, options, optional fields, "-", type, source, options
    for _, _, _, root, place, *fields in mounts:
        kind, _, options = fields[fields.index("-") + 1 :]
        for _, controllers, group in memberships:
            if (kind == "cgroup2" and not controllers) or (
                kind == "cgroup" and "cpu" in set(controllers.split(",")) & set(options.split(","))
            ):
                # A container may see its host's name for the group where only the group itself is mounted.
                inside = os.path.relpath(group, root) if Path(group).is_relative_to(root) else "."
                yield Path(place), Path(place) / inside


def _quota_of(group: Path) -> float:
    """Return the CPU quota of one control group, in cores; infinity where it has none."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return math.inf if quota in UNLIMITED else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def spread(
    work: Callable[[Thing], Result],
    things: Iterable[Thing],
    *,
    ahead: int = AHEAD,
    workers: int | None = None,
    slots: BoundedSemaphore | None = None,
) -> Iterator[Result]:
    """Yield `work(thing)` of each thing, in their order, by so many threads; by one a core where none are given.

    Several calls that share `slots` work on so many things at a time together. At most `ahead` things a thread are
    begun or done before the reader wants them, so memory does not grow with their number. What has not begun is left
    when the reader stops.
    """
    workers = workers or available_cores()
    gate = slots or BoundedSemaphore(workers)

    def gated(thing: Thing) -> Result:
        with gate:
            return work(thing)

    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(gated, thing))
                while waiting and (waiting[0].done() or len(waiting) >= ahead * workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
