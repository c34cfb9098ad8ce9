"""What one process of a search works with, and its heartbeat. Knows nothing about recipes or training.

A worker changes an attribute of its trial every HEARTBEAT_SECONDS; what stood still for GRACE_SECONDS of
another worker's own clock is put back in the queue, under its number. Optuna's own heartbeat is not used:
it exists for databases and not for journals, it ends for good with the first moment without the database,
it never finds a worker that died before its first sign of life, and it fails the trial, which then goes
on under another number.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from optuna import Study
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mien.progress import Progress
from mien.tune.plan import Plan
from mien.tune.storage import FileLock

HEARTBEAT, HEARTBEAT_SECONDS = "mien:beat", 20.0
GRACE_SECONDS = 90.0  # without a sign of life from a trial's worker


@dataclass(frozen=True, slots=True)
class Worker:
    """A plan at work in this process."""

    plan: Plan
    storage: BaseStorage
    study: Study
    name: str
    stop: Callable[[], bool]
    progress: Progress
    turn: FileLock  # held from the look for a free place until the trial is taken, by one worker of a folder
    heartbeats: dict[int, tuple] = field(default_factory=dict)  # trial -> last one, and when it was new here

    def trials(self) -> list[FrozenTrial]:
        """Return Optuna's trials as they stand now."""
        return self.study.get_trials(deepcopy=False)

    def id_of(self, number: int) -> int:
        """Return the storage's own number of a trial."""
        study_id = self.storage.get_study_id_from_name(self.plan.space.name)
        return self.storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def requeue(self, number: int) -> None:
        """Have a trial wait again, with all that is known of it, unless it has ended."""
        try:
            self.storage.set_trial_state_values(self.id_of(number), TrialState.WAITING)
        except UpdateFinishedTrialError:
            pass  # another worker took it for this one's and finished it

    def claim(self, number: int) -> None:
        """Make sure that a trial that waits again by mistake runs; UpdateFinishedTrialError where it has ended."""
        self.storage.set_trial_state_values(self.id_of(number), TrialState.RUNNING)

    @contextmanager
    def heartbeat(self, number: int) -> Iterator[None]:
        """Show life in a trial, from a thread of its own."""
        done, trial_id = threading.Event(), self.id_of(number)

        def beat() -> None:
            for count in itertools.count():
                try:
                    self.storage.set_trial_system_attr(trial_id, HEARTBEAT, f"{self.name} {count}")
                except OptunaError:
                    pass  # a storage that is away may come back; a finished trial needs no life
                if done.wait(HEARTBEAT_SECONDS):
                    return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def requeue_dead(self, *, at_once: bool = False) -> None:
        """Requeue the trials whose workers show no life for GRACE_SECONDS, or all that run."""
        now = time.monotonic()
        for trial in self.trials():
            if trial.state.name != "RUNNING":
                self.heartbeats.pop(trial.number, None)
                continue
            last = trial.system_attrs.get(HEARTBEAT)
            if trial.number not in self.heartbeats or self.heartbeats[trial.number][0] != last:
                self.heartbeats[trial.number] = last, now
            if at_once or now - self.heartbeats[trial.number][1] > GRACE_SECONDS:
                self.requeue(trial.number)
