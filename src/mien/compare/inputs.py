"""Reads the runs and tables of predictions to compare and refuses what cannot be compared. Draws and judges nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, read_dataset, same_faces
from mien.errors import DataError, RunError
from mien.folds import Fold, folds_of
from mien.judge import METRICS, Difference, Verdict, align
from mien.judge.inputs import Source, is_table, named_tables, read_networks
from mien.judge.metrics import scores_of
from mien.judge.parts import PARTS, audited, different_parts, only_part, parts_of, rows_of
from mien.judge.sums import Sample
from mien.labels import SPLITS, known_words
from mien.pages.legend import Series
from mien.pages.theme import series
from mien.predictions import Predictions, pooled
from mien.recipe import differing_fields
from mien.run import Run, RunData, folder_name, read_run
from mien.text import joined, seeds_in_words, thousands


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Seeds of one network: runs of one recipe, of each seed one run or all folds, or tables of predictions."""

    name: str
    runs: tuple[
        Run, ...
    ]  # by seed, and by fold within a seed; () where there are tables of predictions alone
    own: tuple[Predictions, ...]  # of each run; of a fold, on its own faces alone
    tables: tuple[Predictions, ...]  # of each seed, on the same faces in the same order
    summary: dict  # network.json; {} without runs
    color: str
    marker: str

    @property
    def probs(self) -> np.ndarray:
        """Mean of the seeds' probabilities, float64 (N, C): what the network tends to say of a face."""
        return np.mean([table.probs for table in self.tables], axis=0)

    @property
    def folds(self) -> int:
        """How many runs a seed has: 1, or the folds of a cross-validation."""
        return max(1, len(self.runs) // len(self.tables))

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The seed of each table, for tables without runs their number from 0."""
        return tuple(run.seed for run in self.runs[:: self.folds]) or tuple(range(len(self.tables)))

    @property
    def seeds(self) -> str:
        """The number of runs in words: "one seed", "3 seeds", "one seed of 5 folds"."""
        seeds = seeds_in_words(len(self.tables))
        return seeds if self.folds == 1 else f"{seeds} of {self.folds} folds"

    def run_scores(self, part: str) -> list[dict[str, float]]:
        """Return the scores by METRICS of each run, or table without one, on a part; of a fold, on its own faces."""
        tables = only_part(self.own, part)
        wholes = [Sample.of([table], np.zeros(len(table), np.int64)).total() for table in tables]
        return [dict(zip(METRICS, scores_of(whole)[0].tolist(), strict=True)) for whole in wholes]

    def fold_sd(self, part: str) -> dict[str, float] | None:
        """Return the standard deviation of the scores over the folds of a seed; None without folds."""
        if self.folds == 1:
            return None
        scores = np.array([list(run.values()) for run in self.run_scores(part)])
        by_seed = scores.reshape(len(self.tables), self.folds, -1)
        return dict(zip(METRICS, np.sqrt(by_seed.var(1, ddof=1).mean(0)).tolist(), strict=True))

    def mean_seconds(self) -> float:
        """Return the mean of the runs' training seconds."""
        return float(np.mean([run.environment()["train_seconds"] for run in self.runs]))


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonInput:
    """All that a comparison reads."""

    networks: tuple[Network, ...]
    split: str
    data: RunData | None  # None for tables of predictions without a data set
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
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the data set, where it is known."""
        return self.data.labels if self.data else self.classes

    @property
    def trained(self) -> tuple[Network, ...]:
        """The networks whose runs are there."""
        return tuple(net for net in self.networks if net.runs)

    @property
    def folds(self) -> int:
        """How many folds each network was judged on, 1 where there is no cross-validation."""
        return self.networks[0].folds

    @property
    def where(self) -> str:
        """What the faces are, in a word or two: "test", "val", or for folds "train and val" or "train"."""
        runs = self.networks[0].runs
        return joined(runs[0].fold.splits) if runs and runs[0].fold else self.split

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are known, the strictest first: ("strict",) "clean", "all"."""
        return parts_of(self.faces)

    @property
    def main(self) -> str:
        """The strictest part, from which conclusions are drawn."""
        return self.parts[0]

    @property
    def chosen(self) -> np.ndarray:
        """Which faces are of the strictest part, bool (N,)."""
        return rows_of(self.faces, self.main)

    @property
    def shown_parts(self) -> tuple[str, ...]:
        """The parts that differ from each other, the strictest first."""
        return different_parts(self.faces)

    @property
    def has_copies(self) -> bool:
        """Whether the strictest part is smaller than the whole split."""
        return len(self.shown_parts) > 1

    def tables(self, part: str) -> dict[str, list[Predictions]]:
        """Return each network's tables on a part."""
        return {net.name: only_part(net.tables, part) for net in self.networks}


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What was compared, and what came of it."""

    inputs: ComparisonInput
    verdicts: dict[str, dict[str, Verdict]]  # network -> part -> verdict
    differences: dict[str, list[Difference]]  # part -> pairs

    def verdict(self, network: Network) -> Verdict:
        """Return the verdict on a network's strictest part."""
        return self.verdicts[network.name][self.inputs.main]

    def looks(self) -> list[Series]:
        """Return the networks' looks as series without values."""
        return [Series(net.name, net.color, net.marker) for net in self.inputs.networks]

    def part(self, faces: int) -> str:
        """Return the words for the strictest part in a figure's second line."""
        inputs = self.inputs
        what = f"{PARTS[inputs.shown_parts[0]]} of {inputs.where}" if inputs.has_copies else inputs.where
        return f"{what}, {thousands(faces)} faces"


def gather(
    items: Sequence[str | Path], split: str, *, data: Path | None = None, classes: Sequence[str] = ()
) -> ComparisonInput:
    """Read runs and tables of predictions on a split; `data` and `classes` are those of `judge.inputs`.

    Raises RunError or DataError in one line where they do not belong together: other data or faces,
    one name for two recipes, one seed twice, folds that are missing or of another number, no
    predictions, no face of the clean part.
    """
    if split not in SPLITS[1:]:
        raise RunError(f'no split "{split}"{known_words(split, SPLITS[1:])}')
    if not items:
        raise RunError("there is no run to compare; give run folders, or tables as NAME=A.csv,B.csv")
    named = _runs([Path(item) for item in items if not is_table(item)], split)
    runs = [run for each in named.values() for run in each]
    dataset, missing = _dataset([run.data for run in runs], data)
    tables = read_networks(
        named_tables([item for item in items if is_table(item)]), Source(dataset, split, tuple(classes))
    ).networks
    _refuse_mixed_kinds(named, tables)
    networks = _with_tables(named, tables, split, dataset)
    if not networks[0].tables[0].clean.any():
        raise RunError(
            f"{items[0]}: every face of {split} stands in an earlier split too, pixel for pixel; "
            f"there is nothing to conclude from"
        )
    known = runs[0].data if runs else RunData.of(dataset.info) if dataset else None
    return ComparisonInput(networks, split, known, dataset, missing)


def _runs(folders: Sequence[Path], split: str) -> dict[str, list[Run]]:
    """Return runs by their recipe's name, by seed and fold; RunError where they do not belong together."""
    named: dict[str, list[Run]] = {}
    for folder in folders:
        run = read_run(folder)
        named.setdefault(run.name, []).append(run)
    first = next(iter(named.values()))[0] if named else None
    for runs in named.values():
        for run in runs:
            _refuse_other_data(run, first or run)
            _refuse_other_folds(run, first or run, split)
        _refuse_mixed(runs)
        _refuse_missing_folds(runs)
        runs.sort(key=lambda run: (run.seed, run.fold.number if run.fold else 0))
    return named


def _refuse_mixed_kinds(
    runs: Mapping[str, Sequence[Run]], tables: Mapping[str, Sequence[Predictions]]
) -> None:
    """Refuse folds beside tables, whose folds are not known, and one name for runs and tables."""
    if tables and (folded := [run for each in runs.values() for run in each if run.fold]):
        raise RunError(
            f"{folded[0].folder}: {folded[0].fold} cannot be compared with tables; compare runs alone"
        )
    if both := [name for name in tables if name in runs]:
        raise RunError(f'"{both[0]}" is the name of runs, too; give the tables another name')


def _refuse_other_data(run: Run, first: Run) -> None:
    if not same_faces(run.data, first.data):
        raise RunError(
            f"{run.folder}: trained on other data ({run.data.fingerprint}) than {first.folder} "
            f"({first.data.fingerprint}); compare runs of one data set"
        )


def _refuse_other_folds(run: Run, first: Run, split: str) -> None:
    folds = [_dealt(each.fold) for each in (run, first)]
    if folds[0] != folds[1]:
        here, there = folds
        raise RunError(
            f"{run.folder}: {here}, and {first.folder} is {there}; they were not trained and judged on the "
            f"same faces, so compare them apart"
        )
    if run.fold and split != "val":
        raise RunError(f"{run.folder}: {run.fold} is judged on its own faces alone; compare with --split val")


def _dealt(fold: Fold | None) -> str:
    """Return what a run's fold is one of, in words."""
    return f"one of {fold.of} folds{' of train' * fold.val_apart}" if fold else "no fold"


def _refuse_missing_folds(runs: Sequence[Run]) -> None:
    """Refuse a seed of which not every fold is there, since each face is to be classified once."""
    for seed in sorted({run.seed for run in runs}):
        given = [run for run in runs if run.seed == seed]
        folds = {run.fold for run in given}
        missing = [fold for fold in _all_folds(given[0]) if fold not in folds]
        if missing:
            names = joined([folder_name(given[0].name, seed, fold) for fold in missing])
            raise RunError(f"{given[0].folder}: {names} must be given too; a seed needs all of its folds")


def _refuse_missing_faces(run: Run, faces: int) -> None:
    """Refuse folds whose tables together lack faces; of a run without folds its own table has been counted."""
    dealt = sum(sum(run.data.counts[split].values()) for split in run.fold.splits) if run.fold else faces
    if faces != dealt:
        raise RunError(
            f"{run.folder}: its folds' predictions are of {faces:,} of {dealt:,} faces; evaluate its folds again"
        )


def _all_folds(run: Run) -> Iterator[Fold | None]:
    return folds_of(run.fold.of, run.fold.val_apart) if run.fold else folds_of(None)


def _refuse_mixed(runs: Sequence[Run]) -> None:
    """Refuse runs of one name that are not seeds and folds of one network."""
    known: dict[tuple, Run] = {}
    for run in runs:
        differing = differing_fields(runs[0].recipe, run.recipe)
        if run.init != runs[0].init:
            differing.append("what stood in the file of network.pretrained")
        if run.teacher != runs[0].teacher:
            differing.append("what stood in the tables of distillation.soft_targets")
        if differing:
            raise RunError(
                f'{run.folder}: its recipe has the name "{run.name}" of {runs[0].folder} and differs from '
                f"it: {'; '.join(differing)}"
            )
        key = run.seed, run.fold
        if key in known:
            fold = f", {run.fold}," if run.fold else ""
            raise RunError(
                f"{run.folder}: seed {run.seed}{fold} of {run.name} is given twice ({known[key].folder})"
            )
        known[key] = run


def _with_tables(
    named: Mapping[str, Sequence[Run]],
    tables: Mapping[str, Sequence[Predictions]],
    split: str,
    dataset: Dataset | None,
) -> tuple[Network, ...]:
    runs = [run for each in named.values() for run in each]
    for run in runs:
        run.result()  # refuses a run that is not complete
    read = {run.folder: run.predictions(split) for run in runs}
    seeds = [list(folds) for each in named.values() for _, folds in groupby(each, lambda run: run.seed)]
    whole = [pooled([read[run.folder] for run in folds]) for folds in seeds]
    for folds, table in zip(seeds, whole, strict=True):
        _refuse_missing_faces(folds[0], len(table))
    whole = [t if folds[0].fold else audited(t, dataset) for folds, t in zip(seeds, whole, strict=True)]
    places = [f"{name}, table {i}" for name, each in tables.items() for i in range(1, len(each) + 1)]
    given = [*whole, *(table for each in tables.values() for table in each)]
    aligned = align(given, [*(str(folds[0].folder) for folds in seeds), *places])
    pairs, others = list(zip(seeds, aligned, strict=False)), iter(aligned[len(seeds) :])
    networks = []
    for name, each in named.items():
        mine = [(folds, table) for folds, table in pairs if folds[0].name == name]
        own = (table.only(np.isin(table.ids, read[r.folder].ids)) for folds, table in mine for r in folds)
        seed_tables = tuple(table for _, table in mine)
        look = series(len(networks))
        networks.append(Network(name, tuple(each), tuple(own), seed_tables, each[0].network(), *look))
    for name, each in tables.items():
        seed_tables = tuple(next(others) for _ in each)
        networks.append(Network(name, (), seed_tables, seed_tables, {}, *series(len(networks))))
    return tuple(networks)


def _dataset(data_of_runs: Sequence[RunData], given: Path | None) -> tuple[Dataset | None, str]:
    """Return the data set that is given, or from the first path of runs that still holds it, or None and why."""
    if given is not None:
        dataset = read_dataset(given)
        if data_of_runs and not same_faces(dataset.info, data_of_runs[0]):
            raise DataError(
                f"{given}: other data ({dataset.info.fingerprint}) than the runs' ({data_of_runs[0].fingerprint})"
            )
        return dataset, ""
    if not data_of_runs:
        return None, "This report has no pictures of faces: no data set was given with the tables."
    reason = ""
    same = (data for data in data_of_runs if data.fingerprint == data_of_runs[0].fingerprint)
    for data in {data.path: data for data in same}.values():
        try:
            return data.read(), ""
        except DataError as fault:
            reason = str(fault)
    return None, f"This report has no pictures of faces: {reason}."
