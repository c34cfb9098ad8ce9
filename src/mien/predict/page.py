"""The contact sheet: one HTML page of pictures, their faces and what is read in each. Reads no picture."""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien import __version__
from mien.model import Model, facts
from mien.pages import render
from mien.pages.faces import data_uri
from mien.pages.tables import Table
from mien.predict.answer import LIMITS, Answer
from mien.predict.recognizer import UNCERTAIN, ReadFace
from mien.predict.rows import in_words
from mien.text import many, percent, thousands

MOST_PICTURES, MOST_FACES = 300, 60  # that a page shows, of all and of one picture
SMALL_SIDE = 560  # pixels of a picture's long side in the page
QUALITY = 82  # of these, as JPEG
TEXT = (13, 20)  # pixels of a picture so large, the smallest and largest number beside a box


@dataclass(frozen=True, slots=True)
class Bar:
    """A class's probability in the page."""

    label: str
    share: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A face in the page; its box is in pixels of the picture that is shown."""

    number: int
    words: str
    certain: bool
    uri: str
    box: tuple[float, float, float, float]
    text: int  # the height of its number, in the same pixels
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture in the page."""

    name: str
    uri: str
    width: int
    height: int
    faces: Sequence[Shown]
    all_faces: int


def small_size(width: int, height: int) -> tuple[int, int]:
    """Return how large a picture is shown: within `SMALL_SIDE`, never larger than it is."""
    factor = min(1.0, SMALL_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def shrunk(pixels: np.ndarray):
    """Return a picture uint8 (H, W) or (H, W, 3) as it is shown, a Pillow image."""
    from PIL import Image

    size = small_size(pixels.shape[1], pixels.shape[0])
    return Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.BOX, reducing_gap=3)


def photo(answer: Answer) -> Photo:
    """Return a picture as the page shows it."""
    width, height = small_size(*answer.size)
    scale = width / answer.size[0]
    faces = [_shown(n, face, scale) for n, face in enumerate(answer.faces[:MOST_FACES], start=1)]
    uri = "data:image/jpeg;base64," + base64.b64encode(answer.small).decode()
    return Photo(answer.source.shown, uri, width, height, faces, len(answer.faces))


def _shown(number: int, face: ReadFace, scale: float) -> Shown:
    bars = [Bar(label, p, label == face.label) for label, p in face.probabilities.items()]
    box = tuple(round(value * scale, 1) for value in face.box)
    text = round(min(TEXT[1], max(TEXT[0], 0.3 * box[2])))
    return Shown(number, in_words(face), face.certain, data_uri(face.crop), box, text, bars)


def page(
    photos: Sequence[Photo],
    problems: Sequence[tuple[str, str]],
    counts: Counter,
    labels: Counter,
    model: Model,
    card: str,
) -> str:
    """Return the page's HTML.

    `photos` are the first ones, `problems` name and reason of those that could not be used, `counts` all pictures,
    faces, empty and failed ones, `labels` the faces by what is read in them.
    """
    rows = [(label, thousands(labels[label]), percent(labels[label] / max(1, counts["faces"])))
            for label in (*model.labels, UNCERTAIN)]  # fmt: skip
    return render(
        "mien.predict",
        "predict.html",
        title=_title(counts),
        limits=LIMITS,
        card=card,
        photos=photos,
        counts=counts,
        problems=problems,
        table_of_labels=Table("Faces by expression read", ("", "faces", "share"), [("", rows)]),
        model=Table(f"The model, {model.name}", ("", ""), [("", facts(model))]),
        threshold=model.threshold,
        version=__version__,
    )


def _title(counts: Counter) -> str:
    pictures, faces = counts["pictures"], counts["faces"]
    return f"{many(faces, 'face')} in {many(pictures, 'picture')}"
