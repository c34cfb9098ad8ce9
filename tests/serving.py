"""A real `mien serve` in a process of its own, and requests to it: for tests and `bench/serve.py`."""

import http.client
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "src" / "mien" / "serve" / "samples"
START_SECONDS = 60


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        *,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        """Send a request on a connection of its own, from an address; in names of headers `_` stands for `-`."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=30, source_address=(source, 0)
        )
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            got = connection.getresponse()
            return Answer(got.status, {n.lower(): v for n, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def post(
        self, body: bytes, query: str = "", kind: str = "image/png", prefix: str = "", **headers: str
    ) -> Answer:
        """Have a body classified."""
        return self.ask(f"{prefix}/v1/predict{query}", "POST", body, content_type=kind, **headers)

    def raw(self, data: bytes) -> socket.socket:
        """Send bytes; return the socket."""
        plain = socket.create_connection(("127.0.0.1", self.port), 30)
        plain.sendall(data)
        return plain

    def metric(self, line: str) -> float:
        """Return a number of /metrics, 0 where it is not there."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.ask("/metrics").body.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def resident(self) -> float:
        """Return the resident memory of its processes, in bytes; what they share counts once."""
        total = 0
        for process in (self.process.pid, *descendants(self.process.pid)):
            with suppress(OSError, TypeError):  # it has just ended
                text = Path(f"/proc/{process}/smaps_rollup").read_text()
                total += 1024 * int(re.search(r"Pss:\s+(\d+)", text)[1])
        return total

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def descendants(process: int) -> list[int]:
    """Return all processes below a process."""
    below = children(process)
    return below + [deeper for child in below for deeper in descendants(child)]


def waited_for_cores(processes: list[int]) -> dict[str, float]:
    """Return for how many seconds each thread of processes was ready to run and had no core, as other work had them."""
    waited = {}
    for process in processes:
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                waited[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return waited


def command(*options: str, first: str = "") -> list[str]:
    """Return the command line of a server at a free port; `first` is code that runs before it."""
    start = ["-c", f"{first}\nfrom mien.cli import main; main()"] if first else ["-m", "mien"]
    return [sys.executable, *start, "serve", "--port", "0", *options]


@contextmanager
def serving(*options: str, first: str = "", **environment: str):
    """Yield a server that answers; `first` is code that runs before it."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command(*options, first=first), **streams, env={**os.environ, **environment})
    try:
        line = process.stdout.readline()
        found = re.search(r":(\d+)/", line)
        assert found, line + process.stderr.read()
        yield Server(process, int(found[1]))
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


@contextmanager
def hosting(folder: Path):
    """Yield the address of a plain `python -m http.server`, which gives a folder's files out, and its process."""
    module = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "0",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder),
    ]
    process = subprocess.Popen(module, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = re.search(r"port (\d+)", process.stdout.readline())[1]
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def refused(*options: str, **environment: str) -> tuple[int, str]:
    """Return exit status and standard error of a server that does not start."""
    done = subprocess.run(
        command(*options),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stderr


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """Return a multipart body and its content type, as browsers write them."""
    parts = b""
    for name, data in files:
        parts += b'--xYz\r\nContent-Disposition: form-data; name="picture"; filename="%s"\r\n' % name.encode()
        parts += b"Content-Type: image/png\r\n\r\n" + data + b"\r\n"
    return parts + b"--xYz--\r\n", "multipart/form-data; boundary=xYz"


def png_head(width: int, height: int) -> bytes:
    """Return a PNG that says how large it is and holds next to nothing: a bomb, where that is large."""
    parts = b""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")):
        parts += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + parts


def flat(kind: str, side: int = 5656, **options) -> bytes:
    """Return a flat picture of 32 megapixels, or of another side, as a small file."""
    file = io.BytesIO()
    Image.new("1" if kind == "TIFF" else "L", (side, side)).save(file, kind, **options)
    return file.getvalue()


def many_scans() -> bytes:
    """Return a progressive JPEG whose last scan stands 90 times, each of which goes over 32 megapixels."""
    data = flat("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 90 + data[-2:]


def problem(answer: Answer, status: int, words: str) -> bool:
    """Tell whether an answer is a problem with this status and words."""
    detail = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, detail["status"]) == (status, status), detail
    assert words in detail["detail"], detail
    return detail["title"] != ""


def soon(holds, seconds: float = 20) -> None:
    """Wait until something holds, so long at most."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
