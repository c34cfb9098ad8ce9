"""Where the faces are in a picture: CenterFace in onnxruntime. Knows nothing about files or expressions.

The network lies beside this module; nothing is ever downloaded. Measured on 2026-11-24: it finds 97 % of 700
training faces of FER2013 and 99 of the 100 face crops (25 x 25) in scikit-image's "lfw_subset". It finds no face
in the 100 other crops there, in 19 photos and pictures of things, nor in 228 small pieces of
these; the best of all that scores 0.33.
"""

import math
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.devices import choose
from mien.devices import open_session as session_on
from mien.errors import ModelError
from mien.faces.decode import decode, distinct
from mien.faces.face import Face
from mien.faces.small import FEW, SMALL, SMALL_IN_LARGER, enlargement, hints, joined, tiles

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL = Path(__file__).with_name("centerface.onnx")
INPUT, OUTPUTS = "input.1", ["537", "538", "539", "540"]  # heat, log scale, offset and landmarks
LONG_SIDE = 640  # pixels that the network sees of a picture's long side
THRESHOLD = 0.35
MOST_OVERLAP = 0.3
MULTIPLE = 32  # the network's input sides are multiples of it
CLOSE_SIDE = 240  # pixels of the long side in the close look, for small pictures and such as are all face
CLOSE_BORDER = 40  # pixels of black around it there
# A face that scores less than the threshold is looked at again, alone and larger, and then mirrored, and stands where
# all looks together are sure enough. Chosen on 1,000 of FER2013's train faces in pictures (bench/predict_path.py): one
# look finds 91.0 %, a second one 96.3 % with 5 false faces more, both and the mirror picture 97.6 % with 7 more. Three
# had to reach .19 then, before borders were spared, which raises their mean by .006.
DOUBTFUL, SURE_OF_TWO, SURE_OF_THREE = 0.05, 0.1, 0.194
# Where nothing is found the mirror picture is looked at, in that size and in a smaller one: of 71 faces not found among
# 3,000 others these find 25, and none in 396 pictures without a face.
MIRRORED_SIZES = [1.0, 0.7]
MIRRORED_POINTS = [1, 0, 2, 4, 3]  # eyes, nose and corners of the mouth from left to right, in the mirror
AGAIN_AROUND = 2.0  # box sides, that the second look shows
AGAIN_SIDE, AGAIN_BORDER = 128, 32
# Pixels by which a border may be narrower at the right and below. Parts of a picture end between its pixels and so come
# out a few pixels longer than AGAIN_SIDE: with a whole border they would take 224 pixels, not 192, a third more time.
BORDER_SPARED = 8
MOST_AGAIN = 16  # faces of a picture that are looked at again, the best first
WORTH_A_LARGER_VIEW = 1.5  # times the view's long side, from which on a picture without a face is seen larger
NEAR_SIDE = 128  # pixels of the long side in a look around a place where a face was a moment ago
NEAR_ROOM = 2.0  # times the long side of that face's box is what such a look takes in


class Finder:
    """Finds faces. It may be used by several threads at once.

    The network is read at the first call, 0.1 s; ModuleNotFoundError there where onnxruntime is missing. `device` runs
    it, see `mien.devices`; DeviceError there where that cannot be.
    """

    def __init__(self, *, threads: int = 1, device: str = "cpu") -> None:
        self.device = choose(device)
        self._threads = threads
        self._session: InferenceSession | None = None
        self._largest_view = 0  # pixels, since memory was released
        self._lock = threading.Lock()

    def __reduce__(self):
        return partial(Finder, threads=self._threads, device=self.device), ()

    def find(
        self, picture: np.ndarray, *, long_side: int = LONG_SIDE, threshold: float = THRESHOLD
    ) -> list[Face]:
        """Return the faces in a picture uint8 (H, W, 3) RGB or (H, W) grey, the largest box first.

        A picture whose long side is longer than `long_side` pixels is looked at in that size. Where
        nothing is found, and in small pictures at once, a close look follows: a face that fills the
        picture is best seen in a middle size with room around it. Then the mirror picture is
        looked at. Where there are hints of small faces, as in a crowd, parts of the picture are
        searched enlarged, see `small.py`. Faces score above `threshold`, or less, and then two
        more looks agree; their score is the mean of all.
        ValueError when the array is no such picture.
        """
        _check(picture)
        side = min(max(picture.shape[:2]), long_side)
        seen = self._look(picture, side, 0, min(threshold, DOUBTFUL)) if side > CLOSE_SIDE else []
        faces = self._confirmed(picture, seen, threshold)
        faces = faces or self._sure(picture, min(long_side, CLOSE_SIDE), CLOSE_BORDER, threshold)
        if not faces and side > CLOSE_SIDE:
            faces = self._in_mirror(picture, side, threshold)
        if side > CLOSE_SIDE:
            faces = self._with_small(picture, side, seen, faces, threshold)
        return sorted(faces, key=lambda face: -face.area)

    def _with_small(
        self, picture: np.ndarray, side: int, seen: list[Face], faces: list[Face], threshold: float
    ) -> list[Face]:
        """Return faces of a picture and those that an enlarged search adds, where a view of a size shows small ones.

        That takes several hints at small faces and a face not much larger: textures give hints, too. Where nothing is
        found, or one hint, the picture is viewed twice as large first.
        """
        long_side = max(picture.shape[:2])
        places = hints(seen, side / long_side, SMALL)
        crowd = len(places) >= FEW and bool(hints(faces, side / long_side, 2 * SMALL))
        if len(places) < FEW and (places or not faces) and long_side >= WORTH_A_LARGER_VIEW * side:
            first, side = side, min(2 * side, long_side)
            seen = self._look(picture, side, 0, min(threshold, DOUBTFUL))
            crowd = self._is_crowd(picture, hints(seen, side / long_side, SMALL_IN_LARGER), threshold)
            sure = [face for face in seen if face.score > threshold]
            faces = joined(faces, sure, first / long_side, MOST_OVERLAP) if faces else sure
        times = enlargement(long_side)
        if crowd and side < times * long_side:
            faces = joined(faces, self._enlarged(picture, times, threshold), side / long_side, MOST_OVERLAP)
        return faces

    def _is_crowd(self, picture: np.ndarray, places: list[Face], threshold: float) -> bool:
        """Tell whether there are several hints at small faces, the surest first, and one of them is a face."""
        return len(places) >= FEW and any(
            face.score > threshold or self._again(picture, face) for face in places[:MOST_AGAIN]
        )

    def _enlarged(self, picture: np.ndarray, times: float, threshold: float) -> list[Face]:
        """Return the faces of a picture that is seen so many times as large, tile by tile."""
        faces, doubtful = [], []
        for tile in tiles(picture.shape[1], picture.shape[0], times):
            part = picture[tile.top : tile.bottom, tile.left : tile.right]
            seen = self._look(part, round(times * max(part.shape[:2])), 0, min(threshold, DOUBTFUL))
            own = [face for face in (_moved(face, tile.left, tile.top) for face in seen) if tile.owns(face)]
            faces += [face for face in own if face.score > threshold]
            doubtful += [face for face in own if face.score <= threshold][:MOST_AGAIN]
        if len(faces) >= FEW:  # a crowd: there may well be more of them
            faces += [again for face in doubtful if (again := self._again(picture, face)) is not None]
        return faces

    def _in_mirror(self, picture: np.ndarray, side: int, threshold: float) -> list[Face]:
        """Return the faces that are seen in the mirror picture, where they are in the picture."""
        mirror = np.ascontiguousarray(picture[:, ::-1])
        for size in MIRRORED_SIZES:
            if faces := self._sure(mirror, round(size * side), 0, threshold):
                return [_mirrored(face, picture.shape[1]) for face in faces]
        return []

    def _sure(self, picture: np.ndarray, side: int, border: int, threshold: float) -> list[Face]:
        """Return the faces that score above a threshold, and the doubtful ones that two more looks confirm."""
        return self._confirmed(
            picture, self._look(picture, side, border, min(threshold, DOUBTFUL)), threshold
        )

    def _confirmed(self, picture: np.ndarray, seen: list[Face], threshold: float) -> list[Face]:
        """Return those of some candidates, the surest first, that score above a threshold or are confirmed."""
        faces = [face for face in seen if face.score > threshold]
        doubtful = [face for face in seen if face.score <= threshold][:MOST_AGAIN]
        again = [second for face in doubtful if (second := self._again(picture, face)) is not None]
        together = faces + again
        kept = distinct(np.array([face.box for face in together]).reshape(-1, 4), MOST_OVERLAP)
        return [together[i] for i in kept]

    def _again(self, picture: np.ndarray, face: Face) -> Face | None:
        """Return a doubtful face as a second look sees it, alone and larger; None where that is no surer.

        The third look is at the mirror picture.
        """
        left, top, right, bottom = _around(face.box, AGAIN_AROUND, picture)
        part = picture[top:bottom, left:right]
        side = max(1, round(AGAIN_SIDE / (AGAIN_AROUND * max(face.box[2:])) * max(part.shape[:2])))
        box = _moved(face, -left, -top).box
        second = self._there(part, side, box, 2 * SURE_OF_TWO - face.score)
        if second is None:
            return None
        mirrored, least = _mirrored_box(box, part.shape[1]), 3 * SURE_OF_THREE - face.score - second.score
        third = self._there(part[:, ::-1], side, mirrored, least)
        if third is None:
            return None
        return replace(_moved(second, left, top), score=(face.score + second.score + third.score) / 3)

    def _there(self, part: np.ndarray, side: int, box: tuple, least: float) -> Face | None:
        """Return the face that a look at part of a picture sees where a box is."""
        for face in self._look(part, side, AGAIN_BORDER, max(0.0, least)):
            if len(distinct(np.array([box, face.box]), MOST_OVERLAP)) == 1:
                return face
        return None

    def near(
        self, picture: np.ndarray, box: tuple[float, float, float, float], *, threshold: float = THRESHOLD
    ) -> list[Face]:
        """Return the faces around a place where one was a moment ago, as `find` does, in a twelfth of its time.

        `box` is that face's box (left, top, width, height).
        """
        _check(picture)
        left, top, right, bottom = _around(box, NEAR_ROOM, picture)
        if right - left < 2 or bottom - top < 2:
            return []
        faces = self._look(picture[top:bottom, left:right], NEAR_SIDE, 0, threshold)
        return sorted((_moved(face, left, top) for face in faces), key=lambda face: -face.area)

    def _look(self, picture: np.ndarray, side: int, border: int, threshold: float) -> list[Face]:
        """Return what the network sees of a picture in a size, the surest face first."""
        seen = view(picture, side, border)
        heat, scale, offset, points = self._run(seen.pixels)
        boxes, scores, landmarks = decode(heat, scale, offset, points, threshold)
        kept = distinct(boxes, MOST_OVERLAP)
        faces = [_face(seen, boxes[i], float(scores[i]), landmarks[i]) for i in kept]
        height, width = picture.shape[:2]
        return [face for face in faces if _middle_inside(face.box, width, height)]

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Return heat, log scale, offset and landmarks for pixels float32 (1, 3, H, W)."""
        session = self.open()
        with self._lock:
            self._largest_view = max(self._largest_view, pixels[0, 0].size)
        try:
            return [np.asarray(output)[0] for output in session.run(OUTPUTS, {INPUT: pixels})]
        except Exception as fault:  # onnxruntime's own errors have no common class but this
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
            raise ModelError(f"the detector of faces fails on device {self.device} ({reason})") from None

    def open(self) -> "InferenceSession":
        """Return the network's session, read where it was not yet."""
        with self._lock:
            if self._session is None:
                self._session = open_session(self._threads, self.device)
            return self._session

    def release_memory(self) -> None:
        """Give back the memory that the network took for views larger than `LONG_SIDE` squared, if there were any.

        It keeps what its largest view needed (300 MB for a tile of `small.py`), since taking that anew for each view
        makes each half as slow again. Giving it back is an option of a run, so a very small view is run.
        """
        if self._session is None or self.device != "cpu" or self._largest_view <= LONG_SIDE**2:
            return
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session.run(OUTPUTS, {INPUT: np.zeros((1, 3, MULTIPLE, MULTIPLE), np.float32)}, options)
        self._largest_view = 0


def open_session(threads: int = 1, device: str = "cpu") -> "InferenceSession":
    """Return an onnxruntime session of the network on a device."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it keeps a plan for each size of picture
    options.log_severity_level = 3  # it warns of weights that the network does not use
    probe = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8)).astype(np.float32)
    return session_on(str(MODEL), device, options, {INPUT: probe.repeat(MULTIPLE, 2).repeat(MULTIPLE, 3)})


@dataclass(frozen=True, slots=True)
class View:
    """A picture as the network sees it, and the way back to the picture's own pixels."""

    pixels: np.ndarray  # float32 (1, 3, H, W), RGB, 0..255, H and W multiples of 32
    origin: tuple[float, float]  # x and y, where the picture begins in it
    scale: tuple[float, float]  # pixels of the picture a pixel of it, along x and y


def view(picture: np.ndarray, side: int, border: int = 0) -> View:
    """Return the view of a picture uint8 (H, W, 3) or (H, W) whose long side becomes `side` pixels.

    Shrinking averages over areas. Around it there are `border` pixels of black, at the right and below up to
    `BORDER_SPARED` fewer or, up to multiples of 32, more.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    factor = side / max(width, height)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    image = Image.fromarray(picture)
    if factor < 1:
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2)
    elif factor > 1:
        image = image.resize(size, Image.Resampling.BICUBIC)
    black = 2 * border - min(border, BORDER_SPARED)
    across, down = (-(-(length + black) // MULTIPLE) * MULTIPLE for length in size)
    pixels = np.zeros((1, 3, down, across), np.float32)
    seen = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    pixels[0, :, border : border + size[1], border : border + size[0]] = seen
    return View(pixels, (border, border), (width / size[0], height / size[1]))


def _face(seen: View, box: np.ndarray, score: float, landmarks: np.ndarray) -> Face:
    """Return a face in the picture's pixels for one in those of the view."""
    corner = (box[:2] - seen.origin) * seen.scale
    size = box[2:] * seen.scale
    points = (landmarks - seen.origin) * seen.scale
    points.flags.writeable = False
    return Face((*corner.tolist(), *size.tolist()), score, points)


def _moved(face: Face, across: int, down: int) -> Face:
    points = face.landmarks + (across, down)
    points.flags.writeable = False
    return Face((face.box[0] + across, face.box[1] + down, *face.box[2:]), face.score, points)


def _mirrored(face: Face, width: int) -> Face:
    """Return a face of a mirror picture as it is in the picture, or the other way around."""
    points = (face.landmarks * (-1, 1) + (width, 0))[MIRRORED_POINTS]
    points.flags.writeable = False
    return replace(face, box=_mirrored_box(face.box, width), landmarks=points)


def _mirrored_box(box: tuple, width: int) -> tuple:
    return (width - box[0] - box[2], *box[1:])


def _around(
    box: tuple[float, float, float, float], times: float, picture: np.ndarray
) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the square around a box, as far as it lies in a picture.

    It is so many times as wide as the box's long side, and never empty where the box's middle is inside.
    """
    height, width = picture.shape[:2]
    reach, x, y = times / 2 * max(box[2:]), box[0] + box[2] / 2, box[1] + box[3] / 2
    left, top = math.floor(max(0, x - reach)), math.floor(max(0, y - reach))
    return left, top, math.ceil(min(width, x + reach)), math.ceil(min(height, y + reach))


def _middle_inside(box: tuple[float, float, float, float], width: int, height: int) -> bool:
    left, top, across, down = box
    return 0 <= left + across / 2 < width and 0 <= top + down / 2 < height


def _check(picture: np.ndarray) -> None:
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or not picture.size:
        raise ValueError(f"no picture: {picture.dtype} {picture.shape}; uint8 (H, W) or (H, W, 3) is needed")
    if picture.ndim == 3 and picture.shape[2] != 3:
        raise ValueError(f"no picture: {picture.shape[2]} channels; a grey one or RGB is needed")
