"""Faults as clients get them: RFC 9457 problem bodies. Knows no route."""

import json
from http import HTTPStatus

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2


class Problem(Exception):
    """A request that is answered with a fault; `detail` is a sentence for whoever sent it."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.headers.setdefault("retry-after", str(RETRY_SECONDS))


class ClientGone(Exception):
    """The client closed the connection; nobody waits for an answer."""


def title(status: int) -> str:
    """Return a status in words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Fault"


def body(status: int, detail: str) -> bytes:
    """Return the JSON of a problem."""
    told = {"type": "about:blank", "title": title(status), "status": status, "detail": detail}
    return json.dumps(told).encode()


def response(status: int, detail: str, headers: dict[str, str] | None = None):
    """Return the response that tells a problem."""
    from starlette.responses import Response

    told = {"cache-control": "no-store", **(headers or {})}
    return Response(body(status, detail), status, told, media_type=MEDIA_TYPE)
