"""Which videos and cameras SOURCE… means, and where what is made of each goes. Knows nothing about what is in them."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mien.errors import DataError, StorageError, VideoError
from mien.files import make_folder, require_place
from mien.pack.folders import is_picture
from mien.pack.tree import walk
from mien.predict.sources import VIDEOS, apart, matching
from mien.video.camera import CameraFootage, Device, OpenCvDevice, camera_number
from mien.video.film import SUFFIXES
from mien.video.footage import FileFootage, Footage, for_opencv
from mien.video.images import PATTERN, ImageFootage, of_names, of_pattern

FIGURES = (".svg", ".png")
FILM_ENDING, FIGURE_ENDING = "-faces.mp4", "-timeline.svg"
ENDINGS = VIDEOS | {".ts", ".vob", ".ogv", ".mpe", ".asf"}
OURS = re.compile(r".-faces\.\w+$")


@dataclass(frozen=True, slots=True)
class Source:
    """A video or camera yet to be opened, and where what is made of it goes."""

    name: str
    open: Callable[[], Footage]
    live: bool = False
    sound: Path | None = None  # the file with its sound, if it is one
    film: Path | None = None
    timeline: Path | None = None


def sources(
    names: Iterable[str | os.PathLike],
    camera: int | str | Device | None,
    *,
    stop: Callable[[], bool],
    rate: float,
    written: Path | None = None,
) -> list[Source]:
    """Return the sources in their order, each once; what is wrong with one is told when it is opened.

    A name is a file, a pattern (`*`, `?`, `[…]`, `**`), numbered pictures (`%05d`), or a folder: all videos below it
    but those that mien wrote into `written`, or, where it has none, the numbered pictures in each folder. `rate` is
    that of pictures, `stop` ends a camera.
    """
    by_name: dict[str, Source] = {}
    for name in names:
        for source in _named(os.fspath(name), stop, rate, written):
            by_name.setdefault(source.name, source)
    if isinstance(camera, int | str):
        number = camera if isinstance(camera, int) else camera_number(camera)
        if number is None or number < 0:
            raise DataError(f"--camera {camera}: give a camera's number, as 0, or its path, as /dev/video0")
        by_name.setdefault(name := f"/dev/video{number}", _camera(number, name, stop))
    elif camera is not None:
        by_name["camera"] = Source("camera", lambda: CameraFootage(camera, stop=stop), live=True)
    if not by_name:
        raise DataError("give a video file, or a camera with --camera 0")
    if sum(source.live for source in by_name.values()) > 1:
        raise DataError("one camera at a time; start mien video once more for the other one")
    return sorted(by_name.values(), key=lambda source: source.live)


def _named(name: str, stop: Callable[[], bool], rate: float, written: Path | None) -> list[Source]:
    """Return the sources that a name means, at least one."""
    number = camera_number(name) if name.startswith("/dev/") else None
    if number is not None:
        return [_camera(number, name, stop)]
    if os.path.isdir(name):  # noqa: PTH112 (false where a name is too long)
        return _in_folder(Path(name), rate, written)
    if os.path.lexists(name) or "://" in name:
        return [_file(name)]
    if PATTERN.search(name):
        return [Source(name, lambda: ImageFootage(of_pattern(name), rate))]
    return [_file(file) for file in matching(name) if os.path.isfile(file)] or [_file(name)]  # noqa: PTH113


def _in_folder(folder: Path, rate: float, written: Path | None) -> list[Source]:
    try:
        tree = walk(folder)
    except DataError as error:
        return [_refused(str(folder), str(error).removeprefix(f"{folder}: "))]
    ours = os.path.realpath(written) if written is not None else None
    videos = [folder / file for file in tree.files if file.suffix.lower() in ENDINGS]
    if videos := [one for one in videos if not OURS.search(one.name) or os.path.realpath(one.parent) != ours]:
        return [_file(str(file)) for file in videos]
    pictures: dict[Path, list[Path]] = {}
    for file in filter(is_picture, tree.files):
        pictures.setdefault((folder / file).parent, []).append(folder / file)
    numbered = [
        Source(str(parent), lambda files=files: ImageFootage(of_names(files), rate))
        for parent, files in pictures.items()
    ]
    return numbered or [_refused(str(folder), "a folder without a video or numbered pictures in it")]


def _file(name: str) -> Source:
    return Source(name, partial(_opened, name), sound=Path(name))


def _camera(number: int, name: str, stop: Callable[[], bool]) -> Source:
    return Source(name, lambda: CameraFootage(OpenCvDevice(number), stop=stop), live=True)


def _refused(name: str, reason: str) -> Source:
    def refuse() -> Footage:
        raise VideoError(reason)

    return Source(name, refuse)


def _opened(name: str) -> FileFootage:
    if name == "-":
        raise VideoError("a video is not read from standard input; give a file")
    if not os.path.lexists(name):
        if "://" in name:
            raise VideoError("mien opens files and cameras alone and fetches nothing; download it first")
        if camera_number(name) is not None:
            raise VideoError(f"no such file; a camera is read with --camera {name}")
        if glob.has_magic(name):
            raise VideoError("no file matches")
    return FileFootage(name)


def placed(found: Sequence[Source], annotate, timeline) -> list[Source]:
    """Return the sources with where their films and figures go; DataError or StorageError where that cannot be."""
    films = _places(found, annotate, "--annotate", FILM_ENDING, SUFFIXES)
    figures = _places(found, timeline, "--timeline", FIGURE_ENDING, FIGURES)
    if timeline is not None:
        from mien.pages.figures import themed

        with themed("video"):
            pass  # where matplotlib is missing, it is told now and not after the last frame
    return [
        replace(source, film=film, timeline=figure)
        for source, film, figure in zip(found, films, figures, strict=True)
    ]


def _places(
    found: Sequence[Source], where: str | os.PathLike | None, flag: str, ending: str, suffixes: Sequence[str]
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
        require_place(path)
        places = [path]
    else:
        make_folder(path)
        places = [path / f"{stem}{ending}" for stem in apart(Path(source.name).stem for source in found)]
    for place, source in zip(places, found, strict=True):
        try:
            for_opencv(place)
        except VideoError as error:
            raise StorageError(f"{flag} {place}: {error}") from None
        if place.exists() and Path(source.name).exists() and place.samefile(source.name):
            raise DataError(f"{flag} {place}: that is the source itself; give another name")
    return [*places]
