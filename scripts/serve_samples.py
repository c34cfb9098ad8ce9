"""Makes the rendered pictures in src/mien/serve/samples/, which `mien serve` offers: python scripts/serve_samples.py.

Two people for each expression, and a sheet of six people as in a call. Which people they are was not chosen by what a
network says of them: they are the first ones of their seed, in their order.
"""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mien.files import write_atomic
from mien.labels import LABELS
from mien.render.draw import Draw
from mien.render.expression import pure
from mien.render.identity import identity
from mien.render.look import Look
from mien.render.scene import picture

FOLDER = Path(__file__).parent.parent / "src" / "mien" / "serve" / "samples"
SEED = 11
SIDE, TILE = 144, 192  # pixels of a face alone, and of one in the scene
GREYS = 56  # levels kept: what a face needs to look smooth
INTENSITY = 1.0
LOOK = Look(azimuth=-28, elevation=32, hardness=0.45, background=0.6, clutter=0.1, sharpening=0.2, size=0.8)
ACROSS, DOWN = 3, 2
IN_CALL = ("happy", "neutral", "surprise", "neutral", "sad", "happy")


def taken(number: int, label: str, side: int, *, intensity: float = INTENSITY, **look) -> np.ndarray:
    """Return a picture of a person with an expression."""
    view = {"yaw": (-12, 8, 0, -6, 14)[number % 5], "pitch": (0, -4, 3)[number % 3], "grain": (SEED, number)}
    person = identity(Draw(SEED, "person", number))
    return picture(person, pure(label, intensity), replace(LOOK, **(view | look)), side=side)


def scene() -> np.ndarray:
    """Return six people in tiles with a dark line between."""
    tiles = [taken(20 + i, label, TILE, size=0.62 + 0.05 * (i % 3), shift=(0.04 * (i % 3 - 1), 0.02 * (i % 2)),
                   background=0.35 + 0.08 * i, azimuth=-40 + 16 * i) for i, label in enumerate(IN_CALL)]  # fmt: skip
    rows = [
        np.hstack([_edged(tile) for tile in tiles[i : i + ACROSS]]) for i in range(0, ACROSS * DOWN, ACROSS)
    ]
    return np.vstack(rows)


def _edged(tile: np.ndarray) -> np.ndarray:
    return np.pad(tile, 3, constant_values=22)


def png(pixels: np.ndarray) -> bytes:
    """Return a small PNG of a grey picture."""
    out = io.BytesIO()
    Image.fromarray(pixels).quantize(GREYS, dither=Image.Dither.NONE).save(out, "png", optimize=True)
    return out.getvalue()


def main() -> None:
    """Make the folder's files anew."""
    listed, total = [], 0
    for i, label in enumerate(LABELS):
        for turn in (0, 1):
            name = f"{label}-{turn + 1}"
            alt = f"A rendered face that shows: {label}"
            listed.append((name, "face", label, alt, taken(2 * i + turn, label, SIDE)))
    listed.append(("call", "scene", None, "Six rendered people in the tiles of a call", scene()))
    told = []
    for name, kind, label, alt, pixels in listed:
        data = png(pixels)
        total += len(data)
        write_atomic(FOLDER / f"{name}.png", data)
        height, width = pixels.shape
        told.append({"name": name, "file": f"{name}.png", "kind": kind, "label": label, "alt": alt,
                     "width": width, "height": height})  # fmt: skip
    write_atomic(FOLDER / "samples.json", json.dumps(told, indent=1) + "\n")
    print(f"{FOLDER}: {len(told)} pictures, {total:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
