"""A small data set such as people label themselves: python scripts/few_faces.py DATASET OUT [--train 300 …].

Both are drawn from DATASET's val split, the same for the same --seed, train in the shares of its classes; test is
DATASET's test without faces that stand in its other splits. So a network that was trained on DATASET's train has seen
none of them, and what it gains from so few pictures can be measured.
"""

import argparse
from pathlib import Path

import numpy as np

from mien.dataset import read_dataset, writing_dataset


def drawn(
    table: dict[str, np.ndarray], counts: dict[str, int], without: list[str], seed: int
) -> dict[str, np.ndarray]:
    """Return the rows of each new split, in the order of the table."""
    wanted = ~np.isin(table["label"], without)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(wanted & (table["split"] == "val")))
    if len(rows) < sum(counts.values()):
        raise SystemExit(f"val has {len(rows):,} faces, fewer than {sum(counts.values()):,}")
    splits = {"train": rows[: counts["train"]], "val": rows[counts["train"] :][: counts["val"]]}
    elsewhere = table["group"][table["split"] != "test"]
    splits["test"] = np.flatnonzero(wanted & (table["split"] == "test") & ~np.isin(table["group"], elsewhere))
    return {split: np.sort(chosen) for split, chosen in splits.items()}


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--val", type=int, default=300)
    parser.add_argument("--without", nargs="*", default=[], metavar="CLASS")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset = read_dataset(options.dataset)
    whole = dataset.whole()
    counts = {"train": options.train, "val": options.val}
    rows = drawn(whole.table, counts, options.without, options.seed)
    labels = tuple(label for label in dataset.info.labels if label not in options.without)
    with writing_dataset(options.out, side=dataset.info.side, labels=labels) as writer:
        for split, chosen in rows.items():
            for row in chosen:
                source = f"{dataset.info.fingerprint} {whole.table['id'][row]}"
                label = whole.table["label"][row]
                writer.add(whole.images[row].tobytes(), label=label, split=split, source=source)
        origin = {"kind": "few faces", "of": dataset.info.origin, "seed": options.seed, "files": {}}
        writer.finish(origin)
    print(f"{options.out}: " + ", ".join(f"{len(chosen):,} {split}" for split, chosen in rows.items()))


if __name__ == "__main__":
    main()
