"""The contact sheet: one HTML page of pictures with their faces and predicted expressions. Reads no picture.

A page is kept small, so that any browser opens it: pictures are embedded as thumbnails of few bytes, and what does not
fit into `MOST_BYTES` any more is counted in the totals alone.
"""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mien.model import Model, facts
from mien.pages import render
from mien.pages.tables import Table
from mien.predict.annotate import Box, label_places, overlap
from mien.predict.answer import LIMITS, Answer
from mien.predict.recognizer import UNCERTAIN, FaceExpression
from mien.predict.rows import in_words
from mien.text import many, percent, thousands

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 5_000_000  # of a page, with all that it embeds
MOST_FACES = 60  # that a page shows of one picture
LEAST_THUMBNAIL, MOST_THUMBNAIL = 4_000, 24_000  # bytes of a picture, the fewer the more pictures there are
EMBEDDED_SHARE = 0.5  # of a page's bytes, what thumbnails may take before base64 makes a third more of them
# Long side in pixels and quality of WebP, until one is small enough.
SIDES, QUALITIES = (
    (560, 560, 480, 400, 360, 300, 260, 200, 150, 100),
    (75, 55, 45, 35, 25, 20, 15, 15, 15, 15),
)
CROWD, CROWD_SIDE, CROWD_BYTES = 4, 1.75, 4  # so many faces get a thumbnail so many times as large
CROP_QUALITY = 70  # of a face, as WebP
MARKUP, FACE_MARKUP, CLASS_MARKUP = 320, 430, 55  # bytes of each, beside what is embedded
FRAME_BYTES = 25_000  # of the page around the pictures
TEXT = 12  # pixels, the size of a label in a thumbnail
PLATE = 16  # pixels, the height of what lies under it


@dataclass(frozen=True, slots=True)
class Bar:
    """A class's probability in the page."""

    label: str
    share: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Label:
    """What stands beside a face's box, in pixels of the thumbnail."""

    text: str
    left: float
    top: float
    width: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A face in the page; its box (left, top, width, height) is in pixels of the thumbnail."""

    number: int
    words: str
    certain: bool
    uri: str
    box: Box
    label: Label
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture in the page, or the problem that kept it from being classified."""

    name: str
    problem: str = ""
    uri: str = ""
    width: int = 0
    height: int = 0
    faces: Sequence[Shown] = ()
    all_faces: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it takes in the page."""
        faces = sum(len(face.uri) + FACE_MARKUP + CLASS_MARKUP * len(face.bars) for face in self.faces)
        texts = 2 * len(escape(self.name).encode()) + len(escape(self.problem).encode())
        return MARKUP + texts + len(self.uri) + faces


class Sheet:
    """The pictures of a page, in the order in which they are added, while there is room for them."""

    def __init__(self) -> None:
        self.photos: list[Photo] = []
        self._bytes = FRAME_BYTES
        self._full = False

    def add(self, answer: Answer) -> None:
        """Keep what the page shows of a picture."""
        if self._full:
            return
        shown = photo(answer)
        self._bytes += shown.size
        self._full = self._bytes > MOST_BYTES
        if not self._full:
            self.photos.append(shown)


def thumbnail_bytes(pictures: int) -> int:
    """Return how large a thumbnail may be where there are so many pictures, so that a page has room for about 500."""
    return round(min(MOST_THUMBNAIL, max(LEAST_THUMBNAIL, EMBEDDED_SHARE * MOST_BYTES / max(1, pictures))))


def thumbnail(pixels: np.ndarray, faces: int, most_bytes: int) -> bytes:
    """Return a picture uint8 (H, W) or (H, W, 3) with so many faces as a small WebP file, never larger than it is."""
    from PIL import Image

    image, data = Image.fromarray(pixels).convert("RGB"), b""
    larger, most = (CROWD_SIDE, CROWD_BYTES * most_bytes) if faces >= CROWD else (1, most_bytes)
    for side, quality in zip(SIDES, QUALITIES, strict=True):
        factor = min(1.0, larger * side / max(image.size))
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=3)
        data = _webp(image, quality)
        if len(data) <= most:
            break
    return data


def _webp(image: "Image", quality: int) -> bytes:
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=4)
    return data.getvalue()


def photo(answer: Answer) -> Photo:
    """Return a picture as the page shows it."""
    from PIL import Image

    name = answer.source.shown
    if answer.problem:
        return Photo(name, answer.problem)
    with Image.open(io.BytesIO(answer.small)) as small:
        width, height = small.size
    scale = width / answer.size[0]
    faces = answer.faces[:MOST_FACES]
    boxes = [_scaled(face.box, scale) for face in faces]
    numbers = range(1, len(faces) + 1)
    labels = _labels(faces, boxes, (width, height))
    shown = [_shown(*one) for one in zip(numbers, faces, boxes, labels, strict=True)]
    return Photo(name, "", _uri(answer.small), width, height, shown, len(answer.faces))


def _scaled(box: Box, scale: float) -> Box:
    left, top, width, height = (round(value * scale, 1) for value in box)
    return left, top, width, height


def _shown(number: int, face: FaceExpression, box: Box, label: Label) -> Shown:
    from PIL import Image

    bars = [Bar(name, p, name == face.label) for name, p in face.probabilities.items()]
    crop = _uri(_webp(Image.fromarray(face.crop), CROP_QUALITY))
    return Shown(number, in_words(face), face.certain, crop, box, label, bars)


def _uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _labels(faces: Sequence[FaceExpression], boxes: Sequence[Box], size: tuple[int, int]) -> list[Label]:
    """Return the label of each box: its expression with its confidence, or less where that would cover other labels."""
    numbers = [f"{n} " if len(faces) > 1 else "" for n in range(1, len(faces) + 1)]
    corners = [(left, top, left + width, top + height) for left, top, width, height in boxes]
    texts, places = [], []
    for words in ([*map(in_words, faces)], [face.label for face in faces], [""] * len(faces)):
        texts = [f"{number}{text}".strip() for number, text in zip(numbers, words, strict=True)]
        places = label_places(corners, [(_text_width(text), PLATE) for text in texts], size)
        if _apart(places):
            break
    return [Label(text, round(place[0], 1), round(place[1], 1), round(place[2] - place[0], 1))
            for text, place in zip(texts, places, strict=True)]  # fmt: skip


def _apart(places: Sequence[Box]) -> bool:
    return all(not overlap(one, other) for one, other in combinations(places, 2))


def _text_width(text: str) -> int:
    """Return the width of a label's plate in pixels; the page fits the text into it."""
    from PIL import ImageFont

    return round(1.1 * ImageFont.load_default(TEXT).getlength(text)) + 9


def page_of(sheet: Sheet, counts: Counter[str], labels: Counter[str], model: Model, card: str) -> str:
    """Return the page's HTML.

    `counts` are all pictures, faces, empty and failed ones, also those that the sheet had no room for, `labels` the
    faces by their labels.
    """
    rows = [(label, thousands(labels[label]), percent(labels[label] / max(1, counts["faces"])))
            for label in (*model.labels, UNCERTAIN)]  # fmt: skip
    totals = [
        ("pictures", "pictures"),
        ("faces", "faces"),
        ("empty", "pictures without a face"),
        ("failed", "pictures that could not be used"),
    ]
    return render(
        "mien.predict",
        "report.html",
        title=f"{many(counts['faces'], 'face')} in {many(counts['pictures'], 'picture')}",
        limits=LIMITS,
        card=card,
        photos=sheet.photos,
        counts=counts,
        totals=Table(
            "Pictures and faces",
            ("", "number"),
            [("", [(words, thousands(counts[key])) for key, words in totals])],
        ),
        table_of_labels=Table("Faces by predicted expression", ("", "faces", "share"), [("", rows)]),
        model=Table(f"The model, {model.name}", ("", ""), [("", facts(model))]),
        threshold=model.threshold,
        plate=PLATE,
        text=TEXT,
    )
