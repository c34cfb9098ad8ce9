"""What every request passes: the proxy's headers, the host's name, security headers, counts, the access log."""

import asyncio
import re
import sys
import time
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mien.serve import problems
from mien.serve.files import POLICY
from mien.serve.metrics import count_request
from mien.serve.settings import LOCAL, PREFIX, Settings, trusts

HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "; ".join((*POLICY, "frame-ancestors 'none'")),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
ROUTES = ("/page", "/v1/model", "/v1/predict", "/v1/samples", "/healthz", "/metrics", "/docs", "/openapi.json",
          "/service-worker.js", "/reports")  # fmt: skip
OTHER = "other"
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
HOST = re.compile(r"[\w.\-:\[\]]{1,255}", re.ASCII)


def around(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return an application with all that its requests pass before it."""
    if settings.allow_origins:
        app = _with_cors(app, settings.allow_origins)
    app = Observer(app, settings)
    if settings.proxy is not None:
        app = ProxyHeadersMiddleware(app, settings.proxy)  # type: ignore[arg-type, assignment]
    return Prefixed(app, settings)


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Let pages of named origins call the API, and nothing else."""
    headers = ["authorization", "content-type", "x-api-key"]
    cors = CORSMiddleware(app, origins, allow_methods=["GET", "POST"], allow_headers=headers)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        of_api = scope["type"] == "http" and _below_prefix(scope).startswith("/v1/")
        await (cors if of_api else app)(scope, receive, send)

    return choose


class Prefixed:
    """Sets the prefix of all paths, which the named proxy may tell along with the host, and nobody else."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._proxy = settings.proxy
        self._root_path = settings.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            prefix, headers = self._root_path, MutableHeaders(scope=scope)
            if trusts(self._proxy, (scope.get("client") or ("",))[0]):
                if PREFIX.fullmatch(told := headers.get("x-forwarded-prefix", "").rstrip("/")):
                    prefix = told or prefix
                if HOST.fullmatch(host := headers.get("x-forwarded-host", "")):
                    headers["host"] = host
            scope["root_path"] = prefix
            if not f"{scope['path']}/".startswith(f"{prefix}/"):  # the proxy has taken the prefix off
                scope["path"] = prefix + scope["path"]
        await self._app(scope, receive, send)


class Observer:
    """Counts and logs every request, completes every answer's headers, and answers where the application fails.

    It refuses hosts' names that are not the server's: a page elsewhere may have its name point to this machine.
    (Starlette's middleware for that does not tell whoever set the server up what to do.)
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._log = settings.access_log
        self._hosts = {host.lower() for host in settings.allow_hosts}
        if settings.loopback or self._hosts:
            self._hosts |= {*LOCAL, settings.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route, statuses, began = route_of(_below_prefix(scope)), [], time.perf_counter()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                count_request(route, statuses[0])  # before the client knows it, so that counts never lag
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._answering(scope)(_with_get(scope), receive, observed)
        except asyncio.CancelledError:  # by a second signal, or at the end of the time to finish
            if not statuses:
                await problems.response(503, "the server is being stopped")(scope, receive, observed)
        except Exception as error:  # a bug: the client has its 500, whoever runs the server gets a line
            words = " ".join(str(error).split())[:200]
            print(f"mien: {route}: {type(error).__name__}: {words}", file=sys.stderr, flush=True)
        finally:
            if not statuses:
                statuses.append(problems.CLIENT_GONE)
                count_request(route, statuses[0])
            if self._log:
                _write_log(scope, route, statuses[0], time.perf_counter() - began)

    def _answering(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
            words = "two lengths of one body, or chunks in HTTP/1.0"  # which a proxy may have understood otherwise
            return problems.response(400, words, {"connection": "close"})
        if not self._hosts or _host_name(headers.get("host", "")) in self._hosts:
            return self._app
        words = "the server does not go by this name; start it with --allow-host NAME if it should"
        return problems.response(421, words)


def _with_get(scope: Scope) -> Scope:
    """Return a request with HEAD as one with GET, of whose answer uvicorn sends the head alone."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _below_prefix(scope: Scope) -> str:
    return scope["path"].removeprefix(scope["root_path"])


@lru_cache(maxsize=256)
def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def route_of(path: str) -> str:
    """Return the route that a path belongs to, in the words of counts and log: no name that a client chose."""
    if path == "/house.css":
        return "/docs"
    if path.startswith("/v1/") and path.endswith(".onnx"):
        return "/v1/model"
    known = (route for route in ROUTES if path == route or path.startswith(f"{route}/"))
    return "/" if path == "/" else next(known, OTHER)


def _write_log(scope: Scope, route: str, status: int, seconds: float) -> None:
    """Write who asked for which route: no path, no query, no name of a file."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    method = scope["method"] if scope["method"] in METHODS else OTHER
    client = re.sub(r"[^0-9A-Fa-f.:]", "?", (scope.get("client") or ("-",))[0])
    words = f"{when} {client} {method} {route} {int(status)} {1000 * seconds:.0f} ms"
    print(words, file=sys.stderr, flush=True)
