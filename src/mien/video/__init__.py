"""Videos and cameras: people followed over time, the expression read in each. Knows nothing about training or judging.

`footage.py` and `camera.py` give frames, `follow.py` follows faces, `steady.py` smooths what is read, `seen.py` joins
these; `rows.py`, `film.py` and `timeline.py` show the answers.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mien.errors import DataError, StorageError, VideoError
from mien.faces.finder import LONG_SIDE
from mien.files import make_folder
from mien.model import Model
from mien.pack.tree import shown
from mien.predict import STANDARD_OUTPUT, Recognizer, check_options, check_outputs, real_places, written
from mien.predict.answer import LIMITS, card_at
from mien.predict.sources import apart
from mien.progress import Counting
from mien.video.camera import CameraFootage, Device, OpenCvDevice, camera_number
from mien.video.film import CODECS, Film
from mien.video.footage import FileFootage, Footage, Frame, for_opencv
from mien.video.rows import Changes, Csv, Json, summary
from mien.video.seen import Seen, SeenFace, Watcher
from mien.video.timeline import Timeline
from mien.video.timeline import write as write_timeline

__all__ = ["Frame", "Seen", "SeenFace", "Watcher", "video"]

FIGURES = (".svg", ".png")


@dataclass(frozen=True, slots=True)
class Source:
    """A video or camera yet to be opened, and where what is made of it goes."""

    name: str
    open: Callable[[], Footage]
    live: bool
    film: Path | None = None
    timeline: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each source is read."""

    seconds: float | None = None
    frames: int | None = None

    def within(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames up to where enough is read."""
        if self.frames == 0:
            return
        for count, frame in enumerate(frames, start=1):
            if self.seconds is not None and frame.seconds >= self.seconds:
                return
            yield frame
            if count == self.frames:
                return


def video(
    sources: Iterable[str | os.PathLike] = (),
    *,
    camera: int | str | Device | None = None,
    model: str | Path | Model = "pocket",
    csv: str | Path | None = None,
    json: str | Path | None = None,
    annotate: str | Path | None = None,
    timeline: str | Path | None = None,
    long_side: int = LONG_SIDE,
    seconds: float | None = None,
    frames: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Counting | None = None,
) -> Counter:
    """Read all faces in videos and write what is asked for; return the counts of videos, frames, people, failed.

    `sources` are video files, or cameras as /dev/video0; `camera` is one by number, path, or as a `Device`, and comes
    last. It is read until `stop` says so, or for `seconds` or `frames`, which limit files too. `csv` and `json` are
    files, or `-` for standard output, which has a summary otherwise. `annotate` is a video file and `timeline` a
    figure, .svg or .png; each may be a folder instead, and must be one for several sources. A source that cannot be
    used, or not to its end, is a line on standard error; what was read of it is written and the others are done.
    Raises DataError, ModelError or StorageError in one line where nothing can be done at all.
    """
    import cv2  # noqa: F401 (missing, it is told before anything is written)

    limits = Limits(seconds, frames)
    _check(csv, json, long_side, limits)
    found = _placed(_sources(sources, camera, stop), annotate, timeline)
    check_outputs({"--csv": csv, "--json": json}, real_places(source.name for source in found))
    recognizer = Recognizer(model, long_side=long_side)
    out, card = sys.stdout, card_at(str(model if not isinstance(model, Model) else model.path))
    spoken, counts = STANDARD_OUTPUT not in (csv, json), Counter()
    with ExitStack() as stack:
        told = []
        if csv is not None:
            told.append(Csv(stack.enter_context(written(csv, out)), recognizer.model))
        if json is not None:
            told.append(Json(stack.enter_context(written(json, out)), recognizer.model, card))
        for source in found:
            also = [Changes(out)] if spoken and source.live else []
            seen, problem = _watched(source, recognizer, limits, [*told, *also], progress or Counting())
            _count(counts, seen, problem)
            if seen is not None and seen.frames and spoken:
                print(summary(shown(source.name), seen), file=out, flush=True)
            if problem:
                print(f"mien: {shown(source.name)}: {problem}", file=sys.stderr)
    if spoken and counts["frames"]:
        print(f"{LIMITS} The model's card and limits: {card}", file=out)
    return counts


def _check(csv, json, long_side: int, limits: Limits) -> None:
    """Raise DataError for what cannot be asked."""
    check_options(csv, json, long_side)
    for name, limit in (("--seconds", limits.seconds), ("--frames", limits.frames)):
        if limit is not None and not limit > 0:
            raise DataError(f"{name} must be above 0 and is {limit:g}")


def _sources(
    names: Iterable[str | os.PathLike], camera: int | str | Device | None, stop: Callable[[], bool]
) -> list[Source]:
    """Return the sources in their order, each file once; what is wrong with one is told when it is opened."""
    found = {}
    for name in map(os.fspath, names):
        number = camera_number(name) if name.startswith("/dev/") else None
        found[name] = (
            Source(name, partial(_opened, name), False) if number is None else _camera(number, name, stop)
        )
    if isinstance(camera, int | str):
        number = camera if isinstance(camera, int) else camera_number(camera)
        if number is None or number < 0:
            raise DataError(f"--camera {camera}: give a camera's number, as 0, or its path, as /dev/video0")
        found.setdefault(name := f"/dev/video{number}", _camera(number, name, stop))
    elif camera is not None:
        found["camera"] = Source("camera", lambda: CameraFootage(camera, stop=stop), True)
    if not found:
        raise DataError("give a video file, or a camera with --camera 0")
    if sum(source.live for source in found.values()) > 1:
        raise DataError("one camera at a time; start mien video once more for the other one")
    return sorted(found.values(), key=lambda source: source.live)


def _camera(number: int, name: str, stop: Callable[[], bool]) -> Source:
    return Source(name, lambda: CameraFootage(OpenCvDevice(number), stop=stop), True)


def _opened(name: str) -> FileFootage:
    if name == "-":
        raise VideoError("a video is not read from standard input; give a file")
    if "://" in name and not os.path.lexists(name):
        raise VideoError("mien opens files and cameras alone and fetches nothing; download it first")
    return FileFootage(name)


def _placed(found: list[Source], annotate, timeline) -> list[Source]:
    """Return the sources with where their videos and figures go; DataError or StorageError where that cannot be."""
    films = _places(found, annotate, "--annotate", "-faces.mp4", tuple(CODECS))
    figures = _places(found, timeline, "--timeline", "-timeline.svg", FIGURES)
    if timeline is not None:
        from mien.pages.figures import themed

        with themed("video"):
            pass  # where matplotlib is missing, it is told now and not after the last frame
    return [
        Source(source.name, source.open, source.live, film, figure)
        for source, film, figure in zip(found, films, figures, strict=True)
    ]


def _places(
    found: list[Source], where, flag: str, ending: str, suffixes: tuple[str, ...]
) -> list[Path | None]:
    if where is None:
        return [None] * len(found)
    if not os.fspath(where):
        raise DataError(f"{flag}: an empty name; a file or a folder is wanted")
    path = Path(where)
    if path.suffix and not path.is_dir():
        if path.suffix.lower() not in suffixes:
            raise DataError(f"{flag} {path}: give a {', '.join(suffixes)} file, or a folder")
        if len(found) > 1:
            raise DataError(
                f"{flag} {path}: one file for {len(found)} sources; give a folder, each gets its own there"
            )
        if not path.parent.is_dir():
            raise StorageError(f"{path}: there is no folder {path.parent}")
        places = [path]
    else:
        make_folder(path)
        places = [path / f"{stem}{ending}" for stem in apart(Path(source.name).stem for source in found)]
    for place, source in zip(places, found, strict=True):
        try:
            for_opencv(place)
        except VideoError as fault:
            raise StorageError(f"{flag} {place}: {fault}") from None
        if place.exists() and Path(source.name).exists() and place.samefile(source.name):
            raise DataError(f"{flag} {place}: that is the source itself; give another name")
    return places


def _watched(
    source: Source, recognizer: Recognizer, limits: Limits, told: list, progress: Counting
) -> tuple[Timeline | None, str]:
    """Read a source; return what was seen, None where there was nothing to open, and why that is not all of it."""
    problem, people = "", None
    try:
        footage = source.open()
    except VideoError as fault:
        problem = str(fault)
    else:
        with ExitStack() as stack:
            stack.callback(footage.close)
            watcher, people = Watcher(recognizer), Timeline(recognizer.model.labels, footage.rate)
            film = stack.enter_context(Film(source.film, footage.rate)) if source.film else None
            coming = limits.within(footage.frames())
            if not source.live:
                coming = progress.over(shown(source.name), footage.total, coming)
            try:
                for frame in coming:
                    seen = watcher.see(frame)
                    for one in (*told, people, *([film] if film else [])):
                        one.add(source.name, seen)
            except VideoError as fault:
                problem = str(fault)
        if source.timeline and people.frames:
            write_timeline(people, source.timeline, shown(Path(source.name).name))
    for one in told:
        one.end(source.name, people.frames if people else 0, people.seconds if people else 0.0, problem)
    return people, problem


def _count(counts: Counter, seen: Timeline | None, problem: str) -> None:
    counts["videos"] += 1
    counts["failed"] += bool(problem)
    if seen is not None:
        counts["frames"] += seen.frames
        counts["people"] += seen.count
