"""What differs between systems: names, locks and processes; the same on all, or refused in one line."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import raises_naming

import mien
from mien import system
from mien.errors import ServeError, StorageError
from mien.files import appearing_folder, replacing_folder, write_atomic
from mien.locks import at_work, locked_name
from mien.predict.growing import unfinished
from mien.predict.sources import apart, sources
from mien.serve import Settings
from mien.serve.settings import check

PACKAGE = Path(mien.__file__).parent
LONG = "x" * 246 + ".csv"  # as long as a name may be that has five characters more for a while
AT_WORK = """
import sys, time
from pathlib import Path
from mien.locks import at_work
with at_work(Path(sys.argv[1]), "the search") as alone:
    print(alone, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("word", ["fcntl", "os.fork", "/proc", "/dev/shm", "msvcrt", "SIGKILL", "getuid"])
def test_one_module_knows_what_systems_lack(word):
    """Of mien's modules `system.py` alone names what one of the systems has not. (Calls: the type checker.)"""
    users = {path.name for path in PACKAGE.rglob("*.py") if word in path.read_text(encoding="utf-8")}

    assert users <= {"system.py"}


def test_names_of_devices_are_refused_on_windows(tmp_path, monkeypatch):
    """What Windows would write to a device is one line there and no file; elsewhere it is a name as any other."""
    names = ("con.csv", "AUX", "nul.tar.gz", "Com1.onnx", "lpt9 .txt")
    for name in names:
        assert bool(system.DEVICES.match(name)), name
    for name in ("console.csv", "auxiliary", "com10", "a.con", "nul-s0", "lpt"):
        assert not system.DEVICES.match(name), name
    monkeypatch.setattr(system.sys, "platform", "win32")
    for name in names:
        with raises_naming(StorageError, name):
            write_atomic(tmp_path / name, "")
        for making in (appearing_folder, replacing_folder):
            with raises_naming(StorageError, name), making(tmp_path / name):
                pass

    assert [] == list(tmp_path.iterdir())


@pytest.mark.posix("a path has 259 characters")
def test_names_as_long_as_may_be(tmp_path):
    """A file, a folder and their lock can have a name of 250 bytes, and differ from others that begin alike."""
    path = tmp_path / LONG
    write_atomic(path, "1")
    with replacing_folder(tmp_path / LONG.removesuffix("csv")) as folder:
        (folder / "a").write_text("1")
    with locked_name(path, "the table"), locked_name(tmp_path / f"y{LONG[1:]}", "the table"):
        pass

    assert unfinished(path) != unfinished(tmp_path / (LONG[:-5] + "y.csv"))
    assert {LONG, LONG.removesuffix("csv")} == {path.name for path in tmp_path.iterdir()}


def test_names_that_some_systems_take_for_one(tmp_path):
    """Places that differ in case, or in how accents are composed, get numbers, and no other ones do."""
    assert ["a", "A-2", "b", "A-3", "a/b", "A/b-2"] == apart(["a", "A", "b", "A", "a/b", "A/b"])
    assert ["\u00e9", "e\u0301-2"] == apart(["\u00e9", "e\u0301"])


def test_sources_by_paths_of_windows():
    """A path with a drive and backslashes is a file's name, not an address, and is said to be missing."""
    ((source,), _) = sources(["C:\\faces\\a.png"])

    assert "C:\\faces\\a.png" == source.name
    assert "no such file" in source.missing


def test_a_folder_takes_the_place_of_an_empty_one(tmp_path):
    """Windows renames nothing to a name that there is; an empty folder makes room."""
    (tmp_path / "out").mkdir()
    with appearing_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")

    assert ["a"] == [path.name for path in (tmp_path / "out").iterdir()]


def test_a_file_that_a_scanner_has_open_is_waited_for(tmp_path, monkeypatch):
    """On Windows a rename is tried again while another program has the file; after a second it is one line."""
    monkeypatch.setattr(system.sys, "platform", "win32")
    monkeypatch.setattr(system, "IN_USE_SECONDS", 0.001)
    real, refusals = Path.replace, [PermissionError(13, "in use")] * 3

    def replace(path, target):
        if refusals:
            raise refusals.pop()
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_atomic(tmp_path / "a.csv", "1")
    assert "1" == (tmp_path / "a.csv").read_text()
    refusals += [PermissionError(13, "in use")] * 100
    with raises_naming(StorageError, "a.csv"):
        write_atomic(tmp_path / "a.csv", "2")

    assert ["a.csv"] == [path.name for path in tmp_path.iterdir()]


def test_a_server_on_windows_has_one_worker(monkeypatch):
    """Several workers, which signals end, are refused there in one line that names the option."""
    several = Settings(workers=2, processes=1)
    monkeypatch.setattr(system.sys, "platform", "linux")
    assert several == check(several)
    monkeypatch.setattr(system.sys, "platform", "win32")
    assert 1 == check(Settings(processes=1)).workers
    with raises_naming(ServeError, "--workers"):
        check(several)


def test_tables_are_piped_in_utf_8_on_windows(monkeypatch):
    """What is piped is UTF-8 there, unless the user says otherwise, and a code page's elsewhere."""
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    for platform, expected in (("linux", b"\xe9"), ("win32", "\u00e9".encode())):
        monkeypatch.setattr(system.sys, "platform", platform)
        output = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="backslashreplace")
        system.set_encoding(output)
        output.write("\u00e9")
        output.flush()
        assert expected == output.buffer.getvalue()


def test_who_is_alone_at_work(tmp_path):
    """The first process at work in a folder is alone; the next is not, until the first one is gone or killed."""
    other = subprocess.Popen([sys.executable, "-c", AT_WORK, tmp_path], stdout=subprocess.PIPE, text=True)
    with other:
        assert "True\n" == other.stdout.readline()
        with at_work(tmp_path, "the search") as alone:
            assert not alone
        other.kill()
    with at_work(tmp_path, "the search") as alone:
        assert alone

    assert [] == list(tmp_path.iterdir())
