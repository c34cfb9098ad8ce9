import asyncio
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from serving import (
    SAMPLES,
    Server,
    children,
    command,
    descendants,
    form,
    png_head,
    problem,
    refused,
    serving,
    soon,
)

pytest.importorskip("fastapi")

from refusals import raises_naming

from mien import Recognizer
from mien.cli import missing_extra
from mien.errors import ServeError
from mien.faces import finder
from mien.listing import OURS, STILL_TRAINING, reports_and_runs
from mien.pages import render
from mien.recipe import read_recipe
from mien.run import Run, RunData, write_metrics, write_run
from mien.serve import Limits, Settings
from mien.serve.about import card_html
from mien.serve.admission import Turns
from mien.serve.settings import check, read_key

SCENE, FACE = ((SAMPLES / name).read_bytes() for name in ("call.png", "happy-1.png"))
LOOKS = b"HTTP/1.1 200 OK, it says\r\n"
KEY = "0123456789abcdefXYZ"


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    """A folder with a report, a run, and ways out of it."""
    folder = tmp_path_factory.mktemp("reports") / "mine"
    outside = folder.parent / "outside.html"
    outside.write_text(f"{OURS.decode()}<title>secret</title>")
    (folder / "a & b").mkdir(parents=True)
    (folder / "a & b" / "report.html").write_text(f"{OURS.decode()}<title>One &amp; two</title><p>x")
    (folder / "template.html").write_text("<title>{{ title }}</title>")
    (folder / "numbers.csv").write_text("a\n1\n")
    (folder / "looks.csv").write_bytes(LOOKS)
    (folder / "weights.safetensors").write_text("no")
    (folder / ".hidden.html").write_text(OURS.decode())
    (folder / "link.html").symlink_to(outside)
    (folder / "up").symlink_to(folder.parent)
    run = folder / "runs" / "quick-s0"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"format": 1, "name": "quick", "seed": 3}))
    (run / "recipe.toml").write_text("[training]\nepochs = 5\n")
    (run / "metrics.csv").write_text(
        "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy\n1,0.1,1.5,0.4,1.4,0.45\n"
    )
    damaged = folder / "runs" / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    (folder / os.fsdecode(b"odd\xff.html")).write_bytes(OURS)
    for name, file, text in (
        ("deep", "run.json", "[" * 20_000),
        ("vast", "run.json", '{"format": 1, "name": "x", "seed": 1e999}'),
        ("fold", "run.json", '{"format": 1, "name": "x", "seed": 1, "fold": NaN}'),
        ("long", "metrics.csv", "epoch," + "9" * 200_000 + "\n1,2\n"),
        ("nan", "metrics.csv", (run / "metrics.csv").read_text().replace("1.5", "nan")),
    ):
        (shutil.copytree(run, folder / "runs" / name) / file).write_text(text)
    return folder


@pytest.fixture(scope="module")
def server(reports):
    """A server with reports and without a key."""
    options = (
        "--reports",
        str(reports),
        "--max-bytes",
        "300000",
        "--max-pixels",
        "500000",
        "--max-pictures",
        "3",
    )
    with serving(*options, "--allow-origin", "https://friend.example") as running:
        yield running


@pytest.fixture(scope="module")
def keyed():
    """A server with a key, from the environment, and a log."""
    with serving("--access-log", "--queue", "4", "--max-pictures", "2", MIEN_API_KEY=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def single():
    """A server with one thread, which reads small faces in its event loop."""
    with serving("--processes", "1", "--max-pixels", "3000000", "--prior", "balanced") as running:
        yield running


# ---- pictures


def test_a_picture_is_read_as_in_python(server):
    """Boxes, labels and probabilities are those of Recognizer.predict on the same bytes."""
    told = server.post(SCENE).json()
    faces = Recognizer().predict(SCENE)
    (picture,) = told["pictures"]

    assert len(faces) == len(picture["faces"]) > 3
    assert (picture["width"], picture["height"]) == (594, 396)
    for face, one in zip(faces, picture["faces"], strict=True):
        assert (face.label, face.best) == (one["label"], one["best"])
        assert list(face.probabilities) == told["labels"] == list(one["probabilities"])
        assert one["probabilities"] == pytest.approx(face.probabilities, abs=2e-6)
        assert one["box"] == pytest.approx(face.box, abs=0.01)


def test_the_prior_is_the_one_that_was_asked_for(single):
    """`--prior` gives the answers of Recognizer(prior=…), which are others than the model's own."""
    (face,) = single.post(FACE, "?crop=true").json()["pictures"][0]["faces"]
    (expected,) = Recognizer(prior="balanced").predict(FACE, crop=True)
    (own,) = Recognizer().predict(FACE, crop=True)

    assert face["probabilities"] == pytest.approx(expected.probabilities, abs=2e-6)
    assert face["probabilities"] != pytest.approx(own.probabilities, abs=1e-5)


def test_crop_takes_the_picture_for_a_face(server):
    """With crop the middle square is read and there are no landmarks."""
    (face,) = server.post(FACE, "?crop=true").json()["pictures"][0]["faces"]
    (expected,) = Recognizer().predict(FACE, crop=True)

    assert face["probabilities"] == pytest.approx(expected.probabilities, abs=2e-6)
    assert face["landmarks"] is None


def test_explain_tells_what_the_answer_depends_on(server):
    """The map of the largest face is that of Recognizer.explain."""
    (face,) = server.post(FACE, "?explain=true").json()["pictures"][0]["faces"]
    recognizer = Recognizer()
    expected = recognizer.explain(recognizer.predict(FACE)[0])

    assert abs(expected - face["explanation"]).max() < 1e-4


def test_several_pictures_come_back_in_order(server):
    """A damaged one among several has its problem inside, the others their faces."""
    body, kind = form(("a.png", FACE), ('way/to "b".png', FACE[:2000]), ("c.txt", b"hello"))
    told = server.post(body, kind=kind).json()["pictures"]

    assert [one["picture"] for one in told][::2] == ["a.png", "c.txt"]
    assert len(told[0]["faces"]) == 1
    assert "damaged" in told[1]["problem"]
    assert "not a picture" in told[2]["problem"]


def test_requests_at_once_have_their_own_answers(server):
    """Pictures read in batches across requests do not mix."""
    names = sorted(path.name for path in SAMPLES.glob("*-?.png")) * 2
    wanted = {name: Recognizer().predict(SAMPLES / name) for name in set(names)}
    got = {}

    def ask(i: int, name: str) -> None:
        got[i] = server.post((SAMPLES / name).read_bytes()).json()["pictures"][0]["faces"]

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for i, name in enumerate(names):
        (face,), (expected,) = got[i], wanted[name]
        assert face["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5), name


def test_few_bytes_may_be_a_large_picture(single):
    """On one core, too, a picture is read that is small as a file alone, and refused when it is too large."""
    file = io.BytesIO()
    Image.new("L", (1600, 1200), 120).save(file, "PNG")
    flat = file.getvalue()
    body, kind = form(("face", FACE), ("flat", flat), ("text", b"hello"), ("huge", png_head(2000, 2000)))
    face, read, text, huge = single.post(body, "?crop=1", kind).json()["pictures"]

    assert len(flat) < 10_000
    assert len(face["faces"]) == len(read["faces"]) == 1
    assert (read["width"], read["height"]) == (1600, 1200)
    assert "not a picture" in text["problem"]
    assert "more than 3,000,000 pixels" in huge["problem"]
    assert single.post(flat, "?crop=1").json()["pictures"][0]["faces"] == read["faces"]


# ---- what is refused


@pytest.mark.parametrize(
    ("body", "query", "kind", "status", "words"),
    [
        (SCENE[:20_000], "", "image/png", 422, "damaged or cut short"),
        (png_head(30_000, 30_000), "", "image/png", 422, "30,000 x 30,000 is more than"),
        (png_head(900, 900), "", "image/png", 422, "900 x 900 is more than 500,000 pixels"),
        (png_head(400, 400), "", "image/png", 422, "damaged"),
        (png_head(300, 90), "?crop=true", "image/png", 422, "damaged"),
        (bytes(range(256)), "", "image/png", 415, "not a picture of a kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "", "application/octet-stream", 415, "not a picture of a kind"),
        (b"{}", "", "application/json", 422, "application/json"),
        (b"[" * 100_000, "", "application/json", 413, "more values"),
        (b'{"pictures": [1]}', "", "application/json", 422, "application/json"),
        (b'{"pictures": []}', "", "application/json", 422, "no picture came"),
        (b'{"pictures": ["?"]}', "", "application/json", 422, "picture 1"),
        (b'{"pictures": ["","","",""]}', "", "application/json", 413, "more than 3 pictures"),
        (FACE, "", "application/x-www-form-urlencoded", 415, "urlencoded"),
        (b"", "", "image/png", 422, "no picture came"),
        (bytes(300_001), "", "image/png", 413, "more than 300,000 bytes"),
        (b"{}", "", "text/plain", 415, "text/plain"),
        (FACE, "?crop=perhaps", "image/png", 422, "crop"),
        (FACE, "?crop=1&crop=0", "image/png", 422, "twice"),
        (FACE, "?corp=true", "image/png", 422, "corp"),
        (FACE, "", "multipart/form-data", 422, "boundary"),
        (FACE, "", "multipart/form-data; boundary=other", 422, "multipart/form-data"),
        (FACE, "", "multipart/form-data; boundary*=a; boundary*0=b", 422, "multipart/form-data"),
        (FACE, "", f"multipart/form-data; boundary*{'9' * 4400}=x", 422, "multipart/form-data"),
        (form(("a", FACE))[0][:-12], "", "multipart/form-data; boundary=xYz", 422, "ends in the middle"),
        (form()[0], "", "multipart/form-data; boundary=xYz", 422, "no picture came"),
        (form(*[("a", b"x")] * 4)[0], "", "multipart/form-data; boundary=xYz", 413, "Maximum number of files is 3"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_what_cannot_be_read_has_its_status(server, body, query, kind, status, words):
    """Every bad body is a problem with the right status and says what is wrong."""
    assert problem(server.post(body, query, kind), status, words)


def test_too_large_a_body_is_refused_before_it_is_sent(server):
    """A declared length is enough, and one without a declared length is stopped at the limit."""
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    with server.raw(f"{head}Content-Length: {10**12}\r\n\r\n".encode()) as declared:
        assert b" 413 " in declared.recv(1000)
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    with server.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 12) as endless:
        assert b" 413 " in endless.recv(1000)


def test_too_many_at_once_are_sent_away(keyed):
    """One address may have half the queue; whoever sends more is told to wait, and the rest is answered."""
    statuses = []

    def ask() -> None:
        answer = keyed.post(SCENE, x_api_key=KEY)
        statuses.append((answer.status, answer.headers.get("retry-after")))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {status for status, _ in statuses} == {200, 429}
    assert all(after == "2" for status, after in statuses if status == 429)


def _rest(plain: socket.socket) -> bytes:
    """Return what still comes until the connection ends."""
    parts = []
    try:
        while part := plain.recv(2**20):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_gone_clients_leave_nothing_behind(server):
    """Connections dropped in a head, in a body and before the answer free their places."""
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(SCENE)
    for data in (whole[:30], whole + SCENE[:5000], whole + SCENE):
        for _ in range(3):
            server.raw(data).close()
    waits = ("mien_pictures_waiting", "mien_body_bytes_waiting")
    soon(lambda: not any(server.metric(name) for name in waits), seconds=15)

    assert server.post(FACE).status == 200


def test_a_client_may_ask_before_it_sends_the_body(server):
    """`Expect: 100-continue` is answered at once, and the body that follows is read."""
    head = b"POST /v1/predict?crop=1 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with server.raw(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(FACE)) as plain:
        first = plain.recv(1000)
        plain.sendall(FACE)
        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert b'"faces"' in _rest(plain)


def test_what_is_no_http_is_told_so(server):
    """Neither a TLS greeting nor a head without an end, or with too much in it, is read on."""
    get = b"GET / HTTP/1.1\r\n"
    greeting, many = b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"X: " + b"a" * 50 + b"\r\n"
    for data in (greeting, get + b"X: " + b"a" * 40_000, get + many * 400 + b"\r\n", get + many * 800):
        with server.raw(data) as plain:
            got = plain.recv(4000)
        assert got.startswith(b"HTTP/1.1 400 ")
        assert b"content-security-policy" in got


def test_a_body_ends_where_it_ends(server):
    """What follows a body in chunks without an end is refused, in one line or in many, and holds no memory."""
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    for behind in (b"a: b\r\n" * 20_000, b"a: " + b"b" * 1_000_000):
        with server.raw(chunked) as plain:
            try:
                plain.sendall(behind)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert plain.recv(4000).startswith(b"HTTP/1.1 400 ")


def picture_of(side: int) -> bytes:
    """A grey picture file."""
    data = io.BytesIO()
    Image.new("L", (side, side), 99).save(data, "PNG")
    return data.getvalue()


def test_a_file_that_looks_like_an_answer_is_given(server):
    """A report's file that begins as a head does is sent whole, and the connection goes on."""
    get = b"GET /reports/files/looks.csv HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.raw(get) as plain:
        plain.settimeout(5)
        got = plain.recv(65536)
        assert got.startswith(b"HTTP/1.1 200 ")
        while not got.endswith(LOOKS):
            got += plain.recv(65536)
        plain.sendall(get)
        assert plain.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_requests_sent_together_are_answered_in_order(server):
    """A client may send its next requests before it has an answer."""
    post = b"POST /v1/predict?crop=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with server.raw(
        (post % len(FACE) + FACE) * 2 + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + last
    ) as plain:
        got = _rest(plain)

    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"200", b"200", b"200", b"404"]
    assert got.count(b'"faces"') == 2


# ---- model, samples, files


def test_the_model_is_told_whole(server):
    """A page finds in /v1/model all that it needs, and files whose sha256 stands in their addresses."""
    answer = server.ask("/v1/model")
    told = answer.json()
    model = Recognizer().model

    assert told["labels"] == list(model.labels)
    assert told["crop"] == model.crop
    assert told["detector"].items() >= {"long_side": 640, "threshold": 0.35, "multiple": 32}.items()
    assert all(value == getattr(finder, name.upper()) for name, value in told["detector"].items())
    assert told["explain"] == {"across": 4, "steps": 12, "reach": 2}
    assert told["max_body_bytes"] == 300_000
    assert told["reports"] and not told["key"]
    assert "<h3" in told["card_html"]
    file = server.ask(f"/v1/{told['model_url']}")
    assert hashlib.sha256(file.body).hexdigest() == told["sha256"] == model.sha256
    assert "immutable" in file.headers["cache-control"]
    assert told["detector_url"].endswith(
        hashlib.sha256(server.ask(f"/v1/{told['detector_url']}").body).hexdigest()[:16]
    )


def test_a_card_cannot_carry_a_script():
    """HTML in a card is shown as text, its links lead to addresses alone, and it has no inline style."""
    card = '# A\n<script>x</script> [a](javascript:x) ![b](http://c/d.png)\n\n| a |\n|--:|\n| <b onclick="x"> |\n'
    html = card_html(card)

    assert "<script" not in html and "<b " not in html and "<img" not in html
    assert 'href="javascript' not in html and "style=" not in html
    assert "<h3>A</h3>" in html and "<table>" in html


def test_the_samples_are_small_pictures_with_faces(server):
    """Each sample comes with its size and words, all together take less than 300 kB, in each a face is found."""
    told = server.ask("/v1/samples").json()
    pictures = [server.ask(f"/v1/{one['url']}") for one in told]

    assert len(told) == 15 and {one["kind"] for one in told} == {"face", "scene"}
    assert sum(len(picture.body) for picture in pictures) < 300_000
    assert all(picture.headers["content-type"] == "image/png" for picture in pictures)
    assert all(Recognizer().predict(picture.body) for picture in pictures)


def test_files_are_tagged_and_not_sent_twice(server):
    """A file is not sent again to whoever has it, and HEAD has its head alone."""
    plain = server.ask("/page/main.js")
    again = server.ask("/page/main.js", if_none_match=plain.headers["etag"])
    head = server.ask("/page/main.js", "HEAD")

    assert (again.status, again.body) == (304, b"")
    assert plain.headers["cache-control"] == "no-cache"
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(plain.body)))
    assert server.ask("/page/main.js").headers["content-type"].partition(";")[0].endswith("javascript")


def test_the_wasm_comes_compressed_or_plain(server):
    """A file stored compressed is given under its own name and type, to whoever takes gzip and to whoever does not."""
    path = "/page/vendor/ort-wasm-simd-threaded.wasm"
    zipped, plain = server.ask(path, accept_encoding="br, gzip"), server.ask(path, accept_encoding="gzip;q=0")

    assert zipped.headers["content-type"] == plain.headers["content-type"] == "application/wasm"
    assert (zipped.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
    assert zipped.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(zipped.body) == plain.body and plain.body.startswith(b"\0asm")


@pytest.mark.parametrize(
    "path",
    ["/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd", "/page/vendor/../../app.py",
     "/v1/samples/../app.py", "/nothing", "/page/index.html%00", "/docs/", "/v1/predict/",
     "/redoc", "/reports/files/../outside.html", "/reports/files/%2e%2e/outside.html", "/reports/files/up/outside.html",
     "/reports/files/..%2foutside.html", "/reports/files/link.html",
     "/reports/files//etc/passwd", "/reports/files/%2fetc%2fpasswd", "/reports/files/.hidden.html", "/reports/files/",
     "/reports/files/weights.safetensors", "/reports/files/numbers.csv%00.html", "/reports/files/a%20%26%20b"],
)  # fmt: skip
def test_no_path_leads_elsewhere(server, path):
    """Whatever is not listed is not found, in any spelling."""
    assert problem(server.ask(path), 404, "nothing is here")


# ---- reports


def test_reports_are_listed_and_given(server):
    """A report is listed by its title and given under a policy that runs no script."""
    page = server.ask("/reports/").body.decode()
    report = server.ask("/reports/files/a%20%26%20b/report.html")

    assert 'href="files/a%20%26%20b/report.html">One &amp; two</a>' in page
    assert "secret" not in page and "hidden" not in page and "template" not in page
    assert report.body.startswith(OURS)
    policy = report.headers["content-security-policy"]
    assert "sandbox" in policy and "default-src 'none'" in policy and "script" not in policy
    assert server.ask("/reports/files/numbers.csv").headers["content-type"].startswith("text/plain")
    assert server.ask("/reports").headers["location"] == "reports/"


def test_pages_of_ours_are_known_as_such():
    """What every page of mien carries in its head is what the list of reports looks for."""
    page = render("mien.pages", "shell.html").encode()

    assert OURS in page[:2000]


def test_runs_are_told_while_they_train(server, reports):
    """A run that goes on is "training" with its curves so far; one with a result is complete."""
    (told,) = server.ask("/reports/runs.json").json()

    assert (told["name"], told["seed"], told["state"], told["epochs"]) == ("quick", 3, "training", 5)
    assert told["rows"]["val_accuracy"] == [0.45]
    (reports / "runs" / "quick-s0" / "result.json").write_text("{}")
    time.sleep(1.6)
    assert server.ask("/reports/runs.json").json()[0]["state"] == "complete"


def test_a_real_run_is_understood(tmp_path):
    """The files that `mien train` writes are those that are looked for."""
    folder = tmp_path / "runs" / "quick-cnn-s2"
    folder.mkdir(parents=True)
    data = RunData("faces", "f" * 16, 48, ("a", "b"), {}, {})
    run = Run(folder, read_recipe("quick-cnn", ("training.epochs=7",)), 2, data, {"device": "cpu"})
    write_run(run, {"kind": "cnn"})
    row = {"lr": 0.1, "train_loss": 1.2, "train_accuracy": 0.5, "val_loss": 1.3, "val_accuracy": 0.4}
    write_metrics(run, [{"epoch": 1, **row}, {"epoch": 2, **row}])
    (told,) = json.loads(reports_and_runs(tmp_path)[1])

    assert (told["path"], told["name"], told["seed"]) == ("runs/quick-cnn-s2", "quick-cnn", 2)
    assert (told["state"], told["epochs"], told["rows"]["val_loss"]) == ("training", 7, [1.3, 1.3])
    for path in folder.iterdir():
        os.utime(path, (time.time() - 2 * STILL_TRAINING,) * 2)
    assert "stopped" == json.loads(reports_and_runs(tmp_path)[1])[0]["state"]


def test_curves_are_drawn(server, browser):
    """The page of reports draws a run's curves in a browser without a complaint."""
    tab = browser.new_page()
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(f"{server.url}/reports/")
    tab.wait_for_selector(".charts svg")

    assert "quick, seed 3" in tab.inner_text("#all")
    assert tab.locator(".charts polyline.val").count() == 2
    tab.goto(f"{server.url}/reports/files/a%20%26%20b/report.html")
    tab.goto(f"{server.url}/docs")
    assert "/v1/predict" in tab.inner_text("main")
    tab.close()
    assert complaints == []


def test_without_reports_there_are_none(keyed):
    """Reports are shown only where a folder was named."""
    assert keyed.ask("/reports/", x_api_key=KEY).status == 404


# ---- headers, hosts, origins, key


@pytest.mark.parametrize(
    "path", ["/", "/page/main.js", "/v1/model", "/v1/samples", "/healthz", "/metrics", "/docs", "/openapi.json",
             "/nothing", "/reports/", "/v1/predict", "/v1/model.onnx", "/reports/runs.json"],
)  # fmt: skip
def test_every_answer_has_the_headers(server, path):
    """The policy and its like stand on pages, files, JSON and faults."""
    headers = server.ask(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy and "unsafe-inline" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in headers["permissions-policy"]
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert "server" not in headers and "access-control-allow-origin" not in headers


def test_pages_name_no_other_host(server):
    """The documentation and the page load nothing from elsewhere."""
    for path in ("/", "/docs", "/reports/"):
        found = re.findall(r'(?:src|href)="([^"]+)"', server.ask(path).body.decode())
        assert found and not [url for url in found if re.match(r"(https?:)?//", url)]


def test_the_api_is_described(server):
    """openapi.json tells of each route and of each refusal; the page draws them."""
    told = server.ask("/openapi.json").json()
    page = server.ask("/docs").body.decode()

    assert set(told["paths"]) == {"/v1/predict", "/v1/model", "/v1/samples", "/healthz", "/metrics"}
    assert {"200", "401", "413", "415", "422", "429", "503"} <= set(
        told["paths"]["/v1/predict"]["post"]["responses"]
    )
    assert all(path in page for path in told["paths"])


def test_only_named_origins_may_call(server):
    """A page of a named origin may read the answer, any other may not."""
    friend = server.ask("/v1/model", origin="https://friend.example")
    stranger = server.ask("/v1/model", origin="https://stranger.example")
    asked = {"origin": "https://friend.example", "access_control_request_method": "POST"}
    flight = server.ask("/v1/predict", "OPTIONS", **asked)

    assert friend.headers["access-control-allow-origin"] == "https://friend.example"
    assert "access-control-allow-origin" not in stranger.headers
    assert flight.status == 200
    assert "x-api-key" in flight.headers["access-control-allow-headers"]
    assert (
        server.ask("/v1/predict", "OPTIONS", **asked | {"origin": "https://stranger.example"}).status == 400
    )


def test_other_names_of_the_host_are_refused(server):
    """A page whose name was pointed to this machine gets nothing."""
    assert problem(server.ask("/reports/", host="evil.example"), 421, "--allow-host")
    assert server.ask("/healthz", host="localhost:1").status == 200
    assert server.ask("/healthz", host="[::1]:80").status == 200


def test_a_name_of_its_own_does_not_take_this_machines(tmp_path):
    """With --allow-host a server that others reach still answers to localhost, as health checks ask."""
    names = ("localhost", "faces.example", "evil.example")
    with serving("--host", "0.0.0.0", "--allow-host", "faces.example") as running:
        statuses = [running.ask("/healthz", host=name).status for name in names]

    assert statuses == [200, 200, 421]


def test_pages_of_other_sites_cannot_have_pictures_read(server):
    """What a browser sends for a page of another site is refused, but for the origins that were named."""
    foreign = {"sec_fetch_site": "cross-site"}

    assert problem(server.post(FACE, origin="https://stranger.example", **foreign), 403, "--allow-origin")
    assert server.post(FACE, origin="https://friend.example", **foreign).status == 200
    assert server.post(FACE, sec_fetch_site="same-origin").status == 200


def test_a_browser_that_tells_no_site_is_judged_by_its_origin(server):
    """Over plain HTTP to another machine browsers leave Sec-Fetch-Site out: then the origin must be the host's."""
    own = f"http://127.0.0.1:{server.port}"

    assert problem(server.post(FACE, origin="http://stranger.example"), 403, "--allow-origin")
    assert problem(server.post(FACE, origin="null"), 403, "--allow-origin")
    assert server.post(FACE, origin=own, host=own.removeprefix("http://")).status == 200
    assert server.post(FACE, origin="https://friend.example").status == 200


def test_the_key_opens_what_costs(keyed):
    """Without the key nothing is read or counted; the page, the model and the samples are open."""
    assert problem(keyed.post(FACE), 401, "an API key is needed")
    assert problem(keyed.post(FACE, x_api_key=KEY[:-1] + "z"), 401, "this is not the API key")
    assert problem(keyed.ask("/metrics"), 401, "API key")
    assert keyed.ask("/metrics").headers["www-authenticate"].startswith("Basic")
    assert keyed.post(FACE, authorization=f"Bearer {KEY}").status == 200
    assert keyed.ask("/metrics", authorization="Basic Om5vbnNlbnNl").status == 401
    assert keyed.ask("/metrics", x_api_key=KEY).status == 200
    for path in ("/", "/v1/model", "/v1/samples", "/healthz", "/docs"):
        assert keyed.ask(path).status == 200
    assert keyed.ask("/v1/model").json()["key"]


def test_requests_are_counted(server):
    """/metrics counts requests by route and status, pictures, faces and seconds."""
    names = ('mien_requests_total{route="/v1/predict",status="200"}',
             'mien_requests_total{route="/v1/predict",status="415"}', "mien_faces_read_total",
             "mien_pictures_refused_total", "mien_predict_seconds_count")  # fmt: skip
    before = [server.metric(name) for name in names]
    server.post(FACE)
    server.post(b"no picture at all")
    after = [server.metric(name) for name in names]

    assert [1, 1, 1, 1, 2] == [b - a for a, b in zip(before, after, strict=True)]


# ---- starting and stopping


def test_it_stops_gracefully_and_logs_no_names(tmp_path):
    """SIGTERM lets what is in flight be answered and ends with 0; the log holds routes and no names."""
    named = ("--proxy", "127.0.0.1", "--allow-host", "faces.example")
    with serving("--access-log", "--processes", "1", *named) as running:
        assert running.ask("/healthz", host="faces.example", x_forwarded_for="203.0.113.9").status == 200
        body, kind = form(*[(f"private{i}.png", SCENE) for i in range(6)])
        got = []
        asking = threading.Thread(target=lambda: got.append(running.post(body, "?explain=false", kind)))
        asking.start()
        soon(lambda: running.metric("mien_pictures_waiting"))
        idle = socket.create_connection(("127.0.0.1", running.port))
        assert running.stop() == 0
        asking.join()
        idle.close()
        log = running.process.stderr.read()

    assert got[0].status == 200 and len(got[0].json()["pictures"]) == 6
    assert re.search(r"127\.0\.0\.1 POST /v1/predict 200 \d+ ms", log)
    assert "203.0.113.9 GET /healthz 200" in log
    assert "private" not in log and "explain" not in log and "Traceback" not in log


def test_a_second_signal_stops_at_once():
    """It does not wait for what is being read: clients are told, and the process ends by itself, not by a fault."""
    with serving("--processes", "1", "--max-pictures", "64") as running:
        body, kind = form(*[("a", SCENE)] * 64)
        got = []
        asking = threading.Thread(target=lambda: got.append(running.post(body, "?explain=true", kind)))
        asking.start()
        soon(lambda: running.metric("mien_pictures_waiting"))
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert running.stop(signal.SIGINT) == 130
        asking.join()
        said = running.process.stderr.read()

    assert problem(got[0], 503, "being stopped")
    assert "Traceback" not in said and "terminate" not in said


ANSWERED = 'mien_requests_total{route="/v1/predict",status="200"}'


def test_workers_share_the_port_and_stop_together():
    """Several processes answer, one that is killed is started again, counts stay, and Ctrl-C ends them all."""
    with serving("--workers", "2", "--processes", "1") as running:
        for _ in range(8):
            assert running.post(FACE).status == 200
        workers = [pid for pid in children(running.process.pid) if b"spawn_main" in _command_line(pid)]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        soon(lambda: len([pid for pid in children(running.process.pid) if pid not in workers]) >= 1)
        for _ in range(4):
            assert running.post(FACE).status == 200
        assert running.metric(ANSWERED) == 12
        every = descendants(running.process.pid)
        assert running.stop(signal.SIGINT) == 0
        soon(lambda: not any(_runs(process) for process in every), seconds=5)


def _command_line(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def test_a_port_in_use_is_told():
    """A second server at the same port ends in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = refused("--port", port)

    assert (status, said.count("\n")) == (2, 1)
    assert f"port {port}: address already in use; give another --port" in said


def test_a_missing_model_is_told(tmp_path):
    """One line and status 2, also from several processes."""
    for options in ((), ("--workers", "2")):
        status, said = refused("--model", str(tmp_path / "none.onnx"), *options)
        assert (status, said.count("\n")) == (2, 1)
        assert "none.onnx" in said and "Traceback" not in said


def test_a_bad_option_is_told(tmp_path):
    """The command line ends in one line and status 2 before anything is opened."""
    for options, words in (
        (("--reports", str(tmp_path / "none")), "--reports wants one with reports or runs in it"),
        (("--reports", ""), "an empty name"),
        (("--host", ".local"), '--host ".local" is no address of this machine'),
        (("--max-bytes", "16MB"), "'16MB' is not a valid int"),
        (("--modle", "pocket"), "--model"),
        (("there",), "extra argument"),
    ):
        status, said = refused(*options)
        assert (status, said.count("\n")) == (2, 1)
        assert said.startswith("mien: ") and words in said


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"port": 70_000}, "--port must be from 0 to 65,535"),
        ({"workers": 0}, "--workers must be"),
        ({"processes": 1000}, "--processes must be"),
        ({"limits": Limits(body_bytes=5)}, "--max-bytes must be"),
        ({"limits": Limits(seconds=float("nan"))}, "--time-limit must be"),
        ({"limits": Limits(pictures=500)}, "--max-pictures is 500 and --queue 128"),
        ({"api_key": "short"}, "16 letters"),
        ({"allow_origins": ("example.org",)}, "--allow-origin"),
        ({"allow_origins": ("https://example.org/",)}, "no path behind"),
        ({"allow_origins": ("*",)}, "--allow-origin"),
        ({"allow_hosts": ("a/b",)}, "--allow-host"),
        ({"root_path": "mien/"}, "--root-path"),
        ({"proxy": "proxy.local"}, "no IP address"),
        ({"notice": "a" * 2001}, "--notice"),
        ({"notice": "red \x1b[31m"}, "--notice"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, words):
    """Every bad setting is one line that says what to give."""
    with pytest.raises(ServeError, match=re.escape(words)) as caught:
        check(Settings(**wrong))

    assert "\n" not in str(caught.value)


def test_a_name_in_any_letters_is_this_machine():
    """However it is written, localhost is guarded against pages elsewhere whose name points to it."""
    assert Settings(host="LocalHost").loopback


def test_a_key_of_the_environment_is_one_that_can_be_sent(monkeypatch):
    """A line's end behind it is none of the key; one with bytes that no header holds is refused."""
    monkeypatch.setenv("MIEN_API_KEY", f"{KEY}\n")
    assert read_key(None) == KEY
    with raises_naming(ServeError, "API key"):
        check(Settings(api_key=os.fsdecode(b"\xff" + KEY.encode())))
    monkeypatch.setenv("MIEN_API_KEY", "")
    assert read_key(None) is None


@pytest.mark.slow
def test_an_orphan_stops(tmp_path):
    """When the parent is killed, its processes see it and end."""
    process = subprocess.Popen(
        command("--workers", "2", "--processes", "1"), stdout=subprocess.PIPE, text=True
    )
    port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
    assert Server(process, port).post(FACE).status == 200
    children = descendants(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    soon(lambda: not any(_runs(child) for child in children), seconds=10)

    assert len(children) > 4  # two workers, what starts their processes, and these


def _runs(process: int) -> bool:
    """Tell whether a process is there and no zombie."""
    line = Path(f"/proc/{process}/cmdline")
    return line.exists() and bool(line.read_bytes())


def test_a_missing_package_names_the_extra():
    """Who has not installed the server's packages is told how."""
    for package in ("fastapi", "uvicorn", "pydantic"):
        assert "pip install 'mien[serve]'" in str(missing_extra(ModuleNotFoundError(name=package)))


def test_importing_the_room_is_light():
    """`import mien.serve` loads no server."""
    code = "import sys, mien.serve; print([m for m in ('fastapi', 'uvicorn', 'PIL') if m in sys.modules])"
    assert "[]" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def test_places_go_round_those_who_wait():
    """Who has sent one picture waits for one of each other client, not for all that another one has sent."""
    order = []

    async def hold(turns: Turns, client: str) -> None:
        async with turns.turn(client):
            order.append(client)
            await asyncio.sleep(0)

    async def all_at_once() -> None:
        turns = Turns(1)
        gone = asyncio.create_task(hold(turns, "gone"))
        others = [asyncio.create_task(hold(turns, client)) for client in "aaab"]
        left = asyncio.create_task(hold(turns, "c"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(gone, *others)

    loop = threading.Thread(
        target=lambda: asyncio.run(all_at_once())
    )  # the browser's own loop runs in this thread
    loop.start()
    loop.join()
    assert order == ["gone", "a", "b", "a", "a"]


def test_a_process_without_its_server_ends_in_silence():
    """A process that classifies ends when its server is gone in the midst of sending it a picture."""
    code = (
        "import socket; from mien.serve import worker; from mien.model import read_model\n"
        "ours, theirs = socket.socketpair(); ours.sendall(b'\\x80\\x05\\x95'); ours.close()\n"
        "pocket = read_model('pocket')\n"
        "worker.work(theirs, 'pocket', 'cpu', pocket.sha256, 0.5, pocket.prior)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
