"""How well faces are framed: python bench/framing.py DATASET [--faces 2500].

FER2013's train faces are pasted into photographs (bench/predict_path.py says how) and found there, so it is known which
square should have been cut. Printed are the median place of each mark in that square, for `FER2013` in
src/mien/faces/align.py, and how far the squares lie from the true ones, by the landmarks alone and by all marks: the
spread of size, lean and middle (half of what 68 % lie within) and how far the corners are off (root of the mean square,
each face counting half its side at most). Medians come from one half of the faces, errors from the other.
"""

import argparse
from pathlib import Path

import numpy as np
from predict_path import Scene, is_there, scenes

from mien.dataset import read_dataset
from mien.faces import MARKS, Face, Finder, marks, similarity

MIRRORED = [1, 0, 2, 4, 3, 6, 5, 7, 8]  # the order of the marks in a mirror
LANDMARKS = 5
FARTHEST = 0.5  # of the side: what a face that was taken for another counts


def main() -> None:
    """Print the medians and a line a way of framing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--faces", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    images = read_dataset(options.dataset).development().train.images
    rows = np.random.default_rng(options.seed).permutation(len(images))[: options.faces]
    pairs = found(images[np.sort(rows)], options.seed)
    print(f"{len(pairs):,} of {len(rows):,} faces found")
    if len(pairs) < 4:
        parser.error("too few for medians; give more --faces")
    points = np.array([marks(face) for _, face in pairs])
    truth = np.array([to_square(one) for one, _ in pairs])
    learned = np.arange(len(pairs)) % 2 == 0
    template = symmetric(np.median(moved(points, truth), axis=0))
    for name, place in zip(MARKS, template.round(4).tolist(), strict=True):
        print(f"{name}: {place}")
    half = symmetric(np.median(moved(points[learned], truth[learned]), axis=0))
    for name, some in (("landmarks", slice(LANDMARKS)), ("all marks", slice(None))):
        framed = [similarity(own[some], half[some]) for own in points[~learned]]
        print(f"{name}: {in_words(np.array(framed), truth[~learned])}")


def found(images: np.ndarray, seed: int) -> list[tuple[Scene, Face]]:
    """Return each scene whose face is found, with that face."""
    finder, pairs = Finder(), []
    for one in scenes(images, seed):
        here = [face for face in finder.find(one.pixels) if is_there(face.box, one.center, one.side)]
        pairs += [(one, here[0])] if here else []
    return pairs


def to_square(one: Scene) -> np.ndarray:
    """Return the transform (2, 3) from a scene to the pasted crop, in shares of its side."""
    cos, sin = np.cos(one.turn) / one.side, np.sin(one.turn) / one.side
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([linear, 0.5 - linear @ one.center])


def moved(points: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Return points (N, P, 2), each row's by its own transform (N, 2, 3)."""
    return points @ transforms[:, :, :2].transpose(0, 2, 1) + transforms[:, None, :, 2]


def symmetric(points: np.ndarray) -> np.ndarray:
    """Return marks (9, 2) averaged with their mirror picture, those of the box about one middle."""
    even = (points + (np.array([1, 0]) + points[MIRRORED] * (-1, 1))) / 2
    left, _, top, bottom = even[LANDMARKS:, 1]
    middle = (left + (top + bottom) / 2) / 2
    even[LANDMARKS:, 1] = middle, middle, middle - (bottom - top) / 2, middle + (bottom - top) / 2
    return even


def in_words(framed: np.ndarray, truth: np.ndarray) -> str:
    """Return how transforms from scenes to squares, (N, 2, 3), differ from the true ones."""
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1.0]])
    cut = [np.linalg.solve(t[:, :2], (corners - t[:, 2]).T).T for t in framed]  # in the scene
    off = np.linalg.norm(moved(np.array(cut), truth) - corners, axis=2)
    apart = np.minimum(np.sqrt((off**2).mean(1)), FARTHEST)
    size = np.log(np.linalg.det(truth[:, :, :2]) / np.linalg.det(framed[:, :, :2])) / 2
    lean = np.degrees(
        np.arctan2(truth[:, 1, 0], truth[:, 0, 0]) - np.arctan2(framed[:, 1, 0], framed[:, 0, 0])
    )
    middle = moved(np.array(cut), truth).mean(1)
    return (
        f"size {100 * spread(size):.1f} %, lean {spread(lean):.1f}°, middle {100 * spread(middle[:, 0]):.1f} and "
        f"{100 * spread(middle[:, 1]):.1f} % of the side; corners off by {100 * np.sqrt((apart**2).mean()):.1f} %"
    )


def spread(values: np.ndarray) -> float:
    low, high = np.percentile(values, (16, 84))
    return (high - low) / 2


if __name__ == "__main__":
    main()
