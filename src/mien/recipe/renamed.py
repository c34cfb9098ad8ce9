"""Earlier names of fields: old recipes, runs, spaces, searches and `key=value` stay readable."""

from mien.plugins import is_plugin
from mien.recipe.toml import Tree

RENAMED_SECTIONS = {"teacher": "distillation", "evaluation": "tta"}
RENAMED = {
    "network.growth": "network.growth_rate",
    "network.squeeze": "network.se_ratio",
    "network.stochastic_depth": "network.drop_path",
    "network.init": "network.pretrained",
    "optimizer.sam": "optimizer.sam_rho",
    "optimizer.ema": "optimizer.ema_decay",
    "schedule.floor": "schedule.min_lr",
    "training.keep": "training.checkpoint",
    "training.start_side": "training.progressive_resizing",
    "augment.zoom": "augment.scale",
    "augment.erasing": "augment.random_erasing",
    "augment.mixed": "augment.mix_prob",
    "teacher.tables": "distillation.soft_targets",
    "teacher.share": "distillation.weight",
    "evaluation.mirror": "tta.flip",
}


def current_name(field: str, network: str = "") -> str:
    """Return today's name of a field, as "network.growth_rate.0" of "network.growth.0"; of others the name itself.

    Options of a `network` of the user's own code have never been renamed here.

    A field is "section.option"; the place in a list and what follows a hyphen, as in a space's parameters, stay.
    """
    section, *options = field.split(".")
    if section == "network" and is_plugin(network):
        return field
    head, hyphen, tail = ".".join(options[:1]).partition("-")
    renamed = RENAMED.get(f"{section}.{head}", f"{RENAMED_SECTIONS.get(section, section)}.{head}")
    return (
        ".".join([renamed + hyphen + tail, *options[1:]])
        if options
        else RENAMED_SECTIONS.get(section, section)
    )


def with_current_names(tree: Tree, errors: list[str]) -> Tree:
    """Return a recipe's tree of sections under today's names; a field given under both names is noted as an error."""
    renamed: Tree = {}
    kind = network_kind(tree)
    for section, options in tree.items():
        if not isinstance(options, dict):
            renamed[current_name(section)] = options
            continue
        renamed.setdefault(current_name(section), {})
        for option, value in options.items():
            old = f"{section}.{option}"
            new_section, _, new_option = current_name(old, kind).partition(".")
            if old != f"{new_section}.{new_option}" and new_option in section_of(tree, new_section):
                errors.append(f"{old} was renamed to {new_section}.{new_option}; give one of them")
            if isinstance(fields := renamed.setdefault(new_section, {}), dict):  # else it is refused later
                fields[new_option] = value
    return renamed


def network_kind(tree: Tree) -> str:
    """Return what a recipe's tree calls its network, "" where it does not say so."""
    return str(section_of(tree, "network").get("kind", ""))


def section_of(tree: Tree, name: str) -> Tree:
    """Return a section's fields, none where it is missing or no section."""
    options = tree.get(name)
    return options if isinstance(options, dict) else {}
