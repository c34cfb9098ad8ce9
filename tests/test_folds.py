import csv
import html
import json
import re
import shutil

import numpy as np
import pytest
from browser import reads_well
from conftest import toy_face
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from sklearn.model_selection import StratifiedGroupKFold
from test_cli import mien
from test_train import TOY_CNN, final_bytes

from mien.compare import compare, summary
from mien.compare.inputs import gather
from mien.dataset import Dataset, read_dataset, writing_dataset
from mien.errors import DataError, RunError, Stopped
from mien.evaluate import evaluate
from mien.folds import Fold, deal, folds_of
from mien.info import info
from mien.judge import accuracy
from mien.labels import LABELS
from mien.predictions import read_predictions
from mien.reading import unsealed
from mien.recipe import read_recipe
from mien.run import folder_name, read_run
from mien.train import train
from mien.train.folds import summary as told_of_folds

FOLDS = 3
SMALL = (*TOY_CNN, "training.epochs=2", "tta.flip=false")
RECIPES = {
    "plain": read_recipe("quick-cnn", (*SMALL, "name=plain")),
    "chosen": read_recipe(
        "quick-cnn", (*SMALL, "name=chosen", "training.checkpoint=best", "training.patience=1")
    ),
}


# ---- dealing

faces_drawn = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 60)), min_size=1, max_size=300)


def dealt(faces, folds):
    """The labels, groups and folds of drawn faces, or None where they are too few for so many folds."""
    labels = np.array([label for label, _ in faces])
    groups = np.array([str(number) for _, number in faces])
    try:
        return labels, groups, deal(labels, groups, folds)
    except DataError as fault:
        assert f"{folds} folds are too many for" in str(fault)
        return None


def most_apart(labels, fold, folds):
    """The largest difference of two folds' counts, by label."""
    counts = {c: np.bincount(fold[labels == c], minlength=folds + 1)[1:] for c in np.unique(labels)}
    return {c: int(np.ptp(count)) for c, count in counts.items()}


def bounds(labels, groups, folds):
    """How far the counts of each label may differ, as the docstring of `deal` promises."""
    found = {}
    for label in np.unique(labels):
        sizes, mixed = [], 0
        for group in np.unique(groups[labels == label]):
            members = labels[groups == group]
            if (members == label).all():
                sizes.append(len(members))
            else:
                mixed += int((members == label).sum())
        bound = max(sizes, default=0) + mixed
        found[label] = 1 if sizes.count(1) >= (folds - 1) * bound else bound
    return found


@given(faces_drawn, st.integers(2, 6))
@settings(deadline=None)
def test_dealing_parts_the_faces_evenly_and_no_group(faces, folds):
    """Each face gets one fold, each group one, each class stands in each fold, and counts differ within the bound."""
    found = dealt(faces, folds)
    if found is None:
        return
    labels, groups, fold = found

    assert set(fold.tolist()) == set(range(1, folds + 1))
    assert all(len(set(fold[groups == group])) == 1 for group in groups)
    assert all(len(set(fold[labels == label])) == folds for label in labels)
    allowed = bounds(labels, groups, folds)
    assert {c: n for c, n in most_apart(labels, fold, folds).items() if n > allowed[c]} == {}


@given(faces_drawn, st.integers(2, 6), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_dealing_does_not_know_the_order_of_faces_or_labels(faces, folds, random):
    """The same faces in another order, or with labels by other names, come into the same folds."""
    found = dealt(faces, folds)
    if found is None:
        return
    labels, groups, fold = found
    order = np.array(random.sample(range(len(faces)), len(faces)))
    renamed = np.array([{"a": "x", "b": "d", "c": "a", "d": "c"}[label] for label in labels])

    assert np.array_equal(fold[order], deal(labels[order], groups[order], folds))
    assert np.array_equal(fold, deal(renamed, groups, folds))


def test_dealing_stays_as_it_is():
    """Another dealing would judge a run that was trained today on faces that it learned."""
    labels, groups = np.array(list("aabbabababbaabab")), np.array(list("0012233456789xyz"))

    assert [1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 2, 1, 2, 1, 2, 1] == deal(labels, groups, 3).tolist()


def test_dealing_is_as_even_as_scikit_learns():
    """On skewed classes in groups of many sizes no class is dealt less evenly than by StratifiedGroupKFold."""
    worse = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = rng.choice(list("abcdefg"), 1500, p=(0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.02))
        groups = np.minimum(rng.geometric(0.004, 1500), rng.integers(0, 1500, 1500)).astype(str)
        ours = most_apart(labels, deal(labels, groups, 5), 5)
        theirs = np.empty(1500, int)
        for number, (_, rows) in enumerate(StratifiedGroupKFold(5).split(labels, labels, groups), start=1):
            theirs[rows] = number
        worse += sum(ours.values()) > sum(most_apart(labels, theirs, 5).values())

    assert 0 == worse


@pytest.mark.parametrize(
    ("labels", "groups", "folds", "message"),
    [
        ("aabb", "0123", 1, "a cross-validation needs at least 2 folds, not 1"),
        ("", "", 2, "there is no face in train or val to deal into folds"),
        (
            "aaabbbb",
            "0123344",
            3,
            '3 folds are too many for "b": its 4 faces, 2 different pictures, cannot be',
        ),
        (
            "aaaabbb",
            "0122345",
            10**9,
            'folds are too many for "a": its 4 faces, 3 different pictures, cannot',
        ),
    ],
)
def test_too_few_faces_are_told(labels, groups, folds, message):
    """Fewer than 2 folds, no face, and a class that does not reach for a face in each fold are refused."""
    with pytest.raises(DataError, match=message):
        deal(np.array(list(labels)), np.array(list(groups)), folds)


# ---- the faces of a fold


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A toy data set in which faces of train stand in train again, in val and in test, one with another label."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("data") / "faces"
    drawn = [(n % 7, toy_face(rng, n % 7)) for n in range(84)]
    parts = {"train": [*drawn[:56], *drawn[:3]], "val": [*drawn[56:70], drawn[3]], "test": drawn[70:]}
    parts["test"][0] = drawn[4]
    with writing_dataset(folder, side=16, labels=LABELS) as writer:
        for split, shown in parts.items():
            for number, (label, pixels) in enumerate(shown):
                label = 6 if (split, number) == ("train", 56) else label
                writer.add(pixels, label=LABELS[label], split=split, source=f"{split} {number}")
        writer.finish({"kind": "toy"})
    return folder


def test_the_folds_hold_train_and_val_and_never_test(faces, monkeypatch):
    """Each face of train and val is val once and train otherwise; copies stay together, so every val is clean."""
    monkeypatch.setattr(Dataset, "open_test", lambda self: pytest.fail("the test split was opened"))
    dataset = read_dataset(faces)
    development = dataset.development()
    both = [*development.train.ids, *development.val.ids]
    judged = []
    for number in range(1, FOLDS + 1):
        fold = dataset.development(Fold(number, FOLDS))
        judged += fold.val.ids.tolist()

        assert Fold(number, FOLDS) == fold.fold
        assert sorted(both, key=int) == sorted([*fold.train.ids, *fold.val.ids], key=int)
        assert not set(fold.train.groups) & set(fold.val.groups)
        assert fold.val.clean.all()
        assert np.array_equal(dataset.pictures(fold.val.ids), fold.val.images)
        assert sorted(fold.val.ids, key=int) == fold.val.ids.tolist()
    assert sorted(both, key=int) == sorted(judged, key=int)


def test_folds_of_train_leave_val_unseen(faces):
    """With val apart each train face is val of one fold, and no face of val stands in any."""
    dataset = read_dataset(faces)
    train_ids = sorted(dataset.development().train.ids.tolist())
    folds = [dataset.development(fold) for fold in folds_of(FOLDS, val_apart=True)]

    assert train_ids == sorted(np.concatenate([fold.val.ids for fold in folds]).tolist())
    assert all(train_ids == sorted([*fold.train.ids, *fold.val.ids]) for fold in folds)
    assert not any(set(fold.train.groups) & set(fold.val.groups) for fold in folds)


def test_too_many_folds_are_refused_with_the_place(faces):
    """The data set and the class that does not reach are named."""
    with raises_naming(DataError, "40 folds", "angry"):
        read_dataset(faces).development(Fold(1, 40))


# ---- runs of folds


def fold_run(folder, faces, name, seed, number, folds=FOLDS):
    """Train and evaluate one fold."""
    fold = Fold(number, folds)
    run = train(
        RECIPES[name],
        read_dataset(faces).development(fold),
        folder / folder_name(name, seed, fold),
        seed=seed,
    )
    evaluate(run.folder)
    return run.folder


@pytest.fixture(scope="module")
def runs(faces, tmp_path_factory):
    """All folds of one network with two seeds and of another with one."""
    folder = tmp_path_factory.mktemp("runs")
    pairs = (("plain", 0), ("plain", 1), ("chosen", 0))
    return [
        fold_run(folder, faces, name, seed, number) for name, seed in pairs for number in range(1, FOLDS + 1)
    ]


def test_a_run_tells_its_fold(runs):
    """run.json has fold and folds, the folder's name both and the seed, and `mien info` says it."""
    told = unsealed(json.loads((runs[4] / "run.json").read_text()))

    assert "plain-s1-f2of3" == runs[4].name
    assert (2, 3) == (told["fold"], told["folds"])
    assert Fold(2, 3) == read_run(runs[4]).fold
    assert "run of plain, seed 1, fold 2 of 3, on data" in info(runs[4])


def test_a_run_without_folds_is_as_before(faces, tmp_path):
    """An ordinary run's files name no fold."""
    run = train(RECIPES["plain"], read_dataset(faces).development(), tmp_path / "run")

    assert not {"fold", "folds"} & set(json.loads((run.folder / "run.json").read_text()))
    assert read_run(run.folder).fold is None


def test_a_damaged_fold_is_told(runs, tmp_path):
    """A fold without the number of folds is no run."""
    run = shutil.copytree(runs[0], tmp_path / "run")
    told = unsealed(json.loads((run / "run.json").read_text()))
    del told["folds"]
    (run / "run.json").write_text(json.dumps(told))

    with raises_naming(RunError, "run.json"):
        read_run(run)


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(2, 3), r"fold \(fold 1 of 3 there, fold 2 of 3 here\)"),
        (Fold(1, 4), r"fold \(fold 1 of 3 there, fold 1 of 4 here\)"),
        (None, r"fold \(fold 1 of 3 there, none here\)"),
    ],
)
def test_a_run_of_another_fold_is_not_taken_up(runs, faces, fold, message):
    """A folder that holds another fold, one of other folds, or a fold where none is wanted is refused."""
    with pytest.raises(RunError, match=f"holds another run: {message}"):
        train(RECIPES["plain"], read_dataset(faces).development(fold), runs[0])


def test_a_fold_that_was_stopped_ends_in_the_same_bytes(runs, faces, tmp_path):
    """Stopped in its first step and taken up, a fold ends as one that was never stopped."""
    fold = read_dataset(faces).development(Fold(1, FOLDS))
    with pytest.raises(Stopped):
        train(RECIPES["plain"], fold, tmp_path / "run", stop=lambda: True)
    train(RECIPES["plain"], fold, tmp_path / "run")
    whole = shutil.copytree(runs[0], tmp_path / "whole")
    for name in ("predictions-val.csv", "predictions-val.csv.sha256"):
        (whole / name).unlink()

    assert final_bytes(whole) == final_bytes(tmp_path / "run")


def test_a_fold_is_judged_on_faces_that_it_has_not_seen(runs, faces):
    """A fold's predictions are of its own val, with the accuracy that training noted."""
    for folder in runs:
        run = read_run(folder)
        fold = read_dataset(faces).development(run.fold)
        told = read_predictions(folder / "predictions-val.csv")

        assert fold.val.ids.tolist() == told.ids.tolist()
        assert not set(told.groups) & set(fold.train.groups)
        assert run.result()["val"]["accuracy"] == pytest.approx(accuracy(told.labels, told.probs))


def test_a_fold_does_not_open_the_test_split(runs):
    """`--test` is refused in one line, and no opening is recorded."""
    with raises_naming(RunError, "fold 1 of 3"):
        evaluate(runs[0], split="test")
    assert [] == read_run(runs[0]).openings()


def test_the_pooled_accuracy_is_that_of_all_faces(runs):
    """What `mien train` says at the end is the accuracy of each face read once, and whether val chose anything."""
    for name, mine in (("plain", runs[:3]), ("chosen", runs[6:])):
        tables = [read_predictions(folder / "predictions-val.csv") for folder in mine]
        right = np.concatenate([table.probs.argmax(1) == table.labels for table in tables])
        shares = [accuracy(table.labels, table.probs) for table in tables]
        told = told_of_folds([read_run(folder) for folder in mine], [len(table) for table in tables])

        assert f"{name}, seed 0: accuracy {np.mean(shares):.1%} in the mean over 3 folds" in told
        assert (
            f"standard deviation {100 * np.std(shares, ddof=1):.1f} points; {right.mean():.1%} of all" in told
        )
        assert ("Nothing was chosen on its fold." in told) == (name == "plain")
        assert ("flatters the figures: the epoch kept and when training ended." in told) == (name == "chosen")


@pytest.mark.slow
def test_folds_that_started_from_weights_do_not_claim_unseen_faces(runs, tmp_path):
    """Weights to start from may have learned the fold: neither summary says that its network had not seen it."""
    copies = [shutil.copytree(run, tmp_path / run.name) for run in runs[:3]]
    for copy in copies:
        told = unsealed(json.loads((copy / "run.json").read_text()))
        (copy / "run.json").write_text(json.dumps({**told, "init": {"file": "a.b", "sha256": "0"}}))
    trained = told_of_folds([read_run(copy) for copy in copies], [25, 25, 24])
    compared = summary(compare(copies, tmp_path / "report", split="val", draws=100))

    for told in (trained, " ".join(compared.split())):
        assert "had not seen" not in told
        assert "plain started from a.b: faces that those weights had learned flatter its figures" in told


# ---- comparing folds


def test_the_folds_of_a_seed_are_one_table(runs, faces):
    """Each face of train and val stands once in a seed's table, with what its own fold's network said."""
    material = gather(reversed(runs), "val")
    plain = next(net for net in material.networks if net.name == "plain")
    development = read_dataset(faces).development()
    both = {*development.train.ids, *development.val.ids}

    assert runs[:6] == [run.folder for run in plain.runs]
    assert (3, 2, (0, 1)) == (plain.folds, len(plain.tables), plain.seed_numbers)
    for net in material.networks:
        for table in net.tables:
            assert len(both) == len(table)
            assert both == set(table.ids)
            assert table.clean.all()
    second = read_predictions(runs[4] / "predictions-val.csv")
    rows = [plain.tables[1].ids.tolist().index(identity) for identity in second.ids]
    assert np.array_equal(second.probs, plain.tables[1].probs[rows])
    assert plain.run_scores("all")[4]["accuracy"] == accuracy(second.labels, second.probs)


def test_the_spread_over_folds_is_that_within_a_seed(runs):
    """The standard deviation over folds is the root of the mean of the seeds' variances."""
    plain = gather(runs[:6], "val").networks[0]
    found = np.array([scores["accuracy"] for scores in plain.run_scores("all")]).reshape(2, 3)

    assert plain.fold_sd("all")["accuracy"] == pytest.approx(np.sqrt(found.var(1, ddof=1).mean()))


def refusal(folders, split="val"):
    """The one line that refuses a comparison."""
    with pytest.raises(RunError) as caught:
        gather(folders, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folds_that_do_not_belong_together_are_refused(runs, faces, tmp_path):
    """Missing and repeated folds, folds of another number, ordinary runs among folds, and the test split."""
    ordinary = train(RECIPES["chosen"], read_dataset(faces).development(), tmp_path / "ordinary").folder
    other = fold_run(tmp_path, faces, "chosen", 0, 1, folds=2)
    apart = "they were not trained and judged on the same faces, so compare them apart"

    assert refusal([runs[0], *runs[3:]]) == (
        f"{runs[0]}: plain-s0-f2of3 and plain-s0-f3of3 must be given too; a seed needs all of its folds"
    )
    assert f"seed 0, fold 1 of 3, of plain is given twice ({runs[0]})" in refusal([*runs, runs[0]])
    assert refusal([*runs[:3], other]) == f"{other}: one of 2 folds, and {runs[0]} is one of 3 folds; {apart}"
    assert refusal([*runs[:3], ordinary]) == f"{ordinary}: no fold, and {runs[0]} is one of 3 folds; {apart}"
    assert refusal([ordinary, runs[0]]) == f"{runs[0]}: one of 3 folds, and {ordinary} is no fold; {apart}"
    assert refusal(runs, "test").endswith("is judged on its own faces alone; compare with --split val")


def test_folds_of_train_are_told_as_such(faces, tmp_path):
    """A run notes that val was apart, its report names train alone, and it is not compared with other folds."""
    folds = tuple(folds_of(2, val_apart=True))
    runs = [
        train(RECIPES["chosen"], read_dataset(faces).development(fold), tmp_path / str(fold.number)).folder
        for fold in folds
    ]
    for run in runs:
        evaluate(run)
    other = fold_run(tmp_path, faces, "plain", 0, 1, folds=2)
    found = compare(runs, tmp_path / "report", split="val", draws=100)

    assert folds == tuple(read_run(run).fold for run in runs)
    assert "seed 0, fold 1 of 2 of train, on data" in info(runs[0])
    assert "faces of train were dealt into 2 folds" in found.page.read_text()
    assert "train" == found.where
    assert f"{other}: one of 2 folds, and {runs[0]} is one of 2 folds of train" in refusal([*runs, other])


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """The comparison of all runs."""
    return compare(runs, tmp_path_factory.mktemp("reports") / "report", split="val", draws=100)


def rows(report, name):
    """The rows of one of the report's tables, as dicts."""
    with open(report.folder / "numbers" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_shows_folds_like_seeds(runs, report):
    """The tables have a row a fold and a row a seed, the spread over folds, and all histories."""
    seeds = [row for row in rows(report, "seeds") if row["part"] == "all" and row["network"] == "plain"]
    histories = {(row["network"], row["seed"], row["fold"]) for row in rows(report, "histories")}
    sds = {(row["network"], row["score"]): row for row in rows(report, "scores") if row["part"] == "all"}

    assert [(s, str(n)) for s in "01" for n in range(1, 4)] + [("0", "all"), ("1", "all")] == [
        (row["seed"], row["fold"]) for row in seeds
    ]
    assert len(runs) == len(histories)
    assert "" == sds["chosen", "accuracy"]["seed_sd"]
    assert float(sds["chosen", "accuracy"]["fold_sd"]) >= 0
    assert {2, 1} == {v["all"].seeds for v in report.verdicts.values()}
    assert {74} == {v["all"].faces for v in report.verdicts.values()}


def test_the_page_tells_how_the_folds_were_made(report):
    """The page says what the faces are, who read them, what was chosen on them, and how even the folds are."""
    page = report.page.read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page))).replace("\xa0", " ")

    assert "mien compare · 3 folds of train and val" in text
    assert "classify the 74 faces of train and val, 7 classes" in text
    assert "Chosen on that very fold, which flatters the figures: the epoch kept and when training" in text
    assert "Identical pictures stand in one fold" in text
    assert re.search(r"a class's counts in two folds differ by at most [12]\.", text)
    assert "seed 1, fold 3" in text
    assert "standard deviation over folds" in text
    assert "the val split" not in text


def test_the_summary_tells_of_the_folds(report):
    """The terminal says what the faces are and that they were read by networks that had not seen them."""
    told = summary(report)

    assert told.startswith("train and val: 74 faces")
    assert "trained on the other folds and had not seen it" in " ".join(told.split())
    assert "train and val" == report.to_dict()["where"]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_reads_well_in_a_browser(browser, report, width, scheme):
    """In Chromium nothing overflows, every picture loads, and no two figures overlap."""
    reads_well(browser, report.page, width, scheme)


# ---- the command line


@pytest.mark.slow
def test_the_command_trains_all_folds_and_goes_on(faces, tmp_path):
    """`--folds` trains what is missing of a run a fold, and tells them together."""
    first = fold_run(tmp_path, faces, "plain", 0, 1, folds=2)
    kept = (first / "weights.safetensors").stat().st_mtime_ns
    done = mien("train", "quick-cnn", faces, "--folds", 2, *SMALL, "name=plain", "--out", tmp_path)
    *each, last = done.stdout.splitlines()

    assert 0 == done.returncode, done.stderr
    assert [f"{tmp_path}/plain-s0-f{n}of2" for n in (1, 2)] == [line.partition(":")[0] for line in each]
    assert last.startswith("plain, seed 0: accuracy ")
    assert "of all 74 faces, each read by the network that had not seen it" in last
    assert kept == (first / "weights.safetensors").stat().st_mtime_ns


@pytest.mark.slow
def test_the_command_keeps_val_apart(faces, tmp_path):
    """`--val-apart` deals train alone, of which the last line counts the faces; without --folds it is refused."""
    given = ("train", "quick-cnn", faces, *SMALL, "name=plain", "--out", tmp_path, "--val-apart")
    alone, done = mien(*given), mien(*given, "--folds", 2)
    faces_of_train = len(read_dataset(faces).development().train)

    assert 2 == alone.returncode
    assert "--val-apart says how --folds K deals its folds; give that, too" in alone.stderr
    assert 0 == done.returncode, done.stderr
    assert f"of all {faces_of_train} faces" in done.stdout
    assert [True, True] == [read_run(run).fold.val_apart for run in tmp_path.glob("plain-s0-f*")]


@pytest.mark.parametrize(("folds", "message"), [(-3, "at least 2 folds, not -3"), (99, "too many")])
def test_folds_that_cannot_be_are_refused_in_one_line(faces, tmp_path, folds, message):
    """Too few or too many folds end in one line, status 2 and no run."""
    done = mien("train", "quick-cnn", faces, "--folds", folds, "--out", tmp_path / "runs")

    assert 2 == done.returncode
    assert message in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert not (tmp_path / "runs").exists()
