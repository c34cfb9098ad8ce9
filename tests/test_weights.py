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


TAUGHT_BY = {"pocket": 2, "pocket-photos": 1}  # files of soft targets


def test_the_shipped_models_are_small_and_known():
    """Each has at most 1.5 MB; `pocket`'s weights are those that ship for network.pretrained=pocket."""
    models = {name: read_model(name) for name in shipped_models()}

    assert set(TAUGHT_BY) == set(models)
    assert all(model.path.stat().st_size <= 1_500_000 for model in models.values())
    assert [sha256_file(initial_file("pocket"))] == [run["weights_sha256"] for run in models["pocket"].runs]


@pytest.mark.parametrize("name", TAUGHT_BY)
def test_a_shipped_model_is_of_the_shipped_recipe_and_the_measured_data(name, tmp_path):
    """Its recipe is the one of its name as it ships, its data those of results/, its seed one that was measured."""
    model = read_model(name)
    with open(RESULTS / f"{name}-machine.csv", encoding="utf-8", newline="") as file:
        measured = next(csv.DictReader(file))
    with open(RESULTS / f"{name}-seeds.csv", encoding="utf-8", newline="") as file:
        seeds = {row["seed"] for row in csv.DictReader(file)}
    (tmp_path / "recipe.toml").write_text(model.runs[0]["recipe"])
    made, shipped = read_recipe(tmp_path / "recipe.toml"), read_recipe(name)

    assert len(made.distillation.soft_targets) == TAUGHT_BY[name]
    assert shipped == replace(made, distillation=replace(made.distillation, soft_targets=()))
    assert measured["data"] == model.data["fingerprint"]
    assert str(model.runs[0]["seed"]) in seeds
    assert json.loads(json.dumps(model.crop))["side"] == model.side == 48


def test_the_shipped_weights_fit_the_shipped_recipe():
    """`network.pretrained=pocket` fills every tensor of pocket's network."""
    network = build(read_recipe("pocket").network, side=48, classes=7)

    assert read_initial(initial_file("pocket"), network).keys() == network.state_dict().keys()


@pytest.mark.parametrize("name", TAUGHT_BY)
def test_the_card_tells_test_and_what_is_forbidden(name):
    """Results on test with intervals, ECE at most .03 of `pocket`, and the uses that it must not be put to."""
    card = read_model(name).card
    calibration = next(line for line in card.splitlines() if line.startswith("| ECE |"))

    assert "at work or in education" in card
    assert name != "pocket" or all(float(cell.split()[0]) <= 0.03 for cell in calibration.split("|")[2:6])
