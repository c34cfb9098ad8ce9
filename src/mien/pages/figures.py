"""Figures in the pages' look: made here, written as SVG and PNG, put into a page as SVG.

Everything is laid out in pixels of a figure that is `WIDTH` wide, about a phone's page, so that
its text can be read there; a wider page sets several side by side. Only this module, `charts`,
`faces` and `drawing` draw with matplotlib, and they import it when they draw.
"""

import html
import io
import re
import unicodedata
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MissingExtra
from mien.files import write_atomic
from mien.pages.theme import LIGHT, css_variables
from mien.text import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 360
EDGE = 2  # pixels left of a figure's text
TEXT, SMALL = 11.5, 10.5
PNG_SCALE = 2.5  # picture pixels per pixel of the layout
DARK_NOTEBOOKS = ('[data-jp-theme-light="false"]', ".vscode-dark", '[theme="dark"]')
SIDE_BY_SIDE = "background: var(--paper); display: flex; flex-wrap: wrap; gap: 24px; padding: 12px;"
COLUMN_INCHES = 3.5  # of a paper of two columns
POINTS_PER_INCH = 72  # one pixel of the layout is one point of matplotlib's

RC: dict[Any, Any] = {  # matplotlib names the type of its keys in stubs alone
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": TEXT,
    "text.color": LIGHT["ink"],
    "axes.edgecolor": LIGHT["faint"],
    "axes.facecolor": "none",
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": LIGHT["faint"],
    "ytick.color": LIGHT["faint"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "grid.color": LIGHT["faint"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.facecolor": LIGHT["paper"],
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "path.simplify": False,
    "text.parse_math": False,  # a class may be called "$5 smile"
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as it stands in a page, and the stem of its two files."""

    name: str
    label: str  # what it shows, for those who cannot see it
    svg: str  # markup for a page

    def __repr__(self) -> str:
        return f"Drawn({self.name})"

    def _repr_html_(self) -> str:
        return Figures([self])._repr_html_()


class Figures(tuple):
    """Figures that a notebook shows side by side, in its light or dark mode."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Figures({', '.join(one.name for one in self)})"

    def _repr_html_(self) -> str:
        colors = css_variables()
        shown = "".join(f'<div style="width:{_width(one.svg)}">{one.svg}</div>' for one in self)
        return (
            f"<style>.mien-figures {{ {colors['light']} {SIDE_BY_SIDE} }}\n"
            f"{', '.join(f'{dark} .mien-figures' for dark in DARK_NOTEBOOKS)} {{ {colors['dark']} }}</style>"
            f'<div class="mien-figures">{shown}</div>'
        )


def _width(svg: str) -> str:
    """Return how wide a figure is shown: as it was laid out, so that its text is of the usual size."""
    (width,) = re.findall(r'viewBox="\S+ \S+ (\S+)', svg[: svg.index(">")])
    return f"min(100%, {width}px)"


@contextmanager
def themed(extra: str = "compare"):
    """Draw inside this block; raises MissingExtra, which names `extra`, where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra(f"matplotlib is missing: pip install 'mien[{extra}]'") from None
    with matplotlib.rc_context(RC):
        yield


def new_figure(height: float, width: float = WIDTH):
    """Return an empty matplotlib Figure of this many pixels, outside pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), dpi=POINTS_PER_INCH)


def size(figure) -> tuple[float, float]:
    """Return a figure's width and height in pixels."""
    width, height = figure.get_size_inches() * POINTS_PER_INCH
    return float(width), float(height)


def axes_at(figure, left: float, top: float, width: float, height: float, **options):
    """Return new axes at a place given in pixels from the figure's upper left corner."""
    all_width, all_height = size(figure)
    place = (left / all_width, 1 - (top + height) / all_height, width / all_width, height / all_height)
    return figure.add_axes(place, **options)


def canvas(figure):
    """Return axes over the whole figure whose coordinates are pixels from the upper left corner."""
    width, height = size(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return axes


def write_at(figure, x: float, y: float, text: str, **options) -> None:
    """Write text whose baseline starts at a place given in pixels from the upper left corner."""
    width, height = size(figure)
    figure.text(x / width, 1 - y / height, text, **{"va": "baseline", "fontsize": TEXT, **options})


def title(figure, main: str, rest: str = "") -> None:
    """Write a figure's bold title and, below it, a quiet second line."""
    width = size(figure)[0]
    write_at(figure, EDGE, 17, shortened(main, int(width / 8)), fontsize=12.5, weight="bold", gid=TITLES[0])
    write_at(
        figure,
        EDGE,
        34,
        shortened(rest, int(width / 6.2)),
        fontsize=SMALL,
        color=LIGHT["muted"],
        gid=TITLES[1],
    )


TITLES = ("title", "subtitle")  # how the two texts are found again
TITLE_HEIGHT = 42
"""Pixels that `title` takes."""


def text_width(text: str, fontsize: float = TEXT) -> float:
    """Return about how many pixels a text takes; a little too many rather than too few."""
    return fontsize * sum(_ems(sign) for sign in text)


def _ems(sign: str) -> float:
    """Return a sign's width in ems."""
    if unicodedata.east_asian_width(sign) in "WF":
        return 1.0
    return 0.8 if sign.isupper() else 0.62


def save(figure: "Figure", folder: Path, name: str, label: str) -> Drawn:
    """Write `name`.svg and `name`.png into a folder, the same bytes for the same figure.

    Returns the figure for a page. Raises StorageError where the disk refuses.
    """
    svg = _svg(figure, name)
    write_atomic(Path(folder) / f"{name}.svg", svg)
    write_atomic(Path(folder) / f"{name}.png", _png(figure))
    return Drawn(name, label, inline(svg, name, label))


def save_for_print(figure: "Figure", folder: Path, name: str) -> None:
    """Write `name`.pdf and `name`.svg for a paper: white, without its title, 3.5 inches wide, as a column of text.

    The layout stays and its texts become about 8 points; a figure that is laid out wider stays so. The figure itself
    is changed. Raises StorageError where the disk refuses.
    """
    import matplotlib
    from matplotlib.transforms import Bbox

    height_of_title = (TITLE_HEIGHT - 4) / size(figure)[1]
    _shrink(figure, COLUMN_INCHES * POINTS_PER_INCH / WIDTH)
    for text in [text for text in figure.texts if text.get_gid() in TITLES]:
        text.remove()
    figure.patch.set_facecolor("white")
    width, height = figure.get_size_inches()
    box = Bbox.from_bounds(0, 0, width, height * (1 - height_of_title))
    unset = {"pdf": ("CreationDate", "Creator", "Producer"), "svg": ("Date", "Creator")}
    for ending, names in unset.items():
        data = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": name, "pdf.fonttype": 42}), _missing_glyphs_as_boxes():
            figure.savefig(data, format=ending, metadata=dict.fromkeys(names), bbox_inches=box)
        write_atomic(Path(folder) / f"{name}.{ending}", data.getvalue())


def _shrink(figure: "Figure", factor: float) -> None:
    """Make a figure smaller with all its texts, lines and marks."""
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    width, height = figure.get_size_inches()
    figure.set_size_inches(float(width) * factor, float(height) * factor)
    for axes in figure.axes:
        axes.tick_params(labelsize=SMALL * factor, length=3 * factor, width=0.8 * factor)
    ticks = [label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    for artist in figure.findobj():
        if isinstance(artist, Line2D):
            artist.set(linewidth=artist.get_linewidth() * factor, markersize=artist.get_markersize() * factor)
        elif isinstance(artist, Collection | Patch):
            artist.set(linewidth=np.multiply(artist.get_linewidth(), factor))
        elif isinstance(artist, Text) and artist not in ticks:
            artist.set_fontsize(float(artist.get_fontsize()) * factor)


def write(figure, path: Path) -> None:
    """Write a figure into one file, .svg or .png by its name; StorageError where the disk refuses."""
    path = Path(path)
    write_atomic(path, _svg(figure, path.stem) if path.suffix.lower() == ".svg" else _png(figure))


def drawn(figure, name: str, label: str) -> Drawn:
    """Return the figure for a page or a notebook, without writing a file."""
    return Drawn(name, label, inline(_svg(figure, name), name, label))


def _svg(figure, name: str) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}), _missing_glyphs_as_boxes():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _png(figure) -> bytes:
    data = io.BytesIO()
    with _missing_glyphs_as_boxes():
        figure.savefig(data, format="png", dpi=POINTS_PER_INCH * PNG_SCALE, metadata={"Software": None})
    return data.getvalue()


@contextmanager
def _missing_glyphs_as_boxes():
    """Draw names in scripts that matplotlib's font lacks without a word on standard error about each letter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def inline(svg: str, name: str, label: str) -> str:
    """Return an SVG file's markup for a page: themed, small, labeled, its ids starting with `name`."""
    svg = svg[svg.index("<svg") :].strip()
    for unneeded in (r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style[^>]*>.*?</style>"):
        svg = re.sub(unneeded, "", svg, flags=re.DOTALL)
    (box,) = re.findall(r'^<svg[^>]*(viewBox="[^"]*")', svg)
    svg = re.sub(r"^<svg[^>]*>", lambda _: f'<svg {box} role="img" aria-label="{html.escape(label)}">', svg)
    svg = _own_ids(svg, name)
    for variable, color in LIGHT.items():
        svg = svg.replace(color, f"var(--{variable})")
    svg = re.sub(r' d="([^"]*)"', lambda path: f' d="{_rounded(path[1])}"', svg)
    return re.sub(r">\s+<", "><", re.sub(r"\s+", " ", svg))


def _own_ids(svg: str, name: str) -> str:
    """Drop the ids that nothing refers to and prefix the others, since ids must be unique in a page."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def renamed(match: re.Match) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', renamed, svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)


def _rounded(path: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):z.2f}", path)
