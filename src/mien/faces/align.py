"""A face as FER2013 shows faces: a small upright grey square. Knows nothing about how faces are found."""

import math

import numpy as np

from mien.faces.face import Face

# Where FER2013 has eye, eye, nose, mouth corner, mouth corner (left to right as seen), x and y as shares of
# the side. Means over the 1,921 faces that score at least 0.8 among 4,000 of its train split, drawn with seed 0
# (scripts/crop_template.py, 2026-11-24), made symmetric by averaging with the mirror picture. The means were
# (.315, .404), (.670, .391), (.495, .596), (.361, .745), (.653, .734); single faces differ from them
# by a standard deviation of .067 to .086 in x and .053 to .062 in y.
TEMPLATE = np.array([[0.3225, 0.3972], [0.6775, 0.3972], [0.5, 0.5958], [0.354, 0.7394], [0.646, 0.7394]])
TEMPLATE.flags.writeable = False
FINEST = 4  # pixels of the picture that a pixel of the crop is still wide after a large picture was reduced


def grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture uint8 (H, W) or (H, W, 3) RGB in grey, uint8 (H, W): Pillow's "L", ITU-R 601-2 luma."""
    if picture.ndim == 2:
        return picture
    from PIL import Image

    return np.asarray(Image.fromarray(picture).convert("L"))


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (2, 3) similarity that brings points (N, 2) nearest to others, by least squares.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns": scale, rotation and shift, never a reflection. ValueError when the points
    to be moved are all in one place.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    from_mean, to_mean = source.mean(0), target.mean(0)
    moved, wanted = source - from_mean, target - to_mean
    spread = (moved**2).sum()
    if not spread > 0:
        raise ValueError("no similarity: the points are all in one place")
    left, strengths, right = np.linalg.svd(wanted.T @ moved)
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    linear = (strengths * signs).sum() / spread * (left * signs) @ right
    return np.column_stack([linear, to_mean - linear @ from_mean])


def align(picture: np.ndarray, face: Face, side: int, template: np.ndarray = TEMPLATE) -> np.ndarray:
    """Return a face upright and alone, uint8 (side, side) grey.

    `picture` is uint8 (H, W) or (H, W, 3) RGB; of `face` only `landmarks`, float (5, 2) in its pixels, is
    read. They are brought as near as a similarity can to `template`, shares of the side. What is shrunk is
    averaged over each pixel's area. Where the crop leaves the picture, its edge pixels are
    repeated: faces in FER2013 end without a black bar too, and a network would read a bar.
    """
    from PIL import Image

    to_crop = similarity(face.landmarks, template * side)
    inverse = np.linalg.inv(to_crop[:, :2])
    back = np.column_stack([inverse, -inverse @ to_crop[:, 2]])  # crop -> picture, (2, 3)
    region, back = _region(picture, back, side)
    finer = max(1, math.ceil(_step(back)))
    # In floats, since Pillow's transform cuts fractions of grey levels off instead of rounding.
    large = Image.fromarray(region.astype(np.float32)).transform(
        (side * finer, side * finer),
        Image.Transform.AFFINE,
        tuple((back * (1 / finer, 1 / finer, 1)).ravel()),
        resample=Image.Resampling.BICUBIC,
    )
    return np.rint(np.asarray(large.reduce(finer))).clip(0, 255).astype(np.uint8)


def _step(back: np.ndarray) -> float:
    """Return how many pixels of the picture a pixel of the crop is wide."""
    return math.sqrt(abs(np.linalg.det(back[:, :2])))


def _region(picture: np.ndarray, back: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a picture that a crop shows, in grey, and the transform from the crop to it.

    A large part is reduced by a whole number first, so that the work does not grow with the
    picture. The edges are repeated as far as the crop reaches out; one that lies far outside
    is first brought near, where it shows the same edge.
    """
    from PIL import Image

    corners = back @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    factor = max(1, math.floor(_step(back) / FINEST))
    size = np.array(picture.shape[1::-1])
    far = np.maximum(0, corners.min(1) - size - 2 * factor) + np.minimum(0, corners.max(1) + 2 * factor)
    back, corners = _moved(back, -far), corners - far[:, None]
    low = np.clip(np.floor(corners.min(1)) - 2 * factor, 0, size - 1).astype(int)
    high = np.clip(np.ceil(corners.max(1)) + 2 * factor, low + 1, size).astype(int)
    part = Image.fromarray(grey(picture[low[1] : high[1], low[0] : high[0]])).reduce(factor)
    back = _moved(back, -low) / factor
    corners = (corners - low[:, None]) / factor
    before = np.maximum(0, np.ceil(2 - corners.min(1))).astype(int)
    after = np.maximum(0, np.ceil(corners.max(1) + 2 - part.size)).astype(int)
    region = np.pad(np.asarray(part), ((before[1], after[1]), (before[0], after[0])), mode="edge")
    return region, _moved(back, before)


def _moved(transform: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return a transform (2, 3) whose results are moved by a vector (2,)."""
    return np.column_stack([transform[:, :2], transform[:, 2] + by])
