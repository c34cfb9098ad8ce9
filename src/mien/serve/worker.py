"""What a process of the pool does: it decodes images of strangers and classifies their faces. Knows nothing about HTTP.

Such a process may end at any moment, so it holds nothing that matters to another. A timer of the kernel ends it when an
image takes too long: in the midst of a decoder in C, and also when the server is gone. It counts processor time, so a
busy machine refuses no good image. What it sends is data, never
code, so one that a picture has taken over says wrong things of its own pictures at worst.
"""

import json
import pickle
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedRWPair

from mien.errors import ModelError, PictureError, TooManyPixels, UnknownPicture
from mien.model import read_model
from mien.pictures import decode, quiet
from mien.predict.recognizer import Recognizer
from mien.predict.rows import picture_object
from mien.system import give_memory_back, limit_processor_time

DIGITS = 4  # of an explanation
READY = b"\n"  # what a process sends first
HEAD = struct.Struct("=IHI?")  # before an answer: its bytes, then the fields of `PictureResult`


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
    seconds: float


@dataclass(frozen=True, slots=True)
class PictureResult:
    """The answer about one image: JSON as `mien predict --json` writes it, or with the problem and its status."""

    text: bytes
    status: int = 200
    faces: int = 0
    too_large: bool = False


def work(
    channel: socket.socket, model: str, device: str, sha256: str, threshold: float, prior: tuple[float, ...]
) -> None:
    """Classify the images that come, until the other end is closed; exit where the model is not the server's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it when it has its answers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    give_memory_back()
    try:
        served = replace(read_model(model, threads=1), prior=prior)
        recognizer = Recognizer(served, threshold=threshold, threads=1, device=device)
        if recognizer.model.sha256 != sha256:
            raise ModelError(f"{model}: the file changed while the server ran; start it again")
    except ModelError as error:
        sys.exit(f"mien: {error}")
    with suppress(ConnectionError), quiet(), channel, channel.makefile("rwb") as stream:
        stream.write(READY)
        stream.flush()
        while _answer(stream, recognizer):
            recognizer.release_memory()


def _answer(stream: BufferedRWPair, recognizer: Recognizer) -> bool:
    """Answer the next image; return whether there was one."""
    try:
        job: Job = pickle.load(stream)
    except (EOFError, pickle.UnpicklingError):  # the server is gone, in the midst of an image or not
        return False
    limit_processor_time(job.seconds)
    result = classify(recognizer, job)
    limit_processor_time(0)
    stream.write(HEAD.pack(len(result.text), result.status, result.faces, result.too_large) + result.text)
    stream.flush()
    return True


def failed(job: Job, problem: str, status: int = 422, too_large: bool = False) -> PictureResult:
    """Return the result of an image that cannot be used."""
    return PictureResult(_json(picture_object(job.name, (), (0, 0), problem)), status, 0, too_large)


def classify(recognizer: Recognizer, job: Job) -> PictureResult:
    """Return the faces in an image and their expressions, or why it cannot be used."""
    try:
        picture = decode(job.data, color=True, most_pixels=job.most_pixels)
        detections = recognizer.detect(picture.pixels, crop=job.crop, reduction=picture.reduction)
    except PictureError as error:
        status = 415 if isinstance(error, UnknownPicture) else 422
        return failed(job, str(error), status, isinstance(error, TooManyPixels))
    count = len(detections.faces)
    if count > job.most_faces:
        return failed(job, f"{count} faces were found, more than {job.most_faces} in a picture")
    faces = recognizer.classify(detections)
    answer = picture_object(job.name, faces, picture.size)
    for number, face in enumerate(faces if job.explain else ()):
        explained = number < job.most_explained
        places = recognizer.explain(face).astype(float).round(DIGITS).tolist() if explained else None
        answer["faces"][number]["explanation"] = places
    return PictureResult(_json(answer), faces=count)


def _json(answer: dict) -> bytes:
    return json.dumps(answer).encode()
