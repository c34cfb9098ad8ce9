"""Reads the runs to compare and refuses those that cannot be compared. Draws and judges nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, read_dataset
from mien.errors import DataError, RunError
from mien.judge import align
from mien.pages.theme import series
from mien.predictions import Predictions
from mien.recipe import differing_fields
from mien.run import Run, RunData, read_run


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Runs of one recipe: the seeds of one network."""

    name: str
    runs: tuple[Run, ...]  # by seed
    tables: tuple[Predictions, ...]  # of the runs, on the same faces in the same order
    told: dict  # network.json
    color: str
    marker: str

    @property
    def probs(self) -> np.ndarray:
        """Mean of the seeds' probabilities, float64 (N, C): what the network tends to say of a face."""
        return np.mean([table.probs for table in self.tables], axis=0)

    @property
    def seeds(self) -> str:
        """The number of runs in words: "one seed", "3 seeds"."""
        return "one seed" if len(self.runs) == 1 else f"{len(self.runs)} seeds"

    def mean_seconds(self) -> float:
        """Return the mean of the runs' training seconds."""
        return float(np.mean([run.environment()["train_seconds"] for run in self.runs]))


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a comparison reads."""

    networks: tuple[Network, ...]
    split: str
    data: RunData
    dataset: Dataset | None  # for pictures alone; None where it is gone or was changed
    missing: str  # why there are no pictures, or ""

    @property
    def faces(self) -> Predictions:
        """The first table: its ids, labels, groups and clean hold for all."""
        return self.networks[0].tables[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the tables' columns."""
        return self.faces.classes

    @property
    def has_copies(self) -> bool:
        """Whether the clean part is smaller than the whole split."""
        return not self.faces.clean.all()

    def tables(self, part: str) -> dict[str, list[Predictions]]:
        """Return each network's tables on a part, "all" or "clean"."""
        rows = np.ones(len(self.faces), bool) if part == "all" else self.faces.clean
        return {net.name: [table.only(rows) for table in net.tables] for net in self.networks}


def gather(folders: Sequence[Path], split: str) -> Material:
    """Read runs and their predictions on a split.

    Raises RunError or DataError in one line where the runs do not belong together: other data,
    one name for two recipes, one seed twice, no predictions, no face of the clean part.
    """
    folders = [Path(folder) for folder in folders]
    if not folders:
        raise RunError("there is no run to compare; give one or more run folders")
    named: dict[str, list[Run]] = {}
    for folder in folders:
        run = read_run(folder)
        named.setdefault(run.name, []).append(run)
    first = next(iter(named.values()))[0]
    for runs in named.values():
        for run in runs:
            _refuse_other_data(run, first)
        _refuse_mixed(runs)
    for runs in named.values():
        runs.sort(key=lambda run: run.seed)
    networks = _with_tables(named, split)
    if not networks[0].tables[0].clean.any():
        raise RunError(
            f"{first.folder}: every face of {split} stands in an earlier split too, pixel for pixel; "
            f"there is nothing to conclude from"
        )
    dataset, missing = _dataset([run.data for runs in named.values() for run in runs])
    return Material(networks, split, first.data, dataset, missing)


def _refuse_other_data(run: Run, first: Run) -> None:
    if run.data.fingerprint != first.data.fingerprint:
        raise RunError(
            f"{run.folder}: trained on other data ({run.data.fingerprint}) than {first.folder} "
            f"({first.data.fingerprint}); compare runs of one data set"
        )


def _refuse_mixed(runs: Sequence[Run]) -> None:
    """Refuse runs of one name that are not seeds of one network."""
    seen: dict[int, Run] = {}
    for run in runs:
        differing = differing_fields(runs[0].recipe, run.recipe)
        if differing:
            raise RunError(
                f'{run.folder}: its recipe has the name "{run.name}" of {runs[0].folder} and differs from '
                f"it: {'; '.join(differing)}"
            )
        if run.seed in seen:
            raise RunError(
                f"{run.folder}: seed {run.seed} of {run.name} is given twice ({seen[run.seed].folder})"
            )
        seen[run.seed] = run


def _with_tables(named: dict[str, list[Run]], split: str) -> tuple[Network, ...]:
    runs = [run for each in named.values() for run in each]
    for run in runs:
        run.result()  # refuses a run that is not complete
    aligned = align([run.predictions(split) for run in runs], [str(run.folder) for run in runs])
    tables = {run.folder: table for run, table in zip(runs, aligned, strict=True)}
    return tuple(
        Network(name, tuple(each), tuple(tables[run.folder] for run in each), each[0].network(), *series(i))
        for i, (name, each) in enumerate(named.items())
    )


def _dataset(told: Sequence[RunData]) -> tuple[Dataset | None, str]:
    """Return the data set from the first path that still holds it, or None and why."""
    reason = ""
    for path in dict.fromkeys(data.path for data in told):
        try:
            dataset = read_dataset(Path(path))
        except DataError:
            reason = reason or f"the data set is no longer at {path}"
            continue
        if dataset.info.fingerprint == told[0].fingerprint:
            return dataset, ""
        reason = f"the data set at {path} has changed since the training"
    return None, f"This report has no pictures of faces: {reason}."
