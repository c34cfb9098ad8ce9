"""What several fields of a recipe mean together."""

import math

from mien.recipe.fields import (
    CNN,
    MOST_STAGES,
    TTA,
    Augment,
    ClipHead,
    DenseNet,
    Distillation,
    Recipe,
    ResNet,
)


def contradictions(recipe: Recipe) -> list[str]:
    """Return what no single field shows."""
    faults: list[str] = []
    network, training = recipe.network, recipe.training
    if isinstance(network, DenseNet):
        peak = (network.num_blocks, network.min_layers, network.max_layers)
        if bool(network.layers) == any(peak):
            faults.append(
                "give network.layers, or network.num_blocks with min_layers and max_layers, and not both"
            )
        elif any(peak) and not (min(peak) > 0 and network.min_layers <= network.max_layers):
            faults.append(
                "network.num_blocks and min_layers must be at least 1, max_layers at least min_layers"
            )
        elif len(network.growth_rate) not in (1, len(block_layers(network))):
            faults.append(
                f"network.growth_rate has {len(network.growth_rate)} values for {len(block_layers(network))} blocks"
            )
        elif network.connection != "dense" and network.stem_channels not in (0, network.growth_rate[0]):
            faults.append(
                f"network.stem_channels must be 0 or {network.growth_rate[0]}, the first block's width, unless "
                f"network.connection is dense, and is {network.stem_channels}"
            )
        elif network.connection == "none" and network.drop_path:
            faults.append("network.drop_path needs layers that others bypass: connection dense or add")
    elif isinstance(network, ResNet):
        if not 1 <= len(network.layers) <= MOST_STAGES:
            faults.append(
                f"network.layers must have 1 to {MOST_STAGES} values, one a stage, and has {len(network.layers)}"
            )
    elif isinstance(network, CNN) and not network.channels:
        faults.append("network.channels must have at least one value")
    elif isinstance(network, ClipHead):
        faults += _not_of_clips(recipe)
    if training.progressive_resizing and isinstance(network, CNN):
        faults.append(
            "training.progressive_resizing needs a network that takes any side, which a cnn does not"
        )
    if recipe.distillation.features and (recipe.augment.mixup or recipe.augment.cutmix):
        faults.append(
            "distillation.features needs whole faces, of which teachers have features: leave out augment.mixup and "
            "augment.cutmix"
        )
    if training.patience and training.checkpoint == "last":
        faults.append("training.patience stops early, so training.checkpoint must be best")
    return faults


def _not_of_clips(recipe: Recipe) -> list[str]:
    """Return which fields are set that a head over features does not use."""
    unused = {"augment": recipe.augment != Augment(), "distillation": recipe.distillation != Distillation()}
    unused |= {"tta": recipe.tta != TTA(), "optimizer.sam_rho": recipe.optimizer.sam_rho > 0}
    training = recipe.training
    unused |= {"training.progressive_resizing": training.progressive_resizing > 0}
    unused |= {
        "training.sampler": training.sampler != "shuffle",
        "training.loss": training.loss != "cross-entropy",
    }
    unused |= {"training.class_weights": training.class_weights != "none"}
    return [
        f"{name} does nothing where network.kind is clip: leave it out"
        for name, set_ in unused.items()
        if set_
    ]


def chosen_on_val(recipe: Recipe) -> list[str]:
    """Return what a run of this recipe lets its val faces choose, in words; those faces then flatter it."""
    choices = {
        "the epoch kept": recipe.training.checkpoint == "best",
        "when training ended": recipe.training.patience > 0,
        "the learning rate": recipe.schedule.kind == "plateau",
    }
    return [what for what, by_val in choices.items() if by_val]


def gaussian_peak(low: int, high: int, blocks: int) -> tuple[int, ...]:
    """Return the study's layers per block: a bump exp(-.01 (i - (n//2 + n//5))^2) scaled to low..high."""
    bump = [math.exp(-0.01 * (i - (blocks // 2 + blocks // 5)) ** 2) for i in range(blocks)]
    spread = max(bump) - min(bump)
    if spread == 0:
        return (high,) * blocks
    return tuple(round(low + (high - low) * (b - min(bump)) / spread) for b in bump)


def block_layers(network: DenseNet) -> tuple[int, ...]:
    """Return the number of dense layers of each block."""
    return network.layers or gaussian_peak(network.min_layers, network.max_layers, network.num_blocks)
