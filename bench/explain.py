"""Whether `--explain` points to what counts: python bench/explain.py DATASET [--faces 500] [--sheet FILE.png].

Of val's faces, drawn at random, each is explained, and the fifth of its pixels that the map puts highest is hidden by
the face's mean grey; beside it a random fifth in blocks as large as the squares that the map was made with, and one of
single pixels. Printed is by how much each lowers the probability of the answer, with 95 % intervals over faces, and
the paired differences. --out keeps a row a face; --sheet shows the first 12 faces as `--explain` writes them.

It shows that the map tells what the answer depends on. It cannot show that the network looks where people would.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

from mien import Recognizer
from mien.dataset import read_dataset
from mien.predict.annotate import explained
from mien.predict.occlusion import ACROSS, most

HIDDEN = 0.2  # of the pixels
DRAWS = 10_000
KINDS = ("the places pointed to", "random places", "random pixels")


def falls(recognizer: Recognizer, image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, object]:
    """Return by how much each kind of hiding lowers the answer's probability, (3,), and the face that was read."""
    (face,) = recognizer.predict(image, crop=True)
    masks = (
        most(recognizer.explain(face), HIDDEN),
        blocks(image.shape, rng),
        most(rng.random(image.shape), HIDDEN),
    )
    grey = np.uint8(np.rint(image.mean()))
    hidden = recognizer.model.probabilities(np.stack([np.where(mask, grey, image) for mask in masks]))
    return face.confidence - hidden[:, recognizer.model.labels.index(face.best)], face


def blocks(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return squares at random places that cover as many pixels, bool (S, S); the last one in part."""
    side, order = shape[0], np.full(shape, np.inf)
    square = side // ACROSS
    for number in range(4 * ACROSS**2):
        top, left = rng.integers(-square + 1, side, 2)
        part = order[max(0, top) : top + square, max(0, left) : left + square]
        np.minimum(part, number, out=part)
    return most(-order, HIDDEN)


def interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval over faces."""
    means = values[rng.integers(len(values), size=(DRAWS, len(values)))].mean(1)
    return float(values.mean()), *np.quantile(means, (0.025, 0.975)).tolist()


def main() -> None:
    """Print a line a kind of hiding and a line a difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a CSV with a row a face")
    parser.add_argument("--sheet", type=Path, help="a PNG of the first 12 explanations")
    options = parser.parse_args()
    val = read_dataset(options.dataset).development().val
    rng = np.random.default_rng(options.seed)
    rows = np.sort(rng.permutation(len(val))[: options.faces])
    recognizer = Recognizer(options.model, threads=1)
    told, shown = [], []
    for row in rows:
        lowered, face = falls(recognizer, val.images[row], rng)
        told.append(lowered)
        if options.sheet and len(shown) < 12:
            shown.append(explained(face, recognizer.explain(face)))
    told = np.array(told)
    print(f"{len(told)} faces of val: how much hiding {HIDDEN:.0%} lowers the probability of the answer")
    for name, values in zip(KINDS, told.T, strict=True):
        print(f"{name}: {'{:.3f} [{:.3f}, {:.3f}]'.format(*interval(values, rng))}")
    for name, values in zip(KINDS[1:], told.T[1:], strict=True):
        more = told[:, 0] - values
        print(
            f"pointed to, minus {name}: {'{:.3f} [{:.3f}, {:.3f}]'.format(*interval(more, rng))}, "
            f"more on {(more > 0).mean():.1%} of the faces"
        )
    if options.out:
        write(options.out, val.ids[rows], told)
    if options.sheet:
        sheet(shown).save(options.sheet)


def write(path: Path, ids: np.ndarray, told: np.ndarray) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("id", *(kind.replace(" ", "_") for kind in KINDS)))
        table.writerows((name, *(f"{x:.4f}" for x in row)) for name, row in zip(ids, told, strict=True))


def sheet(shown: list) -> Image.Image:
    """Return explanations side by side, three in a row."""
    width, height = shown[0].size
    whole = Image.new("RGB", (3 * width, -(-len(shown) // 3) * height), "white")
    for number, picture in enumerate(shown):
        whole.paste(picture, (number % 3 * width, number // 3 * height))
    return whole


if __name__ == "__main__":
    main()
