"""The textures that all heads share, in the base head's coordinates: lines, brows, beards, hairline, noise.

Knows no person. The layers lie on a grid over |x| and y of the front of the base head, so they follow
every expression and every identity.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mien.render.draw import Draw
from mien.render.shapes import shapes

CELL = 0.01  # dm
WIDEST, LOWEST, HIGHEST = 1.2, 5.8, 8.4  # dm: |x| up to, y from and to
LINES = {  # name -> (half-width in dm, lines as points |x|, y)
    "nasolabial": (0.036, [[(0.16, 6.93), (0.24, 6.85), (0.32, 6.72), (0.35, 6.62)]]),
    "glabella": (0.02, [[(0.06, 7.40), (0.068, 7.47), (0.062, 7.54)]]),
    "root": (0.016, [[(0.0, 7.36), (0.06, 7.355)], [(0.0, 7.29), (0.055, 7.285)], [(0.05, 7.2), (0.12, 7.14)]]),
    "forehead": (0.016, [[(0.0, 7.70), (0.25, 7.72), (0.48, 7.68)], [(0.0, 7.80), (0.25, 7.825), (0.46, 7.79)],
                         [(0.0, 7.90), (0.3, 7.92), (0.42, 7.89)]]),
    "crow": (0.014, [[(0.53, 7.31), (0.66, 7.38)], [(0.54, 7.28), (0.70, 7.28)], [(0.53, 7.25), (0.65, 7.17)]]),
    "pouch": (0.02, [[(0.16, 7.2), (0.22, 7.145), (0.32, 7.12), (0.44, 7.16)]]),
    "crease": (0.013, [[(0.17, 7.32), (0.22, 7.37), (0.31, 7.395), (0.41, 7.37), (0.47, 7.32)]]),
    "chin": (0.03, [[(0.0, 6.43), (0.08, 6.425), (0.14, 6.40)]]),
    "corner": (0.024, [[(0.25, 6.585), (0.28, 6.55), (0.285, 6.49)]]),
    "nostril": (0.026, [[(0.062, 6.868), (0.10, 6.862)]]),
}  # fmt: skip
BROW = [(0.085, 7.468), (0.2, 7.487), (0.34, 7.505), (0.45, 7.492), (0.57, 7.425)]
FOLD_LINES = tuple(name for name in LINES if name != "nostril")
LAYERS = (
    *LINES,
    "brow_along",
    "brow_across",
    "beard",
    "moustache",
    "cheek",
    *(f"tilt_{n}" for n in FOLD_LINES),
)
LIP_OF_FOLD = 2  # cells between a fold and where it tilts the skin
HAIRLINE = ((0, 7.92), (0.3, 7.9), (0.5, 7.84), (0.7, 7.68), (0.9, 7.42), (1.12, 7.2), (1.25, 7.12), (1.4, 7.0),
            (1.6, 6.75), (2.0, 6.45), (3.2, 6.35))  # fmt: skip
NOISE_SIDE = 256


@dataclass(frozen=True, slots=True)
class Textures:
    """All textures."""

    layers: np.ndarray  # float32 (rows, columns, LAYERS), values 0..1; brow_across in dm
    above_hairline: np.ndarray  # float32 (V,), dm
    noise: np.ndarray  # float32 (256, 256), periodic, mean 0 and deviation 1; cells of a pixel
    smooth: np.ndarray  # the same, of larger spots


@lru_cache(maxsize=1)
def textures() -> Textures:
    """Return the textures, computed once."""
    y, x = np.mgrid[LOWEST:HIGHEST:CELL, 0:WIDEST:CELL]
    layers = [np.exp(-((_distance(x, y, lines) / width) ** 2)) for width, lines in LINES.values()]
    along, across = _brow(x, y)
    layers += [
        along,
        across,
        _beard(x, y),
        _moustache(x, y),
        np.exp(-(((x - 0.4) / 0.2) ** 2 + ((y - 6.95) / 0.17) ** 2)),
    ]
    layers += [np.roll(layer, LIP_OF_FOLD, axis=0) - layer for layer in layers[: len(FOLD_LINES)]]
    fine = Draw(0, "texture").noise(NOISE_SIDE, NOISE_SIDE)
    smooth = _spread(fine, 3) + _spread(fine, 7) + _spread(fine, 15)
    base = shapes().base
    angle = np.abs(np.arctan2(base[:, 0], base[:, 2] - 0.3))
    above = base[:, 1] - np.interp(angle, [x for x, _ in HAIRLINE], [y for _, y in HAIRLINE])
    return Textures(
        layers=np.stack(layers, axis=2).astype(np.float32),
        above_hairline=above.astype(np.float32),
        noise=_spread(fine, 1).astype(np.float32),
        smooth=(smooth / smooth.std()).astype(np.float32),
    )


def _distance(x: np.ndarray, y: np.ndarray, lines) -> np.ndarray:
    """Return the distance to the nearest of some lines."""
    nearest = np.full(x.shape, 9.0)
    for points in lines:
        for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
            along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
            along = np.clip(along, 0, 1)
            nearest = np.minimum(nearest, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    return nearest


def _brow(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far along the brow a place is, 0 at its inner end and 1 at its outer, and how far above it."""
    xs, ys = zip(*BROW, strict=True)
    return (x - xs[0]) / (xs[-1] - xs[0]), y - np.interp(x, xs, ys)


def _beard(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    upper = np.interp(x, (0, 0.2, 0.3, 0.45, 0.6, 0.72), (6.47, 6.5, 6.6, 6.66, 6.9, 7.2))
    return _step((upper - y) / 0.06)


def _moustache(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (
        _step((0.31 - x) / 0.05) * _step((6.845 - 0.3 * x - y) / 0.04) * _step((y - 6.62 + 0.5 * x**2) / 0.04)
    )


def _step(t: np.ndarray) -> np.ndarray:
    t = np.clip(t * 0.5 + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _spread(noise: np.ndarray, radius: int) -> np.ndarray:
    """Return periodic noise averaged over squares, twice, with mean 0 and deviation 1."""
    for _ in range(2):
        for axis in (0, 1):
            shifted = (np.roll(noise, shift, axis) for shift in range(-radius, radius + 1))
            noise = sum(shifted, start=np.zeros_like(noise)) / (2 * radius + 1)
    return (noise - noise.mean()) / noise.std()


def layers_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the layers, float32 (P, LAYERS), at places of the base head."""
    table = textures().layers
    column = np.minimum((np.abs(x) * (1 / CELL)).astype(np.int32), table.shape[1] - 1)
    row = np.clip(((y - LOWEST) * (1 / CELL)).astype(np.int32), 0, table.shape[0] - 1)
    return table.reshape(-1, table.shape[2]).take(row * table.shape[1] + column, axis=0)


def noise_at(table: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return periodic noise at places given in its pixels."""
    column, row = (np.floor(place).astype(np.int32) & (NOISE_SIDE - 1) for place in (u, v))
    return table.reshape(-1).take(row * NOISE_SIDE + column)
