import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import mien.faces.finder
from mien.dataset import read_dataset
from mien.errors import DataError, ModelError
from mien.faces import MARKS, TEMPLATE, UPRIGHT
from mien.labels import LABELS
from mien.model import facts, read_model, shipped_models, summary
from mien.model.onnx_file import CHECKSUM, NotOnnx, read_onnx, with_metadata


@pytest.fixture(scope="module")
def model(toy_model):
    """The toy model, read on one thread."""
    return read_model(toy_model, threads=1)


@pytest.fixture(scope="module")
def images(toy):
    """The toy data set's val faces, uint8 (35, 16, 16)."""
    return read_dataset(toy).development().val.images


def small_graph(*, nodes=None, takes=TensorProto.UINT8, name="faces", gives=7, fixed=None, **more) -> bytes:
    """A graph that says the same of every face of 16 pixels, and what else is asked of it."""
    shape = [fixed or "N", 1, 16, 16]
    zeros = helper.make_tensor("zeros", TensorProto.FLOAT, [256, gives], np.zeros(256 * gives))
    nodes = nodes or [
        helper.make_node("Cast", [name], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "zeros"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, takes, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [fixed or "N", gives])],
        more.pop("initializer", [zeros]),
    )
    opsets = more.pop("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more).SerializeToString()


def told_of(path: Path) -> dict[str, str]:
    """What a model file's metadata holds but for the checksum."""
    told = read_onnx(path.read_bytes()).metadata
    return {key: text for key, text in told.items() if key != CHECKSUM}


@pytest.fixture
def refused(toy_model, tmp_path):
    """A function that reads bytes, or a graph with the toy model's metadata, and returns what is said of them."""

    def error_of(data: bytes, *, told: dict | None = None, bare: bool = False) -> str:
        path = tmp_path / "odd.onnx"
        path.write_bytes(data if bare else with_metadata(data, {**told_of(toy_model), **(told or {})}))
        with pytest.raises(ModelError) as caught:
            read_model(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    return error_of


def test_a_model_says_what_must_be_known_of_it(model, toy, toy_model):
    """Labels, side, crop, data, runs, licence and card come with the file, and no folder of the machine."""
    assert LABELS == model.labels
    assert (16, "toy", "CC0-1.0") == (model.side, model.name, model.licence)
    assert (TEMPLATE.tolist(), list(MARKS), UPRIGHT) == tuple(
        model.crop[key] for key in ("template", "marks", "upright")
    )
    assert 16 == model.crop["side"]
    assert read_dataset(toy).info.fingerprint == model.data["fingerprint"]
    assert [("toy-densenet", 0)] == [(run["name"], run["seed"]) for run in model.runs]
    assert {"mirror": True, "shift": 0, "precision": "fp32"} == model.reading
    assert 0 < model.threshold < 1
    assert model.card.startswith("# toy\n")
    assert hashlib.sha256(toy_model.read_bytes()).hexdigest() == model.sha256
    assert str(toy.parent).encode() not in toy_model.read_bytes()


def test_a_model_shows_itself_in_words(model, toy_model):
    """Summary, repr and the table of a notebook tell what it is; a repr is one line."""
    assert f"{toy_model}: model toy" in summary(model)
    assert "16 x 16 grey faces, each as the mean of itself and mirrored" in summary(model)
    assert "\n" not in repr(model)
    assert all(words in model._repr_html_() for name, words in facts(model))


def test_probabilities_are_float32_and_sum_to_one(model, images):
    """N faces give (N, C); no face gives (0, C)."""
    probs = model.probabilities(images)

    assert (np.float32, (35, 7)) == (probs.dtype, probs.shape)
    assert np.allclose(1, probs.sum(1), atol=1e-6)
    assert probs.min() >= 0
    assert (0, 7) == model.probabilities(images[:0]).shape


def test_a_face_alone_gets_the_answer_it_gets_among_others(model, images):
    """Batches of 1 and of 100 faces give the same to 1e-5."""
    many = np.tile(images, (3, 1, 1))[:100]
    alone = np.concatenate([model.probabilities(face[None]) for face in images])

    assert np.abs(model.probabilities(many)[:35] - alone).max() < 1e-5


@pytest.mark.parametrize(
    "odd",
    [
        np.zeros((1, 16, 16), np.float32),
        np.zeros((16, 16), np.uint8),
        np.zeros((1, 1, 16, 16), np.uint8),
        np.zeros((1, 48, 48), np.uint8),
    ],
)
def test_other_arrays_are_refused(model, odd):
    """Floats, a face without its axis and faces of another side are told, not guessed at."""
    with pytest.raises(DataError, match=r"toy reads faces uint8 \(N, 16, 16\), not"):
        model.probabilities(odd)


def test_a_file_that_is_not_there_is_told(tmp_path):
    """A path that leads nowhere and a name that nothing ships under end in one line."""
    with pytest.raises(ModelError, match=r"gone.onnx: cannot be read as a mien model \(No such file"):
        read_model(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match='no model "pokcet"'):
        read_model("pokcet")


def test_models_that_ship_go_by_name(toy_model, tmp_path, monkeypatch):
    """A name finds the file in the package's folder of weights."""
    monkeypatch.setattr("mien.shipped.resources.files", lambda package: tmp_path)
    (tmp_path / "weights").mkdir()
    shutil.copy(toy_model, tmp_path / "weights" / "small.onnx")

    assert ["small"] == list(shipped_models())
    assert "toy" == read_model("small").name
    with pytest.raises(ModelError, match='no model "smal", known are small; did you mean "small"?'):
        read_model("smal")


def test_another_onnx_file_is_told_from_a_model(refused):
    """The face detector that ships with mien is ONNX, but no model that says what it reads."""
    foreign = Path(mien.faces.finder.MODEL).read_bytes()

    assert "an ONNX file, but not a mien model" in refused(foreign, bare=True)
    assert "make one with mien export" in refused(foreign, bare=True)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_refused(toy_model, share):
    """Wherever a model file ends too early, it is not read."""
    data = toy_model.read_bytes()
    path = toy_model.with_name("short.onnx")
    path.write_bytes(data[: int(share * len(data))])

    with pytest.raises(ModelError, match=r"short\.onnx: "):
        read_model(path)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_file_with_a_changed_byte_is_refused(toy_model, share, flip):
    """Whichever byte was changed, in the graph or in the metadata, the file is not read."""
    data = bytearray(toy_model.read_bytes())
    data[int(share * len(data))] ^= flip
    path = toy_model.with_name("changed.onnx")
    path.write_bytes(data)

    with pytest.raises(ModelError, match=r"changed\.onnx: "):
        read_model(path)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_an_onnx_file_or_refused(data):
    """No bytes lead to another error than NotOnnx."""
    try:
        assert read_onnx(data).graph_sha256
    except NotOnnx as refusal:
        assert str(refusal)


def test_a_newer_format_is_told(refused):
    """A file of a later mien says what to do."""
    told = refused(small_graph(), told={"mien.format": "3"})

    assert "written in format 3 by a newer mien; this one reads up to format 2" in told


def test_an_older_format_is_told(refused):
    """A file of an earlier mien, whose crops were framed otherwise, is not read as if it were a new one."""
    told = refused(small_graph(), told={"mien.format": "1"})

    assert "written in format 1 by an older mien, which cut faces otherwise; export its run again" in told


def test_metadata_that_is_missing_or_wrong_is_told(refused):
    """Text where JSON or a number belongs is damage."""
    assert "a mien model is damaged here" in refused(small_graph(), told={"mien.side": "many"})
    assert "a mien model is damaged here" in refused(small_graph(), told={"mien.crop": "{"})


def test_weights_in_other_files_are_refused(refused, tmp_path):
    """A file whose weights lie elsewhere is not opened, nor are they."""
    tensor = helper.make_tensor("zeros", TensorProto.FLOAT, [256, 7], np.zeros(1792))
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"

    assert "holds weights in other files" in refused(small_graph(initializer=[tensor]))


def test_other_operators_than_onnx_s_own_are_refused(refused):
    """Whether they are announced, used or defined in the file."""
    node = helper.make_node("Gelu", ["faces"], ["probabilities"], domain="com.microsoft")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("org.example", 1)]
    function = helper.make_function("", "Mine", ["a"], ["b"], [], [helper.make_opsetid("", 17)])

    assert 'operators of "com.microsoft"' in refused(small_graph(nodes=[node]))
    assert 'operators of "org.example"' in refused(small_graph(opset_imports=opsets))
    assert "functions of its own" in refused(small_graph(functions=[function]))


def test_graphs_inside_the_graph_are_refused(refused):
    """Loops and branches have no place in a model."""
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node("If", ["faces"], ["probabilities"], then_branch=inner, else_branch=inner)

    assert "graphs inside its graph" in refused(small_graph(nodes=[node]))


@pytest.mark.parametrize(
    "odd", [{"name": "images"}, {"takes": TensorProto.FLOAT}, {"gives": 8}, {"fixed": 4}]
)
def test_a_graph_that_takes_or_gives_something_else_is_told(refused, odd):
    """Names, types and shapes are those of the metadata, and N is free."""
    assert "takes faces uint8 (N, 1, 16, 16) and gives" in refused(small_graph(**odd))


def test_a_graph_that_onnxruntime_cannot_read_is_told(refused):
    """An unknown operator ends in one error of ours."""
    node = helper.make_node("NoSuchOperator", ["faces"], ["probabilities"])

    assert "onnxruntime cannot read it" in refused(small_graph(nodes=[node]))


def test_a_plain_graph_with_metadata_is_a_model(toy_model, images, tmp_path):
    """What the refusals above change is all that is wrong with them."""
    path = tmp_path / "plain.onnx"
    path.write_bytes(with_metadata(small_graph(), told_of(toy_model)))

    assert np.allclose(1 / 7, read_model(path).probabilities(images))


@given(told=st.dictionaries(st.text(min_size=1), st.text()))
def test_metadata_is_read_as_it_was_written(told):
    """What is written is what we and what onnx's own library read, and the graph stays the same."""
    told = {f"mien.{key}": text for key, text in told.items() if key != "checksum"}
    graph = small_graph(gives=2)
    data = with_metadata(graph, told)
    ours, theirs = read_onnx(data), {e.key: e.value for e in onnx.load_from_string(data).metadata_props}

    assert {**told, CHECKSUM: ours.checksum} == ours.metadata == theirs
    assert read_onnx(graph).graph_sha256 == ours.graph_sha256
