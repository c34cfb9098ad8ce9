"""Batch augmentations on uint8 faces (B, S, S). Knows nothing about networks, runs or files.

Each is a pure function of a batch and a generator: the same generator state gives the same
bytes, and the caller's tensor is never changed.
"""

import torch

from mien.recipe import Augment


def augment(images: torch.Tensor, recipe: Augment, *, generator: torch.Generator) -> torch.Tensor:
    """Return the batch after all that the recipe asks for."""
    if recipe.flip:
        images = flip(images, generator=generator)
    if recipe.shift:
        images = shift(images, recipe.shift, generator=generator)
    return images


def flip(images: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Mirror each face left to right with chance 1/2."""
    mirrored = torch.rand(len(images), device=images.device, generator=generator) < 0.5
    return torch.where(mirrored[:, None, None], images.flip(2), images)


def shift(images: torch.Tensor, pixels: int, *, generator: torch.Generator) -> torch.Tensor:
    """Move each face by up to `pixels` each way, its edge repeated into the gap."""
    count, side, _ = images.shape
    device = images.device
    moves = torch.randint(-pixels, pixels + 1, (2, count, 1), device=device, generator=generator)
    rows, columns = (torch.arange(side, device=device) + moves).clamp(0, side - 1)
    faces = torch.arange(count, device=device)
    return images[faces[:, None, None], rows[:, :, None], columns[:, None, :]]
