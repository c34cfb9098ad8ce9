"""Seconds and memory to audit a data set: python bench/audit.py DATASET [--rounds 3].

A whole process each time. Beside it, in the same run, the bare matrix products that comparing
every face with every other takes, in tiles and threads as the audit does them. Aims for FER2013
on two cores: at most 60 s and 1 GiB.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mien.audit.candidates import OTHERS, ROWS, TILE
from mien.audit.descriptors import Describer
from mien.audit.near import moves
from mien.audit.pictures import HALF
from mien.dataset import read_dataset
from mien.workers import spread

AUDIT = "import sys; from mien.audit import audit; audit(sys.argv[1], sys.argv[2])"


def audit_seconds(dataset: Path) -> float:
    """Return seconds of one audit from start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", AUDIT, str(dataset), f"{folder}/audit"], check=True)
        return time.perf_counter() - began


def product_seconds(faces: int) -> float:
    """Return seconds of the products alone: half of all pairs, under each move, both parts."""
    described = Describer()(np.ones((TILE, HALF, HALF), np.float32))
    parts = [np.ascontiguousarray(part.T) for part in (described.even, described.odd)]
    queries = [np.broadcast_to(part.T, (ROWS // TILE, 1, TILE, len(part))).copy() for part in parts]
    targets = [np.broadcast_to(part, (1, OTHERS // TILE, len(part), TILE)).copy() for part in parts]
    blocks = round(len(moves()) * faces**2 / 2 / (ROWS * OTHERS))

    def work(number: int) -> None:
        room = np.empty((ROWS // TILE, OTHERS // TILE, TILE, TILE), np.float32)
        for _ in range(100):
            for query, target in zip(queries, targets, strict=True):
                np.matmul(query, target, out=room)

    began = time.perf_counter()
    for _ in spread(work, range(-(-blocks // 100))):
        pass
    return time.perf_counter() - began


def main() -> None:
    """Print the medians, their ratio and the peak memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    info = read_dataset(options.dataset).info
    faces = sum(info.count(split) for split in info.counts)
    pairs = [(audit_seconds(options.dataset), product_seconds(faces)) for _ in range(options.rounds)]
    auditing, products = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"audit of {faces:,} faces {auditing:.1f} s, its products alone {products:.1f} s, "
        f"ratio {auditing / products:.1f}, peak {memory:.0f} MiB"
    )


if __name__ == "__main__":
    main()
