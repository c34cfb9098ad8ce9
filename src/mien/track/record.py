"""What a tracker is given of a run: settings, curves, final figures. Reads a run's files; knows no tracker."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from mien.errors import DataError
from mien.judge import METRICS, Verdict, judge
from mien.judge.parts import audited, different_parts, only_part
from mien.judge.text import ONE_SEED, class_table, scores_table
from mien.labels import SPLITS
from mien.recipe import SECTIONS, values
from mien.recipe.toml import toml_value
from mien.run import Run, facts
from mien.text import escaped

CURVES, FINAL = "curves/", "final/"  # before the names of scalars, so that trackers show curves first
Setting = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """A final figure and its 95 % interval, None where it has none; shares are 0 to 1."""

    name: str  # as "test/accuracy", or on parts of test "test-clean/accuracy" and "test-strict/accuracy"
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a complete run came to."""

    figures: tuple[Figure, ...]
    summary: str  # Markdown: facts, scores, classes

    def numbers(self) -> dict[str, float]:
        """Return each figure as "final/NAME", the ends of its interval as "final/NAME_low" and "final/NAME_high"."""
        ends = {
            (f.name, end): v
            for f in self.figures
            for end, v in (("", f.value), ("_low", f.low), ("_high", f.high))
        }
        return {f"final/{name}{end}": value for (name, end), value in ends.items() if value is not None}


class Tracker(Protocol):
    """Where runs are copied to. Every method may be called again with the same, and nothing is there twice then."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def begin(self, name: str, run: Run, settings: Mapping[str, Setting]) -> None:
        """Take a run's name and settings, before its epochs."""
        ...

    def epoch(self, name: str, epoch: int, curves: Mapping[str, float]) -> None:
        """Take an epoch's figures, epochs in their order from 1."""
        ...

    def finish(self, name: str, epochs: int, result: Result, pages: Sequence[Path]) -> None:
        """Take what the run came to, and files of a report."""
        ...

    def flush(self) -> None:
        """Have what was taken so far where people see it."""
        ...


def names_of(folders: Sequence[Path]) -> dict[Path, str]:
    """Return the runs' names by folder: the folders' own, or what lies below the folder that all are in.

    DataError where there is none, or one is given twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    if not paths or len(set(paths)) < len(paths):
        raise DataError("give each run once" if paths else "there is no run to track")
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        shared = os.path.commonpath(paths)
        names = [path.relative_to(shared).as_posix() for path in paths]
    return dict(zip(map(Path, folders), map(escaped, names), strict=True))


def settings_of(run: Run) -> dict[str, Setting]:
    """Return what a run depends on: recipe fields as "optimizer.lr", seed, fold, data and engine."""
    settings: dict[str, Setting] = {"name": run.name, "seed": run.seed}
    for section in SECTIONS:
        for key, value in values(getattr(run.recipe, section)).items():
            settings[f"{section}.{key}"] = value if isinstance(value, Setting) else toml_value(value)
    fold = {"fold": str(run.fold)} if run.fold else {}
    engine = {f"engine.{key}": value for key, value in run.engine.items() if isinstance(value, Setting)}
    data = {"data.fingerprint": run.data.fingerprint, "data.side": run.data.side}
    return settings | fold | data | engine | {"network.parameters": run.network()["parameters"]}


def epochs_of(run: Run) -> dict[int, dict[str, float]]:
    """Return the curves by epoch from 1: lr, train_loss, train_accuracy, val_loss, val_accuracy."""
    if not (run.folder / "metrics.csv").exists():
        return {}
    return {int(row["epoch"]): {key: row[key] for key in row if key != "epoch"} for row in run.metrics()}


def result_of(run: Run) -> Result:
    """Return a complete run's figures, those of its predictions with intervals, and a summary in Markdown."""
    result = run.result()
    figures = [
        Figure("kept/epoch", result["kept_epoch"]),
        Figure("kept/val_accuracy", result["val"]["accuracy"]),
        Figure("kept/val_log_loss", result["val"]["log_loss"]),
        Figure("train_seconds", run.environment()["train_seconds"]),
    ]
    verdicts = _verdicts(run)
    for part, verdict in verdicts.items():
        scores = ((name, verdict.scores[name]) for name in METRICS)
        figures += [Figure(f"{part}/{name}", s.point, s.low, s.high) for name, s in scores]
    return Result(tuple(figures), _summary(run, verdicts))


def _verdicts(run: Run) -> dict[str, Verdict]:
    """Return the verdict on each split that has predictions, whole and on its clean and strictly clean parts."""
    verdicts: dict[str, Verdict] = {}
    try:  # an audit may have told more since the predictions were made; a fold has splits of its own
        dataset = None if run.fold else run.data.read()
    except DataError:
        dataset = None
    for split in SPLITS:
        if not (run.folder / f"predictions-{split}.csv").exists():
            continue
        predictions = audited(run.predictions(split), dataset)
        for part in reversed(different_parts(predictions)):
            name = split if part == "all" else f"{split}-{part}"
            verdicts[name] = judge(only_part([predictions], part))
    return verdicts


def _summary(run: Run, verdicts: Mapping[str, Verdict]) -> str:
    lines = "\n".join(f"- {name}: {escaped(' '.join(words.split()))}" for name, words in facts(run))
    parts = [f"# {escaped(run.folder.name)}", lines]
    if verdicts:
        last = list(verdicts)[-1]
        classes = f"Each class, {last}:\n\n{class_table(verdicts[last]).markdown()}"
        parts += [scores_table(verdicts).without("seeds").markdown(), ONE_SEED, classes]
    return "\n\n".join(parts) + "\n"
