"""The files of the page, the samples and the model, as the framework gives them. Knows nothing about pictures."""

import gzip
import hashlib
import json
import mimetypes
from collections.abc import Iterator, Mapping
from os import PathLike, stat_result
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

HERE = Path(__file__).parent
PAGE, SAMPLES = HERE / "page", HERE / "samples"
SERVICE_WORKER = "service-worker.js"  # at the root, since a service worker controls the page only from there
FOREVER = "public, max-age=31536000, immutable"  # of an address with the version of what it gives
CHUNK_BYTES = 64 * 1024
TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".webp": "image/webp",
         ".onnx": "application/octet-stream", ".md": "text/markdown", ".toml": "application/toml"}  # fmt: skip


def add_types() -> None:
    """Have files given in the same types, whatever the system knows."""
    for suffix, media in TYPES.items():
        mimetypes.add_type(media, suffix)


def version(data: bytes) -> str:
    """Return what stands behind `?v=` in an address of such bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


class Files(StaticFiles):
    """The files of a folder; `NAME.gz` is given as NAME, compressed to whoever takes that."""

    def lookup_path(self, path: str) -> tuple[str, stat_result | None]:
        """Return where a file is."""
        full_path, status = super().lookup_path(path)
        return (full_path, status) if status else super().lookup_path(f"{path}.gz")

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file."""
        path, asked = Path(full_path), Headers(scope=scope)
        headers = {"cache-control": FOREVER} if b"v=" in scope["query_string"] else {}
        if path.suffix != ".gz":
            response = super().file_response(full_path, stat_result, scope, status_code)
            response.headers.update(headers)
            return response
        media, headers["vary"] = mimetypes.guess_type(path.stem)[0], "Accept-Encoding"
        if "gzip" not in asked.get("accept-encoding", "").replace("gzip;q=0", ""):
            return StreamingResponse(_unpacked(path), media_type=media, headers=headers)
        headers["content-encoding"] = "gzip"
        response = FileResponse(path, media_type=media, headers=headers, stat_result=stat_result)
        return (
            NotModifiedResponse(response.headers)
            if self.is_not_modified(response.headers, asked)
            else response
        )


def _unpacked(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def samples() -> list[dict]:
    """Return the rendered faces that one can try, each with its address relative to `/v1/samples`.

    `scripts/serve_samples.py` makes them.
    """
    listed = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
    for sample in listed:
        name = sample.pop("file")
        sample["url"] = f"samples/{name}?v={version((SAMPLES / name).read_bytes())}"
    return listed


def service_worker(answers: Mapping[str, bytes]) -> str:
    """Return the script `page/service-worker.js` with a list of what it stores before it.

    `answers` are what the page asks for beside its files, by address relative to the root. The list has a version made
    of all contents: when one changes the script changes, which is how browsers learn to store all of them anew.
    """
    files = {
        path.relative_to(PAGE): path.read_bytes() for path in sorted(PAGE.rglob("*.*")) if path.is_file()
    }
    script = files.pop(Path(SERVICE_WORKER)).decode()
    stored = {"./": files.pop(Path("index.html"))}
    stored |= {f"page/{str(path).removesuffix('.gz')}": data for path, data in files.items()} | dict(answers)
    contents = "".join(f"{address} {version(data)}\n" for address, data in stored.items()) + script
    return f"const STORED = {json.dumps({'version': version(contents.encode()), 'addresses': list(stored)})};\n{script}"
