"""The published predictions give the published figures."""

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from mien.judge import metrics, report
from mien.judge.judgement import judge_files
from mien.judge.parts import only_part
from mien.labels import LABELS
from mien.predictions import read_predictions

ROOT = Path(__file__).resolve().parent.parent
PREDICTIONS = ROOT / "results" / "predictions"


def packages():
    """Return scripts/packages.py as a module."""
    spec = importlib.util.spec_from_file_location("packages", ROOT / "scripts" / "packages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(name: str) -> list[dict[str, str]]:
    """Return the rows of results/NAME.csv."""
    with open(ROOT / "results" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_give_the_points_of_the_table_of_packages():
    """On all three parts accuracy, macro F1 and calibration error of the published tables are those in README."""
    tables = packages().tables()
    for row in (row for row in published("packages") if " minus " not in row["network"]):
        (part,) = only_part([tables[row["network"]]], row["part"])

        assert int(row["faces"]) == len(part)
        assert float(row["point"]) == pytest.approx(
            getattr(metrics, row["score"])(part.labels, part.probs), abs=1e-8
        )


@pytest.mark.slow
def test_predictions_give_the_intervals_of_the_table_of_packages():
    """Judged again they are the file, intervals and differences included."""
    again = [tuple(map(str, row)) for row in packages().rows(packages().tables())]

    assert again == [tuple(row.values()) for row in published("packages")]


def test_predictions_give_the_points_of_what_ships_on_the_annotators_majority():
    """Each score, those of each class included, of the three models that ship is the published one."""
    stems = {"pocket": "pocket-majority", "pocket-photos": "pocket-photos", "sharp": "sharp"}
    tables = [f"{name}={PREDICTIONS / stem}.csv" for name, stem in stems.items()]
    judged = judge_files(tables, draws=100)
    rows = [dict(zip(report.HEAD, row, strict=True)) for row in report.rows(judged)]
    known = published("majority-models")

    assert len(known) == len(rows)
    for row, kept in zip(rows, known, strict=True):
        about = ("network", "minus", "part", "class", "faces", "score")
        assert [str(row[name]) for name in about] == [kept[name] for name in about]
        assert float(kept["point"]) == pytest.approx(row["point"], abs=1e-8)


@pytest.mark.parametrize(
    "kept, recipe",
    [
        ("pocket-photos-", "pocket-photos"),
        ("pocket-photos-mild-", "pocket-photos-mild"),
        ("quick-", "quick-densenet"),
        ("quick-", "quick-cnn"),
        ("study/published/", "study-densenet"),
        ("study/published/", "study-cnn"),
    ],
)
def test_predictions_of_a_recipes_seeds_give_its_published_scores(kept, recipe):
    """The seeds' predictions, on each part, have the mean accuracy and macro F1 of the set's scores.csv."""
    seeds = [read_predictions(path) for path in sorted(PREDICTIONS.glob(f"{recipe}-s*.csv"))]
    scores = [row for row in published(f"{kept}scores") if row["network"] == recipe]
    for row in (row for row in scores if row["score"] in ("accuracy", "macro_f1")):
        parts = only_part(seeds, row["part"])
        points = [getattr(metrics, row["score"])(part.labels, part.probs) for part in parts]

        assert {int(row["faces"])} == {len(part) for part in parts}
        assert float(row["point"]) == pytest.approx(sum(points) / len(points), abs=1e-8)
    rows = published(f"{kept}seeds")
    assert len(seeds) == len({row["seed"] for row in rows if row["network"] == recipe})


def test_published_predictions_hold_no_picture_and_tell_when_test_was_opened():
    """Each table has ids, labels, probabilities and copies alone, and each opening of test that it needed is beside."""
    for path in PREDICTIONS.glob("*.csv"):
        header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        openings = path.with_suffix(".openings.jsonl").read_text(encoding="utf-8").splitlines()

        assert ["id", "label", "split", *LABELS, "group", "clean", "strict"] == header
        assert all("test" == json.loads(line)["split"] for line in openings) and openings
