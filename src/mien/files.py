"""Writing files and folders so that they are whole or absent; `reading.py` is the other side. Knows no contents."""

import csv
import glob
import io
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from mien.errors import FolderExists, StorageError
from mien.locks import is_abandoned, locked_name, mark_in_use
from mien.system import beside, is_device, rename_folder, replace_file

TEMPORARY = ".tmp"  # how hidden files that are being written end
LONGEST_PREFIX = 40  # characters of a file's name that its hidden file repeats


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole: a crash or a full disk at any moment leaves the old one or the new one, never a part.

    Raises StorageError where the disk refuses.
    """
    with whole_file(path) as file:
        file.write(data.encode(errors="backslashreplace") if isinstance(data, str) else data)


@contextmanager
def appearing_file(path: Path) -> Iterator[TextIO]:
    """Yield a hidden text file that takes its name when the block ends well; else `path` is as before.

    Raises StorageError where the disk refuses.
    """
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        try:
            yield text
        finally:
            text.detach()  # and flush


@contextmanager
def whole_file(path: Path, *, ending: str = "") -> Iterator[BinaryIO]:
    """Yield a new hidden file that is synced and takes the place of `path`, and its mode, when the block ends well.

    Each has a name of its own, which ends in `ending`, and is made anew, so two processes never write one file, and no
    link is followed. What killed processes left of the file goes. Raises StorageError where the disk refuses.
    """
    path = _file_named(path)
    hidden = path.with_name(f".{path.name[:LONGEST_PREFIX]}.{secrets.token_hex(8)}{TEMPORARY}{ending}")
    prefix = glob.escape(path.name[:LONGEST_PREFIX])
    try:
        for leftover in path.parent.glob(f".{prefix}.*{TEMPORARY}{glob.escape(ending)}"):
            if is_abandoned(leftover):
                with_no_error(leftover.unlink)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        try:
            with open(hidden, "xb", opener=partial(os.open, mode=0o666 if mode is None else mode)) as file:
                mark_in_use(file)
                if mode is not None:  # which the umask may have lessened
                    hidden.chmod(mode)
                yield file
                file.flush()
                os.fsync(file.fileno())
            replace_file(hidden, path)
        finally:
            with_no_error(hidden.unlink)
        sync_folder(path.parent)
    except BrokenPipeError:
        raise  # of another file: the reader of standard output went
    except OSError as error:
        raise StorageError(f"{path}: could not be written ({error.strerror}); nothing was changed") from error


def _file_named(path: Path) -> Path:
    path = Path(path)
    if not path.name or os.path.isdir(path):  # noqa: PTH112 (false where a name is too long)
        raise StorageError(f"{path}: a folder; give the name of a file")
    if os.path.exists(path) and not os.path.isfile(path) or str(path.parent) == "/dev":  # noqa: PTH110, PTH113
        raise StorageError(f"{path}: a pipe or a device; give the name of a file")
    _refuse_device(path)
    return path


def _refuse_device(path: Path) -> None:
    if is_device(path.name):
        raise StorageError(f"{path}: Windows takes this name for a device; give another name")


def require_place(path: Path) -> None:
    """Raise StorageError where no file could be written under this name: to be asked before long work."""
    path = _file_named(path)
    if not path.parent.is_dir():
        raise StorageError(f"{path.parent}: no such folder; make it first")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table of plain values; fractions keep 9 digits, nan and None become empty cells."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows([_cell(value) for value in row] for row in rows)
    write_atomic(path, text.getvalue())


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.9g}"
    return value


def is_utf8(name: str) -> bool:
    """Tell whether a file's name is UTF-8, as not every one is."""
    return name.encode("utf-8", "replace").decode() == name


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, after what a full disk left of an earlier one, and sync it; StorageError if it cannot."""
    try:
        with open(path, "ab+") as file:
            file.seek(max(0, file.tell() - 1))
            torn = file.read() not in (b"", b"\n")
            file.write(b"\n" * torn + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{path}: could not be written ({error.strerror})") from error


def with_no_error(action: Callable[..., object], *arguments: object) -> None:
    """Do a clean-up that may fail without hiding the error that led to it."""
    try:
        action(*arguments)
    except OSError:
        pass


def make_folder(path: Path) -> None:
    """Make a folder and those above it where they are missing; StorageError where that cannot be."""
    _refuse_device(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: could not be made ({error.strerror})") from None


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut, where folders can be synced."""
    with suppress(OSError):  # the rename is done and seen by everybody
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden files of writers that were killed, from a folder in which nobody else writes."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with_no_error(path.unlink)


@contextmanager
def appearing_folder(target: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Yield a hidden folder beside `target` that takes its name when the block ends well.

    On any error the hidden folder goes, and `target` is as before; one that a killed process left behind goes when
    the next one for the same target begins. While another process makes the same target, `waiting()` is called
    again and again.

    Raises FolderExists where there is one by then, StorageError where the disk refuses.
    """
    target = Path(target)
    make_folder(target.parent)
    _refuse_device(target)
    with locked_name(target, "the folder", waiting=waiting):
        if target.is_dir() and any(target.iterdir()):
            raise FolderExists(f"{target}: exists already")
        with _hidden_folder(target) as hidden:
            yield hidden
            rename_folder(hidden, target)
            sync_folder(target.parent)


@contextmanager
def _hidden_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`, to be renamed in the block; whoever calls this has the target's lock."""
    hidden = beside(target, ".partial")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir()
        yield hidden
    except OSError as error:
        raise StorageError(f"{target}: could not be written ({error.strerror}); nothing was kept") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def refuse_other_contents(out: Path, *layouts: set[str]) -> None:
    """Raise StorageError where anything but an earlier report, whose contents are one of these, would be lost."""
    if not out.name:
        raise StorageError(f"{out}: choose a folder that does not exist yet for the report")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise StorageError(f"{out}: not a folder; choose another place for the report")
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if names and names not in layouts:
        raise StorageError(f"{out}: holds other files than a report; choose a folder that does not exist yet")


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a hidden folder that takes the target's name, and its place, when the block ends well.

    Of two processes that make the same target the second one waits. Raises StorageError where the disk refuses.
    """
    _refuse_device(target)
    old = beside(target, ".old")
    with _parents_of(target), locked_name(target, "the folder", waiting=lambda: None):
        _restore(old, target)
        with _hidden_folder(target) as hidden:
            yield hidden
            try:
                if target.exists():
                    target.rename(old)
                rename_folder(hidden, target)
                sync_folder(target.parent)
            finally:
                _restore(old, target)


@contextmanager
def _parents_of(target: Path) -> Iterator[None]:
    """Make the folders above a target; where the block fails those that were not there go again, while empty."""
    missing = [folder for folder in target.parents if not folder.exists()]
    make_folder(target.parent)
    try:
        yield
    except BaseException:
        for folder in missing:
            with_no_error(folder.rmdir)
        raise


def _restore(old: Path, target: Path) -> None:
    """Give an old folder its place back where its replacement ended in the middle; else remove it."""
    if old.exists() and not target.exists():
        with_no_error(old.rename, target)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)


def plain(value: Any) -> Any:
    """Return a value as plain dicts, lists, strings and numbers, ready for JSON.

    Of a dataclass the fields count that its repr shows; a key of several parts is joined by "in"; nan becomes None.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, dict):
        return {" in ".join(k) if isinstance(k, tuple) else k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and np.isnan(value) else value


def to_json(value: Any) -> str:
    """Return the one JSON text for a value: indented, with a newline at the end, nan refused."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
