"""Pictures of many requests read at once: bounded, on threads, faces in batches. Knows nothing about HTTP's ways.

A thread decodes pictures, finds and cuts out their faces, of whichever requests, and reads these together. Nobody waits
for a batch to fill: it is read when nothing else waits, when it is full, or when its first picture has waited a moment.
So batches grow by themselves where more comes than is read.

Where there is one thread alone, small pictures of faces are read in the event loop itself, a batch a turn: on one core
a thread gains nothing, and handing over to it and back takes a twentieth of the time that such a face takes.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from queue import Empty, PriorityQueue

import numpy as np

from mien.errors import PictureError, TooManyPixels, UnknownPicture
from mien.pictures import decode
from mien.predict.recognizer import Detections, ReadFace, Recognizer
from mien.serve.metrics import Metrics
from mien.serve.problems import ClientGone, Problem
from mien.serve.settings import Limits

# Faces that are read at once: on one core 8 % less time a face than alone, 32 are no faster than alone.
TOGETHER = 8
MOMENT = 0.01  # seconds that the first picture of a batch waits for others, which are looked at meanwhile
# The event loop may read what takes a millisecond or two, and a file made to take long a tenth of a second at most: of
# 64 KiB and 512 x 512 pixels a JPEG can be made that takes two seconds.
SMALL_BYTES, SMALL_PIXELS = 16 * 1024, 256 * 256


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
        self.waiting = 0  # pictures that wait or are being read
        self._of: dict[str, int] = {}  # the same by client
        self._bytes = 0  # of bodies
        self._held: dict[object, tuple[str, int]] = {}  # whose they are and how many, by request
        self._bytes_of: dict[str, int] = {}  # the same by client

    def check(self, client: str, pictures: int) -> None:
        """Raise Problem where so many more pictures cannot wait now."""
        own = self._of.get(client, 0)
        if own and own + pictures > self._limits.of_one_client:
            raise Problem(
                429, f"{own} pictures of this address wait already; send more when these are answered"
            )
        if self.waiting + pictures > self._limits.waiting:
            raise Problem(503, f"{self.waiting} pictures wait already; try again")

    def enter(self, client: str, pictures: int) -> None:
        """Let pictures in, or raise Problem."""
        self.check(client, pictures)
        self._of[client] = self._of.get(client, 0) + pictures
        self._wait(pictures)

    def leave(self, client: str, pictures: int) -> None:
        """Let them out."""
        left = self._of.pop(client) - pictures
        if left:
            self._of[client] = left
        self._wait(-pictures)

    def of(self, client: str) -> int:
        """Return how many pictures of a client wait or are being read."""
        return self._of.get(client, 0)

    def hold(self, client: str, request: object, size: int) -> None:
        """Count bytes that a request's body takes; raise Problem where a client's, or all together, are too many."""
        if self._bytes_of.get(client, 0) + size > self._limits.bytes_of_one_client:
            raise Problem(429, "too many bytes of this address wait; send more when these are answered")
        if self._bytes + size > self._limits.waiting_bytes:
            raise Problem(503, "too many bytes wait to be read; try again")
        self._held[request] = (client, self._held.get(request, (client, 0))[1] + size)
        self._take(client, size)

    def release(self, request: object) -> None:
        """Forget the bytes of a request."""
        client, size = self._held.pop(request, ("", 0))
        self._take(client, -size)

    def _wait(self, pictures: int) -> None:
        self.waiting += pictures
        self._metrics.set("mien_pictures_waiting", self.waiting)

    def _take(self, client: str, size: int) -> None:
        self._bytes += size
        left = self._bytes_of.pop(client, 0) + size
        if left:
            self._bytes_of[client] = left
        self._metrics.set("mien_body_bytes_waiting", self._bytes)


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
    most_pixels: int
    asked: Asked
    place: int

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.asked.done.done()


Answer = tuple[Job, Read | BaseException]


class Reading:
    """Reads pictures for an event loop, with threads of its own."""

    def __init__(self, recognizer: Recognizer, threads: int, limits: Limits, metrics: Metrics) -> None:
        self._recognizer = recognizer
        self._limits = limits
        self._metrics = metrics
        self._jobs: PriorityQueue = (
            PriorityQueue()
        )  # (turn, number, job): the lowest turn first, of equals the oldest
        self._number = count()
        self._turn = 0  # that was reached: who comes now comes after it, so nobody waits forever
        self._small: deque[Job] = deque()  # for the event loop
        self._turn_taken = False  # whether a batch was read in this turn of the event loop
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    async def read(
        self, files: Sequence[bytes], receive, *, crop: bool, explain: bool, behind: int = 0
    ) -> list[Read]:
        """Return what is read in picture files, in order; Problem 503 after the limit, ClientGone for nobody.

        `behind` is how many others of the same client wait. Clients have their turns one after the other, a picture
        each, so nobody who sends much keeps those waiting who send little (Demers et al. 1989).
        """
        loop, limits = asyncio.get_running_loop(), self._limits
        small = len(self._threads) == 1 and crop and not explain and max(map(len, files)) <= SMALL_BYTES
        most = min(limits.pixels, SMALL_PIXELS) if small else limits.pixels
        asked = Asked(loop, len(files))
        jobs = [Job(data, crop, explain, most, asked, place) for place, data in enumerate(files)]
        if small:
            self._small += jobs
            if not self._turn_taken:
                self._read_small(loop)
            if asked.done.done():
                return asked.done.result()
        else:
            for job in jobs:
                self._put(job, self._turn + behind + job.place)
        late = Problem(503, f"not read within {limits.seconds:g} s; try again, or send less at once")
        patience = loop.call_later(limits.seconds, asked.fail, late)
        watch = loop.create_task(asked.watch(receive))
        try:
            return await asked.done
        finally:
            patience.cancel()
            watch.cancel()

    def close(self) -> None:
        """End the threads when they have done what waits."""
        for _ in self._threads:
            self._put(None, math.inf)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        """Read what waits for the threads, batch by batch."""
        while (job := self._taken(*self._jobs.get())) is not None:
            self._read_batch(job, self._next, _send)
            job = None  # its picture need not stay in memory while others are waited for

    def _next(self) -> Job | None:
        """Return the next job of the threads where one waits."""
        try:
            job = self._taken(*self._jobs.get_nowait())
        except Empty:
            return None
        if job is None:
            self._put(None, math.inf)  # the end, for whoever asks next
        return job

    def _taken(self, turn: float, _number: int, job: Job | None) -> Job | None:
        """Note the turn that a job had, and return it."""
        if job is not None:
            self._turn = max(self._turn, turn)
        return job

    def _put(self, job: Job | None, turn: float) -> None:
        """Have the threads read a job, or end, where nothing of an earlier turn waits."""
        self._jobs.put((turn, next(self._number), job))

    def _read_small(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read a batch of what waits for the event loop; what is left has its turn when others had theirs."""
        self._turn_taken = True
        loop.call_soon(self._next_turn, loop)
        self._read_batch(self._small.popleft(), self._next_small, _take)

    def _next_small(self) -> Job | None:
        """Return the next job of the event loop where one waits."""
        return self._small.popleft() if self._small else None

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next batch be read."""
        self._turn_taken = False
        if self._small:
            self._read_small(loop)

    def _read_batch(self, job: Job, following: Callable[[], Job | None], give: Callable[..., None]) -> None:
        """Read a job and those that follow while they come, and give the answers."""
        looked, until = [], time.monotonic() + MOMENT
        while job is not None:
            looked += self._look(job, give)
            if sum(len(one.faces) for one in looked) >= TOGETHER or time.monotonic() > until:
                break
            job = following()
        self._read(looked, give)

    def _look(self, job: Job, give: Callable[..., None]) -> list[Detections]:
        """Return a picture whose faces are found, in a list; or give why it cannot be used, and return none."""
        if job.unwanted:
            return []
        try:
            picture = decode(job.data, color=True, most_pixels=job.most_pixels)
            looked = self._recognizer.look(
                picture.pixels, crop=job.crop, reduction=picture.reduction, about=(job, picture.size)
            )
            if len(looked.faces) <= self._limits.faces:
                return [looked]
            found = f"{len(looked.faces)} faces were found, more than {self._limits.faces} in a picture"
            give((job, Read(problem=found, status=422)))
        except PictureError as fault:
            if isinstance(fault, TooManyPixels) and job.most_pixels < self._limits.pixels:
                self._put(replace(job, most_pixels=self._limits.pixels), 0)  # not for the event loop
            else:
                status = 415 if isinstance(fault, UnknownPicture) else 422
                give((job, Read(problem=str(fault), status=status)))
        except BaseException as fault:
            give((job, fault))
        return []

    def _read(self, looked: list[Detections], give: Callable[..., None]) -> None:
        """Read faces together and give answers for their pictures; what is to be explained comes last."""
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
            give(*said)
            for job, faces, size in explained:
                most = 0 if job.unwanted else self._limits.explained
                maps = [self._recognizer.explain(face) for face in faces[:most]]
                give((job, Read(faces, size, explained=maps)))
        except BaseException as fault:
            give(*((one.about[0], fault) for one in looked))


def _send(*said: Answer) -> None:
    """Have the event loop take answers of a thread."""
    if said:
        try:
            said[0][0].asked.done.get_loop().call_soon_threadsafe(_take, *said)
        except RuntimeError:
            pass  # the loop is closed: nobody waits


def _take(*said: Answer) -> None:
    """Take answers, in the event loop."""
    for job, answer in said:
        job.asked.answer(job.place, answer)
