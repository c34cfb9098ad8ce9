import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_models import ATTACKS, forged, small_graph
from onnx import TensorProto, helper
from refusals import raises_naming

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
    with pytest.raises(DataError):
        model.probabilities(odd)


def test_a_file_that_is_not_there_is_told(tmp_path):
    """A path that leads nowhere and a name that nothing ships under end in one line."""
    with raises_naming(ModelError, "gone.onnx"):
        read_model(tmp_path / "gone.onnx")
    with raises_naming(ModelError, "pokcet"):
        read_model("pokcet")


def test_models_that_ship_go_by_name(toy_model, tmp_path, monkeypatch):
    """A name finds the file in the package's folder of weights."""
    monkeypatch.setattr("mien.reading.resources.files", lambda package: tmp_path)
    (tmp_path / "weights").mkdir()
    shutil.copy(toy_model, tmp_path / "weights" / "small.onnx")

    assert ["small"] == list(shipped_models())
    assert "toy" == read_model("small").name
    with raises_naming(ModelError, "smal", "small"):
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

    with raises_naming(ModelError, "short.onnx"):
        read_model(path)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_file_with_a_changed_byte_is_refused(toy_model, share, flip):
    """Whichever byte was changed, in the graph or in the metadata, the file is not read."""
    data = bytearray(toy_model.read_bytes())
    data[int(share * len(data))] ^= flip
    path = toy_model.with_name("changed.onnx")
    path.write_bytes(data)

    with raises_naming(ModelError, "changed.onnx"):
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


@pytest.mark.parametrize("attack", ATTACKS)
def test_only_canonical_graphs_of_onnxs_own_operators_are_read(toy_model, tmp_path, attack):
    """What protobuf may take otherwise, runs more than a graph or opens files is refused, its checksum being right."""
    path = tmp_path / "odd.onnx"
    path.write_bytes(forged(ATTACKS[attack], told_of(toy_model)))

    with pytest.raises(ModelError) as refusal:
        read_model(path)
    assert str(path) in str(refusal.value)
    assert not {"\n", "onnxruntime"} & {*str(refusal.value).split(" "), *str(refusal.value)}


@pytest.mark.parametrize(
    "attack",
    [f"hidden {what}" for what in ("node", "attribute", "subgraph", "domain", "function", "location")]
    + ["location of 33 bits", "graph twice"],
)
def test_the_attacks_are_real(attack):
    """Unknown fields are nothing to onnxruntime, but it does read what a reader of all bits takes for such."""
    onnxruntime.InferenceSession(ATTACKS["unknown field"], providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        onnxruntime.InferenceSession(ATTACKS[attack], providers=["CPUExecutionProvider"])


def test_a_forged_file_without_an_attack_is_read(toy_model, images, tmp_path):
    """What the attacks change is all that is wrong with them."""
    path = tmp_path / "plain.onnx"
    path.write_bytes(forged(small_graph(), told_of(toy_model)))

    assert np.allclose(1 / 7, read_model(path).probabilities(images))


ODD_METADATA = {
    "labels": (
        *(
            "null",
            "3",
            "[]",
            '["a"]',
            '["a", "a"]',
            '[["a"], ["b"]]',
            '["a", null]',
            '{"a": 1}',
            "[" * 100_000,
        ),
        *('["", "b"]', '["a ", "b"]', '["\\u001b[2J", "b"]', '["a\\nb", "b"]', '["\\ud800", "b"]', "labels"),
        *(json.dumps([*LABELS[:6], "\u202eneutral"]), json.dumps(list(LABELS[:6]))),
    ),
    "side": ("null", "0", "-16", "16.0", "1e99", "[16]", "true", "9" * 5000, "many"),
    "crop": (
        *("null", "{}", "[]", "{", '{"marks": [], "template": null, "upright": 15}'),
        *(
            '{"marks": ["a"], "template": [[0]], "upright": 15}',
            '{"marks": ["a"], "template": [], "upright": 15}',
        ),
        '{"marks": ["a"], "template": [[0, NaN]], "upright": 15}',
    ),
    "temperature": ("null", "0", "-1", "NaN", "Infinity", '"1"', "1e999"),
    "threshold": ("null", "NaN", "nan", "-Infinity", "2", "-0.1", "1e999", "true", ""),
    "data": ("null", "{}", "[]", '{"fingerprint": null}'),
    "runs": (
        "null",
        "{}",
        "[]",
        "[{}]",
        "[null]",
        '[{"name": 1, "seed": 0, "recipe": "", "weights_sha256": ""}]',
    ),
    "reading": ("null", "{}", "[]", '{"mirror": 1, "shift": 0, "precision": "fp32"}'),
    "name": ("\x1b]0;x\x07", "a\nb", "a\x9bb"),
    "licence": ("\x1b[31m", "MIT\r", "\u2066x"),
    "card": ("# a\n\x1b[2J", "\x00"),
}


@pytest.mark.parametrize(
    ("key", "text"), [(key, text) for key, texts in ODD_METADATA.items() for text in texts]
)
def test_metadata_of_another_type_is_told(refused, key, text):
    """Whatever the metadata says, one line names the key, and nothing of it is a control character."""
    message = refused(small_graph(), told={f"mien.{key}": text})

    assert f"mien.{key}" in message or key == "labels"
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("key", ["name", *ODD_METADATA])
def test_metadata_that_is_missing_is_told(toy_model, tmp_path, key):
    """A file without one of the keys is damaged."""
    path = tmp_path / "odd.onnx"
    metadata = told_of(toy_model)
    del metadata[f"mien.{key}"]
    path.write_bytes(forged(small_graph(), metadata))

    with pytest.raises(ModelError, match=rf"mien\.{key} is missing"):
        read_model(path)


def ending(*nodes, weights: float = 0.0) -> bytes:
    """A small graph with other nodes behind its logits, and with these weights."""
    tensor = helper.make_tensor("zeros", TensorProto.FLOAT, [256, 7], np.full(1792, weights))
    before = [
        helper.make_node("Cast", ["faces"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "zeros"], ["logits"]),
    ]
    return small_graph(nodes=[*before, *nodes], initializer=[tensor])


def softmax(source: str = "logits", target: str = "probabilities"):
    """The node that makes probabilities."""
    return helper.make_node("Softmax", [source], [target])


FAILING = {
    "nan": ending(softmax(), weights=np.nan),
    "no softmax": ending(helper.make_node("Identity", ["logits"], ["probabilities"])),
    "negative": ending(softmax(target="p"), helper.make_node("Neg", ["p"], ["probabilities"])),
    "too many rows": ending(
        softmax(target="p"), helper.make_node("Concat", ["p", "p"], ["probabilities"], axis=0)
    ),
    "fails when it runs": ending(
        helper.make_node("Size", ["flat"], ["many"]),  # 256 is no row of seven
        helper.make_node("Gather", ["logits", "many"], ["row"], axis=1),
        helper.make_node("Add", ["row", "logits"], ["sum"]),
        softmax("sum"),
    ),
}


@pytest.mark.parametrize("graph", FAILING.values(), ids=FAILING)
def test_a_graph_that_fails_or_gives_no_probabilities_is_told(refused, graph):
    """It is run on one face when the file is read, so a server does not begin with such a model."""
    assert "its graph" in refused(graph)


def test_weights_alone_are_told_from_a_model(toy_run, tmp_path):
    """A run's weights, and what torch saves, are told to be exported."""
    for path in (toy_run / "weights.safetensors", tmp_path / "odd.pt"):
        if not path.exists():
            torch.save({}, path)
        with pytest.raises(ModelError):
            read_model(path)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A pipe, a device and a folder end in one line, at once."""
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    (tmp_path / "folder.onnx").mkdir()

    for name in ("pipe", "zero", "folder"):
        with pytest.raises(ModelError):
            read_model(tmp_path / f"{name}.onnx")


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


def test_a_domain_that_a_file_names_is_one_short_line_without_control_characters(toy_model, tmp_path):
    """Operators of a domain with a line's end, an escape and 300 letters: refused in one line that shows neither."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(toy_model)
    graph.opset_import.append(onnx.helper.make_opsetid("a\n\x1b[31m" + "b" * 300, 1))
    path = tmp_path / "foreign.onnx"
    path.write_bytes(graph.SerializeToString(deterministic=True))

    with pytest.raises(ModelError) as refused:
        read_model(path)

    message = str(refused.value).replace(str(path), "")
    assert message.isprintable()
    assert len(message) < 250
