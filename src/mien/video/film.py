"""A video with boxes and labels drawn in, written frame by frame; whole or not there. Knows nothing of its source.

It has a constant rate: a frame of the source stands until the next one comes, so it runs as long as the source did.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from mien.errors import StorageError
from mien.files import whole_file
from mien.predict.annotate import annotated
from mien.video.encoder import WITH_FFMPEG, FfmpegEncoder, OpenCvEncoder, open_encoder
from mien.video.seen import TrackedFrame

SUFFIXES = tuple(WITH_FFMPEG)
LONGEST_STILL_SECONDS = 60.0  # for so long at most a frame stands


class Film:
    """Writes one video; a context in which frames are added. On an error nothing is left.

    `sound` is a file whose sound goes with the frames, where ffmpeg is installed.
    """

    def __init__(self, path: Path, rate: float, *, sound: Path | None = None) -> None:
        self._path, self._rate, self._sound = Path(path), rate, sound
        self._stack = ExitStack()
        self._encoder: FfmpegEncoder | OpenCvEncoder | None = None
        self._last: np.ndarray | None = None
        self._size = (0, 0)
        self._written = 0  # frames
        self._left_out = 0  # frames before the first one, and of stills that were too long
        self.note = ""  # what a user should know of the file

    def __enter__(self) -> "Film":
        return self

    def add(self, tracked: TrackedFrame) -> None:
        """Draw a frame and write it, once or as often as the time since the one before takes."""
        due = round(tracked.frame.seconds * self._rate) - self._left_out  # frames that should stand before it
        if self._last is not None:
            for _ in range(min(due - self._written, round(LONGEST_STILL_SECONDS * self._rate))):
                self._write(self._last)
        if due < self._written:
            return
        self._left_out += due - self._written
        self._last = self._drawn(tracked)
        self._write(self._last)

    def _drawn(self, tracked: TrackedFrame) -> np.ndarray:
        import cv2

        image = annotated(
            tracked.frame.pixels, tracked.faces, numbers=[face.person for face in tracked.faces]
        )
        pixels = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)
        if self._encoder is None:
            height, width = (max(2, length - length % 2) for length in pixels.shape[:2])
            self._size = width, height  # even, as codecs need them
            hidden = self._stack.enter_context(whole_file(self._path, ending=self._path.suffix)).name
            with self._named():
                self._encoder = open_encoder(
                    Path(hidden), self._size, self._rate, sound=self._sound, begins=tracked.frame.seconds
                )
            self.note = self._encoder.note
        return pixels if pixels.shape[1::-1] == self._size else cv2.resize(pixels, self._size)

    def _write(self, pixels: np.ndarray) -> None:
        assert self._encoder
        with self._named():
            self._encoder.write(pixels)
        self._written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._encoder is None or error is not None:
            if self._encoder is not None:
                self._encoder.abort()
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:  # the file takes its name, or goes where an error comes by
            try:
                with self._named():
                    self._encoder.close()
            except BaseException:
                self._encoder.abort()
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Give an error of the encoder the file's name."""
        try:
            yield
        except StorageError as error:
            raise StorageError(f"{self._path}: {error}; nothing was changed") from None
