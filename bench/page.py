"""How fast the page of `mien serve` is in Chromium on this machine: python bench/page.py [--seconds 10].

A fake camera plays rendered faces, 640 x 480 at 30 frames a second: one that changes from happy to surprised, then
two. A frame counts when its boxes, bars and timeline are drawn. Beside it: from opening the page until it is ready, and
until a photo of 2 megapixels is read. Chromium draws without a GPU here, on the same cores.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
from conftest import chromium
from PIL import Image
from playwright.sync_api import sync_playwright
from serving import SAMPLES, serving

from mien.render.clips import render_clip

WARM_SECONDS = 3
PLACES = ((60, 140), (380, 160))  # left and top of the faces in a frame
PATIENCE_MS = 120_000


def film(folder: Path, faces: int) -> Path:
    """Write what a camera sees, a motion JPEG with so many faces that change and move."""
    clips = []
    for number in range(faces):
        clip = folder / f"{faces}-{number}"
        render_clip(
            clip, "change", label="happy", second="surprise", seconds=2, rate=12, side=200, seed=3 + number
        )
        clips.append([np.array(Image.open(path)) for path in sorted((clip / "frames").iterdir())])
    path = folder / f"{faces}.mjpeg"
    with path.open("wb") as file:
        for number in range(len(clips[0])):
            frame = np.full((480, 640), 110, np.uint8)
            for clip, (left, top) in zip(clips, PLACES, strict=False):
                left += round(20 * np.sin(number / 4))
                frame[top : top + 200, left : left + 200] = clip[number]
            Image.fromarray(frame).convert("RGB").save(file, "JPEG", quality=90)
    return path


def opened(browser, url: str):
    """Return the page, ready, and the seconds that took."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.set_default_timeout(PATIENCE_MS)
    started = time.perf_counter()
    tab.goto(url)
    tab.wait_for_selector("html[data-ready]")
    return tab, time.perf_counter() - started


def camera_rate(driver, url: str, clip: Path, seconds: float) -> float:
    """Return the frames a second that are read and drawn."""
    fakes = ("device-for-media-stream", "ui-for-media-stream")
    more = [*(f"--use-fake-{name}" for name in fakes), f"--use-file-for-fake-video-capture={clip}"]
    browser = chromium(driver, *more)
    tab, _ = opened(browser, url)
    tab.click("#camera")
    tab.wait_for_selector("#stage[data-frames]")
    time.sleep(WARM_SECONDS)
    before, started = int(tab.get_attribute("#stage", "data-frames")), time.perf_counter()
    time.sleep(seconds)
    after, taken = int(tab.get_attribute("#stage", "data-frames")), time.perf_counter() - started
    browser.close()
    return (after - before) / taken


def photo_seconds(tab) -> list[float]:
    """Return how long a photo takes from the choice until its faces are shown, three times."""
    data = io.BytesIO()
    Image.open(SAMPLES / "call.png").convert("RGB").resize((1732, 1155)).save(data, "JPEG")
    taken = []
    for number in range(3):
        started = time.perf_counter()
        tab.set_input_files(
            "#files", [{"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": data.getvalue()}]
        )
        tab.locator("#photos > li[data-done=classified]").nth(number).wait_for()
        taken.append(time.perf_counter() - started)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="that a camera is measured")
    given = parser.parse_args()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, serving() as server, sync_playwright() as driver:
        browser = chromium(driver)
        tab, ready = opened(browser, server.url)
        print(
            f"{cores} cores, load {load:.1f} before, {tab.get_attribute('html', 'data-ready')} thread(s) of wasm"
        )
        print(f"ready {ready:.2f} s after opening, nothing cached")
        print(f"a photo of 2 megapixels with six faces: {min(photo_seconds(tab)):.2f} s")
        browser.close()
        for faces in (1, 2):
            rate = camera_rate(driver, server.url, film(Path(folder), faces), given.seconds)
            print(f"camera, {faces} face{'s' if faces > 1 else ''}: {rate:.1f} frames a second")


if __name__ == "__main__":
    main()
