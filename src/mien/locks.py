"""Locks between processes, on any file system. Knows nothing about what they guard."""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mien.errors import StorageError
from mien.system import beside, try_lock

if TYPE_CHECKING:
    from filelock import BaseFileLock

AT_WORK = "at-work"  # how the files of processes at work in a folder begin, behind a dot
POLL_SECONDS = 0.02
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
MOMENT_SECONDS = 60.0  # between a file's making and its lock, or the lock's end and its new name, is far less


def locked(
    folder: Path, what: str, *, waiting: Callable[[], None] | None = None
) -> AbstractContextManager[None]:
    """Hold a folder for this process alone, by the file `.lock` in it; see `locked_name`."""
    return _locked(Path(folder), Path(folder) / ".lock", what, waiting)


def locked_name(
    path: Path, what: str, *, waiting: Callable[[], None] | None = None
) -> AbstractContextManager[None]:
    """Hold a file, or a name that nothing has yet, for this process alone, by `.NAME.lock` beside it.

    The kernel frees a lock however the process ends. A name that is too long for that is shortened. On a file system
    without such locks a file `.NAME.lock.held` stands for it and names host and process; one of a dead process of this
    host is taken over. While another process holds it, `waiting()` is called again and again until it is free; it may
    raise, to stop.

    Raises StorageError where it is held and no `waiting` is given, or where no file can be made for it.
    """
    path = Path(path)
    return _locked(path, beside(path, ".lock"), what, waiting)


@contextmanager
def at_work(folder: Path, what: str) -> Iterator[bool]:
    """Be counted among the processes at work in a folder; yields whether there was no other one.

    Each has a lock of its own there, so one that was killed does not count.
    """
    own = Path(folder) / f"{AT_WORK}-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        with locked_name(Path(folder) / AT_WORK, what, waiting=lambda: None):
            alone = not [place for place in Path(folder).glob(f".{AT_WORK}-*.lock") if _is_held(place)]
            stack.enter_context(locked_name(own, what))
        yield alone


def _is_held(place: Path) -> bool:
    """Tell whether a process holds the lock of a file; one that nobody holds goes."""
    lock = _acquired(place, None)
    if lock is None:
        return True
    with suppress(OSError):
        place.unlink()
    lock.release()
    return False


@contextmanager
def _locked(path: Path, place: Path, what: str, waiting: Callable[[], None] | None) -> Iterator[None]:
    try:
        place.parent.stat()  # which filelock would make
        lock = _acquired(place, waiting)
    except OSError as error:
        raise StorageError(f"{path}: {what} cannot be locked there ({error.strerror})") from error
    if lock is None:
        raise StorageError(f"{path}: {what} is in use by another process; wait for it or stop it")
    try:
        yield
    finally:
        with suppress(OSError):  # who waits for a file that was removed sees that, and makes another
            place.unlink()
        lock.release()


def _acquired(place: Path, waiting: Callable[[], None] | None) -> "BaseFileLock | None":
    """Return the lock, once it is held; None where another process holds it and nobody waits."""
    from filelock import FileLock, SoftFileLock, Timeout

    lock: BaseFileLock = FileLock(place, thread_local=False, fallback_to_soft=False)
    while True:
        try:
            lock.acquire(blocking=False)
            return lock
        except Timeout:
            with open(
                place, "ab"
            ):  # filelock takes a folder in which no file can be made for a lock that is held
                pass
            if waiting is None:
                return None
            waiting()
            time.sleep(POLL_SECONDS)
        except OSError as error:
            if error.errno not in NO_LOCKS or isinstance(lock, SoftFileLock):
                raise
            lock = SoftFileLock(f"{place}.held", thread_local=False)


def is_held(folder: Path) -> bool:
    """Tell whether a process holds a folder by `locked`; False where that cannot be told."""
    place = Path(folder) / ".lock"
    if not (place.exists() or Path(f"{place}.held").exists()):
        return False
    try:
        lock = _acquired(place, None)
    except OSError:
        return False
    if lock is None:
        return True
    with suppress(OSError):  # what a killed process left
        place.unlink()
    lock.release()
    return False


def mark_in_use(file: IO) -> None:
    """Let `is_abandoned` see that an open file is being written, where the file system knows locks."""
    with suppress(OSError):
        try_lock(file)


def is_abandoned(path: Path) -> bool:
    """Tell whether nobody writes a file that `mark_in_use` was called for; False where that cannot be told."""
    try:
        with open(path, "rb") as file:
            try_lock(file)
            return time.time() - os.fstat(file.fileno()).st_mtime > MOMENT_SECONDS
    except OSError:
        return False
