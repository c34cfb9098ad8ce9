"""How far long work has come: a bar on a terminal, plain lines in a log. Knows nothing about the work.

`Progress` and `Terminal` follow a training by epochs and steps, `Counting` and `TerminalCounting`
work that is so many things, one after the other.
"""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from mien.errors import Stopped

Thing = TypeVar("Thing")

LINE_EVERY_SECONDS = 30.0


class Progress:
    """Says nothing: the default for use as a library. `step` is called often, `epoch` once an epoch."""

    def begin(self, name: str, epochs: int, steps_per_epoch: int, epoch: int, step: int) -> None:
        """Work on `name` starts or goes on at `epoch` and `step`."""

    def note(self, text: str) -> None:
        """Take a line about the work, before it begins."""

    def step(self, epoch: int, step: int) -> None:
        """`step` steps of `epoch` are done."""

    def epoch(self, row: dict) -> None:
        """An epoch is done; `row` is its row of metrics."""

    def end(self) -> None:
        """The work is complete."""


class Terminal(Progress):
    """A bar with time left on a terminal, else a line an epoch and one each half minute."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._bar = None

    def begin(self, name, epochs, steps_per_epoch, epoch, step):
        """Start the bar, or write the first line."""
        self._name, self._epochs, self._steps = name, epochs, steps_per_epoch
        self._first = epoch * steps_per_epoch + step
        self._began = self._said = time.monotonic()
        self._best = ""
        if self._first:
            self._say(f"goes on in epoch {epoch + 1}, step {step + 1}")
        if self._stream.isatty():
            self._bar = self._make_bar(name, epochs * steps_per_epoch)

    def note(self, text):
        """Write the line."""
        print(text, file=self._stream, flush=True)

    def step(self, epoch, step):
        """Move the bar, or write a line when the last one is old."""
        done = epoch * self._steps + step
        if self._bar:
            self._bar.update(self._task, completed=done, note=f"epoch {epoch + 1}/{self._epochs}{self._best}")
        elif time.monotonic() - self._said > LINE_EVERY_SECONDS:
            self._say(f"epoch {epoch + 1}/{self._epochs}, step {step}/{self._steps}, {self._left(done)}")

    def epoch(self, row):
        """Write the epoch's figures."""
        self._best = f", val {row['val_accuracy']:.1%}"
        if not self._bar:
            self._say(
                f"epoch {row['epoch']}/{self._epochs}: train loss {row['train_loss']:.3f} "
                f"accuracy {row['train_accuracy']:.1%}, val loss {row['val_loss']:.3f} "
                f"accuracy {row['val_accuracy']:.1%}, {self._left(row['epoch'] * self._steps)}"
            )

    def end(self):
        """Close the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _make_bar(self, name, total):
        bar, self._task = _bar(self._stream, name, total, self._first)
        return bar

    def _left(self, done: int) -> str:
        return _time_left(self._began, done - self._first, self._epochs * self._steps - done)

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        print(f"{self._name}: {text}", file=self._stream, flush=True)


class Counting:
    """Says nothing: the default for use as a library."""

    def over(self, name: str, total: int | None, things: Iterable[Thing]) -> Iterator[Thing]:
        """Yield the things as they come, counted against `total`, None where it is not known."""
        return iter(things)

    def wait(self, name: str) -> None:
        """`name` is in the hands of another process; called again and again until that has ended."""

    def note(self, text: str) -> None:
        """Take a line about the work, as that there was nothing to do."""


class TerminalCounting(Counting):
    """A bar with time left on a terminal, else a line each half minute; without `bar` always lines.

    `stop()` is asked after each thing, and Stopped is raised where it says so: threads that work
    on the next things must not be interrupted at any other place.
    """

    def __init__(self, stream=None, stop: Callable[[], bool] = lambda: False, *, bar: bool = True):
        self._stream = stream or sys.stderr
        self._stop = stop
        self._wants_bar = bar
        self._waits = False

    def over(self, name, total, things):
        """Yield the things and tell how many there have been."""
        counted = self._bar if self._wants_bar and self._stream.isatty() else self._lines
        try:
            for thing in counted(name, total, things):
                yield thing
                if self._stop():
                    raise Stopped(f"{name}: stopped; nothing half-done was kept")
        finally:
            if isinstance(things, Generator):  # at a stop what makes the things ends at once
                things.close()

    def wait(self, name):
        """Say once that this process waits, and stop where that is asked for."""
        if not self._waits:
            self._waits = True
            self.note(f"{name}: another process works on it; waiting until it has ended")
        if self._stop():
            raise Stopped(f"{name}: stopped while another process works on it")

    def note(self, text):
        """Write the line."""
        print(text, file=self._stream, flush=True)

    def _bar(self, name, total, things):
        bar, task = _bar(self._stream, name, total, 0)
        try:
            for done, thing in enumerate(things, start=1):
                yield thing
                bar.update(task, completed=done)
        finally:
            bar.stop()

    def _lines(self, name, total, things):
        began = said = time.monotonic()
        for done, thing in enumerate(things, start=1):
            yield thing
            if time.monotonic() - said > LINE_EVERY_SECONDS:
                said = time.monotonic()
                rest = f" of {total:,}, {_time_left(began, done, total - done)}" if total else ""
                print(f"{name}: {done:,}{rest}", file=self._stream, flush=True)


def _bar(stream, name: str, total: int, done: int):
    """Return a started bar of rich's and its one task."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    times = (
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = Bar(*columns, *times, console=Console(file=stream))
    task = bar.add_task(name, total=total, completed=done, note="")
    bar.start()
    return bar, task


def _time_left(began: float, done: int, remaining: int) -> str:
    seconds = round((time.monotonic() - began) / max(1, done) * max(0, remaining))
    return f"{seconds // 60}:{seconds % 60:02d} left"
