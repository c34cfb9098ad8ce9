"""How long a verdict takes next to plain loops over draws, measured in the same process.

    python bench/judge.py [--faces 35887] [--classes 7] [--seeds 1] [--draws 2000] [--repeats 3]

Prints the seconds of `mien.judge.judge` (nine scores and three shares a class, each with its
interval, and the ECE's band), of a numpy loop that resamples accuracy alone, and of a
scikit-learn loop over five of the scores that it has; the last runs over `--sklearn-draws` and is
scaled up. Times alternate between the three, the fastest of `--repeats` counts. Ratios travel
between machines; seconds do not.
"""

import argparse
import resource
import time

import numpy as np
from sklearn import metrics

from mien.judge import judge
from mien.predictions import Predictions


def main() -> None:
    options = _options()
    tables = made_up(options.faces, options.classes, options.seeds)
    # The peak is read before the loops run, so that it is that of judging.
    seconds_to(judge, tables, draws=options.draws)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mine, numpy_loop, sklearn_loop = [], [], []
    for _ in range(options.repeats):
        mine.append(seconds_to(judge, tables, draws=options.draws))
        numpy_loop.append(seconds_to(resample_accuracy, tables, options.draws))
        sklearn_loop.append(seconds_to(resample_with_sklearn, tables, options.sklearn_draws))
    scaled = min(sklearn_loop) * options.draws / options.sklearn_draws
    print(
        f"{options.faces:,} faces, {options.classes} classes, {options.seeds} seeds, {options.draws:,} draws"
    )
    print(f"judge                        {min(mine):8.2f} s   peak {peak_mb:.0f} MB, all of the process")
    for name, seconds in (
        ("numpy loop, accuracy alone", min(numpy_loop)),
        ("scikit-learn loop (scaled)", scaled),
    ):
        print(f"{name:28} {seconds:8.2f} s   {seconds / min(mine):.1f} times judge")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in {
        "faces": 35_887,
        "classes": 7,
        "seeds": 1,
        "draws": 2_000,
        "repeats": 3,
        "sklearn-draws": 5,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def made_up(faces: int, classes: int, seeds: int) -> list[Predictions]:
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=faces)
    ids = np.array([f"f{i:07d}" for i in range(faces)])
    tables = []
    for _ in range(seeds):
        logits = rng.normal(size=(faces, classes)) + 1.5 * np.eye(classes)[labels]
        probs = np.exp(logits)
        probs /= probs.sum(1, keepdims=True)
        names = tuple(f"class {i}" for i in range(classes))
        tables.append(Predictions(names, ids, labels, np.full(faces, "test"), probs, ids, ids == ids))
    return tables


def seconds_to(function, *arguments, **options) -> float:
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def resample_accuracy(tables: list[Predictions], draws: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rights = [table.probs.argmax(1) == table.labels for table in tables]
    values = np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(len(rights[0]), size=len(rights[0]))
        values[draw] = np.mean([right[rows].mean() for right in rights])
    return np.quantile(values, (0.025, 0.975))


def resample_with_sklearn(tables: list[Predictions], draws: int) -> None:
    rng = np.random.default_rng(0)
    classes = range(len(tables[0].classes))
    for _ in range(draws):
        rows = rng.integers(len(tables[0]), size=len(tables[0]))
        for table in tables:
            labels, probs = table.labels[rows], table.probs[rows]
            guesses = probs.argmax(1)
            metrics.accuracy_score(labels, guesses)
            metrics.balanced_accuracy_score(labels, guesses)
            metrics.f1_score(labels, guesses, average="macro")
            metrics.log_loss(labels, probs, labels=classes)
            ((probs - np.eye(len(classes))[labels]) ** 2).sum(1).mean()


if __name__ == "__main__":
    main()
