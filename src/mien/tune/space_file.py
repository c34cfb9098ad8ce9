"""A space read from TOML and `key=value`, checked against the recipe's fields. All errors are told at once."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from mien.errors import RecipeError, TuneError
from mien.labels import did_you_mean
from mien.reading import LARGEST_TOML, read_named, read_text, shipped
from mien.recipe import (
    Recipe,
    current_name,
    fault_of,
    field_type,
    known_fields,
    read_recipe,
    shipped_recipes,
)
from mien.tune.space import BUDGETS, LEARNT, OBJECTIVES, Parameter, Space

FORMAT = 1
KEYS = ("format", "name", "recipe", "objectives", "budget", "fixed", "parameters")
SPEC = ("low", "high", "step", "log", "choices", "when")


def shipped_spaces() -> dict[str, Path]:
    """Return the spaces that come with mien, by name."""
    return shipped("spaces")


def is_space(path: Path) -> bool:
    """Tell whether a name or a TOML file is a space's and not a recipe's."""
    if str(path) in shipped_spaces():
        return True
    try:
        return "parameters" in tomllib.loads(read_text(path, LARGEST_TOML))
    except (OSError, ValueError, RecursionError):
        return False


def read_space(name: str | Path, overrides: Sequence[str] = ()) -> Space:
    """Read a space by name (one of `shipped_spaces`) or path, then apply `key=value` overrides.

    An override is a recipe's field, which is then fixed and no longer searched, `name`, `objectives`
    with commas between, or `budget.NAME`. Raises TuneError; its one message lists every error.
    """
    path, tree = read_named(name, "spaces", what="space", error=TuneError)
    errors: list[str] = []
    of_recipe = _apply(overrides, tree, errors)
    space = _space(tree, path.parent, of_recipe, errors)
    if space is None or errors:
        raise TuneError(f"{name}: " + "; ".join(errors))
    return space


def _apply(overrides: Sequence[str], tree: dict, errors: list[str]) -> list[str]:
    """Apply the overrides that are the space's own to its tree; return those of the recipe."""
    of_recipe = []
    for override in overrides:
        key, equals, text = (part.strip() for part in override.partition("="))
        if not equals:
            errors.append(f'"{override}" is not key=value')
        elif key == "name":
            tree["name"] = text
        elif key == "objectives":
            tree["objectives"] = [word.strip() for word in text.split(",")]
        elif key.startswith("budget."):
            if isinstance(tree.setdefault("budget", {}), dict):  # `_budget` refuses anything else
                tree["budget"][key.removeprefix("budget.")] = _number(text)
        else:
            of_recipe.append(f"{key}={text}")
    return of_recipe


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _space(tree: dict, folder: Path, overrides: list[str], errors: list[str]) -> Space | None:
    """Check a tree and make the space of it, or note all its errors."""
    written = tree.get("format", FORMAT)
    if not isinstance(written, int) or written > FORMAT:
        errors.append(f"written in format {written}; this mien reads up to format {FORMAT}")
        return None
    errors += [f'unknown key "{key}"{did_you_mean(key, KEYS)}' for key in tree if key not in KEYS]
    name, base = tree.get("name"), str(tree.get("recipe", ""))
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "-_" for c in name):
        errors.append(f"name must be a word of letters, digits, - and _ and is {name!r}")
    if base not in shipped_recipes() and base.endswith(".toml"):
        base = str(folder / base)
    fixed = [f"{k}={json.dumps(v, default=str)}" for k, v in _flat(tree.get("fixed", {}), errors).items()]
    objectives = _objectives(tree.get("objectives", ["accuracy"]), errors)
    budget = _budget(tree.get("budget", {}), errors)
    try:
        recipe = read_recipe(base, (*fixed, *overrides))
    except RecipeError as error:
        errors.append(f"recipe: {error}")
        return None
    parameters = _parameters(tree.get("parameters"), recipe, errors)
    given = {current_name(override.partition("=")[0], recipe.network.kind) for override in overrides}
    searched = tuple(p for p in parameters if _option(p.field) not in given)
    if parameters and not searched:
        errors.append("every parameter is fixed, so there is nothing to search")
    return Space(str(name), base, (*fixed, *overrides), objectives, budget, searched)


def _option(field: str) -> str:
    """Return the "section.option" of a field, also of one value of its list."""
    return ".".join(field.split(".")[:2])


def _flat(tree: Any, errors: list[str]) -> dict[str, Any]:
    """Return a tree of sections as a dict by "section.option"."""
    if not isinstance(tree, dict) or not all(isinstance(options, dict) for options in tree.values()):
        errors.append("fixed, parameters and when hold fields such as optimizer.lr")
        return {}
    return {f"{section}.{option}": v for section, options in tree.items() for option, v in options.items()}


def _objectives(names: Any, errors: list[str]) -> tuple[str, ...]:
    names = names if isinstance(names, list) and names else [names]
    unknown = [name for name in names if str(name) not in OBJECTIVES]
    known = ", ".join(OBJECTIVES)
    errors += [
        f"objectives must be of {known} and one is {n!r}{did_you_mean(n, OBJECTIVES)}" for n in unknown
    ]
    if not unknown and names[0] not in LEARNT:
        errors.append(f"the first of objectives must be {' or '.join(LEARNT)} and is {names[0]}")
    if len(set(map(str, names))) < len(names):
        errors.append("objectives names one twice")
    return tuple(map(str, names))


def _budget(tree: Any, errors: list[str]) -> tuple[tuple[str, float], ...]:
    if not isinstance(tree, dict):
        errors.append("budget must be a section of numbers")
        return ()
    for name, most in tree.items():
        if name not in BUDGETS:
            errors.append(f'unknown budget "{name}"{did_you_mean(name, BUDGETS)}')
        elif not _is_number(most) or not 0 < most < float("inf"):
            errors.append(f"budget.{name} must be a number above 0 and is {most!r}")
    return tuple(tree.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parameters(tree: Any, recipe: Recipe, errors: list[str]) -> list[Parameter]:
    """Return the parameters of a tree; of each that cannot be used the first error is noted."""
    specs = {}
    for name, spec in _flat(tree or {}, errors).items():
        by_place = isinstance(spec, dict) and spec and all(key.isdigit() for key in spec)
        specs |= {f"{name}.{n}": spec[n] for n in sorted(spec, key=int)} if by_place else {name: spec}
    if not specs:
        errors.append("parameters has no field to search")
    parameters: list[Parameter] = []
    for name, spec in specs.items():
        try:
            parameters.append(_parameter(name, spec, recipe.network.kind))
        except ValueError as error:
            errors.append(f'parameter "{name}": {error}')
    for i, one in enumerate(parameters):
        if not one.when and any(other.field == one.field for other in parameters if other is not one):
            errors.append(f'parameter "{one.name}": another one sets {one.field}: give each of them its when')
        later = {p.field for p in parameters[i:]} - {p.field for p in parameters[:i]}
        early = [field for field, _ in one.when if field in later]
        errors += [f'parameter "{one.name}": its when names {f}, which is drawn further down' for f in early]
    return parameters


def _parameter(name: str, spec: Any, network: str) -> Parameter:
    """Return one parameter; ValueError with what is wrong with it."""
    field = current_name(name.partition("-")[0], network)
    hint = field_type(_option(field), network)
    if hint is None:
        known = [known for known in known_fields() if field_type(known, network)]
        raise ValueError(f"unknown field{did_you_mean(_option(field), known)}")
    if field == "network.kind":
        raise ValueError("a space is for one kind of network")
    if not isinstance(spec, dict):
        raise ValueError("must be { low = …, high = … } or { choices = […] }")
    if unknown := [key for key in spec if key not in SPEC]:
        raise ValueError(f'unknown key "{unknown[0]}"{did_you_mean(unknown[0], SPEC)}')
    element = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if element is object:  # an option of somebody's own network, known when that is built
        element = int if all(isinstance(spec.get(key, 0), int) for key in ("low", "high", "step")) else float
    when = _when(spec.get("when", {}), network)
    if "choices" in spec:
        return Parameter(name, field, choices=_choices(spec, _option(field), network), when=when)
    if element not in (int, float):
        raise ValueError("needs choices")
    whole = element is int
    _check_range(spec, _option(field), network, whole)
    log, step = bool(spec.get("log")), spec.get("step")
    return Parameter(name, field, whole, spec["low"], spec["high"], step, log, when=when)


def _check_value(name: str, value: Any, option: str, network: str) -> None:
    if error := fault_of(option, value, network):
        raise ValueError(f"{name} {error} and is {value!r}")


def _choices(spec: dict, option: str, network: str) -> tuple:
    """Return the choices, a list among them as its JSON text."""
    choices = spec["choices"]
    if {"low", "high", "step", "log"} & set(spec):
        raise ValueError("give choices, or low and high, and not both")
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError("choices must be a list of two values or more")
    for value in choices:
        _check_value("one of choices", value, option, network)
    texts = [json.dumps(value, default=str) for value in choices]
    if len(set(texts)) < len(texts):
        raise ValueError("choices has a value twice")
    return tuple(text if isinstance(v, list) else v for v, text in zip(choices, texts, strict=True))


def _check_range(spec: dict, option: str, network: str, whole: bool) -> None:
    for key in ("low", "high"):
        if not _is_number(spec.get(key)):
            raise ValueError(f"{key} must be a number and is {spec.get(key)!r}")
        _check_value(key, spec[key], option, network)
    low, high, step, log = spec["low"], spec["high"], spec.get("step"), spec.get("log")
    if low >= high:
        raise ValueError(f"low {low} must be below high {high}; a single value belongs under fixed")
    if log not in (None, True, False):
        raise ValueError(f"log must be true or false and is {log!r}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range starts above 0 and low is {low}")
    if log and step is not None:
        raise ValueError("a logarithmic range has no step")
    if step is not None and not (_is_number(step) and 0 < step < float("inf") and not (whole and step % 1)):
        raise ValueError(
            f"step must be a number above 0{' without a fraction' if whole else ''} and is {step!r}"
        )


def _when(tree: Any, network: str) -> tuple[tuple[str, tuple], ...]:
    errors: list[str] = []
    conditions = {current_name(field, network): values for field, values in _flat(tree, errors).items()}
    for field, values in conditions.items():
        if field_type(field, network) is None:
            raise ValueError(f'when has an unknown field "{field}"{did_you_mean(field, known_fields())}')
        conditions[field] = tuple(values) if isinstance(values, list) else (values,)
        for value in conditions[field]:
            _check_value(f"when {field}", value, field, network)
    if errors:
        raise ValueError(errors[0])
    return tuple(conditions.items())
