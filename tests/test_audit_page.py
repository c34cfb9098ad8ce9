import re

import pytest
from audit_faces import fine_rows
from browser import reads_well
from test_compare import plain

from mien.audit import KINDS, audit, summary
from mien.dataset import writing_dataset

pytest_plugins = ["audit_fixtures"]


@pytest.fixture(scope="module")
def html(made):
    """The text of the page."""
    return made.page.read_text(encoding="utf-8")


def test_a_fine_data_set_is_called_fine(fine, tmp_path):
    """Where nothing is in question the audit says so, and has nothing to drop."""
    text = plain(fine.page.read_text(encoding="utf-8"))

    assert dict.fromkeys(KINDS, 0) == fine.counts
    for said in (
        "No picture stands in two splits",
        "No picture is there twice",
        "No near copies",
        "Every train face is a photograph of its own",
        "No picture is flat or blurred",
        "The splits look alike",
        "The classes are equal in size",
        "Nothing needs to be dropped.",
    ):
        assert said in text


def test_without_votes_nothing_is_said_of_wrong_labels(fine):
    """A data set without votes gets no word on label noise but that there are no votes."""
    text = plain(fine.page.read_text(encoding="utf-8"))

    assert fine.votes is None
    assert (
        "holds no votes of FER+ that its classes can be held against, so nothing is said here about wrong labels"
        in text
    )
    assert not {"votes.csv", "confusion.csv"} & {path.name for path in (fine.folder / "numbers").iterdir()}
    assert "voters" not in summary(fine)


def test_the_page_tells_the_findings(made, html):
    """The page says the counts in words and shows the pictures in question with id, split and label."""
    text = plain(html)

    assert "4 of 27 test faces stand in train or val too" in text
    assert "7 groups of identical pictures hold 7 redundant rows. The labels of 2 groups disagree." in text
    assert "4 pairs of near or altered copies" in text
    assert "3 flat pictures, 1 blurred" in text
    assert "mirrored, darker (gamma 1." in text
    assert made.fingerprint in text
    assert "--drop" in text
    assert html.count("<img ") >= 2 * (4 + 5 + 2) + 3 + 1 + 1 + 1


def test_the_page_is_one_small_file(html):
    """The page has at most 6 MB and names no address to load from."""
    addresses = re.findall(r'(?:src|href|action|data)="([^"#][^"]*)"', html)

    assert len(html.encode()) <= 6_000_000
    assert all(address.startswith("data:") for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "<script" not in html


def test_the_page_is_well_formed(html, fine):
    """Ids are unique, links lead to them, headings come in order, every picture has a text."""
    for page in (html, fine.page.read_text(encoding="utf-8")):
        ids = re.findall(r'\sid="([^"]+)"', page)
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]

        assert len(set(ids)) == len(ids)
        assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
        assert [1] == [level for level in levels if level == 1]
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
        assert page.count("<img ") == page.count(' alt="A face labeled ')


def test_every_figure_and_number_is_a_file(made):
    """Figures lie there as SVG and PNG, counts as CSV."""
    figures = {path.name for path in (made.folder / "figures").iterdir()}
    sheets = ("near", "augmented", "conflict", "flat", "blurred", "label-noise", "not-a-face")
    names = ("classes", "brightness", "contrast", "sharpness", "agreement", "votes")
    names += tuple(f"faces-{name}" for name in sheets)

    assert {f"{name}.{ending}" for name in names for ending in ("svg", "png")} == figures
    assert {path.name for path in (made.folder / "numbers").iterdir()} == {
        f"{name}.csv"
        for name in (
            "copies",
            "families",
            "measures",
            "splits",
            "classes",
            "findings",
            "dropped",
            "votes",
            "confusion",
            "annotators",
        )
    }


def test_the_same_data_set_gives_the_same_bytes(made, faces, tmp_path):
    """Made again in the same place, the audit replaces the old one byte for byte."""
    files = sorted(path for path in made.folder.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    audit(faces, made.folder, drop=made.dropped.folder)

    assert files == sorted(path for path in made.folder.rglob("*") if path.is_file())
    assert [] == [path.name for path in files if path.read_bytes() != before[path]]


def test_one_value_has_an_axis_around_it(tmp_path):
    """Where all faces are equally bright the chart of brightness shows that grey, and no offset of an axis."""
    with writing_dataset(tmp_path / "faces", side=48, labels=("happy", "sad", "neutral")) as writer:
        for number, split in enumerate(("train", "train", "val", "test")):
            writer.add(bytes([102]) * 48 * 48, label="happy", split=split, source=str(number))
        writer.finish({"kind": "none", "files": {}})
    made = audit(tmp_path / "faces", tmp_path / "audit")
    drawn = (tmp_path / "audit" / "figures" / "brightness.svg").read_text(encoding="utf-8")

    assert "102.0" in drawn and "1e" not in re.sub("<[^>]*>", "", drawn)
    assert "No face is labeled sad or neutral." in plain(made.page.read_text(encoding="utf-8"))


def test_a_name_is_no_markup(tmp_path):
    """A data set whose name looks like markup stands in the page as text."""
    rows = fine_rows()
    folder = rows.write(tmp_path / "faces", votes=False)
    made = audit(folder.rename(tmp_path / "<b>faces"), tmp_path / "audit")

    assert "<b>faces" not in made.page.read_text(encoding="utf-8")
    assert "The audit of <b>faces" in plain(made.page.read_text(encoding="utf-8"))


def test_the_summary_fits_a_terminal(made, fine):
    """The summary says all conclusions in at most 100 columns and ends with the page's path."""
    for one in (made, fine):
        *lines, last = summary(one).splitlines()

        assert max(len(line) for line in lines if "/" not in line) <= 100
        assert str(one.page) == last
        assert all(said.head in lines for said in one.conclusions)
    assert "without 12 faces" in " ".join(summary(made).split())


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_reads_well_in_a_browser(browser, made, width, scheme):
    """In Chromium nothing leaves the page, nothing overflows a phone, every picture loads, dark is dark."""
    reads_well(browser, made.page, width, scheme)
