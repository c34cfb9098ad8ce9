"""What FER+'s annotators reach on FER2013: python scripts/annotators.py DATASET [NAME=TABLE.csv …]

DATASET is packed with `--votes` (and `--majority`, where the majority is the label). Writes results/annotators.csv, or
annotators-majority.csv: a row a split and measure, from votes and labels alone; and, of each TABLE of predictions on
val that `mien evaluate MODEL --data DATASET --out TABLE.csv` wrote, how far the network is from one annotator.
"""

import sys
from pathlib import Path

from mien.audit.annotators import find_annotators
from mien.audit.data import gather
from mien.dataset import read_dataset
from mien.files import write_csv
from mien.judge import beside_annotators
from mien.judge.text import annotators_data, annotators_table
from mien.predictions import read_predictions
from results import ROOT


def main(folder: Path, tables: dict[str, Path]) -> None:
    """Write the table and print it."""
    dataset = read_dataset(folder)
    data = gather(folder)
    annotators = find_annotators(data)
    header, rows = annotators_data(annotators).csv()
    for name, path in tables.items():
        table = read_predictions(path)
        val = table.only(table.splits == "val")
        votes = dataset.class_votes(val.ids)
        if votes is None or val.classes != dataset.info.labels:
            sys.exit(f"{path}: not of {folder}'s classes, or no votes are known")
        beside = beside_annotators(val.probs.argmax(1)[None], votes, val.labels, val.groups)
        if beside is not None:
            for measure, value in (("by_labels", beside.by_labels), ("by_others", beside.by_others)):
                measure = f"{name}_minus_one_{measure}"
                rows.append(["val", annotators["val"].faces, measure, value.point, value.low, value.high])
    majority = bool(dataset.info.origin.get("options", {}).get("majority"))
    target = ROOT / "results" / ("annotators-majority.csv" if majority else "annotators.csv")
    write_csv(target, header, rows)
    print(annotators_table(annotators).text())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    named = (each.partition("=") for each in sys.argv[2:])
    main(Path(sys.argv[1]), {name: Path(path) for name, _, path in named})
