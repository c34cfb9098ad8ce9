"""A run: the folder that `mien train` makes and `mien evaluate` adds to. Knows nothing about torch.

Its files::

    run.json             what the run depends on: name, seed, data, engine, and where it has such its fold, the
                         weights that it started from and its teachers' tables; written first
    recipe.toml          the recipe with every field written out
    network.json         parameters, multiply-adds, stages
    metrics.csv          a row an epoch
    state.safetensors    where training stands; gone when it is complete
    weights.safetensors  the chosen weights
    result.json          the chosen epoch and its figures; written last, marks the run complete
    environment.json     packages, git commits, machine, seconds of each session (all that differs between equal
                         runs)
    predictions-SPLIT.csv, openings.jsonl   from `mien evaluate`
"""

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path

from mien.dataset import Dataset, DatasetInfo, read_dataset
from mien.errors import DataError, RunError
from mien.files import to_json, write_atomic
from mien.folds import Fold
from mien.predictions import Predictions, read_predictions
from mien.reading import (
    LARGEST_TABLE,
    LARGEST_TOML,
    read_json,
    read_lines,
    read_text,
    reason,
    sealed,
    sha256_text,
)
from mien.recipe import Recipe, read_recipe, to_toml
from mien.text import Shown

FORMAT = 1
ENGINE = ("device", "precision", "layout", "threads")  # what is told of it at least
WHAT = "a mien run"
DEALT = ("val_apart", "by_person")  # fields of a fold that say how it was dealt
DATA_SHAPE = {
    "path": str,
    "fingerprint": str,
    "side": int,
    "labels": [str],
    "counts": {str: {str: int}},
    "origin": dict,
    "notes?": [str],
    "learned_sha256?": str,
}
FILE_SHAPE = {"file": str, "sha256": str}
STAGE_SHAPE = {
    "kind": str,
    "label": str,
    "layers": int,
    "shape": [int],
    "parameters": int,
    "multiply_adds": int,
}
SHAPES = {
    "run.json": {
        "name": str,
        "seed": int,
        "data": DATA_SHAPE,
        "engine": {"device": str, "precision": str, "layout": str, "threads": int},
        "fold?": int,
        "folds?": int,
        "val_apart?": bool,
        "by_person?": bool,
        "init?": FILE_SHAPE,
        "teacher?": [FILE_SHAPE],
        "recipe_sha256?": str,
    },
    "network.json": {"parameters": int, "multiply_adds": int, "stages": [STAGE_SHAPE]},
    "result.json": {
        "kept_epoch": int,
        "epochs": int,
        "stopped_early": bool,
        "val": {"accuracy": float, "log_loss": float},
        "weights_sha256": str,
        "metrics_sha256?": str,
        "answers?": [float],
    },
    "environment.json": {"train_seconds": float, "sessions": [dict]},
}


@dataclass(frozen=True, slots=True)
class RunData:
    """The data set that a run was trained on."""

    path: str
    fingerprint: str
    side: int
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    origin: dict
    notes: tuple[str, ...] = ()  # sentences on how the data set was made
    learned_sha256: str = ""  # of train and val alone

    @classmethod
    def of(cls, info: DatasetInfo) -> "RunData":
        """Return what a run keeps of a data set's description."""
        path = str(info.folder.resolve())
        fields = (info.side, info.labels, info.counts, info.origin, info.notes, info.learned_sha256)
        return cls(path, info.fingerprint, *fields)

    def read(self) -> Dataset:
        """Return the data set from where it lay; DataError where it is gone, or another one now."""
        try:
            dataset = read_dataset(Path(self.path))
        except DataError:
            raise DataError(f"the data set is no longer at {self.path}") from None
        if dataset.info.fingerprint != self.fingerprint:
            raise DataError(f"the data set at {self.path} has changed since the training")
        return dataset


@dataclass(frozen=True, slots=True)
class Run(Shown):
    """A run as its files tell it."""

    folder: Path
    recipe: Recipe
    seed: int
    data: RunData
    engine: dict  # device, precision, layout, threads
    fold: Fold | None = None  # of `train` and `val`; None where these are the data set's own
    init: dict | None = None  # file and sha256 of the weights it started from; None: fresh ones
    teacher: tuple[dict, ...] = ()  # file and sha256 of each table of soft targets

    @property
    def name(self) -> str:
        """The recipe's name; runs of one name differ by seed and fold alone."""
        return self.recipe.name

    @property
    def complete(self) -> bool:
        """Whether training came to its end."""
        return (self.folder / "result.json").exists()

    def result(self) -> dict:
        """Return epochs, kept_epoch, stopped_early, val figures and weights_sha256; RunError before the end."""
        if not self.complete:
            raise RunError(
                f"{self.folder}: training is not complete; the command that began it goes on with it"
            )
        return self._json("result.json")

    def network(self) -> dict:
        """Return parameters, multiply_adds and stages (kind, label, layers, shape, parameters, multiply_adds)."""
        return self._json("network.json")

    def environment(self) -> dict:
        """Return packages, machine and sessions; `train_seconds` is the sum over sessions."""
        return self._json("environment.json")

    def metrics(self) -> list[dict[str, float]]:
        """Return a dict an epoch: epoch (from 1), lr, train_loss, train_accuracy, val_loss, val_accuracy."""
        path = self.folder / "metrics.csv"
        try:
            text = read_text(path, LARGEST_TABLE)
            if self.complete:
                _refuse_changed(text, self.result().get("metrics_sha256"))
            rows = csv.DictReader(io.StringIO(text, newline=""))
            return [{key: float(value) for key, value in row.items()} for row in rows]
        except (OSError, ValueError, TypeError, AttributeError, csv.Error) as fault:
            raise RunError(f"{path}: {WHAT} is damaged here ({reason(fault)})") from None

    def predictions(self, split: str) -> Predictions:
        """Return the predictions on a split; RunError when `mien evaluate` has not made them."""
        path = self.folder / f"predictions-{split}.csv"
        if not path.exists():
            option = " --test" if split == "test" else ""
            raise RunError(
                f"{self.folder}: no predictions on {split} yet: mien evaluate{option} {self.folder}"
            )
        predictions = read_predictions(path)
        faces = sum(self.data.counts.get(split, {}).values())
        if not self.fold and faces not in (0, len(predictions)):  # 0: trained where the split was not
            raise RunError(
                f"{path}: predictions of {len(predictions):,} faces, and {split} has {faces:,}; delete the file and "
                f"evaluate the run again"
            )
        return predictions

    def openings(self) -> list[dict]:
        """Return each recorded opening of the test split: time, weights_sha256, data_fingerprint."""
        path = self.folder / "openings.jsonl"
        if not path.exists():
            return []
        return read_lines(path, what="the list of openings", error=RunError)

    def __repr__(self) -> str:
        fold = f", {self.fold}" if self.fold else ""
        state = "complete" if self.complete else "not complete"
        return f"Run({self.folder}: {self.name}, seed {self.seed}{fold}, {state})"

    def _json(self, name: str) -> dict:
        return _read(self.folder / name)


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what a run's files tell as (name, words): network, engine, result, openings of test."""
    network = run.network()
    rows = [
        (
            "network",
            f"{run.recipe.network.kind}, {network['parameters']:,} parameters, "
            f"{network['multiply_adds']:,} multiply-adds a face",
        ),
        ("engine", ", ".join(f"{key} {value}" for key, value in run.engine.items())),
    ]
    if run.init:
        rows.append(("started from", f"{run.init['file']}, sha256 {run.init['sha256']}"))
    if run.teacher:
        tables = "\n  ".join(f"{table['file']}, sha256 {table['sha256']}" for table in run.teacher)
        rows.append(("distilled from", tables))
    rows.append(_outcome(run))
    openings = run.openings()
    times = "".join(f"\n  {opening['time']}" for opening in openings)
    return [*rows, ("test split", f"opened {len(openings)} time{'' if len(openings) == 1 else 's'}{times}")]


def began_with(run: Run) -> str:
    """Return in sentences what is not known of the weights and teachers that a run had, "" where it had neither."""
    sentences = []
    if run.recipe.training.subset < 1:
        sentences.append(f"{run.name} was trained on {run.recipe.training.subset:.1%} of the train faces.")
    if run.init:
        sentences.append(
            f"{run.name} started from {run.init['file']}: faces that those weights had learned flatter its figures, "
            f"and which they are is not known here."
        )
    if run.teacher:
        tables = ", ".join(table["file"] for table in run.teacher)
        sentences.append(
            f"{run.name} was distilled from {tables}; on which faces its teachers were trained is not known here."
        )
    return " ".join(sentences)


def outcome(run: Run) -> str:
    """Return how a complete run's training went, in words."""
    result, tta = run.result(), run.recipe.tta
    views = tta.flip or tta.shift  # that `evaluate` reads and training does not
    once = " with each face read once" if views else ""
    return (
        f"{result['epochs']:,} epoch{'s' * (result['epochs'] != 1)} in {run.environment()['train_seconds']:.0f} s, "
        f"epoch {result['kept_epoch']} kept, val accuracy {result['val']['accuracy']:.1%}{once}"
    )


def _outcome(run: Run) -> tuple[str, str]:
    if not run.complete:
        return "not complete", "the command that began it goes on with it"
    return "complete", outcome(run)


def folder_name(name: str, seed: int, fold: Fold | None) -> str:
    """Return the name of the folder that `mien train` gives a run."""
    return f"{name}-s{seed}" + (f"-f{fold.number}of{fold.of}" if fold else "")


def read_run(folder: Path) -> Run:
    """Read a run; raises RunError, RecipeError in one line when the folder is none, damaged or of a newer format."""
    folder = Path(folder)
    metadata = _read(folder / "run.json")
    try:
        _refuse_changed(read_text(folder / "recipe.toml", LARGEST_TOML), metadata.get("recipe_sha256"))
    except (OSError, ValueError) as fault:
        raise RunError(f"{folder / 'recipe.toml'}: {WHAT} is damaged here ({reason(fault)})") from None
    try:
        lists = {name: tuple(metadata["data"].get(name, ())) for name in ("labels", "notes")}
        data = RunData(**{**metadata["data"], **lists})
        fold = (
            Fold(metadata["fold"], metadata["folds"], *(metadata.get(name, False) for name in DEALT))
            if "fold" in metadata
            else None
        )
        recipe = read_recipe(folder / "recipe.toml")
        more = {"init": metadata.get("init"), "teacher": tuple(metadata.get("teacher", ()))}
        engine = {name: metadata["engine"][name] for name in ENGINE} | metadata["engine"]
        return Run(folder, recipe, metadata["seed"], data, engine, fold, **more)
    except (KeyError, TypeError, AttributeError) as fault:
        raise RunError(f"{folder / 'run.json'}: {WHAT} is damaged here ({fault!r})") from None


def _read(path: Path) -> dict:
    """Return what one of a run's JSON files holds, of the types that belong there."""
    return read_json(path, what=WHAT, newest=FORMAT, error=RunError, shape=SHAPES[path.name])


def _refuse_changed(text: str, sha256: str | None) -> None:
    """Raise ValueError for a text of another sha256; older runs note none."""
    if sha256 not in (None, sha256_text(text)):
        raise ValueError("it was changed after it was written")


def write_run(run: Run, network: dict) -> None:
    """Write what is known of a run before its first step; `run.json` comes last."""
    recipe = to_toml(run.recipe)
    write_atomic(run.folder / "recipe.toml", recipe)
    write_json(run.folder / "network.json", network)
    fold = {} if run.fold is None else {"fold": run.fold.number, "folds": run.fold.of}
    if run.fold:
        fold |= {name: True for name in DEALT if getattr(run.fold, name)}
    init = {} if run.init is None else {"init": run.init}
    teacher = {"teacher": list(run.teacher)} if run.teacher else {}
    metadata = {"name": run.name, "seed": run.seed, **fold, "data": asdict(run.data), "engine": run.engine}
    checked = {"recipe_sha256": sha256_text(recipe)}
    write_json(run.folder / "run.json", {**metadata, **init, **teacher, **checked})


def write_json(path: Path, value: dict) -> None:
    """Write one of a run's JSON files with its format number."""
    write_atomic(path, to_json(sealed({"format": FORMAT, **value})))


def write_metrics(run: Run, rows: list[dict]) -> None:
    """Write `metrics.csv` whole."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomic(run.folder / "metrics.csv", text.getvalue())
