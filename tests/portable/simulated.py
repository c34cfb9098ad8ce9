"""Windows, simulated on Linux for mien's own modules, in this process and those that it starts.

What mien's modules, and the standard library for them, then see:
- `sys.platform` is win32; `fcntl`, `resource`, `pwd`, `grp`, `termios` cannot be imported; `os` and `signal` lack what
  they lack there, among it `os.fork`, `os.pread`, `os.killpg`, `signal.SIGKILL`, `signal.setitimer`; processes are
  spawned.
- /proc and /dev are not there; a folder cannot be opened.
- A file, or a folder with one in it, that this process has open or mapped cannot be removed, renamed or replaced;
  nothing is renamed to a name that there is.
- No name may be that of a device (`con`, `aux.txt`), hold one of < > : " | ? * \\, end in a dot or a space, differ
  from another file's in upper and lower case alone, or make a path of more than 259 characters.

Libraries keep Linux, since theirs is not what is tested. What differs beyond this list is not seen: handles of other
processes, drives, line ends, code pages.
"""

import builtins
import errno
import multiprocessing.context
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import FrameType, ModuleType

MISSING_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "posix", "syslog"}
MISSING = {
    "os": (
        "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_SYNC chown fchmod fchown fork forkpty getgid getloadavg getpgid "
        "getsid getuid geteuid killpg mkfifo mknod nice pread preadv pwrite register_at_fork sched_getaffinity "
        "sched_setaffinity sendfile setsid statvfs sync sysconf uname wait wait3 wait4"
    ),
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGPROF SIGQUIT SIGUSR1 SIGUSR2 ITIMER_PROF ITIMER_REAL "
    "alarm pause pthread_kill pthread_sigmask setitimer sigwait",
    "socket": "AF_UNIX TCP_USER_TIMEOUT",
    "subprocess": "",
    "sys": "",
}
CHANGED = {
    "os": {"name": "nt", "O_BINARY": 0, "O_NOINHERIT": 0},
    "socket": {"SO_EXCLUSIVEADDRUSE": 2},  # of Linux: SO_REUSEADDR
    "subprocess": {"CREATE_NEW_PROCESS_GROUP": 0},
    "sys": {"platform": "win32"},
}
NOT_THERE = ("/proc", "/dev/")
NULL_DEVICE = "/dev/null"  # NUL there
DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9]) *(\.|$)", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')
LONGEST_PATH = 259
STANDARD_LIBRARY = (sysconfig.get_path("stdlib"), "<frozen ")
SITE_PACKAGES = sysconfig.get_path("purelib")

original_import = builtins.__import__
original_listdir, original_rename, original_replace = os.listdir, os.rename, os.replace


class Changed(ModuleType):
    """A module that lacks some names and has others; all else is the real one's."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__(real.__name__)
        missing = frozenset(MISSING[real.__name__].split())
        object.__getattribute__(self, "__dict__").update(
            _real=real, _missing=missing, _changed=CHANGED.get(real.__name__, {})
        )

    def __getattribute__(self, name: str):
        own = object.__getattribute__(self, "__dict__")
        if name == "__dict__":  # where pytest's monkeypatch looks for what it will restore
            return {**vars(own["_real"]), **own["_changed"]}
        if name in own["_missing"]:
            raise AttributeError(
                f"module {own['_real'].__name__!r} has no attribute {name!r}", name=name, obj=self
            )
        return own["_changed"][name] if name in own["_changed"] else getattr(own["_real"], name)

    def __setattr__(self, name: str, value: object) -> None:
        own = object.__getattribute__(self, "__dict__")
        if name in own["_changed"]:
            own["_changed"][name] = value
        else:
            setattr(own["_real"], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "__dict__")["_real"], name)


def begin() -> None:
    """Have all that follows in this process behave so, for mien."""
    modules = {name: Changed(original_import(name)) for name in MISSING}

    def changed_import(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002 (Python's own names)
        if globals and _is_mien(globals.get("__name__", "")):
            if name in MISSING_MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in modules:
                return modules[name]
        return original_import(name, globals, locals, fromlist, level)

    builtins.__import__ = changed_import
    os.mkfifo = _no_fifo
    os.rename, os.replace = _renaming(original_rename, over=False), _renaming(original_replace, over=True)
    tempfile.TemporaryFile = tempfile.NamedTemporaryFile  # as there: no file without a name
    shutil._use_fd_functions = False  # its audit events would have names without their folders
    contexts = multiprocessing.context._concrete_contexts
    for method in ("fork", "forkserver"):
        contexts.pop(method)
    multiprocessing.set_start_method("spawn")
    multiprocessing.get_all_start_methods = lambda: ["spawn"]
    sys.addaudithook(_audit)


def _no_fifo(*_) -> None:
    """Leave a test that needs what there is not."""
    import pytest

    pytest.skip("Windows has no such files")


def _audit(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(path := arguments[0], str | bytes | os.PathLike) and _for_mien():
        if (
            sys._getframe(1).f_code.co_filename != tempfile.__file__
        ):  # which names a folder and opens a file in it
            _opened(os.fsdecode(path), arguments[2])
    elif event == "os.mkdir" and _for_mien():
        _named(os.fsdecode(arguments[0]))
    elif event in ("os.remove", "os.rmdir") and _for_mien():
        _refuse_used(os.fsdecode(arguments[0]))


def _opened(path: str, flags: int) -> None:
    if path.startswith(NOT_THERE) and path != NULL_DEVICE:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory (simulated)", path)
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied (simulated: a folder)", path)
    if flags & os.O_CREAT and path != NULL_DEVICE:
        _named(path)


def _named(path: str) -> None:
    """Raise OSError where there can be no such name on Windows."""
    folder, name = os.path.split(os.path.abspath(path))
    if FORBIDDEN.search(name) or name[-1:] in (".", " ") or DEVICE.match(name):
        raise OSError(errno.EINVAL, "Invalid argument (simulated: no name)", path)
    if len(os.path.join(folder, name)) > LONGEST_PATH:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory (simulated: a long path)", path)
    if not os.path.lexists(path) and os.path.isdir(folder):
        same = [other for other in original_listdir(folder) if other.casefold() == name.casefold()]
        if same:
            raise FileExistsError(errno.EEXIST, f"File exists (simulated: as {same[0]})", path)


def _renaming(rename, *, over: bool):
    """Return `os.rename` or `os.replace` as Windows has it; `over` takes the place of a file that there is."""

    def renamed(source, target, **options):
        if _for_mien():
            old, new = os.fsdecode(source), os.fsdecode(target)
            _refuse_used(old)
            if os.path.lexists(new):
                if not over:
                    raise FileExistsError(errno.EEXIST, "File exists (simulated)", old, None, new)
                if os.path.isdir(new):
                    raise PermissionError(errno.EACCES, "Permission denied (simulated: a folder)", new)
                _refuse_used(new)
            else:
                _named(new)
        return rename(source, target, **options)

    return renamed


def _refuse_used(path: str) -> None:
    """Raise PermissionError where this process has a file open or mapped, or one in a folder; locks are a library's."""
    if path.endswith(".lock"):
        return
    real = os.path.realpath(path)
    for used in _in_use():
        if used == real or used.startswith(f"{real}/"):
            raise PermissionError(errno.EACCES, f"Permission denied (simulated: {used} is in use)", path)


def _in_use() -> set[str]:
    used = set()
    for handle in original_listdir("/proc/self/fd"):
        try:
            used.add(os.readlink(f"/proc/self/fd/{handle}"))
        except OSError:
            pass  # of the list itself
    maps = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
    return used | {parts[5] for parts in (line.split(None, 5) for line in maps) if len(parts) == 6}


def _for_mien() -> bool:
    """Tell whether what happens is done by a module of mien, itself or through the standard library."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if _is_mien(frame.f_globals.get("__name__", "")):
            return True
        file = frame.f_code.co_filename
        if not file.startswith(STANDARD_LIBRARY) or file.startswith(SITE_PACKAGES):
            return False
        frame = frame.f_back
    return False


def _is_mien(module: str) -> bool:
    return module == "mien" or module.startswith("mien.")
