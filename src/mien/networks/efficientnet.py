"""EfficientNet-lite0 (Tan & Le 2019; the lite variants: TensorFlow, 2020), which starts from ImageNet's weights.

Knows nothing about how it is trained, or where weights come from.
"""

import torch
import torch.nn.functional as F
from torch import nn

from mien import recipe
from mien.networks.densenet import DropPath, init_he
from mien.networks.faceresnet import enlarged
from mien.networks.fast import DepthwiseConv2d, Dropout, same_padding
from mien.networks.network import Modules, Network, Stage

# expansion, channels, layers, stride of the first, kernel: a stage each (table 1 of the paper)
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, TOP = 32, 1280  # channels of the first and of the last convolution
EPSILON = 1e-3  # of the norms


class Unit(nn.Sequential):
    """A convolution, its batch norm and, unless `act` is false, a ReLU that ends at 6."""

    def __init__(self, conv: nn.Conv2d, *, act: bool = True):
        last = [nn.ReLU6(inplace=True)] if act else []
        super().__init__(conv, nn.BatchNorm2d(conv.out_channels, EPSILON), *last)


class StemConv2d(nn.Conv2d):
    """The first convolution, of stride 2, padded as TensorFlow does."""

    def __init__(self):
        super().__init__(1, STEM, 3, 2, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return (B, 32, ceil(H / 2), ceil(W / 2)) of (B, 1, H, W)."""
        return super().forward(F.pad(input, same_padding(input, 3, 2)))


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 1x1 convolution."""
    return nn.Conv2d(inputs, outputs, 1, bias=False)


class InvertedResidual(nn.Module):
    """1x1 to more channels, a convolution in each of them, 1x1 back; added to what came in of the same shape."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, stride: int, kernel: int, drop_path: float
    ):
        super().__init__()
        inner = inputs * expansion
        expand = [Unit(pointwise(inputs, inner))] if expansion > 1 else []
        depthwise = Unit(DepthwiseConv2d(inner, kernel, stride))
        self.path = nn.Sequential(*expand, depthwise, Unit(pointwise(inner, outputs), act=False))
        self.adds, self.drop_path = stride == 1 and inputs == outputs, DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, outputs, H / stride, W / stride) of (B, inputs, H, W)."""
        y = self.path(x)
        return x + self.drop_path(y) if self.adds else y


class EfficientNetLite(Network):
    """Enlarging, stem, seven stages of inverted residuals, a wide 1x1 convolution, pooling, one linear layer."""

    def __init__(self, options: recipe.EfficientNetLite, *, side: int, classes: int):
        super().__init__()
        self.upsample = options.upsample
        self.stem = Unit(StemConv2d())
        self.layers: Modules[nn.Sequential] = Modules()
        channels, number, last = STEM, 0, sum(stage[2] for stage in STAGES) - 1
        for expansion, width, count, stride, kernel in STAGES:
            stage = nn.Sequential()
            for layer in range(count):
                rules = {"expansion": expansion, "stride": 1 if layer else stride, "kernel": kernel}
                stage.append(
                    InvertedResidual(channels, width, drop_path=options.drop_path * number / last, **rules)
                )
                channels, number = width, number + 1
            self.layers.append(stage)
        self.top = Unit(pointwise(channels, TOP))
        dropout = [Dropout(options.dropout)] if options.dropout else []
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout, nn.Linear(TOP, classes))
        self.apply(init_he)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""
        x = enlarged(x, self.upsample)  # (B, 1, 112, 112) at S = 48 and upsample 2.3333
        x = self.stem(x)  # (B, 32, 56, 56)
        for stage in self.layers:
            x = stage(x)  # 56, 28, 14, 7, 7, 4 and 4 pixels a side
        return self.head(self.top(x))  # (B, classes)

    def stages(self) -> list[Stage]:
        """Return the stem, the seven stages, the wide convolution and the head."""
        blocks = [
            ("block", f"{count} inverted residuals, width {width}", stage)
            for stage, (_, width, count, _, _) in zip(self.layers, STAGES, strict=True)
        ]
        ends = [
            ("block", f"1x1 convolution, width {TOP}", self.top),
            ("head", "average pool, classes", self.head),
        ]
        return [("stem", "enlarged, stem", self.stem), *blocks, *ends]
