"""Networks as users write them, for the tests: some that hold, and one for each way to do it wrong."""

import dataclasses
from typing import Literal

import torch
from torch import nn


class Tiny(nn.Module):
    """A network with keyword options that names nothing but its classifier."""

    def __init__(self, width: int = 8, kernel: Literal[3, 5] = 3, dropout: float = 0.0, *, classes: int):
        super().__init__()
        self.width = width
        self.features = nn.Sequential(
            nn.Conv2d(1, width, kernel, 2, kernel // 2),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(16 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classifier(self.dropout(self.features(x).flatten(1)))


@dataclasses.dataclass(frozen=True)
class Options:
    """Options as mien's own networks have them."""

    widths: tuple[int, ...] = (4, 8)
    flat: bool = True


class WithOptions(Tiny):
    """A network whose options are a dataclass, and which names its stages."""

    def __init__(self, options: Options, *, side: int, classes: int):
        super().__init__(options.widths[-1], classes=classes)

    def stages(self) -> list[tuple[str, str, nn.Module]]:
        """Return two stages."""
        return [("stem", "the features", self.features), ("head", "the classes", self.classifier)]


def from_function(width: int = 4, *, classes: int) -> nn.Module:
    """Return a network, as wrappers of torchvision's do; nothing in it is called classifier."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.Linear(width, classes))


class StagesModule(nn.Module):
    """Has a sequence of layers called stages, as timm's ConvNeXt does."""

    def __init__(self, *, classes: int):
        super().__init__()
        self.stages = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.Conv2d(4, 4, 3, 2))
        self.head = nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.head(self.stages(x).mean((2, 3)))


class WrongShape(Tiny):
    """Gives a class too many."""

    def __init__(self, *, classes: int):
        super().__init__(classes=classes + 1)


class WithSoftmax(Tiny):
    """Gives probabilities."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return shares that sum to 1."""
        return super().forward(x).softmax(1)


class FailingForward(Tiny):
    """Fails on any face."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply what does not fit."""
        return x.flatten(1) @ torch.zeros(3, 3)


class FailingStart(Tiny):
    """Fails before it is one."""

    def __init__(self, *, classes: int):
        raise ValueError("no such luck")


class NoModule:
    """A class of another kind."""

    def __init__(self, **_: object):
        pass


class NoParameters(nn.Module):
    """A network without anything to learn."""

    def __init__(self, *, classes: int):
        super().__init__()
        self.classes = classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return zeros."""
        return x.flatten(1)[:, : self.classes] * 0


class AlwaysDropout(Tiny):
    """Drops features in evaluation, too, as `F.dropout(x)` does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits that vary."""
        return self.classifier(nn.functional.dropout(self.features(x).flatten(1), 0.2))


class AcrossTheBatch(Tiny):
    """Compares each face with the others of its batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits that depend on other faces."""
        return super().forward(x - x.mean(0))


class ExitingForward(Tiny):
    """Ends the process."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Leave."""
        raise SystemExit("bye")


class GivesTwo(Tiny):
    """Gives what an auxiliary head would, while it is trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return one or two tensors of logits."""
        logits = super().forward(x)
        return (logits, logits) if self.training else logits


class FailingLate(Tiny):
    """Fails on batches larger than a network is tried on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of a few faces."""
        if len(x) > 3:
            raise ValueError("too many faces")
        return super().forward(x)


class WithoutTypes(Tiny):
    """A network whose options have a default and no annotation."""

    def __init__(self, widths=(4, 8), *, classes: int):
        self.widths = widths
        super().__init__(widths[-1], classes=classes)


class NoStages(Tiny):
    """Names a stage that is no part of it."""

    def stages(self) -> list[tuple[str, str, nn.Module]]:
        """Return another network's layer."""
        return [("stem", "elsewhere", nn.Linear(1, 1))]


class NotExportable(Tiny):
    """Decomposes a matrix, for which ONNX has no operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of singular values."""
        values = torch.linalg.svdvals(x[:, 0].float())
        return self.classifier(self.features(x).flatten(1) * values[:, :1].clamp(0, 1))


class FixedBatch(Tiny):
    """Keeps the number of faces that it was traced with in its graph."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classifier(self.features(x).reshape(int(x.shape[0]), -1))


NotCallable = 3


def torchvision_net(width: float = 0.25, *, classes: int) -> nn.Module:
    """Return torchvision's MobileNetV2 for one channel."""
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2(num_classes=classes, width_mult=width)
    first = network.features[0][0]
    network.features[0][0] = nn.Conv2d(1, first.out_channels, 3, 2, 1, bias=False)
    return network


def timm_net(name: str = "lcnet_035", *, classes: int) -> nn.Module:
    """Return a network of timm's for one channel, with fresh weights."""
    import timm

    return timm.create_model(name, in_chans=1, num_classes=classes)


class ConvolutionalHead(nn.Module):
    """Gives its logits by a convolution, so it has no linear layer."""

    def __init__(self, *, classes: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.layers(x)
