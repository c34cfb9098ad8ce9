"""Draws a stress test: a panel a corruption, with one face at each strength. Measures nothing."""

import numpy as np

from mien.pages.figures import TITLE_HEIGHT, WIDTH, axes_at, canvas, new_figure, title
from mien.pages.legend import Series, legend, legend_height
from mien.pages.report import Report
from mien.pages.theme import series
from mien.stress.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from mien.stress.measure import Stress
from mien.text import capitalized

LEFT, PLOT = 40, 120  # pixels
FACE = 42  # pixels a side
RIGHT = WIDTH - 10


def draw(report: Report, stress: Stress, face: np.ndarray) -> None:
    """Draw a panel a corruption, of a face uint8 (S, S) as an example; draw inside `themed()`."""
    for corruption in CORRUPTIONS:
        name = corruption.replace(" ", "-").lower()
        label = f"Accuracy under {corruption} by strength, and one face under it"
        report.draw("corruptions", panel(stress, corruption, face), name, label)


def panel(stress: Stress, corruption: str, face: np.ndarray):
    """Return accuracy over strength, a line and a band a model, above one face at each strength."""
    looks = [Series(model, *series(number)) for number, model in enumerate(stress.accuracy)]
    figure = new_figure(TITLE_HEIGHT + 22 + legend_height(looks) + PLOT + FACE + 34)
    title(figure, capitalized(corruption), "accuracy, by strength")
    top = legend(canvas(figure), TITLE_HEIGHT + 10, looks)
    axes = axes_at(figure, LEFT, top, RIGHT - LEFT, PLOT)
    at = np.arange(len(STRENGTHS) + 1)
    for look in looks:
        accuracies = [condition.accuracy for condition in stress.of(look.name, corruption)]
        axes.fill_between(at, [a.low for a in accuracies], [a.high for a in accuracies], color=look.color,
                          alpha=0.18, linewidth=0)  # fmt: skip
        axes.plot(
            at, [a.point for a in accuracies], look.marker, linestyle="-", color=look.color, markersize=5
        )
    axes.set(xlim=(-0.5, len(STRENGTHS) + 0.5), ylim=(0, 1))
    axes.set_yticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100%"])
    axes.set_xticks(at, ["as is", *map(str, STRENGTHS)])
    axes.grid(axis="y")
    pictures = [face, *(corrupted(face[None], corruption, strength)[0] for strength in STRENGTHS)]
    step = (RIGHT - LEFT) / len(at)
    for place, picture in zip(at, pictures, strict=True):
        shown = axes_at(figure, LEFT + (place + 0.5) * step - FACE / 2, top + PLOT + 28, FACE, FACE)
        shown.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        shown.set_axis_off()
    return figure
