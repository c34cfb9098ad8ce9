import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from test_cli import mien

from mien import reading
from mien.cli.app import _Terminal
from mien.dataset import writing_dataset
from mien.errors import DataError, MienError
from mien.evaluate import evaluate
from mien.info import info
from mien.labels import refuse_class_names
from mien.pack.naming import Naming
from mien.predictions import read_predictions
from mien.reading import Unreadable, misfit, read_bytes, read_file_or_pipe, read_json, read_lines, sealed
from mien.recipe import read_recipe
from mien.run import read_run
from mien.text import escaped, escaped_lines
from mien.tune.space_file import read_space

FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | FINITE | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_sealed_object_comes_back_as_it_was(tmp_path_factory, value):
    """The checksum is right whatever the object holds, and is no part of what is read."""
    path = tmp_path_factory.mktemp("json") / "thing.json"
    value["format"] = 1
    path.write_text(json.dumps(sealed(value)))

    assert json.loads(json.dumps(value)) == read_json(path, what="a thing", newest=1, error=DataError)


def test_a_changed_number_is_told(tmp_path):
    """A file and a line whose checksum is not theirs are damaged; those without one are as they were before."""
    path = tmp_path / "thing.json"
    for text, whole in (
        (json.dumps(sealed({"format": 1, "seed": 3})), True),
        (json.dumps(sealed({"format": 1, "seed": 3})).replace("3", "7", 1), False),
        (json.dumps({"format": 1, "seed": 7}), True),
    ):
        path.write_text(text)
        for read in (lambda: read_json(path, what="a thing", newest=1, error=DataError), lambda: lines(path)):
            if whole:
                read()
            else:
                with pytest.raises(DataError):
                    read()


def lines(path: Path) -> list[dict]:
    """What stands in a file of lines."""
    return read_lines(path, what="a list", error=DataError)


SHAPE = {
    "labels": [str],
    "counts": {str: {str: int}},
    "share": float,
    "done": bool,
    "origin": dict,
    "note?": str,
}
RIGHT = {"labels": ["a"], "counts": {"val": {"a": 3}}, "share": 1, "done": True, "origin": {"x": [None]}}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({}, ""),
        ({"note": "x", "more": 1}, ""),
        ({"labels": None}, "labels"),
        ({"labels": "a"}, "labels"),
        ({"labels": ["a", 1]}, "labels[1]"),
        ({"labels": ["\ud800"]}, "labels[0]"),
        ({"counts": {"val": {"a": 3.0}}}, "counts.val.a"),
        ({"counts": {"val": {"a": True}}}, "counts.val.a"),
        ({"counts": []}, "counts"),
        ({"share": float("nan")}, "share"),
        ({"share": float("inf")}, "share"),
        ({"share": 10**400}, "share"),
        ({"done": 1}, "done"),
        ({"origin": []}, "origin"),
        ({"note": None}, "note"),
    ],
)
def test_a_value_of_another_type_is_found_where_it_stands(change, place):
    """A shape says what each part must be, and the first misfit is named by its place."""
    assert misfit({**RIGHT, **change}, SHAPE).startswith(place or "")
    assert bool(place) == bool(misfit({**RIGHT, **change}, SHAPE))


@given(JSON)
def test_any_value_fits_or_not(value):
    """Whatever JSON holds is told in words."""
    assert isinstance(misfit(value, SHAPE), str)


READERS = {
    "odd.toml": (info, read_recipe, read_space),
    "odd.csv": (info, read_predictions),
    "odd.onnx": (info,),
    "odd": (info,),
}


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "lost link", "endless"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_told_at_once(tmp_path, name, kind):
    """No reader waits for a pipe or fills the memory from a device; all say in one line what it is."""
    path = tmp_path / name
    make_odd(path, kind)

    for read in READERS[name]:
        with pytest.raises(MienError) as error:
            read(path)
        assert "\n" not in str(error.value)


def make_odd(path: Path, kind: str) -> None:
    """Make something at a path that is no file, or one of a terabyte of nothing."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        with open(path, "wb") as file:
            file.truncate(2**40)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")


@pytest.mark.parametrize("kind", ["pipe", "device", "lost link", "endless"])
def test_runs_and_data_sets_of_pipes_are_told_at_once(tmp_path, toy_run, toy, kind):
    """Each file of a run and of a data set that is no file is told."""
    for folder, reads in ((toy_run, whole_run), (toy, info)):
        for source in sorted(folder.iterdir()):
            copy = tmp_path / folder.name
            copy.mkdir(exist_ok=True)
            for file in folder.iterdir():
                (copy / file.name).unlink(missing_ok=True)
                (copy / file.name).write_bytes(file.read_bytes())
            (copy / source.name).unlink()
            make_odd(copy / source.name, kind)
            if source.suffix == ".safetensors" and kind == "endless":
                continue  # hashed to its end, which takes as long as it is large
            if source.name == "faces.npy" and kind == "endless":
                continue
            with pytest.raises(MienError) as error:
                reads(copy)
            assert "\n" not in str(error.value)


def whole_run(folder: Path) -> None:
    """Read all that a run has."""
    info(folder)
    run = read_run(folder)
    run.metrics(), run.environment(), run.network()
    evaluate(folder)


def test_a_file_of_the_largest_size_is_read(tmp_path):
    """The bound is the last size that is read."""
    (tmp_path / "x").write_bytes(b"12345")

    assert read_bytes(tmp_path / "x", 5) == b"12345"
    with raises_naming(OSError, "5 bytes"):
        read_bytes(tmp_path / "x", 4)


@given(st.text())
def test_what_is_escaped_moves_no_cursor(text):
    """No control character is left, and text without any stays as it is."""
    shown = escaped_lines(text)

    assert not set(shown) & {*map(chr, range(10)), *map(chr, range(11, 32)), *map(chr, range(127, 160))}
    assert shown.encode().decode() == shown
    assert escaped_lines(shown) == shown


def test_escapes_are_those_of_python():
    """Bytes that are not UTF-8, colors and turned text can be seen; other scripts stay as they are."""
    assert escaped("a\x1b[31m\x9b\u202e\udcff\n") == r"a\x1b[31m\x9b\u202e\xff\n"
    assert escaped("می\u200cخوشحال 怒り é") == "می\u200cخوشحال 怒り é"


def test_nothing_that_a_file_says_reaches_a_terminal_as_it_is(tmp_path):
    """What a data set says of itself, and a recipe's field in an error, are escaped."""
    with writing_dataset(tmp_path / "faces", side=8, labels=("a", "b")) as writer:
        writer.add(bytes(64), label="a", split="train", source="x\x1b[2J")
        writer.leave_out("y\x1b[2J", "z\x1b[2J")
        writer.finish({"kind": "\x1b[2J", "files": {}}, notes=["\x1b]0;title\x07"])
    (tmp_path / "r.toml").write_text('name = "a"\n[network]\nkind = "\\u001b[2J"\n')

    assert "\x1b" not in info(tmp_path / "faces")
    assert r"\x1b[2J" in info(tmp_path / "faces")
    refused = mien("info", "r.toml", cwd=tmp_path)
    assert (2, False) == (refused.returncode, "\x1b" in refused.stderr)
    assert rb"\x1b[2J" in on_terminal("info", "faces", cwd=tmp_path)


def on_terminal(*arguments: str, cwd: Path) -> bytes:
    """Standard output of a command that writes to a terminal."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "mien", *arguments]
    with subprocess.Popen(command, cwd=cwd, stdout=theirs, stderr=subprocess.DEVNULL):
        os.close(theirs)
        shown = b""
        while part := read_terminal(ours):
            shown += part
        os.close(ours)
    return shown


def read_terminal(handle: int) -> bytes:
    """What was written, nothing once the other end is closed."""
    try:
        return os.read(handle, 4096)
    except OSError:  # Linux's word for that
        return b""


def test_a_terminal_gets_text_alone():
    """Whatever is printed to one, control characters are seen and lines stay lines."""
    written = io.BytesIO()
    terminal = _Terminal(written, "utf-8", write_through=True)
    print("a\x1b[2Jb", "c", sep="\n", file=terminal)

    assert rb"a\x1b[2Jb" + b"\nc\n" == written.getvalue()


@pytest.mark.parametrize("name", ["", "  ", " a", "a\nb", "a\x1b[2J", "\u202eb", "a\x00", "\udc80"])
def test_classes_have_names_that_can_be_shown(tmp_path, name):
    """A data set, a table of predictions and --labels refuse other names, and two classes of one name."""
    with pytest.raises(DataError):
        refuse_class_names(["x", name])
    with pytest.raises(DataError), writing_dataset(tmp_path / "faces", side=8, labels=("x", name)):
        pass
    assert [] == list(tmp_path.iterdir())
    if name.strip() == name != "":  # items are stripped, and empty ones leave a class out
        with pytest.raises(DataError):
            Naming(["x", name])


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[2J"])
def test_a_table_of_classes_without_a_name_is_refused(tmp_path, name):
    """Anybody's table, too."""
    (tmp_path / "p.csv").write_text(f'id,label,split,happy,"{name}"\n1,happy,val,.5,.5\n')

    with raises_naming(DataError, "p.csv"):
        read_predictions(tmp_path / "p.csv")


def test_two_classes_of_one_name_are_refused():
    """They could not be told apart."""
    with pytest.raises(DataError):
        refuse_class_names(["a", "b", "a"])


def test_a_pipe_is_read_to_its_end_and_no_further_than_its_bound():
    """What a command brings in pieces comes whole; more bytes than the bound are refused while they come."""
    part = "import sys, time; part = bytes(range(256)) * 200"
    again = "; sys.stdout.buffer.write(part); sys.stdout.flush(); time.sleep(.02)"
    with subprocess.Popen([sys.executable, "-c", part + 5 * again], stdout=subprocess.PIPE) as process:
        assert read_file_or_pipe(f"/dev/fd/{process.stdout.fileno()}", 300_000) == bytes(range(256)) * 1000
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        with pytest.raises(Unreadable):
            read_file_or_pipe(f"/dev/fd/{endless.stdout.fileno()}", 300_000)
        endless.kill()


def test_a_pipe_that_brings_nothing_is_not_waited_for_forever(tmp_path, monkeypatch):
    """A pipe without a writer is empty; one whose writer is silent is refused."""
    monkeypatch.setattr(reading, "PIPE_SECONDS", 0.05)
    os.mkfifo(tmp_path / "pipe")
    assert read_file_or_pipe(tmp_path / "pipe", 100) == b""
    ours, theirs = os.pipe()
    with pytest.raises(Unreadable):
        read_file_or_pipe(f"/dev/fd/{ours}", 100)
    os.close(theirs)
    assert read_file_or_pipe(f"/dev/fd/{ours}", 100) == b""
    os.close(ours)


def test_a_table_is_judged_from_a_pipe(tmp_path):
    """`mien judge <(command)` judges what the command writes as it judges a file."""
    table = tmp_path / "table.csv"
    rows = (f"{n},{('happy', 'sad')[n % 2]},test,.7,.3" for n in range(40))
    table.write_text("\n".join(["id,label,split,happy,sad", *rows]))
    judge = f"{sys.executable} -m mien judge"
    run = ["bash", "-c", f"{judge} <(cat '{table}') && echo END && {judge} '{table}'"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120)
    piped, whole = (text.splitlines()[2:] for text in done.stdout.split("END\n"))

    assert done.returncode == 0, done.stderr
    assert "accuracy" in "".join(piped)
    assert piped == whole
