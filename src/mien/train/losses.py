"""Losses of logits and soft targets. Knows nothing about networks, faces or files."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from mien.errors import RecipeError
from mien.labels import known_words
from mien.plugins import is_plugin, load_plugin, user_code
from mien.recipe import Training

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes logits and targets, float32 (B, C) each, and gives the mean over the batch. A target holds a share for each
class; the shares sum to 1, or to the weight of the face's class."""

LOSSES = ("cross-entropy", "focal")


def make_loss(options: Training) -> Loss:
    """Return the loss that a recipe names; RecipeError where there is no such loss or code."""
    if is_plugin(options.loss):
        loss = load_plugin(options.loss, "training.loss")
        if isinstance(loss, type):
            raise RecipeError(
                f"training.loss: {options.loss} is a class; name a function, or an instance of it: "
                f"loss = {loss.__name__}()"
            )
        return partial(_own_loss, loss, options.loss)
    if options.loss not in LOSSES:
        raise RecipeError(
            f"training.loss: no loss {options.loss}{known_words(options.loss, LOSSES)}, or module:function of your own"
        )
    return partial(focal, gamma=options.focal_gamma) if options.loss == "focal" else F.cross_entropy


def focal(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float) -> torch.Tensor:
    """Return the focal loss (Lin et al. 2017) with soft targets: each class's cross-entropy times (1 - p)^gamma."""
    log_p = logits.log_softmax(1)
    return -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def _own_loss(loss: Loss, name: str, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return what the user's own loss gives; RecipeError where it fails or gives something else than one number."""
    with user_code(f"training.loss: {name} fails", loss):
        value = loss(logits, targets)
    is_number = isinstance(value, torch.Tensor) and value.shape == () and value.is_floating_point()
    if not is_number or not value.requires_grad:
        raise RecipeError(
            f"training.loss: {name} must give one number, the mean over the batch, made of the logits"
        )
    return value


def check_loss(options: Training, classes: int) -> None:
    """Raise RecipeError unless the recipe's loss and its gradient by the logits are finite for a batch."""
    loss = make_loss(options)
    if not is_plugin(options.loss):
        return
    size = options.batch_size
    logits = torch.linspace(-1, 1, size * classes).reshape(size, classes).requires_grad_()
    value = loss(logits, torch.eye(classes)[torch.arange(size) % classes])
    with user_code(f"training.loss: {options.loss} fails backward"):
        (gradient,) = torch.autograd.grad(value, logits, allow_unused=True)
    if gradient is None:
        raise RecipeError(f"training.loss: {options.loss} does not depend on the logits")
    if not value.isfinite():
        raise RecipeError(f"training.loss: {options.loss} gives {value.item()} for logits within -1 to 1")
    if not gradient.isfinite().all():
        raise RecipeError(f"training.loss: {options.loss} has a gradient that is not finite within -1 to 1")
