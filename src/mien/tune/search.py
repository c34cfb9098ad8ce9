"""The search: workers that share a storage and run one trial after the other. Has no test split to see.

Trials are Optuna's and keep their number for life. One that is cut off, by Ctrl-C, by the end of the
hours or by its worker's death, waits again and is taken up from its run's folder.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event

from optuna import Study as OptunaStudy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from mien.errors import MienError, Stopped, TuneError
from mien.files import make_folder, with_no_error, write_atomic
from mien.locks import at_work
from mien.networks.custom import check as check_network
from mien.progress import Progress
from mien.recipe import CustomNetwork
from mien.tune import text
from mien.tune.plan import Plan, check, make_sampler, open_search, with_stored_names
from mien.tune.storage import FileLock, shown
from mien.tune.study import Study, best_recipes, from_optuna
from mien.tune.trial import TrialFailed, TrialInterrupted, counts, run_trial
from mien.tune.worker import Worker
from mien.workers import available_cores

MOST_REFUSED = 100  # trials in a row
TURN = ".turn"  # the file whose lock is a worker's turn to take a trial


def no_log(line: str) -> None:
    """Write nothing: the default for use as a library."""


def log(line: str) -> None:
    """Write a line to standard error."""
    print(line, file=sys.stderr, flush=True)


def tune(
    plan: Plan,
    *,
    workers: int = 1,
    stop: Callable[[], bool] = lambda: False,
    log: Callable[[str], None] = no_log,
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
    if isinstance(
        network := plan.space.example().network, CustomNetwork
    ):  # before trial after trial is refused
        check_network(network, side=plan.data.info.side, classes=len(plan.data.info.labels))
    state_of(plan)
    if workers == 1:
        work(plan, stop=stop, log=log, progress=progress)
    else:
        _spread(plan, workers, stop, log)
    study = state_of(plan)
    recipes = best_recipes(study)
    for name, toml in recipes.items():
        write_atomic(plan.folder / name, toml)
    for old in plan.folder.glob("front-*.toml"):
        if old.name not in recipes:
            with_no_error(old.unlink)
    return study


def state_of(plan: Plan) -> Study:
    """Return a plan's search as it stands, begun now or earlier; TuneError where its place holds another one."""
    with open_search(plan) as (_, study):
        return from_optuna(study, study.get_trials(deepcopy=False), shown(plan.storage or plan.folder))


def work(
    plan: Plan,
    *,
    stop: Callable[[], bool] = lambda: False,
    log: Callable[[str], None] = no_log,
    progress: Progress | None = None,
) -> None:
    """Be one worker: run trials until the number asked for is done by all workers, or the hours are over."""
    until = time.monotonic() + 3600 * (plan.hours or float("inf"))

    def ending() -> bool:
        return stop() or time.monotonic() > until

    make_folder(plan.folder)
    with at_work(plan.folder, "the search") as alone, open_search(plan) as (storage, study):
        name = f"{socket.gethostname()}-{os.getpid()}"
        turn = FileLock(plan.folder / TURN)
        named = with_stored_names(plan, study)
        worker = Worker(named, storage, study, name, ending, progress or Progress(), turn)
        worker.requeue_dead(at_once=alone and plan.storage is None)
        try:
            while (number := _next_trial(worker)) is not None:
                _run_one(worker, number, log)
        finally:
            turn.release()
    if stop():
        raise Stopped(f"{plan.folder}: stopped; the same command goes on from here")


def _run_one(worker: Worker, number: int, log: Callable[[str], None]) -> None:
    """Have Optuna run one trial; raises what cut it off, unless this worker stops or another one was quicker."""
    worker.study.sampler = make_sampler(worker.plan, number)
    objective, callbacks = partial(run_trial, worker, number), [partial(_log_trial, log, worker.plan)]
    try:
        worker.study.optimize(objective, n_trials=1, catch=(TrialFailed,), callbacks=callbacks)
    except TrialInterrupted as end:
        worker.requeue(end.number)
        if not isinstance(end.__cause__, Stopped | UpdateFinishedTrialError | None):
            raise end.__cause__ from None


def _next_trial(worker: Worker) -> int | None:
    """Return the number of the trial that is next, with the turn held; None when all are done or the worker is to stop.

    Where all are taken and others are at work it waits for them, since they may die.
    """
    while not worker.stop():
        worker.turn.acquire()
        trials = worker.trials()
        _refuse_endless(trials)
        taken = [t for t in trials if counts(t) and t.state.name != "WAITING"]
        if len(taken) < worker.plan.trials:
            return min((t.number for t in trials if t.state.name == "WAITING"), default=len(trials))
        worker.turn.release()
        if not any(t.state.name == "RUNNING" for t in taken):
            return None
        time.sleep(1)
        worker.requeue_dead()
    return None


def _refuse_endless(trials: list[FrozenTrial]) -> None:
    last = [t.user_attrs.get("refused") for t in trials if t.state.is_finished()][-MOST_REFUSED:]
    if len(last) == MOST_REFUSED and all(last):
        raise TuneError(
            f"the last {MOST_REFUSED} trials were all refused before training, the last one for this: {last[-1]}; "
            f"widen the budget or narrow the space"
        )


def _log_trial(log: Callable[[str], None], plan: Plan, study: OptunaStudy, trial: FrozenTrial) -> None:
    """Write the line of a trial that has ended; Optuna's `optimize` calls it back."""
    log(text.trial_line(from_optuna(study, study.get_trials(deepcopy=False), ""), trial.number, plan.trials))


def _spread(plan: Plan, workers: int, stop: Callable[[], bool], log: Callable[[str], None]) -> None:
    """Search with so many processes; Stopped when `stop()` is true, TuneError when all fail."""
    plan = replace(plan, threads=max(1, (plan.threads or available_cores()) // workers))
    context = get_context("spawn")
    ending = context.Event()
    arguments = (plan, ending, log)
    processes = [context.Process(target=_worker_process, args=arguments) for _ in range(workers)]
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
    failed = sum(process.exitcode != 0 for process in processes)
    if failed == workers:
        raise TuneError(f"{plan.folder}: every worker failed; their errors stand above")
    if failed:
        log(f"{failed} of {workers} workers died or failed; the others took over")


def _worker_process(plan: Plan, ending: Event, log: Callable[[str], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it
    parent = parent_process()
    try:
        work(plan, stop=lambda: ending.is_set() or parent is None or not parent.is_alive(), log=log)
    except Stopped:
        pass
    except MienError as error:
        print(f"mien: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.exit(2)
