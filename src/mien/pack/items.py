"""The items that readers of sources yield, and the decoding of images into faces. Knows no source."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import PictureError
from mien.pictures import decode, quiet, square
from mien.workers import spread

if TYPE_CHECKING:
    from mien.faces import Finder


@dataclass(frozen=True, slots=True)
class Face:
    """A face as S*S gray bytes, row by row, with label, split (None where the source has none), source and person."""

    pixels: bytes
    label: str
    split: str | None
    source: str
    person: str = ""  # "" where the source does not say


@dataclass(frozen=True, slots=True)
class ImageItem:
    """An image that is not read yet."""

    read: Callable[[], bytes]
    label: str
    split: str | None
    source: str
    person: str = ""


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that cannot become a face of the data set, and the reason."""

    source: str
    reason: str


Item = Face | ImageItem | SkippedImage


class Digest:
    """A hash of all images of a source, in order, with their names, labels and splits."""

    def __init__(self):
        self._hash = hashlib.sha256()

    def add(self, item: ImageItem, data: bytes | None) -> None:
        """Add an image and its bytes, None where they cannot be read."""
        content = hashlib.sha256(data).hexdigest() if data is not None else ""
        person = (item.person,) if item.person else ()
        self._hash.update(repr((item.source, item.label, item.split, content, *person)).encode())

    def hexdigest(self) -> str:
        """Return the hash in hex."""
        return self._hash.hexdigest()


@dataclass(slots=True)
class FaceDecoder:
    """Decodes images into faces of one side; counts what the summary reports."""

    side: int
    finder: "Finder | None" = None  # detects the face first; None: the image is the face
    digest: Digest = field(default_factory=Digest)
    seen: Counter = field(default_factory=Counter)

    def decode(self, items: Iterable[Item]) -> Iterator[Face | SkippedImage]:
        """Yield a Face or SkippedImage for every item, in order, decoded on all cores in bounded memory."""
        with quiet():
            for kind, run in groupby(items, type):
                if kind is ImageItem:
                    pictures = (item for item in run if isinstance(item, ImageItem))
                    yield from map(self._done, spread(self._one, pictures))
                else:
                    yield from (self._resized(item) for item in run if not isinstance(item, ImageItem))

    def _one(self, item: ImageItem) -> tuple[ImageItem, bytes | None, Face | SkippedImage, tuple[str, ...]]:
        data = None
        try:
            data = item.read()
            pixels, notes = self._pixels(data)
        except PictureError as error:
            return item, data, SkippedImage(item.source, str(error)), ()
        return item, data, Face(pixels.tobytes(), item.label, item.split, item.source, item.person), notes

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

    def _done(
        self, decoded: tuple[ImageItem, bytes | None, Face | SkippedImage, tuple[str, ...]]
    ) -> Face | SkippedImage:
        item, data, outcome, notes = decoded
        self.digest.add(item, data)
        self.seen.update(notes)
        return outcome

    def _resized(self, item: Face | SkippedImage) -> Face | SkippedImage:
        if isinstance(item, SkippedImage) or len(item.pixels) == self.side**2:
            return item
        side = math.isqrt(len(item.pixels))
        pixels = square(np.frombuffer(item.pixels, np.uint8).reshape(side, side), self.side)
        return replace(item, pixels=pixels.tobytes())


def digest_of(items: Iterable[Item]) -> str:
    """Return the digest that decoding these items would give, without decoding any image."""
    digest = Digest()
    for item in items:
        if isinstance(item, ImageItem):
            try:
                data = item.read()
            except PictureError:
                data = None
            digest.add(item, data)
    return digest.hexdigest()
