"""One video after the other read, and told to all that want to know. Knows nothing about options or files' places."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mien.errors import DataError, VideoError
from mien.pack.tree import shown
from mien.predict import Recognizer
from mien.predict.answer import CAMERA_NOTICE
from mien.predict.growing import Tables
from mien.progress import Counting
from mien.video.film import Film
from mien.video.footage import Footage, Frame
from mien.video.people import People, Person
from mien.video.rows import Changes, Table, summary
from mien.video.seen import Region, TrackedFrame, Watcher
from mien.video.sources import Source
from mien.video.timeline import write as write_timeline


@dataclass(frozen=True, slots=True)
class Limits:
    """Which frames of each source are read."""

    seconds: float | None = None
    frames: int | None = None
    every: int = 1

    def check(self) -> None:
        """Raise DataError where a limit leaves nothing."""
        for name in ("seconds", "frames", "every"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise DataError(f"--{name} must be above 0 and is {limit:g}")

    def within(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield every so many-th frame up to where enough is read."""
        count = due = 0
        for frame in frames:
            if self.seconds is not None and frame.seconds >= self.seconds:
                return
            if frame.number < due:
                continue
            yield frame
            count, due = count + 1, frame.number + self.every
            if count == self.frames:
                return

    def total(self, footage: Footage) -> int | None:
        """Return about how many frames are read, None where nobody knows."""
        if footage.total is None:
            return self.frames
        count = (
            footage.total if self.seconds is None else min(footage.total, round(self.seconds * footage.rate))
        )
        return min(-(-count // self.every), self.frames or count)


class Run:
    """Reads one source after the other; `out` takes what people read, None where a table takes standard output."""

    def __init__(
        self,
        recognizer: Recognizer,
        limits: Limits,
        region: Region | None,
        progress: Counting,
        tables: Tables[Table],
        out: TextIO | None,
    ) -> None:
        self._recognizer, self._limits, self._region = recognizer, limits, region
        self._progress, self._tables, self._out = progress, tables, out
        self._changes: Changes | None = None  # told of a camera
        self._notes: set[str] = set()  # those on films, each told once
        self.counts = Counter(videos=tables.kept.items, failed=tables.kept.outcomes["failed"])

    def read_all(self, sources: Sequence[Source]) -> Counter[str]:
        """Read the sources that the tables do not hold yet, in their order; return what `counts` is then."""
        for source in sources[self._tables.kept.items :]:
            self.read(source)
        return self.counts

    def read(self, source: Source) -> None:
        """Read a source and tell all that is to be told of it."""
        self._changes = Changes() if self._out and source.live else None
        people, notes = None, []
        try:
            footage = source.open()
            if source.live:
                print(CAMERA_NOTICE, file=sys.stderr)
        except VideoError as error:
            problem = str(error)
        else:
            with closing(footage):
                people = People(self._recognizer.model.labels, footage.rate / self._limits.every)
                problem = self._frames(source, footage, people)
            notes = footage.notes
        self._tables.write(lambda table: table.end(source.name, people, problem))
        self._tables.end_item()
        for note in (*notes, problem):
            _tell(shown(source.name), note)
        self.counts.update(videos=1, failed=int(bool(problem)))
        if people is not None and people.frames:
            self.counts.update(frames=people.frames, people=people.staying)
            if self._out:
                missed = people.missed if source.live and self._limits.every == 1 else 0
                print(summary(shown(source.name), people, missed=missed), file=self._out, flush=True)

    def _frames(self, source: Source, footage: Footage, people: People) -> str:
        """Read the frames; return why they are not all, or ""."""
        watcher, problem = Watcher(self._recognizer, region=self._region), ""
        frames = self._limits.within(footage.frames())
        if not source.live:
            frames = self._progress.over(shown(source.name), self._limits.total(footage), frames)
        rate = footage.rate / self._limits.every
        with Film(source.film, rate, sound=source.sound) if source.film else nullcontext() as film:
            try:
                for frame in frames:
                    tracked = watcher.see(frame)
                    self._write(source.name, tracked, people.add(tracked))
                    if film:
                        film.add(tracked)
            except VideoError as error:
                problem = str(error)
            self._write(source.name, None, people.end())
        if film and film.note not in self._notes:
            self._notes.add(film.note)
            _tell(str(source.film), film.note)
        if source.timeline and people.frames:
            write_timeline(people, source.timeline, shown(Path(source.name).name))
        return problem

    def _write(self, name: str, tracked: TrackedFrame | None, left: Sequence[Person]) -> None:
        """Write a frame, and the people who stayed and have left."""
        if tracked is not None:
            self._tables.write(lambda table: table.frame(name, tracked))
            if self._out and self._changes:
                print(self._changes.lines(tracked), end="", file=self._out, flush=True)
        for person in left:
            self._tables.write(lambda table, person=person: table.person(name, person))


def _tell(name: str, note: str) -> None:
    if note:
        print(f"mien: {name}: {note}", file=sys.stderr)
