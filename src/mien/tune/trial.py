"""One trial from its draw to its end, told to Optuna. Knows nothing about other workers but their finished trials."""

import itertools
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import partial

from mien.errors import RecipeError, Stopped
from mien.networks.engine import choose_engine
from mien.progress import Progress
from mien.recipe import to_toml
from mien.tune.cost import Cost
from mien.tune.objective import Outcome, Pruned, key_of, measure, over_budget, weigh
from mien.tune.plan import Plan
from mien.tune.report import words
from mien.tune.storage import optuna
from mien.tune.study import plain

BEAT, BEAT_SECONDS = "mien:beat", 20.0
MOST_DEATHS = 3  # of workers in one trial
COSTS = tuple(field.name for field in fields(Cost))
ENDS = {
    "complete": "COMPLETE",
    "pruned": "PRUNED",
    "refused": "PRUNED",
    "failed": "FAIL",
}  # in Optuna's words
REPORTED = {"accuracy": "val_accuracy", "log_loss": "val_loss"}  # column of metrics.csv by objective


@dataclass(frozen=True, slots=True)
class Search:
    """A plan at work in this process."""

    plan: Plan
    storage: object
    study: object  # Optuna's
    worker: str

    def id_of(self, number: int) -> int:
        """Return the storage's own number of a trial."""
        study_id = self.storage.get_study_id_from_name(self.plan.space.name)
        return self.storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def put_back(self, number: int) -> None:
        """Have a trial wait again, with all that is known of it."""
        with _unless_finished():
            self.storage.set_trial_state_values(self.id_of(number), optuna().trial.TrialState.WAITING)

    def finished(self) -> list:
        """Return Optuna's trials that have ended."""
        return [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]


@contextmanager
def _unless_finished():
    """Leave a trial alone that another worker took for this one's and finished."""
    try:
        yield
    except optuna().exceptions.UpdateFinishedTrialError:
        pass


def attend(search: Search, trial, *, stop: Callable[[], bool], say: Callable, progress: Progress) -> None:
    """Bring one of Optuna's trials to its end; where `stop()` cuts it off, it waits again."""
    before = trial.user_attrs.get("sessions", [])
    begun = datetime.now().isoformat(timespec="seconds")
    trial.set_user_attr("sessions", [*before, [search.worker, begun, None]])
    with _beating(search, trial.number):
        try:
            if sum(end is None for *_, end in before) < MOST_DEATHS:
                outcome = _outcome(search, trial, stop, progress)
            else:
                outcome = Outcome(
                    "failed", why=f"{MOST_DEATHS} workers died in it, perhaps for want of memory"
                )
        except Stopped:
            outcome = None
    with _unless_finished():
        ended = datetime.now().isoformat(timespec="seconds")
        trial.set_user_attr("sessions", [*before, [search.worker, begun, ended]])
        if outcome is None:
            search.put_back(trial.number)
        else:
            _tell(search, trial, outcome)
            say(_line(search, trial.number, outcome))


@contextmanager
def _beating(search: Search, number: int):
    """Show life in a trial, from a thread of its own."""
    done, trial_id = threading.Event(), search.id_of(number)

    def beat() -> None:
        for count in itertools.count():
            try:
                search.storage.set_trial_system_attr(trial_id, BEAT, f"{search.worker} {count}")
            except optuna().exceptions.OptunaError:
                pass  # a storage that is away may come back; a finished trial needs no life
            if done.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _outcome(search: Search, trial, stop: Callable[[], bool], progress: Progress) -> Outcome:
    """Draw, weigh and train, noting on the trial what is known by then."""
    plan, space = search.plan, search.plan.space
    try:
        recipe = space.recipe(space.values(trial), f"{space.name}-{trial.number:04}")
    except RecipeError as fault:
        return Outcome("refused", why=str(fault))
    notes = {"recipe": to_toml(recipe), "key": key_of(recipe)}
    twin = next((t for t in search.finished() if t.user_attrs.get("key") == notes["key"]), None)
    if twin is None:
        engine = choose_engine(device=plan.device, precision=recipe.training.precision, threads=plan.threads)
        cost = weigh(recipe, space, plan.data, engine)
        notes |= asdict(cost)
    else:
        notes |= {"repeats": twin.number}
        notes |= {name: twin.user_attrs[name] for name in COSTS if name in twin.user_attrs}
    for name, value in notes.items():
        trial.set_user_attr(name, value)
    if twin is not None:
        return _repeated(trial, twin)
    if over := over_budget(cost, space.budget):
        return Outcome("refused", why=over)
    folder = plan.folder / "trials" / f"trial-{trial.number:04}"
    look = partial(_look, search, trial, recipe.training.epochs)
    options = {"seed": plan.seed, "engine": engine, "cost": cost, "stop": stop, "progress": progress}
    return measure(recipe, space, plan.data, folder, look=look, **options)


def _look(search: Search, trial, epochs: int, row: dict) -> None:
    """Report an epoch, unless it was reported before the trial was cut off; raises Pruned."""
    objectives, epoch = search.plan.space.objectives, row["epoch"]
    known = search.storage.get_trial(search.id_of(trial.number)).intermediate_values
    if len(objectives) > 1 or epoch in known:
        return
    trial.report(row[REPORTED[objectives[0]]], epoch)
    if epoch < epochs and trial.should_prune():
        raise Pruned


def _repeated(trial, twin) -> Outcome:
    """Return how the trial of the same recipe ended; of a pruned one the curve is repeated too."""
    notes = twin.user_attrs
    if twin.state.name == "COMPLETE":
        return Outcome("complete", tuple(twin.values))
    if "refused" in notes or "fault" in notes:
        return Outcome(
            "refused" if "refused" in notes else "failed", why=notes.get("refused", notes.get("fault"))
        )
    for step, value in twin.intermediate_values.items():
        trial.report(value, step)
    return Outcome("pruned")


def _tell(search: Search, trial, outcome: Outcome) -> None:
    if outcome.why:
        trial.set_user_attr("refused" if outcome.state == "refused" else "fault", outcome.why)
    if search.storage.get_trial(search.id_of(trial.number)).state.name == "RUNNING":
        state = optuna().trial.TrialState[ENDS[outcome.state]]
        search.study.tell(trial, list(outcome.values) or None, state=state)


def _line(search: Search, number: int, outcome: Outcome) -> str:
    """Return what is said of a trial that has ended."""
    study = plain(search.study, search.study.get_trials(deepcopy=False), "")
    told = ", ".join(
        f"{words.told(study, i)} {words.value(study, value, i)}" for i, value in enumerate(outcome.values)
    )
    if told and len(study.objectives) == 1 and study.ranked()[0].number == number:
        told += ", the best yet"
    if (twin := study.trials[number].notes.get("repeats")) is not None:
        told = f"{told or outcome.state}, as trial {twin}"
    done = len(study.of_state("complete", "pruned", "failed"))
    told = ": ".join(filter(None, (told or outcome.state, outcome.why)))
    return f"trial {number}: {told} ({done} of {search.plan.trials})"
