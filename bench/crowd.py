"""How many faces of crowds are found: python bench/crowd.py DATASET [--pictures 4] [--out FILE.csv].

Pictures of 1,920 x 1,080 pixels hold 10 to 400 faces, each 28 to 40 pixels wide: crops of the data set's train faces,
pasted into photographs without a face as `bench/predict_path.py` pastes them, on a grid with some jitter. Counted is
what `Finder.find` finds where a face was pasted, what it finds elsewhere, and processor seconds; beside it the same
without the search for small faces. Then photographs without a face, as wide as 1,920 and 4,000 pixels: what is found
in them, and what the search costs there.

What it does not show: crops end at chin and forehead, and heads in photographs are easier to find.
"""

import argparse
import csv
import math
import os
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import predict_path
from PIL import Image
from predict_path import BACKGROUNDS, background, photo, surrounded

from mien.dataset import read_dataset
from mien.faces import Face, Finder

WIDTH, HEIGHT = 1920, 1080
SIDES = (28, 40)  # pixels of a crop
FACES = (10, 30, 100, 200, 400)
PLAIN_WIDTHS = (1920, 4000)


def crowd(
    images: np.ndarray, number: int, behind: Image.Image, seed: int
) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """Return a picture uint8 (HEIGHT, WIDTH) and of each face x and y of its middle and its side."""
    rng = np.random.default_rng([seed, number])
    with patch.multiple(predict_path, WIDTH=WIDTH, HEIGHT=HEIGHT):
        picture = background(behind, rng).astype(np.float32)
    columns = math.ceil(math.sqrt(number * WIDTH / HEIGHT))
    rows, places = math.ceil(number / columns), []
    for place, face in enumerate(images[rng.permutation(len(images))[:number]]):
        side = rng.uniform(*SIDES)
        row, column = divmod(place, columns)
        x, y = (np.array([column, row]) + 0.5 + rng.uniform(-0.1, 0.1, 2)) * (WIDTH / columns, HEIGHT / rows)
        places.append(paste(picture, face, (x, y), side))
    return np.rint(picture).clip(0, 255).astype(np.uint8), places


def paste(
    picture: np.ndarray, face: np.ndarray, middle: tuple[float, float], side: float
) -> tuple[float, float, float]:
    """Blend a face uint8 (S, S) into a picture; return x and y of its middle and its side."""
    pixels, cover = surrounded(face)
    size = round(len(pixels) * side / len(face))
    pixels, cover = (
        np.asarray(Image.fromarray(layer).resize((size, size), Image.Resampling.BILINEAR))
        for layer in (pixels, cover)
    )
    left, top = (
        min(max(round(value - size / 2), 0), most - size)
        for value, most in zip(middle, (WIDTH, HEIGHT), strict=True)
    )
    region = picture[top : top + size, left : left + size]
    region[:] = cover * pixels + (1 - cover) * region
    return left + size / 2, top + size / 2, side


def counted(faces: list[Face], places: list[tuple[float, float, float]]) -> tuple[int, int]:
    """Return how many pasted faces were found, and how many faces that are none of them."""
    found, others = set(), 0
    for face in faces:
        middle = face.box[0] + face.box[2] / 2, face.box[1] + face.box[3] / 2
        here = {
            number
            for number, (x, y, side) in enumerate(places)
            if math.dist(middle, (x, y)) < side / 2 and 0.5 < max(face.box[2:]) / side < 2
        }
        found |= here
        others += not here
    return len(found), others


def whole_view_alone(finder, picture, side, seen, faces, threshold):
    """Stand for `Finder._with_small`, and add nothing."""
    return faces


def searched(picture: np.ndarray) -> list[tuple[list[Face], float]]:
    """Return the faces of a picture and the processor seconds, without the search for small ones and with it."""
    finder, results = Finder(), []
    finder.find(np.zeros((300, 300), np.uint8))
    for search in (whole_view_alone, Finder._with_small):
        with patch.object(Finder, "_with_small", search):
            began = time.process_time()
            results.append((finder.find(picture), time.process_time() - began))
    return results


def main() -> None:
    """Print a line a size of crowd, and one for pictures without a face."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--pictures", type=int, default=4, help="of each number of faces")
    parser.add_argument("--out", type=Path, help="a CSV of the figures")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    images = read_dataset(options.dataset).development().train.images
    photos = [photo(*place) for place in BACKGROUNDS]
    rows = []
    for number in FACES:
        totals = np.zeros((2, 3))
        for seed in range(options.pictures):
            picture, places = crowd(images, number, photos[(number + 3 * seed) % len(photos)], seed)
            totals += [[*counted(faces, places), seconds] for faces, seconds in searched(picture)]
        rows.append((f"{number} faces", number * options.pictures, *totals.ravel()))
        print(line(rows[-1]), flush=True)
    totals = np.zeros((2, 3))
    for behind in photos:
        for width in PLAIN_WIDTHS:
            large = behind.resize((width, round(width * behind.height / behind.width)))
            totals += [[0, len(faces), seconds] for faces, seconds in searched(np.asarray(large))]
    rows.append(("no face", 0, *totals.ravel()))
    print(line(rows[-1]))
    if options.out:
        write(options.out, rows)


def line(row: tuple) -> str:
    """Return a row in words."""
    what, faces, found, others, seconds, found_small, others_small, seconds_small = row
    return (
        f"{what}: of {faces} found {found:.0f} and {others:.0f} others in {seconds:.1f} s; with the search for small "
        f"faces {found_small:.0f} and {others_small:.0f} others in {seconds_small:.1f} s"
    )


def write(path: Path, rows: list[tuple]) -> None:
    """Write the figures."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        names = ("found", "others", "seconds")
        table.writerow(("pictures", "faces", *names, *(f"{name}_with_search" for name in names)))
        table.writerows((row[0], row[1], *(f"{value:.6g}" for value in row[2:])) for row in rows)


if __name__ == "__main__":
    main()
