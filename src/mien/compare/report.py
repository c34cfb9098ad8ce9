"""Fills the report of a comparison. Computes no score."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.compare import provenance, tables, text
from mien.compare.annotators import Humans, about_humans
from mien.compare.faces import place_faces
from mien.compare.figures import MOST_PAIRS, draw, draw_for_paper
from mien.compare.galleries import choose
from mien.compare.inputs import Results
from mien.judge.parts import PARTS
from mien.judge.text import about_absent
from mien.pages import render
from mien.pages.report import Report
from mien.pages.tables import Table
from mien.pages.theme import LIGHT
from mien.text import quoted

PAGE = "report.html"
LARGEST_PAGE_BYTES = 6_000_000


def fill(
    report: Report,
    results: Results,
    humans: Humans | None,
    *,
    items: Sequence[str | Path],
    out: Path,
    draws: int,
    options: Mapping[str, Path | str | None],
) -> None:
    """Draw the figures, write the numbers and the page; where it would be too large, one without pictures of faces."""
    inputs = results.inputs
    galleries = choose(inputs)
    draw(report, results)
    placed = place_faces(report, results, galleries)
    if report.paper:
        draw_for_paper(report, results)
        report.write_captions(text.caption_notes(results, draws))
    report.write_numbers(tables.data(results, galleries) | provenance.data(inputs))
    beside = {"annotators": humans.data()} if humans else {}
    report.write_numbers(beside)
    given = {"split": "" if inputs.split == "test" else inputs.split, **options}
    chosen = "".join(f" --{name} {quoted(value)}" for name, value in given.items() if value)
    words = ["mien compare", *map(quoted, items), f"--out {quoted(out)}{chosen} --draws {draws}"]
    context = _context(results) | {"drawn": report.figures, "draws": draws, "command": " \\\n  ".join(words)}
    context["about_humans"] = about_humans(inputs, humans)
    context["humans"] = [data.table("Networks beside one annotator") for data in beside.values()]
    html = render("mien.compare", "report.html", inputs=inputs, galleries=placed, **context)
    if len(html.encode()) > LARGEST_PAGE_BYTES and not inputs.missing:
        note = "This page has no pictures of faces, which would make it too large; they are in figures/."
        bare = {"inputs": replace(inputs, missing=note), "galleries": dict.fromkeys(placed, ())}
        html = render("mien.compare", "report.html", **bare, **context)
    report.write_page(html)


def _context(results: Results) -> dict[str, Any]:
    """Return what the page says of any comparison."""
    inputs = results.inputs
    networks = inputs.networks
    one_seed = [net.name for net in networks if len(net.tables) == 1]
    names = {color: name for name, color in LIGHT.items()}
    classes_of = {net.name: names[net.color] for net in networks}
    return {
        "title": text.report_title(results),
        "compared": text.compared(results),
        "conclusions": text.conclude(results),
        "about_clean": text.about_clean(results),
        "about_data": text.about_data(results),
        "about_folds": text.about_folds(inputs),
        "about_starts": text.about_starts(inputs),
        "about_dealing": text.about_dealing(inputs),
        "several_seeds": len(one_seed) < len(networks),
        "one_seed": one_seed,
        "undrawn": max(0, len(results.differences["all"]) - MOST_PAIRS),
        "classes_of": classes_of,
        "bar_classes": list(classes_of.values()),
        "tables": _tables(results),
        "chosen": [(net.name, provenance.chosen_by(net.runs[0].recipe)) for net in inputs.trained],
        "elsewhere": [net.name for net in networks if not net.runs],
        "absent": about_absent(results.verdict(networks[0])),
        "main": PARTS[inputs.main],
        "recipes": provenance.recipes(inputs),
        "origin": provenance.origin(inputs),
    }


def _tables(results: Results) -> dict[str, Table | list[Table] | None]:
    """Return every table of the page by name; None for one of runs or of a data set that are not there."""
    inputs = results.inputs
    costs = [provenance.costs(inputs.trained)] if inputs.trained else []
    return {
        "networks": [*tables.network_tables(results), *costs],
        "seeds": tables.seed_tables(results),
        "differences": tables.difference_tables(results),
        "mcnemar": tables.mcnemar_table(results),
        "classes": tables.class_tables(results),
        "counts": provenance.count_table(inputs.data) if inputs.data else None,
        "stages": provenance.stage_tables(inputs),
        "openings": provenance.openings_table(inputs) if inputs.trained else None,
        "runs": provenance.run_table(inputs) if inputs.trained else None,
        "packages": provenance.package_table(inputs) if inputs.trained else None,
    }
