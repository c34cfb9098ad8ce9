"""What was read of each person over a whole video, in memory that does not grow with its length, and its figure.

Time is cut into bins of one width for all people; where a video gets longer than so many bins hold, each two become
one. Knows nothing about frames' pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.pages.theme import LIGHT
from mien.predict.recognizer import UNCERTAIN
from mien.text import thousands
from mien.video.follow import GAP_SECONDS
from mien.video.seen import Seen

MOST_BINS = 640
FINEST_SECONDS = 0.04  # a bin's width at first
MOST_KEPT = 32  # people, those longest seen
MOST_DRAWN = 8
WIDTH, LEFT, RIGHT = 720, 66, 24  # pixels of the figure, and beside the strips
STRIP, HEAD, FOOT = 19, 20, 28  # pixels: a class's height, above and below a person's strips
FULL = 0.86  # of a strip's height, which a probability of 1 takes
GREY = (LIGHT["muted"], 0.45)  # color and opacity
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
MOST_TICKS = 10


@dataclass(slots=True)
class Bin:
    """A stretch of time of one person."""

    seconds: float  # in which the face was there
    probabilities: np.ndarray  # (C,), times seconds
    labels: np.ndarray  # (C + 1,): seconds with each label, uncertain last

    def merge(self, other: "Bin") -> None:
        """Take in another stretch."""
        self.seconds += other.seconds
        self.probabilities = self.probabilities + other.probabilities
        self.labels = self.labels + other.labels


@dataclass(slots=True)
class Person:
    """A person over the whole video."""

    number: int
    first: float  # seconds
    last: float
    labels: tuple[str, ...]  # the model's, then "uncertain"
    bins: dict[int, Bin] = field(default_factory=dict)  # by place

    @property
    def seconds(self) -> float:
        """For how long the face was there."""
        return sum(one.seconds for one in self.bins.values())

    def shares(self) -> list[tuple[str, float]]:
        """Return the share of this time with each label, the most first."""
        seconds = sum(one.labels for one in self.bins.values())
        return sorted(
            zip(self.labels, (seconds / seconds.sum()).tolist(), strict=True), key=lambda one: -one[1]
        )


class Timeline:
    """All people of one video, frame by frame."""

    def __init__(self, labels: Sequence[str], rate: float):
        self._labels = (*labels, UNCERTAIN)
        self.frame_seconds = 1 / rate
        self._before: float | None = None
        self._kept: dict[int, Person] = {}
        self.bin_seconds = FINEST_SECONDS
        self.frames, self.missed, self.count = 0, 0, 0  # so far: frames taken in, and not; people
        self.seconds = 0.0

    @property
    def people(self) -> list[Person]:
        """The people who are kept, by number."""
        return sorted(self._kept.values(), key=lambda one: one.number)

    def add(self, name: str, seen: Seen) -> None:
        """Take in a frame."""
        now = seen.frame.seconds
        lasted = self.frame_seconds if self._before is None else min(GAP_SECONDS, now - self._before)
        self._before, self.frames, self.seconds = now, self.frames + 1, now + self.frame_seconds
        self.missed = seen.frame.number + 1 - self.frames
        while now / self.bin_seconds >= MOST_BINS:
            self._coarser()
        place = int(now / self.bin_seconds)
        for face in seen.faces:
            self.count = max(self.count, face.person)
            person = self._kept.setdefault(face.person, Person(face.person, now, now, self._labels))
            person.last = now
            label = np.array([name == face.label for name in self._labels]) * lasted
            one = Bin(lasted, np.array(list(face.probabilities.values())) * lasted, label)
            if place in person.bins:
                person.bins[place].merge(one)
            else:
                person.bins[place] = one
        self._forget(now)

    def _coarser(self) -> None:
        self.bin_seconds *= 2
        for person in self._kept.values():
            bins: dict[int, Bin] = {}
            for place, one in person.bins.items():
                if place // 2 in bins:
                    bins[place // 2].merge(one)
                else:
                    bins[place // 2] = one
            person.bins = bins

    def _forget(self, now: float) -> None:
        """Let go of those who were there for the shortest time, and are not there now."""
        if len(self._kept) <= MOST_KEPT:
            return
        gone = [person for person in self._kept.values() if now - person.last > GAP_SECONDS]
        for person in sorted(gone, key=lambda one: one.seconds)[: len(self._kept) - MOST_KEPT]:
            del self._kept[person.number]


def write(timeline: Timeline, path: Path, name: str) -> None:
    """Write the figure, .svg or .png; raises MissingExtra without matplotlib."""
    from mien.pages import figures

    with figures.themed("video"):
        figures.write(drawn(timeline, name), path)


def drawn(timeline: Timeline, name: str):
    """Return the figure of a video: for each person a strip a class, as high as its probability."""
    from mien.pages.figures import TITLE_HEIGHT, canvas, new_figure, title

    longest = sorted(timeline.people, key=lambda one: -one.seconds)[:MOST_DRAWN]
    shown = sorted(longest, key=lambda one: one.number)
    classes = max((len(one.labels) - 1 for one in shown), default=0)
    height = HEAD + classes * STRIP + FOOT
    figure = new_figure(TITLE_HEIGHT + 8 + height * max(1, len(shown)), WIDTH)
    rest = "Height: probability, smoothed. Blue: the label; none blue: uncertain. Tinted: the face was there."
    others = timeline.count - len(shown)
    if others > 0:
        rest += f" {thousands(others)} not shown."
    title(figure, f"Expressions in {name}", rest if shown else "No face was found.")
    if not shown:
        canvas(figure)
    for place, person in enumerate(shown):
        _person(figure, person, TITLE_HEIGHT + 8 + place * height, timeline)
    return figure


def _person(figure, person: Person, top: float, timeline: Timeline) -> None:
    from mien.pages.figures import EDGE, SMALL, axes_at, write_at

    labels = person.labels[:-1]
    write_at(figure, EDGE, top + 14, f"Person {person.number}", weight="bold")
    axes = axes_at(figure, LEFT, top + HEAD, WIDTH - LEFT - RIGHT, STRIP * len(labels))
    places, shares, label = _tracks(person)
    starts = places * timeline.bin_seconds
    ends = np.stack([starts, starts + max(timeline.bin_seconds, timeline.frame_seconds)], 1)
    short = ends[:-1, 1] + GAP_SECONDS >= ends[1:, 0]
    ends[:-1, 1][short] = ends[1:, 0][short]  # frames are rarer than bins, or the face was away for a moment
    _steps(axes, ends, 0, np.full(len(ends), float(len(labels))), LIGHT["wash"])
    for row, name in enumerate(labels):
        base = len(labels) - 1 - row
        axes.axhline(base, color=LIGHT["faint"], linewidth=0.6, zorder=0)
        axes.text(-8 / (WIDTH - LEFT - RIGHT), (base + 0.36) / len(labels), name, transform=axes.transAxes,
                  ha="right", va="center", fontsize=SMALL)  # fmt: skip
        _strip(axes, ends, shares[:, row], base, label == row)
    most = max(timeline.seconds, timeline.bin_seconds)
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


def clock(seconds: float, *, tenths: bool = True) -> str:
    """Return a moment as "0:07.4" or "1:02:07.4", or without tenths."""
    count = round(seconds * 10)
    minutes, count = divmod(count, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{count // 10:02}" + (f".{count % 10}" if tenths else "")
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"
