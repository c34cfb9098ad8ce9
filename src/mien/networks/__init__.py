"""The networks, as torch classes. Knows nothing about losses, files or runs.

A network takes float (B, 1, S, S) made by `as_input` and returns logits (B, classes).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mien import recipe

if TYPE_CHECKING:
    import torch

    from mien.networks.network import Network

NETWORKS = {
    "cnn": "mien.networks.cnn:CNN",
    "densenet": "mien.networks.densenet:DenseNet",
    "resnet": "mien.networks.resnet:ResNet",
    "face-resnet": "mien.networks.faceresnet:FaceResNet",
    "efficientnet-lite": "mien.networks.efficientnet:EfficientNetLite",
}

GREY_ZERO, GREY_ONE = 128, 64  # the grey that a network reads as 0, and how many more it reads as 1


def build(options: recipe.Network, *, side: int, classes: int) -> "Network":
    """Return the network that a recipe's options describe, freshly initialized from torch's generator."""
    module, name = NETWORKS[options.kind].split(":")
    return getattr(import_module(module), name)(options, side=side, classes=classes)


def as_input(images: "torch.Tensor") -> "torch.Tensor":
    """Return uint8 faces (B, S, S) as a network's input, float32 (B, 1, S, S) within -2..2.

    One fixed scale for every network: it is part of what a shipped model promises.
    """
    return ((images.float() - GREY_ZERO) / GREY_ONE).unsqueeze(1)
