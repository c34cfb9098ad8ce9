"""What a stress test says, in sentences. Measures nothing."""

import numpy as np

from mien.judge.text import share_with_interval
from mien.stress import tables
from mien.stress.corruptions import CORRUPTIONS, STRENGTHS
from mien.stress.measure import Stress
from mien.text import Conclusion, decimal, filled, joined, percent, points, thousands

IN_PHOTOGRAPHS = ", pasted into pictures and found there"
MEAN = f"the mean over {len(CORRUPTIONS)} corruptions at {len(STRENGTHS)} strengths"


def conclude(stress: Stress) -> list[Conclusion]:
    """Return all that is said at the head of the page and in the terminal."""
    models = [_of_model(stress, name) for name in stress.accuracy]
    pairs = [_of_pair(stress, *pair) for pair in stress.differences]
    return [*models, *pairs, *([_of_finding(stress)] if stress.photographs else [])]


def _of_finding(stress: Stress) -> Conclusion:
    first = next(iter(stress.accuracy))
    mean = {c: np.mean([each.found for each in stress.of(first, c)[1:]]) for c in CORRUPTIONS}
    worst = sorted(CORRUPTIONS, key=mean.__getitem__)[:3]
    named = joined([f"{corruption} ({100 * mean[corruption]:.0f} %)" for corruption in worst])
    return Conclusion(
        f"{percent(stress.found)} of corrupted faces are found",
        f"As they are it is {percent(stress.unchanged(first).found)}. Fewest are found under {named}. "
        "A face that is not found counts as not correct; “uncertain” and calibration are of those found.",
    )


def _of_model(stress: Stress, name: str) -> Conclusion:
    worst = sorted(CORRUPTIONS, key=lambda corruption: stress.mean_of(name, corruption))[:3]
    named = joined([f"{corruption} ({100 * stress.mean_of(name, corruption):.0f} %)" for corruption in worst])
    loss = stress.loss[name]
    unchanged, mean = (
        share_with_interval(share) for share in (stress.unchanged(name).accuracy, stress.accuracy[name])
    )
    sentence = (
        f"Of {thousands(stress.faces)} faces it classifies {unchanged} correctly as they are and {mean} in {MEAN}. "
        f"Worst are {named}."
    )
    head = f"{name} loses {100 * loss.point:.1f} points under corruptions"
    return Conclusion(head, sentence)


def _of_pair(stress: Stress, a: str, b: str) -> Conclusion:
    difference = stress.differences[a, b]
    interval = f"95 % interval {points(difference.low)} to {points(difference.high)}"
    error = decimal(stress.mean_corruption_error[b] / stress.mean_corruption_error[a])
    sentence = (
        f"Under corruptions {a} is correct by {points(difference.point)} points against {b} ({interval}), on the same "
        f"corrupted faces; {b} errs {error} times as often, the mean of the ratios."
    )
    if difference.low > 0:
        return Conclusion(f"{a} holds better than {b}", sentence)
    if difference.high < 0:
        return Conclusion(f"{b} holds better than {a}", sentence)
    return Conclusion(f"{a} and {b} cannot be told apart", sentence)


def summary(stress: Stress) -> str:
    """Return the conclusions and a table a model, as lines for a terminal."""
    parts = [f"{one.head}\n{filled(one.sentence)}" for one in conclude(stress)]
    parts += [
        table.caption + "\n" + table.text()
        for table in (tables.strengths(stress, m) for m in stress.accuracy)
    ]
    return "\n\n".join(parts)
