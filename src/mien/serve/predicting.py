"""`POST /v1/predict`: pictures of a request to an answer. A plain ASGI application, which FastAPI only documents.

FastAPI's layers would take a third of the time in which a face is read (`bench/serve.py`).
"""

import difflib
import json
import time
from functools import lru_cache
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import FastAPI, Query
from pydantic import ValidationError

from mien.model import Model
from mien.predict.rows import header, told
from mien.serve import problems
from mien.serve.about import CARD
from mien.serve.guard import PREDICT
from mien.serve.metrics import Metrics
from mien.serve.problems import Problem
from mien.serve.reading import Gate, Read, Reading
from mien.serve.schema import Fault, Switches
from mien.serve.schema import Reading as ReadingSchema
from mien.serve.settings import Limits
from mien.serve.uploads import RAW, Upload, uploads

FAULTS = {
    401: "the key is missing or wrong, where the server has one",
    408: "the body did not come in time",
    413: "too many bytes, or too many pictures",
    415: "no picture of a kind that mien reads",
    422: "a damaged picture, one with too many pixels or faces, a wrong parameter",
    429: "too many pictures or bytes of this address wait",
    503: "too much waits, or it took too long; Retry-After says when to try again",
}
FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
BODY = {
    RAW: {"schema": {"type": "string", "format": "binary"}},
    "image/*": {"schema": {"type": "string", "format": "binary"}},
    "multipart/form-data": {"schema": {"type": "object", "properties": {"picture": FILES}}},
}


class Predict:
    """The ASGI application."""

    def __init__(self, limits: Limits, model: Model, reading: Reading, metrics: Metrics) -> None:
        self._limits = limits
        self._reading = reading
        self._metrics = metrics
        self._gate = Gate(limits, metrics)
        self._head = json.dumps(header(model, CARD)).removesuffix("}")

    async def __call__(self, scope, receive, send) -> None:
        """Answer a request."""
        try:
            await self._answer(scope, receive, send)
        except Problem as fault:
            told = problems.response(fault.status, fault.detail, fault.headers)
            await told(scope, receive, send)

    async def _answer(self, scope, receive, send) -> None:
        """Answer with what is read in a request's pictures; Problem where nothing is."""
        wanted = _switches(scope["query_string"])
        client, gate, request = (scope.get("client") or ("",))[0], self._gate, object()
        gate.check(client, 1)
        try:
            pictures = await uploads(
                scope, receive, lambda size: gate.hold(client, request, size), self._limits
            )
            begun = time.perf_counter()
            gate.enter(client, len(pictures))
            try:
                files = [picture.data for picture in pictures]
                behind = gate.of(client) - len(files)
                asked = {"crop": wanted.crop, "explain": wanted.explain, "behind": behind}
                found = await self._reading.read(files, receive, **asked)
            finally:
                gate.leave(client, len(pictures))
        finally:
            gate.release(request)
        seconds = time.perf_counter() - begun
        try:
            if len(found) == 1 and found[0].problem:
                raise Problem(found[0].status, found[0].problem)
            await _send(send, self._body(pictures, found, wanted.explain))
        finally:
            self._count(found, seconds)  # when the answer is on its way

    def _body(self, pictures: list[Upload], found: list[Read], explain: bool) -> bytes:
        """Return the JSON of what is read."""
        answers = [_told(picture, one, explain) for picture, one in zip(pictures, found, strict=True)]
        return f'{self._head}, "pictures": {json.dumps(answers)}}}'.encode()

    def _count(self, found: list[Read], seconds: float) -> None:
        self._metrics.observe("mien_predict_seconds", seconds)
        self._metrics.add("mien_pictures_read_total", sum(not one.problem for one in found))
        self._metrics.add("mien_pictures_refused_total", sum(bool(one.problem) for one in found))
        self._metrics.add("mien_faces_read_total", sum(len(one.faces) for one in found))


async def _send(send, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=64)
def _switches(query: bytes) -> Switches:
    """Return what a query switches on; Problem for what is not known."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    wanted, known = dict(pairs), list(Switches.model_fields)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; known are {', '.join(known)}"
            raise Problem(422, f'no parameter "{name[:40]}"{hint}')
    if len(wanted) < len(pairs):
        raise Problem(422, "a parameter stands twice")
    try:
        return Switches.model_validate(wanted)
    except ValidationError as fault:
        name = fault.errors()[0]["loc"][-1]
        raise Problem(422, f'{name} is true or false, not "{wanted[name][:40]}"') from None


def _told(picture: Upload, read: Read, explain: bool) -> dict:
    """Return what JSON says of a picture."""
    answer = told(picture.name, read.faces, read.size, read.problem)
    if explain and read.faces:
        maps = [places.astype(float).round(4).tolist() for places in read.explained]
        maps += [None] * (len(read.faces) - len(maps))
        answer["faces"] = [
            face | {"explanation": one} for face, one in zip(answer["faces"], maps, strict=True)
        ]
    return answer


def document(app: FastAPI) -> None:
    """Have FastAPI tell of it in the API's documentation."""

    @app.post(
        PREDICT,
        summary="Read the faces in one picture or several",
        responses={200: {"model": ReadingSchema}}
        | {status: {"model": Fault, "description": words} for status, words in FAULTS.items()},
        openapi_extra={"requestBody": {"required": True, "content": BODY}},
    )
    async def predict(switches: Annotated[Switches, Query()]) -> None:
        raise AssertionError("the guard hands such requests to Predict")
