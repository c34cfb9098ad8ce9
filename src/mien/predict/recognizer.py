"""Pictures in, faces with the expression that is read in each out. Knows nothing about where pictures come from.

recognizer = Recognizer()
for face in recognizer.predict("photo.jpg"):
    print(face.label, face.probabilities)
"""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from mien.errors import PictureError
from mien.faces import Face, Finder, align, grey
from mien.faces.finder import LONG_SIDE
from mien.model import BATCH, Model, read_model
from mien.pictures import LARGEST_RATIO, decode, from_image, read_file, square
from mien.predict.occlusion import occlusion
from mien.workers import spread

UNCERTAIN = "uncertain"
SMALLEST_LONG_SIDE = 64
CHANNELS = {"rgb": slice(None), "bgr": slice(None, None, -1)}


@dataclass(frozen=True, slots=True, eq=False)
class ReadFace(Face):
    """A face in a picture and the expression that is read in it: how people would label it, not what is felt.

    Of a picture that was taken for a face as it is (`crop`), `box` is the square that was read, `score` and
    `landmarks` are nan.
    """

    crop: np.ndarray  # uint8 (S, S), not writable, as the network saw it
    probabilities: dict[str, float]  # by class, in the model's order; they sum to 1
    label: str  # the most probable class, or "uncertain" where it is below the model's threshold

    @property
    def best(self) -> str:
        """The most probable class, whether or not that is certain enough."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def certain(self) -> bool:
        """Whether the label is a class."""
        return self.label == self.best

    @property
    def confidence(self) -> float:
        """The probability of the most probable class, 0..1."""
        return self.probabilities[self.best]

    def __repr__(self) -> str:
        left, top, width, height = (round(value) for value in self.box)
        likely = f"{'' if self.certain else 'uncertain: '}{self.best} {self.confidence:.0%}"
        return f"ReadFace({likely}, {width} x {height} at {left}, {top})"


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A picture whose faces are found and cut out, and not read yet; `about` is whatever goes with it."""

    about: object
    faces: list[Face]
    crops: np.ndarray  # uint8 (N, S, S)


class Recognizer:
    """Finds faces and reads their expression with a model. It may be used by several threads at once.

    `model` is a shipped model's name, the path of a `.onnx` file that `mien export` wrote, or a Model. Pictures are
    looked at with a long side of at most `long_side` pixels: more finds smaller faces and takes longer. `threads`
    are onnxruntime's for one call; `predict_many` uses all cores anyway. Raises ModelError where the model cannot
    be used, ValueError for a long side below 64.
    """

    def __init__(
        self, model: str | Path | Model = "pocket", *, long_side: int = LONG_SIDE, threads: int = 1
    ) -> None:
        if long_side < SMALLEST_LONG_SIDE:
            raise ValueError(f"long_side must be at least {SMALLEST_LONG_SIDE} and is {long_side}")
        self.model = model if isinstance(model, Model) else read_model(model, threads=threads)
        self.long_side = long_side
        self._finder = Finder(threads=threads)
        self._framing = {
            "template": np.array(self.model.crop["template"]),
            "upright": self.model.crop["upright"],
        }

    def predict(self, image, *, channels: str | None = None, crop: bool = False) -> list[ReadFace]:
        """Return the faces of a picture, the largest first; none is an empty list.

        `image` is a path, the bytes of a picture file, a Pillow image, or an array uint8 (H, W) grey or (H, W, 3).
        The latter needs `channels`, "rgb" or "bgr" (as OpenCV reads them), which is never guessed. Files are read as
        `mien pack` reads them: upright by their EXIF orientation, the first frame. `crop` takes the picture for a
        face: its middle square is read, shrunk area-true. Raises PictureError for a picture that cannot be used,
        ValueError for an array that is none, TypeError for anything else.
        """
        return self.read(self.look(picture(image, channels), crop=crop))

    def predict_many(
        self,
        images: Iterable,
        *,
        channels: str | None = None,
        crop: bool = False,
        return_errors: bool = False,
    ) -> Iterator[list[ReadFace]]:
        """Yield what `predict` returns of each image, in order, on all cores and in batches of 32 faces.

        Images are taken as they are needed and memory does not grow with their number. With `return_errors` a
        PictureError stands in the place of a picture that cannot be used, else it is raised. TypeError for one image.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise TypeError("predict_many takes several images; predict takes one")

        def look(image) -> Looked:
            try:
                return self.look(picture(image, channels), crop=crop)
            except PictureError as fault:
                if not return_errors:
                    raise
                return self.nothing(fault)

        for looked, faces in self.read_many(spread(look, images)):
            yield faces if looked.about is None else looked.about

    def look(self, pixels: np.ndarray, *, crop: bool = False, about: object = None) -> Looked:
        """Find and cut out the faces of a picture uint8 (H, W) or (H, W, 3) RGB."""
        if crop:
            face, cut = self._whole(pixels)
            return Looked(about, [face], cut[None])
        return self.cut(pixels, self._finder.find(pixels, long_side=self.long_side), about=about)

    def cut(self, pixels: np.ndarray, faces: list[Face], *, about: object = None) -> Looked:
        """Cut out faces of a picture uint8 (H, W) or (H, W, 3) RGB that are found already."""
        crops = [align(pixels, face, self.model.side, **self._framing) for face in faces]
        return Looked(about, faces, np.stack(crops)) if crops else self.nothing(about)

    def nothing(self, about: object = None) -> Looked:
        """Return what `look` returns where there is no face."""
        return Looked(about, [], np.empty((0, self.model.side, self.model.side), np.uint8))

    def read(self, looked: Looked) -> list[ReadFace]:
        """Return the faces of a picture that was looked at, each with its expression read."""
        return next(self.read_together([looked]))[1]

    def read_many(self, looked: Iterable[Looked]) -> Iterator[tuple[Looked, list[ReadFace]]]:
        """Yield pictures that were looked at with their faces, in order, read in batches on all cores."""
        return chain.from_iterable(
            spread(lambda some: list(self.read_together(some)), _together(looked), ahead=2)
        )

    def explain(self, face: ReadFace) -> np.ndarray:
        """Return where the network looked, float32 (S, S): how much hiding a place of `face.crop` lowers `face.best`.

        Raises the probability where it is negative. See `occlusion.py`.
        """
        chosen = self.model.labels.index(face.best)
        return occlusion(face.crop, lambda crops: self.model.probabilities(crops)[:, chosen])

    def read_together(self, some: list[Looked]) -> Iterator[tuple[Looked, list[ReadFace]]]:
        """Yield pictures that were looked at with their faces, in order, read in batches that mix them."""
        crops = np.concatenate([looked.crops for looked in some])
        answers = iter(self.model.probabilities(crops))
        for looked in some:
            cut_out = zip(looked.faces, looked.crops, strict=True)
            yield looked, [self._answer(face, crop, next(answers)) for face, crop in cut_out]

    def _answer(self, face: Face, crop: np.ndarray, probabilities: np.ndarray) -> ReadFace:
        by_class = dict(zip(self.model.labels, probabilities.tolist(), strict=True))
        best = max(by_class, key=by_class.__getitem__)
        label = best if by_class[best] >= self.model.threshold else UNCERTAIN
        crop.flags.writeable = False
        return ReadFace(face.box, face.score, face.landmarks, crop, by_class, label)

    def _whole(self, pixels: np.ndarray) -> tuple[Face, np.ndarray]:
        """Return the middle square of a picture as a face."""
        height, width = pixels.shape[:2]
        if max(height, width) > LARGEST_RATIO * min(height, width):
            raise PictureError(
                f"{width:,} x {height:,} pixels are too long for a face alone; have it found, without crop"
            )
        side = float(min(height, width))
        landmarks = np.full((5, 2), math.nan)
        landmarks.flags.writeable = False
        face = Face(((width - side) / 2, (height - side) / 2, side, side), math.nan, landmarks)
        return face, square(grey(pixels), self.model.side)


def _together(looked: Iterable[Looked]) -> Iterator[list[Looked]]:
    """Yield pictures in groups of `BATCH` faces or a few more, and of at most `BATCH` pictures.

    The first groups are smaller, so that the first answers come soon.
    """
    some, faces, enough = [], 0, 1
    for one in looked:
        some.append(one)
        faces += len(one.faces)
        if max(faces, len(some)) >= enough:
            yield some
            some, faces, enough = [], 0, min(BATCH, 2 * enough)
    if some:
        yield some


def picture(image, channels: str | None = None) -> np.ndarray:
    """Return what `predict` takes as pixels, uint8 (H, W) or (H, W, 3) RGB; errors as there."""
    if isinstance(image, str | os.PathLike):
        try:
            return decode(read_file(image), color=True).pixels
        except PictureError as fault:
            raise PictureError(f"{os.fspath(image)}: {fault}") from None
    if isinstance(image, bytes | bytearray | memoryview):
        return decode(bytes(image), color=True).pixels
    if isinstance(image, np.ndarray):
        return _of_array(image, channels)
    if hasattr(image, "getexif"):
        return from_image(image, color=True).pixels
    raise TypeError(f"a path, bytes, a Pillow image or an array is needed, not {type(image).__name__}")


def _of_array(array: np.ndarray, channels: str | None) -> np.ndarray:
    if array.dtype != np.uint8 or not array.size or not (array.ndim == 2 or array.shape[2:] == (3,)):
        raise ValueError(f"no picture: {array.dtype} {array.shape}; uint8 (H, W) or (H, W, 3) is needed")
    if array.ndim == 2:
        return np.ascontiguousarray(array)
    if channels is None or channels.lower() not in CHANNELS:
        raise ValueError(
            'say which channels a color array has: channels="rgb", or "bgr" as OpenCV reads them'
        )
    return np.ascontiguousarray(array[:, :, CHANNELS[channels.lower()]])
