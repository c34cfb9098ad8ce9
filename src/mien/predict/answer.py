"""What is said of one picture: its faces, or why it could not be used. Knows nothing about how it is shown."""

from dataclasses import dataclass, replace

from mien.errors import PictureError
from mien.pictures import Picture, decode
from mien.predict.recognizer import Detections, FaceExpression, Recognizer
from mien.predict.sources import Source

LIMITS = (
    "It says how people would label a face's expression, not what a person feels; it can be wrong. It must not be "
    "used to infer emotions at work or in education (EU AI Act, Art. 5(1)(f)), nor to decide anything about a person."
)
CAMERA_NOTICE = "Inform people before a camera classifies their faces (EU AI Act, Art. 50(3))."
NOTICE = "It says how a face looks to people, not what a person feels. Limits:"  # a line, before where the card stands


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What is said of one picture."""

    source: Source
    faces: list[FaceExpression]
    problem: str = ""  # why the picture could not be used
    note: str = ""  # what was assumed in reading it, where that is not certain
    size: tuple[int, int] = (0, 0)  # its width and height in pixels, upright
    small: bytes = b""  # its thumbnail, a WebP file, where a page is to show it


def card_at(model: str) -> str:
    """Return where a model's card stands."""
    return f"mien info {model}"


def detected(recognizer: Recognizer, source: Source, *, crop: bool) -> tuple[Detections, Picture | None]:
    """Return a picture's detections, whose `about` is its answer, still without faces; and the picture, if any."""
    try:
        picture = decode(source.read(), color=True)
        detections = recognizer.detect(picture.pixels, crop=crop, reduction=picture.reduction)
        answer = Answer(source, [], note=picture.note, size=picture.size)
        return replace(detections, about=answer), picture
    except PictureError as error:
        return recognizer.no_detections(Answer(source, [], problem=str(error))), None
