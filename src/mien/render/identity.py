"""People: the shape of a head, its skin, brows, hair and beard. Knows nothing about expressions or light."""

from dataclasses import dataclass

import numpy as np

from mien.render.draw import Draw
from mien.render.shapes import Shapes, shapes

AGES = {"child": 9.0, "young": 25.0, "old": 72.0}  # years at which the pack's shapes are taken
OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
    ("compress", "uncompress"), ("concave", "convex"),
)  # fmt: skip
HEAD_FORMS = ("head-diamond", "head-invertedtriangular", "head-oval", "head-rectangular", "head-round",
              "head-square", "head-triangular")  # fmt: skip
SPREAD = {  # how much the shapes whose name begins so differ between people, else 0.42
    "head-scale": 0.2, "head-back": 0.2, "forehead": 0.2, "mouth": 0.26, "eye-": 0.3, "eyebrows": 0.25,
    "nose": 0.3, "nose-trans": 0.12, "eye-push": 0.12, "eye-trans": 0.15, "mouth-trans": 0.15,
    "chin-jaw-drop": 0.12, "chin-height": 0.2, "nose-point-down": 0.1, "nose-scale-depth": 0.12, "nose-hump": 0.15,
    "mouth-scale-depth": 0.1,
}  # fmt: skip
HAIR = {  # style -> shares for female and male people
    "short": (0.10, 0.42), "fringe": (0.16, 0.14), "parted": (0.12, 0.20), "back": (0.22, 0.05),
    "long": (0.36, 0.04), "receding": (0.02, 0.09), "bald": (0.02, 0.06),
}  # fmt: skip
RECEDED = 0.22  # dm
FEMALE_BROW_THICKNESS, FEMALE_BROW_ARCH = 0.78, 0.01  # times the male one, dm more than it
BEARDS = {"none": 0.55, "stubble": 0.2, "moustache": 0.08, "full": 0.17}


@dataclass(frozen=True, slots=True)
class Person:
    """The exact attributes of a person. Tones are albedos in 0..1."""

    age: float  # years
    gender: float  # 0 female .. 1 male
    ancestry: tuple[float, float, float]  # african, asian, caucasian; they sum to 1
    weight: float  # -1 thin .. 1 heavy
    skin: float
    lips: float
    iris: float
    brow: tuple[float, float, float, float]  # tone, thickness, height (dm), arch (dm)
    hair: str  # of HAIR
    hair_tone: float
    hairline: float  # dm higher than usual
    hair_depth: float  # dm
    part: float  # where the hair parts or falls, -1..1
    beard: str  # of BEARDS
    beard_amount: float
    liner: float  # how dark the rims of the eyes are
    age_lines: float
    blotches: float  # how uneven the skin is
    texture: tuple[float, float]  # where in the textures this person's skin lies
    vertices: np.ndarray  # float32 (V, 3), at rest
    scale: float  # of the head, 1 for the base head: half the distance of the eyes
    center: tuple[float, float, float]  # between the eyes


def identity(draw: Draw) -> Person:
    """Draw a person."""
    ages = {"child": (6, 15), "young": (16, 45), "old": (45, 78)}
    age = draw.uniform(*ages[draw.choice({"child": 0.1, "young": 0.6, "old": 0.3})])
    gender = min(0.97, max(0.03, draw.normal(0.12 if draw.chance(0.5) else 0.88, 0.12)))
    african, asian, caucasian = (round(share, 3) for share in draw.mix(3))
    ancestry = african, asian, caucasian
    weight = draw.normal(0, 0.4)
    age, gender, weight = round(age, 1), round(gender, 3), round(weight, 3)
    vertices = _shape(draw, age, gender, ancestry, weight)
    center, scale = eyes_of(vertices)
    grown, male = age >= 16, gender > 0.5
    skin = 0.27 * ancestry[0] + 0.55 * ancestry[1] + 0.60 * ancestry[2] + draw.normal(0, 0.05)
    hair_tone = _hair_tone(draw, age, ancestry)
    made_up = grown and not male and draw.chance(0.55)
    style = _style(draw, age, male)
    return Person(
        age=age,
        gender=gender,
        ancestry=ancestry,
        weight=weight,
        skin=min(0.75, max(0.13, skin)),
        lips=draw.uniform(0.35, 0.6) if made_up else draw.uniform(0.62, 0.82),
        iris=draw.uniform(0.02, 0.05) if ancestry[2] < 0.5 or draw.chance(0.45) else draw.uniform(0.1, 0.26),
        brow=(
            min(hair_tone, draw.uniform(0.03, 0.14)),
            draw.uniform(0.75, 1.2) * (1.0 if male else FEMALE_BROW_THICKNESS),
            draw.normal(0.012, 0.012),
            draw.normal(0.006, 0.01) + (0.0 if male else FEMALE_BROW_ARCH),
        ),
        hair=style,
        hair_tone=hair_tone,
        hairline=draw.normal(0, 0.07) + (RECEDED if style == "receding" else 0.0),
        hair_depth=draw.uniform(0.07, 0.2),
        part=draw.uniform(-1, 1),
        beard=draw.choice(BEARDS) if grown and male else "none",
        beard_amount=draw.uniform(0.55, 1.0),
        liner=draw.uniform(0.6, 1.0) if made_up else draw.uniform(0.25, 0.6),
        age_lines=lined_share(age) * draw.uniform(0.6, 1.0),
        blotches=draw.uniform(0.02, 0.06),
        texture=(draw.uniform(), draw.uniform()),
        vertices=vertices,
        scale=scale,
        center=center,
    )


def _shape(draw: Draw, age: float, gender: float, ancestry, weight: float) -> np.ndarray:
    pack = shapes()
    moved = pack.base.reshape(-1).copy()
    add_macro_shape(moved, age, gender, ancestry, weight)
    names, weights = _local_weights(draw, pack)
    rows = [pack.local_names.index(name) for name in names]
    moved += np.array(weights, np.float32) @ pack.local[rows]
    return moved.reshape(-1, 3)


def add_macro_shape(moved: np.ndarray, age: float, gender: float, ancestry, weight: float) -> None:
    """Add to coordinates float32 (V * 3,) what age, gender, ancestry and weight make of a head."""
    pack = shapes()
    low, high, share = ("child", "young", _share(age, "child", "young"))
    if age > AGES["young"]:
        low, high, share = "young", "old", _share(age, "young", "old")
    ages = {low: 1 - share, high: share}
    for gender_name, gender_share in (("female", 1 - gender), ("male", gender)):
        for age_name, age_share in ages.items():
            for ancestry_name, part in zip(("african", "asian", "caucasian"), ancestry, strict=True):
                moved += (
                    gender_share * age_share * part * pack.people[f"{ancestry_name}-{gender_name}-{age_name}"]
                )
            name, heavy = f"{gender_name}-{age_name}", abs(weight)
            far = "maxweight" if weight > 0 else "minweight"
            moved += gender_share * age_share * (1 - heavy) * pack.weights[f"{name}-averageweight"]
            moved += gender_share * age_share * heavy * pack.weights[f"{name}-{far}"]


def lined_share(age: float) -> float:
    """Return how far wrinkles have developed at an age in years, 0..1."""
    return min(1.0, max(0.0, (age - 22) / 45))


def _share(age: float, low: str, high: str) -> float:
    return min(1.0, max(0.0, (age - AGES[low]) / (AGES[high] - AGES[low])))


def _local_weights(draw: Draw, pack: Shapes) -> tuple[list[str], list[float]]:
    """Draw how much of each shape a person has: of each pair of opposites one."""
    names, weights = [], []
    known = set(pack.local_names)
    for name in pack.local_names:
        stem, _, end = name.rpartition("-")
        other = next((b for a, b in OPPOSITES if end == a and f"{stem}-{b}" in known), None)
        if other is None:
            continue
        size = draw.normal(0, _spread(name), 2)
        chosen = name if size < 0 else f"{stem}-{other}"
        if chosen.startswith("nose-point-down") or chosen.startswith("nose-scale-depth-incr"):
            size *= 0.5
        names.append(chosen)
        weights.append(min(1.0, abs(size)))
    names.append(HEAD_FORMS[draw.below(len(HEAD_FORMS))])
    weights.append(draw.uniform(0, 0.6))
    return names, weights


def _spread(name: str) -> float:
    fitting = [start for start in SPREAD if name.startswith(start)]
    return SPREAD[max(fitting, key=len)] if fitting else 0.42


def eyes_of(vertices: np.ndarray) -> tuple[tuple[float, float, float], float]:
    """Return the middle between the eyes, and the head's size against the base head's."""
    balls = vertices[shapes().parts["eyes"]].astype(np.float64)
    half = len(balls) // 2
    one, two = balls[:half].mean(0), balls[half:].mean(0)
    return tuple(((one + two) / 2).tolist()), float(np.linalg.norm(two - one)) / 0.6155


def _hair_tone(draw: Draw, age: float, ancestry) -> float:
    fair = ancestry[2] > 0.5 and draw.chance(0.5)
    tone = draw.uniform(0.12, 0.5) if fair else draw.uniform(0.02, 0.09)
    grey = min(1.0, max(0.0, (age - 42) / 30 + draw.normal(0, 0.25)))
    return tone + (0.6 - tone) * grey * 0.8


def _style(draw: Draw, age: float, male: bool) -> str:
    style = draw.choice({name: shares[male] for name, shares in HAIR.items()})
    return "short" if age < 25 and style in ("bald", "receding") else style
