"""`mien stress` and `mien fairness` with the package `fer` beside mien's models.

python bench/beside_fer.py stress DATASET OUT FACES MODEL…: so many val faces, 0 all
python bench/beside_fer.py fairness OUT PEOPLE MODEL…

Run by an interpreter that has what `bench/package_fer.py` needs. The reports are those of the commands, on the same
faces; fer has no threshold, so it is never "uncertain".
"""

import sys
from pathlib import Path

import package_fer

from mien import fairness, stress
from mien.dataset import read_info
from mien.labels import LABELS  # fer has the same seven in the same order
from mien.progress import TerminalCounting


def fer(faces):
    """Return fer's probabilities of faces uint8 (N, S, S), float64 (N, 7)."""
    return package_fer.probabilities(faces)[0]


def main(command: str, *arguments: str) -> None:
    """Write the report."""
    progress = TerminalCounting()
    if command == "stress":
        data, out, faces, *models = arguments
        order = [LABELS.index(label) for label in read_info(Path(data)).labels]
        others = {"fer": lambda images: fer(images)[:, order]}
        result = stress.stress(
            models, Path(data), Path(out), others=others, faces=int(faces), progress=progress
        )
        print(stress.summary(result))
    else:
        out, people, *models = arguments
        result = fairness.fairness(
            models, Path(out), others={"fer": fer}, people=int(people), progress=progress
        )
        print(fairness.summary(result))


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in ("stress", "fairness"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
