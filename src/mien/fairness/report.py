"""Fills a fairness report. Measures nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from mien.fairness import tables, text
from mien.fairness.attributes import ATTRIBUTES
from mien.fairness.figures import draw
from mien.fairness.measure import Fairness
from mien.pages import render
from mien.pages.report import Report
from mien.text import joined, many, thousands

PAGE = "fairness.html"


def fill(
    report: Report, fairness: Fairness, *, examples: Mapping[str, Sequence[np.ndarray]], command: str
) -> None:
    """Draw the figures, write the numbers and the page; `examples` has a face a level of each attribute."""
    draw(report, fairness, examples)
    report.write_numbers(tables.data(fairness))
    html = render(
        "mien.fairness",
        "report.html",
        title=f"Fairness on rendered people: {joined(fairness.models)}",
        lead=f"{many(fairness.people, 'rendered person', 'rendered people')}, each with one attribute changed and "
        f"all else the same: {thousands(fairness.faces)} faces.",
        conclusions=text.conclude(fairness),
        changes=[(name, ATTRIBUTES[name].changes) for name in fairness.design.levels],
        levels=[tables.by_level(fairness, model) for model in fairness.models],
        holding=[tables.holding(fairness, model) for model in fairness.models],
        classes=[
            table
            for model in fairness.models
            for table in (
                tables.by_class(fairness, model, "recall of", f"{model}: recall by class"),
                tables.by_class(fairness, model, "wrongly called", f"{model}: wrong labels"),
            )
        ],
        tests=len(fairness.gaps),
        first=fairness.models[0],
        several=len(fairness.models) > 1,
        drawn=report.figures,
        command=command,
    )
    report.write_page(html)
