"""The contact sheet of `mien predict --page`."""

import io
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import Recognizer
from mien.faces.face import Face
from mien.predict import predict
from mien.predict.answer import Answer
from mien.predict.recognizer import FaceExpression
from mien.predict.report import CROWD_BYTES, MOST_BYTES, Sheet, page_of, thumbnail, thumbnail_bytes
from mien.predict.sources import Source
from mien.reading import DEFAULT_MODEL

SIZE = (640, 480)
GREY = thumbnail(np.full((480, 640), 90, np.uint8), 1, 20_000)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """The shipped model, whose labels and card the page shows."""
    return Recognizer()


def photograph(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Pixels as hard to compress as a detailed photo's, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(float)
    return (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def answer(name: str, labels, places, small: bytes) -> Answer:
    """An answer with a face of 60 x 80 pixels at each place, each half sure of its label."""
    rng = np.random.default_rng(len(name))
    faces = []
    for number, (left, top) in enumerate(places):
        shares = dict.fromkeys(labels, 0.5 / (len(labels) - 1)) | {labels[number % len(labels)]: 0.5}
        face = Face((left, top, 60.0, 80.0), 0.9, np.zeros((5, 2)))
        crop = np.asarray(Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).resize((48, 48)))
        label = max(shares, key=shares.__getitem__)
        faces.append(FaceExpression(face.box, face.score, face.landmarks, crop, shares, label))
    return Answer(Source(name, bytes, name), faces, size=SIZE, small=small)


def filled(sheet: Sheet, pictures: int, recognizer: Recognizer) -> str:
    """The page of a sheet, with the counts of so many pictures of one face each."""
    counts = Counter(pictures=pictures, faces=pictures)
    return page_of(sheet, counts, Counter(happy=pictures), recognizer.model, f"mien info {DEFAULT_MODEL}")


def test_five_hundred_photos_make_a_page_of_five_megabytes(recognizer, astronaut):
    """A page keeps within its bytes whatever the number of pictures, and says how many of them it shows."""
    labels = recognizer.model.labels
    photo = Image.fromarray(astronaut).resize((1024, 1024), Image.Resampling.BICUBIC)
    thumbnails = [thumbnail(np.asarray(photo.rotate(turn)), 2, thumbnail_bytes(505)) for turn in (0, 10, 20)]
    sheet = Sheet()
    for number in range(1000):
        places = [(40, 60), (200, 60)][: 1 + number % 2]
        sheet.add(answer(f"holidays/IMG_{number:04}.jpg", labels, places, thumbnails[number % 3]))
    html = filled(sheet, 1000, recognizer)

    assert 505 <= len(sheet.photos) < 1000
    assert 0.9 * MOST_BYTES < len(html.encode()) <= MOST_BYTES
    assert f"The first {len(sheet.photos)} of 1,000" in html


def test_thumbnails_are_small_files():
    """A photo of any size is embedded in few bytes, a crowd in more; a small picture is not made larger."""
    most = thumbnail_bytes(2000)
    large = thumbnail(photograph(1, (1200, 900)), 1, most)
    crowd = thumbnail(photograph(1, (1200, 900)), 20, most)
    tiny = thumbnail(np.full((20, 30), 90, np.uint8), 1, most)

    assert len(large) <= most < len(crowd) <= CROWD_BYTES * most
    assert most < thumbnail_bytes(500) < thumbnail_bytes(20)
    assert size_of(tiny) == (30, 20)


def size_of(webp: bytes) -> tuple[int, int]:
    """Width and height of a file's picture."""
    with Image.open(io.BytesIO(webp)) as image:
        return image.size


def test_totals_come_first_and_pictures_in_the_order_of_the_table(tmp_path, astronaut):
    """The page lists pictures as the CSV does, those that could not be used in their place, after the totals."""
    names = ["a.png", "b.png", "c.png", "d.png"]
    for name in names:
        Image.fromarray(astronaut if name != "c.png" else np.zeros((90, 90), np.uint8)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"no picture")
    predict([tmp_path], csv=tmp_path / "o.csv", page=tmp_path / "o.html")
    html = (tmp_path / "o.html").read_text()
    rows = [Path(row.partition(",")[0]).name for row in (tmp_path / "o.csv").read_text().splitlines()[1:]]
    places = [html.index(f"{tmp_path / name}") for name in names]

    assert rows == names
    assert places == sorted(places)
    assert html.index("Faces by predicted expression") < places[0]


@pytest.mark.parametrize("width", [320, 1280])
def test_boxes_carry_labels(browser, recognizer, tmp_path, width):
    """In a browser each box has its number, label and confidence beside it, in the picture, apart from others."""
    labels, places = recognizer.model.labels, [(100 + 130 * n, 200) for n in range(3)]
    sheet = Sheet()
    sheet.add(answer("three.jpg", labels, places, GREY))
    sheet.add(answer("one.jpg", labels, places[:1], GREY))
    (tmp_path / "o.html").write_text(filled(sheet, 2, recognizer))
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto((tmp_path / "o.html").as_uri())
    texts = tab.locator(".framed text").all_text_contents()
    plates, pictures = (
        tab.locator(place).evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(r => [r.left, r.top, r.right, r.bottom])"
        )
        for place in (".framed .plate", ".framed img")
    )
    tab.close()

    assert texts[:3] == [f"{n} {label} 50%" for n, label in enumerate(labels[:3], start=1)]
    assert texts[3] == f"{labels[0]} 50%"
    for plate, picture in zip(plates, [*[pictures[0]] * 3, pictures[1]], strict=True):
        assert picture[0] - 1 <= plate[0] and plate[2] <= picture[2] + 1
    for one, other in combinations(plates[:3], 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_the_numbers_of_a_crowd_stay_apart(recognizer):
    """Where full labels would cover each other all labels of a picture say less."""
    places = [(10 + 62 * (n % 10), 10 + 92 * (n // 10)) for n in range(40)]
    sheet = Sheet()
    sheet.add(answer("crowd.jpg", recognizer.model.labels, places, GREY))
    texts = [face.label.text for face in sheet.photos[0].faces]

    assert len(texts) == 40
    assert not any(re.search("%", text) for text in texts)
