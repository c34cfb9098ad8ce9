"""What a search is: its plan, the study that keeps it, its sampler and its pruner. Trains nothing."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mien import __version__
from mien.dataset import Development
from mien.errors import TuneError
from mien.labels import known_words
from mien.train.loop import derive_seed
from mien.tune.space import OBJECTIVES, Space
from mien.tune.storage import JOURNAL, closing, open_to_work, optuna, shown, told_in_one_line
from mien.tune.study import FORMAT, TOLD

SAMPLERS = {
    "tpe": ("TPESampler", {"multivariate": True, "group": True, "constant_liar": True}),
    "random": ("RandomSampler", {}),
    "nsga2": ("NSGAIISampler", {}),
}
PRUNERS = ("median", "hyperband", "none")
UNPRUNED_TRIALS = 4  # of the median pruner
CONTENTS = {JOURNAL, "trials", "confirm", "report", "best.toml"}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a search is, and where it runs."""

    space: Space
    data: Development
    folder: Path
    trials: int = 40
    hours: float | None = None  # of this call; what is cut off then goes on with the next
    seed: int = 0  # of the sampler and of every training
    sampler: str = "tpe"
    pruner: str | None = None  # None: median for one objective, none for several
    storage: str | None = None  # an address; None: the folder's journal
    device: str = "auto"
    threads: int | None = None

    @property
    def pruning(self) -> str:
        """The pruner that is meant."""
        return self.pruner or ("median" if len(self.space.objectives) == 1 else "none")

    @property
    def where(self) -> str | Path:
        """Where the trials are kept."""
        return self.storage or self.folder / JOURNAL

    def told(self) -> dict:
        """Return what the study keeps of the plan, ready for JSON."""
        info = self.data.info
        data = {
            "path": str(info.folder.resolve()),
            "fingerprint": info.fingerprint,
            "notes": list(info.notes),
        }
        data |= {"fold": str(self.data.fold or ""), "train": len(self.data.train), "val": len(self.data.val)}
        told = {"format": FORMAT, "mien": __version__, "optuna": optuna().__version__}
        told |= {"space": self.space.to_dict(), "data": data}
        return told | {"seed": self.seed, "sampler": self.sampler, "pruner": self.pruning}


def check(plan: Plan) -> None:
    """Raise TuneError where a plan names what is not there or contradicts itself."""
    for what, name, known in (("sampler", plan.sampler, SAMPLERS), ("pruner", plan.pruning, PRUNERS)):
        if name not in known:
            raise TuneError(f'no {what} "{name}"{known_words(name, known)}')
    if plan.pruning != "none" and len(plan.space.objectives) > 1:
        raise TuneError("a search for several objectives cannot be pruned; leave --pruner out")
    if plan.trials < 1 or (plan.hours is not None and not plan.hours > 0):
        raise TuneError("--trials must be at least 1 and --hours above 0")
    names = {path.name for path in plan.folder.iterdir()} if plan.folder.is_dir() else set()
    foreign = sorted(name for name in names - CONTENTS if not name.startswith(("front-", ".")))
    if foreign or (plan.folder.exists() and not plan.folder.is_dir()):
        raise TuneError(f"{plan.folder}: not a search ({(foreign or ['a file'])[0]}); give another --out")
    if "trials" in names and plan.storage is None and JOURNAL not in names:
        raise TuneError(f"{plan.folder}: its trials are there and its {JOURNAL} is not; give another --out")


@contextmanager
def at_work(plan: Plan):
    """Yield the storage and Optuna's study of a plan, begun now or earlier.

    Raises TuneError in one line where another search or somebody else's study has its name, and
    where the storage fails in the block.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    with told_in_one_line(plan.where), closing(open_to_work(plan.where)) as storage:
        yield storage, _begin_or_join(plan, storage)


def _begin_or_join(plan: Plan, storage):
    """Return Optuna's study of a plan, which says what the search is."""
    options = {"study_name": plan.space.name, "storage": storage, "pruner": make_pruner(plan)}
    with _no_warnings():
        try:
            directions = [OBJECTIVES[name] for name in plan.space.objectives]
            study = optuna().create_study(directions=directions, **options)
            study.set_metric_names(list(plan.space.objectives))
        except optuna().exceptions.DuplicatedStudyError:
            study = optuna().load_study(**options)
    told = study.user_attrs.get(TOLD)
    if told is None and study.get_trials(deepcopy=False):
        raise TuneError(
            f'{shown(plan.where)}: its study "{plan.space.name}" is not mien\'s; give another name=…'
        )
    if told is None:
        study.set_user_attr(TOLD, plan.told())
    elif faults := _differences(told, plan.told()):
        raise TuneError(
            f"{shown(plan.where)}: holds another search: {'; '.join(faults)}; give another name=… or --out"
        )
    return study


def _differences(there: dict, here: dict, prefix: str = "") -> list[str]:
    """Return what differs between two searches, in words; not where data lies, nor who began it."""
    found = []
    for key in {**there, **here}:
        a, b, name = there.get(key), here.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{name}.")
        elif a != b and name not in ("mien", "optuna", "data.path"):
            found.append(f"{name} ({a} there, {b} here)" if len(f"{a}{b}") < 80 else name)
    return found


@contextmanager
def _no_warnings():
    """Use what Optuna calls experimental without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
        yield


def make_sampler(plan: Plan, number: int):
    """Return the sampler of one trial: what it draws follows from the seed and the trials before alone."""
    name, options = SAMPLERS[plan.sampler]
    with _no_warnings():
        seed = derive_seed(plan.seed, "sampler", number) % 2**32
        return getattr(optuna().samplers, name)(seed=seed, **options)


def make_pruner(plan: Plan):
    """Return the plan's pruner; steps are epochs done."""
    pruners = optuna().pruners
    if plan.pruning == "median":
        return pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS)
    if plan.pruning == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=plan.space.most_epochs())
    return pruners.NopPruner()
