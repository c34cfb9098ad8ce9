"""Short descriptions of faces whose products tell likeness, also of mirrored and moved faces.

A description is the low frequencies of an evened picture of half size (its cosine transform),
each divided by how strong it usually is. Mirroring only turns the sign of the odd horizontal frequencies, so
the even and the odd ones are kept apart: even product + odd product is the likeness of two
faces, even product - odd product that of one and the other's mirror picture. A turn, zoom or
shift is a linear map of the picture, so a moved face's description is one matrix product, too.
"""

from dataclasses import dataclass

import numpy as np

from mien.audit.pictures import HALF as SIDE

WAVES = 9  # cosines by direction


@dataclass(frozen=True, slots=True, eq=False)
class Descriptions:
    """Descriptions of n faces, each of length 1 over both parts."""

    even: np.ndarray  # float32 (n, E)
    odd: np.ndarray  # float32 (n, O)


class Describer:
    """Describes faces as if they had been moved, z -> turn * z + shift as in `align.Change`, at half size."""

    def __init__(self, turn: complex = 1, shift: complex = 0):
        across, down = np.meshgrid(np.arange(WAVES), np.arange(WAVES))
        radius = np.hypot(across, down)
        kept = (radius > 0) & (radius < WAVES)
        across, down, weight = across[kept], down[kept], radius[kept]
        places = (np.arange(SIDE) + 0.5) / SIDE * np.pi
        waves = np.cos(np.outer(np.arange(WAVES), places))
        maps = waves[down][:, :, None] * waves[across][:, None, :] * weight[:, None, None]
        maps = _moved(maps.reshape(len(maps), -1).T, turn, shift)  # (P, W)
        self._even, self._odd = (
            np.ascontiguousarray(maps[:, across % 2 == odd], np.float32) for odd in (0, 1)
        )

    def __call__(self, pictures: np.ndarray) -> Descriptions:
        """Describe evened pictures of half size, float32 (n, SIDE, SIDE)."""
        flat = pictures.reshape(len(pictures), -1)
        even, odd = flat @ self._even, flat @ self._odd
        length = np.sqrt((even**2).sum(1, keepdims=True) + (odd**2).sum(1, keepdims=True)).clip(1e-9)
        return Descriptions(even / length, odd / length)


def _moved(maps: np.ndarray, turn: complex, shift: complex) -> np.ndarray:
    """Return the maps (P, W) that see a picture as if it had been moved; outside, its edges repeat."""
    steps = np.arange(SIDE) - (SIDE - 1) / 2
    places = turn * (steps[None, :] + 1j * steps[:, None]).ravel() + shift
    x, y = (np.clip(part + (SIDE - 1) / 2, 0, SIDE - 1) for part in (places.real, places.imag))
    left, top = np.minimum(x.astype(int), SIDE - 2), np.minimum(y.astype(int), SIDE - 2)
    x, y = (x - left)[:, None], (y - top)[:, None]
    moved_maps = np.zeros_like(maps)
    for down, along in ((0, 1 - y), (1, y)):
        for right, across in ((0, 1 - x), (1, x)):
            np.add.at(moved_maps, (top + down) * SIDE + left + right, maps * along * across)
    return moved_maps
