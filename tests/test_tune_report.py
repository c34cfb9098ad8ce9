import csv
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from browser import reads_well
from databases import database
from known_function import plan_of, train_trial
from refusals import raises_naming
from test_compare import plain

from mien.errors import StorageError, TuneError
from mien.info import info
from mien.recipe import read_recipe
from mien.tune import trial
from mien.tune.effects import importances, pairs, surface
from mien.tune.figures import limits
from mien.tune.report import report, summary
from mien.tune.search import tune
from mien.tune.storage import shown
from mien.tune.study import Axis, read_study
from mien.tune.text import busy, luck, number


def somebodys(address: str, trials: int = 24, name: str = "theirs") -> None:
    """Make a study as another program would: one parameter decides, one hardly does, one not at all."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def value(one) -> float:
        blocks, decay = one.suggest_int("num_blocks", 2, 10), one.suggest_float("l2", 1e-6, 1e-3, log=True)
        kind = one.suggest_categorical("kind", ["a", "<b>"])
        if one.number == 3:
            raise ValueError
        for step in range(3):
            one.report(blocks + step, step)
        if one.number == 5:
            raise optuna.TrialPruned
        return blocks + 0.3 * np.log10(decay) + (kind == "c")

    with database(address) as storage:
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(study_name=name, storage=storage, sampler=sampler)
        study.optimize(value, n_trials=trials, catch=(ValueError,))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """An SQLite storage with somebody's study."""
    path = tmp_path_factory.mktemp("theirs") / "study.db"
    somebodys(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def reported(theirs):
    """The report of somebody's study."""
    report(theirs, theirs.parent / "report")
    return theirs.parent / "report"


@pytest.fixture(scope="module")
def ours(toy, tmp_path_factory):
    """The folder of a search of ours, confirmed by hand, with its report."""
    folder = tmp_path_factory.mktemp("ours") / "search"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "train_trial", train_trial)
        study = tune(plan_of(toy, folder, "network.channels=4,8", "augment.flip=true", trials=16))
    best = study.ranked()[0]
    address = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    )
    opened = optuna.load_study(study_name="known", storage=address)
    for seed, lost in ((1, 0.1), (2, 0.2)):
        opened.set_user_attr(f"confirmed/{best.number}/{seed}", [best.values[0] + lost])
    report(folder, folder / "report")
    return folder


def test_any_storage_reads_as_plain_objects(theirs):
    """Trials, states, curves and axes of somebody's study are all there; reading leaves the file as it was."""
    before = theirs.read_bytes()
    study = read_study(theirs)
    files = sorted(path.name for path in theirs.parent.iterdir())

    assert ("theirs", ("value",), (False,)) == (study.name, study.objectives, study.maximized)
    assert {"complete": 22, "pruned": 1, "failed": 1} == {
        s: len(study.of_state(s)) for s in ("complete", "pruned", "failed")
    }
    assert Axis("num_blocks", 2.0, 10.0, whole=True) == study.axes[0]
    assert Axis("l2", 1e-6, 1e-3, log=True) == study.axes[1]
    assert ("a", "<b>") == study.axes[2].choices
    assert [0, 1, 2] == list(study.trials[0].curve)
    assert 2 == study.ranked()[0].params["num_blocks"]
    assert before == theirs.read_bytes()
    assert not [name for name in files if name.startswith("study.db-")]


def test_a_study_is_the_same_by_path_address_and_journal(theirs, tmp_path):
    """The same study reads alike from its file, its address and a journal that it was copied to."""
    journal = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "x.log"))
    )
    optuna.copy_study(from_study_name="theirs", from_storage=f"sqlite:///{theirs}", to_storage=journal)
    path, address, copied = (
        read_study(where) for where in (theirs, f"sqlite:///{theirs}", tmp_path / "x.log")
    )

    assert path.trials == address.trials
    assert [(t.number, t.values, t.params, t.curve) for t in path.trials] == [
        (t.number, t.values, t.params, t.curve) for t in copied.trials
    ]


def test_one_of_several_studies_is_named(tmp_path):
    """Where a storage holds several studies they are listed, and a wrong name gets the nearest."""
    for name in ("first", "second"):
        somebodys(f"sqlite:///{tmp_path}/x.db", trials=1, name=name)

    with raises_naming(TuneError, "--study", "first", "second"):
        read_study(tmp_path / "x.db")
    with raises_naming(TuneError, "frist", "first"):
        read_study(tmp_path / "x.db", "frist")
    assert "second" == read_study(tmp_path / "x.db", "second").name


def test_what_is_no_storage_is_told_in_one_line(tmp_path):
    """Missing, foreign, empty, damaged and locked files end in one line, and stay as they are."""
    (tmp_path / "notes.txt").write_text("one\ntwo\n")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "list.log").write_text("[1]\n[2]\n")
    (tmp_path / "empty.log").write_text("")
    (tmp_path / "cut.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE faces (id)").connection.close()
    messages = {
        "gone.db": "no search and no Optuna storage is there",
        "notes.txt": "not an Optuna storage, or damaged",
        "noise.bin": "not an Optuna storage, or damaged",
        "list.log": "not an Optuna storage, or damaged",
        "empty.log": "no Optuna storage, or one that holds no study",
        "cut.db": "the storage cannot be used",
        "other.db": "an SQLite file, but not an Optuna storage",
        ".": "no search and no Optuna storage is there",
    }
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name, message in messages.items():
        with pytest.raises(TuneError) as caught:
            report(tmp_path / name, tmp_path / "report")
        assert message in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)

    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_flipped_bits_end_in_one_line(theirs, tmp_path, kind):
    """Whatever bit of a storage is flipped, it is read or told as damaged in one line that names the file."""
    source = Path(__file__).parent / "old_search" / "journal.log" if kind == "journal" else theirs
    whole, rng, damaged = source.read_bytes(), np.random.default_rng(0), 0
    for place in rng.integers(0, len(whole), 60 if kind == "journal" else 8):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / source.name).write_bytes(flipped)
        try:
            read_study(tmp_path / source.name)
        except TuneError as error:
            damaged += 1
            assert str(tmp_path / source.name) in str(error)
            assert "\n" not in str(error)

    assert damaged or kind == "sqlite"


def test_odd_names_get_files_of_their_own(tmp_path):
    """A parameter of 300 letters, two that differ in signs alone and a Greek one each have their slice and contours."""
    names = ["x" * 300, "a b", "a-b", "α", "x" * 299 + "y"]
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "odd.log"))
    )
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda t: sum(t.suggest_float(name, 0, 1) for name in names), n_trials=9)
    report(tmp_path / "odd.log", tmp_path / "report")
    figures = {path.stem for path in (tmp_path / "report" / "figures").glob("*.svg")}

    assert 5 == sum(name.startswith("slice-") for name in figures)
    assert 10 == sum(name.startswith("contour-") for name in figures)


def test_a_locked_storage_is_told(tmp_path, monkeypatch):
    """An SQLite file that another program holds is told as locked."""
    monkeypatch.setattr("mien.tune.storage.PATIENCE_SECONDS", 0.1)
    somebodys(f"sqlite:///{tmp_path}/x.db", trials=1)
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    with raises_naming(TuneError, "x.db"):
        read_study(tmp_path / "x.db")
    holder.close()


def test_a_password_is_not_told():
    """An address is told without its password."""
    assert "postgresql://me:…@host/x" == shown("postgresql://me:secret@host/x")
    assert "postgresql://host/x" == shown("postgresql://host/x")


def test_importance_goes_to_what_decides(theirs):
    """The parameter that decides explains nearly all, one that does nothing no more than chance."""
    ranked = importances(read_study(theirs))
    named = {each.axis.name: each for each in ranked}

    assert ["num_blocks", "l2", "kind"] == [each.axis.name for each in ranked]
    assert named["num_blocks"].share > 0.8
    assert named["kind"].share <= named["kind"].by_chance
    assert all(0 <= each.share <= 1 for each in ranked)


def test_importances_need_no_scikit_learn(theirs):
    """Optuna's PED-ANOVA ranks the parameters in a process that has no scikit-learn."""
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from mien.tune.effects import importances\n"
        "from mien.tune.study import read_study\n"
        "print(importances(read_study(sys.argv[1]))[0].axis.name)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(theirs)], capture_output=True, text=True)

    assert "num_blocks" == done.stdout.strip(), done.stderr


def test_the_studys_pairs_come_first(theirs):
    """Contours begin with the number of blocks over L2 and over dropout, as in the original study."""
    study = read_study(theirs)

    assert [("num_blocks", "l2"), ("num_blocks", "kind")] == [
        (a.name, b.name) for a, b in pairs(study, importances(study))[:2]
    ]


def test_a_surface_follows_its_values():
    """Smoothed over the square, a slope stays a slope and nothing leaves the range of the values."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 60))
    smooth = surface(x, y, x)

    assert smooth.min() >= x.min()
    assert smooth.max() <= x.max()
    assert (np.diff(smooth.mean(0)) > 0).mean() > 0.9


def test_limits_leave_out_what_is_far_from_all_others():
    """One diverged value does not flatten all others."""
    assert limits([1.0, 1.1, 1.2, 1.3, 900.0])[1] < 3
    assert limits([float("nan"), 1.0, 2.0, float("inf")]) == limits([1.0, 2.0])
    assert limits([1.0, 2.0])[0] < 1 < 2 < limits([1.0, 2.0])[1]
    assert (number(1.1993e-6), number(-0.5), number(1200)) == (
        "1.2e\N{MINUS SIGN}6",
        "\N{MINUS SIGN}0.5",
        "1.2e3",
    )


def test_pauses_are_no_work():
    """Two hours of work with a night between are two hours; a failed trial's time does not count."""
    from datetime import datetime

    day = [datetime(2026, 1, d, h) for d, h in ((1, 20), (1, 21), (2, 8), (2, 9))]
    spans = [
        ("a", day[0], day[1], "complete"),
        ("a", day[2], day[3], "pruned"),
        ("a", day[1], day[2], "failed"),
    ]

    assert 7200 == busy(spans)[1][-1]


def test_the_page_tells_somebodys_study(reported):
    """The page says the best, the counts, what matters, that luck is unknown, and holds every figure."""
    text = plain((reported / "report.html").read_text())
    figures = {path.stem for path in (reported / "figures").glob("*.svg")}

    assert "The best value is" in text
    assert "22 complete, 1 pruned and 1 failed" in text
    assert "num_blocks matters most" in text
    assert "Other seeds were not tried." in text
    assert "This study was made by another program." in text
    assert {
        "history",
        "curves",
        "workers",
        "importances",
        "parallel",
        "contour-num-blocks-l2",
        "slice-kind",
    } <= figures
    assert figures == {path.stem for path in (reported / "figures").glob("*.png")}
    assert [] == list((reported / "recipes").iterdir())


def test_the_page_is_well_formed(reported, ours):
    """Ids are unique, links lead to them, headings come in order, names are no markup, nothing is loaded."""
    for path in (reported / "report.html", ours / "report" / "report.html"):
        html = path.read_text()
        ids = re.findall(r'\sid="([^"]+)"', html)
        levels = [int(level) for level in re.findall(r"<h([1-6])", html)]

        assert len(set(ids)) == len(ids)
        assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
        assert "<b>" not in html
        assert "<script" not in html
        assert len(html.encode()) <= 6_000_000


def test_the_page_tells_our_search(ours):
    """Of our own search it says what it was measured on, how much was luck, and gives the best recipe."""
    text = plain((ours / "report" / "report.html").read_text())
    recipe = read_recipe(ours / "report" / "recipes" / "best.toml")
    best = read_study(ours).ranked()[0]

    assert "the search had no test split to look at" in text
    assert "0.15 of the best value was luck" in " ".join(text.split())
    assert "trained again with 2 other seeds" in " ".join(text.split())
    assert best.params["optimizer.lr"] == recipe.optimizer.lr
    assert f'name = "known-{best.number:04}"' in text


@pytest.mark.parametrize(
    ("again", "head"),
    [((0.70, 0.74), "3.0 points of the best value were luck"), ((0.76,), "The best value was no luck")],
)
def test_luck_of_a_value_that_is_to_be_high_is_what_it_falls_by(again, head):
    """Of accuracies, what other seeds lose on average is luck, and what they win is none."""
    best = SimpleNamespace(number=7, values=(0.75,))
    confirmed = {7: {seed: [value] for seed, value in enumerate(again)}}
    study = SimpleNamespace(
        objectives=("accuracy",), maximized=(True,), metadata={}, confirmed=confirmed, ranked=lambda: [best]
    )

    assert head == luck(study).head
    assert f"it is {100 * np.mean(again):.1f}% on average" in luck(study).sentence


def test_every_trial_is_in_the_table(ours):
    """trials.csv has a row a trial, with state, value and every parameter."""
    with open(ours / "report" / "numbers" / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    study = read_study(ours)

    assert [t.state for t in study.trials] == [row["state"] for row in rows]
    assert [t.params["optimizer.lr"] for t in study.trials] == pytest.approx(
        [float(row["optimizer.lr"]) for row in rows]
    )


def test_the_same_storage_gives_the_same_bytes(theirs, reported):
    """Made again, the report replaces the old one byte for byte."""
    files = sorted(path for path in reported.rglob("*") if path.is_file() and path.suffix != ".png")
    before = {path: path.read_bytes() for path in files}
    report(theirs, reported)

    assert [] == [path.name for path in files if path.read_bytes() != before[path]]


def test_a_folder_with_other_contents_is_left_alone(theirs, tmp_path):
    """A report never replaces anything but a report."""
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(StorageError):
        report(theirs, tmp_path)
    assert ["mine.txt"] == [path.name for path in tmp_path.iterdir()]


def test_few_trials_make_a_page_too(tmp_path):
    """A study without a complete trial, and one with two, get a page that says so."""
    for trials, words in ((0, "No trial is complete"), (2, "Too few trials tell what matters")):
        somebodys(f"sqlite:///{tmp_path}/x{trials}.db", trials=trials)
        report(tmp_path / f"x{trials}.db", tmp_path / f"report{trials}")
        assert words in plain((tmp_path / f"report{trials}" / "report.html").read_text())


def test_odd_studies_make_a_page_too(tmp_path):
    """Choices that are lists, values that are not finite and trials without a parameter stop no report."""

    def odd(one):
        sizes = one.suggest_categorical("sizes", [[64, 64], [128, 128]])
        one.report(float("nan"), 0)
        one.report(1.0, 1)
        if one.number == 0:
            raise optuna.TrialPruned
        return sizes[0] if one.number % 2 else float("inf")

    for name, value in (("odd", odd), ("bare", lambda one: float(one.number))):
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / f"{name}.log"))
        study = optuna.create_study(study_name=name, storage=optuna.storages.JournalStorage(backend))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's word on lists as choices
            study.optimize(value, n_trials=12)
        report(tmp_path / f"{name}.log", tmp_path / name)
    assert "[64, 64]" in plain((tmp_path / "odd" / "report.html").read_text())
    assert "Trial 0: it has no parameter." in plain((tmp_path / "bare" / "report.html").read_text())


def test_the_summary_fits_a_terminal(theirs, ours):
    """What is said in the terminal has at most 100 columns; `mien info` says it of a search's folder."""
    for where in (theirs, ours):
        assert max(map(len, summary(read_study(where)).splitlines())) <= 100
    assert summary(read_study(ours)) in info(ours)
    assert "space study over study-densenet: log_loss" in info(Path("study"))


def test_reporting_needs_no_torch(tmp_path):
    """`mien tune report` makes its page in a process that never imports torch."""
    theirs = tmp_path / "theirs.db"
    somebodys(f"sqlite:///{theirs}", trials=6)
    code = (
        "import sys; from mien.cli import main\n"
        "class NoTorch:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'torch': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, NoTorch); main()"
    )
    command = [sys.executable, "-c", code, "tune", "report", str(theirs), "--out", str(tmp_path / "report")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "report" / "report.html")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_reads_well_in_a_browser(browser, reported, ours, width, scheme):
    """In Chromium nothing leaves the page, nothing overflows a phone, dark is dark, no figures overlap."""
    for page in (reported / "report.html", ours / "report" / "report.html"):
        reads_well(browser, page, width, scheme)


@pytest.fixture(scope="module")
def study_storage() -> Path:
    """The original study's storage, from MIEN_STUDY_STORAGE; skips without it."""
    path = os.environ.get("MIEN_STUDY_STORAGE")
    if not path:
        pytest.skip("MIEN_STUDY_STORAGE does not say where study-optuna.db lies")
    return Path(path)


def test_the_original_study_is_reported(study_storage, tmp_path):
    """39 complete and 2 failed trials, the best at 1.667 with the published values, contours in the study's order."""
    copy = shutil.copy(study_storage, tmp_path / "study.db")
    study = report(copy, tmp_path / "report")
    best = study.ranked()[0]
    text = plain((tmp_path / "report" / "report.html").read_text())
    contours = re.findall(
        r'aria-label="value over (\w+) and (\w+)"', (tmp_path / "report" / "report.html").read_text()
    )

    assert (39, 2) == (len(study.of_state("complete")), len(study.of_state("failed")))
    assert 1.667 == round(best.values[0], 3)
    assert (3, 4, 26, 16) == tuple(
        best.params[n] for n in ("num_blocks", "min_layers", "max_layers", "growth_rate")
    )
    assert (0.4264, 0.2554) == (round(best.params["reduction"], 4), round(best.params["dropout_rate"], 4))
    assert 1.1993e-6 == pytest.approx(best.params["l2_regularization"], rel=1e-4)
    assert [("num_blocks", "l2_regularization"), ("num_blocks", "dropout_rate")] == contours[:2]
    assert 21 == len(contours)
    assert "39 complete and 2 failed in 4 h 15 min of work" in text
    assert study_storage.read_bytes() == Path(copy).read_bytes()
