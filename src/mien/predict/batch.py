"""A class that classifies batches of images for whatever engine brings them: Ray Data, Spark, Dask, Daft, or a loop.

It knows no engine. An engine makes one object a process, or sends a pickled one there, and calls it with a batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mien.errors import DataError, PictureError
from mien.model import Model
from mien.predict.columns import FaceTable, column_names, face_table
from mien.predict.images import load_image
from mien.predict.recognizer import Detections, FaceExpression, Recognizer, batches
from mien.reading import DEFAULT_MODEL

if TYPE_CHECKING:
    from pathlib import Path

IMAGE_COLUMNS = (
    "bytes",
    "content",
    "image",
    "path",
)  # of Ray Data, Spark's binary files, Hugging Face, anybody
NAME_COLUMNS = ("id", "path", "__key__")


class BatchPredictor:
    """Detects and classifies the faces of batches of images, in one thread. It pickles with its model.

    A batch is a mapping of columns: `image` names the one of images (by default the first there is of bytes, content,
    image and path), of which each is what `Recognizer.predict` takes, or a dict with `bytes` as Hugging Face's
    `datasets` write them; `name` the one that becomes `picture` (by default id, path or __key__). Columns named in
    `keep` are repeated for each row. An image that cannot be used has a row with its `problem`; none is lost.
    `channels` are those of color arrays, `settings` Recognizer's. Raises DataError for a batch without such columns.
    """

    def __init__(
        self,
        model: "str | Path | Model" = DEFAULT_MODEL,
        *,
        image: str | None = None,
        name: str | None = None,
        keep: Sequence[str] = (),
        channels: str = "rgb",
        crop: bool = False,
        **settings: Any,
    ) -> None:
        self._recognizer = Recognizer(model, **settings)
        self._image, self._name, self._keep = image, name, tuple(keep)
        self._channels, self._crop = channels, crop
        if doubled := set(keep) & set(column_names(self._recognizer.model.labels)):
            raise DataError(
                f"keep: {', '.join(sorted(doubled))} would stand there twice; rename it in the batch"
            )

    def __call__(self, batch: Any) -> Any:
        """Return the columns of a batch, with a row a face and one for an image without; see `columns.py`.

        A mapping of columns, as a dict or a data frame, gives a FaceTable; what is Arrow's is answered by `arrow`,
        which types columns that hold nothing, too, so that files of several batches can be read as one.
        """
        return self.arrow(batch) if hasattr(batch, "schema") else self._of_columns(batch)

    def _of_columns(self, batch: Mapping[str, Any]) -> FaceTable:
        known = list(batch.keys())
        images = _values(batch[_column(known, self._image, IMAGE_COLUMNS, "image")])
        names = [str(name) for name in _values(batch[_column(known, self._name, NAME_COLUMNS, "name")])]
        answers = self._answers(images)
        counts = [1 if isinstance(answer, PictureError) else max(1, len(answer)) for answer in answers]
        table = face_table(self._recognizer.model.labels, zip(names, answers, strict=True))
        for column in self._keep:
            values = _values(batch[_column(known, column, (), "keep")])
            kept = np.empty(len(values), object)
            kept[:] = values
            table[column] = np.repeat(kept, counts)
        return table

    def arrow(self, batch: Any) -> Any:
        """Return the same of a pyarrow.Table or RecordBatch as a pyarrow.Table of `schema`. Needs pyarrow."""
        from mien.predict.arrow import append_columns

        faces = self._of_columns({name: batch.column(name) for name in batch.schema.names})
        table = FaceTable({name: faces[name] for name in self._columns}).to_arrow()
        return append_columns(table, batch, {name: faces[name].tolist() for name in self._keep})

    @property
    def schema(self) -> Any:
        """The pyarrow.Schema of `arrow`'s answers, without the columns that are kept. Needs pyarrow."""
        from mien.predict.arrow import arrow_schema

        return arrow_schema(self._columns)

    @property
    def _columns(self) -> tuple[str, ...]:
        return column_names(self._recognizer.model.labels)

    def _answers(self, images: Iterable[Any]) -> list[list[FaceExpression] | PictureError]:
        """Return each image's faces, or why it cannot be used; faces are classified in batches that mix images."""
        answers: list[list[FaceExpression] | PictureError] = []
        for several in batches(map(self._detect, images)):
            for detections, faces in self._recognizer.classify_batch(several):
                answers.append(faces if detections.about is None else detections.about)
        return answers

    def _detect(self, image: Any) -> Detections:
        try:
            picture = load_image(_bytes_of(image), self._channels)
            return self._recognizer.detect(picture.pixels, crop=self._crop, reduction=picture.reduction)
        except (PictureError, TypeError, ValueError) as error:
            problem = error if isinstance(error, PictureError) else PictureError(error)
            return self._recognizer.no_detections(problem)


def _column(known: Sequence[str], given: str | None, usual: Sequence[str], what: str) -> str:
    """Return the name of a column: the one that was given, or the first of the usual ones."""
    for column in usual if given is None else (given,):
        if column in known:
            return column
    wanted = f'"{given}"' if given is not None else " or ".join(usual)
    raise DataError(f"{what}: the batch has no column {wanted} (it has {', '.join(map(str, known))})")


def _values(column: Any) -> list[Any]:
    """Return a column's values, of Arrow's, numpy's, pandas's or Daft's or a list."""
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


def _bytes_of(image: Any) -> Any:
    """Return an image, of Hugging Face's dict its bytes or else its path."""
    if not isinstance(image, Mapping):
        return image
    stored = cast("Mapping[str, Any]", image)
    return stored.get("bytes") or stored.get("path")
