from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from clip_faces import clip_set
from refusals import raises_naming
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from mien.audit import audit
from mien.cli import app
from mien.dataset import read_dataset, writing_dataset
from mien.distill import distill
from mien.errors import DataError, ModelError, RecipeError, RunError, Stopped
from mien.evaluate import evaluate, predictions_of_clips
from mien.export import export
from mien.folds import Fold
from mien.model import read_model
from mien.model.onnx_file import CHECKSUM, read_onnx, with_metadata, without_metadata
from mien.networks import build
from mien.networks.clip import ClipNetwork
from mien.networks.engine import choose_engine
from mien.networks.graph import exported
from mien.networks.graph_module import GraphModule
from mien.predictions import read_predictions
from mien.recipe import ClipHead, read_recipe
from mien.render import render_clips
from mien.train import train
from mien.train.clips import NONE, clips_of, collate

HEADS = ("frame", "mean", "attention", "gru", "tcn")
BRIEF = ("training.epochs=6", "training.batch_size=4", "network.width=8")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A data set of twelve drawn clips of six people."""
    return clip_set(tmp_path_factory.mktemp("clips") / "set")


@pytest.fixture(scope="module")
def engine():
    """One thread in fp32."""
    return choose_engine(device="cpu", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def run(clips, engine, tmp_path_factory):
    """A run of the recipe clip on them."""
    folder = tmp_path_factory.mktemp("runs") / "clip-s0"
    return train(read_recipe("clip", BRIEF), clips.development(), folder, engine=engine)


def network_of(head, features=5):
    """Return a fresh head on so many features."""
    torch.manual_seed(0)
    return ClipNetwork(ClipHead(head=head, width=4), features=features, classes=3).eval()


@pytest.mark.parametrize("head", HEADS)
@torch.inference_mode()
def test_a_state_carries_all_that_was_before(head):
    """Frames in two blocks, with the state between them, get the answers of one block; no later frame changes them."""
    network, features = network_of(head), torch.randn(2, 40, 5)
    gaps = torch.rand(2, 40) / 10
    frames, so_far, weights, _ = network(features, gaps)
    first = network(features[:, :25], gaps[:, :25])
    second = network(features[:, 25:], gaps[:, 25:], first[3])
    parts = [torch.cat(pair, 1) for pair in zip(first[:3], second[:3], strict=True)]

    for whole, part in zip((frames, so_far, weights), parts, strict=True):
        assert torch.allclose(whole, part, atol=1e-5)


def test_only_heads_that_remember_see_earlier_frames():
    """Another first frame changes later answers of every head but of the one that remembers nothing."""
    features, gaps = torch.randn(1, 12, 5), torch.full((1, 12), 0.04)
    other = features.clone()
    other[:, 0] += 1
    changed = {
        head: not torch.equal(
            network_of(head)(features, gaps)[0][:, -1], network_of(head)(other, gaps)[0][:, -1]
        )
        for head in HEADS
    }

    assert {head: head != "frame" for head in HEADS} == changed


def test_an_average_fades_by_seconds_and_not_by_frames():
    """A still face seen twice as often moves the mean as far in a second."""
    network = network_of("mean")
    first, then = torch.zeros(1, 1, 5), torch.ones(1, 1, 5)

    def after_a_second(rate):
        features = torch.cat([first.expand(1, rate, 5), then.expand(1, rate, 5)], 1)
        gaps = torch.full((1, 2 * rate), 1 / rate)
        inputs = network.inputs(features, torch.zeros_like(gaps))
        state = network.start(1)
        for frame in range(2 * rate):
            hidden, _, _, state = network.step(inputs[:, frame], gaps[:, frame], state)
        return hidden

    assert torch.allclose(after_a_second(50), after_a_second(100), atol=0.02)


def test_a_run_of_clips_learns_and_is_judged_by_frame_and_by_clip(run, clips):
    """Its tables hold the frames and the clips of val, grouped by person, and most are classified correctly."""
    frames = evaluate(run.folder)
    whole = read_predictions(run.folder / "clips-val.csv")

    assert len(clips.development().val) == len(frames)
    assert ["0-0", "0-1"] == whole.ids.tolist()
    assert 1 == len(set(whole.groups)) == len(set(frames.groups))
    assert (frames.probs.argmax(1) == frames.labels).mean() > 0.8


def test_a_stopped_run_ends_in_the_same_weights(run, clips, engine, tmp_path):
    """Training that is stopped and goes on gives the bytes of an undisturbed run, on features read back."""
    steps = iter(range(100))

    def stop():
        return next(steps) > 6  # some calls come from the features' batches

    recipe, folder = read_recipe("clip", BRIEF), tmp_path / "again"
    with pytest.raises(Stopped):
        train(recipe, clips.development(), folder, engine=engine, stop=stop)
    assert not (folder / "result.json").exists()
    again = train(recipe, clips.development(), folder, engine=engine)

    assert run.result()["weights_sha256"] == again.result()["weights_sha256"]


def test_an_exported_head_answers_frame_by_frame_as_the_run_does(run, clips, tmp_path):
    """One file, given a frame and the state at a time, says what the run says, calibrated, and has its card."""
    model = export([run.folder], tmp_path / "live.onnx")
    faces = clips.development().val
    frames, whole = predictions_of_clips(model, faces, "val")
    expected = evaluate(run.folder)

    assert model.state_size > 0
    assert (frames.probs.argmax(1) == expected.probs.argmax(1)).all()
    assert 2 == len(whole)
    assert "next_state" in model.card
    fresh = model.probabilities(faces.images)
    assert not np.allclose(fresh, frames.probs, atol=1e-3)  # a face alone is the first frame of a clip


def test_an_exported_head_refuses_what_is_no_state(run, tmp_path):
    """A state of another size is a DataError; two heads, or 8 bits, cannot be exported."""
    model = export([run.folder], tmp_path / "live.onnx")

    with pytest.raises(DataError):
        model.step(np.zeros((1, 48, 48), np.uint8), np.zeros(1), np.zeros((1, 3), np.float32))
    with pytest.raises(ModelError):
        export([run.folder], tmp_path / "int8.onnx", int8=True)
    with pytest.raises(DataError):
        read_model("pocket").step(np.zeros((1, 48, 48), np.uint8), np.zeros(1), np.zeros((1, 0), np.float32))


def test_no_person_and_no_clip_stands_in_two_folds(clips):
    """Dealt in folds, or one person at a time, all frames of a person are on one side."""
    for fold in (Fold(1, 2), Fold(2, 5, by_person=True)):
        data = clips.development(fold)
        assert not set(data.train.groups) & set(data.val.groups)
        assert not set(data.train.frames.clips) & set(data.val.frames.clips)
    assert 1 == len(set(clips.development(Fold(2, 5, by_person=True)).val.groups))
    assert 5 == clips.people_count(Fold(1, 1))
    with pytest.raises(DataError):
        clips.development(Fold(1, 4, by_person=True))


def test_leaving_one_subject_out_trains_a_run_a_person(clips, tmp_path):
    """`--folds subject` makes as many runs as there are people in train and val."""
    options = ["--folds", "subject", "--out", str(tmp_path), "--threads", "1", "training.epochs=1"]
    answer = CliRunner().invoke(app, ["train", "clip", str(clips.info.folder), *BRIEF[1:], *options])

    assert 0 == answer.exit_code, answer.output
    assert [f"clip-s0-f{n}of5" for n in range(1, 6)] == sorted(
        p.name for p in tmp_path.iterdir() if p.is_dir()
    )


def test_a_clip_shorter_than_its_batch_is_filled_up(clips):
    """What fills a batch has no label, and each clip's last frame is its own."""
    faces = clips.development().train
    some = clips_of(faces, np.zeros((len(faces), 3), np.float32))[:3]
    batch = collate(some)

    assert [len(clip.labels) for clip in some] == (batch.labels != NONE).sum(1).tolist()
    assert [len(clip.labels) - 1 for clip in some] == batch.last.tolist()
    assert (batch.gaps[:, 0] == 0).all()


def test_a_head_over_time_teaches_no_faces(run, tmp_path):
    """It is refused in a line that names the run, and nothing is written."""
    clip_set(tmp_path / "set")
    with raises_naming(RunError, str(run.folder)):
        distill(tmp_path / "set", tmp_path / "targets.csv", teachers=[run.folder])

    assert [tmp_path / "set"] == list(tmp_path.iterdir())


def test_a_head_over_time_is_not_trained_on_pictures_nor_with_their_means(clips, tmp_path):
    """A data set without clips, and augmentation of pixels, are refused before a folder is made."""
    recipe, data = read_recipe("clip", BRIEF), clips.development()
    pictures = replace(data, train=replace(data.train, frames=None))

    with pytest.raises(DataError):
        train(recipe, pictures, tmp_path / "run")
    with pytest.raises(RecipeError):
        read_recipe("clip", ("augment.flip=true",))
    assert not (tmp_path / "run").exists()


def test_a_network_of_faces_trains_on_the_frames_of_clips(clips, engine, tmp_path):
    """A data set of clips is one of faces, too."""
    recipe = read_recipe("quick-cnn", ("training.epochs=1", "training.batch_size=16"))
    run = train(recipe, clips.development(), tmp_path / "cnn", engine=engine)

    assert len(clips.development().val) == len(evaluate(run.folder))


def test_rendered_clips_know_the_truth_of_each_frame(tmp_path):
    """Labels follow the phase, clips have lengths of their own, and nobody stands in two splits."""
    info = render_clips(tmp_path / "set", clips=9, seconds=0.8, rate=5, seed=3)
    data = read_dataset(tmp_path / "set").whole().table
    people = {person: set(data["split"][data["person"] == person]) for person in set(data["person"])}
    apex = (data["kind"] == "apex") & (data["phase"] == "apex")

    assert (9, 3) == (info.clips, info.people)
    assert all(len(splits) == 1 for splits in people.values())
    assert (data["label"][apex] == data["clip_label"][apex]).all()
    assert set(data["label"][data["kind"] == "failing"]) <= {"neutral"}
    assert 1 < len(set(np.unique(data["clip"], return_counts=True)[1]))
    with pytest.raises(DataError):
        render_clips(tmp_path / "few", clips=2)


def test_an_audit_compares_clips_and_not_the_frames_of_one(tmp_path):
    """Frames of one clip are no copies of each other; a clip that stands there as somebody else's, too, is found."""
    rng = np.random.default_rng(0)
    stills = [np.kron(rng.integers(0, 200, (12, 12)), np.ones((4, 4))) for _ in range(6)]
    extra = ("clip", "frame", "seconds", "person")
    with writing_dataset(tmp_path / "set", side=48, labels=("happy", "sad"), extra=extra) as writer:
        for number, still in enumerate([*stills, stills[0]]):
            for frame in range(4):
                pixels = (still + rng.normal(0, 2, (48, 48))).clip(0, 255).astype(np.uint8).tobytes()
                moment = (f"clip{number}", str(frame), f"{frame / 25:.4f}", f"person{number}")
                split = "test" if number == 6 else "val" if number == 5 else "train"
                writer.add(pixels, label="happy", split=split, source=f"{number}/{frame}", extra=moment)
        writer.finish({"kind": "clips", "files": {}})

    findings = audit(tmp_path / "set", tmp_path / "audit").findings
    pairs = {(f.row // 4, f.other // 4) for f in findings if f.other is not None}

    assert {frozenset(pair) for pair in pairs} == {frozenset((0, 6))}


END_TO_END = ("network.end_to_end=true", "network.window=4", "optimizer.lr=0.001", *BRIEF)


@pytest.mark.slow
def test_end_to_end_the_frames_network_is_trained_resumed_and_exported(clips, engine, tmp_path):
    """Its weights move with the head's, a stopped run ends in the same bytes, and one file answers as the run does."""
    recipe, data = read_recipe("clip", END_TO_END), clips.development()
    run = train(recipe, data, tmp_path / "whole", engine=engine)
    steps = iter(range(100))
    with pytest.raises(Stopped):
        train(recipe, data, tmp_path / "again", engine=engine, stop=lambda: next(steps) > 2)
    again = train(recipe, data, tmp_path / "again", engine=engine)
    model = export([run.folder], tmp_path / "live.onnx")
    frames, _ = predictions_of_clips(model, data.val, "val")
    trained = load_file(run.folder / "weights.safetensors")
    fresh = build(recipe.network, side=48, classes=2).state_dict()
    of_frames = [name for name in fresh if name.startswith("frames.")]

    assert run.result()["weights_sha256"] == again.result()["weights_sha256"]
    assert of_frames
    assert all(not torch.equal(trained[name], fresh[name]) for name in of_frames if fresh[name].ndim == 4)
    assert (frames.probs.argmax(1) == evaluate(run.folder).probs.argmax(1)).all()
    assert "end to end" in model.card


class Tiny(nn.Module):
    """Operators that the networks which ship do not have."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2)

    def forward(self, x):
        """Return a map (N, 4, 3, 3)."""
        x = nn.functional.max_pool2d(self.first(x.float() / 255), 3, 2, 1)
        return x + self.second(x) * 0.5


def test_a_graph_is_the_same_in_torch():
    """Its weights are parameters, its answers are those of what was exported, and unchanged it is written as it was."""
    tiny, x = Tiny().eval(), torch.randint(0, 256, (2, 1, 6, 6), dtype=torch.uint8)
    model = onnx.load_model_from_string(exported(tiny, (x,), ["faces"], ["map"]))
    graph = GraphModule(model)

    assert torch.allclose(tiny(x), graph(x), atol=1e-6)
    assert {p.shape for p in tiny.parameters()} == {p.shape for p in graph.parameters()}
    assert model.SerializeToString() == graph.written().SerializeToString()
    model.graph.node[-1].op_type = "QLinearConv"
    with pytest.raises(RecipeError):
        GraphModule(model)


def test_another_card_of_the_frames_model_changes_no_run(clips, engine, tmp_path):
    """A run goes by the graph whose features it reads: another card changes nothing, another graph is refused."""
    model, data = tmp_path / "mine.onnx", read_model("pocket-photos").path.read_bytes()
    model.write_bytes(data)
    recipe, folder = read_recipe("clip", (f"network.pretrained={model}", *BRIEF)), tmp_path / "run"
    train(recipe, clips.development(), folder, engine=engine)
    metadata = {key: value for key, value in read_onnx(data).metadata.items() if key != CHECKSUM}
    model.write_bytes(with_metadata(without_metadata(data), metadata | {"mien.card": "Another card."}))

    assert "Another card." == read_model(model).card
    assert train(recipe, clips.development(), folder, engine=engine).complete
    assert len(evaluate(folder)) == len(clips.development().val)
    (folder / "predictions-val.csv").unlink()
    model.write_bytes(read_model("pocket").path.read_bytes())
    with pytest.raises(RunError):
        evaluate(folder)
