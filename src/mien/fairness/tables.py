"""The numbers and tables of a fairness report. Measures nothing."""

import math

from mien.fairness.measure import BALANCED, DETECTOR, ECE, FOUND, HALF, UNCERTAIN, Fairness, Gap, LevelResult
from mien.judge import Interval
from mien.judge.text import points_with_interval, share_with_interval
from mien.pages.tables import Data, Table
from mien.text import decimal, p_value, percent, signed

NOTHING = "–"
ENDS = ("low", "high")


def data(fairness: Fairness) -> dict[str, Data]:
    """Return what the CSV files hold: outcomes, intensities, confusion."""
    outcomes, intensities, confusion = [], [], []
    design = fairness.design
    for result in fairness.levels:
        place = result.model, result.attribute, result.level
        outcomes += [(*place, *_outcome(fairness, result, outcome)) for outcome in result.values]
        if result.model == DETECTOR:
            continue
        recall = zip(design.steps.tolist(), result.recall_by_intensity, strict=True)
        intensities += [(*place, *pair) for pair in recall]
        confusion += [
            (*place, true, predicted, count)
            for true, row in zip(design.classes, result.confusion, strict=True)
            for predicted, count in zip(design.classes, row, strict=True)
        ]
    head = ("model", "attribute", "level")
    differences = (
        "compared_with",
        "difference",
        "difference_low",
        "difference_high",
        "p",
        "p_holm",
        "conclusion",
    )
    return {
        "outcomes": Data.of((*head, "outcome", "value", *ENDS, *differences), outcomes),
        "intensities": Data.of((*head, "intensity", "recall"), intensities),
        "confusion": Data.of((*head, "true", "predicted", "faces"), confusion),
    }


def _outcome(fairness: Fairness, result: LevelResult, outcome: str) -> tuple:
    value = result.values[outcome]
    gap = fairness.gap(result.model, result.attribute, result.level, outcome)
    row = outcome, value.point, value.low, value.high
    if gap is None:
        return *row, *(None,) * 6, "compared with"
    difference = gap.difference
    return (
        *row,
        gap.first,
        difference.point,
        difference.low,
        difference.high,
        gap.p,
        gap.p_holm,
        conclusion(gap),
    )


def conclusion(gap: Gap) -> str:
    """Return "higher", "lower" or "cannot tell"."""
    if not gap.holds:
        return "cannot tell"
    return "higher" if gap.difference.point > 0 else "lower"


def by_level(fairness: Fairness, model: str) -> Table:
    """Return a model's outcomes at each level, with the difference from the attribute's first level."""
    head = ("", "balanced accuracy", "difference, points", "p (Holm)", "most frequent wrong label", "uncertain", "ECE",
            "half at", "found")  # fmt: skip
    bodies = [
        (attribute, [_level_row(fairness, model, attribute, level) for level in levels])
        for attribute, levels in fairness.design.levels.items()
    ]
    return Table(f"{model}: what differs by attribute", head, bodies)


def _level_row(fairness: Fairness, model: str, attribute: str, level: str) -> tuple[str, ...]:
    result = fairness.level(model, attribute, level)
    gap = fairness.gap(model, attribute, level, BALANCED)
    detection = [
        r.values[FOUND]
        for r in fairness.levels
        if (r.model, r.attribute, r.level) == (DETECTOR, attribute, level)
    ]
    return (
        level,
        share_with_interval(result.values[BALANCED]),
        difference_text(gap) if gap else NOTHING,
        p_value(gap.p_holm) if gap else NOTHING,
        wrong_label(fairness, result),
        percent(result.values[UNCERTAIN].point),
        decimal(result.values[ECE].point),
        number(result.values[HALF].point),
        percent(detection[0].point) if detection else NOTHING,
    )


def wrong_label(fairness: Fairness, result: LevelResult) -> str:
    """Return the wrong label that a level's faces get most often, with the share of other classes' faces that do."""
    name, value = max(_wrongly(fairness, result).items(), key=lambda pair: pair[1].point)
    return f"{name} {percent(value.point)}"


def _wrongly(fairness: Fairness, result: LevelResult) -> dict[str, Interval]:
    return {name: result.values[f"wrongly called {name}"] for name in fairness.design.classes}


def by_class(fairness: Fairness, model: str, outcome: str, caption: str) -> Table:
    """Return an outcome of each class at each level, percent; `outcome` is "recall of" or "wrongly called".

    What holds as a difference from the first level is marked by an arrow.
    """
    bodies = []
    for attribute, levels in fairness.design.levels.items():
        rows = []
        for level in levels:
            cells = [
                _marked(fairness, model, attribute, level, f"{outcome} {name}")
                for name in fairness.design.classes
            ]
            rows.append((level, *cells))
        bodies.append((attribute, rows))
    return Table(caption, (f"{outcome}, %", *fairness.design.classes), bodies)


def _marked(fairness: Fairness, model: str, attribute: str, level: str, outcome: str) -> str:
    value = fairness.level(model, attribute, level).values[outcome]
    gap = fairness.gap(model, attribute, level, outcome)
    arrow = {"higher": "▲ ", "lower": "▼ "}.get(conclusion(gap), "") if gap else ""
    return f"{arrow}{100 * value.point:.0f}"


def holding(fairness: Fairness, model: str) -> Table | None:
    """Return the differences of a model that hold, the largest first; None without any."""
    gaps = fairness.holding(model)
    if not gaps:
        return None
    rows = [
        (
            f"{gap.attribute}: {gap.level} against {gap.first}",
            gap.outcome,
            difference_text(gap),
            p_value(gap.p_holm),
        )
        for gap in gaps
    ]
    return Table(
        f"{model}: all differences that hold", ("", "outcome", "difference", "p (Holm)"), [("", rows)]
    )


def difference_text(gap: Gap) -> str:
    """Return a difference with its interval, in points, of an intensity in its unit."""
    difference = gap.difference
    if math.isnan(difference.point):
        return NOTHING
    if gap.outcome != HALF:
        return points_with_interval(difference)
    point, low, high = (signed(value, 2) for value in (difference.point, difference.low, difference.high))
    return f"{point} [{low}, {high}]"


def number(value: float) -> str:
    """Return an intensity, or a dash where it is undefined."""
    return NOTHING if math.isnan(value) else decimal(value, 2)
