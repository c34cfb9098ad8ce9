"""What TOML holds, and a field's value as TOML writes it."""

import json
from datetime import date, time
from typing import TypeAlias

from mien.recipe.fields import OptionValue

TomlValue: TypeAlias = bool | int | float | str | date | time | list["TomlValue"] | dict[str, "TomlValue"]
Tree = dict[str, TomlValue]  # of a recipe: its format, its name and its sections


def toml_value(value: OptionValue) -> str:
    """Return a bool, a string, a number or a tuple of these."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # of printable text JSON's quotes are TOML's
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return repr(value)
