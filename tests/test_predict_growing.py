"""Tables of `mien predict` that grow, and go on where a run was stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import raises_naming

from mien.errors import DataError, Stopped, StorageError
from mien.info import info
from mien.labels import LABELS
from mien.predict import predict
from mien.progress import Counting


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """A folder of 30 small pictures, of which one is broken."""
    folder = tmp_path_factory.mktemp("crops")
    write_crops(folder, 30)
    return folder


def write_crops(folder: Path, number: int) -> None:
    """Write small pictures of noise, the fourth broken."""
    for place in range(number):
        pixels = np.random.default_rng(place).integers(0, 256, (20, 20), np.uint8)
        Image.fromarray(pixels).save(folder / f"{place:05}.png")
    (folder / "00003.png").write_bytes(b"no picture")


class StopsAfter(Counting):
    """Stops the work, as Ctrl-C does, after so many pictures."""

    def __init__(self, pictures: int, error: type[BaseException] = Stopped):
        self._pictures, self._error = pictures, error

    def over(self, name, total, things):
        """Yield the things, and stop."""
        for done, thing in enumerate(things, start=1):
            yield thing
            if done == self._pictures:
                raise self._error("stopped")


def whole(folder: Path, model, out: Path, **options) -> tuple[str, str]:
    """Return the tables of an undisturbed run."""
    out.mkdir()
    predict([folder], model=model, csv=out / "o.csv", json=out / "o.jsonl", **options)
    return (out / "o.csv").read_text(), (out / "o.jsonl").read_text()


def tables(folder: Path) -> tuple[str, str]:
    """Return the two tables in a folder."""
    return (folder / "o.csv").read_text(), (folder / "o.jsonl").read_text()


@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt, OSError])
def test_what_was_done_is_kept_and_resumed(crops, toy_model, tmp_path, error, capsys):
    """However a run ends, its tables hold whole pictures, and a resumed one makes them those of an undisturbed run."""
    expected = whole(crops, toy_model, tmp_path / "whole", crop=True)
    counts = predict([crops], model=toy_model, crop=True)
    made = {"csv": tmp_path / "o.csv", "json": tmp_path / "o.jsonl"}
    for pictures in (7, 11):
        with pytest.raises(error):
            predict(
                [crops], model=toy_model, crop=True, **made, resume=True, progress=StopsAfter(pictures, error)
            )
        assert expected[0].startswith(made["csv"].read_text())
        assert "unfinished" in info(made["csv"])
    assert len(made["json"].read_text().splitlines()) >= 16
    again = predict([crops], model=toy_model, crop=True, **made, resume=True)

    assert expected == tables(tmp_path)
    assert counts == again
    assert {"o.csv", "o.jsonl", "whole"} == set(os.listdir(tmp_path))
    assert "unfinished" not in info(made["csv"])


def test_a_complete_table_is_left_as_it_is(crops, toy_model, tmp_path, capsys):
    """Resuming what came to its end does nothing, and gives the same counts."""
    made = {"csv": tmp_path / "o.csv", "json": tmp_path / "o.jsonl"}
    first = predict([crops], model=toy_model, crop=True, **made)
    before = made["csv"].stat().st_mtime_ns

    assert first == predict([crops], model=toy_model, crop=True, **made, resume=True)
    assert before == made["csv"].stat().st_mtime_ns
    with raises_naming(DataError, "o.csv"):
        predict([crops / "00001.png"], model=toy_model, crop=True, csv=made["csv"], resume=True)
    made["json"].unlink()
    assert first == predict([crops], model=toy_model, crop=True, **made, resume=True)


@pytest.mark.parametrize("cut", [0, 5, 40, 400, 900, 1600])
def test_a_torn_end_is_done_anew(crops, toy_model, tmp_path, cut):
    """Wherever a table is cut, and whatever stands behind the cut, the resumed one is that of an undisturbed run."""
    expected = whole(crops, toy_model, tmp_path / "whole", crop=True)
    made = {"csv": tmp_path / "o.csv", "json": tmp_path / "o.jsonl"}
    with pytest.raises(Stopped):
        predict([crops], model=toy_model, crop=True, **made, progress=StopsAfter(9))
    for path, rest in ((made["csv"], b"\0\0\0"), (made["json"], b'{"picture": "a'), (made["csv"], b"")):
        size = path.stat().st_size
        header = len(expected[0].partition("\n")[0]) + 1 if path == made["csv"] else 0
        path.write_bytes(path.read_bytes()[: max(header, size - cut)] + rest)
    predict([crops], model=toy_model, crop=True, **made, resume=True)

    assert expected == tables(tmp_path)


def test_rows_of_one_picture_are_whole(photos_of_two, toy_model, tmp_path):
    """A picture of two faces whose second row is missing is done anew."""
    made, names = tmp_path / "o.csv", [photos_of_two, photos_of_two.with_name("b.png")]
    predict(names, model=toy_model, csv=made)
    expected = made.read_text()
    with pytest.raises(Stopped):
        predict(names, model=toy_model, csv=made, progress=StopsAfter(1))
    lines = made.read_text().splitlines(keepends=True)
    assert 3 == len(lines)
    made.write_text("".join(lines[:-1]))
    predict(names, model=toy_model, csv=made, resume=True)

    assert expected == made.read_text()


@pytest.fixture
def photos_of_two(astronaut, tmp_path):
    """A picture with two faces, and the same beside it."""
    two = Image.fromarray(np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)[:300])
    for name in ("a.png", "b.png"):
        two.save(tmp_path / name)
    return tmp_path / "a.png"


@pytest.mark.parametrize(
    ("options", "word"),
    [({"crop": False}, "crop"), ({"threshold": 0.9}, "threshold"), ({"min_face": 5}, "min face"),
     ({"prior": dict.fromkeys(LABELS, 1) | {"happy": 5}}, "prior"),
     ({"long_side": 320}, "long side"), ({"model": "pocket"}, "model"), ({"annotate": Path("drawn")}, "annotate")],
)  # fmt: skip
def test_another_run_is_not_gone_on_with(crops, toy_model, tmp_path, options, word):
    """Another model, another option, other pictures: each is named, and nothing is changed."""
    made = {"csv": tmp_path / "o.csv"}
    with raises_naming(Stopped, "o.csv", "30 pictures"):
        predict([crops], model=toy_model, crop=True, **made, progress=StopsAfter(9))
    before = made["csv"].read_bytes()
    with pytest.raises(DataError, match=word):
        predict([crops], **{"model": toy_model, "crop": True, **made, "resume": True, **options})
    with raises_naming(DataError, "29 pictures"):
        predict(sorted(crops.iterdir())[1:], model=toy_model, crop=True, **made, resume=True)

    assert before == made["csv"].read_bytes()


def test_unfinished_work_is_not_written_over(crops, toy_model, tmp_path):
    """Without --resume a table that was stopped stays, until its mark is removed; one that ended is made anew."""
    made = tmp_path / "o.csv"
    with pytest.raises(Stopped):
        predict([crops], model=toy_model, crop=True, csv=made, progress=StopsAfter(9))
    with raises_naming(DataError, "o.csv.unfinished"):
        predict([crops], model=toy_model, crop=True, csv=made)
    (tmp_path / "o.csv.unfinished").unlink()
    predict([crops / "00001.png"], model=toy_model, crop=True, csv=made)
    predict([crops / "00001.png"], model=toy_model, crop=True, csv=made)

    assert 2 == len(made.read_text().splitlines())


def test_two_at_once_do_not_mix(crops, toy_model, tmp_path):
    """Who comes second to a table that is being written is told so, and the first ends well."""

    class Meanwhile(Counting):
        def over(self, name, total, things):
            for done, thing in enumerate(things):
                if done == 5:
                    with raises_naming(StorageError, "o.csv"):
                        predict([crops], model=toy_model, crop=True, csv=tmp_path / "o.csv", resume=True)
                yield thing

    expected = whole(crops, toy_model, tmp_path / "whole", crop=True)
    predict([crops], model=toy_model, crop=True, csv=tmp_path / "o.csv", progress=Meanwhile())

    assert expected[0] == (tmp_path / "o.csv").read_text()


def test_a_full_disk_keeps_whole_pictures(crops, toy_model, tmp_path, monkeypatch):
    """Where the disk refuses in the middle of a picture, its part is taken back and the error names the table."""
    real, written = os.write, [0]

    def write(handle: int, data: bytes) -> int:
        written[0] += 1
        if written[0] == 20:
            return real(handle, data[:10])
        if written[0] == 21:
            raise OSError(28, "No space left on device")
        return real(handle, data)

    expected = whole(crops, toy_model, tmp_path / "whole", crop=True)
    monkeypatch.setattr("mien.predict.growing.os.write", write)
    with raises_naming(StorageError, "o.csv"):
        predict([crops], model=toy_model, crop=True, csv=tmp_path / "o.csv")
    text = (tmp_path / "o.csv").read_text()
    monkeypatch.undo()

    assert text.endswith("\n")
    assert expected[0].startswith(text)
    predict([crops], model=toy_model, crop=True, csv=tmp_path / "o.csv", resume=True)
    assert expected[0] == (tmp_path / "o.csv").read_text()


@pytest.mark.parametrize("options", [{}, {"csv": "-"}, {"csv": "o.csv", "page": "o.html"}])
def test_resume_needs_a_table(crops, toy_model, tmp_path, monkeypatch, options):
    """Without a table in a file, or with a page of all pictures, there is nothing to go on with."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        predict([crops], model=toy_model, resume=True, **options)


def test_each_line_of_json_stands_alone(crops, toy_model, tmp_path):
    """Every line is a picture and names its model, so that a data frame of the lines has no row of nothing."""
    predict([crops], model=toy_model, json=tmp_path / "o.jsonl", crop=True, threshold=0.5)
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]

    assert 30 == len(lines)
    assert all(
        {"picture", "model", "sha256", "uncertain_below", "format", "mien", "card"} <= set(line)
        for line in lines
    )
    assert {0.5} == {line["uncertain_below"] for line in lines}


def killed_and_resumed(folder: Path, model, out: Path, kills: int, pictures: int) -> int:
    """Run `mien predict` until it ends, killed so many times on the way; return how many starts it took."""
    command = [sys.executable, "-m", "mien", "predict", folder, "--model", model, "--crop", "--resume"]
    command += ["--csv", out / "o.csv", "--json", out / "o.jsonl"]
    rng = np.random.default_rng(0)
    for start in range(1, 10 * kills):
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = start * pictures / (kills + 1) + rng.uniform(-0.3, 0.3) * pictures / (kills + 1)
        while process.poll() is None and (start > kills or len(rows(out / "o.csv")) < until):
            time.sleep(0.001)
        if process.poll() is not None:
            return start
        process.send_signal(signal.SIGKILL)
        process.wait()
    raise AssertionError("it never ended")


def rows(path: Path) -> list[bytes]:
    """Return the lines of a table, none where it is not there yet."""
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    ("pictures", "kills"), [(300, 2), pytest.param(2000, 10, marks=pytest.mark.slow)], ids=["fast", "slow"]
)
def test_killed_and_resumed_the_tables_are_those_of_an_undisturbed_run(toy_model, tmp_path, pictures, kills):
    """SIGKILL, ten times over 2,000 pictures, changes no byte of what the resumed run leaves."""
    (tmp_path / "crops").mkdir()
    write_crops(tmp_path / "crops", pictures)
    expected = whole(tmp_path / "crops", toy_model, tmp_path / "whole", crop=True)
    starts = killed_and_resumed(tmp_path / "crops", toy_model, tmp_path, kills, pictures)

    assert kills < starts
    assert expected == tables(tmp_path)
    assert pictures == len(list(csv.DictReader(expected[0].splitlines())))
