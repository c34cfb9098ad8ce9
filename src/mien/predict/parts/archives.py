"""Pictures in tar and zip archives and in parquet files, in stretches of their order.

An archive is indexed where a stretch of it is read, by the process that reads it, so that no list of its members has to
travel or to stay in memory.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from mien.errors import DataError
from mien.labels import did_you_mean
from mien.pack.archives import DAMAGE, Member, in_a_line, members_of
from mien.pack.folders import is_picture
from mien.pack.parquet import image_bytes
from mien.pack.tree import is_hidden
from mien.predict.arrow import count_rows, read_rows
from mien.predict.sources import Source, refused

IMAGE_COLUMNS = ("image", "img", "bytes", "jpg", "png")


class Chunk(Protocol):
    """A stretch of pictures, which travels to the process that reads them."""

    def pictures(self) -> Iterator[Source]:
        """Yield the pictures, in order."""
        ...


class Collection(Protocol):
    """Pictures that have an order."""

    @property
    def dealt_whole(self) -> bool:
        """Whether it goes to one shard, as counting it takes time."""
        ...

    @property
    def identity(self) -> Iterator[str]:
        """What tells it from another."""
        ...

    def count(self) -> int:
        """Return how many pictures there are."""
        ...

    def chunk(self, start: int, stop: int) -> Chunk:
        """Return a stretch of them."""
        ...


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar or zip archive."""

    path: str

    @property
    def dealt_whole(self) -> bool:
        """A tar archive says what it holds along its whole length."""
        return Path(self.path).suffix.lower() == ".tar"

    @property
    def identity(self) -> Iterator[str]:
        """Its path and size."""
        yield path_and_size(self.path)

    def count(self) -> int:
        """Return how many pictures it holds; one that cannot be read to its end counts as one more."""
        members, problem = index(self.path)
        return len(members) + bool(problem)

    def chunk(self, start: int, stop: int) -> "ArchiveChunk":
        """Return a stretch of its pictures."""
        return ArchiveChunk(self.path, start, stop)


@dataclass(frozen=True, slots=True)
class ArchiveChunk:
    """A stretch of the pictures in an archive."""

    path: str
    start: int
    stop: int

    def pictures(self) -> Iterator[Source]:
        """Yield the pictures; where the archive is damaged, the last says so under the archive's name."""
        members, problem = index(self.path)
        for member in members[self.start : self.stop]:
            yield Source(f"{self.path}:{member.name}", member.read, "")
        if problem and self.stop > len(members):
            yield refused(self.path, problem)


@lru_cache(maxsize=1)
def index(path: str) -> tuple[Sequence[Member], str]:
    """Return the pictures in an archive, and why it could not be read to its end, or "".

    A picture of a name that came before has a number behind it.
    """
    members: list[Member] = []
    taken = Counter[str]()
    try:
        for member in members_of(path):
            if _wanted(member.name):
                taken[member.name] += 1
                number = taken[member.name]
                members.append(member if number == 1 else replace(member, name=f"{member.name}#{number}"))
    except DAMAGE as fault:
        return members, f"cut short or damaged behind {len(members):,} pictures ({in_a_line(fault)})"
    return members, ""


def _wanted(name: str) -> bool:
    """Whether a member is a picture by its name, and not hidden, as in a folder."""
    path = PurePosixPath(name)
    return is_picture(path) and not any(part != ".." and is_hidden(part) for part in path.parts)


@dataclass(frozen=True, slots=True)
class Parquet:
    """A parquet file with a column of picture files; `name` is the column that names them, None their rows' numbers."""

    path: str
    rows: int
    image: str
    name: str | None

    dealt_whole = False

    @property
    def identity(self) -> Iterator[str]:
        """Its path, size and columns."""
        yield f"{path_and_size(self.path)}\0{self.image}\0{self.name}"

    def count(self) -> int:
        """Return how many rows there are."""
        return self.rows

    def chunk(self, start: int, stop: int) -> "ParquetChunk":
        """Return a stretch of its rows."""
        return ParquetChunk(self, start, stop)


@dataclass(frozen=True, slots=True)
class ParquetChunk:
    """A stretch of the rows of a parquet file."""

    file: Parquet
    start: int
    stop: int

    def pictures(self) -> Iterator[Source]:
        """Yield the pictures; what stands behind a damaged place is refused row by row."""
        columns = [self.file.image, *([self.file.name] if self.file.name else [])]
        number = self.start
        try:
            for row in read_rows(Path(self.file.path), self.start, self.stop, columns):
                yield Source(self._name(number, row), partial(image_bytes, row[self.file.image]), "")
                number += 1
        except DataError as error:
            problem = str(error)
            for rest in range(number, self.stop):
                yield refused(self._name(rest, {}), problem)

    def _name(self, number: int, row: dict[str, Any]) -> str:
        name = row.get(self.file.name) if self.file.name else None
        return f"{self.file.path}, row {number + 1}" if name is None else str(name)


def open_parquet_file(path: str, name: str | None) -> Parquet:
    """Return a parquet file as pictures; DataError where it is damaged or has no such columns."""
    rows, columns = count_rows(Path(path))
    image = next((column for column in IMAGE_COLUMNS if column in columns), None)
    if image is None:
        raise DataError(
            f"{path}: no column of pictures, as {IMAGE_COLUMNS[0]} or bytes (it has {', '.join(columns)})"
        )
    if name is not None and name not in columns:
        raise DataError(
            f"{path}: no column {name}{did_you_mean(name, columns)} (it has {', '.join(columns)})"
        )
    return Parquet(path, rows, image, name)


def path_and_size(path: str) -> str:
    """Return a file's path and size, -1 where there is none, to tell whether it is the same."""
    try:
        size = Path(path).stat().st_size
    except (OSError, ValueError):
        size = -1
    return f"{os.fspath(path)}\0{size}"
