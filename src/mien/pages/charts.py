"""Charts of plain numbers, each one figure. Knows nothing about networks, runs or verdicts.

A chart takes its title, a quiet second line and numbers, and returns a matplotlib Figure; draw
inside `figures.themed()` and write with `figures.save`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from mien.pages import theme
from mien.pages.figures import (
    EDGE,
    SMALL,
    TEXT,
    TITLE_HEIGHT,
    WIDTH,
    axes_at,
    canvas,
    new_figure,
    text_width,
    title,
    write_at,
)
from mien.pages.legend import LEGEND_ROW, Series, legend, legend_height
from mien.pages.theme import LIGHT
from mien.text import shortened, thousands

LONGEST_LABEL = 16  # characters of a class's name
LONGEST_SLANTED = 8  # a longer one would leave the figure, so names stand upright
MOST_TEXTS = 12  # classes whose cells have room for a number
CELL_OPACITY = 0.62  # of the strongest cell; ink keeps a contrast of 4.5 on it in both modes
FAINTEST_SHADE = 0.004
RIGHT = WIDTH - 22  # room for the half of the last tick's text


@dataclass(frozen=True, slots=True)
class Range:
    """A row of `ranges`: one or two (point, low, high), the second drawn hollow, and single dots."""

    name: str
    color: str
    marker: str
    spans: Sequence[tuple[float, float, float]]
    dots: Sequence[float] = field(default=())
    band: tuple[float, float] | None = None  # drawn behind


def _label_space(labels: Sequence[str]) -> float:
    return 14 + max(text_width(shortened(label, LONGEST_LABEL)) for label in labels)


def bars(main: str, rest: str, rows: Sequence[str], series: Sequence[Series]):
    """Counts as horizontal bars: `series[i].values` has a count a row; each bar carries its number."""
    thick, gap = 11, 13
    group = thick * len(series) + gap
    height = TITLE_HEIGHT + 5 + legend_height(series) + group * len(rows) + 6
    figure = new_figure(height)
    title(figure, main, rest)
    axes = canvas(figure)
    top = legend(axes, TITLE_HEIGHT + 10, series)
    left = _label_space(rows)
    most = max(max(s.values) for s in series) or 1
    room = RIGHT - left - text_width(thousands(most), SMALL)
    for i, row in enumerate(rows):
        y = top + i * group
        axes.text(
            left - 8, y + thick * len(series) / 2, shortened(row, LONGEST_LABEL), ha="right", va="center"
        )
        for j, entry in enumerate(series):
            length = entry.values[i] / most * room
            axes.barh(y + j * thick, length, thick - 2, left=left, align="edge", color=entry.color)
            axes.text(left + length + 4, y + (j + 0.5) * thick - 1, thousands(entry.values[i]),
                      fontsize=SMALL, va="center", color=LIGHT["muted"])  # fmt: skip
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    return figure


def ranges(main: str, rest: str, rows: Sequence[Range], *, write, ticks, zero: bool = False):
    """Points with whiskers: a row each; `write(point, low, high)` gives a row's text, `ticks` a tick's.

    `zero` marks 0, the place of no difference.
    """
    texts = [(shortened(row.name, 44), write(*row.spans[0])) for row in rows]
    beside = all(text_width(n) + text_width(t, SMALL) < WIDTH - EDGE for n, t in texts)
    words = 18 if beside else 34  # pixels of a row above its whiskers
    row_height = words + 36
    figure = new_figure(TITLE_HEIGHT + row_height * len(rows) + 34)
    title(figure, main, rest)
    axes = axes_at(figure, EDGE + 14, TITLE_HEIGHT, RIGHT - EDGE - 14, row_height * len(rows) + 6)
    axes.set_ylim(row_height * len(rows) + 6, 0)
    _spread_limits(axes, rows, zero)
    axes.locator_params(axis="x", nbins=5)
    lines = [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    for i, (row, (name, text)) in enumerate(zip(rows, texts, strict=True)):
        top = i * row_height
        write_at(figure, EDGE, TITLE_HEIGHT + top + 13, name)
        x, side = (RIGHT, "right") if beside else (EDGE, "left")
        write_at(figure, x, TITLE_HEIGHT + top + words - 5, text, fontsize=SMALL, ha=side)
        axes.vlines(lines, top + words, top + row_height - 4, color=LIGHT["faint"], linewidth=0.6)
        if zero:
            axes.vlines(0, top + words, top + row_height - 4, color=LIGHT["ink"], linewidth=1)
        _whiskers(axes, row, top + words + 13)
    axes.set_yticks([])
    axes.set_xticks(lines, [ticks(line) for line in lines])
    axes.spines["left"].set_visible(False)
    return figure


def _whiskers(axes, row: Range, y: float) -> None:
    if row.band:
        axes.fill_between(row.band, y - 12, y + 16, color=LIGHT["faint"], linewidth=0)
    for j, (point, low, high) in enumerate(row.spans):
        axes.plot((low, high), (y + 10 * j,) * 2, color=row.color, linewidth=1.2 if j else 2.4)
        fill = LIGHT["paper"] if j else row.color
        axes.plot(
            point, y + 10 * j, row.marker, color=row.color, markerfacecolor=fill, markersize=5 if j else 7
        )
    axes.plot(row.dots, np.full(len(row.dots), y - 8), "|", color=LIGHT["ink"], markersize=6)


def _spread_limits(axes, rows: Sequence[Range], zero: bool) -> None:
    """Give the x axis room around everything, and never less than a little."""
    values = [v for row in rows for span in row.spans for v in span] + [d for row in rows for d in row.dots]
    values += [edge for row in rows if row.band for edge in row.band] + ([0.0] if zero else [])
    low, high = min(values), max(values)
    room = max(0.08 * (high - low), 0.002)
    axes.set_xlim(low - room, high + room)


def class_ranges(main: str, rest: str, classes: Sequence[str], series: Sequence[Series]):
    """Shares in 0..1 with whiskers by class: `series[i].values` has (point, low, high) a class."""
    step = 11
    row_height = max(24, step * len(series) + 12)
    left = _label_space(classes)
    figure = new_figure(TITLE_HEIGHT + 10 + legend_height(series) + row_height * len(classes) + 28)
    title(figure, main, rest)
    top = legend(canvas(figure), TITLE_HEIGHT + 10, series)
    axes = axes_at(figure, left, top, RIGHT - left, row_height * len(classes))
    for j, entry in enumerate(series):
        y = np.arange(len(classes)) * row_height + row_height / 2 + (j - (len(series) - 1) / 2) * step
        point, low, high = np.array(entry.values).T
        axes.hlines(y, low, high, color=entry.color, linewidth=1.6)
        axes.plot(point, y, entry.marker, color=entry.color, markersize=5.5)
    axes.set(xlim=(0, 1), ylim=(row_height * len(classes), 0))
    axes.set_yticks(np.arange(len(classes)) * row_height + row_height / 2)
    axes.set_yticklabels([shortened(c, LONGEST_LABEL) for c in classes], color=LIGHT["ink"], fontsize=TEXT)
    _percent_axis(axes.xaxis)
    axes.grid(axis="x")
    axes.hlines(np.arange(1, len(classes)) * row_height, 0, 1, color=LIGHT["faint"], linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    return figure


def _percent_axis(axis, low: float = 0) -> None:
    axis.set_ticks(np.linspace(0, 1, 6) if low == 0 else np.arange(np.ceil(10 * low) / 10, 1.01, 0.1))
    axis.set_major_formatter(lambda value, _: f"{100 * value:.0f}{'%' if value > 0.99 else ''}")


def histories(main: str, rest: str, seeds: Sequence[dict], color: str, *, top_loss: float):
    """Loss and accuracy over epochs, one above the other, train and val of every seed.

    A seed is a dict of lists epoch, train_loss, val_loss, train_accuracy, val_accuracy, and
    `kept`, the epoch whose weights were kept. `top_loss` ends the axis of the loss.
    """
    height, left = 150, 46
    figure = new_figure(TITLE_HEIGHT + 22 + 2 * (height + 32) + 34)
    title(figure, main, rest)
    over = canvas(figure)
    over.plot((EDGE, 20), (TITLE_HEIGHT + 6,) * 2, color=color, linewidth=2)
    over.plot((64, 82), (TITLE_HEIGHT + 6,) * 2, color=LIGHT["muted"], linewidth=1.4, linestyle=(0, (3, 2)))
    over.plot(140, TITLE_HEIGHT + 6, "o", color=color, markersize=6)
    for x, word in ((25, "val"), (87, "train"), (149, "epoch kept")):
        over.text(x, TITLE_HEIGHT + 10, word, fontsize=SMALL)
    last, y = max(seed["epoch"][-1] for seed in seeds), 0
    for i, (figure_name, top) in enumerate((("loss", top_loss), ("accuracy", 1))):
        y = TITLE_HEIGHT + 44 + i * (height + 38)
        write_at(figure, EDGE, y - 10, figure_name, fontsize=SMALL, color=LIGHT["muted"])
        axes = axes_at(figure, left, y, RIGHT - left, height)
        for seed in seeds:
            _history(axes, seed, figure_name, color)
        room = max(0.02 * last, 0.4)
        axes.set(xlim=(1 - room, last + room), ylim=(0, top))
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y")
        if figure_name == "accuracy":
            _percent_axis(axes.yaxis)
    write_at(figure, RIGHT, y + height + 32, "epoch", fontsize=SMALL, color=LIGHT["muted"], ha="right")
    return figure


def training_curves(
    main: str, rest: str, networks: Sequence[Series], histories: Sequence[Sequence[dict[str, Any]]]
):
    """Loss and accuracy on val over epochs, one above the other, of several networks in one figure.

    `histories[i]` are the runs of `networks[i]`, each as `histories` takes them.
    """
    height, left = 150, 46
    top = TITLE_HEIGHT + 10 + legend_height(networks)
    figure = new_figure(top + 2 * (height + 38) + 24)
    title(figure, main, rest)
    top = legend(canvas(figure), TITLE_HEIGHT + 10, networks) + 20
    y = top
    for i, name in enumerate(("loss", "accuracy")):
        y = top + i * (height + 38)
        write_at(figure, EDGE, y - 8, name, fontsize=SMALL, color=LIGHT["muted"])
        axes = axes_at(figure, left, y, RIGHT - left, height)
        for look, runs in zip(networks, histories, strict=True):
            for run in runs:
                axes.plot(run["epoch"], run[f"val_{name}"], color=look.color, linewidth=1.3)
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y")
        axes.set_ylim(bottom=0)
        if name == "accuracy":
            _percent_axis(axes.yaxis)
    write_at(figure, RIGHT, y + height + 32, "epoch", fontsize=SMALL, color=LIGHT["muted"], ha="right")
    return figure


def _history(axes, seed: dict, figure_name: str, color: str) -> None:
    train, val = seed[f"train_{figure_name}"], seed[f"val_{figure_name}"]
    few = {"marker": ".", "markersize": 4} if len(seed["epoch"]) < 3 else {}
    axes.plot(seed["epoch"], train, color=LIGHT["muted"], linewidth=1.1, linestyle=(0, (3, 2)), **few)
    axes.plot(seed["epoch"], val, color=color, linewidth=1.5, **few)
    if seed["kept"] in seed["epoch"]:
        axes.plot(seed["kept"], val[seed["epoch"].index(seed["kept"])], "o", color=color, markersize=5.5,
                  clip_on=False, zorder=5)  # fmt: skip


def probabilities(main: str, rest: str, classes: Sequence[str], color: str, own, others):
    """For each class, how its probability is distributed over its own faces and over all others.

    `own` and `others` are shares of faces, (C, bins), each row summing to 1 (or 0 without faces).
    Heights are square roots of shares, or the one bin near 0 would flatten all the rest.
    """
    row, left, overlap = 46, _label_space(classes), 6
    figure = new_figure(TITLE_HEIGHT + 24 + row * len(classes) + overlap + 36)
    title(figure, main, rest)
    over = canvas(figure)
    look = (Series("faces of the class", color, "s"), Series("all other faces", LIGHT["ink"], "_"))
    top = legend(over, TITLE_HEIGHT + 10, look)
    axes = axes_at(figure, left, top, RIGHT - left, row * len(classes) + overlap)
    own, others = np.sqrt(own), np.sqrt(others)
    tallest = max(own.max(), others.max(), 1e-9)
    edges = np.linspace(0, 1, own.shape[1] + 1)
    for i, name in enumerate(classes):
        base = (i + 1) * row + overlap
        for heights, fill in ((own[i], True), (others[i], False)):
            y = base - heights / tallest * (row + overlap - 8)
            if fill:
                axes.stairs(y, edges, baseline=base, fill=True, color=color, alpha=0.75, linewidth=0)
            else:
                axes.stairs(y, edges, baseline=base, color=LIGHT["ink"], linewidth=1)
        axes.hlines(base, 0, 1, color=LIGHT["faint"], linewidth=0.8)
        axes.text(-0.03, base - 6, shortened(name, LONGEST_LABEL), ha="right", va="baseline", fontsize=TEXT)
    axes.set(xlim=(0, 1), ylim=(row * len(classes) + overlap, 0))
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    _percent_axis(axes.xaxis)
    write_at(figure, RIGHT, top + row * len(classes) + overlap + 32, "probability given to the class",
             fontsize=SMALL, color=LIGHT["muted"], ha="right")  # fmt: skip
    return figure


def outlines(main: str, rest: str, series: Sequence[Series], edges, unit: str):
    """How a measure is distributed, an outline a series: `series[i].values` has a share a bin of `edges`."""
    height = 150
    figure = new_figure(TITLE_HEIGHT + 26 + height + 40)
    title(figure, main, rest)
    top = legend(canvas(figure), TITLE_HEIGHT + 10, series)
    axes = axes_at(figure, EDGE + 10, top, RIGHT - EDGE - 10, height)
    for entry, line in zip(series, ("-", (0, (4, 2)), (0, (1, 1.4))), strict=False):
        axes.stairs(entry.values, edges, color=entry.color, linewidth=1.5, linestyle=line)
    most = max(max(entry.values) for entry in series)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * most or 1))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)
    write_at(figure, RIGHT, top + height + 34, unit, fontsize=SMALL, color=LIGHT["muted"], ha="right")
    return figure


def reliability(main: str, rest: str, look: Series, bins):
    """Accuracy against confidence with the counts below.

    `bins` has arrays over bins: edges (bins + 1), count, confidence, accuracy, low and high (the
    band of perfect calibration); nan where a bin is empty.
    """
    left, side, below = 46, RIGHT - 46, 62
    top = TITLE_HEIGHT + 26
    figure = new_figure(top + side + below + 66)
    title(figure, main, rest)
    quiet = {"fontsize": SMALL, "color": LIGHT["muted"]}
    write_at(figure, EDGE, top - 13, "accuracy", **quiet)
    axes = axes_at(figure, left, top, side, side)
    full = np.asarray(bins.count) > 0
    axes.plot((0, 1), (0, 1), color=LIGHT["muted"], linewidth=0.8)
    axes.vlines(bins.confidence[full], bins.low[full], bins.high[full], color=LIGHT["faint"], linewidth=9)
    axes.plot(bins.confidence[full], bins.accuracy[full], look.marker, linestyle="-", linewidth=1,
              color=look.color, markersize=6, clip_on=False)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _percent_axis(axes.yaxis)
    axes.set_xticks(np.linspace(0, 1, 6), [""] * 6)
    counts = axes_at(figure, left, top + side + 16, side, below)
    counts.stairs(bins.count, bins.edges, fill=True, color=look.color, alpha=0.75, linewidth=0)
    counts.set(xlim=(0, 1), ylim=(0, max(bins.count) * 1.05 or 1))
    counts.set_yticks([0, max(bins.count)], ["0", thousands(max(bins.count))])
    _percent_axis(counts.xaxis)
    write_at(figure, left + 6, top + side + 28, "faces", **quiet)
    write_at(figure, RIGHT, top + side + below + 50, "confidence", ha="right", **quiet)
    return figure


class Range95(Protocol):
    """A point with the ends of its interval."""

    @property
    def point(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


class OperatingPoint(Protocol):
    """A threshold, the share of faces that it answers, and the accuracy among those."""

    @property
    def threshold(self) -> float: ...  # noqa: D102
    @property
    def share(self) -> Range95: ...  # noqa: D102
    @property
    def accuracy(self) -> Range95: ...  # noqa: D102


def coverage(
    main: str, rest: str, curves: Mapping[str, Sequence[OperatingPoint]], marks: Mapping[str, OperatingPoint]
):
    """Accuracy among the faces answered against their share, a line and a band each of `curves`.

    `marks` holds the point of one threshold by name, which is written beside it.
    """
    left, height = 46, 250
    named = [Series(name, *theme.series(number)) for number, name in enumerate(curves)]
    figure = new_figure(TITLE_HEIGHT + 26 + height + 62 + (legend_height(named) if len(named) > 1 else 0))
    title(figure, main, rest)
    top = legend(canvas(figure), TITLE_HEIGHT + 10, named) if len(named) > 1 else TITLE_HEIGHT
    quiet = {"fontsize": SMALL, "color": LIGHT["muted"]}
    write_at(figure, EDGE, top + 12, "accuracy of those answered", **quiet)
    axes = axes_at(figure, left, top + 24, RIGHT - left, height)
    for entry, points in zip(named, curves.values(), strict=True):
        share = [one.share.point for one in points]
        low, high = ([getattr(one.accuracy, end) for one in points] for end in ("low", "high"))
        axes.fill_between(share, low, high, color=entry.color, alpha=0.18, linewidth=0)
        axes.plot(share, [one.accuracy.point for one in points], color=entry.color, linewidth=1.6)
    _noted_marks(axes, [(entry, marks[entry.name]) for entry in named if entry.name in marks], height)
    lowest = min(one.accuracy.low for points in curves.values() for one in points)
    axes.set(xlim=(0, 1), ylim=(max(0, np.floor(10 * lowest - 0.5) / 10), 1))
    _percent_axis(axes.yaxis, axes.get_ylim()[0])
    _percent_axis(axes.xaxis)
    write_at(figure, RIGHT, top + 24 + height + 34, "share of the faces answered", ha="right", **quiet)
    return figure


def _noted_marks(axes, marked: Sequence[tuple[Series, OperatingPoint]], height: float) -> None:
    """Draw each mark on its curve, and what it gives in the lower left corner, where no curve comes."""
    for row, (entry, mark) in enumerate(reversed(marked)):
        look = {"color": entry.color, "markersize": 8}
        axes.plot(mark.share.point, mark.accuracy.point, entry.marker, **look)
        y = (12 + LEGEND_ROW * row) / height
        axes.plot(0.04, y, entry.marker, transform=axes.transAxes, **look)
        note = (
            f"from {mark.threshold:g} on: {mark.share.point:.0%} answered, {mark.accuracy.point:.0%} correct"
        )
        axes.text(0.07, y, note, transform=axes.transAxes, va="center", fontsize=SMALL)


def matrix(
    main: str,
    rest: str,
    classes: Sequence[str],
    shades,
    texts,
    *,
    columns: Sequence[str] = (),
    sides: tuple[str, str] = ("true label", "predicted label"),
):
    """A table by true (rows) and predicted (columns) label, shaded by opacity.

    `shades` is (C, K) in -1..1, blue above 0 and orange below; `texts` (C, K) of str. The columns
    are the rows' classes where none are given. Above 12 classes the texts are left out.
    """
    columns = columns or classes
    upright = max(map(len, columns)) > LONGEST_SLANTED
    left = _label_space(classes) + 16
    top = TITLE_HEIGHT + 20 + _label_space(columns) * (1 if upright else 0.72)
    cell = (RIGHT - left) / len(columns)
    bottom = top + cell * len(classes)
    figure = new_figure(bottom + 10)
    title(figure, main, rest)
    axes = canvas(figure)
    quiet = {"fontsize": SMALL, "color": LIGHT["muted"]}
    axes.text(left, TITLE_HEIGHT + 10, sides[1], **quiet)
    axes.text(10, (top + bottom) / 2, sides[0], rotation=90, ha="center", va="center", **quiet)
    for i, name in enumerate(shortened(c, LONGEST_LABEL) for c in classes):
        axes.text(left - 7, top + (i + 0.5) * cell, name, ha="right", va="center")
    for i, name in enumerate(shortened(c, LONGEST_LABEL) for c in columns):
        middle = (i + 0.5) * cell
        place = (left + middle, top - 5) if upright else (left + middle - 2, top - 6)
        slant = {"rotation": 90, "va": "center"} if upright else {"rotation": 45, "va": "bottom"}
        axes.text(*place, name, ha="left", rotation_mode="anchor", **slant)
    _cells(axes, left, top, cell, np.asarray(shades), texts)
    rows, edges = (np.arange(len(names) + 1) * cell for names in (classes, columns))
    axes.hlines(top + rows, left, RIGHT, color=LIGHT["faint"], linewidth=0.6)
    axes.vlines(left + edges, top, bottom, color=LIGHT["faint"], linewidth=0.6)
    return figure


def _cells(axes, left: float, top: float, cell: float, shades: np.ndarray, texts) -> None:
    from matplotlib.patches import Rectangle

    for (row, column), shade in np.ndenumerate(shades):
        x, y = left + column * cell, top + row * cell
        if abs(shade) > FAINTEST_SHADE:
            look = {"color": LIGHT["more" if shade > 0 else "less"], "alpha": CELL_OPACITY * abs(shade)}
            axes.add_patch(Rectangle((x, y), cell, cell, linewidth=0, **look))
        if len(shades) <= MOST_TEXTS:
            weight = "bold" if row == column else "normal"
            middle = x + cell / 2, y + cell / 2
            axes.text(*middle, texts[row][column], ha="center", va="center", fontsize=SMALL, weight=weight)
