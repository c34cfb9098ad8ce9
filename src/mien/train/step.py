"""One step of training and what it works on; `mien bench` times the same step. Knows nothing about files or val."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mien.dataset import Faces
from mien.folds import subset
from mien.networks import as_input
from mien.networks.engine import Engine, probabilities
from mien.networks.network import classifier_inputs, classifier_of
from mien.recipe import Optimizer, Recipe
from mien.train import distributed
from mien.train.augment import shrink
from mien.train.hints import Hint, Regressor
from mien.train.losses import Loss, make_loss
from mien.train.schedule import TrainState, ema_decay_at, lr_at, side_at
from mien.train.seeds import derive_seed, epoch_order
from mien.train.targets import TrainBatches

Mark = Callable[[str], None]  # called when a stage of a step is done: data, forward, backward, step


def unmarked(stage: str) -> None:
    """Time nothing."""


@dataclass(slots=True)
class Training:
    """Network, optimizer and faces on the device, and where the training of one with the others stands."""

    recipe: Recipe
    engine: Engine
    seed: int
    network: nn.Module
    eval_network: (
        nn.Module
    )  # whose weights are judged and kept: the network itself, or its moving average (EMA)
    optimizer: torch.optim.Optimizer
    batches: TrainBatches  # faces and their targets
    labels: torch.Tensor  # int64 (N,)
    side: int  # of the faces, in pixels
    state: TrainState
    generator: torch.Generator
    rows: torch.Tensor  # int64 (M,), the faces that are trained on, on the CPU
    loss: Loss
    regressor: Regressor | None = None  # of the teachers' features, where the student learns these, too
    best: dict[str, torch.Tensor] | None = None  # the weights of the best epoch so far
    order: torch.Tensor = field(
        default_factory=lambda: torch.empty(0)
    )  # int64 (N,), of the faces in this epoch
    loss_sum: torch.Tensor = field(
        default_factory=lambda: torch.zeros(1)
    )  # float64, over the epoch's faces so far
    correct: torch.Tensor = field(
        default_factory=lambda: torch.zeros(1)
    )  # int64, likewise; both on the device

    @property
    def batch_size(self) -> int:
        """Faces in a step."""
        return min(self.recipe.training.batch_size, len(self.rows))

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the faces left over are others each time."""
        return len(self.rows) // self.batch_size

    def step(self) -> None:
        """Take one step."""
        train_step(self)

    def judge(self, val: Faces) -> np.ndarray:
        """Return the probabilities of the val faces, float64 (N, C), each face read once."""
        images = distributed.shard(torch.from_numpy(val.images).to(self.engine.device))
        return distributed.all_gather(probabilities(self.eval_network, images, self.engine), len(val))


def set_up(
    recipe: Recipe,
    engine: Engine,
    network: nn.Module,
    faces: Faces,
    classes: tuple[str, ...],
    *,
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
) -> Training:
    """Return a training before its first step; the faces go to the device whole, where the network is.

    The optimizer is the recipe's unless one is given.
    """
    network = distributed.sync_batch_norm(network)
    batches = TrainBatches(faces, recipe, classes, engine.device)
    regressor = make_regressor(network, batches, engine)
    trained = nn.ModuleList([network, regressor]) if regressor else network
    return Training(
        recipe=recipe,
        engine=engine,
        seed=seed,
        network=network,
        eval_network=deepcopy(network) if recipe.optimizer.ema_decay else network,
        optimizer=optimizer or make_optimizer(trained, recipe.optimizer),
        batches=batches,
        labels=torch.from_numpy(faces.labels).to(engine.device),
        side=faces.images.shape[1],
        state=TrainState(lr=recipe.optimizer.lr),
        generator=torch.Generator(engine.device),
        rows=torch.from_numpy(subset(faces.labels, faces.groups, recipe.training.subset)),
        loss=make_loss(recipe.training),
        regressor=regressor,
    )


def make_regressor(network: nn.Module, batches: TrainBatches, engine: Engine) -> Regressor | None:
    """Return what predicts the batches' features of teachers from the network's, None where they have none."""
    if batches.features is None:
        return None
    classifier = classifier_of(network)
    assert classifier is not None  # as a run's beginning requires
    regressor = Regressor(classifier.in_features, batches.features.size).to(engine.device)
    distributed.sync_batch_norm(regressor)
    return regressor


def make_optimizer(network: nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """Return the recipe's optimizer; weight decay acts on kernels, not on norms and biases."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    rules = {"lr": options.lr, "fused": True}  # a call for all tensors: one each took up to 5 % of a step
    if options.kind != "sgd":
        return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.kind](groups, **rules)
    return torch.optim.SGD(groups, momentum=options.momentum, nesterov=options.momentum > 0, **rules)


def begin_epoch(training: Training) -> None:
    """Deal the epoch's faces and take its sums up where they stand, which is within it in a run that goes on."""
    state, device = training.state, training.engine.device
    rows, balanced = training.rows, training.recipe.training.sampler == "balanced"
    classes = training.labels.cpu()[rows] if balanced else None
    order = epoch_order(training.seed, state.epoch, len(rows), device, classes=classes)
    training.order = rows.to(device)[order]
    training.batches.begin_epoch(state.epoch)
    training.loss_sum = torch.tensor(state.loss_sum, dtype=torch.float64, device=device)
    training.correct = torch.tensor(state.correct, device=device)
    training.network.train()


def train_step(training: Training, *, mark: Mark = unmarked) -> None:
    """Take one step: a batch is augmented, goes forward and back, and the optimizer moves the weights.

    All randomness follows from the seed and the step's number, so any step can be replayed.
    """
    recipe = training.recipe
    step_seed, batch = begin_step(training)
    torch.manual_seed(step_seed + distributed.rank())
    faces, target, features = training.batches.batch(batch, generator=training.generator)
    x = as_input(shrink(faces, side_at(recipe, training.state.epoch, training.side)))
    mark("data")
    labels = training.labels[batch]
    options = {"loss": training.loss, "hint": _hint(training, features), "mark": mark}
    loss, correct = backward(training.network, training.engine, x, target, labels, **options)
    if recipe.optimizer.sam_rho:
        torch.manual_seed(step_seed + distributed.rank())
        with sam_ascent(training.network, recipe.optimizer.sam_rho):
            backward(training.network, training.engine, x, target, labels, **options)
    end_step(training, loss, correct, len(batch))
    mark("step")


def _hint(training: Training, features: torch.Tensor | None) -> Hint | None:
    if training.regressor is None or features is None:
        return None
    return Hint(training.regressor, training.recipe.distillation.features, features)


def begin_step(training: Training) -> tuple[int, torch.Tensor]:
    """Begin a step, and the epoch if it is its first; return the step's seed and the examples in its batch, int64 (B,).

    The training's generator is seeded and the learning rate is set.
    """
    state = training.state
    if state.step == 0 or not len(training.order):
        begin_epoch(training)
    step_seed = derive_seed(training.seed, "step", _number(training))
    training.generator.manual_seed(step_seed)
    for group in training.optimizer.param_groups:
        group["lr"] = lr_at(training.recipe, state, training.steps_per_epoch)
    first = state.step * training.batch_size
    return step_seed, training.order[first : first + training.batch_size]


def end_step(training: Training, loss: torch.Tensor, correct: torch.Tensor, examples: int) -> None:
    """Move the weights along their gradients, and count a step of so many examples with this mean loss."""
    training.optimizer.step()
    if training.eval_network is not training.network:
        decay = ema_decay_at(training.recipe.optimizer.ema_decay, _number(training))
        ema_update(training.eval_network, training.network, decay)
    training.loss_sum += loss.double() * examples
    training.correct += correct
    training.state.step += 1
    training.state.seen += examples


def _number(training: Training) -> int:
    """Return the number of the step, from 0 at the training's first."""
    return training.state.epoch * training.steps_per_epoch + training.state.step


def backward(
    network: nn.Module,
    engine: Engine,
    x: torch.Tensor,
    target: torch.Tensor,
    labels: torch.Tensor,
    *,
    loss: Loss = F.cross_entropy,
    hint: Hint | None = None,
    mark: Mark = unmarked,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the gradients of the batch's mean loss into the network; return that loss and how many are correct.

    With a hint its error is part of the loss, and its regressor gets gradients, too.

    Of several processes each takes its part of the batch, and all end with the same.
    """
    part, trained = distributed.shard(x), [*network.parameters()]
    with engine.autocast(), classifier_inputs(network) if hint else nullcontext([]) as features:
        logits = network(part).float()
    value = loss(logits, distributed.shard(target))
    if hint:
        value = value + hint.loss(features[0], distributed.shard(hint.features))
        trained += hint.regressor.parameters()
    value = value * (len(part) / len(x))
    mark("forward")
    for parameter in trained:
        parameter.grad = None
    value.backward()
    value, correct = value.detach(), (logits.detach().argmax(1) == distributed.shard(labels)).sum()
    gradients = [p.grad for p in trained if p.grad is not None]
    distributed.all_reduce_sum([*gradients, value, correct])
    mark("backward")
    return value, correct


@contextmanager
def sam_ascent(network: nn.Module, radius: float) -> Iterator[None]:
    """Move the weights to where the loss is highest nearby, and back at the end: sharpness-aware minimization.

    Foret et al. 2021: a step of length `radius` along the gradient. Running statistics stay those of the weights
    that are kept.
    """
    pairs = [(p.detach(), p.grad) for p in network.parameters() if p.grad is not None]
    moved = [weights for weights, _ in pairs]
    length = torch.stack([gradient.norm() for _, gradient in pairs]).norm()
    steps = [gradient * (radius / (length + 1e-12)) for _, gradient in pairs]
    before = [weights.clone() for weights in moved]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    torch._foreach_add_(moved, steps)  # pyright: ignore[reportPrivateImportUsage]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        torch._foreach_copy_(moved, before)  # pyright: ignore[reportPrivateImportUsage]
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@torch.no_grad()
def ema_update(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average's weights and running statistics toward the network's (Polyak & Juditsky 1992)."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    moving = [pair for pair in pairs if pair[0].is_floating_point()]
    ours, theirs = [kept for kept, _ in moving], [new for _, new in moving]
    torch._foreach_lerp_(ours, theirs, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
    for kept, new in pairs:
        if not kept.is_floating_point():
            kept.copy_(new)
