"""What every network is asked for: its classifier, and its stages where it names them. Knows nothing about any one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar, cast

import torch
from torch import nn

Stage = tuple[str, str, nn.Module]  # kind, label and module
Kind = TypeVar("Kind", bound=nn.Module)
MOST_PARTS = 14  # stages of a network that does not name them


class Network(nn.Module, ABC):
    """A network of mien's: takes float faces (B, 1, S, S) made by `as_input` and returns logits (B, classes)."""

    head: nn.Sequential  # ends in the classifier, a linear layer

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of float faces (B, 1, S, S)."""

    @abstractmethod
    def stages(self) -> list[Stage]:
        """Return the stages from input to output, for the drawing and the cost table."""

    @property
    def classifier(self) -> nn.Linear:
        """The linear layer that gives the logits."""
        return cast("nn.Linear", self.head[-1])


class Modules(nn.ModuleList, Generic[Kind]):
    """A ModuleList whose modules are all of one kind, so that a type checker knows them."""

    def __iter__(self) -> Iterator[Kind]:
        return cast("Iterator[Kind]", super().__iter__())


def classifier_name(network: nn.Module) -> str | None:
    """Return the state dict's name of the linear layer that gives the logits, "" before its ".weight" and ".bias".

    That is `network.classifier`, or else the last linear layer of the network. None where there is no such layer.
    """
    linear = {module: name for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    named = getattr(network, "classifier", None)
    if isinstance(named, nn.Module):
        linear = {module: name for module, name in linear.items() if module in set(named.modules())}
    return list(linear.values())[-1] if linear else None


def classifier_of(network: nn.Module) -> nn.Linear | None:
    """Return the linear layer that `classifier_name` names."""
    name = classifier_name(network)
    return None if name is None else cast("nn.Linear", network.get_submodule(name))


@contextmanager
def classifier_inputs(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list that gets what `classifier_of` reads, pooled features (B, F), in each forward pass of the block."""
    inputs: list[torch.Tensor] = []
    classifier = classifier_of(network)
    handle = classifier and classifier.register_forward_pre_hook(lambda _, read: inputs.extend(read))
    try:
        yield inputs
    finally:
        if handle:
            handle.remove()


def stages_of(network: nn.Module) -> list[Stage]:
    """Return what `network.stages()` names; else the parts that the network is made of, a sequence taken apart.

    A module of that name, as many of timm's networks have, is one of these parts.
    """
    named = getattr(network, "stages", None)
    if callable(named) and not isinstance(named, nn.Module):
        return list(cast("Network", network).stages())
    parts = list(network.named_children())
    for name, module in list(parts):
        inner = [(f"{name}.{key}", part) for key, part in module.named_children()]
        if isinstance(module, nn.Sequential | nn.ModuleList) and len(parts) - 1 + len(inner) <= MOST_PARTS:
            at = parts.index((name, module))
            parts[at : at + 1] = inner
    with_weights = [(name, part) for name, part in parts if any(True for _ in part.parameters())]
    return [("part", f"{name}, {type(part).__name__}", part) for name, part in with_weights]
