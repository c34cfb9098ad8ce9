"""What is said of a frame: its faces, each with its person's number and the expression read in it. Reads no file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mien.predict.recognizer import UNCERTAIN, Recognizer
from mien.video.follow import GAP_SECONDS, Follower
from mien.video.footage import Frame
from mien.video.steady import Settings, Steady


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A person's face in a frame, and how people would label its expression, not what is felt."""

    person: int  # from 1, in the order in which they came
    box: tuple[float, float, float, float]  # left, top, width, height in pixels
    score: float  # the detector's, 0..1
    raw: dict[str, float]  # probabilities by class, as the frame alone says
    probabilities: dict[str, float]  # the same smoothed in time
    label: str  # a class, or "uncertain"; it changes less readily than the most probable class does

    @property
    def best(self) -> str:
        """The most probable class after smoothing."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def certain(self) -> bool:
        """Whether the label is a class."""
        return self.label != UNCERTAIN

    @property
    def confidence(self) -> float:
        """The smoothed probability of the label, or of the most probable class where it is uncertain."""
        return self.probabilities[self.label if self.certain else self.best]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame and its faces, by person."""

    frame: Frame
    faces: list[SeenFace]


class Watcher:
    """Finds, follows and reads the faces of one video, frame by frame."""

    def __init__(self, recognizer: Recognizer, *, settings: Settings | None = None) -> None:
        self._recognizer = recognizer
        self._follower = Follower(long_side=recognizer.long_side)
        self._new: Callable[[], Steady] = lambda: Steady(recognizer.model.threshold, settings)
        self._steady: dict[int, tuple[float, Steady]] = {}  # by person: when last seen

    def see(self, frame: Frame) -> Seen:
        """Return what is said of the next frame."""
        numbered = self._follower.step(frame.pixels, frame.seconds)
        read = self._recognizer.read(self._recognizer.cut(frame.pixels, [face for _, face in numbered]))
        faces = [
            self._seen(number, face, frame.seconds) for (number, _), face in zip(numbered, read, strict=True)
        ]
        self._steady = {n: kept for n, kept in self._steady.items() if frame.seconds - kept[0] <= GAP_SECONDS}
        return Seen(frame, faces)

    def _seen(self, person: int, face, seconds: float) -> SeenFace:
        _, steady = self._steady.get(person, (0.0, None))
        steady = steady or self._new()
        self._steady[person] = seconds, steady
        smoothed, place = steady.add(seconds, np.array(list(face.probabilities.values())))
        labels = self._recognizer.model.labels
        by_class = dict(zip(labels, smoothed.tolist(), strict=True))
        label = UNCERTAIN if place is None else labels[place]
        return SeenFace(person, face.box, face.score, face.probabilities, by_class, label)
