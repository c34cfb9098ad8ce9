"""Any Optuna study as plain frozen objects. Knows nothing about torch, and about Optuna only how to read it.

What a search of mien's keeps beside: on the study METADATA (see `plan.Plan.metadata`) and what `--confirm`
measured, on each trial the recipe, its costs, who worked on it when, and why it was refused or failed.
"""

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mien.errors import TuneError
from mien.labels import did_you_mean
from mien.tune.storage import open_to_read, shown

FORMAT = 1
METADATA = "mien"  # the attribute of a study that says what our search is
METADATA_KEYS = {"space", "data", "seed", "sampler", "pruner", "path", "fingerprint", "notes", "train", "val"}
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
        return ".".join(parts[-2 if parts[-1].isdigit() else -1 :])


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial."""

    number: int
    state: str  # one of STATES
    values: tuple[float, ...]  # one an objective; of a pruned trial the last of its curve, if any
    params: dict[str, Any]
    curve: dict[int, float]  # the first objective by step, here by epochs done
    begun: datetime | None
    ended: datetime | None
    sessions: tuple[tuple[str, datetime, datetime | None], ...]  # who worked on it, from when to when
    notes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """A study with its trials in their order."""

    name: str
    source: str
    objectives: tuple[str, ...]
    maximized: tuple[bool, ...]
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    metadata: dict[str, Any]  # what the search is, empty where it is not mien's
    confirmed: dict[int, dict[int, tuple[float, ...]]]  # trial -> seed -> values

    def of_state(self, *states: str) -> list[Trial]:
        """Return the trials in one of these states."""
        return [trial for trial in self.trials if trial.state in states]

    def ranked(self) -> list[Trial]:
        """Return the complete trials, the best by the first objective first, the earlier of equals."""
        return sorted(self.of_state("complete"), key=lambda trial: self._losses(trial)[0])

    def front(self) -> list[Trial]:
        """Return the complete trials that none beats in every objective, by the first; of equals the first."""
        by_losses = {self._losses(trial): trial for trial in reversed(self.ranked())}
        return [
            trial
            for losses, trial in reversed(by_losses.items())
            if not any(o != losses and all(map(float.__le__, o, losses)) for o in by_losses)
        ]

    def best(self) -> list[Trial]:
        """Return the complete trials from the best on, or those on the front where there are several objectives."""
        return self.ranked() if len(self.objectives) == 1 else self.front()

    def _losses(self, trial: Trial) -> tuple[float, ...]:
        return tuple(-v if up else v for up, v in zip(self.maximized, trial.values, strict=True))


def read_study(where: str | Path, name: str | None = None) -> Study:
    """Read a study of any Optuna storage: a search's folder, a journal or SQLite file, or an address.

    `name` says which, where there are several. Nothing is written to it. Raises TuneError in one line.
    """
    # warnings are of what an old Optuna or an odd study wrote
    with warnings.catch_warnings(action="ignore"), open_to_read(where) as storage:
        known = {study.study_name: study for study in storage.get_all_studies()}
        frozen = known[_choose(list(known), name, shown(where))]
        return from_optuna(frozen, storage.get_all_trials(frozen._study_id), shown(where))


def _choose(names: list[str], name: str | None, where: str) -> str:
    """Return the name of the study that is meant; TuneError where that is none or open."""
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    if not names:
        raise TuneError(f"{where}: no Optuna storage, or one that holds no study")
    known = ", ".join(json.dumps(one, ensure_ascii=False) for one in names)
    if name is None:
        raise TuneError(f"{where}: name one of its studies with --study: {known}")
    raise TuneError(f'{where}: no study "{name}"{did_you_mean(name, names) or "."} Known: {known}')


def from_optuna(study: Any, trials: Iterable[Any], source: str) -> Study:
    """Return an Optuna study (or FrozenStudy) and its FrozenTrials as plain objects."""
    metadata = study.user_attrs.get(METADATA)
    metadata = metadata if isinstance(metadata, dict) and metadata.get("format") == FORMAT else {}
    if metadata and not metadata.keys() | metadata["data"].keys() >= METADATA_KEYS:
        raise ValueError(f"its attribute {METADATA} lacks a key")
    space = metadata.get("space", {})
    count = len(study.directions)
    unnamed = [f"value {i + 1}" for i in range(count)] if count > 1 else ["value"]
    trials = sorted(trials, key=lambda trial: trial.number)
    return Study(
        name=study.study_name,
        source=source,
        objectives=tuple(space.get("objectives") or study.system_attrs.get("study:metric_names") or unnamed),
        maximized=tuple(direction.name == "MAXIMIZE" for direction in study.directions),
        axes=_axes(trials, list(space.get("parameters", ()))),
        trials=tuple(map(_trial, trials)),
        metadata=metadata,
        confirmed=_confirmed(study.user_attrs),
    )


def _trial(trial: Any) -> Trial:
    state = "failed" if trial.state.name == "FAIL" else trial.state.name.lower()
    begun, ended = trial.datetime_start, trial.datetime_complete
    sessions = [(w, _moment(a), b and _moment(b)) for w, a, b in trial.user_attrs.get("sessions", ())]
    return Trial(
        number=trial.number,
        state="refused" if "refused" in trial.user_attrs else state,
        values=tuple(map(float, trial.values or ())),
        params={name: _flat(value) for name, value in trial.params.items()},
        curve=dict(sorted(trial.intermediate_values.items())),
        begun=begun,
        ended=ended,
        sessions=tuple(sessions or ([("worker", begun, ended)] if begun else [])),
        notes=dict(trial.user_attrs),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _axes(trials: Iterable[Any], order: list[str]) -> tuple[Axis, ...]:
    """Return every parameter that some trial has, those of `order` first."""
    distributions: dict[str, list] = {name: [] for name in order}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            distributions.setdefault(name, []).append(distribution)
    return tuple(_axis(name, several) for name, several in distributions.items() if several)


def _flat(value: Any) -> Any:
    """Return a parameter's value, a list or a dict of it as text: Optuna lets such be choices, too."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _axis(name: str, distributions: list) -> Axis:
    if any(hasattr(d, "choices") for d in distributions):
        choices = [choice for d in distributions for choice in getattr(d, "choices", ())]
        return Axis(name, choices=tuple(dict.fromkeys(map(_flat, choices))))
    low, high = min(d.low for d in distributions), max(d.high for d in distributions)
    whole = all(type(d).__name__.startswith("Int") for d in distributions)
    return Axis(name, float(low), float(high), log=any(d.log for d in distributions), whole=whole)


def _confirmed(attributes: dict[str, Any]) -> dict[int, dict[int, tuple[float, ...]]]:
    confirmed: dict[int, dict[int, tuple[float, ...]]] = {}
    for key, values in attributes.items():
        head, *place = key.split("/")
        if head == CONFIRMED and len(place) == 2:
            confirmed.setdefault(int(place[0]), {})[int(place[1])] = tuple(values)
    return confirmed


def best_recipes(study: Study) -> dict[str, str]:
    """Return the recipes of a search's best trial, or of its front, as TOML by file name."""
    single = len(study.objectives) == 1
    best = [t for t in study.best()[: 1 if single else None] if "recipe" in t.notes]
    return {"best.toml" if single else f"front-{t.number:04}.toml": t.notes["recipe"] for t in best}
