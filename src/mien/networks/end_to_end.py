"""A head over time together with the network that it reads: faces in. Both are trained. Knows nothing about clips."""

import torch

from mien.networks.clip import ClipNetwork
from mien.networks.graph_module import GraphModule
from mien.recipe import ClipHead


class EndToEnd(ClipNetwork):
    """A head that takes faces, uint8 (N, T, S, S), in place of features; `frames` gives these of each."""

    def __init__(self, options: ClipHead, frames: GraphModule, *, features: int, classes: int) -> None:
        super().__init__(options, features=features, classes=classes)
        self.frames = frames

    def example(self, side: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a frame of one face."""
        return torch.zeros(1, 1, side, side, dtype=torch.uint8), torch.zeros(1, 1)

    def inputs(self, features: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
        """Return what the cell takes (N, T, W) of faces uint8 (N, T, S, S) and seconds (N, T)."""
        known = self.frames(features.flatten(0, 1)[:, None])
        return super().inputs(known.unflatten(0, features.shape[:2]), seconds)
