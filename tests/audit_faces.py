"""Makes faces out of smooth noise, copies of them as augmentations write them, and a small data set of both."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from mien.audit.pictures import resized
from mien.dataset import writing_dataset
from mien.labels import FERPLUS_VOTES, LABELS

SIDE = 48


def some_faces(count: int, seed: int = 0, side: int = SIDE) -> np.ndarray:
    """Return pictures of smooth noise with some grain, uint8 (count, side, side)."""
    rng = np.random.default_rng(seed)
    x = resized(rng.normal(0, 1, (count, 10, 10)).astype(np.float32), side)
    x = (x - x.min((1, 2), keepdims=True)) / np.ptp(x, axis=(1, 2), keepdims=True)
    return np.clip(25 + 200 * x + rng.normal(0, 5, x.shape), 0, 255).astype(np.uint8)


def brightened(face: np.ndarray, gamma: float) -> np.ndarray:
    """Return a face after a change of gamma; above 1 it is darker."""
    return np.round(255 * (face / 255.0) ** gamma).astype(np.uint8)


def recompressed(face: np.ndarray, quality: int) -> np.ndarray:
    """Return a face as a JPEG file of this quality gives it back."""
    data = io.BytesIO()
    Image.fromarray(face).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def shifted(face: np.ndarray, right: int, down: int) -> np.ndarray:
    """Return a face shifted by up to 4 pixels, its edge repeated."""
    side, room = len(face), 4
    return np.pad(face, room, mode="edge")[room - down :, room - right :][:side, :side].copy()


def turned(face: np.ndarray, degrees: float, zoom: float = 1) -> np.ndarray:
    """Return a face turned and zoomed about its middle, its edge repeated."""
    side, room = len(face), len(face) // 2
    middle = side / 2 + room
    across, down = np.cos(np.deg2rad(degrees)) / zoom, np.sin(np.deg2rad(degrees)) / zoom
    place = (
        across,
        down,
        middle - (across + down) * middle,
        -down,
        across,
        middle - (across - down) * middle,
    )
    large = Image.fromarray(np.pad(face, room, mode="edge"))
    moved = large.transform(large.size, Image.Transform.AFFINE, place, Image.Resampling.BILINEAR)
    return np.asarray(moved)[room:-room, room:-room].copy()


def planted(face: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a copy of a face, changed by each of the kind's words."""
    if "mirrored" in kind:
        face = face[:, ::-1].copy()
    if "shifted" in kind:
        steps = [(right, down) for right in (-1, 0, 1) for down in (-1, 0, 1) if right or down]
        face = shifted(face, *steps[rng.integers(8)])
    if "gamma" in kind:
        face = brightened(face, rng.uniform(0.7, 1.4))
    if "jpeg" in kind:
        face = recompressed(face, int(rng.integers(50, 91)))
    if "turned" in kind:
        face = turned(face, rng.choice([-1, 1]) * rng.uniform(5, 15), rng.uniform(0.92, 1.1))
    return face


def votes_for(label: str, other: str = "") -> tuple[int, ...]:
    """Return ten votes: seven for a label and three for neutral, or all for another name of FER+'s."""
    names = dict(
        zip(LABELS, ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), strict=True)
    )
    if other:
        return tuple(10 * (name == other) for name in FERPLUS_VOTES)
    return tuple(7 * (name == names[label]) + 3 * (name == "neutral") for name in FERPLUS_VOTES)


class Rows:
    """Rows of a data set to be: (picture, label, split, votes), and where planted ones stand by name."""

    def __init__(self):
        self.rows, self.at = [], {}

    def add(self, picture, label: str, split: str, name: str = "", votes=None) -> None:
        """Append a face; its id is its number."""
        self.at[name or str(len(self.rows))] = len(self.rows)
        self.rows.append((np.asarray(picture), label, split, votes or votes_for(label)))

    def write(self, folder: Path, *, votes: bool = True) -> Path:
        """Write the data set."""
        side = len(self.rows[0][0])
        extra = tuple(f"vote_{name}" for name in FERPLUS_VOTES) if votes else ()
        with writing_dataset(folder, side=side, labels=LABELS, extra=extra) as writer:
            for number, (picture, label, split, counts) in enumerate(self.rows):
                more = {"extra": counts} if votes else {}
                writer.add(picture.tobytes(), label=label, split=split, source=f"toy, row {number}", **more)
            writer.finish({"kind": "toy", "files": {}})
        return folder


def fine_rows(seed: int = 0, side: int = SIDE) -> Rows:
    """Return a data set in which nothing is in question: 84 faces of train, 21 of val and 21 of test."""
    rows = Rows()
    for number, face in enumerate(some_faces(126, seed, side)):
        split = "train" if number < 84 else "val" if number < 105 else "test"
        rows.add(face, LABELS[number % 7], split)
    return rows


def rows_in_question() -> Rows:
    """Return the fine rows with every kind of thing that an audit looks for planted among them."""
    rows = fine_rows()
    face = [picture for picture, *_ in rows.rows]
    label = [LABELS[number % 7] for number in range(126)]
    rows.add(face[0], label[0], "train", "twice in train")
    rows.add(face[1], label[1], "val", "val in train")
    rows.add(face[2], label[2], "test", "test in train")
    rows.add(face[84], label[84], "test", "test in val")
    rows.add(face[3], LABELS[(3 + 1) % 7], "train", "conflict in train")
    rows.add(face[4], LABELS[(4 + 1) % 7], "test", "conflict with test")
    rows.add(shifted(face[10], 1, 0), label[10], "train", "near in train")
    rows.add(recompressed(brightened(face[11][:, ::-1], 1.3), 60), label[11], "test", "near in test")
    rows.add(turned(face[12], 10), label[12], "train", "turned in train")
    rows.add(turned(face[13], -8, 1.06), label[13], "val", "turned in val")
    for number, (split, grey) in enumerate((("train", 0), ("test", 0), ("val", 200))):
        rows.add(np.full((SIDE, SIDE), grey, np.uint8), "sad", split, f"flat {number}")
    soft = resized(np.random.default_rng(9).normal(0, 1, (1, 4, 4)).astype(np.float32), SIDE)[0]
    rows.add(np.uint8(255 * (soft - soft.min()) / np.ptp(soft)), "happy", "train", "blurred")
    more = some_faces(2, seed=77)
    rows.add(more[0], "fear", "train", "unvoted", votes_for("", "happiness"))
    rows.add(more[1], "fear", "test", "no face", votes_for("", "NF"))
    return rows


def findings(made, *kinds):
    """The rows of findings.csv, as dicts."""
    with open(made.folder / "findings.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if not kinds or row["kind"] in kinds]


def pairs(made, *kinds):
    """The pairs of ids of some kinds."""
    return {frozenset((int(row["id"]), int(row["other_id"]))) for row in findings(made, *kinds)}


def left_out(folder):
    """The reasons by source in a cleaned data set."""
    with open(folder / "left-out.csv", encoding="utf-8", newline="") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}
