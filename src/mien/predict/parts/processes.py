"""Parts made by processes of their own, one thread each. A process that ends over a picture is replaced.

What a process does to a part is idempotent, so a part is begun anew where its process ended. A message says how far
several pictures are; a successor sends one for each, so that it is known over which picture it ends. A picture over
which two successors ended is not decoded again: it is one that cannot be used.
"""

import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from mien.errors import MienError, StorageError
from mien.pictures import quiet
from mien.predict.parts.plan import Part
from mien.predict.parts.write import Job, Progress, Totals, write_part

MOST_DEATHS = 2  # of successors over one picture, before it is passed over
TOGETHER, TOGETHER_SECONDS = 32, 0.25  # pictures in a message at most, and their time
NOT_STARTED = "the processes that classify do not start, or end at once"

if TYPE_CHECKING:
    from multiprocessing.connection import Connection, PipeConnection

Message = Progress | Totals | MienError


def work(channel: "Connection | PipeConnection", job: Job) -> None:
    """Make the parts that come, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it, too; the parent ends it
    with suppress(EOFError, OSError), quiet(), channel:
        while True:
            part, crashed, together = channel.recv()
            with _Reports(channel, together) as reports:
                try:
                    end: Totals | MienError = write_part(job, part, crashed, reports.add)
                except MienError as error:
                    end = error
            channel.send(end)


class _Reports:
    """Progress, sent for several pictures at a time, as a message takes as long as a tenth of a small picture does."""

    def __init__(self, channel: "Connection | PipeConnection", together: int) -> None:
        self._channel, self._together = channel, together
        self._problems: list[str] = []
        self._sent = time.monotonic()

    def __enter__(self) -> "_Reports":
        return self

    def __exit__(self, *_: object) -> None:
        if self._problems:
            self._send()

    def add(self, problem: str) -> None:
        """Take a picture's line."""
        self._problems.append(problem)
        if len(self._problems) >= self._together or time.monotonic() - self._sent > TOGETHER_SECONDS:
            self._send()

    def _send(self) -> None:
        self._channel.send(Progress(self._problems))
        self._problems, self._sent = [], time.monotonic()


class PartProcess:
    """A process that makes parts, and its successors. To be entered and left."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._stack = ExitStack()
        self._part: Part | None = None
        self._crashed: set[int] = set()  # places of pictures that are not decoded again
        self._deaths: Counter[int] = Counter()
        self._reached = self._reported = 0
        self._together = TOGETHER

    def __enter__(self) -> "PartProcess":
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._job), daemon=True)
        process.start()
        theirs.close()
        self._stack.callback(process.join)
        self._stack.callback(process.kill)
        self._stack.callback(self.connection.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, part: Part) -> None:
        """Have a part made; `receive` says how far it is."""
        self._part, self._crashed, self._deaths, self._reported = part, set(), Counter(), 0
        self._together = TOGETHER
        self._send()

    def receive(self) -> Message | None:
        """Wait for and return the next message on the part, of which Totals is the last; None for one that is no news.

        StorageError where processes end whatever the picture is.
        """
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            self._replace()
            return None
        if isinstance(message, Progress):
            self._reached += len(message.problems)
            if self._reached <= self._reported:  # a successor repeats what was reported
                return None
            self._reported = self._reached
        return message

    def _replace(self) -> None:
        self._stack.close()
        self._deaths[self._reached] += self._together == 1  # else it may have been a later picture
        self._together = 1
        if self._deaths[self._reached] > MOST_DEATHS:
            raise StorageError(NOT_STARTED)
        if self._deaths[self._reached] == MOST_DEATHS:
            self._crashed.add(self._reached)
        self.__enter__()
        self._send()

    def _send(self) -> None:
        self._reached = 0
        with suppress(OSError):  # of a process that ended: `receive` sees it
            self.connection.send((self._part, frozenset(self._crashed), self._together))


def make_parts(job: Job, parts: Iterable[Part], workers: int) -> Iterator[Progress | Totals]:
    """Yield how far the parts are, made by at most so many processes at a time; errors of theirs are raised."""
    waiting = deque(parts)
    with ExitStack() as stack:
        busy = [stack.enter_context(PartProcess(job)) for _ in range(min(workers, len(waiting)))]
        for process in busy:
            process.begin(waiting.popleft())
        while busy:
            ready = wait([process.connection for process in busy])
            for process in [one for one in busy if one.connection in ready]:
                message = process.receive()
                if isinstance(message, MienError):
                    raise message
                if isinstance(message, Totals):
                    if waiting:
                        process.begin(waiting.popleft())
                    else:
                        busy.remove(process)
                if message is not None:
                    yield message
