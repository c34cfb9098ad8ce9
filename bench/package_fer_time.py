"""How long `fer`'s classifier takes beside `pocket`'s: python bench/package_fer_time.py DATASET.

Run by an interpreter as `bench/package_fer.py` asks for. Processor time of one thread, 300 of val's faces one by
one, five rounds in turns. The median ratio is `times_as_long` of fer in results/package-facts.csv; face-api's
and human's come from results/browser.csv (`bench/browser.py`), sizes are those of the files that hold the classifiers.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import package_fer

from mien.dataset import read_dataset
from mien.model import read_model

FACES, ROUNDS = 300, 5


def milliseconds(work: Callable[[], object]) -> float:
    """Return the processor time that a piece of work takes for each face."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began) / FACES


def main(dataset: str) -> None:
    """Print a line a round, and the median ratio."""
    faces = read_dataset(dataset).development().val.images[:FACES]
    pocket, ratios = read_model("pocket", threads=1), []
    for _ in range(ROUNDS):
        ours = milliseconds(lambda: [pocket.probabilities(faces[i : i + 1]) for i in range(len(faces))])
        theirs = milliseconds(lambda: package_fer.probabilities(faces))
        ratios.append(theirs / ours)
        print(f"pocket {ours:.2f} ms, fer {theirs:.2f} ms, ratio {ratios[-1]:.2f}")
    print(f"fer takes {median(ratios):.1f} times as long")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
