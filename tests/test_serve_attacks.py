"""A running `mien serve` under attack: after each a good request has its right answer soon, and no memory is lost."""

import os
import re
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from nginx import nginx
from serving import (
    SAMPLES,
    Server,
    children,
    descendants,
    flat,
    many_scans,
    png_head,
    problem,
    serving,
    soon,
    waited_for_cores,
)

pytest.importorskip("fastapi")

from mien import Recognizer

FACE = (SAMPLES / "happy-1.png").read_bytes()
HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /v1/predict?crop=1 HTTP/1.1\r\n" + HOST + b"Content-Type: image/png\r\n"
WASM = b"GET /page/vendor/ort-wasm-simd-threaded.wasm HTTP/1.1\r\n" + HOST + b"\r\n"
CLOSE = b"Connection: close\r\n\r\n"
FIELD = b'--B\r\nContent-Disposition: form-data; name="a"'
FORM = "multipart/form-data; boundary=B"
MIB = 2**20
WORKERS_GROW = 1.1  # by how much memory may differ after an attack
PATIENT = """
import mien.serve.launch as launch
work = launch._work
def shortened(*args):
    import mien.serve.connection as connection, mien.serve.uploads as uploads
    connection.HEAD_SECONDS, uploads.IDLE_SECONDS, connection.MOST_CONNECTIONS = 1.0, 1.0, 40
    return work(*args)
launch._work = shortened
launch.STALL_SECONDS = 2
"""


@pytest.fixture(scope="module")
def right() -> dict[str, float]:
    """What is right for the good request."""
    return Recognizer().predict(FACE, crop=True)[0].probabilities


@pytest.fixture(scope="module")
def attacked():
    """A server with one process that classifies, which has two seconds for a picture."""
    with serving("--processes", "1", "--time-limit", "6") as running:
        for _ in range(3):
            running.post(FACE, "?crop=1")
            running.ask("/page/vendor/ort-wasm-simd-threaded.wasm")
        running.post(flat("PNG", 1600))  # onnxruntime keeps what the detector needs for a photo
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(running.raw(WASM))
            time.sleep(0.2)
        yield running


@pytest.fixture(scope="module")
def impatient():
    """A server that waits a second for heads and bodies, two for readers, and takes 40 connections."""
    with serving("--processes", "1", first=PATIENT) as running:
        running.post(FACE, "?crop=1")
        yield running


def _waited(server: Server) -> dict[str, float]:
    """Return how long the threads of a server and of these tests have waited for a core, which no server can help."""
    return waited_for_cores([os.getpid(), server.process.pid, *descendants(server.process.pid)])


@contextmanager
def unharmed(server: Server, right: dict[str, float]):
    """Hold that an attack within leaves a server as it was."""
    server.post(FACE, "?crop=1")
    before = server.resident()
    yield
    began, waited = time.monotonic(), _waited(server)
    (face,) = server.post(FACE, "?crop=1").json()["pictures"][0]["faces"]
    seconds = time.monotonic() - began
    assert seconds - sum(more - waited.get(thread, 0) for thread, more in _waited(server).items()) < 1
    assert face["probabilities"] == pytest.approx(right, abs=2e-6)
    soon(lambda: server.resident() < WORKERS_GROW * before, seconds=10)
    soon(
        lambda: not any(map(server.metric, ("mien_pictures_waiting", "mien_body_bytes_waiting"))), seconds=15
    )


def rest(plain: socket.socket, seconds: float = 20) -> bytes:
    """Return what still comes until the connection ends."""
    plain.settimeout(seconds)
    parts = []
    try:
        while part := plain.recv(MIB):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def statuses(data: bytes) -> list[int]:
    """Return the statuses of the answers in what came."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


# ---- bodies


@pytest.mark.parametrize(
    ("start", "part", "kind"),
    [
        pytest.param(
            b"", b'--B\r\nContent-Disposition: form-data;"' + b";" * 4000 + b"\r\n\r\n\r\n", FORM, id="signs"
        ),
        pytest.param(b"", FIELD + b'; "' + b";" * 4000 + b"\r\n\r\n\r\n", FORM, id="signs behind a name"),
        pytest.param(b"", b"--B\r\n\r\n\r\n", FORM, id="parts"),
        pytest.param(b"", FIELD + b"\r\n\r\n\r\n", FORM, id="fields"),
        pytest.param(b"--B\r\n", b"a: b\r\n", FORM, id="lines of a head"),
        pytest.param(b"--B\r\nContent-Disposition: ", b"a", FORM, id="a head"),
        pytest.param(FIELD + b'; filename="b"\r\n\r\n', b"\r\n--A", FORM, id="boundaries"),
        pytest.param(b'{"pictures": [', b"[", "application/json", id="depth"),
        pytest.param(b'{"pictures": [', b"1,", "application/json", id="values"),
        pytest.param(b'{"pictures": ["', b"x", "application/json", id="text"),
    ],
)
def test_a_body_made_to_take_long_stops_nobody(attacked, right, start, part, kind):
    """While 16 MiB of odd parts or values are taken apart others are answered, and the request is refused."""
    body = start + part * ((16 * MIB - len(start)) // len(part))
    with unharmed(attacked, right), ThreadPoolExecutor(1) as pool:
        sent = pool.submit(attacked.post, body, "", kind)
        longest = 0.0
        while not sent.done():
            began = time.monotonic()
            assert attacked.ask("/healthz").status == 200
            longest = max(longest, time.monotonic() - began)
        assert sent.result().status in (413, 422)
        assert longest < 2


def test_an_upload_that_breaks_off_leaves_nothing(attacked, right):
    """Connections dropped in a head, in a body and before the answer free their places, and are counted."""
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(FACE)
    gone = 'mien_requests_total{route="/v1/predict",status="499"}'
    with unharmed(attacked, right):
        before = attacked.metric(gone)
        for data in (whole[:30], whole + FACE[:5000], whole + FACE):
            for _ in range(10):
                attacked.raw(data).close()
        soon(lambda: attacked.metric(gone) == before + 10)


# ---- HTTP


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Host: evil\r\nContent-Length: 0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n",
        POST + b"Content-Length: +5\r\n\r\n",
        POST + b"Content-Length: -5\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"X: a\0b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        GET + b"X: " + b"a" * 400_000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_a_request_with_two_meanings_is_refused(attacked, request_):
    """What proxies may understand otherwise is a counted 400, and what follows on the connection is no request."""
    bad = 'mien_requests_total{route="%s",status="400"}'
    before = sum(attacked.metric(bad % route) for route in ("other", "/v1/predict"))
    with attacked.raw(b"") as plain:
        try:
            plain.sendall(request_ + GET + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        got = rest(plain)

    assert statuses(got) == [400]
    assert b"content-security-policy" in got and b"application/problem+json" in got
    soon(lambda: sum(attacked.metric(bad % route) for route in ("other", "/v1/predict")) == before + 1)


def test_an_upgrade_is_passed_over(attacked):
    """A client that would rather speak HTTP/2 has its answer in HTTP/1.1, to a body, too."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    for request in (
        GET + upgrade + b"\r\n",
        POST + upgrade + b"Content-Length: %d\r\n\r\n" % len(FACE) + FACE,
    ):
        with attacked.raw(request) as plain:
            assert statuses(rest(plain)) == [200]


def test_a_half_closed_client_has_its_answer(attacked):
    """Who says that nothing more comes, as `nc` does, still reads what was asked for."""
    with attacked.raw(POST + b"Content-Length: %d\r\n\r\n" % len(FACE) + FACE) as plain:
        plain.shutdown(socket.SHUT_WR)
        got = rest(plain)

    assert statuses(got) == [200] and b'"faces"' in got


def test_a_pipeline_is_answered_up_to_its_fault(attacked, right):
    """500 requests before one that is none have their 200, in order, and then comes the 400."""
    with unharmed(attacked, right), attacked.raw((GET + b"\r\n") * 500 + b"bad\r\n\r\n") as plain:
        assert statuses(rest(plain)) == [200] * 500 + [400]


# ---- connections


def test_idle_connections_keep_nobody_out(attacked, right):
    """With 500 connections that ask for nothing, and 400 in the midst of a head, others are answered."""
    with unharmed(attacked, right), ExitStack() as stack:
        for data in [b""] * 500 + [GET] * 400:
            stack.enter_context(attacked.raw(data))
        assert attacked.post(FACE, "?crop=1").status == 200


def test_one_address_cannot_have_all_connections(impatient):
    """Of what a process takes one address has half; more are refused and counted, and another address gets in."""
    refused = 'mien_requests_total{route="other",status="503"}'
    before = impatient.metric(refused)
    with ExitStack() as stack:
        dripping = [stack.enter_context(impatient.raw(b"GET / HT")) for _ in range(30)]
        soon(lambda: impatient.ask("/healthz", source="127.0.0.2").status == 200)
        got = [rest(plain, 10) for plain in dripping]

    assert sum(b"HTTP/1.1 503 " in one for one in got) == 10
    soon(lambda: impatient.metric(refused) == before + 10)


@pytest.mark.slow
def test_waiting_for_a_client_ends(impatient):
    """A head or a body that does not come ends a connection, also where a body is dripped or no one wants it."""
    length = POST + b"Content-Length: "
    for data, status in ((b"", []), (b"GET / HT", []), (GET + b"\r\nGET", [200]), (length + b"999\r\n\r\nx", [408]),
                         (length + b"99999999999\r\n\r\nx", [413])):  # fmt: skip
        with impatient.raw(data) as plain:
            assert statuses(rest(plain)) == status, data
    with impatient.raw(GET) as plain:
        began = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100):
                plain.sendall(b"X: y\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_who_reads_steadily_has_the_whole_file(impatient):
    """A reader that takes longer than one may stall has all of 14 MB; one that stalls is cut off."""
    with socket.socket() as slow, socket.socket() as lazy:
        for plain in (slow, lazy):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
            plain.connect(("127.0.0.1", impatient.port))
            plain.sendall(WASM)
        size, began = 0, time.monotonic()
        while time.monotonic() - began < 5:
            size += len(slow.recv(2**15))
            time.sleep(0.1)
        slow.settimeout(10)
        while size < 14_239_897:
            part = slow.recv(MIB)
            assert part, "the file broke off"
            size += len(part)
        assert len(rest(lazy)) < 14_000_000


def test_abandoned_downloads_leave_no_memory_behind(attacked, right):
    """Waves of clients that ask for the largest file and do not read it cost what a moment's buffers take."""
    with unharmed(attacked, right):
        before = attacked.resident()
        for _ in range(6):
            with ExitStack() as stack:
                for _ in range(30):
                    stack.enter_context(attacked.raw(WASM))
                time.sleep(0.2)
                assert attacked.resident() < before + 40 * MIB


@pytest.mark.slow
def test_few_file_handles_are_no_flood_of_errors():
    """With 64 file handles a hundred connections are refused in silence, and afterwards all is well."""
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    with serving("--processes", "1", first=few) as running:
        assert running.post(FACE, "?crop=1").status == 200
        with ExitStack() as stack:
            for _ in range(100):
                flood = stack.enter_context(socket.socket())
                flood.setblocking(False)
                flood.connect_ex(("127.0.0.1", running.port))
            time.sleep(0.5)
        soon(lambda: running.post(FACE, "?crop=1").status == 200)
        assert running.stop() == 0
        assert running.process.stderr.read() == ""


# ---- pictures


def test_a_picture_that_takes_too_long_is_ended(attacked, right):
    """Its process is ended at the time limit, others are answered right after, and the histogram knows of it."""
    count = attacked.metric("mien_predict_seconds_count")
    with unharmed(attacked, right):
        waited = _waited(attacked)
        answer = attacked.post(many_scans(), kind="image/jpeg")
        without_core = sum(more - waited.get(thread, 0) for thread, more in _waited(attacked).items())
        if (
            answer.status == 503 and without_core > 1
        ):  # the machine is busy, and the time for all of it was over first
            assert problem(answer, 503, "not classified within 6 s")
        else:
            assert problem(answer, 422, "more than 2 s")
    assert attacked.metric("mien_predict_seconds_count") == count + 3


@pytest.mark.slow
def test_eight_bombs_at_once_are_decoded_one_by_one(attacked, right):
    """Eight GIFs of some bytes and 32 megapixels take the memory of one, and give it back."""
    bomb, before, peak = flat("GIF"), attacked.resident(), [0.0]
    with unharmed(attacked, right), ThreadPoolExecutor(9) as pool:
        sent = [pool.submit(attacked.post, bomb, "?crop=1", "image/gif") for _ in range(8)]
        while not all(one.done() for one in sent):
            peak[0] = max(peak[0], attacked.resident())
            time.sleep(0.02)
        assert {one.result().status for one in sent} <= {200, 422, 503}
    assert peak[0] < before + 250 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG", "PPM", "JPEG2000", "AVIF"])
def test_a_bomb_of_each_format_leaves_nothing(attacked, right, kind):
    """A flat picture of 16 megapixels is answered or refused, whatever its format, and its memory comes back."""
    options = (
        {"lossless": True} if kind == "WEBP" else {"compression": "tiff_deflate"} if kind == "TIFF" else {}
    )
    bomb = flat(kind, 3900, **options)
    with unharmed(attacked, right):
        for _ in range(2):
            assert attacked.post(bomb, kind="application/octet-stream").status in (200, 422)


def test_heads_that_promise_much_cost_nothing(attacked, right):
    """Pictures that say they have billions of pixels are refused by their heads, in each format that can say so."""
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6) + b";"
    bmp = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 1, 1, 0, 0)
    tags = [
        (256, 60000),
        (257, 60000),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 60000),
        (279, 4),
    ]
    tiff = (
        b"II*\0"
        + struct.pack("<IH", 8, len(tags))
        + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags)
    )
    with unharmed(attacked, right):
        for data in (
            png_head(60_000, 60_000),
            gif,
            bmp,
            tiff + bytes(4),
            b"P5 60000 60000 255\n" + bytes(99),
        ):
            began = time.monotonic()
            assert attacked.post(data, kind="application/octet-stream").status in (415, 422), data[:8]
            assert time.monotonic() - began < 2


def test_a_killed_process_is_replaced(attacked, right):
    """A process that classifies may be killed while it waits: the next request is answered by another."""
    with unharmed(attacked, right):
        helpers = children(attacked.process.pid)  # what forks the processes, and what tracks their resources
        for process in set(descendants(attacked.process.pid)) - set(helpers):
            os.kill(process, signal.SIGKILL)
        time.sleep(0.3)
        assert attacked.post(FACE, "?crop=1").status == 200


# ---- reports


def test_a_strange_run_hides_no_other(tmp_path):
    """Numbers and names that JSON cannot hold leave one run out of the list, and many who ask wait for one list."""
    for fold, name in (("0", "good"), ("1e999", "fold"), ("0", "\\ud800")):
        folder = tmp_path / f"{fold}{len(name)}"
        folder.mkdir()
        (folder / "run.json").write_text(f'{{"format": 1, "name": "{name}", "seed": 1, "fold": {fold}}}')
        (folder / "recipe.toml").write_text("[training]\nepochs = 5\n")
        (folder / "metrics.csv").write_text(
            "epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,1,1,1,1\n"
        )
    with serving("--reports", str(tmp_path), "--processes", "1") as running, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.ask("/reports/runs.json"), range(8)))
        page = running.ask("/reports/")

    assert [[run["name"] for run in answer.json()] for answer in answers] == [["good"]] * 8
    assert page.status == 200


# ---- below a prefix


def test_all_works_below_a_prefix_behind_nginx(tmp_path):
    """A proxy that takes a prefix off and tells it: pages name nothing above it, docs the right address."""
    headers = "proxy_set_header X-Forwarded-Prefix /mien; proxy_set_header X-Forwarded-Proto https;"
    options = ("--proxy", "127.0.0.1", "--allow-host", "faces.example", "--processes", "1")
    with serving(*options) as running, nginx(tmp_path, running.port, headers=headers) as url:
        through = Server(running.process, int(re.search(r":(\d+)/", url)[1]))
        docs = through.ask("/mien/docs", host="faces.example").body.decode()
        for path in (
            "",
            "docs",
            "house.css",
            "v1/model",
            "v1/samples",
            "page/main.js",
            "service-worker.js",
            "openapi.json",
        ):
            assert through.ask(f"/mien/{path}", host="faces.example").status == 200, path
        assert through.post(FACE, prefix="/mien").status == 200
        assert through.ask("/mien/page/", host="faces.example").headers["location"] == "../"
        assert through.ask("/mien/docs", host="evil.example").status == 421

    assert "https://faces.example/mien/v1/predict" in docs
    assert not [
        link for link in re.findall(r'(?:href|src)="([^"]*)"', docs) if link.startswith(("/", "http:"))
    ]


@pytest.mark.parametrize("below", [pytest.param("", marks=pytest.mark.slow), "/mien"])
def test_a_prefix_may_be_given_on_the_command_line(below):
    """With --root-path paths are taken with the prefix and without it, and the address that is printed has it."""
    with serving("--root-path", "/mien", "--processes", "1") as running:
        assert running.ask(f"{below}/docs").status == 200
        assert "/mien/v1/predict" in running.ask(f"{below}/docs").body.decode()
        assert running.ask(f"{below}/v1/samples").status == 200


def test_only_the_named_proxy_is_believed():
    """Another client's word about prefix, host and scheme is passed over."""
    told = {"x_forwarded_prefix": "/evil", "x_forwarded_host": "evil.example", "x_forwarded_proto": "https"}
    with serving("--proxy", "127.0.0.9", "--processes", "1") as running:
        stranger = running.ask("/docs", **told).body.decode()
        proxy = running.ask(
            "/docs", source="127.0.0.9", **(told | {"x_forwarded_host": "localhost"})
        ).body.decode()

    assert "evil" not in stranger and "https:" not in stranger
    assert "https://localhost/evil/v1/predict" in proxy
