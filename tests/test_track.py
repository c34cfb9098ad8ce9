import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_runs import write_fake_run, write_fake_runs

from mien.dataset import read_dataset, write_families
from mien.errors import MienError, MissingExtra, Stopped, StorageError
from mien.judge import judge
from mien.predictions import write_predictions
from mien.run import read_run
from mien.track import table, track

EPOCHS = 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two complete, evaluated runs."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"), recipes=("quick-cnn",), seeds=2)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of tracked runs."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_csv_file_holds_settings_curves_and_figures_with_intervals(runs, tmp_path):
    """What the table says is what recipe, metrics and judge say; written again it is the same."""
    out = tmp_path / "runs.csv"
    for _ in range(2):
        lines = track(runs, f"csv:{out}")
    rows = [row for row in rows_of(out) if row["run"] == "quick-cnn-s1"]
    values = {(row["kind"], row["name"], row["epoch"]): row for row in rows}
    run = read_run(runs[1])
    accuracy = judge([run.predictions("test")]).scores["accuracy"]
    figure = values["figure", "test/accuracy", "10"]

    assert 2 == len(lines) and len(values) == len(rows)
    assert str(run.recipe.optimizer.lr) == values["setting", "optimizer.lr", ""]["value"]
    curve = [float(values["curve", "val_accuracy", str(epoch)]["value"]) for epoch in range(1, 11)]
    assert pytest.approx([row["val_accuracy"] for row in run.metrics()]) == curve
    ends = [float(figure[key]) for key in ("value", "low", "high")]
    assert pytest.approx([accuracy.point, accuracy.low, accuracy.high]) == ends
    assert ("figure", "test-clean/accuracy", "10") in values


def test_the_strictly_clean_part_is_tracked_where_an_audit_told_it(runs, tmp_path):
    """Its figures stand beside those of the clean part and of the whole split."""
    folder = write_fake_run(tmp_path / "s0", runs[0].parent / "faces", "quick-cnn", 0)
    table = read_run(folder).predictions("test")
    strict = table.clean & (np.arange(len(table)) % 3 > 0)
    write_predictions(folder / "predictions-test.csv", replace(table, strict=strict))
    track([folder], f"csv:{tmp_path / 'o.csv'}")
    figures = {
        row["name"]: float(row["value"]) for row in rows_of(tmp_path / "o.csv") if row["kind"] == "figure"
    }
    parts = {"test": slice(None), "test-clean": table.clean, "test-strict": strict}

    for part, faces in parts.items():
        correct = (table.probs[faces].argmax(1) == table.labels[faces]).mean()
        assert pytest.approx(correct) == figures[f"{part}/accuracy"]


def test_an_audit_after_the_predictions_gives_the_strictly_clean_part(runs, tmp_path):
    """Predictions that know no copies of other kinds are completed from the data set, where it still lies."""
    shutil.copytree(runs[0].parent / "faces", tmp_path / "faces")
    folder = write_fake_run(tmp_path / "s0", tmp_path / "faces", "quick-cnn", 0)
    dataset = read_dataset(tmp_path / "faces")
    pairs = zip(dataset.ids("train")[:9].tolist(), dataset.ids("test")[-9:].tolist(), strict=True)
    write_families(dataset.info, list(map(list, pairs)))
    known = read_dataset(tmp_path / "faces").annotations(read_run(folder).predictions("test").ids)
    names = []
    for out in ("there.csv", "gone.csv"):
        track([folder], f"csv:{tmp_path / out}")
        names.append({row["name"] for row in rows_of(tmp_path / out) if row["kind"] == "figure"})
        shutil.rmtree(tmp_path / "faces", ignore_errors=True)

    assert 0 < known.strict.sum() < known.clean.sum()
    assert "test-strict/accuracy" in names[0]
    assert "test-strict/accuracy" not in names[1] and "test-clean/accuracy" in names[1]


@pytest.mark.parametrize("fault", ["kind", "place", "none", "twice", "no run", "report", "file"])
def test_what_cannot_be_tracked_is_refused_before_anything_is_written(runs, tmp_path, fault):
    """Each is one error of mien's, and no file is made or changed."""
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    folders, to, report = {
        "kind": (runs, "wandb:x", None),
        "place": (runs, "csv:", None),
        "none": ([], f"csv:{tmp_path / 'o.csv'}", None),
        "twice": ([runs[0], runs[0]], f"csv:{tmp_path / 'o.csv'}", None),
        "no run": ([runs[0], tmp_path], f"csv:{tmp_path / 'o.csv'}", None),
        "report": (runs, f"csv:{tmp_path / 'o.csv'}", tmp_path),
        "file": (runs, f"csv:{tmp_path / 'other.csv'}", None),
    }[fault]
    with pytest.raises(MienError):
        track(folders, to, report=report)

    assert ["other.csv"] == [path.name for path in tmp_path.iterdir()]
    assert "a,b\n1,2\n" == (tmp_path / "other.csv").read_text()


def test_a_run_is_followed_from_before_it_begins_until_it_is_complete(runs, tmp_path, monkeypatch):
    """Epochs are there as they end; a tracker that cannot be written once is tried again."""
    out, folder, faces = tmp_path / "runs.csv", tmp_path / "late-s0", runs[0].parent / "faces"
    seen, notes, writes = [], [], []

    def stop() -> bool:
        """Take the part of a training between two looks at it."""
        epochs = len(seen)
        seen.append(len({row["epoch"] for row in rows_of(out)} - {""}) if out.exists() else 0)
        if not epochs:
            write_fake_run(folder, faces, "quick-cnn", 0, epochs=EPOCHS)
            (folder / "result.json").rename(tmp_path / "result.json")
            (folder / "metrics.csv").rename(tmp_path / "metrics.csv")
        lines = (tmp_path / "metrics.csv").read_text().splitlines(keepends=True)
        (folder / "metrics.csv").write_text("".join(lines[: 1 + min(epochs, EPOCHS)]))
        if epochs == EPOCHS:
            (tmp_path / "result.json").rename(folder / "result.json")
        return False

    def sometimes(*arguments):
        writes.append(arguments)
        if len(writes) == 2:
            raise StorageError("the disk is full")
        write_csv(*arguments)

    write_csv = table.write_csv
    monkeypatch.setattr(table, "write_csv", sometimes)
    (line,) = track([folder], f"csv:{out}", follow=True, stop=stop, note=notes.append, poll_seconds=0.01)

    assert [0, 0, 0, 2, 3] == seen  # the second writing failed, and lost nothing
    assert ["late-s0" in notes[0], "disk is full" in notes[1]] == [True, True] and 2 == len(notes)
    assert f"{EPOCHS} epochs" in line
    assert any(row["name"] == "test/accuracy" for row in rows_of(out))


def test_following_ends_when_asked(runs, tmp_path):
    """What was copied until then stays."""
    folder = write_fake_run(tmp_path / "s0", runs[0].parent / "faces", "quick-cnn", 0, epochs=EPOCHS)
    (folder / "result.json").unlink()
    with pytest.raises(Stopped):
        track([folder], f"csv:{tmp_path / 'o.csv'}", follow=True, stop=lambda: True)

    assert "4" == rows_of(tmp_path / "o.csv")[-1]["epoch"]


def test_tensorboard_reads_curves_settings_figures_and_the_summary(runs, tmp_path):
    """Its own reader finds them, once, although the runs were copied twice."""
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    for _ in range(2):
        track(runs, f"tensorboard:{tmp_path}")
    events = accumulator.EventAccumulator(str(tmp_path / "quick-cnn-s0"), size_guidance={"tensors": 0})
    events.Reload()
    run = read_run(runs[0])
    scalars = events.Scalars("curves/val_accuracy")
    accuracy = judge([run.predictions("test")]).scores["accuracy"]

    assert [row["epoch"] for row in run.metrics()] == [event.step for event in scalars]
    assert pytest.approx([row["val_accuracy"] for row in run.metrics()]) == [e.value for e in scalars]
    ends = [events.Scalars(f"final/test/accuracy{end}")[0].value for end in ("", "_low", "_high")]
    assert pytest.approx([accuracy.point, accuracy.low, accuracy.high]) == ends
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = hparams.HParamsPluginData.FromString(content).session_start_info.hparams
    assert run.recipe.optimizer.lr == settings["optimizer.lr"].number_value
    text = events.Tensors("summary/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| accuracy % |" in text


def test_a_folder_of_tensorboards_that_is_another_runs_is_refused(runs, tmp_path):
    """Another run of the same name does not replace the first one's curves."""
    pytest.importorskip("tensorboardX")
    other = write_fake_run(tmp_path / "quick-cnn-s0", runs[0].parent / "faces", "quick-cnn", 5)
    track([runs[0]], f"tensorboard:{tmp_path / 'tb'}")
    before = sorted(path.name for path in (tmp_path / "tb").rglob("*"))
    with pytest.raises(StorageError):
        track([other], f"tensorboard:{tmp_path / 'tb'}")

    assert before == sorted(path.name for path in (tmp_path / "tb").rglob("*"))


# MLflow 3.17 uses an option of queries that SQLAlchemy 2.1 deprecates
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_mlflow_has_a_run_with_curves_settings_figures_and_the_report(runs, tmp_path, monkeypatch):
    """Copied in two parts and once more there is one run, each epoch once, and the report among its artifacts."""
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.chdir(tmp_path)  # where MLflow keeps artifacts beside a database
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.html").write_text("<title>report</title>")
    folder = write_fake_run(tmp_path / "s0", runs[0].parent / "faces", "quick-cnn", 0, epochs=EPOCHS)
    (folder / "result.json").rename(tmp_path / "result.json")
    track([folder], f"mlflow:{uri}")
    (tmp_path / "result.json").rename(folder / "result.json")
    for _ in range(2):
        track([folder], f"mlflow:{uri}", report=report)
    client = mlflow.MlflowClient(uri)
    (copy,) = client.search_runs([client.get_experiment_by_name("mien").experiment_id])
    history = client.get_metric_history(copy.info.run_id, "curves/val_accuracy")
    run = read_run(folder)

    assert [1, 2, 3, 4] == sorted(point.step for point in history)
    assert ("FINISHED", "s0") == (copy.info.status, copy.info.run_name)
    assert str(run.recipe.optimizer.lr) == copy.data.params["optimizer.lr"]
    accuracy = judge([run.predictions("test")]).scores["accuracy"]
    figures = [copy.data.metrics[f"final/test/accuracy{end}"] for end in ("", "_low", "_high")]
    assert [accuracy.point, accuracy.low, accuracy.high] == figures
    assert 1 == len(client.get_metric_history(copy.info.run_id, "final/test/accuracy"))
    assert "| accuracy % |" in copy.data.tags["mlflow.note.content"]
    assert ["report/report.html"] == [file.path for file in client.list_artifacts(copy.info.run_id, "report")]


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(runs, tmp_path, monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtra, match="mien.track"):
        track(runs, f"tensorboard:{tmp_path}")
