"""The attributes that rendered people are compared by. Knows nothing about models.

To add one, add a row to `ATTRIBUTES`: the first of its levels is the one that the others are compared with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mien.render.change import with_age, with_ancestry, with_beard, with_gender, with_hair
from mien.render.draw import Draw
from mien.render.identity import Person, identity
from mien.render.look import Look

YOUNGEST = 18.0  # years: people are grown up where age is not what is changed
FEMALE, MALE = 0.1, 0.9
Change = Callable[[Person, Look], tuple[Person, Look]]


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that can be changed on a rendered person alone."""

    changes: str  # what the renderer changes, and what stays
    levels: Mapping[str, Change]
    basis: Change = lambda person, look: (person, look)  # what all levels are made of
    control: bool = False  # changes nothing that may matter


def _of_person(change: Callable[..., Person], value) -> Change:
    return lambda person, look: (change(person, value), look)


def _skin(albedo: float) -> Change:
    return lambda person, look: (replace(person, skin=albedo), look)


def _wearing(occluder: str) -> Change:
    return lambda person, look: (person, replace(look, occluder=occluder))


def _grain(number: int) -> Change:
    return lambda person, look: (person, replace(look, grain=(*look.grain, number)))


ATTRIBUTES: dict[str, Attribute] = {
    "age": Attribute(
        "the shape of the head and the lines of the skin; hair keeps its tone",
        {f"{years} years": _of_person(with_age, float(years)) for years in (30, 9, 72)},
    ),
    "gender": Attribute(
        "the shape of the head and the brows; hair stays, there are no beards",
        {"male": _of_person(with_gender, MALE), "female": _of_person(with_gender, FEMALE)},
    ),
    "ancestry": Attribute(
        "the shape of the head towards one of the three poles of the shapes; skin and hair stay",
        {
            "caucasian": _of_person(with_ancestry, (0.0, 0.0, 1.0)),
            "african": _of_person(with_ancestry, (1.0, 0.0, 0.0)),
            "asian": _of_person(with_ancestry, (0.0, 1.0, 0.0)),
        },
    ),
    "skin tone": Attribute(
        "how much light the skin reflects; the camera still sets its exposure by the face",
        {"light skin": _skin(0.60), "medium skin": _skin(0.40), "dark skin": _skin(0.20)},
    ),
    "hair": Attribute(
        "the style; its tone stays",
        {
            "short hair": _of_person(with_hair, "short"),
            "long hair": _of_person(with_hair, "long"),
            "fringe": _of_person(with_hair, "fringe"),
            "bald": _of_person(with_hair, "bald"),
        },
    ),
    "beard": Attribute(
        "what grows on a male face",
        {
            "no beard": _of_person(with_beard, "none"),
            "stubble": _of_person(with_beard, "stubble"),
            "full beard": _of_person(with_beard, "full"),
        },
        basis=_of_person(with_gender, MALE),
    ),
    "glasses": Attribute(
        "a frame around the eyes, without reflections",
        {"no glasses": _wearing("none"), "glasses": _wearing("glasses")},
    ),
    "head cover": Attribute(
        "a scarf around the face, over short hair, ears and neck",
        {"no scarf": _wearing("none"), "scarf": _wearing("scarf")},
        basis=_of_person(with_hair, "short"),
    ),
    "background and noise": Attribute(
        "nothing that may matter: other random numbers for the background and the noise of the camera",
        {"one": _grain(0), "another": _grain(1)},
        control=True,
    ),
}


def person_numbered(seed: int, number: int) -> Person:
    """Return a person of a seed: grown up, without a beard, else as `mien render` draws people."""
    person = identity(Draw(seed, "person", number))
    person = person if person.age >= YOUNGEST else with_age(person, YOUNGEST)
    return with_beard(person, "none")
