"""A recipe: all that a run depends on but the data. Knows nothing about torch.

A recipe is a TOML file whose sections are the dataclasses in `fields.py`; `key=value` changes a field.
"""

from mien.recipe.checks import block_layers, chosen_on_val, gaussian_peak
from mien.recipe.fields import (
    CNN,
    NETWORKS,
    SECTIONS,
    Augment,
    DenseNet,
    EfficientNetLite,
    Evaluation,
    FaceResNet,
    Network,
    Optimizer,
    Recipe,
    ResNet,
    Schedule,
    Teacher,
    Training,
)
from mien.recipe.reading import fault_of, field_type, known_fields, read_recipe, shipped_recipes
from mien.recipe.writing import differing_fields, to_toml

__all__ = [
    "CNN",
    "NETWORKS",
    "SECTIONS",
    "Augment",
    "DenseNet",
    "EfficientNetLite",
    "Evaluation",
    "FaceResNet",
    "Network",
    "Optimizer",
    "Recipe",
    "ResNet",
    "Schedule",
    "Teacher",
    "Training",
    "block_layers",
    "chosen_on_val",
    "differing_fields",
    "fault_of",
    "field_type",
    "gaussian_peak",
    "known_fields",
    "read_recipe",
    "shipped_recipes",
    "to_toml",
]
