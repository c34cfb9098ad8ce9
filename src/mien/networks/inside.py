"""What goes on inside a network: how strong its gradients are by depth, and which features its layers reuse.

Knows nothing about recipes, files or runs.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mien.errors import RecipeError
from mien.networks import as_input


@dataclass(frozen=True, slots=True)
class Gradient:
    """A kernel's gradient on some faces."""

    name: str  # the layer's, as in the network's state dict
    norm: float  # Euclidean, of the mean loss' gradient
    relative: float  # norm over the kernel's own norm: comparable between kernels of other sizes


def gradients(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[Gradient]:
    """Return the gradient of each convolution's kernel, in the order in which they run.

    `images` are uint8 (B, S, S), `labels` int64 (B,); the loss is cross-entropy, batch norm takes its statistics
    from these faces and nothing is dropped. The network itself is left as it is.
    """
    network = copy.deepcopy(network).float().train()
    order: list[str] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout):
            module.eval()
        if hasattr(module, "left_out"):  # of stochastic depth
            module.left_out = 0.0
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda *_, name=name: order.append(name))
    F.cross_entropy(network(as_input(images)), labels).backward()
    kernels = {name: network.get_submodule(name).weight for name in order}
    return [
        Gradient(name, float(kernel.grad.norm()), float(kernel.grad.norm() / kernel.detach().norm()))
        for name, kernel in kernels.items()
    ]


def feature_reuse(network: nn.Module) -> list[np.ndarray]:
    """Return how much each layer of each dense block reads of what stood before it, float64 (L + 1, L + 1) a block.

    Row 0 is the block's input, row s its layer s; column t - 1 is what layer t reads, the last column what follows
    the block. A value is the mean absolute weight that joins the two, nan where nothing can (Huang et al. 2017,
    figure 5). Raises RecipeError for a network without dense blocks.
    """
    blocks = [block for kind, _, block in network.stages() if kind == "dense"]
    if not blocks:
        raise RecipeError("feature reuse is shown of densely connected blocks, and the network has none")
    readers = [transition[0].conv.weight for transition in network.transitions] + [network.head[-1].weight]
    return [_reuse(block, reader) for block, reader in zip(blocks, readers, strict=True)]


def _reuse(block: nn.Sequential, after: torch.Tensor) -> np.ndarray:
    growth = block[0].grow.conv.out_channels
    kernels = [layer.bottleneck.conv.weight for layer in block] + [after]
    taken = kernels[0].shape[1]
    told = np.full((len(kernels), len(kernels)), np.nan)
    for column, kernel in enumerate(kernels):
        weights = kernel.detach().abs().flatten(1).mean(0).double().numpy()  # (channels read,)
        edges = [0, *range(taken, len(weights) + 1, growth)]
        for row in range(column + 1):
            told[row, column] = weights[edges[row] : edges[row + 1]].mean()
    return told
