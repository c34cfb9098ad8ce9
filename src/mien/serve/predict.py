"""`POST /v1/predict`: the images of a request to an answer; and who may ask for it."""

import hmac
import json
import time
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.security import (
    APIKeyHeader,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
)
from starlette.responses import Response

from mien.model import Model
from mien.predict.rows import header
from mien.serve import metrics
from mien.serve.about import CARD
from mien.serve.admission import Share
from mien.serve.pool import PicturePool
from mien.serve.problems import Problem
from mien.serve.schema import Answer, Base64Images, ProblemDetail, Switches
from mien.serve.settings import Settings
from mien.serve.uploads import FORM, JSON, RAW, read_images

REFUSALS = {
    401: "the key is missing or wrong, where the server has one",
    403: "a page of another site asks",
    408: "the body did not come in time",
    413: "too many bytes, or too many pictures",
    415: "no picture of a kind that mien reads",
    422: "a damaged picture, one that takes too long or has too many pixels or faces, a wrong parameter",
    429: "too many pictures or bytes of this address wait",
    503: "too much waits, or it took too long; Retry-After says when to try again",
}
FILE = {"type": "string", "format": "binary"}
BODY = {
    RAW: {"schema": FILE},
    "image/*": {"schema": FILE},
    FORM: {"schema": {"type": "object", "properties": {"picture": {"type": "array", "items": FILE}}}},
    JSON: {"schema": Base64Images.model_json_schema()},
}


class Access:
    """Dependencies that stand before the routes which compute, count, or show a user's own files."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.api_key
        self._origins = settings.allow_origins

    async def key(
        self,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
        basic: Annotated[HTTPBasicCredentials | None, Depends(HTTPBasic(auto_error=False))],
        header: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
    ) -> None:
        """Refuse a request without the key, where the server has one."""
        given = header or (bearer.credentials if bearer else basic.password if basic else "")
        if self._key is not None and not hmac.compare_digest(given.encode(), self._key.encode()):
            wrong = "this is not the API key" if given else "an API key is needed"
            words = f"{wrong}: Authorization: Bearer KEY, X-API-Key: KEY, or KEY as the password"
            raise Problem(401, words, {"www-authenticate": 'Basic realm="mien", charset="UTF-8"'})

    async def site(self, request: Request) -> None:
        """Refuse what a page of another site has a browser send; what such a page may read is for CORS to say.

        Browsers tell the site with `Sec-Fetch-Site` where the address counts as safe, and the origin everywhere.
        """
        origin, site = request.headers.get("origin", ""), request.headers.get("sec-fetch-site")
        elsewhere = origin.partition("://")[2].lower() != request.headers.get("host", "").lower()
        foreign = site == "cross-site" or site is None and bool(origin) and elsewhere
        if foreign and origin not in self._origins:
            words = "pages of other sites may not ask; start the server with --allow-origin to let one"
            raise Problem(403, words)


def add_predict(app: FastAPI, settings: Settings, access: Access, model: Model, pool: PicturePool) -> None:
    """Add the route."""
    limits = settings.limits
    head = json.dumps(header(model, CARD) | {"pictures": []}).encode().removesuffix(b"]}")
    refusals = {status: {"model": ProblemDetail, "description": words} for status, words in REFUSALS.items()}
    pictures = Share("pictures", limits.waiting, limits.pictures, metrics.PICTURES_WAITING)
    held_bytes = Share("bytes", limits.waiting_bytes, limits.body_bytes, metrics.BYTES_WAITING)

    @app.post(
        "/v1/predict",
        summary="Classify the faces in one picture or several",
        dependencies=[Depends(access.site), Depends(access.key)],
        responses={200: {"model": Answer}, **refusals},
        openapi_extra={"requestBody": {"required": True, "content": BODY}},
    )
    async def predict(request: Request, switches: Annotated[Switches, Query()]) -> Response:
        began, client = time.perf_counter(), request.client.host if request.client else ""
        if len(request.query_params.multi_items()) > len(request.query_params):
            raise Problem(422, "a parameter stands twice")
        try:
            with held_bytes.hold(client) as hold_bytes, pictures.hold(client) as let_wait:
                pictures.check(client, 1)
                images = await read_images(request, hold_bytes, limits)
                began = time.perf_counter()
                let_wait(len(images))
                results = await pool.classify(client, images, switches.crop, switches.explain)
        finally:
            metrics.PREDICT_SECONDS.observe(time.perf_counter() - began)
        used = [result for result in results if result.status == 200]
        metrics.PICTURES_READ.inc(len(used))
        metrics.PICTURES_REFUSED.inc(len(results) - len(used))
        metrics.FACES_READ.inc(sum(result.faces for result in used))
        if not used and len(results) == 1:
            raise Problem(results[0].status, json.loads(results[0].text)["problem"])
        body = head + b", ".join(result.text for result in results) + b"]}"
        return Response(body, media_type=JSON, headers={"cache-control": "no-store"})
