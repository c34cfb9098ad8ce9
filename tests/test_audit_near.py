import re

import numpy as np
import pytest
from audit_faces import brightened, planted, recompressed, shifted, some_faces, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.audit import candidates, near
from mien.audit.align import Change, align, likeness, warp
from mien.audit.candidates import find_candidates
from mien.audit.descriptors import Describer
from mien.audit.near import Pair, describe, find_pairs, moves
from mien.audit.pictures import HALF, SIDE, even_smooth, evened, resized

NEAR = (
    "mirrored",
    "gamma",
    "jpeg",
    "shifted",
    "mirrored gamma",
    "shifted jpeg",
    "mirrored shifted gamma jpeg",
)


def silent(name, total, things):
    """Count nothing."""
    return things


def pairs_of(*faces) -> list[Pair]:
    """The near copies among some faces."""
    return find_pairs(np.stack(faces), silent)[0]


@given(st.floats(0.5, 2.0), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_evening_out_undoes_gamma(gamma, seed):
    """A picture and the same one under another gamma are the same when evened out, but for rounding."""
    face = some_faces(1, seed)
    a, b = evened(face), evened(brightened(face, gamma))

    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.995


def test_evening_out_leaves_an_even_background_even():
    """The noise of a white background is not blown up to a pattern."""
    face = np.full((1, SIDE, SIDE), 254, np.uint8)
    face[0, ::2] = 255
    face[0, 10:38, 10:38] = some_faces(1, 3, 28)[0]

    assert np.ptp(evened(face)[0, :8]) < 0.05


@pytest.mark.parametrize("side", [16, 48, 96, 100])
def test_resizing_keeps_an_even_picture_and_its_middle(side):
    """A picture of one grey stays one grey at any size, and a ramp stays a ramp."""
    ramp = np.broadcast_to(np.linspace(0, 1, side, dtype=np.float32), (1, side, side))

    assert resized(np.ones((1, side, side), np.float32)) == pytest.approx(1, abs=1e-5)
    assert resized(ramp)[0, 5, SIDE // 2 - 1 : SIDE // 2 + 1].mean() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("degrees", "zoom", "right", "down"), [(0, 1, 2, -1), (8, 1, 0, 0), (0, 1.08, 0, 0), (-6, 0.95, 1, 1)]
)
def test_alignment_finds_what_was_done(degrees, zoom, right, down):
    """Laid onto its changed copy, a face tells shift, turn and zoom."""
    faces = some_faces(8)
    changed = np.stack([shifted(turned(face, degrees, zoom), right, down) for face in faces])
    first, second = even_smooth(faces), even_smooth(changed)
    none = Change(np.ones(8, np.complex64), np.zeros(8, np.complex64))
    change = align(first, second, none, 12)
    score = likeness(*_with(warp(first, change), second))

    assert score.min() > 0.985
    assert np.rad2deg(np.angle(change.turn)) == pytest.approx(-degrees, abs=0.6)
    assert 1 / np.abs(change.turn) == pytest.approx(zoom, abs=0.012)
    assert (-change.shift / change.turn).real == pytest.approx(right, abs=0.25)
    assert (-change.shift / change.turn).imag == pytest.approx(down, abs=0.25)


def _with(warped, second):
    """Arguments of `likeness`."""
    return warped[0], second.reshape(len(second), -1), warped[1]


def test_a_description_knows_mirror_pictures():
    """Even minus odd product of two descriptions is the likeness of one and the other's mirror picture."""
    halves = resized(even_smooth(some_faces(5)), HALF)
    plain, mirrored = Describer()(halves), Describer()(halves[:, :, ::-1])

    product = (plain.even * mirrored.even).sum(1) - (plain.odd * mirrored.odd).sum(1)

    assert product == pytest.approx(1, abs=1e-5)
    assert (plain.even**2).sum(1) + (plain.odd**2).sum(1) == pytest.approx(1, abs=1e-5)


def test_a_moved_description_is_that_of_the_moved_face():
    """The description under a turn is the description of the turned face."""
    faces = some_faces(6)
    halves, moved = (
        resized(even_smooth(some), HALF) for some in (faces, np.stack([turned(f, 9, 1.05) for f in faces]))
    )
    turn = complex(np.exp(-1j * np.deg2rad(9)) / 1.05)
    asked, true, plain = Describer(turn)(halves), Describer()(moved), Describer()(halves)

    def product(a, b):
        return (a.even * b.even).sum(1) + (a.odd * b.odd).sum(1)

    assert product(asked, true).min() > 0.97
    assert product(asked, true).min() > product(plain, true).max()


def test_candidates_are_those_of_the_plain_products(monkeypatch):
    """Blocks, tiles and threads give the pairs that one matrix of all products gives."""
    monkeypatch.setattr(candidates, "ROWS", 64)
    monkeypatch.setattr(candidates, "OTHERS", 128)
    monkeypatch.setattr(candidates, "DESCRIBED", 192)
    halves = resized(even_smooth(some_faces(300)), HALF)
    tried = [(1 + 0j, 0j), (1 + 0j, 1.5 + 0j), (complex(np.exp(0.1j)), 0j)]
    found, limited = find_candidates(halves, tried, 0.35, lambda total, things: things)
    target = Describer()(halves)
    best = np.full((300, 300), -1.0)
    for move in tried:
        own = Describer(*move)(halves)
        best = np.maximum(best, own.even @ target.even.T + np.abs(own.odd @ target.odd.T))

    assert not limited
    assert len(found) > 50
    assert set(zip(*np.nonzero(np.triu(best > 0.35, 1)), strict=True)) == set(
        zip(found.row.tolist(), found.other.tolist(), strict=True)
    )


def test_too_many_candidates_are_cut_to_the_most_alike(monkeypatch):
    """Memory stays bounded: above the limit the most alike pairs are kept, and that is told."""
    monkeypatch.setattr(candidates, "MOST_CANDIDATES", 40)
    halves = resized(even_smooth(some_faces(100)), HALF)
    some, limited = find_candidates(halves, [(1 + 0j, 0j)], 0.2, lambda total, things: things)
    monkeypatch.setattr(candidates, "MOST_CANDIDATES", 10**6)
    every, _ = find_candidates(halves, [(1 + 0j, 0j)], 0.2, lambda total, things: things)

    assert limited
    assert len(some) == 40
    assert sorted(some.score.tolist()) == sorted(every.score.tolist())[-40:]


def test_no_move_comes_first_and_none_twice():
    """Every turn, zoom and shift is tried once, and first none."""
    assert moves()[0] == (1, 0)
    assert len(set(moves())) == len(moves()) == 23


@pytest.mark.parametrize("kind", NEAR)
def test_planted_copies_are_found(kind):
    """Of copies of each kind at least 95 % are found and called near, and nothing else is."""
    rng = np.random.default_rng(4)
    faces = some_faces(40)
    copies = [planted(face, kind, rng) for face in faces]
    found = {(pair.row, pair.other): pair for pair in pairs_of(*faces, *copies)}
    right = {(n, n + 40) for n in range(40)}

    assert len(right & set(found)) >= 38
    assert set(found) <= right
    assert not any(pair.augmented for pair in found.values())
    assert {pair.mirrored for pair in found.values()} == {"mirrored" in kind}


def test_turned_copies_are_found_and_called_augmented():
    """Copies that were turned and zoomed are found and told apart from near ones."""
    rng = np.random.default_rng(4)
    faces = some_faces(40)
    found = {(p.row, p.other): p for p in pairs_of(*faces, *(planted(face, "turned", rng) for face in faces))}

    assert len({(n, n + 40) for n in range(40)} & set(found)) >= 38
    assert all(pair.augmented for pair in found.values())


def test_different_faces_are_no_copies():
    """Among different pictures nothing is found."""
    assert [] == pairs_of(*some_faces(300, seed=5))


@pytest.mark.parametrize("side", [16, 64])
def test_faces_of_other_sizes_are_compared_too(side):
    """Copies are found among faces smaller and larger than the size at which they are compared."""
    faces = some_faces(12, side=side)
    (pair,) = pairs_of(*faces, brightened(faces[3][:, ::-1], 0.8))

    assert (3, 12) == (pair.row, pair.other)
    assert pair.mirrored


def test_pairs_that_match_at_half_size_alone_are_none(monkeypatch):
    """Where nothing that looks alike at half size does so at full size, nothing is found."""
    faces = some_faces(6, 4)
    copies = [*faces, *(shifted(face, 1, 0) for face in faces)]
    found = pairs_of(*copies)
    monkeypatch.setattr(near, "LEAST", 1.1)

    assert len(found) == 6
    assert pairs_of(*copies) == []


def test_pictures_of_next_to_one_grey_stop_nothing():
    """Black, white and nearly even pictures among faces are compared without a fault, and the copies are found."""
    faces = some_faces(5, 8)
    even = np.stack([np.full((SIDE, SIDE), grey, np.uint8) for grey in (0, 128, 255)])
    even[1, 3, 3] += 1
    found = pairs_of(*faces, *even, *(shifted(face, 1, 0) for face in faces))

    assert {(pair.row, pair.other) for pair in found} >= {(i, i + 8) for i in range(5)}


def test_nothing_is_found_among_no_faces():
    """No face and one face have no pairs."""
    assert find_pairs(some_faces(1)[:0], silent) == ([], False)
    assert find_pairs(some_faces(1), silent) == ([], False)


@pytest.mark.parametrize(
    ("copy", "told"),
    [
        (lambda face: face[:, ::-1], "^mirrored$"),
        (lambda face: shifted(face, 1, 0), "shifted by 1 pixel right"),
        (lambda face: shifted(face, 0, -2), "shifted by 2 pixels up"),
        (lambda face: brightened(face, 1.3), r"darker \(gamma 1\.(29|3|31)"),
        (lambda face: brightened(face, 0.75), r"brighter \(gamma 0\.7"),
        (lambda face: turned(face, 9), "turned by about 9 degrees"),
        (lambda face: turned(face, 0, 1.08), r"zoomed to 10[789] %"),
        (lambda face: recompressed(face, 50), r"^greys differ by \d\.\d"),
        (lambda face: face ^ 1, "^greys differ by "),
    ],
)
def test_a_pair_says_what_was_done(copy, told):
    """The words for a pair name mirroring, shift, brightness, turn, zoom and what is left."""
    faces = some_faces(3, seed=8)
    (pair,) = pairs_of(*faces, copy(faces[1]))
    text = describe(pair)

    assert re.search(told, text)


def test_the_order_of_faces_does_not_matter():
    """The same pairs are found with the same likeness in any order, and the most alike stand first."""
    faces = some_faces(30)
    changed = [planted(face, "shifted gamma", np.random.default_rng(n)) for n, face in enumerate(faces)]
    there = pairs_of(*faces, *changed)
    back = pairs_of(*changed, *faces)

    assert {(p.row, p.score) for p in there} == {(p.row, p.score) for p in back}
    assert all(p.other == p.row + 30 for p in there + back)
    assert [p.score for p in there] == sorted((p.score for p in there), reverse=True)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_pair_tells_what_was_done_to_the_later_one(mirrored):
    """Whichever picture is laid onto the other, the words are about the later row."""
    faces, sign = some_faces(16, seed=21), -1 if mirrored else 1
    turns = [brightened(turned(face, 8, 1.06), 1.2) for face in faces]
    shifts = [shifted(face, 1, -1) for face in faces]
    told = [pairs_of(*faces, *(face[:, ::-1] if mirrored else face for face in of)) for of in (turns, shifts)]

    for pair in (pair for pairs in told for pair in pairs):
        assert (pair.row + 16, mirrored) == (pair.other, pair.mirrored)
    assert [16, 16] == [len(pairs) for pairs in told]
    for pair in told[0]:
        assert pair.degrees == pytest.approx(sign * 8, abs=0.8)
        assert pair.zoom == pytest.approx(1.06, abs=0.02)
        assert pair.gamma == pytest.approx(1.2, abs=0.05)
    for pair in told[1]:
        assert (pair.right, pair.down) == pytest.approx((sign, -1), abs=0.2)
