import json
import re
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import train_toy, write_toy
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from test_cli import mien
from torch import nn

from mien import recipe
from mien.dataset import read_dataset, writing_dataset
from mien.errors import ModelError, RunError, Stopped, StorageError
from mien.evaluate import evaluate, load_network
from mien.export import export
from mien.export.calibrate import ANSWERED, COLDEST, HOTTEST, calibrated, temperature, threshold, unlearned
from mien.folds import Fold
from mien.info import info
from mien.judge import ece, judge, log_loss
from mien.labels import LABELS
from mien.model import read_model
from mien.networks import build
from mien.networks.engine import Engine, probabilities
from mien.networks.graph import Reader, onnx_graph
from mien.predictions import read_predictions
from mien.reading import unsealed
from mien.recipe import TTA, read_recipe
from mien.run import read_run
from mien.train import train

PLAIN = Engine("cpu", "fp32", "channels-first", 1)
NETWORKS = {
    "cnn": (recipe.CNN(channels=(4, 8), hidden=8), 17),
    "densenet": (recipe.DenseNet(layers=(1, 2), growth_rate=(4,)), 33),
    "post": (
        recipe.DenseNet(layers=(2,), growth_rate=(4,), activation="post", stem_pool=False, se_ratio=0.5),
        20,
    ),
    "residual": (recipe.DenseNet(layers=(2, 1), growth_rate=(4,), connection="add", drop_path=0.5), 16),
    "resnet": (recipe.ResNet(layers=(1, 1), width=4, block="bottleneck"), 32),
    "face-resnet": (recipe.FaceResNet(), 24),
    "efficientnet-lite": (recipe.EfficientNetLite(upsample=1), 33),
}
VIEWS = [TTA(), TTA(flip=True), TTA(flip=True, shift=2)]


@pytest.fixture(scope="module")
def second_run(toy, tmp_path_factory):
    """Another seed of the toy run."""
    return train_toy(toy, tmp_path_factory.mktemp("runs") / "toy-densenet-s1", seed=1)


def network_of(options, side: int) -> nn.Module:
    """A network with random weights whose norms do something."""
    torch.manual_seed(0)
    network = build(options, side=side, classes=7).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias)
    return network


def answers(graph: bytes, images: np.ndarray) -> np.ndarray:
    """What onnxruntime reads with a graph's bytes."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"faces": images[:, None]})[0]


def beside(path) -> set[str]:
    """The names of the files in a model file's folder."""
    return {file.name for file in path.parent.iterdir()}


@pytest.mark.parametrize("tta", VIEWS, ids=["once", "mirror", "shift"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_answers_as_torch_does(name, tta):
    """Each kind of network, of odd and even sides, read once or in several views, gives the same to 1e-5."""
    options, side = NETWORKS[name]
    network = network_of(options, side)
    graph = onnx_graph(Reader([network], classes=7, tta=tta, temperature=0.7), side)
    images = np.random.default_rng(0).integers(0, 256, (5, side, side), np.uint8)
    views = {"flip": tta.flip, "shift": tta.shift}
    wanted = calibrated(probabilities(network, torch.from_numpy(images), PLAIN, **views), 0.7)

    assert np.abs(answers(graph, images) - wanted).max() < 1e-5
    assert np.abs(answers(graph, images[:1]) - wanted[:1]).max() < 1e-5


def test_the_graph_has_onnx_s_own_operators_and_folds_norms():
    """A convolution with its norm behind it is one operator, and nothing needs more than opset 17."""
    options, side = NETWORKS["post"]
    reader = Reader([network_of(options, side)], classes=7, tta=VIEWS[2], temperature=1.5)
    graph = onnx.load_from_string(onnx_graph(reader, side))

    onnx.checker.check_model(graph, full_check=True)
    assert [("", 17)] == [(opset.domain, opset.version) for opset in graph.opset_import]
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}


def test_an_export_says_of_val_what_its_run_said(toy, toy_run, toy_model):
    """But for bf16's rounding and the temperature, the file gives the run's predictions."""
    model, val = read_model(toy_model), read_dataset(toy).development().val
    told = evaluate(shutil.copytree(toy_run, toy_model.parent / "copy"))
    probs = model.probabilities(val.images)

    assert np.abs(calibrated(told.probs, model.temperature) - probs).max() < 0.05
    assert np.mean(probs.max(1) >= model.threshold) >= ANSWERED
    shutil.rmtree(toy_model.parent / "copy")


@pytest.mark.parametrize("int8", [False, True])
def test_a_model_can_be_exported_with_another_prior(toy, toy_run, tmp_path, int8):
    """The graph itself answers as Bayes' rule says, states its prior, and can be brought back to train's."""
    prior = dict.fromkeys(LABELS, 0.1) | {"happy": 0.4}
    images = read_dataset(toy).development().val.images
    plain = export([toy_run], tmp_path / "plain.onnx", int8=int8)
    other = export([toy_run], tmp_path / "other.onnx", int8=int8, prior=prior)
    expected = plain.with_prior(prior).probabilities(images)

    assert other.prior == other.graph_prior == pytest.approx([prior[label] for label in other.labels])
    assert np.allclose(expected, other.probabilities(images), atol=1e-5)
    assert np.allclose(
        plain.probabilities(images), other.with_prior("train").probabilities(images), atol=1e-5
    )
    assert "happy 40.0%" in other.card
    assert "prior" not in plain.card


def test_the_same_runs_give_the_same_bytes(toy_run, toy_model, tmp_path):
    """Nothing of the time or the place gets into the file."""
    again = export([toy_run], tmp_path / "toy.onnx", licence="CC0-1.0")

    assert toy_model.read_bytes() == again.path.read_bytes()
    assert {"toy.onnx"} == beside(again.path)


def test_an_ensemble_is_the_calibrated_mean_of_its_runs(toy, toy_run, second_run, tmp_path):
    """Two runs read together as one graph: mean first, temperature then."""
    images = read_dataset(toy).development().val.images
    both = export([toy_run, second_run], tmp_path / "both.onnx")
    runs = [read_run(folder) for folder in (toy_run, second_run)]
    networks = [load_network(run, run.result()["weights_sha256"], "cpu")[0] for run in runs]
    each = [probabilities(n, torch.from_numpy(images), PLAIN, flip=True) for n in networks]
    wanted = calibrated(np.mean(each, axis=0), both.temperature)

    assert np.abs(wanted - both.probabilities(images)).max() < 1e-5
    assert [0, 1] == [run["seed"] for run in both.runs]
    assert "2 networks, whose mean is taken" in both.card


def test_mirror_or_once_is_the_user_s_choice(toy, toy_run, tmp_path):
    """--once reads a face alone, so it differs from its mirror picture; with --mirror both are the same."""
    images = read_dataset(toy).development().val.images
    mirror, once = (export([toy_run], tmp_path / "model.onnx", mirror=mirror) for mirror in (True, False))
    flipped = np.ascontiguousarray(images[:, :, ::-1])

    assert np.allclose(mirror.probabilities(images), mirror.probabilities(flipped), atol=1e-6)
    assert not np.allclose(once.probabilities(images), once.probabilities(flipped), atol=1e-4)
    assert not once.reading["mirror"]
    assert "each once" in info(once.path)


def test_nothing_is_written_where_torch_says_something_else(toy_run, toy_model, tmp_path, monkeypatch):
    """A difference above 1e-5 leaves no file, and an earlier one as it was."""
    old = shutil.copy(toy_model, tmp_path / "old.onnx")
    before = old.read_bytes()
    monkeypatch.setattr("mien.export.calibrated", lambda probs, heat: calibrated(probs, heat * 1.001))
    for name in ("old.onnx", "new.onnx"):
        with pytest.raises(ModelError):
            export([toy_run], tmp_path / name)

    assert {"old.onnx"} == beside(old)
    assert before == old.read_bytes()


def test_a_stopped_export_leaves_nothing(toy_run, tmp_path):
    """Ctrl-C between two batches ends it."""
    from mien.progress import TerminalCounting

    with pytest.raises(Stopped):
        export([toy_run], tmp_path / "toy.onnx", progress=TerminalCounting(stop=lambda: True))

    assert [] == list(tmp_path.iterdir())


def test_what_is_no_run_to_export_is_told(toy, toy_run, toy_model, tmp_path):
    """A foreign file, a fold, a run twice, other data, other views and a run that is not complete."""
    data = read_dataset(toy)
    small = read_recipe("quick-cnn", ("network.channels=4", "network.hidden=4", "training.epochs=1"))
    fold = train(small, data.development(Fold(1, 3)), tmp_path / "fold").folder
    once = train_toy(toy, tmp_path / "once", "tta.flip=false", "training.epochs=1")
    other = train_toy(write_toy(tmp_path / "faces", copies=3), tmp_path / "other", "training.epochs=1")
    with pytest.raises(Stopped):
        longer = read_recipe("quick-cnn", ("network.channels=4", "network.hidden=4", "training.epochs=2"))
        train(longer, data.development(), tmp_path / "begun", stop=lambda: True)
    refusals = {
        (): "there is no run to export",
        (toy_model,): "toy.onnx: a file; what is exported are the folders of runs",
        (fold,): "fold 1 of 3 of a cross-validation has learned from val or not from all of train",
        (toy_run, toy_run): "the same weights are given twice",
        (toy_run, other): "other: trained on other data than",
        (toy_run, once): "these runs differ in test-time augmentation; give --mirror or --once",
        (tmp_path / "begun",): "training is not complete",
        (tmp_path / "gone",): "gone: not a mien run",
    }
    for runs, message in refusals.items():
        with pytest.raises((ModelError, RunError), match=message):
            export(runs, tmp_path / "out.onnx")

    assert not (tmp_path / "out.onnx").exists()


def test_a_place_that_would_lose_something_is_refused(toy_run, tmp_path):
    """Only a model is replaced, only a file named .onnx is made, and only where there is a folder."""
    (tmp_path / "foreign.onnx").write_bytes(b"precious")
    for name, message in {
        "foreign.onnx": "exists and is no model of mien's",
        "model.pt": "a model file's name ends in .onnx",
        "gone/model.onnx": "gone: no such folder",
    }.items():
        with pytest.raises(StorageError, match=message):
            export([toy_run], tmp_path / name)

    assert b"precious" == (tmp_path / "foreign.onnx").read_bytes()


def test_data_that_moved_is_found_and_other_data_refused(toy, toy_run, toy_model, tmp_path):
    """--data says where the faces lie now; they must be those that were trained on."""
    moved = shutil.copytree(toy, tmp_path / "moved")
    told = export([toy_run], tmp_path / "toy.onnx", data=moved, licence="CC0-1.0")

    assert toy_model.read_bytes() == told.path.read_bytes()
    with pytest.raises(RunError):
        export([toy_run], tmp_path / "new.onnx", data=write_toy(tmp_path / "other", copies=9))


def test_eight_bits_keep_most_answers_at_a_fraction_of_the_size(toy, toy_run, toy_model, tmp_path):
    """The networks become smaller, nothing needs other operators, and the same run gives the same bytes."""
    images = read_dataset(toy).development().val.images
    first, again = (export([toy_run], tmp_path / "int8.onnx", int8=True) for _ in range(2))
    exact = read_model(toy_model).probabilities(images)
    kinds = [node.op_type for node in onnx.load(first.path).graph.node]

    assert np.mean(first.probabilities(images).argmax(1) == exact.argmax(1)) > 0.9
    assert np.abs(first.probabilities(images) - exact).max() < 0.2
    assert 0 < np.abs(first.probabilities(images) - exact).max()
    assert kinds.count("QuantizeLinear") > kinds.count("Conv")
    assert "int8" == first.reading["precision"]
    assert "## Eight bits" in first.card
    assert first.sha256 == again.sha256


def test_eight_bits_that_cost_too_much_are_refused(toy_run, tmp_path, monkeypatch):
    """Where val's accuracy falls by more than half a point no file is written."""
    monkeypatch.setattr("mien.export.quantized", lambda graph, images: blind(graph))
    with pytest.raises(ModelError):
        export([toy_run], tmp_path / "int8.onnx", int8=True)

    assert [] == list(tmp_path.iterdir())


def blind(graph: bytes) -> bytes:
    """A graph whose convolutions see nothing."""
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))
    return model.SerializeToString()


class Sure(nn.Module):
    """A network that is surer than numbers of 32 bits can say."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits so far apart that a probability is 0."""
        return torch.tensor([[0.0, -60.0, -200.0]]).repeat(len(x), 1)


def test_a_network_that_is_too_sure_is_calibrated_alike_in_the_graph():
    """Where probabilities are 0 or nearly so, the graph gives them the least one that calibration knows, too."""
    reader = Reader([Sure()], classes=3, tta=TTA(flip=False), temperature=5.0)
    said = Sure()(torch.zeros(2)).softmax(1).numpy()

    assert np.allclose(calibrated(said, 5.0), reader(torch.zeros(2, 1, 16, 16, dtype=torch.uint8)), atol=1e-6)


def test_the_card_tells_what_a_reader_must_know(toy, toy_run, toy_model, tmp_path):
    """Uses that are forbidden, limits, data, recipe, figures with their intervals, calibration and licence."""
    card = read_model(toy_model).card
    told = evaluate(shutil.copy(toy_model, tmp_path), data=toy)
    accuracy = judge([told]).scores["accuracy"]
    shown = f"{100 * accuracy.point:.1f} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
    plain = calibrated(told.probs, 1 / read_model(toy_model).temperature)
    losses, errors = (
        [score(told.labels, probs) for probs in (plain, told.probs)] for score in (log_loss, ece)
    )

    assert "Art. 5(1)(f)" in card
    assert "not what a person feels" in card
    assert read_dataset(toy).info.fingerprint in card
    assert f"| accuracy % | {shown} |" in card
    assert all(f"| {label} | 5 |" in card for label in told.classes)
    assert "Test was not opened for this file" in card
    assert f"temperature of {read_model(toy_model).temperature:g}" in card
    assert losses[0] > losses[1] + 0.001
    assert "{:.3f} before and {:.3f} after; ECE {:.3f} and {:.3f}.".format(*losses, *errors) in card
    assert 'name = "toy-densenet"' in card
    assert "CC0-1.0." in card
    assert card in info(toy_model) + "\n"
    assert not re.search(r"None|nan|\{|\}", card.partition("```toml")[0] + card.rpartition("```")[2])


def test_the_card_of_rendered_faces_says_that_they_measure_nothing(toy, tmp_path):
    """Whoever reads figures on rendered faces reads beside them what they are worth."""
    faces = shutil.copytree(toy, tmp_path / "faces")
    told = unsealed(json.loads((faces / "dataset.json").read_text()))
    told["origin"]["kind"] = "rendered"
    (faces / "dataset.json").write_text(json.dumps(told))
    model = export([train_toy(faces, tmp_path / "run", "training.epochs=1")], tmp_path / "model.onnx")

    assert "no measure of performance on people" in model.card


def test_folders_of_the_machine_stay_out_of_the_file(toy, toy_run, tmp_path):
    """Of the weights that a run started from only the file's name is told."""
    weights = toy_run / "weights.safetensors"
    run = train_toy(toy, tmp_path / "run", f"network.pretrained={weights}", "training.epochs=1")
    model = export([run], tmp_path / "model.onnx")

    assert str(tmp_path.parent).encode() not in model.path.read_bytes()
    assert 'pretrained = "weights.safetensors"' in model.card
    assert "faces that those weights had learned flatter its figures" in model.card


def test_a_model_file_is_judged_and_opens_test_once(toy, toy_model, tmp_path):
    """Tables lie beside the file; the opening is recorded with the graph; a second call reads the table."""
    model = read_model(shutil.copy(toy_model, tmp_path / "m.onnx"))
    val = evaluate(model.path, data=toy)
    assert {"m.onnx", "m.predictions-val.csv", "m.predictions-val.csv.sha256"} == beside(model.path)

    first = evaluate(model.path, split="test", data=toy)
    again = evaluate(model.path, split="test")
    openings = [json.loads(line) for line in (tmp_path / "m.openings.jsonl").read_text().splitlines()]
    images = read_dataset(toy).development().val.images

    assert np.allclose(val.probs, model.probabilities(images), atol=1e-6)
    assert [("test", model.graph_sha256)] == [(o["split"], o["graph_sha256"]) for o in openings]
    assert model.data["fingerprint"] == openings[0]["data_fingerprint"]
    assert np.allclose(first.probs, again.probs, atol=1e-8)
    assert 2 == np.sum(~again.clean)
    assert np.array_equal(again.ids, read_predictions(tmp_path / "m.predictions-test.csv").ids)


def test_exported_again_a_model_has_its_test_figures(toy, toy_run, tmp_path):
    """The graph stays the same, so what was found with it stands in the card, whole and clean."""
    before = export([toy_run], tmp_path / "toy.onnx")
    evaluate(before.path, split="test", data=toy)
    after = export([toy_run], tmp_path / "toy.onnx")

    assert "Test was not opened" in before.card
    assert "Test was not opened" not in after.card
    assert "|  | val | test | test, clean |" in after.card
    assert before.graph_sha256 == after.graph_sha256
    assert evaluate(after.path, split="test").ids.size == 35


def test_figures_of_another_graph_are_not_taken(toy, toy_run, tmp_path):
    """A model made anew under an old name has not opened test, and a broken-off opening leaves no table to mistake."""
    evaluate(export([toy_run], tmp_path / "m.onnx").path, split="test", data=toy)
    once = export([toy_run], tmp_path / "m.onnx", mirror=False)
    assert "Test was not opened" in once.card
    with raises_naming(ModelError, "--data"):
        evaluate(once.path, split="test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.evaluate.predictions_of", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate(once.path, split="test", data=toy)

    assert 2 == len((tmp_path / "m.openings.jsonl").read_text().splitlines())
    assert not (tmp_path / "m.predictions-test.csv").exists()
    assert "Test was not opened" in export([toy_run], tmp_path / "m.onnx", mirror=False).card


def test_a_model_is_judged_on_its_own_data_alone(toy, toy_model, tmp_path):
    """Other faces are refused before test is opened."""
    path = shutil.copy(toy_model, tmp_path / "m.onnx")
    with raises_naming(RunError, "m.onnx"):
        evaluate(path, split="test", data=write_toy(tmp_path / "other", copies=4))

    assert not (tmp_path / "m.openings.jsonl").exists()


def test_the_command_exports_a_run_and_leaves_it_as_it_is(toy_run, toy_model, tmp_path):
    """`mien export RUN --out FILE` makes the same file as `export`, and says what it is."""
    before = {file: file.read_bytes() for file in toy_run.iterdir()}
    made = mien("export", toy_run, "--out", "toy.onnx", "--licence", "CC0-1.0", cwd=tmp_path)

    assert 0 == made.returncode, made.stderr
    assert "toy.onnx: model toy, " in made.stdout
    assert toy_model.read_bytes() == (tmp_path / "toy.onnx").read_bytes()
    assert before == {file: file.read_bytes() for file in toy_run.iterdir()}


def drawn(seed: int, heat: float, faces: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and what a network too sure of itself by `heat` says of them."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(5, 0.7), faces) * 0.98 + 0.004
    labels = (rng.random((faces, 1)) > truth.cumsum(1)).sum(1).clip(max=4)
    return labels, calibrated(truth, 1 / heat)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), heat=st.floats(0.3, 3))
def test_the_temperature_undoes_how_much_too_sure_a_network_is(seed, heat):
    """It is found to a tenth, log loss is least there, and no answer changes."""
    labels, probs = drawn(seed, heat)
    found = temperature(labels, probs)
    losses = [log_loss(labels, calibrated(probs, found * factor)) for factor in (0.98, 1, 1.02)]

    assert found == pytest.approx(heat, rel=0.1)
    assert min(losses) == losses[1]
    assert np.array_equal(probs.argmax(1), calibrated(probs, found).argmax(1))


def test_a_temperature_that_has_no_end_stops_at_its_bounds():
    """All read rightly: as sure as can be. Read by chance or worse: as unsure as can be."""
    probs = np.array([[0.9, 0.1], [0.2, 0.8]])

    assert COLDEST == temperature(np.array([0, 1]), probs)
    assert HOTTEST == temperature(np.array([1, 0]), probs)
    assert HOTTEST == temperature(np.array([0, 1]), np.full((2, 2), 0.5))
    assert np.all(np.isfinite(calibrated(np.array([[1.0, 0.0], [0.0, 1.0]]), COLDEST)))


@given(
    sure=st.lists(st.floats(0.2, 1), min_size=1, max_size=60),
    share=st.floats(0.05, 1),
)
def test_the_threshold_answers_the_share_that_is_asked_for(sure, share):
    """At least so many faces are answered, and with a threshold a little higher it would be fewer."""
    probs = np.array([[p, 1 - p] for p in sure])
    highest = probs.max(1)
    found = threshold(probs, share)

    assert np.mean(highest >= found) >= share
    assert np.mean(highest > found + 1e-4) < share


def test_faces_that_were_learned_do_not_calibrate(tmp_path):
    """A copy of a train face in val changes neither temperature nor threshold, and stands in the figures."""
    plain = write_toy(tmp_path / "plain")
    found = {}
    for name, faces in {"plain": plain, "copies": with_copies(plain, tmp_path / "copies")}.items():
        run = train_toy(faces, tmp_path / f"run-{name}")
        found[name] = export([run], tmp_path / f"{name}.onnx")

    assert found["plain"].temperature == found["copies"].temperature
    assert found["plain"].threshold == found["copies"].threshold
    assert "| faces | 42 | 35 |" in found["copies"].card
    assert "found on the 35 clean faces of val" in found["copies"].card


def with_copies(source, target):
    """The toy data set with seven train faces copied into val."""
    data = read_dataset(source)
    with writing_dataset(target, side=data.info.side, labels=data.info.labels) as writer:
        table, images = data.whole().table, data.whole().images
        rows = [*enumerate(table["split"]), *((row, "val") for row in range(7))]
        for row, split in rows:
            label = table["label"][row]
            writer.add(images[row].tobytes(), label=label, split=split, source=f"{split} {row}")
        writer.finish({"kind": "toy", "files": {}})
    return target


def test_no_clean_face_is_no_reason_to_stop():
    """Where every face of val was learned from, all calibrate."""
    assert [True, True] == unlearned(np.array([False, False])).tolist()
    assert [True, False] == unlearned(np.array([True, False])).tolist()


def test_by_default_85_percent_of_the_faces_are_answered():
    """Of a hundred faces fifteen are uncertain."""
    probs = np.array([[p, 1 - p] for p in np.linspace(0.5, 1, 100)])

    assert 85 == np.sum(probs.max(1) >= threshold(probs))
