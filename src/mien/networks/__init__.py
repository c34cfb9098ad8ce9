"""The networks, as torch classes. Knows nothing about losses, files or runs.

A network takes float (B, 1, S, S) made by `as_input` and returns logits (B, classes). `build` makes it, mien's own and
anybody's alike: the class takes its options and the keywords `side` and `classes` (`custom.py`).
"""

from typing import TYPE_CHECKING

from mien import recipe
from mien.plugins import load_plugin

if TYPE_CHECKING:
    import torch
    from torch import nn

NETWORKS = {
    "cnn": "mien.networks.cnn:CNN",
    "densenet": "mien.networks.densenet:DenseNet",
    "resnet": "mien.networks.resnet:ResNet",
    "face-resnet": "mien.networks.faceresnet:FaceResNet",
    "efficientnet-lite": "mien.networks.efficientnet:EfficientNetLite",
    "clip": "mien.networks.features:clip_network",
}

GREY_ZERO, GREY_ONE = 128, 64  # the grey that a network reads as 0, and how many more it reads as 1


def build(options: recipe.Network, *, side: int, classes: int) -> "nn.Module":
    """Return the network that a recipe's options describe, freshly initialized from torch's generator.

    Raises RecipeError where the code of a custom network cannot be imported, lacks such options or fails.
    """
    network = load_plugin(NETWORKS.get(options.kind, options.kind), "network.kind")
    if isinstance(options, recipe.CustomNetwork):
        from mien.networks.custom import call

        return call(network, options, side=side, classes=classes)
    return network(options, side=side, classes=classes)


def as_input(images: "torch.Tensor") -> "torch.Tensor":
    """Return uint8 faces (B, S, S) as a network's input, float32 (B, 1, S, S) within -2..2.

    One fixed scale for every network: it is part of what a shipped model promises.
    """
    return ((images.float() - GREY_ZERO) / GREY_ONE).unsqueeze(1)
