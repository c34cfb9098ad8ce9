"""The fields of a recipe: a dataclass a section, with every default and every bound."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from mien import notebook
from mien.recipe.toml import toml_value

FORMAT = 1


def number(default, low, high):
    """Declare a number (or a list of numbers) with inclusive bounds."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class CNN:
    """The study's plain CNN: blocks of convolution, batch norm, pooling and dropout, then one hidden layer."""

    kind: Literal["cnn"] = "cnn"
    channels: tuple[int, ...] = number((16, 32, 64, 128, 256), 1, 4096)
    hidden: int = number(512, 1, 16384)
    dropout: float = number(0.2, 0, 0.95)
    hidden_dropout: float = number(0.3, 0, 0.95)
    init: str = ""  # file of the weights to start from; "": fresh ones


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseNet:
    """A DenseNet-BC. Give `layers` a block, or let `gaussian_peak` make them from three numbers.

    `connection` tells what becomes of the channels that a layer makes: put behind all earlier ones, added to
    them as in a residual network, or handed on alone. In the last two `growth` is a block's width.
    """

    kind: Literal["densenet"] = "densenet"
    layers: tuple[int, ...] = number((), 1, 128)
    num_blocks: int = number(0, 0, 12)
    min_layers: int = number(0, 0, 128)
    max_layers: int = number(0, 0, 128)
    connection: Literal["dense", "add", "none"] = "dense"
    growth: tuple[int, ...] = number((16,), 1, 1024)  # one a block, or one for all
    bottleneck: float = number(4.0, 0.25, 16)  # channels of the 1x1 convolution, in growths
    reduction: float = number(0.5, 0.05, 1)  # share of the channels that a transition keeps
    dropout: float = number(0.0, 0, 0.95)
    stochastic_depth: float = number(0.0, 0, 0.95)  # chance that the last layer is left out, the first's is 0
    squeeze: float = number(0.0, 0, 1)  # squeeze-and-excitation: hidden units, in growths; 0: none
    activation: Literal["pre", "post"] = "pre"  # norm and ReLU before or after a convolution
    stem_channels: int = number(0, 0, 4096)  # 0: two growths, or the first block's width
    stem_kernel: Literal[3, 5, 7] = 7
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    init: str = ""  # file of the weights to start from, torchvision's too; "": fresh ones


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet:
    """A ResNet (He et al. 2016), by default ResNet-18: stages of residual layers, each twice as wide as the last."""

    kind: Literal["resnet"] = "resnet"
    layers: tuple[int, ...] = number((2, 2, 2, 2), 1, 128)  # one a stage
    block: Literal["basic", "bottleneck"] = "basic"  # two 3x3 convolutions, or 1x1, 3x3 and 1x1
    width: int = number(64, 1, 1024)  # channels of the first stage's 3x3 convolutions, and of the stem
    stem_kernel: Literal[3, 5, 7] = 7
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    init: str = ""  # file of the weights to start from, torchvision's too; "": fresh ones


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceResNet:
    """dlib's network for telling people apart (King 2017), in its one size.

    Made to start from dlib's weights, which `scripts/fetch_weights.py face-resnet` fetches.
    """

    kind: Literal["face-resnet"] = "face-resnet"
    upsample: float = number(2.0, 1, 8)  # pixels a side that the network sees for each of the face's
    dropout: float = number(0.0, 0, 0.95)  # before the classifier
    init: str = ""  # file of the weights to start from; "": fresh ones


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetLite:
    """EfficientNet-lite0 (Tan & Le 2019).

    Made to start from ImageNet's weights, which `scripts/fetch_weights.py efficientnet-lite` fetches.
    """

    kind: Literal["efficientnet-lite"] = "efficientnet-lite"
    upsample: float = number(2.0, 1, 8)  # pixels a side that the network sees for each of the face's
    dropout: float = number(0.2, 0, 0.95)  # before the classifier
    drop_path: float = number(
        0.2, 0, 0.95
    )  # chance that the last residual layer is left out, the first's is 0
    init: str = ""  # file of the weights to start from; "": fresh ones


MOST_STAGES = 6  # of a ResNet: widths double

Network = CNN | DenseNet | ResNet | FaceResNet | EfficientNetLite
NETWORKS = {
    "cnn": CNN,
    "densenet": DenseNet,
    "resnet": ResNet,
    "face-resnet": FaceResNet,
    "efficientnet-lite": EfficientNetLite,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How weights move. Weight decay is coupled (L2) and touches kernels alone, never norms or biases."""

    kind: Literal["sgd", "adam"] = "sgd"
    lr: float = number(0.1, 1e-9, 100)
    momentum: float = number(0.9, 0, 0.9999)  # Nesterov's; sgd only
    weight_decay: float = number(0.0, 0, 1)  # Keras's l2=x is weight_decay=2x
    sam: float = number(0.0, 0, 10)  # radius of sharpness-aware minimization, at twice the time; 0: none
    ema: float = number(
        0.0, 0, 0.99999
    )  # keep a moving average of the weights, of this decay a step; 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the learning rate moves: up and down once by step, or down on a plateau of val loss."""

    kind: Literal["constant", "one-cycle", "plateau"] = "constant"
    warmup: float = number(0.2, 0, 0.95)  # one-cycle: share of the steps that the rate rises
    factor: float = number(0.5, 0.01, 0.99)  # plateau
    patience: int = number(5, 0, 1000)  # plateau: epochs without a lower val loss
    floor: float = number(1e-7, 0, 1)  # plateau


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long, on what, and which epoch's weights are kept."""

    epochs: int = number(10, 1, 100_000)
    batch_size: int = number(128, 2, 65_536)
    label_smoothing: float = number(0.0, 0, 0.9)
    class_weights: Literal["none", "balanced"] = "none"
    keep: Literal["last", "best"] = "last"  # best: highest val accuracy, the earliest of equals
    patience: int = number(0, 0, 100_000)  # epochs without a better val accuracy; 0: never stop early
    start_side: int = number(0, 0, 1024)  # progressive resizing: pixels a side at the start; 0: whole faces
    precision: Literal["auto", "fp32", "bf16"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """Changes of the training faces, drawn anew for each face and step."""

    flip: bool = False
    shift: int = number(0, 0, 64)  # pixels, up to, each way
    rotation: float = number(0.0, 0, 180)  # degrees, up to, each way
    zoom: float = number(0.0, 0, 0.9)  # up to this share larger or smaller
    brightness: float = number(0.0, 0, 255)  # greys, up to, brighter or darker
    contrast: float = number(0.0, 0, 1)  # up to this share more or less
    erasing: float = number(0.0, 0, 1)  # chance that a rectangle of the face is lost
    mixup: float = number(0.0, 0, 100)  # alpha of Beta(alpha, alpha): how two faces are blended; 0: never
    cutmix: float = number(0.0, 0, 100)  # alpha of Beta(alpha, alpha): a rectangle of another face; 0: never
    mixed: float = number(1.0, 0, 1)  # share of the batches that mixup or CutMix touch
    noise: float = number(0.0, 0, 255)  # greys: standard deviation, up to, for half of the faces
    blur: float = number(0.0, 0, 16)  # pixels: standard deviation, up to, for half of the faces
    outliers: float = number(0.0, 0, 0.5)  # share of a batch that becomes what is no face


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Soft targets beside the labels: tables of predictions on the train faces, of networks or of people who voted."""

    tables: tuple[str, ...] = ()  # files from `mien teach`; the mean of several; (): labels alone
    share: float = number(0.5, 0, 1)  # of the target; the label has the rest
    temperature: float = number(1.0, 0.05, 100)  # above 1: softer than the tables say


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a face is read when it is judged: the mean of the probabilities of its views."""

    mirror: bool = False  # its mirror picture, too
    shift: int = number(0, 0, 16)  # and moved by so many pixels to each of the four corners; 0: not


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole recipe."""

    name: str
    network: Network
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training = Training()
    augment: Augment = Augment()
    teacher: Teacher = Teacher()
    evaluation: Evaluation = Evaluation()

    def __repr__(self) -> str:
        kinds = f"{self.network.kind}, {self.optimizer.kind}"
        return f"Recipe({self.name}: {kinds}, {self.training.epochs} epochs)"

    def _repr_html_(self) -> str:
        sections = ((name, dataclasses.asdict(getattr(self, name))) for name in SECTIONS)
        rows = [
            (name, ", ".join(f"{key} = {toml_value(value)}" for key, value in fields.items()))
            for name, fields in sections
        ]
        return notebook.html(notebook.table(self.name, (), rows))


SECTIONS = ("network", "optimizer", "schedule", "training", "augment", "teacher", "evaluation")
