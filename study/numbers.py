"""Gather the numbers of docs/study.md into results/study/: python -m study.numbers [--search STORAGE.db].

Judges the runs that are complete, with mien's own comparison, and copies what the page needs. With the study's
Optuna storage its trials are kept, too; without it those kept before stay.
"""

import argparse
import csv
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np

from mien.compare import compare
from mien.compare.inputs import gather
from mien.errors import RunError
from mien.files import write_csv
from mien.judge import judge
from mien.networks import build
from mien.networks.cost import describe
from mien.predictions import Predictions
from mien.recipe import read_recipe
from mien.run import read_run
from study.fault import FaultyDenseNet
from study.plan import PLAN, RESULTS, RUNS, Planned
from study.tables import Tables

REPORTS = Path("reports/study")
COMPARED = ("published", "connections", "equal", "better", "variants")
KEPT = ("networks", "scores", "seeds", "differences", "mcnemar", "confusion", "histories")
WHENS = ("start", "middle", "end")
SIDE, CLASSES = 48, 7


def complete(planned: Planned) -> list[Path]:
    """Return the folders of a recipe's judged runs, by seed."""
    folders = RUNS.glob(f"{planned.name}-s[0-9]*/predictions-test.csv")
    return sorted((path.parent for path in folders), key=lambda path: read_run(path).seed)


def compared(group: str) -> None:
    """Compare a group's runs and keep the numbers."""
    runs = [folder for planned in PLAN if group in planned.groups for folder in complete(planned)]
    elsewhere = [p.name for p in PLAN if group in p.groups and not complete(p) and _was_compared(p, group)]
    if not runs or elsewhere:
        if runs:
            print(f"{group} stays as it is: no run of {', '.join(elsewhere)} is here to compare with")
        return
    compare(runs, REPORTS / group)
    (RESULTS / group).mkdir(exist_ok=True)
    for name in KEPT:
        shutil.copyfile(REPORTS / group / "numbers" / f"{name}.csv", RESULTS / group / f"{name}.csv")


def _was_compared(planned: Planned, group: str) -> bool:
    return any(row["network"] == planned.name for row in Tables(RESULTS)(f"{group}/networks"))


def write_kept(name: str, header: tuple[str, ...], rows: list[tuple]) -> None:
    """Write a table with a network's name in front, with what it held of planned networks whose runs are elsewhere."""
    path, here = RESULTS / name, {row[0] for row in rows}
    order = {planned.name: number for number, planned in enumerate(PLAN)}
    if path.exists():
        with open(path, encoding="utf-8", newline="") as file:
            before = [tuple(row) for row in list(csv.reader(file))[1:]]
        rows = rows + [row for row in before if row[0] in order and row[0] not in here]
    write_csv(path, header, sorted(rows, key=lambda row: order[row[0]]))


def swapped() -> None:
    """Judge the runs of the swapped splits, on the faces that they were trained on and on val."""
    if not any(complete(planned) for planned in PLAN if "swapped" in planned.groups):
        return
    rows, counts, refusal = [], [], ""
    for planned in (p for p in PLAN if "swapped" in p.groups):
        runs = [read_run(folder) for folder in complete(planned)]
        for split in ("test", "val") if runs else ():
            tables = [run.predictions(split) for run in runs]
            verdict = judge(tables)
            for score in ("accuracy", "macro_f1"):
                told = verdict.scores[score]
                rows.append(
                    (planned.name, split, verdict.faces, len(runs), score, told.point, told.low, told.high)
                )
            counts += [(planned.name, split, *row) for row in _read_as(tables[0])]
        if runs and not refusal:
            refusal = _refusal([run.folder for run in runs])
    write_csv(RESULTS / "swapped.csv",
              ("network", "split", "faces", "seeds", "score", "point", "low", "high"), rows)  # fmt: skip
    write_csv(RESULTS / "swapped-classes.csv", ("network", "split", "class", "labeled", "read_as"), counts)
    write_csv(RESULTS / "refusal.csv", ("message",), [(refusal,)])


def _read_as(table: Predictions) -> list[tuple[str, int, int]]:
    """Return of each class how many faces are labeled so and how many are read so."""
    labeled, read = (
        np.bincount(c, minlength=len(table.classes)) for c in (table.labels, table.probs.argmax(1))
    )
    return [(name, int(a), int(b)) for name, a, b in zip(table.classes, labeled, read, strict=True)]


def _refusal(folders: list[Path]) -> str:
    """Return what mien says when it is asked to compare runs on the faces that they were trained on."""
    try:
        gather(folders, "test")
    except RunError as refused:
        return str(refused).partition(": ")[2]
    raise AssertionError("copies of train faces went unnoticed")


def dropout() -> None:
    """Write what the study's DenseNet costs as it was built, and mended."""
    options = read_recipe("study-densenet").network
    built = {
        "as built": FaultyDenseNet(options, side=SIDE, classes=CLASSES),
        "mended": build(options, side=SIDE, classes=CLASSES),
    }
    rows = []
    for name, network in built.items():
        told = describe(network, SIDE)
        ends = [stage["shape"][0] for stage in told["stages"] if stage["kind"] == "dense"]
        rows.append((name, told["parameters"], told["multiply_adds"], *ends))
    write_csv(
        RESULTS / "dropout.csv",
        ("network", "parameters", "multiply_adds", "block_1", "block_2", "block_3"),
        rows,
    )


def search(storage: Path) -> None:
    """Write the trials of the study's search: number, state, test loss, minutes, parameters."""
    with sqlite3.connect(f"file:{storage}?mode=ro", uri=True) as database:
        trials = database.execute(
            "select trial_id, number, state, (julianday(datetime_complete) - julianday(datetime_start)) * 1440 "
            "from trials order by number"
        ).fetchall()
        values = dict(database.execute("select trial_id, value from trial_values"))
        params = database.execute(
            "select trial_id, param_name, param_value, distribution_json from trial_params"
        )
        told: dict[int, dict] = {}
        for trial, name, value, distribution in params:
            choices = json.loads(distribution)["attributes"].get("choices")
            told.setdefault(trial, {})[name] = choices[int(value)] if choices else value
    names = sorted({name for by_name in told.values() for name in by_name})
    rows = [
        (
            number,
            state.lower(),
            values.get(trial, ""),
            float(minutes),
            *(told[trial].get(n, "") for n in names),
        )
        for trial, number, state, minutes in trials
    ]
    write_csv(RESULTS / "search.csv", ("trial", "state", "test_loss", "minutes", *names), rows)


def inside() -> None:
    """Write gradients by depth, feature reuse, and the fit of train and val, of every probed run."""
    strong, reuse, fit = [], [], []
    for planned in PLAN:
        for folder in complete(planned):
            seed = read_run(folder).seed
            for when in WHENS if planned.probed else ():
                told = _beside(folder, when)
                strong += [
                    (planned.name, seed, when, i, *row) for i, row in enumerate(told["gradients"], start=1)
                ]
                if when == "end":
                    reuse += [(planned.name, seed, *row) for row in _weights(told.get("reuse", ()))]
            if planned.probed or "swapped" in planned.groups:
                for split, scores in _beside(folder, "fit").items():
                    fit.append((planned.name, seed, split, scores["accuracy"], scores["log_loss"]))
    write_kept(
        "gradients.csv",
        ("network", "seed", "when", "convolution", "name", "norm", "relative"),
        strong,
    )
    write_kept("reuse.csv", ("network", "seed", "block", "from", "to", "mean_weight"), reuse)
    write_kept("fit.csv", ("network", "seed", "split", "accuracy", "log_loss"), fit)


def _beside(folder: Path, what: str) -> dict:
    return json.loads(folder.with_name(f"{folder.name}-{what}.json").read_text(encoding="utf-8"))


def _weights(blocks) -> list[tuple[int, int, int, float]]:
    return [
        (number, source, target, weight)
        for number, block in enumerate(blocks, start=1)
        for source, row in enumerate(block)
        for target, weight in enumerate(row, start=1)
        if weight is not None
    ]


def runs() -> None:
    """Write what each run is and ran on, and which planned ones are missing."""
    rows = []
    for planned in PLAN:
        for folder in complete(planned):
            run = read_run(folder)
            told = run.environment()
            machine = told["machine"]
            where = machine["cpu"] if machine["device"] == "cpu" else machine["device"]
            result = run.result()
            rows.append((planned.name, planned.groups[0], run.seed, result["epochs"], result["kept_epoch"],
                         float(told["train_seconds"]), where, run.engine["threads"], run.engine["precision"],
                         told["packages"]["torch"], told["sessions"][0]["started"][:10]))  # fmt: skip
    header = ("name", "group", "seed", "epochs", "kept_epoch", "train_seconds", "machine", "threads", "precision",
              "torch", "date")  # fmt: skip
    write_kept("runs.csv", header, rows)


def main() -> None:
    """Gather all numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--search", type=Path, help="the study's Optuna storage, a SQLite file")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for group in COMPARED:
        compared(group)
    swapped()
    dropout()
    inside()
    runs()
    if options.search:
        search(options.search)


if __name__ == "__main__":
    main()
