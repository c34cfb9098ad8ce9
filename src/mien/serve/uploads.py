"""Images taken in from requests: one as the body, several as multipart/form-data, or base64 in JSON. Writes no file.

A body is held in memory up to the limit and no further, and has to come in time; so a client that sends slowly, or
without an end, costs a connection and no more.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncGenerator, Callable
from email.message import Message

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mien.serve.problems import Problem
from mien.serve.schema import Base64Images
from mien.serve.settings import Limits

BODY_SECONDS = 60.0  # for a whole body
IDLE_SECONDS = 10.0  # without a byte of it
RAW, FORM, JSON = "application/octet-stream", "multipart/form-data", "application/json"
WANTED = f"send one image as the body (image/… or {RAW}), files as {FORM}, or base64 in {JSON}"
LONGEST_NAME = 200
MORE_FIELDS = 8  # of a form, beside its pictures

Image = tuple[str, bytes]  # a file's name and what is in it

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it warns of every odd byte


class FormParser(MultiPartParser):
    """Starlette's, but all in memory, and it knows whether a form came to its end."""

    spool_max_size = 2**40  # bytes of a part that stay in memory: the body has a bound already
    complete = False

    def on_end(self) -> None:
        """Note the last boundary."""
        self.complete = True


async def read_images(request: Request, hold: Callable[[int], None], limits: Limits) -> list[Image]:
    """Return the images of a request, at least one; Problem with the status for what cannot be taken.

    `hold` is called with the number of bytes as they come, and may raise Problem.
    """
    content_type = Message()
    content_type["content-type"] = request.headers.get("content-type", RAW)
    media, body = content_type.get_content_type(), _body(request, hold, limits)
    if media == FORM:
        images = await _of_form(request, body, limits)
    elif media == JSON:
        images = _of_json(b"".join([chunk async for chunk in body]), limits)
    elif media == RAW or media.startswith("image/"):
        images = [("picture 1", b"".join([chunk async for chunk in body]))]
    else:
        raise Problem(415, f"{media} cannot be read; {WANTED}")
    if len(images) > limits.pictures:
        raise Problem(413, f"more than {limits.pictures} pictures in one request")
    if not images or not images[0][1] and len(images) == 1:
        raise Problem(422, f"no picture came; {WANTED}")
    return images


async def _body(request: Request, hold: Callable[[int], None], limits: Limits) -> AsyncGenerator[bytes, None]:
    """Yield a request's body as it comes; Problem where it is too large or too slow."""
    chunks, total, now = request.stream(), 0, asyncio.get_running_loop().time
    too_large = Problem(413, f"the body has more than {limits.body_bytes:,} bytes")
    if int(request.headers.get("content-length", 0)) > limits.body_bytes:
        raise too_large
    end = now() + BODY_SECONDS
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), min(IDLE_SECONDS, end - now()))
        except TimeoutError:
            words = f"{IDLE_SECONDS:.0f} s went by without a byte of the body, or {BODY_SECONDS:.0f} s in all"
            raise Problem(408, words, {"connection": "close"}) from None
        if chunk is None:
            return
        total += len(chunk)
        if total > limits.body_bytes:
            raise too_large
        hold(len(chunk))
        yield chunk


async def _of_form(request: Request, body: AsyncGenerator[bytes, None], limits: Limits) -> list[Image]:
    """Return the files of a form, and the base64 of its fields named `picture`, in order."""
    most = {"max_files": limits.pictures, "max_fields": limits.pictures + MORE_FIELDS}
    parser = FormParser(request.headers, body, **most, max_part_size=limits.body_bytes)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(
            413 if error.message.startswith("Too many") else 422, f"{FORM}: {error.message}"
        ) from None
    if not parser.complete:
        raise Problem(422, f"{FORM} that ends in the middle")
    images = []
    for name, value in form.multi_items():
        number = f"picture {len(images) + 1}"
        if isinstance(value, UploadFile):
            images.append((_readable(value.filename or "") or number, value.file.read()))
        elif name == "picture":
            images.append((number, _decoded(number, value)))
    return images


def _of_json(body: bytes, limits: Limits) -> list[Image]:
    """Return the images of a JSON body; so many values that reading them would take long are refused unread."""
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > 4 * limits.pictures + MORE_FIELDS:
        raise Problem(413, f"more values than {limits.pictures} pictures need")
    try:
        texts = Base64Images.model_validate_json(body).pictures
    except ValidationError as error:
        words = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise Problem(422, f'{JSON}: {words}; send {{"pictures": ["base64", …]}}') from None
    numbers = (f"picture {number}" for number in range(1, len(texts) + 1))
    return [(number, _decoded(number, text)) for number, text in zip(numbers, texts, strict=True)]


def _decoded(name: str, text: str) -> bytes:
    """Return the bytes of base64, which may stand in a data URI."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, f"{name} is neither a file nor base64") from None


def _readable(name: str) -> str:
    """Return a file's name without folders and signs that do not print; it goes back to the client alone."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[:LONGEST_NAME]
