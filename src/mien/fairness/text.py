"""What a fairness report says, in sentences. Measures nothing."""

from mien.fairness import tables
from mien.fairness.measure import BALANCED, DETECTOR, Fairness, Gap
from mien.pages.tables import Table
from mien.text import Conclusion, filled, joined, many, p_value, percent, points, thousands

LIMITS = Conclusion(
    "Rendered faces, not people",
    "These figures compare drawings that differ in one attribute. They do not say how a model does on people of an "
    "age, a gender or an ancestry: the faces are stylized, expressions are posed sums of action units, ancestry is one "
    "of three coarse poles of shape, the pictures are grey, and a difference may be the renderer's. A gap is a reason "
    "to look at photographs; no gap is no proof of fairness.",
)


def conclude(fairness: Fairness) -> list[Conclusion]:
    """Return all that is said at the head of the page and in the terminal."""
    return [LIMITS, *(_of_model(fairness, model) for model in fairness.models), *_of_detector(fairness),
            _of_controls(fairness)]  # fmt: skip


def _of_model(fairness: Fairness, model: str) -> Conclusion:
    worst = fairness.worst[model]
    gaps = [gap for gap in fairness.gaps if gap.model == model and not _is_control(fairness, gap)]
    held = [gap for gap in gaps if gap.holds]
    attributes = list(dict.fromkeys(gap.attribute for gap in held))
    named = f": {joined(attributes)}" if attributes else ""
    first, level = (
        fairness.level(model, worst.attribute, name).values[BALANCED].point
        for name in (worst.first, worst.level)
    )
    people = many(fairness.people, "person", "people")
    interval = f"[{points(worst.difference.low)}, {points(worst.difference.high)}]"
    sentence = (
        f"Balanced accuracy is {percent(level)} with “{worst.level}” and {percent(first)} with “{worst.first}” "
        f"({worst.attribute}), of the same {people}: {points(worst.difference.point)} points, 95 % interval {interval} "
        f"for all attributes at once, p (Holm) {p_value(worst.p_holm)}. {len(held)} of {thousands(len(gaps))} "
        f"comparisons of recall, wrong labels, “uncertain”, calibration and intensity hold after Holm{named}."
    )
    head = f"{model}: worst gap {points(worst.difference.point)} points, {worst.level} against {worst.first}"
    return Conclusion(head if worst.holds else f"{model}: no clear gap of balanced accuracy", sentence)


def _of_detector(fairness: Fairness) -> list[Conclusion]:
    gaps = [gap for gap in fairness.gaps if gap.model == DETECTOR]
    if not gaps:
        return []
    held = [gap for gap in gaps if gap.holds]
    largest = max(gaps, key=lambda gap: abs(gap.difference.point))
    sentence = (
        f"In small pictures with surroundings the largest difference is {tables.difference_text(largest)} points, "
        f"“{largest.level}” against “{largest.first}” ({largest.attribute})."
    )
    head = f"Faces are found less or more often with {joined([g.attribute for g in held])}" if held else (
        "Faces are found alike"
    )  # fmt: skip
    return [Conclusion(head, sentence)]


def _of_controls(fairness: Fairness) -> Conclusion:
    gaps = [gap for gap in fairness.gaps if _is_control(fairness, gap)]
    held = [gap for gap in gaps if gap.holds]
    balanced = [tables.difference_text(gap) for gap in gaps if gap.outcome == BALANCED]
    sentence = (
        f"Only random numbers of background and noise differ there; balanced accuracy {joined(balanced)} points. "
        f"{len(held)} of {many(len(gaps), 'comparison')} hold."
    )
    head = "The negative control shows a gap: do not trust this report" if held else (
        "The negative control shows no gap"
    )  # fmt: skip
    return Conclusion(head, sentence)


def _is_control(fairness: Fairness, gap: Gap) -> bool:
    return gap.attribute in fairness.design.controls


def summary(fairness: Fairness) -> str:
    """Return the conclusions and a table a model, as lines for a terminal."""
    parts = [f"{one.head}\n{filled(one.sentence)}" for one in conclude(fairness)]
    parts += [_of_one_body(tables.by_level(fairness, model)) for model in fairness.models]
    return "\n\n".join(parts)


def _of_one_body(table: Table) -> str:
    """Return a table as lines, each row with the heading of its body before its own."""
    rows = [(f"{heading}: {name}", *cells) for heading, body in table.bodies for name, *cells in body]
    return f"{table.caption}\n{Table(table.caption, table.head, [('', rows)]).text()}"
