"""The text of a table that is plain, gzipped or in a tar archive. Knows nothing about its columns.

Nothing is extracted to disk: members of an archive are only read, and an archive with a member
that climbs out or is a link is refused as a whole.
"""

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mien.errors import DataError
from mien.pack.tree import shown

Row = TypeVar("Row")
GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
CHUNK_BYTES = 1 << 20
LONGEST_LINE = 1 << 22  # characters; more are not looked for, so that no file fills the memory


def rows_of(path: Path, parse: Callable[[str, Iterable[str]], Iterator[Row]]) -> Iterator[Row]:
    """Yield what `parse(name, lines)` makes of the one table in `path`.

    The file is read to its last byte, so damage after the table is detected, too.
    Raises DataError for a file that is cut short, damaged, unsafe or no table.
    """
    try:
        if is_archive(path):
            with tarfile.open(path) as archive:
                yield from _rows_in_archive(path, archive, parse)
        else:
            with open(path, "rb") as raw:
                start = raw.peek(len(ZIP_MAGIC))
                if start.startswith(ZIP_MAGIC):
                    raise DataError(f"{path}: a zip archive; unpack it and pack the folder or table in it")
                zipped = start.startswith(GZIP_MAGIC)
                yield from _rows(shown(path.name), gzip.GzipFile(fileobj=raw) if zipped else raw, parse)
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text table (it holds bytes that are not UTF-8)") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        raise DataError(f"{path}: cut short or damaged ({error})") from None


def is_archive(path: Path) -> bool:
    """Return whether a file is a tar archive, by its first block or, when that is damaged, by its name."""
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return ".tar" in path.suffixes or path.suffix == ".tgz"


def _rows_in_archive(path: Path, archive: tarfile.TarFile, parse) -> Iterator:
    found = None
    for member in archive:
        _refuse_unsafe(path, member)
        if not (member.isfile() and member.name.endswith(".csv")):
            continue
        if found:
            raise DataError(f"{path}: holds two tables, {found} and {member.name}; unpack the one you mean")
        found = member.name
        yield from _rows(shown(f"{path.name}:{member.name}"), archive.extractfile(member), parse)
    if not found:
        raise DataError(f"{path}: the archive holds no .csv table")
    while archive.fileobj.read(CHUNK_BYTES):
        pass  # to the end, where gzip verifies its checksum


def _refuse_unsafe(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f'{path}: member "{shown(member.name)}" climbs out of the archive; refused')
    if not (member.isfile() or member.isdir()):
        kind = "link" if member.issym() or member.islnk() else "device or pipe"
        raise DataError(f'{path}: member "{shown(member.name)}" is a {kind}; refused')


def _rows(name: str, raw, parse) -> Iterator:
    with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        yield from parse(name, _lines(name, text))


def _lines(name: str, text: io.TextIOBase) -> Iterator[str]:
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise DataError(f"{name}, line {number}: longer than {LONGEST_LINE:,} characters")
        yield line
