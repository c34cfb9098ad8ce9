import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from itertools import islice

import numpy as np
import pytest
from conftest import leaning_portrait, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.faces import MARKS, TEMPLATE, UPRIGHT, Face, Finder, align, grey, marks, similarity
from mien.faces.decode import decode, distinct
from mien.faces.finder import DOUBTFUL, MODEL, THRESHOLD, view
from mien.pack.fer2013 import SIDE, read_faces
from mien.pack.source import rows_of

# Eyes, tip of the nose and corners of the mouth in the astronaut's portrait, read off by eye.
SEEN = np.array([[203, 101], [246, 103], [225, 127], [203, 140], [244, 142]])


@pytest.fixture(scope="module")
def finder() -> Finder:
    """One finder for all tests: reading the network takes a tenth of a second."""
    return Finder()


@pytest.fixture(scope="module")
def face(finder, astronaut) -> Face:
    """The astronaut's face in the whole photo."""
    return finder.find(astronaut)[0]


def overlap(one, other) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    (a, b, c, d), (e, f, g, h) = one, other
    across, down = min(a + c, e + g) - max(a, e), min(b + d, f + h) - max(b, f)
    shared = max(across, 0) * max(down, 0)
    return shared / (c * d + g * h - shared)


def around(face: Face, times: float) -> tuple[int, int, int, int]:
    """A square around a face, `times` as wide as its higher side: left, upper, right, lower."""
    left, top, width, height = face.box
    x, y, half = left + width / 2, top + height / 2, max(width, height) * times / 2
    return round(x - half), round(y - half), round(x + half), round(y + half)


def resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture in another size, shrunk by area."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def tilted(picture: np.ndarray, degrees: float) -> np.ndarray:
    """A picture turned about its middle, against the clock."""
    return np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(one.astype(float) - other).mean())


def looks_like_a_face(face: Face) -> bool:
    """The eyes are above the nose, the nose above the mouth, and left is left."""
    (x1, y1), (x2, y2), (x3, y3), (x4, y4), (x5, y5) = face.landmarks
    return max(y1, y2) < y3 < min(y4, y5) and x1 < x3 < x2 and x4 < x3 < x5


def test_the_one_face_is_found(finder, astronaut, face):
    """In the astronaut's portrait there is one face, with its landmarks where they are to be seen."""
    assert 1 == len(finder.find(astronaut))
    assert looks_like_a_face(face)
    assert np.abs(face.landmarks - SEEN).max() < 5
    assert 0.7 < overlap((182, 60, 87, 116), face.box)
    assert 0.8 < face.score <= 1


@pytest.mark.parametrize("size", [(512, 400), (300, 300), (150, 150), (128, 100), (1400, 1400)])
def test_the_box_scales_with_the_picture(finder, astronaut, face, size):
    """At any size and shape of the picture, box and landmarks are those of the whole photo, scaled."""
    faces = finder.find(resized(astronaut, *size))
    scale = np.array(size) / 512
    box = [*np.array(face.box[:2]) * scale, *np.array(face.box[2:]) * scale]

    assert 1 == len(faces)
    assert 0.75 < overlap(box, faces[0].box)
    assert np.abs(faces[0].landmarks - face.landmarks * scale).max() < 0.07 * faces[0].box[3]


@pytest.mark.parametrize("side", [16, 24, 48, 100, 224, 400, 900])
def test_a_crop_that_is_all_face_is_found(finder, astronaut, face, side):
    """A picture with a face to its edges is found as well, from 16 pixels up."""
    tight = Image.fromarray(astronaut).crop(around(face, 1.05)).resize((side, side), Image.Resampling.BICUBIC)
    found = finder.find(np.asarray(tight))[0]

    assert looks_like_a_face(found)
    assert 0.5 < found.area / side**2 < 1.1


def pose(face: Face) -> tuple[float, float]:
    """How a crop turns a face, in degrees, and how it scales it."""
    (a, _, _), (b, _, _) = similarity(marks(face), TEMPLATE)
    return float(np.degrees(np.arctan2(b, a))), float(np.hypot(a, b))


@pytest.mark.parametrize("degrees", [-75, -45, -25, 25, 45, 75])
def test_a_tilted_face_stands_upright_in_its_crop(finder, astronaut, face, degrees):
    """However the head is held, up to 75 degrees, its crop leans by at most 20 and is as large within 15 %."""
    (angle, scale), (moved_angle, moved_scale) = (
        pose(f) for f in (face, finder.find(tilted(astronaut, degrees))[0])
    )

    assert 20 > abs(moved_angle - angle - degrees)
    assert 0.85 < moved_scale / scale < 1.15


@pytest.mark.parametrize("degrees", [-70, -30, -15, 0, 15, 30, 70])
def test_a_box_stands_upright_until_a_face_leans_by_more_than_fifteen_degrees(degrees):
    """What a face leans beyond 15 degrees turns its box; the box's middle and size stay."""
    turn = np.radians(degrees)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    face = Face((10, 20, 30, 40), 1.0, TEMPLATE[:5] @ turned.T * 50)
    left, right, top, bottom = marks(face)[5:]
    beyond = np.radians(np.sign(degrees) * max(0, abs(degrees) - UPRIGHT))

    np.testing.assert_array_equal(face.landmarks, marks(face)[:5])
    np.testing.assert_allclose([25, 40], (left + right) / 2)
    np.testing.assert_allclose([25, 40], (top + bottom) / 2)
    np.testing.assert_allclose(30 * np.array([np.cos(beyond), np.sin(beyond)]), right - left, atol=1e-9)
    np.testing.assert_allclose(40 * np.array([-np.sin(beyond), np.cos(beyond)]), bottom - top, atol=1e-9)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_on_its_side_or_head_still_shows_its_face(finder, astronaut, face, turns):
    """Turned by 90 or 180 degrees, the face is found where it is."""
    found = finder.find(np.rot90(astronaut, turns))[0]
    left, top, width, height = face.box
    turned = {1: (top, 512 - left - width, height, width), 2: (512 - left - width, 512 - top - height, width, height),
              3: (512 - top - height, left, height, width)}[turns]  # fmt: skip

    assert 0.6 < overlap(turned, found.box)


def test_a_grey_picture_is_as_good(finder, astronaut, face):
    """A grey picture (H, W) gives the same face as one in color."""
    (found,) = finder.find(grey(astronaut))

    assert 0.85 < overlap(face.box, found.box)


def test_a_doubtful_face_is_looked_at_again(finder, astronaut):
    """A faint face of 15 pixels that one look is too unsure of is found where it is, by closer looks."""
    portrait = Image.fromarray(astronaut).crop((120, 10, 340, 230)).resize((40, 40))
    faint = Image.blend(portrait, Image.new("RGB", (40, 40), (120, 70, 50)), 0.72)
    picture = Image.fromarray(photo("skimage", "data", "coffee.png")).resize((640, 427))
    picture.paste(faint, (60, 60))
    pixels = np.asarray(picture)
    once = max(face.score for face in finder._look(pixels, 640, 0, 0.02))
    (found,) = finder.find(pixels)

    assert DOUBTFUL < once < THRESHOLD
    assert found.score > once
    assert 0.5 < overlap((71, 71, 15, 19), found.box)
    assert looks_like_a_face(found)


def test_a_face_that_is_seen_in_the_mirror_alone_is_found(finder, astronaut):
    """A faint leaning face that no look at the picture shows is found in the mirror picture."""
    pixels = leaning_portrait(astronaut)
    (found,) = finder.find(pixels)

    assert not finder._sure(pixels, 640, 0, THRESHOLD)
    assert 0.5 < overlap((66, 67, 24, 24), found.box)


def test_the_mirror_shows_the_same_face(finder, astronaut, face):
    """What is seen in the mirror picture is told as it is in the picture, each landmark where it belongs."""
    (seen,) = finder._in_mirror(astronaut, 512, THRESHOLD)

    assert 0.9 < overlap(face.box, seen.box)
    assert np.abs(seen.landmarks - SEEN).max() < 5
    assert np.abs(seen.landmarks - face.landmarks).max() < 4
    assert not seen.landmarks.flags.writeable


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("size", [None, (48, 48), (200, 140)])
def test_where_there_is_no_face_none_is_found(finder, name, size):
    """A temple and a flower are no faces, in no size."""
    picture = photo("sklearn", "datasets", "images", name)

    assert [] == finder.find(picture if size is None else resized(picture, *size))
    assert [] == finder.find(resized(picture, 64, 40))


@pytest.mark.parametrize("side", [16, 48, 200, 700])
def test_noise_and_flat_pictures_hold_no_face(finder, side):
    """Neither noise nor a plain color is taken for a face."""
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)

    assert [] == finder.find(noise)
    assert [] == finder.find(noise[:, :, 0])
    for level in (0, 127, 255):
        assert [] == finder.find(np.full((side, side), level, np.uint8))


@given(st.integers(1, 90), st.integers(1, 90), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_any_small_picture_is_looked_at(finder, width, height, color, seed):
    """From one pixel up, every picture gives a list, and what is found can be aligned."""
    shape = (height, width, 3) if color else (height, width)
    picture = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)

    found = finder.find(picture, threshold=0.05)

    assert isinstance(found, list)
    assert all((SIDE, SIDE) == align(picture, face, SIDE).shape for face in found)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3, 20_000), (20_000, 2, 3), (3000, 4000, 3)])
def test_extreme_shapes_are_looked_at(finder, shape):
    """A line, a stripe of thousands of pixels and a large photo are no trouble."""
    assert [] == finder.find(np.full(shape, 90, np.uint8))


def test_several_faces_come_by_size(finder, astronaut):
    """The largest face comes first, and landmarks stay with their faces."""
    half = resized(astronaut, 256, 256)
    both = np.concatenate([np.pad(half, ((0, 256), (0, 0), (0, 0))), astronaut], 1)
    first, second = finder.find(both)

    assert 3 < first.area / second.area < 5
    assert second.landmarks[:, 0].max() < 256 < first.landmarks[:, 0].min()


def test_more_than_one_thread_may_ask(astronaut, face):
    """A new finder asked by two threads at once gives each the same face."""
    finder = Finder()
    pictures = [astronaut, resized(astronaut, 300, 300)] * 3
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda p: finder.find(p)[0].box, pictures))

    assert face.box == together[0]
    assert 2 == len(set(together))


def test_what_is_found_does_not_change(face):
    """A face is frozen, its landmarks too."""
    with pytest.raises(FrozenInstanceError):
        face.score = 1.0
    with pytest.raises(ValueError, match="read-only"):
        face.landmarks[0] = 0


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4)), np.zeros((0, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)],
    ids=["floats", "empty", "four channels", "a row"],
)
def test_what_is_no_picture_is_refused(finder, picture):
    """Another type or shape than uint8 (H, W) or (H, W, 3) is a fault of the caller."""
    with pytest.raises(ValueError, match="no picture"):
        finder.find(picture)


def test_without_onnxruntime_the_error_names_it(monkeypatch, astronaut):
    """Where onnxruntime is missing, looking for a face raises what Python says of a missing module."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ModuleNotFoundError, match="onnxruntime"):
        Finder().find(astronaut)


def test_a_view_shrinks_by_area():
    """A checkerboard of single pixels is seen in even grey, and a view's sides are multiples of 32."""
    board = (np.indices((1200, 900)).sum(0) % 2 * 255).astype(np.uint8)
    seen = view(board, 300, 0)

    assert (1, 3, 320, 256) == seen.pixels.shape
    assert 2 >= np.abs(seen.pixels[:, :, :300, :225] - 127.5).max()
    assert 0 == np.abs(seen.pixels[:, :, 300:]).max()


def test_a_few_pixels_more_take_no_larger_view():
    """The border at the right and below may be 8 pixels narrower where 32 are saved, and no pixel of the picture is."""
    picture = np.full((129, 136), 200, np.uint8)
    seen = view(picture, 136, 32).pixels

    assert (1, 3, 192, 192) == seen.shape
    assert (200 == seen[0, :, 32:161, 32:168]).all()
    assert 3 * 200 * picture.size == seen.sum()
    assert (1, 3, 192, 224) == view(picture, 137, 32).pixels.shape


def plain_distinct(boxes: np.ndarray, most: float) -> list[int]:
    """What `distinct` gives, box by box."""
    kept = []
    for i, box in enumerate(boxes):
        if all(overlap(boxes[j], box) <= most for j in kept):
            kept.append(i)
    return kept


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2), max_size=25))
def test_overlapping_boxes_are_taken_out_greedily(boxes):
    """Non-maximum suppression on arrays keeps the boxes that the plain loop keeps."""
    boxes = np.array(boxes, float).reshape(-1, 4)

    assert plain_distinct(boxes, 0.3) == distinct(boxes, 0.3).tolist()


def test_a_cell_is_read_as_centerface_wrote_it():
    """Size is exp(scale) * 4, center and landmarks follow offset and box, height before width."""
    heat, scale, offset = np.zeros((1, 8, 9)), np.zeros((2, 8, 9)), np.zeros((2, 8, 9))
    points = np.zeros((10, 8, 9))
    heat[0, 2, 5] = 0.9
    scale[:, 2, 5] = np.log([10, 5])
    offset[:, 2, 5] = 0.25, 0.5
    points[:, 2, 5] = np.arange(10) / 10
    boxes, scores, landmarks = decode(heat, scale, offset, points, 0.5)

    np.testing.assert_allclose([[14, -9, 20, 40]], boxes)
    assert [0.9] == scores.tolist()
    np.testing.assert_allclose([14 + 0.1 * 20, -9], landmarks[0, 0])
    np.testing.assert_allclose([14 + 0.9 * 20, -9 + 0.8 * 40], landmarks[0, 4])


numbers = st.floats(-300, 300)


@given(
    st.lists(
        st.tuples(numbers, numbers), min_size=2, max_size=6, unique_by=lambda p: (round(p[0]), round(p[1]))
    ),
    st.floats(0.02, 50),
    st.floats(-3.2, 3.2),
    numbers,
    numbers,
)
def test_a_known_similarity_is_recovered(points, scale, angle, x, y):
    """Points that were turned, scaled and moved give back exactly that."""
    points = np.array(points)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(points, points @ turn.T + (x, y))

    np.testing.assert_allclose(np.column_stack([turn, [x, y]]), found, atol=1e-6 * max(1, scale) * 300)


@given(st.integers(0, 2**32 - 1))
def test_a_similarity_never_mirrors(seed):
    """Not even mirrored points bring a reflection, and no other similarity nearby is closer."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(5, 2))
    target = source * (-1, 1) + rng.normal(size=(5, 2)) * 0.1
    found = similarity(source, target)
    a, b = found[0, 0], found[1, 0]
    error = ((source @ found[:, :2].T + found[:, 2] - target) ** 2).sum()

    np.testing.assert_allclose([[a, -b], [b, a]], found[:, :2], atol=1e-12)
    for da, db in rng.normal(size=(20, 2)) * 0.05:
        other = source @ np.array([[a + da, -b - db], [b + db, a + da]]).T
        assert error <= ((other - other.mean(0) + target.mean(0) - target) ** 2).sum() + 1e-12


def test_points_in_one_place_have_no_similarity():
    """Five landmarks in one place are refused: no direction is up."""
    with pytest.raises(ValueError, match="in one place"):
        align(np.zeros((9, 9), np.uint8), Face((0, 0, 9, 9), 1.0, np.ones((5, 2))), SIDE)


def test_the_template_is_symmetric():
    """The template is its own mirror picture, and a face."""
    mirror = (TEMPLATE * (-1, 1) + (1, 0))[[1, 0, 2, 4, 3, 6, 5, 7, 8]]

    np.testing.assert_allclose(TEMPLATE, mirror, atol=1e-9)
    assert looks_like_a_face(at(1))
    assert len(MARKS) == len(TEMPLATE)


@pytest.mark.parametrize("scale", [0.7, 0.8, 1.6, 3])
def test_a_moved_picture_gives_the_same_crop(astronaut, face, scale):
    """Where picture, box and landmarks are scaled and moved alike, the crop stays as it is."""
    shift = np.array([400, 390]) - scale * face.landmarks.mean(0)
    matrix = (1 / scale, 0, -shift[0] / scale, 0, 1 / scale, -shift[1] / scale)
    moved = Image.fromarray(astronaut).transform(
        (800, 800), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    corner, size = np.array(face.box[:2]) * scale + shift, np.array(face.box[2:]) * scale
    same = Face((*corner, *size), 1.0, face.landmarks * scale + shift)

    assert 2.5 > difference(align(astronaut, face, SIDE), align(np.asarray(moved), same, SIDE))


def at(side: float, corner=(0.0, 0.0)) -> Face:
    """A face whose crop is the square of a side at a corner."""
    (left, _), (right, _), (_, top), (_, bottom) = TEMPLATE[5:] * side
    box = (left + corner[0], top + corner[1], right - left, bottom - top)
    return Face(box, 1.0, TEMPLATE[:5] * side + corner)


@pytest.mark.parametrize("side", [96, 240, 700, 2000])
def test_a_shrunken_crop_is_averaged_over_areas(side):
    """A checkerboard of single pixels becomes even grey, at any size above the crop's."""
    board = (np.indices((2000, 2000)).sum(0) % 2 * 255).astype(np.uint8)
    crop = align(board, at(side * 1.37, (3.3, 8.9)), SIDE)

    assert 127.5 == pytest.approx(crop.mean(), abs=2)
    assert 16 > np.abs(crop - 127.5).max()


def test_a_crop_of_the_same_size_is_the_picture():
    """Where the landmarks are the template's, the crop is the picture's pixels; n times as large, their means."""
    picture = np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8)
    larger = np.kron(picture, np.ones((8, 8), np.uint8))

    np.testing.assert_array_equal(picture, align(picture, at(48), SIDE))
    assert 1 >= np.abs(picture.astype(int) - align(larger, at(48 * 8), SIDE)).max()


def test_the_edges_are_repeated_where_a_crop_leaves_the_picture():
    """Beyond the picture a crop shows what stood at its edge, never a black bar."""
    picture = np.tile(np.linspace(50, 200, 60).astype(np.uint8), (60, 1))
    crop = align(picture, at(120, (-30, -30)), SIDE)

    assert 1 >= np.abs(crop[:, :10] - 50.0).max()
    assert 1 >= np.abs(crop[:, -10:] - 200.0).max()
    assert 2 >= np.abs(crop - crop[24].astype(float)).max()


@given(st.floats(0.5, 1e7), *[st.floats(-1e7, 1e7)] * 2, st.integers(1, 64))
@settings(max_examples=40, deadline=None)
def test_any_landmarks_give_a_crop(size, x, y, side):
    """However large and however far outside the landmarks are, the work stays small and the crop is grey."""
    crop = align(np.full((40, 30, 3), 99, np.uint8), at(size, (x, y)), side)

    assert (side, side) == crop.shape
    assert np.uint8 == crop.dtype
    assert {99} == set(crop.ravel().tolist())


def test_grey_is_pillows(astronaut):
    """Color becomes grey by Pillow's luma, and what is grey stays."""
    expected = np.asarray(Image.fromarray(astronaut).convert("L"))

    np.testing.assert_array_equal(expected, grey(astronaut))
    assert expected is grey(expected)


def test_the_networks_notices_lie_beside_it():
    """The file that ships is the one whose checksum and two licences stand beside it."""
    notice = MODEL.with_name("centerface.LICENSE.txt").read_text()

    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in notice
    assert "Copyright (c) 2019 StarClouds" in notice
    assert "Copyright (c) 2020 Martin Drawitsch" in notice


def test_fer2013s_faces_are_found(fer2013, finder):
    """Of FER2013's first hundred crops, which are tight, small and sometimes no face, most are found."""
    faces = islice(rows_of(fer2013, read_faces), 100)
    found = [finder.find(np.frombuffer(face.pixels, np.uint8).reshape(SIDE, SIDE)) for face in faces]

    assert 90 <= sum(bool(one) for one in found)
