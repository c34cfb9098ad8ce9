"""Losses of logits and soft targets. Knows nothing about networks, faces or files."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from mien.errors import RecipeError
from mien.labels import known_words
from mien.plugins import is_plugin, load_plugin, reason_in_code
from mien.recipe import Training

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes logits and targets, float32 (B, C) each, and gives the mean over the batch. A target holds a share for each
class; the shares sum to 1, or to the weight of the face's class."""

LOSSES = ("cross-entropy", "focal")


def make_loss(options: Training) -> Loss:
    """Return the loss that a recipe names; RecipeError where there is no such loss or code."""
    if is_plugin(options.loss):
        return load_plugin(options.loss, "training.loss")
    if options.loss not in LOSSES:
        raise RecipeError(
            f"training.loss: no loss {options.loss}{known_words(options.loss, LOSSES)}, or module:function of your own"
        )
    return partial(focal, gamma=options.focal_gamma) if options.loss == "focal" else F.cross_entropy


def focal(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float) -> torch.Tensor:
    """Return the focal loss (Lin et al. 2017) with soft targets: each class's cross-entropy times (1 - p)^gamma."""
    log_p = logits.log_softmax(1)
    return -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def check_loss(options: Training, classes: int) -> None:
    """Raise RecipeError unless the recipe's loss gives one finite number that depends on the logits."""
    loss = make_loss(options)
    if not is_plugin(options.loss):
        return
    logits = torch.linspace(-1, 1, 2 * classes).reshape(2, classes).requires_grad_()
    try:
        value = loss(logits, torch.eye(classes)[[0, classes - 1]])
    except Exception as error:
        raise RecipeError(f"training.loss: {options.loss} fails: {reason_in_code(error, loss)}") from None
    if not isinstance(value, torch.Tensor) or value.shape != () or not value.requires_grad:
        raise RecipeError(
            f"training.loss: {options.loss} must give one number, the mean over the batch, made of the logits"
        )
