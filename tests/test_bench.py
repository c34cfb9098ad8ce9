import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_cli import mien
from test_train import TOY, toy_recipe
from torch import nn

from mien.bench import PLAIN, Bench, bench, others, random_faces, variants
from mien.bench.clock import STAGES, Speed, gain, race
from mien.bench.device import Traffic, demand
from mien.bench.own import INFERENCE_FACES, Variant, own_step
from mien.bench.plain import Faces, plain_step
from mien.bench.report import CONTENTS, EARLIER, write
from mien.bench.text import summary
from mien.errors import StorageError
from mien.networks.engine import Engine, choose_engine
from mien.progress import Counting
from mien.recipe import Augment

PLAIN_ENGINE = Engine("cpu", "fp32", "channels-first", 1)


def speed(*rounds: float) -> Speed:
    """Return a speed of so many seconds a step in each round."""
    return Speed(sorted(rounds)[len(rounds) // 2], rounds, dict.fromkeys(STAGES, rounds[0] / 4))


@pytest.fixture(scope="module")
def told() -> Bench:
    """A measurement made up: mien is four times as fast, on a device of 1 TFLOP/s and 100 GB/s."""
    return Bench(
        recipe="toy",
        batch_size=100,
        machine={"device": "cpu", "cpu": "a CPU", "torch": "2.13"},
        engine={"device": "cpu", "precision": "fp32", "layout": "channels-last", "threads": 2},
        training={
            PLAIN: speed(0.8, 0.8, 0.9),
            "+ channels-last": speed(0.4, 0.4, 0.5),
            "+ fast parts": speed(0.2, 0.2, 0.25),
        },
        reading={"plain": speed(0.4), "mien": speed(0.1)},
        others={},
        operations=10**11,
        traffic_bytes=5 * 10**9,
        operations_per_second={"fp32": 1e12},
        bytes_per_second=1e11,
    )


def test_gains_are_taken_round_by_round():
    """A machine that is slow for a round is slow for both, so pairs are compared and not medians of each."""
    assert 2 == gain(speed(1, 10, 1), speed(2, 20, 3))


def test_shares_are_of_what_the_device_reaches(told):
    """Operations and bytes of a step over its seconds, as shares of a large product's and a large copy's."""
    assert 500 == told.images_per_second("+ fast parts")
    assert 0.5 == pytest.approx(told.compute_share)
    assert 0.25 == pytest.approx(told.bandwidth_share)


def test_the_words_hold_every_figure(told):
    """Speeds, gains by cause and in all, reading, loop, device and what is not installed stand in the summary."""
    lines = summary(told).splitlines()
    rows = {" ".join(line.split()) for line in lines}

    assert {"plain loop 125 1.00", "+ channels-last 250 2.00 2.00", "+ fast parts 500 2.00 4.00"} <= rows
    assert f"mien {INFERENCE_FACES / 0.1:,.0f} 4.00" in rows
    assert "the loop itself: 25.0% of a step of `mien train`" in rows
    assert any("50% of that compute in fp32, 25% of that bandwidth" in row for row in rows)
    assert "DenseNet-121 of timm and torchvision: not installed" in rows
    assert max(map(len, lines)) <= 120


def test_the_folder_holds_figures_and_numbers(told, tmp_path):
    """A page, two figures, CSV and JSON; the next replaces it, and one of before; never over other files."""
    (tmp_path / "bench").mkdir()
    for name in EARLIER:
        (tmp_path / "bench" / name).write_text("")
    for _ in range(2):
        figures = write(told, tmp_path / "bench")
    record = json.loads((tmp_path / "bench" / "bench.json").read_text())
    (tmp_path / "bench" / "mine.txt").write_text("")

    assert ["speed", "stages"] == [figure.name for figure in figures]
    assert {"mine.txt", *CONTENTS} == {path.name for path in (tmp_path / "bench").iterdir()}
    assert [0.2, 0.2, 0.25] == record["training"]["+ fast parts"]["rounds"]
    assert 0.5 == pytest.approx(record["compute_share"])
    with pytest.raises(StorageError):
        write(told, tmp_path / "bench")


def test_contenders_take_turns():
    """After they are warm all contenders step in each round, one after the other, and stages are told apart."""
    calls = []

    def step(name):
        def take(mark):
            calls.append(name)
            mark("forward")

        return take

    found = race({"a": step("a"), "b": step("b")}, device="cpu", rounds=3, seconds=0, counting=Counting())

    assert ["a", "a", "b", "b", *["a", "a", "b", "b"] * 3] == calls
    assert all(3 == len(one.rounds) for one in found.values())
    assert all(one.stages["forward"] > 0 == one.stages["data"] for one in found.values())


@pytest.mark.parametrize("name", ["quick-densenet", "quick-cnn"])
def test_every_variant_takes_steps_and_marks_each_stage(name):
    """Plain or with any of the gains, a step has its four stages, and none is marked twice but data."""
    recipe = toy_recipe(name)
    images, labels = random_faces(32)
    found = {"plain": plain_step(recipe, images, labels, "cpu")}
    found |= {n: own_step(recipe, v, images, labels) for n, v in variants(choose_engine(threads=1)).items()}
    for step in found.values():
        marks = []
        for _ in range(3):
            step(marks.append)

        assert set(STAGES) == set(marks)
        assert marks[:4] == list(STAGES)


def test_variants_end_with_the_engine():
    """Gains are added in turn and the last variant is how mien trains; one that the machine lacks is left out."""
    slow = Engine("cpu", "fp32", "channels-last", 2)
    found = list(variants(slow).values())

    assert Variant(slow) == found[-1]
    assert (
        Variant(replace(slow, precision="bf16"))
        == list(variants(replace(slow, precision="bf16")).values())[-1]
    )
    assert len(variants(slow)) + 1 == len(variants(replace(slow, precision="bf16")))


def test_plain_faces_are_moved_and_flipped_one_by_one():
    """A face of the plain loop is the picture, perhaps mirrored, moved by at most the recipe's pixels."""
    images = torch.zeros(1, 16, 16, dtype=torch.uint8)
    images[0, 8, 5] = 255
    faces = Faces(images, torch.tensor([3]), Augment(flip=True, shift=2))
    places = {tuple(torch.nonzero(faces[0][0][0] > 0)[0].tolist()) for _ in range(400)}

    assert {row for row, _ in places} == set(range(6, 11))
    assert {column for _, column in places} == {*range(3, 8), *range(8, 13)}
    assert 3 == faces[0][1]


def test_operations_and_bytes_of_a_product_are_counted():
    """A product of matrices is 2 m n k operations and three tensors; views are free, sums in place read and write."""
    one, other = torch.ones(8, 16), torch.ones(16, 4)
    operations, product = demand(lambda _: one @ other.view(4, 16).view(16, 4))
    with Traffic() as sums:
        one.add_(one.clone())

    assert 2 * 8 * 16 * 4 == operations
    assert 4 * (8 * 16 + 16 * 4 + 8 * 4) == product
    assert 4 * 128 * (2 + 3) == sums.bytes


def test_other_packages_are_measured_where_they_are(monkeypatch):
    """Without timm and torchvision nothing is measured; one that is there stands beside our DenseNet-121."""
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert {} == others.other_steps(PLAIN_ENGINE, 48)

    asked = {}

    def create_model(name, **options):
        asked[name] = options
        return nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, options["num_classes"]))

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    steps = others.other_steps(PLAIN_ENGINE, 48)
    steps["timm"](lambda _: None)

    assert ["timm", "mien"] == list(steps)
    assert {"densenet121": {"pretrained": False, "in_chans": 1, "num_classes": 7}} == asked


@pytest.fixture
def small_device(monkeypatch):
    """Let what the device reaches be measured on matrices and copies of no size."""
    monkeypatch.setattr("mien.bench.device.SIDES", {"cpu": 8})
    monkeypatch.setattr("mien.bench.device.COPIED_BYTES", {"cpu": 64})


def test_a_recipe_is_measured_from_end_to_end(small_device):
    """Every contender has its rounds, and every figure is a number above 0; torch's threads and numbers stay."""
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    told = bench(toy_recipe("quick-cnn", "network.hidden_dropout=0.5"), threads=1, rounds=1, seconds=0)

    assert {PLAIN, *variants(choose_engine(threads=1))} == set(told.training)
    assert {"plain", "mien"} == set(told.reading)
    assert min(told.compute_share, told.bandwidth_share, told.images_per_second(PLAIN)) > 0
    assert "faces a second" in repr(told)
    assert json.loads(json.dumps(told.to_dict()))["engine"]["threads"] == 1
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads()


@pytest.mark.slow
def test_the_command_prints_tables_and_writes_figures(tmp_path):
    """`mien bench` ends with its tables and a folder of figures and numbers; other files there are not touched."""
    done = mien("bench", "quick-densenet", *TOY, "--threads", 1, "--rounds", 1, "--seconds", 0, cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    assert "plain loop" in done.stdout
    assert CONTENTS == {path.name for path in (tmp_path / "reports" / "bench" / "quick-densenet").iterdir()}
    (tmp_path / "mine.txt").write_text("")
    refused = mien("bench", "quick-densenet", *TOY, "--out", tmp_path, cwd=tmp_path)

    assert 2 == refused.returncode
    assert "holds other files than a report" in refused.stderr


GPU_SCRIPT = Path(__file__).parent.parent / "bench" / "gpu.sh"
STUB = """#!/bin/sh
echo "$3 $4" >> "$CALLS"
case "$*" in *"train densenet-fast"*) [ -e "$CALLS.again" ] || { touch "$CALLS.again"; exit 130; } ;; esac
case "$*" in *"bench densenet "*) exit 3 ;; esac
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_waits_for_a_gpu_does_not_take_a_cpu_for_one(tmp_path):
    """Where torch sees no GPU one line says so, and nothing is marked as done."""
    command = [str(GPU_SCRIPT), str(tmp_path / "out")]
    done = subprocess.run(
        command, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True
    )

    assert (2, f"{sys.executable} sees no GPU; CPU=1 goes on without one\n") == (done.returncode, done.stderr)
    assert [] == list(tmp_path.iterdir())


def test_what_waits_for_a_gpu_goes_on_where_it_stopped(tmp_path):
    """What is done is not done again, a stopped training goes on, and what failed is told and tried again."""
    stub, calls = tmp_path / "python", tmp_path / "calls"
    stub.write_text(STUB)
    stub.chmod(0o755)
    calls.touch()
    command = [str(GPU_SCRIPT), "out", "faces"]
    environment = os.environ | {"PYTHON": str(stub), "CALLS": str(calls), "GPUS": "2", "CPU": "1"}
    done, made = [], []
    for minutes in ("9", "9", "0"):
        before = len(calls.read_text().splitlines())
        options = {
            "cwd": tmp_path,
            "env": environment | {"MINUTES": minutes},
            "capture_output": True,
            "text": True,
        }
        done.append(subprocess.run(command, **options))
        made.append(calls.read_text().splitlines()[before:])

    assert ["bench quick-densenet", "train densenet-blink"] == made[0][:2]
    assert "train-densenet-fast-s0: goes on in the next call" in done[0].stdout
    assert ["train densenet-fast", "evaluate", "bench densenet"] == [call.split(" /")[0] for call in made[1]]
    assert [] == made[2]
    assert "bench-densenet: for the next call" in done[2].stdout
    assert [1, 1, 0] == [one.returncode for one in done]
    assert (tmp_path / "out" / "done" / "train-on-2").exists()
    assert {f"train-densenet-s{seed}" for seed in range(5)} < {
        path.name for path in (tmp_path / "out" / "done").iterdir()
    }
    assert (tmp_path / "out" / "done" / "train-taught").exists()
