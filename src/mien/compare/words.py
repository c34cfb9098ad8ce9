"""The sentences at the head of a report. Computes no score."""

from dataclasses import dataclass

import numpy as np

from mien.compare.figures import Judged
from mien.compare.material import Material
from mien.judge import Difference, Verdict
from mien.judge.paired import in_words
from mien.recipe import chosen_on_val
from mien.run import began_with
from mien.text import joined, many, millions, percent, seeds_in_words, thousands, typeset

COUNTS = {3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight", 9: "Nine", 10: "Ten"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A conclusion: in a few words, in full, and what the whole split says where it is another set."""

    head: str
    sentence: str
    whole: str


def report_title(judged: Judged) -> str:
    """Return the page's title."""
    names = [net.name for net in judged.material.networks]
    if len(names) == 1:
        return f"{names[0]}, judged"
    if len(names) == 2:
        return f"{names[0]} or {names[1]}?"
    return f"{COUNTS.get(len(names), len(names))} networks compared"


def compared(judged: Judged) -> str:
    """Return what was compared, as one sentence."""
    material = judged.material
    told = [f"{n.name} ({millions(n.told['parameters'])} parameters, {n.seeds})" for n in material.networks]
    verb = "read" if len(told) > 1 else "reads"
    where = material.where if material.folds > 1 else f"the {material.split} split"
    whole = f"{thousands(len(material.faces))} faces of {where}"
    return f"{joined(told)} {verb} the {whole}, {len(material.classes)} classes."


def findings(judged: Judged) -> list[Finding]:
    """Return the conclusion of each pair, or that of a network on its own."""
    if len(judged.material.networks) == 1:
        return [_alone(judged)]
    pairs = zip(judged.differences["clean"], judged.differences["all"], strict=True)
    return [_pair(judged, clean, whole) for clean, whole in pairs]


def _alone(judged: Judged) -> Finding:
    net = judged.material.networks[0]
    clean, whole = judged.verdicts[net.name]["clean"], judged.verdicts[net.name]["all"]
    beside = f"Of the whole split it reads {_accuracy(whole)}." if judged.material.has_copies else ""
    head = f"{percent(clean.scores['accuracy'].point)} read rightly"
    return Finding(head, alone_sentence(net.name, clean), beside)


def alone_sentence(name: str, verdict: Verdict) -> str:
    """Return what may be said of a network on its own."""
    seeds = seeds_in_words(verdict.seeds)
    sentence = f"{name} reads {_accuracy(verdict)} rightly ({seeds})."
    if verdict.seeds == 1:
        sentence += " With one seed the spread over seeds is unknown and not in the interval."
    return sentence


def _accuracy(verdict: Verdict) -> str:
    value = verdict.scores["accuracy"]
    interval = f"95% interval {100 * value.low:.1f} to {100 * value.high:.1f}"
    return f"{percent(value.point)} of {thousands(verdict.faces)} faces ({interval})"


def _pair(judged: Judged, clean: Difference, whole: Difference) -> Finding:
    beside = ""
    if judged.material.has_copies:
        same = whole.conclusion == clean.conclusion
        beside = (
            f"On the whole split {'the conclusion is the same' if same else _head(judged, whole)}: "
            f"{in_words(whole.scores['accuracy'], whole.p_holm)}."
        )
    return Finding(_head(judged, clean), typeset(clean.sentence), typeset(beside))


def _head(judged: Judged, found: Difference) -> str:
    seeds = {net.name: len(net.tables) for net in judged.material.networks}
    trained = " as trained here" if min(seeds[found.a], seeds[found.b]) == 1 else ""
    if found.conclusion == "cannot tell":
        return f"{found.a} and {found.b} cannot be told apart"
    better, other = (found.a, found.b) if found.conclusion == "better" else (found.b, found.a)
    return f"{better}{trained} is better than {other}"


def about_clean(judged: Judged) -> str:
    """Return why the conclusion is drawn from the clean part, or that there are no copies."""
    material = judged.material
    faces = material.faces
    earlier = {"train": "", "val": "train", "test": "train or val"}.get(material.split, "an earlier split")
    copies = len(faces) - int(faces.clean.sum())
    split = material.split
    if material.folds > 1:
        return "Identical pictures stand in one fold, so no network was judged on a picture that it learned."
    if not copies:
        return f"No face of the {split} split stands in {earlier} too, so the clean part is the whole split."
    return (
        f"Of the {thousands(len(faces))} faces of {split}, {many(copies, 'stands', 'stand')} in {earlier} too, pixel "
        f"for pixel. A network may have learned those by heart, so the conclusion is drawn from the other "
        f"{thousands(len(faces) - copies)}, the clean part; the whole split stands beside it."
    )


def about_folds(material: Material) -> str:
    """Return how each face was read and what was chosen by those very faces, or "" without folds."""
    if material.folds == 1:
        return ""
    choices = {net.name: chosen_on_val(net.runs[0].recipe) for net in material.networks}
    told = [f"{joined(what)} of {name}" for name, what in choices.items() if what]
    flattered = f"Chosen on that very fold, which flatters the figures: {'; '.join(told)}."
    unseen = "" if about_starts(material) else " and had not seen it"
    return (
        f"The faces of {material.where} were dealt into {material.folds} folds, and each was read by the network "
        f"that was trained on the other folds{unseen}. "
        f"{flattered if told else 'Nothing was chosen on its fold.'}"
    )


def about_starts(material: Material) -> str:
    """Return which networks did not start from fresh weights and what that may mean, or ""."""
    return " ".join(told for net in material.networks if (told := began_with(net.runs[0])))


def about_dealing(material: Material) -> str:
    """Return how the folds were made and how even they are, or "" without folds."""
    if material.folds == 1:
        return ""
    folds = material.networks[0].own[: material.folds]
    counts = np.array([np.bincount(fold.labels, minlength=len(material.classes)) for fold in folds])
    return (
        f"The {material.folds} folds follow from the data set alone, whatever the seed, so all networks were "
        f"trained and judged on the same. Groups of identical pictures were dealt one by one, the largest first, "
        f"each to the fold with the fewest faces of its class: a class's counts in two folds differ by at most "
        f"{np.ptp(counts, axis=0).max()}. A run's val is its own fold. The networks of two folds share most of "
        f"their training faces, so the spread over folds does not tell how far their mean could move (Bengio and "
        f"Grandvalet, 2004)."
    )


def about_data(judged: Judged) -> str:
    """Return the data set's size, side, classes and splits as one sentence."""
    data = judged.material.data
    splits = {name: sum(counts.values()) for name, counts in data.counts.items()}
    told = joined([f"{thousands(count)} in {name}" for name, count in splits.items()])
    return (
        f"The data set holds {thousands(sum(splits.values()))} faces of {data.side} × {data.side} pixels in "
        f"{len(data.labels)} classes: {told}."
    )
