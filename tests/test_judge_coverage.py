import csv
from dataclasses import replace

import numpy as np
import pytest

from mien.errors import DataError
from mien.judge.coverage import SHARES, risk_coverage
from mien.judge.judgement import judge_files
from mien.judge.report import as_text, coverage_of
from mien.predictions import Predictions, write_predictions


def told(faces: int = 2000, *, seed: int = 0) -> Predictions:
    """Predictions of two classes that are right as often as they say, so that surer is better."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.5, 1, faces)
    labels = (rng.random(faces) > sure).astype(np.int64)
    probs = np.column_stack([sure, 1 - sure])
    ids = np.array([str(n) for n in range(faces)])
    clean = np.arange(faces) % 4 != 0
    return Predictions(("a", "b"), ids, labels, np.full(faces, "val"), probs, ids, clean)


def test_the_curve_is_what_counting_gives():
    """Each point's share and accuracy are those of the faces at or above its threshold, and lie in their intervals."""
    table = told()
    curve = risk_coverage(table, draws=200)

    assert len(SHARES) == len(curve)
    for one, share in zip(curve, SHARES, strict=True):
        answered = table.probs.max(1) >= one.threshold
        assert share == pytest.approx(one.share.point, abs=0.002)
        assert answered.mean() == pytest.approx(one.share.point)
        assert (table.labels[answered] == 0).mean() == pytest.approx(one.accuracy.point)
        assert one.accuracy.low <= one.accuracy.point <= one.accuracy.high


def test_an_interval_holds_as_much_as_it_says():
    """In about 19 of 20 samples the interval at a threshold holds the true accuracy, 7/8 above 3/4."""
    held = [
        one.accuracy.low <= 0.875 <= one.accuracy.high
        for seed in range(60)
        for one in risk_coverage(told(400, seed=seed), [0.75], draws=200)
    ]

    assert 52 <= sum(held) <= 60


def test_copies_count_once_in_the_interval():
    """Each face ten times over leaves the interval about as wide as the faces alone."""
    table = told(300)
    ten = table.only(np.repeat(np.arange(300), 10))
    ten = Predictions(ten.classes, np.arange(3000).astype(str), *(getattr(ten, name) for name in (
        "labels", "splits", "probs", "groups", "clean")))  # fmt: skip
    (one,), (other,) = (risk_coverage(t, [0.7], draws=2000) for t in (table, ten))

    assert one.accuracy.point == pytest.approx(other.accuracy.point)
    assert 0.85 < (one.accuracy.high - one.accuracy.low) / (other.accuracy.high - other.accuracy.low) < 1.15


@pytest.mark.parametrize("right", [True, False])
def test_where_all_agree_the_interval_is_exact(right):
    """Sixty faces all correct, or all incorrect, do not show an accuracy without doubt (Clopper and Pearson)."""
    table = told(60)
    table = replace(table, labels=np.full(60, int(not right)))
    (one,) = risk_coverage(table, [0.5], draws=200)
    farthest = 0.025 ** (1 / 60)

    assert (one.accuracy.low, one.accuracy.high) == pytest.approx(
        (farthest, 1) if right else (0, 1 - farthest)
    )
    assert (one.share.low, one.share.high) == pytest.approx((farthest, 1))


@pytest.mark.parametrize(
    ("faces", "thresholds", "message"), [(30, [], "too few for a curve"), (100, [1.0], "lower threshold")]
)
def test_what_gives_no_curve_is_told(faces, thresholds, message):
    """Few faces, and a threshold that nothing reaches, end in one line."""
    with pytest.raises(DataError, match=message):
        risk_coverage(told(faces), thresholds)


def test_faces_that_all_stand_elsewhere_show_nothing(tmp_path):
    """A table without one clean face is judged as a whole, and is said to conclude nothing."""
    table = replace(told(60), clean=np.zeros(60, bool))
    write_predictions(tmp_path / "seen.csv", table)
    text = as_text(judge_files([tmp_path / "seen.csv"], draws=200))

    assert "Every face of seen stands in an earlier split too; nothing can be concluded." in text
    assert "accuracy" in text and "clean" not in text


def test_figure_and_numbers_are_written(tmp_path):
    """The folder holds the curve of the clean faces as two pictures and a table in which the threshold is marked."""
    write_predictions(tmp_path / "mine.csv", told())
    said = coverage_of(
        judge_files([tmp_path / "mine.csv"], draws=200).tables, tmp_path / "out", threshold=0.75, draws=200
    )
    with open(tmp_path / "out" / "coverage.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert ["coverage.csv", "coverage.png", "coverage.svg"] == sorted(
        p.name for p in (tmp_path / "out").iterdir()
    )
    clean = told().only(told().clean)
    (mark,), curve = risk_coverage(clean, [0.75], draws=200), risk_coverage(clean, draws=200)
    shown = [f"{100 * x.point:.1f} % [{100 * x.low:.1f}, {100 * x.high:.1f}]"
             for x in (mark.share, mark.accuracy, curve[-1].accuracy)]  # fmt: skip
    words = "{} answered, {} of those correct, {} of all".format(*shown)
    assert f"mine, 1,500 faces, answered from 0.75 on: {words}" in said
    wanted = [
        (one.share.point, one.accuracy.point, one.accuracy.low, one.accuracy.high) for one in (*curve, mark)
    ]
    by_mark = sorted(rows, key=lambda row: row["marked"])
    columns = ("share", "accuracy", "low", "high")
    assert np.allclose(wanted, [[float(row[name]) for name in columns] for row in by_mark], rtol=0, atol=1e-4)
    assert ["0.7500"] == [row["answered_from"] for row in rows if row["marked"] == "1"]
    assert [row["share"] for row in rows] == sorted(row["share"] for row in rows)
    assert len(SHARES) + 1 == len(rows)


def test_curves_are_of_the_faces_that_the_figures_are_of(tmp_path):
    """Where one table alone says which faces are clean, the curve of the other is of those, too."""
    table = told(400)
    write_predictions(tmp_path / "one.csv", table)
    write_predictions(tmp_path / "two.csv", replace(table, clean=np.ones(400, bool)))
    rows = (tmp_path / "two.csv").read_text().splitlines()
    (tmp_path / "two.csv.sha256").unlink()  # as a table from elsewhere
    (tmp_path / "two.csv").write_text(
        "".join(row.rpartition(",")[0] + "\n" for row in rows)
    )  # no column clean
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    said = coverage_of(judge_files(paths, draws=200).tables, tmp_path / "out", threshold=0.75, draws=200)

    assert "one, 300 faces" in said and "two, 300 faces" in said


@pytest.mark.parametrize("surest", [1, 2, 3, 4])
def test_a_few_surest_faces_prove_little(surest):
    """Draws in which none of them is answered tell nothing, so even one surest face has its exact interval."""
    probs = np.column_stack(
        [np.where(np.arange(60) < surest, 0.99, 0.7), np.where(np.arange(60) < surest, 0.01, 0.3)]
    )
    labels = (np.arange(60) >= 54).astype(np.int64)
    ids = np.array([str(n) for n in range(60)])
    table = Predictions(("a", "b"), ids, labels, np.full(60, "val"), probs, ids, np.ones(60, bool))
    (strict,) = risk_coverage(table, [0.9], draws=500)

    assert (1.0, pytest.approx(0.025 ** (1 / surest))) == (strict.accuracy.point, strict.accuracy.low)
