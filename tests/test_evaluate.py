import shutil

import numpy as np
import pytest

from mien.dataset import read_dataset
from mien.errors import DataError, RunError, Stopped
from mien.evaluate import evaluate
from mien.recipe import read_recipe
from mien.run import read_run
from mien.train import train

RECIPE = read_recipe(
    "quick-cnn",
    ("network.channels=8,16", "network.hidden=16", "training.batch_size=16", "training.epochs=2"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, toy):
    """A complete run on the toy faces."""
    return train(RECIPE, read_dataset(toy).development(), tmp_path_factory.mktemp("runs") / "run").folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the complete run that a test may add to."""
    return shutil.copytree(trained, tmp_path / "run")


def test_val_predictions_are_those_of_training(run):
    """Without the mirror the predictions on val have the very accuracy that training noted."""
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace("mirror = true", "mirror = false"))
    told = evaluate(run)

    accuracy = (told.probs.argmax(1) == told.labels).mean()
    assert read_run(run).result()["val"]["accuracy"] == pytest.approx(accuracy)
    assert np.allclose(1, told.probs.sum(1))


def test_test_is_opened_once_and_each_opening_is_recorded(run):
    """Val opens nothing; test is recorded with weights and data; a second call reads the file."""
    evaluate(run)
    assert [] == read_run(run).openings()

    first = evaluate(run, split="test")
    again = evaluate(run, split="test")
    openings = read_run(run).openings()

    assert 1 == len(openings)
    assert read_run(run).result()["weights_sha256"] == openings[0]["weights_sha256"]
    assert read_run(run).data.fingerprint == openings[0]["data_fingerprint"]
    assert np.allclose(first.probs, again.probs, atol=1e-8)
    assert [False, False] + [True] * 33 == again.clean.tolist()


def test_an_opening_is_recorded_before_the_faces_are_seen(run, monkeypatch):
    """Even when evaluation breaks off, the opening stands in the run."""
    monkeypatch.setattr("mien.evaluate.predict_faces", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate(run, split="test")

    assert 1 == len(read_run(run).openings())
    assert not (run / "predictions-test.csv").exists()


def test_train_is_no_split_to_be_judged_on(run):
    """Predictions on the faces that were learned from would look like a result, so there are none."""
    with pytest.raises(RunError, match='on val or test, and not on "train"'):
        evaluate(run, split="train")


def test_a_run_that_is_not_complete_is_not_evaluated(toy, tmp_path):
    """A run that was stopped has no chosen weights yet."""
    with pytest.raises(Stopped):
        train(RECIPE, read_dataset(toy).development(), tmp_path / "run", stop=lambda: True)

    with pytest.raises(RunError, match="training is not complete; the command that began it goes on"):
        evaluate(tmp_path / "run")


def test_changed_weights_are_refused(run):
    """Weights that are not those of the result are never judged."""
    content = bytearray((run / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "weights.safetensors").write_bytes(content)

    with pytest.raises(RunError, match="weights.safetensors: missing, cut short or changed since training"):
        evaluate(run)


def test_other_data_is_refused_and_moved_data_found(run, toy, tmp_path):
    """--data says where the faces lie now; other faces are refused by their fingerprint."""
    moved = shutil.copytree(toy, tmp_path / "moved")
    told = evaluate(run, data=moved)
    assert 35 == len(told)

    from conftest import write_toy

    other = write_toy(tmp_path / "other", copies=5)
    with pytest.raises(RunError, match="not the data that .* was trained on"):
        evaluate(run, split="test", data=other)
    with pytest.raises(DataError, match="not a mien data set"):
        evaluate(run, split="test", data=tmp_path)
    assert [] == read_run(run).openings()
