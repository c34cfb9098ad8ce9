"""`mien stress` with the package `fer` beside mien's models: python bench/stress_fer.py DATASET OUT FACES MODEL…

Run by an interpreter that has what `bench/package_fer.py` needs. Writes the same report as `mien stress`, of the same
corrupted val faces, FACES of them (0: all); fer has no threshold, so it is never "uncertain".
"""

import sys
from pathlib import Path

import package_fer

from mien.classifiers import read_classifiers
from mien.dataset import read_dataset
from mien.labels import LABELS  # fer has the same seven in the same order
from mien.pages.report import writing_report
from mien.progress import TerminalCounting
from mien.stress import about_annotators, draw_val, summary
from mien.stress.measure import Recognizing, measure
from mien.stress.report import PAGE, fill


def main(data: Path, out: Path, faces: int, models: list[str]) -> None:
    """Write the report."""
    dataset = read_dataset(data)
    labels, val = dataset.info.labels, draw_val(dataset, faces, 0)
    order = [LABELS.index(label) for label in labels]
    recognizing = {
        name: Recognizing(each.in_order(labels), each.threshold)
        for name, each in read_classifiers(models).items()
    }
    recognizing["fer"] = Recognizing(lambda images: package_fer.probabilities(images)[0][:, order], 0.0)
    with writing_report(out, PAGE, extra="compare") as report:
        result = measure(recognizing, val, progress=TerminalCounting())
        command = f"python bench/stress_fer.py {data} {out} {faces} {' '.join(models)}"
        fill(
            report,
            result,
            data=f"{data.resolve().name}'s val",
            face=val.images[0],
            command=command,
            people=about_annotators(dataset, val),
        )
    print(summary(result))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
