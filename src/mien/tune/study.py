"""Any Optuna study as plain frozen objects. Knows nothing about torch, and about Optuna only how to read it.

What a search of mien's notes beside: on the study `told` (see `search.Plan.told`) and what `--confirm`
found, on each trial the recipe, its costs, who worked on it when, and why it was refused or failed.
"""

import json
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mien.tune.storage import only_study, open_to_read, shown

FORMAT = 1
TOLD = "mien"  # the attribute of a study that says what our search is
CONFIRMED = "confirmed"  # and the start of those that hold what other seeds reached
STATES = ("complete", "pruned", "refused", "failed", "running", "waiting")


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter of a study, with all values that it could take."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple = ()  # in place of low and high

    @property
    def short(self) -> str:
        """The name without what stands before its last point and is no number."""
        parts = self.name.split(".")
        kept = 2 if parts[-1].isdigit() else 1
        return ".".join(parts[-kept:])


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial."""

    number: int
    state: str  # one of STATES
    values: tuple[float, ...]  # one an objective; of a pruned trial the last of its curve, if any
    params: dict[str, object]
    curve: dict[int, float]  # the first objective by step, here by epochs done
    begun: datetime | None
    ended: datetime | None
    notes: dict[str, object]


@dataclass(frozen=True, slots=True)
class Study:
    """A study with its trials in their order."""

    name: str
    source: str
    objectives: tuple[str, ...]
    maximized: tuple[bool, ...]
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    told: dict  # what the search is, empty where it is not mien's
    confirmed: dict[int, dict[int, tuple[float, ...]]]  # trial -> seed -> values

    def of_state(self, *states: str) -> list[Trial]:
        """Return the trials in one of these states."""
        return [trial for trial in self.trials if trial.state in states]

    def ranked(self) -> list[Trial]:
        """Return the complete trials, the best by the first objective first, the earlier of equals."""
        sign = -1 if self.maximized[0] else 1
        return sorted(self.of_state("complete"), key=lambda trial: sign * trial.values[0])

    def front(self) -> list[Trial]:
        """Return the complete trials that none beats in every objective, by the first objective."""
        signs = [-1 if up else 1 for up in self.maximized]
        found, kept = self.ranked(), []
        losses = {t.number: [s * v for s, v in zip(signs, t.values, strict=True)] for t in found}
        for trial in found:
            mine = losses[trial.number]
            beaten = any(
                other != mine and all(o <= m for o, m in zip(other, mine, strict=True))
                for other in losses.values()
            )
            if not beaten and mine not in [losses[t.number] for t in kept]:
                kept.append(trial)
        return kept


def read_study(where: str | Path, name: str | None = None) -> Study:
    """Read a study of any Optuna storage: a search's folder, a journal or SQLite file, or an address.

    `name` says which, where there are several. Nothing is written to it. Raises TuneError in one line.
    """
    # warnings are of what an old Optuna or an odd study wrote
    with warnings.catch_warnings(action="ignore"), open_to_read(where) as storage:
        known = {study.study_name: study for study in storage.get_all_studies()}
        frozen = known[only_study(list(known), name, where)]
        return plain(frozen, storage.get_all_trials(frozen._study_id), shown(where))


def plain(study, trials, source: str) -> Study:
    """Return an Optuna study and its trials as our own objects."""
    told = study.user_attrs.get(TOLD)
    told = told if isinstance(told, dict) and told.get("format") == FORMAT else {}
    names = told.get("space", {}).get("objectives") or study.system_attrs.get("study:metric_names")
    many = len(study.directions) > 1
    return Study(
        name=study.study_name,
        source=source,
        objectives=tuple(
            names or [f"value {i + 1}" if many else "value" for i in range(len(study.directions))]
        ),
        maximized=tuple(direction.name == "MAXIMIZE" for direction in study.directions),
        axes=_axes(trials, list(told.get("space", {}).get("parameters", ()))),
        trials=tuple(_trial(trial) for trial in sorted(trials, key=lambda trial: trial.number)),
        told=told,
        confirmed=_confirmed(study.user_attrs),
    )


def _trial(trial) -> Trial:
    state = {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
    if "refused" in trial.user_attrs:
        state = "refused"
    return Trial(
        number=trial.number,
        state=state,
        values=tuple(map(float, trial.values or ())),
        params={name: flat(value) for name, value in trial.params.items()},
        curve=dict(sorted(trial.intermediate_values.items())),
        begun=trial.datetime_start,
        ended=trial.datetime_complete,
        notes=dict(trial.user_attrs),
    )


def _axes(trials, order: list[str]) -> tuple[Axis, ...]:
    """Return every parameter that some trial has, those of `order` first."""
    spreads: dict[str, list] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            spreads.setdefault(name, []).append(distribution)
    names = [name for name in order if name in spreads] + [name for name in spreads if name not in order]
    return tuple(_axis(name, spreads[name]) for name in names)


def flat(value):
    """Return a parameter's value, a list or a dict of it as text: Optuna lets such be choices, too."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _axis(name: str, distributions: list) -> Axis:
    if any(hasattr(d, "choices") for d in distributions):
        choices = [choice for d in distributions for choice in getattr(d, "choices", ())]
        return Axis(name, choices=tuple(dict.fromkeys(map(flat, choices))))
    low, high = min(d.low for d in distributions), max(d.high for d in distributions)
    whole = all(type(d).__name__.startswith("Int") for d in distributions)
    return Axis(name, float(low), float(high), log=any(d.log for d in distributions), whole=whole)


def _confirmed(attributes: dict) -> dict[int, dict[int, tuple[float, ...]]]:
    found: dict[int, dict[int, tuple[float, ...]]] = {}
    for key, values in attributes.items():
        head, *place = key.split("/")
        if head == CONFIRMED and len(place) == 2:
            found.setdefault(int(place[0]), {})[int(place[1])] = tuple(values)
    return found


def best_recipes(study: Study) -> dict[str, str]:
    """Return the recipes of a search's best trial, or of its front, as TOML by file name."""
    if len(study.objectives) > 1:
        found = [(f"front-{trial.number:04}.toml", trial) for trial in study.front()]
    else:
        found = [("best.toml", trial) for trial in study.ranked()[:1]]
    return {name: trial.notes["recipe"] for name, trial in found if "recipe" in trial.notes}
