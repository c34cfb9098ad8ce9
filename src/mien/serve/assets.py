"""Files that a server gives as they are: from memory, with strong tags, compressed where it helps. Knows no route.

Only files that were there at the start are given, so a path can lead nowhere else.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".toml": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/vnd.microsoft.icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
# Gzip takes less than a tenth off a model.
ALREADY_SMALL = (".png", ".jpg", ".jpeg", ".webp", ".woff2", ".onnx")
LEAST_TO_COMPRESS = 1024  # bytes
VERSION_LETTERS = 16  # of the sha256, in `?v=`
FOREVER, ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"


@dataclass(frozen=True, eq=False)
class Asset:
    """A file in memory, plain or compressed or both."""

    media_type: str
    plain: bytes | None = None
    zipped: bytes | None = None

    @classmethod
    def of(cls, data: bytes, suffix: str) -> "Asset":
        """Return the asset of a file's bytes; what gets smaller is compressed once."""
        zipped = None
        if suffix not in ALREADY_SMALL and len(data) >= LEAST_TO_COMPRESS:
            zipped = gzip.compress(data, mtime=0)
        return cls(TYPES[suffix], data, zipped)

    @cached_property
    def sha256(self) -> str:
        """The sha256 of what is stored."""
        return hashlib.sha256(self.plain if self.plain is not None else self.zipped).hexdigest()

    @cached_property
    def whole(self) -> bytes:
        """The file as it is, kept once it was asked for: unpacking for each answer would fill time and memory."""
        return self.plain if self.plain is not None else gzip.decompress(self.zipped)

    @property
    def version(self) -> str:
        """What stands behind `?v=` in an address that may be kept forever."""
        return self.sha256[:VERSION_LETTERS]

    def response(self, request):
        """Return the answer to a request for this asset."""
        from starlette.responses import Response

        coded = self.zipped is not None and _takes_gzip(request.headers.get("accept-encoding", ""))
        tag = f'"{self.version}{"-gz" if coded else ""}"'
        kept = FOREVER if request.query_params.get("v") == self.version else ASK_AGAIN
        headers = {"etag": tag, "cache-control": kept}
        if self.zipped is not None:
            headers["vary"] = "Accept-Encoding"
        if _known(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if coded:
            headers["content-encoding"] = "gzip"
            return Response(self.zipped, headers=headers, media_type=self.media_type)
        return Response(self.whole, headers=headers, media_type=self.media_type)


def folder(root: Path) -> dict[str, Asset]:
    """Return the files below a folder by their way; `NAME.gz` goes by NAME, what is of no known kind is left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        way = path.relative_to(root)
        if not path.is_file() or any(part.startswith(".") for part in way.parts):
            continue
        if path.suffix == ".gz":
            kind = TYPES.get(Path(path.stem).suffix)
            if kind:
                found[str(way.with_suffix(""))] = Asset(kind, zipped=path.read_bytes())
        elif path.suffix in TYPES:
            found.setdefault(str(way), Asset.of(path.read_bytes(), path.suffix))
    return found


def _takes_gzip(header: str) -> bool:
    """Tell whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3)."""
    weights = {}
    for item in header.lower().split(","):
        coding, _, rest = item.partition(";")
        weight = rest.strip().removeprefix("q=").strip() if rest else "1"
        weights[coding.strip()] = weight not in ("0", "0.0", "0.00", "0.000")
    return weights.get("gzip", weights.get("*", False))


def _known(header: str, tag: str) -> bool:
    tags = {item.strip().removeprefix("W/") for item in header.split(",")}
    return tag in tags or "*" in tags
