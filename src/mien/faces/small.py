"""Small faces in large pictures: when these are searched enlarged, in which tiles, and how the faces join the others.

Knows no network. A network that sees a picture shrunk to 640 pixels finds faces from about 20 of these pixels on and
says little of smaller ones, as in a crowd; but it hints at some, where pictures of anything else give few hints or
none. Measured in `bench/crowd.py`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mien.faces.decode import distinct
from mien.faces.face import Face

# Pixels of a box's long side in a view of a picture, and in one twice as large, below which a face is a hint at others
# that are as small.
SMALL, SMALL_IN_LARGER = 24, 32
FEW = 4  # hints, from which on a picture is searched enlarged
ENLARGED = 2560  # pixels of the long side in that search, but never more than `MOST_TIMES` the picture's own
MOST_TIMES = 2
TILE, OVERLAP = (
    1344,
    96,
)  # pixels of the enlarged picture's parts: more candidates than a crowd has fit in one


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture, in its pixels: where it lies, and the part of that whose faces are taken from it."""

    left: int
    top: int
    right: int
    bottom: int
    own: tuple[float, float, float, float]  # left, top, right, bottom

    def owns(self, face: Face) -> bool:
        """Tell whether a face is to be taken from this tile, and from none that overlaps it."""
        x, y = _middle(face)
        return self.own[0] <= x < self.own[2] and self.own[1] <= y < self.own[3]


def hints(faces: Sequence[Face], view_scale: float, small: int) -> list[Face]:
    """Return the faces smaller than so many pixels of a view, which is so many times as large as the picture."""
    return [face for face in faces if max(face.box[2:]) * view_scale < small]


def enlargement(long_side: int) -> float:
    """Return how many times as large a picture is searched for small faces."""
    return min(MOST_TIMES, ENLARGED / long_side)


def tiles(width: int, height: int, scale: float) -> Iterator[Tile]:
    """Yield the parts of a picture that is searched so many times as large."""
    for top, bottom, own_top, own_bottom in _stretches(height, scale):
        for left, right, own_left, own_right in _stretches(width, scale):
            yield Tile(left, top, right, bottom, (own_left, own_top, own_right, own_bottom))


def _stretches(length: int, scale: float) -> Iterator[tuple[int, int, float, float]]:
    """Yield begin and end of overlapping stretches, and of what of each is its own."""
    number = max(1, math.ceil((length * scale - OVERLAP) / (TILE - OVERLAP)))
    step, reach = length / number, OVERLAP / scale / 2
    for place in range(number):
        begin, end = place * step, (place + 1) * step
        first, last = place == 0, place == number - 1
        yield (
            max(0, math.floor(begin - reach)),
            min(length, math.ceil(end + reach)),
            -math.inf if first else begin,
            math.inf if last else end,
        )


def joined(
    faces: Sequence[Face], small: Sequence[Face], view_scale: float, most_overlap: float
) -> list[Face]:
    """Return faces of a whole picture with the small ones of its enlarged parts, the surest of these first.

    Where both show one face the enlarged one stands, since its landmarks are finer. What is not small, or lies in a
    face that is not, is passed over: a tile may show part of a face alone.
    """
    largest = 2 * SMALL / view_scale
    large = [face for face in faces if max(face.box[2:]) > largest]
    small = sorted(
        (
            face
            for face in small
            if max(face.box[2:]) <= largest and not any(_inside(_middle(face), other.box) for other in large)
        ),
        key=lambda face: -face.score,
    )
    together = [*small, *faces]
    kept = distinct(np.array([face.box for face in together]).reshape(-1, 4), most_overlap)
    return [together[i] for i in kept]


def _middle(face: Face) -> tuple[float, float]:
    left, top, width, height = face.box
    return left + width / 2, top + height / 2


def _inside(point: tuple[float, float], box: tuple[float, float, float, float]) -> bool:
    left, top, width, height = box
    return left <= point[0] < left + width and top <= point[1] < top + height
