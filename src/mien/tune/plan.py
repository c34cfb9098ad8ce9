"""What a search is: its plan, Optuna's study that keeps it, its sampler and its pruner. Trains nothing."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna import Study
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from mien import __version__
from mien.dataset import Development
from mien.errors import TuneError
from mien.files import make_folder
from mien.labels import known_words
from mien.recipe import current_name, recipe_of
from mien.train.seeds import derive_seed
from mien.tune import JOURNAL
from mien.tune.space import OBJECTIVES, Space
from mien.tune.storage import open_to_work, shown
from mien.tune.study import FORMAT, METADATA

SAMPLERS = {
    "tpe": (TPESampler, {"multivariate": True, "group": True, "constant_liar": True}),
    "random": (RandomSampler, {}),
    "nsga2": (NSGAIISampler, {}),
}
PRUNERS = ("median", "hyperband", "none")
UNPRUNED_TRIALS = 4  # of the median pruner
CONTENTS = {JOURNAL, "trials", "confirm", "report", "best.toml"}
NOT_COMPARED = ("mien", "optuna", "data.path")  # who began a search, and where its data lay then


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

    def trial_folder(self, number: int) -> Path:
        """Return where the run of a trial lies."""
        return self.folder / "trials" / f"trial-{number:04}"

    def metadata(self) -> dict[str, Any]:
        """Return what the study keeps of the plan, ready for JSON."""
        info = self.data.info
        return {
            "format": FORMAT,
            "mien": __version__,
            "optuna": optuna.__version__,
            "space": self.space.to_dict(),
            "data": {
                "path": str(info.folder.resolve()),
                "fingerprint": info.fingerprint,
                "notes": list(info.notes),
                "fold": str(self.data.fold or ""),
                "train": len(self.data.train),
                "val": len(self.data.val),
            },
            "seed": self.seed,
            "sampler": self.sampler,
            "pruner": self.pruning,
        }


def check(plan: Plan) -> None:
    """Raise TuneError where a plan names what is not there or contradicts itself."""
    for kind, name, known in (("sampler", plan.sampler, SAMPLERS), ("pruner", plan.pruning, PRUNERS)):
        if name not in known:
            raise TuneError(f'no {kind} "{name}"{known_words(name, known)}')
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
def open_search(plan: Plan) -> Iterator[tuple[BaseStorage, Study]]:
    """Yield the storage and Optuna's study of a plan, begun now or earlier.

    Raises TuneError in one line where another search or somebody else's study has its name, and
    where the storage fails in the block.
    """
    make_folder(plan.folder)
    with open_to_work(plan.where) as storage:
        yield storage, _begin_or_join(plan, storage)


def _begin_or_join(plan: Plan, storage: BaseStorage) -> Study:
    """Return Optuna's study of a plan, whose METADATA says what the search is."""
    objectives = list(plan.space.objectives)
    directions = [StudyDirection[OBJECTIVES[name].upper()] for name in objectives]
    options = {"study_name": plan.space.name, "storage": storage, "pruner": make_pruner(plan)}
    with ignore_experimental():
        try:
            study = optuna.create_study(directions=directions, **options)
            study.set_metric_names(objectives)
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(**options)
    kept, metadata = study.user_attrs.get(METADATA), plan.metadata()
    if kept is None and study.get_trials(deepcopy=False):
        raise TuneError(
            f'{shown(plan.where)}: its study "{plan.space.name}" is not mien\'s; give another name=…'
        )
    if kept is None:
        study.set_user_attr(METADATA, metadata)
    elif differences := list(_differences(_with_current_names(kept), _with_current_names(metadata))):
        raise TuneError(
            f"{shown(plan.where)}: holds another search: {'; '.join(differences)}; give another name=… or --out"
        )
    return study


def _with_current_names(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a search's metadata with the recipe's fields as they are called, and completed, by this version."""
    space = metadata["space"]
    network = space["recipe"]["network"]["kind"]
    recipe = asdict(recipe_of(space["recipe"], "the search's recipe"))
    parameters = {
        current_name(name, network): {
            **parameter,
            "name": current_name(name, network),
            "field": current_name(parameter["field"], network),
            "when": [[current_name(field, network), values] for field, values in parameter["when"]],
        }
        for name, parameter in space["parameters"].items()
    }
    return {**metadata, "space": {**space, "recipe": recipe, "parameters": parameters}}


def with_stored_names(plan: Plan, study: Study) -> Plan:
    """Return the plan with its parameters named as the search was begun with, which may be fields' earlier names."""
    network = plan.space.example().network.kind
    names = {current_name(name, network): name for name in study.user_attrs[METADATA]["space"]["parameters"]}
    parameters = tuple(replace(p, name=names[current_name(p.name, network)]) for p in plan.space.parameters)
    return replace(plan, space=replace(plan.space, parameters=parameters))


def _differences(there: dict[str, Any], here: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield what differs between two searches, in words."""
    for key in {**there, **here}:
        a, b, name = there.get(key), here.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{name}.")
        elif a != b and name not in NOT_COMPARED:
            yield f"{name} ({a} there, {b} here)" if len(f"{a}{b}") < 80 else name


@contextmanager
def ignore_experimental() -> Iterator[None]:
    """Use what Optuna calls experimental without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def make_sampler(plan: Plan, number: int) -> BaseSampler:
    """Return the sampler of one trial: what it draws follows from the seed and the trials before alone."""
    sampler, options = SAMPLERS[plan.sampler]
    with ignore_experimental():
        seed = derive_seed(plan.seed, "sampler", number) % 2**32
        return sampler(seed=seed, **options)


def make_pruner(plan: Plan) -> BasePruner:
    """Return the plan's pruner; steps are epochs done."""
    if plan.pruning == "median":
        return MedianPruner(n_startup_trials=UNPRUNED_TRIALS)
    if plan.pruning == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=plan.space.most_epochs())
    return NopPruner()
