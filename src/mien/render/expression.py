"""Expressions: which facial action units a class shows, and which blend shapes each unit moves.

Units are FACS's by number (Ekman and Friesen 1978; combinations after EMFACS), the shapes are the
ARKit-like ones of the pack. Knows nothing about people or images.
"""

from dataclasses import dataclass, replace

import numpy as np

from mien.render.draw import Draw

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 26, 43)
LARGEST_WEIGHT = 1.9  # of a shape; beyond it lids and lips tear

SIDED = {  # AU -> shapes that come as Left and Right, with how far they move at 1
    2: {"browOuterUp": 1.35},
    4: {"browDown": 1.4},
    5: {"eyeWide": 1.6},
    6: {"cheekSquint": 1.25},
    7: {"eyeSquint": 1.3},
    9: {"noseSneer": 1.4},
    10: {"mouthUpperUp": 1.6},
    12: {"mouthSmile": 1.3},
    14: {"mouthDimple": 1.0},
    15: {"mouthFrown": 1.5},
    16: {"mouthLowerDown": 1.4},
    20: {"mouthStretch": 1.4},
    24: {"mouthPress": 0.7, "mouthFrown": 0.3},
    43: {"eyeBlink": 1.0},
}
SINGLE = {
    1: {"browInnerUp": 2.0},
    17: {"mouthShrugLower": 1.25, "mouthShrugUpper": 0.45},
    18: {"mouthPucker": 1.0},
    22: {"mouthFunnel": 1.0},
    23: {"mouthRollUpper": 1.0, "mouthRollLower": 1.0},
    26: {"jawOpen": 1.0},
}
REST = {"mouthSmile": 0.2}  # the base face's corners of the mouth hang
UNREST = (4, 9, 15, 17, 23, 24)  # units that end it


def _ways(*told: tuple[float, str]) -> tuple[tuple[float, dict[int, tuple[float, float]]], ...]:
    """Read ways as "4 0.9-1.4, 7 0.4-0.9"."""
    ways = []
    for share, text in told:
        words = [unit.split() for unit in text.split(", ") if unit]
        ways.append((share, {int(au): tuple(map(float, span.split("-"))) for au, span in words}))
    return tuple(ways)


WAYS = {  # label -> ways of showing it: share, and each AU's range at intensity 1
    "angry": _ways(
        (0.40, "4 1.1-1.6, 5 0.3-0.7, 7 0.4-0.8, 24 0.7-1.2, 23 0.4-0.9, 17 0.2-0.6, 9 0-0.3"),
        (0.20, "4 1.1-1.6, 5 0-0.4, 7 0.5-0.9, 15 0.2-0.5, 17 0.3-0.7, 24 0.5-1"),
        (0.40, "4 1.2-1.7, 5 0.3-0.8, 7 0.3-0.7, 9 0.2-0.5, 10 0.4-0.8, 16 0.9-1.4, 26 0.15-0.5, 22 0-0.4"),
    ),
    "disgust": _ways(
        (0.40, "9 1.1-1.6, 10 0.9-1.4, 4 0.1-0.4, 6 0.3-0.7, 7 0.5-0.9, 15 0.3-0.7, 17 0.4-0.9"),
        (0.40, "9 1.1-1.6, 10 1-1.5, 16 0.3-0.7, 4 0.1-0.4, 7 0.5-0.9, 26 0.05-0.2, 6 0.4-0.8"),
        (0.20, "9 1.1-1.6, 10 0.6-1.1, 15 0.5-1, 7 0.5-0.9, 4 0.1-0.4, 17 0.5-1"),
    ),
    "fear": _ways(
        (0.60, "1 1-1.5, 2 0.2-0.5, 4 0.5-0.9, 5 1-1.5, 20 1-1.5, 26 0.1-0.3, 16 0.6-1.1"),
        (0.40, "1 1-1.5, 2 0.2-0.5, 4 0.5-0.9, 5 1-1.5, 20 1-1.4, 26 0.3-0.5, 16 0.5-1, 10 0.1-0.4"),
    ),
    "happy": _ways(
        (0.22, "6 0.5-1, 12 0.9-1.25, 7 0.1-0.3, 14 0-0.3"),
        (0.53, "6 0.5-1, 12 0.9-1.25, 7 0.1-0.3, 26 0.05-0.2, 10 0.5-0.9, 16 0.2-0.5"),
        (0.25, "6 0.6-1.1, 12 0.9-1.25, 7 0.1-0.5, 26 0.3-0.65, 10 0.4-0.8, 16 0.2-0.6"),
    ),
    "sad": _ways(
        (0.50, "1 0.9-1.5, 4 0.1-0.35, 15 1-1.5, 17 0.3-0.8, 43 0.1-0.3"),
        (0.25, "1 0.9-1.4, 4 0.1-0.35, 15 1-1.5, 43 0.2-0.4, 17 0.1-0.4"),
        (0.25, "1 0.9-1.5, 4 0.2-0.5, 6 0.3-0.7, 7 0.2-0.5, 15 1-1.5, 20 0.1-0.4, 26 0.03-0.15, 17 0.3-0.7"),
    ),
    "surprise": _ways(
        (0.60, "1 0.7-1.2, 2 1-1.5, 5 0.7-1.3, 26 0.5-0.95"),
        (0.28, "1 0.7-1.1, 2 0.9-1.4, 5 0.6-1.2, 26 0.4-0.7, 22 0.4-0.8"),
        (0.12, "1 0.7-1.1, 2 1-1.5, 5 0.8-1.4, 26 0.3-0.45, 18 0.1-0.4"),
    ),
    "neutral": _ways((1.0, "")),
}
EASE = (0.8, 1.2)  # factor of a unit's intensity in its prototype
MISSING = 0.03  # probability that a unit is almost absent
STRAY = (1, 2, 4, 7, 12, 14, 15, 17, 24, 26, 43)  # units that move a little in any class
EYES_DOWN = {("sad", 1): (0.4, 0.8)}  # ways in which the eyes look down


@dataclass(frozen=True, slots=True)
class Expression:
    """The exact expression of a face. Action units are about 0..1.5, for the face's left and right half."""

    label: str
    intensity: float
    aus: dict[int, tuple[float, float]]  # AU -> (left, right)
    gaze: tuple[float, float] = (0.0, 0.0)  # to the viewer's right and up, -1..1
    second: str = ""  # the class that is mixed in
    second_share: float = 0.0

    def au(self, number: int) -> float:
        """Return a unit's mean over both halves."""
        return sum(self.aus.get(number, (0.0, 0.0))) / 2

    def mirrored(self) -> "Expression":
        """Return the same expression of a face in a mirror."""
        aus = {au: (right, left) for au, (left, right) in self.aus.items()}
        return replace(self, aus=aus, gaze=(-self.gaze[0], self.gaze[1]))


def pure(label: str, intensity: float = 1.0, way: int = 0) -> Expression:
    """Return the middle of a class's way of showing, symmetric and looking at the viewer."""
    aus = {au: (low + high) / 2 * intensity for au, (low, high) in WAYS[label][way][1].items()}
    return Expression(label, intensity, {au: (value, value) for au, value in aus.items()})


def expression(
    draw: Draw, label: str, intensity: float, *, second: str = "", second_share: float = 0.0
) -> Expression:
    """Draw one way in which a class shows, with the small movements that every face makes.

    With `second`, that class is mixed in at its share.
    """
    units, down = _way(draw, label)
    if second:
        others, other_down = _way(draw, second)
        units = {
            au: (1 - second_share) * units.get(au, 0.0) + second_share * others.get(au, 0.0)
            for au in {**units, **others}
        }
        down = (1 - second_share) * down + second_share * other_down
    shown = {au: value * intensity for au, value in units.items()}
    for au in STRAY:
        if draw.chance(0.25):
            shown[au] = shown.get(au, 0.0) + abs(draw.normal(0, 0.1))
    if draw.chance(0.015):
        shown[43] = 0.9
    aus = {au: _halves(draw, shown[au]) for au in sorted(shown)}
    gaze = draw.normal(0, 0.3, 2), draw.normal(0, 0.18, 2) - down * intensity
    return Expression(label, intensity, aus, gaze, second, second_share)


def _way(draw: Draw, label: str) -> tuple[dict[int, float], float]:
    ways = WAYS[label]
    number = draw.choice({i: way[0] for i, way in enumerate(ways)})
    low, high = EYES_DOWN.get((label, number), (0.0, 0.0))
    units = {}
    for au, span in ways[number][1].items():
        value, ease, missing = draw.uniform(*span), draw.uniform(*EASE), draw.chance(MISSING)
        units[au] = value * (0.2 if missing else ease)
    return units, draw.uniform(low, high)


def _halves(draw: Draw, value: float) -> tuple[float, float]:
    lean = draw.normal(0, 0.1, 2)
    left, right = (max(0.0, round(value * (1 + side * lean) + draw.normal(0, 0.04), 3)) for side in (1, -1))
    return left, right


def shape_weights(shown: Expression) -> dict[str, float]:
    """Return the weights of the pack's shapes for an expression, each clipped before shapes tear."""
    rest = max(0.0, 1 - 1.5 * max(shown.au(number) for number in UNREST))
    weights = {name + side: rest * weight for name, weight in REST.items() for side in ("Left", "Right")}
    for au, gains in SIDED.items():
        for side, value in zip(("Left", "Right"), shown.aus.get(au, (0.0, 0.0)), strict=True):
            for name, gain in gains.items():
                weights[name + side] = weights.get(name + side, 0.0) + gain * value
    for au, gains in SINGLE.items():
        for name, gain in gains.items():
            weights[name] = weights.get(name, 0.0) + gain * shown.au(au)
    _look(weights, shown.gaze)
    _ease(weights)
    return {name: float(np.clip(weight, 0, LARGEST_WEIGHT)) for name, weight in weights.items() if weight > 0}


def _look(weights: dict[str, float], gaze: tuple[float, float]) -> None:
    across, up = gaze
    for side, inward in (
        ("Left", -across),
        ("Right", across),
    ):  # the face's left eye is at the viewer's right
        weights[f"eyeLook{'In' if inward > 0 else 'Out'}{side}"] = abs(inward)
        weights[f"eyeLook{'Up' if up > 0 else 'Down'}{side}"] = abs(up)
        if up < 0:  # the lid follows, but not so far that the eye seems shut
            weights[f"eyeBlink{side}"] = min(weights.get(f"eyeBlink{side}", 0.0), 1 + 0.6 * up)


def _ease(weights: dict[str, float]) -> None:
    """Keep shapes that pull at the same place from adding up beyond what skin can do."""
    jaw = weights.get("jawOpen", 0.0)
    for name in ("mouthPressLeft", "mouthPressRight", "mouthRollUpper", "mouthRollLower", "mouthShrugUpper"):
        weights[name] = weights.get(name, 0.0) * max(0.0, 1 - 2.5 * jaw)
    for side in ("Left", "Right"):
        squint = weights.get(f"eyeSquint{side}", 0.0) + 0.5 * weights.get(f"cheekSquint{side}", 0.0)
        blink = weights.get(f"eyeBlink{side}", 0.0)
        weights[f"eyeBlink{side}"] = min(blink, max(0.0, 1.05 - 0.25 * squint)) if blink < 0.85 else 1.0
        weights[f"eyeSquint{side}"] = weights.get(f"eyeSquint{side}", 0.0) * (1 - 0.5 * min(1.0, blink))
