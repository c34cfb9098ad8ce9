"""Learning rates and stopping as pure functions. Knows nothing about torch or files."""

import math
from dataclasses import dataclass, field

from mien.recipe import Recipe

PLATEAU_MIN_DELTA = 1e-4  # Keras's default, the study's
GROWING_SHARE = 0.75  # of the epochs, in progressive resizing


@dataclass(slots=True)
class TrainState:
    """All of a training's state that is no tensor."""

    lr: float  # the plateau schedule's current rate
    epoch: int = 0  # epochs done
    step: int = 0  # steps done within the epoch
    loss_sum: float = 0.0  # over the epoch's faces so far
    correct: int = 0
    seen: int = 0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    lowest_loss: float = float("inf")
    flat_epochs: int = 0
    rows: list[dict] = field(default_factory=list)  # of metrics.csv
    sessions: list[dict] = field(default_factory=list)  # started, seconds

    def next_epoch(self) -> None:
        """Go to the first step of the next epoch."""
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.correct, self.seen = 0.0, 0, 0


def lr_at(recipe: Recipe, state: TrainState, steps_per_epoch: int) -> float:
    """Return the learning rate of the next step.

    One-cycle (Smith & Topin 2018, without the momentum cycle): linear up over the warm-up
    share of all steps, linear down to zero at the last; cosine (Loshchilov & Hutter 2017): down as half a cosine.
    """
    if recipe.schedule.kind not in ("one-cycle", "cosine"):
        return state.lr
    steps = recipe.training.epochs * steps_per_epoch
    done = state.epoch * steps_per_epoch + state.step
    warm = max(1.0, recipe.schedule.warmup * steps)
    rise, fall = (done + 1) / warm, (steps - done) / (steps - warm + 1)
    if recipe.schedule.kind == "cosine":
        fall = (1 - math.cos(math.pi * min(1.0, fall))) / 2
    return recipe.optimizer.lr * min(rise, fall)


def side_at(recipe: Recipe, epoch: int, side: int) -> int:
    """Return the pixels a side that training sees in an epoch (from 0): they grow over three quarters of all epochs.

    Progressive resizing (Howard 2018; Tan & Le 2021): cheap small faces first. In steps of four pixels, so that
    strided layers and pooling lose no edge. The last epoch sees whole faces, however few there are.
    """
    start = recipe.training.progressive_resizing
    if not 0 < start < side or epoch == recipe.training.epochs - 1:
        return side
    grown = start + (side - start) * min(1.0, epoch / (GROWING_SHARE * recipe.training.epochs))
    return side if grown >= side else min(side, max(4, 4 * round(grown / 4)))


def ema_decay_at(decay: float, step: int) -> float:
    """Return how much of the average of weights stays at a step (from 0): less at first, when it is of fresh ones.

    As in TensorFlow's `ExponentialMovingAverage(num_updates=…)`.
    """
    return min(decay, (1 + step) / (10 + step))


def judge_epoch(recipe: Recipe, state: TrainState, val_accuracy: float, val_loss: float) -> bool:
    """Note the best epoch and move the plateau schedule; return whether this epoch is the best yet."""
    if val_loss < state.lowest_loss - PLATEAU_MIN_DELTA:
        state.lowest_loss, state.flat_epochs = val_loss, 0
    else:
        state.flat_epochs += 1
        if recipe.schedule.kind == "plateau" and state.flat_epochs >= recipe.schedule.patience:
            lowered = max(state.lr * recipe.schedule.factor, recipe.schedule.min_lr)
            state.lr, state.flat_epochs = min(state.lr, lowered), 0
    if val_accuracy <= state.best_accuracy:
        return False
    state.best_accuracy, state.best_epoch = val_accuracy, state.epoch + 1
    return True


def finished(recipe: Recipe, state: TrainState) -> bool:
    """Tell whether training is over: all epochs done, or none better for `patience` epochs."""
    patience = recipe.training.patience
    waited = state.epoch - state.best_epoch
    return state.epoch >= recipe.training.epochs or (0 < patience <= waited)
