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

from mien.errors import PictureError, UnknownPicture
from mien.pictures import decode
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


class Asked:
    """A request's pictures: `done` ends when each has its answer, or with what ends the waiting. Of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pictures: int) -> None:
        self.done = loop.create_future()
        self._answers: list[Read | None] = [None] * pictures
        self._left = pictures

    def answer(self, place: int, said: Read | BaseException) -> None:
        """Take the answer of a picture."""
        if isinstance(said, BaseException):
            self.fail(said)
            return
        self._answers[place] = said
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(self._answers)

    def fail(self, fault: BaseException) -> None:
        """End the waiting."""
        if not self.done.done():
            self.done.set_exception(fault)

    async def watch(self, receive) -> None:
        """End the waiting when the client closes the connection."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.fail(ClientGone())


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A picture to be read, and who waits for it."""

    data: bytes
    crop: bool
    explain: bool
    asked: Asked
    place: int

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.asked.done.done()


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

    async def read(self, files: Sequence[bytes], receive, *, crop: bool, explain: bool) -> list[Read]:
        """Return what is read in picture files, in order; Problem 503 after the limit, ClientGone for nobody."""
        loop, seconds = asyncio.get_running_loop(), self._limits.seconds
        asked = Asked(loop, len(files))
        late = Problem(503, f"not read within {seconds:g} s; try again, or send less at once")
        patience, watch = loop.call_later(seconds, asked.fail, late), loop.create_task(asked.watch(receive))
        for place, data in enumerate(files):
            self._jobs.put(Job(data, crop, explain, asked, place))
        try:
            return await asked.done
        finally:
            patience.cancel()
            watch.cancel()

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
        if job.unwanted:
            return []
        try:
            pixels = decode(job.data, color=True, most_pixels=self._limits.pixels).pixels
            size = pixels.shape[1], pixels.shape[0]
            looked = self._recognizer.look(pixels, crop=job.crop, about=(job, size))
            if len(looked.faces) <= self._limits.faces:
                return [looked]
            found = f"{len(looked.faces)} faces were found, more than {self._limits.faces} in a picture"
            self._give((job, Read(problem=found, status=422)))
        except PictureError as fault:
            status = 415 if isinstance(fault, UnknownPicture) else 422
            self._give((job, Read(problem=str(fault), status=status)))
        except BaseException as fault:
            self._give((job, fault))
        return []

    def _read(self, looked: list[Looked]) -> None:
        """Read faces together and answer for their pictures; what is to be explained comes last."""
        total = sum(len(one.faces) for one in looked)
        if total:
            self._metrics.observe("mien_batch_faces", total)
        try:
            said, explained = [], []
            for one, faces in self._recognizer.read_together(looked) if looked else ():
                job, size = one.about
                if job.explain and faces:
                    explained.append((job, faces, size))
                else:
                    said.append((job, Read(faces, size)))
            self._give(*said)
            for job, faces, size in explained:
                most = 0 if job.unwanted else self._limits.explained
                maps = [self._recognizer.explain(face) for face in faces[:most]]
                self._give((job, Read(faces, size, explained=maps)))
        except BaseException as fault:
            self._give(*((one.about[0], fault) for one in looked))

    def _give(self, *said: tuple[Job, Read | BaseException]) -> None:
        """Have the event loop take answers."""
        if said:
            try:
                said[0][0].asked.done.get_loop().call_soon_threadsafe(_take, said)
            except RuntimeError:
                pass  # the loop is closed: nobody waits


def _take(said: Sequence[tuple[Job, Read | BaseException]]) -> None:
    for job, answer in said:
        job.asked.answer(job.place, answer)
