"""What goes on inside a network: how strong its gradients are by depth, and which features its layers reuse.

Knows nothing about recipes, files or runs.
"""

import copy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mien.errors import RecipeError
from mien.networks import as_input
from mien.networks.densenet import DenseBlock, DropPath
from mien.networks.network import stages_of


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
    kernels: dict[str, torch.Tensor] = {}  # in the order in which they run

    def note(name: str, conv: nn.Conv2d, _: tuple[torch.Tensor]) -> None:
        kernels.setdefault(name, conv.weight)

    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout | DropPath):
            module.eval()
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(partial(note, name))
    loss = F.cross_entropy(network(as_input(images)), labels)
    norms = [gradient.norm() for gradient in torch.autograd.grad(loss, list(kernels.values()))]
    return [
        Gradient(name, float(norm), float(norm / kernel.detach().norm()))
        for (name, kernel), norm in zip(kernels.items(), norms, strict=True)
    ]


def feature_reuse(network: nn.Module) -> list[np.ndarray]:
    """Return how much each layer of each dense block reads of what stood before it, float64 (L + 1, L + 1) a block.

    Row 0 is the block's input, row s its layer s; column t - 1 is what layer t reads, the last column what follows
    the block. A value is the mean absolute weight that joins the two, nan where nothing can (Huang et al. 2017,
    figure 5). Raises RecipeError for a network without dense blocks.
    """
    blocks = [
        (block, after)
        for (kind, _, block), (_, _, after) in pairwise(stages_of(network))
        if kind == "dense" and isinstance(block, DenseBlock)
    ]
    if not blocks:
        raise RecipeError("feature reuse is shown of densely connected blocks, and the network has none")
    return [_reuse(block, _kernel(after)) for block, after in blocks]


def _kernel(module: nn.Module) -> torch.Tensor:
    """Return the kernel of a transition or a head, which has a single one."""
    return next(part.weight for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear))


def _reuse(block: DenseBlock, after: torch.Tensor) -> np.ndarray:
    layers = block.layers()
    growth = layers[0].grow.conv.out_channels
    kernels = [*(layer.bottleneck.conv.weight for layer in layers), after]
    inputs = kernels[0].shape[1]
    reuse = np.full((len(kernels), len(kernels)), np.nan)
    for column, kernel in enumerate(kernels):
        weights = kernel.detach().abs().flatten(1).mean(0).double().numpy()  # (channels read,)
        edges = [0, *range(inputs, len(weights) + 1, growth)]
        for row in range(column + 1):
            reuse[row, column] = weights[edges[row] : edges[row + 1]].mean()
    return reuse
