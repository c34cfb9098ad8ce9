"""Compares networks: run folders, or anybody's tables of predictions, in, a report out. Never trains, needs no torch.

`compare` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as
SVG and PNG) and `numbers/` (CSV); `summary` tells the result in the terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mien.compare import text
from mien.compare.annotators import judge_humans
from mien.compare.inputs import ComparisonInput, Results, gather
from mien.compare.report import PAGE, fill
from mien.errors import DataError
from mien.files import plain
from mien.judge import Difference, Verdict, differences, judge, table
from mien.judge.parts import PARTS
from mien.labels import known_words
from mien.pages.figures import Drawn, Figures
from mien.pages.report import writing_report
from mien.text import NO_BREAK, Shown, filled, joined, percent

__all__ = ["Comparison", "compare", "summary"]

STYLES = ("page", "paper")


@dataclass(frozen=True, slots=True)
class Comparison(Shown):
    """What `compare` found, and where its report lies."""

    folder: Path
    page: Path
    split: str
    where: str  # what the faces are: the split, or for folds "train and val" or "train"
    part: str  # the strictest part that is known, "strict" or "clean", from which conclusions are drawn
    verdicts: dict[str, dict[str, Verdict]]  # network -> "all", "clean" and, where known, "strict" -> verdict
    differences: dict[str, list[Difference]]  # part -> every pair of networks
    missing: str  # why the report has no pictures of faces, or ""
    notes: tuple[str, ...]  # sentences on how the data set was made, and on the folds
    drawn: dict[str, list[Drawn]] = field(default_factory=dict, repr=False)  # the report's figures by kind

    def figures(self, *kinds: str) -> Figures:
        """Return the report's figures of some kinds, all without any, for a notebook to show.

        Kinds are those of `drawn`: counts, samples, networks, histories, scores, classes, confusion,
        confusion_shares, probabilities, reliability, random, mistakes, and with several networks
        differences, confusion_differences and disagreements. DataError for any other.
        """
        for kind in kinds:
            if kind not in self.drawn:
                raise DataError(f'no figures "{kind}"{known_words(kind, self.drawn)}')
        return Figures(one for kind in kinds or self.drawn for one in self.drawn[kind])

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.verdicts)} on {self.where}: {self.page})"

    def to_dict(self) -> dict:
        """Return the comparison as plain dicts, lists, strings and numbers, ready for JSON."""
        return plain(self)


def compare(
    items: Sequence[str | Path],
    out: Path,
    *,
    split: str = "test",
    data: Path | None = None,
    classes: Sequence[str] = (),
    draws: int = 2000,
    style: str = "page",
) -> Comparison:
    """Compare networks by their predictions on a split and write the report into folder `out`.

    An item is the folder of a finished run, or tables of predictions as `mien judge` takes them (NAME=A.csv,B.csv);
    `data` is their data set, by default that of the runs. Histories and drawings are of runs alone. Runs of one recipe
    name are seeds of one network; the folds of a seed, which `split` "val" compares, are taken together, so that each
    face of train and val is classified once. `style` "paper" adds a folder `paper/` with every figure for print, as PDF
    and SVG without a title, and captions to copy. The folder appears whole or not at all; a report that stands there is
    replaced. Raises RunError where runs do not belong together or have no predictions, DataError where predictions
    cannot be used, StorageError where `out` holds anything else, MissingExtra without matplotlib.
    """
    out = Path(out)
    if style not in STYLES:
        raise DataError(f'no style "{style}"{known_words(style, STYLES)}')
    with writing_report(out, PAGE, extra="compare", paper=style == "paper") as report:
        inputs = gather(items, split, data=data, classes=classes)
        results = Results(inputs, _judge(inputs, draws), _differences(inputs, draws))
        given = {"data": data, "classes": ",".join(classes), "style": "" if style == "page" else style}
        humans = judge_humans(inputs, draws)
        fill(report, results, humans, items=items, out=out, draws=draws, options=given)
    notes_on_runs = (text.about_folds(inputs), text.about_starts(inputs))
    notes = (*(inputs.data.notes if inputs.data else ()), *filter(None, notes_on_runs))
    drawn = {kind: figures for kind, figures in report.figures.items() if figures}
    verdicts, pairs = results.verdicts, results.differences
    return Comparison(
        out, out / PAGE, split, inputs.where, inputs.main, verdicts, pairs, inputs.missing, notes, drawn
    )


def _judge(inputs: ComparisonInput, draws: int) -> dict[str, dict[str, Verdict]]:
    verdicts: dict[str, dict[str, Verdict]] = {net.name: {} for net in inputs.networks}
    for part, same_as in _by_same_faces(inputs):
        for name, seeds in inputs.tables(part).items():
            verdicts[name][part] = verdicts[name][same_as] if same_as else judge(seeds, draws=draws)
    return verdicts


def _differences(inputs: ComparisonInput, draws: int) -> dict[str, list[Difference]]:
    pairs: dict[str, list[Difference]] = {}
    for part, same_as in _by_same_faces(inputs):
        pairs[part] = pairs[same_as] if same_as else differences(inputs.tables(part), draws=draws)
    return pairs


def _by_same_faces(inputs: ComparisonInput) -> list[tuple[str, str]]:
    """Return each part, the whole first, and the part before it that has the same faces, or ""."""
    parts = list(reversed(inputs.parts))
    shown = inputs.shown_parts
    return [(part, "" if part in shown else parts[parts.index(part) - 1]) for part in parts]


def summary(comparison: Comparison) -> str:
    """Return the result as text of at most 100 columns: the table, the conclusions, the page's path."""
    caption, clean, sentences = summarize(comparison)
    lines = [caption, "", table(clean), *(filled(sentence) + "\n" for sentence in sentences)]
    return "\n".join([*lines, str(comparison.page)]).replace(NO_BREAK, " ")


def summarize(comparison: Comparison) -> tuple[str, dict[str, Verdict], list[str]]:
    """Return what the faces are, each network's verdict on the strictest part, and the sentences below it."""
    clean = {name: parts[comparison.part] for name, parts in comparison.verdicts.items()}
    whole = {name: parts["all"] for name, parts in comparison.verdicts.items()}
    faces, all_faces = (next(iter(parts.values())).faces for parts in (clean, whole))
    caption, beside = f"{comparison.where}: {faces:,} faces", []
    if faces != all_faces:
        caption = f"{PARTS[comparison.part]} of {comparison.split}: {faces:,} of {all_faces:,} faces"
        accuracies = (f"{name} {percent(v.scores['accuracy'].point)}" for name, v in whole.items())
        beside = [f"On the whole split: accuracy of {joined(list(accuracies))}."]
    sentences = [difference.sentence for difference in comparison.differences[comparison.part]]
    sentences = sentences or [text.alone_sentence(*next(iter(clean.items())))]
    missing = [comparison.missing] if comparison.missing else []
    return caption, clean, [*beside, *sentences, *comparison.notes, *missing]
