"""What a process of the pool does: it decodes images of strangers and classifies their faces. Knows nothing about HTTP.

Such a process may be ended at any moment, so it holds nothing that matters to another.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

from mien.errors import ModelError, PictureError, TooManyPixels, UnknownPicture
from mien.model import read_model
from mien.pictures import decode, quiet
from mien.predict.recognizer import Recognizer
from mien.predict.rows import told

MMAP_THRESHOLD, MALLOPT_MMAP_THRESHOLD = 2**20, -3  # bytes; of mallopt(3)
DIGITS = 4  # of an explanation

_recognizer: Recognizer


@dataclass(frozen=True, slots=True)
class Job:
    """An image file to classify, and how."""

    name: str
    data: bytes
    crop: bool
    explain: bool
    most_pixels: int
    most_faces: int
    most_explained: int


@dataclass(frozen=True, slots=True)
class PictureResult:
    """The answer about one image: JSON as `mien predict --json` writes it, or the problem and its status."""

    answer: dict[str, Any]
    status: int = 200
    too_large: bool = False


def start(model: str, sha256: str) -> None:
    """Make this process one of the pool; ModelError where the model is another one than the server began with."""
    global _recognizer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ends it in the midst of a decoder, too
    parent = multiprocessing.parent_process()
    if parent is not None:  # the server; without it there is nothing to do, however it went
        threading.Thread(target=lambda: os._exit(parent.join() or 0), daemon=True).start()
    give_memory_back()
    quiet().__enter__()  # for the rest of the process
    _recognizer = Recognizer(read_model(model, threads=1), threads=1)
    if _recognizer.model.sha256 != sha256:
        raise ModelError(f"{model}: the file changed while the server ran; start it again")


def failed(job: Job, problem: str, status: int = 422, too_large: bool = False) -> PictureResult:
    """Return the result of an image that cannot be used."""
    return PictureResult(told(job.name, (), (0, 0), problem), status, too_large)


def classify(job: Job) -> PictureResult:
    """Return the faces in an image and their expressions, or why it cannot be used."""
    try:
        picture = decode(job.data, color=True, most_pixels=job.most_pixels)
        detections = _recognizer.detect(picture.pixels, crop=job.crop, reduction=picture.reduction)
    except PictureError as error:
        status = 415 if isinstance(error, UnknownPicture) else 422
        return failed(job, str(error), status, isinstance(error, TooManyPixels))
    count = len(detections.faces)
    if count > job.most_faces:
        return failed(job, f"{count} faces were found, more than {job.most_faces} in a picture")
    faces = _recognizer.classify(detections)
    answer = told(job.name, faces, picture.size)
    for number, face in enumerate(faces if job.explain else ()):
        explained = number < job.most_explained
        places = _recognizer.explain(face).astype(float).round(DIGITS).tolist() if explained else None
        answer["faces"][number]["explanation"] = places
    return PictureResult(answer)


def give_memory_back() -> None:
    """Have glibc return large buffers as soon as they are freed, instead of keeping up to 32 MiB of each size."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):  # musl has none
        ctypes.CDLL(None).mallopt(MALLOPT_MMAP_THRESHOLD, MMAP_THRESHOLD)
