"""Faces in photographs: each crop is pasted into a picture, found there and cropped again, as `mien predict` does it.

What stood around a crop nobody knows: its border is carried on, smoothed, for a sixth of its side and fades into a
drawn background. So a detector sees a head that ends too early, which makes finding harder than in a photograph.
"""

import math
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from mien.faces import Face, Finder, align
from mien.render.look import Look
from mien.render.photo import background
from mien.workers import spread

SIDE = 192  # pixels of a picture
CROP = (64, 104)  # pixels of a pasted crop's side
SURROUND = 8  # pixels of a crop, how far its border is carried on
ROOM = 0.65  # crop sides, from its middle to the edge of the picture


def in_photographs(
    faces: np.ndarray, finder: Finder | None = None, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the crops of those that are found, uint8 (n, S, S), and which of the faces uint8 (N, S, S) are, bool (N,).

    A face's place, size and background depend on the seed and its row alone.
    """
    work = partial(_found_again, faces, finder or Finder(), seed)
    crops = list(spread(work, range(len(faces))))
    found = np.array([crop is not None for crop in crops], bool)
    some = [crop for crop in crops if crop is not None]
    return np.stack(some) if some else np.empty((0, *faces.shape[1:]), np.uint8), found


def _found_again(faces: np.ndarray, finder: Finder, seed: int, row: int) -> np.ndarray | None:
    """Return the crop of a face that is found in its picture, uint8 (S, S); None where none is."""
    picture, center, side = photograph(faces[row], seed, row)
    here = [face for face in finder.find(picture) if is_there(face.box, center, side)]
    if not here:
        return None
    nearest: Face = min(here, key=lambda face: away(face.box, center))
    return align(picture, nearest, faces.shape[1])


def photograph(face: np.ndarray, seed: int, row: int) -> tuple[np.ndarray, tuple[float, float], float]:
    """Return a picture uint8 (SIDE, SIDE) with a face uint8 (S, S), and its crop's middle (x, y) and side in pixels."""
    rng = np.random.default_rng([seed, row])
    side = rng.uniform(*CROP)
    x, y = rng.uniform(ROOM * side, SIDE - ROOM * side, 2)
    wide, cover = surrounded(face)
    scale, middle = len(face) / side, len(wide) / 2
    back = (scale, 0.0, middle - scale * x, 0.0, scale, middle - scale * y)
    shown, cover = (
        np.asarray(Image.fromarray(layer).transform((SIDE, SIDE), Image.Transform.AFFINE, back, how))
        for layer, how in ((wide, Image.Resampling.BICUBIC), (cover, Image.Resampling.BILINEAR))
    )
    behind = 255 * np.sqrt(background(Look(background=float(rng.uniform()), grain=(seed, row)), SIDE))
    return np.rint(cover * shown + (1 - cover) * behind).clip(0, 255).astype(np.uint8), (x, y), side


def surrounded(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a face with its border carried on, and how much of it covers what is behind, both float32.

    Outside, the border is smoothed, so that no streaks run away from the face, and it fades out.
    """
    wide = np.pad(face, SURROUND, mode="edge")
    smooth = np.asarray(Image.fromarray(wide).filter(ImageFilter.GaussianBlur(SURROUND / 3)), np.float32)
    along = np.arange(len(wide)) - SURROUND
    out = np.maximum(np.maximum(-along, along - len(face) + 1), 0)
    distance = np.hypot(out[:, None], out)  # from the crop, in its pixels
    outside = np.minimum(1, distance / 2)
    cover = np.clip(1 - distance / SURROUND, 0, 1)
    return ((1 - outside) * wide + outside * smooth).astype(np.float32), cover.astype(np.float32)


def is_there(box: tuple[float, float, float, float], center: tuple[float, float], side: float) -> bool:
    """Whether a box is a pasted face's: its middle near the crop's, its size alike within a factor of two."""
    return away(box, center) < side / 3 and 0.5 < max(box[2:]) / side < 2


def away(box: tuple[float, float, float, float], center: tuple[float, float]) -> float:
    """Return how far a box's middle is from a place, in pixels."""
    return math.dist((box[0] + box[2] / 2, box[1] + box[3] / 2), center)
