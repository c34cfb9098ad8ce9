"""The study's DenseNet with its fault: a block ends in its own features once more, thinned by dropout.

The study's dropout is a layer like the others, so what it returns is put behind what it was given. It shows what
that costs; nothing trains it.
"""

import torch
from torch import nn

from mien import recipe
from mien.networks.densenet import DenseBlock, DenseNet, Layer, Stem, Transition
from mien.networks.network import Modules


class DoublingBlock(DenseBlock):
    """A dense block with the study's dropout at its end."""

    def __init__(self, layers: list[Layer], dropout: float):
        super().__init__(*layers)
        self.rate = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, 2C, H, W), where an ordinary block returns (B, C, H, W)."""
        x = super().forward(x)
        return torch.cat([x, nn.functional.dropout(x, self.rate, self.training)], 1)


class FaultyDenseNet(DenseNet):
    """The DenseNet of a recipe as the study built it."""

    def __init__(self, options: recipe.DenseNet, *, side: int, classes: int):
        nn.Module.__init__(self)
        counts, growth = recipe.block_layers(options), options.growth_rate[0]
        channels, side = 2 * growth, side // 4
        self.stem = Stem(channels, options)
        self.blocks: Modules[DenseBlock] = Modules()
        self.transitions: Modules[Transition] = Modules()
        for number, count in enumerate(counts):
            layers = [Layer(channels + n * growth, growth, options) for n in range(count)]
            self.blocks.append(DoublingBlock(layers, options.dropout))
            channels = 2 * (channels + count * growth)
            if number < len(counts) - 1:
                reduced = int(channels * options.reduction)
                transition = Transition(channels, reduced, side, options)
                self.transitions.append(transition)
                channels, side = reduced, transition.side
        last = (nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = nn.Sequential(*last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
