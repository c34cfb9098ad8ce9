"""Files that the first version wrote, of each kind (see old_files/README.md), read by this one."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from mien.dataset import read_dataset
from mien.evaluate import evaluate
from mien.export.calibrate import calibrated
from mien.model import read_model
from mien.networks.engine import choose_engine
from mien.predictions import read_predictions
from mien.recipe import TTA, Augment, DenseNet, Optimizer, Recipe, Schedule, Training, read_recipe
from mien.recipe.renamed import RENAMED
from mien.run import read_run
from mien.train import train
from mien.tune.plan import Plan
from mien.tune.search import tune
from mien.tune.space_file import read_space
from mien.tune.study import read_study

OLD_FILES = Path(__file__).parent / "old_files"
OLD = Recipe(
    name="old",
    network=DenseNet(layers=(1, 1), growth_rate=(4, 6), se_ratio=0.5, drop_path=0.1, stem_kernel=3),
    optimizer=Optimizer(lr=0.05, ema_decay=0.9, sam_rho=0.05),
    schedule=Schedule(kind="plateau", min_lr=1e-5),
    training=Training(epochs=3, batch_size=4, checkpoint="best", progressive_resizing=40, precision="fp32"),
    augment=Augment(flip=True, scale=0.1, random_erasing=0.3, mixup=0.2, mix_prob=0.5),
    tta=TTA(flip=True, shift=1),
)


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the old files as the working directory, since the runs name their data set by a relative path."""
    folder = tmp_path / "old"
    shutil.copytree(OLD_FILES, folder)
    monkeypatch.chdir(folder)
    return folder


def test_an_old_recipe_is_read():
    """Each field has its value, under the name of today."""
    assert read_recipe(OLD_FILES / "recipe.toml") == OLD


def test_an_old_data_set_is_read():
    """Its fingerprint holds, and so do counts and pixels."""
    dataset = read_dataset(OLD_FILES / "faces")
    faces = dataset.development()

    assert "618a441ffce275cd" == dataset.info.fingerprint
    assert (7, 7) == (len(faces.train), len(faces.val))
    assert (7, 48, 48) == faces.val.images.shape


def test_an_old_run_is_read_and_evaluated(old):
    """Recipe, figures and weights are those of then: evaluated anew the probabilities are the same."""
    run = read_run(old / "old-s0")
    before = read_predictions(old / "old-s0" / "predictions-val.csv")
    after = evaluate(run.folder)

    assert OLD == run.recipe
    assert 1 == run.result()["kept_epoch"]
    assert [2.111, 2.089, 2.081] == pytest.approx([row["val_loss"] for row in run.metrics()], abs=1e-3)
    assert np.allclose(before.probs, after.probs, atol=1e-4)
    assert before.ids.tolist() == after.ids.tolist()


def test_an_old_run_goes_on_to_the_same_figures(old):
    """A training that was stopped then is taken up now, with its table of soft targets, and ends as it would have."""
    recipe = read_run(old / "half-s0").recipe
    engine = choose_engine(device="cpu", precision="fp32", threads=1)
    run = train(recipe, read_dataset(Path("faces")).development(), old / "half-s0", engine=engine)
    with open(old / "half-metrics.csv", encoding="utf-8", newline="") as file:
        uninterrupted = list(csv.DictReader(file))

    assert (("targets.csv",), 0.7) == (recipe.distillation.soft_targets, recipe.distillation.weight)
    assert len(uninterrupted) == len(run.metrics())
    for row, other in zip(run.metrics(), uninterrupted, strict=True):
        assert row == pytest.approx({key: float(value) for key, value in other.items()}, rel=1e-4)


def test_old_predictions_are_read():
    """A table from before checksums has its classes, faces and probabilities."""
    table = read_predictions(OLD_FILES / "old-s0" / "predictions-test.csv")

    assert ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral") == table.classes
    assert 7 == len(table)
    assert np.allclose(1, table.probs.sum(1), atol=1e-4)


def test_an_old_model_is_read():
    """Its answers are the run's, calibrated by the temperature that it states."""
    model = read_model(OLD_FILES / "model.onnx")
    run = read_predictions(OLD_FILES / "old-s0" / "predictions-val.csv")
    images = read_dataset(OLD_FILES / "faces").development().val.images

    assert {"mirror": True, "shift": 1, "precision": "fp32"} == model.reading
    assert np.allclose(calibrated(run.probs, model.temperature), model.probabilities(images), atol=1e-4)


@pytest.mark.parametrize("renamed", [False, True], ids=["the old space", "the space with today's names"])
def test_an_old_search_goes_on(old, renamed):
    """Its trials are read, and it is the same search whichever names the space gives its fields."""
    if renamed:
        text = (old / "space.toml").read_text()
        for name, today in RENAMED.items():
            text = text.replace(name, today)
        assert "growth_rate.0" in text
        (old / "space.toml").write_text(text)
    before = read_study(old / "search")
    data = read_dataset(Path("faces")).development()
    after = tune(Plan(read_space(old / "space.toml"), data, old / "search", trials=4, threads=1))

    assert [1.917, 2.102, 2.103] == pytest.approx([t.values[0] for t in before.trials], abs=1e-3)
    assert [t.values for t in before.trials] == [t.values for t in after.trials[:3]]
    assert {axis.name for axis in before.axes} == {axis.name for axis in after.axes}
    assert "complete" == after.trials[3].state
    assert read_recipe(old / "search" / "best.toml").optimizer.sam_rho == 0
