"""What may be asked of a server, and its limits; every default and bound stands here. Knows nothing about HTTP."""

import ipaddress
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from mien.errors import ServeError
from mien.pictures import LARGEST_PIXELS
from mien.workers import available_cores

KEY_VARIABLE = "MIEN_API_KEY"
SHORTEST_KEY = 16  # characters
MOST_WORKERS, MOST_THREADS = 64, 256
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all that wait at once, may take."""

    body_bytes: int = 16 * 2**20
    pixels: int = 32_000_000  # of one picture
    pictures: int = 32  # in one request
    faces: int = 200  # in one picture
    explained: int = 4  # faces of one picture that are explained, the largest
    seconds: float = 30.0  # from a whole request to its answer
    waiting: int = 128  # pictures that wait or are read at once
    waiting_bytes: int = 256 * 2**20  # of bodies that are held at once

    @property
    def of_one_client(self) -> int:
        """How many of the pictures that wait may be of one address."""
        return max(self.pictures, self.waiting // 2)

    @property
    def bytes_of_one_client(self) -> int:
        """How many of the bytes that are held may be of one address."""
        return max(self.body_bytes, self.waiting_bytes // 2)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is to do."""

    model: str = "pocket"
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free
    workers: int = 1  # processes
    threads: int | None = None  # of one process, decode pictures and find faces; None shares out all cores
    reports: Path | None = None
    api_key: str | None = field(default=None, repr=False)
    allow_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    proxy: str | None = None  # the address whose X-Forwarded-For is believed
    access_log: bool = False
    limits: Limits = Limits()

    @property
    def threads_each(self) -> int:
        """Threads of one process."""
        return self.threads or max(1, available_cores() // self.workers)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return (
            self.host.lower() == "localhost"
            or _address(self.host) is not None
            and _address(self.host).is_loopback
        )


BOUNDS = {
    "body_bytes": (1024, 256 * 2**20),
    "pixels": (4096, LARGEST_PIXELS),
    "pictures": (1, 1000),
    "faces": (1, 1000),
    "explained": (0, 100),
    "seconds": (1, 600),
    "waiting": (1, 10_000),
    "waiting_bytes": (1024, 64 * 2**30),
}
OPTIONS = {"body_bytes": "--max-bytes", "pixels": "--max-pixels", "pictures": "--max-pictures", "faces": "--max-faces",
           "seconds": "--time-limit", "waiting": "--queue"}  # fmt: skip


def check(settings: Settings) -> Settings:
    """Return the settings; ServeError in one line where they ask for what cannot be."""
    for name, (low, high) in BOUNDS.items():
        _within(OPTIONS.get(name, name), getattr(settings.limits, name), low, high)
    if settings.limits.pictures > settings.limits.waiting:
        raise ServeError(
            f"--max-pictures is {settings.limits.pictures:,} and --queue {settings.limits.waiting:,}: "
            f"a request that never fits would be refused forever"
        )
    _within("--port", settings.port, 0, 65535)
    _within("--workers", settings.workers, 1, MOST_WORKERS)
    if settings.threads is not None:
        _within("--threads", settings.threads, 1, MOST_THREADS)
    if settings.api_key is not None and len(settings.api_key) < SHORTEST_KEY:
        raise ServeError(f"the API key has {len(settings.api_key)} characters; {SHORTEST_KEY} at least")
    for origin in settings.allow_origins:
        _check_origin(origin)
    for host in settings.allow_hosts:
        if not HOST_NAME.fullmatch(host):
            raise ServeError(f'--allow-host "{host}" is no name of a host; give it as faces.example.org')
    if settings.proxy is not None and _address(settings.proxy) is None:
        raise ServeError(f'--proxy "{settings.proxy}" is no IP address; give that of the proxy')
    if settings.reports is not None and not settings.reports.is_dir():
        raise ServeError(f"{settings.reports}: no folder; --reports wants one with reports or runs in it")
    return settings


def read_key(file: Path | None) -> str | None:
    """Return the API key of a file or of the environment, None where neither gives one."""
    try:
        key = (os.environ.get(KEY_VARIABLE, "") if file is None else file.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise ServeError(
            f"{file}: the API key cannot be read ({getattr(fault, 'strerror', 'no text')})"
        ) from None
    if file is None and not key:
        return None
    if not key or any(not "!" <= c <= "~" for c in key):
        where = file or KEY_VARIABLE
        raise ServeError(f"{where}: wants one key, a line of letters, digits and signs without spaces")
    return key


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ServeError(f"{name} must be from {low:,} to {high:,} and is {value:,}")


def _check_origin(origin: str) -> None:
    try:
        parts = urlsplit(origin)
        whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        whole = False
    if not whole or origin != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise ServeError(
            f'--allow-origin "{origin}" is no origin; give it as https://example.org, no path behind'
        )


def _address(text: str):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


assert {f.name for f in fields(Limits)} == set(BOUNDS)
