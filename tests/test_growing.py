"""Tables that grow and go on, with toy items instead of pictures and videos."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import raises_naming

from mien.errors import DataError, Stopped
from mien.predict import growing
from mien.predict.growing import Line, Tables, Work

NAMES = ["a", "b", "c", "d", "e"]
LINES = {
    "a": 2,
    "b": 1,
    "c": 4,
    "d": 1,
    "e": 3,
}  # in the dense table; the sparse one has none of "a", "c" and "e"


class Toy:
    """A line is an item's name and a number."""

    def __init__(self, *, sparse: bool) -> None:
        self.head, self.sparse = f"{'sparse' if sparse else 'dense'}\n", sparse

    def name(self, item: str) -> str:
        """Items are called what they are."""
        return item

    def parse(self, line: str) -> Line | None:
        """Return what a line says."""
        name, _, number = line.strip().partition(" ")
        return Line(name, labels=[number]) if number.isdecimal() else None

    def line(self, item: str, number: int) -> str:
        """Return one line of an item, "" for one that a sparse table has not."""
        return "" if self.sparse and item in "ace" else f"{item} {number}\n"


def write(folder: Path, names=NAMES, *, resume=True, until=None, sync_seconds=0.0, **options) -> int:
    """Write both tables, Stopped before the item `until`; return how many items were kept from before."""
    formats = [(folder / "s.txt", Toy(sparse=True)), (folder / "d.txt", Toy(sparse=False))]
    with Tables(formats, Work(names, "letters", options, resume, sync_seconds)) as tables:
        for item in names[tables.kept.items :]:
            if item == until:
                raise Stopped("enough")
            for number in range(LINES[item]):
                tables.write(lambda form, item=item, number=number: form.line(item, number))
            tables.end_item()
        return tables.kept.items


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def undisturbed(tmp_path):
    """What an undisturbed run leaves."""
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole", resume=False)
    return contents(tmp_path / "whole")


class Killed(BaseException):
    """The process is gone: nothing writes from here on."""


def kill_at(patched, call: int) -> None:
    """End the process at one of the calls that change a disk, in the middle of what is written."""
    left = [call]

    def killing(real, half=None):
        def do(*arguments):
            left[0] -= 1
            if left[0] == 0 and half:
                half(*arguments)
            if left[0] <= 0:
                raise Killed
            return real(*arguments)

        return do

    def write_half(to: int, data: bytes) -> None:
        os.write(to, data[: len(data) // 2])

    calls = {"write": killing(os.write, write_half), "ftruncate": killing(os.ftruncate)}
    patched.setattr(
        growing, "os", SimpleNamespace(**vars(os) | calls)
    )  # for others, as for locks, nothing ends
    patched.setattr(growing, "write_atomic", killing(growing.write_atomic))


@pytest.mark.parametrize("sync_seconds", [0.0, 1e9], ids=["each end noted", "no end noted"])
def test_killed_at_any_call_the_resumed_tables_are_whole(tmp_path, undisturbed, monkeypatch, sync_seconds):
    """Killed at each call that changes the disk, then at random ones, a run resumes to the same bytes."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
    rng, call, starts = np.random.default_rng(0), 0, 0
    while starts != 1:
        call += 1
        folder = tmp_path / f"{call}"
        folder.mkdir()
        for starts, kill in enumerate((call, *rng.integers(1, 30, 3), 10**6), start=1):  # noqa: B007
            with monkeypatch.context() as patched:
                kill_at(patched, kill)
                try:
                    write(folder, sync_seconds=sync_seconds)
                    break
                except Killed:
                    pass

        assert undisturbed == contents(folder)
    assert call > 20


def test_only_what_had_not_ended_is_done_once_more(tmp_path, undisturbed):
    """Each item whose end was noted is kept, though its table may have no line of it."""
    for until in NAMES[1:]:
        folder = tmp_path / until
        folder.mkdir()
        with pytest.raises(Stopped, match=rf"d\.txt keep {NAMES.index(until)} of 5 letters"):
            write(folder, until=until)

        assert NAMES.index(until) == write(folder)
        assert undisturbed == contents(folder)


def test_a_table_that_lost_its_end_is_not_believed_to_have_it(tmp_path, undisturbed):
    """Of a table that is shorter than when its items ended the last one is done again, of a sparse table all are."""
    with pytest.raises(Stopped):
        write(tmp_path, until="d")
    lines = (tmp_path / "d.txt").read_bytes().splitlines(keepends=True)
    (tmp_path / "d.txt").write_bytes(b"".join(lines[:-1]))

    assert 2 == write(tmp_path)
    with pytest.raises(Stopped):
        write(tmp_path, resume=False, until="d")
    (tmp_path / "s.txt").write_bytes(b"sparse\n")
    assert 0 == write(tmp_path)
    assert undisturbed == contents(tmp_path)


def test_what_is_compared_is_what_was_asked(tmp_path):
    """An unfinished table is refused without `resume`, with another option or other items, as is a file not ours."""
    with pytest.raises(Stopped):
        write(tmp_path, until="d", region=(0, 0, 9, 9))
    before = contents(tmp_path)
    for asked, words in (
        ({"resume": False, "region": (0, 0, 9, 9)}, "unfinished"),
        ({"region": (0, 0, 9, 8)}, "region"),
        ({"region": None}, "region"),
        ({"names": NAMES[:4], "region": (0, 0, 9, 9)}, "4 letters"),
    ):
        with pytest.raises(DataError, match=words):
            write(tmp_path, **asked)

    assert before == contents(tmp_path)
    assert 3 == write(tmp_path, region=[0, 0, 9, 9])
    with pytest.raises(DataError):
        write(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "d.txt").write_text("something else\n")
    with raises_naming(DataError, "d.txt"):
        write(tmp_path)
    assert "something else\n" == (tmp_path / "d.txt").read_text()
