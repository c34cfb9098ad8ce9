"""How models read rendered people: python bench/rendered_people.py DATASET MODEL … [--out FILE.csv].

DATASET is made by `mien render DATASET --faces 2100`; no model that ships was trained on rendered faces. All its faces
are judged, and those that are not mixed with a second class, under the prior that the model states and with all
classes alike. A row a model, prior, part and score, recalls among them; intervals are over people, of whom each has
several faces. Rendered faces are no measure of performance on people: they show what a model does far from its data.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, read_dataset
from mien.evaluate import predictions_of
from mien.files import write_csv
from mien.judge import judge
from mien.model import read_model
from mien.predictions import Predictions, pooled

HEAD = ("model", "prior", "part", "faces", "people", "score", "point", "low", "high")
SCORES = ("accuracy", "balanced_accuracy", "log_loss")
PRIORS = ("its own", "balanced")


def rows_of(dataset: Dataset, name: str) -> Iterator[tuple]:
    """Yield a row a prior, part and score of one model."""
    model = read_model(name, threads=1)
    development = dataset.development()
    splits = {"train": development.train, "val": development.val, "test": dataset.open_test()}
    for prior in PRIORS:
        told = model if prior == "its own" else model.with_prior(prior)
        answers = pooled([predictions_of(told, faces, split) for split, faces in splits.items()])
        mixed = dataset.annotations(answers.ids).columns["second"] != ""
        for part, faces in (("all", answers), ("not mixed", answers.only(~mixed))):
            for score, value in scores_of(faces).items():
                people = len(np.unique(faces.groups))
                ends = (f"{end:.9g}" for end in (value.point, value.low, value.high))
                yield (model.name, prior, part, len(faces), people, score, *ends)


def scores_of(faces: Predictions) -> dict:
    """Return the scores by name, with each class's recall."""
    verdict = judge([faces])
    recalls = {f"recall of {one.label}": one.recall for one in verdict.per_class}
    return {score: verdict.scores[score] for score in SCORES} | recalls


def main() -> None:
    """Print each score, or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    dataset = read_dataset(options.dataset)
    rows = [row for name in options.models for row in rows_of(dataset, name)]
    if options.out:
        write_csv(options.out, HEAD, rows)
    for row in rows:
        print(*row, sep=", ")


if __name__ == "__main__":
    main()
