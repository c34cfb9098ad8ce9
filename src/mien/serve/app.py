"""The routes of a server, each a few lines around what does the work. Knows nothing about processes and sockets."""

import json
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from mien import __version__
from mien.errors import ServeError
from mien.faces import finder
from mien.pages import render
from mien.pictures import quiet
from mien.predict import Recognizer
from mien.predict.answer import LIMITS
from mien.serve import problems
from mien.serve.about import DETECTOR_FILE, MODEL_FILE, about
from mien.serve.assets import Asset, folder
from mien.serve.gallery import samples
from mien.serve.guard import Guard
from mien.serve.metrics import MEDIA_TYPE, Metrics
from mien.serve.offline import SCRIPT, service_worker
from mien.serve.predicting import Predict, document
from mien.serve.reading import Reading
from mien.serve.reports import add_reports
from mien.serve.schema import About, Sample
from mien.serve.settings import Settings


def application(settings: Settings, recognizer: Recognizer, metrics: Metrics) -> Guard:
    """Return the ASGI application that does all of it."""
    reading = Reading(recognizer, settings.threads_each, settings.limits, metrics)

    @asynccontextmanager
    async def lifespan(app):
        with quiet():
            yield
            reading.close()

    app = FastAPI(
        title="mien",
        version=__version__,
        description=f"Reads facial expressions in pictures. {LIMITS}",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    _add_faults(app)
    document(app)
    answers = _add_model(app, settings, recognizer) | _add_samples(app)
    _add_service(app, recognizer, metrics)
    _add_page(app, answers)
    if settings.reports is not None:
        add_reports(app, settings.reports)
    predict = Predict(settings.limits, recognizer.model, reading, metrics)
    return Guard(app, predict, settings, metrics)


def _add_faults(app: FastAPI) -> None:
    """Have every fault told as a problem."""

    async def of_http(request: Request, fault: HTTPException) -> Response:
        detail = {404: "nothing is here; the API stands at /docs", 405: "not with this method"}
        return problems.response(
            fault.status_code, detail.get(fault.status_code, fault.detail), fault.headers
        )

    async def of_bug(request: Request, fault: Exception) -> Response:
        return problems.response(500, "a fault of the server; it is noted there")  # by the guard

    app.add_exception_handler(Exception, of_bug)
    app.add_exception_handler(HTTPException, of_http)


def _add_model(app: FastAPI, settings: Settings, recognizer: Recognizer) -> dict[str, Asset]:
    """Have the model and the face detector given; return them by their addresses below the root."""
    model = Asset.of(recognizer.model.path.read_bytes(), ".onnx")
    detector = Asset.of(finder.MODEL.read_bytes(), ".onnx")
    if model.sha256 != recognizer.model.sha256:
        raise ServeError(
            f"{recognizer.model.path}: the model's file changed while the server started; start it again"
        )
    said = json.dumps(about(recognizer.model, settings, model.version, detector.version))
    card = Asset.of(said.encode(), ".json")

    told = {200: {"model": About}}

    @app.get("/v1/model", summary="The model, and all that reading by oneself needs", responses=told)
    async def tell_model(request: Request) -> Response:
        return card.response(request)

    _give(app, f"/v1/{MODEL_FILE}", model)
    _give(app, f"/v1/{DETECTOR_FILE}", detector)
    return {
        "v1/model": card,
        f"v1/{MODEL_FILE}?v={model.version}": model,
        f"v1/{DETECTOR_FILE}?v={detector.version}": detector,
    }


def _give(app: FastAPI, path: str, asset: Asset) -> None:
    """Have an asset given at a path."""

    async def give(request: Request) -> Response:
        return asset.response(request)

    app.add_route(path, give, include_in_schema=False)


def _add_samples(app: FastAPI) -> dict[str, Asset]:
    """Have the samples given; return them by their addresses below the root."""
    listed, pictures = samples()
    asset = Asset.of(json.dumps(listed).encode(), ".json")

    @app.get("/v1/samples", summary="Rendered pictures to try", responses={200: {"model": list[Sample]}})
    async def list_samples(request: Request) -> Response:
        return asset.response(request)

    _give_folder(app, "/v1/samples", pictures)
    by_address = {f"v1/samples/{name}?v={picture.version}": picture for name, picture in pictures.items()}
    return {"v1/samples": asset, **by_address}


def _give_folder(app: FastAPI, path: str, assets: dict[str, Asset]) -> None:
    """Have assets given below a path, by their ways and nothing else."""

    async def give(request: Request) -> Response:
        asset = assets.get(request.path_params["way"])
        if asset is None:
            raise HTTPException(404)
        return asset.response(request)

    app.add_route(f"{path}/{{way:path}}", give, include_in_schema=False)


def _add_service(app: FastAPI, recognizer: Recognizer, metrics: Metrics) -> None:
    @app.get("/healthz", summary="Whether the server answers", response_class=PlainTextResponse)
    async def health() -> Response:
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    @app.get("/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse)
    async def count() -> Response:
        text = metrics.text(__version__, recognizer.model.name)
        return Response(text, media_type=MEDIA_TYPE, headers={"cache-control": "no-store"})

    async def describe(request: Request) -> Response:
        page = render("mien.serve", "docs.html", api=app.openapi(), address=str(request.base_url).rstrip("/"))
        return Asset.of(page.encode(), ".html").response(request)

    style = Asset.of(render("mien.serve", "house.css").encode(), ".css")
    app.add_route("/docs", describe, include_in_schema=False)
    _give(app, "/house.css", style)


def _add_page(app: FastAPI, answers: dict[str, Asset]) -> None:
    """Have the page given; `answers` are what it asks for, by their addresses below the root."""
    page = files("mien.serve") / "page"
    assets = folder(page)

    async def open_page(request: Request) -> Response:
        return assets["index.html"].response(request)

    async def leave(request: Request) -> Response:
        return RedirectResponse("/", 307)

    app.add_route("/", open_page, include_in_schema=False)
    _give(app, f"/{SCRIPT}", service_worker(assets, answers))
    app.add_route("/page/", leave, include_in_schema=False)
    _give_folder(app, "/page", assets)
