"""A sheet of 84 rendered faces to be read by somebody who did not make them: python scripts/blind_sheet.py SEED SHEET.

Writes SHEET (a PNG, the faces numbered and shuffled, twelve of each class, no second class mixed in). With
--answers FILE (a text of 84 classes, one a line, in the sheet's order) it prints how many are right and writes
results/rendered-reading.csv: number, label, read.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mien.labels import LABELS
from mien.render.draw import Draw
from mien.render.faces import Order, Plan, ordered, person_of
from mien.render.scene import picture

FACES, COLUMNS, FACE, STEP_X, STEP_Y = 84, 12, 100, 104, 118
RESULT = Path(__file__).resolve().parent.parent / "results" / "rendered-reading.csv"


def chosen(seed: int) -> list[tuple[str, np.ndarray]]:
    """Return (label, picture) of the faces in the sheet's order."""
    plan = Plan(7000, 48, seed, "balanced", 0.0, 0.0)
    found = []
    for number in Draw(seed, "blind").order(FACES):
        label = LABELS[number % len(LABELS)]
        _, shown, look = ordered(plan, Order(int(number), 0, label))
        found.append((label, picture(person_of(plan, int(number)), shown, look)))
    return found


def write_sheet(faces: list[tuple[str, np.ndarray]], path: Path) -> None:
    """Write the numbered faces."""
    sheet = Image.new("L", (COLUMNS * STEP_X, -(-len(faces) // COLUMNS) * STEP_Y), 255)
    pen = ImageDraw.Draw(sheet)
    for number, (_, pixels) in enumerate(faces):
        x, y = number % COLUMNS * STEP_X, number // COLUMNS * STEP_Y
        sheet.paste(Image.fromarray(pixels).resize((FACE, FACE), Image.Resampling.BICUBIC), (x, y + 14))
        pen.text((x + 2, y + 1), str(number + 1), fill=0)
    sheet.save(path)


def main() -> None:
    """Write the sheet, or count the answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seed", type=int)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--answers", type=Path)
    options = parser.parse_args()
    faces = chosen(options.seed)
    write_sheet(faces, options.sheet)
    if options.answers:
        read = options.answers.read_text(encoding="utf-8").split()
        rows = [
            (n, label, word) for n, ((label, _), word) in enumerate(zip(faces, read, strict=True), start=1)
        ]
        with open(RESULT, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("number", "label", "read"), *rows])
        print(f"{sum(label == word for _, label, word in rows)} of {len(rows)} right")


if __name__ == "__main__":
    main()
