"""Frames of a video file with their moments, or the reason why there are none. Knows nothing about faces.

OpenCV reads them, upright; only local files are opened, and what merely points elsewhere (a playlist) is refused.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mien.errors import PictureError, VideoError
from mien.files import is_utf8
from mien.pictures import LARGEST_PIXELS, LFS, SMALLEST_SIDE, first_words, refuse_other_than_file

RATE, LOWEST_RATE, HIGHEST_RATE = 25.0, 1.0, 120.0  # where a file tells none, and within what it is believed
LATE_SECONDS, LATE_SHARE = 0.5, 0.02  # a video that ends by more than both before its time is cut short
HEAD_BYTES = 4096
SILENT = 0  # a level of OpenCV's log
STARTS = (
    ((b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*"), "a picture; mien predict reads it, named as one"),
    ((b"#EXTM3U", b"ffconcat", b"[playlist]", b"v=0\r\no="), "a playlist, not a video; give the videos themselves"),
    ((b"ID3", b"fLaC"), "sound alone, no pictures in it"),
    ((LFS,), "a git-LFS pointer, not the video: git lfs pull"),
)  # fmt: skip
NOTHING = "no video in it that can be read: another kind of file, damaged, or sound alone"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of a video."""

    number: int  # from 0
    seconds: float  # since the video's beginning, as its container says
    pixels: np.ndarray  # uint8 (H, W, 3) RGB


class Footage(Protocol):
    """Something with frames: a file or a camera."""

    rate: float  # frames a second, about
    total: int | None  # how many frames there are, about; None where nobody knows

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order; VideoError, after the last good one, where they do not reach the end."""

    def close(self) -> None:
        """Let go of the file or device."""


class FileFootage:
    """A video file. Raises VideoError, with the reason alone, where it holds no video that can be read."""

    def __init__(self, path: str | Path) -> None:
        _check(path)
        self._capture = captured(for_opencv(path))
        if self._capture is None:
            raise VideoError(_why_not(path))
        import cv2

        width, height, self.rate, count = (
            self._capture.get(what)
            for what in (
                cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT,
            )
        )  # fmt: skip
        self._announced = count / self.rate if count > 0 and self.rate > 0 else 0.0  # seconds
        self.total = round(count) if count > 0 and self._announced < math.inf else None
        self.rate = believed(self.rate)
        try:
            refuse_size(width, height)
        except VideoError:
            self.close()
            raise

    def frames(self) -> Iterator[Frame]:
        """Yield the frames; their time never goes back, whatever the file says."""
        import cv2

        number, seconds = 0, 0.0
        while True:
            good, pixels = self._read()
            if not good:
                break
            told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            seconds = max(seconds, told if 0 < told < math.inf else number / self.rate)
            yield Frame(number, seconds, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            number += 1
        if not number:
            raise VideoError("no frame in it can be read")
        ends, late = seconds + 1 / self.rate, self._announced - seconds - 1 / self.rate
        if late > max(LATE_SECONDS, LATE_SHARE * self._announced):
            raise VideoError(
                f"ends after {number:,} frames, {ends:.1f} of {self._announced:.1f} s: cut short or damaged there"
            )

    def _read(self) -> tuple[bool, np.ndarray | None]:
        import cv2

        try:
            return self._capture.read()
        except cv2.error as fault:
            raise VideoError(f"cannot be decoded ({first_words(fault)})") from None

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


def for_opencv(path: str | Path) -> str:
    """Return a file's name as OpenCV takes it; VideoError for one that is no UTF-8, on which it crashes.

    Absolute, since what stands before a colon is a protocol to FFmpeg.
    """
    name = os.path.abspath(path)  # noqa: PTH100 (links stay what they are)
    if not is_utf8(name):
        raise VideoError("its name is no UTF-8, which OpenCV cannot open; rename it")
    return name


def captured(source: str | int):
    """Return OpenCV's open capture of a file, or of a camera by number; None where it has none. It says nothing."""
    import cv2

    with silenced():
        if isinstance(source, int):
            capture = cv2.VideoCapture(source, cv2.CAP_V4L2)
        else:
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
    if capture.isOpened():
        return capture
    capture.release()
    return None


@contextmanager
def silenced():
    """Keep OpenCV and FFmpeg from writing to standard error, for good where they can be told, else in this block.

    FFmpeg is also told to open local files alone, whatever a file refers to. Who set these variables is obeyed.
    """
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # of OpenCV 4, of 5
    set_level(SILENT)
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def believed(rate: float) -> float:
    """Return a rate of frames that can be worked with for one that a file or a driver tells."""
    return min(HIGHEST_RATE, max(LOWEST_RATE, rate)) if math.isfinite(rate) and rate > 0 else RATE


def refuse_size(width: float, height: float) -> None:
    """Raise VideoError for frames that are too large or too small to look for faces in."""
    if width * height > LARGEST_PIXELS:
        raise VideoError(f"{width:,.0f} x {height:,.0f} is more than {LARGEST_PIXELS:,} pixels")
    if min(width, height) < SMALLEST_SIDE:
        raise VideoError(
            f"{width:,.0f} x {height:,.0f} pixels are too few for a face; {SMALLEST_SIDE} a side at least"
        )


def _check(path: str | Path) -> None:
    """Raise VideoError for what is no regular file, or plainly something else than a video."""
    try:
        refuse_other_than_file(Path(path).stat())
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise VideoError("a link to nothing" if Path(path).is_symlink() else "no such file") from None
    except OSError as error:
        raise VideoError(f"cannot be opened ({error.strerror})") from None
    except PictureError as fault:
        raise VideoError(str(fault)) from None
    except ValueError:
        raise VideoError("no such file (the name holds a NUL)") from None
    if not head:
        raise VideoError("an empty file")
    animated = b"acTL" in head  # an animated PNG
    for starts, words in STARTS:
        if head.startswith(starts) and not animated:
            raise VideoError(words)


def _why_not(path: str | Path) -> str:
    """Return in words why a file has no video that can be read."""
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return "sound alone, no pictures in it"
        if head[4:8] != b"ftyp":
            return NOTHING
        index = _index_of_mp4(file)
    if not index:
        return "cut short: the index at its end is missing"
    return NOTHING if b"vide" in index else "sound alone, no pictures in it"


def _index_of_mp4(file) -> bytes:
    """Return the contents of an MP4 file's "moov" box, b"" where it has none that is whole (ISO/IEC 14496-12)."""
    end, at = os.fstat(file.fileno()).st_size, 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, kind, start = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, start = int.from_bytes(head[8:], "big"), 16
        size = size or end - at
        if size < start or at + size > end:
            return b""
        if kind == b"moov":
            file.seek(at + start)
            return file.read(min(size - start, 64 * 2**20))
        at += size
    return b""
