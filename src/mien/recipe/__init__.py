"""A recipe: all that a run depends on but the data. Knows nothing about torch.

A recipe is a TOML file whose sections are the dataclasses in `fields.py`; `key=value` changes a field.
"""

from mien.recipe.checks import block_layers, chosen_on_val, gaussian_peak
from mien.recipe.fields import (
    CNN,
    NETWORKS,
    SECTIONS,
    TTA,
    Augment,
    ClipHead,
    CustomNetwork,
    DenseNet,
    Distillation,
    EfficientNetLite,
    FaceResNet,
    Network,
    Optimizer,
    Recipe,
    ResNet,
    Schedule,
    Training,
    values,
)
from mien.recipe.reading import (
    coerce,
    fault_of,
    field_type,
    known_fields,
    read_recipe,
    recipe_of,
    shipped_recipes,
)
from mien.recipe.renamed import current_name
from mien.recipe.writing import differing_fields, to_toml

__all__ = [
    "CNN",
    "NETWORKS",
    "SECTIONS",
    "TTA",
    "Augment",
    "ClipHead",
    "CustomNetwork",
    "DenseNet",
    "Distillation",
    "EfficientNetLite",
    "FaceResNet",
    "Network",
    "Optimizer",
    "Recipe",
    "ResNet",
    "Schedule",
    "Training",
    "block_layers",
    "chosen_on_val",
    "coerce",
    "current_name",
    "differing_fields",
    "fault_of",
    "field_type",
    "gaussian_peak",
    "known_fields",
    "read_recipe",
    "recipe_of",
    "shipped_recipes",
    "to_toml",
    "values",
]
