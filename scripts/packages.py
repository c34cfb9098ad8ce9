"""What ships beside other packages, judged on the same faces: python scripts/packages.py

Judges results/predictions/*.csv of MODELS, which `scripts/predictions.py` keeps: of mien's by `mien evaluate pocket
--data DATASET --test --out TABLE.csv`, of the package fer by `bench/package_fer.py`, of the others, which are
npm packages for browsers, by `bench/browser.py`. Writes results/packages.csv; the
first model is compared with each other one on the strictly clean and on the clean faces. scripts/results.py puts it
into README and docs/results.md; a test judges the tables again.
"""

import csv
from pathlib import Path

from mien.judge import Interval, align, differences, judge
from mien.judge.parts import only_part, rows_of
from mien.predictions import Predictions, read_predictions

RESULTS = Path(__file__).resolve().parent.parent / "results"
TARGET = RESULTS / "packages.csv"
MODELS = {  # name -> table in results/predictions
    "mien, `pocket`": "pocket",
    "fer 25.10": "fer-25.10",
    "face-api 1.7.15": "face-api-1.7.15",
    "human 3.3.6": "human-3.3.6",
}
HEAD = ("network", "part", "faces", "score", "point", "low", "high")
SCORES = ("accuracy", "macro_f1", "ece")


def tables() -> dict[str, Predictions]:
    """Return the predictions of each model on the same test faces."""
    read = [read_predictions(RESULTS / "predictions" / f"{stem}.csv") for stem in MODELS.values()]
    return dict(zip(MODELS, align(read, list(MODELS)), strict=True))


def rows(tables: dict[str, Predictions]) -> list[tuple]:
    """Return a row a model, part and score, and the differences of accuracy."""
    rows = []
    for name, table in tables.items():
        for part in ("all", "clean", "strict"):
            scores = judge(only_part([table], part)).scores
            faces = int(rows_of(table, part).sum())
            rows += [(name, part, faces, score, *_bounds(scores[score])) for score in SCORES]
    first, *others = tables
    for other in others:
        for part in ("clean", "strict"):
            (between,) = differences({name: only_part([tables[name]], part) for name in (first, other)})
            bounds = _bounds(between.scores["accuracy"])
            rows.append((f"{first} minus {other}", part, between.faces, "accuracy", *bounds))
    return rows


def _bounds(interval: Interval) -> tuple[str, ...]:
    return tuple(f"{value:.9g}" for value in (interval.point, interval.low, interval.high))


def main() -> None:
    """Write the table."""
    with open(TARGET, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *rows(tables())])


if __name__ == "__main__":
    main()
