"""Pictures in, faces with their expression out. Knows nothing about where pictures come from.

recognizer = Recognizer()
for face in recognizer.predict("photo.jpg"):
    print(face.label, face.probabilities)
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Literal, overload

import numpy as np

from mien.errors import DeviceError, PictureError
from mien.faces import Face, Finder, align, grey
from mien.faces.finder import LONG_SIDE
from mien.model import BATCH, Model, Prior, read_model
from mien.pictures import LARGEST_RATIO, square
from mien.predict.columns import FaceTable, face_table
from mien.predict.images import ImageInput, load_image, path_of, refuse_one_image
from mien.predict.occlusion import occlusion
from mien.reading import DEFAULT_MODEL
from mien.workers import available_cores, spread

UNCERTAIN = "uncertain"
SMALLEST_LONG_SIDE = 64


@dataclass(frozen=True, slots=True, eq=False)
class FaceExpression(Face):
    """A face in a picture and its expression: how people would label it, not what is felt.

    Of a picture that was taken for a face as it is (`crop`), `box` is the square that was classified, `score` and
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

    def to_dict(self) -> dict[str, Any]:
        """Return the face as `mien predict --json` has it: plain numbers, text and lists; nan is None."""
        unknown = math.isnan(self.score)
        return {
            "box": [round(value, 2) for value in self.box],
            "landmarks": None if unknown else self.landmarks.round(2).tolist(),
            "score": None if unknown else round(self.score, 4),
            "label": self.label,
            "best": self.best,
            "confidence": round(self.confidence, 6),
            "probabilities": rounded(self.probabilities),
        }

    def __repr__(self) -> str:
        left, top, width, height = (round(value) for value in self.box)
        likely = f"{'' if self.certain else 'uncertain: '}{self.best} {self.confidence:.0%}"
        return f"FaceExpression({likely}, {width} x {height} at {left}, {top})"


ReadFace = FaceExpression  # its name until 0.1


def rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """Return shares by class, or by label, as JSON has them."""
    return {label: round(share, 6) for label, share in shares.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The faces detected in a picture, cropped and not classified yet; `about` is whatever goes with the picture."""

    about: Any
    faces: list[Face]
    crops: np.ndarray  # uint8 (N, S, S)


class Recognizer:
    """Detects faces and classifies their expression. It may be used by several threads at once, and pickled.

    `model` is a shipped model's name, the path of a `.onnx` file that `mien export` wrote, or a Model. Pictures are
    searched with a long side of at most `long_side` pixels: more finds smaller faces and takes longer. A face whose
    highest probability is below `threshold` is "uncertain"; None is the model's own. `prior` says how frequent the
    classes are: "train" as where the model learned, "balanced", label to share, or a JSON file; None is the model's
    own. Faces whose detector score, 0..1, is below `min_score`, or of whose box a side is below `min_face` pixels of
    the picture, are dropped. `threads` are onnxruntime's for one call. `device` runs the networks: "cpu", "cuda",
    "coreml", "directml", "openvino", or "auto", a GPU that the installed onnxruntime can use, else the CPU; None is the
    model's, the CPU unless it was read for another. `.device` is which it is, and `.device_note` says why "auto" took
    no GPU that there is. Raises ModelError where the model cannot be used (DeviceError where that is for its device, or
    as its answers there are not the CPU's), DataError for a prior of other classes, ValueError for a setting out of its
    range.
    """

    def __init__(
        self,
        model: str | Path | Model = DEFAULT_MODEL,
        *,
        long_side: int = LONG_SIDE,
        threshold: float | None = None,
        prior: Prior | None = None,
        min_score: float = 0.0,
        min_face: float = 0.0,
        threads: int = 1,
        device: str | None = None,
    ) -> None:
        if long_side < SMALLEST_LONG_SIDE:
            raise ValueError(f"long_side must be at least {SMALLEST_LONG_SIDE} and is {long_side}")
        for name, share in {"threshold": threshold or 0.0, "min_score": min_score}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be from 0 to 1 and is {share}")
        if not min_face >= 0:
            raise ValueError(f"min_face must be a number of pixels and is {min_face}")
        model = model if isinstance(model, Model) else read_model(model, threads=threads)
        model, self._finder, self.device_note = _on_device(model, device or model.device, threads)
        model = model if prior is None else model.with_prior(prior)
        self.model = model if threshold is None else replace(model, threshold=threshold)
        self.long_side = long_side
        self.min_score = min_score
        self.min_face = min_face
        self._template = np.array(self.model.crop["template"])
        self._upright: float = self.model.crop["upright"]

    @property
    def device(self) -> str:
        """What runs the networks."""
        return self.model.device

    def predict(
        self, image: ImageInput, *, channels: str | None = None, crop: bool = False
    ) -> list[FaceExpression]:
        """Return the faces of a picture, the largest first; none is an empty list.

        `image` is a path, the bytes of a picture file or a file object that holds them, base64 text or a data URI, a
        Pillow image, or an array uint8 (H, W) grey or (H, W, 3). The latter needs `channels`, "rgb" or "bgr" (as
        OpenCV reads them), which is never guessed. Files are read as `mien pack` reads them: upright by their EXIF
        orientation, the first frame. `crop` takes the picture for a face: its middle square is classified, shrunk
        area-true. Raises PictureError for a picture that cannot be used, ValueError for an array that is none,
        TypeError for anything else.
        """
        picture = load_image(image, channels)
        return self.classify(self.detect(picture.pixels, crop=crop, reduction=picture.reduction))

    @overload
    def predict_many(
        self,
        images: Iterable[ImageInput],
        *,
        channels: str | None = None,
        crop: bool = False,
        return_errors: Literal[False] = False,
        workers: int | None = None,
    ) -> Iterator[list[FaceExpression]]: ...

    @overload
    def predict_many(
        self,
        images: Iterable[ImageInput],
        *,
        channels: str | None = None,
        crop: bool = False,
        return_errors: bool,
        workers: int | None = None,
    ) -> Iterator[list[FaceExpression] | PictureError]: ...

    def predict_many(
        self,
        images: Iterable[Any],
        *,
        channels: str | None = None,
        crop: bool = False,
        return_errors: bool = False,
        workers: int | None = None,
    ) -> Iterator[list[FaceExpression]] | Iterator[list[FaceExpression] | PictureError]:
        """Return an iterator over what `predict` returns of each image, in order, classified in batches of 32 faces.

        Images are taken as they are needed and memory does not grow with their number. `workers` threads compute at a
        time, by default one a core that this process may use. With `return_errors` a PictureError stands in the place
        of every item that cannot be used, whatever it is; else it is raised. TypeError for one image, ValueError for
        fewer than one worker.
        """
        refuse_one_image(images)
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1 and is {workers}")

        def detect(image: Any) -> Detections:
            try:
                picture = load_image(image, channels)
                return self.detect(picture.pixels, crop=crop, reduction=picture.reduction)
            except (PictureError, TypeError, ValueError) as error:
                if not return_errors:
                    raise
                return self.no_detections(error if isinstance(error, PictureError) else PictureError(error))

        return (
            faces if detections.about is None else detections.about
            for detections, faces in self.stream(detect, images, workers=workers)
        )

    def table(
        self,
        images: Iterable[Any],
        *,
        channels: str | None = None,
        crop: bool = False,
        workers: int | None = None,
    ) -> FaceTable:
        """Return columns with a row a face, and one for an image without, or that cannot be used; see `columns.py`.

        Images are what `predict` takes; `picture` is the path of one that is given by its path, else its place, from
        0. TypeError for one image.
        """
        refuse_one_image(images)
        names: list[str] = []  # of those that were taken so far, which are more than were answered

        def named() -> Iterator[Any]:
            for number, image in enumerate(images):
                names.append(path_of(image) or str(number))
                yield image

        answers = self.predict_many(
            named(), channels=channels, crop=crop, return_errors=True, workers=workers
        )
        rows = ((name, answer) for answer, name in zip(answers, names, strict=False))
        return face_table(self.model.labels, rows)

    def detect(
        self, pixels: np.ndarray, *, crop: bool = False, reduction: int = 1, about: Any = None
    ) -> Detections:
        """Detect and crop the faces of a picture uint8 (H, W) or (H, W, 3) RGB.

        Boxes and landmarks are in pixels of the picture `reduction` times as large, which it was read from.
        """
        if crop:
            face, cropped = self._whole(pixels)
            large = reduction * face.box[2] >= self.min_face
            return (
                Detections(about, [face.scaled(reduction)], cropped[None])
                if large
                else self.no_detections(about)
            )
        faces = [
            face
            for face in self._finder.find(pixels, long_side=self.long_side)
            if self.accepts(face, reduction=reduction)
        ]
        return self.crop_faces(pixels, faces, reduction=reduction, about=about)

    def accepts(self, face: Face, *, reduction: int = 1) -> bool:
        """Whether a detected face is certain and large enough, in a picture shrunk by `reduction`."""
        return face.score >= self.min_score and reduction * min(face.box[2:]) >= self.min_face

    def crop_faces(
        self, pixels: np.ndarray, faces: list[Face], *, reduction: int = 1, about: Any = None
    ) -> Detections:
        """Crop faces of a picture uint8 (H, W) or (H, W, 3) RGB that are detected already."""
        if not faces:
            return self.no_detections(about)
        framing: dict[str, Any] = {"template": self._template, "upright": self._upright}
        crops = np.stack([align(pixels, face, self.model.side, **framing) for face in faces])
        return Detections(about, [face.scaled(reduction) for face in faces], crops)

    def no_detections(self, about: Any = None) -> Detections:
        """Return what `detect` returns where there is no face."""
        return Detections(about, [], np.empty((0, self.model.side, self.model.side), np.uint8))

    def classify(self, detections: Detections) -> list[FaceExpression]:
        """Return the faces of one picture with their expression."""
        return next(self.classify_batch([detections]))[1]

    def classify_batch(self, several: list[Detections]) -> Iterator[tuple[Detections, list[FaceExpression]]]:
        """Yield pictures with their faces, in order, classified in batches that mix pictures."""
        crops = np.concatenate([detections.crops for detections in several])
        rows = iter(self.model.probabilities(crops))
        for detections in several:
            pairs = zip(detections.faces, detections.crops, strict=True)
            yield detections, [self._labeled(face, crop, next(rows)) for face, crop in pairs]

    def stream(
        self, detect: Callable[[Any], Detections], things: Iterable[Any], *, workers: int | None = None
    ) -> Iterator[tuple[Detections, list[FaceExpression]]]:
        """Yield what is detected in each thing, in order, with its faces classified.

        Detection and classification overlap; so many threads compute at a time.
        """
        workers = workers or available_cores()
        slots = BoundedSemaphore(workers)
        detections = spread(detect, things, workers=workers, slots=slots)
        classified = spread(
            lambda several: list(self.classify_batch(several)), batches(detections),
            ahead=2, workers=workers, slots=slots,
        )  # fmt: skip
        return chain.from_iterable(classified)

    # The names of these steps until 0.1.
    look, cut, nothing, read, read_together = detect, crop_faces, no_detections, classify, classify_batch

    def explain(self, face: FaceExpression) -> np.ndarray:
        """Return where the network looked, float32 (S, S): how much hiding a place of `face.crop` lowers `face.best`.

        Raises the probability where it is negative. See `occlusion.py`.
        """
        chosen = self.model.labels.index(face.best)
        return occlusion(face.crop, lambda crops: self.model.probabilities(crops)[:, chosen])

    def release_memory(self) -> None:
        """Give back the memory that detection keeps after a very large picture or a crowd, for a process that waits."""
        self._finder.release_memory()

    def _labeled(self, face: Face, crop: np.ndarray, probabilities: np.ndarray) -> FaceExpression:
        by_class = dict(zip(self.model.labels, probabilities.tolist(), strict=True))
        best = max(by_class, key=by_class.__getitem__)
        label = best if by_class[best] >= self.model.threshold else UNCERTAIN
        crop.flags.writeable = False
        return FaceExpression(face.box, face.score, face.landmarks, crop, by_class, label)

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


def _on_device(model: Model, device: str, threads: int) -> tuple[Model, Finder, str]:
    """Return a model and a finder on a device, and why they are on the CPU where "auto" means another device."""
    try:
        model, finder = model.on_device(device), Finder(threads=threads, device=device)
        if finder.device != "cpu":
            finder.open()  # refused here, and not at the first picture
        return model, finder, ""
    except DeviceError as error:
        if device != "auto":
            raise
        return model.on_device("cpu"), Finder(threads=threads), f"{error}; the CPU is used"


def batches(detections: Iterable[Detections], *, first: int = 1) -> Iterator[list[Detections]]:
    """Yield pictures in groups of `BATCH` faces or a few more, and of at most `BATCH` pictures.

    The first group has `first`, few so that the first answers come soon, the next up to twice as many, and so on.
    """
    batch: list[Detections] = []
    faces, enough = 0, first
    for one in detections:
        batch.append(one)
        faces += len(one.faces)
        if max(faces, len(batch)) >= enough:
            yield batch
            batch, faces, enough = [], 0, min(BATCH, 2 * enough)
    if batch:
        yield batch
