"""Fills the report of a stress test. Measures nothing."""

import numpy as np

from mien.pages import render
from mien.pages.report import Report
from mien.stress import tables, text
from mien.stress.figures import draw
from mien.stress.measure import Stress
from mien.text import joined, thousands

PAGE = "stress.html"


def fill(
    report: Report, stress: Stress, *, data: str, face: np.ndarray, command: str, people: str = ""
) -> None:
    """Draw the figures, write the numbers and the page.

    `face` is uint8 (S, S), the example of each panel; `people` says what annotators reach on the faces.
    """
    draw(report, stress, face)
    numbers = tables.data(stress)
    report.write_numbers(numbers)
    html = render(
        "mien.stress",
        "report.html",
        title=f"Under stress: {joined(list(stress.accuracy))}",
        lead=f"{thousands(stress.faces)} faces of {data}, corrupted in 18 ways at five strengths"
        f"{text.IN_PHOTOGRAPHS * stress.photographs}. {people}".rstrip(),
        conclusions=text.conclude(stress),
        models=numbers["models"].table("Accuracy as they are and under corruptions"),
        differences=numbers["differences"].table("Differences on the same corrupted faces")
        if stress.differences
        else None,
        photographs=stress.photographs,
        strengths=[tables.strengths(stress, model) for model in stress.accuracy],
        first=next(iter(stress.accuracy)),
        drawn=report.figures,
        command=command,
    )
    report.write_page(html)
