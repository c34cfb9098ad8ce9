"""Faces of pictures as columns: a row a face, and one for a picture without. Knows nothing about where they go.

`picture` names the picture; `face` counts its faces from 1, the largest first, and is 0 where there is none, with the
reason in `problem`. Lengths are in the picture's pixels. What a row has not is None in a column of text, else nan.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import PictureError
from mien.predict.images import LONGEST_NAME
from mien.text import shortened

if TYPE_CHECKING:
    from mien.predict.recognizer import FaceExpression

NO_FACE = "no face found"
POINTS = ("eye1", "eye2", "nose", "mouth1", "mouth2")  # left to right as seen
BOX = ("left", "top", "width", "height")
TEXT = ("picture", "label", "best", "problem")


def column_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns, in order, for a model's labels."""
    points = (f"{point}_{axis}" for point in POINTS for axis in "xy")
    shares = (f"p_{label}" for label in labels)
    return "picture", "face", "label", "best", "confidence", *shares, *BOX, "score", *points, "problem"


class FaceTable(dict[str, np.ndarray]):
    """Columns of one length by name: text as objects (str or None), `face` int32, all others float32."""

    def to_arrow(self) -> Any:
        """Return the columns as a pyarrow.Table, in which nan and None are null. Needs pyarrow."""
        from mien.predict.arrow import arrow_table

        return arrow_table(self)

    def to_pandas(self) -> Any:
        """Return the columns as a pandas.DataFrame. Needs pandas and pyarrow."""
        return self.to_arrow().to_pandas()


def face_table(
    labels: Sequence[str], answers: "Iterable[tuple[str, Sequence[FaceExpression] | PictureError]]"
) -> FaceTable:
    """Return the columns of pictures, each given as its name and its faces, or why it could not be used."""
    names = column_names(labels)
    rows = [row for name, answer in answers for row in _rows(name, answer, labels)]
    table = FaceTable()
    for name, values in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
        kind = object if name in TEXT else np.int32 if name == "face" else np.float32
        table[name] = np.array(values, kind)
    return table


def _rows(
    name: str, answer: "Sequence[FaceExpression] | PictureError", labels: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
    if isinstance(answer, PictureError) or not answer:
        unknown = [np.nan] * (1 + len(labels) + len(BOX) + 1 + 2 * len(POINTS))
        yield name, 0, None, None, *unknown, _problem(name, answer)
        return
    for number, face in enumerate(answer, start=1):
        shares = (face.probabilities[label] for label in labels)
        measures = (face.confidence, *shares, *face.box, face.score, *face.landmarks.ravel().tolist())
        yield name, number, face.label, face.best, *measures, None


def _problem(name: str, answer: "Sequence[FaceExpression] | PictureError") -> str:
    """Return why a picture has no face, without its path, which the row names already."""
    if isinstance(answer, PictureError):
        return str(answer).removeprefix(f"{shortened(name, LONGEST_NAME)}: ")
    return NO_FACE
