import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mien.model import read_model, shipped_models
from mien.networks import build
from mien.networks.initial import initial_file, read_initial
from mien.reading import sha256_file
from mien.recipe import read_recipe

RESULTS = Path(__file__).parent.parent / "results"

RECIPES = {
    "pocket": ("pocket",),
    "pocket-photos": ("pocket-photos",),
    "sharp": ("pocket-photos-mild", "pocket-photos-mild", "pocket-photos", "pocket-photos"),
}  # of each model's networks
SOFT_TARGETS = {"pocket": 2, "pocket-photos": 1, "pocket-photos-mild": 1}  # how many files a recipe learned
LARGEST = {"sharp": 6_000_000}  # bytes; 1.5 MB of any other


def test_the_shipped_models_are_small_and_known():
    """Each has at most 1.5 MB, `sharp` 6; `pocket`'s weights are those that ship for network.pretrained=pocket."""
    models = {name: read_model(name) for name in shipped_models()}

    assert set(RECIPES) == set(models)
    assert all(model.path.stat().st_size <= LARGEST.get(name, 1_500_000) for name, model in models.items())
    assert [sha256_file(initial_file("pocket"))] == [run["weights_sha256"] for run in models["pocket"].runs]


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_model_is_of_the_shipped_recipe_and_the_measured_data(name, tmp_path):
    """Its networks' recipes are such as ship, its data those of results/, its seeds such as were measured."""
    model = read_model(name)

    for run, recipe in zip(model.runs, RECIPES[name], strict=True):
        with open(RESULTS / f"{recipe}-machine.csv", encoding="utf-8", newline="") as file:
            measured = next(csv.DictReader(file))
        with open(RESULTS / f"{recipe}-seeds.csv", encoding="utf-8", newline="") as file:
            seeds = {row["seed"] for row in csv.DictReader(file)}
        shipped = read_recipe(recipe)
        (tmp_path / "recipe.toml").write_text(run["recipe"])
        made = read_recipe(tmp_path / "recipe.toml")
        assert len(made.distillation.soft_targets) == SOFT_TARGETS[recipe]
        assert shipped == replace(made, distillation=replace(made.distillation, soft_targets=()))
        assert str(run["seed"]) in seeds
        assert measured["data"] == model.data["fingerprint"]
    assert json.loads(json.dumps(model.crop))["side"] == model.side == 48


def test_the_shipped_weights_fit_the_shipped_recipe():
    """`network.pretrained=pocket` fills every tensor of pocket's network."""
    network = build(read_recipe("pocket").network, side=48, classes=7)

    assert read_initial(initial_file("pocket"), network).keys() == network.state_dict().keys()


@pytest.mark.parametrize("name", RECIPES)
def test_the_card_tells_test_and_what_is_forbidden(name):
    """Results on test with intervals, ECE at most .03 of `pocket`, and the uses that it must not be put to."""
    card = read_model(name).card
    calibration = next(line for line in card.splitlines() if line.startswith("| ECE |"))

    assert "at work or in education" in card
    assert name != "pocket" or all(float(cell.split()[0]) <= 0.03 for cell in calibration.split("|")[2:6])
