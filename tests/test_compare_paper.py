"""Figures for a paper: PDF and SVG of a column's width, white, without titles, with captions."""

import re

import pytest
from report_runs import write_fake_runs

from mien.compare import compare
from mien.errors import DataError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each of two networks."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"), seeds=1)


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """Their report with figures for a paper."""
    return compare(runs, tmp_path_factory.mktemp("of") / "report", draws=100, style="paper")


def test_each_figure_is_there_for_print_and_one_has_all_training_curves(report):
    """The folder has a PDF and an SVG of each figure, one of all curves, and a caption of each."""
    names = {one.name for figures in report.drawn.values() for one in figures} | {"training-curves"}
    paper = report.folder / "paper"
    captions = (paper / "captions.txt").read_text(encoding="utf-8")

    assert {f"{name}.{ending}" for name in names for ending in ("pdf", "svg")} | {"captions.txt"} == {
        path.name for path in paper.iterdir()
    }
    assert names == set(re.findall(r"^(\S+): ", captions, re.M))


def test_captions_say_what_their_own_figure_shows(report):
    """Only intervals are explained as such, over faces alone with one seed each; what titles said stands there."""
    lines = (report.folder / "paper" / "captions.txt").read_text(encoding="utf-8").split("\n\n")
    captions = dict(line.split(": ", 1) for line in lines)
    intervals = "95% percentile intervals of 100 bootstrap draws over faces (one seed each)"

    assert {"score", "difference", "class"} == {
        name.split("-")[0] for name, caption in captions.items() if intervals in caption
    }
    assert all("hollow: whole split" in text for name, text in captions.items() if name.startswith("score"))
    assert not [n for n in ("counts", "training-curves", "samples") if "part of test" in captions[n]]
    assert all("part of test" in text for name, text in captions.items() if name.startswith("confusion"))
    assert all("a: quick-" in text for name, text in captions.items() if name.startswith("only-"))
    assert "percentage points" in captions["difference-accuracy"]
    assert "  " not in "".join(lines)


def test_a_figure_for_print_has_no_title_and_the_width_of_a_column(report):
    """Its SVG is 3.5 inches wide and lower than the page's, on white, and its title is in the page alone."""
    page, paper = (
        (report.folder / folder / "score-accuracy.svg").read_text() for folder in ("figures", "paper")
    )
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', paper).groups()

    assert 3.5 * 72 == pytest.approx(float(width), abs=0.5)
    assert float(height) < 0.7 * float(re.search(r'height="([\d.]+)pt"', page)[1]) - 20
    assert ">Accuracy<" in page and ">Accuracy<" not in paper
    assert "fill: #ffffff" in paper
    assert (report.folder / "paper" / "score-accuracy.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_the_figures_of_the_page_are_as_without_print(runs, report, tmp_path):
    """Printing changes no figure of the page."""
    before = {path.name: path.read_bytes() for path in (report.folder / "figures").iterdir()}
    plain = compare(runs, tmp_path / "plain", draws=100)

    assert before == {path.name: path.read_bytes() for path in (plain.folder / "figures").iterdir()}


def test_a_style_that_is_not_known_is_refused(tmp_path):
    """It is one line, before anything is read."""
    with pytest.raises(DataError, match="papr"):
        compare([], tmp_path / "report", style="papr")
