"""Fields of a recipe under the names that they had before."""

import tomllib

import pytest
from refusals import raises_naming

from mien.errors import RecipeError
from mien.recipe import current_name, known_fields, read_recipe, recipe_of, to_toml
from mien.recipe.renamed import RENAMED, RENAMED_SECTIONS

OLD = """
format = 1
name = "old"
[network]
kind = "densenet"
layers = [1, 2]
growth = [4, 8]
squeeze = 0.5
stochastic_depth = 0.1
init = "w.safetensors"
[optimizer]
sam = 0.05
ema = 0.99
[schedule]
kind = "plateau"
floor = 1e-5
[training]
keep = "best"
start_side = 24
[augment]
zoom = 0.1
erasing = 0.2
mixed = 0.3
[teacher]
tables = ["a.csv"]
share = 0.7
temperature = 2
[evaluation]
mirror = true
shift = 2
"""


def test_every_renamed_field_is_one_of_today():
    """Each name that fields are mapped to exists, and no field has a name that is mapped away."""
    known = set(known_fields())

    assert set(RENAMED.values()) <= known
    assert not known & set(RENAMED)
    assert not {field.partition(".")[0] for field in known} & set(RENAMED_SECTIONS)


def test_an_old_section_beside_a_value_of_its_new_name_is_refused():
    """A value where a renamed section belongs is named in the refusal."""
    tree = {"name": "x", "distillation": 3, "network": {"kind": "cnn"}, "teacher": {"share": 0.5}}

    with raises_naming(RecipeError, "distillation"):
        recipe_of(tree, "x")


def test_an_old_recipe_reads_as_a_new_one(tmp_path):
    """A recipe with every old name is the one that `to_toml` writes with today's."""
    path = tmp_path / "old.toml"
    path.write_text(OLD)
    recipe = read_recipe(path)

    assert recipe == recipe_of(tomllib.loads(to_toml(recipe)), "new")
    assert (4, 8) == recipe.network.growth_rate
    assert (("a.csv",), 0.7, 2.0) == (
        recipe.distillation.soft_targets,
        recipe.distillation.weight,
        recipe.distillation.temperature,
    )
    assert (True, 2) == (recipe.tta.flip, recipe.tta.shift)
    assert not any(f"\n{old.partition('.')[2]} =" in to_toml(recipe) for old in RENAMED)


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_on_the_command_line_sets_the_field(old):
    """`old.name=value` and `new.name=value` give the same recipe, and the last of both holds."""
    new = current_name(old)
    value = {"training.checkpoint": "best", "tta.flip": "true", "network.pretrained": "x"}.get(new, "0.5")
    value = {"distillation.soft_targets": "a.csv", "network.growth_rate": "8"}.get(new, value)
    value = {"training.progressive_resizing": "24"}.get(new, value)

    assert read_recipe("densenet", (f"{new}={value}",)) == read_recipe("densenet", (f"{old}={value}",))


def test_a_name_with_a_place_or_a_hyphen_is_renamed_too():
    """The parameters of a space name one value of a list, or tell two of one field apart."""
    assert "network.growth_rate.1" == current_name("network.growth.1")
    assert "augment.scale-b" == current_name("augment.zoom-b")
    assert "optimizer.lr-adam" == current_name("optimizer.lr-adam")
    assert "name" == current_name("name")


def test_a_field_under_both_names_is_refused(tmp_path):
    """Which of two values holds is not guessed; the message names both."""
    path = tmp_path / "both.toml"
    path.write_text(OLD + "[tta]\nflip = false\n")

    with raises_naming(RecipeError, "evaluation.mirror", "tta.flip"):
        read_recipe(path)
