"""What is said of a frame: its faces, each with its person's number and the expression read in it. Reads no file."""

from dataclasses import dataclass, replace

import numpy as np

from mien.errors import VideoError
from mien.faces import Face
from mien.predict.recognizer import UNCERTAIN, ReadFace, Recognizer
from mien.video.follow import GAP_SECONDS, Follower
from mien.video.footage import Frame
from mien.video.steady import Settings, Steady

Region = tuple[int, int, int, int]  # left, top, width, height in pixels


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


@dataclass(slots=True)
class _Smoothed:
    """A person whose probabilities are smoothed."""

    number: int
    steady: Steady
    seconds: float  # when last seen


class Watcher:
    """Detects, tracks and classifies the faces of one video, frame by frame.

    Only faces within `region` (left, top, width, height in pixels of a frame) count; VideoError where a frame has
    nothing of it.
    """

    def __init__(
        self, recognizer: Recognizer, *, settings: Settings | None = None, region: Region | None = None
    ) -> None:
        self._recognizer, self._settings, self._region = recognizer, settings, region
        self._follower = Follower(long_side=recognizer.long_side)
        self._known: dict[int, _Smoothed] = {}  # by the follower's number
        self._people = 0

    def see(self, frame: Frame) -> Seen:
        """Return what is said of the next frame."""
        tracked = self._tracked(frame)
        read = self._recognizer.read(self._recognizer.cut(frame.pixels, [face for _, face in tracked]))
        faces = [
            self._smoothed(self._person(number, frame.seconds), face, frame.seconds)
            for (number, _), face in zip(tracked, read, strict=True)
        ]
        self._known = {n: one for n, one in self._known.items() if frame.seconds - one.seconds <= GAP_SECONDS}
        return Seen(frame, faces)

    def _tracked(self, frame: Frame) -> list[tuple[int, Face]]:
        """Return the faces of a frame with the follower's numbers."""
        if self._region is None:
            return self._follower.step(frame.pixels, frame.seconds)
        left, top, width, height = self._region
        part = frame.pixels[top : top + height, left : left + width]
        if not part.size:
            raise VideoError(
                f"its frames of {frame.pixels.shape[1]} x {frame.pixels.shape[0]} pixels have nothing of the region"
            )
        numbered = self._follower.step(np.ascontiguousarray(part), frame.seconds)
        return [(number, _moved(face, left, top)) for number, face in numbered]

    def _person(self, number: int, seconds: float) -> _Smoothed:
        """Return the person with the follower's number, a new one where there is none yet."""
        if number not in self._known:
            self._people += 1
            steady = Steady(self._recognizer.model.threshold, self._settings)
            self._known[number] = _Smoothed(self._people, steady, seconds)
        self._known[number].seconds = seconds
        return self._known[number]

    def _smoothed(self, person: _Smoothed, face: ReadFace, seconds: float) -> SeenFace:
        smoothed, place = person.steady.add(seconds, np.array(list(face.probabilities.values())))
        labels = self._recognizer.model.labels
        by_class = dict(zip(labels, smoothed.tolist(), strict=True))
        label = UNCERTAIN if place is None else labels[place]
        return SeenFace(person.number, face.box, face.score, face.probabilities, by_class, label)


def _moved(face: Face, left: int, top: int) -> Face:
    """Return a face of a part of a picture as it is in the picture."""
    landmarks = face.landmarks + (left, top)
    landmarks.flags.writeable = False
    return replace(face, box=(face.box[0] + left, face.box[1] + top, *face.box[2:]), landmarks=landmarks)
