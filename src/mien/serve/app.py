"""The routes of a server, each a few lines around what does the work. Knows nothing about processes and sockets."""

import asyncio
import difflib
import json
import time
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from mien import __version__
from mien.errors import ServeError
from mien.faces import finder
from mien.pages import render
from mien.pictures import quiet
from mien.predict import Recognizer
from mien.predict.answer import LIMITS, Answer
from mien.predict.rows import header, told
from mien.predict.sources import Source
from mien.serve import problems
from mien.serve.about import CARD, DETECTOR_URL, MODEL_URL, about
from mien.serve.assets import Asset, folder
from mien.serve.gallery import samples
from mien.serve.guard import Guard
from mien.serve.metrics import MEDIA_TYPE, Metrics
from mien.serve.problems import Problem
from mien.serve.reading import Gate, Read, Reading
from mien.serve.reports import add_reports
from mien.serve.schema import About, Fault, Sample
from mien.serve.schema import Reading as ReadingSchema
from mien.serve.settings import Settings
from mien.serve.uploads import RAW, uploads

FAULTS = {
    401: "the key is missing or wrong, where the server has one",
    408: "the body did not come in time",
    413: "too many bytes, or too many pictures",
    415: "no picture of a kind that mien reads",
    422: "a damaged picture, one with too many pixels or faces, a wrong parameter",
    429: "too many pictures of this address wait",
    503: "too much waits, or it took too long; Retry-After says when to try again",
}
QUERY = ("crop", "explain")
BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            RAW: {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "picture": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
        },
    }
}


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
    _add_predict(app, settings, recognizer, reading, metrics)
    _add_model(app, settings, recognizer)
    _add_samples(app)
    _add_service(app, recognizer, metrics)
    _add_page(app)
    if settings.reports is not None:
        add_reports(app, settings.reports)
    return Guard(app, settings, metrics)


def _add_faults(app: FastAPI) -> None:
    """Have every fault told as a problem."""

    async def of_problem(request: Request, fault: Problem) -> Response:
        return problems.response(fault.status, fault.detail, fault.headers)

    async def of_http(request: Request, fault: HTTPException) -> Response:
        detail = {404: "nothing is here; the API stands at /docs", 405: "not with this method"}
        return problems.response(
            fault.status_code, detail.get(fault.status_code, fault.detail), fault.headers
        )

    async def of_parameters(request: Request, fault: RequestValidationError) -> Response:
        said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in fault.errors())
        return problems.response(422, said)

    async def of_bug(request: Request, fault: Exception) -> Response:
        return problems.response(500, "a fault of the server; it is noted there")  # by the guard

    app.add_exception_handler(Exception, of_bug)
    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_parameters)


def _add_model(app: FastAPI, settings: Settings, recognizer: Recognizer) -> None:
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

    _give(app, MODEL_URL, model)
    _give(app, DETECTOR_URL, detector)


def _give(app: FastAPI, path: str, asset: Asset) -> None:
    """Have an asset given at a path."""

    async def give(request: Request) -> Response:
        return asset.response(request)

    app.add_route(path, give, include_in_schema=False)


def _add_predict(app, settings: Settings, recognizer: Recognizer, reading: Reading, metrics: Metrics) -> None:
    limits = settings.limits
    gate = Gate(limits, metrics)
    head = header(recognizer.model, CARD)
    faults = {status: {"model": Fault, "description": words} for status, words in FAULTS.items()}

    @app.post(
        "/v1/predict",
        summary="Read the faces in one picture or several",
        responses={200: {"model": ReadingSchema}, **faults},
        openapi_extra=BODIES,
    )
    async def predict(
        request: Request,
        crop: bool = Query(False, description="the picture is a face already: its middle square is read"),
        explain: bool = Query(False, description="tell for the largest faces what the answer depends on"),
    ) -> Response:
        _check_query(request)
        client = request.client.host if request.client else ""
        gate.check(client, 1)
        try:
            pictures = await uploads(request, gate, limits)
            begun = time.perf_counter()
            gate.enter(client, len(pictures))
            gone = asyncio.ensure_future(_gone(request))
            try:
                files = [picture.data for picture in pictures]
                found = await reading.read(files, crop=crop, explain=explain, gone=gone)
            finally:
                gone.cancel()
                gate.leave(client, len(pictures))
        finally:
            gate.release(request)
        _count(metrics, found, time.perf_counter() - begun)
        if len(found) == 1 and found[0].problem:
            raise Problem(found[0].status, found[0].problem)
        answers = [_told(picture.name, one, explain) for picture, one in zip(pictures, found, strict=True)]
        return JSONResponse({**head, "pictures": answers}, headers={"cache-control": "no-store"})


async def _gone(request: Request) -> None:
    """Return when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _check_query(request: Request) -> None:
    for name in request.query_params:
        if name not in QUERY:
            near = difflib.get_close_matches(name, QUERY, 1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; known are {', '.join(QUERY)}"
            raise Problem(422, f'no parameter "{name[:40]}"{hint}')


def _count(metrics: Metrics, found: list[Read], seconds: float) -> None:
    metrics.observe("mien_predict_seconds", seconds)
    metrics.add("mien_pictures_read_total", sum(not one.problem for one in found))
    metrics.add("mien_pictures_refused_total", sum(bool(one.problem) for one in found))
    metrics.add("mien_faces_read_total", sum(len(one.faces) for one in found))


def _told(name: str, read: Read, explain: bool) -> dict:
    """Return what JSON says of a picture."""
    answer = told(Answer(Source(name, bytes, name), read.faces, read.problem, read.size))
    if explain and read.faces:
        maps = [places.astype(float).round(4).tolist() for places in read.explained]
        maps += [None] * (len(read.faces) - len(maps))
        answer["faces"] = [
            face | {"explanation": one} for face, one in zip(answer["faces"], maps, strict=True)
        ]
    return answer


def _add_samples(app: FastAPI) -> None:
    listed, pictures = samples()
    asset = Asset.of(json.dumps(listed).encode(), ".json")

    @app.get("/v1/samples", summary="Rendered pictures to try", responses={200: {"model": list[Sample]}})
    async def list_samples(request: Request) -> Response:
        return asset.response(request)

    _give_folder(app, "/v1/samples", pictures)


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


def _add_page(app: FastAPI) -> None:
    page = files("mien.serve") / "page"
    assets = folder(page)

    async def open_page(request: Request) -> Response:
        return assets["index.html"].response(request)

    async def leave(request: Request) -> Response:
        return RedirectResponse("/", 307)

    app.add_route("/", open_page, include_in_schema=False)
    app.add_route("/page/", leave, include_in_schema=False)
    _give_folder(app, "/page", assets)
