"""A smaller data set drawn from another: python scripts/fewer_faces.py DATASET OUT --train N [--of-val M] […].

By default N of its train faces, and val and test as they are, ids too. With --of-val both are drawn from its val, N
faces for train and M for val, and test loses the faces that stand in DATASET's other splits: so a network that was
trained on DATASET's train has seen none of them, as with faces that people label themselves. Always the same faces.
"""

import argparse
from pathlib import Path

import numpy as np

from mien.dataset import SPLITS, read_dataset, writing_dataset


def drawn(table: dict[str, np.ndarray], train: int, of_val: int | None, without: list[str]) -> dict:
    """Return the rows of each new split, in the order of the table."""
    wanted = ~np.isin(table["label"], without)
    rows = {split: np.flatnonzero(wanted & (table["split"] == split)) for split in SPLITS}
    source = "train" if of_val is None else "val"
    shuffled = np.random.default_rng(0).permutation(rows[source])
    if len(shuffled) < train + (of_val or 0):
        raise SystemExit(f"{source} has {len(shuffled):,} faces, fewer than {train + (of_val or 0):,}")
    rows["train"] = np.sort(shuffled[:train])
    if of_val is not None:
        rows["val"] = np.sort(shuffled[train:][:of_val])
        elsewhere = table["group"][table["split"] != "test"]
        rows["test"] = rows["test"][~np.isin(table["group"][rows["test"]], elsewhere)]
    return rows


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, required=True)
    parser.add_argument("--of-val", type=int)
    parser.add_argument("--without", nargs="*", default=[], metavar="CLASS")
    options = parser.parse_args()
    dataset = read_dataset(options.dataset)
    whole = dataset.whole()
    rows = drawn(whole.table, options.train, options.of_val, options.without)
    labels = tuple(label for label in dataset.info.labels if label not in options.without)
    column = {name: whole.table[name] for name in ("id", "label", "source")}
    with writing_dataset(options.out, side=dataset.info.side, labels=labels) as writer:
        for split, chosen in rows.items():
            for row in chosen:
                told = {"label": column["label"][row], "source": column["source"][row]}
                writer.add(whole.images[row].tobytes(), split=split, identity=column["id"][row], **told)
        note = (
            f"Drawn from data set {dataset.info.fingerprint}: {len(rows['train']):,} of its faces are train."
        )
        origin = {"kind": "fewer faces", "of": dataset.info.fingerprint, "files": {}}
        writer.finish(origin, notes=[note])
    print(f"{options.out}: " + ", ".join(f"{len(chosen):,} {split}" for split, chosen in rows.items()))


if __name__ == "__main__":
    main()
