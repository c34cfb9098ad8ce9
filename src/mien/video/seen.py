"""What is said of a frame: its faces, each with its person's number and the expression read in it. Reads no file."""

from dataclasses import dataclass, replace

import numpy as np

from mien.errors import VideoError
from mien.faces import Face
from mien.predict.recognizer import UNCERTAIN, FaceExpression, Recognizer
from mien.video.follow import GAP_SECONDS, Follower
from mien.video.footage import Frame
from mien.video.steady import Settings, Steady, default_settings

Region = tuple[int, int, int, int]  # left, top, width, height in pixels


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace(FaceExpression):
    """A person's face in a frame, and how people would label its expression, not what is felt.

    `probabilities` are smoothed in time; `label` changes less readily than the most probable class does.
    """

    person: int  # from 1, in the order in which they came
    raw: dict[str, float]  # probabilities by class of the frame alone

    @property
    def certain(self) -> bool:
        """Whether the label is a class."""
        return self.label != UNCERTAIN

    @property
    def confidence(self) -> float:
        """The smoothed probability of the label, or of the most probable class where it is uncertain."""
        return self.probabilities[self.label if self.certain else self.best]


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """A frame and its faces, by person."""

    frame: Frame
    faces: list[TrackedFace]


@dataclass(slots=True)
class _Smoothed:
    """A person whose probabilities are smoothed."""

    number: int
    steady: Steady
    seconds: float  # when last seen
    state: np.ndarray  # float32 (D,), what a model over time remembers


class Watcher:
    """Detects, tracks and classifies the faces of one video, frame by frame.

    Only faces within `region` (left, top, width, height in pixels of a frame) count; VideoError where a frame has
    nothing of it. A model over time remembers each person's frames itself.
    """

    def __init__(
        self, recognizer: Recognizer, *, settings: Settings | None = None, region: Region | None = None
    ) -> None:
        self._settings = settings or default_settings(over_time=recognizer.model.state_size > 0)
        self._recognizer, self._region = recognizer, region
        self._follower = Follower(long_side=recognizer.long_side)
        self._known: dict[int, _Smoothed] = {}  # by the follower's number
        self._people = 0

    def see(self, frame: Frame) -> TrackedFrame:
        """Return what is said of the next frame."""
        in_frame = (
            self._in_region(frame) if self._region else self._follower.step(frame.pixels, frame.seconds)
        )
        tracked = [one for one in in_frame if self._recognizer.accepts(one[1])]
        detections = self._recognizer.crop_faces(frame.pixels, [face for _, face in tracked])
        alone = self._recognizer.classify(detections)
        people = [self._person(number, frame.seconds) for number, _ in tracked]
        rows = self._over_time(people, detections.crops, alone, frame.seconds)
        faces = [
            self._smoothed(person, face, row, frame.seconds)
            for person, face, row in zip(people, alone, rows, strict=True)
        ]
        self._known = {n: one for n, one in self._known.items() if frame.seconds - one.seconds <= GAP_SECONDS}
        return TrackedFrame(frame, faces)

    def _in_region(self, frame: Frame) -> list[tuple[int, Face]]:
        """Return the faces in the region, as they are in the frame, with the follower's numbers."""
        assert self._region
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
            state = self._recognizer.model.start(1)[0]
            self._known[number] = _Smoothed(self._people, steady, seconds, state)
        return self._known[number]

    def _over_time(
        self, people: list[_Smoothed], crops: np.ndarray, alone: list[FaceExpression], seconds: float
    ) -> np.ndarray:
        """Return each face's probabilities, float (N, C): of the frame alone, or by a model that remembers others."""
        model = self._recognizer.model
        rows = np.array([list(face.probabilities.values()) for face in alone])
        if model.state_size and people:
            gaps = np.array([seconds - person.seconds for person in people])
            answer = model.step(crops, gaps, np.stack([person.state for person in people]))
            rows = answer.probabilities
            for person, state in zip(people, answer.state, strict=True):
                person.state = state
        for person in people:
            person.seconds = seconds
        return rows

    def _smoothed(
        self, person: _Smoothed, face: FaceExpression, row: np.ndarray, seconds: float
    ) -> TrackedFace:
        smoothed, place = person.steady.add(seconds, row)
        labels = self._recognizer.model.labels
        by_class = dict(zip(labels, smoothed.tolist(), strict=True))
        label = UNCERTAIN if place is None else labels[place]
        measured = (face.box, face.score, face.landmarks, face.crop)
        return TrackedFace(*measured, by_class, label, person.number, face.probabilities)


def _moved(face: Face, left: int, top: int) -> Face:
    """Return a face of a part of a picture as it is in the picture."""
    landmarks = face.landmarks + (left, top)
    landmarks.flags.writeable = False
    return replace(face, box=(face.box[0] + left, face.box[1] + top, *face.box[2:]), landmarks=landmarks)
