"""The tables of a search's page and its CSV. Draws nothing and computes no effect."""

from collections.abc import Sequence

import numpy as np

from mien.pages.tables import Data, Table
from mien.text import thousands
from mien.tune import text
from mien.tune.study import Axis, Study

MOST_TRIALS = 10
NOTES = ("parameters", "multiply_adds", "memory_mb", "milliseconds", "repeats", "refused", "fault")


def tables(study: Study) -> dict[str, Table | None]:
    """Return every table of the page by name, None for one that has nothing to show."""
    return {
        "best": _best(study),
        "space": _table("The space", ["", "values"], [(axis.name, _values(axis)) for axis in study.axes]),
        "faults": _without_value(study),
        "confirmed": _confirmed(study),
    }


def trials(study: Study) -> Data:
    """Return every trial with all that is known of it but its recipe."""
    names = [axis.name for axis in study.axes]
    head = ["trial", "state", *study.objectives, "epochs", "begun", "ended", *names]
    rows = []
    for t in study.trials:
        values = t.values if len(t.values) == len(study.objectives) else [None] * len(study.objectives)
        params, notes = map(t.params.get, names), map(t.notes.get, NOTES)
        rows.append([t.number, t.state, *values, len(t.curve), t.begun, t.ended, *params, *notes])
    return Data.of([*head, *(f"note {name}" for name in NOTES)], rows)


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table | None:
    return Table(caption, head, [("", rows)]) if rows else None


def _best(study: Study) -> Table | None:
    best, goals = study.best()[:MOST_TRIALS], range(len(study.objectives))
    costs = [
        c
        for c in ("parameters", "multiply_adds")
        if best and c in best[0].notes and c not in study.objectives
    ]
    head = ["trial", *(text.objective(study, i) for i in goals), *(c.replace("_", "-") for c in costs)]
    rows = []
    for trial in best:
        values = [text.value(study, trial.values[i], i) for i in goals]
        weights = [thousands(trial.notes.get(c) or 0) for c in costs]
        params = [text.parameter(trial.params[a.name]) if a.name in trial.params else "–" for a in study.axes]
        rows.append([str(trial.number), *values, *weights, *params])
    caption = "The best trials" if len(study.objectives) == 1 else "The trials on the front"
    return _table(caption, [*head, *(axis.short for axis in study.axes)], rows)


def _values(axis: Axis) -> str:
    if axis.choices:
        return ", ".join(map(str, axis.choices))
    kind = ", logarithmic" if axis.log else ", whole numbers" if axis.whole else ""
    return f"{text.number(axis.low)} to {text.number(axis.high)}{kind}"


def _without_value(study: Study) -> Table | None:
    trials = study.of_state("refused", "failed")
    rows = [
        (str(t.number), t.state, t.notes.get("refused") or t.notes.get("fault") or "unknown") for t in trials
    ]
    first = f", the first {MOST_TRIALS} of {len(rows):,}" if len(rows) > MOST_TRIALS else ""
    return _table(f"Trials that gave no value{first}", ["trial", "", "why"], rows[:MOST_TRIALS])


def _confirmed(study: Study) -> Table | None:
    rows = []
    for trial in study.ranked():
        if again := text.again(study, trial):
            numbers = (trial.values[0], float(np.mean(again)), min(again), max(again))
            first, mean, low, high = (text.value(study, number) for number in numbers)
            rows.append((str(trial.number), first, mean, f"{low} to {high}", str(len(again))))
    head = ["trial", f"{text.objective(study)} in the search", "with other seeds", "from … to", "seeds"]
    return _table("Trained again", head, rows)
