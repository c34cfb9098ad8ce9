"""Comparisons of anybody's tables of predictions, alone and beside runs, and of strictly clean parts."""

import shutil

import pytest
from report_runs import write_faces, write_fake_run, write_fake_runs

from mien.compare import compare, summary
from mien.compare.inputs import gather
from mien.dataset import read_dataset, write_families
from mien.errors import DataError, RunError
from mien.judge import differences, judge
from mien.predictions import read_predictions

A, B = "quick-densenet", "quick-cnn"
OF_RUNS = {"histories.csv", "openings.csv", "stages.csv"}
OF_TRAINING = {"networks.csv", "seeds.csv"}  # hold parameters, epochs and seconds


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs of each of two networks."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"), seeds=3)


@pytest.fixture(scope="module")
def items(runs, tmp_path_factory):
    """Their predictions as plain tables, without a column of copies."""
    folder = tmp_path_factory.mktemp("tables")
    named = []
    for name in (A, B):
        files = []
        for run in (run for run in runs if run.name.startswith(name)):
            rows = (run / "predictions-test.csv").read_text().splitlines()
            files.append(folder / f"{run.name}.csv")
            files[-1].write_text("".join(row.rsplit(",", 2)[0] + "\n" for row in rows))
        named.append(f"{name}={','.join(map(str, files))}")
    return named


@pytest.fixture(scope="module")
def report(items, runs, tmp_path_factory):
    """The report of the tables."""
    return compare(items, tmp_path_factory.mktemp("of") / "tables", data=runs[0].parent / "faces", draws=200)


def test_tables_give_the_numbers_of_their_runs(runs, report, tmp_path):
    """Two networks of three seeds from plain CSV files equal the runs that they came from to the last digit."""
    of_runs = compare(runs, tmp_path / "of-runs", draws=200)
    numbers = {path.name: path for path in (of_runs.folder / "numbers").iterdir()}
    same = set(numbers) - OF_RUNS - OF_TRAINING

    assert same | OF_TRAINING == {path.name for path in (report.folder / "numbers").iterdir()}
    assert {"scores.csv", "differences.csv", "mcnemar.csv", "classes.csv", "faces.csv"} <= same
    for name in same:
        assert numbers[name].read_bytes() == (report.folder / "numbers" / name).read_bytes(), name
    assert of_runs.differences == report.differences


def test_a_page_of_tables_has_all_but_training(report):
    """Figures of scores and faces are there, those of runs are not, and the page says what is not known."""
    page = report.page.read_text(encoding="utf-8")
    kinds = {"histories", "networks"}

    assert not kinds & set(report.drawn)
    assert {"scores", "differences", "confusion", "reliability", "random", "mistakes", "counts"} <= set(
        report.drawn
    )
    assert 'id="training"' not in page and 'id="networks"' not in page
    assert "its predictions were given as tables" in page
    assert "better than" in summary(report)


def test_tables_without_a_data_set_are_compared(items, tmp_path):
    """What only a data set knows is left out, and the page says so."""
    alone = compare(items, tmp_path / "alone", draws=100)

    assert "no data set was given" in alone.missing
    assert {"all", "clean"} == set(alone.verdicts[A])
    assert 210 == alone.verdicts[A]["clean"].faces
    assert not {"counts", "samples", "random"} & set(alone.drawn)


@pytest.mark.slow
def test_runs_and_tables_stand_side_by_side(runs, items, tmp_path):
    """A table beside runs is judged on their faces; histories are of the runs alone."""
    mine = items[1].replace(B, "mine", 1)
    both = compare([*runs[:2], mine], tmp_path / "both", draws=100)

    assert [A, "mine"] == list(both.verdicts)
    assert 198 == both.verdicts["mine"]["clean"].faces
    assert [f"history-{A}"] == [one.name for one in both.drawn["histories"]]


def test_names_and_folds_that_do_not_fit_are_refused(runs, items, tmp_path):
    """One name for runs and tables, and a file that is not there, are each one line."""
    with pytest.raises(RunError, match=A):
        gather([*runs, items[0]], "test")
    with pytest.raises(DataError, match="nowhere"):
        gather(["mine=nowhere.csv"], "test")
    with pytest.raises(RunError, match="nowhere"):
        gather([tmp_path / "nowhere"], "test")


def test_other_data_than_the_runs_is_refused(runs, tmp_path):
    """--data must hold the faces that the runs were trained on."""
    other = write_fake_runs(tmp_path, recipes=(A,), seeds=1, seed=9)[0].parent / "faces"
    with pytest.raises(DataError, match="faces"):
        gather(runs, "test", data=other)


def test_conclusions_are_of_the_strictly_clean_part_where_an_audit_knows_it(tmp_path):
    """Runs evaluated before the audit have three parts after it; what is concluded and shown is of the strictest."""
    faces = write_fake_runs(tmp_path, recipes=(A,), seeds=1)[0].parent / "faces"
    write_fake_run(tmp_path / "b", faces, B, 0)
    dataset = read_dataset(faces)
    train, test = dataset.ids("train").tolist(), dataset.ids("test").tolist()
    write_families(dataset.info, [[a, b] for a, b in zip(train[:60], test[:60], strict=True)])
    report = compare([tmp_path / f"{A}-s0", tmp_path / "b"], tmp_path / "report", draws=100)
    tables = [read_predictions(tmp_path / name / "predictions-test.csv") for name in (f"{A}-s0", "b")]
    strict = read_dataset(faces).annotations(tables[0].ids).strict
    left = {name: [table.only(strict)] for name, table in zip((A, B), tables, strict=True)}
    page = report.page.read_text(encoding="utf-8")

    sizes = [report.verdicts[A][part].faces for part in ("strict", "clean", "all")]
    assert ("strict", [150, 198, 210]) == (report.part, sizes)
    assert judge(left[A], draws=100).scores == report.verdicts[A]["strict"].scores
    assert differences(left, draws=100)[0].sentence == report.differences["strict"][0].sentence
    assert report.differences["strict"][0].sentence in summary(report).replace("\n", " ")
    assert "strictly clean part of test, 150 faces" in page
    shown = {row.split(",")[1] for row in (report.folder / "numbers" / "faces.csv").read_text().splitlines()}
    assert not shown & set(test[:60])


def test_families_of_other_faces_are_refused(tmp_path):
    """A file of families that belongs to another data set is one line that names it."""
    faces, other = (write_faces(tmp_path / name, seed=seed) for seed, name in enumerate("ab"))
    write_families(read_dataset(faces).info, [["0", "1"]])
    shutil.copy(faces / "families.json", other)
    with pytest.raises(DataError, match="families"):
        read_dataset(other)
