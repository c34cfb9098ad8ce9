"""The table of what `finetune` gains on own faces: python scripts/own_faces.py OUT TABLE, see scripts/own-faces."""

import csv
import sys
from pathlib import Path

from mien.judge import differences, judge
from mien.predictions import Predictions, read_predictions

SETS = ("few", "rendered")
NETWORKS = ("finetune", "fresh")
HEAD = ("faces", "network", "test_faces", "seeds", "score", "point", "low", "high")
SCORES = ("accuracy", "macro_f1", "ece")


def tables(folder: Path) -> dict[str, list[Predictions]]:
    """Return the predictions on test by network, a table a seed."""
    shipped = read_predictions(folder / "pocket.csv")
    found = {"pocket": [shipped.only(shipped.splits == "test")]}
    for name in NETWORKS:
        if runs := sorted(folder.glob(f"{name}-s*")):
            found[name] = [read_predictions(run / "predictions-test.csv") for run in runs]
    return found


def rows(name: str, told: dict[str, list[Predictions]]) -> list[tuple]:
    """Return the figures of each network and finetune's differences from the others."""
    found = []
    for network, seeds in told.items():
        verdict = judge(seeds)
        for score in SCORES:
            at = verdict.scores[score]
            found.append((name, network, verdict.faces, verdict.seeds, score, at.point, at.low, at.high))
    for other in [network for network in told if network != "finetune"]:
        (between,) = differences({"finetune": told["finetune"], other: told[other]})
        at, seeds = between.scores["accuracy"], len(told["finetune"])
        what = f"finetune minus {other}"
        found.append((name, what, between.faces, seeds, "accuracy", at.point, at.low, at.high))
        print(f"{name}: {between.sentence}")
    return found


def main(out: Path, target: Path) -> None:
    """Write the table."""
    found = [row for name in SETS for row in rows(name, tables(out / f"runs-{name}"))]
    with open(target, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEAD)
        table.writerows([*row[:5], *(f"{value:.6f}" for value in row[5:])] for row in found)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
