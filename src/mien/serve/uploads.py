"""Pictures taken in from requests: one as the body, or several as multipart/form-data. Writes nothing to a disk.

A body is held in memory up to the limit and no further, and has to come in time; so a client that sends slowly, or
without an end, costs a connection and no more.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache

from mien.serve.problems import ClientGone, Problem
from mien.serve.settings import Limits

BODY_SECONDS = 60.0  # for a whole body
IDLE_SECONDS = 10.0  # without a byte of it
WHOLE = "mien.whole"  # in the scope of a request whose body came along with its head
RAW = "application/octet-stream"
LONGEST_NAME = 200
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
PART_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture file as it came."""

    name: str
    data: bytes


async def uploads(scope: dict, receive, hold: Callable[[int], None], limits: Limits) -> list[Upload]:
    """Return the pictures of a request, at least one; Problem with the status for what cannot be taken.

    `hold` is told of the bytes as they come, and may raise Problem.
    """
    headers = dict(scope["headers"])
    boundary = _boundary(headers.get(b"content-type", RAW.encode()))
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    if scope.get(WHOLE):
        body = await _body(receive, hold, limits)
    else:
        body = await _body_in_time(receive, hold, limits)
    if boundary is None:
        found = [Upload("picture 1", body)]
    else:
        found = list(_parts(body, boundary, limits.pictures))
    if not found or not found[0].data and len(found) == 1:
        raise Problem(422, "no picture came: send one as the body, or files as multipart/form-data")
    return found


@lru_cache(maxsize=64)
def _boundary(content_type: bytes) -> bytes | None:
    """Return the boundary of a multipart body, None for a picture as the body; Problem for anything else."""
    kind = Message()
    kind["content-type"] = content_type.decode("latin-1")
    media = kind.get_content_type()
    if media.startswith("image/") or media == RAW:
        return None
    if media != "multipart/form-data":
        raise Problem(
            415,
            f"a picture is wanted as image/… or {RAW}, or several as multipart/form-data; this says {media}",
        )
    try:
        boundary = kind.get_param("boundary")
    except (TypeError, ValueError):  # of email's reader of RFC 2231
        boundary = None
    if not isinstance(boundary, str) or not BOUNDARY.fullmatch(boundary):
        raise Problem(422, "multipart/form-data without a boundary that can be used")
    return boundary.encode()


async def _body_in_time(receive, hold: Callable[[int], None], limits: Limits) -> bytes:
    """Return a request's body, which has to come in time."""
    now = asyncio.get_running_loop().time
    end = now() + BODY_SECONDS
    try:
        async with asyncio.timeout(IDLE_SECONDS) as patience:
            return await _body(
                receive, hold, limits, lambda: patience.reschedule(min(end, now() + IDLE_SECONDS))
            )
    except TimeoutError:
        raise Problem(408, f"the body did not come: {IDLE_SECONDS:.0f} s went by without a byte, or "
                           f"{BODY_SECONDS:.0f} s in all", {"connection": "close"}) from None  # fmt: skip


async def _body(
    receive, hold: Callable[[int], None], limits: Limits, came: Callable[[], None] = lambda: None
) -> bytes:
    """Return a request's body; `came` is called for each part that is not the last."""
    chunks, total, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk, more = message.get("body", b""), message.get("more_body", False)
        total += len(chunk)
        if total > limits.body_bytes:
            raise _too_large(limits)
        hold(len(chunk))
        chunks.append(chunk)
        if more:
            came()
    return b"".join(chunks)


def _too_large(limits: Limits) -> Problem:
    return Problem(413, f"the body has more than {limits.body_bytes:,} bytes")


def _parts(body: bytes, boundary: bytes, most: int) -> Iterator[Upload]:
    """Yield the files of a multipart body (RFC 7578), in order; a field that is no file is passed over."""
    mark = b"\r\n--" + boundary
    whole = b"\r\n" + body
    at = whole.find(mark)
    if at < 0:
        raise Problem(422, "the multipart body does not hold its boundary")
    number = 0
    while True:
        at += len(mark)
        if whole.startswith(b"--", at):
            return
        end = whole.find(mark, at)
        if end < 0:
            raise Problem(422, "the multipart body ends in the middle")
        name = _file_name(whole, at, end)
        if name is not None:
            number += 1
            if number > most:
                raise Problem(413, f"more than {most} pictures in one request")
            start = whole.find(b"\r\n\r\n", at, end) + 4
            yield Upload(name or f"picture {number}", whole[start:end])
        at = end


def _file_name(whole: bytes, at: int, end: int) -> str | None:
    """Return the file name of a part, "" where it has none but is a picture, None where it is no file."""
    stop = whole.find(b"\r\n\r\n", at, min(end, at + PART_HEAD_BYTES))
    if stop < 0:
        raise Problem(422, "a part of the multipart body has no head, or one that is too long")
    head = Message()
    for line in whole[at:stop].decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() in ("content-disposition", "content-type"):
            head[name.strip()] = value.strip()
    try:
        name = head.get_filename()
    except (TypeError, ValueError):  # of email's reader of RFC 2231
        raise Problem(422, "a part of the multipart body has a file name that cannot be read") from None
    if name is None:
        return "" if head.get_content_type().startswith("image/") else None
    return _readable(name)


def _readable(name: str) -> str:
    """Return a name without ways and signs that do not print; it goes back to the client alone."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:LONGEST_NAME]
