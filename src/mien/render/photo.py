"""Background, occluders, and the effects of camera and file format on an image."""

import math

import numpy as np

from mien.render.draw import Draw
from mien.render.look import Look

GAMMA = 2.0


def background(look: Look, side: int) -> np.ndarray:
    """Return a background, linear brightness (side, side): soft shapes, edges and a slope."""
    draw = Draw(0, "back", *look.grain)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    picture = np.full((side, side), look.background, np.float32)
    picture += look.clutter * draw.normal(0, 0.7) * (x - 0.5) + look.clutter * draw.normal(0, 0.7) * (y - 0.5)
    for _ in range(3):
        angle, place, width = draw.uniform(0, math.pi), draw.uniform(-0.3, 1.3), draw.uniform(0.01, 0.2)
        edge = (math.cos(angle) * x + math.sin(angle) * y - place) / width
        picture += look.clutter * draw.normal(0, 0.8) * np.clip(edge, 0, 1)
    coarse = draw.noise(7, 7)
    picture += look.clutter * 0.5 * _enlarged(coarse, side)
    return np.clip(picture, 0.01, 1) ** GAMMA


def _enlarged(grid: np.ndarray, side: int) -> np.ndarray:
    """Return a grid (n, n) enlarged by bilinear interpolation."""
    places = np.linspace(0, len(grid) - 1.001, side)
    low, share = places.astype(int), (places % 1).astype(np.float32)
    rows = grid[low] * (1 - share)[:, None] + grid[low + 1] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share


def cover(picture: np.ndarray, look: Look, skin: float) -> np.ndarray:
    """Return the picture with a hand or another occluder in front of it."""
    if look.occluder not in ("hand", "object"):
        return picture
    side = len(picture)
    draw = Draw(0, "cover", *look.grain)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    across, down, size = look.place
    angle = draw.uniform(-0.6, 0.6)
    u = (x - across) * math.cos(angle) + (y - down) * math.sin(angle)
    v = (y - down) * math.cos(angle) - (x - across) * math.sin(angle)
    if look.occluder == "hand":
        return _hand(picture, u, v, size, skin, draw)
    inside = np.clip(
        0.5 + (1 - np.maximum(np.abs(u) / size, np.abs(v - size) / (1.4 * size))) * size * side, 0, 1
    )
    tone = draw.uniform(0.02, 0.8) * (1 + 0.3 * u / size)
    return picture + (tone - picture) * inside


def _hand(picture, u, v, size: float, skin: float, draw: Draw) -> np.ndarray:
    """Draw four fingers that reach up from below."""
    side = len(picture)
    width = size * 0.36
    for finger, length in enumerate((0.1, 0.0, 0.03, 0.14)):
        center = (finger - 1.5) * width
        top = size * length + draw.normal(0, 0.01)
        dx = (u - center) / (width * 0.52)
        reach = np.sqrt(np.clip(1 - dx * dx, 0, None))
        inside = np.clip((v - top + reach * width * 0.5) * side * (np.abs(dx) < 1), 0, 1) * (np.abs(dx) < 1)
        tone = skin * (0.35 + 0.55 * reach) * (1 - 0.25 * np.exp(-(((v - top - 0.02) / 0.03) ** 2)))
        picture = picture + (tone - picture) * inside
    return picture


def developed(picture: np.ndarray, face: np.ndarray, look: Look, side: int) -> np.ndarray:
    """Return a linear picture (n * side, n * side) as a camera and a file give it, uint8 (side, side).

    `face` says where the face is: the exposure is set there.
    """
    times = len(picture) // side
    small = picture.reshape(side, times, side, times).mean((1, 3))
    weight = face.reshape(side, times, side, times).mean((1, 3))
    grey = np.clip(small, 0, None) ** np.float32(look.gamma / GAMMA)
    grey = _exposed(grey, weight, look)
    pixel = side / 48
    if look.blur > 0.05:
        grey = _gaussian(grey, look.blur * pixel)
    grey = grey + np.float32(look.sharpening) * (grey - _gaussian(grey, 0.8 * pixel))
    return _with_noise(255 * grey, look.noise, Draw(0, "noise", *look.grain))


def developed_noise(picture: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """Return a picture, uint8 (side, side), with the noise that one frame of a video has, in grey levels."""
    return _with_noise(picture.astype(np.float32), strength, draw)


def _with_noise(grey: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """Return greys of 0..255 with noise, uint8 (side, side)."""
    return np.clip(np.rint(grey + np.float32(strength) * draw.noise(*grey.shape)), 0, 255).astype(np.uint8)


def _exposed(grey: np.ndarray, weight: np.ndarray, look: Look) -> np.ndarray:
    """Return greys with the face's mean and spread where the camera puts them, bent softly at both ends."""
    total = float(weight.sum()) + 1e-6
    mean = float((grey * weight).sum()) / total
    spread = math.sqrt(float((weight * (grey - mean) ** 2).sum()) / total) + 1e-3
    gain = min(2.6, 0.222 * look.contrast / spread)
    gain = 1 + (gain - 1) * 0.75
    bent = look.level + (grey - mean) * np.float32(gain)
    over, under = np.maximum(bent - 0.88, 0), np.maximum(0.10 - bent, 0)
    return bent - 0.6 * over + 0.7 * under


def _gaussian(picture: np.ndarray, deviation: float) -> np.ndarray:
    radius = max(1, math.ceil(2.5 * deviation))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        before = [(0, 0), (0, 0)]
        before[axis] = (radius, radius)
        padded = np.pad(picture, before, mode="edge")
        length = picture.shape[axis]
        parts = (
            weight * (padded[i : i + length] if axis == 0 else padded[:, i : i + length])
            for i, weight in enumerate(kernel)
        )
        picture = sum(parts, start=np.float32(0) * picture)
    return picture
