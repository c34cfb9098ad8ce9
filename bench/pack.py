"""Seconds and memory to pack FER2013: python bench/pack.py FER2013_TAR_GZ [--rounds 3].

A whole process each time, beside the plain decompression of the archive in the same run.
Aims: at most 10 s and 1 GiB.
"""

import argparse
import gzip
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def pack_seconds(archive: Path) -> float:
    """Return seconds of one `mien pack` from start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "mien", "pack", str(archive), f"{folder}/faces"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def gzip_seconds(archive: Path) -> float:
    """Return seconds to decompress the archive and throw the bytes away."""
    began = time.perf_counter()
    with gzip.open(archive) as file:
        while file.read(1 << 20):
            pass
    return time.perf_counter() - began


def main() -> None:
    """Print the medians, their ratio and the peak memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, nargs="?", default=os.environ.get("MIEN_FER2013"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not options.archive:
        sys.exit("bench/pack.py needs the path of fer2013.tar.gz, as argument or in MIEN_FER2013")
    archive = Path(options.archive)
    pairs = [(pack_seconds(archive), gzip_seconds(archive)) for _ in range(options.rounds)]
    packing, unzipping = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"pack {packing:.1f} s, gzip alone {unzipping:.1f} s, ratio {packing / unzipping:.1f}, peak {memory:.0f} MiB"
    )


if __name__ == "__main__":
    main()
