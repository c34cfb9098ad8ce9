"""Tables of `mien video` that grow, and go on where a run was stopped."""

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from refusals import raises_naming

from mien.errors import DataError, Stopped
from mien.info import info
from mien.model import read_model
from mien.predict.columns import NO_FACE
from mien.progress import Counting
from mien.render.clips import render_clip
from mien.video import video

pytest.importorskip("cv2")

RATE = 12


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A clip of eight frames, one without a face, a damaged file, and the clip again."""
    folder = tmp_path_factory.mktemp("videos")
    render_clip(folder / "clip", "change", seconds=8 / RATE, rate=RATE, side=128, seed=3)
    (folder / "empty").mkdir()
    for number in range(3):
        Image.new("RGB", (128, 128), (90, 120, 90)).save(folder / "empty" / f"{number}.png")
    names = [folder / "a.avi", folder / "empty", folder / "damaged.avi", folder / "d.avi"]
    for name in (names[0], names[3]):
        name.write_bytes((folder / "clip" / "clip.avi").read_bytes())
    names[2].write_bytes(b"no video\n" * 99)
    return names


@pytest.fixture(scope="module")
def undisturbed(videos, tmp_path_factory):
    """The tables of an undisturbed run, by kind."""
    return run(videos, tmp_path_factory.mktemp("whole"))


def places(folder: Path) -> dict[str, Path]:
    """Return where the tables of a run go."""
    return {"csv": folder / "a.csv", "json": folder / "a.json", "people": folder / "p.csv"}


def run(videos, folder: Path, **options) -> dict[str, bytes]:
    """Read the videos into tables; return these, by kind."""
    kinds = options.pop("kinds", ("csv", "json", "people"))
    video(videos, **{kind: places(folder)[kind] for kind in kinds}, **options)
    return {kind: places(folder)[kind].read_bytes() for kind in kinds}


class StopsIn(Counting):
    """Stops the work behind the Nth frame of a video."""

    def __init__(self, name: Path, frames: int, error: type[BaseException] = Stopped) -> None:
        self._name, self._frames, self._error = str(name), frames, error
        self.read: list[str] = []  # the videos that were begun

    def over(self, name, total, things):
        """Yield the things, and stop."""
        self.read.append(name)
        for number, thing in enumerate(things, start=1):
            yield thing
            if name == self._name and number == self._frames:
                raise self._error("enough")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_video_has_rows(videos, undisturbed):
    """A video without a face has a row that says so, and so has one that could not be read."""
    rows = list(csv.DictReader(undisturbed["csv"].decode().splitlines()))

    assert list(map(str, videos)) == list(dict.fromkeys(row["video"] for row in rows))
    assert [NO_FACE] == [row["problem"] for row in rows if row["video"] == str(videos[1])]
    assert 16 == sum(bool(row["person"]) for row in rows)


@pytest.mark.parametrize("kinds", [("csv",), ("csv", "json", "people")], ids=["csv", "all"])
@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt])
def test_only_the_interrupted_video_is_read_again(videos, undisturbed, tmp_path, kinds, error):
    """Stopped in the last video, even in its first frame, a run resumes with it alone, to the bytes of a whole one."""
    for frames in (1, 5):
        stopping = StopsIn(videos[3], frames, error)
        with pytest.raises(error):
            run(videos, tmp_path, kinds=kinds, resume=True, progress=stopping)
        assert (tmp_path / "a.csv.unfinished").exists()
        again = stopping.read
    assert [str(videos[3])] == again
    counts = video(videos, **{kind: places(tmp_path)[kind] for kind in kinds}, resume=True)

    assert (4, 1, 8) == (counts["videos"], counts["failed"], counts["frames"])
    assert {kind: undisturbed[kind] for kind in kinds} == {k: places(tmp_path)[k].read_bytes() for k in kinds}
    assert {places(tmp_path)[kind] for kind in kinds} == set(tmp_path.iterdir())


def test_stopped_in_the_middle_nothing_half_is_left(videos, tmp_path):
    """Ctrl-C leaves the rows so far and their state, and no half film or figure."""
    with raises_naming(Stopped, "a.csv", "1 videos"):
        video(videos[:1], csv=tmp_path / "a.csv", annotate=tmp_path / "a.mp4", timeline=tmp_path / "a.svg",
              progress=StopsIn(videos[0], 5))  # fmt: skip

    assert {tmp_path / "a.csv", tmp_path / "a.csv.unfinished"} == set(tmp_path.iterdir())
    assert 5 == len(rows_of(tmp_path / "a.csv"))
    assert "unfinished" in info(tmp_path / "a.csv")


def test_another_run_is_not_gone_on_with(videos, tmp_path):
    """Without --resume, or with another option, model or list of videos, what was begun is refused and stays."""
    resumed = {"csv": tmp_path / "a.csv", "resume": True}
    other = replace(read_model("pocket"), sha256="0" * 64)
    with pytest.raises(Stopped):
        video(videos, csv=tmp_path / "a.csv", progress=StopsIn(videos[0], 2))
    before = (tmp_path / "a.csv").read_bytes()
    for options, word in (
        ({"resume": False}, "unfinished"), ({"region": (0, 0, 99, 99)}, "region"), ({"every": 2}, "every"),
        ({"threshold": 0.9}, "threshold"), ({"min_score": 0.5}, "min score"), ({"min_face": 9}, "min face"),
        ({"model": other}, "model"), ({"frames": 9}, "frames"), ({"seconds": 9}, "seconds"), ({"rate": 9}, "rate"),
        ({"long_side": 320}, "long side"), ({"timeline": tmp_path}, "timeline"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=word):
            video(videos, **{**resumed, **options})
    with raises_naming(DataError, "3 videos"):
        video(videos[1:], **resumed)

    assert before == (tmp_path / "a.csv").read_bytes()


def test_a_complete_table_is_left_as_it_is(videos, undisturbed, tmp_path):
    """Resuming what came to its end reads nothing; a table of other videos or another command is refused."""
    for kind, data in undisturbed.items():
        places(tmp_path)[kind].write_bytes(data)
    reading = StopsIn(videos[0], 0)
    counts = video(videos, **places(tmp_path), resume=True, progress=reading)

    assert ([], 4, 1) == (reading.read, counts["videos"], counts["failed"])
    with pytest.raises(DataError):
        video(videos[:2], csv=tmp_path / "a.csv", resume=True)
    (tmp_path / "b.csv").write_text("picture,face\nx.jpg,1\n")
    with raises_naming(DataError, "b.csv"):
        video(videos, csv=tmp_path / "b.csv", resume=True)
    assert "picture,face\nx.jpg,1\n" == (tmp_path / "b.csv").read_text()
    assert undisturbed == {kind: path.read_bytes() for kind, path in places(tmp_path).items()}


@pytest.mark.parametrize("options", [{}, {"csv": "-"}, {"people": "p.csv"}, {"csv": "a.csv", "camera": 0}])
def test_resume_needs_a_table_and_files(videos, tmp_path, monkeypatch, options):
    """Without a table in a file there is nothing to go on with, and a camera cannot be read once more."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        video(videos, resume=True, **options)

    assert [] == list(tmp_path.iterdir())


def test_killed_and_resumed_the_tables_are_those_of_an_undisturbed_run(videos, undisturbed, tmp_path):
    """SIGKILL in the last video changes no byte of what the resumed run leaves."""
    options = [part for kind, path in places(tmp_path).items() for part in (f"--{kind}", path)]
    command = [sys.executable, "-m", "mien", "video", *videos, *options, "--resume"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None and str(videos[3]) not in text_of(tmp_path / "a.csv"):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == process.returncode

    assert undisturbed == run(videos, tmp_path, resume=True)
    assert json.loads(undisturbed["json"].splitlines()[-1])["frames"] == 8


def text_of(path: Path) -> str:
    """Return a file's text so far, "" where there is none."""
    return path.read_text() if path.exists() else ""
