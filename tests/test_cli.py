import os
import subprocess
import sys

import pytest
from PIL import Image
from small_table import predictions, table
from test_train import TOY_CNN
from typer.main import get_command

from mien.cli import app

COMMANDS = get_command(app).commands


def mien(*arguments, cwd=None) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_has_help(name):
    """Every command says what it does and every option of it has help."""
    command = COMMANDS[name]

    assert command.help
    assert [] == [p.name for p in command.params if not getattr(p, "help", "") and p.name != "help"]


def test_help_shows_each_commands_line_whole():
    """On a terminal of 80 columns no command's line in `mien --help` is cut."""
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "mien", "--help"], capture_output=True, text=True, env=environment
    )

    assert len(COMMANDS) <= len(done.stdout.splitlines())
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_a_library_that_cannot_be_loaded_is_one_line(tmp_path):
    """A package that is there and fails while it loads, as one whose system library is missing, is one line."""
    (tmp_path / "onnxruntime.py").write_text(
        "raise ImportError('libfoo.so.1: cannot open shared object file', name='onnxruntime')"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    }
    done = subprocess.run(
        [sys.executable, "-m", "mien", "info", "pocket"], capture_output=True, text=True, env=environment
    )

    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert "libfoo" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evalute", "a"), "no such command 'evalute'; did you mean 'evaluate'? (see mien --help)"),
        (("train",), "missing argument 'recipe' (see mien train --help)"),
        (("judge", "a.csv", "--levle", "0.9"), "no such option: --levle"),
        (("pack", "a", "b", "--side", "many"), "invalid value for '--side'"),
    ],
)
def test_a_command_misused_is_one_line(arguments, words):
    """What is wrong with a command's words is one line on standard error and status 2."""
    done = mien(*arguments)

    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert done.stderr.startswith("mien: ") and words in done.stderr.lower()  # older typers name RECIPE


def test_each_command_has_its_room():
    """A command and its room carry the same word, but for those kept under an earlier name."""
    from test_imports import ORDER

    assert {name for name, command in COMMANDS.items() if not command.hidden} <= set(ORDER)


@pytest.mark.slow
def test_the_way_from_table_to_report(tmp_path):
    """pack, train over two seeds, evaluate, judge and compare, with nothing but files between them."""
    (tmp_path / "fer2013.csv").write_text(table(84))
    small = ("network.channels=4,8", "network.hidden=8", "training.epochs=2", "training.batch_size=14")
    steps = [
        ("pack", "fer2013.csv", "faces"),
        ("train", "quick-cnn", "faces", "--seeds", 2, *small),
        ("train", "quick-cnn", "faces", "--seeds", 2, *small, "name=other", "optimizer.lr=0.01"),
        ("evaluate", "--test", "runs/quick-cnn-s0", "runs/quick-cnn-s1", "runs/other-s0", "runs/other-s1"),
        (
            "judge",
            "runs/quick-cnn-s0/predictions-test.csv",
            "runs/other-s0/predictions-test.csv",
            "--per-class",
        ),
        (
            "compare",
            "runs/quick-cnn-s0",
            "runs/quick-cnn-s1",
            "runs/other-s0",
            "runs/other-s1",
            "--out",
            "report",
        ),
        ("info", "faces"),
        ("info", "runs/quick-cnn-s1"),
    ]
    said = []
    for step in steps:
        done = mien(*step, cwd=tmp_path)
        assert 0 == done.returncode, done.stderr
        said.append(done.stdout)

    assert "fingerprint" in said[0]
    assert ["runs/quick-cnn-s0", "runs/quick-cnn-s1"] == [line.split(":")[0] for line in said[1].splitlines()]
    assert 8 == said[3].count("accuracy")
    assert "precision %" in said[4]
    assert "report.html" in said[5]
    assert (tmp_path / "report" / "report.html").exists()
    assert "opened 1 time\n" in said[7]


def test_judge_takes_tables_as_seeds(tmp_path):
    """--seeds gives one column for all tables, with the number of seeds."""
    for seed in (0, 1):
        (tmp_path / f"s{seed}.csv").write_text(predictions(seed=seed))
    done = mien("judge", "--seeds", "s0.csv", "s1.csv", cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    assert "s0 + s1" in done.stdout
    assert "spread over seeds is unknown" not in done.stdout


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text, "Both are right on the same faces, so nothing here tells them apart."),
        (
            lambda text: "\n".join(text.splitlines()[:-2]),
            "Not compared, as they are not of the same faces: a has ",
        ),
        (lambda text: text.replace(",test,", ",train,"), "Not compared: a holds test, b holds train."),
    ],
    ids=["equal", "fewer", "another split"],
)
def test_judge_says_why_it_does_not_compare(tmp_path, change, told):
    """Tables of other faces, or of another split, are judged each by itself, and that is said."""
    text = predictions()
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv").write_text(change(text))
    done = mien("judge", "a.csv", "b.csv", cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    assert told in done.stdout


BAD = {
    "no source": (("pack", "gone.tar.gz", "faces"), "gone.tar.gz: no such file"),
    "bad table": (("pack", "bad.csv", "faces"), "bad.csv, row 2: 1 pixels"),
    "no data set": (("train", "quick-cnn", "gone"), "gone: not a mien data set"),
    "no recipe": (("train", "quick-cn", "faces"), 'did you mean "quick-cnn"?'),
    "bad field": (
        ("train", "quick-cnn", "faces", "training.epoch=3"),
        'unknown field "training.epoch"; did you mean',
    ),
    "bad device": (("train", "quick-cnn", "packed", "--device", "tpu"), 'device "tpu" is not there'),
    "no run": (("evaluate", "gone"), "gone: not a mien run"),
    "no table": (("judge", "gone.csv"), "gone.csv: cannot be read"),
    "bad split": (("judge", "good.csv", "--split", "tset"), 'no row of split "tset"; did you mean "test"?'),
    "twice": (("judge", "good.csv", "good.csv"), "the same table is given twice"),
    "no comparison": (("compare", "gone"), "gone: not a mien run (there is no such folder)"),
    "packed again": (("pack", "packed", "again"), "packed: a data set already; pack makes one of pictures"),
    "kinds alone": (("audit", "packed", "--kinds", "blurred"), "--kinds says what --drop FOLDER leaves out"),
    "part of a data set": (
        ("info", "packed/table.csv"),
        "a part of the data set packed; mien info packed tells",
    ),
    "no info": (("info", "gone"), "gone: no such file or folder"),
    "odd info": (("info", "."), ".: no data set, run, search, recipe, space, model or table of mien's"),
    "info's typing error": (("info", "quick-densnet"), 'did you mean "quick-densenet"?'),
    "onto itself": (
        ("pack", "packed", "packed"),
        "packed: the source itself; give the data set another place",
    ),
    "onto another's": (
        ("pack", "good-table.csv", "."),
        ".: exists and is not a mien data set; give another name",
    ),
    "shipped without data": (
        ("evaluate", "pocket"),
        "pocket ships with mien: say on which faces, --data FOLDER",
    ),
    "a clip's option": (("render", "r", "--second", "sad"), "--second is of a clip; give --clip, too"),
    "a data set's option": (("render", "r", "--clip", "turn", "--faces", "30"), "--faces is of a data set"),
    "a change to the same": (
        ("render", "r", "--clip", "change", "--second", "happy"),
        "--second must be another class",
    ),
    "no picture": (("predict", "gone.jpg", "*.jpgg", "--csv", "o.csv"), "gone.jpg: no such file"),
    "no permission": (("pack", "good-table.csv", "/proc/faces"), "/proc/faces: "),
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with good and bad inputs."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "bad.csv").write_text("emotion,pixels,Usage\n3,1,Training\n")
    (folder / "good.csv").write_text(predictions())
    (folder / "good-table.csv").write_text(table())
    assert 0 == mien("pack", "good-table.csv", "packed", cwd=folder).returncode
    return folder


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_gets_one_line_and_status_2(workplace, fault):
    """Each fault ends in one line on standard error, status 2, nothing on standard output and no new file."""
    arguments, message = BAD[fault]
    before = sorted(workplace.rglob("*"))
    done = mien(*arguments, cwd=workplace)

    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("mien: ")
    assert "" == done.stdout
    assert before == sorted(workplace.rglob("*"))


@pytest.mark.parametrize("arguments", [(), ("train", "quick-cnn", "packed", "--seeds", "0")])
def test_wrong_usage_ends_with_status_2(workplace, arguments):
    """A missing command or a value out of bounds is told without a traceback."""
    done = mien(*arguments, cwd=workplace)

    assert 2 == done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_progress_is_plain_lines_in_a_log(workplace):
    """Where standard error is no terminal, each epoch is a line with its figures and the time left.

    A recipe that wants teachers says that it was given none.
    """
    fields = (*TOY_CNN, "training.epochs=3", "distillation.weight=0.6")
    done = mien("train", "quick-cnn", "packed", *fields, "--out", "logged", cwd=workplace)
    lines = done.stderr.splitlines()

    assert 3 == len(lines)
    assert lines[0].startswith("quick-cnn-s0: epoch 1/3: train loss")
    assert lines[2].endswith("0:00 left")
    assert "\x1b" not in done.stderr
    assert done.stdout.startswith("quick-cnn: trains on the labels alone")


@pytest.mark.slow
def test_progress_is_a_bar_on_a_terminal(workplace):
    """On a terminal there is a bar that ends at 100 %."""
    import os
    import pty

    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "mien", "train", "quick-cnn", "packed", *TOY_CNN, "training.epochs=3"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [*command, "--out", "barred"], stderr=writer, stdout=subprocess.PIPE, cwd=workplace, env=environment
    )
    os.close(writer)
    said = b""
    while True:
        try:
            chunk = os.read(reader, 4096)
        except OSError:
            break
        said += chunk
    process.communicate()
    os.close(reader)

    assert 0 == process.returncode
    assert "100 %" in said.decode()
    assert "━" in said.decode()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_standard_streams_lose_nothing(tmp_path, closed):
    """Work whose output goes into files is done where standard streams are closed, and nothing else gets into them."""
    Image.new("L", (60, 60), 90).save(tmp_path / "a.png")
    command = f"{sys.executable} -m mien predict a.png --csv o.csv {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)

    assert (0, "") == (done.returncode, done.stderr)
    assert 2 == len((tmp_path / "o.csv").read_text().splitlines())


def test_a_table_for_closed_standard_output_is_refused(tmp_path):
    """What would be lost is said at once."""
    Image.new("L", (60, 60), 90).save(tmp_path / "a.png")
    command = f"{sys.executable} -m mien predict a.png --csv - >&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))


@pytest.mark.parametrize(
    "fault",
    [
        'ImportError("libGL.so.1: cannot open shared object file", name="onnxruntime.capi")',
        'ImportError("a\\nb")',
    ],
)
def test_a_library_that_fails_while_it_loads_is_one_line(tmp_path, fault):
    """A package that is there and cannot be loaded is named, without a traceback."""
    Image.new("L", (60, 60), 90).save(tmp_path / "a.png")
    (tmp_path / "onnxruntime.py").write_text(f"raise {fault}")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    }
    command = [sys.executable, "-m", "mien", "predict", "a.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert "cannot be loaded" in done.stderr
