"""A field's value as TOML writes it."""

import json


def toml_value(value) -> str:
    """Return a bool, a string, a number or a tuple of these."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # of printable text JSON's quotes are TOML's
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return repr(value)
