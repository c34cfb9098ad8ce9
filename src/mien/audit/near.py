"""Near copies: the same photograph mirrored, brightened, recompressed, shifted, turned or zoomed.

Each face is compared with every other by a short description (`candidates`); pairs that might be
copies are laid onto each other at half size, and those that match there at full size (`align`).
The likeness of a pair is the correlation of their evened, smoothed pictures where they overlap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from mien.audit.align import Change, align, likeness, warp
from mien.audit.candidates import Candidates, find_candidates
from mien.audit.pictures import HALF, SIDE, even_smooth, resized
from mien.workers import spread

BATCH = 128  # pairs at a time
DEGREES = (-12, -6, 0, 6, 12)
ZOOMS = (0.92, 1.0, 1.08)
PIXELS = (-1.5, 0, 1.5)  # at half size
LEAST_DESCRIBED = 0.85  # likeness of descriptions, for a candidate
LEAST_HALF = 0.93  # likeness at half size
LEAST = 0.97  # likeness at full size
HALF_STEPS, FULL_STEPS = 6, 3
CHANGED_GAMMA, CHANGED_GREYS = 0.05, 1.0
STILL_DEGREES, STILL_ZOOM, STILL_PIXELS = 1.5, 0.015, 2.5  # a near copy, not an augmented one


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of one photograph, and what was done to the second one."""

    row: int
    other: int
    score: float
    mirrored: bool
    right: float  # pixels it was shifted by
    down: float
    degrees: float
    zoom: float
    gamma: float  # above 1, it is darker
    residual: float  # mean difference in greys that is left

    @property
    def augmented(self) -> bool:
        """Was it turned, zoomed or shifted by more than a resampling does?"""
        still = abs(self.degrees) <= STILL_DEGREES and abs(self.zoom - 1) <= STILL_ZOOM
        return not (still and max(abs(self.right), abs(self.down)) <= STILL_PIXELS)


def moves() -> list[tuple[complex, complex]]:
    """Return the moves that are tried, as turn and shift of `align.Change`; the first one is none."""
    turns = [np.exp(1j * np.deg2rad(degrees)) / zoom for degrees in DEGREES for zoom in ZOOMS]
    shifts = [complex(right, down) for right in PIXELS for down in PIXELS]
    tried = [(complex(turn), 0j) for turn in turns if turn != 1] + [
        (1 + 0j, shift) for shift in shifts if shift
    ]
    return [(1 + 0j, 0j), *tried]


def find_pairs(images: np.ndarray, counting: Callable) -> tuple[list[Pair], bool]:
    """Return the near copies among faces uint8 (n, S, S), the most alike first.

    The second answer is whether there were too many candidates to look at all of them. Which of
    two pictures is laid onto the other follows from their pixels, so the same pairs are found in
    whatever order the faces come, and however many others there are.

    `counting(name, total, things)` yields the things and may tell how many are done.
    """
    if len(images) < 2:
        return [], False
    order = np.array(sorted(range(len(images)), key=lambda row: blake2b(images[row].tobytes()).digest()))
    images = images[order]
    halves = _halves(images, counting)
    tried = moves()
    candidates, limited = find_candidates(
        halves, tried, LEAST_DESCRIBED, lambda total, things: counting("comparing faces", total, things)
    )
    change, kept = _matching(halves, candidates, np.array(tried, np.complex64), counting)
    candidates, change = candidates.only(kept), change.only(kept)
    del halves

    def look(start: int) -> list[Pair]:
        some = np.arange(start, min(start + BATCH, len(candidates)))
        return _verified(images, order, candidates.only(some), change.only(some))

    batches = range(0, len(candidates), BATCH)
    batches_of_pairs = counting("measuring copies", len(batches), spread(look, batches))
    pairs = [pair for some in batches_of_pairs for pair in some]
    return sorted(pairs, key=lambda pair: (-pair.score, pair.row, pair.other)), limited


def _halves(images: np.ndarray, counting: Callable) -> np.ndarray:
    """Return all faces evened, smoothed and at half size, float32 (n, HALF, HALF)."""
    halves = np.empty((len(images), HALF, HALF), np.float32)

    def fill(start: int) -> None:
        some = slice(start, start + BATCH)
        halves[some] = resized(even_smooth(images[some]), HALF)

    starts = range(0, len(images), BATCH)
    for _ in counting("reading faces", len(starts), spread(fill, starts)):
        pass
    return halves


def _matching(halves: np.ndarray, pairs: Candidates, tried: np.ndarray, counting: Callable):
    """Lay pairs onto each other at half size; return the change of each and which ones match."""

    def look(start: int) -> tuple[Change, np.ndarray]:
        some = pairs.only(slice(start, start + BATCH))
        first, second = _oriented(halves, some), halves[some.other]
        change = align(first, second, Change(*tried[some.move].T), HALF_STEPS)
        warped, inside = warp(first, change)
        return change, likeness(warped, second.reshape(len(some), -1), inside) >= LEAST_HALF

    starts = range(0, len(pairs), BATCH)
    looked = list(counting("looking at pairs", len(starts), spread(look, starts)))
    nothing = Change(np.zeros(0, np.complex64), np.zeros(0, np.complex64)), np.zeros(0, bool)
    changes, kept = zip(nothing, *looked, strict=True)
    turn, shift = (np.concatenate([getattr(c, name) for c in changes]) for name in ("turn", "shift"))
    return Change(turn, shift), np.concatenate(kept)


def _verified(images: np.ndarray, order: np.ndarray, pairs: Candidates, change: Change) -> list[Pair]:
    """Return those pairs that match at full size, too; `order` has the row that each face is to have."""
    first = even_smooth(_oriented(images, pairs))
    second = even_smooth(images[pairs.other])
    change = align(first, second, change.scaled(SIDE / HALF), FULL_STEPS)
    warped, inside = warp(first, change)
    score = likeness(warped, second.reshape(len(pairs), -1), inside)
    good = score >= LEAST
    if not good.any():
        return []
    pairs, change, score = pairs.only(good), change.only(good), score[good]
    pairs, change = _earlier_first(order, pairs, change)
    return _measured(images, order, pairs, change, score)


def _earlier_first(order: np.ndarray, pairs: Candidates, change: Change) -> tuple[Candidates, Change]:
    """Swap the pairs whose second picture is the earlier row, and turn their change round."""
    back = order[pairs.row] > order[pairs.other]
    mirrored = pairs.mirrored & back
    turn, shift = np.where(mirrored, change.turn.conj(), change.turn), change.shift
    shift = np.where(back, np.where(mirrored, shift.conj(), -shift) / turn, shift)
    row, other = (np.where(back, *two) for two in ((pairs.other, pairs.row), (pairs.row, pairs.other)))
    swapped = Candidates(row, other, pairs.move, pairs.mirrored, pairs.score)
    return swapped, Change(np.where(back, 1 / turn, turn), shift)


def _oriented(pictures: np.ndarray, pairs: Candidates) -> np.ndarray:
    """Return the pairs' first pictures, mirrored where the second one is."""
    first = pictures[pairs.row]
    return np.where(pairs.mirrored[:, None, None], first[:, :, ::-1], first)


def _measured(
    images: np.ndarray, order: np.ndarray, pairs: Candidates, change: Change, score: np.ndarray
) -> list[Pair]:
    """Measure what was done to the second picture of each pair."""
    first = resized(_oriented(images, pairs).astype(np.float32))
    second = resized(images[pairs.other].astype(np.float32)).reshape(len(pairs), -1)
    gamma, residual = _brightness(*warp(first, change), second)
    moved = -change.shift / change.turn  # where the middle of the first one went
    columns = (
        order[pairs.row],
        order[pairs.other],
        score,
        pairs.mirrored,
        moved.real,
        moved.imag,
        -np.rad2deg(np.angle(change.turn)),
        1 / np.abs(change.turn),
        gamma,
        residual,
    )
    return [Pair(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _brightness(a: np.ndarray, inside: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gammas that bring greys `a` to `b` (n, P), and the mean differences that are left."""
    x, y = (np.log(greys.clip(4, 251) / 255) * inside for greys in (a, b))
    gamma = (x * y).sum(1) / (x * x).sum(1).clip(1e-6)
    left = np.abs(255 * (a / 255) ** gamma[:, None] - b) * inside
    return gamma, left.sum(1) / inside.sum(1).clip(1)


def describe(pair: Pair) -> str:
    """Return what was done to the second picture, in words; "" where nothing can be seen."""
    changes = ["mirrored"] if pair.mirrored else []
    moves = [_move(pair.right, "right", "left"), _move(pair.down, "down", "up")]
    moves = [move for move in moves if move]
    if moves:
        changes.append(f"shifted by {' and '.join(moves)}")
    if abs(pair.degrees) > STILL_DEGREES:
        changes.append(f"turned by about {abs(pair.degrees):.0f} degrees")
    if abs(pair.zoom - 1) > STILL_ZOOM:
        changes.append(f"zoomed to {100 * pair.zoom:.0f} %")
    if abs(pair.gamma - 1) > CHANGED_GAMMA:
        changes.append(f"{'darker' if pair.gamma > 1 else 'brighter'} (gamma {pair.gamma:.2f})")
    if pair.residual > CHANGED_GREYS:
        changes.append(f"greys differ by {pair.residual:.1f}")
    return ", ".join(changes) or "greys differ by less than 1"


def _move(pixels: float, ahead: str, back: str) -> str:
    """Return a shift in whole pixels, or "" where there is none."""
    whole = round(abs(pixels))
    return f"{whole} pixel{'s' * (whole > 1)} {ahead if pixels > 0 else back}" if whole else ""
