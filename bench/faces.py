"""Milliseconds to find the faces in a photo on one core: python bench/faces.py [PHOTO] [--rounds 20].

Each long side stands beside the bare run of the network on pixels of the same size, in the same
process, taken in turn; medians count. Ratios travel between machines; milliseconds do not. In a
photo without a face the close look is in the time too. Without PHOTO it is scikit-image's
"astronaut" at 1600 x 1600 pixels, with one face.
"""

import argparse
import importlib.util
import os
import statistics
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from PIL import Image

from mien.faces import Finder, align
from mien.faces.finder import open_session, view

LONG_SIDES = (320, 416, 640)
CROP_SIDE = 48


def milliseconds(function, *arguments, **options) -> float:
    began = time.perf_counter()
    function(*arguments, **options)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    picture = photo(options.photo)
    finder, session = Finder(), open_session()
    print(f"{picture.shape[1]} x {picture.shape[0]} pixels")
    for long_side in LONG_SIDES:
        pixels = view(picture, min(long_side, max(picture.shape[:2]))).pixels
        faces = finder.find(picture, long_side=long_side)
        session.run(None, {"input.1": pixels})
        pairs = [
            (
                milliseconds(finder.find, picture, long_side=long_side),
                milliseconds(session.run, None, {"input.1": pixels}),
            )
            for _ in range(options.rounds)
        ]
        whole, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(
            f"long side {long_side}: find {whole:5.1f} ms, network alone {bare:5.1f} ms, "
            f"ratio {whole / bare:.2f}, {len(faces)} faces"
        )
    if faces:
        times = [milliseconds(align, picture, faces[0], CROP_SIDE) for _ in range(options.rounds)]
        print(f"align to {CROP_SIDE} x {CROP_SIDE}: {statistics.median(times):.1f} ms a face")


def photo(path: Path | None) -> np.ndarray:
    if path is not None:
        return np.array(Image.open(path).convert("RGB"))
    folder = Path(importlib.util.find_spec("skimage").submodule_search_locations[0])
    return np.array(Image.open(folder / "data" / "astronaut.png").convert("RGB").resize((1600, 1600)))


if __name__ == "__main__":
    main()
