"""What may be asked of a server, and its limits; every default and bound stands here. Knows nothing about HTTP."""

import ipaddress
import os
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from mien.errors import ServeError
from mien.model import Model, read_model
from mien.model.prior import Prior
from mien.pictures import LARGEST_PIXELS
from mien.reading import DEFAULT_MODEL
from mien.system import ends_processes_gently
from mien.text import escaped_lines
from mien.workers import available_cores

KEY_VARIABLE = "MIEN_API_KEY"
KEY = re.compile(r"[!-~]{16,}")
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?", re.IGNORECASE)
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")  # of all paths, behind a proxy that gives the server below one
LONGEST_NOTICE = 2000  # characters
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all that wait at once, may take."""

    body_bytes: int = 16 * 2**20
    pixels: int = LARGEST_PIXELS  # of one picture
    pictures: int = 32  # in one request
    faces: int = 200  # in one picture
    explained: int = 4  # faces of one picture that are explained, the largest
    seconds: float = 30.0  # from a whole request to its answer, a third of them for one picture
    waiting: int = 128  # pictures that wait or are classified at once, half of them of one address
    waiting_bytes: int = 256 * 2**20  # of bodies that are held at once, half of them of one address


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is to do."""

    model: str = DEFAULT_MODEL
    threshold: float | None = None  # a lower highest probability is uncertain; None is the model's own
    prior: Prior | None = None  # how frequent the classes are, see `Recognizer`; None is the model's own
    device: str = "cpu"  # what runs the networks, see `mien.devices`
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free
    workers: int = 1  # processes that answer requests
    processes: int | None = None  # of a worker, that classify pictures; None shares out all cores
    reports: Path | None = None
    api_key: str | None = field(default=None, repr=False)
    allow_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    proxy: str | None = None  # the address or network whose X-Forwarded-… headers are believed
    root_path: str = ""  # the prefix of all paths behind a proxy, as /mien
    access_log: bool = False
    notice: str = ""  # what people are told before the page starts a camera
    limits: Limits = Limits()

    @property
    def processes_each(self) -> int:
        """Processes of one worker that classify pictures."""
        return self.processes or max(1, available_cores() // self.workers)

    def read_model(self) -> Model:
        """Return the model that is served, for one thread; ModelError in one line where there is none."""
        model = read_model(self.model, threads=1)
        if self.prior is not None:
            model = model.with_prior(self.prior)
        return model if self.threshold is None else replace(model, threshold=self.threshold)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return trusts("127.0.0.0/8", self.host) or self.host.lower() in LOCAL


BOUNDS = {
    "--port": (lambda s: s.port, 0, 65535),
    "--workers": (lambda s: s.workers, 1, 64),
    "--processes": (lambda s: s.processes_each, 1, 256),
    "--max-bytes": (lambda s: s.limits.body_bytes, 1024, 256 * 2**20),
    "--max-pixels": (lambda s: s.limits.pixels, 4096, LARGEST_PIXELS),
    "--max-pictures": (lambda s: s.limits.pictures, 1, 1000),
    "--max-faces": (lambda s: s.limits.faces, 1, 1000),
    "--time-limit": (lambda s: s.limits.seconds, 1, 600),
    "--queue": (lambda s: s.limits.waiting, 1, 10_000),
}


def check(settings: Settings) -> Settings:
    """Return the settings; ServeError in one line where they ask for what cannot be."""
    for option, (value_of, low, high) in BOUNDS.items():
        value = value_of(settings)
        if not low <= value <= high:
            raise ServeError(f"{option} must be from {low:,} to {high:,} and is {value:,}")
    if settings.workers > 1 and not ends_processes_gently():
        raise ServeError(
            f"--workers is {settings.workers}, and on this system a server has one; give --processes"
        )
    limits = settings.limits
    if limits.pictures > limits.waiting:
        raise ServeError(
            f"--max-pictures is {limits.pictures:,} and --queue {limits.waiting:,}: "
            f"a request that never fits would be refused forever"
        )
    if settings.api_key is not None and not KEY.fullmatch(settings.api_key):
        raise ServeError("the API key must have 16 letters, digits and signs at least, and no spaces")
    for origin in settings.allow_origins:
        _match("--allow-origin", origin, ORIGIN, "an origin; give it as https://example.org, no path behind")
    for host in settings.allow_hosts:
        _match("--allow-host", host, HOST_NAME, "the name of a host; give it as faces.example.org")
    _match("--root-path", settings.root_path, PREFIX, "the prefix of a path; give it as /mien")
    if len(settings.notice) > LONGEST_NOTICE or escaped_lines(settings.notice) != settings.notice:
        raise ServeError(f"--notice takes at most {LONGEST_NOTICE:,} characters and no control characters")
    if settings.proxy is not None and _network(settings.proxy) is None:
        raise ServeError(f'--proxy "{settings.proxy}" is no IP address or network; give that of the proxy')
    if settings.reports is not None and not settings.reports.is_dir():
        raise ServeError(f"{settings.reports}: no folder; --reports wants one with reports or runs in it")
    return settings


def _match(option: str, value: str, pattern: re.Pattern[str], what: str) -> None:
    if not pattern.fullmatch(value):
        raise ServeError(f'{option} "{value}" is not {what}')


def read_key(file: Path | None) -> str | None:
    """Return the API key of a file or of the environment, None where neither gives one."""
    if file is None:
        return os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", "no text")
        raise ServeError(f"{file}: the API key cannot be read ({words})") from None


def trusts(proxy: str | None, client: str) -> bool:
    """Tell whether a client is the proxy, or in the network, whose headers are believed."""
    network, address = _network(proxy or ""), _network(client)
    return network is not None and address is not None and address.network_address in network


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
