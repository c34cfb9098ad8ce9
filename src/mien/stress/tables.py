"""The numbers and tables of a stress test. Measures nothing."""

from mien.judge import Interval
from mien.judge.text import points_with_interval, share_with_interval
from mien.pages.tables import Column, Data, Table
from mien.stress.corruptions import CORRUPTIONS, STRENGTHS
from mien.stress.measure import Stress
from mien.text import decimal, percent

ENDS = ("low", "high")
NOTHING = "\N{EN DASH}"


def data(stress: Stress) -> dict[str, Data]:
    """Return what the CSV files hold: conditions, models, differences."""
    conditions = [
        (c.model, c.corruption, c.strength, *numbers(c.accuracy), c.ece, c.uncertain, c.found)
        for c in stress.conditions
    ]
    models = [
        (name, stress.faces,
         share_with_interval(stress.unchanged(name).accuracy), *numbers(stress.unchanged(name).accuracy),
         share_with_interval(stress.accuracy[name]), *numbers(stress.accuracy[name]),
         points_with_interval(stress.loss[name]), *numbers(stress.loss[name]), error)
        for name, error in stress.mean_corruption_error.items()
    ]  # fmt: skip
    differences = [
        (*pair, points_with_interval(difference), *numbers(difference))
        for pair, difference in stress.differences.items()
    ]
    return {
        "conditions": Data.of(
            ("model", "corruption", "strength", "accuracy", *ENDS, "ece", "uncertain", "found"), conditions
        ),
        "models": Data(
            (
                Column("model", "model"),
                Column("faces"),
                Column("", "as they are", in_file=False),
                *map(Column, ("accuracy", *ENDS)),
                Column("", "under corruptions", in_file=False),
                *map(Column, ("mean_accuracy", "mean_low", "mean_high")),
                Column("", "points lost", in_file=False),
                *map(Column, ("loss", "loss_low", "loss_high")),
                Column("mean_corruption_error", "mean corruption error", decimal),
            ),
            models,
        ),
        "differences": Data(
            (
                Column("a", "model"),
                Column("b", "minus"),
                Column("", "difference under corruptions", in_file=False),
                *map(Column, ("difference", *ENDS)),
            ),
            differences,
        ),
    }


def strengths(stress: Stress, model: str) -> Table:
    """Return a model's accuracy by corruption and strength, and what is uncertain at the highest."""
    rows = []
    for corruption in CORRUPTIONS:
        conditions = stress.of(model, corruption)
        accuracies = [f"{100 * condition.accuracy.point:.1f}" for condition in conditions]
        last = conditions[-1]
        found = [percent(last.found, 0)] if stress.photographs else []
        answered = (percent(last.uncertain, 0), decimal(last.ece)) if last.found else (NOTHING, NOTHING)
        rows.append((corruption, *accuracies, *found, *answered))
    found = ["found at 5"] if stress.photographs else []
    head = ("accuracy, %", "as is", *map(str, STRENGTHS), *found, "uncertain at 5", "ECE at 5")
    return Table(f"{model}: accuracy by strength", head, [("", rows)])


def numbers(interval: Interval) -> tuple[float, float, float]:
    """Return point, low and high."""
    return interval.point, interval.low, interval.high
