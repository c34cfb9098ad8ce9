"""The sentences at the head of a report. Computes no score."""

import numpy as np

from mien.compare.inputs import ComparisonInput, Results
from mien.judge import Difference, Verdict
from mien.judge.paired import in_words
from mien.judge.parts import PARTS
from mien.recipe import chosen_on_val
from mien.run import began_with
from mien.text import (
    Conclusion,
    capitalized,
    joined,
    many,
    millions,
    percent,
    seeds_in_words,
    thousands,
    typeset,
)

COUNTS = {3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight", 9: "Nine", 10: "Ten"}


def report_title(results: Results) -> str:
    """Return the page's title."""
    names = [net.name for net in results.inputs.networks]
    if len(names) == 1:
        return f"{names[0]}, judged"
    if len(names) == 2:
        return f"{names[0]} or {names[1]}?"
    return f"{COUNTS.get(len(names), len(names))} networks compared"


def compared(results: Results) -> str:
    """Return what was compared, as one sentence."""
    inputs = results.inputs
    sizes = {n.name: f"{millions(n.summary['parameters'])} parameters, " for n in inputs.trained}
    networks = [f"{n.name} ({sizes.get(n.name, '')}{n.seeds})" for n in inputs.networks]
    verb = "classify" if len(networks) > 1 else "classifies"
    where = inputs.where if inputs.folds > 1 else f"the {inputs.split} split"
    whole = f"{thousands(len(inputs.faces))} faces of {where}"
    return f"{joined(networks)} {verb} the {whole}, {len(inputs.classes)} classes."


def conclude(results: Results) -> list[Conclusion]:
    """Return the conclusion of each pair, or that of a network on its own."""
    if len(results.inputs.networks) == 1:
        return [_alone(results)]
    pairs = zip(results.differences[results.inputs.main], results.differences["all"], strict=True)
    return [_pair(results, clean, whole) for clean, whole in pairs]


def _alone(results: Results) -> Conclusion:
    net = results.inputs.networks[0]
    clean, whole = results.verdict(net), results.verdicts[net.name]["all"]
    beside = (
        f"Of the whole split it classifies {_accuracy(whole)} correctly." if results.inputs.has_copies else ""
    )
    head = f"{percent(clean.scores['accuracy'].point)} correct"
    return Conclusion(head, alone_sentence(net.name, clean), beside)


def alone_sentence(name: str, verdict: Verdict) -> str:
    """Return what may be said of a network on its own."""
    seeds = seeds_in_words(verdict.seeds)
    sentence = f"{name} classifies {_accuracy(verdict)} correctly ({seeds})."
    if verdict.seeds == 1:
        sentence += " With one seed the spread over seeds is unknown and not in the interval."
    return sentence


def _accuracy(verdict: Verdict) -> str:
    value = verdict.scores["accuracy"]
    interval = f"95% interval {100 * value.low:.1f} to {100 * value.high:.1f}"
    return f"{percent(value.point)} of {thousands(verdict.faces)} faces ({interval})"


def _pair(results: Results, clean: Difference, whole: Difference) -> Conclusion:
    beside = ""
    if results.inputs.has_copies:
        same = whole.conclusion == clean.conclusion
        beside = (
            f"On the whole split {'the conclusion is the same' if same else _head(results, whole)}: "
            f"{in_words(whole.scores['accuracy'], whole.p_holm)}."
        )
    return Conclusion(_head(results, clean), typeset(clean.sentence), typeset(beside))


def _head(results: Results, difference: Difference) -> str:
    seeds = {net.name: len(net.tables) for net in results.inputs.networks}
    trained = " as trained here" if min(seeds[difference.a], seeds[difference.b]) == 1 else ""
    if difference.conclusion == "cannot tell":
        return f"{difference.a} and {difference.b} cannot be told apart"
    better, other = (
        (difference.a, difference.b) if difference.conclusion == "better" else (difference.b, difference.a)
    )
    return f"{better}{trained} is better than {other}"


def about_clean(results: Results) -> str:
    """Return why the conclusion is drawn from the strictest part, or that there are no copies."""
    inputs = results.inputs
    faces, split = inputs.faces, inputs.split
    earlier = {"train": "", "val": "train", "test": "train or val"}.get(split, "an earlier split")
    if inputs.folds > 1:
        return "Identical pictures stand in one fold, so no network was judged on a picture that it learned."
    if not inputs.has_copies:
        kind = "has a copy of any kind in" if inputs.main == "strict" else "stands in"
        too = "" if inputs.main == "strict" else " too"
        return f"No face of the {split} split {kind} {earlier}{too}, so the {PARTS[inputs.main]} is the whole split."
    copies, left = int((~faces.clean).sum()), int(inputs.chosen.sum())
    sentence = (
        f"Of the {thousands(len(faces))} faces of {split}, {many(copies, 'stands', 'stand')} in {earlier} too, pixel "
        f"for pixel"
    )
    if inputs.main == "strict":
        others = many(len(faces) - left, "has", "have")
        sentence += f", and {others} a copy of some kind there, as the families of an audit tell"
    return (
        f"{sentence}. A network may have memorized those, so conclusions are drawn from the other {thousands(left)}, "
        f"the {PARTS[inputs.main]}; {_beside(inputs)}.{_unknown(inputs)}"
    )


def _beside(inputs: ComparisonInput) -> str:
    others = [PARTS[part] for part in inputs.shown_parts[1:]]
    return f"the {joined(others)} {'stands' if len(others) == 1 else 'stand'} beside it"


def _unknown(inputs: ComparisonInput) -> str:
    if inputs.faces.strict is not None:
        return ""
    return " Near copies are not known: mien audit --store finds them, and a part without any."


def caption_notes(results: Results, draws: int) -> dict[str, str]:
    """Return by section how the captions of its figures end: which faces are shown, and what the intervals are."""
    inputs = results.inputs
    part = f"{capitalized(results.part(int(inputs.chosen.sum())))}."
    each = {net.name: net.seeds for net in inputs.networks}
    alike = len(set(each.values())) == 1 < len(each)
    seeds = f"{each.popitem()[1]} each" if alike else joined([f"{name}: {n}" for name, n in each.items()])
    over = "faces and seeds" if any(len(net.tables) > 1 for net in inputs.networks) else "faces"
    intervals = f"95% percentile intervals of {thousands(draws)} bootstrap draws over {over} ({seeds})."
    marks = f"Filled: {PARTS[inputs.main]}, hollow: whole split. " * inputs.has_copies
    return {
        **dict.fromkeys(("scores", "differences"), f"{marks}{part} {intervals}"),
        "classes": f"{part} {intervals}",
        **dict.fromkeys(("confusion", "confusion_shares", "confusion_differences"), part),
        **dict.fromkeys(("probabilities", "reliability", "random", "mistakes", "disagreements"), part),
    }


def about_folds(inputs: ComparisonInput) -> str:
    """Return how each face was classified and what was chosen by those very faces, or "" without folds."""
    if inputs.folds == 1:
        return ""
    choices = {net.name: chosen_on_val(net.runs[0].recipe) for net in inputs.trained}
    choices_of = [f"{joined(what)} of {name}" for name, what in choices.items() if what]
    flattered = f"Chosen on that very fold, which flatters the figures: {'; '.join(choices_of)}."
    unseen = "" if about_starts(inputs) else " and had not seen it"
    return (
        f"The faces of {inputs.where} were dealt into {inputs.folds} folds, and each was classified by the network "
        f"that was trained on the other folds{unseen}. "
        f"{flattered if choices_of else 'Nothing was chosen on its fold.'}"
    )


def about_starts(inputs: ComparisonInput) -> str:
    """Return which networks did not start from fresh weights and what that may mean, or ""."""
    return " ".join(start for net in inputs.trained if (start := began_with(net.runs[0])))


def about_dealing(inputs: ComparisonInput) -> str:
    """Return how the folds were made and how even they are, or "" without folds."""
    if inputs.folds == 1:
        return ""
    folds = inputs.networks[0].own[: inputs.folds]
    counts = np.array([np.bincount(fold.labels, minlength=len(inputs.classes)) for fold in folds])
    return (
        f"The {inputs.folds} folds follow from the data set alone, whatever the seed, so all networks were "
        f"trained and judged on the same. Groups of identical pictures were dealt one by one, the largest first, "
        f"each to the fold with the fewest faces of its class: a class's counts in two folds differ by at most "
        f"{np.ptp(counts, axis=0).max()}. A run's val is its own fold. The networks of two folds share most of "
        f"their training faces, so the spread over folds does not tell how far their mean could move (Bengio and "
        f"Grandvalet, 2004)."
    )


def about_data(results: Results) -> str:
    """Return the data set's size, side, classes and splits as one sentence."""
    data = results.inputs.data
    if data is None:
        return "No data set was given with the tables of predictions."
    splits = {name: sum(counts.values()) for name, counts in data.counts.items()}
    sizes = joined([f"{thousands(count)} in {name}" for name, count in splits.items()])
    return (
        f"The data set holds {thousands(sum(splits.values()))} faces of {data.side} × {data.side} pixels in "
        f"{len(data.labels)} classes: {sizes}."
    )
