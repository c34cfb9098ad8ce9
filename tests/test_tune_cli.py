import signal
import subprocess
import sys
import time

import pytest
from known_function import space_file, train_trial
from typer.main import get_command

from mien import cli
from mien.recipe import read_recipe
from mien.tune import trial
from mien.tune.study import read_study

SMALL = ("training.epochs=1", "network.channels=4,8", "network.hidden=8", "training.batch_size=42")


def said(monkeypatch, capsys, *arguments) -> tuple[int, str, str]:
    """Run the command line in this process; return status, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
    status = 0
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code or 0
    return status, *capsys.readouterr()


@pytest.mark.parametrize("name", get_command(cli.app).commands["tune"].commands)
def test_each_command_and_option_has_help(name):
    """Both commands of the group say what they do, and every option of them has help."""
    command = get_command(cli.app).commands["tune"].commands[name]

    assert command.help
    assert [] == [p.name for p in command.params if not getattr(p, "help", "") and p.name != "help"]


@pytest.mark.parametrize("word", [(), ("search",)])
def test_a_search_needs_no_word_of_its_own(toy, tmp_path, monkeypatch, capsys, word):
    """`mien tune SPACE DATASET` searches, with options before or behind; so does `mien tune search`."""
    monkeypatch.setattr(trial, "train_trial", train_trial)
    space = space_file(tmp_path)
    status, out, err = said(
        monkeypatch,
        capsys,
        "tune",
        *word,
        "--trials",
        3,
        space,
        toy,
        "training.epochs=4",
        "--out",
        tmp_path / "a",
    )
    study = read_study(tmp_path / "a")

    assert (0, 3) == (status, len(study.trials))
    assert "trial 2: " in err
    assert "(3 of 3)" in err
    assert "The best log loss is" in out
    assert f"mien tune report {tmp_path / 'a'} draws it" in out
    assert 4 == read_recipe(tmp_path / "a" / "best.toml").training.epochs


def test_the_report_lies_in_the_searchs_folder(toy, tmp_path, monkeypatch, capsys):
    """`mien tune report FOLDER` writes FOLDER/report, and the search goes on beside it."""
    monkeypatch.setattr(trial, "train_trial", train_trial)
    arguments = ("tune", space_file(tmp_path), toy, "--out", tmp_path / "a", "--trials")
    said(monkeypatch, capsys, *arguments, 2)
    status, out, _ = said(monkeypatch, capsys, "tune", "report", tmp_path / "a")
    again, _, _ = said(monkeypatch, capsys, *arguments, 3)

    assert (0, 0) == (status, again)
    assert str(tmp_path / "a" / "report" / "report.html") == out.splitlines()[-1]
    assert (tmp_path / "a" / "report" / "report.html").exists()


BAD = {
    "no space": (("tune", "stduy", "{toy}"), 'no space "stduy"; did you mean "study"?'),
    "no data set": (("tune", "study", "gone"), "gone: not a mien data set"),
    "bad field": (
        ("tune", "study", "{toy}", "training.epoch=3"),
        'unknown field "training.epoch"; did you mean',
    ),
    "bad sampler": (
        ("tune", "study", "{toy}", "--sampler", "rndom"),
        'no sampler "rndom"; did you mean "random"?',
    ),
    "bad pruner": (("tune", "study", "{toy}", "--pruner", "half"), 'no pruner "half"'),
    "pruned front": (
        ("tune", "study", "{toy}", "objectives=accuracy,parameters", "--pruner", "median"),
        "a search for several objectives cannot be pruned",
    ),
    "bad device": (("tune", "study", "{toy}", "--device", "tpu"), 'device "tpu" is not there'),
    "no trials": (("tune", "study", "{toy}", "--trials", "0"), "--trials must be at least 1"),
    "foreign folder": (("tune", "study", "{toy}", "--out", "{toy}"), "not a search (dataset.json)"),
    "no storage": (("tune", "report", "gone"), "gone: no search and no Optuna storage is there"),
    "no database": (("tune", "report", "nosql://x"), "nosql://x: the storage cannot be used"),
    "no search": (("tune", "report", "{toy}"), "no search and no Optuna storage is there"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_gets_one_line_and_status_2(toy, tmp_path, monkeypatch, capsys, fault):
    """Each fault ends in one line on standard error and status 2, and leaves no file."""
    arguments, message = BAD[fault]
    monkeypatch.chdir(tmp_path)
    status, out, err = said(monkeypatch, capsys, *(str(a).format(toy=toy) for a in arguments))

    assert (2, "") == (status, out)
    assert 1 == len(err.splitlines()), err
    assert message in err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_frees_the_trial_and_the_same_command_goes_on(toy, tmp_path):
    """Two workers on real training: Ctrl-C ends with status 130 and one line; given again, no trial is lost."""
    command = [
        sys.executable,
        "-m",
        "mien",
        "tune",
        str(space_file(tmp_path)),
        str(toy),
        *SMALL[1:],
        "training.epochs=80",
    ]
    command += ["--out", str(tmp_path / "a"), "--trials", "4", "--workers", "2", "--threads", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "a" / "trials" / "trial-0001" / "metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    cut = read_study(tmp_path / "a")
    again = subprocess.run(command, capture_output=True, text=True)
    study = read_study(tmp_path / "a")

    assert 130 == process.returncode
    assert "the same command goes on from here" in err.splitlines()[-1]
    assert cut.of_state("waiting")
    assert not cut.of_state("running")
    assert 0 == again.returncode, again.stderr
    assert [0, 1, 2, 3] == [t.number for t in study.trials]
    assert 4 == len(study.of_state("complete", "pruned", "failed"))
    assert any(len(t.notes["sessions"]) > 1 for t in study.trials)
