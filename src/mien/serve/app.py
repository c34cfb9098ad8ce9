"""The routes of a server, each a few lines around what does the work. Knows nothing about processes and sockets."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from mien import __version__
from mien.faces import finder
from mien.model import Model
from mien.pages import render
from mien.predict.answer import LIMITS
from mien.serve import files, metrics
from mien.serve.about import about
from mien.serve.middleware import around
from mien.serve.pool import PicturePool
from mien.serve.predict import Access, add_predict
from mien.serve.problems import Problem, add_handlers
from mien.serve.reports import add_reports
from mien.serve.settings import Settings
from mien.system import give_memory_back


def application(settings: Settings) -> ASGIApp:
    """Return the ASGI application that does all of it, for one process."""
    return around(api(settings), settings)


def api(settings: Settings) -> FastAPI:
    """Return the routes, without what stands around them."""
    give_memory_back()
    model, access = settings.read_model(), Access(settings)
    pool = PicturePool(settings, model)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        _end_with_parent()
        pool.open()
        metrics.INFO.labels(model.name, __version__).set(1)
        try:
            yield
        finally:  # also where a second signal has cancelled all
            pool.close()

    app = FastAPI(
        title="mien",
        version=__version__,
        description=f"Classifies facial expressions in pictures. {LIMITS}",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=running,
    )
    add_handlers(app)
    add_predict(app, settings, access, model, pool)
    _add_page(app, _add_model(app, settings, model))
    _add_service(app, access)
    if settings.reports is not None:
        add_reports(app, settings.reports, access)
    return app


def _end_with_parent() -> None:
    """Have this process stop when the one that started it, with other workers, is gone."""
    loop, parent = asyncio.get_running_loop(), multiprocessing.parent_process()

    def stop(sentinel: int) -> None:
        loop.remove_reader(sentinel)
        signal.raise_signal(signal.SIGTERM)

    if parent is not None:
        loop.add_reader(parent.sentinel, stop, parent.sentinel)


def _add_model(app: FastAPI, settings: Settings, model: Model) -> dict[str, bytes]:
    """Have the model, the detector and the samples given; return all by their addresses below the root."""
    data = {"model.onnx": model.path.read_bytes(), "detector.onnx": finder.MODEL.read_bytes()}
    versions = {name: files.version(content) for name, content in data.items()}
    description = JSONResponse(about(model, settings, versions["model.onnx"], versions["detector.onnx"]))
    listed = JSONResponse(files.samples())

    @app.get("/v1/model", summary="The model, the limits, and all that a client needs to classify by itself")
    async def describe_model() -> Response:
        return description

    @app.get("/v1/samples", summary="Rendered pictures to try")
    async def list_samples() -> Response:
        return listed

    _give(app, "/v1/model.onnx", model.path, versions["model.onnx"])
    _give(app, "/v1/detector.onnx", finder.MODEL, versions["detector.onnx"])
    app.mount("/v1/samples", files.Files(directory=files.SAMPLES))
    addresses = {f"v1/{name}?v={versions[name]}": content for name, content in data.items()}
    addresses |= {f"v1/{sample['url']}": sample["url"].encode() for sample in files.samples()}
    return addresses | {"v1/model": description.body, "v1/samples": listed.body}  # type: ignore[dict-item]


def _give(app: FastAPI, path: str, file: Path, version: str) -> None:
    """Have a file given as it was when the server started."""
    modified = file.stat().st_mtime_ns

    async def give(request: Request) -> Response:
        if file.stat().st_mtime_ns != modified:
            raise Problem(503, "the file has changed since the server started; start it again")
        headers = {"cache-control": files.FOREVER} if request.query_params.get("v") == version else None
        return FileResponse(file, headers=headers, media_type="application/octet-stream")

    app.add_route(path, give, include_in_schema=False)


def _add_service(app: FastAPI, access: Access) -> None:
    @app.get("/healthz", summary="Whether the server answers", response_class=PlainTextResponse)
    async def health() -> Response:
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    @app.get("/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse,
             dependencies=[Depends(access.key)])  # fmt: skip
    async def count() -> Response:
        return metrics.response()

    @app.get("/docs", include_in_schema=False)
    async def describe(request: Request) -> Response:
        address = str(request.base_url).rstrip("/")
        page = render("mien.serve", "docs.html", api=app.openapi(), address=address, root="")
        return Response(page, media_type="text/html")

    style = render("mien.serve", "house.css")

    @app.get("/house.css", include_in_schema=False)
    async def give_style() -> Response:
        return Response(style, media_type="text/css")


def _add_page(app: FastAPI, answers: dict[str, bytes]) -> None:
    """Have the page given; `answers` are what it asks for, by their addresses below the root."""
    page = render("mien.serve", files.INDEX, model_url="v1/model", policy=None)
    script = files.service_worker({"./": page.encode(), **answers})

    @app.get("/", include_in_schema=False)
    async def open_page() -> Response:
        return Response(page, media_type="text/html")

    @app.get(f"/{files.SERVICE_WORKER}", include_in_schema=False)
    async def give_script() -> Response:
        return Response(script, media_type="text/javascript")

    @app.get("/page/", include_in_schema=False)
    async def leave() -> Response:
        return RedirectResponse("../", 307)

    app.mount("/page", files.Files(directory=files.PAGE))
