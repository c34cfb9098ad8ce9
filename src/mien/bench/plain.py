"""A training as it is mostly written: face by face in a Dataset, a DataLoader, fp32, channels first, torch's own parts.

What `mien bench` measures against. Knows nothing about the fast paths but how to turn them off.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mien.bench.clock import Mark
from mien.networks import build
from mien.networks.fast import make_plain
from mien.recipe import Augment, Optimizer, Recipe


class Faces(Dataset):
    """Faces one at a time, as float32 (1, S, S), flipped and shifted by chance as the recipe says."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, augment: Augment):
        self.images, self.labels, self.augment = images, labels, augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.images[number].unsqueeze(0).float().div(255)
        if self.augment.flip and torch.rand(1).item() < 0.5:
            image = image.flip(2)
        if self.augment.shift:
            side, most = image.shape[1], self.augment.shift
            top, left = torch.randint(2 * most + 1, (2,)).tolist()
            padded = F.pad(image, (most,) * 4, mode="replicate")
            image = padded[:, top : top + side, left : left + side]
        return (image - 0.5) / 0.25, self.labels[number]


def plain_network(recipe: Recipe, *, side: int, classes: int, device: str) -> nn.Module:
    """Return the recipe's network without fast paths, channels first, in training mode."""
    return make_plain(build(recipe.network, side=side, classes=classes)).to(device).train()


def plain_optimizer(network: nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """Return the recipe's optimizer as torch makes it by default, weight decay on everything."""
    lr, decay, momentum = options.lr, options.weight_decay, options.momentum
    if options.kind != "sgd":
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.kind]
        return kind(network.parameters(), lr=lr, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(), lr=lr, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
    )


def plain_step(recipe: Recipe, images: torch.Tensor, labels: torch.Tensor, device: str):
    """Return a function that takes one step of such a training and marks its stages.

    `images` are uint8 (N, S, S), `labels` int64 (N,), both on the CPU. The loader works in the training's own process:
    with processes of its own it was slower where torch has all cores.
    """
    classes = int(labels.max()) + 1
    network = plain_network(recipe, side=images.shape[1], classes=classes, device=device)
    optimizer = plain_optimizer(network, recipe.optimizer)
    smoothing = recipe.training.label_smoothing
    criterion = nn.CrossEntropyLoss(label_smoothing=smoothing)
    faces = Faces(images, labels, recipe.augment)
    loader = DataLoader(faces, recipe.training.batch_size, shuffle=True, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    told = 0.0

    def step(mark: Mark) -> None:
        nonlocal told
        x, target = (tensor.to(device) for tensor in next(batches))
        mark("data")
        loss = criterion(network(x), target)
        mark("forward")
        optimizer.zero_grad()
        loss.backward()
        mark("backward")
        optimizer.step()
        mark("step")
        told += loss.item()
        mark("data")

    return step
