"""Any picture file becomes grey or RGB bytes, or one line that says why not. Knows nothing about data sets.

Nothing a file holds can hang, crash or fill the memory: what is no regular file is not opened,
a picture's size is checked before it is decoded, and formats that run programs (EPS) are not read.
docs/inputs.md lists what each kind of bad file gets.
"""

import importlib
import importlib.util
import io
import logging
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import PictureError, TooManyPixels, UnknownPicture
from mien.reading import Unreadable, read_bytes, reason

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff")
    + (".pgm", ".ppm", ".pnm", ".jp2", ".avif", ".heic", ".heif", ".hif")
)
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
READERS = tuple(
    f"PIL.{name}ImagePlugin"
    for name in ("Jpeg", "Png", "Bmp", "Gif", "WebP", "Tiff", "Ppm", "Jpeg2K", "Avif")
)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")  # of ISO/IEC 23008-12, behind "ftyp"
HEIC_READERS = (
    "pi_heif",
    "pillow_heif",
)  # the first is the extra heic; the second brings an encoder under the GPL
LARGEST_FILE_BYTES = 256 * 2**20
LARGEST_PIXELS = 2**26  # 268 MB once decoded, as Pillow keeps RGB, and 201 MB as an array
# A larger JPEG is decoded at half its size or a quarter, which takes libjpeg no more memory and time than that size.
# Telephones make 48, 64, 108 and 200 million pixels; in so many, a face that can be detected has more than it needs.
LARGEST_WHOLE_JPEG, LARGEST_JPEG = 32_000_000, 2**28
SMALLEST_SIDE = 8
STRIP_PIXELS = 2**20
MOST_SCANS, SCAN, BYTES_A_SCAN = 100, b"\xff\xda", 2**15  # of a progressive JPEG; programs write about ten
XMP = ("xmp", "XML:com.adobe.xmp")
LARGEST_RATIO = 3  # long side to short side of a picture of a face alone
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
PNG_DEPTH = 24  # where a PNG file's bit depth stands
SENSOR_BITS = (8, 10, 12, 14)  # of cameras that write their values into 16 bits as they are
BITS_PER_SAMPLE, PHOTOMETRIC, BLACK_IS_ZERO = 258, 262, 1  # of TIFF 6.0
UNKNOWN_WHITE = ("I", "F")
LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture, upright."""

    pixels: np.ndarray  # uint8 (H, W) grey, or (H, W, 3) RGB
    size: tuple[int, int]  # width and height of the file, upright; larger than `pixels` where it was reduced
    animated: bool = False  # whether it is the first of several frames
    reduction: int = (
        1  # times as wide the file is: a very large JPEG is decoded at half its size, or a quarter
    )
    note: str = ""  # what was assumed in reading it, where that is not certain


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file; PictureError for anything else, without waiting for it."""
    try:
        return read_bytes(path, LARGEST_FILE_BYTES)
    except (Unreadable, FileNotFoundError) as fault:
        raise PictureError(reason(fault)) from None
    except OSError as error:
        raise PictureError(f"cannot be opened ({error.strerror})") from None


def decode(data: bytes, *, color: bool = False, most_pixels: int = LARGEST_PIXELS) -> Picture:
    """Return a picture file's first frame as grey bytes, or as RGB with `color`.

    Turned as its EXIF orientation says; 16-bit grey scaled to 8, by 4,095 where no value is larger, and so for 8, 10
    and 14 bits; what is transparent is shown on white; a JPEG of more than 32,000,000 pixels comes reduced. Raises
    PictureError with the reason for anything that cannot be decoded correctly, UnknownPicture for what is no picture
    at all; one with more than `most_pixels`, reduced, is not decoded.
    """
    if not data:
        raise PictureError("an empty file")
    if data.startswith(LFS):
        raise PictureError("a git-LFS pointer, not the picture: git lfs pull")

    with _errors_in_words(), _opened(data) as image:
        # Each scan goes over the whole picture; two such bytes may stand elsewhere by chance.
        if image.info.get("progressive") and data.count(SCAN) > MOST_SCANS + len(data) // BYTES_A_SCAN:
            raise PictureError("a JPEG of more scans than any program writes; save it anew")
        size = image.size
        if image.format in ("JPEG", "MPO") and not image.info.get("progressive"):
            _reduce(image)
        picture = _picture(image, color, most_pixels)
        _refuse_dark_color(data, image, picture.pixels)
        turned = picture.pixels.shape[:2] != image.size[::-1]
        return replace(picture, size=size[::-1] if turned else size, reduction=round(size[0] / image.width))


def _opened(data: bytes) -> "Image.Image":
    """Return a picture file opened by the reader of its format, as `Image.open` does.

    That one warns or raises by the size first, as the process is set, where here the bounds of this module hold.
    """
    from PIL import Image

    readers = [Image.OPEN[name] for name in _formats()]
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:
        readers = [(_heic_reader(), None)]
    for factory, accepts in readers:
        try:
            accepted = accepts is None or accepts(data[:16])  # or a text that says what Pillow lacks for it
            if accepted and not isinstance(accepted, str):
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # as there: another format after all
            continue
    raise UnknownPicture("not a picture of a kind that mien reads")


def _heic_reader() -> Callable[[io.BytesIO, str], "Image.Image"]:
    """Return what opens HEIC, of a package that is installed; nothing is registered with Pillow."""
    for name in HEIC_READERS:
        if importlib.util.find_spec(name):
            return importlib.import_module(name).HeifImageFile
    raise PictureError("HEIC, as iPhones write: pip install 'mien[heic]', or save it as JPEG")


def _reduce(image) -> None:
    """Have a large JPEG decoded at half its size, or a quarter; the file is entropy-decoded once in any case."""
    pixels = image.width * image.height
    if pixels > LARGEST_JPEG:
        raise TooManyPixels(f"{image.width:,} x {image.height:,} is more than {LARGEST_JPEG:,} pixels")
    factor = 1
    while pixels > LARGEST_WHOLE_JPEG * factor**2:
        factor *= 2
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))


def from_image(image: Any, *, color: bool = False) -> Picture:
    """Return what `decode` gives of a file for an image that Pillow has opened; PictureError as there."""
    with _errors_in_words():
        return _picture(image, color)


def _picture(image, color: bool, most_pixels: int = LARGEST_PIXELS) -> Picture:
    from PIL import ExifTags, ImageOps

    _refuse_size(image.size, most_pixels)
    animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    _refuse_odd_tiff(image)
    sixteen_bit = image.mode in SIXTEEN_BIT or (image.mode, image.format) == ("I", "PPM")
    with _no_xmp(image):
        image.load()
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        upright = ImageOps.exif_transpose(image) if turned else image
    white = 255
    if sixteen_bit:  # a PPM says itself what white is, and Pillow scales by it
        white = 65_535 if image.format == "PPM" else _white(upright)
    note = (
        f"16-bit grey without a value above {white:,}, which is taken for white"
        if 255 < white < 65_535
        else ""
    )
    pixels = _pixels(upright, color, white if sixteen_bit else 0)
    return Picture(pixels, upright.size, animated, note=note)


@contextmanager
def _no_xmp(image):
    """Keep Pillow from turning a picture as its XMP says, which no browser does; EXIF tells."""
    kept = {name: image.info.pop(name) for name in XMP if name in image.info}
    try:
        yield
    finally:
        image.info.update(kept)


@contextmanager
def _errors_in_words():
    """Raise PictureError for whatever Pillow raises."""
    from PIL import Image

    try:
        yield
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise TooManyPixels(f"more than {LARGEST_PIXELS:,} pixels") from None
    except MemoryError:
        raise PictureError("not enough memory to decode it") from None
    except Exception as fault:  # Pillow's readers raise whatever their parsing stumbles over
        raise PictureError(f"damaged or cut short ({first_words(fault)})") from None


def first_words(fault: Exception) -> str:
    """Return what a library says of a fault, as part of a line."""
    return " ".join(str(fault).split())[:80] or type(fault).__name__


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    from PIL import Image

    for reader in READERS:  # `Image.init` imports four times as many, which takes .1 s
        importlib.import_module(reader)
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _refuse_size(size: tuple[int, int], most_pixels: int) -> None:
    width, height = size
    if width * height > most_pixels:
        raise TooManyPixels(f"{width:,} x {height:,} is more than {most_pixels:,} pixels")
    if min(size) < SMALLEST_SIDE:
        raise PictureError(
            f"{width:,} x {height:,} pixels are too few for a face; {SMALLEST_SIDE} a side at least"
        )


def _refuse_odd_tiff(image) -> None:
    """Refuse 12-bit and negative 16-bit TIFF, which Pillow gives as if they were plain 16-bit grey."""
    if image.format == "TIFF" and image.mode in SIXTEEN_BIT:
        bits, meaning = (
            image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0],
            image.tag_v2.get(PHOTOMETRIC, BLACK_IS_ZERO),
        )
        if bits != 16 or meaning != BLACK_IS_ZERO:
            raise PictureError(
                "a TIFF of 12 bits or with white as 0; save it with 8 or 16 bits and black as 0"
            )


def _white(image) -> int:
    """Return which value is white in 16-bit grey: the largest of as few bits as hold all values."""
    largest = max(int(np.asarray(strip).max()) for _, strip in _strips(image))
    return next((2**bits - 1 for bits in SENSOR_BITS if largest < 2**bits), 65_535)


def _refuse_dark_color(data: bytes, image, pixels: np.ndarray) -> None:
    """Refuse color PNG of 16 bits that holds 12: Pillow keeps the upper 8 alone."""
    sixteen_bit = image.format == "PNG" and data[PNG_DEPTH] == 16 and not _is_grey(image)
    if sixteen_bit and 0 < pixels.max() < 16:
        raise PictureError("color of 16 bits without a value above 4,095; save it with 8 bits")


def _is_grey(image) -> bool:
    return image.mode in SIXTEEN_BIT or image.mode in ("I", "L", "LA")


def _pixels(image, color: bool, white: int) -> np.ndarray:
    """Return an image's pixels; `white` is that of 16-bit grey, 0 for anything else.

    Converted strip by strip: a whole large image converted at once takes three times the memory.
    """
    if image.mode in UNKNOWN_WHITE and not white:
        raise PictureError("32-bit grey, which does not say what white is; save it with 8 or 16 bits")
    pixels = np.empty((image.height, image.width, 3) if color else (image.height, image.width), np.uint8)
    for rows, strip in _strips(image):
        pixels[rows] = np.asarray(_on_white(strip, white).convert("RGB" if color else "L"))
    return pixels


def _strips(image) -> Iterator[tuple[slice, "Image.Image"]]:
    return ((rows, image.crop((0, rows.start, image.width, rows.stop))) for rows in strips(*image.size[::-1]))


def strips(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of a picture in strips of about a million pixels, from the top."""
    rows = max(1, STRIP_PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _on_white(image, white: int):
    """Return an image in 8 bits without transparency, black and white or grey or RGB."""
    from PIL import Image

    if white:
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode in ("L", "1", "RGB") else image.convert("RGB")


@contextmanager
def quiet():
    """Keep Pillow's remarks about odd files from the terminal; what matters of them is a PictureError.

    They are settings of the whole process, so this stands around many calls of `decode`, not in it.
    """
    silent = logging.NullHandler()
    logging.getLogger("PIL").addHandler(silent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("PIL").removeHandler(silent)


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the middle square of a grey picture uint8 (H, W) as uint8 (side, side).

    Area-true where it shrinks: each new pixel is the mean of all that it covers, computed in whole
    numbers, so that it is the same everywhere. Bicubic where it grows. PictureError for a picture
    too long to be one of a face alone.
    """
    height, width = pixels.shape
    short, long = min(height, width), max(height, width)
    if long > LARGEST_RATIO * short:
        raise PictureError(
            f"{width:,} x {height:,} pixels are too long for a face alone; find it with --detect"
        )
    top, left = (height - short) // 2, (width - short) // 2
    middle = pixels[top : top + short, left : left + short]
    if short == side:
        return np.ascontiguousarray(middle)
    if short > side:
        return shrink(middle, side)
    from PIL import Image

    return np.array(Image.fromarray(middle).resize((side, side), Image.Resampling.BICUBIC))


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a square grey picture uint8 (n, n), n >= side, as uint8 (side, side), each pixel a mean."""
    area = len(pixels) ** 2
    sums = _stretches(_stretches(pixels, side).T, side).T
    return ((2 * sums + area) // (2 * area)).astype(np.uint8)


def _stretches(rows: np.ndarray, side: int) -> np.ndarray:
    """Return `side` times the sums over so many equal stretches of rows, int64 (side, m) of (n, m)."""
    whole, part = np.divmod(np.arange(side) * len(rows), side)  # where each stretch begins
    # In parts, since what is summed is made int64 first, eight times as large.
    parts = np.array_split(rows, 1 + rows.size // STRIP_PIXELS, axis=1)
    sums = [np.add.reduceat(columns, whole, axis=0, dtype=np.int64) for columns in parts]
    before = rows[whole] * part[:, None]  # what the row that a stretch begins in gives to the one before
    # the first begins with a whole row and gives nothing
    return np.concatenate(sums, axis=1) * side - before + np.roll(before, -1, axis=0)
