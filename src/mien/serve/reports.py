"""Reports and runs below one folder: a list, the files, and figures of runs while they train. Writes nothing.

Whatever is opened is reached from the folder's own handle, part by part, and no link is followed; so nothing outside
can be had, however a path is written. Reports carry their style in themselves: they get a policy of their own, by which
they may style themselves, and neither run a script nor ask anybody for anything.
"""

import asyncio
import csv
import io
import json
import math
import os
import re
import stat
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from mien import __version__
from mien.files import is_utf8
from mien.pages import render
from mien.serve.assets import TYPES, Asset

POLICY = ("default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'; sandbox allow-downloads")  # fmt: skip
GIVEN = (".html", ".svg", ".png", ".jpg", ".jpeg", ".webp", ".csv", ".json", ".toml", ".txt", ".md")
SHOWN_AS_TEXT = (".csv", ".json", ".toml", ".md")
LARGEST_FILE = 64 * 2**20
HEAD = 64 * 1024  # bytes of a page in which its title is looked for
MOST_FOLDERS, MOST_REPORTS, MOST_RUNS, DEEPEST = 5000, 300, 60, 6
MOST_KNOWN = 5000  # pages that are not opened anew for each list
FRESH_SECONDS = 1.5  # a list is made again after so long
STILL_TRAINING = 120.0  # seconds since a run's files changed; its state is saved every 30
SHOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
OURS = b'<meta name="generator" content="mien">'
TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Report:
    """A page that mien wrote, below the folder."""

    way: str
    title: str
    changed: float

    @property
    def url(self) -> str:
        """Its address."""
        return f"/reports/files/{quote(self.way)}"


class Tree:
    """A folder and what lies below it; links are not followed, hidden files are not there."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self._listed = 0.0, ([], [])
        self._report = lru_cache(maxsize=MOST_KNOWN)(self._read_report)

    def read(self, way: str, most: int = LARGEST_FILE) -> bytes | None:
        """Return the first `most` bytes of a regular file, None where there is none that may be given."""
        parts = way.split("/")
        if any(part in ("", ".", "..") or part.startswith(".") or "\0" in part for part in parts):
            return None
        folder = os.dup(self._root)
        try:
            for part in parts[:-1]:
                folder, above = (
                    os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder),
                    folder,
                )
                os.close(above)
            return _read_at(parts[-1], folder, most)
        except (OSError, ValueError):
            return None
        finally:
            os.close(folder)

    def listed(self) -> tuple[list[Report], list[dict]]:
        """Return reports and runs, what changed last first."""
        when, found = self._listed
        if time.monotonic() - when > FRESH_SECONDS or not when:
            found = self._look()
            self._listed = time.monotonic(), found
        return found

    def _look(self) -> tuple[list[Report], list[dict]]:
        reports, runs = [], []
        for way, names, handle in self._folders():
            if "run.json" in names:
                runs.append((max(_changed(name, handle) for name in names), way))
            pages = (name for name in names if name.endswith(".html"))
            reports += [(_changed(name, handle), f"{way}/{name}".removeprefix("./")) for name in pages]
        newest = sorted(reports, reverse=True)
        told = list(
            islice(filter(None, (self._report(way, changed) for changed, way in newest)), MOST_REPORTS)
        )
        curves = [self._run(way, changed) for changed, way in sorted(runs, reverse=True)[:MOST_RUNS]]
        return told, [run for run in curves if run is not None]

    def _folders(self) -> Iterator[tuple[str, list[str], int]]:
        """Yield each folder's way, its regular files that are not hidden, and a handle of it."""
        for number, (way, below, names, handle) in enumerate(os.fwalk(".", dir_fd=self._root)):
            if number >= MOST_FOLDERS:
                return
            way = PurePosixPath(way)
            below[:] = sorted(filter(_tellable, below)) if len(way.parts) < DEEPEST else []
            regular = [name for name in names if _tellable(name) and _is_regular(name, handle)]
            yield str(way), regular, handle

    def _read_report(self, way: str, changed: float) -> Report | None:
        """Return what is told of a page as it was when it changed last, None where it is not one of mien's."""
        head = self.read(way, HEAD) or b""
        if OURS not in head:
            return None
        found = TITLE.search(head)
        title = " ".join(unescape(found[1].decode("utf-8", "replace")).split()) if found else way
        return Report(way, title, changed)

    def _run(self, way: str, changed: float) -> dict | None:
        """Return what is told of a run; None where its files are damaged."""
        folder = "" if way == "." else f"{way}/"
        try:
            run = json.loads(self.read(f"{folder}run.json") or b"", parse_constant=_refuse)
            recipe = tomllib.loads((self.read(f"{folder}recipe.toml") or b"").decode())
            told = {"path": way, "name": str(run["name"]), "seed": int(run["seed"]), "fold": run.get("fold")}
            epochs = int(recipe["training"]["epochs"])
            rows = _rows(self.read(f"{folder}metrics.csv") or b"")
        except (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError, OverflowError):
            return None
        complete = self.read(f"{folder}result.json", 1) is not None
        training = not complete and time.time() - changed < STILL_TRAINING
        state = "complete" if complete else "training" if training else "stopped"
        return {**told, "state": state, "epochs": epochs, "changed": round(changed), "rows": rows}


def _rows(table: bytes) -> dict[str, list[float]]:
    """Return the columns of a run's metrics that are shown; ValueError for a number that JSON cannot hold."""
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    columns = {name: [round(float(row[name]), 5) for row in rows] for name in SHOWN}
    if not all(math.isfinite(value) for column in columns.values() for value in column):
        raise ValueError("a figure is not finite")
    return columns


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number that JSON has")


def _tellable(name: str) -> bool:
    """Tell whether a name is not hidden and can stand in a page."""
    return not name.startswith(".") and is_utf8(name)


def _is_regular(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _changed(name: str, folder: int) -> float:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


def _read_at(name: str, folder: int, most: int) -> bytes | None:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with open(handle, "rb") as file:
        return file.read(most) if stat.S_ISREG(os.fstat(handle).st_mode) else None


def add_reports(app, root: Path) -> None:
    """Add the routes of a folder of reports and runs."""
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse, RedirectResponse, Response

    tree = Tree(root)
    here = Path(__file__).parent
    script = Asset.of((here / "runs.js").read_bytes(), ".js")

    async def index(request):
        reports, runs = await asyncio.to_thread(tree.listed)
        page = render("mien.serve", "reports.html", reports=[_row(one) for one in reports], runs=len(runs),
                      folder=root.resolve().name or str(root), version=__version__)  # fmt: skip
        return Response(page, media_type=TYPES[".html"], headers={"cache-control": "no-store"})

    async def list_runs(request):
        _, runs = await asyncio.to_thread(tree.listed)
        return JSONResponse(runs, headers={"cache-control": "no-store"})

    async def give(request):
        way = request.path_params["way"]
        suffix = PurePosixPath(way).suffix.lower()
        data = await asyncio.to_thread(tree.read, way, LARGEST_FILE + 1) if suffix in GIVEN else None
        if data is None:
            raise HTTPException(404)
        if len(data) > LARGEST_FILE:
            raise HTTPException(413, f"more than {LARGEST_FILE:,} bytes; take it from the folder itself")
        media = "text/plain; charset=utf-8" if suffix in SHOWN_AS_TEXT else TYPES[suffix]
        headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
        return Response(data, media_type=media, headers=headers)

    async def give_script(request):
        return script.response(request)

    async def leave(request):
        return RedirectResponse("/reports/", 307)

    for path, answer in (("/reports", leave), ("/reports/", index), ("/reports/runs.json", list_runs),
                         ("/reports/runs.js", give_script), ("/reports/files/{way:path}", give)):  # fmt: skip
        app.add_route(path, answer, include_in_schema=False)


def _row(report: Report) -> dict:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.changed))
    return {"url": report.url, "title": report.title, "way": report.way, "when": when}
