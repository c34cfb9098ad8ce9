"""What a figure's colors and markers mean: series of numbers, and the legend that names them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mien.pages.figures import EDGE, SMALL, WIDTH, text_width
from mien.text import shortened

LONGEST_ENTRY = 40  # characters of a name in a legend
LEGEND_ROW = 15  # pixels


@dataclass(frozen=True, slots=True)
class Series:
    """A name with its look; what it holds depends on the chart."""

    name: str
    color: str
    marker: str
    values: Sequence = ()


def legend(axes, y: float, entries: Sequence[Series], *, right: float = WIDTH) -> float:
    """Write markers with names in flowing lines from pixel row `y` on; return the next free row."""
    for entry, x, row in _flowing(entries, right):
        axes.plot(x + 5, y + row - 3.5, entry.marker, color=entry.color, markersize=6)
        axes.text(x + 14, y + row, shortened(entry.name, LONGEST_ENTRY), fontsize=SMALL, va="baseline")
    return y + legend_height(entries, right=right)


def legend_height(entries: Sequence[Series], *, right: float = WIDTH) -> float:
    """Return how many pixels `legend` takes."""
    return LEGEND_ROW + max(row for _, _, row in _flowing(entries, right))


def _flowing(entries: Sequence[Series], right: float) -> Iterator[tuple[Series, float, float]]:
    """Yield each entry with its place: x, and y below the first row's."""
    x, row = EDGE, 0
    for entry in entries:
        width = 16 + text_width(shortened(entry.name, LONGEST_ENTRY), SMALL) + 12
        if x > EDGE and x + width > right:
            x, row = EDGE, row + LEGEND_ROW
        yield entry, x, row
        x += width
