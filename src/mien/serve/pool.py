"""Images classified in processes of their own, which end at a time limit. Knows nothing about HTTP.

A decoder that is fed by strangers may run for minutes, fill the memory or crash: so it works in another process
(`worker.py`), and a new one takes the place of one that ended. A large image is decoded when no other large one is, so
the memory for pixels is bounded by one large image and a small one for each process.
"""

import asyncio
import pickle
import socket
from collections.abc import Sequence
from dataclasses import replace

from mien.model import Model
from mien.pictures import READERS
from mien.serve import worker
from mien.serve.admission import Turns
from mien.serve.problems import Problem
from mien.serve.settings import Settings
from mien.serve.uploads import Image
from mien.serve.worker import HEAD, READY, Job, PictureResult, failed
from mien.system import ended_at_limit, process_class

PRELOADED = ["mien.cli", "mien.serve.worker", "onnxruntime", *READERS]  # once, before processes are forked
LARGE_PIXELS = 8_000_000
NOT_STARTED = "the processes that classify do not start"


class PicturePool:
    """Processes that classify images, for an event loop."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self._limits = settings.limits
        self._idle = [
            _Process(settings.model, settings.device, model.sha256, model.threshold, model.prior)
            for _ in range(settings.processes_each)
        ]
        self._turns, self._large = Turns(len(self._idle)), Turns(1)

    def open(self) -> None:
        """Start the processes."""
        for process in self._idle:
            process.start()

    async def classify(
        self, client: str, images: Sequence[Image], crop: bool, explain: bool
    ) -> list[PictureResult]:
        """Return the results of a client's images (name and bytes), in order; Problem 503 when it takes too long."""
        limits = self._limits
        bounds = min(LARGE_PIXELS, limits.pixels), limits.faces, limits.explained, limits.seconds / 3
        jobs = (Job(name, data, crop, explain, *bounds) for name, data in images)
        try:
            async with asyncio.timeout(limits.seconds):
                return await asyncio.gather(*(self._result(client, job) for job in jobs))
        except TimeoutError:
            words = f"not classified within {limits.seconds:g} s; try again, or send less at once"
            raise Problem(503, words) from None

    def close(self) -> None:
        """End the processes. (One that still classifies ends with the task that waits for it.)"""
        for process in self._idle:
            process.end()

    async def _result(self, client: str, job: Job) -> PictureResult:
        result = await self._run(client, job)
        if not result.too_large or job.most_pixels == self._limits.pixels:
            return result
        async with self._large.turn(client):
            return await self._run(client, replace(job, most_pixels=self._limits.pixels))

    async def _run(self, client: str, job: Job) -> PictureResult:
        async with self._turns.turn(client):
            process = self._idle.pop()
            try:
                return await process.classify(job)
            finally:
                self._idle.append(process)


class _Process:
    """A process that classifies and its successors: where one has ended, another is started."""

    def __init__(self, *model: str | float | tuple[float, ...]) -> None:
        self._model = model

    def start(self) -> None:
        """Start a process, in the background: the first one of a server takes a second."""
        self._started = asyncio.create_task(self._start())

    async def _start(self) -> None:
        make_process = process_class(PRELOADED)
        ours, theirs = socket.socketpair()
        self._process = make_process(target=worker.work, args=(theirs, *self._model), daemon=True)
        try:
            with theirs:
                await asyncio.to_thread(self._process.start)
        except BaseException:
            ours.close()  # a process that is started nevertheless ends by itself
            raise
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._ready = False

    def end(self) -> None:
        """End the process, whatever it does."""
        if not self._started.cancel() and not self._started.exception():
            self._process.kill()
            self._writer.close()

    async def classify(self, job: Job, again: bool = True) -> PictureResult:
        """Return what the process says of an image, or that it ended over it."""
        try:
            await asyncio.shield(self._started)
            return await self._answer(job)
        except asyncio.IncompleteReadError:  # it ended over the image
            self.end()
            await asyncio.to_thread(self._process.join)
            result = self._failure(job)
            self.start()
            return result
        except OSError:  # it was killed before it had the image, or could not start
            self.end()
            self.start()
            return await self.classify(job, False) if again else failed(job, NOT_STARTED, 503)
        except asyncio.CancelledError:  # it may be in the midst of the image
            self.end()
            self.start()
            raise

    async def _answer(self, job: Job) -> PictureResult:
        if not self._ready:
            await self._reader.readexactly(len(READY))
            self._ready = True
        self._writer.write(pickle.dumps(job, pickle.HIGHEST_PROTOCOL))
        await self._writer.drain()
        size, *facts = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        return PictureResult(await self._reader.readexactly(size), *facts)

    def _failure(self, job: Job) -> PictureResult:
        if not self._ready:
            return failed(job, NOT_STARTED, 503)
        if ended_at_limit(self._process.exitcode):
            return failed(job, f"takes more than {job.seconds:g} s to decode and classify")
        return failed(job, "its decoder crashed, or took too much memory")
