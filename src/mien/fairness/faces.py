"""The faces that are compared: a person with each attribute at each level, all else the same. Knows no model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from mien.faces import Finder
from mien.fairness.attributes import ATTRIBUTES, person_numbered
from mien.labels import LABELS
from mien.render.draw import Draw
from mien.render.expression import expression
from mien.render.faces import in_processes
from mien.render.geometry import landmarks
from mien.render.identity import Person
from mien.render.look import Look, look
from mien.render.scene import picture

INTENSITIES = (0.3, 0.5, 0.7, 0.9, 1.1)
NEUTRAL = "neutral"
SHOWN = (
    (NEUTRAL, 1.0),  # small movements alone
    *((label, intensity) for label in LABELS if label != NEUTRAL for intensity in INTENSITIES),
)
"""The expressions of a person at each level: class and intensity."""
SURROUNDED_SIDE, SURROUNDED_SIZE = (
    128,
    0.28,
)  # pixels of a picture with surroundings, and how large a face is there
SURROUNDED = 2  # such pictures of a person at each level: neutral, and a class that goes round the people


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rendered."""

    seed: int
    side: int  # pixels of a face
    attributes: tuple[str, ...]  # of ATTRIBUTES

    def levels(self) -> list[tuple[str, str]]:
        """Return attribute and level, in the order of the pictures."""
        return [(name, level) for name in self.attributes for level in ATTRIBUTES[name].levels]


@dataclass(frozen=True, slots=True, eq=False)
class PersonFaces:
    """The pictures of a person."""

    faces: np.ndarray  # uint8 (levels, SHOWN, side, side)
    detected: np.ndarray  # float64 (levels,), share of SURROUNDED pictures in which the face is found


def render_people(plan: Plan, people: int, workers: int) -> Iterator[PersonFaces]:
    """Yield the faces of so many people; the number of processes changes no byte."""
    return in_processes(partial(render_person, plan), range(people), workers)


def render_person(plan: Plan, number: int) -> PersonFaces:
    """Return the faces of the person with a number."""
    person = person_numbered(plan.seed, number)
    views = {label: view(plan.seed, number, label) for label in LABELS}
    faces, detected = [], []
    for name, level in plan.levels():
        changed = {label: _changed(name, level, person, views[label]) for label in LABELS}
        faces += [
            picture(
                changed[label][0],
                shown(plan.seed, number, label, intensity),
                changed[label][1],
                side=plan.side,
            )
            for label, intensity in SHOWN
        ]
        second = LABELS[number % len(LABELS)]
        detected.append(
            np.mean([_is_detected(*changed[label], plan.seed, number, label) for label in (NEUTRAL, second)])
        )
    grid = np.stack(faces).reshape(-1, len(SHOWN), plan.side, plan.side)
    return PersonFaces(grid, np.array(detected))


def view(seed: int, number: int, label: str) -> Look:
    """Return pose, light and camera of a person's faces of a class, with nothing in front."""
    place = number, LABELS.index(label)
    return replace(look(Draw(seed, "look", *place), (seed, *place)), occluder="none")


def shown(seed: int, number: int, label: str, intensity: float):
    """Return how a person shows a class: at each intensity the same movements, more or less of them."""
    return expression(Draw(seed, "express", number, LABELS.index(label)), label, intensity)


def example(plan: Plan, name: str, *, side: int) -> list[np.ndarray]:
    """Return a happy face of one person at each level of an attribute, uint8 (side, side), in an even light."""
    label, number = "happy", EXAMPLE
    person = person_numbered(plan.seed, number)
    plain = replace(
        view(plan.seed, number, label), yaw=-8.0, pitch=0.0, roll=0.0, azimuth=25.0, elevation=30.0, hardness=0.5,
        blur=0.0, noise=2.0, level=0.52, contrast=1.0, gamma=1.0, size=0.92, shift=(0.0, 0.0), background=0.6,
    )  # fmt: skip
    return [
        picture(changed, shown(plan.seed, number, label, 0.9), seen, side=side)
        for changed, seen in (_changed(name, level, person, plain) for level in ATTRIBUTES[name].levels)
    ]


EXAMPLE = 0  # number of the person on the page


def _changed(name: str, level: str, person: Person, seen: Look) -> tuple[Person, Look]:
    attribute = ATTRIBUTES[name]
    return attribute.levels[level](*attribute.basis(person, seen))


def _is_detected(person: Person, seen: Look, seed: int, number: int, label: str) -> bool:
    """Tell whether the detector finds a face in a picture with surroundings: eyes and mouth lie in its box."""
    small = replace(seen, size=seen.size * SURROUNDED_SIZE)
    face = shown(seed, number, label, 1.0)
    pixels = picture(person, face, small, side=SURROUNDED_SIDE)
    points = landmarks(person, face, small, SURROUNDED_SIDE)
    for found in _finder().find(pixels):
        corner, extent = np.array(found.box[:2]), np.array(found.box[2:])
        if ((points >= corner) & (points <= corner + extent)).all():
            return True
    return False


@lru_cache(maxsize=1)
def _finder() -> Finder:
    return Finder()
