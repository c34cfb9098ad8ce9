"""Compares finished runs: run folders in, a report out. Needs no torch and never trains.

`compare` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as
SVG and PNG) and `numbers/` (CSV); `summary` tells the result in the terminal.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien import __version__
from mien.compare import page, words
from mien.compare.faces import place_faces
from mien.compare.figures import MOST_PAIRS, Judged, draw
from mien.compare.galleries import choose
from mien.compare.material import Material, gather
from mien.compare.numbers import write_numbers
from mien.files import refuse_other_contents, replacing_folder, write_atomic
from mien.judge import Difference, Verdict, differences, judge, table
from mien.pages import joined, percent, render
from mien.pages.figures import themed
from mien.pages.text import NO_BREAK
from mien.pages.theme import LIGHT

__all__ = ["Comparison", "compare", "summary"]

PAGE = "report.html"
CONTENTS = {PAGE, "figures", "numbers"}
LARGEST_PAGE_BYTES = 6_000_000
TERMINAL_WIDTH = 100
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
    verdicts: dict[str, dict[str, Verdict]]  # network -> "all" or "clean" -> verdict
    differences: dict[str, list[Difference]]  # "all" or "clean" -> every pair of networks
    missing: str  # why the report has no pictures of faces, or ""
    notes: tuple[str, ...]  # sentences on how the data set was made

    def to_dict(self) -> dict:
        """Return the comparison as plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "folder": str(self.folder),
            "page": str(self.page),
            "split": self.split,
            "verdicts": {n: {p: v.to_dict() for p, v in parts.items()} for n, parts in self.verdicts.items()},
            "differences": {part: [d.to_dict() for d in found] for part, found in self.differences.items()},
            "missing": self.missing,
            "notes": list(self.notes),
        }


def compare(runs: Sequence[Path], out: Path, *, split: str = "test", draws: int = 2000) -> Comparison:
    """Compare finished runs by their predictions on a split and write the report into folder `out`.

    Runs of one recipe name are seeds of one network. The folder appears whole or not at all; a
    report that stands there is replaced. Raises RunError where runs do not belong together or
    have no predictions, DataError where predictions cannot be used, StorageError where `out`
    holds anything else, MissingExtra without matplotlib.
    """
    out = Path(out)
    refuse_other_contents(out, CONTENTS)
    with themed():
        material = gather(runs, split)
        verdicts = _judge(material, draws)
        found = _differences(material, draws)
        with replacing_folder(out) as folder:
            for name in ("figures", "numbers"):
                (folder / name).mkdir()
            judged = Judged(material, verdicts, found, folder / "figures")
            galleries = choose(material)
            drawn, faces = draw(judged), place_faces(judged, galleries)
            write_atomic(folder / PAGE, _html(judged, drawn, faces, runs=runs, out=out, draws=draws))
            write_numbers(judged, galleries, folder / "numbers")
    return Comparison(out, out / PAGE, split, verdicts, found, material.missing, material.data.notes)


def _judge(material: Material, draws: int) -> dict[str, dict[str, Verdict]]:
    verdicts = {name: {"all": judge(tables, draws=draws)} for name, tables in material.tables("all").items()}
    for name, tables in material.tables("clean").items():
        verdicts[name]["clean"] = judge(tables, draws=draws) if material.has_copies else verdicts[name]["all"]
    return verdicts


def _differences(material: Material, draws: int) -> dict[str, list[Difference]]:
    whole = differences(material.tables("all"), draws=draws)
    clean = differences(material.tables("clean"), draws=draws) if material.has_copies else whole
    return {"all": whole, "clean": clean}


def _html(
    judged: Judged, drawn: dict, galleries: dict, *, runs: Sequence[Path], out: Path, draws: int
) -> str:
    """Return the page; where it would be too large, the one without pictures of faces."""
    material = judged.material
    networks = material.networks
    one_seed = [net.name for net in networks if len(net.runs) == 1]
    pairs = len(judged.differences["all"])
    options = "" if material.split == "test" else f" --split {material.split}"
    names = {color: name for name, color in LIGHT.items()}
    classes_of = {net.name: names[net.color] for net in networks}
    html = render(
        "mien.compare",
        "report.html",
        material=material,
        title=words.report_title(judged),
        compared=words.compared(judged),
        findings=words.findings(judged),
        about_clean=words.about_clean(judged),
        about_data=words.about_data(judged),
        sections=[s for s in SECTIONS if pairs or s[0] != "differences"],
        several_seeds=len(one_seed) < len(networks),
        one_seed=one_seed,
        drawn=drawn,
        galleries=galleries,
        undrawn=max(0, pairs - MOST_PAIRS),
        classes_of=classes_of,
        bar_classes=list(classes_of.values()),
        tables=page.tables(judged),
        chosen=[(net.name, page.chosen_by(net.runs[0].recipe)) for net in networks],
        recipes=page.recipes(material),
        origin=page.origin(material),
        draws=draws,
        command=" \\\n  ".join(["mien compare", *map(str, runs), f"--out {out}{options} --draws {draws}"]),
        version=__version__,
    )
    if len(html.encode()) <= LARGEST_PAGE_BYTES or material.missing:
        return html
    note = "This page has no pictures of faces, which would make it too large; they are in figures/."
    judged = replace(judged, material=replace(material, missing=note))
    return _html(judged, drawn, dict.fromkeys(galleries, ()), runs=runs, out=out, draws=draws)


def summary(comparison: Comparison) -> str:
    """Return the result as text of at most 100 columns: the table, the conclusions, the page's path."""
    clean = {name: parts["clean"] for name, parts in comparison.verdicts.items()}
    whole = {name: parts["all"] for name, parts in comparison.verdicts.items()}
    faces, all_faces = (next(iter(parts.values())).faces for parts in (clean, whole))
    lines = [f"{comparison.split}: {faces:,} faces", "", table(clean)]
    if faces != all_faces:
        lines[0] = f"clean part of {comparison.split}: {faces:,} of {all_faces:,} faces"
        told = (f"{name} {percent(v.scores['accuracy'].point)}" for name, v in whole.items())
        lines.append(_filled(f"On the whole split: accuracy of {joined(list(told))}.") + "\n")
    sentences = [found.sentence for found in comparison.differences["clean"]]
    sentences = sentences or [words.alone_sentence(*next(iter(clean.items())))]
    lines += [_filled(sentence) + "\n" for sentence in sentences]
    told = [*comparison.notes, *([comparison.missing] if comparison.missing else [])]
    lines += [_filled(sentence) + "\n" for sentence in told]
    return "\n".join([*lines, str(comparison.page)]).replace(NO_BREAK, " ")


def _filled(text: str) -> str:
    return textwrap.fill(text, TERMINAL_WIDTH, break_on_hyphens=False)
