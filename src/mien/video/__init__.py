"""Videos and cameras: people tracked over time, the expression of each. Knows nothing about training or judging.

`sources.py` says which videos are meant; `footage.py`, `images.py` and `camera.py` give frames, `follow.py` tracks
faces, `steady.py` smooths probabilities, `seen.py` joins these, `people.py` adds up; `rows.py`, `film.py` and
`timeline.py` show the answers.
"""

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from mien.errors import DataError, Stopped, VideoError
from mien.faces.finder import LONG_SIDE
from mien.model import Model
from mien.pack.tree import shown
from mien.predict import STANDARD_OUTPUT, Recognizer, check_options, check_outputs, real_places
from mien.predict.answer import card_at
from mien.predict.rows import encodable
from mien.progress import Counting
from mien.text import joined, many
from mien.video.camera import Device
from mien.video.film import Film
from mien.video.footage import HIGHEST_RATE, LOWEST_RATE, RATE, Footage, Frame
from mien.video.people import People, Person
from mien.video.rows import Changes, Csv, Json, PeopleCsv, Writer, summary
from mien.video.seen import Region, Seen, SeenFace, Watcher
from mien.video.sources import Source, placed
from mien.video.sources import sources as find_sources
from mien.video.tables import begin_anew, growing, take_up
from mien.video.timeline import write as write_timeline

__all__ = ["Frame", "Region", "Seen", "SeenFace", "Watcher", "video"]

NOTICE = "It says how people would label a face, not what a person feels; limits:"


@dataclass(frozen=True, slots=True)
class Limits:
    """Which frames of each source are read."""

    seconds: float | None = None
    frames: int | None = None
    every: int = 1

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


def video(
    sources: Iterable[str | os.PathLike] = (),
    *,
    camera: int | str | Device | None = None,
    model: str | Path | Model = "pocket",
    csv: str | Path | None = None,
    json: str | Path | None = None,
    people: str | Path | None = None,
    annotate: str | Path | None = None,
    timeline: str | Path | None = None,
    long_side: int = LONG_SIDE,
    region: Region | None = None,
    every: int = 1,
    seconds: float | None = None,
    frames: int | None = None,
    rate: float = RATE,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Counting | None = None,
) -> Counter:
    """Classify all faces in videos and write what is asked for; return the counts of videos, frames, people, failed.

    `sources` are videos, see `sources.py`; `camera` is one by number, path, or as a `Device`, and comes last. It is
    read until `stop` says so, or for `seconds` or `frames`, which limit files too; of `every` so many frames one is
    taken. `region` is left, top, width, height in pixels: only faces in it count. `rate` is that of numbered pictures,
    in frames a second. `csv` and `json` are files, or `-` for standard output, which has a summary otherwise; `people`
    is a file with a row a person. They grow row by row; `resume` keeps the videos that they hold whole and reads the
    others. `annotate` is a video file and `timeline` a figure, .svg or .png; each may be a folder instead, and must be
    one for several sources. A source that cannot be used, or not to its end, is a line on standard error; what was
    read of it is written and the others are done. Raises DataError, ModelError or StorageError in one line where
    nothing can be done at all, Stopped where `progress` says so, with the rows so far kept.
    """
    import cv2  # noqa: F401 (missing, it is told before anything is written)

    limits = Limits(seconds, frames, every)
    tables = {"csv": csv, "json": json, "people": people}
    _check(tables, long_side, limits, region, rate, resume)
    folder = Path(annotate) if annotate is not None else None
    found = placed(find_sources(sources, camera, stop=stop, rate=rate, written=folder), annotate, timeline)
    if timeline is not None:
        _require_matplotlib()
    check_outputs(
        {f"--{kind}": path for kind, path in tables.items()}, real_places(one.name for one in found)
    )
    recognizer = Recognizer(model, long_side=long_side)
    card = card_at(str(model if not isinstance(model, Model) else model.path))
    out = sys.stdout if STANDARD_OUTPUT not in (csv, json) else None
    files = [str(path) for path in tables.values() if path not in (None, STANDARD_OUTPUT)]
    with ExitStack() as stack:
        writers, done = _writers(stack, tables, recognizer.model, card, resume=resume)
        run = Run(recognizer, limits, region, progress or Counting(), writers, out)
        try:
            for source in found:
                if encodable(source.name) in done:
                    run.counts["resumed"] += 1
                else:
                    run.read(source)
        except Stopped as stopped:
            kept = (
                f"stopped; {joined(files)} keep what was read, and --resume goes on"
                if files
                else str(stopped)
            )
            raise Stopped(kept) from None
    if out and run.counts["resumed"]:
        print(f"{many(run.counts['resumed'], 'video')} read before", file=out)
    if out and run.counts["frames"]:
        print(f"{NOTICE} {card}", file=out)
    return run.counts


def _check(
    tables: dict[str, str | Path | None],
    long_side: int,
    limits: Limits,
    region: Region | None,
    rate: float,
    resume: bool,
) -> None:
    """Raise DataError for what cannot be asked."""
    check_options(tables["csv"], tables["json"], long_side)
    for name, limit in (
        ("--seconds", limits.seconds),
        ("--frames", limits.frames),
        ("--every", limits.every),
    ):
        if limit is not None and not limit > 0:
            raise DataError(f"{name} must be above 0 and is {limit:g}")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DataError(f"--rate must be from {LOWEST_RATE:g} to {HIGHEST_RATE:g} and is {rate:g}")
    if region is not None and not (min(region[:2]) >= 0 and min(region[2:]) > 0):
        raise DataError(f"--region must be x,y,width,height in pixels and is {','.join(map(str, region))}")
    if tables["people"] == STANDARD_OUTPUT:
        raise DataError("--people: give the name of a file")
    if resume and (STANDARD_OUTPUT in tables.values() or not (tables["csv"] or tables["json"])):
        raise DataError("--resume goes on with a file: give it with --csv or --json")


def _require_matplotlib() -> None:
    """Raise MissingExtra where there is none: before the first frame and not after the last one."""
    from mien.pages.figures import themed

    with themed("video"):
        pass


def _writers(
    stack: ExitStack, tables: dict[str, str | Path | None], model: Model, card: str, *, resume: bool
) -> tuple[list[Writer], frozenset[str]]:
    """Open the tables; return who writes them, and the videos that they hold already."""
    kinds = {"csv": partial(Csv, model=model), "json": partial(Json, model=model, card=card)}
    kinds["people"] = partial(PeopleCsv, model=model)
    files = {kind: Path(path) for kind, path in tables.items() if path not in (None, STANDARD_OUTPUT)}
    done: frozenset[str] = frozenset()
    if resume:
        done = take_up({kind: (path, _first_line(kinds[kind])) for kind, path in files.items()})
    else:
        for path in files.values():
            begin_anew(path)
    writers: list[Writer] = [
        kinds[kind](stack.enter_context(growing(path)), begun=path.stat().st_size > 0)
        for kind, path in files.items()
    ]
    writers += [kinds[kind](sys.stdout) for kind, path in tables.items() if path == STANDARD_OUTPUT]
    return writers, done


def _first_line(write: Callable[[TextIO], Writer]) -> str:
    text = io.StringIO()
    write(text)
    return text.getvalue()


class Run:
    """Reads one source after the other; `out` takes what people read, None where a table takes standard output."""

    def __init__(
        self,
        recognizer: Recognizer,
        limits: Limits,
        region: Region | None,
        progress: Counting,
        writers: list[Writer],
        out: TextIO | None,
    ) -> None:
        self._recognizer, self._limits, self._region = recognizer, limits, region
        self._progress, self._writers, self._out = progress, writers, out
        self._notes: set[str] = set()  # those on films, each told once
        self.counts: Counter = Counter()

    def read(self, source: Source) -> None:
        """Read a source and tell all that is to be told of it."""
        writers = [*self._writers, *([Changes(self._out)] if self._out and source.live else [])]
        people, missed, problem, notes = None, 0, "", []
        try:
            footage = source.open()
        except VideoError as error:
            problem = str(error)
        else:
            people = People(self._recognizer.model.labels, footage.rate / self._limits.every)
            try:
                missed, problem = self._frames(source, footage, people, writers)
            finally:
                footage.close()
            notes = footage.notes
        for one in writers:
            one.end(source.name, people, problem)
        name = shown(source.name)
        for note in (*notes, *([problem] if problem else [])):
            print(f"mien: {name}: {note}", file=sys.stderr)
        if people is not None and people.frames and self._out:
            print(summary(name, people, missed=missed), file=self._out, flush=True)
        self.counts.update(videos=1, failed=int(bool(problem)))
        if people is not None:
            self.counts.update(frames=people.frames, people=people.staying)

    def _frames(
        self, source: Source, footage: Footage, people: People, writers: list[Writer]
    ) -> tuple[int, str]:
        """Read the frames; return how many of a camera were missed, and why they are not all."""
        watcher, problem, read = Watcher(self._recognizer, region=self._region), "", -1
        frames = self._limits.within(footage.frames())
        if not source.live:
            frames = self._progress.over(shown(source.name), self._limits.total(footage), frames)
        with ExitStack() as stack:
            film = self._film(stack, source, footage)
            try:
                for frame in frames:
                    seen, read = watcher.see(frame), frame.number
                    for one in writers:
                        one.add(source.name, seen)
                    self._leave(source.name, people.add(seen), writers)
                    if film:
                        film.add(seen)
            except VideoError as error:
                problem = str(error)
            self._leave(source.name, people.end(), writers)
        if film and film.note and film.note not in self._notes:
            self._notes.add(film.note)
            print(f"mien: {source.film}: {film.note}", file=sys.stderr)
        if source.timeline and people.frames:
            write_timeline(people, source.timeline, shown(Path(source.name).name))
        return (read + 1 - people.frames if source.live and self._limits.every == 1 else 0), problem

    def _film(self, stack: ExitStack, source: Source, footage: Footage) -> Film | None:
        if source.film is None:
            return None
        return stack.enter_context(Film(source.film, footage.rate / self._limits.every, sound=source.sound))

    @staticmethod
    def _leave(name: str, people: list[Person], writers: list[Writer]) -> None:
        for person in people:
            for one in writers:
                one.left(name, person)
