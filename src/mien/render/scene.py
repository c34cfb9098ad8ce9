"""Renders one image: a person with an expression, in a view. Pure functions, in numpy alone."""

import numpy as np

from mien.render.expression import Expression
from mien.render.geometry import Posed, normals, pose
from mien.render.identity import Person
from mien.render.look import Look
from mien.render.paint import TEETH, Pixels, paint, strands
from mien.render.photo import background, cover, developed
from mien.render.raster import Hits, rasterize
from mien.render.shade import direction, occlusion, reflected, shadow
from mien.render.shapes import shapes
from mien.render.textures import noise_at, textures

LARGEST_FINE_SIDE = 160  # pixels; below it pictures are drawn three times as large, above it twice
EMPTY = np.float32(-1e3)
TOOTH_WIDTH = 0.075  # dm
FINE = 120  # pixels a dm, from which single teeth are told apart


def fineness(side: int) -> int:
    """Return the supersampling factor: how many times larger an image is drawn before it is reduced."""
    return 3 if side * 3 <= LARGEST_FINE_SIDE else 2


def picture(person: Person, shown: Expression, look: Look, *, side: int = 48) -> np.ndarray:
    """Return a picture, uint8 (side, side)."""
    large = side * fineness(side)
    posed = pose(person, shown, look, large)
    hits = rasterize(posed.points, shapes().faces, large)
    light = direction(look.azimuth, look.elevation)
    brightness, lining = _face(hits, posed, person, shown, look, light, large)
    canvas = background(look, large).reshape(-1)
    canvas[hits.pixels] = brightness
    face = np.zeros(large * large, np.float32)
    face[hits.pixels] = 1
    _mouth(canvas, hits, lining * _parted(shown), posed, look, large)
    _lashes(canvas, hits, posed, person, large)
    if person.hair == "long":
        _long_hair(canvas, hits, posed, person, look, light, large)
    canvas = cover(canvas.reshape(large, large), look, person.skin)
    return developed(canvas, face.reshape(large, large), look, side)


def _face(hits: Hits, posed: Posed, person: Person, shown: Expression, look: Look, light, large: int):
    """Return the brightness of each pixel of skin and eyes, and how much of it is the mouth's inside."""
    pack = shapes()
    corners, weights = pack.faces[hits.triangles], hits.weights
    known = _attributes(posed)
    values = known[corners[:, 0]] * weights[:, 0:1]
    for i in (1, 2):
        values += known[corners[:, i]] * weights[:, i : i + 1]
    values = np.asfortranarray(values)  # each column in one piece
    eye = corners[:, 0] >= pack.parts["eyes"].start
    pixels = Pixels(values[:, 0:3], values[:, 6], values[:, 7], values[:, 8], values[:, 9], eye)
    surface = paint(pixels, person, shown, look)
    normal = values[:, 3:6]
    normal[:, 1] += surface.bump
    normal /= np.sqrt((normal * normal).sum(1, keepdims=True) + 1e-9)
    lit, sky = _maps(hits, light, posed.pixels_per_dm, large)
    brightness = reflected(
        surface.albedo, normal, surface.gloss, light, hardness=look.hardness, lit=lit, open_sky=sky
    )
    return brightness, pixels.lining * (1 - pixels.lips) * ~eye


def _attributes(posed: Posed) -> np.ndarray:
    """Return what is interpolated between vertices: base place, normal, lips, lining, lids, hair."""
    pack = shapes()
    eyes, count = pack.parts["eyes"], pack.parts["eyes"].stop
    values = np.zeros((count, 10), np.float32)
    values[:, 0:3] = pack.base[:count]
    values[: eyes.start, 3:6] = normals(posed.vertices)
    half = (eyes.stop - eyes.start) // 2
    for start in (eyes.start, eyes.start + half):
        ball = posed.vertices[start : start + half]
        values[start : start + half, 3:6] = (ball - ball.mean(0)) * 7.0
    for column, name in enumerate(("lips", "lining", "lids"), start=6):
        values[: eyes.start, column] = pack.masks[name][: eyes.start]
    values[: eyes.start, 9] = posed.hair
    values[eyes, 9] = -1
    return values


def _maps(hits: Hits, light: np.ndarray, pixels_per_dm: float, large: int):
    """Return shadow and occlusion at the pixels, from a depth map of half the size."""
    depth = np.full(large * large, EMPTY, np.float32)
    depth[hits.pixels] = hits.depth
    half = depth.reshape(large, large)[::2, ::2] * np.float32(0.5)
    covered = half > EMPTY / 4
    filled = np.where(covered, half, half[covered].min() if covered.any() else 0)
    lit = shadow(filled, covered, light, pixels_per_dm / 2)
    sky = occlusion(filled, covered, pixels_per_dm / 2)
    cell = (hits.pixels // large >> 1) * half.shape[1] + (hits.pixels % large >> 1)
    return lit.reshape(-1)[cell], sky.reshape(-1)[cell]


def _mouth(canvas: np.ndarray, hits: Hits, lining: np.ndarray, posed: Posed, look: Look, large: int) -> None:
    """Draw teeth and tongue, only where the mouth's inside is seen: they would pierce the lips elsewhere."""
    inside = np.zeros(large * large, np.float32)
    inside[hits.pixels] = np.clip((lining - 0.35) / 0.2, 0, 1)
    if not inside.any():
        return
    pack = shapes()
    triangles = np.concatenate([pack.triangles["teeth"], pack.triangles["tongue"]])
    found = rasterize(posed.points, triangles, large)
    ids = triangles[found.triangles]
    teeth = ids[:, 0] < pack.parts["teeth"].stop
    lower = pack.lower_teeth[ids[:, 0]]
    tone = np.where(teeth, np.where(lower, 0.45, 1.0) * TEETH, 0.09)
    side = np.abs((pack.base[ids, 0] * found.weights).sum(1))
    gaps = np.abs(side / TOOTH_WIDTH - np.rint(side / TOOTH_WIDTH)) * TOOTH_WIDTH * posed.pixels_per_dm
    tone = np.where(teeth, tone * (1 - 0.3 * np.clip(1.2 - gaps, 0, 1) * (posed.pixels_per_dm > FINE)), tone)
    tone = tone * np.clip(1.15 - 1.4 * side, 0.35, 1) * (1.0 - 0.25 * look.hardness)
    share = inside[found.pixels]
    canvas[found.pixels] += (tone.astype(np.float32) - canvas[found.pixels]) * share


def _parted(shown: Expression) -> float:
    """Return 0 where the lips are closed, 1 where they are open."""
    opening = shown.au(26) + 0.5 * (shown.au(10) + shown.au(16)) + 0.2 * shown.au(20)
    return min(1.0, max(0.0, (opening - 0.08) / 0.12))


def _lashes(canvas: np.ndarray, hits: Hits, posed: Posed, person: Person, large: int) -> None:
    """Darken the picture where lashes are in front of the face."""
    triangles = shapes().triangles["lashes"]
    found = rasterize(posed.points, triangles, large, both_sides=True)
    depth = np.full(large * large, EMPTY, np.float32)
    depth[hits.pixels] = hits.depth
    near = found.depth > depth[found.pixels] - 0.03 * posed.pixels_per_dm
    pixels = found.pixels[near]
    canvas[pixels] *= np.float32(0.6 - 0.3 * person.liner)


def _long_hair(canvas, hits: Hits, posed: Posed, person: Person, look: Look, light, large: int) -> None:
    """Draw hair that falls beside the face."""
    pack = shapes()
    triangles = pack.triangles["hair"]
    found = rasterize(posed.points, triangles, large, both_sides=True)
    depth = np.full(large * large, EMPTY, np.float32)
    depth[hits.pixels] = hits.depth
    near = np.flatnonzero(found.depth > depth[found.pixels])
    corners, weights = triangles[found.triangles[near]], found.weights[near]
    known = np.concatenate([pack.base[pack.parts["hair"]], normals(posed.vertices, "hair")], axis=1)
    values = (known[corners - pack.parts["hair"].start] * weights[:, :, None]).sum(1)
    beside = _beside_the_face(values[:, 0:3], person)
    behind = found.pixels[near[~beside]]
    canvas[behind[depth[behind] == EMPTY]] = 0.3 * person.hair_tone  # hair on the neck, seen past the face
    near, values = near[beside], values[beside]
    albedo = person.hair_tone * strands(values[:, 0:3], person)
    ones = np.ones(len(near), np.float32)
    canvas[found.pixels[near]] = reflected(
        albedo, values[:, 3:6], 0.1 * ones, light, hardness=look.hardness, lit=ones, open_sky=0.8 * ones
    )


def _beside_the_face(place: np.ndarray, person: Person) -> np.ndarray:
    """Return which places of the long hair do not hang before the face."""
    x, y, z = place.T
    ragged = 0.025 * noise_at(textures().noise, x * 0 + 90 * person.texture[0], y * 25 + 200 * (x > 0))
    wide = 0.74 + 0.1 * person.part * np.sign(x) * np.clip((y - 7.2) / 0.6, 0, 1) + ragged
    return (z < 0.2) | ((x / wide) ** 2 + ((y - 6.85) / (1.08 + person.hairline)) ** 2 > 1)
