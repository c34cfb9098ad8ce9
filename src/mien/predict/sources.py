"""Which pictures PATH… means: files, folders, patterns, `-`. Knows nothing about what is in them."""

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from mien.errors import DataError, PictureError
from mien.pack.folders import is_picture
from mien.pack.tree import shown, walk
from mien.pictures import LARGEST_FILE_BYTES, read_file
from mien.reading import open_file
from mien.system import file_key
from mien.text import joined, many, shortened

STANDARD_INPUT = "-"
LONGEST_LINE = 2**16  # bytes of a line of a list
VIDEOS = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp")
)  # fmt: skip
OURS = re.compile(r".-(faces|why\d+)\.(jpg|png)$")  # the names that `--annotate` and `--explain` give


@dataclass(frozen=True, slots=True)
class Source:
    """A picture yet to be read."""

    name: str  # the path as it was written, or below the folder that was; "-" for standard input
    read: Callable[[], bytes]  # raises PictureError where there is nothing to be read
    place: str  # its way below the folder, without ending; what is made of it takes its name from that
    missing: str = ""  # why there is no picture to be read, where that is known beforehand

    @property
    def shown(self) -> str:
        """The name as a line of text can hold it."""
        return "standard input" if self.name == STANDARD_INPUT else shown(self.name)


def sources(
    paths: Iterable[str | os.PathLike[str]], *, written: Sequence[Path] = ()
) -> tuple[list[Source], int]:
    """Return the pictures that paths mean, in their order and each once, and how many files were passed over.

    A folder means all files below it that are pictures by their names, but for hidden ones and those that mien
    itself wrote into one of the folders `written`; a pattern (`*`, `?`, `[…]`, `**`) whatever matches; `-` standard
    input. What cannot be read is a Source, too, and says so when it is read. No two places are the same.
    """
    named: dict[str, Source] = {}
    passed_over = 0
    for path in paths:
        for name in matching(os.fspath(path)):
            inside, others = _inside(name, written)
            passed_over += others
            named |= {source.name: source for source in inside if source.name not in named}
    places = apart([source.place for source in named.values()])
    return [replace(one, place=place) for one, place in zip(named.values(), places, strict=True)], passed_over


def matching(path: str) -> list[str]:
    """Return the names that a pattern matches; the path itself where it is none, or nothing matches."""
    if path == STANDARD_INPUT or os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 (it may be absolute)


def named(name: str) -> list[Source]:
    """Return the picture that a path of no folder means; one that cannot be read says why."""
    return _inside(name, ())[0]


def listed(path: str, offset: int = 0) -> Iterator[tuple[str, int]]:
    """Yield the paths that a list names, a line each, and where in it each begins, from an offset on.

    Empty lines are none. DataError for a list that cannot be read, or of a line that is no path.
    """
    try:
        with open_file(path) as file:
            file.seek(offset)
            while line := file.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise DataError(
                        f"{path}: a line of more than {LONGEST_LINE:,} bytes; one path a line is read"
                    )
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    yield name, offset
                offset += len(line)
    except OSError as error:
        raise DataError(f"{path}: the list cannot be read ({error.strerror})") from None


def all_paths(paths: Sequence[str], lists: Sequence[str]) -> list[str]:
    """Return paths and those that lists name."""
    return [*paths, *(name for path in lists for name, _ in listed(path))]


def _inside(name: str, written: Sequence[Path]) -> tuple[list[Source], int]:
    """Return the pictures that a path means, and how many files in it are none by their names."""
    path = Path(name)
    if not name:
        return [refused(name, "an empty name; a picture, a folder or a pattern is wanted")], 0
    if name == STANDARD_INPUT:
        return [Source(name, _read_standard_input, "standard-input")], 0
    if _is_folder(path):
        return _in_folder(path, written)
    if name[:5].lower() == "data:" and not os.path.lexists(name):
        return [
            refused(f"{shortened(name, 40)}", "a data URI; give a file, or the picture on standard input")
        ], 0
    if "://" in name and not os.path.lexists(name):
        return [refused(name, "mien opens files alone and fetches nothing; download it first")], 0
    if glob.has_magic(name) and not os.path.lexists(name):
        return [refused(name, "no file matches")], 0
    if path.suffix.lower() in VIDEOS:
        return [refused(name, "a video by its name; mien video reads it")], 0
    if not os.path.lexists(name):
        return [refused(name, _why_not(name))], 0
    return [Source(name, partial(read_file, name), path.stem)], 0


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # who reads it as a file tells what is wrong


def _in_folder(path: Path, written: Sequence[Path]) -> tuple[list[Source], int]:
    try:
        tree = walk(path)
    except DataError as fault:
        return [refused(str(path), str(fault).removeprefix(f"{path}: "))], 0
    files = [file for file in tree.files if not _is_ours(path / file, written)]
    pictures = [file for file in files if is_picture(file)]
    inside = [
        Source(str(path / file), partial(read_file, path / file), str(file.with_suffix("")))
        for file in pictures
    ]
    inside += [refused(str(path / left.source), left.reason) for left in tree.closed]
    return inside or [refused(str(path), _without_picture(files))], len(files) - len(pictures)


def _without_picture(files: Sequence[PurePosixPath]) -> str:
    """Return why a folder holds no picture, with the commonest endings: they may be of a kind that is not read."""
    endings = Counter(file.suffix.lower() for file in files if file.suffix)
    named = (
        joined([f"{many(count, 'file')} {ending}" for ending, count in endings.most_common(3)])
        if endings
        else ""
    )
    return f"a folder without a picture in it{named and f', with {named}'}"


def _is_ours(file: Path, written: Sequence[Path]) -> bool:
    place = Path(os.path.realpath(file))
    return bool(OURS.search(file.name)) and any(
        place.is_relative_to(os.path.realpath(folder)) for folder in written
    )


def _why_not(name: str) -> str:
    """Return why a file that is not there cannot be read: there is none, or its name is none."""
    try:
        read_file(name)
    except PictureError as fault:
        return str(fault)
    return "it has only just come; try again"


def refused(name: str, reason: str) -> Source:
    """Return a picture that cannot be read, for this reason."""

    def refuse() -> bytes:
        raise PictureError(reason)

    return Source(name, refuse, PurePosixPath(name).name, reason)


def _read_standard_input() -> bytes:
    if sys.__stdin__ is None:
        raise PictureError("standard input is closed")
    data = sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
    if len(data) > LARGEST_FILE_BYTES:
        raise PictureError(f"more than {LARGEST_FILE_BYTES:,} bytes")
    return data


def apart(names: Iterable[str]) -> list[str]:
    """Return names with a number behind each that an earlier one has already, or that some systems take for it."""
    taken: dict[str, str] = {}  # by key, in their order
    for first in names:
        name, number = first, 2
        while file_key(name) in taken:
            name, number = f"{first}-{number}", number + 1
        taken[file_key(name)] = name
    return list(taken.values())
