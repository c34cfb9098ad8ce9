"""What ships beside other packages, judged on the same faces: python scripts/packages.py NAME=TABLE.csv …

Each TABLE holds the predictions of one model on the same test faces: of mien's by `mien evaluate pocket --data DATASET
--test --out TABLE.csv`, of the package fer by `bench/package_fer.py`. Writes results/packages.csv; the first model
is compared with each other one on the clean faces. scripts/results.py puts it into README.
"""

import csv
import sys
from pathlib import Path

from mien.judge import differences, judge
from mien.predictions import Predictions, read_predictions

TARGET = Path(__file__).resolve().parent.parent / "results" / "packages.csv"
HEAD = ("network", "part", "faces", "score", "point", "low", "high")
SCORES = ("accuracy", "macro_f1", "ece")


def test_faces(path: Path) -> Predictions:
    """Return the rows of test."""
    told = read_predictions(path)
    return told.only(told.splits == "test")


def rows(tables: dict[str, Predictions]) -> list[tuple]:
    """Return a row a model, part and score, and the differences of accuracy."""
    found = []
    for name, table in tables.items():
        for part, faces in (("all", table), ("clean", table.only(table.clean))):
            scores = judge([faces]).scores
            found += [(name, part, len(faces), score, *_bounds(scores[score])) for score in SCORES]
    first, *others = tables
    for other in others:
        clean = {name: [tables[name].only(tables[name].clean)] for name in (first, other)}
        (between,) = differences(clean)
        told = _bounds(between.scores["accuracy"])
        found.append((f"{first} minus {other}", "clean", between.faces, "accuracy", *told))
    return found


def _bounds(interval) -> tuple[str, ...]:
    return tuple(f"{value:.9g}" for value in (interval.point, interval.low, interval.high))


def main(named: list[str]) -> None:
    """Write the table."""
    tables = {name: test_faces(Path(path)) for name, _, path in (each.partition("=") for each in named)}
    with open(TARGET, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *rows(tables)])


if __name__ == "__main__":
    if len(sys.argv) < 3 or not all("=" in each for each in sys.argv[1:]):
        sys.exit(__doc__)
    main(sys.argv[1:])
