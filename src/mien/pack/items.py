"""What readers of sources yield, and how pictures among it become faces. Knows no source."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from mien.errors import PictureError
from mien.pictures import decode, quiet, square
from mien.workers import spread


@dataclass(frozen=True, slots=True)
class Face:
    """A face in S*S grey bytes, with label, split (None where the source tells none) and where it stood."""

    pixels: bytes
    label: str
    split: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that is yet to be read."""

    read: Callable[[], bytes]
    label: str
    split: str | None
    source: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that cannot be a face of the data set, and why."""

    source: str
    reason: str


Item = Face | Found | LeftOut


class Digest:
    """A hash of all pictures of a source, in its order, with what they are called and mean."""

    def __init__(self):
        self._hash = hashlib.sha256()

    def add(self, item: Found, data: bytes | None) -> None:
        """Take in a picture and its bytes, None where they cannot be read."""
        content = hashlib.sha256(data).hexdigest() if data is not None else ""
        self._hash.update(repr((item.source, item.label, item.split, content)).encode())

    def hexdigest(self) -> str:
        """Return the hash in hex."""
        return self._hash.hexdigest()


@dataclass(slots=True)
class Developer:
    """Turns pictures into faces of one side; counts what a reader of the summary should know."""

    side: int
    finder: object = None  # a faces.Finder where the face is to be found first
    digest: Digest = field(default_factory=Digest)
    seen: Counter = field(default_factory=Counter)

    def develop(self, items: Iterable[Item]) -> Iterator[Face | LeftOut]:
        """Yield a Face or LeftOut for every item, in order, decoded on all cores in bounded memory."""
        with quiet():
            for is_picture, run in groupby(items, lambda item: isinstance(item, Found)):
                if is_picture:
                    yield from map(self._done, spread(self._one, run))
                else:
                    yield from map(self._resized, run)

    def _one(self, item: Found) -> tuple[Found, bytes | None, Face | LeftOut, tuple[str, ...]]:
        data = None
        try:
            data = item.read()
            pixels, notes = self._pixels(data)
        except PictureError as fault:
            return item, data, LeftOut(item.source, str(fault)), ()
        return item, data, Face(pixels.tobytes(), item.label, item.split, item.source), notes

    def _pixels(self, data: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        picture = decode(data, color=self.finder is not None)
        notes = ("animated",) if picture.animated else ()
        if self.finder is not None:
            from mien.faces import align

            faces = self.finder.find(picture.pixels)
            if not faces:
                raise PictureError("no face found")
            return align(picture.pixels, faces[0], self.side), notes + ("several faces",) * (len(faces) > 1)
        height, width = picture.pixels.shape
        notes += ("not square",) * (height != width) + ("enlarged",) * (min(height, width) < self.side)
        return square(picture.pixels, self.side), notes

    def _done(self, developed: tuple[Found, bytes | None, Face | LeftOut, tuple[str, ...]]) -> Face | LeftOut:
        item, data, outcome, notes = developed
        self.digest.add(item, data)
        self.seen.update(notes)
        return outcome

    def _resized(self, item: Face | LeftOut) -> Face | LeftOut:
        if isinstance(item, LeftOut) or len(item.pixels) == self.side**2:
            return item
        side = math.isqrt(len(item.pixels))
        pixels = square(np.frombuffer(item.pixels, np.uint8).reshape(side, side), self.side)
        return replace(item, pixels=pixels.tobytes())


def digest_of(items: Iterable[Item]) -> str:
    """Return the digest that developing these items would give, without decoding any picture."""
    digest = Digest()
    for item in items:
        if isinstance(item, Found):
            try:
                data = item.read()
            except PictureError:
                data = None
            digest.add(item, data)
    return digest.hexdigest()
