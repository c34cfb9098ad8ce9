import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mien.errors import StorageError
from mien.locks import locked, locked_name

HOLDS = """
import sys, time
from pathlib import Path
from mien.locks import locked

def no_locks(*_):
    raise OSError(38, "Function not implemented")

if sys.argv[2:]:
    import fcntl
    fcntl.flock = no_locks
with locked(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Return a function that has another process hold the folder, as on a file system without locks if asked."""
    holders = []

    def hold(*options):
        process = subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path, *options], stdout=subprocess.PIPE)
        holders.append(process)
        assert b"held\n" == process.stdout.readline()
        return process

    yield hold
    for process in holders:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def no_locks(monkeypatch):
    """Have the file system know no locks, as some network file systems do."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


def test_a_lock_is_held_by_one(tmp_path):
    """A folder or name that is locked cannot be locked again until the first holder is done; nothing is left."""
    for lock, path in ((locked, tmp_path), (locked_name, tmp_path / "run")):
        with lock(path, "the run"), pytest.raises(StorageError), lock(path, "the run"):
            pass
        with lock(path, "the run"):
            pass

    assert [] == list(tmp_path.iterdir())


def test_another_process_is_waited_for(tmp_path, holder):
    """Who says what to do meanwhile gets the lock as soon as the holder is gone, however it ended."""
    process = holder()

    with pytest.raises(StorageError), locked(tmp_path, "the run"):
        pass
    with locked(tmp_path, "the run", waiting=process.kill):
        assert process.wait() < 0

    assert [] == list(tmp_path.iterdir())


def test_waiting_can_be_stopped(tmp_path, holder):
    """What is raised while one waits ends the waiting."""
    holder()

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), locked(tmp_path, "the run", waiting=stop):
        pass


def test_a_file_system_without_locks_can_be_worked_on(tmp_path, no_locks):
    """Where the file system knows no locks a file stands for one; it is held by one and goes with it."""
    with locked(tmp_path, "the run"), pytest.raises(StorageError), locked(tmp_path, "the run"):
        pass
    with locked(tmp_path, "the run"):
        assert (tmp_path / ".lock.held").exists()

    assert [] == list(tmp_path.iterdir())


def test_what_a_dead_process_held_without_locks_is_free(tmp_path, holder, no_locks):
    """The file of a living process of this host holds, that of a dead one is taken over."""
    process = holder("without")
    with pytest.raises(StorageError), locked(tmp_path, "the run"):
        pass

    process.kill()
    process.wait()
    with locked(tmp_path, "the run", waiting=lambda: None):
        pass

    assert [] == list(tmp_path.iterdir())


def test_a_place_for_no_lock_is_told(tmp_path):
    """A folder that is not there cannot be locked, and is not made for it."""
    with pytest.raises(StorageError), locked(tmp_path / "gone", "the run"):
        pass

    assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="a folder in which even root makes no file is Linux's"
)
def test_a_folder_that_takes_no_file_is_no_reason_to_wait():
    """Where no file can be made, nobody holds the lock: it is refused and not waited for."""

    def never():
        raise AssertionError("nothing to wait for")

    with pytest.raises(StorageError), locked_name(Path("/proc/faces"), "the folder", waiting=never):
        pass
