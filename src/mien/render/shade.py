"""Light on a depth map: occlusion and cast shadows, and what a surface reflects. Knows nothing about faces."""

import math

import numpy as np

SHADOW_STEPS = (1, 2, 3, 4, 6, 8, 11, 14, 18)  # cells of a map of 72


def box_blur(values: np.ndarray, radius: int) -> np.ndarray:
    """Return float32 (H, W) averaged over squares; edges repeat."""
    for axis in (0, 1):
        before = [(0, 0), (0, 0)]
        before[axis] = (radius + 1, radius)
        summed = np.cumsum(np.pad(values, before, mode="edge"), axis=axis, dtype=np.float32)
        width = 2 * radius + 1
        near, far = [slice(None)] * 2, [slice(None)] * 2
        near[axis], far[axis] = slice(width, None), slice(None, -width)
        values = (summed[tuple(near)] - summed[tuple(far)]) * np.float32(1 / width)
    return values


def occlusion(depth: np.ndarray, covered: np.ndarray, cells_per_dm: float) -> np.ndarray:
    """Return how much light from all around reaches each cell, 0..1: hollows are darker."""
    weight = covered.astype(np.float32)
    filled = depth * weight
    light = np.ones_like(depth)
    for size, strength in ((0.05, 5.0), (0.16, 2.2)):
        radius = max(1, round(size * cells_per_dm))
        around = box_blur(box_blur(filled, radius), radius)
        share = box_blur(box_blur(weight, radius), radius)
        hollow = around / np.maximum(share, 0.02) - depth
        light *= np.exp(-np.clip(hollow, 0, None) * np.float32(strength / cells_per_dm))
    return np.where(covered, light, 1)


def shadow(depth: np.ndarray, covered: np.ndarray, light: np.ndarray, cells_per_dm: float) -> np.ndarray:
    """Return how much of the main light reaches each cell, 0..1, marching through the depth map."""
    across = math.hypot(light[0], light[1])
    lit = np.ones_like(depth)
    if across < 1e-3:
        return lit
    height, width = depth.shape
    pad = SHADOW_STEPS[-1] + 2
    padded = np.pad(np.where(covered, depth, -1e3), pad, constant_values=-1e3)
    rise, scale = light[2] / across, height / 72
    soft = 0.03 * cells_per_dm
    for step in SHADOW_STEPS:
        length = step * scale
        dx, dy = round(light[0] / across * length), round(-light[1] / across * length)
        if max(abs(dx), abs(dy)) > pad or (dx, dy) == (0, 0):
            continue
        there = padded[pad + dy : pad + dy + height, pad + dx : pad + dx + width]
        over = there - depth - np.float32(rise * math.hypot(dx, dy) + 0.5 * soft)
        np.minimum(lit, 1 - np.clip(over / np.float32(soft * (1 + 0.12 * step)), 0, 1), out=lit)
    return box_blur(lit, 1)


def direction(azimuth: float, elevation: float) -> np.ndarray:
    """Return the unit vector to a light: x to the right, y up, z to the camera."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])


def reflected(
    albedo: np.ndarray, normal: np.ndarray, gloss: np.ndarray, light: np.ndarray, *,
    hardness: float, lit: np.ndarray, open_sky: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return the brightness (P,) of surfaces under a main light and light from all around."""
    toward = normal @ light.astype(np.float32)
    main = np.clip((toward + 0.15) / 1.15, 0, None) * lit
    around = (0.72 + 0.28 * normal[:, 1]) * open_sky
    half = light + [0, 0, 1]
    half = (half / np.linalg.norm(half)).astype(np.float32)
    shine = np.clip(normal @ half, 0, None)
    for _ in range(4):
        shine = shine * shine  # to the 16th
    rim = np.clip(1 - normal[:, 2], 0, 1)
    facing = 1 - 0.25 * rim * rim
    brightness = (
        albedo * facing * (np.float32(1.25 * hardness) * main + np.float32(1 - 0.8 * hardness) * around)
    )
    return brightness + gloss * shine * lit * np.float32(0.35 * hardness + 0.08)
