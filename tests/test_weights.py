import csv
import json
from dataclasses import replace
from pathlib import Path

from mien.model import read_model, shipped_models
from mien.networks import build
from mien.networks.initial import initial_file, read_initial
from mien.reading import sha256_file
from mien.recipe import read_recipe

RESULTS = Path(__file__).parent.parent / "results"


def test_the_shipped_model_is_small_and_made_of_the_shipped_weights():
    """pocket.onnx has at most 1.5 MB, and its run's weights are those that ship for network.pretrained=pocket."""
    model = read_model("pocket")

    assert {"pocket"} == set(shipped_models())
    assert model.path.stat().st_size <= 1_500_000
    assert [sha256_file(initial_file("pocket"))] == [run["weights_sha256"] for run in model.runs]


def test_the_shipped_model_is_of_the_shipped_recipe_and_the_measured_data(tmp_path):
    """Its recipe is `pocket` as it ships, its data those of results/, its seed one that was measured."""
    model = read_model("pocket")
    with open(RESULTS / "pocket-machine.csv", encoding="utf-8", newline="") as file:
        measured = next(csv.DictReader(file))
    with open(RESULTS / "pocket-seeds.csv", encoding="utf-8", newline="") as file:
        seeds = {row["seed"] for row in csv.DictReader(file)}
    (tmp_path / "recipe.toml").write_text(model.runs[0]["recipe"])
    made, shipped = read_recipe(tmp_path / "recipe.toml"), read_recipe("pocket")

    assert len(made.distillation.soft_targets) == 2
    assert shipped == replace(made, distillation=replace(made.distillation, soft_targets=()))
    assert measured["data"] == model.data["fingerprint"]
    assert str(model.runs[0]["seed"]) in seeds
    assert json.loads(json.dumps(model.crop))["side"] == model.side == 48


def test_the_shipped_weights_fit_the_shipped_recipe():
    """`network.pretrained=pocket` fills every tensor of pocket's network."""
    network = build(read_recipe("pocket").network, side=48, classes=7)

    assert read_initial(initial_file("pocket"), network).keys() == network.state_dict().keys()


def test_the_card_tells_test_and_what_is_forbidden():
    """Results on test with intervals, ECE at most .03, and the uses that it must not be put to."""
    card = read_model("pocket").card
    calibration = next(line for line in card.splitlines() if line.startswith("| ECE |"))

    assert "at work or in education" in card
    assert all(float(cell.split()[0]) <= 0.03 for cell in calibration.split("|")[2:6])
