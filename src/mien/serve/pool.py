"""Images classified in processes of their own, which are ended at a time limit. Knows nothing about HTTP.

A decoder that is fed by strangers may run for minutes, fill the memory or crash: so it works in another process, which
pebble ends when its time is over, and starts another. A large picture is decoded when no other large one is, so the
memory for pixels is bounded by one large picture and a small one for each process.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from pebble import ProcessExpired, ProcessPool

from mien.model import Model
from mien.serve import worker
from mien.serve.admission import Slots
from mien.serve.problems import Problem
from mien.serve.settings import Settings
from mien.serve.uploads import Image
from mien.serve.worker import Job, PictureResult, failed

PRELOADED = ["mien.cli", "mien.serve.worker", "onnxruntime", "PIL.Image"]  # once, before processes are forked
LARGE_PIXELS = 8_000_000


class PicturePool:
    """Processes that classify images, for an event loop."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self._limits = settings.limits
        self._processes = settings.processes_each
        self._model = settings.model, model.sha256
        self._slots = Slots(
            self._processes + 1
        )  # one picture waits in the pipe, so no process waits for the loop
        self._large = Slots(1)
        self._pool = self._new_pool()

    async def classify(
        self, client: str, images: Sequence[Image], crop: bool, explain: bool
    ) -> list[PictureResult]:
        """Return the results of a client's images (name and bytes), in order; Problem 503 when it takes too long."""
        limits = self._limits
        bounds = min(LARGE_PIXELS, limits.pixels), limits.faces, limits.explained
        jobs = (Job(name, data, crop, explain, *bounds) for name, data in images)
        try:
            async with asyncio.timeout(limits.seconds):
                return await asyncio.gather(*(self._result(client, job) for job in jobs))
        except TimeoutError:
            words = f"not classified within {limits.seconds:g} s; try again, or send less at once"
            raise Problem(503, words) from None

    def close(self) -> None:
        """End the processes."""
        self._pool.stop()
        self._pool.join()

    def _new_pool(self) -> ProcessPool:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        # pebble declares that it takes the module multiprocessing; what it takes is any context of it
        pool = ProcessPool(self._processes, initializer=worker.start, initargs=self._model, context=context)  # pyright: ignore[reportArgumentType]
        pool.schedule(os.getpid)  # starts it
        return pool

    async def _result(self, client: str, job: Job) -> PictureResult:
        async with self._slots.slot(client):
            result = await self._run(job)
        if not result.too_large or job.most_pixels == self._limits.pixels:
            return result
        async with self._large.slot(client), self._slots.slot(client):
            return await self._run(replace(job, most_pixels=self._limits.pixels))

    async def _run(self, job: Job, again: bool = True) -> PictureResult:
        seconds = self._limits.seconds / 3
        if not self._pool.active:
            self._pool = self._new_pool()
        try:
            return await asyncio.wrap_future(
                self._pool.schedule(worker.classify, args=(job,), timeout=seconds)
            )
        except BrokenProcessPool:  # a process was killed while it had nothing to do
            return (
                await self._run(job, False)
                if again
                else failed(job, "the processes that classify ended", 503)
            )
        except TimeoutError:
            return failed(job, f"takes more than {seconds:g} s to decode and classify")
        except ProcessExpired:
            return failed(job, "its decoder crashed, or took too much memory")
