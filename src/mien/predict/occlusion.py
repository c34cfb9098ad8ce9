"""Where a network looks, told from outside: hide a place, see the probability fall. Knows no network.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2: a grey square is moved over
the picture. Here the squares overlap, and a pixel gets the mean fall of those around it, the nearer ones weighing more.
"""

from collections.abc import Callable

import numpy as np

ACROSS = 4  # squares side by side
STEPS = 12  # from one edge to the other, that a square takes
REACH = 2  # steps from a pixel to the middles of squares that count


def occlusion(face: np.ndarray, probability: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return how much hiding each place of a face lowers a probability, float32 (S, S).

    `face` is uint8 (S, S); `probability` takes faces uint8 (N, S, S) and returns (N,). The face's mean grey hides.
    Where hiding raises the probability the map is negative.
    """
    side = len(face)
    middles = np.linspace(0, side, STEPS + 1)
    away = np.abs(np.arange(side) + 0.5 - middles[:, None])  # (STEPS + 1, S)
    squares = _everywhere(away < side / ACROSS / 2)
    hidden = np.where(squares, np.uint8(np.rint(face.mean())), face)
    whole, *rest = probability(np.concatenate([face[None], hidden]))
    falls = (whole - np.array(rest)).astype(np.float64)
    weights = _everywhere(np.clip(1 - away * STEPS / side / REACH, 0, None))
    return (np.tensordot(falls, weights, 1) / weights.sum(0)).astype(np.float32)


def _everywhere(along: np.ndarray) -> np.ndarray:
    """Return the products of two rows each, one along y and one along x, (n * n, S, S) of (n, S)."""
    return (along[:, None, :, None] * along[None, :, None, :]).reshape(-1, *2 * along.shape[1:])


def most(places: np.ndarray, share: float) -> np.ndarray:
    """Return the share of pixels where a map (S, S) is highest, bool (S, S); of equals the first ones."""
    chosen = np.zeros(places.size, bool)
    chosen[np.argsort(-places.ravel(), kind="stable")[: round(share * places.size)]] = True
    return chosen.reshape(places.shape)
