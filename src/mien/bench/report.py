"""Fills the report of a measurement. Measures nothing."""

from pathlib import Path

from mien.bench import PLAIN, Bench, text
from mien.bench.clock import gain
from mien.bench.figures import draw
from mien.bench.tables import data, tables
from mien.files import refuse_other_contents, to_json, write_atomic
from mien.pages import render
from mien.pages.figures import Figures
from mien.pages.report import FIGURES, NUMBERS, writing_report

PAGE, RECORD = "bench.html", "bench.json"
EARLIER = {RECORD, "speed.svg", "speed.png", "stages.svg", "stages.png"}  # before there was a page
CONTENTS = {PAGE, RECORD, FIGURES, NUMBERS}


def check(out: Path) -> None:
    """Raise StorageError where `out` holds anything but an earlier measurement, before one is made."""
    refuse_other_contents(Path(out), CONTENTS, EARLIER)


def write(result: Bench, out: Path) -> Figures:
    """Write page, figures (SVG and PNG), numbers and `bench.json` into folder `out`; return the figures.

    The folder appears whole or not at all; one of this kind that stands there is replaced. Raises StorageError
    where `out` holds anything else, MissingExtra without matplotlib.
    """
    with writing_report(Path(out), PAGE, extra="train", others=(RECORD,), earlier=(EARLIER,)) as report:
        draw(report, result)
        report.write_numbers(data(result))
        write_atomic(report.folder / RECORD, to_json(result.to_dict()))
        times = gain(result.training[result.own], result.training[PLAIN])
        report.write_page(
            render(
                "mien.bench",
                "report.html",
                title=f"Training {result.recipe}: {times:.2f} times a plain loop",
                lead=f"{'. '.join(text.head(result))}.",
                conclusions=(),
                tables=tables(result),
                device=text.device(result),
                no_others="" if result.others else text.NO_OTHERS,
                drawn=report.figures,
            )
        )
        return Figures(report.figures["speed"])
