"""The reports and runs in a folder and below it, as they stand. Writes nothing, and follows no link.

A run that trains is read between two of its writes; one with damaged files, or with what JSON cannot hold, is left out.
"""

import csv
import json
import os
import re
import time
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mien.errors import MienError
from mien.files import is_utf8
from mien.locks import is_held
from mien.pages.tables import Column, Data
from mien.reading import read_bytes
from mien.run import Run, read_run
from mien.text import percent

HEAD = 64 * 1024  # bytes of a page in which its title is looked for
LARGEST_READ = 32 * 2**20  # bytes of a page, or of a file of a run
MOST_FOLDERS, MOST_REPORTS, MOST_RUNS, DEEPEST = 5000, 300, 60, 6
STILL_TRAINING = 120.0  # seconds since a run's files changed; its state is saved every 30
SHOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
OURS = b'<meta name="generator" content="mien">'
TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)


RUN_COLUMNS = (
    Column("path", "run"),
    Column("name"),
    Column("network", "network"),
    Column("parameters"),
    Column("seed", "seed"),
    Column("fold", "fold"),
    Column("epochs", "epochs"),
    Column("planned_epochs", "of"),
    Column("val_accuracy", "val accuracy", lambda share: percent(share) if share != "" else ""),
    Column("state", "state"),
)


def run_data(root: Path) -> tuple[Data, list[str]]:
    """Return every run in a folder and below it as rows, by path, and a sentence on each that cannot be read.

    `val_accuracy`, 0 to 1, is that of the chosen epoch, or of the last one while training has not ended. `state` is
    "done", "running" while a process holds the run, or "stopped in epoch N", where the same command goes on.
    """
    rows, faults = [], []
    for folder in sorted(folder for folder, names in _folders(root) if "run.json" in names):
        try:
            rows.append(_run_row(folder.relative_to(root).as_posix(), read_run(folder)))
        except MienError as fault:
            faults.append(str(fault))
    return Data(RUN_COLUMNS, rows), faults


def _run_row(path: str, run: Run) -> tuple[Any, ...]:
    metrics = run.metrics() if (run.folder / "metrics.csv").exists() else []
    if run.complete:
        accuracy, state = run.result()["val"]["accuracy"], "done"
    else:
        accuracy = metrics[-1]["val_accuracy"] if metrics else ""
        state = "running" if is_held(run.folder) else f"stopped in epoch {len(metrics) + 1}"
    fold = f"{run.fold.number} of {run.fold.of}" if run.fold else ""
    network = run.recipe.network.kind, run.network()["parameters"]
    planned = run.recipe.training.epochs
    return (path, run.name, *network, run.seed, fold, len(metrics), planned, accuracy, state)


def reports_and_runs(root: Path) -> tuple[list[dict], str]:
    """Return the reports below a folder, and its runs as JSON, what changed last first."""
    pages, folders = [], []
    for folder, names in _folders(root):
        changed = {name: _changed(folder / name) for name in names}
        if "run.json" in names:
            folders.append((max(changed.values()), folder))
        pages += [(when, folder / name) for name, when in changed.items() if name.endswith(".html")]
    reports = (_report(root, path, changed) for changed, path in sorted(pages, reverse=True))
    runs = (_run(root, folder, changed) for changed, folder in sorted(folders, reverse=True)[:MOST_RUNS])
    return list(islice(filter(None, reports), MOST_REPORTS)), f"[{', '.join(filter(None, runs))}]"


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with its files; no link, nothing hidden, nothing that cannot stand in a page."""
    for place, below, names in islice(os.walk(root), MOST_FOLDERS):
        folder = Path(place)
        deep = len(folder.relative_to(root).parts) >= DEEPEST
        below[:] = [] if deep else sorted(filter(_listable, below))
        yield folder, [name for name in names if _listable(name) and not (folder / name).is_symlink()]


def _listable(name: str) -> bool:
    return not name.startswith(".") and is_utf8(name)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@lru_cache(maxsize=5000)
def _report(root: Path, path: Path, changed: float) -> dict | None:
    """Return a page as it was when it changed last, None where it is not one of mien's."""
    head, name = _read(path)[:HEAD], path.relative_to(root).as_posix()
    if OURS not in head:
        return None
    found = TITLE.search(head)
    title = " ".join(unescape(found[1].decode("utf-8", "replace")).split()) if found else name
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))
    return {
        "url": f"files/{quote(name)}",
        "title": title if is_utf8(title) else name,
        "path": name,
        "when": when,
    }


def _run(root: Path, folder: Path, changed: float) -> str:
    """Return the JSON of a run, "" where its files are damaged or hold what JSON cannot."""
    training = "training" if time.time() - changed < STILL_TRAINING else "stopped"
    try:
        run = json.loads(_read(folder / "run.json"))
        rows = list(csv.DictReader(_read(folder / "metrics.csv").decode().splitlines()))
        facts = {
            "path": folder.relative_to(root).as_posix(),
            "name": str(run["name"]),
            "seed": int(run["seed"]),
            "fold": run.get("fold"),
            "state": "complete" if (folder / "result.json").is_file() else training,
            "epochs": int(tomllib.loads(_read(folder / "recipe.toml").decode())["training"]["epochs"]),
            "changed": round(changed),
            "rows": {name: [round(float(row[name]), 5) for row in rows] for name in SHOWN},
        }
        text = json.dumps(facts, allow_nan=False, ensure_ascii=False)
        return text if is_utf8(text) else ""
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError, OverflowError):
        return ""


def _read(path: Path) -> bytes:
    """Return what is in a regular file, b"" of one that is none or too large."""
    try:
        return read_bytes(path, LARGEST_READ)
    except OSError:
        return b""
