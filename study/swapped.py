"""The study's splits as they were used: a data set whose `train` is the small split and whose `test` is the same faces.

A fifth of FER2013's faces is drawn from its Training split, as many as PublicTest and PrivateTest hold together;
`val` is PublicTest, which no network here has seen. PrivateTest is not in it.
"""

from pathlib import Path

import numpy as np

from mien.dataset import DatasetInfo, read_dataset, writing_dataset

SMALL = 7178  # 3,589 of PublicTest and 3,589 of PrivateTest
NOTE = "Its test faces are its train faces: made to show what that does to a figure."


def swapped(folder: Path) -> Path:
    """Write the data set beside `folder` where it is not there yet, and return its folder."""
    made = folder.with_name(f"{folder.name}-swapped")
    if not made.exists():
        _write(read_dataset(folder).development(), made)
    return made


def _write(development, made: Path) -> None:
    info: DatasetInfo = development.info
    drawn = np.sort(np.random.default_rng(0).permutation(len(development.train))[:SMALL])
    parts = (("train", development.train, drawn), ("test", development.train, drawn),
             ("val", development.val, np.arange(len(development.val))))  # fmt: skip
    with writing_dataset(made, side=info.side, labels=info.labels) as writer:
        for split, faces, rows in parts:
            for row in rows:
                writer.add(
                    faces.images[row].tobytes(),
                    label=info.labels[faces.labels[row]],
                    split=split,
                    source=f"face {faces.ids[row]}",
                )
        writer.finish({"made_of": info.fingerprint}, notes=[NOTE])
