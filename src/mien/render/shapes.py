"""The pack of shapes: a base head, its blend shapes and masks, read with numpy alone. Knows no person.

Lengths are in dm; y points up, z out of the face, x to the viewer's right. Everything is linear: a
head is `base` plus a weighted sum of moves. `scripts/pack_shapes.py` makes the pack.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

PACK = Path(__file__).with_name("shapes.npz")
STEP, BASE_STEP = 0.001, 0.0005  # dm a unit of the stored int16
FRONT_PARTS = ("skin", "eyes")  # drawn first, into one depth buffer


@dataclass(frozen=True, slots=True)
class Shapes:
    """The pack, as float32."""

    base: np.ndarray  # (V, 3)
    parts: dict[str, slice]  # the vertices of each part
    triangles: dict[str, np.ndarray]  # part -> int32 (T, 3) into the vertices
    masks: dict[str, np.ndarray]  # lips, lining, lids, ears: (V,) in 0..1
    units: np.ndarray  # (units, V * 3)
    unit_rows: dict[str, int]
    local: np.ndarray  # (locals, V * 3)
    local_names: tuple[str, ...]
    people: dict[str, np.ndarray]  # "asian-male-old" -> (V * 3,)
    weights: dict[str, np.ndarray]  # "male-old-maxweight" -> (V * 3,)
    faces: np.ndarray  # int32 (T, 3): the triangles of `FRONT_PARTS`
    lower_teeth: np.ndarray  # bool (V,)
    origin: tuple[str, str]  # the wheel's name and sha256


@lru_cache(maxsize=1)
def shapes() -> Shapes:
    """Return the pack; it is read once."""
    with np.load(PACK) as pack:
        stored = {name: pack[name] for name in pack.files}
    names = stored["part_names"].tolist()
    ends = np.cumsum(stored["part_sizes"].astype(int)).tolist()
    parts = {name: slice(start, end) for name, start, end in zip(names, [0, *ends[:-1]], ends, strict=True)}
    triangles = {name: stored[f"{name}_triangles"].astype(np.int32) for name in names}
    rows = {str(name): row for row, name in enumerate(stored["unit_names"])}
    units = _moves(stored["units"], STEP)
    lower = np.zeros(len(stored["base"]), bool)
    lower[parts["teeth"]] = np.abs(units[rows["jawOpen"]].reshape(-1, 3)[parts["teeth"]]).sum(1) > 0.01
    return Shapes(
        base=(stored["base"] * np.float32(BASE_STEP)).astype(np.float32),
        parts=parts,
        triangles=triangles,
        masks={
            name.removeprefix("mask_"): stored[name].astype(np.float32) / 255
            for name in stored
            if name.startswith("mask_")
        },
        units=units,
        unit_rows=rows,
        local=_moves(stored["local"], STEP),
        local_names=tuple(stored["local_names"].tolist()),
        people=dict(zip(stored["people_names"].tolist(), _moves(stored["people"], 4 * STEP), strict=True)),
        weights=dict(
            zip(
                [_short(name) for name in stored["weight_names"].tolist()],
                _moves(stored["weights"], 4 * STEP),
                strict=True,
            )
        ),
        faces=np.concatenate([triangles[part] for part in FRONT_PARTS]),
        lower_teeth=lower,
        origin=tuple(stored["origin"].tolist()),
    )


def _moves(stored: np.ndarray, step: float) -> np.ndarray:
    return stored.reshape(len(stored), -1).astype(np.float32) * np.float32(step)


def _short(name: str) -> str:
    return name.removeprefix("universal-").replace("averagemuscle-", "")
