"""Files in tar and zip archives, one by one or as a tree. Nothing is extracted to disk."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from mien.errors import DataError, PictureError
from mien.pack.tree import Tree, is_hidden, shown
from mien.pictures import LARGEST_FILE_BYTES

COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
DAMAGE = (OSError, EOFError, ValueError, NotImplementedError, tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: its name, and how its bytes are read, which may raise PictureError."""

    name: str
    read: Callable[[], bytes]


@dataclass(slots=True)
class ArchiveTree(Tree):
    """The files in archives as they would be unpacked, those of several archives below a folder of each one's name."""

    members: dict[PurePosixPath, Member] = field(default_factory=dict)

    def read(self, file: PurePosixPath) -> bytes:
        """Return a file's bytes; PictureError where it cannot be read."""
        return self.members[file].read()


def is_archive_name(name: str) -> bool:
    """Return whether a file's name is that of an archive that can be read from its middle."""
    return name.lower().endswith((".tar", ".zip"))


def archive_tree(path: Path) -> ArchiveTree:
    """Return the files in an archive; DataError for one that is damaged, or with a member that climbs out."""
    tree = ArchiveTree(path)
    _add(tree, path, PurePosixPath())
    tree.files = sorted(tree.members)
    return tree


def archives_tree(root: Path, archives: Iterable[PurePosixPath]) -> ArchiveTree:
    """Return the files in several archives below a folder; DataError as for one."""
    tree = ArchiveTree(root)
    for archive in archives:
        _add(tree, root / archive, archive)
    tree.files = sorted(tree.members)
    return tree


def _add(tree: ArchiveTree, path: Path, folder: PurePosixPath) -> None:
    try:
        for member in members_of(str(path)):
            place = PurePosixPath(member.name)
            if place.is_absolute() or ".." in place.parts:
                raise DataError(f'{path}: member "{shown(member.name)}" climbs out of the archive; refused')
            if not any(map(is_hidden, place.parts)):
                tree.members[folder / place] = member
    except DAMAGE as fault:
        raise DataError(f"{path}: cut short or damaged ({in_a_line(fault)})") from None


def members_of(path: str) -> Iterator[Member]:
    """Yield the files in a zip archive, by its ending, or in a tar archive that is not compressed.

    Raises one of DAMAGE for an archive that is damaged.
    """
    return _in_zip(path) if Path(path).suffix.lower() == ".zip" else _in_tar(path)


def in_a_line(fault: BaseException) -> str:
    """Return what one of DAMAGE says."""
    return getattr(fault, "strerror", None) or " ".join(str(fault).split())[:80] or type(fault).__name__


def _in_tar(path: str) -> Iterator[Member]:
    with tarfile.open(path, "r:") as archive, open(path, "rb") as raw:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else each header stays in memory
            if member.isfile() and not member.issparse():
                yield Member(member.name, partial(_read_stretch, path, member.offset_data, member.size))
        raw.seek(archive.offset)
        if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile takes any damage for the end
            raise tarfile.TarError("neither a header nor the archive's end where one should be")


def _read_stretch(path: str, offset: int, size: int) -> bytes:
    _refuse_size(size)
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise PictureError(f"cannot be read ({error.strerror})") from None
    if len(data) < size:
        raise PictureError("the archive is cut short in it")
    return data


def _in_zip(path: str) -> Iterator[Member]:
    archive = zipfile.ZipFile(path)  # stays open while its members are in use
    for info in archive.infolist():
        if not info.is_dir():
            yield Member(info.filename, partial(_unzipped, archive, info))


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    _refuse_size(info.file_size)
    try:
        with archive.open(info) as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as fault:
        raise PictureError(f"damaged or encrypted in the archive ({in_a_line(fault)})") from None
    _refuse_size(len(data))
    return data


def _refuse_size(size: int) -> None:
    if size > LARGEST_FILE_BYTES:
        raise PictureError(f"{size:,} bytes, more than {LARGEST_FILE_BYTES:,}")
