"""Reads a recipe from TOML and `key=value` and checks it field by field. One message lists every error."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from mien.errors import RecipeError
from mien.labels import did_you_mean
from mien.plugins import is_plugin
from mien.reading import read_named, shipped
from mien.recipe.checks import contradictions
from mien.recipe.fields import (
    FORMAT,
    NETWORKS,
    SECTIONS,
    CustomNetwork,
    Network,
    OptionValue,
    Recipe,
    Section,
)
from mien.recipe.renamed import current_name, network_kind, section_of, with_current_names
from mien.recipe.toml import TomlValue, Tree

CUSTOM_FIELDS = ("kind", "pretrained", "export")
Part = TypeVar("Part", bound=Section)
LONGEST_NAME = 64  # bytes: two names and more words stand in the name of a figure's file


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with mien, by name."""
    return shipped("recipes")


def read_recipe(name: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by name (one of `shipped_recipes`) or path, then apply `key=value` overrides.

    Raises RecipeError; its one message lists every fault found.
    """
    _, tree = read_named(name, "recipes", what="recipe", error=RecipeError)
    return recipe_of(tree, str(name), overrides)


def recipe_of(tree: Tree, where: str, overrides: tuple[str, ...] = ()) -> Recipe:
    """Return the recipe of a parsed TOML file, also one that an earlier version wrote, with overrides applied.

    Raises RecipeError, which starts with `where`; its one message lists every error.
    """
    faults: list[str] = []
    tree = with_current_names(tree, faults)
    _change_kind(tree, overrides)
    for override in overrides:
        _apply(tree, override, faults)
    return _build(tree, where, faults)


def _change_kind(tree: Tree, overrides: tuple[str, ...]) -> None:
    """Where the overrides name another kind of network, forget the options of the recipe's own, and its name."""
    given = dict(override.split("=", 1) for override in overrides if "=" in override)
    kind = {key.strip(): _parse(text) for key, text in given.items()}.get("network.kind")
    network = tree.get("network")
    if isinstance(kind, str) and isinstance(network, dict) and network.get("kind") != kind:
        tree["network"] = {"kind": kind}
        tree["name"] = kind.rpartition(":")[2]


def _apply(tree: Tree, override: str, faults: list[str]) -> None:
    """Write one `section.key=value` into the tree."""
    key, equals, text = override.partition("=")
    key = key.strip()
    section, dot, option = current_name(key, network_kind(tree)).partition(".")
    if not equals:
        faults.append(f'"{override}" is not key=value')
    elif key == "name":
        tree["name"] = text.strip()
    elif not dot or section not in SECTIONS:
        faults.append(f'unknown field "{key}"{did_you_mean(key, known_fields())}')
    elif isinstance(fields := tree.setdefault(section, {}), dict):  # anything else `_section` refuses
        fields[option] = _parse(text)


def _parse(text: str) -> TomlValue:
    """Read a value as TOML writes it; a bare word is a string, bare commas a list."""
    text = text.strip()
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except (ValueError, RecursionError):
            continue
    return text


def _build(tree: Tree, where: str, faults: list[str]) -> Recipe:
    """Check a tree and make the recipe of it; raises RecipeError with all faults."""
    written = tree.pop("format", FORMAT)
    if not isinstance(written, int) or written > FORMAT:
        raise RecipeError(f"{where}: written in format {written}; this mien reads up to format {FORMAT}")
    name = _name(tree.pop("name", None), faults)
    for section in sorted(set(tree) - set(SECTIONS)):
        faults.append(f'unknown section "{section}"{did_you_mean(section, SECTIONS)}')
    parts: dict[str, Any] = {"network": _network(section_of(tree, "network"), faults)}
    types = get_type_hints(Recipe)
    for section in SECTIONS[1:]:
        parts[section] = _section(types[section], tree.get(section, {}), section, faults)
    recipe = None if faults else Recipe(name=name, **parts)
    faults += contradictions(recipe) if recipe else []
    if recipe is None or faults:
        raise RecipeError(f"{where}: " + "; ".join(faults))
    return recipe


def _name(name: TomlValue | None, faults: list[str]) -> str:
    if (
        isinstance(name, str)
        and all(c.isalnum() or c in "-_." for c in name)
        and name[:1] not in ("", ".")
        and len(name.encode()) <= LONGEST_NAME
    ):
        return name
    faults.append(
        f"name must be a word of letters, digits, - _ . in at most {LONGEST_NAME} bytes and is {name!r}"
    )
    return ""


def _network(options: Tree, faults: list[str]) -> Network | None:
    kind = options.get("kind")
    if isinstance(kind, str) and is_plugin(kind):
        return _custom_network(options, faults)
    if not isinstance(kind, str) or kind not in NETWORKS:
        faults.append(
            f"network.kind must be one of {', '.join(NETWORKS)}, or module:name of your own, and is {kind!r}"
            f"{did_you_mean(str(kind), NETWORKS)}"
        )
        return None
    return _section(NETWORKS[kind], options, "network", faults)


def _custom_network(fields: Tree, faults: list[str]) -> CustomNetwork | None:
    """Return a network of the user's own code, of whose options only the class knows which there are."""
    own = {key: value for key, value in fields.items() if key not in CUSTOM_FIELDS}
    known = {key: value for key, value in fields.items() if key in CUSTOM_FIELDS}
    before = len(faults)
    for key, value in own.items():
        if fault := _option_fault(key, value):
            faults.append(f"network.{key} {fault}")
    options = tuple((key, _frozen(own[key])) for key in sorted(own))
    network = _section(CustomNetwork, known, "network", faults)
    return dataclasses.replace(network, options=options) if network and len(faults) == before else None


def _option_fault(key: str, value: TomlValue | OptionValue) -> str | None:
    """Return what is wrong with an option that only somebody's own network knows."""
    if key in ("side", "classes", "options"):
        return (
            "cannot be set: the data set says it" if key != "options" else "is written as network.NAME=value"
        )
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(part, bool | int | float | str) for part in parts):
        return f"must be a number, a text, true, false or a list of these and is {value!r}"
    if not all(part.isprintable() for part in parts if isinstance(part, str)):
        return f"must be printable text and is {value!r}"
    return None


def _frozen(value: TomlValue) -> OptionValue:
    """Return an option's value; `_option_fault` reports one that is none."""
    return cast(OptionValue, tuple(value) if isinstance(value, list) else value)


def _section(cls: type[Part], options: TomlValue, section: str, faults: list[str]) -> Part | None:
    """Make one section's dataclass of a dict, or note its faults and return None."""
    if not isinstance(options, dict):
        faults.append(f"{section} must be a section of fields")
        return None
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    before = len(faults)
    for key, value in options.items():
        if key not in fields:
            faults.append(f'unknown field "{section}.{key}"{did_you_mean(key, fields)}')
            continue
        fault, values[key] = coerce(value, hints[key], fields[key].metadata)
        if fault:
            faults.append(f"{section}.{key} {fault} and is {value!r}")
    return cls(**values) if len(faults) == before else None


def coerce(value: TomlValue, hint: Any, bounds: Mapping[str, float]) -> tuple[str | None, Any]:
    """Return what is wrong with a value, or None, and the value as the type `hint` has it.

    `bounds` may hold "low" and "high" of a number.
    """
    if get_origin(hint) is Literal:
        words = get_args(hint)
        known = any(type(value) is type(w) and value == w for w in words)
        return (None if known else f"must be one of {', '.join(map(str, words))}"), value
    if get_origin(hint) is tuple:
        element = get_args(hint)[0]
        results = [coerce(item, element, bounds) for item in _items(value, element)]
        return next((fault for fault, _ in results if fault), None), tuple(v for _, v in results)
    if hint is str:
        plain = isinstance(value, str) and value.isprintable()
        return (None if plain else "must be printable text"), value
    if hint is bool:
        return (None if isinstance(value, bool) else "must be true or false"), value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number{' without a fraction' if hint is int else ''}", value
    if hint is int and not isinstance(value, int):
        return "must be a number without a fraction", value
    if "low" in bounds and not bounds["low"] <= value <= bounds["high"]:  # nor is nan
        return f"must be between {bounds['low']} and {bounds['high']}", value
    return None, hint(value)


def _items(value: TomlValue, element: Any) -> list[TomlValue]:
    if isinstance(value, str) and element is str:  # a.csv,b.csv on the command line
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, list) else [value]


def known_fields() -> list[str]:
    """Return every `section.option` that some recipe has."""
    return [f"{section}.{option}" for section in SECTIONS for option in _all_options(section)]


def field_type(key: str, network: str) -> type[Any] | None:
    """Return the type of `section.option` as annotated, for a kind of network; None where there is no such field.

    Of an option of somebody's own network, which is not known here, it is `object`.
    """
    section, _, option = key.partition(".")
    if section not in SECTIONS:
        return None
    hints = get_type_hints(_class_of(section, network))
    return object if _is_custom(key, network) else hints.get(option)


def fault_of(key: str, value: TomlValue, network: str) -> str | None:
    """Return what is wrong with a value of a known `section.option` for a kind of network, or None."""
    section, _, option = key.partition(".")
    if _is_custom(key, network):
        return _option_fault(option, value)
    cls = _class_of(section, network)
    fault, _ = coerce(value, get_type_hints(cls)[option], cls.__dataclass_fields__[option].metadata)
    return fault


def _is_custom(key: str, network: str) -> bool:
    """Tell whether a field is an option of somebody's own network."""
    section, _, option = key.partition(".")
    return section == "network" and is_plugin(network) and option not in CUSTOM_FIELDS


def _class_of(section: str, network: str) -> type[Section]:
    if section == "network" and is_plugin(network):
        return CustomNetwork
    return NETWORKS[network] if section == "network" else get_type_hints(Recipe)[section]


def _all_options(section: str) -> list[str]:
    classes = NETWORKS.values() if section == "network" else [get_type_hints(Recipe)[section]]
    return sorted({f.name for cls in classes for f in dataclasses.fields(cls)})
