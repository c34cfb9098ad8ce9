"""A person with one attribute changed and all others kept. Knows nothing about expressions or light."""

from dataclasses import replace

import numpy as np

from mien.render.identity import (
    FEMALE_BROW_ARCH,
    FEMALE_BROW_THICKNESS,
    RECEDED,
    Person,
    add_macro_shape,
    eyes_of,
    lined_share,
)

USUAL_LINES = 0.8  # of the wrinkles that a face of an age can have


def with_age(person: Person, years: float) -> Person:
    """Return the person at another age: the shape of the head and the wrinkles; hair stays the same."""
    return replace(_reshaped(person, age=years), age_lines=USUAL_LINES * lined_share(years))


def with_gender(person: Person, gender: float) -> Person:
    """Return the person with another gender, 0 female to 1 male: the shape of the head and the brows."""
    tone, thick, height, arch = person.brow
    before, after = person.gender <= 0.5, gender <= 0.5
    thick *= FEMALE_BROW_THICKNESS ** (int(after) - int(before))
    arch += FEMALE_BROW_ARCH * (int(after) - int(before))
    return replace(_reshaped(person, gender=gender), brow=(tone, thick, height, arch))


def with_ancestry(person: Person, ancestry: tuple[float, float, float]) -> Person:
    """Return the person with other shares of the african, asian and caucasian head: its shape; skin and hair stay."""
    return _reshaped(person, ancestry=ancestry)


def with_hair(person: Person, style: str) -> Person:
    """Return the person with another style of hair, of the same tone."""
    hairline = person.hairline + RECEDED * ((style == "receding") - (person.hair == "receding"))
    return replace(person, hair=style, hairline=hairline)


def with_beard(person: Person, beard: str) -> Person:
    """Return the person with another beard, full-grown."""
    return replace(person, beard=beard, beard_amount=1.0)


def _reshaped(person: Person, **changed) -> Person:
    """Return the person with the shape that another age, gender or ancestry gives the head: shapes are added up."""
    after = replace(person, **changed)
    moved = np.zeros(person.vertices.size, np.float32)
    add_macro_shape(moved, person.age, person.gender, person.ancestry, person.weight)
    moved *= -1
    add_macro_shape(moved, after.age, after.gender, after.ancestry, after.weight)
    vertices = person.vertices + moved.reshape(-1, 3)
    center, scale = eyes_of(vertices)
    return replace(after, vertices=vertices, center=center, scale=scale)
