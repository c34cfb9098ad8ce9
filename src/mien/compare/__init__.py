"""Compares finished runs: run folders in, a report out. Needs no torch and never trains.

`compare` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as
SVG and PNG) and `numbers/` (CSV); `summary` tells the result in the terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mien.compare import text
from mien.compare.inputs import ComparisonInput, Results, gather
from mien.compare.report import PAGE, fill
from mien.errors import DataError
from mien.files import plain
from mien.judge import Difference, Verdict, differences, judge, table
from mien.labels import known_words
from mien.pages.figures import Drawn, Figures
from mien.pages.report import writing_report
from mien.text import NO_BREAK, Shown, filled, joined, percent

__all__ = ["Comparison", "compare", "summary"]


@dataclass(frozen=True, slots=True)
class Comparison(Shown):
    """What `compare` found, and where its report lies."""

    folder: Path
    page: Path
    split: str
    where: str  # what the faces are: the split, or for folds "train and val" or "train"
    verdicts: dict[str, dict[str, Verdict]]  # network -> "all" or "clean" -> verdict
    differences: dict[str, list[Difference]]  # "all" or "clean" -> every pair of networks
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


def compare(runs: Sequence[Path], out: Path, *, split: str = "test", draws: int = 2000) -> Comparison:
    """Compare finished runs by their predictions on a split and write the report into folder `out`.

    Runs of one recipe name are seeds of one network; the folds of a seed, which `split` "val" compares,
    are taken together, so that each face of train and val is classified once. The folder appears whole or not at all; a
    report that stands there is replaced. Raises RunError where runs do not belong together or
    have no predictions, DataError where predictions cannot be used, StorageError where `out`
    holds anything else, MissingExtra without matplotlib.
    """
    out = Path(out)
    with writing_report(out, PAGE, extra="compare") as report:
        inputs = gather(runs, split)
        results = Results(inputs, _judge(inputs, draws), _differences(inputs, draws))
        fill(report, results, runs=runs, out=out, draws=draws)
    notes_on_runs = (text.about_folds(inputs), text.about_starts(inputs))
    notes = (*inputs.data.notes, *filter(None, notes_on_runs))
    drawn = {kind: figures for kind, figures in report.figures.items() if figures}
    verdicts, pairs = results.verdicts, results.differences
    return Comparison(out, out / PAGE, split, inputs.where, verdicts, pairs, inputs.missing, notes, drawn)


def _judge(inputs: ComparisonInput, draws: int) -> dict[str, dict[str, Verdict]]:
    verdicts = {name: {"all": judge(seeds, draws=draws)} for name, seeds in inputs.tables("all").items()}
    for name, seeds in inputs.tables("clean").items():
        verdicts[name]["clean"] = judge(seeds, draws=draws) if inputs.has_copies else verdicts[name]["all"]
    return verdicts


def _differences(inputs: ComparisonInput, draws: int) -> dict[str, list[Difference]]:
    whole = differences(inputs.tables("all"), draws=draws)
    clean = differences(inputs.tables("clean"), draws=draws) if inputs.has_copies else whole
    return {"all": whole, "clean": clean}


def summary(comparison: Comparison) -> str:
    """Return the result as text of at most 100 columns: the table, the conclusions, the page's path."""
    caption, clean, sentences = summarize(comparison)
    lines = [caption, "", table(clean), *(filled(sentence) + "\n" for sentence in sentences)]
    return "\n".join([*lines, str(comparison.page)]).replace(NO_BREAK, " ")


def summarize(comparison: Comparison) -> tuple[str, dict[str, Verdict], list[str]]:
    """Return what the faces are, each network's verdict on the clean part, and the sentences below it."""
    clean = {name: parts["clean"] for name, parts in comparison.verdicts.items()}
    whole = {name: parts["all"] for name, parts in comparison.verdicts.items()}
    faces, all_faces = (next(iter(parts.values())).faces for parts in (clean, whole))
    caption, beside = f"{comparison.where}: {faces:,} faces", []
    if faces != all_faces:
        caption = f"clean part of {comparison.split}: {faces:,} of {all_faces:,} faces"
        accuracies = (f"{name} {percent(v.scores['accuracy'].point)}" for name, v in whole.items())
        beside = [f"On the whole split: accuracy of {joined(list(accuracies))}."]
    sentences = [difference.sentence for difference in comparison.differences["clean"]]
    sentences = sentences or [text.alone_sentence(*next(iter(clean.items())))]
    missing = [comparison.missing] if comparison.missing else []
    return caption, clean, [*beside, *sentences, *comparison.notes, *missing]
