import dataclasses
import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mien.dataset import read_dataset
from mien.networks import build
from mien.networks.cost import describe
from mien.recipe import read_recipe
from study import holds, numbers, page, train
from study.fault import FaultyDenseNet
from study.plan import PLAN, Planned
from study.swapped import swapped
from study.tables import Tables, told_pair

ROOT = Path(__file__).resolve().parent.parent


def told_of(name: str) -> dict:
    """Return what a planned network costs."""
    planned = next(p for p in PLAN if p.name == name)
    return describe(build(read_recipe(planned.recipe, planned.overrides).network, side=48, classes=7), 48)


def test_the_page_says_what_the_results_say():
    """docs/study.md and its figures are what `python -m study.page` makes of results/study/ today."""
    assert [] == page.stale()


def test_every_picture_of_the_page_is_there():
    """No figure that the page shows is missing."""
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", (ROOT / "docs" / "study.md").read_text(encoding="utf-8"))

    assert pictures
    assert [] == [name for name in pictures if not (ROOT / "docs" / name).exists()]


def test_planned_runs_have_names_of_their_own_and_recipes_that_can_be_read():
    """Two runs of one name would be one folder; a recipe with a fault would stop the plan in its middle."""
    names = [planned.name for planned in PLAN]

    assert sorted(set(names)) == sorted(names)
    assert names == [read_recipe(planned.recipe, planned.overrides).name for planned in PLAN]


@pytest.mark.parametrize("name", ["residual", "plain"])
def test_the_three_ways_to_connect_cost_the_same(name):
    """Parameters and multiply-adds are those of the dense network to within 1 %."""
    dense, other = told_of("dense"), told_of(name)

    assert other["parameters"] == pytest.approx(dense["parameters"], rel=0.01)
    assert other["multiply_adds"] == pytest.approx(dense["multiply_adds"], rel=0.01)


def test_the_narrow_cnn_has_the_parameters_of_the_small_densenet():
    """What is compared at equal parameters has them, to within 1 %."""
    assert told_of("cnn-narrow")["parameters"] == pytest.approx(
        told_of("quick-densenet")["parameters"], rel=0.01
    )


def test_the_faulty_densenet_doubles_what_a_block_gives():
    """The study's dropout returns a block's features once more, without them being new."""
    options = read_recipe("study-densenet").network
    torch.manual_seed(0)
    network = FaultyDenseNet(options, side=48, classes=7).eval()
    x = network.blocks[0](torch.rand(2, 32, 12, 12))

    assert (2, 192, 12, 12) == tuple(x.shape)
    assert torch.equal(x[:, :96], x[:, 96:])


def test_the_studys_faces_and_best_trial_are_those_of_its_files():
    """The claims that the page repeats agree with the study's recipe in mien and with its search."""
    claims = tomllib.loads((ROOT / "study" / "claims.toml").read_text(encoding="utf-8"))
    told = Tables(ROOT / "results" / "study")("search", state="complete")
    best = min(told, key=lambda row: float(row["test_loss"]))
    network = read_recipe("study-densenet").network

    assert 54_240 == sum(claims["faces"].values())
    assert 39 == len(told)
    assert claims["best"]["value"] == pytest.approx(float(best["test_loss"]), abs=1e-3)
    assert (
        claims["best"]["dropout"] == pytest.approx(float(best["dropout_rate"]), abs=1e-4) == network.dropout
    )


def test_swapped_splits_are_noticed(toy):
    """The set whose test faces are its train faces has no clean face, and keeps the real test split out."""
    folder = swapped(toy)
    dataset, real = read_dataset(folder), read_dataset(toy)
    test = dataset.open_test()

    assert not test.clean.any()
    assert np.array_equal(np.sort(test.groups), np.sort(dataset.development().train.groups))
    unseen = real.open_test()
    used = {face.tobytes() for face in dataset.whole().images}
    assert not used & {face.tobytes() for face in unseen.images[unseen.clean]}
    assert len(real.development().val) == len(dataset.development().val)


def test_a_planned_run_is_made_probed_and_gathered(toy, tmp_path, monkeypatch):
    """From a plan to numbers, with toy networks: gradients at three moments, reuse, fit, scores; made once."""
    monkeypatch.chdir(tmp_path)
    tiny = ("network.layers=2,2", "network.growth_rate=4", "network.stem_channels=4", "training.epochs=4")
    planned = Planned("toy", ("connections",), "quick-densenet", tiny, probed=True)
    monkeypatch.setattr(numbers, "PLAN", (planned,))
    numbers.RESULTS.mkdir(parents=True)

    train.make(planned, 0, toy, 1, lambda: False)
    before = (planned.folder(0) / "weights.safetensors").stat().st_mtime_ns
    train.make(planned, 0, toy, 1, lambda: False)
    numbers.inside()
    numbers.runs()
    tables = Tables(Path("results/study"))

    assert before == (planned.folder(0) / "weights.safetensors").stat().st_mtime_ns
    assert {"start", "middle", "end"} == {row["when"] for row in tables("gradients")}
    assert {"train", "val"} == {row["split"] for row in tables("fit")}
    assert "4" == tables("runs", name="toy")[0]["epochs"]
    assert 2 * (1 + 2 + 3) == len(tables("reuse"))
    start, middle = (json.loads(Path(f"runs/study/toy-s0-{w}.json").read_text()) for w in ("start", "middle"))
    assert start["gradients"] != middle["gradients"]


def test_numbers_of_runs_that_are_elsewhere_stay(tmp_path, monkeypatch):
    """A table is written anew for the networks whose runs are here alone, in the plan's order."""
    monkeypatch.chdir(tmp_path)
    numbers.RESULTS.mkdir(parents=True)
    numbers.write_kept("fit.csv", ("network", "seed"), [("plain", 0), ("dense", 0), ("dense", 1)])
    numbers.write_kept("fit.csv", ("network", "seed"), [("dense", 7)])

    rows = Tables(numbers.RESULTS)("fit")
    assert [("dense", "7"), ("plain", "0")] == [(row["network"], row["seed"]) for row in rows]


@pytest.mark.parametrize("name", ["equal-residual", "equal-plain"])
def test_equal_growth_and_bottleneck_differ_in_connections_alone(name):
    """The three networks have the same layers of the same width; the dense one costs more."""
    dense, other = (
        read_recipe(planned.recipe, planned.overrides).network
        for planned in (next(p for p in PLAN if p.name == n) for n in ("dense", name))
    )

    assert dense.connection != other.connection
    assert dataclasses.replace(other, connection=dense.connection) == dense
    assert told_of(name)["parameters"] < told_of("dense")["parameters"]


def test_a_name_that_begins_another_one_is_not_that_one(tmp_path, monkeypatch):
    """`dense` has the runs dense-s0 and so on, and not those of `dense-shallow`."""
    monkeypatch.chdir(tmp_path)
    planned = next(p for p in PLAN if p.name == "dense")
    for name in ("dense-s0", "dense-s1", "dense-shallow-s0"):
        (numbers.RUNS / name).mkdir(parents=True)
        (numbers.RUNS / name / "predictions-test.csv").touch()
    monkeypatch.setattr(numbers, "read_run", lambda path: SimpleNamespace(seed=int(path.name[-1])))

    assert ["dense-s0", "dense-s1"] == [folder.name for folder in numbers.complete(planned)]


def test_the_middle_of_training_changes_nothing(toy, tmp_path, monkeypatch):
    """A run that was stopped halfway and looked into has the weights of one that was not."""
    monkeypatch.chdir(tmp_path)
    tiny = ("network.layers=2,2", "network.growth_rate=4", "network.stem_channels=4", "training.epochs=4")
    made = []
    for name, probed in (("looked", True), ("left", False)):
        planned = Planned(name, ("connections",), "quick-densenet", tiny, probed=probed)
        train.make(planned, 0, toy, 1, lambda: False)
        made.append((planned.folder(0) / "weights.safetensors").read_bytes())

    assert made[0] == made[1]


def test_a_comparison_reads_the_same_from_both_sides(tmp_path):
    """`a` minus `b` turned round is `b` minus `a`, and the better one stays the better one."""
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "differences.csv").write_text(
        "a,b,part,faces,score,point,low,high,accuracy_p,accuracy_p_holm,conclusion\n"
        "one,two,clean,100,accuracy,0.02,0.01,0.03,0.001,0.004,better\n"
    )
    tables = Tables(tmp_path)

    assert (
        "`one` minus `two`: +2.0 points [+1.0, +3.0] on the clean faces, p = 0.004; `one` is better."
        == told_pair(tables, "g", "one", "two")
    )
    assert "−2.0 points [−3.0, −1.0]" in told_pair(tables, "g", "two", "one")
    assert told_pair(tables, "g", "two", "one").endswith("`one` is better.")
    assert "not measured yet" in told_pair(tables, "g", "one", "three")


def test_what_is_missing_is_said(tmp_path):
    """A planned run without numbers is named, and one with fewer seeds than a GPU makes, too."""
    (tmp_path / "runs.csv").write_text("name,seed\nstudy-cnn,0\nstudy-cnn,1\n")
    told = holds.missing(Tables(tmp_path))

    assert "`study-densenet`" in told.partition("any run of")[2]
    assert "now `study-cnn` 2, all others one" in told
