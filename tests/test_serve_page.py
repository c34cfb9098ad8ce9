"""The page of `mien serve` in a real Chromium, beside what Python says of the same pictures."""

import base64
import csv
import gzip
import hashlib
import io
import json
import os
import re
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from browser import serious
from conftest import chromium, leaning_portrait
from nginx import nginx
from PIL import Image
from serving import SAMPLES, serving, soon

pytest.importorskip("fastapi")

from mien import Recognizer
from mien.faces import TEMPLATE, align
from mien.faces.face import Face
from mien.faces.finder import BORDER_SPARED, view
from mien.pages.theme import css_variables
from mien.predict.answer import Answer
from mien.predict.rows import Csv, Json, in_words
from mien.predict.sources import Source
from mien.render.clips import render_clip
from mien.serve import about

PAGE = Path(about.__file__).with_name("page")
PATIENCE_MS = 60_000
SAME = 1e-4  # difference of probabilities of the same crops
CLOSE = 1e-3  # through finding and cutting out
# What Chromium writes where the server refused a file, as one test has it do, and where the context stores no page.
EXPECTED = re.compile("status of 415|registration blocked by Playwright")
SOON = "await new Promise((done) => setTimeout(done));"  # when what an event began stands in the page
HOLD_ENGINE = """
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...more) {
  if (message.task === "start") window.begin = () => post.call(this, message, ...more);
  else post.call(this, message, ...more);
};
"""
BYTES = "const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"


@pytest.fixture(scope="module")
def server():
    """A real server."""
    with serving(OMP_NUM_THREADS="1") as started:
        yield started


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """What a camera sees for a second, a motion JPEG: a rendered face turns from happy to surprised and moves."""
    folder = tmp_path_factory.mktemp("clips")
    render_clip(
        folder / "clip", "change", label="happy", second="surprise", seconds=1, rate=12, side=128, seed=3
    )
    film = folder / "camera.mjpeg"
    with film.open("wb") as file:
        for number, path in enumerate(sorted((folder / "clip" / "frames").iterdir())):
            file.write(encoded(frame_of(path, number), "JPEG"))
    return film


def frame_of(path: Path, number: int) -> np.ndarray:
    """A camera's frame with a rendered face in it, RGB."""
    frame = np.full((480, 640, 3), 110, np.uint8)
    face = np.array(Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
    left = 180 + 6 * number
    frame[120 : 120 + 224, left : left + 224] = face
    return frame


@pytest.fixture(scope="module")
def context(playwright, clip):
    """A window of a Chromium whose camera plays the clip and is allowed; it never stores the page."""
    fake = ("device-for-media-stream", "ui-for-media-stream")
    started = chromium(
        playwright, *(f"--use-fake-{name}" for name in fake), f"--use-file-for-fake-video-capture={clip}"
    )
    yield started.new_context(viewport={"width": 1280, "height": 900}, service_workers="block")
    started.close()


@pytest.fixture
def tab(context, server):
    """The page, loaded; in the end nothing has left its origin and the console is quiet."""
    page, requests, complaints = context.new_page(), [], []
    page.set_default_timeout(PATIENCE_MS)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("html[data-ready]")

    yield page

    page.close()
    assert [url for url in requests if not url.startswith((f"{server.url}/", "blob:", "data:"))] == []
    assert [one for one in complaints if not EXPECTED.search(one)] == []


@pytest.fixture
def unknowing(context, server):
    """The page before it knows the model, and a function that tells it, with what it is given put in instead."""
    page, held = context.new_page(), []
    page.set_default_timeout(PATIENCE_MS)
    page.route("**/v1/model", lambda route: held.append(route))
    page.goto(server.url)
    while not held:
        page.wait_for_timeout(10)

    def tell(**changes) -> None:
        answer = held[0].fetch()
        held[0].fulfill(response=answer, json={**answer.json(), **changes})

    yield page, tell
    page.close()


@pytest.fixture(scope="module")
def engine(context, server):
    """The page's engine alone, ready as `engine` in a window without the page."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{server.url}/page/vendor/LICENSE.txt")
    page.evaluate(
        """async () => {
          const { Engine } = await import("/page/engine.js");
          const { modelOfServer } = await import("/page/remote.js");
          window.engine = new Engine();
          await engine.start(await modelOfServer("/v1/model"));
          window.bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        }"""
    )
    yield page
    page.close()


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """What the page is compared with."""
    return Recognizer()


def encoded(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    """A picture as the bytes of a file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def sideways() -> Image.Exif:
    """EXIF data that say that a picture lies on its side."""
    exif = Image.Exif()
    exif[274] = 6
    return exif


def sent_by(tab) -> list[str]:
    """The addresses that the page posts to from now on."""
    sent = []
    tab.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def text(data: bytes) -> str:
    """Bytes as a script can take them."""
    return base64.b64encode(data).decode()


def drop(tab, files: dict[str, bytes], kind: str = "image/png", way: str = "drop", then: str = ""):
    """Drop files on the page, or paste them, and at once run a script; return what that returns."""
    told = [[name, text(data)] for name, data in files.items()]
    return tab.evaluate(
        f"""async ([way, files, type]) => {{
          {BYTES}
          const given = new DataTransfer();
          for (const [name, data] of files) given.items.add(new File([bytes(data)], name, {{ type }}));
          const event = way === "paste"
            ? new ClipboardEvent("paste", {{ clipboardData: given, bubbles: true }})
            : new DragEvent("drop", {{ dataTransfer: given, bubbles: true, cancelable: true }});
          document.querySelector(way === "paste" ? "body" : "#drop").dispatchEvent(event);
          {then}
        }}""",
        [way, told, kind],
    )


def give(tab, way: str, files: dict[str, bytes], kind: str = "image/png") -> None:
    """Drop files on the page or paste them, and wait until all of them are read."""
    before = tab.locator("#photos > li").count()
    drop(tab, files, kind, way)
    tab.locator("#photos > li[data-done]").nth(before + len(files) - 1).wait_for()


def shown(tab, name: str) -> np.ndarray:
    """The probabilities that the page shows of an image's faces, (faces, classes)."""
    item = tab.locator("#photos > li", has=tab.get_by_role("heading", name=name, exact=True))
    rows = item.locator(".faces > li").evaluate_all(
        "items => items.map(item => [...item.querySelectorAll('dd')].map(dd => Number(dd.dataset.share)))"
    )
    return np.array(rows)


def expected(recognizer: Recognizer, picture) -> np.ndarray:
    """What Python reads, in the same shape."""
    return np.array([list(face.probabilities.values()) for face in recognizer.predict(picture)])


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference; infinite where there are other faces."""
    return float(np.abs(one - other).max()) if one.shape == other.shape else np.inf


@pytest.fixture(scope="module")
def pictures(astronaut) -> dict[str, bytes]:
    """Pictures that take all ways through the finder: large, small, turned, cut, several faces, grey, see-through."""
    portrait = Image.fromarray(astronaut)
    several = np.concatenate([np.asarray(turned) for turned in (portrait, portrait.rotate(-15))], 1)
    return {
        "large": encoded(np.asarray(portrait.resize((1900, 1700), Image.Resampling.BICUBIC))),
        "small": encoded(
            np.asarray(portrait.crop((130, 20, 330, 220)).resize((72, 72), Image.Resampling.BOX))
        ),
        "turned": encoded(np.asarray(portrait.rotate(23, expand=True, fillcolor=(90, 90, 90)))),
        "cut": encoded(astronaut[60:300, :290]),
        "several": encoded(np.concatenate([several, several[:, ::-1] // 2])),
        "grey": encoded(np.asarray(portrait.convert("L"))),
        "see-through": encoded(
            np.dstack([astronaut, np.where(astronaut[..., 2] > 40, 255, 0).astype(np.uint8)])
        ),
        "call": (SAMPLES / "call.png").read_bytes(),
        "leaning": encoded(leaning_portrait(astronaut)),
        "crowd": crowd_of_small_faces(),
    }


def crowd_of_small_faces() -> bytes:
    """A wide picture of 18 small faces between areas without any, which is searched enlarged."""
    call = Image.open(SAMPLES / "call.png").convert("RGB").resize((148, 99), Image.Resampling.BOX)
    crowd = Image.new("RGB", (1300, 500), (90, 90, 90))
    for place in ((20, 30), (610, 200), (1100, 380)):
        crowd.paste(call, place)
    return encoded(np.asarray(crowd))


def test_dropped_pictures_are_read_as_python_reads_them(tab, recognizer, pictures):
    """Photos dropped on the page show the faces and probabilities that `Recognizer` gives."""
    give(tab, "drop", pictures)

    differences = {
        name: differ(shown(tab, name), expected(recognizer, data)) for name, data in pictures.items()
    }
    assert {name: d for name, d in differences.items() if d > CLOSE} == {}
    assert tab.locator("#photos > li h3").all_inner_texts() == list(pictures)
    assert len(shown(tab, "several")) == 4
    assert tab.locator("#photos .box").count() == tab.locator("#photos .faces > li").count()


@pytest.mark.slow
def test_the_same_crops_are_read_alike(engine, recognizer):
    """The model gives the same probabilities in the page as in Python, also of more faces than a batch holds."""
    crops = np.random.default_rng(1).integers(0, 256, (33, 48, 48), np.uint8)
    samples = sorted(SAMPLES.glob("*-?.png"))
    crops[: len(samples)] = [np.asarray(Image.open(path).convert("L").resize((48, 48))) for path in samples]
    got = engine.evaluate(
        """(data) => {
          const all = bytes(data), size = 48 * 48;
          const crops = Array.from({ length: all.length / size }, (_, i) => all.slice(i * size, (i + 1) * size));
          return engine.read(crops);
        }""",
        text(crops.tobytes()),
    )

    assert differ(np.array(got), recognizer.model.probabilities(crops)) < SAME


@pytest.mark.slow
@pytest.mark.parametrize(
    "height, width, side, border",
    [(97, 640, 320, 0), (611, 923, 640, 0), (1201, 803, 320, 0), (60, 90, 240, 40), (240, 240, 240, 40),
     (131, 129, 131, 32), (300, 700, 128, 0)],
)  # fmt: skip
def test_pictures_are_shrunk_and_cut_as_in_python(engine, recognizer, height, width, side, border):
    """Views for the finder are Pillow's to the byte; of aligned crops a pixel in a thousand may differ by one level."""
    rng = np.random.default_rng(height)
    coarse = rng.integers(0, 256, (height // 9, width // 9, 3), np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    faces = [scattered(rng, height, width) for _ in range(12)]
    seen = view(picture, side, border).pixels
    crops = [align(picture, face, 48) for face in faces]
    told = [{"box": face.box, "landmarks": face.landmarks.tolist()} for face in faces]
    got = engine.evaluate(
        """async ([data, width, height, side, border, spared, faces, crop, wanted, crops]) => {
          const [{ view }, { align }] = await Promise.all([import("/page/finder.js"), import("/page/align.js")]);
          const picture = { data: bytes(data), width, height, stride: 3 };
          const seen = view(picture, side, border, { multiple: 32, border_spared: spared });
          const off = (one, other) => Array.from(bytes(other), (value, i) => Math.abs(value - one[i]));
          const inCrops = faces.flatMap((face, i) => off(align(picture, face, crop), crops[i]));
          return {
            shape: [seen.height, seen.width],
            view: Math.max(...[0, ...off(seen.pixels, wanted).filter((value) => value !== 0)]),
            most: inCrops.reduce((most, value) => Math.max(most, value), 0),
            share: inCrops.filter((value) => value !== 0).length / inCrops.length,
          };
        }""",
        [text(picture.tobytes()), width, height, side, border, BORDER_SPARED, told, recognizer.model.crop,
         text(seen.astype(np.uint8).tobytes()), [text(crop.tobytes()) for crop in crops]],
    )  # fmt: skip

    assert tuple(got["shape"]) == seen.shape[2:]
    assert got["view"] == 0
    assert got["most"] <= 1
    assert got["share"] < 1e-3


def scattered(rng: np.random.Generator, height: int, width: int) -> Face:
    """A face of any size, turned anyhow and anywhere, also partly or wholly outside of a picture."""
    spread, turn = rng.uniform(0.1, 1.4) * height, rng.uniform(-np.pi, np.pi)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = rng.uniform(-0.3, 1.3, 2) * (width, height)
    points = (TEMPLATE[:5] - 0.5) @ turned * spread + middle + rng.normal(0, 0.02 * spread, (5, 2))
    size = rng.uniform(0.7, 1.1, 2) * spread
    return Face((*(middle - size / 2).tolist(), *size.tolist()), 1.0, points)


@pytest.mark.slow
def test_a_picture_is_turned_upright(tab, recognizer, astronaut):
    """A JPEG that lies on its side is read upright, as its EXIF orientation says.

    Browsers pass over that of a WebP, which is therefore refused in words where it turns the picture.
    """
    lying = encoded(np.rot90(astronaut), "JPEG", quality=95, exif=sideways())
    give(tab, "drop", {"lying": lying}, "image/jpeg")

    assert differ(shown(tab, "lying"), expected(recognizer, lying)) < 0.02


@pytest.mark.slow
def test_a_pasted_picture_is_read(tab, recognizer, pictures):
    """A picture from the clipboard is read; a clipboard without one gets a sentence, until a picture comes."""
    give(tab, "paste", {"image.png": pictures["cut"]})
    found = shown(tab, "image.png")
    tab.evaluate(
        "document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer(), bubbles: true }))"
    )

    told = tab.inner_text("#state")
    give(tab, "paste", {"again.png": pictures["cut"]})

    assert differ(found, expected(recognizer, pictures["cut"])) < CLOSE
    assert told == "There is no image in the clipboard."
    assert tab.inner_text("#state").startswith("Ready")


@pytest.mark.slow
def test_what_cannot_be_read_is_told_in_words(tab):
    """A file that is no picture, and a picture without a face, get a sentence, which is also said aloud."""
    turned = encoded(np.zeros((90, 60), np.uint8), "WEBP", exif=sideways())
    files = {
        "turned.webp": (turned, "Not classified: a WebP that is turned by its EXIF data; save it as JPEG."),
        "notes.txt": (
            b"no picture",
            "Not classified: not a picture that this browser can open, or a damaged one.",
        ),
        "empty.png": (b"", "Not classified: an empty file."),
        "dot.png": (
            encoded(np.zeros((4, 4), np.uint8)),
            "Not classified: 4 x 4 pixels are too few for a face.",
        ),
        "grey.png": (encoded(np.full((90, 90), 128, np.uint8)), "No face was found."),
    }
    said = {}
    for name, (data, _) in files.items():
        give(tab, "drop", {name: data})
        said[name] = tab.inner_text("#photos > li:first-child .answer")
        assert name in tab.inner_text("#announcement")

    assert said == {name: words for name, (_, words) in files.items()}


@pytest.mark.slow
def test_the_answer_comes_into_view(tab, pictures):
    """An image that is given is brought to the top, its heading focused, and stays there when it is classified."""
    tab.set_viewport_size({"width": 320, "height": 640})
    tab.emulate_media(reduced_motion="reduce")
    give(tab, "drop", {"first": pictures["large"]})
    tab.locator("#photos .plate").first.wait_for()
    place = "document.querySelector('#photos > li').getBoundingClientRect().top"
    top, label = tab.evaluate(place), tab.locator("#photos .plate").first.bounding_box()
    focused = tab.evaluate("document.activeElement.textContent")
    drop(
        tab,
        {"second": pictures["large"]},
        then=f"{SOON} scrollTo(0, 0); dispatchEvent(new WheelEvent('wheel'));",
    )
    tab.locator("#photos > li[data-done]").nth(1).wait_for()

    assert 0 <= top < 40
    assert label["y"] + label["height"] < 640
    assert focused == "first"
    assert tab.evaluate("scrollY") == 0  # somebody moved there meanwhile


@pytest.mark.parametrize("width", [320, pytest.param(1280, marks=pytest.mark.slow)])
def test_boxes_carry_labels(tab, recognizer, pictures, width):
    """Each box has its face's label beside it; no two cover each other, and all lie in the image, at any width."""
    tab.set_viewport_size({"width": width, "height": 800})
    give(tab, "drop", {"call": pictures["call"], "alone": pictures["cut"]})
    tab.locator("#photos > li").nth(1).locator(".plate").wait_for()
    texts = [item.locator(".plate").all_text_contents() for item in tab.locator("#photos > li").all()]
    places = tab.locator("#photos > li:first-child .plate rect:first-child").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(r => [r.left, r.top, r.right, r.bottom])"
    )
    image = tab.locator("#photos > li:first-child img").bounding_box()
    faces = [recognizer.predict(pictures[name]) for name in ("call", "cut")]

    assert texts[0] == [f"{number} {in_words(face)}" for number, face in enumerate(faces[0], start=1)]
    assert texts[1] == [in_words(faces[1][0])]
    for one, other in combinations(places, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    assert min(left for left, *_ in places) >= image["x"] - 0.01
    assert max(bottom for *_, bottom in places) <= image["y"] + image["height"] + 0.01


@pytest.mark.slow
def test_a_crowd_is_shown_so_large_that_its_labels_can_be_read(tab, pictures):
    """In a narrow window an image with many faces scrolls sideways, also by keyboard, and the page does not."""
    tab.set_viewport_size({"width": 320, "height": 800})
    call = Image.open(io.BytesIO(pictures["call"])).convert("RGB")
    crowd = np.tile(np.asarray(call), (2, 2, 1))
    give(tab, "drop", {"crowd": encoded(crowd)})
    tab.locator("#photos .plate").first.wait_for()
    texts = tab.locator("#photos .plate").all_text_contents()
    box = tab.locator("#photos .box").first.bounding_box()
    overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    assert len(texts) == 24
    assert sum(bool(re.search("[a-z]", one)) for one in texts) >= 22
    assert box["width"] > 60
    assert overflow <= 0
    assert serious(tab) == []


def saved(tab, button: str) -> bytes:
    """The file that a button saves."""
    with tab.expect_download() as download:
        tab.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_bytes()


def test_results_are_saved_as_predict_writes_them(tab, recognizer, pictures):
    """CSV and JSON of the page have the columns, names, labels and numbers of `mien predict --csv` and `--json`."""
    images = {
        "several": pictures["several"],
        "nobody": encoded(np.full((90, 120), 128, np.uint8)),
        '=a "b", \u200e\x07.png': b"no picture",
    }
    give(tab, "drop", images)
    got_csv = list(csv.reader(io.StringIO(saved(tab, "Save as CSV").decode())))
    got_json = [json.loads(line) for line in saved(tab, "Save as JSON").decode().splitlines()]
    tables = Csv(recognizer.model), Json(recognizer.model, got_json[0]["card"])
    written = [table.head for table in tables]
    for (name, data), line in zip(images.items(), got_json, strict=True):
        problem = line.get("problem", "")
        with nullcontext() if problem else Image.open(io.BytesIO(data)) as image:
            size = image.size if image else (0, 0)
        faces = [] if problem else recognizer.predict(data)
        answer = Answer(Source(name, bytes, name), faces, problem, size=size)
        written = [text + table.rows(answer) for text, table in zip(written, tables, strict=True)]
    expected_csv = list(csv.reader(io.StringIO(written[0])))

    assert got_csv[0] == expected_csv[0]
    assert unequal(got_csv, expected_csv) == []
    assert unequal(got_json, [json.loads(line) for line in written[1].splitlines()]) == []
    assert got_json[0]["card"].endswith("/v1/model")


def unequal(got, wanted, place: str = "") -> list[str]:
    """Where two nested values differ, numbers by more than a tenth of a pixel or a percent."""
    if isinstance(wanted, list | dict) and type(got) is type(wanted) and len(got) == len(wanted):
        keys = list(wanted) if isinstance(wanted, dict) else range(len(wanted))
        if isinstance(wanted, dict) and list(got) != keys:
            return [f"{place}: {list(got)}"]
        return [one for key in keys for one in unequal(got[key], wanted[key], f"{place}/{key}")]
    try:
        return (
            []
            if abs(float(got) - float(wanted)) <= (0.1 if float(wanted) > 1 else 0.01)
            else [f"{place}: {got}"]
        )
    except (TypeError, ValueError):
        return [] if got == wanted else [f"{place}: {got!r}, not {wanted!r}"]


@pytest.mark.slow
def test_an_image_is_saved_with_its_labels(tab, pictures):
    """The PNG is as large as the image, larger where that is small; boxes and labels are drawn in, the rest stays."""
    give(tab, "drop", {"call.png": pictures["call"], "tiny.png": pictures["small"]})
    tab.locator("#photos .plate").first.wait_for()
    call, tiny = (
        Image.open(io.BytesIO(saved(tab, f"Save {name}.png with labels"))) for name in ("call", "tiny")
    )
    plain = np.asarray(Image.open(io.BytesIO(pictures["call"])).convert("RGB")).astype(int)
    changed = np.abs(np.asarray(call.convert("RGB")).astype(int) - plain).max(2) > 8
    box = (
        tab.locator("#photos .box rect")
        .nth(1)
        .evaluate("r => [r.x, r.y].map(v => Math.round(v.baseVal.value))")
    )

    assert call.size == plain.shape[1::-1]
    assert tiny.size == (504, 504)  # 72 pixels, seven times
    assert 0.01 < changed.mean() < 0.2
    assert call.convert("RGB").getpixel((box[0], box[1] + 40))[2] > 200  # the bright line


def test_photos_go_to_the_server_only_when_asked_for(tab, recognizer, pictures):
    """The switch is off at first; on, the server reads the photo, with the same result; off again, nothing is sent."""
    sent = sent_by(tab)
    give(tab, "drop", {"here": pictures["several"]})
    by_page = list(sent)
    tab.check("#remote")
    promise, words = tab.inner_text("#promise"), tab.inner_text("#remote-words")
    tiff = encoded(np.asarray(Image.open(io.BytesIO(pictures["several"]))), "TIFF")
    give(tab, "drop", {"there": pictures["several"], "broken": b"no picture", "tiff": tiff})
    tab.locator("#photos > li:has(h3:text-is('tiff')) canvas").first.wait_for(
        state="detached"
    )  # not opened here
    by_server, crops = list(sent), tab.locator("#photos > li:has(h3:text-is('there')) canvas").count()
    tab.uncheck("#remote")
    give(tab, "drop", {"here again": pictures["several"]})

    assert by_page == []
    assert len(by_server) == len(sent) == 3
    assert "sent to the server" in promise and words.startswith("On.")
    assert tab.inner_text("#promise") == "Nothing leaves this page:"
    assert differ(shown(tab, "there"), expected(recognizer, pictures["several"])) < SAME
    assert crops == 4
    assert differ(shown(tab, "tiff"), shown(tab, "there")) < SAME
    assert 0 == tab.locator("#photos > li:has(h3:text-is('tiff')) :is(img, canvas)").count()
    assert "cannot show" in tab.inner_text("#photos > li:has(h3:text-is('tiff')) figure")
    assert "not a picture" in tab.inner_text("#photos > li:has(h3:text-is('broken')) .answer")


@pytest.mark.parametrize("key", [pytest.param(False, marks=pytest.mark.slow), True])
def test_nothing_is_sent_before_the_page_knows_the_model(unknowing, pictures, key):
    """Until then buttons and switch are off, whatever the browser remembers; a photo that is dropped waits for it."""
    page, tell = unknowing
    sent = sent_by(page)
    page.evaluate("document.getElementById('remote').checked = true")
    off = [page.is_disabled(f"#{name}") for name in ("remote", "choose", "camera")]
    stayed = drop(page, {"early": pictures["cut"]}, then="return event.defaultPrevented;")
    tell(key=key)
    page.locator("#photos > li[data-done=classified]").wait_for()

    assert off == [True, True, True]
    assert stayed
    assert sent == []
    assert not page.is_checked("#remote")
    assert page.is_disabled("#remote") == key
    assert page.is_enabled("#choose") and page.is_enabled("#camera")


@pytest.mark.slow
def test_the_switch_counts_when_a_photo_is_given_and_at_its_turn(tab, pictures):
    """What was given before it went on stays here, and what still waits when it goes off is not sent any more."""
    sent, click = sent_by(tab), f"{SOON} document.getElementById('remote').click();"
    drop(tab, {"before": pictures["large"], "waits": pictures["cut"]}, then=click)
    tab.locator("#photos > li[data-done=classified]").nth(1).wait_for()
    stayed = list(sent)
    drop(tab, {"goes": pictures["large"], "waits too": pictures["cut"]}, then=click)
    tab.locator("#photos > li[data-done=classified]").nth(3).wait_for()

    assert stayed == []
    assert len(sent) == 1


@pytest.mark.slow
def test_photos_that_are_removed_are_neither_read_nor_announced(tab, pictures):
    """Photos are read one at a time, so those that are removed meanwhile cost nothing and nothing is said of them."""
    tab.evaluate(
        """() => {
          [window.asked, window.announced] = [[], []];
          const post = Worker.prototype.postMessage;
          Worker.prototype.postMessage = function (message, ...more) {
            window.asked.push(message.task);
            post.call(this, message, ...more);
          };
          const spoken = document.getElementById("announcement");
          new MutationObserver(() => window.announced.push(spoken.textContent)).observe(spoken, { childList: true });
        }"""
    )
    many = {f"{number}.png": pictures["large"] for number in range(5)}
    drop(tab, many, then=f"{SOON} document.getElementById('clear').click();")
    give(tab, "drop", {"last": pictures["cut"]})
    removed, last = tab.evaluate("announced")

    assert tab.evaluate("asked") == ["predict", "predict"]  # the first one had been begun
    assert removed == "All images were removed."
    assert last.startswith("last: 1 face")


@pytest.mark.slow
def test_the_servers_answer_does_not_wait_for_this_browser(context, server, pictures):
    """While the browser's engine is loading the server's answer is shown; crops and explanations follow."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(HOLD_ENGINE)
    page.goto(server.url)
    page.check("#remote")
    why = page.get_by_role("button", name="Explain")
    give(page, "drop", {"there": pictures["cut"]})
    boxed, explained = page.locator("#photos .box").count(), why.count()
    page.evaluate("begin()")
    why.wait_for()
    painted = page.locator("#photos canvas").first.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v)"
    )
    page.close()

    assert boxed == 1
    assert explained == 0
    assert painted


@pytest.mark.slow
def test_a_webp_that_browsers_do_not_turn_gets_no_boxes(tab, astronaut):
    """The server reads it upright, so boxes over what the browser shows would be in wrong places: a line says so."""
    tab.check("#remote")
    give(tab, "drop", {"lying": encoded(np.rot90(astronaut), "WEBP", exif=sideways())}, "image/webp")

    assert len(shown(tab, "lying")) == 1
    assert tab.locator("#photos rect").count() == 0
    assert "no boxes are drawn" in tab.inner_text("#photos figcaption")


@pytest.mark.slow
def test_folders_and_files_that_changed_are_told_in_words(tab, engine, pictures, tmp_path):
    """A folder that is dropped is no picture, and a file that was written anew since it was chosen cannot be read."""
    tab.evaluate(
        """() => {
          const getAsFile = () => new File([], "holidays");
          const folder = { kind: "file", webkitGetAsEntry: () => ({ isDirectory: true }), getAsFile };
          const event = new Event("drop", { bubbles: true, cancelable: true });
          const dataTransfer = { items: [folder], files: [getAsFile()] };
          document.getElementById("drop").dispatchEvent(Object.assign(event, { dataTransfer }));
        }"""
    )
    path = tmp_path / "gone.png"
    path.write_bytes(pictures["cut"])
    engine.evaluate(
        "document.body.append(Object.assign(document.createElement('input'), { type: 'file', id: 'gone' }))"
    )
    engine.set_input_files("#gone", path)
    engine.evaluate(
        "window.chosen = document.getElementById('gone').files[0].slice()"
    )  # as it is at this moment
    path.write_bytes(pictures["cut"] + b"more")
    os.utime(path, (1, 1))
    told = engine.evaluate("engine.predict(window.chosen).catch((fault) => fault.message)")

    assert tab.inner_text("#state").startswith("A folder was dropped.")
    assert tab.locator("#photos > li").count() == 0
    assert told == "a folder, or a file that cannot be read any more"


@pytest.mark.slow
@pytest.mark.parametrize("most, words", [(500_000, "500 kB"), (1_600_000, "1.5 MiB"), (16 * 2**20, "16 MiB")])
def test_the_largest_photo_is_told_in_its_unit(engine, most, words):
    """How much the server takes is never told as nothing."""
    told = engine.evaluate(
        """async (most) => {
          const { askServer } = await import("/page/remote.js");
          return askServer({ size: most + 1 }, { labels: [], max_body_bytes: most }).catch((fault) => fault.message);
        }""",
        most,
    )

    assert told == f"more than the {words} that this server takes"


@pytest.mark.slow
def test_a_page_whose_engine_failed_keeps_saying_so(unknowing, pictures):
    """Why it cannot read pictures stands there again after a photo, and the camera is told the same reason."""
    page, tell = unknowing
    tell(model_url="/v1/nothing")
    page.locator("#state.bad").wait_for()
    told = page.inner_text("#state")
    give(page, "drop", {"photo": pictures["cut"]})
    later = page.locator("#state.bad").inner_text()
    page.click("#camera")
    page.wait_for_selector("#camera:not([disabled])")
    camera = page.inner_text("#state")

    assert told.startswith("This page cannot classify images:")
    assert later == told
    assert camera.startswith("The camera cannot be used") and "404" in camera


def test_all_works_with_the_network_off(tab, context, recognizer, pictures):
    """After loading no request is made: a photo, a gallery face and an explanation need no network."""
    asked = []
    context.set_offline(True)
    try:
        tab.on(
            "request", lambda request: asked.append(request.url) if request.url.startswith("http") else None
        )
        give(tab, "drop", {"offline": pictures["cut"]})
        tab.locator("#samples button").first.click()
        tab.locator("#photos > li[data-done=classified]").nth(1).wait_for()
        tab.get_by_role("button", name="Explain").first.click()
        told = tab.locator(".explanation:visible").inner_text()
    finally:
        context.set_offline(False)

    assert asked == []
    assert differ(shown(tab, "offline"), expected(recognizer, pictures["cut"])) < CLOSE
    assert "Orange: hiding it lowers the probability" in told


@pytest.mark.slow
def test_it_works_below_a_prefix_and_after_a_reload_without_server_or_proxy(
    browser, recognizer, pictures, tmp_path
):
    """Behind a proxy that takes a prefix off all works; without the server, and without the proxy, it loads again."""
    page, complaints = browser.new_page(), []
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answers = {}

    def read(name: str) -> None:
        page.wait_for_selector("html[data-ready]")
        give(page, "drop", {name: pictures["cut"]})
        answers[name] = shown(page, name)

    with serving() as server, nginx(tmp_path, server.port) as url:
        page.goto(url)
        page.wait_for_selector("html[data-stored]")
        read("with the server")
        threads = page.get_attribute("html", "data-ready")
        page.check("#remote")
        read("by the server")
        loud, complaints = list(complaints), []
        server.stop()
        page.reload()
        read("the proxy alone")
    page.reload()
    read("nobody there")
    samples = page.locator("#samples img").count()
    isolated = page.get_attribute("html", "data-ready")
    page.close()

    assert loud == []
    assert differ(answers["with the server"], expected(recognizer, pictures["cut"])) < CLOSE
    assert differ(answers["by the server"], answers["with the server"]) < CLOSE
    assert np.array_equal(answers["the proxy alone"], answers["with the server"])
    assert np.array_equal(answers["nobody there"], answers["with the server"])
    assert samples == 15
    assert isolated == threads


@pytest.mark.slow
def test_the_stored_page_follows_the_server(browser):
    """When what the server gives changes, the stored page is replaced as a whole, and nothing of before stays."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    stores, most = "caches.keys()", "fetch('v1/model').then((r) => r.json()).then((m) => m.max_body_bytes)"
    with serving("--max-bytes", "400000") as server:
        page.goto(server.url)
        page.wait_for_selector("html[data-stored]")
        before = page.evaluate(stores)
    with serving("--max-bytes", "500000", "--port", str(server.port)):
        page.reload()
        online = page.evaluate(most)
        soon(lambda: len(now := page.evaluate(stores)) == 1 and now != before)
    page.reload()
    offline = page.evaluate(most)
    page.close()

    assert len(before) == 1
    assert (online, offline) == (500_000, 500_000)


@pytest.mark.slow
def test_an_explanation_is_pythons(engine, recognizer):
    """Where the network looked is the map that `Recognizer.explain` gives."""
    face = recognizer.predict((SAMPLES / "happy-1.png").read_bytes())[0]
    got = engine.evaluate("async (data) => [...await engine.explain(bytes(data))]", text(face.crop.tobytes()))

    assert np.abs(np.array(got).reshape(48, 48) - recognizer.explain(face)).max() < 1e-5


def test_the_camera_is_read_frame_by_frame(tab):
    """A camera's face is boxed, named and drawn into a timeline until the camera is stopped."""
    tab.focus("#camera")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#people li b:text-matches('happy|surprise')")
    focused = tab.evaluate("document.activeElement.id")
    tab.wait_for_selector("#stage .box", state="attached")
    tab.wait_for_selector("#shares:not(:empty)")
    box = tab.evaluate(
        "(r => [r.x, r.y, r.width, r.height].map(v => v.baseVal.value))(document.querySelector('#stage .box rect'))"
    )
    inked = tab.evaluate(
        """(canvas => canvas.getContext("2d").getImageData(canvas.width - 40, 0, 40, canvas.height).data.some((v) => v))
        (document.getElementById("timeline"))"""
    )
    named = tab.locator("#stage .plate").first.text_content()
    drawn, video = tab.wait_for_function(  # in one turn, since each frame draws anew
        """() => document.querySelector("#stage svg") && ["#stage svg", "#video"].map((place) => {
            const box = document.querySelector(place).getBoundingClientRect();
            return [box.x, box.y, box.width, box.height];
        })"""
    ).json_value()
    shares, label = tab.inner_text("#shares"), tab.get_attribute("#timeline", "aria-label")
    stops = tab.get_by_role("button", name="Stop the camera").count(), tab.is_visible("#camera")
    axe = serious(tab)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#live", state="hidden")

    assert focused == "stop"
    assert stops == (1, False)
    assert drawn == pytest.approx(video, abs=1)
    assert re.fullmatch(r"(happy|surprise) \d+%|uncertain", named)
    assert 60 < box[2] < 200 and 60 < box[3] < 224 and 120 <= box[1] <= 250  # in the rendered face
    assert inked
    assert re.match(r"Of this time: \w+ \d", shares) and label.endswith(shares[14:-1])
    assert axe == []
    assert tab.evaluate("document.getElementById('video').srcObject") is None
    assert tab.evaluate("document.activeElement.id") == "camera"


def test_people_are_told_before_a_camera_starts(unknowing):
    """With a notice no camera is asked for until somebody has read it and says so; "Not now" leaves all as it was."""
    page, tell = unknowing
    notice = "A model classifies your expression here.\nAsk at the desk. <b>Nothing is kept.</b>"
    tell(notice=notice)
    page.wait_for_selector("html[data-ready]")
    page.evaluate("""() => { window.asked = 0;
        const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
        media.getUserMedia = (...wish) => { window.asked += 1; return ask(...wish); }; }""")

    page.click("#camera")
    shown = page.text_content("#notice-text")
    axe = serious(page)
    page.get_by_role("button", name="Not now").click()
    page.wait_for_selector("#notice", state="hidden")
    declined = (
        page.evaluate("window.asked"),
        page.is_visible("#live"),
        page.evaluate("document.activeElement.id"),
    )
    page.click("#camera")
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_selector("#live:visible")

    assert notice == shown
    assert (0, False, "camera") == declined
    assert 1 == page.evaluate("window.asked")
    assert [] == axe


@pytest.mark.slow
def test_a_camera_that_is_begun_anew_shows_nothing_of_before(tab):
    """Boxes, faces, rate and shares of the last use are gone when the camera starts again, before its first frame."""
    tab.click("#camera")
    tab.wait_for_selector("#people li")
    tab.wait_for_selector("#shares:not(:empty)")
    tab.click("#stop")
    tab.evaluate(
        "navigator.mediaDevices.getUserMedia = async () => document.createElement('canvas').captureStream(0)"
    )
    tab.click("#camera")
    tab.wait_for_selector("#live:not([hidden])")
    left = [tab.locator(place).count() for place in ("#people li", "#stage svg")]
    words = [tab.inner_text(place) for place in ("#rate", "#shares")]
    tab.click("#stop")

    assert left == [0, 0]
    assert words == ["Starting the camera…", ""]


@pytest.mark.slow
def test_faces_are_followed_as_in_python(engine, recognizer, clip):
    """People, boxes and steady answers over frames are those of the room `video`, with the same looks."""
    follow, steady = (pytest.importorskip(f"mien.video.{name}") for name in ("follow", "steady"))
    frames = frames_of(clip)
    frames[5] = np.roll(frames[5], 200, 1)  # all is elsewhere, as after a cut: another person
    frames[8][:] = 110  # nobody is seen for a moment
    seconds = [
        *(0.1 * number for number in range(9)),
        1.3,
        1.4,
        1.5,
    ]  # so the next full look comes after a gap
    got = engine.evaluate(
        """async ([frames, seconds]) => {
          const all = [];
          await engine.forget();
          for (const [i, frame] of frames.entries()) {
            const bitmap = await createImageBitmap(new Blob([bytes(frame)]));
            all.push((await engine.follow(bitmap, seconds[i])).faces);
          }
          return all.map((faces) => faces.map((face) => ({ ...face, crop: [...face.crop] })));
        }""",
        [[text(encoded(frame)) for frame in frames], seconds],
    )
    follower, by_person = follow.Follower(long_side=320), {}
    for frame, now, faces in zip(frames, seconds, got, strict=True):
        people = follower.step(frame, now)
        assert [face["person"] for face in faces] == [person for person, _ in people]
        for (person, face), found in zip(people, faces, strict=True):
            crop = align(frame, face, recognizer.model.side)
            smooth = by_person.setdefault(person, steady.Steady(recognizer.model.threshold))
            shares, label = smooth.add(now, recognizer.model.probabilities(crop[None])[0].astype(float))
            assert np.abs(np.array(found["box"]) - face.box).max() < 0.01
            assert differ(np.array(found["crop"]).reshape(48, 48), crop.astype(int)) <= 1
            assert differ(np.array(found["probabilities"]), shares) < CLOSE
            assert found["chosen"] == label
    assert list(by_person) == [1, 2, 3]
    assert [len(faces) for faces in got] == [1] * 8 + [0] + [1] * 3


def frames_of(film: Path) -> list[np.ndarray]:
    """The frames of a motion JPEG, RGB."""
    data = film.read_bytes()
    starts = [found.start() for found in re.finditer(b"\xff\xd8\xff\xe0", data)]
    return [
        np.array(Image.open(io.BytesIO(data[a:b]))) for a, b in zip(starts, [*starts[1:], None], strict=True)
    ]


@pytest.mark.slow
def test_a_camera_that_is_denied_is_told_in_words(tab):
    """Where the camera is not allowed, missing or taken, the page says what to do and goes on."""
    told = {}
    for name in ("NotAllowedError", "NotFoundError", "NotReadableError"):
        tab.evaluate(
            "name => navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', name))",
            name,
        )
        tab.click("#camera")
        tab.wait_for_selector("#camera:not([disabled])")
        told[name] = tab.inner_text("#state")

    assert [words.split()[2] for words in told.values()] == ["is", "was", "does"]
    assert "Allow it in the browser" in told["NotAllowedError"]
    assert tab.is_hidden("#live")


@pytest.mark.parametrize(
    "width, scheme",
    [
        (390, "dark"),
        *(
            pytest.param(*look, marks=pytest.mark.slow)
            for look in ((320, "light"), (1280, "light"), (1280, "dark"))
        ),
    ],
)
def test_nothing_keeps_people_from_using_it(tab, pictures, width, scheme):
    """At any width, light and dark: axe-core finds nothing serious, nothing overflows, the keyboard reaches all."""
    tab.set_viewport_size({"width": width, "height": 844})
    tab.emulate_media(color_scheme=scheme)
    give(tab, "drop", {"call": pictures["call"], "notes.txt": b"no picture"})
    tab.get_by_role("button", name="Explain").first.click()
    tab.locator(".explanation:visible").wait_for()
    tab.click("summary")
    overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    found = serious(tab)
    tab.focus("#camera")
    tab.keyboard.press("Tab")
    reached = tab.evaluate("document.activeElement.closest('#samples') !== null")
    tab.focus("#photos li:first-child .titled button:last-child")
    tab.keyboard.press("Enter")

    assert found == []
    assert overflow <= 0
    assert reached
    assert tab.evaluate("document.activeElement.textContent") == "Remove"  # of the picture that is left
    assert tab.locator("#photos > li").count() == 1


@pytest.mark.slow
def test_the_card_is_shown_and_runs_nothing(tab, recognizer):
    """The model's card stands in the page, below a heading of the page itself."""
    tab.click("summary")

    assert "FER2013" in tab.inner_text("#card-text")
    assert tab.locator("#card-text script, #card-text [style]").count() == 0
    assert f"{round(100 * recognizer.model.threshold)}" in tab.inner_text("#threshold")


def test_the_page_has_the_houses_colors():
    """The page's colors are those of the reports, light and dark."""
    style = (PAGE / "style.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w+);", colors)) for colors in css_variables().values())
    given = [dict(re.findall(r"--(\w+): (#\w+);", part)) for part in style.split("}")[:2]]

    assert given[0].items() <= light.items() and given[1].items() <= dark.items()
    assert given[0].keys() == given[1].keys()


def test_vendored_files_are_the_recorded_ones():
    """The engine's files are those whose sha256 stand beside them."""
    told = (PAGE / "vendor" / "README.txt").read_text()
    recorded = dict(re.findall(r"^  (\S+)\n    [\d,]+ bytes, sha256 (\w+)$", told, re.MULTILINE))
    recorded = {name: digest for name, digest in recorded.items() if (PAGE / "vendor" / name).exists()
                or (PAGE / "vendor" / f"{name}.gz").exists()}  # fmt: skip
    there = {}
    for path in (PAGE / "vendor").iterdir():
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        there[path.name.removesuffix(".gz")] = hashlib.sha256(data).hexdigest()
    del there["README.txt"]

    assert there == recorded
