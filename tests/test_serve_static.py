"""The page as plain files, `mien serve --static`, given out by a plain web server and opened in a real Chromium."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import SAMPLES, hosting

pytest.importorskip("fastapi")

from test_serve_page import CLOSE, PATIENCE_MS, differ, encoded, expected, give, serious, shown

from mien import Recognizer
from mien.errors import ModelError, StorageError
from mien.serve import Settings
from mien.serve.files import PAGE
from mien.serve.static import write_static

PREFIX = "people/faces"


def static(*options: str) -> subprocess.CompletedProcess:
    """`mien serve --static` with these options, done."""
    command = [sys.executable, "-m", "mien", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A host's folder with the page below a prefix, written by the command line."""
    root = tmp_path_factory.mktemp("host")
    (root / PREFIX).parent.mkdir()
    done = static("--prior", "balanced", "--static", str(root / PREFIX))
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def pictures(astronaut) -> dict[str, bytes]:
    """A photo with one face, one with several, one with none."""
    return {
        "portrait": encoded(astronaut[:300]),
        "call": (SAMPLES / "call.png").read_bytes(),
        "nobody": encoded(np.full((90, 120), 128, np.uint8)),
    }


@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.slow), PREFIX])
def test_plain_files_give_pythons_answers_also_when_the_host_is_gone(browser, root, pictures, prefix):
    """At the root and below a prefix of a plain host, online and stored: answers are Python's under that prior."""
    context = browser.new_context()
    page, requests, complaints, answers = context.new_page(), [], [], {}
    page.set_default_timeout(PATIENCE_MS)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with hosting(root if prefix else root / PREFIX) as (url, host):
        address = f"{url}{prefix}/" if prefix else url
        page.goto(address)
        page.wait_for_selector("html[data-stored]")
        give(page, "drop", pictures)
        answers["online"] = {name: shown(page, name) for name in pictures}
        host.terminate()
        host.wait(30)
    loud = list(complaints)
    for page_of in (address, f"{address}index.html"):
        page.goto(page_of)
        page.wait_for_selector("html[data-ready]")
        give(page, "drop", pictures)
        answers[page_of] = {name: shown(page, name) for name in pictures}
    samples, threads = page.locator("#samples img").count(), page.get_attribute("html", "data-ready")
    hidden = [page.is_hidden(part) for part in ("#switch", "#api", "#reports")]
    context.close()

    recognizer = Recognizer(prior="balanced")
    assert loud == []
    assert [one for one in requests if not one.startswith((address, "blob:", "data:"))] == []
    for name, picture in pictures.items():
        wanted = expected(recognizer, picture)
        assert (
            max(differ(answer[name], wanted) for answer in answers.values()) < CLOSE if len(wanted) else True
        )
    assert [len(answers["online"][name]) for name in pictures] == [1, 6, 0]
    assert (samples, threads, hidden) == (15, "1", [True, True, True])


def test_the_pages_own_policy_holds_without_the_hosts_headers(browser, root):
    """The page asks no other host and runs no script of another, though the host sends no policy."""
    page = browser.new_page()
    with hosting(root / PREFIX) as (url, _):
        page.goto(url)
        blocked = page.evaluate(
            """async () => {
              const blocked = [];
              document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
              await fetch("http://127.0.0.2:9/").catch(() => {});
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.body.append(script);
              await new Promise((done) => setTimeout(done, 50));
              return [...blocked, window.ran ?? false];
            }"""
        )
    page.close()

    assert blocked == ["connect-src", "script-src-elem", False]


@pytest.mark.parametrize(
    "width, scheme",
    [
        (320, "dark"),
        *(pytest.param(*look, marks=pytest.mark.slow) for look in ((320, "light"), (1280, "dark"))),
    ],
)
def test_nothing_keeps_people_from_using_it(browser, root, pictures, width, scheme):
    """At any width, light and dark: axe-core finds nothing serious and nothing overflows."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    with hosting(root / PREFIX) as (url, _):
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        give(page, "drop", {"call": pictures["call"]})
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        found = serious(page)
    page.close()

    assert (found, overflow <= 0) == ([], True)


def test_the_folder_holds_all_and_says_what_it_may_be_used_for(root):
    """What the page stores lies in the folder, unpacked, with model card, licenses and no address of a server."""
    folder = root / PREFIX
    script = (folder / "service-worker.js").read_text()
    stored = json.loads(script.partition("\n")[0].removeprefix("const STORED = ").removesuffix(";"))
    files = [address.partition("?")[0] for address in stored["addresses"] if address != "./"]
    model = json.loads((folder / "v1" / "model.json").read_text())

    assert [name for name in files if not (folder / name).is_file()] == []
    assert {f"page/{path.name}" for path in PAGE.glob("*.js") if path.name != "service-worker.js"} < set(
        files
    )
    assert (folder / "page/vendor/ort-wasm-simd-threaded.wasm").read_bytes()[:4] == b"\0asm"
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert all((folder / name).stat().st_size for name in ("NOTICE", "centerface.LICENSE.txt"))
    assert "FER2013" in model["card"] and "api" not in model


def test_model_and_threshold_are_those_asked_for(tmp_path):
    """`--model` and `--threshold` change what the page classifies with and calls uncertain."""
    write_static(Settings(model="pocket", threshold=0.9), tmp_path / "site")
    model = json.loads((tmp_path / "site" / "v1" / "model.json").read_text())

    assert (model["name"], model["threshold"]) == ("pocket", 0.9)
    assert (tmp_path / "site" / "v1" / "model.onnx").read_bytes() == Recognizer(
        "pocket"
    ).model.path.read_bytes()


def test_only_a_new_folder_is_written(tmp_path):
    """A folder with anything in it, a file and a model that there is not are refused, and nothing is written."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "index.html").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()

    for name in ("full", "file"):
        with pytest.raises(StorageError, match=name):
            write_static(Settings(), tmp_path / name)
    with pytest.raises(ModelError, match="no-such"):
        write_static(Settings(model="no-such"), tmp_path / "new")
    write_static(Settings(), tmp_path / "empty")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]
    assert [(tmp_path / "full" / "index.html").read_text(), (tmp_path / "file").read_text()] == [
        "mine",
        "mine",
    ]
    assert (tmp_path / "empty" / "index.html").is_file()


def test_an_option_of_a_server_is_refused_with_static(tmp_path):
    """What --static would pass over is one line with the option's name, status 2, and nothing is written."""
    done = static("--static", str(tmp_path / "site"), "--port", "80")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--port" in done.stderr
    assert not (tmp_path / "site").exists()
