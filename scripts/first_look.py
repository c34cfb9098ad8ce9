"""Makes README's picture, docs/pictures/people.png and people-faces.png: python scripts/first_look.py.

Six rendered people in a row, the last two with weaker expressions, then the same picture as `mien predict --annotate`
draws it. They are the first people of their seed, not chosen by what a network says of them.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mien import Recognizer
from mien.files import write_atomic
from mien.predict.annotate import annotated

sys.path.insert(0, str(Path(__file__).parent))
from serve_samples import TILE, png, taken

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
PEOPLE = (("happy", 1.0), ("surprise", 1.0), ("neutral", 1.0), ("sad", 1.0), ("angry", 0.8), ("fear", 0.6))
FIRST = 40  # the number of the first person


def people() -> np.ndarray:
    """Return a picture of six people side by side, uint8 (H, W)."""
    tiles = [
        taken(
            FIRST + i,
            label,
            TILE,
            intensity=intensity,
            size=0.68,
            background=0.4 + 0.06 * i,
            azimuth=-40 + 16 * i,
        )
        for i, (label, intensity) in enumerate(PEOPLE)
    ]
    return np.hstack(tiles)


def main() -> None:
    """Make both files anew."""
    write_atomic(FOLDER / "people.png", data := png(people()))
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    marked = annotated(pixels, Recognizer().predict(data))
    marked.quantize(96, dither=Image.Dither.NONE).save(FOLDER / "people-faces.png", optimize=True)


if __name__ == "__main__":
    main()
