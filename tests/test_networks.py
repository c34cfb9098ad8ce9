from dataclasses import replace

import pytest
import torch
from refusals import raises_naming
from torch import nn

from mien import recipe
from mien.errors import RecipeError, RunError
from mien.networks import NETWORKS, as_input, build
from mien.networks.cost import describe, parameter_count
from mien.networks.engine import Engine, choose_engine
from mien.recipe import read_recipe, shipped_recipes

PLAIN = Engine("cpu", "fp32", "channels-first", 2)


def network_of(name: str, side: int = 48, *overrides: str) -> nn.Module:
    """Return a shipped recipe's network, the same at each call."""
    torch.manual_seed(0)
    return build(read_recipe(name, overrides).network, side=side, classes=7)


def some_images(count: int = 5, side: int = 48) -> torch.Tensor:
    """Return random uint8 faces."""
    return torch.randint(0, 256, (count, side, side), dtype=torch.uint8, generator=torch.manual_seed(1))


def test_the_registry_and_the_recipes_know_the_same_networks():
    """Each kind of network in a recipe has one class, and the other way round."""
    assert set(recipe.NETWORKS) == set(NETWORKS)


def test_the_studys_cnn_has_its_529511_parameters():
    """The plain CNN is the study's, to the last trainable parameter."""
    assert 529_511 == parameter_count(network_of("study-cnn"))


def test_the_studys_densenet_has_its_layout():
    """Its best trial: 4, 26 and 4 layers at 12, 6 and 3 pixels, 0.90 M parameters, 36 M multiply-adds."""
    told = describe(network_of("study-densenet"), 48)
    blocks = [(s["layers"], s["shape"][1]) for s in told["stages"] if s["kind"] == "dense"]

    assert [(4, 12), (26, 6), (4, 3)] == blocks
    assert 899_241 == told["parameters"]
    assert 35_852_622 == told["multiply_adds"]


def test_the_quick_densenet_is_small():
    """The DenseNet for a CPU has 0.28 M parameters and 36 M multiply-adds."""
    told = describe(network_of("quick-densenet"), 48)

    assert 275_119 == told["parameters"]
    assert 35_556_840 == told["multiply_adds"]


def test_a_dense_layer_keeps_all_it_was_given():
    """A dense block's output starts with its input: features are reused, not made anew."""
    network = network_of("quick-densenet").eval()
    x = torch.rand(2, 48, 24, 24)

    assert torch.equal(x, network.blocks[0](x)[:, :48])


def test_dropout_does_not_widen_a_block():
    """Dropout acts on a layer's new channels, as in the paper; the study's doubled the block."""
    with_dropout = describe(network_of("study-densenet"), 48)
    without = describe(network_of("study-densenet", 48, "network.dropout=0"), 48)

    assert without["parameters"] == with_dropout["parameters"]
    assert any(isinstance(m, nn.Dropout) for m in network_of("study-densenet").blocks[0].modules())


def test_a_transition_never_pools_a_side_of_two():
    """Many blocks on a small face keep a side of at least one pixel."""
    network = network_of("study-densenet", 48, "network.num_blocks=8", "network.max_layers=4")

    assert (3, 7) == tuple(network(as_input(some_images(3))).shape)


@pytest.mark.parametrize("name", shipped_recipes())
def test_stages_account_for_every_parameter(name):
    """The drawing and the cost table leave nothing of the network out."""
    told = describe(network_of(name), 48)

    assert told["parameters"] == sum(stage["parameters"] for stage in told["stages"])
    assert told["multiply_adds"] == sum(stage["multiply_adds"] for stage in told["stages"])


def test_multiply_adds_agree_with_torchs_counter():
    """Our count of multiply-adds is half of the operations that torch counts itself."""
    from torch.utils.flop_counter import FlopCounterMode

    network = network_of("quick-densenet").eval()
    with FlopCounterMode(display=False) as counter:
        network(as_input(some_images(1)))

    assert counter.get_total_flops() == 2 * describe(network, 48)["multiply_adds"]


def test_describing_leaves_the_network_as_it_was():
    """Counting costs changes neither weights nor mode nor running statistics."""
    network = network_of("quick-densenet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    describe(network, 48)

    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network._forward_hooks


def test_a_face_too_small_for_the_cnn_is_told_in_words():
    """Five poolings of 16 pixels leave nothing; the recipe's field is named."""
    with raises_naming(RecipeError, "network.channels"):
        network_of("quick-cnn", 16)


def test_input_is_scaled_alike_for_every_network():
    """Grey 0, 128 and 255 become -2, 0 and almost 2, in one channel."""
    x = as_input(torch.tensor([[[0, 128], [255, 64]]], dtype=torch.uint8))

    assert [[[[-2.0, 0.0], [1.984375, -1.0]]]] == x.tolist()


def gradients(
    name: str, engine: Engine, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and all gradients of one batch on an engine, without dropout."""
    overrides = ("network.dropout=0", "network.hidden_dropout=0") if "cnn" in name else ("network.dropout=0",)
    network = engine.place(network_of(name, 48, *overrides).to(dtype)).train()
    with engine.autocast():
        logits = network(as_input(some_images(32)).to(dtype)).to(dtype)
    nn.functional.cross_entropy(logits, torch.arange(32) % 7).backward()
    return logits.detach(), torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("name", ["quick-densenet", "quick-cnn"])
def test_channels_last_equals_the_plain_path(name):
    """In double precision, where rounding hides nothing, the layouts give the same logits and gradients."""
    plain = gradients(name, PLAIN, torch.float64)
    fast = gradients(name, replace(PLAIN, layout="channels-last"), torch.float64)

    assert torch.allclose(plain[0], fast[0], rtol=1e-9, atol=1e-12)
    assert torch.allclose(plain[1], fast[1], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", ["quick-densenet", "quick-cnn"])
def test_bf16_equals_the_plain_path_within_its_rounding(name):
    """bf16 keeps 8 bits: logits agree to a few percent and gradients point the same way."""
    plain_logits, plain = gradients(name, PLAIN)
    fast_logits, fast = gradients(name, replace(PLAIN, precision="bf16"))

    assert (plain_logits - fast_logits).norm() < 0.05 * plain_logits.norm()
    assert torch.cosine_similarity(plain, fast, dim=0) > 0.9


def test_a_device_that_is_not_there_is_told():
    """Asking for a device that this machine lacks ends in words."""
    with raises_naming(RunError, "tpu"):
        choose_engine(device="tpu")


@pytest.mark.parametrize("fast", ["fp32", "bf16"])
def test_the_engine_takes_what_the_recipe_fixes(monkeypatch, fast):
    """A recipe's precision wins over what is fast on this machine, which is chosen where none is asked for."""
    monkeypatch.setattr("mien.networks.engine._multiplies_bf16", lambda _: fast == "bf16")
    for precision in ("fp32", "bf16"):
        assert precision == choose_engine(device="cpu", precision=precision).precision
    assert fast == choose_engine(device="cpu").precision


def connected(connection: str, growth: str, *more: str) -> nn.Module:
    """Return a small network of three blocks of three layers, connected one way, the same at each call."""
    peak = (f"network.{name}=0" for name in ("num_blocks", "min_layers", "max_layers", "dropout"))
    fields = (f"network.connection={connection}", f"network.growth_rate={growth}", "network.layers=3,3,3")
    return network_of("study-densenet", 48, *peak, *fields, *more)


@pytest.mark.parametrize("connection", ["add", "none"])
def test_layers_that_are_not_dense_keep_their_blocks_width(connection):
    """Every layer of a block, and the stem before it, has the width that the recipe gives the block."""
    network = connected(connection, "16,24,32", "network.bottleneck=1")
    told = describe(network, 48)

    assert [16, 16, 24, 24, 32, 32] == [s["shape"][0] for s in told["stages"] if s["kind"] != "head"]
    assert (5, 7) == tuple(network(as_input(some_images())).shape)


def test_a_residual_layer_adds_to_what_it_was_given():
    """With the layer's last kernel at zero, "add" hands its input on, "none" nothing but zeros."""
    x = torch.rand(2, 16, 12, 12)
    made = []
    for connection in ("add", "none"):
        layer = connected(connection, "16").eval().blocks[0][0]
        nn.init.zeros_(layer.grow.conv.weight)
        made.append(layer(x))

    assert torch.equal(made[0], x)
    assert torch.equal(made[1], torch.zeros_like(x))


def test_added_and_plain_layers_cost_the_same():
    """An addition has no weights, so the two differ in nothing but how their layers are connected."""
    added, plain = (describe(connected(c, "16,24,32"), 48) for c in ("add", "none"))

    assert added["parameters"] == plain["parameters"]
    assert added["multiply_adds"] == plain["multiply_adds"]
    assert "3 residual layers, width 16" == added["stages"][1]["label"]


def test_a_stem_that_does_not_fit_an_added_block_is_refused():
    """A residual block cannot add what the stem gives unless it is as wide as the block."""
    with raises_naming(RecipeError, "network.stem_channels"):
        connected("add", "16,24,32", "network.stem_channels=20")
