"""A face in a picture. Knows nothing about how it is found."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture. Lengths are in the picture's pixels, from its upper left corner.

    `box` is (left, top, width, height) and may reach over the picture's edge. `landmarks` is float64
    (5, 2), not writable, x and y of eye, eye, nose, mouth corner, mouth corner, left to right as seen.
    """

    box: tuple[float, float, float, float]
    score: float  # 0..1
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """The box's area in square pixels."""
        return self.box[2] * self.box[3]

    def scaled(self, factor: float) -> Self:
        """Return the face as it is in the same picture so many times as large."""
        if factor == 1:
            return self
        left, top, width, height = (value * factor for value in self.box)
        landmarks = self.landmarks * factor
        landmarks.flags.writeable = False
        return replace(self, box=(left, top, width, height), landmarks=landmarks)
