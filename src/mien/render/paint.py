"""The material of each pixel of a head: skin, lips, brows, eyes, hair, beard, teeth. Knows no light."""

from dataclasses import dataclass

import numpy as np

from mien.render.expression import Expression
from mien.render.identity import Person
from mien.render.look import Look
from mien.render.textures import FOLD_LINES, LAYERS, layers_at, noise_at, textures

LAYER = {name: i for i, name in enumerate(LAYERS)}
EYE_CENTER = np.array([0.30775, 7.28417, 1.24528], np.float32)  # of the base head's, at positive x
IRIS, PUPIL = 0.89, 0.978  # cosines of the angles to the axis of the eye
TEETH = 0.62
FOLDS = len(FOLD_LINES)


@dataclass(frozen=True, slots=True)
class Pixels:
    """The surface at each pixel of the skin and the eyes, in the base head's coordinates."""

    place: np.ndarray  # float32 (P, 3)
    lips: np.ndarray  # (P,), masks in 0..1
    lining: np.ndarray
    lids: np.ndarray
    hair: np.ndarray  # how far inside the hair, dm
    eye: np.ndarray  # bool: a pixel of an eyeball


@dataclass(slots=True)
class Surface:
    """The material at each pixel."""

    albedo: np.ndarray  # float32 (P,)
    gloss: np.ndarray
    bump: np.ndarray  # what is added to the normal's y
    hair: np.ndarray  # how much of the pixel is hair, 0..1


def step(t: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1, and a smooth rise between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def paint(pixels: Pixels, person: Person, shown: Expression, look: Look) -> Surface:
    """Return the surface of every pixel of skin and eyes."""
    x, y, z = pixels.place.T
    layers = layers_at(x, y)
    front = step((z - 0.75) / 0.3)
    albedo = _skin(pixels, person, layers, front)
    folds, tilt = _folds(person, shown, layers, x)
    folds = folds * front
    albedo *= 1 - np.minimum(0.75, folds)
    albedo *= 1 - 0.45 * layers[:, LAYER["nostril"]] * step((z - 1.3) / 0.1) * (pixels.lining < 0.3)
    made_up = person.lips < 0.6
    lip = step((pixels.lips - 0.25) / 0.5)
    albedo *= 1 - lip * (1 - person.lips)
    albedo = albedo + (0.05 - albedo) * step((pixels.lining - 0.12) / 0.3)
    gloss = 0.10 + 0.12 * lip * (1.6 if made_up else 1.0)
    albedo = _beard(albedo, pixels, person, layers, front)
    albedo = _brows(albedo, pixels, person, layers, front)
    albedo *= 1 - 0.33 * person.liner * step((pixels.lids - 0.55) / 0.4)
    hair = _hair(pixels, person)
    fallen = strands(pixels.place, person)
    albedo = albedo + (person.hair_tone * fallen - albedo) * hair
    gloss = gloss * (1 - hair) + hair * 0.10 * fallen
    if look.occluder == "glasses":
        albedo, gloss = _glasses(albedo, gloss, pixels, look)
    elif look.occluder == "scarf":
        albedo, gloss = _scarf(albedo, gloss, pixels, look)
    eyes = np.flatnonzero(pixels.eye)
    albedo[eyes], gloss[eyes] = _eyes(pixels.place[eyes], person)
    hair[eyes] = 0
    bump = np.clip(tilt, -0.5, 0.5) * front
    bump[eyes] = 0
    return Surface(albedo.astype(np.float32), gloss.astype(np.float32), bump.astype(np.float32), hair)


def _skin(pixels: Pixels, person: Person, layers: np.ndarray, front: np.ndarray) -> np.ndarray:
    x, y, z = pixels.place.T
    u, v = person.texture[0] * 256, person.texture[1] * 256
    noise = textures()
    spots = noise_at(noise.smooth, x * 34 + u, y * 34 + v) + 0.4 * noise_at(
        noise.noise, x * 110 + v, y * 110 + u
    )
    uneven = 1 + person.blotches * spots
    flushed = 1 - 0.10 * layers[:, LAYER["cheek"]] - 0.10 * step((z - 1.55) / 0.1) * (y > 6.8)
    around_eyes = np.exp(-(((np.abs(x) - 0.3) / 0.2) ** 2 + ((y - 7.26) / 0.13) ** 2))
    return person.skin * uneven * (1 + (flushed - 1) * front) * (1 - 0.22 * around_eyes * front)


def _folds(person: Person, shown: Expression, layers: np.ndarray, x: np.ndarray):
    """Return how much the lines of a face darken each pixel, and how they tilt the surface there."""
    depths = np.array([_depths(person, shown, side) for side in (0, 1)], np.float32)
    dark, tilt = layers[:, :FOLDS] @ depths.T, layers[:, -FOLDS:] @ depths.T
    left = x > 0  # the face's left half is at the viewer's right
    return np.where(left, dark[:, 0], dark[:, 1]), np.where(left, tilt[:, 0], tilt[:, 1])


def _depths(person: Person, shown: Expression, side: int) -> list[float]:
    """Return how deep each of `FOLD_LINES` is on the face's left (0) or right half: units fold the skin."""
    lines, old = person.age_lines, 0.25 + 0.75 * person.age_lines

    def au(number: int) -> float:
        return shown.aus.get(number, (0.0, 0.0))[side]

    depth = {
        "nasolabial": 0.13 * old + 0.17 * au(12) + 0.20 * au(9) + 0.10 * au(10) + 0.04 * au(6),
        "glabella": 0.06 * old + 0.36 * au(4) + 0.08 * au(9),
        "root": 0.30 * au(9),
        "forehead": 0.14 * lines + (0.14 + 0.22 * old) * min(1.0, 0.6 * au(1) + 0.5 * au(2)),
        "crow": 0.14 * lines + (0.10 + 0.2 * old) * min(1.2, au(6)),
        "pouch": 0.14 * old + 0.16 * au(6) + 0.10 * au(7),
        "crease": 0.30 + 0.1 * au(5),
        "chin": 0.10 + 0.20 * au(17) + 0.08 * au(24),
        "corner": 0.04 + 0.1 * lines + 0.22 * au(15) + 0.06 * au(20),
    }
    return [depth[name] for name in FOLD_LINES]


def _beard(albedo, pixels: Pixels, person: Person, layers, front) -> np.ndarray:
    if person.beard == "none":
        return albedo
    x, y, _ = pixels.place.T
    grown = layers[:, LAYER["moustache"]] * front
    if person.beard != "moustache":
        grown = np.maximum(grown, layers[:, LAYER["beard"]] * step((pixels.place[:, 2] - 0.35) / 0.3))
    grown = grown * (1 - step((pixels.lips - 0.1) / 0.3)) * (1 - step((pixels.lining - 0.1) / 0.3))
    patchy = 0.85 + 0.15 * noise_at(textures().noise, x * 110 + 40 * person.texture[0], y * 70)
    strength = {"stubble": 0.38, "moustache": 0.85, "full": 0.88}[person.beard] * person.beard_amount
    cover = np.clip(grown * strength * patchy, 0, 1)
    return albedo + (person.hair_tone * 1.3 * (0.8 + 0.3 * patchy) - albedo) * cover


def _brows(albedo, pixels: Pixels, person: Person, layers, front) -> np.ndarray:
    tone, thick, height, arch = person.brow
    along, across = layers[:, LAYER["brow_along"]], layers[:, LAYER["brow_across"]]
    half = thick * np.interp(along, (-0.05, 0.05, 0.35, 0.7, 1.0), (0.012, 0.045, 0.046, 0.034, 0.012))
    offset = height + arch * np.interp(along, (0, 0.6, 1.0), (0.0, 1.0, 0.3))
    x, y, _ = pixels.place.T
    hairs = 0.92 + 0.1 * noise_at(textures().noise, x * 150 + 90 * person.texture[1], y * 60)
    cover = (
        step(1.25 - np.abs(across - offset) / (half + 0.012))
        * step((along + 0.06) / 0.08)
        * step((1.05 - along) / 0.1)
    )
    cover = np.clip(cover * hairs * 0.92, 0, 1) * front
    return albedo + (np.minimum(tone, albedo * 0.45) - albedo) * cover


def _eyes(place: np.ndarray, person: Person) -> tuple[np.ndarray, np.ndarray]:
    axis = place - EYE_CENTER * np.where(place[:, :1] > 0, [[1, 1, 1]], [[-1, 1, 1]]).astype(np.float32)
    straight = axis[:, 2] / np.sqrt((axis * axis).sum(1) + 1e-9)
    iris = step((straight - IRIS + 0.012) / 0.024)
    rim = np.exp(-(((straight - IRIS) / 0.018) ** 2))
    pupil = step((straight - PUPIL + 0.006) / 0.012)
    albedo = 0.60 + (person.iris - 0.60) * iris
    albedo = albedo * (1 - 0.5 * rim) * (1 - pupil) + 0.01 * pupil
    return albedo, 0.12 + 0.5 * iris


def _hair(pixels: Pixels, person: Person) -> np.ndarray:
    x, y, z = pixels.place.T
    edge = 0.035 * noise_at(textures().noise, x * 90 + 200 * person.texture[0], y * 9 + z * 12)
    width = 0.10 if person.hair in ("bald", "receding", "back") else 0.06
    cover = step((pixels.hair + edge) / width) * (1 - step((pixels.lids - 0.3) / 0.2))
    return cover * (0.55 if person.hair == "bald" else 1.0)


def strands(place: np.ndarray, person: Person) -> np.ndarray:
    """Return how bright hair is at places of the base head, around 1: it runs down in strands."""
    x, y, z = place.T
    u = (x + 0.35 * y * person.part) * 95 + 120 * person.texture[1]
    noise = textures()
    fine = noise_at(noise.noise, u, y * 10 + z * 22) + 0.6 * noise_at(noise.smooth, u * 1.5, y * 8 + z * 14)
    return np.clip(1 + 0.42 * fine, 0.25, 2.2)


def _glasses(albedo, gloss, pixels: Pixels, look: Look):
    x, y, z = pixels.place.T
    wide, high, _ = look.place
    dx, dy = (np.abs(x) - 0.325) / (0.19 + 0.05 * wide), (y - 7.24) / (0.145 + 0.06 * high)
    power = 2 if wide < 0.4 else 4
    radius = (np.abs(dx) ** power + np.abs(dy) ** power) ** (1 / power)
    frame = np.exp(-(((radius - 1) / 0.13) ** 2))
    bridge = np.exp(-(((y - 7.29) / 0.025) ** 2)) * (np.abs(x) < 0.12)
    arm = np.exp(-(((y - 7.32) / 0.03) ** 2)) * (np.abs(x) > 0.5)
    cover = np.clip(np.maximum(np.maximum(frame, bridge), arm) * step((z - 0.3) / 0.2), 0, 1) * (
        0.7 + 0.3 * wide
    )
    albedo = albedo + (0.03 - albedo) * cover
    return albedo, gloss + 0.3 * cover


def _scarf(albedo, gloss, pixels: Pixels, look: Look):
    """Lay a scarf of one tone over hair, ears and neck; an oval around the face stays free."""
    x, y, z = pixels.place.T
    radius = np.sqrt((x / 0.70) ** 2 + ((y - 6.95) / 0.86) ** 2)
    around = np.maximum(step((radius - 1) / 0.06), step((0.45 - z) / 0.1)) * ~pixels.eye
    folds = 1 + 0.12 * np.sin(16 * radius + 5 * np.abs(x)) * step((radius - 1) / 0.2)
    shade = 1 - 0.5 * np.exp(-(((radius - 1.0) / 0.05) ** 2))  # of the rim
    tone = 0.06 + 0.5 * look.place[0]
    return albedo + (tone * folds * shade - albedo) * around, gloss * (1 - 0.6 * around)
