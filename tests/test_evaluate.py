import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import raises_naming
from typer.testing import CliRunner

from mien.cli import app
from mien.dataset import read_dataset, write_families, writing_dataset
from mien.errors import DataError, ModelError, RunError, Stopped, StorageError
from mien.evaluate import evaluate, evaluate_all, evaluate_on, load_network
from mien.export import export
from mien.files import append_line
from mien.info import info
from mien.labels import LABELS
from mien.model import read_model
from mien.networks.engine import probabilities
from mien.predictions import read_predictions
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


@pytest.fixture
def few_real_sized_faces(tmp_path):
    """A data set of 48 x 48 noise in the order of FER2013's class folders."""
    rng = np.random.default_rng(1)
    with writing_dataset(tmp_path / "own", side=48, labels=tuple(sorted(LABELS))) as writer:
        for number, split in enumerate(("train", "val", "test") * 7):
            pixels = rng.integers(0, 256, 48 * 48).astype(np.uint8).tobytes()
            writer.add(pixels, label=LABELS[number // 3], split=split, source="noise")
        writer.finish({"kind": "noise", "files": {}})
    return tmp_path / "own"


def without_checksums(path: Path) -> None:
    """Make a run's description one of before there were checksums."""
    value = json.loads(path.read_text())
    path.write_text(
        json.dumps({key: part for key, part in value.items() if key not in ("checksum", "recipe_sha256")})
    )


def test_the_command_gives_accuracy_on_each_part_that_is_known(run, toy, tmp_path):
    """Of an audited data set the strictly clean part stands beside the clean one, and info counts its faces."""
    faces = shutil.copytree(toy, tmp_path / "faces")
    dataset = read_dataset(faces)
    write_families(dataset.info, [[str(dataset.ids("train")[0]), *dataset.ids("test")[:9].tolist()]])
    result = CliRunner().invoke(app, ["evaluate", str(run), "--test", "--data", str(faces)])
    table = read_predictions(run / "predictions-test.csv")
    shares = [(table.probs.argmax(1) == table.labels)[rows].mean() for rows in (table.clean, table.strict)]

    assert 0 == result.exit_code, result.output
    assert f"clean {shares[0]:.1%}, strictly clean {shares[1]:.1%} (35 faces)" in result.stdout
    assert "33 clean, 26 strictly clean" in info(run / "predictions-test.csv")


def test_val_predictions_are_those_of_training(run):
    """Without the mirror the predictions on val have the very accuracy that training noted."""
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace("[tta]\nflip = true", "[tta]\nflip = false"))
    without_checksums(run / "run.json")
    told = evaluate(run)

    accuracy = (told.probs.argmax(1) == told.labels).mean()
    assert read_run(run).result()["val"]["accuracy"] == pytest.approx(accuracy)
    assert np.allclose(1, told.probs.sum(1))


def test_a_run_with_a_mirror_is_judged_with_both_views(run, toy_data):
    """What the recipe's `mirror` asks for is the mean over each face and its mirror picture."""
    told = evaluate(run)
    read = read_run(run)
    network, engine = load_network(read, read.result()["weights_sha256"], "auto")
    pictures = torch.from_numpy(toy_data.val.images)
    plain, mirrored = (
        probabilities(network, images, engine, flip=False) for images in (pictures, pictures.flip(2))
    )

    assert np.allclose((plain + mirrored) / 2, told.probs, atol=1e-5)
    assert np.abs(plain - told.probs).max() > 1e-3


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
    with raises_naming(RunError, "train"):
        evaluate(run, split="train")


def test_a_run_that_is_not_complete_is_not_evaluated(toy, tmp_path):
    """A run that was stopped has no chosen weights yet."""
    with pytest.raises(Stopped):
        train(RECIPE, read_dataset(toy).development(), tmp_path / "run", stop=lambda: True)

    with pytest.raises(RunError):
        evaluate(tmp_path / "run")


def test_changed_weights_are_refused(run):
    """Weights that are not those of the result are never judged."""
    content = bytearray((run / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "weights.safetensors").write_bytes(content)

    with raises_naming(RunError, "weights.safetensors"):
        evaluate(run)


def test_other_data_is_refused_and_moved_data_found(run, toy, tmp_path):
    """--data says where the faces lie now; other faces are refused by their fingerprint."""
    moved = shutil.copytree(toy, tmp_path / "moved")
    told = evaluate(run, data=moved)
    assert 35 == len(told)

    from conftest import write_toy

    other = write_toy(tmp_path / "other", copies=5)
    with pytest.raises(RunError):
        evaluate(run, split="test", data=other)
    with pytest.raises(DataError):
        evaluate(run, split="test", data=tmp_path)
    assert [] == read_run(run).openings()


def test_a_model_is_judged_on_any_data_set_with_its_classes(tmp_path, few_real_sized_faces):
    """The shipped model reads own faces whose classes stand in another order; test is opened and recorded."""
    out = tmp_path / "told.csv"
    told = evaluate_on("pocket", few_real_sized_faces, out, test=True)
    faces = read_dataset(few_real_sized_faces).development().val
    model = read_model("pocket")

    kept = read_predictions(out)
    assert ["test", "val"] == sorted(set(kept.splits.tolist())) == sorted(told)
    assert tuple(sorted(LABELS)) == told["val"].classes == kept.classes != model.labels
    columns = [model.labels.index(label) for label in sorted(LABELS)]
    assert np.allclose(model.probabilities(faces.images)[:, columns], told["val"].probs)
    assert np.allclose(told["val"].probs, kept.probs[kept.splits == "val"], atol=1e-6)
    assert "graph_sha256" in (tmp_path / "told.openings.jsonl").read_text()


def test_a_model_needs_no_split_that_it_does_not_read(tmp_path):
    """Faces for a test alone are judged with --test; without it one line says what they are."""
    folder = tmp_path / "own"
    with writing_dataset(folder, side=48, labels=read_model("pocket").labels) as writer:
        for number, label in enumerate(("happy", "sad", "happy")):
            writer.add(bytes([number]) * 48 * 48, label=label, split="test", source=str(number))
        writer.finish({"kind": "none", "files": {}})

    with raises_naming(DataError, "--test"):
        evaluate_on("pocket", folder, tmp_path / "told.csv")
    assert list(evaluate_on("pocket", folder, tmp_path / "told.csv", test=True)) == ["test"]
    assert len(read_predictions(tmp_path / "told.csv")) == 3


def test_test_is_not_opened_for_a_table_without_a_place(few_real_sized_faces, tmp_path):
    """Where the table could not be written nothing is read and no opening is noted."""
    (tmp_path / "out").mkdir()
    for out in (tmp_path / "out", tmp_path / "gone" / "told.csv"):
        with pytest.raises(StorageError):
            evaluate_on("pocket", few_real_sized_faces, out, test=True)
    assert [] == list(tmp_path.rglob("*openings.jsonl"))


def test_a_test_split_that_is_not_there_is_not_noted_as_opened(tmp_path, run, toy):
    """A run, a model file and a table of any data leave no word of an opening where there is none."""
    whole = read_dataset(toy).whole()
    rows = np.flatnonzero(whole.table["split"] != "test")
    with writing_dataset(tmp_path / "blind", side=16, labels=LABELS) as writer:
        for row in rows:
            split, label = whole.table["split"][row], whole.table["label"][row]
            writer.add(whole.images[row].tobytes(), label=label, split=split, source="toy")
        writer.finish({"kind": "blind", "files": {}})
    model = export([run], tmp_path / "faces.onnx", data=toy)

    for judged in (
        lambda: evaluate(run, split="test", data=tmp_path / "blind"),
        lambda: evaluate(tmp_path / "faces.onnx", split="test", data=tmp_path / "blind"),
        lambda: evaluate_on(tmp_path / "faces.onnx", tmp_path / "blind", tmp_path / "told.csv", test=True),
    ):
        with raises_naming(DataError, "blind"):
            judged()
    assert [] == list(tmp_path.rglob("*openings.jsonl"))
    assert model


def test_a_torn_line_among_the_openings_is_told_and_mended_by_the_next(run):
    """What a full disk left is one line of words, and the next opening stands on a line of its own."""
    path = run / "openings.jsonl"
    path.write_bytes(b'{"time": "2026')
    with raises_naming(RunError, "openings.jsonl"):
        read_run(run).openings()
    append_line(path, "{}")

    assert b'{"time": "2026\n{}\n' == path.read_bytes()


def test_a_device_keeps_the_recipes_precision(trained, tmp_path):
    """`--device cpu` reads a run of one's own CPU as it was trained, whatever this CPU would choose."""
    run = shutil.copytree(trained, tmp_path / "run")
    for name in ("recipe.toml", "run.json"):
        text = (run / name).read_text()
        for other in ("auto", "bf16"):
            text = text.replace(f'precision = "{other}"', 'precision = "fp32"')
            text = text.replace(f'"precision": "{other}"', '"precision": "fp32"')
        (run / name).write_text(text)
    without_checksums(run / "run.json")
    read = read_run(run)
    _, engine = load_network(read, read.result()["weights_sha256"], "cpu")

    assert "fp32" == engine.precision


def test_a_model_is_not_judged_on_other_classes(tmp_path, toy):
    """Other sides and other classes are refused in words, and nothing is written."""
    with raises_naming(ModelError, "48 pixels"):
        evaluate_on("pocket", toy, tmp_path / "told.csv")
    with writing_dataset(tmp_path / "two", side=48, labels=("cat", "dog")) as writer:
        for split in ("train", "val", "test"):
            writer.add(bytes(48 * 48), label="cat", split=split, source="none")
        writer.finish({"kind": "none", "files": {}})
    with raises_naming(ModelError, "cat", "dog"):
        evaluate_on("pocket", tmp_path / "two", tmp_path / "told.csv")
    assert not (tmp_path / "told.csv").exists()


def test_a_run_trained_without_test_is_judged_where_test_is(tmp_path, toy):
    """A data set with the same train and val is the run's own; one with another val face is not."""
    whole = read_dataset(toy).whole()

    def copied(name: str, splits: tuple[str, ...], changed: str = "") -> Path:
        with writing_dataset(tmp_path / name, side=16, labels=LABELS) as writer:
            for row, split in enumerate(whole.table["split"]):
                if split in splits:
                    pixels = bytes(256) if whole.table["id"][row] == changed else whole.images[row].tobytes()
                    writer.add(pixels, label=whole.table["label"][row], split=split, source=name)
            writer.finish({"kind": name, "files": {}})
        return tmp_path / name

    blind = copied("blind", ("train", "val"))
    first_of_val = str(whole.table["id"][whole.table["split"] == "val"][0])
    other = copied("other", ("train", "val", "test"), changed=first_of_val)
    run = train(RECIPE, read_dataset(blind).development(), tmp_path / "run").folder

    assert 35 == len(evaluate(run, split="test", data=toy))
    shutil.rmtree(run)
    run = train(RECIPE, read_dataset(blind).development(), tmp_path / "run").folder
    with pytest.raises(RunError):
        evaluate(run, split="test", data=other)
    assert [] == read_run(run).openings()


def test_no_test_split_is_opened_beside_a_run_that_is_wrong(run, tmp_path):
    """Every run is checked before the first is evaluated: a typing error in the last one opens nothing."""
    with raises_naming(RunError, "bogus"):
        list(evaluate_all([run, tmp_path / "bogus"], splits=("val", "test")))
    assert [] == read_run(run).openings()
    (moved := shutil.copytree(run, tmp_path / "other")).joinpath("weights.safetensors").write_bytes(b"")
    with raises_naming(RunError, "weights.safetensors"):
        list(evaluate_all([run, moved], splits=("test",)))
    assert [] == read_run(run).openings()
    assert [split for _, split, _ in evaluate_all([run], splits=("val", "test"))] == ["val", "test"]
    assert len(read_run(run).openings()) == 1


def test_predictions_cut_alike_are_told(run):
    """Tables of older runs have no checksum; a run knows how many faces a split has."""
    evaluate(run, split="test")
    table = run / "predictions-test.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-5]))
    with raises_naming(DataError, "predictions-test.csv"):
        read_run(run).predictions("test")
    (run / "predictions-test.csv.sha256").unlink()
    with raises_naming(RunError, "predictions-test.csv", "30 faces"):
        read_run(run).predictions("test")
