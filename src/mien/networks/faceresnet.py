"""The residual network of dlib's face recognition (King 2017), which starts from weights that tell people apart.

Knows nothing about how it is trained, or where weights come from.
"""

import torch
import torch.nn.functional as F
from torch import nn

from mien import recipe
from mien.networks.densenet import init_he
from mien.networks.fast import Dropout
from mien.networks.network import Modules, Network, Stage

WIDTHS = (32, 64, 128, 256)  # channels of the stages
LAYERS = (
    3,
    4,
    3,
    3,
)  # residual layers of each; dlib's last, 256 to 256 at half the side, tells people apart and is left out
STEM_KERNEL = 7


class FaceResidual(nn.Module):
    """Two 3x3 convolutions whose result is added to what came in, averaged over 2x2 pixels where the side halves.

    Channels that came in none are 0. A side that is even gets one more column and row before the strided
    convolution, so that both paths end at half of it (dlib adds them after it).
    """

    def __init__(self, inputs: int, outputs: int, *, halve: bool):
        super().__init__()
        self.halve, self.more = halve, outputs - inputs
        stride, padding = (2, 0) if halve else (1, 1)
        self.path = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, outputs, H, W), or half of H and W, of (B, inputs, H, W)."""
        if not self.halve:
            return self.relu(self.path(x) + x)
        height, width = map(int, x.shape[2:])
        residual = self.path(F.pad(x, (0, 1 - width % 2, 0, 1 - height % 2)))
        shortcut = F.avg_pool2d(x, 2)
        return self.relu(residual + F.pad(shortcut, (0, 0, 0, 0, 0, self.more)))


class FaceResNet(Network):
    """Enlarging, a strided stem, thirteen residual layers in four stages, average pooling, one linear layer."""

    def __init__(self, options: recipe.FaceResNet, *, side: int, classes: int):
        super().__init__()
        self.upsample = options.upsample
        self.stem = nn.Sequential(
            nn.Conv2d(1, WIDTHS[0], STEM_KERNEL, 2, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )
        self.layers: Modules[nn.Sequential] = Modules()
        channels = WIDTHS[0]
        for width, count in zip(WIDTHS, LAYERS, strict=True):
            first = FaceResidual(channels, width, halve=width > channels)
            others = (FaceResidual(width, width, halve=False) for _ in range(count - 1))
            self.layers.append(nn.Sequential(first, *others))
            channels = width
        dropout = [Dropout(options.dropout)] if options.dropout else []
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout, nn.Linear(channels, classes)
        )
        self.apply(init_he)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""
        x = enlarged(x, self.upsample)  # (B, 1, 96, 96) at S = 48 and upsample 2
        x = self.stem(x)  # (B, 32, 22, 22)
        for stage in self.layers:
            x = stage(x)  # (B, 32, 22, 22), (B, 64, 11, 11), (B, 128, 5, 5), (B, 256, 2, 2)
        return self.head(x)  # (B, classes)

    def stages(self) -> list[Stage]:
        """Return the stem, the four stages and the head."""
        blocks = [
            ("block", f"{count} residual layers, width {width}", stage)
            for stage, width, count in zip(self.layers, WIDTHS, LAYERS, strict=True)
        ]
        return [("stem", "enlarged, stem", self.stem), *blocks, ("head", "average pool, classes", self.head)]


def enlarged(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Return faces (B, C, S, S) with `factor` times as many pixels a side, between which is interpolated linearly."""
    side = round(int(x.shape[-1]) * factor)  # int: a constant of the exported graph
    if side == x.shape[-1]:
        return x
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
