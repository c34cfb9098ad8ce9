"""mien beside other packages for browsers, on the same crops in Chromium: bench/browser.py DATASET PACKAGES OUT.

    npm install --prefix PACKAGES @vladmandic/face-api@1.7.15 @vladmandic/human@3.3.6 \\
      @tensorflow/tfjs-backend-wasm@4.22.0 onnxruntime-web@1.30.0

Each recognizer classifies the crops of val (with --test of test, which is recorded) one at a time, on WebAssembly in
one thread; detection is no part of it. They take turns, a chunk of faces each, so that a busy machine is busy for all.
OUT gets a table of predictions each, for `mien judge`, and browser.csv: accuracy with its interval on all faces and on
the clean ones, and the median of Chromium's processor time a face, in ms, also as a multiple of the first one's. With
--gpu mien's network on WebGPU takes part, where Chromium has an adapter. With --relabel the same answers are judged by
other labels, too.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict, deque
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
from conftest import CHROMIUM
from playwright.sync_api import Page, sync_playwright
from serving import descendants, hosting

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
HEAD = ("recognizer", "labels", "part", "faces", "score", "point", "low", "high")
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


def processor_seconds() -> float:
    """Return the processor time that the processes below this one, Chromium's, have taken so far."""
    ticks = 0
    for process in descendants(os.getpid()):
        with suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def in_turns(
    page: Page, names: tuple[str, ...], count: int
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Return the probabilities (faces, classes) and the milliseconds a face of each chunk, by recognizer."""
    rows: dict[str, list] = {name: [] for name in names}
    milliseconds: dict[str, list[float]] = {name: [] for name in names}
    for first in range(0, count, CHUNK):
        last = min(count, first + CHUNK)
        for name in names:
            before = processor_seconds()
            rows[name] += page.evaluate(CLASSIFY, [name, first, last])
            milliseconds[name].append(1000 * (processor_seconds() - before) / (last - first))
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


def positions(faces: Faces, others: Faces) -> np.ndarray:
    """Return where the images of other faces stand among some, each place once."""
    places = defaultdict(deque)
    for place, image in enumerate(faces.images):
        places[image.tobytes()].append(place)
    return np.array([places[image.tobytes()].popleft() for image in others.images])


def table_of(faces: Faces, split: str, probabilities: np.ndarray) -> Predictions:
    """Return one recognizer's table of predictions on the first faces, as many as have probabilities."""
    count = len(probabilities)
    parts = [each[:count] for each in (faces.ids, faces.labels, np.full(len(faces), split))]
    shares = probabilities / probabilities.sum(1, keepdims=True)
    return Predictions(LABELS, *parts, shares, faces.groups[:count], faces.clean[:count])


def accuracies(name: str, labels: str, table: Predictions) -> list[tuple]:
    """Return the rows of one recognizer under one set of labels."""
    lines = []
    for part, faces in (("all", table), ("clean", table.only(table.clean))):
        interval = judge([faces]).scores["accuracy"]
        lines.append(
            (name, labels, part, len(faces), "accuracy", interval.point, interval.low, interval.high)
        )
    return lines


def times(name: str, faces: int, milliseconds: list[float], unit: float) -> list[tuple]:
    """Return the rows of one recognizer's median time, with the 10th and 90th of a hundred chunks beside it."""
    median, low, high = np.quantile(milliseconds[WARM_CHUNKS:], [0.5, 0.1, 0.9])
    row = (name, None, "all", faces, "cpu_ms_a_face", median, low, high)
    return [row, (name, None, "all", faces, "times_as_long", median / unit, None, None)]


def opened(folder: Path, test: bool, log: Path) -> tuple[str, Faces]:
    """Return val, or test after its opening is recorded."""
    dataset = read_dataset(folder)
    if not test:
        return "val", dataset.development().val
    record_opening(log, dataset.info.fingerprint, graph_sha256="packages for browsers")
    return "test", dataset.open_test()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("packages", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--test", action="store_true")
    parser.add_argument(
        "--relabel", type=Path, help="a data set of the same faces, or some, with other labels"
    )
    parser.add_argument("--faces", type=int, help="the first so many faces alone, under their own labels")
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    make_folder(given.out)
    log = given.out / "openings.jsonl"
    split, faces = opened(given.dataset, given.test, log)
    count = min(len(faces), given.faces or len(faces))
    names = (*NAMES, GPU) if given.gpu else NAMES
    with tempfile.TemporaryDirectory() as folder:
        write_host(Path(folder), given.packages, faces)
        probabilities, milliseconds = measure(Path(folder), names, count, given.gpu)
    lines = []
    others = opened(given.relabel, given.test, log)[1] if given.relabel else None
    for name in names:
        tables = {given.dataset.name: table_of(faces, split, probabilities[name])}
        if others is not None:
            tables[given.relabel.name] = table_of(
                others, split, probabilities[name][positions(faces, others)]
            )
        for labels, table in tables.items():
            write_predictions(given.out / f"{name}-{labels}.csv", table)
            lines += accuracies(name, labels, table)
        lines += times(
            name, count, milliseconds[name], float(np.median(milliseconds[NAMES[0]][WARM_CHUNKS:]))
        )
    write_csv(given.out / "browser.csv", HEAD, lines)
    print((given.out / "browser.csv").read_text())


if __name__ == "__main__":
    main()
