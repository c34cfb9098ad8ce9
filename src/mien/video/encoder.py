"""Writes frames as a video file: with the program ffmpeg where it is installed, else with OpenCV.

ffmpeg alone writes H.264, sound, and files of a reasonable size: OpenCV's VP8 takes about 1.5 bits a pixel, its VP9 a
quarter of a second a frame, and neither can be told otherwise. Knows nothing about faces.
"""

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from mien.errors import StorageError
from mien.files import with_no_error
from mien.system import kill_group, start_group
from mien.video.footage import captured, for_opencv, silenced

H264 = ("libx264", "-preset", "veryfast", "-crf", "21", "-pix_fmt", "yuv420p")
STREAMED = (*H264, "-movflags", "+faststart")  # the index first, so that browsers start before the file's end
VP9 = ("libvpx-vp9", "-crf", "34", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1",
       "-pix_fmt", "yuv420p")  # fmt: skip
MOTION_JPEG = ("mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p")
WITH_FFMPEG = {".mp4": STREAMED, ".mov": STREAMED, ".avi": MOTION_JPEG, ".mkv": H264, ".webm": VP9}
WITH_OPENCV = {".mp4": ("avc1", "mp4v"), ".mov": ("avc1", "mp4v"), ".mkv": ("MJPG",), ".webm": ("VP80",),
               ".avi": ("MJPG",)}  # fmt: skip
NOT_IN_BROWSERS = "mp4v"
ASK_SECONDS = 20.0  # in which ffmpeg answers a question
FRAME_SECONDS = 60.0  # in which it takes a frame
END_SECONDS = 300.0  # in which it writes the end of a file


def open_encoder(
    path: Path, size: tuple[int, int], rate: float, *, sound: Path | None = None, begins: float = 0.0
) -> "FfmpegEncoder | OpenCvEncoder":
    """Return what writes a video of frames of that size (width, height) at a constant rate.

    Its kind is the suffix's, one of `WITH_FFMPEG`. `sound` is a file whose sound goes with it, from `begins` seconds
    after its first frame; without ffmpeg there is none. StorageError, with the reason alone, where it cannot be.
    """
    codec = WITH_FFMPEG[path.suffix.lower()]
    if codec[0] in _encoders():
        return FfmpegEncoder(path, size, rate, codec, _sound_options(sound, begins) if sound else [])
    return OpenCvEncoder(path, size, rate)


class FfmpegEncoder:
    """A process of ffmpeg that is given raw frames. Errors are StorageError, with the reason alone."""

    note = ""  # what a user should know of the file

    def __init__(
        self, path: Path, size: tuple[int, int], rate: float, codec: tuple[str, ...], sound: list[str]
    ) -> None:
        self._hangs = ""  # why it was ended
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-video_size", f"{size[0]}x{size[1]}"]
        frames = [*raw, "-framerate", f"{rate:.6f}", "-i", "pipe:0"]
        command = ["ffmpeg", "-v", "error", "-y", *frames, *sound, "-c:v", *codec, f"file:{path}"]
        self._process = start_group(  # Ctrl-C is for mien, which then lets it end well
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )

    def write(self, pixels: np.ndarray) -> None:
        """Hand over a frame, uint8 (H, W, 3) BGR; one that is not taken in time ends the process."""
        assert self._process.stdin
        try:
            with self._at_most(FRAME_SECONDS):
                self._process.stdin.write(np.ascontiguousarray(pixels).data)
        except BrokenPipeError:
            self._process.wait()
            raise self._failed() from None

    def close(self) -> None:
        """Wait until the file is whole."""
        assert self._process.stdin
        with self._at_most(END_SECONDS):
            with_no_error(self._process.stdin.close)
            status = self._process.wait()
        if status != 0:
            raise self._failed()
        self._errors.close()

    def abort(self) -> None:
        """End the process."""
        self._kill()
        assert self._process.stdin
        with_no_error(self._process.stdin.close)
        self._process.wait()
        self._errors.close()

    @contextmanager
    def _at_most(self, seconds: float) -> Iterator[None]:
        """End the process, and with it the wait for it, where the block takes longer."""
        timer = threading.Timer(seconds, self._give_up, [seconds])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, seconds: float) -> None:
        self._hangs = f"it hangs, and was ended after {seconds:g} s"
        self._kill()

    def _kill(self) -> None:
        """End the process and those that it started, which could hold the pipe open."""
        kill_group(self._process)

    def _failed(self) -> StorageError:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        why = next((line for line in reversed(lines) if line.strip()), "it ended too soon")
        return StorageError(f"ffmpeg could not write it ({self._hangs or why.strip()})")


class OpenCvEncoder:
    """OpenCV's own encoder, the first that this OpenCV has for the suffix."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        import cv2

        self._path, self._written, self.note = path, 0, ""
        for code in WITH_OPENCV[path.suffix.lower()]:
            with silenced():
                self._writer = cv2.VideoWriter(
                    for_opencv(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), rate, size
                )
            if self._writer.isOpened():
                if code == NOT_IN_BROWSERS:
                    self.note = (
                        "MPEG-4 Part 2, which browsers do not play; install ffmpeg, or name a .webm file"
                    )
                return
        raise StorageError(f"could not be written as a {path.suffix} video")

    def write(self, pixels: np.ndarray) -> None:
        """Encode a frame."""
        self._writer.write(pixels)
        self._written += 1

    def close(self) -> None:
        """Close the file and count its frames: OpenCV does not tell of a full disk."""
        import cv2

        self._writer.release()
        whole = captured(for_opencv(self._path))
        count = whole.get(cv2.CAP_PROP_FRAME_COUNT) if whole else 0
        if whole:
            whole.release()
        if count < self._written - 1:
            raise StorageError("could not be written whole (is the disk full?)")

    def abort(self) -> None:
        """Close the file."""
        self._writer.release()


@cache
def _encoders() -> frozenset[str]:
    """Return the names of ffmpeg's encoders, none where it is not installed."""
    text = _output("ffmpeg", "-hide_banner", "-encoders")
    return frozenset(line.split()[1] for line in text.splitlines() if len(line.split()) > 1)


def _sound_options(source: Path, begins: float) -> list[str]:
    """Return ffmpeg's options for a file's sound along with a film, [] where it has none.

    The film begins `begins` seconds after the file's first frame, and sound that ends before it goes on in silence.
    """
    probe = _output("ffprobe", "-v", "error", "-of", "json", "-protocol_whitelist", "file", "-show_entries",
                    "stream=codec_type,start_time:format=start_time", f"file:{source}")  # fmt: skip
    try:
        probed = json.loads(probe or "{}")
        streams = {stream["codec_type"]: stream for stream in reversed(probed.get("streams", []))}
        file, video = (
            float(one.get("start_time", 0)) for one in (probed.get("format", {}), streams["video"])
        )
    except (ValueError, KeyError, AttributeError):
        return []
    if "audio" not in streams:
        return []
    skipped = max(0.0, video - file + begins)
    read = ["-protocol_whitelist", "file", "-ss", f"{skipped:.6f}", "-i", f"file:{source}"]
    return [*read, "-map", "0:v", "-map", "1:a:0", "-af", "apad", "-shortest"]


def _output(*command: str) -> str:
    """Return what a program writes, "" where it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=ASK_SECONDS, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
