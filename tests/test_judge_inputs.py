"""Anybody's predictions: seeds by name, arrays and tables of others beside a data set, groups, parts, files."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from report_runs import guesses, write_faces
from typer.testing import CliRunner

from mien.cli import app
from mien.dataset import read_dataset, write_families
from mien.errors import DataError
from mien.judge import judge
from mien.judge.groups import judge_groups
from mien.judge.inputs import Given, named_tables
from mien.judge.judgement import judge_files, judge_given
from mien.judge.parts import audited, different_parts, only_part
from mien.judge.report import as_text
from mien.labels import LABELS
from mien.predictions import Predictions, read_predictions, write_predictions

ALPHABET = tuple(sorted(LABELS))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A data set of which 12 test faces stand in train pixel for pixel, and 20 more as other copies."""
    folder = write_faces(tmp_path_factory.mktemp("faces") / "set")
    dataset = read_dataset(folder)
    train, test = dataset.ids("train"), dataset.ids("test")
    pixels = [[a, b] for a, b in zip(train[:12].tolist(), test[:12].tolist(), strict=True)]
    near = [[a, b] for a, b in zip(train[20:40].tolist(), test[12:32].tolist(), strict=True)]
    write_families(dataset.info, [*pixels, *near])
    return folder


@pytest.fixture(scope="module")
def tables(faces, tmp_path_factory):
    """Predictions of two seeds on test without a column of copies, as CSV."""
    folder, test = tmp_path_factory.mktemp("tables"), read_dataset(faces)._faces("test")
    for seed in range(2):
        probs = guesses(test, 0.6, np.random.default_rng(seed))
        ones = np.ones(len(test), bool)
        table = Predictions(LABELS, test.ids, test.labels, np.full(len(test), "test"), probs, test.ids, ones)
        write_predictions(folder / f"s{seed}.csv", table)
    return folder


def test_a_data_set_fills_in_copies_and_parts_by_id(faces, tables):
    """Beside a data set that was audited a plain table has three parts, each with its own figures."""
    judged = judge_files([tables / "s0.csv"], data=faces, draws=100)
    parts = judged.verdicts["s0"]
    own = read_predictions(tables / "s0.csv")
    known = read_dataset(faces).annotations(own.ids)

    assert {"strict": 178, "clean": 198, "all": 210} == {
        part: verdict.faces for part, verdict in parts.items()
    }
    assert (
        judge([own.only(known.strict)], draws=100).scores["accuracy"].point
        == parts["strict"].scores["accuracy"].point
    )
    assert parts["all"].groups == 210
    text = as_text(judged)
    assert "s0, strictly clean" in text and "s0, clean" in text


def test_a_data_set_without_the_faces_leaves_a_table_as_it_is(faces, tables):
    """What an audit of a data set without the test split tells changes no table of test faces."""
    own = read_predictions(tables / "s0.csv")
    elsewhere = replace(own, ids=np.char.add("other-", own.ids))

    assert audited(elsewhere, read_dataset(faces)) is elsewhere
    assert audited(own, read_dataset(faces)).strict is not None


def test_conclusions_are_drawn_from_the_strictest_part(faces, tables):
    """Networks are compared on all parts, and the strictly clean one decides."""
    judged = judge_files([f"a={tables}/s0.csv", f"b={tables}/s1.csv"], data=faces, draws=100)

    assert ["strict", "clean", "all"] == list(judged.differences)
    assert 178 == judged.differences["strict"][0].faces
    assert judged.differences["strict"][0].sentence in as_text(judged)


def test_seeds_of_one_network_are_judged_together(faces, tables):
    """NAME=A.csv,B.csv and NAME=*.csv are one network with two seeds."""
    items = f"n={tables}/s0.csv,{tables}/s1.csv", f"n={tables}/*.csv"
    named = [judge_files([item], data=faces, draws=100) for item in items]

    assert [2, 2] == [one.verdicts["n"]["all"].seeds for one in named]
    assert named[0].to_dict() == named[1].to_dict()


@pytest.mark.parametrize("item", ["=a.csv", "x=", "x= , "])
def test_an_item_without_name_or_table_is_refused(item):
    """It is one line."""
    with pytest.raises(DataError):
        named_tables([item])


def test_a_table_or_a_name_given_twice_is_refused(tables):
    """Seeds must differ, and so must networks."""
    with pytest.raises(DataError):
        named_tables([f"x={tables}/s0.csv,{tables}/s0.csv"])
    with pytest.raises(DataError):
        named_tables([f"x={tables}/s0.csv", f"x={tables}/s1.csv"])


def same_figures(one, other):
    """Assert that two judgements have the same figures but for what rounds of a table's nine digits."""
    for part, verdict in one.verdicts["s0"].items():
        for name, value in verdict.scores.items():
            expected = other.verdicts["s0"][part].scores[name].to_dict()
            assert expected == pytest.approx(value.to_dict(), abs=1e-6)


def test_an_array_is_judged_as_its_table_is(faces, tables, tmp_path):
    """Probabilities saved by numpy, in the order that --classes says, give the figures of the table."""
    table = read_predictions(tables / "s0.csv")
    np.save(tmp_path / "s0.npy", table.probs[:, [LABELS.index(name) for name in ALPHABET]])
    array = judge_files([tmp_path / "s0.npy"], data=faces, split="test", classes=ALPHABET, draws=100)

    same_figures(array, judge_files([tables / "s0.csv"], data=faces, draws=100))


def test_a_table_without_names_is_judged_as_an_array_is(faces, tables, tmp_path):
    """What np.savetxt writes, and a data frame whose columns are numbered, have the classes of --classes."""
    table = read_predictions(tables / "s0.csv")
    rows = [[f"{x:.18e}" for x in probs[[LABELS.index(name) for name in ALPHABET]]] for probs in table.probs]
    frame = [["", *map(str, range(7))], *([i, *row] for i, row in enumerate(rows))]
    given = judge_files([tables / "s0.csv"], data=faces, draws=100)
    for lines in (rows, frame):
        with open(tmp_path / "s0.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)

        same_figures(
            judge_files([tmp_path / "s0.csv"], data=faces, split="test", classes=ALPHABET, draws=100), given
        )
    for options in ({}, {"data": faces, "split": "test"}):
        with pytest.raises(DataError, match=r"s0\.csv.*--(data|classes)"):
            judge_files([tmp_path / "s0.csv"], **options)


def test_a_data_frame_with_own_names_is_judged(faces, tables, tmp_path):
    """Other spellings of the classes, an index, further columns and missing ids, labels and splits are filled in."""
    table = read_predictions(tables / "s0.csv")
    names = {"happy": "Happiness", "sad": "sadness", "angry": "anger"}
    head = ["", *(names.get(name, name) for name in LABELS), "predicted"]
    with open(tmp_path / "s0.csv", "w", encoding="utf-8", newline="") as file:
        rows = ([i, *(f"{x:.9g}" for x in probs), 3] for i, probs in enumerate(table.probs))
        csv.writer(file).writerows([head, *rows])
    frame = judge_files([tmp_path / "s0.csv"], data=faces, split="test", draws=100)

    same_figures(frame, judge_files([tables / "s0.csv"], data=faces, draws=100))


@pytest.mark.parametrize(
    "options",
    [
        {"split": "test", "classes": ALPHABET},  # no data set
        {"data": True, "split": "test"},  # no order of columns
        {"data": True, "classes": ALPHABET},  # no split
        {"data": True, "split": "val", "classes": ALPHABET},  # a split of another size
        {"data": True, "split": "test", "classes": ALPHABET[:6]},
        {"data": True, "split": "test", "classes": (*ALPHABET[:6], "bored")},
    ],
)
def test_an_array_that_does_not_say_enough_is_refused(faces, tables, tmp_path, options):
    """Faces, classes and their order are never guessed; the error names the file."""
    np.save(tmp_path / "p.npy", read_predictions(tables / "s0.csv").probs)
    options = {**options, **({"data": faces} if options.get("data") else {})}
    with pytest.raises(DataError, match=r"p\.npy"):
        judge_files([tmp_path / "p.npy"], **options)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", "objects", "logits", "flat"])
def test_what_is_no_array_of_probabilities_is_refused(faces, tmp_path, content):
    """Damaged files, pickled objects, logits and vectors are each one line."""
    path = tmp_path / "p.npy"
    arrays = {"objects": np.array([[{}]], object), "logits": np.full((210, 7), 3.0), "flat": np.ones(210)}
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, arrays[content], allow_pickle=True)
    with pytest.raises(DataError, match=r"p\.npy"):
        judge_files([path], data=faces, split="test", classes=ALPHABET)


@pytest.mark.parametrize("cut", [None, 60])
def test_an_archive_of_arrays_is_refused_in_words(faces, tmp_path, cut):
    """A `.npz` file, whole or cut short, names itself; what it holds is not guessed at."""
    path = tmp_path / "p.npz"
    np.savez(path, probs=np.full((210, 7), 1 / 7))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"p\.npz: .*array"):
        judge_files([path], data=faces, split="test", classes=ALPHABET)


def test_labels_of_others_must_be_those_of_the_data_set(faces, tables, tmp_path):
    """A table whose label differs from the data set's names the face."""
    table = read_predictions(tables / "s0.csv")
    write_predictions(tmp_path / "s0.csv", replace(table, labels=np.roll(table.labels, 1)))
    with pytest.raises(DataError, match='face "'):
        judge_files([tmp_path / "s0.csv"], data=faces)


def toy(right: np.ndarray, groups: np.ndarray | None = None, labels: np.ndarray | None = None) -> Predictions:
    """Return predictions of three classes that are right where `right` says."""
    n = len(right)
    labels = np.arange(n) % 3 if labels is None else labels
    probs = np.full((n, 3), 0.1)
    probs[np.arange(n), np.where(right, labels, (labels + 1) % 3)] = 0.8
    ids = np.array([f"f{i:04}" for i in range(n)])
    groups = ids if groups is None else groups
    return Predictions(("a", "b", "c"), ids, labels, np.full(n, "test"), probs, groups, np.ones(n, bool))


def test_groups_have_their_figures_and_the_difference_between_them():
    """90 % against 60 % is a difference of 30 points, whose interval holds what independent groups allow."""
    n = 400
    values = np.where(np.arange(n) < n // 2, "old", "young")
    right = np.where(values == "old", np.arange(n) % 10 > 0, np.arange(n) % 10 > 3)
    grouped = judge_groups({"net": [toy(right)]}, "age", values, draws=2000)
    (gap,) = grouped.gaps
    accuracy = gap.scores["accuracy"]
    half = 1.96 * np.sqrt(0.9 * 0.1 / 200 + 0.6 * 0.4 / 200)

    assert ("net", "old", "young", pytest.approx(0.3)) == (gap.network, gap.a, gap.b, accuracy.point)
    assert (0.3 - half, 0.3 + half) == pytest.approx((accuracy.low, accuracy.high), abs=0.015)
    assert {"old": 200, "young": 200} == {name: v.faces for name, v in grouped.verdicts["net"].items()}


def test_a_person_in_both_groups_makes_their_difference_narrow():
    """Where each person stands in both groups and is hard in both, the same draw takes both faces."""
    n = 200
    hard = np.arange(n) % 4 == 0
    right, values = np.concatenate([~hard, ~hard]), np.repeat(["left", "right"], n)
    persons = np.array([f"p{i % n}" for i in range(2 * n)])
    labels = np.tile(np.arange(n) % 3, 2)
    paired, apart = (
        judge_groups({"net": [toy(right, groups, labels)]}, "side", values, draws=500)
        .gaps[0]
        .scores["accuracy"]
        for groups in (persons, None)
    )

    assert (0, 0, 0) == (paired.low, paired.point, paired.high)
    assert apart.high - apart.low > 0.1


def test_small_groups_have_figures_and_no_difference():
    """Of fewer than 30 faces a draw may have none."""
    values = np.array(["few"] * 20 + ["many"] * 80 + ["more"] * 80)
    grouped = judge_groups({"net": [toy(np.arange(180) % 3 > 0)]}, "site", values, draws=100)

    assert ("few",) == grouped.small
    assert [("many", "more")] == [(gap.a, gap.b) for gap in grouped.gaps]
    assert {"few", "many", "more"} == set(grouped.verdicts["net"])


def test_a_class_that_a_group_lacks_is_in_no_mean_of_a_difference():
    """Means over classes of two groups are of the classes that both have; what is absent is said."""
    n = 300
    values, labels = np.repeat(["x", "y"], n // 2), np.arange(n) % 3
    labels[values == "y"] %= 2
    right = labels != 2  # every face of c is wrong
    table = toy(right, labels=labels)
    grouped = judge_groups({"net": [table]}, "site", values, draws=100)
    judged = judge_given(
        Given({"net": [table]}, dict(zip(table.ids.tolist(), values.tolist(), strict=True))),
        by="site",
        draws=100,
    )

    assert ("c",) == grouped.uncommon == grouped.verdicts["net"]["y"].absent
    assert 0 == grouped.gaps[0].scores["balanced_accuracy"].point
    assert 2 / 3 == pytest.approx(grouped.verdicts["net"]["x"].scores["balanced_accuracy"].point)
    assert 1 == grouped.verdicts["net"]["y"].scores["macro_f1"].point
    assert "labeled c" in as_text(judged)


def test_an_absent_class_is_said_and_has_no_recall():
    """The table of classes has a dash where nothing is known, and a sentence names the class."""
    table = toy(np.arange(60) % 5 > 0, labels=np.arange(60) % 2)
    text = as_text(judge_given(Given({"net": [table]}), draws=100), per_class=True)
    (row,) = (line for line in text.splitlines() if line.startswith("c "))

    assert "No face is labeled c" in text
    assert 2 == row.count("–")


def test_json_csv_and_page_say_what_the_text_says(faces, tables, tmp_path):
    """The three files hold the same figures, on every part and in every group."""
    paths = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "html")}
    arguments = [f"{name}={tables}/s{seed}.csv" for seed, name in enumerate("ab")] + [
        "--data",
        str(faces),
        "--draws",
        "100",
    ]
    options = [text for kind, path in paths.items() for text in (f"--{kind}", str(path))]
    result = CliRunner().invoke(app, ["judge", *arguments, "--by", "source", *options])
    assert isinstance(result.exception, DataError)  # a value a face: too many groups
    assert not any(path.exists() for path in paths.values())

    result = CliRunner().invoke(app, ["judge", *arguments, *options])
    assert 0 == result.exit_code
    told = json.loads(paths["json"].read_text())
    with open(paths["csv"], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    accuracy = told["networks"]["a"]["strict"]["scores"]["accuracy"]
    (row,) = (
        r
        for r in rows
        if (r["network"], r["minus"], r["part"], r["score"]) == ("a", "", "strict", "accuracy")
    )

    assert list(accuracy.values()) == pytest.approx([float(row[end]) for end in ("point", "low", "high")])
    assert f"{100 * accuracy['point']:.1f} [{100 * accuracy['low']:.1f}" in paths["html"].read_text()
    assert {"strict", "clean", "all"} == {r["part"] for r in rows if r["minus"] == "b"}
    for one in told["networks"]["a"]["strict"]["per_class"]:
        of_class = ("a", "strict", one["label"])
        mine = [r for r in rows if (r["network"], r["part"], r["class"]) == of_class]
        assert [(str(one["support"]), pytest.approx(one[r["score"]]["low"])) for r in mine] == [
            (r["faces"], float(r["low"])) for r in mine
        ]
        assert ["precision", "recall", "f1"] == [r["score"] for r in mine]


def test_parts_of_equal_size_are_one():
    """What has no copies is told once, and a part without a face is none."""
    table = toy(np.ones(30, bool))
    some = np.arange(30) < 20

    assert ("all",) == different_parts(table)
    assert ("strict", "all") == different_parts(replace(table, strict=some))
    assert ("clean", "all") == different_parts(replace(table, clean=some, strict=some & False))
    assert ("clean", "all") == different_parts(replace(table, clean=some))
    assert 20 == len(only_part([replace(table, strict=some)], "strict")[0])
    with pytest.raises(DataError):
        only_part([table], "strict")
