"""Rasterizes triangles with a vectorized depth buffer. Knows nothing about faces.

Whichever order a machine adds numbers in, the pixels are the same: the winner of a pixel is the
largest of whole numbers made of depth and candidate.
"""

from dataclasses import dataclass

import numpy as np

DEPTH_STEPS = 1 << 22
EDGE = np.float32(1e-4)  # how far outside a triangle still counts, so that no seam stays open


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest triangle at each pixel that one covers."""

    pixels: np.ndarray  # int32 (P,), row * side + column
    triangles: np.ndarray  # int32 (P,), rows of the triangles given
    weights: np.ndarray  # float32 (P, 3), of the triangle's corners
    depth: np.ndarray  # float32 (P,)


def rasterize(points: np.ndarray, triangles: np.ndarray, side: int, *, both_sides: bool = False) -> Hits:
    """Return the visible pixels of triangles (T, 3) between points (V, 3): column, row and nearness, in pixels."""
    x, y, z = (np.ascontiguousarray(points[:, i]) for i in range(3))
    kept, area = _facing(x, y, triangles, both_sides)
    a, b, c = (np.ascontiguousarray(triangles[kept, i]) for i in range(3))
    left, top = x[a], y[a]
    ab_x, ab_y, ac_x, ac_y = x[b] - left, y[b] - top, x[c] - left, y[c] - top
    first_column, columns = _span(left, x[b], x[c], side)
    first_row, rows = _span(top, y[b], y[c], side)
    counts = columns * rows
    owner = np.repeat(np.arange(len(kept), dtype=np.int32), counts)
    starts = (np.cumsum(counts) - counts).astype(np.int32)
    down, across = np.divmod(np.arange(len(owner), dtype=np.int32) - starts[owner], columns[owner])
    inverse = 1 / area
    x_part, y_part = first_column + np.float32(0.5) - left, first_row + np.float32(0.5) - top
    second = _plane(owner, across, down, ac_y * inverse, -ac_x * inverse, x_part, y_part)
    third = _plane(owner, across, down, -ab_y * inverse, ab_x * inverse, x_part, y_part)
    first = 1 - second - third
    inside = np.flatnonzero(np.minimum(np.minimum(first, second), third) >= -EDGE)
    owner, first, second, third = owner[inside], first[inside], second[inside], third[inside]
    depth = first * z[a][owner] + second * z[b][owner] + third * z[c][owner]
    pixel = (first_row[owner] + down[inside]) * side + first_column[owner] + across[inside]
    winners = _nearest(pixel, depth, side)
    weights = np.stack([first[winners], second[winners], third[winners]], axis=1)
    return Hits(pixel[winners], kept[owner[winners]], weights, depth[winners])


def _facing(x: np.ndarray, y: np.ndarray, triangles: np.ndarray, both_sides: bool):
    """Return the triangles that face the camera and twice their signed areas."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    left, top = x[a], y[a]
    area = (x[b] - left) * (y[c] - top) - (x[c] - left) * (y[b] - top)  # negative in front, as rows run down
    kept = np.flatnonzero((np.abs(area) > 1e-6) if both_sides else (area < -1e-6))
    return kept, area[kept]


def _span(a: np.ndarray, b: np.ndarray, c: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel, and how many, whose middles lie between the least and the largest of three."""
    low = np.ceil(np.minimum(np.minimum(a, b), c) - np.float32(0.5))
    high = np.floor(np.maximum(np.maximum(a, b), c) - np.float32(0.5))
    low, high = np.clip(low, 0, side).astype(np.int32), np.clip(high, -1, side - 1).astype(np.int32)
    return low, np.maximum(high - low + 1, 0)


def _plane(owner, across, down, per_column, per_row, x_part, y_part) -> np.ndarray:
    """Return a linear function of the pixel, another one for each triangle."""
    start = per_column * x_part + per_row * y_part
    value = per_column[owner] * across.astype(np.float32)
    value += per_row[owner] * down.astype(np.float32)
    value += start[owner]
    return value


def _nearest(pixel: np.ndarray, depth: np.ndarray, side: int) -> np.ndarray:
    """Return the candidate that wins at each covered pixel, in the order of the pixels."""
    if not len(pixel):
        return np.zeros(0, np.int64)
    near, far = float(depth.max()), float(depth.min())
    steps = ((depth - far) * (DEPTH_STEPS / max(near - far, 1e-9))).astype(np.int64)
    keys = (steps << 32) | np.arange(len(pixel), dtype=np.int64)
    best = np.full(side * side, -1, np.int64)
    np.maximum.at(best, pixel, keys)
    return best[best >= 0] & 0xFFFFFFFF
