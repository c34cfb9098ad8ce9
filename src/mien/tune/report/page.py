"""The tables of a search's page. Draws nothing and computes no effect."""

import numpy as np

from mien.pages.tables import Table
from mien.text import thousands
from mien.tune.report.figures import number, told
from mien.tune.report.words import parameter, value
from mien.tune.study import Study

MOST_TRIALS = 10


def tables(study: Study) -> dict[str, Table | None]:
    """Return every table of the page by name, None for one that has nothing to show."""
    return {
        "best": _best(study),
        "space": _space(study),
        "faults": _faults(study),
        "confirmed": _confirmed(study),
    }


def _best(study: Study) -> Table | None:
    found = (study.ranked() if len(study.objectives) == 1 else study.front())[:MOST_TRIALS]
    if not found:
        return None
    costs = [
        name
        for name in ("parameters", "multiply_adds")
        if name in found[0].notes and name not in study.objectives
    ]
    head = [
        "trial",
        *(told(study, i) for i in range(len(study.objectives))),
        *(c.replace("_", "-") for c in costs),
    ]
    rows = []
    for trial in found:
        values = [value(study, trial.values[i], i) for i in range(len(study.objectives))]
        params = [parameter(trial.params[a.name]) if a.name in trial.params else "–" for a in study.axes]
        rows.append(
            (str(trial.number), *values, *(thousands(trial.notes.get(c) or 0) for c in costs), *params)
        )
    caption = "The best trials" if len(study.objectives) == 1 else "The trials on the front"
    return Table(caption, [*head, *(axis.short for axis in study.axes)], [("", rows)])


def _space(study: Study) -> Table:
    rows = []
    for axis in study.axes:
        if axis.choices:
            rows.append((axis.name, ", ".join(map(str, axis.choices))))
        else:
            kind = ", logarithmic" if axis.log else ", whole numbers" if axis.whole else ""
            rows.append((axis.name, f"{number(axis.low)} to {number(axis.high)}{kind}"))
    return Table("The space", ["", "values"], [("", rows)])


def _faults(study: Study) -> Table | None:
    rows = [(str(t.number), t.state, t.notes.get("refused") or t.notes.get("fault") or "not told")
            for t in study.of_state("refused", "failed")]  # fmt: skip
    if not rows:
        return None
    first = f", the first {MOST_TRIALS} of {len(rows):,}" if len(rows) > MOST_TRIALS else ""
    return Table(f"Trials that gave no value{first}", ["trial", "", "why"], [("", rows[:MOST_TRIALS])])


def _confirmed(study: Study) -> Table | None:
    rows = []
    for trial in study.ranked():
        again = [values[0] for values in study.confirmed.get(trial.number, {}).values()]
        if again:
            found = (trial.values[0], np.mean(again), min(again), max(again))
            told_again = [value(study, float(number)) for number in found]
            rows.append(
                (str(trial.number), *told_again[:2], f"{told_again[2]} to {told_again[3]}", str(len(again)))
            )
    head = ["trial", f"{told(study)} in the search", "with other seeds", "from … to", "seeds"]
    return Table("Trained again", head, [("", rows)]) if rows else None
