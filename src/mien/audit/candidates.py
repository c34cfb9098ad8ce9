"""Pairs of faces that might be copies: all against all by short descriptions, in blocks.

Time grows with the square of the number of faces, memory does not. Products are taken in tiles
of 64 by 64, which a core's cache holds and for which the library starts no threads of its own;
the threads are ours, a block of faces each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mien.audit.descriptors import Describer, Descriptions
from mien.workers import spread

TILE = 64
ROWS, OTHERS = 512, 1024  # faces of a block of products
DESCRIBED = 4096  # faces that are described at a time, moved in every way
MOST_CANDIDATES = 300_000  # beyond these, only the most alike are looked at


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pairs of rows that look alike, each with the move and mirroring under which they do most."""

    row: np.ndarray  # int32 (n,)
    other: np.ndarray  # int32 (n,), always after `row`
    move: np.ndarray  # int16 (n,), a number of the moves that were tried
    mirrored: np.ndarray  # bool (n,)
    score: np.ndarray  # float32 (n,)

    def __len__(self) -> int:
        return len(self.row)

    def only(self, rows) -> "Candidates":
        """Return some of the pairs."""
        return Candidates(*(getattr(self, name)[rows] for name in self.__slots__))


def find_candidates(
    halves: np.ndarray, moves: Sequence[tuple[complex, complex]], least: float, counting: Callable
) -> tuple[Candidates, bool]:
    """Return the pairs of faces that are alike by more than `least` under one of `moves`.

    The second answer is whether there were too many, so that only the most alike are among them.

    `halves` are evened pictures, float32 (n, HALF, HALF). A move is a (turn, shift) as in
    `align.Change`, at half size; the first one must be (1, 0), which is none.
    `counting(total, things)` yields the things and may tell how many are done.
    """
    describers = [Describer(*move) for move in moves]
    plain = _tiled(describers[0](halves), -len(halves) % OTHERS)
    blocks, count, total = [], 0, 0
    for block in counting(-(-len(halves) // ROWS), _blocks(halves, describers, plain, least)):
        blocks.append(block)
        count += len(block)
        total += len(block)
        if count > 2 * MOST_CANDIDATES:
            blocks = [_best(_joined(blocks))]
            count = len(blocks[0])
    return _best(_joined(blocks)), total > MOST_CANDIDATES


def _blocks(halves, describers: Sequence[Describer], plain, least: float) -> Iterator[Candidates]:
    """Yield the candidates of one block of faces after the other."""
    for start in range(0, len(halves), DESCRIBED):
        some = halves[start : start + DESCRIBED]
        queries = [_tiled(describe(some), -len(some) % ROWS) for describe in describers]

        def block(first: int, queries=queries, start=start) -> Candidates:
            tiles = slice(first // TILE, (first + ROWS) // TILE)
            own = [[part[tiles].transpose(0, 2, 1)[:, None] for part in query] for query in queries]
            return _block(own, start + first, plain, least)

        yield from spread(block, range(0, len(some), ROWS))


def _tiled(described: Descriptions, fill: int) -> list[np.ndarray]:
    """Return the even and odd parts as tiles (T, waves, TILE), filled up with zeros."""
    padded = (np.pad(part, ((0, fill), (0, 0))) for part in (described.even, described.odd))
    tiles = (part.reshape(-1, TILE, part.shape[1]).transpose(0, 2, 1) for part in padded)
    return [np.ascontiguousarray(part) for part in tiles]


def _block(queries, start: int, plain, least: float) -> Candidates:
    """Return the candidates between a block of faces, moved in each way, and all faces after them."""
    room = _Room()
    parts = []
    for first in range(start // OTHERS * OTHERS, len(plain[0]) * TILE, OTHERS):
        targets = [part[None, first // TILE : (first + OTHERS) // TILE] for part in plain]
        here = [room.above(query, targets, least, move) for move, query in enumerate(queries)]
        pairs = _once(_joined([some for some in here if len(some)]))
        pairs = Candidates(pairs.row + start, pairs.other + first, pairs.move, pairs.mirrored, pairs.score)
        parts.append(pairs.only(pairs.other > pairs.row))
    return _joined(parts)


class _Room:
    """Memory for one block of products after the other; fresh memory each time would take as long."""

    def __init__(self):
        shape = (ROWS // TILE, OTHERS // TILE, TILE, TILE)
        self._even, self._odd, self._both = (np.empty(shape, np.float32) for _ in range(3))
        self._above = np.empty(shape, bool)

    def above(self, query, targets, least: float, move: int) -> Candidates:
        """Return the pairs of a block, counted from its first ones, whose likeness exceeds `least`."""
        np.matmul(query[0], targets[0], out=self._even)
        np.matmul(query[1], targets[1], out=self._odd)
        np.abs(self._odd, out=self._both)
        np.add(self._both, self._even, out=self._both)
        np.greater(self._both, least, out=self._above)
        places = np.flatnonzero(self._above)
        above, right, row, other = np.unravel_index(places, self._both.shape)
        return Candidates(
            row=(above * TILE + row).astype(np.int32),
            other=(right * TILE + other).astype(np.int32),
            move=np.full(len(places), move, np.int16),
            mirrored=self._odd.ravel()[places] < 0,
            score=self._both.ravel()[places],
        )


def _joined(parts: Sequence[Candidates]) -> Candidates:
    if not parts:
        kinds = (np.int32, np.int32, np.int16, bool, np.float32)
        return Candidates(*(np.zeros(0, kind) for kind in kinds))
    return Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in Candidates.__slots__))


def _once(pairs: Candidates) -> Candidates:
    """Keep each pair once, as it is most alike."""
    order = np.lexsort((-pairs.score, pairs.other, pairs.row))
    row, other = pairs.row[order], pairs.other[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (row[1:] != row[:-1]) | (other[1:] != other[:-1])
    return pairs.only(order[fresh])


def _best(pairs: Candidates) -> Candidates:
    """Keep the most alike where there are too many."""
    if len(pairs) <= MOST_CANDIDATES:
        return pairs
    return pairs.only(np.sort(np.argsort(-pairs.score, kind="stable")[:MOST_CANDIDATES]))
