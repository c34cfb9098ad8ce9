"""The search: workers that share a storage and train one trial after the other. Has no test split to see.

Trials are Optuna's and keep their number for life. One that is cut off, by Ctrl-C, by the end of the
hours or by its worker's death, waits again and is taken up from its run's folder. A worker shows
that it lives by changing an attribute of its trial, so no clocks are compared and every storage will
do; where a search's own journal has no other worker, its trials are freed at once.
"""

import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from mien.errors import MienError, Stopped, TuneError
from mien.files import with_no_error, write_atomic
from mien.progress import Progress
from mien.tune.plan import Plan, at_work, check, make_sampler
from mien.tune.storage import shown
from mien.tune.study import Study, best_recipes, plain
from mien.tune.trial import BEAT, Search, attend
from mien.workers import available_cores

GRACE_SECONDS = 90.0  # without a sign of life from a trial's worker
MOST_REFUSED = 100  # trials in a row


def quiet(line: str) -> None:
    """Say nothing: the default for use as a library."""


def aloud(line: str) -> None:
    """Write a line to standard error."""
    print(line, file=sys.stderr, flush=True)


def tune(
    plan: Plan,
    *,
    workers: int = 1,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = quiet,
    progress: Progress | None = None,
) -> Study:
    """Search until `plan.trials` trials are done, by all workers together, or the hours are over.

    A search that stands in the folder or storage goes on; nothing finished is lost. `workers` are
    processes that share this machine's threads; more than one need a script whose work stands below
    `if __name__ == "__main__"`. On a CPU one worker with one seed and one number of threads draws and
    reaches the same again, unless milliseconds are an objective or a budget.

    Raises TuneError in one line where the search cannot begin or go on, Stopped when `stop()` is true.
    """
    check(plan)
    state_of(plan)
    if workers == 1:
        work(plan, stop=stop, say=say, progress=progress)
    else:
        _spread(plan, workers, stop, say)
    study = state_of(plan)
    recipes = best_recipes(study)
    for name, text in recipes.items():
        write_atomic(plan.folder / name, text)
    for old in plan.folder.glob("front-*.toml"):
        if old.name not in recipes:
            with_no_error(old.unlink)
    return study


def state_of(plan: Plan) -> Study:
    """Return how a plan's search stands, begun now or earlier; TuneError where its place holds another one."""
    with at_work(plan) as (_, study):
        return plain(study, study.get_trials(deepcopy=False), shown(plan.storage or plan.folder))


def work(
    plan: Plan,
    *,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = quiet,
    progress: Progress | None = None,
) -> None:
    """Be one worker: train trials until the number asked for is done by all workers, or the hours are over."""
    until = time.monotonic() + 3600 * (plan.hours or float("inf"))
    seen: dict[int, tuple] = {}

    def ending() -> bool:
        return stop() or time.monotonic() > until

    with _on_shift(plan.folder) as alone, at_work(plan) as (storage, study):
        search = Search(plan, storage, study, f"{socket.gethostname()}-{os.getpid()}")
        free_dead(search, seen, at_once=alone and plan.storage is None)
        while not ending():
            trials = study.get_trials(deepcopy=False)
            _refuse_endless(trials)
            taken = [t for t in trials if _counts(t) and t.state.name != "WAITING"]
            if len(taken) < plan.trials:
                number = min((t.number for t in trials if t.state.name == "WAITING"), default=len(trials))
                study.sampler = make_sampler(plan, number)
                trial = study.ask()
                if trial.number == number and _place(study, number) < plan.trials:
                    attend(search, trial, stop=ending, say=say, progress=progress or Progress())
                else:  # another worker was quicker
                    search.put_back(trial.number)
            elif any(t.state.name == "RUNNING" for t in taken):
                time.sleep(1)  # others are at work, and may die
            else:
                return
            free_dead(search, seen)
    if stop():
        raise Stopped(f"{plan.folder}: stopped; the same command goes on from here")


@contextmanager
def _on_shift(folder: Path):
    """Hold a share of the search's folder; yields whether no other worker of this machine held one before."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except OSError:
            alone = False
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield alone
    finally:
        os.close(handle)


def _counts(trial) -> bool:
    """Tell whether a trial counts towards the number asked for: all but those refused before training."""
    return "refused" not in trial.user_attrs


def _place(study, number: int) -> int:
    return sum(_counts(t) for t in study.get_trials(deepcopy=False) if t.number < number)


def _refuse_endless(trials) -> None:
    last = [t.user_attrs.get("refused") for t in trials if t.state.is_finished()][-MOST_REFUSED:]
    if len(last) == MOST_REFUSED and all(last):
        raise TuneError(
            f"the last {MOST_REFUSED} trials were all refused before training, the last one for this: {last[-1]}; "
            f"widen the budget or narrow the space"
        )


def free_dead(search: Search, seen: dict[int, tuple], *, at_once: bool = False) -> None:
    """Have trials wait again whose workers show no life for GRACE_SECONDS; `seen` is kept between calls."""
    now = time.monotonic()
    for trial in search.study.get_trials(deepcopy=False):
        if trial.state.name != "RUNNING":
            seen.pop(trial.number, None)
            continue
        beat = trial.system_attrs.get(BEAT)
        if trial.number not in seen or seen[trial.number][0] != beat:
            seen[trial.number] = beat, now
        if at_once or now - seen[trial.number][1] > GRACE_SECONDS:
            search.put_back(trial.number)


def _spread(plan: Plan, workers: int, stop: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Search with so many processes; Stopped when `stop()` is true, TuneError when all fail."""
    threads = plan.threads or available_cores()
    plan = replace(plan, threads=max(1, threads // workers))
    context = get_context("spawn")
    ending = context.Event()
    processes = [
        context.Process(target=_be_worker, args=(plan, ending, os.getpid(), say)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes) and not stop():
            time.sleep(0.2)
    finally:
        if stop():
            ending.set()
        for process in processes:
            process.join()
    if stop():
        raise Stopped(f"{plan.folder}: stopped; the same command goes on from here")
    fallen = sum(process.exitcode != 0 for process in processes)
    if fallen == workers:
        raise TuneError(f"{plan.folder}: every worker failed; what they said stands above")
    if fallen:
        say(f"{fallen} of {workers} workers died or failed; the others took over")


def _be_worker(plan: Plan, ending, parent: int, say: Callable[[str], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it
    try:
        work(plan, stop=lambda: ending.is_set() or os.getppid() != parent, say=say)
    except Stopped:
        pass
    except MienError as fault:
        aloud(f"mien: {' '.join(str(fault).split())}")
        sys.exit(2)
