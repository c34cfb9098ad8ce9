"""A face as FER2013 shows faces: a small upright grey square. Knows nothing about how faces are found."""

import math

import numpy as np

from mien.faces.face import Face
from mien.pictures import strips

MARKS = (
    *("left eye", "right eye", "nose", "left mouth corner", "right mouth corner"),  # as seen
    *("left of the box", "right of the box", "top of the box", "bottom of the box"),  # middles of its sides
)
# Where FER2013 has a face's marks, x and y as shares of the side: medians of 2,413 of its train faces, found in
# photographs that they were pasted into (bench/framing.py, 2026-11-27), made symmetric by averaging with the mirror
# picture. Squares that landmarks and box frame together lie nearer to FER2013's own: their corners are off by 16.2 % of
# the side (root of the mean square), by landmarks alone by 20.3 %.
FER2013 = np.array(
    [
        *([0.3177, 0.3967], [0.6823, 0.3967], [0.5, 0.6044], [0.3537, 0.7643], [0.6463, 0.7643]),
        *([0.0999, 0.5116], [0.9001, 0.5116], [0.5, 0.0163], [0.5, 1.0069]),
    ]
)
# Times as large as there: a square that is too large costs a network more than one that is too small, and sizes are off
# by 13 %. Log loss of 1,769 val faces, found and framed: .887 as large, .875 at 1.05, .876 at 1.1; framed without any
# error .835, .833 and .836, and .849 where the face is as much smaller.
LARGER = 1.05
TEMPLATE = np.round((FER2013 - 0.5) * LARGER + 0.5, 6)
TEMPLATE.flags.writeable = False
UPRIGHT = 15  # degrees that a face may lean before its box is turned with it: FER2013's faces lean, too
FINEST = 4  # pixels of the picture that a pixel of the crop is still wide after a large picture was reduced
HAIR = 1e-9  # by which a pixel may be wider than one and still be one


def grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture uint8 (H, W) or (H, W, 3) RGB in grey, uint8 (H, W): Pillow's "L", ITU-R 601-2 luma."""
    if picture.ndim == 2:
        return picture
    from PIL import Image

    pixels = np.empty(picture.shape[:2], np.uint8)
    for rows in strips(*picture.shape[:2]):  # a whole large picture would take five times its memory
        pixels[rows] = np.asarray(Image.fromarray(picture[rows]).convert("L"))
    return pixels


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (2, 3) similarity that brings points (N, 2) nearest to others, by least squares.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns": scale, rotation and shift, never a reflection. ValueError when the points
    to be moved are all in one place.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    from_mean, to_mean = source.mean(0), target.mean(0)
    moved, goal = source - from_mean, target - to_mean
    spread = (moved**2).sum()
    if not spread > 0:
        raise ValueError("no similarity: the points are all in one place")
    left, strengths, right = np.linalg.svd(goal.T @ moved)
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    linear = (strengths * signs).sum() / spread * (left * signs) @ right
    return np.column_stack([linear, to_mean - linear @ from_mean])


def marks(face: Face, *, template: np.ndarray = TEMPLATE, upright: float = UPRIGHT) -> np.ndarray:
    """Return the points of a face that are brought to the template, float64 (9, 2) in the picture's pixels.

    They are its landmarks and the middles of its box's sides. The box stands upright, so that the lean of a head, which
    FER2013 leaves in its crops and which five landmarks tell roughly, is mostly kept; of a face that leans by more than
    `upright` degrees the box is turned by what is more.
    """
    to_template = similarity(face.landmarks, template[: len(face.landmarks)])
    lean = math.atan2(to_template[0, 1], to_template[0, 0])
    most = math.radians(upright)
    turn = lean - min(max(lean, -most), most)
    left, top, width, height = face.box
    across = width / 2 * np.array([math.cos(turn), math.sin(turn)])
    down = height / 2 * np.array([-math.sin(turn), math.cos(turn)])
    middle = np.array([left + width / 2, top + height / 2])
    return np.vstack([face.landmarks, middle - across, middle + across, middle - down, middle + down])


def align(
    picture: np.ndarray, face: Face, side: int, *, template: np.ndarray = TEMPLATE, upright: float = UPRIGHT
) -> np.ndarray:
    """Return a face nearly upright and alone, uint8 (side, side) grey.

    `picture` is uint8 (H, W) or (H, W, 3) RGB. The face's marks are brought as near as a similarity can to `template`,
    shares of the side. What is shrunk is averaged over each pixel's area. Where the crop leaves the picture, its edge
    pixels are repeated: faces in FER2013 end without a black bar too, and a network would read a bar. ValueError where
    all landmarks are in one place.
    """
    from PIL import Image

    to_crop = similarity(marks(face, template=template, upright=upright), template * side)
    inverse = np.linalg.inv(to_crop[:, :2])
    back = np.column_stack([inverse, -inverse @ to_crop[:, 2]])  # crop -> picture, (2, 3)
    region, back = _region(picture, back, side)
    finer = max(1, math.ceil(_step(back) - HAIR))
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
