"""The files of the page, the samples and the model, as the framework gives them. Knows nothing about pictures."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from os import PathLike, stat_result
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HERE = Path(__file__).parent
PAGE, SAMPLES = HERE / "page", HERE / "samples"
INDEX = "index.html"
SERVICE_WORKER = "service-worker.js"  # at the root, since a service worker controls the page only from there
FOREVER = "public, max-age=31536000, immutable"  # of an address with the version of what it gives
CHUNK_BYTES = 64 * 1024
POLICY = (  # of what the page may do
    "default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'", "style-src 'self'",
    "img-src 'self' blob: data:", "media-src 'self' blob:", "connect-src 'self'", "object-src 'none'",
    "base-uri 'none'", "form-action 'none'",
)  # fmt: skip


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
        response = super().file_response(full_path, stat_result, scope, status_code)
        if str(full_path).endswith(".gz"):
            if "gzip" in Headers(scope=scope).get("accept-encoding", "").replace("gzip;q=0", ""):
                response.headers["content-encoding"] = "gzip"
            else:
                response = StreamingResponse(_unpacked(full_path), media_type=response.media_type)
            response.headers["vary"] = "Accept-Encoding"
        if b"v=" in scope["query_string"]:
            response.headers["cache-control"] = FOREVER
        return response


def _unpacked(path: str | PathLike[str]) -> Iterator[bytes]:
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


def page_files() -> dict[str, Path]:
    """Return the files of the page by their address below the root; what ends in .gz is given unpacked there."""
    paths = {path.relative_to(PAGE).as_posix(): path for path in sorted(PAGE.rglob("*.*")) if path.is_file()}
    del paths[SERVICE_WORKER]
    return {f"page/{name.removesuffix('.gz')}": path for name, path in paths.items()}


def service_worker(answers: Mapping[str, bytes]) -> str:
    """Return the script `page/service-worker.js` with a list of what it stores before it.

    `answers` are what the page is beside its files, by address relative to the root. The list has a version made
    of all contents: when one changes the script changes, which is how browsers learn to store all of them anew.
    """
    script = (PAGE / SERVICE_WORKER).read_text(encoding="utf-8")
    stored = {**answers, **{address: path.read_bytes() for address, path in page_files().items()}}
    contents = "".join(f"{address} {version(data)}\n" for address, data in stored.items()) + script
    return f"const STORED = {json.dumps({'version': version(contents.encode()), 'addresses': list(stored)})};\n{script}"
