"""Seconds and memory to pack FER2013: python bench/pack.py FER2013_TAR_GZ [--rounds 3].

Twice: from the challenge's archive, and from a folder of 35,887 JPEG files made of it. A whole process each
time, beside the least that must be done in the same run: the archive's plain decompression; opening, decoding
and hashing each file with Pillow on one core. Aims: at most 10 s and 1 GiB; at most 40 s.
"""

import argparse
import gzip
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from mien.dataset import read_dataset

JPEG_QUALITY = 95


def pack_seconds(source: Path, target: Path) -> tuple[float, float]:
    """Return seconds and peak MiB of one `mien pack` from start to exit."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "mien", "pack", str(source), str(target)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"mien pack {source} failed")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def unzip(archive: Path) -> None:
    """Decompress the archive and throw the bytes away."""
    with gzip.open(archive) as file:
        while file.read(1 << 20):
            pass


def decode_all(folder: Path) -> None:
    """Open, hash and decode each picture below a folder."""
    for path in folder.rglob("*.jpg"):
        hashlib.sha256(path.read_bytes())
        with Image.open(path) as image:
            image.load()


def write_jpegs(dataset: Path, folder: Path) -> None:
    """Write a data set's faces as files in class folders."""
    whole = read_dataset(dataset).whole()
    columns = (whole.table[name] for name in ("split", "label", "id"))
    for image, split, label, identity in zip(whole.images, *columns, strict=True):
        place = folder / split / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{identity}.jpg", quality=JPEG_QUALITY)


def compare(name: str, source: Path, least: Callable[[Path], None], rounds: int) -> None:
    """Print medians of packing and of the least that must be done, their ratio and the peak memory."""
    packs, leasts, peaks = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = pack_seconds(source, Path(folder) / "faces")
        packs.append(seconds)
        peaks.append(peak)
        began = time.perf_counter()
        least(source)
        leasts.append(time.perf_counter() - began)
    packing, bare = statistics.median(packs), statistics.median(leasts)
    print(
        f"{name}: {packing:.1f} s, bare {bare:.1f} s, ratio {packing / bare:.1f}, peak {max(peaks):.0f} MiB"
    )


def main() -> None:
    """Print a line a source."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, nargs="?", default=os.environ.get("MIEN_FER2013"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not options.archive:
        sys.exit("bench/pack.py needs the path of fer2013.tar.gz, as argument or in MIEN_FER2013")
    archive = Path(options.archive)
    compare("archive", archive, unzip, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        pack_seconds(archive, Path(name) / "faces")
        write_jpegs(Path(name) / "faces", Path(name) / "jpegs")
        compare("folder of JPEG files", Path(name) / "jpegs", decode_all, options.rounds)


if __name__ == "__main__":
    main()
