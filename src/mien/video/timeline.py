"""The figure of a video: of each person who stays the probability of each class over time."""

from pathlib import Path

import numpy as np

from mien.pages.theme import LIGHT
from mien.text import thousands
from mien.video.follow import GAP_SECONDS
from mien.video.people import People, Person
from mien.video.rows import clock

MOST_DRAWN = 8
WIDTH, LEFT, RIGHT = 720, 66, 24  # pixels of the figure, and beside the strips
STRIP, HEAD, FOOT = 19, 20, 28  # pixels: a class's height, above and below a person's strips
FULL = 0.86  # of a strip's height, which a probability of 1 takes
GREY = (LIGHT["muted"], 0.45)  # color and opacity
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
MOST_TICKS = 10


def write(people: People, path: Path, name: str) -> None:
    """Write the figure, .svg or .png; raises MissingExtra without matplotlib."""
    from mien.pages import figures

    with figures.themed("video"):
        figures.write(drawn(people, name), path)


def drawn(people: People, name: str):
    """Return the figure of a video: for each person a strip a class, as high as its probability."""
    from mien.pages.figures import TITLE_HEIGHT, canvas, new_figure, title

    shown = people.longest(MOST_DRAWN)
    classes = max((len(one.labels) - 1 for one in shown), default=0)
    height = HEAD + classes * STRIP + FOOT
    figure = new_figure(TITLE_HEIGHT + 8 + height * max(1, len(shown)), WIDTH)
    rest = "Height: probability, smoothed. Blue: the label; none blue: uncertain. Tinted: the face was there."
    title(figure, _headline(people, name, len(shown)), rest if shown else "")
    if not shown:
        canvas(figure)
    for place, person in enumerate(shown):
        _person(figure, person, TITLE_HEIGHT + 8 + place * height, people)
    return figure


def _headline(people: People, name: str, shown: int) -> str:
    """Return the title: whose expressions, and how many people the panels leave out."""
    if not people.count:
        return f"{name}: no face was found"
    rest = [(people.staying - shown, "more who stay"), (people.passing, "for a moment only")]
    counts = ", ".join(f"{thousands(count)} {words}" for count, words in rest if count)
    return f"Expressions in {name}" + (f" ({counts})" if counts else "")


def _person(figure, person: Person, top: float, people: People) -> None:
    from mien.pages.figures import EDGE, SMALL, axes_at, write_at

    labels = person.labels[:-1]
    write_at(figure, EDGE, top + 14, f"Person {person.number}", weight="bold")
    axes = axes_at(figure, LEFT, top + HEAD, WIDTH - LEFT - RIGHT, STRIP * len(labels))
    places, shares, label = _tracks(person)
    starts = places * people.bin_seconds
    ends = np.stack([starts, starts + max(people.bin_seconds, people.frame_seconds)], 1)
    short = ends[:-1, 1] + GAP_SECONDS >= ends[1:, 0]
    ends[:-1, 1][short] = ends[1:, 0][short]  # frames are rarer than bins, or the face was away for a moment
    _steps(axes, ends, 0, np.full(len(ends), float(len(labels))), LIGHT["wash"])
    for row, name in enumerate(labels):
        base = len(labels) - 1 - row
        axes.axhline(base, color=LIGHT["faint"], linewidth=0.6, zorder=0)
        axes.text(-8 / (WIDTH - LEFT - RIGHT), (base + 0.36) / len(labels), name, transform=axes.transAxes,
                  ha="right", va="center", fontsize=SMALL)  # fmt: skip
        _strip(axes, ends, shares[:, row], base, label == row)
    most = max(people.seconds, people.bin_seconds)
    axes.set(xlim=(0, most), ylim=(0, len(labels)), yticks=[])
    axes.spines["left"].set_visible(False)
    ticks = _ticks(most)
    axes.set_xticks(ticks, [clock(tick, tenths=ticks[1:2] < [1.0]) for tick in ticks])


def _tracks(person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places of bins (N,), probabilities (N, C) and the label's place (N,), C where it is uncertain."""
    places = np.array(sorted(person.bins))
    some = [person.bins[place] for place in places.tolist()]
    shares = np.array([one.probabilities / max(one.seconds, 1e-9) for one in some])
    return places, shares, np.array([one.labels.argmax() for one in some])


def _strip(axes, ends: np.ndarray, shares: np.ndarray, base: int, chosen: np.ndarray) -> None:
    """Draw a class as steps: grey ones, and blue where it is the label."""
    for pick, color in ((~chosen, GREY), (chosen, LIGHT["series1"])):
        _steps(axes, ends, base, np.where(pick, base + FULL * shares, np.nan), color)


def _steps(axes, ends: np.ndarray, base: float, high: np.ndarray, color) -> None:
    """Fill from a base up to a height in each bin, not where that is nan, nor between bins that are apart."""
    x, y = ends.ravel(), np.repeat(high, 2)
    breaks = 2 * np.flatnonzero(ends[1:, 0] > ends[:-1, 1]) + 2
    x, y = np.insert(x, breaks, x[breaks - 1]), np.insert(y, breaks, np.nan)
    axes.fill_between(x, base, y, where=np.isfinite(y), color=color, linewidth=0)


def _ticks(seconds: float) -> list[float]:
    step = next((step for step in STEPS if seconds / step <= MOST_TICKS), STEPS[-1])
    return [round(number * step, 1) for number in range(int(seconds / step) + 1)]
