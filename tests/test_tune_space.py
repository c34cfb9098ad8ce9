import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import TuneError
from mien.recipe import DenseNet
from mien.tune.space import OBJECTIVES
from mien.tune.space_file import read_space, shipped_spaces

HEAD = 'name = "mine"\nrecipe = "quick-densenet"\n'
ONE = "optimizer.lr = { low = 0.01, high = 0.5, log = true }"


class Drawing:
    """Stands for Optuna's trial: takes a share of each range, or the choice at that share."""

    def __init__(self, share: float):
        self.share, self.names = share, []

    def suggest_categorical(self, name, choices):
        """Return one of the choices."""
        self.names.append(name)
        return choices[round(self.share * (len(choices) - 1))]

    def suggest_float(self, name, low, high, *, step=None, log=False):
        """Return a number of the range."""
        self.names.append(name)
        return low * (high / low) ** self.share if log else low + self.share * (high - low)

    def suggest_int(self, name, low, high, *, step=1, log=False):
        """Return a whole number of the range."""
        self.names.append(name)
        return low + round(self.share * (high - low) / step) * step


def written(tmp_path, text: str):
    """Return a space file with this text."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", shipped_spaces())
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_shipped_space_gives_recipes(name, share):
    """Every space in the wheel is valid, carries its own name, and its ends and middle are recipes."""
    space = read_space(name)
    recipe = space.recipe(space.values(Drawing(share)), "drawn")

    assert name == space.name
    assert "drawn" == recipe.name
    assert isinstance(recipe.network, DenseNet)


def test_the_studys_space_is_the_studys():
    """Ranges, objective and length of the original study; weight decay is twice its L2."""
    space = read_space("study")
    ranges = {p.name: p.choices or (p.low, p.high) for p in space.parameters}

    assert ("log_loss",) == space.objectives
    assert 20 == space.most_epochs()
    assert {
        "network.num_blocks": (2, 10),
        "network.min_layers": (4, 8),
        "network.max_layers": (16, 32),
        "network.growth_rate": (16, 32, 48, 64),
        "network.reduction": (0.3, 0.7),
        "network.dropout": (0.0, 0.5),
        "optimizer.weight_decay": (2e-6, 2e-3),
    } == ranges
    assert [p.name for p in space.parameters if p.log] == ["optimizer.weight_decay"]


def test_a_conditional_parameter_is_drawn_where_its_condition_holds():
    """The strong space draws sgd's rate and momentum with sgd, and adam's rate with adam."""
    drawn = {}
    for share in (0.0, 1.0):
        trial = Drawing(share)
        values = read_space("strong").values(trial)
        drawn[values["optimizer.kind"]] = {n for n in trial.names if n.startswith("optimizer.")}, values

    assert {"optimizer.kind", "optimizer.lr", "optimizer.momentum", "optimizer.weight_decay"} == drawn["sgd"][
        0
    ]
    assert {"optimizer.kind", "optimizer.lr-adam", "optimizer.weight_decay"} == drawn["adam"][0]
    assert 2e-2 == pytest.approx(drawn["adam"][1]["optimizer.lr"])


def test_values_of_a_list_come_one_by_one_or_whole(tmp_path):
    """`layers.0` and `layers.1` make a list of two; a choice may be a list itself."""
    text = "network.layers.0 = { low = 1, high = 5, step = 2 }\nnetwork.layers.1 = { low = 2, high = 4 }\n"
    text += "network.growth_rate = { choices = [8, [8, 16]] }"
    space = read_space(written(tmp_path, f"{HEAD}[parameters]\n{text}"))
    recipe = space.recipe(space.values(Drawing(1.0)), "drawn")

    assert (5, 4) == recipe.network.layers
    assert (8, 16) == recipe.network.growth_rate
    assert "[8, 16]" in space.parameters[2].choices


def test_an_override_fixes_a_parameter(tmp_path):
    """A field given on the command line is no longer searched; name, objectives and budget change too."""
    overrides = (
        "network.growth_rate=24",
        "name=other",
        "objectives=accuracy,multiply_adds",
        "budget.parameters=1e6",
    )
    space = read_space("study", overrides)

    assert "network.growth_rate" not in {p.field for p in space.parameters}
    assert (24,) == space.recipe({}, "x").network.growth_rate
    assert ("other", ("accuracy", "multiply_adds")) == (space.name, space.objectives)
    assert (("parameters", 1e6),) == space.budget


def test_equal_spaces_are_told_alike(tmp_path):
    """What a search keeps of its space is JSON, and differs where a range, a fixed field or a budget does."""
    told = [
        json.dumps(read_space("study", o).to_dict())
        for o in ((), (), ("training.epochs=5",), ("budget.memory_mb=9",))
    ]

    assert told[0] == told[1]
    assert 3 == len(set(told))


BAD_PARAMETERS = {
    "network.growht = { choices = [8, 16] }": '"network.growth_rate"',
    "optimizer.lr = { low = 0.5, high = 0.1 }": "0.5",
    "optimizer.lr = { low = 0.1, high = 0.1 }": "fixed",
    "optimizer.weight_decay = { low = 0, high = 0.1, log = true }": "low is 0",
    "optimizer.lr = { low = 0.1 }": "high",
    "optimizer.lr = { low = nan, high = 1 }": "low",
    "optimizer.lr = { low = 0.1, high = 1e9 }": "high",
    "optimizer.lr = { low = 0.1, high = 1, step = 0 }": "step",
    "optimizer.lr = { low = 0.1, high = 1, log = 'yes' }": "'yes'",
    "optimizer.lr = { low = 0.1, high = 1, step = 0.1, log = true }": "step",
    "optimizer.lr = { low = 0.1, high = 1, stpe = 0.1 }": '"step"',
    "optimizer.lr = [0.1, 1]": "choices = […]",
    "optimizer.lr = { choices = [] }": "choices",
    "optimizer.lr = { choices = [0.1, 0.1] }": "twice",
    "optimizer.lr = { choices = [0.1, 1], low = 0.1 }": "not both",
    "optimizer.kind = { low = 1, high = 2 }": "choices",
    "optimizer.kind = { choices = ['sgd', 'lion'] }": "'lion'",
    "network.layers.0 = { low = 1.5, high = 4 }": "1.5",
    "network.layers.0 = { low = 1, high = 4, step = 0.5 }": "0.5",
    "network.kind = { choices = ['cnn', 'densenet'] }": "one kind",
    "optimizer.lr-a = { low = 0.1, high = 1 }\noptimizer.lr-b = { low = 0.1, high = 1 }": "its when",
    "augment.shift = { low = 0, high = 2, when = { augment.flp = true } }": '"augment.flp"; did you mean',
    "augment.shift = { low = 0, high = 2, when = { augment.flip = 3 } }": "augment.flip",
    "augment.shift = { low = 0, high = 2, when = 3 }": "when",
    "augment.shift = { low = 0, high = 2, when = { augment.flip = true } }\n"
    "augment.flip = { choices = [true, false] }": "augment.flip",
}


@pytest.mark.parametrize("parameter", BAD_PARAMETERS)
def test_a_bad_parameter_is_named(tmp_path, parameter):
    """Unknown fields, empty and reversed ranges, logarithms of zero, wrong types: one line names parameter and part."""
    with pytest.raises(TuneError) as caught:
        read_space(written(tmp_path, f"{HEAD}[parameters]\n{parameter}"))

    assert f'parameter "{parameter.partition(" = ")[0]}"' in str(caught.value)
    assert BAD_PARAMETERS[parameter] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as a space"),
        ("a = ", "cannot be read as a space"),
        ("format = 9", "written in format 9; this mien reads up to format 1"),
        (f'name = "a/b"\n[parameters]\n{ONE}', "name must be a word of letters"),
        (
            f'name = "a"\nrecipe = "quick-densnet"\n[parameters]\n{ONE}',
            'no recipe "quick-densnet"; did you mean',
        ),
        (f"{HEAD}objective = []\n[parameters]\n{ONE}", 'unknown key "objective"; did you mean "objectives"?'),
        (
            f"{HEAD}objectives = ['acuracy']\n[parameters]\n{ONE}",
            "one is 'acuracy'; did you mean \"accuracy\"?",
        ),
        (
            f"{HEAD}objectives = ['parameters']\n[parameters]\n{ONE}",
            "the first of objectives must be accuracy or log_loss",
        ),
        (f"{HEAD}objectives = ['accuracy', 'accuracy']\n[parameters]\n{ONE}", "objectives names one twice"),
        (
            f"{HEAD}[budget]\nparameter = 3\n[parameters]\n{ONE}",
            'unknown budget "parameter"; did you mean "parameters"?',
        ),
        (
            f"{HEAD}[budget]\nparameters = -3\n[parameters]\n{ONE}",
            "budget.parameters must be a number above 0 and is -3",
        ),
        (
            f"{HEAD}[fixed]\ntraining.epoch = 3\n[parameters]\n{ONE}",
            'unknown field "training.epoch"; did you mean "epochs"?',
        ),
        (HEAD, "parameters has no field to search"),
        (f"{HEAD}[parameters]\nlr = 3", "fixed, parameters and when hold fields such as optimizer.lr"),
    ],
)
def test_a_bad_space_is_told_in_words(tmp_path, text, message):
    """A space that is missing, broken, newer or misspelt is named with its fault."""
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(TuneError) as caught:
        read_space(path)

    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path):
    """A space with four faults needs one round of mending, not four."""
    text = f'{HEAD}objectives = ["x"]\n[budget]\ny = 1\n[fixed]\noptimizer.lr = 0\ntraining.epochs = 0\n'
    text += f"[parameters]\n{ONE}"

    with pytest.raises(TuneError) as caught:
        read_space(written(tmp_path, text))

    assert all(
        part in str(caught.value) for part in ("objectives", 'budget "y"', "training.epochs", "optimizer.lr")
    )


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("stduy", (), 'no space "stduy"; did you mean "study"? Known: strong, study'),
        ("study", ("training.epochs",), '"training.epochs" is not key=value'),
        ("study", ("training.epoch=3",), 'unknown field "training.epoch"; did you mean "epochs"?'),
        ("study", ("budget.parameters=few",), "budget.parameters must be a number above 0 and is 'few'"),
        ("study", ("objectives=loss",), "objectives must be of"),
    ],
)
def test_a_bad_name_or_override_is_told_in_words(name, overrides, message):
    """A typing error on the command line is answered with what was meant."""
    with pytest.raises(TuneError) as caught:
        read_space(name, overrides)

    assert message in str(caught.value)


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_is_a_space_or_a_tune_error(tmp_path_factory, text):
    """No parameters, however wild, bring anything but a space or a TuneError of one line."""
    path = tmp_path_factory.mktemp("spaces") / "mine.toml"
    for body in (text, f"{HEAD}[parameters]\noptimizer.lr = {{ {text} }}", f"{HEAD}[parameters]\n{text}"):
        path.write_text(body, encoding="utf-8", errors="replace", newline="")
        try:
            read_space(path)
        except TuneError as fault:
            assert "mine.toml" in str(fault)


def test_every_objective_has_a_direction():
    """Accuracy goes up, everything else down."""
    assert {"accuracy"} == {name for name, way in OBJECTIVES.items() if way == "maximize"}
