"""Lays one face onto another: finds shift, turn and zoom, and how alike the two are then.

The method is inverse compositional alignment (Baker and Matthews 2004) of many pairs at once. A
change is two complex numbers by pair, z -> turn * z + shift, with z = x + iy from the middle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_INSIDE = 0.5  # share of a picture that must still lie on the other


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What was done to the second pictures of n pairs: where in the first a pixel of theirs comes from."""

    turn: NDArray[np.complex64]  # (n,), its length 1 / zoom, its angle the rotation
    shift: NDArray[np.complex64]  # (n,), pixels

    def only(self, rows: np.ndarray) -> "Change":
        """Return the change of some of the pairs."""
        return Change(self.turn[rows], self.shift[rows])

    def scaled(self, factor: float) -> "Change":
        """Return the same change for pictures that are larger by `factor`."""
        return Change(self.turn, self.shift * np.float32(factor))


def align(first: np.ndarray, second: np.ndarray, start: Change, steps: int) -> Change:
    """Refine `start` so that `first`, changed, becomes most like `second`; both float32 (n, S, S)."""
    grid = _grid(second.shape[1])
    downhill, inverse = _steepest(second, grid)
    turn, shift = start.turn.copy(), start.shift.copy()
    target = second.reshape(len(second), -1)
    for _ in range(steps):
        warped, inside = warp(first, Change(turn, shift))
        error = _standard(warped, inside) - _standard(target, inside)
        error *= inside
        scale = _spread(target, inside)
        step = np.einsum("nij,nj->ni", inverse, np.einsum("nkp,np->nk", downhill, error)) * scale[:, None]
        by, to = 1 + step[:, 0] + 1j * step[:, 1], step[:, 2] + 1j * step[:, 3]
        turn = (turn / by).astype(np.complex64)
        shift = (shift - turn * to).astype(np.complex64)
    return Change(turn, shift)


def warp(pictures: np.ndarray, change: Change) -> tuple[np.ndarray, np.ndarray]:
    """Return the changed pictures (n, S * S), bilinear, and float32 1 where a pixel came from inside."""
    count, side = pictures.shape[:2]
    x, y = _places(change, side)
    inside = (x > -0.01) & (y > -0.01) & (x < side - 0.99) & (y < side - 0.99)
    np.clip(x, 0, side - 1.001, out=x)
    np.clip(y, 0, side - 1.001, out=y)
    left, top = x.astype(np.int64), y.astype(np.int64)
    x -= left
    y -= top
    place = top * side
    place += left
    place += np.arange(count)[:, None] * (side * side)
    flat = np.ascontiguousarray(pictures).reshape(-1)
    upper, lower = (_between(flat, place + down, x) for down in (0, side))
    lower -= upper
    lower *= y
    lower += upper
    return lower, inside.astype(np.float32)


def _places(change: Change, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the column and row, float32 (n, S * S), that each pixel comes from."""
    grid, middle = _grid(side), (side - 1) / 2
    real, imag = change.turn.real[:, None], change.turn.imag[:, None]
    x = real * grid.real - imag * grid.imag
    x += change.shift.real[:, None] + np.float32(middle)
    y = imag * grid.real + real * grid.imag
    y += change.shift.imag[:, None] + np.float32(middle)
    return x, y


def _between(flat: np.ndarray, place: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the greys a share of the way from each place to the next one on its right."""
    left, right = flat.take(place), flat.take(place + 1)
    right -= left
    right *= share
    right += left
    return right


def likeness(a: np.ndarray, b: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the correlation of pictures (n, P) over the pixels inside; 0 where too few are."""
    product = (_standard(a, inside) * _standard(b, inside) * inside).sum(1) / inside.sum(1).clip(1)
    return np.where(inside.mean(1) >= FEWEST_INSIDE, product, 0)


def _grid(side: int) -> NDArray[np.complex64]:
    steps = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    return (steps[None, :] + 1j * steps[:, None]).astype(np.complex64).ravel()


def _spread(pictures: np.ndarray, inside: np.ndarray) -> np.ndarray:
    total = inside.sum(1).clip(1)
    mean = (pictures * inside).sum(1) / total
    return np.sqrt(((pictures**2 * inside).sum(1) / total - mean**2).clip(1e-12))


def _standard(pictures: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return pictures with mean 0 and spread 1 over the pixels inside."""
    total = inside.sum(1, keepdims=True).clip(1)
    centred = pictures - (pictures * inside).sum(1, keepdims=True) / total
    return centred / np.sqrt((centred**2 * inside).sum(1, keepdims=True) / total).clip(1e-6)


def _steepest(pictures: np.ndarray, grid: NDArray[np.complex64]) -> tuple[np.ndarray, np.ndarray]:
    """Return how pictures change with turn and shift, (n, 4, P), and the inverse of its square."""
    down, right = np.gradient(pictures, axis=(1, 2))
    down, right = down.reshape(len(pictures), -1), right.reshape(len(pictures), -1)
    x, y = grid.real, grid.imag
    steepest = np.stack([right * x + down * y, down * x - right * y, right, down], axis=1)
    square = steepest @ steepest.transpose(0, 2, 1)
    square += np.eye(4, dtype=np.float32) * (1e-4 * np.trace(square, axis1=1, axis2=2)[:, None, None] + 1e-9)
    return steepest, np.linalg.inv(square)
