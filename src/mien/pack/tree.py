"""The files below a folder. Knows nothing about labels.

Links to folders are followed, but no folder is read twice; no file is opened until `Tree.read`.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mien.errors import DataError
from mien.pack.items import SkippedImage
from mien.pictures import read_file
from mien.text import escaped

DEEPEST = 64  # folders in folders
LONGEST_SHOWN = 400  # characters
SYSTEM_NAMES = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


@dataclass(slots=True)
class Tree:
    """Files by their path from the root, sorted by name, and folders that could not be read."""

    root: Path
    files: list[PurePosixPath] = field(default_factory=list)
    closed: list[SkippedImage] = field(default_factory=list)

    def read(self, file: PurePosixPath) -> bytes:
        """Return a file's bytes; PictureError where it cannot be read."""
        return read_file(str(self.root / file))


def walk(root: Path) -> Tree:
    """Return all files below a folder except hidden and system files; no folder is read twice."""
    tree = Tree(root)
    _look_into(tree, PurePosixPath(), set())
    return tree


def _look_into(tree: Tree, folder: PurePosixPath, seen: set[tuple[int, int]]) -> None:
    here = tree.root / folder
    try:
        status = here.stat()
        mark = (status.st_dev, status.st_ino)
        with os.scandir(here) as entries:
            found = sorted((entry.name, _is_folder(entry)) for entry in entries)
    except OSError as error:
        if not seen:
            raise DataError(f"{tree.root}: cannot be read ({error.strerror})") from None
        tree.closed.append(SkippedImage(shown(folder), f"the folder cannot be opened ({error.strerror})"))
        return
    if mark in seen or len(folder.parts) > DEEPEST:
        reason = "a link to a folder that is read already" if mark in seen else "too many folders in folders"
        tree.closed.append(SkippedImage(shown(folder), reason))
        return
    seen.add(mark)
    for name, is_folder in found:
        if is_hidden(name):
            continue
        if is_folder:
            _look_into(tree, folder / name, seen)
        else:
            tree.files.append(folder / name)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of that name is left out: hidden, or a system's own."""
    return name.startswith(".") or name in SYSTEM_NAMES


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # as of a link to itself; reading it as a file reports the error


def shown(name: PurePosixPath | str) -> str:
    """Return a name as text for a table or a terminal: escaped, and shortened where it is very long."""
    text = escaped(str(name))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
