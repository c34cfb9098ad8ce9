"""A small data set of clips for tests: two classes that a bright bar tells apart, drawn and not rendered."""

from pathlib import Path

import numpy as np

from mien.dataset import Dataset, read_dataset, writing_dataset

SPLITS = {0: "val", 1: "test"}  # by person; all others are train
LABELS = ("happy", "sad")


def clip_set(folder: Path, *, people: int = 6) -> Dataset:
    """Write two clips of each person, one a class, of five frames and more, and read them back."""
    rng = np.random.default_rng(0)
    extra = ("clip", "frame", "seconds", "person")
    with writing_dataset(folder, side=48, labels=LABELS, extra=extra) as writer:
        for person in range(people):
            for number, label in enumerate(LABELS):
                for frame in range(5 + person):
                    pixels = rng.integers(0, 120, (48, 48)).astype(np.uint8)
                    pixels[20:30] += 100 * number
                    moment = (f"{person}-{number}", str(frame), f"{frame / 25:.4f}", f"p{person}")
                    source = f"{person}-{number}.mp4 frame {frame}"
                    split = SPLITS.get(person, "train")
                    writer.add(pixels.tobytes(), label=label, split=split, source=source, extra=moment)
        writer.finish({"kind": "clips", "files": {}})
    return read_dataset(folder)
