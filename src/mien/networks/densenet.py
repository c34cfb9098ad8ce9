"""DenseNet-BC (Huang et al., "Densely Connected Convolutional Networks", 2017) for small grey faces.

Knows nothing about how it is trained.
"""

import torch
from torch import nn

from mien import recipe
from mien.networks.fast import Dropout, Join

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

    def __init__(self, inputs: int, growth: int, options: recipe.DenseNet, *, left_out: float = 0.0):
        super().__init__()
        self.connection = options.connection
        self.fast = options.activation == "post"  # dense gradients do not pay where a norm reads first
        rules = {"order": options.activation, "dropout": options.dropout}
        inner = max(1, round(options.bottleneck * growth))
        self.bottleneck = Unit(inputs, inner, 1, **rules)
        self.grow = Unit(inner, growth, 3, **rules)
        self.squeeze = Squeeze(growth, max(1, round(options.squeeze * growth))) if options.squeeze else None
        self.left_out = left_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C + growth, H, W) of (B, C, H, W) for "dense", else (B, growth, H, W) of as many channels."""
        made = self.grow(self.bottleneck(x))
        if self.squeeze is not None:
            made = self.squeeze(made)
        if self.training and self.left_out:
            made = leave_out(made, self.left_out)
        if self.connection == "dense":
            fast = self.fast and self.training and x.device.type == "cpu"
            return Join.apply(x, made) if fast else torch.cat([x, made], 1)
        return x + made if self.connection == "add" else made


class Squeeze(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): each channel is weighed by what all channels hold on average."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.down, self.up = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) of the same, each channel times a number between 0 and 1."""
        weights = self.up(torch.relu(self.down(x.mean((2, 3))))).sigmoid()
        return x * weights[:, :, None, None]


def leave_out(made: torch.Tensor, chance: float) -> torch.Tensor:
    """Stochastic depth (Huang et al. 2016): what a layer made is 0 for some faces and larger for the others."""
    kept = torch.rand(len(made), 1, 1, 1, device=made.device) >= chance
    return made * (kept / (1 - chance)).to(made.dtype)


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


class DenseNet(nn.Module):
    """Stem, blocks with transitions between them, global average pooling, one linear layer.

    Between blocks, channels are reduced by a share when they are connected densely; otherwise they are brought to
    the next block's width, which is its growth.
    """

    def __init__(self, options: recipe.DenseNet, *, side: int, classes: int):
        super().__init__()
        layers = recipe.block_layers(options)
        growths = options.growth if len(options.growth) > 1 else options.growth * len(layers)
        dense = options.connection == "dense"
        channels = options.stem_channels or (2 * growths[0] if dense else growths[0])
        side = -(-side // options.stem_stride)
        side = -(-side // 2) if options.stem_pool else side
        self.stem = Stem(channels, options)
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        for number, (count, growth) in enumerate(zip(layers, growths, strict=True)):
            added = growth if dense else 0
            first = sum(layers[:number])
            chances = [options.stochastic_depth * (first + n) / max(1, sum(layers) - 1) for n in range(count)]
            made = (
                Layer(channels + n * added, growth, options, left_out=chance)
                for n, chance in enumerate(chances)
            )
            self.blocks.append(nn.Sequential(*made))
            channels += count * added
            if number < len(layers) - 1:
                kept = max(1, int(channels * options.reduction)) if dense else growths[number + 1]
                self.transitions.append(Transition(channels, kept, side, options))
                channels, side = kept, self.transitions[-1].side
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

    def stages(self) -> list[tuple[str, str, nn.Module]]:
        """Return (kind, label, module) from input to output, for the drawing and the cost table."""
        found = [("stem", "stem", self.stem)]
        for number, block in enumerate(self.blocks):
            found.append(_told(block))
            if number < len(self.transitions):
                found.append(("transition", "transition", self.transitions[number]))
        return [*found, ("head", "average pool, classes", self.head)]

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


def _told(block: nn.Sequential) -> tuple[str, str, nn.Module]:
    growth = block[0].grow.conv.out_channels
    if block[0].connection == "dense":
        return ("dense", f"{len(block)} dense layers, growth {growth}", block)
    named = {"add": "residual", "none": "plain"}[block[0].connection]
    return ("block", f"{len(block)} {named} layers, width {growth}", block)


def init_he(module: nn.Module) -> None:
    """Draw a kernel as He et al. (2015) do, which the DenseNet paper follows; linear bias 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
