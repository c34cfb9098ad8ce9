"""Parts made by actors of a Ray cluster, which all see the sources and the folder under the same paths.

Ray Data deals the parts out and starts actors again that end; each has a process of its own (`processes.py`), so a
picture over which a decoder crashes is passed over there as here. A part is one row: what fails in it loses no other.
"""
# pyright: standard

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mien.errors import MienError, StorageError
from mien.predict.parts.plan import Part
from mien.predict.parts.processes import PartProcess
from mien.predict.parts.write import Job, Progress, Totals

LOCAL = "local"
PART, MESSAGES = "part", "messages"  # columns


class PartActor:
    """Makes the parts that Ray Data brings, one a call, by a process of its own."""

    def __init__(self, job: Job) -> None:
        self._process = PartProcess(job).__enter__()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the messages on each part of a batch, pickled."""
        return {MESSAGES: [pickle.dumps(self._make(pickle.loads(part))) for part in batch[PART]]}

    def close(self) -> None:
        """End the process."""
        self._process.__exit__()

    def _make(self, part: Part) -> list[Progress | Totals | MienError]:
        messages: list[Progress | Totals | MienError] = []
        self._process.begin(part)
        while not messages or isinstance(messages[-1], Progress):
            try:
                message = self._process.receive()
            except MienError as error:
                message = error
            if message is not None:
                messages.append(message)
        return messages


def make_parts_on_cluster(
    job: Job, parts: Sequence[Part], address: str, actors: int | None
) -> Iterator[Progress | Totals]:
    """Yield how far the parts are, a part at a time; StorageError where the cluster cannot be reached or fails."""
    if not parts:
        return
    with _connected(address) as ray:
        most = min(len(parts), actors or int(ray.cluster_resources().get("CPU", 1)))
        rows = [{PART: pickle.dumps(part)} for part in parts]
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            PartActor,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
            num_cpus=1,
        )
        try:
            for row in data.iter_rows():
                for message in pickle.loads(row[MESSAGES]):
                    if isinstance(message, MienError):
                        raise message
                    yield message
        except ray.exceptions.RayError as error:
            raise StorageError(f"the Ray cluster failed: {_line(error)}") from None


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Yield ray, connected to a cluster; "local" is one that is started here and ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # mien sends nothing
    import ray
    import ray.data

    started_here: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **started_here)
    except Exception as error:  # Ray's own errors have no common class but this
        raise StorageError(f"--ray {address}: no Ray cluster can be reached there ({_line(error)})") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()


def _line(fault: BaseException) -> str:
    lines = [line for line in str(fault).splitlines() if line.strip()]
    return (lines[-1] if lines else type(fault).__name__)[:160]
