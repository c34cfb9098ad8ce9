"""Small faces in large pictures, as in a crowd."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.faces import Face, Finder
from mien.faces.small import ENLARGED, OVERLAP, TILE, enlargement, joined, tiles

ROWS, COLUMNS, SIDE, GAP = 6, 10, 96, 172  # of a crowd: heads of 96 pixels, faces of about 40


@pytest.fixture(scope="module")
def crowd(astronaut):
    """A picture of 1,920 x 1,080 pixels with 60 small portraits, each a little different."""
    portrait = Image.fromarray(astronaut).crop((120, 10, 340, 230))
    picture = Image.new("RGB", (1920, 1080), (120, 110, 100))
    for place in range(ROWS * COLUMNS):
        row, column = divmod(place, COLUMNS)
        side = SIDE - 4 * (place % 6)
        one = portrait.resize((side, side)).rotate(place % 5 - 2)
        picture.paste(one, (30 + column * 188, 20 + row * GAP))
    return np.asarray(picture)


def test_a_crowd_is_found(crowd):
    """Of 60 faces of 30 to 40 pixels, which a view of 640 pixels hardly shows, at least 57 are found, each once."""
    faces = Finder().find(crowd)
    places = {(round((f.box[0] - 30) // 188), round((f.box[1] - 20) // GAP)) for f in faces}

    assert 57 <= len(faces) == len(places)
    assert all(24 < max(f.box[2:]) < 60 for f in faces)


def test_a_large_face_is_found_once(astronaut):
    """A portrait enlarged to 3,000 pixels is one face, whatever the enlarged search sees of its parts."""
    large = np.asarray(Image.fromarray(astronaut).resize((3000, 3000)))
    (face,) = Finder().find(large)

    assert 400 < face.box[2] < 700


def test_without_hints_nothing_is_searched_again(astronaut, monkeypatch):
    """A portrait costs one view."""
    large = np.asarray(Image.fromarray(astronaut).resize((2000, 2000)))
    looks, look = [], Finder._look
    monkeypatch.setattr(Finder, "_look", lambda *arguments: looks.append(1) or look(*arguments))

    assert 1 == len(Finder().find(large))
    assert 1 == len(looks)


@pytest.mark.parametrize("long_side", [640, 1920])
@pytest.mark.parametrize("score, confirmed, searches", [(0.9, False, 1), (0.2, True, 1), (0.2, False, 0)])
def test_hints_start_a_search_where_one_of_them_is_a_face(monkeypatch, long_side, score, confirmed, searches):
    """A texture that hints at small faces costs no enlarged search, in the first view as in a larger one."""
    hints = [Face((60 * n, 9, 12, 14), score if n == 1 else 0.1, np.zeros((5, 2))) for n in range(1, 6)]
    hints.sort(key=lambda face: -face.score)
    searched = []
    monkeypatch.setattr(
        Finder, "_look", lambda self, picture, side, *_: hints if side >= min(1280, long_side) else []
    )
    monkeypatch.setattr(Finder, "_again", lambda self, picture, face: hints[0] if confirmed else None)
    monkeypatch.setattr(Finder, "_enlarged", lambda *_: searched.append(1) or [])
    Finder().find(np.zeros((480, long_side), np.uint8))

    assert searches == len(searched)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.data())
@settings(max_examples=60, deadline=None)
def test_tiles_cover_a_picture(width, height, data):
    """Each point of a picture belongs to one tile, which shows what is around it; no tile is larger than planned."""
    scale = enlargement(max(width, height))
    parts = list(tiles(width, height, scale))
    x, y = data.draw(st.floats(0, width - 1e-3)), data.draw(st.floats(0, height - 1e-3))
    at = Face((x, y, 0, 0), 1.0, np.zeros((5, 2)))
    (owner,) = (tile for tile in parts if tile.owns(at))
    room = OVERLAP / scale / 2 - 1

    assert owner.left <= max(0, x - room)
    assert min(width, x + room) <= owner.right
    assert owner.top <= max(0, y - room) <= min(height, y + room) <= owner.bottom
    assert all(max(t.right - t.left, t.bottom - t.top) * scale <= TILE + 4 * max(1, scale) for t in parts)
    assert len(parts) <= math.ceil(ENLARGED / (TILE - OVERLAP)) ** 2


def test_the_finer_of_two_stands():
    """A small face that both views show is the enlarged one; parts of a large face are passed over."""
    points = np.zeros((5, 2))
    large, coarse = Face((0, 0, 200, 200), 0.9, points), Face((300, 300, 30, 30), 0.9, points)
    fine, part = Face((302, 301, 29, 30), 0.5, points), Face((80, 80, 40, 40), 0.8, points)

    assert [fine, large] == joined([large, coarse], [part, fine], 1 / 3, 0.3)
