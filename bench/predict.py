"""What `mien predict` costs on one core: python bench/predict.py [--photos 40] [--megapixels 12] [--out FILE.csv].

A table of figures beside their aims: milliseconds a crop, in batches of 32 and alone, each read with its mirror picture
as `pocket` ships; milliseconds to find the faces of a photo; a folder of photos read by `predict_many`, beside bare
decoding of the same files taken in turn; memory after a tenth of them and after all; seconds from the start of a
process to a table, and of `import mien`. The package `fer` reads the same crops where it is installed.

The process is pinned to one core, with one thread a call. Its processor time counts, the least of some rounds, so that
a busy machine changes little; starting processes goes by the clock, too. Ratios travel between machines.
The photos are made here: faces that scikit-image ships, in a photograph of it, 12 megapixels as cameras make them.
Eight differ, the others are links to these: `--photos 10000` needs no more room on the disk.
"""

import argparse
import csv
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from PIL import Image

from mien import Recognizer
from mien.faces import Finder
from mien.model import BATCH
from mien.pictures import decode, read_file

CROPS, SIDE = 256, 48
LONG_SIDES = {416: "25", 640: ""}
DIFFERENT = 8  # photos
FACES = 3  # in each
ASPECT = 4 / 3


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of the table."""

    what: str
    value: float
    unit: str
    aim: str = ""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=40, help="in the folder, 10 or more")
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a CSV of the figures")
    options = parser.parse_args()
    if options.photos < 10 or options.rounds < 1:
        parser.error("--photos must be 10 or more, --rounds 1 or more")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        photos = folder_of_photos(Path(folder), options.photos, options.megapixels)
        for measured in (
            of_crops(options.rounds),
            of_finding(photos[0], options.rounds),
            of_folder(photos),
            of_starting(photos[0], options.rounds),
        ):
            for line in measured:
                lines.append(line)
                print(f"{line.what:<58}{line.value:10.2f} {line.unit:<8}{line.aim}", flush=True)
    if options.out:
        with open(options.out, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("figure", "value", "unit", "aim"))
            table.writerows((x.what, f"{x.value:.3f}", x.unit, x.aim) for x in lines)


def least(work: Callable[[], object], rounds: int) -> float:
    """Return the least processor milliseconds of some rounds, after one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return 1000 * min(times)


def of_crops(rounds: int) -> Iterator[Line]:
    """Yield what reading faces costs that are cut out already."""
    model = Recognizer(threads=1).model
    crops = np.random.default_rng(0).integers(0, 256, (CROPS, SIDE, SIDE), np.uint8)
    batches = least(lambda: model.probabilities(crops), rounds) / CROPS
    yield Line(f"a crop, in batches of {BATCH}", batches, "ms", "at most 1.3")
    some = crops[:32]
    alone = least(lambda: [model.probabilities(crop[None]) for crop in some], rounds) / len(some)
    yield Line("a crop alone", alone, "ms", "at most 2.5")
    if importlib.util.find_spec("fer") is None or importlib.util.find_spec("tensorflow") is None:
        print("the package fer is not installed here, so it is left out", file=sys.stderr)
        return
    from package_fer import probabilities

    probabilities(some)
    yield Line("a crop alone, the package fer (by the clock)", probabilities(crops)[1], "ms")


def of_finding(path: Path, rounds: int) -> Iterator[Line]:
    """Yield what finding the faces of a photo costs, once it is decoded."""
    pixels, finder = decode(read_file(path), color=True).pixels, Finder(threads=1)
    for long_side, aim in LONG_SIDES.items():
        fitting = np.asarray(Image.fromarray(pixels).resize((long_side, round(long_side / ASPECT))))
        milliseconds = least(lambda side=long_side, seen=fitting: finder.find(seen, long_side=side), rounds)
        yield Line(f"finding faces, {long_side} pixels", milliseconds, "ms", aim and f"at most {aim}")
    large = least(lambda: finder.find(pixels, long_side=416), rounds)
    yield Line(f"the same, {pixels.shape[1]} pixels shrunk to 416", large, "ms")


def of_folder(photos: list[Path]) -> Iterator[Line]:
    """Yield what a folder costs, against decoding alone, and the memory on the way.

    Every fourth photo is decoded once more on the way, so that both see the same machine; that time is taken out again.
    """
    recognizer, bare = Recognizer(threads=1), []

    def paths() -> Iterator[Path]:
        for number, path in enumerate(photos):
            if number % 4 == 0:
                began = time.thread_time()
                decode(read_file(path), color=True)
                bare.append(time.thread_time() - began)
            yield path

    began, faces, early = time.process_time(), 0, 0.0
    for number, found in enumerate(recognizer.predict_many(paths()), start=1):
        faces += len(found)
        if number == len(photos) // 10:
            early = resident()
    whole = 1000 * (time.process_time() - began - sum(bare)) / len(photos)
    decoding = 1000 * sum(bare) / len(bare)
    each = f"{faces / len(photos):.1f} faces each found and read"
    yield Line(f"of {len(photos):,} photos one, decoded alone", decoding, "ms")
    yield Line(f"the same, {each}", whole, "ms")
    yield Line("the same against decoding alone", whole / decoding, "times")
    yield Line("memory after a tenth of the photos", early, "MB")
    yield Line("memory after all of them", resident(), "MB", "flat")
    yield Line("memory at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


def resident() -> float:
    """Return the megabytes that the process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def of_starting(photo: Path, rounds: int) -> Iterator[Line]:
    """Yield how long a user waits, by the clock; the processes have the same core."""
    python = [sys.executable, "-c"]
    small = photo.with_name("small.jpg")
    with Image.open(photo) as image:
        image.resize((1280, round(1280 / ASPECT))).save(small, quality=92)
    commands = {
        "import mien": ([*python, "import mien"], "at most 0.3"),
        "process start to table, 1.2 megapixels": (
            [sys.executable, "-m", "mien", "predict", small],
            "at most 2",
        ),
        "process start to table, the photo above": (
            [sys.executable, "-m", "mien", "predict", photo],
            "at most 2",
        ),
    }
    for what, (command, aim) in commands.items():
        waited, worked = zip(*(whole_process(command) for _ in range(rounds)), strict=True)
        yield Line(what, min(waited), "s", aim)
        yield Line("  processor time of it", min(worked), "s")


def whole_process(command: list) -> tuple[float, float]:
    """Return how long a command takes by the clock and in processor time, in seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def folder_of_photos(folder: Path, count: int, megapixels: float) -> list[Path]:
    """Write photos with several faces and return their paths; all but the first few are links."""
    skimage = Path(importlib.util.find_spec("skimage").submodule_search_locations[0]) / "data"
    portrait, behind = (Image.open(skimage / name).convert("RGB") for name in ("astronaut.png", "coffee.png"))
    portrait = portrait.crop((130, 20, 330, 220))  # head and shoulders
    height = round((megapixels * 1e6 / ASPECT) ** 0.5)
    width = round(height * ASPECT)
    behind = behind.resize((width, height))
    paths = []
    for number in range(min(count, DIFFERENT)):
        rng, picture = np.random.default_rng(number), behind.copy()
        for place in range(FACES):
            side = round(height * rng.uniform(0.2, 0.32))
            left = round((place + rng.uniform(0, 0.04)) * width / FACES)
            picture.paste(portrait.resize((side, side)), (left, round(rng.uniform(0, height - side))))
        noise = Image.effect_noise(picture.size, 12).convert(
            "RGB"
        )  # as fine as a camera's: it must be decoded, too
        paths.append(folder / f"photo{number}.jpg")
        Image.blend(picture, noise, 0.08).save(paths[-1], quality=90)
    for number in range(DIFFERENT, count):
        paths.append(folder / f"photo{number}.jpg")
        os.link(paths[number % DIFFERENT], paths[-1])
    return paths


if __name__ == "__main__":
    main()
