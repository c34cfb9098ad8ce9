"""Keep what models say of each test face: python scripts/predictions.py DATASET NAME=TABLE.csv …

Each TABLE holds predictions of the test faces, of mien's models by `mien evaluate MODEL --data DATASET --test --out
TABLE.csv`. Writes results/predictions/NAME.csv: ids, labels and probabilities, no picture, and which faces have copies,
as the data set and its audit (`mien audit DATASET --store`) know them. The openings of test that lie beside a TABLE go
into NAME.openings.jsonl. scripts/packages.py and tests/test_results.py judge them again.
"""

import shutil
import sys
from pathlib import Path

from mien.dataset import read_dataset
from mien.judge.inputs import Source, named_tables, read_networks
from mien.predictions import write_predictions

FOLDER = Path(__file__).resolve().parent.parent / "results" / "predictions"


def main(data: Path, items: list[str]) -> None:
    """Write the tables."""
    dataset = read_dataset(data)
    if not dataset.audited:
        sys.exit(f"{data}: its copies are not known; mien audit {data} --store")
    named = named_tables(items)
    FOLDER.mkdir(exist_ok=True)
    for name, (table, *_) in read_networks(named, Source(dataset, "test")).networks.items():
        write_predictions(FOLDER / f"{name}.csv", table)
        path = named[name][0]
        model = path.name.removesuffix(".csv").removesuffix(".predictions-test")
        for openings in (path.with_name(f"{model}.openings.jsonl"), path.with_name("openings.jsonl")):
            if openings.exists():
                shutil.copyfile(openings, FOLDER / f"{name}.openings.jsonl")


if __name__ == "__main__":
    if len(sys.argv) < 3 or not all("=" in each for each in sys.argv[2:]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
