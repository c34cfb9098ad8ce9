"""What a file or folder of mien's is, in words. Knows every format and changes none."""

from pathlib import Path

from mien.dataset import about_sharing, read_dataset, summary
from mien.errors import DataError
from mien.files import write_csv
from mien.labels import did_you_mean
from mien.listing import run_data
from mien.model import read_model, shipped_models
from mien.model import summary as about
from mien.predict import tables
from mien.predictions import read_predictions
from mien.recipe import read_recipe, shipped_recipes, to_toml
from mien.run import facts, read_run
from mien.text import escaped_lines, many
from mien.tune import JOURNAL
from mien.tune.space_file import is_space, read_space, shipped_spaces


def info(path: Path) -> str:
    """Return lines about a data set, run, search, recipe, space or model (path or shipped name), or a CSV of ours.

    A folder of runs is a table of them.
    Control characters that a file holds are escaped. Raises the room's own error for one that is damaged, DataError for
    anything else.
    """
    return escaped_lines(_in_words(Path(path)))


def write_runs(folder: Path, out: Path) -> None:
    """Write the runs in a folder and below it as a CSV file, the columns of `mien.listing.RUN_COLUMNS`.

    Raises DataError where there is none, StorageError.
    """
    data, faults = run_data(Path(folder))
    if not data.rows:
        raise DataError(faults[0] if faults else f"{folder}: no run is there or below")
    write_csv(Path(out), *data.csv())


def _in_words(path: Path) -> str:
    if (path / "dataset.json").exists():
        return _dataset(path)
    if (path / "run.json").exists():
        return _run(path)
    if (path / JOURNAL).exists():
        return _search(path)
    if path.is_file() and (path.parent / "dataset.json").exists():
        raise _part_of("data set", path)
    if path.is_file() and path.suffix == ".safetensors" and (path.parent / "run.json").exists():
        raise _part_of("run", path)
    if path.suffix == ".csv" and path.is_file():
        return tables.in_words(path) if tables.is_ours(path) else _predictions(path)
    if (path.suffix == ".onnx" and path.is_file()) or str(path) in shipped_models():
        model = read_model(path)
        return f"{about(model)}\n\n{model.card}".rstrip()
    if path.suffix == ".safetensors" and path.is_file():
        return _views(path)
    if is_space(path):
        return str(read_space(path))
    if path.suffix == ".toml" or str(path) in shipped_recipes():
        return to_toml(read_recipe(path if path.suffix == ".toml" else str(path))).rstrip()
    if path.is_dir() and (runs := _runs(path)):
        return runs
    if not path.exists():
        near = did_you_mean(str(path), {**shipped_recipes(), **shipped_spaces(), **shipped_models()})
        raise DataError(
            f"{path}: no such file or folder, and no shipped recipe, space or model of that name{near}"
        )
    raise DataError(f"{path}: no data set, run, search, recipe, space, model or table of mien's")


def _part_of(whole: str, path: Path) -> DataError:
    return DataError(f"{path}: a part of the {whole} {path.parent}; mien info {path.parent} tells of it")


def _dataset(path: Path) -> str:
    dataset = read_dataset(path)
    info = dataset.info
    files = ", ".join(info.origin.get("files", {})) or info.origin.get("kind", "elsewhere")
    told = f"data set, {info.side} x {info.side} grey faces from {files}, fingerprint {info.fingerprint}"
    return "\n".join([f"{path}: {told}", summary(info), *about_sharing(dataset)])


def _views(path: Path) -> str:
    from mien.train.views import read_views  # torch, for this alone

    views = read_views(path, features=False)
    teachers, faces = many(len(views.teachers), "teacher"), many(views.probs.shape[1], "face")
    answers = f"{len(views.probs)} of {many(views.total, 'view')} of {faces} answered"
    weights = [f"weights {', '.join(f'{weight:.2f}' for weight in views.weights)}"] if views.weights else []
    features = [f"{sum(views.features)} pooled features a face"] if views.features else []
    first = [f"{path}: soft targets by {teachers}", answers, *weights, *features]
    return "\n".join([", ".join(first), f"classes: {', '.join(views.classes)}"])


def _run(path: Path) -> str:
    run = read_run(path)
    fold = f", {run.fold}" if run.fold else ""
    lines = [f"{path}: run of {run.name}, seed {run.seed}{fold}, on data {run.data.fingerprint}"]
    lines += [f"{name}: {words}" for name, words in facts(run)]
    return "\n".join(lines)


def _runs(path: Path) -> str:
    """Return the runs in a folder and below it as a table, "" where there is none."""
    data, faults = run_data(path)
    lines = [f"{path}: {many(len(data.rows), 'run')}", data.table("").text()] if data.rows else []
    return "\n".join([*lines, *faults])


def _search(path: Path) -> str:
    from mien.tune.report import summary
    from mien.tune.study import read_study

    return f"{path}: a search\n{summary(read_study(path))}"


def _predictions(path: Path) -> str:
    table = read_predictions(path)
    splits = ", ".join(table.split_names)
    strict = "" if table.strict is None else f", {int(table.strict.sum()):,} strictly clean"
    return (
        f"{path}: predictions of {len(table):,} faces ({splits}; {int(table.clean.sum()):,} clean{strict}) "
        f"in {len(table.classes)} classes: {', '.join(table.classes)}"
    )
