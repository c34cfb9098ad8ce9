"""Tables in part files: which parts there are, how they are made by processes, and that they go on."""

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import raises_naming
from test_predict_growing import StopsAfter

from mien.errors import DataError, Stopped
from mien.pictures import read_file
from mien.predict import Recognizer
from mien.predict.parts import predict_parts
from mien.predict.parts.archives import index
from mien.predict.parts.cluster import PartActor
from mien.predict.parts.plan import MOST, Part, plan_of
from mien.predict.parts.processes import make_parts
from mien.predict.parts.write import CRASHED, Job, Totals, write_part
from mien.predict.sources import Source

PICTURES = 30


def png(seed: int) -> bytes:
    """A small picture of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20), np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """A folder of small pictures, the fourth broken."""
    folder = tmp_path_factory.mktemp("crops")
    for number in range(PICTURES):
        (folder / f"{number:05}.png").write_bytes(png(number))
    (folder / "00003.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def recognizer(toy_model):
    """A recognizer with the toy model."""
    return Recognizer(toy_model)


def run(recognizer, source, out: Path, **options):
    """Make a table of parts of eight pictures."""
    return predict_parts(
        recognizer, [source], out, **{"crop": True, "part_pictures": 8, "workers": 1} | options
    )


def parts_in(out: Path) -> dict[str, bytes]:
    """Return the part files by name."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.parquet"))}


@pytest.fixture(scope="module")
def whole(recognizer, crops, tmp_path_factory):
    """The folder of an undisturbed run, and its counts."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, run(recognizer, crops, out, workers=2)


def test_the_parts_are_the_table(whole, recognizer, crops):
    """All parts together are what `Recognizer.table` gives, each picture once, broken ones with their problem."""
    out, counts = whole
    table = pyarrow.parquet.read_table(out)
    expected = recognizer.table(sorted(crops.iterdir()), crop=True).to_arrow()
    numbers = [field.name for field in expected.schema if field.type == pyarrow.float32()]

    assert 4 == len(parts_in(out))
    assert table.drop(numbers).replace_schema_metadata() == expected.drop(numbers)
    np.testing.assert_allclose(
        table.select(numbers).to_pandas(), expected.select(numbers).to_pandas(), atol=1e-5
    )
    assert {"pictures": PICTURES, "faces": PICTURES - 1, "failed": 1, "empty": 0} == dict(counts)


def test_what_is_there_is_not_made_again(whole, recognizer, crops, tmp_path, capsys):
    """A part that is missing, cut or of another run is made anew to the same bytes, and no other."""
    out, counts = whole
    before = parts_in(out)
    names = sorted(before)
    (out / names[1]).unlink()
    (out / names[2]).write_bytes(before[names[2]][:-9])
    kept = {name: (out / name).stat().st_mtime_ns for name in (names[0], names[3])}

    assert counts == run(recognizer, crops, out)
    assert before == parts_in(out)
    assert kept == {name: (out / name).stat().st_mtime_ns for name in kept}
    assert counts == run(recognizer, crops, out)
    assert {"_mien.json", *names} == set(os.listdir(out))


def test_a_stopped_run_goes_on(whole, recognizer, crops, tmp_path):
    """Stopped in the midst, it keeps whole parts alone, and goes on to those of an undisturbed run."""
    with pytest.raises(Stopped):
        run(recognizer, crops, tmp_path, progress=StopsAfter(20))
    assert set(parts_in(whole[0])) > set(parts_in(tmp_path))
    run(recognizer, crops, tmp_path)

    assert parts_in(whole[0]) == parts_in(tmp_path)


def test_another_run_is_refused(whole, recognizer, toy_model, crops, tmp_path):
    """Other options, another model's settings or other pictures do not mix with what is there."""
    out = whole[0]
    with raises_naming(DataError, str(out), "crop"):
        run(recognizer, crops, out, crop=False)
    with raises_naming(DataError, str(out), "threshold"):
        run(Recognizer(toy_model, threshold=0.9), crops, out)
    with raises_naming(DataError, str(out), "sources"):
        run(recognizer, crops / "00001.png", out)
    with raises_naming(DataError, "5/4"):
        run(recognizer, crops, out, shard=(5, 4))
    with raises_naming(DataError, "missing"):
        run(recognizer, tmp_path / "missing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_shards_are_the_parts_of_the_whole(crops, tmp_path, shards):
    """Each part belongs to one shard, by the same name and with the same pictures as without shards."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(20):
            _add(archive, f"{number}.png", png(number))
    plan = plan_of([crops, tmp_path / "a.tar"], [], tmp_path / "out", None)
    dealt = [[_contents(part) for part in plan.parts(k, shards, 8)] for k in range(shards)]

    assert sorted(_contents(part) for part in plan.parts(0, 1, 8)) == sorted(sum(dealt, []))
    assert max(len(parts) for parts in dealt) <= 4 // shards + 4


def _contents(part: Part) -> tuple[str, int, tuple[str, ...]]:
    return part.name, part.pictures, tuple(source.name for source in part.chunk.pictures())


def test_parts_hold_a_few_thousand_pictures_and_fewer_of_few(tmp_path):
    """Few pictures are many parts, for all cores; a hundred million are parts of 4,000."""
    lines = tmp_path / "list.txt"
    lines.write_text("".join(f"{number}.png\n" for number in range(30_000)))
    sizes = [part.pictures for part in plan_of([], [str(lines)], tmp_path / "out", None).parts(0, 1)]

    assert 30_000 == sum(sizes)
    assert 250 <= len(sizes) <= 256
    assert MOST == 4000


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def archives(tmp_path):
    """A folder with archives and a parquet file, in which pictures have odd names."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("x/1.png", "x/2.png", "x/1.png", "x/1.json", ".hidden.png"):
            _add(tar, name, png(1))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("y/../1.png", png(2))
        archive.writestr("2.png", b"broken")
    rows = {"image": [{"bytes": png(3)}, None], "id": ["first", "second"]}
    pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "c.parquet")
    return tmp_path


def names_of(paths, out: Path, **options) -> list[str]:
    """Return the names of all pictures of a plan, in order."""
    plan = plan_of(paths, options.get("lists", ()), out, options.get("name_column"))
    return [source.name for part in plan.parts(0, 1, 2) for source in part.chunk.pictures()]


def test_archives_are_read_without_being_extracted(archives, recognizer, tmp_path_factory):
    """Pictures in tar, zip and parquet have rows under names that occur once, whatever the archive says."""
    out = tmp_path_factory.mktemp("out")
    job = Job(recognizer, out, True, {})
    parts = list(plan_of([archives], [], out, None).parts(0, 1))
    totals = [write_part(job, part, (), lambda line: None) for part in parts]
    counts = sum((Counter(one.counts) for one in totals), Counter())
    names = pyarrow.parquet.read_table(out)["picture"].to_pylist()
    tar, packed, rows = (archives / name for name in ("a.tar", "b.zip", "c.parquet"))

    assert [
        *(f"{tar}:{name}" for name in ("x/1.png", "x/2.png", "x/1.png#2")),
        *(f"{packed}:{name}" for name in ("y/../1.png", "2.png")),
        *(f"{rows}, row {number}" for number in (1, 2)),
    ] == names
    assert (7, 5, 2) == (counts["pictures"], counts["faces"], counts["failed"])
    assert ["first", "second"] == names_of([rows], out, name_column="id")
    with raises_naming(DataError, "c.parquet", "idd"):
        names_of([rows], out, name_column="idd")


def test_a_table_is_no_source_of_itself(whole, tmp_path):
    """Parts that lie below the folder that is read are not read as pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.png").write_bytes(png(1))
    shutil.copytree(whole[0], folder / "out")

    assert [str(folder / "1.png")] == names_of([folder], folder / "out")


@pytest.mark.parametrize("damage", ["cut", "header", "compressed", "empty", "no zip", "no parquet"])
def test_a_damaged_archive_is_a_picture_that_cannot_be_used(archives, tmp_path_factory, damage):
    """What stands before the damage is read, and one more picture says what is wrong with the archive."""
    tar, out = archives / "a.tar", tmp_path_factory.mktemp("out")
    data = bytearray(tar.read_bytes())
    if damage == "cut":
        tar.write_bytes(data[:1600])
    elif damage == "header":
        data[1024:1100] = bytes(range(76))
        tar.write_bytes(data)
    elif damage == "empty":
        tar.write_bytes(b"")
    elif damage == "compressed":
        tar = tar.rename(archives / "a.tar.gz")
    else:
        tar = tar.rename(archives / ("a.zip" if damage == "no zip" else "a.parquet"))
    names = names_of([tar, archives / "b.zip"], out)

    assert str(tar) in names
    assert f"{archives / 'b.zip'}:2.png" in names
    assert (damage in ("cut", "header")) == (f"{tar}:x/1.png" in names)


@settings(max_examples=50, deadline=None)
@given(
    cut=st.integers(0, 6000), flips=st.lists(st.tuples(st.integers(0, 5999), st.integers(1, 255)), max_size=4)
)
def test_any_bytes_are_an_archive_or_say_why_not(tmp_path_factory, cut, flips):
    """However a tar archive is damaged, its index is made, and a stretch of it read, without any other error."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(3):
            _add(archive, f"{number}.png", png(number))
    data = bytearray(file.getvalue())
    for place, change in flips:
        data[place % len(data)] ^= change
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    path.write_bytes(data[: len(data) - cut])
    members, problem = index.__wrapped__(str(path))

    assert len(members) <= 3
    assert problem or len(members) + 3 >= 3


def test_lists_name_pictures_and_archives(archives, crops, tmp_path_factory):
    """A list is read in stretches; empty lines and the ends of Windows' lines are passed over."""
    folder = tmp_path_factory.mktemp("list")
    path, names = folder / "l.txt", [str(crops / f"{number:05}.png") for number in range(5)]
    path.write_bytes("\r\n".join([*names[:2], "", str(archives / "b.zip"), *names[2:]]).encode())

    assert [*names, *(f"{archives / 'b.zip'}:{name}" for name in ("y/../1.png", "2.png"))] == names_of(
        [], folder, lists=[str(path)]
    )
    path.write_bytes(b"a" * 70_000)
    with raises_naming(DataError, "l.txt"):
        names_of([], folder, lists=[str(path)])
    with raises_naming(DataError, "gone.txt"):
        names_of([], folder, lists=[str(folder / "gone.txt")])


@dataclass(frozen=True)
class Killing:
    """Pictures of a folder, one of which kills whoever reads it, always or as long as a file is there."""

    folder: Path
    deadly: str
    once: Path | None = None

    def pictures(self):
        """Yield the pictures."""
        for path in sorted(self.folder.iterdir()):
            yield Source(str(path), partial(self._read, path), "")

    def _read(self, path: Path) -> bytes:
        if path.name == self.deadly and (self.once is None or self.once.exists()):
            if self.once is not None:
                self.once.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return read_file(path)


@pytest.mark.parametrize("always", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_process_that_ends_is_replaced(recognizer, crops, tmp_path, always):
    """A picture over which processes end is one that cannot be used; one that was in a killed process has its face."""
    once = tmp_path / "once"
    once.touch()
    out = tmp_path / "out"
    out.mkdir()
    job = Job(recognizer, out, True, {})
    part = Part("p.parquet", PICTURES, Killing(crops, "00005.png", None if always else once))
    messages = list(make_parts(job, [part], 1))
    problems = pyarrow.parquet.read_table(out / "p.parquet")["problem"].to_pylist()

    lines = [line for message in messages[:-1] for line in message.problems]
    assert isinstance(messages[-1], Totals)
    assert PICTURES == len(lines)
    assert ([5] if always else []) == [place for place, line in enumerate(lines) if CRASHED in line]
    assert (CRASHED if always else None) == problems[5]
    assert PICTURES - 1 - always == problems.count(None)


def test_an_actor_makes_a_part_and_says_what_a_process_says(whole, recognizer, crops, tmp_path):
    """What a cluster calls gives the messages on each part, and the file that a process makes."""
    (part,) = plan_of([crops], [], tmp_path, None).parts(0, 1, PICTURES)
    actor = PartActor(Job(recognizer, tmp_path, True, {}))
    try:
        (pickled,) = actor({"part": np.array([pickle.dumps(part)], object)})["messages"]
    finally:
        actor.close()
    messages = pickle.loads(pickled)

    assert PICTURES == sum(len(message.problems) for message in messages[:-1])
    assert isinstance(messages[-1], Totals)
    assert dict(whole[1]) == messages[-1].counts
    assert [part.name] == list(parts_in(tmp_path))


def mien(*arguments) -> list[str]:
    """Return the command line of mien."""
    return [sys.executable, "-m", "mien", *map(str, arguments)]


@pytest.mark.slow
def test_a_killed_run_goes_on(toy_model, tmp_path):
    """Killed by SIGKILL, the command leaves whole parts, its processes end, and the same command ends the table."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number:05}.png").write_bytes(png(number))
    command = mien("predict", folder, "--parquet", out, "--model", toy_model, "--crop", "--workers", "1")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list(out.glob("*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    left = len(parts_in(out))
    done = subprocess.run(command, capture_output=True, text=True)

    assert (0, "8 of 8 parts") == (done.returncode, done.stdout[done.stdout.index("8 of") :][:12])
    assert 1 <= left <= 8
    assert [str(folder / f"{number:05}.png") for number in range(400)] == pyarrow.parquet.read_table(out)[
        "picture"
    ].to_pylist()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--parquet", "o", "--csv", "c.csv"], "--csv"),
        (["--parquet", "o", "--shard", "3"], "--shard"),
        (["--shard", "1/2"], "--shard"),
        (["--ray", "local"], "--ray"),
        (["--parquet", "o", "-"], "standard input"),
    ],
)
def test_what_cannot_be_asked_is_one_line(monkeypatch, capsys, toy_model, tmp_path, crops, options, named):
    """Options that contradict each other end in one line and status 2, and nothing is written."""
    from mien.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mien", "predict", str(crops), "--model", str(toy_model), *options])
    with pytest.raises(SystemExit) as end:
        main()
    message = capsys.readouterr().err

    assert (2, 1, True) == (end.value.code, message.count("\n"), named in message)
    assert [] == os.listdir(tmp_path)
