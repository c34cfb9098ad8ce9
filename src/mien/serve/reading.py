"""Pictures of many requests read at once: bounded, on threads, faces in batches. Knows nothing about HTTP's ways.

A thread decodes pictures, finds and cuts out their faces, of whichever requests, and reads these together. Nobody waits
for a batch to fill: it is read when nothing else waits, when it is full, or when its first picture has waited a moment.
So batches grow by themselves where more comes than is read.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import numpy as np

from mien.errors import PictureError
from mien.pictures import decode, size_in_head
from mien.predict.recognizer import Looked, ReadFace, Recognizer
from mien.serve.metrics import Metrics
from mien.serve.problems import ClientGone, Problem
from mien.serve.settings import Limits

# Faces that are read at once: on one core 8 % less time a face than alone, 32 are no faster than alone.
TOGETHER = 8
MOMENT = 0.01  # seconds that the first picture of a batch waits for others, which are looked at meanwhile


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What is said of a picture: its faces, or why it could not be used and the status that says so."""

    faces: list[ReadFace] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    problem: str = ""
    status: int = 200
    explained: list[np.ndarray] = field(default_factory=list)  # of the largest faces, where it was asked for


class Gate:
    """How much may wait at once, in all and of one client. Lives in the event loop, so it needs no lock."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._waiting: dict[str, int] = {}
        self._held: dict[object, int] = {}

    def check(self, client: str, pictures: int) -> None:
        """Raise Problem where so many more pictures cannot wait now."""
        own = self._waiting.get(client, 0)
        if own and own + pictures > self._limits.of_one_client:
            raise Problem(
                429, f"{own} pictures of this address wait already; send more when these are answered"
            )
        if self.waiting + pictures > self._limits.waiting:
            raise Problem(503, f"{self.waiting} pictures wait already; try again")

    @property
    def waiting(self) -> int:
        """How many pictures wait or are being read."""
        return sum(self._waiting.values())

    def enter(self, client: str, pictures: int) -> None:
        """Let pictures in, or raise Problem."""
        self.check(client, pictures)
        self._waiting[client] = self._waiting.get(client, 0) + pictures
        self._metrics.set("mien_pictures_waiting", self.waiting)

    def leave(self, client: str, pictures: int) -> None:
        """Let them out."""
        left = self._waiting[client] - pictures
        if left:
            self._waiting[client] = left
        else:
            del self._waiting[client]
        self._metrics.set("mien_pictures_waiting", self.waiting)

    def hold(self, request: object, size: int) -> None:
        """Count bytes that a request's body takes; raise Problem where all together take too many."""
        if sum(self._held.values()) + size > self._limits.waiting_bytes:
            raise Problem(503, "too many bytes wait to be read; try again")
        self._held[request] = self._held.get(request, 0) + size
        self._metrics.set("mien_body_bytes_waiting", sum(self._held.values()))

    def release(self, request: object) -> None:
        """Forget the bytes of a request."""
        self._held.pop(request, None)
        self._metrics.set("mien_body_bytes_waiting", sum(self._held.values()))


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A picture to be read, and who waits for it."""

    data: bytes
    crop: bool
    explain: bool
    answer: asyncio.Future


class Reading:
    """Reads pictures for an event loop, with threads of its own."""

    def __init__(self, recognizer: Recognizer, threads: int, limits: Limits, metrics: Metrics) -> None:
        self._recognizer = recognizer
        self._limits = limits
        self._metrics = metrics
        self._jobs: SimpleQueue = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    async def read(
        self, files: Sequence[bytes], *, crop: bool, explain: bool, gone: asyncio.Future
    ) -> list[Read]:
        """Return what is read in picture files, in order; Problem 503 after the limit, ClientGone when `gone` ends."""
        loop = asyncio.get_running_loop()
        jobs = [Job(data, crop, explain, loop.create_future()) for data in files]
        everything = asyncio.gather(*(job.answer for job in jobs))
        everything.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # seen, whoever is left
        for job in jobs:
            self._jobs.put(job)
        del jobs
        try:
            await asyncio.wait(
                {everything, gone}, timeout=self._limits.seconds, return_when="FIRST_COMPLETED"
            )
            if everything.done():
                return everything.result()
            if gone.done():
                raise ClientGone
            raise Problem(503, f"not read within {self._limits.seconds:g} s; try again, or send less at once")
        finally:
            everything.cancel()

    def close(self) -> None:
        """End the threads when they have done what waits."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        """Read what waits, batch by batch."""
        while (job := self._jobs.get()) is not None:
            looked, until = [], time.monotonic() + MOMENT
            while job is not None:
                looked += self._look(job)
                if sum(len(one.faces) for one in looked) >= TOGETHER or time.monotonic() > until:
                    break
                job = self._next()
            job = None  # its picture need not stay in memory while others are waited for
            self._read(looked)

    def _next(self) -> Job | None:
        """Return the next job where one waits."""
        try:
            job = self._jobs.get_nowait()
        except Empty:
            return None
        if job is None:
            self._jobs.put(None)  # the end, for whoever asks next
        return job

    def _look(self, job: Job) -> list[Looked]:
        """Return a picture whose faces are found, in a list; or answer why it cannot be used, and return none."""
        if job.answer.cancelled():
            return []
        try:
            refused = _refused(job.data, self._limits)
            if refused is not None:
                self._give(job, refused)
                return []
            pixels = decode(job.data, color=True).pixels
            size = pixels.shape[1], pixels.shape[0]
            looked = self._recognizer.look(pixels, crop=job.crop, about=(job, size))
            if len(looked.faces) <= self._limits.faces:
                return [looked]
            found = f"{len(looked.faces)} faces were found, more than {self._limits.faces} in a picture"
            self._give(job, Read(problem=found, status=422))
        except PictureError as fault:
            self._give(job, Read(problem=str(fault), status=422))
        except BaseException as fault:
            self._give(job, fault)
        return []

    def _read(self, looked: list[Looked]) -> None:
        """Read faces together and answer for their pictures; what is to be explained comes last."""
        total = sum(len(one.faces) for one in looked)
        if total:
            self._metrics.observe("mien_batch_faces", total)
        try:
            explained = []
            for one, faces in self._recognizer.read_together(looked) if looked else ():
                job, size = one.about
                if job.explain and faces:
                    explained.append((job, faces, size))
                else:
                    self._give(job, Read(faces, size))
            for job, faces, size in explained:
                most = 0 if job.answer.cancelled() else self._limits.explained
                self._give(
                    job, Read(faces, size, explained=[self._recognizer.explain(f) for f in faces[:most]])
                )
        except BaseException as fault:
            for one in looked:
                self._give(one.about[0], fault)

    def _give(self, job: Job, said: Read | BaseException) -> None:
        try:
            job.answer.get_loop().call_soon_threadsafe(_answer, job.answer, said)
        except RuntimeError:
            pass  # the loop is closed: nobody waits


def _answer(answer: asyncio.Future, said: Read | BaseException) -> None:
    """Set an answer that is still waited for; runs in the event loop."""
    if answer.done():
        return
    if isinstance(said, BaseException):
        answer.set_exception(said)
    else:
        answer.set_result(said)


def _refused(data: bytes, limits: Limits) -> Read | None:
    """Return the refusal of a file that is no picture, or one too large to be decoded; None where it may be."""
    size = size_in_head(data) if data else (0, 0)
    if size is None:
        return Read(problem="not a picture of a kind that mien reads", status=415)
    width, height = size
    if width * height > limits.pixels:
        return Read(problem=f"{width:,} x {height:,} is more than {limits.pixels:,} pixels", status=422)
    return None
