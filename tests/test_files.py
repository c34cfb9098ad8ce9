import errno
import os
import shutil
import stat

import pytest

from mien import errors
from mien.files import appearing_folder, locked, read_json, to_json, write_atomic


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """A disk that fills up while a file is replaced leaves its old bytes and nothing beside it."""
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.StorageError, match=r"result.json: could not be written \(No space left"):
        write_atomic(path, "new")

    assert ["result.json"] == [p.name for p in tmp_path.iterdir()]
    assert "old" == path.read_text()


def test_a_folder_takes_no_files_place(tmp_path):
    """A folder's name where a file's is wanted is told before anything is written."""
    for path in (tmp_path, "."):
        with pytest.raises(errors.StorageError, match="a folder; give the name of a file"):
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


def test_what_a_killed_process_left_goes_with_the_next(tmp_path):
    """An abandoned hidden folder is removed, one that is still being written is not."""
    abandoned = tmp_path / ".data.abcdefgh.partial"
    abandoned.mkdir()
    (abandoned / "half").write_text("x")
    with appearing_folder(tmp_path / "data") as outer:
        assert not abandoned.exists()
        with appearing_folder(tmp_path / "data"):
            assert outer.exists()
        shutil.rmtree(tmp_path / "data")

    assert ["data"] == [p.name for p in tmp_path.iterdir()]


def test_an_appearing_folder_has_the_users_permissions(tmp_path):
    """A new folder is as readable for others as the umask says, not as private as a temporary one."""
    before = os.umask(0o022)
    try:
        with appearing_folder(tmp_path / "data"):
            pass
    finally:
        os.umask(before)

    assert 0o755 == stat.S_IMODE((tmp_path / "data").stat().st_mode)


def test_a_lock_is_held_by_one(tmp_path):
    """A folder that is locked cannot be locked again until the first holder is done."""
    with (
        locked(tmp_path, "the run"),
        pytest.raises(errors.StorageError, match="the run is in use by another process"),
        locked(tmp_path, "the run"),
    ):
        pass
    with locked(tmp_path, "the run"):
        pass


def test_a_disk_without_locks_is_not_another_process(tmp_path, monkeypatch):
    """Where the file system knows no locks that is said, and nobody is sent to look for a process."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(errors.StorageError, match="the run cannot be locked there"),
        locked(tmp_path, "the run"),
    ):
        pass


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
