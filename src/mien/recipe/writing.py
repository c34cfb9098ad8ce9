"""A recipe as TOML, and how two differ."""

from mien.recipe.fields import FORMAT, SECTIONS, OptionValue, Recipe, values
from mien.recipe.toml import toml_value


def to_toml(recipe: Recipe) -> str:
    """Return the recipe, every field written out, as TOML that `read_recipe` reads back as equal."""
    lines = [f"format = {FORMAT}", f'name = "{recipe.name}"']
    for section in SECTIONS:
        lines.append(f"\n[{section}]")
        for key, value in values(getattr(recipe, section)).items():
            lines.append(f"{key} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def differing_fields(one: Recipe, other: Recipe) -> list[str]:
    """Return 'section.key (a there, b here)' for each field in which two recipes differ."""
    differing: list[str] = []
    for section in SECTIONS:
        a, b = values(getattr(one, section)), values(getattr(other, section))
        differing += [
            f"{section}.{k} ({_or_none(a.get(k))} there, {_or_none(b.get(k))} here)"
            for k in {**a, **b}
            if a.get(k) != b.get(k)
        ]
    return differing


def _or_none(value: OptionValue | None) -> OptionValue:
    return "none" if value in (None, "") else value
