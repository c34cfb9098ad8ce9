import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mien.errors import RecipeError
from mien.networks import as_input, build
from mien.networks.inside import feature_reuse, gradients
from mien.recipe import DenseNet, EfficientNetLite


def small(**options) -> nn.Module:
    """Return a small DenseNet of two blocks, the same at each call."""
    torch.manual_seed(0)
    return build(DenseNet(**{"layers": (2, 3), "growth_rate": (4,), **options}), side=16, classes=3)


def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """Return random uint8 faces and their classes."""
    random = torch.manual_seed(1)
    images = torch.randint(0, 256, (6, 16, 16), dtype=torch.uint8, generator=random)
    return images, torch.tensor([0, 1, 2, 0, 1, 2])


def test_gradients_are_those_of_the_mean_loss_in_the_order_of_depth():
    """A kernel's norm is what autograd gives, and the first convolution stands first."""
    network, (images, labels) = small(), faces()

    found = gradients(network, images, labels)
    F.cross_entropy(network(as_input(images)), labels).backward()
    kernel = network.blocks[0][1].grow.conv.weight
    one = next(g for g in found if g.name == "blocks.0.1.grow.conv")

    assert "stem.0" == found[0].name
    assert ["blocks.0.0.bottleneck.conv", "blocks.0.0.grow.conv"] == [g.name for g in found[1:3]]
    assert float(kernel.grad.norm()) == pytest.approx(one.norm, rel=1e-5)
    assert float(kernel.grad.norm() / kernel.detach().norm()) == pytest.approx(one.relative, rel=1e-5)


def test_looking_at_gradients_changes_nothing():
    """Weights, running statistics, gradients and mode of the network stay as they were, dropout adds no noise."""
    network, (images, labels) = small(dropout=0.5).eval(), faces()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    assert gradients(network, images, labels) == gradients(network, images, labels)
    deep, whole = small(drop_path=0.9), small()
    deep.load_state_dict(whole.state_dict())
    assert gradients(deep, images, labels) == gradients(whole, images, labels)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert not network.training


def test_gradients_drop_no_path():
    """Stochastic depth adds no noise to the gradients of an EfficientNet-lite either."""
    torch.manual_seed(0)
    network, (images, labels) = build(EfficientNetLite(drop_path=0.9), side=16, classes=3), faces()

    assert gradients(network, images, labels) == gradients(network, images, labels)


def test_feature_reuse_shows_which_weights_were_planted():
    """A layer whose weights on one earlier layer are the largest shows so, at that place and no other."""
    network = small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.25) if parameter.ndim > 1 else None
        network.blocks[1][2].bottleneck.conv.weight[:, -4:] = -2.0  # layer 3 reads layer 2
    _, second = feature_reuse(network)

    assert (4, 4) == second.shape
    assert 2.0 == second[2, 2]
    assert 0.25 == second[0, 0] == second[1, 2] == second[3, 3]
    assert np.isnan(second[1, 0]) and np.isnan(second[3, 2])
    assert 1 == (second == 2.0).sum()


def test_feature_reuse_needs_dense_blocks():
    """A residual network has no channels that a layer could reuse one by one."""
    with pytest.raises(RecipeError):
        feature_reuse(small(connection="add", bottleneck=1))
