"""mien beside other packages for browsers, on the same crops in Chromium: bench/browser.py DATASET PACKAGES OUT.

    npm install --prefix PACKAGES @vladmandic/face-api@1.7.15 @vladmandic/human@3.3.6 \\
      @tensorflow/tfjs-backend-wasm@4.22.0 onnxruntime-web@1.30.0

Each recognizer classifies the crops of val (with --test of test, which is recorded) one at a time, on WebAssembly in
one thread; detection is no part of it. They take turns, a chunk of faces each, so that a busy machine is busy for all.
OUT gets a table of predictions each, for `mien judge`, and browser.csv: accuracy with its interval on all faces and on
the clean ones, and the median milliseconds a face, also as a multiple of the first one's. With --gpu mien's network on
WebGPU takes part, where Chromium has an adapter.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
from conftest import CHROMIUM
from playwright.sync_api import Page, sync_playwright
from serving import hosting

from mien.dataset import Faces, read_dataset
from mien.evaluate import record_opening
from mien.files import make_folder, write_csv
from mien.judge import judge
from mien.labels import LABELS
from mien.model import read_model
from mien.predictions import Predictions, write_predictions

NAMES = ("pocket-photos", "pocket", "face-api", "human")
GPU = "pocket-photos, WebGPU"
CHUNK = 32  # faces
WARM_CHUNKS = 1  # that are not timed
HEAD = ("recognizer", "part", "faces", "score", "point", "low", "high")
CLASSIFY = "async (given) => (await import('/browser.js')).classify(...given)"
PATIENCE_MS = 300_000


def write_host(root: Path, packages: Path, faces: Faces) -> None:
    """Write what the page needs: mien's packages, the others', the crops."""
    scripts = Path(__file__).parent.parent / "scripts"
    sys.path.insert(0, str(scripts))
    from importlib.machinery import SourceFileLoader

    script = SourceFileLoader("npm_package", str(scripts / "npm-package")).load_module()
    for name in ("pocket", "pocket-photos"):
        script.write_package(root / f"mien-{name}", read_model(name, threads=1))
    (root / "node_modules").symlink_to((packages / "node_modules").resolve())
    (root / "browser.js").symlink_to(Path(__file__).with_suffix(".js").resolve())
    (root / "index.html").write_text("<!DOCTYPE html><title>bench</title>")
    (root / "faces.bin").write_bytes(faces.images.tobytes())


def in_turns(
    page: Page, names: tuple[str, ...], count: int
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Return the probabilities (faces, classes) and the milliseconds a face of each chunk, by recognizer."""
    rows: dict[str, list] = {name: [] for name in names}
    milliseconds: dict[str, list[float]] = {name: [] for name in names}
    for first in range(0, count, CHUNK):
        last = min(count, first + CHUNK)
        for name in names:
            chunk, taken = page.evaluate(
                "async (given) => (await import('/browser.js')).classify(...given)", [name, first, last]
            )
            rows[name] += chunk
            milliseconds[name].append(taken / (last - first))
        print(f"\r{last:,} of {count:,}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: np.array(chunk, np.float64) for name, chunk in rows.items()}, milliseconds


def measure(root: Path, names: tuple[str, ...], count: int, gpu: bool):
    """Return what `in_turns` returns of a Chromium at work on a host's folder."""
    more = ["--enable-unsafe-webgpu"] if gpu else []
    with hosting(root) as (url, _), sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-first-run", *more]
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(url)
        for name in names:
            page.evaluate("async (name) => (await import('/browser.js')).load(name)", name)
        if gpu:
            adapter = (
                "navigator.gpu.requestAdapter().then(({ info }) => `${info.vendor} ${info.architecture}`)"
            )
            print(f"WebGPU: {page.evaluate(adapter)}")
        result = in_turns(page, names, count)
        browser.close()
    return result


def rows(name: str, table: Predictions, milliseconds: list[float], unit: float) -> list[tuple]:
    """Return the rows of one recognizer."""
    lines = []
    for part, faces in (("all", table), ("clean", table.only(table.clean))):
        interval = judge([faces]).scores["accuracy"]
        lines.append((name, part, len(faces), "accuracy", interval.point, interval.low, interval.high))
    median = float(np.median(milliseconds[WARM_CHUNKS:]))
    low, high = np.quantile(milliseconds[WARM_CHUNKS:], [0.1, 0.9])
    lines.append((name, "all", len(table), "ms_a_face", median, low, high))
    return [*lines, (name, "all", len(table), "times_as_long", median / unit, None, None)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("packages", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--faces", type=int, help="the first so many faces alone")
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    make_folder(given.out)
    dataset = read_dataset(given.dataset)
    if given.test:
        record_opening(
            given.out / "openings.jsonl", dataset.info.fingerprint, graph_sha256="browser packages"
        )
    split, faces = ("test", dataset.open_test()) if given.test else ("val", dataset.development().val)
    count = min(len(faces), given.faces or len(faces))
    names = (*NAMES, GPU) if given.gpu else NAMES
    with tempfile.TemporaryDirectory() as folder:
        write_host(Path(folder), given.packages, faces)
        probabilities, milliseconds = measure(Path(folder), names, count, given.gpu)
    unit = float(np.median(milliseconds[names[0]][WARM_CHUNKS:]))
    lines = []
    for name in names:
        probs = probabilities[name] / probabilities[name].sum(1, keepdims=True)
        marks = [each[:count] for each in (faces.ids, faces.labels, np.full(len(faces), split))]
        table = Predictions(LABELS, *marks, probs, faces.groups[:count], faces.clean[:count])
        write_predictions(given.out / f"{name}.csv", table)
        lines += rows(name, table, milliseconds[name], unit)
    write_csv(given.out / "browser.csv", HEAD, lines)
    print((given.out / "browser.csv").read_text())


if __name__ == "__main__":
    main()
