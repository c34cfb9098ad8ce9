"""What stands before every route: headers, hosts, origins, the key, counts and the access log. Knows no picture."""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import sys
import time
from functools import lru_cache
from http import HTTPStatus

from mien.serve import problems
from mien.serve.metrics import ROUTES, Metrics
from mien.serve.problems import ClientGone, Problem
from mien.serve.settings import Settings

CLIENT_GONE = 499  # in counts and log alone: nobody was there to get a status
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'", "style-src 'self'",
    "img-src 'self' blob: data:", "media-src 'self' blob:", "connect-src 'self'", "object-src 'none'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
NAMES = frozenset(name for name, _ in ENCODED)
PREDICT = "/v1/predict"
KEPT = (
    PREDICT,
    "/reports",
    "/metrics",
)  # what the key opens; page, model and samples tell nothing of anybody
LOCAL = ("localhost", "127.0.0.1", "::1")
PREFLIGHT = {"access-control-allow-methods": "GET, POST", "access-control-max-age": "600",
             "access-control-allow-headers": "authorization, content-type, x-api-key"}  # fmt: skip


class Guard:
    """An ASGI application around the one with the routes, and the one that reads pictures."""

    def __init__(self, app, predict, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._predict = predict
        self._key = settings.api_key and settings.api_key.encode()
        self._origins = frozenset(settings.allow_origins)
        self._hosts = frozenset(host.lower() for host in settings.allow_hosts)
        if settings.loopback or self._hosts:
            self._hosts |= {*LOCAL, settings.host.lower()}
        self._metrics = metrics
        self._log = settings.access_log

    async def __call__(self, scope, receive, send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answered = time.perf_counter(), []
        headers = dict(scope["headers"])
        route = route_of(scope["path"])
        allowed = self._allowed(headers, route)

        async def send_guarded(message) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])
                message["headers"] = _completed(message["headers"], allowed)
            await send(message)

        try:
            early = self._refused(scope["method"], headers, route, allowed)
            await (early or self._answering(scope))(scope, receive, send_guarded)
        except ClientGone:
            answered[:] = [CLIENT_GONE]
        except asyncio.CancelledError:  # the server stops at once; what waited for an answer has one
            if not answered:
                told = problems.response(503, "the server is being stopped")
                await told(scope, receive, send_guarded)
        except Exception as fault:  # a bug of ours: the client has its 500, whoever runs the server one line
            print(f"mien: {route}: {type(fault).__name__}: {_line(fault)}", file=sys.stderr, flush=True)
            if not answered:
                told = problems.response(500, "a fault of the server; it is noted there")
                await told(scope, receive, send_guarded)
        finally:
            status = answered[0] if answered else CLIENT_GONE
            self._metrics.request(route, status)
            if self._log:
                _log(scope, route, status, time.perf_counter() - started)

    def _answering(self, scope: dict):
        """Return the application that answers."""
        reading = scope["path"] == PREDICT and scope["method"] == "POST"
        return self._predict if reading else self._app

    def _allowed(self, headers: dict, route: str) -> dict[str, str]:
        """Return what lets a page of another origin read the answer, where that origin was named."""
        if not self._origins or not route.startswith("/v1/"):
            return {}
        origin = headers.get(b"origin", b"").decode("latin-1")
        return {
            "vary": "Origin",
            **({"access-control-allow-origin": origin} if origin in self._origins else {}),
        }

    def _refused(self, method: str, headers: dict, route: str, allowed: dict):
        """Return the answer to what never reaches a route, None where it may."""
        try:
            self._check_host(headers.get(b"host", b"").decode("latin-1"))
            if method == "OPTIONS" and b"access-control-request-method" in headers and len(allowed) > 1:
                from starlette.responses import Response

                return Response(status_code=HTTPStatus.NO_CONTENT, headers=PREFLIGHT)
            self._check_site(method, headers)
            self._check_key(headers, route)
        except Problem as fault:
            return problems.response(fault.status, fault.detail, fault.headers)
        return None

    def _check_host(self, host: str) -> None:
        """Refuse names that are not the server's: a page elsewhere may have its name point to this machine."""
        if not self._hosts:
            return
        name = (
            host.rpartition(":")[0]
            if host.rpartition(":")[2].isdecimal() and not host.endswith("]")
            else host
        )
        if name.strip("[]").lower() not in self._hosts:
            raise Problem(
                421, "the server does not go by this name; start it with --allow-host NAME if it should"
            )

    def _check_site(self, method: str, headers: dict) -> None:
        """Refuse what a page of another site has a browser send; what it may ask for is for CORS to say.

        Browsers tell the site with `Sec-Fetch-Site` where the address counts as safe, and the origin everywhere.
        """
        origin = headers.get(b"origin", b"").decode("latin-1")
        if method != "POST" or origin in self._origins:
            return
        site, host = headers.get(b"sec-fetch-site"), headers.get(b"host", b"").decode("latin-1")
        elsewhere = bool(origin) and origin.partition("://")[2].lower() != host.lower()
        if site == b"cross-site" or site is None and elsewhere:
            raise Problem(
                403, "pages of other sites may not ask; start the server with --allow-origin to let one"
            )

    def _check_key(self, headers: dict, route: str) -> None:
        if self._key is None or route not in KEPT:
            return
        given = _key_in(headers)
        if not hmac.compare_digest(given, self._key):
            challenge = "Bearer" if route == PREDICT else 'Basic realm="mien", charset="UTF-8"'
            wrong = "this is not the API key" if given else "an API key is needed"
            detail = f"{wrong}: Authorization: Bearer KEY, X-API-Key: KEY, or KEY as the password"
            raise Problem(401, detail, {"www-authenticate": challenge})


def _key_in(headers: dict) -> bytes:
    """Return the key that a request brings, b"" where it brings none."""
    if b"x-api-key" in headers:
        return headers[b"x-api-key"]
    scheme, _, rest = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


@lru_cache(maxsize=256)
def route_of(path: str) -> str:
    """Return the route that a path belongs to, in the words of counts and log: no name that a client chose."""
    if path in ("/house.css",):
        return "/docs"
    if path.startswith("/v1/") and path.endswith(".onnx"):
        return "/v1/model"
    known = (route for route in ROUTES[1:-1] if path == route or path.startswith(f"{route}/"))
    return "/" if path == "/" else next(known, "other")


def _completed(headers: list, allowed: dict[str, str]) -> list:
    """Return an answer's headers and those of every answer that it does not set itself."""
    there = {name for name, _ in headers}  # in small letters, as ASGI wants them
    more = ENCODED if there.isdisjoint(NAMES) else [one for one in ENCODED if one[0] not in there]
    return [*headers, *more, *((n.encode(), v.encode("latin-1")) for n, v in allowed.items())]


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]


def _log(scope: dict, route: str, status: int, seconds: float) -> None:
    """Write who asked for which route: no path, no query, no name of a file."""
    client = (scope.get("client") or ("-",))[0]
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = f"{when} {_plain(client)} {_method(scope['method'])} {route} {status} {1000 * seconds:.0f} ms"
    print(told, file=sys.stderr, flush=True)


def _plain(client: str) -> str:
    try:
        return str(ipaddress.ip_address(client))
    except ValueError:
        return "-"


def _method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
