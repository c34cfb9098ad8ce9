"""ResNet (He et al., "Deep Residual Learning for Image Recognition", 2016) for small grey faces.

Knows nothing about how it is trained.
"""

import torch
from torch import nn

from mien import recipe
from mien.networks.densenet import Stem, init_he
from mien.networks.network import Modules, Network, Stage

EXPANSION = {"basic": 1, "bottleneck": 4}  # channels that a layer gives, in widths


class Residual(nn.Module):
    """Two or three convolutions whose result is added to what came in: the paper's building block.

    Where side or channels change, what came in goes through a 1x1 convolution with batch norm (the paper's
    option B). The stride is that of the 3x3 convolution, in a bottleneck too, where the paper has it at the
    first 1x1: torchvision's layout, known as v1.5.
    """

    def __init__(self, inputs: int, width: int, stride: int, kind: str):
        super().__init__()
        outputs = width * EXPANSION[kind]
        if kind == "basic":
            path = [*_conv(inputs, width, 3, stride), nn.ReLU(inplace=True), *_conv(width, width, 3)]
        else:
            path = [*_conv(inputs, width, 1), nn.ReLU(inplace=True), *_conv(width, width, 3, stride)]
            path += [nn.ReLU(inplace=True), *_conv(width, outputs, 1)]
        self.path = nn.Sequential(*path)
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Sequential(*_conv(inputs, outputs, 1, stride)) if changes else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, outputs, H / stride, W / stride) of (B, inputs, H, W)."""
        return self.relu(self.path(x) + self.shortcut(x))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class ResNet(Network):
    """Stem, stages of residual layers, global average pooling, one linear layer.

    Each stage after the first has half the side and twice the width.
    """

    def __init__(self, options: recipe.ResNet, *, side: int, classes: int):
        super().__init__()
        self.stem = Stem(options.width, options)
        self.layers: Modules[nn.Sequential] = Modules()
        self.widths: list[int] = []  # channels that each stage gives
        channels = options.width
        for number, count in enumerate(options.layers):
            width = options.width * 2**number
            outputs = width * EXPANSION[options.block]
            first = Residual(channels, width, 2 if number else 1, options.block)
            others = (Residual(outputs, width, 1, options.block) for _ in range(count - 1))
            self.layers.append(nn.Sequential(first, *others))
            self.widths.append(outputs)
            channels = outputs
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
        self.apply(init_he)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""
        x = self.stem(x)  # (B, 64, 12, 12) at S = 48 with the paper's stem
        for stage in self.layers:
            x = stage(x)  # ResNet-18: (B, 64, 12, 12), (B, 128, 6, 6), (B, 256, 3, 3), (B, 512, 2, 2)
        return self.head(x)  # (B, classes)

    def stages(self) -> list[Stage]:
        """Return the stem, the stages and the head."""
        blocks = [
            ("block", f"{len(stage)} residual layers, width {width}", stage)
            for stage, width in zip(self.layers, self.widths, strict=True)
        ]
        return [("stem", "stem", self.stem), *blocks, ("head", "average pool, classes", self.head)]

    @staticmethod
    def torchvision_name(key: str) -> str:
        """Return how torchvision's ResNet names the tensor that our state dict names `key`."""
        place, tensor = key.rsplit(".", 1)
        match place.split("."):
            case ["stem", number]:
                place = ("conv1", "bn1")[int(number)]
            case ["layers", stage, layer, "path", number]:  # convolution, norm, ReLU and again
                place = (
                    f"layer{int(stage) + 1}.{layer}.{('conv', 'bn')[int(number) % 3]}{int(number) // 3 + 1}"
                )
            case ["layers", stage, layer, "shortcut", number]:
                place = f"layer{int(stage) + 1}.{layer}.downsample.{number}"
            case _:
                place = "fc"
        return f"{place}.{tensor}"
