"""A picture with boxes and labels drawn in, and a face with what the network looked at. Writes no file."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from mien.pages.theme import DARK, LIGHT
from mien.predict.recognizer import FaceExpression
from mien.predict.rows import in_words

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SMALLEST = 480  # pixels of the long side; what is smaller is drawn larger, or no label could be read
QUALITY = 92  # of JPEG files
TEXT_SHARE = (1 / 110, 1 / 48)  # of the long side, the smallest and the largest text
SMALLEST_TEXT = 13
LABEL_WIDTH = 1.4  # of a face's box, what its label may take before its text gets smaller
PANEL, GAP, LINE = 288, 12, 20  # pixels of an explanation
FAINTEST_SCALE = 0.05  # a fall of the probability that is drawn at full strength at least

Box = tuple[float, float, float, float]  # left, top, right, bottom


def annotated(
    pixels: np.ndarray, faces: Sequence[FaceExpression], *, numbers: Sequence[int] | None = None
) -> "Image":
    """Return a picture uint8 (H, W) or (H, W, 3) RGB with its faces' boxes and labels, as a Pillow image.

    `numbers` stand before the labels; without any the faces are numbered where there are several.

    It is as large as the picture, and a whole number of times larger where that has less than 480 pixels.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels).convert("RGB")
    times = max(1, -(-SMALLEST // max(image.size)))
    if times > 1:
        image = image.resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    boxes = [_corners(face, times) for face in faces]
    thick = max(2, round(max(image.size) / 320))
    for face, box in zip(faces, boxes, strict=True):
        _frame(draw, box, thick, _color(face))
    labels = [in_words(face) for face in faces]
    if numbers or len(labels) > 1:
        numbers = numbers or range(1, len(labels) + 1)
        labels = [f"{number} {label}" for number, label in zip(numbers, labels, strict=True)]
    fonts = [_font(draw, label, box, max(image.size)) for label, box in zip(labels, boxes, strict=True)]
    sizes = [_plate_size(draw, label, font) for label, font in zip(labels, fonts, strict=True)]
    places = label_places(boxes, sizes, image.size)
    for label, font, face, place in zip(labels, fonts, faces, places, strict=True):
        draw.rectangle(place, fill=LIGHT["ink"])
        draw.rectangle((place[0], place[1], place[0] + thick - 1, place[3]), fill=_color(face))
        room = (place[3] - place[1] - font.size) / 2
        draw.text((place[0] + thick + room, place[1] + room), label, fill="white", font=font)
    return image


def _corners(face: FaceExpression, times: int) -> Box:
    left, top, width, height = (value * times for value in face.box)
    return left, top, left + width, top + height


def _color(face: FaceExpression) -> str:
    return DARK["series1"] if face.certain else DARK["series6"]


def _frame(draw: "ImageDraw", box: Box, thick: int, color: str) -> None:
    """Draw a box in a bright color between dark lines, so that it is seen on any picture."""
    edge = max(1, thick // 3)
    draw.rectangle(
        tuple(np.add(box, (-edge, -edge, edge, edge))), outline=LIGHT["ink"], width=thick + 2 * edge
    )
    draw.rectangle(box, outline=color, width=thick)


def _font(draw: "ImageDraw", label: str, box: Box, long_side: int) -> "FreeTypeFont":
    """Return a font in which a label is about as wide as its box, within what can be read in a picture so large."""
    from PIL import ImageFont

    smallest, largest = (max(SMALLEST_TEXT, round(long_side * share)) for share in TEXT_SHARE)
    font = ImageFont.load_default(largest)
    size = largest * LABEL_WIDTH * (box[2] - box[0]) / max(1, draw.textlength(label, font))
    font = ImageFont.load_default(min(largest, max(smallest, round(size))))
    return cast("FreeTypeFont", font)  # asked for a size, Pillow gives no other


def _plate_size(draw: "ImageDraw", label: str, font: "FreeTypeFont") -> tuple[float, float]:
    return draw.textlength(label, font) + font.size, 1.45 * font.size


def label_places(
    boxes: Sequence[Box], sizes: Sequence[tuple[float, float]], picture: tuple[int, int]
) -> list[Box]:
    """Return where each label goes: above its box, below, beside or in it, where it hides least of all others.

    All are moved into the picture.
    """
    places: list[Box] = []
    for box, (width, height) in zip(boxes, sizes, strict=True):
        left, top, right, bottom = box
        corners = [(left, top - height), (left, bottom), (right - width, top - height), (right - width, bottom),
                   (right, top), (left - width, top), (left, top), (left, bottom - height)]  # fmt: skip
        tried = [_moved_in((x, y, x + width, y + height), picture) for x, y in corners]
        others = [*places, *boxes]
        places.append(min(tried, key=lambda place: sum(overlap(place, other) for other in others)))
    return places


def _moved_in(place: Box, picture: tuple[int, int]) -> Box:
    left, top, right, bottom = place
    x = min(0, picture[0] - right) if left > 0 else -left
    y = min(0, picture[1] - bottom) if top > 0 else -top
    return left + x, top + y, right + x, bottom + y


def overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)


def explained(face: FaceExpression, places: np.ndarray) -> "Image":
    """Return a face beside the same face with a map of `Recognizer.explain` over it, as a Pillow image."""
    from PIL import Image, ImageDraw, ImageFont

    plain = Image.fromarray(face.crop).resize((PANEL, PANEL), Image.Resampling.BICUBIC).convert("RGB")
    strength = places / max(FAINTEST_SCALE, float(np.abs(places).max()))
    large = Image.fromarray(strength.astype(np.float32)).resize((PANEL, PANEL), Image.Resampling.BICUBIC)
    strength = np.asarray(large).clip(-1, 1)[:, :, None]
    colors = np.where(strength > 0, _rgb(DARK["series2"]), _rgb(DARK["series1"]))
    cover = 0.75 * np.abs(strength)
    mixed = np.rint(np.asarray(plain) * (1 - cover) + colors * cover).astype(np.uint8)
    lines = [f"{face.best} {face.confidence:.0%}" + ("" if face.certain else ", so uncertain"),
             f"orange: hiding it lowers that, by {100 * max(0, places.max()):.0f} points at most",
             f"blue: hiding it raises that, by {100 * max(0, -places.min()):.0f} points at most"]  # fmt: skip
    image = Image.new(
        "RGB", (2 * PANEL + 3 * GAP, PANEL + 2 * GAP + LINE * len(lines) + GAP // 2), LIGHT["paper"]
    )
    image.paste(plain, (GAP, GAP))
    image.paste(Image.fromarray(mixed), (PANEL + 2 * GAP, GAP))
    draw = ImageDraw.Draw(image)
    for n, line in enumerate(lines):
        at = GAP, PANEL + 2 * GAP + n * LINE
        draw.text(at, line, fill=LIGHT["muted"] if n else LIGHT["ink"], font=ImageFont.load_default(14))
    return image


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def encoded(image: "Image", *, lossless: bool, quality: int = QUALITY) -> bytes:
    """Return a Pillow image as the bytes of a PNG or JPEG file."""
    data = io.BytesIO()
    if lossless:
        image.save(data, "PNG")
    else:
        image.save(data, "JPEG", quality=quality)
    return data.getvalue()
