"""What every network is: a torch module that names its stages. Knows nothing about any one of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import torch
from torch import nn

Stage = tuple[str, str, nn.Sequential]  # kind, label and module
Kind = TypeVar("Kind", bound=nn.Module)


class Network(nn.Module, ABC):
    """Takes float faces (B, 1, S, S) made by `as_input` and returns logits (B, classes)."""

    head: nn.Sequential  # ends in the classifier, a linear layer

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""

    @abstractmethod
    def stages(self) -> list[Stage]:
        """Return the stages from input to output, for the drawing and the cost table."""


class Modules(nn.ModuleList, Generic[Kind]):
    """A ModuleList whose modules are all of one kind, so that a type checker knows them."""

    def __iter__(self) -> Iterator[Kind]:
        return cast("Iterator[Kind]", super().__iter__())
