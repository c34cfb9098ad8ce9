"""The default set of rendered faces as a sheet for the documentation: python scripts/rendered_sheet.py SHEET.

Twelve faces of each class, a row a class in the order of the labels, the first ones of the train split that are
clear (no second class mixed in) and of different people.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mien.dataset import read_dataset
from mien.labels import LABELS
from mien.render import cached_folder, render

FACES, SIDE = 12, 96


def main() -> None:
    """Render the default set where it is not there yet, and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sheet", type=Path)
    path = parser.parse_args().sheet
    dataset = read_dataset(render(cached_folder()).folder)
    table = dataset.table("train")
    rows = []
    for label in LABELS:
        clear = (table["shown"] == label) & (table["second"] == "")
        pictures = dataset.pictures(table["id"][clear][:FACES])
        large = [Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for p in pictures]
        rows.append(np.hstack([np.asarray(face) for face in large]))
    Image.fromarray(np.vstack(rows)).save(path, optimize=True)


if __name__ == "__main__":
    main()
