"""What callers in Python give as an image, as pixels. Knows nothing about faces."""

import base64
import binascii
import os
import re
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mien.errors import PictureError, UnknownPicture
from mien.pictures import LARGEST_FILE_BYTES, Picture, decode, from_image, read_file
from mien.text import shortened

if TYPE_CHECKING:
    from PIL import Image

CHANNELS = {"rgb": slice(None), "bgr": slice(None, None, -1)}
IMAGE_KINDS = "a path, bytes, a file object, base64, a Pillow image or an array"
DATA_URI = "data:"
BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")  # a shorter text is a path
LONGEST_NAME = 200  # characters of a path in a message

ImageInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | np.ndarray[Any, Any] | Image.Image"
)


def load_image(image: "ImageInput", channels: str | None = None) -> Picture:
    """Return an image as pixels, uint8 (H, W) or (H, W, 3) RGB, upright.

    `image` is a path, a data URI or base64 text of a picture file, its bytes, a file object opened for bytes, a Pillow
    image, or an array uint8 (H, W) grey or (H, W, 3) whose `channels` are "rgb" or "bgr". Raises PictureError for a
    picture that cannot be used, ValueError for an array that is none, TypeError for anything else.
    """
    if isinstance(image, str):
        return _of_text(image)
    if isinstance(image, os.PathLike):
        return _named(os.fspath(image), lambda: decode(read_file(image), color=True))
    if isinstance(image, bytes | bytearray | memoryview):
        return _of_bytes(bytes(image))
    if isinstance(image, np.ndarray):
        pixels = _of_array(image, channels)
        return Picture(pixels, (pixels.shape[1], pixels.shape[0]))
    if hasattr(image, "getexif"):
        return from_image(image, color=True)
    if (read := getattr(image, "read", None)) is not None:
        return _of_bytes(_all_of(read))
    raise TypeError(f"{IMAGE_KINDS} is needed, not {type(image).__name__}")


def refuse_one_image(images: Any) -> None:
    """Raise TypeError for one image where several are wanted: it would be taken apart line by line, or row by row."""
    one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike)
    one = one or hasattr(images, "getexif") or hasattr(images, "read")
    shape: tuple[int, ...] = getattr(images, "shape", ())
    if isinstance(images, np.ndarray):
        one = len(shape) in (0, 2) or (len(shape) == 3 and shape[2] in (3, 4))
    if one:
        raise TypeError("predict_many takes several images; predict takes one")


def path_of(image: "ImageInput | None") -> str | None:
    """Return the path that an image is given by; None for one that is given in any other way."""
    if isinstance(image, os.PathLike):
        return os.fsdecode(os.fspath(image))
    if not isinstance(image, str) or image[: len(DATA_URI)].lower() == DATA_URI or _is_base64(image):
        return None
    return image


def _is_base64(text: str) -> bool:
    return bool(BASE64.fullmatch(text)) and not os.path.exists(text)  # noqa: PTH110 (false where a name is too long)


def _named(name: str | bytes, load: Callable[[], Picture]) -> Picture:
    """Return what is loaded; a PictureError says of which image."""
    try:
        return load()
    except PictureError as error:
        raise type(error)(f"{shortened(os.fsdecode(name), LONGEST_NAME)}: {error}") from None


def _of_text(text: str) -> Picture:
    head, comma, data = text.partition(",")
    if text[: len(DATA_URI)].lower() == DATA_URI:
        if not comma or not head.lower().rstrip().endswith(";base64"):
            raise PictureError("a data URI without base64: data:image/jpeg;base64,… is read")
        return _named(f"{shortened(head, 60)},…", lambda: decode(_of_base64(data), color=True))
    if _is_base64(text):
        return _named(f"base64 {text[:16]}…", lambda: decode(_of_base64(text), color=True))
    return _named(text, lambda: decode(read_file(text), color=True))


def _of_bytes(data: bytes) -> Picture:
    """Return the picture that bytes are, of a file or of its base64 text."""
    try:
        return decode(data, color=True)
    except UnknownPicture:
        text = data.decode("ascii", "replace")
        if text[: len(DATA_URI)].lower() != DATA_URI and not BASE64.fullmatch(text):
            raise
    return _of_text(text)


def _of_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PictureError("damaged or cut short, it is not base64") from None


def _all_of(read: Callable[[int], bytes | str]) -> bytes:
    """Return what is left to read of a file object."""
    try:
        data = read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise PictureError(f"the file object cannot be read ({error.strerror or error})") from None
    if isinstance(data, str):
        raise TypeError('a file object opened for text; open it with "rb"')
    if len(data) > LARGEST_FILE_BYTES:
        raise PictureError(f"more than {LARGEST_FILE_BYTES:,} bytes")
    return data


def _of_array(array: np.ndarray, channels: str | None) -> np.ndarray:
    if array.dtype != np.uint8 or not array.size or not (array.ndim == 2 or array.shape[2:] == (3,)):
        raise ValueError(f"no picture: {array.dtype} {array.shape}; uint8 (H, W) or (H, W, 3) is needed")
    if array.ndim == 2:
        return np.ascontiguousarray(array)
    if channels is None or channels.lower() not in CHANNELS:
        raise ValueError(
            'say which channels a color array has: channels="rgb", or "bgr" as OpenCV reads them'
        )
    return np.ascontiguousarray(array[:, :, CHANNELS[channels.lower()]])
