"""The faces that are compared: a person with each attribute at each level, all else the same. Knows no model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from mien.faces import Finder
from mien.fairness.attributes import ATTRIBUTES, person_numbered
from mien.labels import LABELS
from mien.render.draw import Draw
from mien.render.expression import Expression, expression
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
SURROUNDED_SIDE = 128  # pixels of a picture with surroundings
SURROUNDED_SIZE = 0.13  # of a head there, against one that fills the picture: a face is about 12 pixels wide
EXAMPLE = 0  # number of the person on the page


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
    detected: (
        np.ndarray
    )  # float64 (levels,), share of the pictures with surroundings in which the face is found


def render_people(plan: Plan, workers: int, numbers: Iterable[int]) -> Iterator[PersonFaces]:
    """Yield the faces of the people with these numbers; the number of processes changes no byte."""
    return in_processes(partial(render_person, plan), numbers, workers)


def render_person(plan: Plan, number: int) -> PersonFaces:
    """Return the faces of the person with a number."""
    person = person_numbered(plan.seed, number)
    views = {label: view(plan.seed, number, label) for label in LABELS}
    changed = [_changed(name, level, person, views) for name, level in plan.levels()]
    faces = [
        picture(each, shown(plan.seed, number, label, intensity), seen, side=plan.side)
        for at_level in changed
        for label, intensity in SHOWN
        for each, seen in [at_level[label]]
    ]
    grid = np.stack(faces).reshape(len(changed), len(SHOWN), plan.side, plan.side)
    return PersonFaces(grid, np.array([_detected_share(plan.seed, number, at_level) for at_level in changed]))


def view(seed: int, number: int, label: str) -> Look:
    """Return pose, light and camera of a person's faces of a class, with nothing in front."""
    place = number, LABELS.index(label)
    return replace(look(Draw(seed, "look", *place), (seed, *place)), occluder="none")


def shown(seed: int, number: int, label: str, intensity: float) -> Expression:
    """Return how a person shows a class: at each intensity the same movements, more or less of them."""
    return expression(Draw(seed, "express", number, LABELS.index(label)), label, intensity)


def example(plan: Plan, name: str, *, side: int) -> list[np.ndarray]:
    """Return a happy face of one person at each level of an attribute, uint8 (side, side), in an even light."""
    label = "happy"
    plain = replace(
        view(plan.seed, EXAMPLE, label), yaw=-8.0, pitch=0.0, roll=0.0, azimuth=25.0, elevation=30.0, hardness=0.5,
        blur=0.0, noise=2.0, level=0.52, contrast=1.0, gamma=1.0, size=0.92, shift=(0.0, 0.0), background=0.6,
    )  # fmt: skip
    person, smile = person_numbered(plan.seed, EXAMPLE), shown(plan.seed, EXAMPLE, label, 0.9)
    changed = [_changed(name, level, person, {label: plain})[label] for level in ATTRIBUTES[name].levels]
    return [picture(each, smile, seen, side=side) for each, seen in changed]


def _changed(name: str, level: str, person: Person, views: dict[str, Look]) -> dict[str, tuple[Person, Look]]:
    """Return the person and each class's view with an attribute at a level."""
    attribute = ATTRIBUTES[name]
    return {label: attribute.levels[level](*attribute.basis(person, seen)) for label, seen in views.items()}


def _detected_share(seed: int, number: int, at_level: dict[str, tuple[Person, Look]]) -> float:
    """Return in which share of a person's pictures with surroundings the face is found: neutral, and one class more."""
    labels = NEUTRAL, LABELS[number % len(LABELS)]
    return float(np.mean([_is_detected(*at_level[label], seed, number, label) for label in labels]))


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
