"""A space: which fields of a recipe are searched, where, and what for. Knows nothing about torch or Optuna.

A space is a TOML file:

    format = 1
    name = "mine"                      # the search's name
    recipe = "quick-densenet"          # the base: a shipped recipe's name, or a path seen from this file
    objectives = ["accuracy"]          # the first is accuracy or log_loss, on val; see OBJECTIVES

    [budget]                           # a network above one of these is refused before it is trained
    parameters = 2_000_000             # also multiply_adds, memory_mb, milliseconds

    [fixed]                            # fields of the base that are set otherwise
    training.epochs = 10

    [parameters]                       # fields that are searched
    optimizer.lr = { low = 0.01, high = 0.5, log = true }
    network.growth_rate = { choices = [16, 32, [16, 24, 32]] }
    network.layers.0 = { low = 2, high = 6, step = 2 }      # the first value of a list
    optimizer.momentum = { low = 0.8, high = 0.98, when = { optimizer.kind = "sgd" } }
    optimizer.lr-adam = { low = 1e-4, high = 1e-2, log = true, when = { optimizer.kind = "adam" } }

What follows a hyphen only tells two parameters of one field apart. `when` may name fields of the
base and parameters further up; a list stands for any of its values. Of a list whose values are
drawn one by one nothing of the base is kept. `mien.tune.space_file` reads and checks such files.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mien.recipe import SECTIONS, CustomNetwork, Recipe, read_recipe, values

if TYPE_CHECKING:
    from optuna import Trial

OBJECTIVES = {
    "accuracy": "maximize",
    "log_loss": "minimize",
    "multiply_adds": "minimize",
    "parameters": "minimize",
    "milliseconds": "minimize",  # of one face on this machine, measured
}
LEARNT = ("accuracy", "log_loss")
BUDGETS = ("parameters", "multiply_adds", "memory_mb", "milliseconds")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a space: the recipe's field that it sets, and the values that it takes."""

    name: str
    field: str  # "section.option", or "section.option.N" for one value of a list
    whole: bool = False  # numbers without a fraction
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple = ()  # in place of low and high; a list stands as its JSON text
    when: tuple[tuple[str, tuple], ...] = ()  # (field, values): drawn only where each holds

    def draw(self, trial: "Trial") -> Any:
        """Return a value that Optuna's trial suggests."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.whole:
            low, high, step = int(self.low or 0), int(self.high or 0), int(self.step or 1)
            return trial.suggest_int(self.name, low, high, step=step, log=self.log)
        return trial.suggest_float(self.name, self.low or 0.0, self.high or 0.0, step=self.step, log=self.log)

    def __str__(self) -> str:
        """The parameter in words."""
        values = ", ".join(map(str, self.choices))
        values = values or f"{self.low} to {self.high}{', logarithmic' if self.log else ''}"
        when = "".join(f", where {field} is {' or '.join(map(str, of))}" for field, of in self.when)
        return f"{self.name}: {values}{when}"


@dataclass(frozen=True, slots=True)
class Space:
    """A whole space, checked."""

    name: str
    base: str  # of the recipe: its name or path
    fixed: tuple[str, ...]  # key=value
    objectives: tuple[str, ...]
    budget: tuple[tuple[str, float], ...]
    parameters: tuple[Parameter, ...]

    def values(self, trial: "Trial") -> dict[str, Any]:
        """Return what a trial suggests, by field."""
        recipe, drawn = read_recipe(self.base, self.fixed), {}
        for parameter in self.parameters:
            if all(_current(field, drawn, recipe) in values for field, values in parameter.when):
                drawn[parameter.field] = parameter.draw(trial)
        return drawn

    def recipe(self, values: dict[str, Any], name: str) -> Recipe:
        """Return the recipe that has these values; RecipeError where they contradict each other."""
        return read_recipe(self.base, (*self.fixed, *_overrides(values), f"name={name}"))

    def example(self) -> Recipe:
        """Return the base recipe with the lowest or first value of each searched option of a custom network.

        What a custom network cannot be built with is said before the first trial; other options are checked when the
        space is read.
        """
        recipe = read_recipe(self.base, self.fixed)
        if not isinstance(recipe.network, CustomNetwork):
            return recipe
        own = [p for p in self.parameters if p.field.startswith("network.")]
        drawn = {p.field: p.choices[0] if p.choices else int(p.low or 0) if p.whole else p.low for p in own}
        return self.recipe(drawn, recipe.name)

    def most_epochs(self) -> int:
        """Return how many epochs the longest training of the space may take."""
        drawn = [int(p.high or max(p.choices)) for p in self.parameters if p.field == "training.epochs"]
        return max([read_recipe(self.base, self.fixed).training.epochs, *drawn])

    def to_dict(self) -> dict[str, Any]:
        """Return all that makes the space what it is, ready for JSON: two equal ones search alike."""
        described = {
            "name": self.name,
            "recipe": _tree(read_recipe(self.base, self.fixed)),
            "objectives": self.objectives,
            "budget": dict(self.budget),
            "parameters": {p.name: asdict(p) for p in self.parameters},
        }
        return json.loads(json.dumps(described))

    def __str__(self) -> str:
        """The space as lines: what is searched for, its budget, and a line a parameter."""
        lines = [f"space {self.name} over {self.base}: {', '.join(self.objectives)}"]
        lines += [f"at most {cost_in_words(most)} {name}" for name, most in self.budget]
        return "\n".join([*lines, *(f"  {parameter}" for parameter in self.parameters)])


def _tree(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as its TOML file has it."""
    return {"name": recipe.name, **{section: values(getattr(recipe, section)) for section in SECTIONS}}


def _current(field: str, drawn: dict[str, Any], recipe: Recipe) -> Any:
    """Return a field's value in a recipe that is being drawn."""
    section, _, option = field.partition(".")
    return drawn.get(field, values(getattr(recipe, section)).get(option))


def _overrides(values: dict[str, Any]) -> list[str]:
    """Return values as `key=value`, those of one list together."""
    lists: dict[str, list] = {}
    single: dict[str, Any] = {}
    for field, value in values.items():
        section, option, *place = field.split(".")
        if place:
            lists.setdefault(f"{section}.{option}", []).append(value)
        else:
            single[field] = value
    return [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in {**single, **lists}.items()]


def cost_in_words(value: float) -> str:
    """Return a cost as text: whole parameters or multiply-adds, milliseconds with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
