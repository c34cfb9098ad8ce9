"""The fields of a recipe: a dataclass a section, with every default and every bound."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from mien.text import Shown

FORMAT = 1


def number(default: Any, low: float, high: float) -> Any:
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
    pretrained: str = ""  # file of weights to fine-tune; "": random initialization


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseNet:
    """A DenseNet-BC. Give `layers` a block, or let `gaussian_peak` make them from three numbers.

    `connection` says how a layer's output joins its input: concatenated ("dense"), added as in a residual network
    ("add"), or not at all ("none"). With "add" and "none" `growth_rate` is the width of a block.
    """

    kind: Literal["densenet"] = "densenet"
    layers: tuple[int, ...] = number((), 1, 128)
    num_blocks: int = number(0, 0, 12)
    min_layers: int = number(0, 0, 128)
    max_layers: int = number(0, 0, 128)
    connection: Literal["dense", "add", "none"] = "dense"
    growth_rate: tuple[int, ...] = number((16,), 1, 1024)  # one a block, or one for all
    bottleneck: float = number(
        4.0, 0.25, 16
    )  # channels of the 1x1 convolution, as a multiple of the growth rate
    reduction: float = number(0.5, 0.05, 1)  # share of the channels that a transition keeps
    dropout: float = number(0.0, 0, 0.95)
    drop_path: float = number(
        0.0, 0, 0.95
    )  # stochastic depth: rate of the last layer, rising linearly from 0
    se_ratio: float = number(
        0.0, 0, 1
    )  # squeeze-and-excitation: hidden units as a share of the growth rate; 0: none
    activation: Literal["pre", "post"] = "pre"  # norm and ReLU before or after a convolution
    stem_channels: int = number(0, 0, 4096)  # 0: twice the growth rate, or the first block's width
    stem_kernel: Literal[3, 5, 7] = 7
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    pretrained: str = ""  # file of weights to fine-tune, torchvision's too; "": random initialization


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
    pretrained: str = ""  # file of weights to fine-tune, torchvision's too; "": random initialization


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceResNet:
    """dlib's network for telling people apart (King 2017), in its one size.

    Made to start from dlib's weights, which `scripts/fetch_weights.py face-resnet` fetches.
    """

    kind: Literal["face-resnet"] = "face-resnet"
    upsample: float = number(2.0, 1, 8)  # pixels a side that the network sees for each of the face's
    dropout: float = number(0.0, 0, 0.95)  # before the classifier
    pretrained: str = ""  # file of weights to fine-tune; "": random initialization


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
    )  # stochastic depth: rate of the last layer, rising linearly from 0
    pretrained: str = ""  # file of weights to fine-tune; "": random initialization


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipHead:
    """A head over time for clips: reads features that a trained model gives of each frame, and remembers."""

    kind: Literal["clip"] = "clip"
    pretrained: str = (
        "pocket-photos"  # the model whose features are read: a .onnx file, or one that ships by name
    )
    end_to_end: bool = False  # train that model's network, too: slow, in small batches of short windows
    head: Literal["frame", "mean", "attention", "gru", "tcn"] = (
        "gru"  # frame: remembers nothing, to compare with
    )
    width: int = number(64, 1, 4096)
    dropout: float = number(0.3, 0, 0.95)  # of the features
    window: int = number(128, 2, 4096)  # frames of a clip that a step sees at most, from a moment drawn anew
    stride: int = number(
        3, 1, 64
    )  # at most every so many-th frame is seen, drawn anew: for other frame rates
    clip_weight: float = number(0.5, 0, 1)  # of the clip's class in the loss; the frames' have the rest


OptionValue = bool | int | float | str | tuple[bool | int | float | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomNetwork:
    """A network of the user's own code; docs/extending.md says what is asked of it.

    Its options are those of the class or function that `kind` names. They are checked when the network is built, since
    reading a recipe imports nobody's code.
    """

    kind: str  # "module:name"
    options: tuple[tuple[str, OptionValue], ...] = ()  # name and value, in the order of the names
    pretrained: str = ""  # file of weights to fine-tune; "": random initialization
    export: bool = True  # refuse a network that cannot be written as ONNX, before it is trained


MOST_STAGES = 6  # of a ResNet: widths double

Network = CNN | DenseNet | ResNet | FaceResNet | EfficientNetLite | ClipHead | CustomNetwork
NETWORKS = {
    "cnn": CNN,
    "densenet": DenseNet,
    "resnet": ResNet,
    "face-resnet": FaceResNet,
    "efficientnet-lite": EfficientNetLite,
    "clip": ClipHead,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """The optimizer. Weight decay applies to kernels, not to norms or biases.

    It is an L2 penalty, but for adamw, which decouples it (Loshchilov & Hutter 2019).
    """

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = number(0.1, 1e-9, 100)
    momentum: float = number(0.9, 0, 0.9999)  # Nesterov momentum; sgd only
    weight_decay: float = number(0.0, 0, 1)  # Keras's l2=x is weight_decay=2x
    sam_rho: float = number(
        0.0, 0, 10
    )  # radius of sharpness-aware minimization, which doubles the time; 0: off
    ema_decay: float = number(0.0, 0, 0.99999)  # exponential moving average of the weights, per step; 0: off


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The learning rate schedule: constant, up and then down once, or lower at each plateau of the val loss.

    After the warm-up one-cycle falls linearly, cosine as half a cosine (Loshchilov & Hutter 2017), both to 0.
    """

    kind: Literal["constant", "one-cycle", "cosine", "plateau"] = "constant"
    warmup: float = number(0.2, 0, 0.95)  # one-cycle, cosine: share of the steps during which the rate rises
    factor: float = number(0.5, 0.01, 0.99)  # plateau: the rate is multiplied by it
    patience: int = number(5, 0, 1000)  # plateau: epochs without a lower val loss
    min_lr: float = number(1e-7, 0, 1)  # plateau


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The length of the training, its loss, and the checkpoint that is kept."""

    epochs: int = number(10, 1, 100_000)
    batch_size: int = number(128, 2, 65_536)
    subset: float = number(1.0, 1e-4, 1)  # share of the train faces, by class, for quick looks
    sampler: Literal["shuffle", "balanced"] = "shuffle"  # balanced: classes equally often, with replacement
    loss: str = "cross-entropy"  # with soft targets; or "focal", or "module:function" of your own
    focal_gamma: float = number(2.0, 0, 20)  # focal: power of 1 - p, by which sure faces count less
    label_smoothing: float = number(0.0, 0, 0.9)
    class_weights: Literal["none", "balanced"] = "none"
    checkpoint: Literal["last", "best"] = (
        "last"  # best: the epoch of highest val accuracy, the first of equals
    )
    patience: int = number(0, 0, 100_000)  # early stopping: epochs without a better val accuracy; 0: off
    progressive_resizing: int = number(0, 0, 1024)  # side in pixels of the first epochs' faces; 0: off
    precision: Literal["auto", "fp32", "bf16"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """Random augmentations of the train faces, drawn anew for each face and step."""

    function: str = ""  # "module:function" of your own, after all but noise, blur and blends; "": none
    flip: bool = False
    shift: int = number(0, 0, 64)  # at most so many pixels, horizontally and vertically
    rotation: float = number(0.0, 0, 180)  # at most so many degrees, either way
    scale: float = number(0.0, 0, 0.9)  # at most by a factor of 1 + scale, larger or smaller
    brightness: float = number(0.0, 0, 255)  # at most so many gray levels, brighter or darker
    contrast: float = number(0.0, 0, 1)  # at most by this share, more or less
    random_erasing: float = number(0.0, 0, 1)  # probability that a rectangle of the face is erased
    mixup: float = number(0.0, 0, 100)  # alpha of Beta(alpha, alpha), the blend of two faces; 0: off
    cutmix: float = number(0.0, 0, 100)  # alpha of Beta(alpha, alpha), the area from another face; 0: off
    mix_prob: float = number(1.0, 0, 1)  # probability that a batch gets mixup or CutMix
    noise: float = number(0.0, 0, 255)  # standard deviation in gray levels, at most, for half of the faces
    blur: float = number(0.0, 0, 16)  # standard deviation in pixels, at most, for half of the faces
    motion: float = number(0.0, 0, 48)  # motion blur: length in pixels, at most, for a quarter of the faces
    exposure: float = number(0.0, 0, 8)  # stops, at most: a quarter darker, another half as much brighter
    fading: float = number(0.0, 0, 1)  # share of the contrast lost, at most, for a quarter of the faces
    impulses: float = number(0.0, 0, 1)  # share of pixels black or white, at most, for a quarter of the faces
    degrade_prob: float = number(1.0, 0, 1)  # probability that a face gets any of these six, blur to impulses
    outliers: float = number(0.0, 0, 0.5)  # outlier exposure: share of a batch that becomes what is no face


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """Knowledge distillation (Hinton et al. 2015): soft targets of teachers or of annotators beside the labels."""

    soft_targets: tuple[str, ...] = ()  # files from `mien distill`, averaged; (): labels alone
    weight: float = number(0.5, 0, 1)  # of the soft targets in the loss; the label has the rest
    temperature: float = number(1.0, 0.05, 100)  # above 1: softer than the files say
    features: float = number(0.0, 0, 100)  # weight of the error in predicting teachers' features; 0: off


@dataclass(frozen=True, slots=True, kw_only=True)
class TTA:
    """Test-time augmentation: the probabilities of a face are the mean over its views."""

    flip: bool = False  # each view mirrored, too
    shift: int = number(0, 0, 16)  # four more views, shifted diagonally by so many pixels; 0: off


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Shown):
    """A whole recipe."""

    name: str
    network: Network
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training = Training()
    augment: Augment = Augment()
    distillation: Distillation = Distillation()
    tta: TTA = TTA()

    def __repr__(self) -> str:
        kinds = f"{self.network.kind}, {self.optimizer.kind}"
        return f"Recipe({self.name}: {kinds}, {self.training.epochs} epochs)"


SECTIONS = ("network", "optimizer", "schedule", "training", "augment", "distillation", "tta")
Section = Network | Optimizer | Schedule | Training | Augment | Distillation | TTA


def values(section: Section) -> dict[str, Any]:
    """Return the fields of a recipe's section by name, the options of a custom network among them."""
    fields = dataclasses.asdict(section)
    options = dict(fields.pop("options", ()))  # of a custom network alone
    return {"kind": fields.pop("kind"), **options, **fields} if options else fields
