"""Faces made comparable: one size, brightness evened out, lightly smoothed. Knows nothing about copies.

Evening out is histogram equalization whose slope is limited, so that any change of brightness
or gamma drops out and the noise of an even background is not blown up to a pattern.
"""

import numpy as np

SIDE = 48  # pixels; other sizes are brought to it
HALF = SIDE // 2
SIGMA = 1.0  # pixels, of the blur that makes recompressed pictures alike
STEEPEST = 3.0  # most that evening out may stretch a grey, 1 being no change
LEVELS = 256


def even_smooth(images: np.ndarray) -> np.ndarray:
    """Return faces uint8 (n, S, S) evened out and smoothed, float32 (n, SIDE, SIDE)."""
    return smoothed(evened(images), SIGMA)


def evened(images: np.ndarray) -> np.ndarray:
    """Return faces uint8 (n, S, S) as float32 (n, SIDE, SIDE) in 0..1 with their histograms evened out."""
    count, side = len(images), images.shape[1]
    place = np.arange(count, dtype=np.int64)[:, None] * LEVELS + images.reshape(count, -1)
    levels = np.bincount(place.ravel(), minlength=count * LEVELS).reshape(count, LEVELS)
    levels = np.minimum(levels, STEEPEST * side * side / LEVELS)
    upto = np.cumsum(levels, 1)
    table = ((upto - levels / 2) / upto[:, -1:]).astype(np.float32)
    return resized(table.ravel()[place].reshape(images.shape))


def resized(pictures: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return float pictures (n, S, S) as (n, side, side): averaged when made smaller, else interpolated."""
    if pictures.shape[1] == side:
        return pictures
    matrix = _resizing(pictures.shape[1], side)
    return matrix @ pictures @ matrix.T


def smoothed(pictures: np.ndarray, sigma: float) -> np.ndarray:
    """Return pictures (n, S, S) after a Gaussian blur whose edges repeat."""
    matrix = _smoothing(pictures.shape[1], sigma)
    return matrix @ pictures @ matrix.T


def _resizing(old: int, new: int) -> np.ndarray:
    """Return the matrix (new, old) of triangular weights, wide enough that no pixel is skipped."""
    places = (np.arange(new) + 0.5) * old / new - 0.5
    reach = max(1.0, old / new)
    weights = np.maximum(0, 1 - np.abs(np.clip(places, 0, old - 1)[:, None] - np.arange(old)) / reach)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _smoothing(side: int, sigma: float) -> np.ndarray:
    reach = int(np.ceil(3 * sigma))
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    matrix = np.zeros((side, side))
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        np.add.at(matrix, (np.arange(side), np.clip(np.arange(side) + step, 0, side - 1)), weight)
    return matrix.astype(np.float32)
