"""The contents of the page on rendered faces: sheets of faces, and figures beside FER2013's. Writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mien.dataset import Dataset
from mien.labels import LABELS
from mien.pages.faces import LARGEST_SIDE, data_uri
from mien.pages.tables import Table
from mien.render.draw import Draw
from mien.render.expression import AUS, Expression, pure
from mien.render.faces import Plan, ordered, orders, person_of
from mien.render.geometry import landmarks
from mien.render.identity import Person, identity
from mien.render.look import Look
from mien.render.scene import picture
from mien.text import decimal, percent, thousands

PER_CLASS = 14  # faces of each class on the sheet
INTENSITIES = (0.25, 0.5, 0.75, 1.0, 1.25)
PLAIN = Look(azimuth=25, elevation=32, hardness=0.5, background=0.62, clutter=0.12, sharpening=0.2)
MODELS = (2, 5, 11, 14)  # numbers of people who are shown alone
MODEL_SEED = 4
UNIT_NAMES = {
    1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser", 6: "cheek raiser",
    7: "lid tightener", 9: "nose wrinkler", 10: "upper lip raiser", 12: "lip corner puller", 14: "dimpler",
    15: "lip corner depressor", 16: "lower lip depressor", 17: "chin raiser", 18: "lip pucker", 20: "lip stretcher",
    22: "lip funneler", 23: "lip tightener", 24: "lip pressor", 26: "jaw drop", 43: "eyes closed",
}  # fmt: skip
FER2013 = {  # of 3,589 faces of its PublicTest; places measured in its mean face
    "mean": 129.0, "deviation": 65.0, "of_means": 33.0, "within": 54.0,
    "sharp": (30.0, 44.0, 61.0), "eyes_row": 17.0, "eyes_columns": (14.0, 34.0), "mouth_row": 38.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A face in the page."""

    uri: str
    alt: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Faces side by side under a heading."""

    heading: str
    faces: Sequence[Shown]


def by_class(dataset: Dataset) -> list[Row]:
    """Return some faces of each class, of the data set's train split, in its order."""
    train = dataset.development().train
    rows = []
    for i, label in enumerate(LABELS):
        found = np.flatnonzero(train.labels == i)
        chosen = found[:: max(1, len(found) // PER_CLASS)][:PER_CLASS]
        rows.append(Row(label, [Shown(data_uri(train.images[row]), f"Labeled {label}") for row in chosen]))
    return rows


def _taken(person: Person, shown: Expression, look: Look, alt: str, caption: str = "") -> Shown:
    return Shown(data_uri(picture(person, shown, look, side=LARGEST_SIDE)), alt, caption)


def _model(i: int) -> Person:
    return identity(Draw(MODEL_SEED, "person", MODELS[i]))


def by_intensity() -> list[Row]:
    """Return one person with each class from faint to strong."""
    rows = []
    for label in LABELS[:-1]:
        faces = [
            _taken(_model(0), pure(label, intensity), PLAIN, f"{label} at {intensity}", f"{intensity}")
            for intensity in (0.0, *INTENSITIES)
        ]
        rows.append(Row(label, faces))
    return rows


def by_unit() -> list[Row]:
    """Return one person with each facial action unit alone."""
    faces = [
        _taken(
            _model(1),
            Expression("neutral", 1, {au: (1.1, 1.1)}),
            PLAIN,
            UNIT_NAMES[au],
            f"{au}: {UNIT_NAMES[au]}",
        )
        for au in AUS
    ]
    return [Row("", faces)]


def by_look() -> list[Row]:
    """Return one person from many sides, in many lights, and behind things."""
    person, shown = _model(2), pure("happy", 0.8, 1)

    def row(heading: str, word: str, values: Sequence, **fixed) -> Row:
        looks = [(value, replace(PLAIN, **{word: value}, **fixed)) for value in values]
        return Row(
            heading, [_taken(person, shown, look, f"{heading} {value}", f"{value}") for value, look in looks]
        )

    return [
        row("yaw", "yaw", (-45, -30, -15, 0, 15, 30, 45)),
        row("pitch", "pitch", (-24, -16, -8, 0, 8, 16, 24)),
        row("roll", "roll", (-21, -14, -7, 0, 7, 14, 21)),
        row("light from", "azimuth", (-80, -55, -25, 0, 25, 55, 80), hardness=0.8),
        row("blur", "blur", (0.0, 0.4, 0.7, 1.0, 1.3, 1.7, 2.2)),
        row("occluder", "occluder", ("none", "glasses", "hand", "object"), place=(0.5, 0.8, 0.2)),
    ]


def strangers() -> list[Row]:
    """Return many people at rest."""
    people = [identity(Draw(MODEL_SEED, "person", number)) for number in range(28)]
    faces = []
    for person in people:
        who = f"{person.age:.0f} years, {'man' if person.gender > 0.5 else 'woman'}"
        faces.append(_taken(person, pure("neutral"), PLAIN, who, who))
    return [Row("", faces)]


def figures_table(dataset: Dataset, plan: Plan) -> Table:
    """Return measurements of the images, beside FER2013's."""
    images = dataset.development().train.images.astype(np.float32)
    sharp = np.percentile(_sharpness(images), (10, 50, 90))
    left, right, mouth = _places(plan)
    fer = FER2013

    def quantiles(values) -> str:
        return " / ".join(decimal(value, 0) for value in values)

    rows = [
        ("grey of all pixels, mean", decimal(float(images.mean()), 0), decimal(fer["mean"], 0)),
        ("grey of all pixels, sd", decimal(float(images.std()), 0), decimal(fer["deviation"], 0)),
        (
            "sd of the pictures' means",
            decimal(float(images.mean((1, 2)).std()), 0),
            decimal(fer["of_means"], 0),
        ),
        ("mean of the pictures' sd", decimal(float(images.std((1, 2)).mean()), 0), decimal(fer["within"], 0)),
        ("sd of the Laplacian, 10 / 50 / 90%", quantiles(sharp), quantiles(fer["sharp"])),
        ("eyes, row of 48", decimal((left[1] + right[1]) / 2, 1), decimal(fer["eyes_row"], 0)),
        ("eyes, columns", f"{left[0]:.1f}, {right[0]:.1f}", "{:.0f}, {:.0f}".format(*fer["eyes_columns"])),
        ("mouth, row of 48", decimal(mouth[1], 1), decimal(fer["mouth_row"], 0)),
    ]
    head = ("", "these faces", "FER2013")
    return Table("Pictures of the train split, and of FER2013's PublicTest", head, [("", rows)])


def _sharpness(images: np.ndarray) -> np.ndarray:
    around = images[:, :-2, 1:-1] + images[:, 2:, 1:-1] + images[:, 1:-1, :-2] + images[:, 1:-1, 2:]
    return (4 * images[:, 1:-1, 1:-1] - around).std((1, 2))


def _places(plan: Plan) -> np.ndarray:
    """Return where the eyes and the mouth are in the mean, of the first face of some people, of 48 pixels."""
    marks = []
    for its in [its for its in orders(plan) if its][:60]:
        _, shown, view = ordered(plan, its[0])
        marks.append(landmarks(person_of(plan, its[0].person), shown, view, 48))
    return np.mean(marks, axis=0)


def counts_table(dataset: Dataset) -> Table:
    """Return the data set's faces by class and split."""
    counts = dataset.info.counts
    rows = [(label, *(thousands(counts[split][label]) for split in counts)) for label in LABELS]
    return Table("Faces by class and split", ("", *counts), [("", rows)])


def truth_table(dataset: Dataset) -> Table:
    """Return the distribution of the ground truth in the train split."""
    truth = dataset.table("train")
    rows = []
    for name in (
        "intensity",
        "age",
        "gender",
        "yaw",
        "pitch",
        "roll",
        "light_azimuth",
        "light_elevation",
        "blur",
    ):
        values = truth[name].astype(float)
        rows.append((name, *(decimal(float(q), 2) for q in np.percentile(values, (5, 25, 50, 75, 95)))))
    shares = [
        ("a second class is mixed in", truth["second"] != ""),
        ("a wrong label", truth["shown"] != truth["label"]),
    ]
    shares += [
        (f"occluder: {name}", truth["occluder"] == name) for name in sorted(set(truth["occluder"].tolist()))
    ]
    share_rows = [(name, "", "", percent(float(np.mean(which))), "", "") for name, which in shares]
    head = ("", "5%", "25%", "median", "75%", "95%")
    return Table(
        "The truth in the table of the train split", head, [("", rows), ("Share of the faces", share_rows)]
    )
