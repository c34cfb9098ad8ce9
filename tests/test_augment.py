import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.recipe import Augment
from mien.train.augment import (
    augment,
    blur,
    cutmix,
    degraded,
    erase,
    expose,
    fade,
    flip,
    impulses,
    mixed,
    mixup,
    noise,
    relight,
    shift,
    shrink,
    smear,
    turn,
)
from mien.train.outliers import KINDS, with_outliers

ALL = Augment(
    flip=True,
    shift=4,
    rotation=20,
    scale=0.2,
    brightness=30,
    contrast=0.3,
    random_erasing=0.7,
    mixup=0.4,
    cutmix=1,
)
EACH = {
    "flip": lambda x, g: flip(x, generator=g),
    "shift": lambda x, g: shift(x, 3, generator=g),
    "turn": lambda x, g: turn(x, 20, 0.2, generator=g),
    "relight": lambda x, g: relight(x, 30, 0.3, generator=g),
    "blur": lambda x, g: blur(x, 2, generator=g),
    "noise": lambda x, g: noise(x, 30, generator=g),
    "smear": lambda x, g: smear(x, 6, generator=g),
    "expose": lambda x, g: expose(x, 3, generator=g),
    "fade": lambda x, g: fade(x, 0.9, generator=g),
    "impulses": lambda x, g: impulses(x, 0.3, generator=g),
    "erase": lambda x, g: erase(x, 1, generator=g),
    "mixup": lambda x, g: mixup(x, torch.eye(len(x)), 1, generator=g)[0],
    "cutmix": lambda x, g: cutmix(x, torch.eye(len(x)), 1, generator=g)[0],
}


def some_faces(count: int = 6, side: int = 12, seed: int = 0) -> torch.Tensor:
    """Return random faces, uint8 (count, side, side)."""
    return torch.randint(
        0, 256, (count, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def stream(seed: int = 1) -> torch.Generator:
    """Return a generator that starts at a seed."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", EACH)
def test_each_change_gives_other_bytes_of_the_same_shape_and_leaves_its_input(name):
    """A batch stays uint8 (B, S, S), changes, changes alike for equal generators, and the caller's is kept."""
    faces = some_faces()
    before = faces.clone()
    first, again, other = (EACH[name](faces, stream(seed)) for seed in (1, 1, 2))

    assert torch.equal(before, faces)
    assert (torch.uint8, faces.shape) == (first.dtype, first.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, faces)
    assert not torch.equal(first, other)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 9), side=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_all_changes_together_take_any_batch(count, side, seed):
    """From one face of one pixel on, all changes keep shape and type, and targets keep their sums."""
    targets = torch.eye(7)[torch.arange(count) % 7]
    faces = augment(some_faces(count, side, seed), ALL, generator=stream(seed))
    faces, blended = mixed(faces, targets, ALL, generator=stream(seed))

    assert (torch.uint8, (count, side, side)) == (faces.dtype, tuple(faces.shape))
    assert torch.allclose(torch.ones(count), blended.sum(1))


def test_no_change_asked_is_no_change():
    """A recipe without augmentation hands on the very batch and targets, and draws nothing."""
    faces, targets, generator = some_faces(), torch.eye(6), stream()
    before = generator.get_state()
    out, blended = mixed(
        augment(faces, Augment(), generator=generator), targets, Augment(), generator=generator
    )

    assert out is faces
    assert blended is targets
    assert torch.equal(before, generator.get_state())


ALONE = [
    ({"flip": True}, ("flip",)),
    ({"rotation": 20}, ("turn", 20, 0)),
    ({"scale": 0.25}, ("turn", 0, 0.25)),
    ({"shift": 3}, ("shift", 3)),
    ({"brightness": 30}, ("relight", 30, 0)),
    ({"contrast": 0.5}, ("relight", 0, 0.5)),
    ({"random_erasing": 0.7}, ("erase", 0.7)),
    ({"mixup": 0.4}, ("mixup", 0.4)),
    ({"cutmix": 0.9}, ("cutmix", 0.9)),
]


def test_each_number_of_a_recipe_reaches_its_own_change(monkeypatch):
    """Alone and together, each field has its own change made, with its own number and no other's."""
    calls = []

    def noting(name: str):
        def change(images, *given, generator):
            calls.append((name, *(value for value in given if not isinstance(value, torch.Tensor))))
            return (images, given[0]) if name in ("mixup", "cutmix") else images

        return change

    def asked(**fields) -> list[tuple]:
        calls.clear()
        for seed in range(20):
            mixed(augment(some_faces(), Augment(**fields), generator=stream()), torch.eye(6), Augment(**fields),
                  generator=stream(seed))  # fmt: skip
        return sorted(set(calls))

    for name in EACH:
        monkeypatch.setattr(f"mien.train.augment.{name}", noting(name))

    assert [[call] for _, call in ALONE] == [asked(**fields) for fields, _ in ALONE]
    together = asked(**{name: value for fields, _ in ALONE for name, value in fields.items()})
    both = [("turn", 20, 0.25), ("relight", 30, 0.5)]
    assert sorted([*both, *(call for _, call in ALONE if call[0] not in ("turn", "relight"))]) == together


def test_a_turn_moves_what_stood_beside_the_middle():
    """A bright right half, turned by at most 90 degrees either way, leaves the right, but never for the left."""
    half = torch.zeros(200, 16, 16, dtype=torch.uint8)
    half[:, :, 8:] = 200
    turned = turn(half, 90, 0, generator=stream()).float()
    upper, lower = turned[:, :8].mean((1, 2)), turned[:, 8:].mean((1, 2))

    assert (upper > 150).any()
    assert (lower > 150).any()
    assert (turned[:, :, 8:].mean((1, 2)) > turned[:, :, :8].mean((1, 2)) - 1).all()
    assert torch.allclose(torch.tensor(100.0), turned.mean((1, 2)), atol=8)


def test_a_zoom_keeps_the_middle_and_scales_by_at_most_its_factor():
    """A square of 8 pixels becomes one of 8 / 1.5 to 8 * 1.5 a side, some of them larger and some smaller."""
    faces = torch.zeros(100, 24, 24, dtype=torch.uint8)
    faces[:, 8:16, 8:16] = 255
    sides = (turn(faces, 0, 0.5, generator=stream()).float().sum((1, 2)) / 255).sqrt()

    assert 8 / 1.5 - 0.5 < sides.min() < 7
    assert 9 < sides.max() < 8 * 1.5 + 0.5


def test_light_changes_within_its_bounds():
    """Greys 100 and 156 lie 28 from the middle: stretched by up to a half and moved by up to 20."""
    faces = torch.tensor([[[100, 156]]], dtype=torch.uint8).repeat(300, 1, 1)
    lit = relight(faces, 20, 0.5, generator=stream()).float()
    spread, middle = lit[:, 0, 1] - lit[:, 0, 0], lit.mean((1, 2))

    assert 27 <= spread.min() < 35
    assert 77 < spread.max() <= 85
    assert 107 <= middle.min() < 112
    assert 144 < middle.max() <= 149


def test_erasing_hits_its_share_of_faces_with_rectangles_of_bounded_area():
    """Half the faces lose one rectangle of 2 to 20 % (and what rounding adds); the others are as they were."""
    faces = torch.full((600, 48, 48), 255, dtype=torch.uint8)
    lost = erase(faces, 0.5, generator=stream()) != 255
    hit = lost.any(2).any(1)
    areas = []
    for face in lost[hit]:
        rows, columns = face.any(1).nonzero()[:, 0], face.any(0).nonzero()[:, 0]
        areas.append((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1) / 48**2)

    assert 0.44 < hit.float().mean() < 0.56
    assert 0.01 < min(areas) < 0.05
    assert 0.15 < max(areas) < 0.22


def test_mixup_blends_faces_and_targets_by_one_share():
    """Of a black and a white face the grey tells the share, and the targets say the same; half at most is another's."""
    faces = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None].repeat(1, 4, 4)
    for seed in range(20):
        grey, targets = mixup(faces, torch.eye(2), 1, generator=stream(seed))

        assert torch.allclose(targets[:, 1], grey[:, 0, 0] / 255, atol=0.003)
        assert (targets.diagonal() >= 0.5).all()


def test_cutmix_puts_in_a_rectangle_and_targets_tell_its_area():
    """Of a black and a white face the share of white pixels is white's share of the target, and all are whole."""
    faces = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None].repeat(1, 10, 10)
    shares = set()
    for seed in range(20):
        cut, targets = cutmix(faces, torch.eye(2), 1, generator=stream(seed))
        shares.add(round(targets[0, 1].item(), 2))

        assert set(cut.unique().tolist()) <= {0, 255}
        assert torch.allclose(targets[:, 1], (cut == 255).float().mean((1, 2)), atol=1e-6)
    assert len(shares) > 5


def test_both_blends_take_turns_and_leave_alone_what_they_shall():
    """With half the batches mixed, of those some by each kind, the others stay as they are."""
    recipe = Augment(mixup=1, cutmix=1, mix_prob=0.5)
    faces = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None].repeat(1, 10, 10)
    kinds = {"none": 0, "mixup": 0, "cutmix": 0}
    for seed in range(300):
        out, targets = mixed(faces, torch.eye(2), recipe, generator=stream(seed))
        whole = set(out.unique().tolist()) <= {0, 255}
        kinds["none" if targets[0, 1] in (0, 1) else "cutmix" if whole else "mixup"] += 1

    assert min(kinds.values()) > 20


@pytest.mark.parametrize("alpha", [0.05, 1.0, 50.0])
def test_shares_follow_the_beta_distribution(alpha):
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)), also where its lower half alone is taken."""
    two = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None]
    drawn = [mixup(two, torch.eye(2), alpha, generator=stream(seed))[1][0, 1].item() for seed in range(800)]
    moved = [share for share in drawn if share]  # a face that is its own partner tells no share

    variance = np.mean((np.array(moved) - 0.5) ** 2)
    assert abs(variance - 1 / (4 * (2 * alpha + 1))) < 0.12 / np.sqrt(2 * alpha + 1)


def test_shrinking_keeps_the_mean():
    """A face at half its side is the means over squares of 2 x 2 pixels; at its own side it is itself."""
    faces = some_faces(3, 8)
    wanted = faces.float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4)).round()

    assert torch.equal(wanted, shrink(faces, 4).float())
    assert shrink(faces, 8) is faces


def test_outliers_take_their_share_of_a_batch_with_equal_targets():
    """Of 40 faces a quarter become other pictures, two of each kind, with equal targets; the rest stay as they are."""
    faces, targets = some_faces(40, 48), torch.eye(7)[torch.arange(40) % 7]

    pictures, changed = with_outliers(faces, targets, 0.25, generator=stream())

    even = (changed == 1 / 7).all(1)
    assert even.sum() == 10
    assert torch.equal(pictures[~even], faces[~even])
    assert torch.equal(changed[~even], targets[~even])
    assert all(not torch.equal(new, old) for new, old in zip(pictures[even], faces[even], strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(count=st.integers(1, 5), side=st.integers(6, 65), seed=st.integers(0, 99))
def test_every_kind_of_outlier_fits_its_batch(kind, count, side, seed):
    """Pictures of faces of any side are made to outliers of the same shape, all numbers finite."""
    pictures = kind(some_faces(count, side, seed), stream(seed))

    assert pictures.shape == (count, side, side)
    assert pictures.isfinite().all()


def test_blur_and_noise_touch_half_of_the_faces_by_up_to_what_is_asked():
    """Of 400 faces about half lose their stripes' contrast, about half get noise; a face blurred by 0 stays."""
    stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat(400, 20, 10)

    softer = blur(stripes, 3, generator=stream())
    grainy = noise(torch.full((400, 20, 20), 128, dtype=torch.uint8), 20, generator=stream())

    touched = (softer != stripes).flatten(1).any(1)
    assert 150 < touched.sum() < 250
    assert (softer[touched].float().std((1, 2)) < 127.6).all()
    deviations = grainy.float().std((1, 2))
    assert 150 < (deviations > 0).sum() < 250
    assert deviations.max() < 22
    faces = some_faces()
    assert torch.equal(degraded(faces, Augment(), generator=stream()), faces)


DEGRADED = {"exposure": 3.5, "fading": 0.9, "blur": 1.5, "motion": 12, "noise": 35, "impulses": 0.25}


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 9), side=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_all_degradations_together_take_any_batch(count, side, seed):
    """From one face of one pixel on, every degradation keeps shape and type, and the caller's faces."""
    faces = some_faces(count, side, seed)
    before = faces.clone()
    poorer = degraded(faces, Augment(**DEGRADED, degrade_prob=0.6), generator=stream(seed))

    assert torch.equal(before, faces)
    assert (torch.uint8, faces.shape) == (poorer.dtype, poorer.shape)


@pytest.mark.parametrize("field", DEGRADED)
def test_each_degradation_has_a_field_of_its_own(field):
    """A recipe with one field set degrades some faces and leaves others; with the probability 0 it leaves all."""
    faces = some_faces(64)
    alone = {field: DEGRADED[field]}
    touched = (degraded(faces, Augment(**alone), generator=stream()) != faces).flatten(1).any(1)

    assert 0 < touched.sum() < 64
    assert torch.equal(degraded(faces, Augment(**alone, degrade_prob=0), generator=stream()), faces)


def test_light_contrast_and_failed_pixels_stay_within_what_is_asked():
    """Light falls by at most 2 stops and rises by one, contrast keeps its mean and a tenth, a third of pixels fail."""
    grey = torch.full((400, 20, 20), 64, dtype=torch.uint8)
    lit = expose(grey, 2, generator=stream())[:, 0, 0].int()
    assert 16 <= lit.min() < 24 and 112 < lit.max() <= 128
    assert 150 < (lit == 64).sum() < 250

    stripes = torch.tensor([64, 192], dtype=torch.uint8).repeat(400, 20, 10)
    faded = fade(stripes, 0.9, generator=stream()).float()
    assert (faded.mean((1, 2)) == 128).all()
    assert 12 <= (faded.amax((1, 2)) - faded.amin((1, 2))).min() < 40

    failed = impulses(grey, 1 / 3, generator=stream())
    shares = (failed != 64).float().mean((1, 2))
    assert 50 < (shares > 0).sum() < 150
    assert 0.25 < shares.max() < 0.4
    assert {0, 64, 255} == set(failed.unique().tolist())


def test_motion_smears_along_one_direction():
    """A dot becomes a line of at most the length that was asked, with the dot's light; other faces stay."""
    dots = torch.zeros(400, 21, 21, dtype=torch.uint8)
    dots[:, 10, 10] = 255
    smeared = smear(dots, 8, generator=stream())
    touched = (smeared != dots).flatten(1).any(1)
    rows, columns = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")

    assert 50 < touched.sum() < 150
    reach = [(rows[face > 0] ** 2 + columns[face > 0] ** 2).max().sqrt().item() for face in smeared[touched]]
    assert max(reach) <= 6
    assert (smeared[touched].float().sum((1, 2)) - 255).abs().max() < 12
