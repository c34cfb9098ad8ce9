#!/usr/bin/env python3
"""A photo with three faces, made of what scikit-image ships, without importing it: party_photo.py FILE."""

import importlib.util
import sys
from pathlib import Path

from PIL import Image

PLACES = ((300, (20, 150)), (200, (420, 60)), (240, (700, 200)))  # side, left and top of each portrait


def write_party(path: Path) -> None:
    """Write NASA's portrait of Eileen Collins three times, one mirrored, into a photo of a cup, 960 x 540."""
    folder = Path(importlib.util.find_spec("skimage").submodule_search_locations[0]) / "data"
    portrait, party = (Image.open(folder / name).convert("RGB") for name in ("astronaut.png", "coffee.png"))
    portrait, party = portrait.crop((120, 10, 340, 230)), party.resize((960, 540))
    for number, (side, place) in enumerate(PLACES):
        one = portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number == 1 else portrait
        party.paste(one.resize((side, side)), place)
    party.save(path, quality=92)


if __name__ == "__main__":
    write_party(Path(sys.argv[1]))
