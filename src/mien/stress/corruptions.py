"""Corruptions of faces at five strengths, after ImageNet-C (Hendrycks & Dietterich 2019), chosen for faces and cameras.

Each is a pure function of faces uint8 (N, S, S), a strength and a random generator, and returns as many faces of the
same shape. Lengths are shares of a face's side, so a face of any size is corrupted alike. Eyes and mouth are where
mien's own crops have them. Knows nothing about networks, data sets or files.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image

STRENGTHS = (1, 2, 3, 4, 5)
EYES = ((0.31, 0.39), (0.69, 0.39))  # x and y, in shares of the side
MOUTH = (0.5, 0.78)
DIRECTIONS = 12  # of a motion
BLOCK = 8  # pixels a side, as JPEG and H.264 code them

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupted(faces: np.ndarray, name: str, strength: int, *, seed: int = 0) -> np.ndarray:
    """Return faces uint8 (N, S, S) with the named corruption at a strength of 1 to 5; the same for the same seed.

    KeyError for a name that is not in `CORRUPTIONS`, ValueError for another strength.
    """
    if strength not in STRENGTHS:
        raise ValueError(f"a strength is from 1 to 5, not {strength}")
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(name), strength])
    return _to_bytes(CORRUPTIONS[name](faces, strength, rng))


def gaussian_noise(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Add noise of a standard deviation of 8 to 56 greys: a sensor's at high gain."""
    deviation = (8, 16, 26, 38, 56)[strength - 1]
    return faces + deviation * rng.standard_normal(faces.shape, np.float32)


def shot_noise(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Count photons, 250 to 6 of them at white: a sensor's in little light."""
    photons = (250, 100, 40, 15, 6)[strength - 1]
    return rng.poisson(faces / 255 * photons) * (255 / photons)


def impulse_noise(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Turn 2 to 27 % of the pixels black or white."""
    share = (0.02, 0.05, 0.1, 0.17, 0.27)[strength - 1]
    drawn = rng.random(faces.shape, np.float32)
    return np.where(drawn < share / 2, 0, np.where(drawn < share, 255, faces))


def defocus(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Blur by a disk with a radius of 2 to 10 % of the side."""
    side = faces.shape[1]
    radius = (0.02, 0.035, 0.05, 0.07, 0.1)[strength - 1] * side
    reach = math.ceil(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)  # its border is covered in part
    return _convolved(faces, disk / disk.sum())


def motion_blur(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Smear each face along a straight way of 6 to 35 % of the side, in one of twelve directions."""
    length = (0.06, 0.1, 0.16, 0.24, 0.35)[strength - 1] * faces.shape[1]
    directions = rng.integers(0, DIRECTIONS, len(faces))
    out = np.empty(faces.shape)
    for direction in np.unique(directions):
        here = directions == direction
        out[here] = _convolved(faces[here], _line(length, math.pi * direction / DIRECTIONS))
    return out


def jpeg(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Write and read each face as JPEG of quality 30 to 4."""
    quality = (30, 20, 12, 7, 4)[strength - 1]
    out = np.empty_like(faces)
    for number, face in enumerate(faces):
        file = io.BytesIO()
        Image.fromarray(face).save(file, "JPEG", quality=quality)
        out[number] = np.asarray(Image.open(file))
    return out


def video_blocks(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Keep only the lowest frequencies of 20 to 100 % of the blocks of 8 x 8: a stream at too few bits."""
    share = (0.2, 0.4, 0.6, 0.8, 1.0)[strength - 1]
    kept = (3, 3, 2, 2, 1)[strength - 1]  # frequencies a direction; 1 is a block's mean
    padded, side = _to_blocks(faces), faces.shape[1]
    across = padded.shape[1] // BLOCK
    blocks = padded.reshape(len(faces), across, BLOCK, across, BLOCK).transpose(0, 1, 3, 2, 4)
    basis = _cosines()[:kept]
    low = basis.T @ (basis @ blocks @ basis.T) @ basis
    lost = rng.random(blocks.shape[:3]) < share
    coded = np.where(lost[..., None, None], low, blocks)
    return coded.transpose(0, 1, 3, 2, 4).reshape(padded.shape)[:, :side, :side]


def low_light(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Darken to 50 to 6 % of the light, with the noise that a sensor then has."""
    light = (0.5, 0.3, 0.18, 0.1, 0.06)[strength - 1]
    return light * faces + 3 * rng.standard_normal(faces.shape, np.float32)


def overexposure(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Brighten by a factor of 1.3 to 4; what is brighter than white is lost."""
    return (1.3, 1.7, 2.2, 3.0, 4.0)[strength - 1] * faces.astype(np.float32)


def low_contrast(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Press the greys of each face to 60 to 8 % of their distance from its mean: haze."""
    share = (0.6, 0.4, 0.25, 0.15, 0.08)[strength - 1]
    middle = faces.mean((1, 2), keepdims=True)
    return middle + share * (faces - middle)


def side_light(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Light each face from one side, so that 45 to 2 % of it is left on the other."""
    least = (0.45, 0.3, 0.18, 0.08, 0.02)[strength - 1]
    side = faces.shape[1]
    ramp = 1 / (1 + np.exp(-12 * (np.arange(side) / (side - 1 or 1) - 0.5)))
    ramps = np.where(rng.random(len(faces))[:, None] < 0.5, ramp, ramp[::-1])
    return faces * (least + (1 - least) * ramps)[:, None, :]


def low_resolution(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Shrink to 83 to 25 % of the side, 40 to 12 pixels of 48, and enlarge again."""
    side = faces.shape[1]
    small = max(1, round((40, 32, 24, 16, 12)[strength - 1] / 48 * side))
    out = np.empty_like(faces)
    for number, face in enumerate(faces):
        shrunk = Image.fromarray(face).resize((small, small), Image.Resampling.BOX)
        out[number] = np.asarray(shrunk.resize((side, side), Image.Resampling.BILINEAR))
    return out


def sunglasses(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Cover the eyes by two dark glasses, 7 to 19 % of the side wide to each side of them."""
    radius = (0.07, 0.1, 0.13, 0.16, 0.19)[strength - 1]
    rows, columns = _places(faces.shape[1])
    covered = np.zeros(faces.shape[1:], bool)
    for x, y in EYES:
        covered |= ((columns - x) / radius) ** 2 + ((rows - y) / (0.75 * radius)) ** 2 <= 1
    covered |= (abs(rows - EYES[0][1]) < 0.015) & (abs(columns - 0.5) < EYES[1][0] - 0.5)
    return np.where(covered, 25, faces)


def mask(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Cover the mouth, 10 to 30 % of the side to each side of it, by something light."""
    reach = (0.1, 0.15, 0.2, 0.25, 0.3)[strength - 1]
    rows, columns = _places(faces.shape[1])
    covered = (abs(rows - MOUTH[1]) <= 0.7 * reach) & (abs(columns - MOUTH[0]) <= reach)
    return np.where(covered, 205, faces)


def half_covered(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Cover 15 to 55 % of each face from the left or the right by a grey of its own."""
    share = (0.15, 0.25, 0.35, 0.45, 0.55)[strength - 1]
    _, columns = _places(faces.shape[1])
    right = rng.random(len(faces))[:, None, None] < 0.5
    covered = np.where(right, columns > 1 - share, columns < share)
    return np.where(covered, rng.integers(0, 256, (len(faces), 1, 1)), faces)


def rotation(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Turn each face by 10 to 50 degrees to the left or the right."""
    degrees = (10, 18, 27, 38, 50)[strength - 1]
    angles = math.radians(degrees) * rng.choice((-1, 1), len(faces))[:, None, None]
    side = faces.shape[1]
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    middle = (side - 1) / 2
    cos, sin = np.cos(angles), np.sin(angles)
    return _sampled(faces, middle + sin * columns + cos * rows, middle + cos * columns - sin * rows)


def off_center(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Move each face by 6 to 34 % of the side in a direction of its own; its border is carried on."""
    way = (0.06, 0.12, 0.18, 0.25, 0.34)[strength - 1] * faces.shape[1]
    angles = rng.uniform(0, 2 * math.pi, len(faces))
    return _moved(faces, way * np.cos(angles), way * np.sin(angles))


def false_colors(faces: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Bend the scale of greys until it turns back, as a camera for heat or a colored filter does."""
    bend = (0.15, 0.3, 0.5, 0.75, 1.0)[strength - 1]
    phase = rng.uniform(0, 2 * math.pi, (len(faces), 1, 1))
    grey = faces / 255
    waves = 0.5 + 0.5 * np.sin(2 * math.pi * grey + phase)
    return 255 * ((1 - bend) * grey + bend * waves)


CORRUPTIONS: dict[str, Corruption] = {
    function.__name__.replace("_", " ").replace("jpeg", "JPEG"): function
    for function in (
        gaussian_noise,
        shot_noise,
        impulse_noise,
        defocus,
        motion_blur,
        low_resolution,
        jpeg,
        video_blocks,
        low_light,
        overexposure,
        low_contrast,
        side_light,
        sunglasses,
        mask,
        half_covered,
        rotation,
        off_center,
        false_colors,
    )
}


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _places(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of each pixel, rows and columns, in shares of the side."""
    at = (np.arange(side) + 0.5) / side
    return at[:, None], at[None, :]


def _convolved(faces: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the faces under a kernel of odd side, their borders carried on."""
    reach = len(kernel) // 2
    wide = np.pad(faces, ((0, 0), (reach, reach), (reach, reach)), mode="edge").astype(np.float32)
    shape = wide.shape[1:]
    spectrum = np.fft.rfft2(wide) * np.fft.rfft2(kernel, s=shape)
    side = faces.shape[1]
    return np.fft.irfft2(spectrum, s=shape)[:, 2 * reach :, 2 * reach :][:, :side, :side]


def _line(length: float, angle: float) -> np.ndarray:
    """Return a straight line about the middle of a kernel of odd side, spread over the pixels that it passes."""
    reach = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    way = np.linspace(-length / 2, length / 2, 8 * reach + 1)
    rows, columns = reach + way * math.sin(angle), reach + way * math.cos(angle)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            share = (1 - abs(top + down - rows)) * (1 - abs(left + right - columns))
            np.add.at(kernel, (top + down, left + right), share)
    return kernel / kernel.sum()


def _moved(faces: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return each face moved by pixels (N,) to the right and down."""
    rows, columns = np.mgrid[: faces.shape[1], : faces.shape[1]].astype(np.float32)
    return _sampled(faces, rows - down[:, None, None], columns - right[:, None, None])


def _sampled(faces: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return each face at places (N, S, S) in pixels, between pixels linearly, beyond the border as at it."""
    last = faces.shape[1] - 1
    rows, columns = np.clip(rows, 0, last), np.clip(columns, 0, last)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    lower, right = np.minimum(top + 1, last), np.minimum(left + 1, last)
    y, x = rows - top, columns - left
    each = np.arange(len(faces))[:, None, None]
    above = (1 - x) * faces[each, top, left] + x * faces[each, top, right]
    below = (1 - x) * faces[each, lower, left] + x * faces[each, lower, right]
    return (1 - y) * above + y * below


def _to_blocks(faces: np.ndarray) -> np.ndarray:
    """Return the faces float64 with their borders carried on to whole blocks."""
    missing = -faces.shape[1] % BLOCK
    return np.pad(faces, ((0, 0), (0, missing), (0, missing)), mode="edge").astype(np.float64)


def _cosines() -> np.ndarray:
    """Return the orthonormal cosines of a block's side, float64 (BLOCK, BLOCK), the lowest frequency first."""
    at = np.arange(BLOCK)
    basis = np.cos(math.pi * np.outer(at, 2 * at + 1) / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis
