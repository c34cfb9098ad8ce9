"""Reports and runs below one folder: a list, the files, and figures of runs while they train. Writes nothing.

No link is followed out of the folder, and what is hidden is not given. Reports carry their style in themselves: they
get a policy of their own, by which they may style themselves, and neither run a script nor ask anybody for anything.
"""

import asyncio
import csv
import json
import math
import os
import re
import time
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response

from mien import __version__
from mien.errors import PictureError
from mien.files import is_utf8
from mien.pages import render
from mien.pictures import read_file
from mien.serve.files import Files
from mien.serve.predict import Access

POLICY = ("default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'; sandbox allow-downloads")  # fmt: skip
GIVEN = (".html", ".svg", ".png", ".jpg", ".jpeg", ".webp", ".csv", ".json", ".toml", ".txt", ".md")
SHOWN_AS_TEXT = (".csv", ".json", ".toml", ".md")
HEAD = 64 * 1024  # bytes of a page in which its title is looked for
LARGEST_READ = 32 * 2**20  # bytes of a page, or of a file of a run
MOST_FOLDERS, MOST_REPORTS, MOST_RUNS, DEEPEST = 5000, 300, 60, 6
FRESH_SECONDS = 1.5  # a list is made again after so long
STILL_TRAINING = 120.0  # seconds since a run's files changed; its state is saved every 30
SHOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
OURS = b'<meta name="generator" content="mien">'
TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)


def find(root: Path) -> tuple[list[dict], str]:
    """Return the reports below a folder, and its runs as JSON, what changed last first."""
    pages, folders = [], []
    for folder, names in _folders(root):
        changed = {name: _changed(folder / name) for name in names}
        if "run.json" in names:
            folders.append((max(changed.values()), folder))
        pages += [(when, folder / name) for name, when in changed.items() if name.endswith(".html")]
    reports = (_report(root, path, changed) for changed, path in sorted(pages, reverse=True))
    runs = (_run(root, folder, changed) for changed, folder in sorted(folders, reverse=True)[:MOST_RUNS])
    return list(islice(filter(None, reports), MOST_REPORTS)), f"[{', '.join(filter(None, runs))}]"


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with its files; no link, nothing hidden, nothing that cannot stand in a page."""
    for place, below, names in islice(os.walk(root), MOST_FOLDERS):
        folder = Path(place)
        deep = len(folder.relative_to(root).parts) >= DEEPEST
        below[:] = [] if deep else sorted(filter(_listable, below))
        yield folder, [name for name in names if _listable(name) and not (folder / name).is_symlink()]


def _listable(name: str) -> bool:
    return not name.startswith(".") and is_utf8(name)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@lru_cache(maxsize=5000)
def _report(root: Path, path: Path, changed: float) -> dict | None:
    """Return a page as it was when it changed last, None where it is not one of mien's."""
    head, name = _read(path)[:HEAD], path.relative_to(root).as_posix()
    if OURS not in head:
        return None
    found = TITLE.search(head)
    title = " ".join(unescape(found[1].decode("utf-8", "replace")).split()) if found else name
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))
    return {
        "url": f"files/{quote(name)}",
        "title": title if is_utf8(title) else name,
        "path": name,
        "when": when,
    }


def _run(root: Path, folder: Path, changed: float) -> str:
    """Return the JSON of a run, "" where its files are damaged or hold what JSON cannot."""
    training = "training" if time.time() - changed < STILL_TRAINING else "stopped"
    try:
        run = json.loads(_read(folder / "run.json"))
        rows = list(csv.DictReader(_read(folder / "metrics.csv").decode().splitlines()))
        facts = {
            "path": folder.relative_to(root).as_posix(),
            "name": str(run["name"]),
            "seed": int(run["seed"]),
            "fold": run.get("fold"),
            "state": "complete" if (folder / "result.json").is_file() else training,
            "epochs": int(tomllib.loads(_read(folder / "recipe.toml").decode())["training"]["epochs"]),
            "changed": round(changed),
            "rows": {name: [round(float(row[name]), 5) for row in rows] for name in SHOWN},
        }
        text = json.dumps(facts, allow_nan=False, ensure_ascii=False)
        return text if is_utf8(text) else ""
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError, OverflowError):
        return ""


def _read(path: Path) -> bytes:
    """Return what is in a regular file, b"" of one that is none or too large."""
    try:
        return read_file(path) if path.stat().st_size <= LARGEST_READ else b""
    except (OSError, PictureError):
        return b""


def add_reports(app: FastAPI, root: Path, access: Access) -> None:
    """Add the routes of a folder of reports and runs."""
    routes = APIRouter(prefix="/reports", dependencies=[Depends(access.key)], include_in_schema=False)
    files, alone, name = Files(directory=root), asyncio.Lock(), root.resolve().name or str(root)
    latest, no_store = (-math.inf, ([], "[]")), {"cache-control": "no-store"}

    async def listing() -> tuple[list[dict], str]:
        nonlocal latest
        async with alone:  # those who wait find it fresh
            if time.monotonic() - latest[0] > FRESH_SECONDS:
                found = await asyncio.to_thread(find, root)
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
