"""What a search's report says, in sentences. Draws nothing and computes no effect."""

from collections.abc import Sequence

import numpy as np

from mien.text import Said, joined, many, percent, seconds, thousands
from mien.tune.report.effects import Importance, place
from mien.tune.report.figures import busy, number, sessions, told
from mien.tune.study import Study

NEAR_THE_END = 0.04  # of an axis's length


def say(study: Study, ranked: Sequence[Importance]) -> list[Said]:
    """Return all that is said at the head of the page and in the terminal."""
    if not study.ranked():
        return [Said("No trial is complete", amount(study))]
    done = Said(many(len(study.of_state("complete")), "complete trial"), amount(study))
    return [best(study), done, luck(study), matters(ranked), *ends(study)]


def lead(study: Study) -> str:
    """Return what was searched for, where."""
    goals = joined(
        [f"the {'highest' if up else 'lowest'} {told(study, i)}" for i, up in enumerate(study.maximized)]
    )
    data = study.told.get("data")
    faces = (
        f", on {thousands(data['train'])} faces of train and {thousands(data['val'])} of val" if data else ""
    )
    return f"{many(len(study.axes), 'parameter')} searched for {goals}{faces}."


def value(study: Study, number: float, objective: int = 0) -> str:
    """Return a value of an objective as text."""
    if study.objectives[objective] == "accuracy":
        return percent(number)
    return thousands(number) if 10_000 <= abs(number) < float("inf") else f"{number:.4g}"


def best(study: Study) -> Said:
    """Return which trial is the best, or which are on the front."""
    first = study.ranked()[0]
    if len(study.objectives) > 1:
        front = study.front()
        names = joined([str(trial.number) for trial in front[:8]]) + (" and more" if len(front) > 8 else "")
        goals = joined([told(study, i) for i in range(len(study.objectives))])
        sentence = f"No trial beats any of {names} in {goals} together."
        return Said(f"{many(len(front), 'trial')} on the front", sentence)
    told_of = [f"{name.split('.', 1)[-1]} {parameter(v)}" for name, v in first.params.items()]
    params = joined(told_of or ["it has no parameter"])
    return Said(
        f"The best {told(study)} is {value(study, first.values[0])}", f"Trial {first.number}: {params}."
    )


def parameter(value) -> str:
    """Return a parameter's value as text."""
    return number(value, 4) if isinstance(value, float) else str(value)


def amount(study: Study) -> str:
    """Return how many trials ended how, and in what time."""
    counts = [(state, len(study.of_state(state))) for state in ("complete", "pruned", "refused", "failed")]
    repeats = sum("repeats" in trial.notes for trial in study.trials)
    text = joined([f"{n} {state}" for state, n in counts if n or state == "complete"])
    work = busy(sessions(study))[1]
    if len(work):
        text += f" in {seconds(work[-1])} of work"
    open_ = len(study.of_state("running", "waiting"))
    text += f"; {many(repeats, 'trial')} repeated an earlier one" if repeats else ""
    return f"{text}; {many(open_, 'trial')} not ended." if open_ else f"{text}."


def luck(study: Study) -> Said:
    """Return how much of the best value was luck, where other seeds tell, or that nobody knows."""
    first = study.ranked()[0]
    again = [values[0] for values in study.confirmed.get(first.number, {}).values()]
    if not again:
        extreme, tries = "highest" if study.maximized[0] else "lowest", len(study.ranked())
        hint = "The option confirm tells how much." if study.told else "Other seeds were not tried."
        sentence = (
            f"The {extreme} of {many(tries, 'noisy value')} flatters its trial, whichever it is. {hint}"
        )
        return Said("The best of many is partly luck", sentence)
    mean = float(np.mean(again))
    lost = (first.values[0] - mean) * (1 if study.maximized[0] else -1)
    text = f"{100 * lost:.1f} points" if study.objectives[0] == "accuracy" else f"{lost:.3g}"
    head = f"{text} of the best value {'were' if 'points' in text else 'was'} luck"
    spread = " to ".join(value(study, number) for number in (min(again), max(again)))
    return Said(
        head if lost > 0 else "The best value was no luck",
        f"The best trial's {told(study)} was {value(study, first.values[0])}; trained again with "
        f"{many(len(again), 'other seed')} it is {value(study, mean)} on average ({spread}).",
    )


def matters(ranked: Sequence[Importance]) -> Said:
    """Return which parameters explain more of the value than chance does."""
    clear = [each for each in ranked if each.share > each.by_chance]
    if not ranked:
        return Said(
            "Too few trials tell what matters", "Importances and contours need eight complete trials."
        )
    if not clear:
        return Said("No parameter stands out", "None explains more of the value than chance may.")
    first, *others = (f"{each.axis.short} explains {100 * each.share:.0f}%" for each in clear)
    shares = joined([first, *(f"{text} more" for text in others)])
    return Said(
        f"{clear[0].axis.short} matters most",
        f"{shares} of the ranked values; all others no more than chance may.",
    )


def ends(study: Study) -> list[Said]:
    """Return which of the best trial's values lie at an end of their range."""
    first, found = study.ranked()[0], []
    for axis in (axis for axis in study.axes if not axis.choices and axis.name in first.params):
        at = place(axis, first.params[axis.name])
        if min(at, 1 - at) < NEAR_THE_END:
            found.append(
                f"{axis.short} ({number(first.params[axis.name])}, {'low' if at < 0.5 else 'high'} end)"
            )
    if not found:
        return []
    return [
        Said("The best lies at an end of the space", f"A wider range may hold a better one: {joined(found)}.")
    ]
