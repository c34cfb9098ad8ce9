"""The people of one video over time, in memory that does not grow with its length. Knows nothing about pictures.

Time is cut into bins of one width for all people; where a video gets longer than so many bins hold, each two become
one. People who are on screen for a moment, as in a cross-fade or a false detection, are counted apart from those who
stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mien.predict.recognizer import UNCERTAIN
from mien.video.follow import GAP_SECONDS
from mien.video.seen import TrackedFace, TrackedFrame

MOST_BINS = 640
FINEST_SECONDS = 0.04  # a bin's width at first
MOST_KEPT = 32  # people whose bins are kept, those longest on screen
STAY_SECONDS = (
    0.5  # on screen, from which on a person counts as one who stays; half of a video shorter than twice that
)
STAY_FRAMES = 2


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
    frames: int = 0
    bins: dict[int, Bin] = field(default_factory=dict)  # by place

    @property
    def seconds(self) -> float:
        """For how long the face was there."""
        return sum(one.seconds for one in self.bins.values())

    def shares(self) -> list[tuple[str, float]]:
        """Return the share of this time with each label, the most first."""
        shares = _mean([one.labels for one in self.bins.values()])
        return sorted(zip(self.labels, shares, strict=True), key=lambda one: -one[1])

    def probabilities(self) -> dict[str, float]:
        """Return the mean over this time of each class's smoothed probability."""
        shares = _mean([one.probabilities for one in self.bins.values()])
        return dict(zip(self.labels[:-1], shares, strict=True))

    def add(self, face: TrackedFace, moment: float, lasted: float, place: int) -> None:
        """Take in a frame's face, which was there for so many seconds, in the bin of that place."""
        self.last, self.frames = moment, self.frames + 1
        label = np.array([name == face.label for name in self.labels]) * lasted
        one = Bin(lasted, np.array(list(face.probabilities.values())) * lasted, label)
        self.take(place, one)

    def take(self, place: int, one: Bin) -> None:
        """Add a bin to the one of that place."""
        if place in self.bins:
            self.bins[place].merge(one)
        else:
            self.bins[place] = one


def _mean(rows: list[np.ndarray]) -> list[float]:
    """Return the sum of rows (N, C) made to sum to 1."""
    total = np.sum(rows, axis=0)
    return (total / max(total.sum(), 1e-12)).tolist()


class People:
    """All people of one video, frame by frame. Each leaves once: when gone for so long that the number is not kept."""

    def __init__(self, labels: Sequence[str], rate: float) -> None:
        self._labels = (*labels, UNCERTAIN)
        self.frame_seconds = 1 / rate
        self._before: float | None = None
        self._present: dict[int, Person] = {}
        self._left: dict[int, Person] = {}
        self.bin_seconds = FINEST_SECONDS
        self.frames, self.seconds = 0, 0.0  # so far
        self.missed = 0  # frames of a camera that nobody took
        self.count, self.staying = 0, 0  # people, and those who stay among the ones that left

    def add(self, tracked: TrackedFrame) -> list[Person]:
        """Take in a frame; return the people who left before it and had stayed."""
        now = tracked.frame.seconds
        lasted = self.frame_seconds if self._before is None else min(GAP_SECONDS, now - self._before)
        self._before, self.frames, self.seconds = now, self.frames + 1, now + self.frame_seconds
        self.missed = tracked.frame.number + 1 - self.frames
        while now / self.bin_seconds >= MOST_BINS:
            self._coarser()
        for face in tracked.faces:
            if face.person not in self._present:
                self.count += 1
                self._present[face.person] = Person(face.person, now, now, self._labels)
            self._present[face.person].add(face, now, lasted, int(now / self.bin_seconds))
        return self._leave([one for one in self._present.values() if now - one.last > GAP_SECONDS])

    def end(self) -> list[Person]:
        """Let all leave at the video's end; return those who had stayed."""
        return self._leave(list(self._present.values()))

    @property
    def passing(self) -> int:
        """How many people were on screen for a moment only, of all who left."""
        return self.count - len(self._present) - self.staying

    def longest(self, most: int) -> list[Person]:
        """Return the people who stayed, those longest on screen at most `most`, by number."""
        some = sorted(self._left.values(), key=lambda one: -one.seconds)[:most]
        return sorted(some, key=lambda one: one.number)

    def _leave(self, people: list[Person]) -> list[Person]:
        for person in people:
            del self._present[person.number]
        stayed = [person for person in people if self._stays(person)]
        self.staying += len(stayed)
        self._left |= {person.number: person for person in stayed}
        for person in sorted(self._left.values(), key=lambda one: -one.seconds)[MOST_KEPT:]:
            del self._left[person.number]
        return stayed

    def _stays(self, person: Person) -> bool:
        return person.frames >= min(STAY_FRAMES, self.frames) and person.seconds >= min(
            STAY_SECONDS, self.seconds / 2
        )

    def _coarser(self) -> None:
        self.bin_seconds *= 2
        for person in (*self._present.values(), *self._left.values()):
            bins, person.bins = person.bins, {}
            for place, one in bins.items():
                person.take(place // 2, one)
