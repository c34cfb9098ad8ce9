"""The best recipes of a search trained again with other seeds: how much of their values was luck."""

from collections.abc import Callable

from mien.errors import OutOfMemory, TrainingDiverged
from mien.files import make_folder, write_atomic
from mien.networks.engine import choose_engine
from mien.progress import Progress
from mien.recipe import read_recipe
from mien.train import train
from mien.tune.plan import Plan, open_search
from mien.tune.search import no_log, state_of
from mien.tune.study import CONFIRMED, Study
from mien.tune.trial import values_of

CONFIRMED_TRIALS = 3


def confirm(
    plan: Plan,
    seeds: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    log: Callable[[str], None] = no_log,
    progress: Progress | None = None,
) -> Study:
    """Train the best CONFIRMED_TRIALS recipes of a search with so many seeds that it has not used.

    Runs lie in the folder's `confirm/`; the same call goes on where it was stopped. Costs are those of the trial.
    """
    study, folder = state_of(plan), plan.folder / "confirm"
    make_folder(folder)
    chosen = [trial for trial in study.best() if "repeats" not in trial.notes][:CONFIRMED_TRIALS]
    jobs = [(trial, plan.seed + 1 + i) for trial in chosen for i in range(seeds)]
    with open_search(plan) as (_, opened):
        for trial, seed in jobs:
            if seed in study.confirmed.get(trial.number, ()):
                continue
            path = folder / f"trial-{trial.number:04}.toml"
            write_atomic(path, trial.notes["recipe"])
            recipe = read_recipe(path)
            engine = choose_engine(
                device=plan.device, precision=recipe.training.precision, threads=plan.threads
            )
            options = {"seed": seed, "engine": engine, "stop": stop, "progress": progress}
            try:
                run = train(recipe, plan.data, path.with_name(f"{path.stem}-s{seed}"), **options)
            except (TrainingDiverged, OutOfMemory) as error:
                log(f"trial {trial.number} with seed {seed}: {error}")
                continue
            values = values_of(run, plan.space.objectives, trial.notes)
            opened.set_user_attr(f"{CONFIRMED}/{trial.number}/{seed}", values)
            log(f"trial {trial.number} with seed {seed}: {', '.join(f'{value:.6g}' for value in values)}")
    return state_of(plan)
