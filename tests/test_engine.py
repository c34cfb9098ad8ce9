import json
import os
import socket
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from safetensors.torch import load_file
from test_networks import network_of, some_images
from test_train import TOY, TOY_CNN
from torch import nn

from mien.distill import distill_views
from mien.errors import RunError
from mien.networks import as_input
from mien.networks.engine import Engine
from mien.networks.fast import Dropout, Join, make_plain
from mien.recipe import Optimizer, read_recipe
from mien.train import distributed, train
from mien.train.step import make_optimizer

PLAIN = Engine("cpu", "fp32", "channels-last", 1)
LAYOUTS = {"channels-first": torch.contiguous_format, "channels-last": torch.channels_last}


def gradients(network: nn.Module, layout: str) -> dict[str, torch.Tensor]:
    """Return the logits and every gradient of one backward pass in training mode."""
    network = network.to(memory_format=LAYOUTS[layout]).train()
    logits = network(as_input(some_images(6)))
    F.cross_entropy(logits, torch.arange(6)).backward()
    return {"logits": logits.detach()} | {name: p.grad for name, p in network.named_parameters()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["quick-densenet", "densenet-121"])
def test_the_fast_parts_equal_the_plain_ones(name, layout):
    """Outputs are the same bytes and gradients the same to rounding, in both orders of a layer and both layouts."""
    fast, plain = network_of(name), make_plain(network_of(name))
    found, expected = gradients(fast, layout), gradients(plain, layout)

    assert torch.equal(expected.pop("logits"), found.pop("logits"))
    for parameter, value in expected.items():
        assert torch.allclose(value, found[parameter], rtol=1e-5, atol=1e-6 * value.abs().max()), parameter


@pytest.mark.parametrize("layout", LAYOUTS)
def test_joined_channels_part_with_dense_gradients(layout):
    """Joining is concatenation; what each part gets back is the gradient's channels, in memory of its own."""
    x, made = (torch.rand(2, c, 3, 3).to(memory_format=LAYOUTS[layout]).requires_grad_() for c in (4, 2))
    weights = torch.rand(2, 6, 3, 3)
    joined = Join.apply(x, made)
    (joined * weights).sum().backward()

    assert torch.equal(torch.cat([x, made], 1), joined)
    assert torch.equal(weights[:, :4], x.grad)
    assert torch.equal(weights[:, 4:], made.grad)
    assert all(part.grad.is_contiguous(memory_format=LAYOUTS[layout]) for part in (x, made))


@settings(deadline=None, max_examples=30)
@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    chance=st.floats(0, 0.95),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_dropout_leaves_each_element_whole_or_drops_it(shape, chance, dtype):
    """Of any shape and chance, an element is 0 or divided by what is kept, and its gradient with it."""
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    made = Dropout(chance)(x)
    made.sum().backward()
    kept = torch.ones((), dtype=dtype).mul_(1 / (1 - chance))

    assert ((made == 0) | (made == kept)).all()
    assert torch.equal(made.detach(), x.grad)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dropout_drops_by_chance_everywhere_alike(layout):
    """What is dropped among four masks, by channel and in neighbors together is within 5 sigma of the chance."""
    torch.manual_seed(0)
    chance, x = 0.2554, torch.ones(64, 8, 25, 25).to(memory_format=LAYOUTS[layout])
    dropped = (Dropout(chance)(x) == 0).double()
    flat = dropped.as_strided((x.numel(),), (1,))
    shares = [*(flat[n::4].mean() for n in range(4)), *dropped.mean((0, 2, 3)), flat.mean()]
    both = [(flat[:-n] * flat[n:]).mean() for n in (1, 2, 3, 4)]

    assert all(abs(s - chance) < 5 * (chance / (x.numel() / 8)) ** 0.5 for s in shares)
    assert all(abs(b - chance**2) < 5 * (chance**2 / (x.numel() / 2)) ** 0.5 for b in both)


def test_dropout_follows_torchs_seed_and_rests_outside_training():
    """The same seed gives the same mask; reading a face drops nothing; chance 0 keeps all."""
    module, x = Dropout(0.5), torch.rand(5, 3, 4, 4)
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(module(x))

    assert torch.equal(*masks)
    assert module.eval()(x) is x or torch.equal(x, module(x))
    assert torch.equal(x, Dropout(0.0)(x))


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_fused_steps_equal_plain_ones(kind):
    """Weights after five steps in one call are those of a call a tensor, to rounding."""
    network = network_of("quick-densenet", 16)
    other = deepcopy(network)
    fused = make_optimizer(network, Optimizer(kind=kind, lr=0.01, weight_decay=1e-3))
    plain = make_optimizer(other, Optimizer(kind=kind, lr=0.01, weight_decay=1e-3))
    for group in plain.param_groups:
        group["fused"] = None
    for seed in range(5):
        for one, two in zip(network.parameters(), other.parameters(), strict=True):
            torch.manual_seed(seed)
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        fused.step()
        plain.step()

    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_weight_decay_acts_on_kernels_alone(kind):
    """Tensors of several dimensions get the recipe's decay, norms and biases none, and none is left out."""
    network = network_of("quick-densenet", 16)
    optimizer = make_optimizer(network, Optimizer(kind=kind, lr=0.1, weight_decay=1e-3))
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}

    assert {1, 2, 4} == {p.ndim for p in decays}
    assert decays == {p: 1e-3 if p.ndim > 1 else 0.0 for p in network.parameters()}


# ---- several processes

MEANS = ("augment.mixup=0.2", "optimizer.sam_rho=0.02", "optimizer.ema_decay=0.5", "training.batch_size=15")
NO_DROPOUT = ("network.dropout=0", "network.hidden_dropout=0")  # each process draws its own
TOGETHER = {
    "means": ("quick-densenet", (*TOY, *MEANS, "training.epochs=1")),
    "cnn": ("study-cnn", (*TOY_CNN, *NO_DROPOUT, "optimizer.kind=sgd", "training.epochs=1")),
}
HINTED = (
    "training.epochs=2",
    "training.batch_size=15",
    "augment.outliers=0.2",
)  # learns features of a teacher
PROCESS = """
import json, sys
from pathlib import Path
from mien.dataset import read_dataset
from mien.networks.engine import Engine
from mien.recipe import read_recipe
from mien.train import train

data, out, recipes = sys.argv[1:]
for name, (recipe, changes) in json.loads(recipes).items():
    engine = Engine("cpu", "fp32", "channels-last", 1)
    train(read_recipe(recipe, tuple(changes)), read_dataset(data).development(), Path(out) / name, engine=engine)
"""


def start_together(*command: str, count: int = 2) -> list[subprocess.Popen]:
    """Start a command as so many processes of one training, as torchrun does on one machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    return [
        subprocess.Popen(command, env=os.environ | place | {"RANK": str(n), "LOCAL_RANK": str(n)})
        for n in range(count)
    ]


def test_half_of_what_torchrun_tells_is_told(monkeypatch):
    """A WORLD_SIZE that a cluster set for itself is one line that names what is missing."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    for name in distributed.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with raises_naming(RunError, "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"):
        distributed.init("cpu")


@pytest.mark.slow
def test_two_processes_equal_one(toy, toy_data, tmp_path):
    """Two processes with odd parts of each batch end with the weights and figures of one, to rounding.

    Batch norm over both, mixup, sharpness-aware steps, the average of weights, balanced classes and a teacher's
    features are in it.
    """
    views = tmp_path / "views.safetensors"
    augment = read_recipe("quick-densenet", HINTED)
    teacher = train(
        read_recipe("quick-densenet", (*TOY, "training.epochs=1")), toy_data, tmp_path / "t"
    ).folder
    distill_views(toy, views, teachers=[teacher], student=augment, views=1, features=True)
    hinted = (*TOY, *HINTED, f"distillation.soft_targets=['{views}']", "distillation.features=1")
    recipes = TOGETHER | {"hinted": ("quick-densenet", hinted)}
    command = [sys.executable, "-c", PROCESS, str(toy), str(tmp_path), json.dumps(recipes)]
    processes = start_together(*command)
    assert [0, 0] == [process.wait() for process in processes]
    for name, (recipe, changes) in recipes.items():
        alone = train(read_recipe(recipe, changes), toy_data, tmp_path / f"{name}-alone", engine=PLAIN)
        weights, expected = (load_file(tmp_path / n / "weights.safetensors") for n in (name, f"{name}-alone"))
        metrics = (tmp_path / name / "metrics.csv").read_text(), (alone.folder / "metrics.csv").read_text()
        rows = [np.genfromtxt(text.splitlines(), delimiter=",", skip_header=1) for text in metrics]

        assert {p.name for p in alone.folder.iterdir()} == {p.name for p in (tmp_path / name).iterdir()}
        assert expected.keys() == weights.keys()
        for key, value in expected.items():
            assert torch.allclose(value.float(), weights[key].float(), rtol=1e-3, atol=2e-5), (name, key)
        assert np.allclose(*rows, rtol=1e-4)


@pytest.mark.slow
def test_torchrun_trains_one_run_that_one_process_takes_up(toy, tmp_path):
    """Under torchrun one line is printed and one run written; begun by two processes, one alone finds it complete."""
    command = [
        "-m",
        "mien",
        "train",
        "quick-densenet",
        str(toy),
        *TOY,
        "training.epochs=2",
        "--out",
        str(tmp_path),
    ]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run([*start, *command], capture_output=True, text=True)
    again = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)

    assert 0 == done.returncode, done.stderr
    assert 1 == done.stdout.count("epoch 2 kept")
    assert again.stdout == done.stdout


@pytest.fixture
def two_processes(monkeypatch):
    """Let this process think it is the second of two, which send nothing."""
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "get_rank", lambda: 1)


def test_a_batch_is_dealt_whole(two_processes, monkeypatch):
    """The processes' parts are the batch in its order, as many faces in each give or take one."""
    rows, parts = torch.arange(7), []
    for rank in (0, 1):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda rank=rank: rank)
        parts.append(distributed.shard(rows))

    assert torch.equal(rows, torch.cat(parts))
    assert [4, 3] == [len(part) for part in parts]


def test_processes_ask_each_other_now_and_then(two_processes, monkeypatch):
    """The highest wish counts, each tenth step; between, a wish waits."""
    asked = []
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda told, _: asked.append(told.fill_(2)))

    assert [2, 0, 0] == [
        distributed.all_reduce_max(0, 20),
        distributed.all_reduce_max(2, 21),
        distributed.all_reduce_max(1, 29),
    ]
    assert 1 == len(asked)


@pytest.mark.parametrize(
    ("device", "batch", "told"), [("cpu", 1, "start fewer"), ("cuda:1", 8, "--device cuda")]
)
def test_what_several_processes_cannot_share_is_refused(two_processes, device, batch, told):
    """A batch smaller than their number, and one GPU for all."""
    with pytest.raises(RunError, match=told):
        distributed.check(device, batch)


def test_alone_nothing_is_shared():
    """Without torchrun the parts are the whole, the same tensor, and no norm is exchanged."""
    rows, network = torch.arange(5), nn.Sequential(nn.BatchNorm2d(3))
    distributed.init("cpu")
    distributed.all_reduce_sum([rows])

    assert rows is distributed.shard(rows)
    assert type(distributed.sync_batch_norm(network)[0]) is nn.BatchNorm2d
    assert (1, 2) == (distributed.all_reduce_max(1, 3), distributed.all_reduce_max(2, 4))
