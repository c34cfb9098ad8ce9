"""Faces followed from frame to frame, each person with a number. Knows nothing about expressions or files.

A full look finds faces, every `FULL_EVERY_SECONDS` and at once where a face was lost; between these, and for every
known face, a near look says where it is now. So all landmarks come from looks of one kind, and a full look that falls
into a frame moves no face.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from mien.faces import Face, Finder
from mien.faces.decode import distinct
from mien.faces.finder import LONG_SIDE, MOST_OVERLAP

FULL_EVERY_SECONDS = 0.4
KEPT_SCORE = 0.25  # a face that is followed may score less than one that is found
GAP_SECONDS = 1.0  # for so long a person who is not seen keeps the number
MOST_MOVED = 0.45  # of a face's size, the mean way of its landmarks in one frame
MOVED_A_SECOND = 1.0  # what a gap adds to that
MOST_GROWN = 1.6  # times the size, or its inverse
THUMB = 24  # places along each side by which a cut is seen
CUT_BELOW = 0.3  # correlation of a frame with the one before
FLAT = 4.0  # spread of grey levels below which a frame tells nothing about cuts


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A person as last seen."""

    number: int
    face: Face
    seconds: float
    frame: int


class Follower:
    """Finds and follows the faces of one video. Frames are given in their order."""

    def __init__(self, finder: Finder | None = None, *, long_side: int = LONG_SIDE) -> None:
        self._finder = finder or Finder()
        self._long_side = long_side
        self._known: list[_Known] = []
        self._people = 0
        self._frame = 0  # how many frames there were
        self._looked = -math.inf  # when a full look was the last time
        self._thumb = None

    def step(self, pixels: np.ndarray, seconds: float) -> list[tuple[int, Face]]:
        """Return (number of the person, face) of all faces in the next frame, uint8 (H, W, 3) RGB, by number."""
        if self._cut(pixels):
            self._known, self._looked = [], -math.inf
        followed = [known for known in self._known if known.frame == self._frame]
        self._frame += 1
        faces = _apart([face for known in followed for face in self._near(pixels, known.face)])
        if len(faces) < len(followed) or seconds - self._looked >= FULL_EVERY_SECONDS:
            faces = _apart([*faces, *self._new(pixels, faces)])
            self._looked = seconds
        self._known = [one for one in self._known if one in followed or seconds - one.seconds <= GAP_SECONDS]
        return sorted(self._numbered(faces, seconds), key=lambda one: one[0])

    def _new(self, pixels: np.ndarray, known: list[Face]) -> list[Face]:
        """Return the faces of a full look that are not known, as a near look sees them where it does."""
        fresh = _apart([*known, *self._finder.find(pixels, long_side=self._long_side)])[len(known) :]
        return [min(self._near(pixels, face), key=partial(_way, face), default=face) for face in fresh]

    def _near(self, pixels: np.ndarray, face: Face) -> list[Face]:
        return self._finder.near(pixels, face.box, threshold=KEPT_SCORE)

    def _numbered(self, faces: list[Face], seconds: float) -> list[tuple[int, Face]]:
        """Give each face the number of the known person that is nearest, or a new one."""
        pairs = [
            (way, k, f)
            for k, known in enumerate(self._known)
            for f, face in enumerate(faces)
            if (way := _way(known.face, face)) <= MOST_MOVED + MOVED_A_SECOND * (seconds - known.seconds)
            and 1 / MOST_GROWN <= _size(face) / _size(known.face) <= MOST_GROWN
        ]
        taken_known, taken_faces = set(), set()
        for _, k, f in sorted(pairs):
            if k not in taken_known and f not in taken_faces:
                taken_known.add(k)
                taken_faces.add(f)
                self._known[k] = _Known(self._known[k].number, faces[f], seconds, self._frame)
        for f, face in enumerate(faces):
            if f not in taken_faces:
                self._people += 1
                self._known.append(_Known(self._people, face, seconds, self._frame))
        return [(known.number, known.face) for known in self._known if known.frame == self._frame]

    def _cut(self, pixels: np.ndarray) -> bool:
        """Whether a frame shows something else than the one before: hardly a place is as light, next to the others."""
        rows, columns = (np.arange(THUMB) * length // THUMB for length in pixels.shape[:2])
        before, thumb = self._thumb, pixels[rows[:, None], columns, 1].astype(np.float64)
        thumb -= thumb.mean()
        self._thumb = thumb
        if before is None or before.std() < FLAT or thumb.std() < FLAT:
            return False
        return (before * thumb).mean() < CUT_BELOW * before.std() * thumb.std()


def _size(face: Face) -> float:
    return math.sqrt(max(face.area, 1.0))


def _way(one: Face, other: Face) -> float:
    """Return how far landmarks are apart on the mean, in sizes of the first face."""
    return float(np.linalg.norm(one.landmarks - other.landmarks, axis=1).mean()) / _size(one)


def _apart(faces: list[Face]) -> list[Face]:
    """Return the faces without those that are others seen once more, first ones first."""
    if len(faces) < 2:
        return faces
    return [faces[i] for i in distinct(np.array([face.box for face in faces]), MOST_OVERLAP)]
