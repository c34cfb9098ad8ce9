"""DenseNet-121 of other packages, where they are installed, beside ours: timm's and torchvision's, for grey faces."""

from importlib import import_module

import torch
from torch import nn

from mien.bench.clock import Mark, Step
from mien.labels import LABELS
from mien.networks import build
from mien.networks.engine import Engine
from mien.recipe import Optimizer, read_recipe
from mien.train.step import backward, make_optimizer

BATCH = 32
RECIPE = "densenet-121"


def _timm(package) -> nn.Module:
    return package.create_model("densenet121", pretrained=False, in_chans=1, num_classes=len(LABELS))


def _torchvision(package) -> nn.Module:
    network = package.models.densenet121(weights=None, num_classes=len(LABELS))
    network.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return network


PACKAGES = {"timm": _timm, "torchvision": _torchvision}


def installed() -> dict[str, nn.Module]:
    """Return each package's DenseNet-121 with fresh weights, by the package's name; {} where there is none."""
    networks = {}
    for name, make in PACKAGES.items():
        try:
            package = import_module(name)
        except (ImportError, RuntimeError):  # RuntimeError: built for another torch
            continue
        networks[name] = make(package)
    return networks


def other_steps(engine: Engine, side: int) -> dict[str, Step]:
    """Return a training step on one ready batch for each package's network, as it comes, and for ours.

    {} where no other package is installed.
    """
    networks = installed()
    if not networks:
        return {}
    plain = Engine(engine.device, "fp32", "channels-first", engine.threads)
    own = build(read_recipe(RECIPE).network, side=side, classes=len(LABELS))
    steps = {name: _step(network, plain, side, fused=False) for name, network in networks.items()}
    return steps | {"mien": _step(own, engine, side, fused=True)}


def _step(network: nn.Module, engine: Engine, side: int, *, fused: bool) -> Step:
    network = engine.place(network).train()
    plain = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    optimizer = make_optimizer(network, Optimizer(lr=0.01)) if fused else plain
    x = torch.rand(BATCH, 1, side, side, device=engine.device)
    labels = torch.arange(BATCH, device=engine.device) % len(LABELS)

    def step(mark: Mark) -> None:
        backward(network, engine, x, labels, labels, mark=mark)
        optimizer.step()
        mark("step")

    return step
