"""What differs between Linux, macOS and Windows; what one of them lacks is used here alone. Knows nothing about mien.

The rest is checked as if for Windows (`pythonPlatform` in pyproject.toml), so that a call which Windows lacks is an
error of types there, and tests/portable/ runs it without such calls.
"""

import hashlib
import io
import os
import platform
import re
import signal
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # slow to import, and few commands need them
    import socket
    import subprocess
    from multiprocessing.process import BaseProcess

PROCESS_FILES = Path("/proc/self")  # what Linux tells of this process, nothing elsewhere
IN_MEMORY = "/dev/shm"  # the folder of files in memory, on Linux
# Windows, up to its 11th version, takes these names for devices, with any ending and in any folder.
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\.|$)", re.IGNORECASE)
MMAP_THRESHOLD, MALLOPT_MMAP_THRESHOLD = 2**20, -3  # bytes; of mallopt(3)
LONGEST_NAME = 250  # bytes; file systems take 255, and another ending may follow
IN_USE_TRIES, IN_USE_SECONDS = 20, 0.05  # a file that a virus scanner or an index has open is free soon

if sys.platform == "win32":
    READ_FLAGS = os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT
    WRITE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_BINARY | os.O_NOINHERIT
else:
    READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    WRITE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def try_lock(file: IO[bytes]) -> None:
    """Lock an open file for this process until it is closed; OSError where another process has it.

    Nothing on Windows, where nobody can remove a file that is open.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def replace_file(new: Path, old: Path) -> None:
    """Give a file the name of another one, whose place it takes; OSError where that cannot be.

    Windows refuses while another program has one of them open, so it is tried for a second there.
    """
    for _ in range(IN_USE_TRIES if sys.platform == "win32" else 0):
        try:
            new.replace(old)
            return
        except PermissionError:
            time.sleep(IN_USE_SECONDS)
    new.replace(old)


def rename_folder(new: Path, old: Path) -> None:
    """Give a folder another name, which an empty folder may have; OSError where that cannot be."""
    with suppress(OSError):
        old.rmdir()  # Windows renames nothing to a name that there is
    new.rename(old)


def beside(path: Path, ending: str, *, hidden: bool = True) -> Path:
    """Return `.NAME` and an ending, in the folder of `path`: what belongs to it.

    Of a name that is too long for that the beginning and a hash are taken.
    """
    name, dot = path.name, "." * hidden
    if len(os.fsencode(f"{dot}{name}{ending}")) > LONGEST_NAME:
        name = f"{name[:40]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return path.parent / f"{dot}{name}{ending}"


def file_key(name: str) -> str:
    """Return what names have in common that macOS or Windows take for one file's: all but case and composed accents."""
    return unicodedata.normalize("NFC", name).casefold()


def is_device(name: str) -> bool:
    """Tell whether this system takes a file's name for a device, in any folder, as Windows does `nul.csv`."""
    return sys.platform == "win32" and DEVICES.match(name) is not None


def cores_of_affinity() -> int:
    """Return how many cores this process may run on; all where the system has no affinity (macOS)."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def allow_open_files(count: int) -> int:
    """Let this process open so many files, where it may; return how many it may open, at most `count`."""
    if sys.platform == "win32":
        return count  # sockets are no files there, and have no limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < count:  # -1 has no limit
        soft = min(count, hard) if hard >= 0 else count
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(soft, count) if soft >= 0 else count


def limit_processor_time(seconds: float) -> None:
    """Have the kernel end this process after so many more seconds of processor time; 0 lifts the limit.

    Nothing on Windows, which has no such timer: who waits for the process must end it.
    """
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def give_memory_back() -> None:
    """Have glibc return large buffers as soon as they are freed, instead of keeping up to 32 MiB of each size."""
    if sys.platform == "linux":
        import ctypes

        if hasattr(ctypes.CDLL(None), "mallopt"):  # musl has none
            ctypes.CDLL(None).mallopt(MALLOPT_MMAP_THRESHOLD, MMAP_THRESHOLD)


def ended_at_limit(exitcode: int | None) -> bool:
    """Tell from a process's exit code whether `limit_processor_time` ended it."""
    return sys.platform != "win32" and exitcode == -signal.SIGPROF


def process_class(preload: list[str]) -> Callable[..., "BaseProcess"]:
    """Return the class of processes that are forked from one which has loaded these modules; on Windows spawned."""
    import multiprocessing

    if sys.platform == "win32":
        return multiprocessing.get_context("spawn").Process
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    return context.Process


def start_group(
    command: list[str], *, stdin: int, stdout: int, stderr: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start a process that Ctrl-C does not reach, in a group of its own."""
    import subprocess

    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, creationflags=flags)
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process of `start_group`, and those that it started; on Windows the process alone."""
    if process.returncode is None and sys.platform != "win32":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def set_encoding(output: io.TextIOWrapper) -> None:
    """Have what is piped be UTF-8, as all files of ours are; Windows has a code page for it."""
    if sys.platform == "win32" and not output.isatty() and "PYTHONIOENCODING" not in os.environ:
        output.reconfigure(encoding="utf-8")


def ends_processes_gently() -> bool:
    """Tell whether a process can be told to finish what it does, as SIGTERM tells it; not on Windows."""
    return sys.platform != "win32"


def prepare_listener(listener: "socket.socket", stall_seconds: int) -> None:
    """Let a server listen at once where an earlier one did, and drop who reads nothing for so long (Linux)."""
    import socket

    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # else two servers share a port
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":  # connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * stall_seconds)
