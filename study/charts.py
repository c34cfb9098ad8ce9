"""The charts that docs/study.md needs beside those of mien's pages, in their look. Knows no tables."""

from collections.abc import Sequence

import numpy as np

from mien.pages.charts import Range, ranges
from mien.pages.figures import EDGE, SMALL, TITLE_HEIGHT, WIDTH, axes_at, canvas, new_figure, title, write_at
from mien.pages.legend import Series, legend
from mien.pages.theme import LIGHT, series
from mien.text import percent, points

LEFT, HEIGHT = 44, 190
RIGHT = WIDTH - 12
SQUARE_GAP = 12


def span(point: float, low: float, high: float) -> str:
    """Return a share with its interval, in percent."""
    return f"{percent(point)}  [{100 * low:.1f}, {100 * high:.1f}]"


def difference(point: float, low: float, high: float) -> str:
    """Return a difference with its interval, in points."""
    return f"{points(point)}  [{points(low)}, {points(high)}]"


def shares(main: str, rest: str, rows: Sequence[Range]):
    """Return accuracies with their intervals, a row each."""
    return ranges(main, rest, rows, write=span, ticks=lambda tick: f"{100 * tick:.3g}%")


def differences(main: str, rest: str, rows: Sequence[Range]):
    """Return paired differences with their intervals, a row each, and the place of none."""
    return ranges(
        main, rest, rows, write=difference, ticks=lambda tick: points(tick, 0) if tick else "0", zero=True
    )


def search(main: str, rest: str, losses: Sequence[float], guess: float):
    """Return a search's history: each trial's loss, the best so far, and the loss of guessing class shares."""
    color, marker = series(0)
    entries = [
        Series("a trial", color, marker),
        Series("best so far", LIGHT["ink"], "_"),
        Series("guessing the shares of the classes", LIGHT["less"], "_"),
    ]
    figure = new_figure(TITLE_HEIGHT + 41 + HEIGHT + 44)  # a legend of two lines
    title(figure, main, rest)
    top = legend(canvas(figure), TITLE_HEIGHT + 10, entries)
    axes = axes_at(figure, LEFT, top, WIDTH - LEFT - 10, HEIGHT)
    trials = np.arange(len(losses))
    axes.axhline(guess, color=LIGHT["less"], linewidth=1.2)
    axes.plot(trials, losses, marker, color=color, markersize=4.5, linestyle="")
    axes.step(trials, np.fmin.accumulate(losses), where="post", color=LIGHT["ink"], linewidth=1.2)
    axes.set(xlim=(-1, len(losses)), ylim=(np.nanmin(losses) - 0.05, np.nanmax(losses) + 0.05))
    axes.grid(axis="y")
    write_at(figure, WIDTH - 10, top + HEIGHT + 34, "trial", fontsize=SMALL, color=LIGHT["muted"], ha="right")
    return figure


def curves(main: str, rest: str, lines: Sequence[Series], across: str, *, log: bool = False, ticks=None):
    """Return lines over a common axis: `lines[i].values` are (x, y) of its points."""
    from matplotlib.ticker import LogLocator

    figure = new_figure(TITLE_HEIGHT + 26 + HEIGHT + 44)
    title(figure, main, rest)
    top = legend(canvas(figure), TITLE_HEIGHT + 10, lines)
    axes = axes_at(figure, LEFT, top, RIGHT - LEFT, HEIGHT)
    for line in lines:
        x, y = np.array(line.values, float).T
        axes.plot(x, y, line.marker, linestyle="-", linewidth=1.3, color=line.color, markersize=4.5)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    if ticks:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(axis="y")
    axes.minorticks_off()
    write_at(figure, RIGHT, top + HEIGHT + 34, across, fontsize=SMALL, color=LIGHT["muted"], ha="right")
    return figure


def reuse(main: str, rest: str, blocks: Sequence[np.ndarray]):
    """Return feature reuse as a square a block: each weight by its column's largest, from white to dark."""
    left = EDGE + 22
    side = (RIGHT - left - SQUARE_GAP * (len(blocks) - 1)) / len(blocks)
    top = TITLE_HEIGHT + 26
    figure = new_figure(top + side + 40)
    title(figure, main, rest)
    quiet = {"fontsize": SMALL, "color": LIGHT["muted"]}
    for number, block in enumerate(blocks):
        x = left + number * (side + SQUARE_GAP)
        write_at(figure, x, top - 8, f"block {number + 1}", **quiet)
        _squares(axes_at(figure, x, top, side, side), block / np.nanmax(block, axis=0))
        cell = side / len(block)
        write_at(figure, x + cell / 2, top + side + 14, "1", ha="center", **quiet)
        write_at(figure, x + side - cell / 2, top + side + 14, "next", ha="center", **quiet)
    for row in (0, len(blocks[0]) - 1):
        write_at(
            figure,
            left - 6,
            top + (row + 0.5) * side / len(blocks[0]),
            str(row),
            ha="right",
            va="center",
            **quiet,
        )
    write_at(figure, left, top + side + 32, "down: from layer, 0 is the input; across: to layer", **quiet)
    return figure


def _squares(axes, told: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    count = len(told)
    for (row, column), share in np.ndenumerate(told):
        if np.isfinite(share):
            look = {"facecolor": LIGHT["more"], "alpha": float(share), "linewidth": 0}
            axes.add_patch(Rectangle((column, row), 1, 1, **look))
            axes.add_patch(
                Rectangle((column, row), 1, 1, fill=False, edgecolor=LIGHT["faint"], linewidth=0.5)
            )
    axes.set(xlim=(0, count), ylim=(count, 0))
    axes.axis("off")
