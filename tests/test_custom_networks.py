import shutil
from functools import partial
from pathlib import Path

import custom_networks
import numpy as np
import pytest
import torch
from refusals import raises_naming
from safetensors.torch import load_file

from mien.compare import compare
from mien.distill import distill
from mien.errors import RecipeError, RunError, Stopped
from mien.evaluate import evaluate, load_network
from mien.export import export
from mien.info import info
from mien.networks import NETWORKS, build
from mien.networks.cost import describe
from mien.networks.custom import check, described, with_defaults
from mien.networks.initial import read_initial
from mien.networks.network import classifier_name, stages_of
from mien.recipe import Recipe, differing_fields, read_recipe, to_toml
from mien.run import read_run
from mien.train import train
from mien.tune.plan import Plan
from mien.tune.search import tune
from mien.tune.space_file import read_space

SHAPE = {"side": 16, "classes": 7}
SHORT = ("training.epochs=3", "training.batch_size=14")


def custom(name: str, *overrides: str) -> Recipe:
    """Return quick-densenet's recipe with a network of `custom_networks.py`."""
    kind = name if ":" in name else f"custom_networks:{name}"
    return read_recipe("quick-densenet", (f"network.kind={kind}", *SHORT, *overrides))


def checked(name: str, *overrides: str):
    """Return the network of such a recipe, checked as before a training."""
    return check(custom(name, *overrides).network, **SHAPE)


@pytest.fixture(scope="module")
def run(toy_data, tmp_path_factory):
    """A complete run of a custom network."""
    return train(custom("Tiny", "network.width=6"), toy_data, tmp_path_factory.mktemp("runs") / "Tiny-s0")


@pytest.mark.parametrize("name", ["Tiny", "WithOptions", "from_function"])
def test_a_class_or_a_function_with_keywords_or_a_dataclass_makes_a_network(name):
    """Options reach a network as keywords or as its dataclass, and the data set's number of classes comes with them."""
    network = checked(name)

    assert (2, 7) == network(torch.zeros(2, 1, 16, 16)).shape


def test_options_reach_the_network_as_its_annotations_say():
    """An override of the command line arrives with the annotated type."""
    network = checked("WithOptions", "network.widths=3,5", "network.flat=false")

    assert 5 == network.width
    assert custom_networks.Options((3, 5), False) == custom_networks.Options(
        **dict(custom("WithOptions", "network.widths=3,5", "network.flat=false").network.options)
    )


def test_a_recipe_with_a_custom_network_is_read_back_as_it_was_written(tmp_path):
    """TOML keeps every option, and two recipes that differ in one say so."""
    recipe = custom("Tiny", "network.width=6", "network.dropout=1e-3", "name=mine")
    (tmp_path / "mine.toml").write_text(to_toml(recipe))

    assert recipe == read_recipe(tmp_path / "mine.toml")
    assert ["network.width (6 there, 7 here)"] == differing_fields(
        recipe, custom("Tiny", "network.width=7", "network.dropout=1e-3")
    )


def test_another_kind_on_the_command_line_drops_the_options_and_the_name_of_the_recipe():
    """The rest of a recipe serves another network; its name would be that of another run."""
    recipe = read_recipe("quick-densenet", ("network.kind=cnn", "network.hidden=64"))

    assert (64, "cnn", 0.1) == (recipe.network.hidden, recipe.name, recipe.optimizer.lr)


def test_reading_a_recipe_imports_nobodys_code(tmp_path, monkeypatch):
    """A recipe that names code is read, and its code stays where it is until something is built."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    recipe = read_recipe("quick-densenet", ("network.kind=trap:Net",))

    with pytest.raises(RecipeError):
        build(recipe.network, **SHAPE)


WRONG = {
    "no module of that name": ("no_such_module:Net", (), "no_such_module"),
    "no class of that name": ("Tinny", (), 'did you mean "Tiny"'),
    "no name": ("custom_networks:", (), "module:name"),
    "not callable": ("NotCallable", (), "NotCallable"),
    "no module": ("NoModule", (), "torch.nn.Module"),
    "no parameters": ("NoParameters", (), "no parameters"),
    "an option that does not exist": ("Tiny", ("network.widht=3",), 'did you mean "width"'),
    "an option of another type": ("Tiny", ("network.width=3.5",), "network.width"),
    "an option of other values": ("Tiny", ("network.kernel=4",), "network.kernel must be one of 3, 5"),
    "the classes, which the data set says": ("Tiny", ("network.classes=3",), "network.classes"),
    "output of another shape": ("WrongShape", (), r"\(2, 8\).*\(2, 7\)"),
    "probabilities": ("WithSoftmax", (), "softmax"),
    "a forward that fails": ("FailingForward", (), r"custom_networks.py, line \d+"),
    "a constructor that fails": ("FailingStart", (), "no such luck"),
    "a file in place of a module": ("nets/mine.py:Net", (), "nets.mine:Net"),
    "two tensors while it is trained": ("GivesTwo", (), "tuple"),
    "a forward that ends the process": ("ExitingForward", (), r"custom_networks.py, line \d+"),
    "dropout in evaluation": ("AlwaysDropout", (), "dropout"),
    "answers that depend on other faces": ("AcrossTheBatch", (), "other faces"),
    "stages of another network": ("NoStages", (), "stages"),
    "no operator of ONNX": ("NotExportable", (), "network.export=false"),
    "a batch of one size": ("FixedBatch", (), "network.export=false"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_network_is_one_line_before_anything_is_written(
    wrong, toy_data, tmp_path, capfd
):
    """Each way to do it wrong raises RecipeError in one line that names it, prints nothing and leaves no folder."""
    name, overrides, words = WRONG[wrong]
    with pytest.raises(RecipeError, match=words) as raised:
        train(custom(name, *overrides, "name=x"), toy_data, tmp_path / "run")

    assert "\n" not in str(raised.value)
    assert ("", "") == capfd.readouterr()
    assert not (tmp_path / "run").exists()


def test_a_network_that_fails_on_a_later_batch_ends_the_training_in_one_line(toy_data, tmp_path):
    """The line names the run, the file and the line, and the run goes on once the code is mended."""
    with raises_naming(RecipeError, "run", "too many faces", "custom_networks.py"):
        train(custom("FailingLate", "network.export=false"), toy_data, tmp_path / "run")

    assert not read_run(tmp_path / "run").complete


def test_an_option_without_an_annotation_takes_one_value_for_several():
    """Its default says that it is a tuple, so a single number on the command line is one of one."""
    assert (8,) == checked("WithoutTypes", "network.widths=8").widths
    assert (4, 6) == checked("WithoutTypes", "network.widths=4,6").widths


@pytest.mark.parametrize("name", ["NotExportable", "FixedBatch"])
def test_a_network_that_cannot_be_exported_trains_where_the_recipe_says_so(name):
    """`network.export = false` lets it be."""
    assert checked(name, "network.export=false") is not None


def test_a_module_that_fails_while_it_is_imported_says_where(tmp_path, monkeypatch):
    """The line names the error, the file and the line."""
    (tmp_path / "broken_net.py").write_text("import math\n\nmath.sqrt(-1)\n")
    monkeypatch.chdir(tmp_path)

    with raises_naming(RecipeError, "broken_net.py", "line 3"):
        checked("broken_net:Net")


def test_a_file_of_the_current_folder_cannot_stand_for_an_installed_package(tmp_path, monkeypatch):
    """The current folder comes last where Python looks."""
    (tmp_path / "colorsys.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)

    with raises_naming(RecipeError, "Net"):
        checked("colorsys:Net")


def test_a_stopped_training_of_a_custom_network_goes_on_to_the_same_bytes(run, toy_data, tmp_path):
    """Stopped at each of its first steps and taken up again it ends with the weights of one that was not."""
    steps = iter(range(1000))
    recipe = custom("Tiny", "network.width=6")
    for _ in range(2):
        with pytest.raises(Stopped):
            train(recipe, toy_data, tmp_path / "Tiny-s0", stop=lambda: next(steps) % 4 == 3)
    again = train(recipe, toy_data, tmp_path / "Tiny-s0")

    names = ("weights.safetensors", "metrics.csv", "result.json", "run.json", "network.json")
    assert all((run.folder / name).read_bytes() == (again.folder / name).read_bytes() for name in names)


def test_a_run_keeps_the_options_that_were_not_given(run):
    """Defaults of the code are written out, so that a later change of them changes no run."""
    assert (("dropout", 0.0), ("kernel", 3), ("width", 6)) == run.recipe.network.options
    assert run.recipe.network == with_defaults(run.recipe.network)


def test_a_run_of_a_custom_network_is_described_and_read_without_its_code(run, tmp_path, monkeypatch):
    """`mien info` needs no import, and tells of parameters and stages."""
    folder = shutil.copytree(run.folder, tmp_path / "run")
    monkeypatch.setattr("mien.plugins.import_module", None)

    assert "custom_networks:Tiny" in info(folder)
    assert ["features.0, Conv2d", "features.1, BatchNorm2d", "classifier, Linear"] == [
        stage["label"] for stage in read_run(folder).network()["stages"]
    ]


def test_a_run_whose_code_answers_otherwise_now_is_refused(run, monkeypatch):
    """Weights that fit changed code are not believed."""
    monkeypatch.setattr(
        custom_networks.Tiny, "forward", lambda self, x: -self.classifier(self.features(x).flatten(1))
    )

    with raises_naming(RunError, "custom_networks:Tiny"):
        load_network(read_run(run.folder), run.result()["weights_sha256"], "cpu")


def test_a_custom_network_is_evaluated_compared_distilled_and_exported(run, toy, toy_run, tmp_path):
    """All that is done with a run of mien's networks is done with it."""
    folders = [Path(shutil.copytree(one, tmp_path / one.name)) for one in (run.folder, toy_run)]
    evaluated = [evaluate(folder, split="test") for folder in folders]
    compare(folders, tmp_path / "report")
    targets = distill(toy, tmp_path / "t.csv", teachers=[folders[0]])
    model = export([folders[0]], tmp_path / "tiny.onnx", int8=True)

    assert [35, 35] == [len(predictions) for predictions in evaluated]
    assert "Tiny" in (tmp_path / "report" / "report.html").read_text()
    assert 84 == len(targets)
    assert (3, 7) == model.probabilities(np.zeros((3, 16, 16), np.uint8)).shape


def test_a_search_over_the_options_of_a_custom_network(toy_data, tmp_path):
    """Numbers and choices of its options are drawn, and trials that cannot be are refused at the start."""
    space = tmp_path / "space.toml"
    space.write_text(
        'format = 1\nname = "s"\nrecipe = "quick-densenet"\n[fixed]\nnetwork.kind = "custom_networks:Tiny"\n'
        "training.epochs = 1\n[parameters]\nnetwork.width = { low = 2, high = 8 }\n"
        "network.kernel = { choices = [3, 5] }\nnetwork.dropout = { low = 0.0, high = 0.5 }\n"
    )
    study = tune(Plan(read_space(space), toy_data, tmp_path / "search", trials=2, sampler="random"))

    drawn = [trial.params for trial in study.of_state("complete")]
    assert 2 == len(drawn) and all(isinstance(params["network.width"], int) for params in drawn)
    space.write_text(space.read_text().replace("network.width", "network.widht"))
    other = read_space(space, ("name=other",))
    with raises_naming(RecipeError, "widht"):
        tune(Plan(other, toy_data, tmp_path / "other", trials=2, sampler="random"))


@pytest.mark.parametrize(
    "network",
    [custom_networks.Tiny(width=6, classes=7), partial(custom_networks.Tiny, width=6)],
    ids=["module", "partial"],
)
def test_a_network_given_in_python_trains_to_the_bytes_of_the_recipes(network, run, toy_data, tmp_path):
    """A module or a partial stands for the recipe's network; the module has the run's weights in the end."""
    recipe = read_recipe("quick-densenet", (*SHORT, "name=Tiny"))
    again = train(recipe, toy_data, tmp_path / "run", network=network)

    assert run.result()["weights_sha256"] == again.result()["weights_sha256"]
    if isinstance(network, torch.nn.Module):
        weights = load_file(again.folder / "weights.safetensors")
        assert all(torch.equal(value, network.state_dict()[name]) for name, value in weights.items())


class Local(custom_networks.Tiny):
    """A network that keeps no option as an attribute."""

    def __init__(self, wide: int = 4, *, classes: int):
        super().__init__(wide, classes=classes)


def test_a_module_that_cannot_be_built_again_is_refused(toy_data, tmp_path):
    """Its run could not be loaded; the line says what to give instead."""
    recipe = read_recipe("quick-densenet", SHORT)
    with raises_naming(RecipeError, "functools.partial"):
        train(recipe, toy_data, tmp_path / "run", network=Local(wide=5, classes=7))
    with pytest.raises(RecipeError):
        described(lambda **_: torch.nn.Linear(1, 1))


@pytest.mark.parametrize("kind", sorted(set(NETWORKS) - {"clip"}))  # a clip's head takes features, no faces
def test_miens_own_networks_fulfil_the_contract(kind):
    """Each is built with `side` and `classes`, has the classifier that is found, and names its stages."""
    name = {"cnn": "quick-cnn", "densenet": "quick-densenet", "resnet": "resnet-18"}.get(kind)
    options = (
        read_recipe(name).network if name else read_recipe("quick-cnn", (f"network.kind={kind}",)).network
    )
    network = build(options, side=48, classes=5)
    name = classifier_name(network)

    assert network.classifier is network.get_submodule(name)
    assert 5 == network.get_submodule(name).out_features
    assert stages_of(network)[-1][2] is network.head


def test_multiply_adds_count_every_use_of_a_weight():
    """A linear layer over tokens, and one that is used twice, cost what they compute."""

    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Conv2d(1, 8, 4, 4)
            self.mix = torch.nn.Linear(8, 8)
            self.classifier = torch.nn.Linear(8, 7)

        def forward(self, x):
            tokens = self.embed(x).flatten(2).mT  # (B, 16, 8)
            return self.classifier(self.mix(self.mix(tokens)).mean(1))

    assert 16 * 16 * 8 + 2 * 16 * 64 + 56 == describe(Tokens(), 16)["multiply_adds"]


def test_a_module_called_stages_is_a_part_of_the_network():
    """Only a method names stages; the layers of a sequence of that name are listed as any others."""
    stages = stages_of(checked("StagesModule"))

    assert ["stages.0, Conv2d", "stages.1, Conv2d", "head, Linear"] == [label for _, label, _ in stages]


def test_weights_of_a_run_start_a_custom_network_of_other_classes(run):
    """`network.pretrained` takes the features over and leaves the classifier fresh, wherever that stands."""
    weights = run.folder / "weights.safetensors"
    other = custom_networks.Tiny(width=6, classes=5)
    same = custom_networks.Tiny(width=6, classes=7)

    classifier = {"classifier.weight", "classifier.bias"}
    assert set(other.state_dict()) - classifier == set(read_initial(weights, other))
    assert set(same.state_dict()) == set(read_initial(weights, same))


def test_a_network_of_torchvision_trains(toy_data, tmp_path):
    """A wrapper of three lines makes a MobileNetV2 of grey faces."""
    pytest.importorskip("torchvision")
    run = train(custom("torchvision_net", "training.epochs=1"), toy_data, tmp_path / "run")

    assert run.complete and export([run.folder], tmp_path / "m.onnx")


def test_a_network_of_timm_trains(toy_data, tmp_path):
    """A wrapper of three lines makes a network of timm's."""
    pytest.importorskip("timm")
    run = train(custom("timm_net", "training.epochs=1"), toy_data, tmp_path / "run")

    assert run.complete and export([run.folder], tmp_path / "m.onnx")
