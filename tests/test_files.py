import os
import stat
import subprocess
import sys
import threading
import time

import pytest
from refusals import raises_naming

from mien import errors
from mien.files import appearing_file, appearing_folder, replacing_folder, to_json, write_atomic
from mien.reading import read_json

WRITES_FOR_EVER = """
import sys, time
from pathlib import Path
from mien.files import appearing_file

with appearing_file(Path(sys.argv[1])):
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """A disk that fills up while a file is replaced leaves its old bytes and nothing beside it."""
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with raises_naming(errors.StorageError, "result.json"):
        write_atomic(path, "new")

    assert ["result.json"] == [p.name for p in tmp_path.iterdir()]
    assert "old" == path.read_text()


def test_two_who_write_one_file_at_once_both_end_well(tmp_path):
    """Each writes a file of its own, and the one that ends last is there whole."""
    path = tmp_path / "o.csv"
    with appearing_file(path) as first:
        first.write("first\n" * 1000)
        with appearing_file(path) as second:
            second.write("second\n" * 500)
        assert "second\n" * 500 == path.read_text()
        first.write("first\n" * 1000)

    assert "first\n" * 2000 == path.read_text()
    assert ["o.csv"] == [p.name for p in tmp_path.iterdir()]


def test_a_file_keeps_its_permissions(tmp_path):
    """What only its owner may read stays so when it is written again; a new file is as the umask says."""
    before = os.umask(0o022)
    try:
        for path, mode in ((tmp_path / "private", 0o600), (tmp_path / "shared", 0o664)):
            path.touch()
            path.chmod(mode)
            write_atomic(path, "new")
            assert mode == stat.S_IMODE(path.stat().st_mode)
            with appearing_file(path) as file:
                (hidden,) = tmp_path.glob(".*")
                assert mode == stat.S_IMODE(hidden.stat().st_mode)
                file.write("newer")
            assert mode == stat.S_IMODE(path.stat().st_mode)
        write_atomic(tmp_path / "fresh", "x")
        assert 0o644 == stat.S_IMODE((tmp_path / "fresh").stat().st_mode)
    finally:
        os.umask(before)


def test_no_link_leads_a_hidden_file_elsewhere(tmp_path, monkeypatch):
    """A link that lies where the hidden file would be made is not written through."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr("secrets.token_hex", lambda _: "0")
    (tmp_path / ".o.csv.0.tmp").symlink_to(victim)

    with pytest.raises(errors.StorageError):
        write_atomic(tmp_path / "o.csv", "theirs")

    assert "mine" == victim.read_text()


@pytest.mark.posix("a path has 259 characters")
def test_a_name_as_long_as_may_be_can_be_written(tmp_path):
    """A file whose name has 255 bytes is written, as hidden names are shorter."""
    for name in ("x" * 255, "ä" * 127):
        write_atomic(tmp_path / name, "x")

        assert "x" == (tmp_path / name).read_text()


@pytest.mark.posix("nobody removes what another process has open")
def test_a_killed_writers_hidden_file_goes_and_a_living_ones_stays(tmp_path):
    """The next writer of a file removes what killed ones left, and nothing that is being written."""
    path = tmp_path / "o.csv"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, path],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
    )
    writer.stdout.readline()
    (hidden,) = tmp_path.glob(".*")
    os.utime(hidden, (0, 0))
    write_atomic(path, "while it lives")
    assert hidden.exists()

    writer.kill()
    writer.wait()
    writer.stdout.close()
    os.utime(hidden, (0, 0))
    write_atomic(path, "once it is dead")

    assert ["o.csv"] == [p.name for p in tmp_path.iterdir()]


def test_a_folder_takes_no_files_place(tmp_path):
    """A folder's name where a file's is wanted is told before anything is written."""
    for path in (tmp_path, "."):
        with pytest.raises(errors.StorageError):
            write_atomic(path, "x")


def test_a_name_in_no_encoding_can_be_written_about(tmp_path):
    """What a file name's bytes became is written as an escape."""
    write_atomic(tmp_path / "told.txt", "bad\udcff.csv")

    assert "bad\\udcff.csv" == (tmp_path / "told.txt").read_text()


def test_an_appearing_folder_is_whole_or_absent(tmp_path):
    """A folder appears under its name only when its block ended well."""
    with pytest.raises(ZeroDivisionError), appearing_folder(tmp_path / "data") as hidden:
        (hidden / "half").write_text("x")
        raise ZeroDivisionError

    assert [] == list(tmp_path.iterdir())
    with appearing_folder(tmp_path / "data") as hidden:
        (hidden / "whole").write_text("x")

    assert ["data"] == [p.name for p in tmp_path.iterdir()]
    assert "x" == (tmp_path / "data" / "whole").read_text()


def test_a_folder_that_a_killed_process_left_goes_with_the_next(tmp_path):
    """What a killed process left of a folder goes when the same one is made again."""
    abandoned = tmp_path / ".data.partial"
    abandoned.mkdir()
    (abandoned / "half").write_text("x")
    with appearing_folder(tmp_path / "data") as hidden:
        assert [] == list(hidden.iterdir())
        (hidden / "whole").write_text("x")

    assert ["data"] == [p.name for p in tmp_path.iterdir()]
    assert ["whole"] == [p.name for p in (tmp_path / "data").iterdir()]


def test_who_comes_second_waits_for_a_folder_and_hears_that_it_is_there(tmp_path):
    """Of two who make the same folder the second one waits, and then is told that it exists."""
    begun, turns = threading.Event(), []

    def first():
        with appearing_folder(tmp_path / "data") as hidden:
            (hidden / "by").write_text("first")
            begun.set()
            while not turns:
                time.sleep(0.01)

    other = threading.Thread(target=first)
    other.start()
    begun.wait()
    with (
        pytest.raises(errors.FolderExists),
        appearing_folder(tmp_path / "data", waiting=lambda: turns.append(1)),
    ):
        pass
    other.join()

    assert turns
    assert "first" == (tmp_path / "data" / "by").read_text()
    assert ["data"] == [p.name for p in tmp_path.iterdir()]


def test_a_replacement_that_was_killed_loses_nothing(tmp_path):
    """An old report that was set aside when the process died comes back, and a half-made one goes."""
    for name in (".report.old", ".report.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page").write_text(name)

    with pytest.raises(KeyError), replacing_folder(tmp_path / "report"):
        raise KeyError

    assert ["report"] == [p.name for p in tmp_path.iterdir()]
    assert ".report.old" == (tmp_path / "report" / "page").read_text()


def test_a_replaced_report_is_the_new_one(tmp_path):
    """The new folder takes the old one's place whole, and nothing else stays."""
    for word in ("one", "two"):
        with replacing_folder(tmp_path / "report") as folder:
            (folder / word).write_text(word)

    assert ["report"] == [p.name for p in tmp_path.iterdir()]
    assert ["two"] == [p.name for p in (tmp_path / "report").iterdir()]


def test_an_appearing_folder_has_the_users_permissions(tmp_path):
    """A new folder is as readable for others as the umask says, not as private as a temporary one."""
    before = os.umask(0o022)
    try:
        with appearing_folder(tmp_path / "data"):
            pass
    finally:
        os.umask(before)

    assert 0o755 == stat.S_IMODE((tmp_path / "data").stat().st_mode)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not a mien thing"),
        ("", "damaged"),
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ('{"format": ' + "1" * 5_000 + "}", "damaged"),
        ("[1]", "no format number"),
        ('{"format": "1"}', "no format number"),
        ('{"format": 2}', "format 2 by a newer mien; this one reads up to format 1"),
    ],
)
def test_a_json_file_that_is_not_ours_is_told_in_words(tmp_path, text, message):
    """Missing, damaged and newer files each get their own line."""
    path = tmp_path / "thing.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(errors.DataError, match=message):
        read_json(path, what="a mien thing", newest=1, error=errors.DataError)


def test_json_refuses_nan():
    """A figure that is not a number never reaches a file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"accuracy": float("nan")})


def test_every_error_has_the_one_root():
    """All errors that mien raises on purpose can be caught as MienError."""
    raised = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]

    assert all(issubclass(error, errors.MienError) for error in raised)
    assert len(raised) > 5
    assert issubclass(errors.MissingExtra, ImportError)
