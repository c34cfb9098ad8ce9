"""The best recipes of a search trained again with other seeds: how much of their values was luck."""

from collections.abc import Callable

from mien.errors import OutOfMemory, TrainingDiverged
from mien.files import write_atomic
from mien.networks.engine import choose_engine
from mien.progress import Progress
from mien.recipe import read_recipe
from mien.train import train
from mien.tune.objective import values_of
from mien.tune.plan import Plan, at_work
from mien.tune.search import quiet, state_of
from mien.tune.study import CONFIRMED, Study

CONFIRMED_TRIALS = 3


def confirm(
    plan: Plan,
    seeds: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = quiet,
    progress: Progress | None = None,
) -> Study:
    """Train the best CONFIRMED_TRIALS recipes of a search with so many seeds that it has not used.

    Runs lie in the folder's `confirm/`; the same call goes on where it was stopped. Costs are those of the trial.
    """
    study = state_of(plan)
    best = study.ranked() if len(study.objectives) == 1 else study.front()
    chosen = [trial for trial in best if "repeats" not in trial.notes][:CONFIRMED_TRIALS]
    folder = plan.folder / "confirm"
    folder.mkdir(exist_ok=True)
    with at_work(plan) as (_, store):
        for trial in chosen:
            path = folder / f"trial-{trial.number:04}.toml"
            write_atomic(path, trial.notes["recipe"])
            recipe = read_recipe(path)
            engine = choose_engine(
                device=plan.device, precision=recipe.training.precision, threads=plan.threads
            )
            options = {"engine": engine, "stop": stop, "progress": progress}
            for seed in range(plan.seed + 1, plan.seed + 1 + seeds):
                if seed not in study.confirmed.get(trial.number, ()):
                    where = path.with_name(f"{path.stem}-s{seed}")
                    try:
                        run = train(recipe, plan.data, where, seed=seed, **options)
                    except (TrainingDiverged, OutOfMemory) as fault:
                        say(f"trial {trial.number} with seed {seed}: {fault}")
                        continue
                    values = values_of(run, plan.space.objectives, trial.notes)
                    store.set_user_attr(f"{CONFIRMED}/{trial.number}/{seed}", values)
                    say(
                        f"trial {trial.number} with seed {seed}: {', '.join(f'{value:.6g}' for value in values)}"
                    )
    return state_of(plan)
