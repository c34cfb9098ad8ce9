"""Frames of a video file with their moments, or the reason why there are none. Knows nothing about faces.

OpenCV reads them, upright; only local files are opened, and what merely points elsewhere (a playlist) is refused.
"""

import math
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mien.errors import VideoError
from mien.files import is_utf8
from mien.pictures import LARGEST_PIXELS, SMALLEST_SIDE, first_words
from mien.video.container import MATROSKA, check_head, shown_seconds, why_unreadable

RATE, LOWEST_RATE, HIGHEST_RATE = 25.0, 1.0, 120.0  # where a file tells none, and within what it is believed
TIMED_FRAMES = 32  # at a video's beginning, whose distance is its rate
NEAR_RATE = 0.1  # share by which the container's rate may be below that and still be the more exact one
STEP_BACK_SECONDS = 0.25  # timestamps that go back by more start anew; by less, frames are out of order
LONGEST_GAP_SECONDS = 3600.0  # timestamps that go on by more start anew, too
LATE_SECONDS, LATE_SHARE = 0.5, 0.02  # a video that ends by more than both before its time is cut short
SILENT = 0  # a level of OpenCV's log


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of a video."""

    number: int  # from 0
    seconds: float  # since the video's beginning, as its container says
    pixels: np.ndarray  # uint8 (H, W, 3) RGB


class Footage(Protocol):
    """Something with frames: a file, numbered pictures or a camera."""

    rate: float  # frames a second, about
    total: int | None  # how many frames there are, about; None where nobody knows
    notes: list[str]  # what a user should know of it, complete when all frames are read

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order; VideoError, after the last good one, where they do not reach the end."""
        ...

    def close(self) -> None:
        """Let go of the file or device."""
        ...


class Clock:
    """The moments of frames, which never go back, from their timestamps, which may: as in files that were joined."""

    def __init__(self, frame_seconds: float) -> None:
        self._frame_seconds = frame_seconds
        self._last: float | None = None
        self._shift = 0.0
        self.restarts: list[float] = []  # moments after which timestamps started anew

    def moment(self, timestamp: float) -> float:
        """Return the moment of the next frame in seconds; without a timestamp (0, nan) it follows the one before."""
        known = 0 < timestamp < math.inf
        if self._last is None:
            self._last = timestamp if known else 0.0
            return self._last
        moment = timestamp + self._shift if known else self._last + self._frame_seconds
        if not -STEP_BACK_SECONDS <= moment - self._last <= LONGEST_GAP_SECONDS:
            self.restarts.append(self._last)
            moment = self._last + self._frame_seconds
            self._shift = moment - timestamp
        self._last = max(self._last, moment)
        return self._last


class FileFootage:
    """A video file. Raises VideoError, with the reason alone, where it holds no video that can be read."""

    def __init__(self, path: str | Path) -> None:
        self._head = check_head(path)
        self._capture = _opened(path)
        import cv2

        width, height, mean_rate, count = (
            self._capture.get(what)
            for what in (
                cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT,
            )
        )  # fmt: skip
        announced = count / mean_rate if count > 0 and mean_rate > 0 else 0.0
        self._mean_rate = mean_rate
        self.total = round(count) if count > 0 and announced < math.inf else None
        self._announced = shown_seconds(path) or announced
        self.notes: list[str] = []
        try:
            refuse_size(width, height)
            self.rate = frame_rate(self._first_timestamps(), mean_rate)
        finally:
            self.close()
        self._capture = _opened(path)

    def _first_timestamps(self) -> list[float]:
        """Return the timestamps of the first frames in seconds; VideoError where none can be decoded."""
        import cv2

        timestamps = []
        while len(timestamps) < TIMED_FRAMES and self._read()[0]:
            timestamps.append(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        if not timestamps:
            raise VideoError(_why_not_decoded(self._capture))
        return timestamps

    def frames(self) -> Iterator[Frame]:
        """Yield the frames; their time never goes back, whatever the file says."""
        import cv2

        clock, number, moment = Clock(1 / self.rate), 0, 0.0
        while (read := self._read())[0]:
            if not number and self._head.startswith(
                MATROSKA
            ):  # whose length counts from 0, not from the first frame
                self._announced -= self._capture.get(getattr(cv2, "CAP_PROP_PTS", -1)) / self._mean_rate
            moment = clock.moment(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            yield Frame(number, moment, cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
            number += 1
        if clock.restarts:
            times = "" if len(clock.restarts) == 1 else f" {len(clock.restarts):,} times, first"
            self.notes.append(
                f"its timestamps start anew{times} after {clock.restarts[0]:.1f} s, as in joined files; "
                "time is counted on from there"
            )
        ends = moment + 1 / self.rate
        late = self._announced - ends
        if max(LATE_SECONDS, LATE_SHARE * self._announced) < late < math.inf:
            raise VideoError(
                f"ends after {number:,} frames, {ends:.1f} of {self._announced:.1f} s: cut short or damaged there"
            )

    def _read(self) -> tuple[bool, Any]:
        import cv2

        try:
            return self._capture.read()
        except cv2.error as error:
            raise VideoError(f"cannot be decoded ({first_words(error)})") from None

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


def _opened(path: str | Path):
    """Return OpenCV's capture of a file; VideoError where there is none."""
    capture = captured(for_opencv(path))
    if capture is None:
        raise VideoError(why_unreadable(path))
    return capture


def _why_not_decoded(capture) -> str:
    """Return in words why a video that was opened gives no frame."""
    import cv2

    code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace").strip(" \0")
    if code.upper() != "AV01":
        return f"no frame in it can be decoded (codec {code}): damaged, or a codec that this OpenCV has not"
    return (
        f"OpenCV {cv2.__version__} does not decode its codec, AV1; pip install 'opencv-python-headless==4.14.*' does, "
        "or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
    )


def frame_rate(timestamps: list[float], stated: float) -> float:
    """Return frames a second in which most frames have a place of their own.

    It is the rate that the container tells, but for one that is lower than what the first frames' distances say, since
    it is a mean with gaps in it, and for one that is no rate of frames but the timestamps' unit.
    """
    steps = [after - before for before, after in pairwise(timestamps) if after > before]
    measured = 1 / statistics.median(steps) if steps else stated
    return believed(stated if (1 - NEAR_RATE) * measured <= stated <= HIGHEST_RATE else measured)


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
