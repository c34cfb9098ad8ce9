import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from report_runs import write_fake_runs
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_train import final_bytes, kill_and_take_up, toy_recipe
from torch import nn

from mien.compare import compare, summary
from mien.compare.inputs import gather
from mien.dataset import read_dataset
from mien.errors import RecipeError, RunError, Stopped
from mien.evaluate import evaluate
from mien.info import info
from mien.labels import LABELS
from mien.networks import as_input, build
from mien.networks.initial import DEVIATION, MEAN, grey_first_layer, initial_file, read_initial
from mien.reading import unsealed
from mien.recipe import CNN, DenseNet, ResNet, read_recipe
from mien.run import read_run
from mien.train import step, targets, train
from mien.train.state import save_weights

SMALL = {
    "densenet": DenseNet(layers=(2, 1), growth_rate=(4,), stem_channels=6),
    "resnet": ResNet(layers=(1, 2), width=4),
    "bottlenecks": ResNet(layers=(2, 1), width=4, block="bottleneck"),
    "cnn": CNN(channels=(4, 8), hidden=8),
}


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return tensors of some shapes, each a function of its name alone, with which any depth keeps its scale."""
    tensors = {}
    for name, shape in shapes.items():
        drawn = np.random.default_rng(zlib.crc32(name.encode())).random(shape)
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(7)
        elif len(shape) > 1:
            value = torch.from_numpy((drawn - 0.5) * (24 / np.prod(shape[1:])) ** 0.5).float()
        else:
            value = torch.from_numpy(drawn - 0.5 if name.endswith(("bias", "mean")) else drawn + 0.5).float()
        tensors[name] = value
    return tensors


def fresh(kind: str, classes: int = 7) -> nn.Module:
    """Return a small network of a kind, the same at each call."""
    torch.manual_seed(0)
    return build(SMALL[kind], side=24, classes=classes)


def imagenet(network: nn.Module, classes: int = 5) -> dict[str, torch.Tensor]:
    """Return made-up weights as torchvision would name and shape them for a network."""
    shapes = {}
    for key, value in network.state_dict().items():
        shape = tuple(value.shape)
        if key == "stem.0.weight":
            shape = (shape[0], 3, *shape[2:])
        elif key.startswith(f"head.{len(network.head) - 1}."):
            shape = (classes, *shape[1:])
        shapes[network.torchvision_name(key)] = shape
    return filled(shapes)


def hub_spelling(name: str) -> str:
    """Return a name as in the oldest files: `norm.1` for `norm1` in a dense layer."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name)


def written(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """Write tensors as safetensors and return the path."""
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def normed(x: torch.Tensor, weights: dict, name: str) -> torch.Tensor:
    """Return what a batch norm makes of its input with running statistics."""
    statistics = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *statistics)


def begun(images: torch.Tensor, weights: dict, conv: str, norm: str) -> torch.Tensor:
    """Return torchvision's stem of grey faces in three channels, in a border of grey 128 as ours has it."""
    grey = F.pad(images.double(), (3, 3, 3, 3), value=128) / 255
    x = torch.stack([(grey - mean) / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)], 1)
    x = F.conv2d(x, weights[f"{conv}.weight"], stride=2)
    return F.max_pool2d(F.relu(normed(x, weights, norm)), 3, 2, 1)


def densenet_answer(images: torch.Tensor, weights: dict, blocks: tuple[int, ...]) -> torch.Tensor:
    """Return the logits of torchvision's DenseNet, written plainly: norm, ReLU, convolution."""
    x = begun(images, weights, "features.conv0", "features.norm0")
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            made, place = x, f"features.denseblock{block}.denselayer{layer}"
            for part, border in ((1, 0), (2, 1)):
                made = F.relu(normed(made, weights, f"{place}.norm{part}"))
                made = F.conv2d(made, weights[f"{place}.conv{part}.weight"], padding=border)
            x = torch.cat([x, made], 1)
        if block < len(blocks):
            place = f"features.transition{block}"
            x = F.relu(normed(x, weights, f"{place}.norm"))
            x = F.avg_pool2d(F.conv2d(x, weights[f"{place}.conv.weight"]), 2)
    x = F.relu(normed(x, weights, "features.norm5")).mean((2, 3))
    return F.linear(x, weights["classifier.weight"], weights["classifier.bias"])


def resnet_answer(images: torch.Tensor, weights: dict, layers: tuple[int, ...]) -> torch.Tensor:
    """Return the logits of torchvision's ResNet, written plainly; a bottleneck's 3x3 convolution has the stride."""
    x = begun(images, weights, "conv1", "bn1")
    for stage, count in enumerate(layers, start=1):
        for layer in range(count):
            made, place, stride = x, f"layer{stage}.{layer}", 2 if stage > 1 and layer == 0 else 1
            last = 3 if f"{place}.conv3.weight" in weights else 2
            for part in range(1, last + 1):
                kernel = weights[f"{place}.conv{part}.weight"]
                step = stride if part == last - 1 else 1
                made = F.conv2d(made, kernel, stride=step, padding=kernel.shape[-1] // 2)
                made = normed(made, weights, f"{place}.bn{part}")
                made = F.relu(made) if part < last else made
            if f"{place}.downsample.0.weight" in weights:
                x = F.conv2d(x, weights[f"{place}.downsample.0.weight"], stride=stride)
                x = normed(x, weights, f"{place}.downsample.1")
            x = F.relu(made + x)
    return F.linear(x.mean((2, 3)), weights["fc.weight"], weights["fc.bias"])


@pytest.mark.parametrize("kind", ["densenet", "resnet", "bottlenecks"])
def test_a_network_with_torchvisions_weights_answers_as_torchvisions(tmp_path, kind):
    """The layout is torchvision's, not the names alone: the same weights give its logits of grey faces."""
    network = fresh(kind).eval()
    weights = imagenet(network, 7)
    network.load_state_dict(read_initial(written(tmp_path / "weights.safetensors", weights), network))
    images = torch.randint(0, 256, (3, 24, 24), generator=torch.manual_seed(4)).to(torch.uint8)
    plainly = densenet_answer if kind == "densenet" else resnet_answer
    wanted = plainly(images, {name: value.double() for name, value in weights.items()}, SMALL[kind].layers)
    with torch.no_grad():
        answer = network(as_input(images)).double()

    assert wanted.std(0).min() > 0.01
    assert torch.allclose(wanted, answer, rtol=1e-4, atol=1e-4)


def test_the_first_layer_answers_to_grey_as_torchvisions_does():
    """Inside the border, one channel through the adapted kernel and norm gives what three give through theirs."""
    generator = torch.Generator().manual_seed(3)
    kernel = torch.randn(8, 3, 7, 7, generator=generator, dtype=torch.float64)
    mean = torch.randn(8, generator=generator, dtype=torch.float64)
    images = torch.randint(0, 256, (5, 31, 31), generator=generator, dtype=torch.uint8)
    x = torch.stack([(images.double() / 255 - m) / d for m, d in zip(MEAN, DEVIATION, strict=True)], 1)
    theirs = nn.functional.conv2d(x, kernel, stride=2, padding=3) - mean[:, None, None]
    grey, shifted = grey_first_layer(kernel, mean)
    ours = nn.functional.conv2d(as_input(images).double(), grey, stride=2, padding=3) - shifted[:, None, None]

    assert (8, 1, 7, 7) == tuple(grey.shape)
    assert torch.allclose(theirs[..., 2:-2, 2:-2], ours[..., 2:-2, 2:-2], rtol=0, atol=1e-10)
    assert not torch.allclose(theirs, ours, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["densenet", "resnet", "bottlenecks"])
@pytest.mark.parametrize("hub", [False, True])
def test_torchvisions_weights_come_in_under_our_names(tmp_path, kind, hub):
    """Every tensor behind the first layer is taken over as it is, in both spellings, with counters or without."""
    network = fresh(kind)
    weights = imagenet(network)
    named = {hub_spelling(k): v for k, v in weights.items() if "batches" not in k} if hub else weights
    read = read_initial(written(tmp_path / "weights.safetensors", named), network)
    network.load_state_dict(read, strict=False)
    left = [k for k in network.state_dict() if k not in read]
    same = [k for k in read if not k.startswith("stem.")]

    assert list(network.state_dict())[-2:] == [k for k in left if "batches" not in k]
    assert hub == any("batches" in k for k in left)
    assert all(torch.equal(weights[network.torchvision_name(k)], network.state_dict()[k]) for k in same)
    assert len(same) > 8


@pytest.mark.parametrize("kind", SMALL)
def test_a_networks_own_weights_come_back_to_the_bit(tmp_path, kind):
    """What a network saved, a network of the same layout starts from, classifier and counters included."""
    weights = filled({k: tuple(v.shape) for k, v in fresh(kind).state_dict().items()})
    read = read_initial(written(tmp_path / "weights.safetensors", weights), fresh(kind))

    assert weights.keys() == read.keys()
    assert all(torch.equal(value, read[key]) for key, value in weights.items())


@pytest.mark.parametrize("kind", SMALL)
def test_a_classifier_of_other_classes_stays_fresh(tmp_path, kind):
    """Weights that told nine classes bring all but the last layer, which keeps the seed's values."""
    path = written(tmp_path / "weights.safetensors", fresh(kind, 9).state_dict())
    network = fresh(kind)
    left = network.load_state_dict(read_initial(path, network), strict=False).missing_keys
    again = fresh(kind).state_dict()

    assert list(again)[-2:] == left
    assert all(torch.equal(again[key], network.state_dict()[key]) for key in left)


@pytest.mark.parametrize("kind", SMALL)
def test_classes_are_taken_over_by_name(tmp_path, kind):
    """Where weights name their classes each of ours takes its own row; one that is unknown leaves all fresh."""
    source = fresh(kind, 3).state_dict()
    path = tmp_path / "weights.safetensors"
    save_weights(path, source, ("sad", "happy", "angry"))
    *_, weight, bias = source
    same, some = (
        read_initial(path, fresh(kind, len(own)), own) for own in (("angry", "sad", "happy"), ("happy",))
    )

    assert torch.equal(source[weight][[2, 0, 1]], same[weight])
    assert torch.equal(source[bias][[2, 0, 1]], same[bias])
    assert torch.equal(source[weight][[1]], some[weight])
    for own in (("angry", "sad", "joyful"), ("calm", "tense", "bored")):
        left = read_initial(path, fresh(kind, 3), own)
        assert set(source) - set(left) == {weight, bias}, "as many, but others"
    assert torch.equal(source[weight], read_initial(path, fresh(kind, 3))[weight])


def test_what_ships_takes_over_classes_by_name():
    """The shipped weights are of the model beside them: its classes in any order keep their rows, others do not."""
    network = build(read_recipe("pocket").network, side=48, classes=7)
    own, turned = (read_initial(initial_file("pocket"), network, labels) for labels in (LABELS, LABELS[::-1]))
    *_, weight, bias = network.state_dict()
    other = read_initial(initial_file("pocket"), network, [f"class {n}" for n in range(7)])

    assert torch.equal(own[weight], turned[weight].flip(0))
    assert torch.equal(own[bias], turned[bias].flip(0))
    assert {weight, bias} == set(own) - set(other)


def test_a_runs_weights_name_its_classes(toy_data, pretrained):
    """Whoever gets the file alone knows what its outputs mean."""
    with safe_open(pretrained, "pt") as file:
        assert list(toy_data.info.labels) == json.loads(file.metadata()["labels"])


def changed(weights: dict[str, torch.Tensor], fault: str) -> dict[str, torch.Tensor]:
    """Return a DenseNet's weights in torchvision's naming with one fault."""
    first, last = "features.conv0.weight", "classifier.weight"
    if fault == "missing":
        return {k: v for k, v in weights.items() if "transition1" not in k}
    if fault == "surplus":
        return {**weights, "extra": torch.zeros(1), "features.denseblock9.x": torch.zeros(1)}
    if fault == "twice":
        name = "features.denseblock1.denselayer1.conv1.weight"
        return {**weights, hub_spelling(name): weights[name].clone()}
    if fault == "two channels":
        return {**weights, first: weights[first][:, :2]}
    if fault == "classifier":
        return {**weights, last: weights[last][:, :3]}
    if fault == "nan":
        return {**weights, last: torch.full_like(weights[last], torch.nan)}
    return {**weights, first: torch.ones(weights[first].shape, dtype=torch.int64)}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", r": 5 missing \(features.transition1.conv.weight, features.transition1.norm.weight, "
                    r"features.transition1.norm.bias, …\); it takes"),
        ("surplus", r": 2 surplus \(extra, features.denseblock9.x\); it takes"),
        ("twice", r": 1 surplus \(features.denseblock1.denselayer1.conv1.weight\); it takes"),
        ("two channels", r": 1 of another shape \(features.conv0.weight 6x2x7x7 where 6x3x7x7 belongs\); it"),
        ("classifier", r": 1 of another shape \(classifier.weight 7x3 where 7x11 belongs\); it takes"),
        ("nan", r": 1 not of finite numbers \(classifier.weight\); it takes"),
        ("integers", r": 1 not of finite numbers \(features.conv0.weight\); it takes"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_told_in_one_line(tmp_path, fault, message):
    """What is missing, surplus, of another shape or no number is counted, and the first few are named."""
    network = fresh("densenet")
    path = written(tmp_path / "mine.safetensors", changed(imagenet(network, 7), fault))

    with pytest.raises(
        RecipeError, match=f"^network.pretrained: .*mine.safetensors does not fit this DenseNet{message}"
    ) as told:
        read_initial(path, network)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["cnn", "resnet"])
def test_another_networks_weights_are_refused(tmp_path, kind):
    """A CNN takes a CNN's weights alone, a ResNet no DenseNet's."""
    path = written(tmp_path / "weights.safetensors", imagenet(fresh("densenet")))

    with pytest.raises(RecipeError):
        read_initial(path, fresh(kind))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_checkpoint_is_refused_with_the_lines_that_convert_it(tmp_path, legacy):
    """A .pth file, of the newer or the older kind, is never unpickled; the two lines told make a file that fits."""
    path = tmp_path / "it's.pth"
    network = fresh("resnet")
    torch.save(imagenet(network), path, _use_new_zipfile_serialization=not legacy)
    with raises_naming(RecipeError, "it's.pth") as told:
        read_initial(path, network)
    _, *lines = str(told.value).splitlines()

    assert 2 == len(lines)
    assert "weights_only=True" in lines[0]
    for text in ("\n".join(lines), " ".join(lines)):  # as Python's message, as the command line's
        exec(text, {})
        assert "layers.0.0.path.0.weight" in read_initial(tmp_path / "it's.safetensors", network)
        (tmp_path / "it's.safetensors").unlink()


@pytest.mark.parametrize("nested", [None, "net", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_checkpoint_of_wrapped_networks_is_converted_by_the_same_lines(tmp_path, nested, prefix):
    """A state dict within a checkpoint, and the names that DataParallel and torch.compile give, are taken."""
    network = fresh("densenet")
    weights = imagenet(network)
    saved = {f"{prefix}{name}": value for name, value in weights.items()}
    torch.save({nested: saved, "epoch": 3} if nested else saved, tmp_path / "x.pth")
    with pytest.raises(RecipeError) as error:
        read_initial(tmp_path / "x.pth", network)
    exec(str(error.value).split("\n", 1)[1], {})

    taken = read_initial(tmp_path / "x.safetensors", network)
    plain = read_initial(written(tmp_path / "plain.safetensors", weights), network)
    assert taken.keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in taken.items())


def test_weights_of_one_grey_channel_answer_as_they_did(tmp_path):
    """The first layer of timm's in_chans=1 reads grey, with the mean of the three means and deviations."""
    generator = torch.Generator().manual_seed(3)
    kernel = torch.randn(8, 1, 7, 7, generator=generator, dtype=torch.float64)
    mean = torch.randn(8, generator=generator, dtype=torch.float64)
    images = torch.randint(0, 256, (5, 31, 31), generator=generator, dtype=torch.uint8)
    x = ((images.double() / 255 - np.mean(MEAN)) / np.mean(DEVIATION))[:, None]
    theirs = nn.functional.conv2d(x, kernel, stride=2, padding=3) - mean[:, None, None]
    grey, shifted = grey_first_layer(kernel, mean)
    ours = nn.functional.conv2d(as_input(images).double(), grey, stride=2, padding=3) - shifted[:, None, None]
    network = fresh("resnet")
    weights = imagenet(network)
    weights["conv1.weight"] = weights["conv1.weight"].sum(1, keepdim=True)

    assert torch.allclose(theirs[:, :, 2:-2, 2:-2], ours[:, :, 2:-2, 2:-2], atol=1e-5)
    assert (
        read_initial(written(tmp_path / "grey.safetensors", weights), network)["stem.0.weight"].shape[1] == 1
    )


def test_a_pickle_by_another_name_is_known(tmp_path):
    """What a file is called does not matter: a zip or a pickle is told as one."""
    path = tmp_path / "weights.safetensors"
    torch.save({}, path)

    with raises_naming(RecipeError, "weights.safetensors"):
        read_initial(path, fresh("resnet"))


def test_a_file_that_is_not_there_is_told(tmp_path):
    """A missing file and a folder are named before anything is read."""
    with raises_naming(RecipeError, "network.pretrained", "gone.safetensors"):
        read_initial(tmp_path / "gone.safetensors", fresh("cnn"))
    with raises_naming(RecipeError, "weights.safetensors"):
        read_initial(tmp_path, fresh("cnn"))


@given(st.binary(max_size=60), st.integers(0, 400))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_ends_in_a_recipe_error(tmp_path, noise, at):
    """No bytes, however wild, bring anything but weights or a RecipeError."""
    path = tmp_path / "weights.safetensors"
    whole = written(path, fresh("cnn").state_dict()).read_bytes()
    for content in (noise, whole[:at], whole[:at] + noise + whole[at + len(noise) :]):
        path.write_bytes(content)
        try:
            assert set(read_initial(path, fresh("cnn"))) <= set(fresh("cnn").state_dict())
        except RecipeError as error:
            assert "network.pretrained: " in str(error)


# ---- starting a run

EPOCHS = "training.epochs=3"


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, toy):
    """The weights of a run on the toy faces."""
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    train(toy_recipe("quick-densenet", "training.epochs=1"), read_dataset(toy).development(), folder, seed=9)
    return folder / "weights.safetensors"


def begun_with(path: Path, *overrides: str):
    """Return the toy's recipe, begun with the weights of a file."""
    return toy_recipe("quick-densenet", EPOCHS, f"network.pretrained={path}", *overrides)


def test_a_run_begins_with_the_weights_of_another(toy_data, pretrained, tmp_path, monkeypatch):
    """At the first step the network has the other run's weights to the bit; run.json says whose they were."""
    networks, seen = [], []

    def keep_network(network, options, make=step.make_optimizer):
        networks.append(network)
        return make(network, options)

    def look(*arguments, change=targets.augment, **options):
        seen.append({k: v.clone() for k, v in networks[0].state_dict().items()})
        return change(*arguments, **options)

    monkeypatch.setattr(step, "make_optimizer", keep_network)
    monkeypatch.setattr(targets, "augment", look)
    run = train(begun_with(pretrained), toy_data, tmp_path / "run")
    weights = load_file(pretrained)

    assert weights.keys() == seen[0].keys()
    assert all(torch.equal(value, seen[0][key]) for key, value in weights.items())
    assert not torch.equal(weights["stem.0.weight"], seen[-1]["stem.0.weight"])
    assert {"file": "weights.safetensors", "sha256": run_sha(pretrained)} == read_run(run.folder).init


def run_sha(path: Path) -> str:
    """Return the sha256 that a run's result notes of its weights."""
    return read_run(path.parent).result()["weights_sha256"]


def test_a_run_stopped_goes_on_without_the_file_it_began_with(toy_data, pretrained, tmp_path):
    """Once a state is saved the file may go, not change: the run ends in the bytes of one never stopped."""
    path = tmp_path / "start.safetensors"
    path.write_bytes(pretrained.read_bytes())
    recipe = begun_with(path)
    whole = train(recipe, toy_data, tmp_path / "whole")
    fresh_run = train(
        replace(recipe, network=replace(recipe.network, pretrained="")), toy_data, tmp_path / "fresh"
    )
    steps = []
    with pytest.raises(Stopped):
        train(recipe, toy_data, tmp_path / "run", stop=lambda: steps.append(1) or len(steps) == 4)
    other = load_file(pretrained)
    other["stem.0.weight"] += 1
    for folder in ("run", "whole"):
        written(path, other)
        with raises_naming(RunError, "start.safetensors"):
            train(recipe, toy_data, tmp_path / folder)
    path.unlink()
    run = train(recipe, toy_data, tmp_path / "run")
    evaluate(run.folder)

    assert final_bytes(whole.folder)[0] != final_bytes(fresh_run.folder)[0]
    for name in ("predictions-val.csv", "predictions-val.csv.sha256"):
        (run.folder / name).unlink()
    assert final_bytes(whole.folder) == final_bytes(run.folder)
    assert "init" not in (fresh_run.folder / "run.json").read_text()


@pytest.mark.slow
def test_a_run_with_initial_weights_killed_ends_in_the_same_bytes(toy, toy_data, pretrained, tmp_path):
    """SIGKILL changes nothing of a run that began with another's weights."""
    recipe = begun_with(pretrained, "training.epochs=40")
    whole = train(recipe, toy_data, tmp_path / "whole", seed=5)
    kills = kill_and_take_up(toy, recipe, tmp_path / "killed", 5, [0.05])

    assert 1 == kills
    assert final_bytes(whole.folder) == final_bytes(tmp_path / "killed")


def test_a_run_without_a_state_begins_with_the_same_weights_or_not_at_all(
    toy_data, pretrained, tmp_path, monkeypatch
):
    """A run that broke off before its first save takes the file it noted; another or none is refused."""
    path = tmp_path / "start.safetensors"
    path.write_bytes(pretrained.read_bytes())
    recipe = begun_with(path)
    whole = train(recipe, toy_data, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(targets, "augment", lambda *a, **o: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(recipe, toy_data, tmp_path / "run")
    other = load_file(pretrained)
    other["stem.0.weight"] += 1
    written(path, other)
    with raises_naming(RunError, "start.safetensors"):
        train(recipe, toy_data, tmp_path / "run")
    path.unlink()
    with raises_naming(RecipeError, "start.safetensors"):
        train(recipe, toy_data, tmp_path / "run")
    path.write_bytes(pretrained.read_bytes())
    run = train(recipe, toy_data, tmp_path / "run")

    assert final_bytes(whole.folder) == final_bytes(run.folder)


def test_a_run_that_cannot_begin_leaves_nothing(toy_data, pretrained, tmp_path):
    """Weights that are missing or do not fit are told before the run's folder is made."""
    for recipe in (begun_with(tmp_path / "gone"), begun_with(pretrained, "network.growth_rate=4")):
        with raises_naming(RecipeError, "network.pretrained"):
            train(recipe, toy_data, tmp_path / "runs" / "run")
    with raises_naming(RecipeError, "16"):
        train(read_recipe("quick-cnn"), toy_data, tmp_path / "runs" / "run")

    assert [] == list(tmp_path.iterdir())


def test_runs_of_one_name_began_with_the_same_weights_or_are_not_seeds(tmp_path):
    """Seeds that began with other bytes under one path are not compared as one network; info tells the file."""
    runs = write_fake_runs(tmp_path, ("quick-cnn",), 2)
    for number, run in enumerate(runs):
        told = unsealed(json.loads((run / "run.json").read_text()))
        (run / "run.json").write_text(
            json.dumps({**told, "init": {"file": "a.b", "sha256": f"{number:064x}"}})
        )

    assert f"started from: a.b, sha256 {1:064x}\n" in info(runs[1])
    with raises_naming(RunError, "network.pretrained"):
        gather(runs, "test")


@pytest.mark.slow
def test_a_comparison_tells_who_started_from_weights(tmp_path):
    """Page and terminal say which network started from a file, and that what it had learned is not known."""
    runs = write_fake_runs(tmp_path, ("quick-cnn", "quick-densenet"), 1)
    told = unsealed(json.loads((runs[0] / "run.json").read_text()))
    (runs[0] / "run.json").write_text(json.dumps({**told, "init": {"file": "a.b", "sha256": f"{0:064x}"}}))
    report = compare(runs, tmp_path / "report", draws=100)
    page = " ".join(report.page.read_text(encoding="utf-8").split())

    for text in (page, " ".join(summary(report).split())):
        assert 1 == text.count("quick-cnn started from a.b: faces that those weights had learned flatter")
        assert "quick-densenet started from" not in text


def test_looking_at_the_weights_draws_no_random_numbers(toy_data, pretrained, tmp_path):
    """The caller's generator is where it was after a run that began with weights."""
    torch.manual_seed(11)
    before = torch.get_rng_state()
    train(begun_with(pretrained, "training.epochs=1"), toy_data, tmp_path / "run")

    assert torch.equal(before, torch.get_rng_state())
