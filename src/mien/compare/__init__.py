"""Compares finished runs: run folders in, a report out. Needs no torch and never trains.

`compare` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as
SVG and PNG) and `numbers/` (CSV); `summary` tells the result in the terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from markupsafe import Markup

from mien import __version__, notebook
from mien.compare import tables, text
from mien.compare.csv_tables import write_numbers
from mien.compare.faces import place_faces
from mien.compare.figures import MOST_PAIRS, Results, draw
from mien.compare.galleries import choose
from mien.compare.inputs import ComparisonInput, gather
from mien.errors import DataError
from mien.files import refuse_other_contents, replacing_folder, write_atomic
from mien.judge import Difference, Verdict, differences, judge, table
from mien.judge.text import table_html
from mien.labels import known_words
from mien.pages import render
from mien.pages.figures import Drawn, Figures, themed
from mien.pages.theme import LIGHT
from mien.text import NO_BREAK, filled, joined, percent, quoted

__all__ = ["Comparison", "compare", "summary"]

PAGE = "report.html"
CONTENTS = {PAGE, "figures", "numbers"}
LARGEST_PAGE_BYTES = 6_000_000
SECTIONS = (
    ("results", "Results"),
    ("differences", "Differences"),
    ("data", "The faces"),
    ("training", "Training"),
    ("confusion", "Confusions"),
    ("classes", "Class by class"),
    ("probabilities", "Probabilities"),
    ("faces", "Face by face"),
    ("networks", "The networks"),
    ("method", "How this was done"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found, and where its report lies."""

    folder: Path
    page: Path
    split: str
    where: str  # what the faces are: the split, or for folds "train and val" or "train"
    verdicts: dict[str, dict[str, Verdict]]  # network -> "all" or "clean" -> verdict
    differences: dict[str, list[Difference]]  # "all" or "clean" -> every pair of networks
    missing: str  # why the report has no pictures of faces, or ""
    notes: tuple[str, ...]  # sentences on how the data set was made, and on the folds
    drawn: dict[str, list[Drawn]] = field(default_factory=dict)  # the report's figures by kind

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

    def _repr_html_(self) -> str:
        caption, clean, sentences = _told(self)
        report = Markup("<p>The whole report: {}</p>").format(notebook.link(self.page))
        return notebook.html(table_html(clean, caption), *sentences, report)

    def to_dict(self) -> dict:
        """Return the comparison as plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "folder": str(self.folder),
            "page": str(self.page),
            "split": self.split,
            "where": self.where,
            "verdicts": {n: {p: v.to_dict() for p, v in parts.items()} for n, parts in self.verdicts.items()},
            "differences": {part: [d.to_dict() for d in pairs] for part, pairs in self.differences.items()},
            "missing": self.missing,
            "notes": list(self.notes),
        }


def compare(runs: Sequence[Path], out: Path, *, split: str = "test", draws: int = 2000) -> Comparison:
    """Compare finished runs by their predictions on a split and write the report into folder `out`.

    Runs of one recipe name are seeds of one network; the folds of a seed, which `split` "val" compares,
    are taken together, so that each face of train and val is classified once. The folder appears whole or not at all; a
    report that stands there is replaced. Raises RunError where runs do not belong together or
    have no predictions, DataError where predictions cannot be used, StorageError where `out`
    holds anything else, MissingExtra without matplotlib.
    """
    out = Path(out)
    refuse_other_contents(out, CONTENTS)
    with themed():
        inputs = gather(runs, split)
        verdicts = _judge(inputs, draws)
        pairs = _differences(inputs, draws)
        with replacing_folder(out) as folder:
            for name in ("figures", "numbers"):
                (folder / name).mkdir()
            results = Results(inputs, verdicts, pairs, folder / "figures")
            galleries = choose(inputs)
            drawn, faces = draw(results), place_faces(results, galleries)
            write_atomic(folder / PAGE, _html(results, drawn, faces, runs=runs, out=out, draws=draws))
            write_numbers(results, galleries, folder / "numbers")
    notes_on_runs = (text.about_folds(inputs), text.about_starts(inputs))
    notes = (*inputs.data.notes, *filter(None, notes_on_runs))
    drawn |= {kind: [pieces.sheet for pieces in placed] for kind, placed in faces.items() if placed}
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


def _html(
    results: Results, drawn: dict, galleries: dict, *, runs: Sequence[Path], out: Path, draws: int
) -> str:
    """Return the page; where it would be too large, the one without pictures of faces."""
    inputs = results.inputs
    networks = inputs.networks
    one_seed = [net.name for net in networks if len(net.tables) == 1]
    pairs = len(results.differences["all"])
    options = "" if inputs.split == "test" else f" --split {inputs.split}"
    names = {color: name for name, color in LIGHT.items()}
    classes_of = {net.name: names[net.color] for net in networks}
    html = render(
        "mien.compare",
        "report.html",
        inputs=inputs,
        title=text.report_title(results),
        compared=text.compared(results),
        findings=text.findings(results),
        about_clean=text.about_clean(results),
        about_data=text.about_data(results),
        about_folds=text.about_folds(inputs),
        about_starts=text.about_starts(inputs),
        about_dealing=text.about_dealing(inputs),
        sections=[s for s in SECTIONS if pairs or s[0] != "differences"],
        several_seeds=len(one_seed) < len(networks),
        one_seed=one_seed,
        drawn=drawn,
        galleries=galleries,
        undrawn=max(0, pairs - MOST_PAIRS),
        classes_of=classes_of,
        bar_classes=list(classes_of.values()),
        tables=tables.tables(results),
        chosen=[(net.name, tables.chosen_by(net.runs[0].recipe)) for net in networks],
        recipes=tables.recipes(inputs),
        origin=tables.origin(inputs),
        draws=draws,
        command=" \\\n  ".join(
            ["mien compare", *map(quoted, runs), f"--out {quoted(out)}{options} --draws {draws}"]
        ),
        version=__version__,
    )
    if len(html.encode()) <= LARGEST_PAGE_BYTES or inputs.missing:
        return html
    note = "This page has no pictures of faces, which would make it too large; they are in figures/."
    results = replace(results, inputs=replace(inputs, missing=note))
    return _html(results, drawn, dict.fromkeys(galleries, ()), runs=runs, out=out, draws=draws)


def summary(comparison: Comparison) -> str:
    """Return the result as text of at most 100 columns: the table, the conclusions, the page's path."""
    caption, clean, sentences = _told(comparison)
    lines = [caption, "", table(clean), *(filled(sentence) + "\n" for sentence in sentences)]
    return "\n".join([*lines, str(comparison.page)]).replace(NO_BREAK, " ")


def _told(comparison: Comparison) -> tuple[str, dict[str, Verdict], list[str]]:
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
