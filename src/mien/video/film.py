"""A video with boxes and labels drawn in, written frame by frame; whole or not there. Knows nothing of its source.

It has a constant rate: a frame of the source stands until the next one comes, so it runs as long as the source did.
"""

from pathlib import Path

from mien.errors import StorageError
from mien.files import sync_folder, with_no_error
from mien.predict.annotate import annotated
from mien.video.footage import captured, for_opencv, silenced
from mien.video.seen import Seen

CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "MJPG", ".webm": "VP80"}
LONGEST_STILL_SECONDS = 60.0  # for so long at most a frame stands


class Film:
    """Writes one video; a context in which frames are added. On an error nothing is left."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = Path(path), rate
        self._hidden = self._path.with_name(f".{self._path.stem}.tmp{self._path.suffix}")
        self._writer, self._last, self._size = None, None, (0, 0)
        self.written = self._left_out = 0  # frames; the latter of stills that were too long

    def __enter__(self) -> "Film":
        return self

    def add(self, name: str, seen: Seen) -> None:
        """Draw a frame and write it, once or as often as the time since the one before takes."""
        # how many frames there should be before this one
        due = round(seen.frame.seconds * self._rate) - self._left_out
        if self._last is not None:
            still = min(due - self.written, round(LONGEST_STILL_SECONDS * self._rate))
            for _ in range(still):
                self._write(self._last)
        if due < self.written:
            return
        self._left_out += due - self.written
        self._last = self._drawn(seen)
        self._write(self._last)

    def _drawn(self, seen: Seen):
        import cv2
        import numpy as np

        image = annotated(seen.frame.pixels, seen.faces, numbers=[face.person for face in seen.faces])
        pixels = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)
        if self._writer is None:
            self._open(pixels.shape[1::-1])
        return pixels if pixels.shape[1::-1] == self._size else cv2.resize(pixels, self._size)

    def _write(self, pixels) -> None:
        self._writer.write(pixels)
        self.written += 1

    def _open(self, size: tuple[int, int]) -> None:
        import cv2

        code = cv2.VideoWriter_fourcc(*CODECS[self._path.suffix.lower()])
        self._size = tuple(max(2, length - length % 2) for length in size)  # codecs want even sides
        with silenced():
            self._writer = cv2.VideoWriter(
                for_opencv(self._hidden), cv2.CAP_FFMPEG, code, self._rate, self._size
            )
        if not self._writer.isOpened():
            raise StorageError(
                f"{self._path}: could not be written as a {self._path.suffix} video; nothing was changed"
            )

    def __exit__(self, kind, fault, trace) -> None:
        try:
            if self._writer is not None:
                self._writer.release()
                if kind is None:
                    self._keep()
        finally:
            with_no_error(self._hidden.unlink)

    def _keep(self) -> None:
        """Give the file its name where it can be read and is whole: OpenCV does not tell of a full disk."""
        import cv2

        whole = captured(for_opencv(self._hidden))
        count = whole.get(cv2.CAP_PROP_FRAME_COUNT) if whole else 0
        if whole:
            whole.release()
        if count < self.written - 1:
            raise StorageError(
                f"{self._path}: could not be written whole (is the disk full?); nothing was changed"
            )
        try:
            self._hidden.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise StorageError(f"{self._path}: could not be written ({error.strerror})") from None
