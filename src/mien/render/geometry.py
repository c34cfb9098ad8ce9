"""Projects a person with an expression, in a view, to points in an image. Knows nothing about color or light."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mien.render.expression import Expression, shape_weights
from mien.render.identity import Person
from mien.render.look import Look
from mien.render.shapes import shapes
from mien.render.textures import textures

EYES_APART, EYE_ROW_TO_CHIN = 17.2, 31.5  # pixels of a picture of 48, of the mean face
MIDDLE = (24.0, 27.4)  # where the middle of the face lies in a picture of 48
FACE_MIDDLE = (0.0, -0.36, -0.3)  # dm from the middle between the eyes of the base head
TEETH_UPPER, TEETH_LOWER = (-0.055, 0.03), (-0.05, 0.0)  # dm down and forward of where the pack has them
CHIN = (0.0, 6.177, 1.403)  # on the base head


@dataclass(frozen=True, slots=True)
class Posed:
    """A head in front of the camera."""

    points: np.ndarray  # float32 (V, 3): column and row in pixels, nearness in pixels
    vertices: np.ndarray  # float32 (V, 3): turned, dm of the base head, y up
    hair: np.ndarray  # float32 (V,): how far inside the hair, dm; below 0 outside
    pixels_per_dm: float


@lru_cache(maxsize=1)
def _fixed() -> dict:
    pack = shapes()
    skin = pack.parts["skin"]
    lips = np.flatnonzero(pack.masks["lips"][skin] > 0.5)
    upper = lips[pack.base[lips, 1] > 6.62]
    lower = lips[pack.base[lips, 1] <= 6.60]
    return {
        "chin": int(np.argmin(((pack.base[skin] - CHIN) ** 2).sum(1))),
        "upper": upper,
        "lower": lower,
    }


def hair_depth(person: Person) -> np.ndarray:
    """Return how far each vertex lies inside a person's hair, dm; below 0 outside."""
    base, above = shapes().base, textures().above_hairline
    inside = above - person.hairline
    x = base[:, 0] * (1 if person.part >= 0 else -1)
    front = np.clip((base[:, 2] - 0.9) / 0.3, 0, 1) * np.clip((base[:, 1] - 7.45) / 0.1, 0, 1)
    if person.hair == "fringe":
        inside = inside + front * (0.40 + 0.1 * abs(person.part) - 0.18 * np.abs(base[:, 0]))
    elif person.hair == "parted":
        inside = inside + front * np.clip(0.28 + 0.6 * (x - 0.15), 0.0, 0.5)
    elif person.hair == "receding":
        inside = inside - front * 0.35 * np.clip((np.abs(base[:, 0]) - 0.15) / 0.3, 0, 1)
    elif person.hair == "bald":
        inside = np.minimum(inside, 7.6 - base[:, 1]) - 0.05
    elif person.hair == "long":
        inside = inside + front * np.clip(0.5 * (np.abs(x + 0.2) - 0.25), 0.0, 0.3)
    return inside.astype(np.float32)


def pose(person: Person, shown: Expression, look: Look, side: int) -> Posed:
    """Return a person's head with an expression, turned and projected into an image of side x side."""
    pack = shapes()
    vertices = _expressive(person, shown)
    inside = hair_depth(person)
    skin = pack.parts["skin"]
    _raise_hair(vertices, inside, person, skin)
    centered = (vertices - np.asarray(person.center, np.float32)) / np.float32(person.scale)
    chin = -float(((person.vertices[_fixed()["chin"]] - person.center) / person.scale)[1])
    drop = -float(centered[_fixed()["chin"], 1]) - chin
    turned = (centered - np.asarray(FACE_MIDDLE, np.float32)) @ _rotation(look).T.astype(np.float32)
    scale = math.sqrt((EYES_APART / 0.6155) * (EYE_ROW_TO_CHIN / chin)) * look.size * side / 48
    grown = np.float32(scale) * np.float32(look.distance) / (np.float32(look.distance) - turned[:, 2])
    column = np.float32(side * (MIDDLE[0] / 48 + look.shift[0]))
    row = np.float32(side * (MIDDLE[1] / 48 + look.shift[1]) - 0.4 * max(0.0, drop) * scale)
    points = np.stack(
        [column + turned[:, 0] * grown, row - turned[:, 1] * grown, turned[:, 2] * np.float32(scale)], axis=1
    )
    return Posed(points.astype(np.float32), turned, inside[skin], scale)


def landmarks(person: Person, shown: Expression, look: Look, side: int) -> np.ndarray:
    """Return column and row, in pixels, of the eyes (the picture's left one first) and the mouth: (3, 2)."""
    points, fixed = pose(person, shown, look, side).points[:, :2], _fixed()
    eyes = points[shapes().parts["eyes"]]
    half = len(eyes) // 2
    balls = sorted((eyes[:half].mean(0).tolist(), eyes[half:].mean(0).tolist()))
    mouth = points[np.concatenate([fixed["upper"], fixed["lower"]])].mean(0)
    return np.array([*balls, mouth])


def _expressive(person: Person, shown: Expression) -> np.ndarray:
    pack = shapes()
    weights = shape_weights(shown)
    rows = [pack.unit_rows[name] for name in weights]
    amounts = np.array(list(weights.values()), np.float32) * np.float32(person.scale)
    vertices = person.vertices + (amounts @ pack.units[rows]).reshape(-1, 3)
    fixed, at_rest = _fixed(), person.vertices / np.float32(person.scale)
    teeth, tongue = pack.parts["teeth"], pack.parts["tongue"]
    lower = pack.lower_teeth[teeth]
    upper_shift = (at_rest - pack.base)[fixed["upper"]].mean(0) - (at_rest - pack.base)[teeth][~lower].mean(0)
    lower_shift = (at_rest - pack.base)[fixed["lower"]].mean(0) - (at_rest - pack.base)[teeth][lower].mean(0)
    moves = np.where(lower[:, None], lower_shift + [0, *TEETH_LOWER], upper_shift + [0, *TEETH_UPPER])
    vertices[teeth] += (moves * person.scale).astype(np.float32)
    vertices[tongue] += (lower_shift * person.scale).astype(np.float32)
    return vertices


def _raise_hair(vertices: np.ndarray, inside: np.ndarray, person: Person, skin: slice) -> None:
    """Push the skin out along its normals where hair grows."""
    if person.hair == "bald":
        return
    thick = np.clip(inside[skin] / 0.22, 0, 1)
    grown = np.flatnonzero(thick > 0)
    depth = thick[grown] * np.float32(person.hair_depth * person.scale)
    vertices[grown] += normals(vertices)[grown] * depth[:, None]


def _rotation(look: Look) -> np.ndarray:
    yaw, pitch, roll = (math.radians(angle) for angle in (look.yaw, -look.pitch, -look.roll))
    about_y = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    about_x = [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    about_z = [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_x) @ np.array(about_y)


def normals(vertices: np.ndarray, part: str = "skin") -> np.ndarray:
    """Return a part's smooth normals, float32 (vertices of the part, 3)."""
    triangles, of_vertex, starts = _corners_of(part)
    a, b, c = (vertices[corners] for corners in triangles.T)
    p, q = b - a, c - a
    across = np.stack(
        [p[:, 1] * q[:, 2] - p[:, 2] * q[:, 1], p[:, 2] * q[:, 0] - p[:, 0] * q[:, 2],
         p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]], axis=1
    )  # fmt: skip
    summed = np.add.reduceat(across[of_vertex], starts, axis=0)
    return summed / np.sqrt((summed * summed).sum(1, keepdims=True) + 1e-12)


@lru_cache
def _corners_of(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a part's triangles, and for each of its vertices in turn the triangles that meet there."""
    triangles, span = shapes().triangles[part], shapes().parts[part]
    corners = triangles.reshape(-1) - span.start
    counts = np.bincount(corners, minlength=span.stop - span.start)
    return triangles, np.argsort(corners, kind="stable") // 3, np.cumsum(counts) - counts
