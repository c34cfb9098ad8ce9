import re
import sys

import numpy as np
import pytest
from report_runs import network_json

from mien.errors import MissingExtra
from mien.pages import render
from mien.pages.charts import CELL_OPACITY, Range, bars, matrix, ranges
from mien.pages.drawing import network, widest
from mien.pages.faces import LARGEST_SIDE, Tile, data_uri, sheet
from mien.pages.figures import inline, save, size, themed
from mien.pages.legend import Series
from mien.pages.theme import DARK, LIGHT, SERIES, series
from mien.text import (
    decimal,
    joined,
    millions,
    p_value,
    percent,
    points,
    seconds,
    shortened,
    thousands,
    typeset,
)

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def luminance(color: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    """The contrast of WCAG 2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def blend(over: str, under: str, opacity: float) -> str:
    """The color of `over` on `under`."""
    parts = (
        opacity * int(over[i : i + 2], 16) + (1 - opacity) * int(under[i : i + 2], 16) for i in (1, 3, 5)
    )
    return "#" + "".join(f"{round(p):02x}" for p in parts)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_reaches_the_contrast_of_wcag_aa(theme):
    """Every text color has a contrast of 4.5 on the page and on washed boxes, in both modes."""
    for text in ("ink", "muted", "link"):
        assert contrast(theme[text], theme["paper"]) >= 4.5
        assert contrast(theme[text], theme["wash"]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_numbers_can_be_read_on_the_strongest_cell(theme):
    """Ink has a contrast of 4.5 on the strongest cell of a matrix, in both modes."""
    for cell in ("more", "less"):
        assert contrast(theme["ink"], blend(theme[cell], theme["paper"], CELL_OPACITY)) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_series_stand_out_from_the_page(theme):
    """Every series has a contrast of 3 on the page, what WCAG asks of graphics."""
    assert min(contrast(theme[name], theme["paper"]) for name in SERIES) >= 3


def test_light_colors_are_all_different():
    """No two names share a light color, or a figure could not follow the theme."""
    assert len(set(LIGHT.values())) == len(LIGHT)
    assert list(LIGHT) == list(DARK)


def test_series_repeat_after_six():
    """The seventh series looks like the first."""
    assert series(6) == series(0)
    assert len({series(i) for i in range(6)}) == 6


def test_words_of_numbers():
    """Numbers are written as readers expect them, with a true minus and no negative zero."""
    assert (percent(0.69853), percent(1, 0)) == ("69.9%", "100%")
    assert (points(0.013), points(-0.0004), points(-0.02)) == ("+1.3", "+0.0", "\N{MINUS SIGN}2.0")
    assert (decimal(-0.25), thousands(3589.4)) == ("\N{MINUS SIGN}0.250", "3,589")
    assert (p_value(0.0001), p_value(0.04)) == ("< 0.001", "0.040")
    assert [millions(n) for n in (1512, 275_119, 35_556_840)] == ["1,512", "0.28\xa0M", "35.6\xa0M"]
    assert [seconds(s) for s in (48, 600, 7500)] == ["48\xa0s", "10\xa0min", "2\xa0h 05\xa0min"]
    assert (joined("a"), joined("abc")) == ("a", "a, b and c")
    assert typeset("from -1.0 to 2, p = 0.03") == "from \N{MINUS SIGN}1.0 to 2, p\xa0=\xa00.03"


def test_shortened_keeps_both_ends():
    """A text that is too long loses its middle and keeps its length."""
    assert shortened("surprise", 8) == "surprise"
    assert shortened("a-very-long-name", 9) == "a-ve\N{HORIZONTAL ELLIPSIS}name"


def test_pages_escape_what_they_are_given(tmp_path, monkeypatch):
    """Text from data stands escaped in a page."""
    (tmp_path / "a_room.py").write_text("")
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").write_text("")
    (tmp_path / "room" / "page.html").write_text(
        '{% extends "shell.html" %}{% block content %}{{ word }}{% endblock %}'
    )
    monkeypatch.syspath_prepend(tmp_path)

    html = render("room", "page.html", word="<script>")

    assert "&lt;script&gt;" in html
    assert "<script" not in html


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    """A missing matplotlib is told in one line that names the extra."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingExtra) as caught, themed():
        pass

    assert str(caught.value) == "matplotlib is missing: pip install 'mien[compare]'"


def drawn_bars():
    """A small chart."""
    looks = [Series("train", *series(0), [1, 20]), Series("test", *series(1), [3, 400])]
    return bars("Faces", "424 faces", ["angry", "a $5 smile"], looks)


def test_figures_are_written_alike_every_time(tmp_path):
    """The same figure gives the same SVG and PNG, without a date."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with themed():
            save(drawn_bars(), tmp_path / name, "bars", "Bars")

    files = ["bars.png", "bars.svg"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "<dc:date>" not in (tmp_path / "one" / "bars.svg").read_text()


def test_a_figure_in_a_page_follows_the_theme(tmp_path):
    """No light color is left in a page's figure; text stays text, and a dollar sign a dollar sign."""
    with themed():
        drawn = save(drawn_bars(), tmp_path, "bars", "Bars")

    assert not re.findall(r"#[0-9a-f]{6}\b", drawn.svg)
    assert "var(--ink)" in drawn.svg
    assert "var(--series1)" in drawn.svg
    assert ">a $5 smile</text>" in drawn.svg


def test_ids_of_figures_cannot_collide(tmp_path):
    """Ids that stay in a page start with the figure's name, and what refers to them follows."""
    with themed():
        rows = [Range("a", *series(0), [(0.5, 0.4, 0.6)])]
        figure = ranges("Accuracy", "", rows, write=lambda *v: "50%", ticks=str)
        svg = save(figure, tmp_path, "accuracy", "Accuracy").svg

    ids = re.findall(r' id="([^"]*)"', svg)
    assert ids
    assert all(name.startswith("accuracy-") for name in ids)
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) <= set(ids)


def test_inline_drops_what_a_page_does_not_need():
    """Header, metadata, comments, style and fixed size go; the view box stays."""
    svg = (
        '<?xml version="1.0"?>\n<svg width="360pt" height="90pt" viewBox="0 0 360 90">\n'
        '<metadata>x</metadata><style>*{a:b}</style><!-- c --><path d="M 1.23456 -0.0001"/></svg>'
    )

    assert inline(svg, "n", 'A "b"') == (
        '<svg viewBox="0 0 360 90" role="img" aria-label="A &quot;b&quot;"><path d="M 1.23 0.00"/></svg>'
    )


def test_names_in_any_script_are_drawn(tmp_path):
    """A class whose letters matplotlib's font lacks gives a figure without a warning, its name whole in the SVG."""
    with themed():
        figure = bars("Faces", "2 classes", ("日本", "happy"), [Series("train", "#0067a6", "s", [1, 2])])
        save(figure, tmp_path, "classes", "Faces by class")

    assert "日本" in (tmp_path / "classes.svg").read_text(encoding="utf-8")


def test_long_class_names_stay_inside_a_matrix():
    """No text of a matrix leaves the figure, however long the names of the classes are."""
    for classes in (CLASSES, tuple(f"{name} or thereabouts" for name in CLASSES)):
        with themed():
            figure = matrix("Net", "", classes, np.eye(7), [["100"] * 7] * 7)
            figure.draw_without_rendering()
            boxes = [text.get_window_extent() for text in figure.axes[0].texts]
            width, height = size(figure)

        assert min(box.x0 for box in boxes) >= 0
        assert max(box.x1 for box in boxes) <= width
        assert min(box.y0 for box in boxes) >= 0
        assert max(box.y1 for box in boxes) <= height


@pytest.mark.parametrize("recipe", ["quick-cnn", "quick-densenet", "study-densenet"])
def test_drawing_of_a_network_is_to_scale_and_holds_its_text(recipe):
    """The widest stage fills the room left of the text, no text leaves the figure, and rows stay apart."""
    told = network_json(recipe)
    with themed():
        figure = network(recipe, told, side=48, most_channels=widest([told]), color=LIGHT["series1"])
        figure.draw_without_rendering()
        texts = [text for text in figure.axes[0].texts if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        slabs = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_width")]

    rows = sorted((box.y0, box.y1) for box in boxes)
    assert max(box.x1 for box in boxes) <= size(figure)[0]
    assert all(below[1] <= above[0] + 1 for below, above in zip(rows, rows[1:], strict=False))
    assert max(slab.get_x() + slab.get_width() for slab in slabs) < min(box.x0 for box in boxes)


def test_dense_blocks_show_every_connection():
    """A block of n layers has n (n + 1) / 2 arcs: each layer reads the input and all layers before it."""
    told = network_json("quick-densenet")
    with themed():
        figure = network("net", told, side=48, most_channels=216, color=LIGHT["series1"])

    paths = [patch.get_path() for patch in figure.axes[0].patches if not hasattr(patch, "get_width")]
    arcs = [int((path.codes == path.CURVE4).sum()) // 3 for path in paths if path.codes is not None]
    connections = [n * (n + 1) // 2 for n in (2, 3, 3)]
    assert [sum(arcs[i : i + 2]) for i in range(0, 6, 2)] == connections


def test_pictures_are_small_pngs_in_the_page():
    """A picture is a data address; one larger than 64 pixels is made smaller."""
    import base64
    import io

    from PIL import Image

    for side in (48, 224):
        kind, _, data = data_uri(np.full((side, side), 7, np.uint8)).partition(",")
        picture = Image.open(io.BytesIO(base64.b64decode(data)))

        assert kind == "data:image/png;base64"
        assert picture.size == (min(side, LARGEST_SIDE),) * 2


def test_sheets_leave_gaps():
    """A sheet draws each face and skips a gap."""
    tile = Tile(np.zeros((16, 16), np.uint8), ("happy",))
    with themed():
        figure = sheet("Faces", "", [tile, None, tile], columns=3)

    assert len(figure.axes[0].images) == 2
