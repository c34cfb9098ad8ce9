"""Pictures of faces for pages and figures: small PNGs, and sheets of faces with lines below.

Knows nothing about where pictures or lines come from.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.pages.figures import EDGE, SMALL, TITLE_HEIGHT, canvas, new_figure, size, text_width, title
from mien.pages.legend import Series, legend, legend_height
from mien.pages.theme import LIGHT
from mien.text import shortened

LARGEST_SIDE = 64  # pixels; what is larger is made smaller, so that a page stays small
SHEET_WIDTH = 720


@dataclass(frozen=True, slots=True)
class Tile:
    """A face on a sheet."""

    picture: np.ndarray  # uint8 (S, S)
    lines: Sequence[str] = ()
    bars: Sequence[Sequence[float]] = ()  # a row a class, a share in 0..1 a series
    marked: int = -1  # the bar row set in bold


def small(picture: np.ndarray) -> np.ndarray:
    """Return a picture uint8 (S, S) with a side of at most `LARGEST_SIDE`."""
    from PIL import Image

    if picture.shape[0] <= LARGEST_SIDE:
        return np.asarray(picture)
    resized = Image.fromarray(picture).resize((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def data_uri(picture: np.ndarray) -> str:
    """Return a picture uint8 (S, S) as the address of a PNG that holds itself."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(small(picture)).save(data, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def sheet(main: str, rest: str, tiles: Sequence[Tile | None], columns: int):
    """Return a figure of faces in rows of `columns`, each with its lines of text below; None is a gap."""
    face = (SHEET_WIDTH - 2 * EDGE) / columns - 10
    lines = max((len(tile.lines) for tile in tiles if tile), default=0)
    step = face + 8 + 13 * lines + 4
    rows = -(-len(tiles) // columns)
    figure, axes = _sheet_canvas(main, rest, rows * step)
    for number, tile in enumerate(tiles):
        if tile is None:
            continue
        x, y = EDGE + number % columns * (face + 10), TITLE_HEIGHT + 6 + number // columns * step
        _face(axes, tile.picture, x, y, face)
        longest = int(face / text_width("x", SMALL)) + 2
        for i, line in enumerate(tile.lines):
            axes.text(x, y + face + 14 + 13 * i, shortened(line, longest), fontsize=SMALL, va="baseline")
    return figure


def bar_sheet(main: str, rest: str, tiles: Sequence[Tile], classes: Sequence[str], looks: Sequence[Series]):
    """Return a figure of faces with bars of probability beside each, a row a class and a color a series."""
    columns, row = 4, max(11, 5 * len(looks) + 3)
    width = (SHEET_WIDTH - 2 * EDGE) / columns
    face = 72
    step = max(face, row * len(classes)) + 18
    above = 5 + legend_height(looks, right=SHEET_WIDTH)
    figure, axes = _sheet_canvas(main, rest, above + -(-len(tiles) // columns) * step)
    legend(axes, TITLE_HEIGHT + 10, looks, right=SHEET_WIDTH)
    names = max(text_width(shortened(c, 9), 8) for c in classes)
    for number, tile in enumerate(tiles):
        x, y = EDGE + number % columns * width, TITLE_HEIGHT + 6 + above + number // columns * step
        _face(axes, tile.picture, x, y, face)
        left = x + face + 8 + names
        for i, name in enumerate(classes):
            bold = "bold" if i == tile.marked else "normal"
            axes.text(left - 4, y + (i + 0.5) * row, shortened(name, 9), fontsize=8, ha="right", va="center",
                      weight=bold)  # fmt: skip
            for j, (share, look) in enumerate(zip(tile.bars[i], looks, strict=True)):
                thick = (row - 3) / len(looks)
                axes.barh(y + i * row + 1 + j * thick, share * (x + width - 14 - left), thick, left=left,
                          align="edge", color=look.color)  # fmt: skip
    axes.set(xlim=(0, SHEET_WIDTH), ylim=(size(figure)[1], 0))
    return figure


def _sheet_canvas(main: str, rest: str, below: float):
    figure = new_figure(TITLE_HEIGHT + 6 + below, SHEET_WIDTH)
    title(figure, main, rest)
    return figure, canvas(figure)


def _face(axes, picture: np.ndarray, x: float, y: float, side: float) -> None:
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(small(picture), cmap="gray", vmin=0, vmax=255, extent=(x, x + side, y + side, y),
                interpolation="none", aspect="auto")  # fmt: skip
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.plot(
        (x, x + side, x + side, x, x), (y, y, y + side, y + side, y), color=LIGHT["faint"], linewidth=0.5
    )
