"""The study's plain CNN. Knows nothing about how it is trained."""

import torch
from torch import nn

from mien import recipe
from mien.errors import RecipeError
from mien.networks.fast import Dropout
from mien.networks.network import Modules, Network, Stage

LEAK = 0.01
PLAIN_BLOCKS = 2  # the first blocks have ReLU, the later ones leaky ReLU


class CNN(Network):
    """Blocks of conv 3x3, ReLU, batch norm, max pool, dropout; then a hidden layer and the classes.

    With the default options, 48-pixel faces and 7 classes it is the study's network, with
    529,511 trainable parameters.
    """

    def __init__(self, options: recipe.CNN, *, side: int, classes: int):
        super().__init__()
        if side < 2 ** len(options.channels):
            raise RecipeError(f"network.channels halves a side of {side} too often for {options.channels}")
        inputs = (1, *options.channels[:-1])
        self.channels = options.channels
        self.blocks: Modules[nn.Sequential] = Modules(
            self._block(i, o, options.dropout, plain=n < PLAIN_BLOCKS)
            for n, (i, o) in enumerate(zip(inputs, options.channels, strict=True))
        )
        features = options.channels[-1] * (side // 2 ** len(options.channels)) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(features, options.hidden),
            nn.BatchNorm1d(options.hidden),
            nn.ReLU(),
            Dropout(options.hidden_dropout),
            nn.Linear(options.hidden, classes),
        )
        self.apply(init_glorot)

    @staticmethod
    def _block(inputs: int, outputs: int, dropout: float, *, plain: bool) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU() if plain else nn.LeakyReLU(LEAK),
            nn.BatchNorm2d(outputs),
            nn.MaxPool2d(2),
            Dropout(dropout),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""
        for block in self.blocks:
            x = block(x)  # (B, 256, 1, 1) at S = 48 after the last
        return self.head(x)  # (B, classes)

    def stages(self) -> list[Stage]:
        """Return the blocks and the head."""
        blocks = [
            ("conv", f"conv {channels}, pool", block)
            for channels, block in zip(self.channels, self.blocks, strict=True)
        ]
        return [*blocks, ("head", "hidden layer, classes", self.head)]


def init_glorot(module: nn.Module) -> None:
    """Draw a kernel as Glorot & Bengio (2010) do and set its bias to 0: Keras's default, the study's."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
