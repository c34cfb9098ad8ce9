"""Draws a fairness report: a panel an attribute, with the faces that are compared. Measures nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from mien.fairness.measure import BALANCED, Fairness
from mien.pages.figures import EDGE, SMALL, TITLE_HEIGHT, WIDTH, axes_at, canvas, new_figure, title, write_at
from mien.pages.legend import Series, legend, legend_height
from mien.pages.report import Report
from mien.pages.theme import LIGHT, series
from mien.text import capitalized, percent, points, shortened

FACE, ROW, STEP = 64, 76, 13  # pixels: a face's side, a row, between models in a row
NAMES, LEFT, RIGHT = EDGE + FACE + 8, 158, WIDTH - 12  # pixels: where the names and the axis begin and end
PLOT = 130  # pixels, height of the curves
LOWEST_REACH = 0.02


def draw(report: Report, fairness: Fairness, examples: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Draw two panels an attribute; `examples` has a face uint8 (S, S) a level. Draw inside `themed()`."""
    for attribute, faces in examples.items():
        name = attribute.replace(" ", "-")
        label = (
            f"Balanced accuracy by {attribute}: difference from the first level, beside a face at each level"
        )
        report.draw("attributes", gaps_panel(fairness, attribute, faces), name, label)
        label = f"Share of expressions recognized by intensity and {attribute}"
        report.draw("intensities", curves_panel(fairness, attribute), f"{name}-by-intensity", label)


def gaps_panel(fairness: Fairness, attribute: str, faces: Sequence[np.ndarray]):
    """Return a row a level: its face, its balanced accuracy and the differences from the first level."""
    looks = [Series(model, *series(number)) for number, model in enumerate(fairness.models)]
    levels = fairness.design.levels[attribute]
    row = max(ROW, STEP * len(looks) + 20)
    named = len(looks) > 1
    top = TITLE_HEIGHT + 4 + (legend_height(looks) + 4 if named else 0)
    figure = new_figure(top + row * len(levels) + 26)
    title(figure, capitalized(attribute), f"balanced accuracy against “{levels[0]}”, points")
    if named:
        legend(canvas(figure), TITLE_HEIGHT + 10, looks)
    axes = axes_at(figure, LEFT, top, RIGHT - LEFT, row * len(levels))
    reach = 100 * _reach(fairness)
    axes.set(xlim=(-reach, reach), ylim=(row * len(levels), 0))
    axes.axvline(0, color=LIGHT["ink"], linewidth=1)
    axes.grid(axis="x")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    for number, (level, face) in enumerate(zip(levels, faces, strict=True)):
        y = number * row
        _face(figure, face, EDGE, top + y + (row - FACE) / 2)
        write_at(figure, NAMES, top + y + row / 2 - 2, shortened(level, 13))
        accuracy = fairness.level(looks[0].name, attribute, level).values[BALANCED].point
        write_at(
            figure, NAMES, top + y + row / 2 + 13, percent(accuracy), fontsize=SMALL, color=LIGHT["muted"]
        )
        for i, look in enumerate(looks):
            _whisker(axes, fairness, look, attribute, level, y + row / 2 + (i - (len(looks) - 1) / 2) * STEP)
    return figure


def _whisker(axes, fairness: Fairness, look: Series, attribute: str, level: str, y: float) -> None:
    """Draw a difference: its marker is filled where it holds, hollow where it does not."""
    gap = fairness.gap(look.name, attribute, level, BALANCED)
    if gap is None:
        return
    difference = gap.difference
    axes.plot((100 * difference.low, 100 * difference.high), (y, y), color=look.color, linewidth=2)
    fill = look.color if gap.holds else LIGHT["paper"]
    axes.plot(100 * difference.point, y, look.marker, color=look.color, markerfacecolor=fill, markersize=7)
    if len(fairness.models) == 1:
        paper = {"facecolor": LIGHT["paper"], "linewidth": 0, "pad": 1}
        axes.annotate(points(difference.point), (100 * difference.point, y), (0, 9), textcoords="offset points",
                      ha="center", fontsize=SMALL, bbox=paper)  # fmt: skip


def _reach(fairness: Fairness) -> float:
    """Return how far all panels' axes reach, a share: they have one scale."""
    gaps = [gap.difference for gap in fairness.gaps if gap.outcome == BALANCED]
    return 1.1 * max(LOWEST_REACH, *(max(-gap.low, gap.high) for gap in gaps))


def curves_panel(fairness: Fairness, attribute: str):
    """Return the first model's recall over the intensity of expressions, a line a level."""
    model, levels = fairness.models[0], fairness.design.levels[attribute]
    looks = [Series(level, *series(number)) for number, level in enumerate(levels)]
    figure = new_figure(TITLE_HEIGHT + 14 + legend_height(looks) + PLOT + 32)
    title(figure, capitalized(attribute), f"{model}: share recognized, by intensity")
    top = legend(canvas(figure), TITLE_HEIGHT + 10, looks)
    left = 40
    axes = axes_at(figure, left, top, RIGHT - left, PLOT)
    for look in looks:
        recall = fairness.level(model, attribute, look.name).recall_by_intensity
        axes.plot(fairness.design.steps, recall, look.marker, linestyle="-", color=look.color, markersize=5)
    axes.axhline(0.5, color=LIGHT["ink"], linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set(ylim=(0, 1))
    axes.set_yticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100%"])
    axes.set_xticks(fairness.design.steps)
    axes.grid(axis="y")
    return figure


def _face(figure, face: np.ndarray, left: float, top: float) -> None:
    axes = axes_at(figure, left, top, FACE, FACE)
    axes.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
