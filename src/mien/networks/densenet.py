"""DenseNet-BC (Huang et al., "Densely Connected Convolutional Networks", 2017) for small grey faces.

Knows nothing about how it is trained.
"""

from itertools import zip_longest

import torch
from torch import nn

from mien import recipe
from mien.networks.fast import Dropout, Join
from mien.networks.network import Modules, Network, Stage

SMALLEST_POOLED_SIDE = 3  # a transition pools only while the side is above 2
UNITS = {"bottleneck": 1, "grow": 2}  # a layer's units as torchvision counts them


class Unit(nn.Module):
    """A convolution with its batch norm and ReLU, before it ("pre", the paper's) or after it ("post").

    Post-activation reads concatenated features as they are, so nothing is normalized anew at
    each layer (docs/architecture.md).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, order: str, dropout: float = 0.0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(inputs if order == "pre" else outputs)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = Dropout(dropout) if dropout else None
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, outputs, H, W) of (B, inputs, H, W)."""
        if self.order == "pre":
            x = self.conv(self.relu(self.norm(x)))
        else:
            x = self.relu(self.norm(self.conv(x)))
        return x if self.dropout is None else self.dropout(x)


class Layer(nn.Module):
    """A bottleneck and a 3x3 convolution that makes `growth` channels, connected as the recipe says.

    "dense" puts them behind all that was there (Huang et al. 2017), "add" adds them to it (He et al. 2016),
    "none" hands on nothing else.
    """

    def __init__(self, inputs: int, growth: int, options: recipe.DenseNet, *, drop_path: float = 0.0):
        super().__init__()
        self.connection = options.connection
        self.fast = options.activation == "post"  # dense gradients do not pay where a norm reads first
        rules = {"order": options.activation, "dropout": options.dropout}
        inner = max(1, round(options.bottleneck * growth))
        self.bottleneck = Unit(inputs, inner, 1, **rules)
        self.grow = Unit(inner, growth, 3, **rules)
        self.squeeze = Squeeze(growth, max(1, round(options.se_ratio * growth))) if options.se_ratio else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C + growth, H, W) of (B, C, H, W) for "dense", else (B, growth, H, W) of as many channels."""
        features = self.grow(self.bottleneck(x))
        if self.squeeze is not None:
            features = self.squeeze(features)
        features = self.drop_path(features)
        if self.connection == "dense":
            fast = self.fast and self.training and x.device.type == "cpu"
            return Join.apply(x, features) if fast else torch.cat([x, features], 1)
        return x + features if self.connection == "add" else features


class Squeeze(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): each channel is weighed by what all channels hold on average."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.down, self.up = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) of the same, each channel times a number between 0 and 1."""
        weights = self.up(torch.relu(self.down(x.mean((2, 3))))).sigmoid()
        return x * weights[:, :, None, None]


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training a layer's output is 0 for a share `p` of the faces.

    For the others it is divided by 1 - p, so that the mean stays.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) of the same; x itself outside training."""
        if not (self.training and self.p):
            return x
        keep = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.p
        return x * (keep / (1 - self.p)).to(x.dtype)


class DenseBlock(nn.Sequential):
    """Layers of one growth, connected in one way."""

    def __init__(self, *layers: Layer):
        super().__init__(*layers)

    def layers(self) -> list[Layer]:
        """Return the layers, first to last."""
        return [layer for layer in self if isinstance(layer, Layer)]

    def stage(self) -> Stage:
        """Return the block's kind and label, and the block."""
        first = self.layers()[0]
        growth = first.grow.conv.out_channels
        if first.connection == "dense":
            return ("dense", f"{len(self)} dense layers, growth {growth}", self)
        name = {"add": "residual", "none": "plain"}[first.connection]
        return ("block", f"{len(self)} {name} layers, width {growth}", self)


class Stem(nn.Sequential):
    """The first convolution, with pooling where asked."""

    def __init__(self, channels: int, options: recipe.DenseNet | recipe.ResNet):
        kernel = options.stem_kernel
        conv = nn.Conv2d(1, channels, kernel, options.stem_stride, kernel // 2, bias=False)
        pool = [nn.MaxPool2d(3, 2, 1)] if options.stem_pool else []
        super().__init__(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *pool)


class Transition(nn.Sequential):
    """A 1x1 convolution to other channels, and 2x2 average pooling where the side allows."""

    def __init__(self, inputs: int, outputs: int, side: int, options: recipe.DenseNet):
        self.side = side // 2 if side >= SMALLEST_POOLED_SIDE else side
        pool = [nn.AvgPool2d(2)] if self.side < side else []
        unit = Unit(inputs, outputs, 1, order=options.activation, dropout=options.dropout)
        super().__init__(unit, *pool)


class DenseNet(Network):
    """Stem, blocks with transitions between them, global average pooling, one linear layer.

    Between blocks, channels are reduced by a share when they are connected densely; otherwise they are brought to
    the next block's width, which is its growth.
    """

    def __init__(self, options: recipe.DenseNet, *, side: int, classes: int):
        super().__init__()
        layers = recipe.block_layers(options)
        growths = options.growth_rate * (1 if len(options.growth_rate) > 1 else len(layers))
        dense = options.connection == "dense"
        channels = options.stem_channels or (2 * growths[0] if dense else growths[0])
        side = -(-side // options.stem_stride)
        side = -(-side // 2) if options.stem_pool else side
        self.stem = Stem(channels, options)
        self.blocks: Modules[DenseBlock] = Modules()
        self.transitions: Modules[Transition] = Modules()
        for number, (count, growth) in enumerate(zip(layers, growths, strict=True)):
            added = growth if dense else 0
            first = sum(layers[:number])
            chances = [options.drop_path * (first + n) / max(1, sum(layers) - 1) for n in range(count)]
            block = (
                Layer(channels + n * added, growth, options, drop_path=chance)
                for n, chance in enumerate(chances)
            )
            self.blocks.append(DenseBlock(*block))
            channels += count * added
            if number < len(layers) - 1:
                reduced = max(1, int(channels * options.reduction)) if dense else growths[number + 1]
                transition = Transition(channels, reduced, side, options)
                self.transitions.append(transition)
                channels, side = reduced, transition.side
        last = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)] if options.activation == "pre" else []
        self.head = nn.Sequential(*last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
        self.apply(init_he)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number < len(self.transitions):
                x = self.transitions[number](x)
        return self.head(x)

    def stages(self) -> list[Stage]:
        """Return the stem, each block with the transition behind it, and the head."""
        stages: list[Stage] = [("stem", "stem", self.stem)]
        for block, transition in zip_longest(self.blocks, self.transitions):
            stages.append(block.stage())
            if transition is not None:
                stages.append(("transition", "transition", transition))
        return [*stages, ("head", "average pool, classes", self.head)]

    @staticmethod
    def torchvision_name(key: str) -> str:
        """Return how torchvision's DenseNet names the tensor that our state dict names `key`."""
        place, tensor = key.rsplit(".", 1)
        match place.split("."):
            case ["stem", number]:
                place = ("features.conv0", "features.norm0")[int(number)]
            case ["blocks", block, layer, unit, part]:
                place = f"features.denseblock{int(block) + 1}.denselayer{int(layer) + 1}.{part}{UNITS[unit]}"
            case ["transitions", number, _, part]:
                place = f"features.transition{int(number) + 1}.{part}"
            case ["head", "0"]:
                place = "features.norm5"
            case _:
                place = "classifier"
        return f"{place}.{tensor}"


def init_he(module: nn.Module) -> None:
    """Draw a kernel as He et al. (2015) do, which the DenseNet paper follows; linear bias 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
