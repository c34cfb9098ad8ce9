import math
from pathlib import Path

import pytest
import torch
from test_networks import some_images
from torch import nn

from mien.networks import as_input, build
from mien.networks.cost import describe, parameter_count
from mien.networks.densenet import DenseNet
from mien.networks.resnet import Residual, ResNet
from mien.recipe import read_recipe, shipped_recipes

NAMES = Path(__file__).parent / "torchvision_names.txt"
# Parameters with three channels and a thousand classes, as torchvision publishes them, and the classifier's inputs.
PUBLISHED = {
    "densenet-121": (7_978_856, 1024),
    "densenet-169": (14_149_480, 1664),
    "densenet-201": (20_013_928, 1920),
    "resnet-18": (11_689_512, 512),
    "resnet-50": (25_557_032, 2048),
}
FIRST_KERNEL = 64 * 7 * 7  # weights of the first convolution, of a channel


def torchvisions(name: str) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the state dict of torchvision's network, from the list beside this file."""
    section = NAMES.read_text().split(f"[{name.replace('-', '')}]\n")[1].split("\n\n")[0]
    shapes = {}
    for line in section.splitlines():
        module, kind, numbers = line.split()
        shape = tuple(map(int, numbers.split("x")))
        shapes[f"{module}.weight"] = shape
        if kind != "conv":
            shapes[f"{module}.bias"] = shape[:1]
        if kind == "norm":
            shapes |= {f"{module}.running_mean": shape, f"{module}.running_var": shape}
            shapes[f"{module}.num_batches_tracked"] = ()
    return shapes


def layout(name: str, *overrides: str, classes: int = 7) -> nn.Module:
    """Return a shipped network's layout, without memory or numbers."""
    with torch.device("meta"):
        return build(read_recipe(name, overrides).network, side=48, classes=classes)


def small(*overrides: str) -> ResNet:
    """Return a small ResNet, the same at each call."""
    torch.manual_seed(0)
    return build(read_recipe("resnet-18", ("network.width=4", *overrides)).network, side=48, classes=7)


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_torchvisions(name):
    """Renamed, our state dict is torchvision's, no tensor more or less, but for one channel in place of three."""
    network = layout(name, classes=1000)
    ours = {network.torchvision_name(key): tuple(value.shape) for key, value in network.state_dict().items()}
    theirs = torchvisions(name)
    first = next(iter(theirs))

    assert (64, 3, 7, 7) == theirs[first]
    assert {**theirs, first: (64, 1, 7, 7)} == ours


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name):
    """With one channel and seven classes a network has the published count but for its first and last layer."""
    published, features = PUBLISHED[name]

    assert published == sum(
        math.prod(s) for key, s in torchvisions(name).items() if key.endswith(("weight", "bias"))
    )
    assert published - 2 * FIRST_KERNEL - 993 * (features + 1) == parameter_count(layout(name))


def test_every_layout_that_torchvision_has_is_tested():
    """A shipped recipe is one of torchvision's layouts or one of ours."""
    numbered = {name for name in shipped_recipes() if name.rpartition("-")[2].isdigit()}

    assert set(PUBLISHED) == numbered


@pytest.mark.parametrize(("name", "sides"), [("densenet-121", (12, 6, 3, 1)), ("resnet-18", (12, 6, 3, 2))])
def test_a_48_pixel_face_has_these_sides(name, sides):
    """With the papers' stem, stages of 48-pixel faces have 12 pixels and fewer; without its pool twice as many."""
    torch.manual_seed(0)
    for pool, factor in (("true", 1), ("false", 2)):
        recipe = read_recipe(name, (f"network.stem_pool={pool}", "network.layers=1,1,1,1"))
        told = describe(build(recipe.network, side=48, classes=7), 48)
        found = [stage["shape"][1] for stage in told["stages"] if stage["kind"] in ("dense", "block")]

        assert factor * sides[0] == found[0]
        assert factor > 1 or list(sides) == found


def test_stages_tell_layers_and_width():
    """A ResNet-50 has four stages of 3, 4, 6 and 3 layers, as wide as the paper's table 1 says."""
    told = describe(small("network.layers=3,4,6,3", "network.block=bottleneck"), 48)
    stages = [(s["layers"], s["shape"]) for s in told["stages"] if s["kind"] == "block"]

    assert [(3, [16, 12, 12]), (4, [32, 6, 6]), (6, [64, 3, 3]), (3, [128, 2, 2])] == stages
    assert "3 residual layers, width 16" == told["stages"][1]["label"]


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_a_residual_layer_adds_to_what_it_was_given(kind):
    """With its last norm at zero a layer hands on what came in, less what is negative."""
    layer = Residual(8, 8 if kind == "basic" else 2, 1, kind).eval()
    nn.init.zeros_(layer.path[-1].weight)
    x = torch.randn(2, 8, 5, 5)

    assert isinstance(layer.shortcut, nn.Identity)
    assert torch.equal(x.relu(), layer(x))


def test_a_bottlenecks_stride_is_at_its_3x3():
    """Halving stands at the 3x3 convolution and at the shortcut, nowhere else."""
    layer = Residual(8, 4, 2, "bottleneck")
    strides = {c.kernel_size[0]: c.stride[0] for c in layer.path if isinstance(c, nn.Conv2d)}

    assert {1: 1, 3: 2} == strides
    assert (2, 2) == layer.shortcut[0].stride
    assert (3, 16, 3, 3) == tuple(layer(torch.zeros(3, 8, 5, 5)).shape)


@pytest.mark.parametrize("side", [1, 2, 7, 48])
def test_a_face_of_any_side_is_read(side):
    """A ResNet reads faces down to a single pixel."""
    assert (2, 7) == tuple(small()(as_input(some_images(2, side))).shape)


def test_both_halves_share_one_stem():
    """ResNet and DenseNet begin alike, so the first layer is adapted in one way."""
    for name, kind in (("resnet-18", ResNet), ("densenet-121", DenseNet)):
        network = layout(name)

        assert isinstance(network, kind)
        assert ["stem.0.weight", "stem.1.weight"] == [k for k in network.state_dict() if "stem" in k][:2]
