"""A data set of the strips that travel to a GPU: python bench/unstrip.py STRIPS DATASET.

STRIPS holds strip0.png to strip5.png, each 48 pixels wide, one face below the other, and table.npz with label, split
(0 Training, 1 PublicTest, 2 PrivateTest) and FER+'s votes. Without PrivateTest its train and val are those of
`mien pack fer2013.tar.gz`, so what is trained there is judged with `mien evaluate --test --data` where test is.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mien.dataset import SPLITS, writing_dataset
from mien.labels import LABELS


def main(strips: Path, out: Path) -> None:
    """Write the data set, whole or not at all."""
    Image.MAX_IMAGE_PIXELS = None
    faces = np.concatenate([np.asarray(Image.open(strips / f"strip{i}.png")) for i in range(6)])
    with np.load(strips / "table.npz") as table, writing_dataset(out, side=48, labels=LABELS) as writer:
        for number, (pixels, label, split) in enumerate(
            zip(faces.reshape(-1, 48 * 48), table["label"], table["split"], strict=True)
        ):
            place = f"strips, face {number}"
            writer.add(pixels.tobytes(), label=LABELS[label], split=SPLITS[split], source=place)
        writer.finish({"kind": "fer2013 strips", "files": {}})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
