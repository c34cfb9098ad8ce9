"""Errors as clients get them: RFC 9457 problem bodies, for what the framework raises, too. Knows no route."""

import json
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"retry-after": "2"}  # seconds
CLIENT_GONE = 499  # in counts and log alone
BROKEN = "broken"  # in the state of a request whose body turned out to be no HTTP
DETAILS = {404: "nothing is here; /docs describes the API", 405: "this address does not take this method"}
INTERNAL = "an error of the server; it is logged there"


class Problem(HTTPException):
    """A request that is refused; `detail` is a sentence for whoever sent it."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, (RETRY_AFTER if status in (429, 503) else {}) | (headers or {}))


def body(status: int, detail: str) -> bytes:
    """Return the JSON of a problem."""
    title = HTTPStatus(status).phrase
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


def response(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the response that describes a problem."""
    headers = {"cache-control": "no-store", **(headers or {})}
    return Response(body(status, detail), status, headers, media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Have every error of an application answered as a problem."""

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        detail = error.detail if isinstance(error, Problem) else DETAILS.get(error.status_code, error.detail)
        return response(error.status_code, detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def refuse_parameter(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return response(422, f"the parameter {first['loc'][-1]!s:.40}: {first['msg'].lower()}")

    @app.exception_handler(ClientDisconnect)
    async def note(request: Request, error: ClientDisconnect) -> Response:
        return Response(
            status_code=400 if BROKEN in request.scope["state"] else CLIENT_GONE
        )  # counted; nobody reads it

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return response(500, INTERNAL)  # `middleware.Observer` logs it
