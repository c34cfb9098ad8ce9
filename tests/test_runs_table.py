import csv

import pytest
from report_runs import write_fake_runs

from mien.errors import DataError
from mien.info import info, write_runs
from mien.listing import run_data
from mien.locks import is_held, locked


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of two networks: complete ones, one that was stopped in epoch 4, and one with a damaged recipe."""
    folder = tmp_path_factory.mktemp("runs")
    write_fake_runs(folder, seeds=2)
    stopped = folder / "quick-cnn-s1"
    (stopped / "result.json").unlink()
    lines = (stopped / "metrics.csv").read_text().splitlines(keepends=True)
    (stopped / "metrics.csv").write_text("".join(lines[:4]))
    (folder / "quick-densenet-s1" / "recipe.toml").write_text("epochs = [")
    return folder


def test_a_folder_of_runs_is_a_table_with_the_state_of_each(runs):
    """Name, network, seed, epochs, val accuracy and state; what cannot be read is a line of its own."""
    data, faults = run_data(runs)
    rows = {row[0]: dict(zip(data.csv()[0], row, strict=True)) for row in data.rows}
    text = info(runs)

    assert ["quick-cnn-s0", "quick-cnn-s1", "quick-densenet-s0"] == list(rows)
    assert ("done", 10, 10) == tuple(rows["quick-cnn-s0"][k] for k in ("state", "epochs", "planned_epochs"))
    assert ("stopped in epoch 4", 3) == tuple(rows["quick-cnn-s1"][k] for k in ("state", "epochs"))
    assert "densenet" == rows["quick-densenet-s0"]["network"]
    assert 1 == len(faults) and "quick-densenet-s1" in faults[0]
    assert faults[0] == text.splitlines()[-1]
    assert 100 >= max(map(len, text.splitlines()[:-1]))


def test_a_run_that_another_process_holds_is_running(runs):
    """Its lock says so, and is as it was after one asked."""
    folder = runs / "quick-cnn-s1"
    with locked(folder, "the run"):
        states = {row[0]: row[-1] for row in run_data(runs)[0].rows}

    assert "running" == states["quick-cnn-s1"]
    assert not is_held(folder)
    (folder / ".lock").touch()  # as a killed process leaves it
    assert not is_held(folder)


def test_the_table_is_written_as_csv(runs, tmp_path):
    """A row a run, with the values that the terminal shows rounded; a folder without runs is refused."""
    write_runs(runs, tmp_path / "runs.csv")
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))

    assert 3 == len(rows)
    assert pytest.approx(run_data(runs)[0].rows[0][8]) == float(rows[0]["val_accuracy"])
    with pytest.raises(DataError):
        write_runs(tmp_path, tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()
