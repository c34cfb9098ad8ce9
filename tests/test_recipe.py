import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import raises_naming

from mien.errors import RecipeError
from mien.recipe import DenseNet, block_layers, gaussian_peak, read_recipe, shipped_recipes, to_toml


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_loads_and_states_its_claim(name):
    """Every recipe in the wheel is valid, carries its own name and says what was measured with it."""
    recipe = read_recipe(name)

    assert name == recipe.name
    assert "# claim: " in shipped_recipes()[name].read_text()


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_written_out_reads_back_as_equal(name, tmp_path):
    """The recipe.toml of a run makes the same run again."""
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(read_recipe(name)))

    assert read_recipe(name) == read_recipe(path)


def test_an_override_changes_one_field():
    """`key=value` is read by the field's type and leaves all others."""
    recipe = read_recipe(
        "quick-densenet", ("network.growth_rate=8,16,24", "optimizer.lr=1e-2", "augment.flip=false")
    )

    assert (8, 16, 24) == recipe.network.growth_rate
    assert 0.01 == recipe.optimizer.lr
    assert recipe.augment.flip is False
    assert read_recipe("quick-densenet").training == recipe.training


def test_tables_are_listed_with_commas():
    """`distillation.soft_targets` takes names as a list with commas, a single name or a list as TOML has it."""
    for text, tables in {
        "a.csv,b c.csv": ("a.csv", "b c.csv"),
        "a.csv": ("a.csv",),
        '["a,b.csv"]': ("a,b.csv",),
        "a.csv, b.csv,": ("a.csv", "b.csv"),
        "": (),
    }.items():
        assert (
            tables == read_recipe("pocket", (f"distillation.soft_targets={text}",)).distillation.soft_targets
        )


def test_one_growth_stands_for_all_blocks():
    """A single number is a list of one."""
    assert (12,) == read_recipe("quick-densenet", ("network.growth_rate=12",)).network.growth_rate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.growht_rate=3", 'unknown field "network.growht_rate"; did you mean "growth_rate"?'),
        ("optimiser.lr=3", 'unknown field "optimiser.lr"; did you mean "optimizer.lr"?'),
        ("lr=3", 'unknown field "lr"'),
        ("training.epochs", '"training.epochs" is not key=value'),
        ("training.epochs=ten", "training.epochs must be a number without a fraction and is 'ten'"),
        ("training.epochs=2.5", "training.epochs must be a number without a fraction and is 2.5"),
        ("training.epochs=true", "training.epochs must be a number without a fraction and is True"),
        ("training.epochs=-1", "training.epochs must be between 1 and 100000 and is -1"),
        ("optimizer.lr=nan", "optimizer.lr must be between 1e-09 and 100 and is nan"),
        ("optimizer.lr=inf", "optimizer.lr must be between 1e-09 and 100 and is inf"),
        ("optimizer.lr=1e9", "optimizer.lr must be between 1e-09 and 100"),
        ("augment.flip=1", "augment.flip must be true or false and is 1"),
        ("optimizer.kind=lion", "optimizer.kind must be one of sgd, adam, adamw and is 'lion'"),
        ("network.kind=vgg", "network.kind must be one of cnn, densenet, resnet, .* and is 'vgg'"),
        ("network.kind=1,2", r"network.kind must be one of cnn, densenet, resnet, .* and is \[1, 2\]"),
        (f"training.epochs=1{'0' * 400}", "training.epochs must be between 1 and 100000 and is 10"),
        (f"training.epochs=1{'0' * 5000}", "training.epochs must be a number"),
        (f"training.epochs={'[' * 20_000}", "training.epochs must be a number"),
        ("network.pretrained=7", "network.pretrained must be printable text and is 7"),
        ('network.pretrained="a\\nb"', "network.pretrained must be printable text and is"),
        ("network.layers=2,0", "network.layers must be between 1 and 128"),
        ("network.growth_rate=1,2", "network.growth_rate has 2 values for 3 blocks"),
        ("network.num_blocks=3", "give network.layers, or network.num_blocks .* not both"),
        ("training.patience=3", "training.patience stops early, so training.checkpoint must be best"),
        ("name=a/b", "name must be a word"),
        (f"name={'ü' * 33}", "in at most 64 bytes"),
    ],
)
def test_a_bad_field_is_told_in_words(override, message):
    """Unknown keys, wrong types, nan, negative and absurd values, contradictions: each has its line."""
    with pytest.raises(RecipeError, match=message):
        read_recipe("quick-densenet", (override,))


def test_all_faults_are_told_at_once():
    """A recipe with three faults needs one round of mending, not three."""
    with pytest.raises(RecipeError) as caught:
        read_recipe("quick-cnn", ("optimizer.lr=nan", "training.epoch=3", "augment.shift=-1"))

    assert all(part in str(caught.value) for part in ("optimizer.lr", "training.epoch", "augment.shift"))


def test_a_section_that_is_none_takes_no_field(tmp_path):
    """Where a file has a number for a section, a field changed in it is told as the file's fault."""
    path = tmp_path / "mine.toml"
    path.write_text("name = 'x'\noptimizer = 3\n[network]\nkind = 'cnn'\n")
    with raises_naming(RecipeError, "optimizer"):
        read_recipe(path, ("optimizer.lr=0.1",))


def test_an_unknown_recipe_gets_the_nearest_name():
    """A typing error in a recipe's name is answered with the name that was meant."""
    with raises_naming(RecipeError, "quick-densnet", "quick-densenet"):
        read_recipe("quick-densnet")
    with raises_naming(RecipeError, "zzzzzz"):
        read_recipe("zzzzzz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("a = ", "cannot be read as a recipe"),
        ("format = 9\nname = 'x'", "written in format 9"),
        ("name = 'x'\n[netwrk]", 'unknown section "netwrk"; did you mean "network"'),
        ("name = 'x'\nnetwork = 3", "network.kind must be one of"),
        (f"name = {'[' * 20_000}", "cannot be read as a recipe"),
        ("name = 'x'\n[network]\nkind='cnn'\n[training]\nepochs=[1]", "training.epochs must be a number"),
    ],
)
def test_a_bad_recipe_file_is_told_in_words(tmp_path, text, message):
    """A recipe that is missing, broken, newer or misspelt is named with its fault."""
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(RecipeError, match=f"mine.toml.*{message}"):
        read_recipe(path)


def test_a_resnet_has_one_to_six_stages():
    """No stage and too many, whose widths double, are refused with their number."""
    for layers, count in (("[]", 0), ("1,1,1,1,1,1,1", 7)):
        with pytest.raises(RecipeError, match=f"network.layers must have 1 to 6 values, .* and has {count}"):
            read_recipe("resnet-18", (f"network.layers={layers}",))


@given(st.text(max_size=20))
def test_any_path_of_weights_reads_back_as_it_was(tmp_path_factory, text):
    """A path with quotes, backslashes or any letters is written as TOML that reads back as equal, or is refused."""
    path = tmp_path_factory.getbasetemp() / "init.toml"
    try:
        recipe = read_recipe("quick-cnn", (f"network.pretrained={json.dumps(text, ensure_ascii=False)}",))
    except RecipeError as error:
        assert "network.pretrained must be printable text" in str(error)
        return
    path.write_text(to_toml(recipe), encoding="utf-8")

    assert recipe == read_recipe(path)


@given(st.text(max_size=40))
def test_any_override_is_a_recipe_or_a_recipe_error(text):
    """No override, however wild, brings anything but a recipe or a RecipeError."""
    try:
        read_recipe("quick-cnn", (f"optimizer.lr={text}",))
    except RecipeError as error:
        assert "quick-cnn" in str(error)


@pytest.mark.parametrize(
    ("arguments", "layers"),
    [((4, 26, 3), (4, 26, 4)), ((4, 16, 2), (4, 16)), ((4, 9, 1), (9,)), ((5, 5, 4), (5, 5, 5, 5))],
)
def test_gaussian_peak_gives_the_studys_layers(arguments, layers):
    """The study's best trial, 3 blocks from 4 to 26, has layers [4, 26, 4]."""
    assert layers == gaussian_peak(*arguments)


@given(st.integers(1, 128), st.integers(1, 128), st.integers(1, 12))
def test_gaussian_peak_stays_within_its_bounds(one, other, blocks):
    """There is one count a block, none below the lowest, none above the highest, which is reached."""
    low, high = sorted((one, other))
    layers = block_layers(DenseNet(num_blocks=blocks, min_layers=low, max_layers=high))

    assert blocks == len(layers)
    assert low <= min(layers)
    assert high == max(layers)
