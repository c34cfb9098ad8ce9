import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import raises_naming
from safetensors.numpy import load_file, save_file
from test_targets import soft_table
from test_train import final_bytes, toy_recipe

from mien.cli import app
from mien.dataset import read_dataset
from mien.distill import distill, distill_views
from mien.distill.weights import mixture_weights
from mien.errors import DataError, RecipeError, RunError, Stopped
from mien.evaluate import evaluate, load_network
from mien.export import export
from mien.folds import Fold
from mien.judge import log_loss
from mien.labels import LABELS
from mien.networks import as_input
from mien.networks.network import classifier_inputs
from mien.recipe import CustomNetwork, read_recipe
from mien.run import folder_name
from mien.train import train
from mien.train.hints import Hint, Regressor, TeacherFeatures
from mien.train.targets import TrainBatches
from mien.train.views import read_views, view_features, view_targets

AUGMENT = ("augment.flip=true", "augment.shift=1")


# ---- weights of teachers


def rows_of(path):
    """Return the rows of a table of weights by teacher."""
    with path.open(newline="") as file:
        return {row["teacher"]: row for row in csv.DictReader(file)}


def test_em_recovers_the_proportions_of_a_mixture():
    """Of faces drawn from three models at known rates the rates come back, and a model that is worse gets nothing."""
    rng = np.random.default_rng(0)
    models = rng.dirichlet(np.full(7, 0.3), 4)  # probabilities of seven outcomes
    drawn = np.concatenate([rng.choice(7, 10_000 * rate, p=models[n]) for n, rate in enumerate((6, 3, 1))])

    assert np.allclose([0.6, 0.3, 0.1], mixture_weights(models[:3, drawn].T), atol=0.01)
    assert np.allclose([1, 0], mixture_weights(np.array([[0.9, 0.5], [0.8, 0.1], [0.5, 0.5]])), atol=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40))
def test_no_other_weights_are_better(seed, models, rows):
    """Weights are convex, and by no others are the data more likely, a model's 0 of what is the case included."""
    rng = np.random.default_rng(seed)
    probs = rng.random((rows, models)) ** 4
    probs[rng.random(probs.shape) < 0.1] = 0
    weights = mixture_weights(probs)
    others = np.concatenate([rng.dirichlet(np.ones(models), 50), np.eye(models)])

    def likelihood(mixture):
        return np.log(probs.clip(1e-15) @ mixture).mean()

    assert weights.min() >= 0
    assert np.isclose(1, weights.sum())
    assert max(map(likelihood, others)) <= likelihood(weights) + 1e-5


@pytest.fixture(scope="module")
def teachers(toy, toy_data, tmp_path_factory):
    """Two runs, one of which has learned more."""
    folder = tmp_path_factory.mktemp("teachers")
    recipes = {
        "long": toy_recipe("quick-densenet", "training.epochs=8"),
        "short": toy_recipe("quick-densenet", "name=short", "training.epochs=4"),
    }
    return [train(recipe, toy_data, folder / name).folder for name, recipe in recipes.items()]


def test_weighted_teachers_have_the_lowest_log_loss_on_val_and_these_weights_in_train(
    toy, teachers, tmp_path
):
    """The table's figures are those of `evaluate`, none is lower than the last, and the targets are that mean."""
    out = tmp_path / "t.csv"
    probs = distill(toy, out, teachers=teachers, weighted=True).probs
    rows = rows_of(tmp_path / "t.weights.csv")
    *single, mean, weighted = rows.values()
    weights = [float(row["weight"]) for row in single]
    alone = [distill(toy, tmp_path / "one.csv", teachers=[teacher]).probs for teacher in teachers]
    val = [evaluate(teacher) for teacher in teachers]

    assert ["mean", "weighted mean"] == list(rows)[2:]
    assert np.isclose(1, sum(weights))
    assert weights[0] > 0.5
    assert np.allclose(np.tensordot(weights, alone, 1), probs, atol=1e-6)
    for row, predictions in zip(single, val, strict=True):
        assert np.isclose(log_loss(predictions.labels, predictions.probs), float(row["val_log_loss"]))
    plain = np.mean([predictions.probs for predictions in val], axis=0)
    assert np.isclose(log_loss(val[0].labels, plain), float(mean["val_log_loss"]))
    losses = [float(row["val_log_loss"]) for row in (*single, mean)]
    assert float(weighted["val_log_loss"]) <= min(losses) + 1e-5


def test_a_table_of_weights_does_not_outlive_its_targets(toy, teachers, tmp_path):
    """Targets that are made anew with equal weights have no table of weights beside them."""
    for weighted in (True, False):
        distill(toy, tmp_path / "t.csv", teachers=teachers, weighted=weighted)
        assert (tmp_path / "t.weights.csv").exists() == weighted


def test_the_folds_of_a_cross_validation_have_one_weight(toy, teachers, tmp_path):
    """Folds stand in one row, with the mean of their figures on val; each train face has the weighted mean of two."""
    data, recipe = read_dataset(toy), toy_recipe("quick-densenet", "training.epochs=2")
    folds = [Fold(number, 2, val_apart=True) for number in (1, 2)]
    runs = [
        train(recipe, data.development(fold), tmp_path / folder_name("x", 0, fold)).folder for fold in folds
    ]
    out = tmp_path / "t.csv"
    probs = distill(toy, out, teachers=[*runs, teachers[0]], weighted=True).probs
    both, whole, *_ = rows_of(tmp_path / "t.weights.csv").values()
    val = data.development().val
    losses = []
    for folder in runs:
        network, engine = load_network_of(folder)
        losses.append(log_loss(val.labels, flipped(network, engine, val.images)))
    parts = [distill(toy, tmp_path / "p.csv", teachers=part).probs for part in (runs, teachers[:1])]

    assert np.isclose(1, float(both["weight"]) + float(whole["weight"]))
    assert np.isclose(np.mean(losses), float(both["val_log_loss"]))
    assert 2 == len(both["sha256"].split())
    mixed = float(both["weight"]) * parts[0] + float(whole["weight"]) * parts[1]
    assert np.allclose(mixed, probs, atol=1e-6)


def load_network_of(folder):
    """Return a run's network and engine."""
    from mien.run import read_run

    run = read_run(folder)
    return load_network(run, run.result()["weights_sha256"], "cpu")


def flipped(network, engine, images):
    """Return the mean probabilities of faces and their mirror pictures, as the toy recipe evaluates them."""
    from mien.networks.engine import probabilities

    return probabilities(network, torch.from_numpy(images), engine, flip=True)


def test_weights_need_teachers_and_val(toy, tmp_path):
    """Annotators have no weights."""
    with pytest.raises(DataError):
        distill(toy, tmp_path / "t.csv", weighted=True)


def test_views_keep_the_weights_that_they_began_with(toy, teachers, tmp_path):
    """Views are answered by the weighted mean, go on with their weights, and not by equal ones."""
    out, student = tmp_path / "v.safetensors", read_recipe("pocket")
    rules = {"teachers": teachers, "student": student}
    first = distill_views(toy, out, views=1, weighted=True, **rules)
    (tmp_path / "v.weights.csv").unlink()
    more = distill_views(toy, out, views=2, weighted=True, **rules)
    single = [
        distill_views(toy, tmp_path / f"{n}.safetensors", teachers=[teacher], student=student, views=2).probs
        for n, teacher in enumerate(teachers)
    ]

    assert np.isclose(1, sum(first.weights))
    assert first.weights == more.weights == read_views(out).weights
    assert not (tmp_path / "v.weights.csv").exists()
    assert np.allclose(np.tensordot(first.weights, np.array(single, np.float64), 1), more.probs, atol=2e-3)
    with raises_naming(RecipeError, "weights"):
        distill_views(toy, out, views=3, **rules)


# ---- features of teachers


def pooled(folder, images):
    """Return what a run's classifier reads of faces, float64 (N, F)."""
    network, _ = load_network_of(folder)
    with torch.no_grad(), classifier_inputs(network.eval()) as inputs:
        network(as_input(torch.from_numpy(images)))
    return inputs[0].double().numpy()


@pytest.fixture(scope="module")
def hints(toy, teachers, tmp_path_factory):
    """A file of two views with the features of both teachers."""
    out = tmp_path_factory.mktemp("hints") / "views.safetensors"
    student = toy_recipe("quick-densenet", *AUGMENT)
    distill_views(toy, out, teachers=teachers, student=student, views=2, features=True)
    return out


def student_of(table, *overrides):
    """Return a toy student's recipe that learns from a file of views."""
    fields = (*AUGMENT, f"distillation.soft_targets=['{table}']", "training.epochs=3", *overrides)
    return toy_recipe("quick-densenet", *fields)


def test_features_are_what_classifiers_read_of_the_students_views(hints, teachers, toy_data):
    """Of each teacher's classifier the file keeps the input, in the order of teachers and of the train faces."""
    recipe = student_of(hints)
    batches = TrainBatches(toy_data.train, recipe, LABELS, "cpu")
    views = read_views(hints)
    for number in (0, 1):
        batches.begin_epoch(number)
        seen, *_ = batches.batch(torch.arange(len(toy_data.train)), generator=torch.Generator())
        expected = [pooled(folder, seen.numpy()) for folder in teachers]

        assert [part.shape[1] for part in expected] == list(views.features)
        stored = view_features(hints, views.features, number)
        assert np.allclose(np.concatenate(expected, 1), stored, rtol=2e-2, atol=5e-2)


def test_features_change_no_soft_targets_and_old_files_have_none(hints, teachers, toy, toy_data, tmp_path):
    """The same views without features have the same answers; a file from before features has the same, and none."""
    student, plain = toy_recipe("quick-densenet", *AUGMENT), tmp_path / "plain.safetensors"
    distill_views(toy, plain, teachers=teachers, student=student, views=2)
    stored = read_views(plain)
    metadata = {"format": 1, "classes": LABELS, "augment": stored.augment, "faces": stored.faces}
    metadata |= {"teachers": stored.teachers, "total": 2}
    old = tmp_path / "old.safetensors"
    save_file({"probs": stored.probs}, old, {"views": json.dumps(metadata)})
    ours, theirs, olds = (
        view_targets(path, toy_data.train, student.augment, LABELS) for path in (hints, plain, old)
    )

    assert np.array_equal(ours, theirs)
    assert np.array_equal(ours, olds)
    with raises_naming(RecipeError, "distillation.features"):
        train(student_of(old, "distillation.features=0.1"), toy_data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_a_weight_features_change_nothing(hints, teachers, toy, toy_data, tmp_path):
    """A student of a file with features ends in the bytes of one whose file has none, unless it asks for them."""
    plain = tmp_path / "views.safetensors"
    student = toy_recipe("quick-densenet", *AUGMENT)
    distill_views(toy, plain, teachers=teachers, student=student, views=2)
    weights = [
        (train(student_of(path), toy_data, tmp_path / name).folder / "weights.safetensors").read_bytes()
        for name, path in (("with", hints), ("without", plain))
    ]

    assert weights[0] == weights[1]


def test_an_error_of_features_is_the_share_of_their_variance_whatever_the_teachers(hints, toy_data):
    """A fresh regressor predicts the mean, an error of 1 for any teachers; a picture of no face has no gradient."""
    recipe = student_of(hints, "distillation.features=0.5", "augment.outliers=0.25")
    teachers = TeacherFeatures(recipe, len(toy_data.train), "cpu")
    teachers.draw(0)
    features = teachers.of(torch.arange(len(toy_data.train)))
    student = torch.randn(len(features), 5, requires_grad=True)
    regressor = Regressor(5, teachers.size)
    fresh = Hint(regressor, 0.5, features).loss(student, features)
    torch.nn.init.normal_([*regressor.parameters()][-2])
    features[3] = float("nan")
    gradient = torch.autograd.grad(Hint(regressor, 0.5, features).loss(student, features), student)[0]
    batches = TrainBatches(toy_data.train, recipe, LABELS, "cpu")
    batches.begin_epoch(0)
    _, targets, drawn = batches.batch(torch.arange(84), generator=torch.Generator().manual_seed(1))
    outliers = (targets == 1 / 7).all(1)

    assert np.isclose(0.5, fresh.item(), atol=1e-4)
    assert gradient.isfinite().all()
    assert drawn is not None
    assert 21 == outliers.sum()
    assert torch.equal(outliers, drawn.isnan().any(1))


def test_a_student_comes_closer_to_its_teachers_features(hints, teachers, toy_data, tmp_path):
    """With the term, more of the variance of the teachers' features on val follows linearly from the student's."""
    unexplained = {}
    expected = [
        np.concatenate([pooled(t, s.images) for t in teachers], 1) for s in (toy_data.train, toy_data.val)
    ]
    for weight in (0, 1):
        small = ("network.growth_rate=4", "network.stem_channels=4", "training.epochs=6")
        recipe = student_of(hints, f"distillation.features={weight}", *small)
        folder = train(recipe, toy_data, tmp_path / str(weight), seed=1).folder
        x, y = (np.c_[pooled(folder, s.images), np.ones(len(s))] for s in (toy_data.train, toy_data.val))
        line = np.linalg.solve(x.T @ x + 1e-2 * np.eye(x.shape[1]), x.T @ expected[0])
        left = np.square(y @ line - expected[1]).sum() / np.square(expected[1] - expected[0].mean(0)).sum()
        unexplained[weight] = left

    assert unexplained[1] < 0.6 * unexplained[0]


@pytest.mark.parametrize(
    "fields", [(), ("optimizer.sam_rho=0.02", "optimizer.ema_decay=0.8", "optimizer.kind=adam")]
)
def test_a_student_of_features_is_the_same_however_often_it_was_stopped(hints, toy_data, tmp_path, fields):
    """Stopped within epochs it ends in the same bytes, with outliers in its batches; nothing of the regressor stays."""
    recipe = student_of(hints, "distillation.features=0.3", "augment.outliers=0.2", *fields)
    straight = train(recipe, toy_data, tmp_path / "straight")
    for at in (2, 4, 5):
        asked = iter(range(10_000))
        with pytest.raises(Stopped):
            train(recipe, toy_data, tmp_path / "stopped", stop=lambda asked=asked, at=at: next(asked) == at)
        state = load_file(tmp_path / "stopped" / "state.safetensors")
        assert "regressor/1.weight" in state
    train(recipe, toy_data, tmp_path / "stopped")
    without = train(student_of(hints), toy_data, tmp_path / "without")
    names = [load_file(run.folder / "weights.safetensors").keys() for run in (straight, without)]

    assert final_bytes(straight.folder) == final_bytes(tmp_path / "stopped")
    assert names[0] == names[1]


def test_a_model_file_has_the_features_of_its_run(toy, toy_data, teachers, tmp_path):
    """A file's features of a face are the mean over its two views; an 8-bit file has none, which is said."""
    model, small = tmp_path / "m.onnx", tmp_path / "small.onnx"
    export(teachers[:1], model, licence="MIT")
    export(teachers[:1], small, licence="MIT", int8=True)
    out, student = (
        tmp_path / "v.safetensors",
        toy_recipe("quick-densenet", "augment.flip=false", "augment.shift=0"),
    )
    rules = {"student": student, "views": 1}
    views = distill_views(toy, out, teachers=[model], features=True, **rules)
    plain = distill_views(toy, tmp_path / "p.safetensors", teachers=[model], **rules)
    images = toy_data.train.images
    expected = (pooled(teachers[0], images) + pooled(teachers[0], images[:, :, ::-1].copy())) / 2

    assert np.allclose(expected, views.pooled[0][0], rtol=2e-2, atol=5e-2)
    assert np.array_equal(plain.probs, views.probs)
    with raises_naming(RunError, "small.onnx"):
        distill_views(toy, tmp_path / "s.safetensors", teachers=[small], features=True, **rules)


def test_a_custom_student_learns_features_and_its_file_is_without_regressor(hints, toy, toy_data, tmp_path):
    """A network of the user's own learns them where its last linear layer reads a row a face, and exports as ever."""
    fields = {"kind": "custom_networks:Tiny", "options": (("width", 4),)}
    recipe = replace(student_of(hints, "distillation.features=0.3"), network=CustomNetwork(**fields))
    run = train(recipe, toy_data, tmp_path / "run")
    export([run.folder], tmp_path / "m.onnx", licence="MIT")
    other = replace(recipe, network=CustomNetwork(kind="custom_networks:ConvolutionalHead"))

    assert {"classifier.weight", "classifier.bias"} <= load_file(run.folder / "weights.safetensors").keys()
    with raises_naming(RecipeError, "ConvolutionalHead"):
        train(other, toy_data, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_features_that_cannot_be_are_refused_in_one_line(toy, toy_data, teachers, hints, tmp_path):
    """Blended faces, folds, plain tables and plain faces have no features, and views go on as they began."""
    with raises_naming(RecipeError, "mixup"):
        student_of(hints, "distillation.features=0.1", "augment.mixup=0.2")
    table = soft_table(tmp_path / "t.csv", toy_data.train)
    with raises_naming(RecipeError, "--features"):
        train(student_of(table, "distillation.features=0.1"), toy_data, tmp_path / "run")
    student = toy_recipe("quick-densenet", *AUGMENT)
    rules = {"student": student, "views": 2}
    with raises_naming(RecipeError, "features"):
        distill_views(toy, hints, teachers=teachers, **rules)
    folds = []
    for number in (1, 2):
        fold = Fold(number, 2, val_apart=True)
        recipe, data = toy_recipe("quick-densenet", "training.epochs=1"), read_dataset(toy).development(fold)
        folds.append(train(recipe, data, tmp_path / folder_name("x", 0, fold)).folder)
    with raises_naming(RunError, str(folds[0])):
        distill_views(toy, tmp_path / "f.safetensors", teachers=folds, features=True, **rules)
    with pytest.raises(DataError):
        app(["distill", str(toy), str(teachers[0]), "--features"], standalone_mode=False)


def test_views_with_features_that_were_interrupted_go_on(toy, teachers, tmp_path):
    """A file with features gets more views, those that it has stay, and its size is told before."""
    from mien.progress import Counting

    class Notes(Counting):
        def __init__(self):
            self.lines = []

        def note(self, text):
            self.lines.append(text)

    out, notes = tmp_path / "v.safetensors", Notes()
    rules = {"teachers": teachers[:1], "student": toy_recipe("quick-densenet", *AUGMENT), "features": True}
    first = distill_views(toy, out, views=1, **rules)
    both = distill_views(toy, out, views=2, progress=notes, **rules)

    assert np.array_equal(first.pooled[0], both.pooled[0][:1])
    assert both.pooled[0].shape[0] == 2 == len(both.probs)
    assert np.isclose(2 * both.bytes_a_view, out.stat().st_size, atol=2000)
    assert f"{2 * both.bytes_a_view / 1e6:.1f} MB" in notes.lines[0]
