"""Which pictures there are and how they are cut into parts. Reads no picture.

A plan depends on the sources alone: not on the shard, the machine or what is done already. So each machine makes the
same one, and a part has the same name and pictures wherever and whenever it is made.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from mien.errors import DataError
from mien.pack.archives import COMPRESSED_TAR
from mien.pack.folders import is_picture
from mien.pack.tree import walk
from mien.pictures import read_file
from mien.predict.parts.archives import (
    Archive,
    Chunk,
    Collection,
    open_parquet_file,
    path_and_size,
)
from mien.predict.sources import STANDARD_INPUT, Source, listed, matching, named, refused

ARCHIVES = (".tar", ".zip", ".parquet")
FEWEST, MOST, PARTS = 50, 4000, 256  # pictures in a part; parts that are aimed at between these bounds
MARK_EVERY = 1000  # pictures of a list


@dataclass(frozen=True, slots=True)
class Part:
    """So many pictures, which one process classifies into one file."""

    name: str  # of the file
    pictures: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Files by their paths; those in `reasons` cannot be read, for that reason."""

    names: Sequence[str]
    reasons: Mapping[str, str]

    dealt_whole = False

    @property
    def identity(self) -> Iterator[str]:
        """All paths and reasons."""
        return (f"{name}\0{self.reasons.get(name, '')}" for name in self.names)

    def count(self) -> int:
        """Return how many there are."""
        return len(self.names)

    def chunk(self, start: int, stop: int) -> "NamedFiles":
        """Return a stretch of them."""
        names = tuple(self.names[start:stop])
        return NamedFiles(names, {name: self.reasons[name] for name in names if name in self.reasons})

    def pictures(self) -> Iterator[Source]:
        """Yield the files as pictures."""
        for name in self.names:
            reason = self.reasons.get(name)
            yield refused(name, reason) if reason else Source(name, partial(read_file, name), "")


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """The pictures that a list names, a line each; `marks` are where every thousandth stands in it."""

    path: str
    pictures: int
    marks: Sequence[int]

    dealt_whole = False

    @property
    def identity(self) -> Iterator[str]:
        """Its path and size."""
        yield path_and_size(self.path)

    def count(self) -> int:
        """Return how many pictures it names."""
        return self.pictures

    def chunk(self, start: int, stop: int) -> "ListChunk":
        """Return a stretch of them."""
        mark, skipped = divmod(start, MARK_EVERY)
        return ListChunk(self.path, self.marks[mark], skipped, stop - start)


@dataclass(frozen=True, slots=True)
class ListChunk:
    """So many pictures of a list, behind those that are skipped from an offset on."""

    path: str
    offset: int
    skipped: int
    number: int

    def pictures(self) -> Iterator[Source]:
        """Yield the pictures."""
        names = (name for name, _ in listed(self.path, self.offset) if not _is_archive(name))
        for name in islice(names, self.skipped, self.skipped + self.number):
            yield Source(name, partial(read_file, name), "")


@dataclass(slots=True)
class Plan:
    """All pictures, in collections that have an order."""

    collections: list[Collection] = field(default_factory=list[Collection])
    passed_over: int = 0  # files in folders that are no pictures by their names

    def fingerprint(self) -> dict[str, int | str]:
        """Return what tells whether the sources are the same: how many, and a hash of names and archives' sizes."""
        digest = hashlib.sha256()
        for collection in self.collections:
            for part in collection.identity:
                digest.update(f"{part}\0\0".encode(errors="surrogateescape"))
        return {"collections": len(self.collections), "sha256": digest.hexdigest()}

    def parts(self, shard: int, shards: int, pictures: int | None = None) -> Iterator[Part]:
        """Yield the parts of one of so many shards, from 0, each of `pictures` or as many as suit a collection.

        A tar archive goes to one shard whole; of all else the parts are dealt in turn.
        """
        for number, collection in enumerate(self.collections):
            if collection.dealt_whole and number % shards != shard:
                continue
            count = collection.count()
            size = pictures or _suitable(count * len(self.collections))
            for place, start in enumerate(range(0, count, size)):
                if collection.dealt_whole or (number + place) % shards == shard:
                    stop = min(start + size, count)
                    name = f"part-{number:05}-{place:05}.parquet"
                    yield Part(name, stop - start, collection.chunk(start, stop))


def _suitable(count: int) -> int:
    return min(MOST, max(FEWEST, math.ceil(count / PARTS)))


def plan_of(
    paths: Iterable[str | os.PathLike[str]], lists: Iterable[str], out: Path, name_column: str | None
) -> Plan:
    """Return the plan for files, folders, patterns, archives and lists of these; what lies in `out` is no source.

    An archive or a parquet file that cannot be opened is a picture that cannot be used; DataError for a list that
    cannot be read, and where there is nothing to be read at all.
    """
    sources = _Sources(os.path.realpath(out))
    for path in paths:
        for name in matching(os.fspath(path)):
            sources.add(name)
    whole_lists = [_index_list(path, sources) for path in lists]
    plan = Plan(passed_over=sources.passed_over)
    opened = [sources.opened(path, name_column) for path in dict.fromkeys(sources.archives)]
    if sources.names:
        plan.collections.append(NamedFiles(list(sources.names), sources.reasons))
    plan.collections += [one for one in whole_lists if one.pictures]
    plan.collections += [one for one in opened if one is not None]
    if len(sources.reasons) == len(sources.names) and len(plan.collections) <= bool(sources.names):
        first = next(iter(sources.reasons.items()), None)
        raise DataError(f"{first[0]}: {first[1]}" if first else "no picture is named")
    return plan


class _Sources:
    """What the paths of a command mean."""

    def __init__(self, out: str) -> None:
        self.names: dict[str, None] = {}  # of files, in their order
        self.reasons: dict[str, str] = {}  # why some of them cannot be read
        self.archives: list[str] = []
        self.passed_over = 0
        self._out = out

    def add(self, name: str) -> None:
        """Take a path that is no pattern."""
        if name == STANDARD_INPUT:
            raise DataError("--parquet reads files, folders, archives and lists, not standard input")
        if Path(name).is_dir():
            self._add_folder(name)
        elif _is_archive(name):
            self.archives.append(name)
        elif name.lower().endswith(COMPRESSED_TAR):
            self._refuse(name, "a compressed archive is not read from its middle; decompress it to .tar")
        else:
            for source in named(name):
                self.names[source.name] = None
                if source.missing:
                    self._refuse(source.name, source.missing)

    def _add_folder(self, name: str) -> None:
        try:
            tree = walk(Path(name))
        except DataError as error:
            self._refuse(name, str(error).removeprefix(f"{name}: "))
            return
        for file in tree.files:
            path = os.path.join(name, file)  # noqa: PTH118 (a million Paths take half a gigabyte)
            if is_picture(file):
                self.names[path] = None
            elif _is_archive(path):
                if not Path(os.path.realpath(path)).is_relative_to(self._out):
                    self.archives.append(path)
            else:
                self.passed_over += 1
        for left in tree.closed:
            self._refuse(os.path.join(name, left.source), left.reason)  # noqa: PTH118 (as above)

    def _refuse(self, name: str, reason: str) -> None:
        self.names[name] = None
        self.reasons[name] = reason

    def opened(self, path: str, name_column: str | None) -> Collection | None:
        """Return an archive; None for one that cannot be opened, which is then a picture that cannot be used."""
        try:
            if Path(path).suffix.lower() == ".parquet":
                return open_parquet_file(path, name_column)
            with open(path, "rb"):
                return Archive(path)
        except DataError as error:
            self._refuse(path, str(error).removeprefix(f"{path}: "))
        except OSError as error:
            self._refuse(path, error.strerror or str(error))
        return None


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _index_list(path: str, sources: _Sources) -> ListedFiles:
    """Return the pictures of a list; its archives go to the sources."""
    marks: list[int] = []
    count = 0
    for name, offset in listed(path):
        if _is_archive(name):
            sources.archives.append(name)
            continue
        if count % MARK_EVERY == 0:
            marks.append(offset)
        count += 1
    return ListedFiles(path, count, marks)
