"""A camera's newest frame, whenever it is asked for. Knows nothing about faces, nor how a device is driven.

A thread takes each frame from the device at once and keeps the last one alone: who is slower than the camera misses
frames, which their numbers tell, and never falls behind it.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from mien.errors import VideoError
from mien.video.footage import Frame, believed, captured, refuse_size

SILENT_SECONDS = 10.0  # a camera that gives nothing for so long is taken for gone
ASK_SECONDS = 0.1  # how often a stop is asked for while nothing comes
DEVICE = re.compile(r"/dev/video(\d+)")


class Device(Protocol):
    """What a camera needs of its driver."""

    rate: float  # frames a second, about

    def read(self) -> np.ndarray | None:
        """Wait for the next frame and return it, uint8 (H, W, 3) RGB; None where there are no more."""

    def close(self) -> None:
        """Let go of the device."""


class OpenCvDevice:
    """A camera of this machine, by number. Raises VideoError where it cannot be opened."""

    def __init__(self, number: int) -> None:
        capture = captured(number)
        if capture is None:
            there = Path(f"/dev/video{number}").exists()
            raise VideoError(
                "in use, not a camera, or you may not open it" if there else f"no such camera; {_cameras()}"
            )
        import cv2

        self._capture = capture
        self.rate = believed(capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> np.ndarray | None:
        """Wait for the next frame and return it in RGB; None where the camera is gone."""
        import cv2

        try:
            good, pixels = self._capture.read()
        except cv2.error:
            return None
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if good else None

    def close(self) -> None:
        """Let go of the device."""
        self._capture.release()


class CameraFootage:
    """The frames of a device, until `stop` says so. Frames are numbered as the device gives them."""

    def __init__(
        self,
        device: Device,
        *,
        stop: Callable[[], bool] = lambda: False,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self.rate = device.rate
        self.total: int | None = None
        self.notes: list[str] = []
        self._device, self._stop, self._silent_seconds = device, stop, silent_seconds
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._take, name="camera", daemon=True)

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame each time; VideoError where the camera goes, or is silent for long."""
        self._thread.start()
        heard = time.monotonic()
        while not self._stop():
            with self._news:
                self._news.wait_for(lambda: self._newest is not None or self._ended, ASK_SECONDS)
                frame, self._newest = self._newest, None
                ended = self._ended
            if frame is not None:
                refuse_size(*frame.pixels.shape[1::-1])
                yield frame
                heard = time.monotonic()
            elif ended:
                raise VideoError("the camera is gone: it gives no more pictures")
            elif time.monotonic() - heard > self._silent_seconds:
                raise VideoError(f"the camera has given no picture for {self._silent_seconds:g} s")

    def close(self) -> None:
        """Let go of the device; one that hangs is left to the end of the process."""
        self._closed = True
        if self._thread.ident is not None:
            self._thread.join(1.0)
        if not self._thread.is_alive():
            self._device.close()

    def _take(self) -> None:
        number, began = 0, None
        while not self._closed:
            pixels = self._device.read()
            now = time.monotonic()
            began = now if began is None else began
            with self._news:
                if pixels is None:
                    self._ended = True
                else:
                    self._newest = Frame(number, now - began, pixels)
                self._news.notify()
            if pixels is None:
                return
            number += 1


def camera_number(name: str) -> int | None:
    """Return the number of a camera that is named as 0 or /dev/video0, a link to one too; None for anything else."""
    if name.isascii() and name.isdecimal():
        return int(name)
    match = DEVICE.fullmatch(name)
    if match is None and name.startswith("/dev/"):
        match = DEVICE.fullmatch(str(Path(name).resolve()))
    return int(match[1]) if match else None


def _cameras() -> str:
    numbers = sorted(
        int(match[1]) for path in Path("/dev").glob("video*") if (match := DEVICE.fullmatch(str(path)))
    )
    return f"there are {', '.join(map(str, numbers))}" if numbers else "this machine has none"
