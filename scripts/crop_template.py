"""Measures where FER2013's crops have their landmarks: python scripts/crop_template.py DATASET [--faces 4000].

DATASET is what `mien pack` made of FER2013. Looks at a seeded sample of its train split and
takes the faces that the finder is sure of. Prints the mean landmarks as shares of the side,
made symmetric by averaging with their mirror picture, for `TEMPLATE` in src/mien/faces/align.py.
"""

import argparse
from pathlib import Path

import numpy as np

from mien.dataset import read_dataset
from mien.faces import Finder

MIRRORED = [1, 0, 2, 4, 3]  # the order of the landmarks in a mirror


def measured(images: np.ndarray, surest: float) -> np.ndarray:
    """Return the landmarks, (n, 5, 2) as shares of the side, of the faces that score at least `surest`."""
    finder = Finder()
    largest = [next(iter(finder.find(image, threshold=surest)), None) for image in images]
    return np.array([face.landmarks for face in largest if face]) / images.shape[1]


def symmetric(points: np.ndarray) -> np.ndarray:
    """Return landmarks (5, 2) averaged with their mirror picture."""
    return (points + (np.array([1, 0]) + points[MIRRORED] * (-1, 1))) / 2


def main() -> None:
    """Print counts, means, spread and the template."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--faces", type=int, default=4000)
    parser.add_argument("--surest", type=float, default=0.8)
    options = parser.parse_args()
    images = read_dataset(options.dataset).development().train.images
    rows = np.random.default_rng(0).choice(len(images), min(options.faces, len(images)), replace=False)
    points = measured(images[np.sort(rows)], options.surest)
    print(f"{len(points):,} of {len(rows):,} faces score at least {options.surest}")
    print("mean", points.mean(0).round(4).tolist())
    print("spread (standard deviation)", points.std(0).round(4).tolist())
    print("template", symmetric(points.mean(0)).round(4).tolist())


if __name__ == "__main__":
    main()
