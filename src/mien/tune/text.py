"""What is said of a search, in sentences: on its page, in the terminal, and after each trial. Draws nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from mien.text import MINUS, Conclusion, filled, joined, many, percent, seconds, thousands
from mien.tune.effects import Importance, importances, place
from mien.tune.study import Study, Trial

NEAR_THE_END = 0.04  # of an axis's length
Span = tuple[str, datetime, datetime, str]  # worker, begin, end, and how the trial ended


def conclude(study: Study, ranked: Sequence[Importance]) -> list[Conclusion]:
    """Return all that is said at the head of the page and in the terminal."""
    if not study.ranked():
        return [Conclusion("No trial is complete", _amount(study))]
    done = Conclusion(many(len(study.of_state("complete")), "complete trial"), _amount(study))
    return [_best(study), done, luck(study), _importance(ranked), *_ends(study)]


def summary(study: Study) -> str:
    """Return the conclusions on a search as text of at most 100 columns."""
    conclusions = conclude(study, importances(study))
    return "\n".join(f"{one.head}\n{filled(one.sentence, '  ')}" for one in conclusions)


def lead(study: Study) -> str:
    """Return what was searched for, where."""
    words = ["highest" if up else "lowest" for up in study.maximized]
    goals = joined([f"the {word} {objective(study, i)}" for i, word in enumerate(words)])
    text = f"{many(len(study.axes), 'parameter')} searched for {goals}"
    if data := study.metadata.get("data"):
        text += f", on {thousands(data['train'])} faces of train and {thousands(data['val'])} of val"
    return f"{text}."


def objective(study: Study, which: int = 0) -> str:
    """Return an objective's name in words."""
    return study.objectives[which].replace("multiply_adds", "multiply-adds").replace("_", " ")


def value(study: Study, value: float, which: int = 0) -> str:
    """Return a value of an objective as text."""
    if study.objectives[which] == "accuracy":
        return percent(value)
    return thousands(value) if 10_000 <= abs(value) < float("inf") else f"{value:.4g}"


def number(value: float, digits: int = 3) -> str:
    """Return a value with so many digits, as short as they allow."""
    return f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("-", MINUS)


def parameter(value: Any) -> str:
    """Return a parameter's value as text."""
    return number(value, 4) if isinstance(value, float) else str(value)


def trial_line(study: Study, trial: int, trials: int) -> str:
    """Return the line of a trial that has just ended, one of so many that are asked for."""
    one = study.trials[trial]
    values = one.values if one.state == "complete" else ()
    text = ", ".join(f"{objective(study, i)} {value(study, v, i)}" for i, v in enumerate(values)) or one.state
    if values and len(values) == 1 and study.ranked()[0] is one:
        text += ", the best yet"
    if "repeats" in one.notes:
        text += f", as trial {one.notes['repeats']}"
    if why := one.notes.get("refused") or one.notes.get("fault"):
        text += f": {why}"
    return f"trial {trial}: {text} ({len(study.of_state('complete', 'pruned', 'failed'))} of {trials})"


def sessions(study: Study) -> list[Span]:
    """Return who worked on the trials that ended, from when to when; of other programs' searches one worker."""
    ended = study.of_state("complete", "pruned", "failed")
    return [(worker, a, b, trial.state) for trial in ended for worker, a, b in trial.sessions if b]


def busy(spans: Sequence[Span]) -> tuple[np.ndarray, np.ndarray]:
    """Return moments, in seconds of the clock, and the seconds of work till then: pauses of all workers drop out."""
    clock, work, end, done = [], [], -np.inf, 0.0
    for begun, ended in sorted(
        (a.timestamp(), b.timestamp()) for _, a, b, state in spans if state != "failed"
    ):
        if begun > end:
            clock, work, end = [*clock, begun], [*work, done], begun
        done, end = done + max(0.0, ended - end), max(end, ended)
        clock, work = [*clock, end], [*work, done]
    return np.array(clock), np.array(work)


def _best(study: Study) -> Conclusion:
    """Return which trial is the best, or which are on the front."""
    if len(study.objectives) > 1:
        front = study.front()
        names = joined([str(trial.number) for trial in front[:8]]) + (" and more" if len(front) > 8 else "")
        goals = joined([objective(study, i) for i in range(len(study.objectives))])
        return Conclusion(
            f"{many(len(front), 'trial')} on the front", f"No trial beats any of {names} in {goals} together."
        )
    first = study.ranked()[0]
    params = [f"{name.split('.', 1)[-1]} {parameter(v)}" for name, v in first.params.items()]
    head = f"The best {objective(study)} is {value(study, first.values[0])}"
    return Conclusion(head, f"Trial {first.number}: {joined(params or ['it has no parameter'])}.")


def _amount(study: Study) -> str:
    """Return how many trials ended how, and in what time."""
    counts = {state: len(study.of_state(state)) for state in ("complete", "pruned", "refused", "failed")}
    text = joined([f"{n} {state}" for state, n in counts.items() if n or state == "complete"])
    work = busy(sessions(study))[1]
    if len(work):
        text += f" in {seconds(work[-1])} of work"
    if repeats := sum("repeats" in trial.notes for trial in study.trials):
        text += f"; {many(repeats, 'trial')} repeated an earlier one"
    if unfinished := len(study.of_state("running", "waiting")):
        text += f"; {many(unfinished, 'trial')} not ended"
    return f"{text}."


def again(study: Study, trial: Trial) -> list[float]:
    """Return what a trial's first objective was with other seeds."""
    return [values[0] for values in study.confirmed.get(trial.number, {}).values()]


def luck(study: Study) -> Conclusion:
    """Return how much of the best value was luck, where other seeds tell, or that nobody knows."""
    first = study.ranked()[0]
    values = again(study, first)
    if not values:
        extreme, tries = "highest" if study.maximized[0] else "lowest", len(study.ranked())
        hint = "The option confirm tells how much." if study.metadata else "Other seeds were not tried."
        sentence = (
            f"The {extreme} of {many(tries, 'noisy value')} flatters its trial, whichever it is. {hint}"
        )
        return Conclusion("The best of many is partly luck", sentence)
    mean = float(np.mean(values))
    lost = (first.values[0] - mean) * (1 if study.maximized[0] else -1)
    points = study.objectives[0] == "accuracy"
    head = (
        f"{100 * lost:.1f} points of the best value were luck"
        if points
        else f"{lost:.3g} of the best value was luck"
    )
    spread = " to ".join(value(study, v) for v in (min(values), max(values)))
    return Conclusion(
        head if lost > 0 else "The best value was no luck",
        f"The best trial's {objective(study)} was {value(study, first.values[0])}; trained again with "
        f"{many(len(values), 'other seed')} it is {value(study, mean)} on average ({spread}).",
    )


def _importance(ranked: Sequence[Importance]) -> Conclusion:
    """Return which parameters matter more than chance lets them."""
    if not ranked:
        return Conclusion(
            "Too few trials tell what matters", "Importances and contours need eight complete trials."
        )
    clear = [each for each in ranked if each.share > each.by_chance]
    if not clear:
        return Conclusion("No parameter stands out", "None has more of the importance than chance may give.")
    shares = joined([f"{each.axis.short} has {100 * each.share:.0f}%" for each in clear])
    rest = "all others no more than chance may give"
    return Conclusion(f"{clear[0].axis.short} matters most", f"{shares} of the importance; {rest}.")


def _ends(study: Study) -> list[Conclusion]:
    """Return which of the best trial's values lie at an end of their range."""
    params, ends = study.ranked()[0].params, []
    for axis in (axis for axis in study.axes if not axis.choices and axis.name in params):
        at = place(axis, params[axis.name])
        if min(at, 1 - at) < NEAR_THE_END:
            ends.append(f"{axis.short} ({number(params[axis.name])}, {'low' if at < 0.5 else 'high'} end)")
    if not ends:
        return []
    return [
        Conclusion(
            "The best lies at an end of the space", f"A wider range may hold a better one: {joined(ends)}."
        )
    ]
