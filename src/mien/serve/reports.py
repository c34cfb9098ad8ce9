"""The routes of a folder of reports and runs: a list, the files, and figures of runs while they train. Writes nothing.

No link is followed out of the folder, and what is hidden is not given. Reports carry their style in themselves: they
get a policy of their own, by which they may style themselves, and neither run a script nor ask anybody for anything.
"""

import asyncio
import math
import os
import time
from pathlib import Path, PurePosixPath

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response

from mien import __version__
from mien.listing import reports_and_runs
from mien.pages import render
from mien.serve.files import Files
from mien.serve.predict import Access

POLICY = ("default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'; sandbox allow-downloads")  # fmt: skip
GIVEN = (".html", ".svg", ".png", ".jpg", ".jpeg", ".webp", ".csv", ".json", ".toml", ".txt", ".md")
SHOWN_AS_TEXT = (".csv", ".json", ".toml", ".md")
FRESH_SECONDS = 1.5  # a list is made again after so long


def add_reports(app: FastAPI, root: Path, access: Access) -> None:
    """Add the routes of a folder of reports and runs."""
    routes = APIRouter(prefix="/reports", dependencies=[Depends(access.key)], include_in_schema=False)
    files, alone, name = Files(directory=root), asyncio.Lock(), root.resolve().name or str(root)
    latest, no_store = (-math.inf, ([], "[]")), {"cache-control": "no-store"}

    async def listing() -> tuple[list[dict], str]:
        nonlocal latest
        async with alone:  # those who wait find it fresh
            if time.monotonic() - latest[0] > FRESH_SECONDS:
                found = await asyncio.to_thread(reports_and_runs, root)
                latest = time.monotonic(), found
        return latest[1]

    @routes.get("/")
    async def index() -> Response:
        reports, runs = await listing()
        page = render("mien.serve", "reports.html", reports=reports, runs=runs != "[]", folder=name,
                      version=__version__, root="../")  # fmt: skip
        return Response(page.encode("utf-8", "replace"), media_type="text/html", headers=no_store)

    @routes.get("/runs.json")
    async def list_runs() -> Response:
        return Response((await listing())[1], media_type="application/json", headers=no_store)

    @routes.get("/runs.js")
    async def give_script() -> Response:
        return FileResponse(Path(__file__).with_name("runs.js"))

    @routes.get("/files/{path:path}")
    async def give(path: str, request: Request) -> Response:
        place = PurePosixPath(os.path.normpath(path))
        if place.suffix.lower() not in GIVEN or any(part.startswith(".") for part in place.parts):
            raise HTTPException(404)
        response = await files.get_response(str(place), request.scope)
        response.headers["content-security-policy"] = POLICY
        if place.suffix.lower() in SHOWN_AS_TEXT:
            response.headers["content-type"] = "text/plain; charset=utf-8"
        return response

    @routes.get("")
    async def leave() -> Response:
        return RedirectResponse("reports/", 307)

    app.include_router(routes)
