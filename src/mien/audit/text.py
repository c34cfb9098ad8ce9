"""What an audit says, in sentences. Counts nothing."""

from mien.audit.annotators import AnnotatorsBySplit
from mien.audit.clean import Dropped
from mien.audit.copies import Copies
from mien.audit.data import AuditData
from mien.audit.doubts import Doubts
from mien.audit.families import Near
from mien.audit.quality import Quality
from mien.audit.result import Audit
from mien.audit.votes import VoteCheck
from mien.judge.text import annotators_sentence
from mien.labels import SPLITS
from mien.text import Conclusion, decimal, filled, joined, many, percent, thousands

SAME_SHARE = 0.005  # of a split's faces


def conclude(
    data: AuditData,
    copies: Copies,
    near: Near,
    quality: Quality,
    votes: VoteCheck | None,
    annotators: AnnotatorsBySplit,
    doubts: Doubts | None,
) -> list[Conclusion]:
    """Return all that is said at the head of the page and in the terminal."""
    sizes = {split: int((data.stage == i).sum()) for i, split in enumerate(SPLITS)}
    conclusions = [_across(copies, sizes), _identical(copies), _near(near, sizes), _inflated(near, sizes)]
    conclusions += [_people(copies.people, sizes)] if copies.people is not None else []
    conclusions += [_poor(quality), _splits(quality), _classes(data)]
    conclusions += [_labels(votes)] if votes else []
    conclusions += [_ceiling(annotators)] if annotators else []
    return conclusions + ([_doubts(doubts)] if doubts else [])


def _across(copies: Copies, sizes: dict[str, int]) -> Conclusion:
    if not any(copies.across.values()):
        sentence = "Pixel for pixel, train, val and test share no face; near and altered copies stand below."
        return Conclusion("No picture stands in two splits", sentence)
    head = f"{_of(copies.copied['test'], sizes['test'], 'test')} {_stand(copies.copied['test'])} in train or val too"
    if not copies.copied["test"]:
        head = "No test face stands in train or val, but train and val share faces"
    parts = [f"{many(n, f'{later} face')} in {earlier}" for (later, earlier), n in copies.across.items() if n]
    verb = "is" if sum(copies.across.values()) == 1 else "are"
    sentence = f"Pixel for pixel there {verb} {joined(parts)}. A network may have memorized those"
    clean = sizes["test"] - copies.copied["test"]
    return Conclusion(head, f"{sentence}; the clean part of test has {thousands(clean)} faces.")


def _identical(copies: Copies) -> Conclusion:
    if not copies.groups:
        return Conclusion("No picture is there twice", "There are no two faces with the same pixels.")
    hold = "holds" if copies.groups == 1 else "hold"
    sentence = f"{many(copies.groups, 'group')} of identical pictures {hold} {many(copies.redundant, 'redundant row')}."
    if copies.conflicting:
        sentence += f" The labels of {many(copies.conflicting, 'group')} disagree."
    else:
        sentence += " Within each group the labels agree."
    return Conclusion(
        f"{many(copies.redundant, 'picture')} {'is' if copies.redundant == 1 else 'are'} there again",
        sentence,
    )


def _near(near: Near, sizes: dict[str, int]) -> Conclusion:
    plain, moved = near.pairs["near"], near.pairs["augmented"]
    if not plain + moved:
        return Conclusion(
            "No near copies",
            "No two pictures are mirrored, brightened, recompressed, shifted or turned copies.",
        )
    sentence = (
        f"{many(plain, 'pair')} of pictures differ only in brightness, compression, mirroring or a shift of a "
        f"pixel or two; in {many(moved, 'more pair')} one is turned, zoomed or moved, as an augmentation or "
        f"another cut of the same photograph does."
    )
    if near.conflicting:
        sentence += (
            f" Of {many(near.families, 'family', 'families')} of such pictures {thousands(near.conflicting)} "
        )
        sentence += f"{'carries' if near.conflicting == 1 else 'carry'} different labels."
    copied = near.copied["test"]
    if copied:
        sentence += (
            f" With identical ones counted, {_of(copied, sizes['test'], 'test')} "
            f"{'has' if copied == 1 else 'have'} a copy of some kind in train or val."
        )
    return Conclusion(f"{many(plain + moved, 'pair')} of near or altered copies", sentence)


def _inflated(near: Near, sizes: dict[str, int]) -> Conclusion:
    redundant, faces = near.redundant["train"], sizes["train"]
    if not redundant:
        return Conclusion(
            "Every train face is a photograph of its own", "None is a copy of another train face."
        )
    are = (
        "is an identical, near or altered copy" if redundant == 1 else "are identical, near or altered copies"
    )
    return Conclusion(
        f"{percent(redundant / faces)} of train is there again",
        f"Of {thousands(faces)} train faces, {thousands(redundant)} {are} of another train face: train holds "
        f"{many(faces - redundant, 'different photograph')}.",
    )


def _people(people: dict[str, int], sizes: dict[str, int]) -> Conclusion:
    known = [_of(people[split], sizes[split], split) for split in reversed(SPLITS) if people[split]]
    if not known:
        return Conclusion("No person stands in two splits", "As far as the data set names its people.")
    show = "shows" if sum(people.values()) == 1 else "show"
    return Conclusion(
        f"{joined(known)} {show} a person of an earlier split",
        "A network knows such a face better than a stranger's, so figures on these splits are too high for strangers. "
        "Splits that mien pack draws keep a person's faces together.",
    )


def _poor(quality: Quality) -> Conclusion:
    if not quality.flat + quality.blurred:
        return Conclusion(
            "No picture is flat or blurred", "Every picture shows something, none is out of focus."
        )
    head = f"{many(quality.flat, 'flat picture')}, {thousands(quality.blurred)} blurred"
    sentence = "A flat picture is one single grey" if quality.flat else "No picture is one single grey"
    return Conclusion(head, f"{sentence}; a blurred one has hardly any detail between neighboring pixels.")


def _splits(quality: Quality) -> Conclusion:
    contrasts = [c for c in quality.contrasts if c.worth != "none"]
    if not quality.contrasts:
        return Conclusion(
            "There is nothing to compare splits by", "One split alone has faces that show anything."
        )
    if not contrasts:
        return Conclusion(
            "The splits look alike",
            "In brightness, contrast and sharpness the means of the splits differ by less than a tenth of a "
            "standard deviation, or by less than chance can do.",
        )
    parts = [
        f"{c.measure} of {c.split} is {'higher' if c.effect > 0 else 'lower'} than that of {c.other} by "
        f"{decimal(abs(c.effect), 2)} standard deviations"
        for c in contrasts
    ]
    clear = any(c.worth == "clear" for c in contrasts)
    return Conclusion(
        "The splits differ" if clear else "The splits differ slightly",
        f"The mean {joined(parts)}.{' A network can tell such splits apart by their looks.' if clear else ''}",
    )


def _classes(data: AuditData) -> Conclusion:
    counts = {label: int((data.labels == label).sum()) for label in data.info.labels}
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if not counts[least]:
        empty = [label for label, count in counts.items() if not count]
        head = "A class is empty" if len(empty) == 1 else f"{len(empty)} classes are empty"
        return Conclusion(head, f"No face is labeled {joined(empty, 'or')}.")
    ratio = counts[most] / counts[least]
    if ratio == 1:
        each = f"Each has {many(counts[most], 'face')}. {shifted_classes(data)}"
        return Conclusion("The classes are equal in size", each)
    head = "The classes are about equal in size" if ratio < 1.5 else "The classes are unequal"
    return Conclusion(
        head,
        f"{most.capitalize()} has {thousands(counts[most])} faces, {least} {thousands(counts[least])}: "
        f"a ratio of {decimal(ratio, 1)}. {shifted_classes(data)}",
    )


def shifted_classes(data: AuditData) -> str:
    """Return whether the classes' shares are the same in every split, as a sentence."""
    shares = {}
    for i, split in enumerate(SPLITS):
        labels = data.labels[data.stage == i]
        if len(labels):
            shares[split] = {label: float((labels == label).mean()) for label in data.info.labels}
    if len(shares) < 2:
        return "There is one split alone."
    gaps = {
        label: max(of[label] for of in shares.values()) - min(of[label] for of in shares.values())
        for label in data.info.labels
    }
    widest = max(gaps, key=gaps.__getitem__)
    if gaps[widest] < SAME_SHARE:
        return "Every class has about the same share in each split."
    shares_of_class = joined([f"{percent(of[widest])} in {split}" for split, of in shares.items()])
    return f"Between splits the share of {widest} differs most: {shares_of_class}."


def _labels(votes: VoteCheck) -> Conclusion:
    voted = [label for label, (_, n) in votes.by_class.items() if n]
    if not voted:
        return Conclusion("The votes tell no emotion", "No face has a vote for any of FER+'s eight emotions.")
    worst, best = (of(voted, key=lambda label: _share(votes, label)) for of in (min, max))
    return Conclusion(
        f"{percent(votes.share, 0)} of the labels are the majority's",
        f"FER+'s voters agree most with the label {best} ({percent(_share(votes, best), 0)}) and least with {worst} "
        f"({percent(_share(votes, worst), 0)}). Of {many(votes.unvoted, 'face')} the label got no vote at all, though "
        f"at least eight of ten agree on another class; {thousands(votes.not_a_face)} are no face for most voters.",
    )


def _ceiling(annotators: AnnotatorsBySplit) -> Conclusion:
    where, last = list(annotators.items())[-1]
    return Conclusion(
        f"One annotator agrees with {percent(last.one.point, 0)} of the labels of {where}",
        f"{annotators_sentence(last, where)} Those who gave none of the classes are left out. A network that agrees "
        "with more of the labels may have learned how they came about besides what people see.",
    )


def _doubts(doubts: Doubts) -> Conclusion:
    sentence = (
        f"Confident learning on predictions of {many(doubts.faces, 'face')}: of "
        f"{percent(doubts.doubtful / doubts.faces)} another class is more likely than the label."
    )
    if doubts.against_votes:
        doubtful, other = (percent(share, 0) for share in doubts.against_votes)
        sentence += (
            f" Not the annotators' majority are {doubtful} of these labels, and {other} of the others."
        )
    head = f"{many(doubts.doubtful, 'label is', 'labels are')} doubtful"
    return Conclusion(head, sentence)


def _share(votes: VoteCheck, label: str) -> float:
    agreeing, faces = votes.by_class[label]
    return agreeing / faces


def _of(count: int, faces: int, split: str) -> str:
    return f"{thousands(count)} of {thousands(faces)} {split} faces"


def _stand(count: int) -> str:
    return "stands" if count == 1 else "stand"


def about_cleaning(data: AuditData, dropped: Dropped) -> str:
    """Return what was dropped from the data set, or would be."""
    count = len(dropped.reasons)
    if dropped.folder is not None:
        return about_dropped(dropped)
    if not count:
        return "Nothing needs to be dropped."
    left = thousands(len(data) - count)
    return (
        f"mien audit --drop FOLDER would write a data set without {many(count, 'face')}: {left} would be left. "
        "Every face that is left out is listed there with its reason."
    )


def about_dropped(dropped: Dropped) -> str:
    """Return how many faces the cleaned data set lacks."""
    sums = {split: sum(of.values()) for split, of in dropped.counts.items()}
    counts = joined([f"{thousands(n)} of {split}" for split, n in sums.items()])
    faces = many(sum(sums.values()), "face")
    if not dropped.reasons:
        return f"{dropped.folder} holds the whole data set: nothing needed to be dropped."
    return f"{dropped.folder} holds the data set without {faces} ({counts}), listed in its left-out.csv."


def lead(data: AuditData) -> str:
    """Return how many faces there are, of which side, in which splits."""
    splits = joined([f"{thousands(data.info.count(split))} in {split}" for split in SPLITS])
    return f"{thousands(len(data))} faces of {data.info.side} × {data.info.side} pixels: {splits}."


def summary(audit: Audit) -> str:
    """Return the result as text of at most 100 columns: what was found, and the page's path."""
    lines = []
    for one in audit.conclusions:
        lines += [one.head, filled(one.sentence, "  "), ""]
    if audit.dropped.folder:
        lines += [filled(about_dropped(audit.dropped), "  "), ""]
    return "\n".join([*lines, str(audit.page)])
