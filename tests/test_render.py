import csv
import hashlib
import inspect
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from browser import reads_well

from mien.cli import data as cli
from mien.dataset import read_dataset
from mien.errors import DataError
from mien.labels import LABELS, SPLITS
from mien.render import NOTE, VERSION, cached_folder, is_default, render, write_page
from mien.render.draw import Draw
from mien.render.expression import AUS, pure, shape_weights
from mien.render.faces import TRUTH, Plan, counts, ordered, orders, splits
from mien.render.geometry import landmarks
from mien.render.identity import identity
from mien.render.look import Look
from mien.render.raster import rasterize
from mien.render.scene import picture
from mien.render.shapes import PACK, shapes

FACES = 105
PLAN = Plan(faces=1400, side=48, seed=3, counts="balanced", label_noise=0.0, ambiguity=0.1)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The folder of a small data set of rendered faces."""
    folder = tmp_path_factory.mktemp("rendered") / "faces"
    render(folder, faces=FACES, seed=5)
    return folder


@pytest.fixture(scope="module")
def table(rendered):
    """Its table, a dict a row."""
    with open(rendered / "table.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def person():
    """One person."""
    return identity(Draw(1, "person", 6))


def test_the_pack_is_small_and_names_its_origin():
    """shapes.npz is at most 1 MB, and the license beside it records its sha256 and the wheel's."""
    told = PACK.with_name("shapes.LICENSE.txt").read_text(encoding="utf-8")
    wheel, sha256 = shapes().origin

    assert PACK.stat().st_size <= 1_000_000
    assert hashlib.sha256(PACK.read_bytes()).hexdigest() in told
    assert wheel in told
    assert sha256 in told
    assert "CC0 1.0" in told


def test_a_data_set_of_rendered_faces_is_one_like_any_other(rendered):
    """It is read by `read_dataset`, has all splits and classes, and says what it is no measure of."""
    info = read_dataset(rendered).info

    assert LABELS == info.labels
    assert FACES == sum(info.count(split) for split in SPLITS)
    assert NOTE in info.notes
    assert "rendered" == info.origin["kind"]


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(rendered, tmp_path):
    """Two processes write the very files that one writes."""
    info = render(tmp_path / "again", faces=FACES, seed=5, workers=2)

    assert read_dataset(rendered).info.pixels_sha256 == info.pixels_sha256
    assert read_dataset(rendered).info.table_sha256 == info.table_sha256


def test_another_seed_gives_other_faces(rendered, tmp_path):
    """No picture of one seed is a picture of another."""
    render(tmp_path / "other", faces=21, seed=6)
    first, other = (np.load(f / "faces.npy") for f in (rendered, tmp_path / "other"))

    assert not {face.tobytes() for face in first} & {face.tobytes() for face in other}


def test_a_data_set_made_in_the_same_way_is_left_and_any_other_refused(rendered):
    """`render` onto a folder that stands gives its info, or one line on why not."""
    assert read_dataset(rendered).info == render(rendered, faces=FACES, seed=5)
    with pytest.raises(DataError):
        render(rendered, faces=FACES, seed=6)


def test_a_data_set_that_two_render_at_once_is_made_by_one(tmp_path):
    """Both have it in the end; the second one waits and finds it made."""
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(render, tmp_path / "faces", faces=42) for _ in "12")

    assert first.result() == second.result() == read_dataset(tmp_path / "faces").info
    assert ["faces"] == [p.name for p in tmp_path.iterdir()]


def test_the_command_makes_the_default_set():
    """Without options `mien render` asks for the set that `render` makes without arguments."""
    asked = {name: parameter.default for name, parameter in inspect.signature(cli.render).parameters.items()}
    options = {name: asked[name] for name in ("faces", "seed", "counts", "label_noise", "ambiguity")}

    assert is_default(**options, side=48)
    assert not is_default(**options, side=64)


def test_the_default_set_lies_in_the_users_cache(monkeypatch, tmp_path):
    """XDG_CACHE_HOME is heeded, and other sets lie elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert tmp_path / "mien" == cached_folder().parent
    assert f"rendered-v{VERSION}" == cached_folder().name


def test_people_stand_in_one_split_alone(table):
    """Every person's faces are in one split, and a tenth of the people in each of val and test."""
    by_person = defaultdict(set)
    for row in table:
        by_person[row["person"]].add(row["split"])

    assert {1} == {len(found) for found in by_person.values()}
    assert {"train": 11, "val": 2, "test": 2} == Counter(next(iter(s)) for s in by_person.values())


def test_the_same_people_show_all_classes(table):
    """In a balanced set each person shows each class once."""
    shown = Counter((row["person"], row["shown"]) for row in table)

    assert {(str(p), label): 1 for p in range(FACES // 7) for label in LABELS} == shown


def test_truth_stands_in_its_ranges(table):
    """The table's numbers are what they say: shares sum to 1, angles and units are possible ones."""
    assert set(TRUTH) <= set(table[0])
    for row in table:
        assert 1 == pytest.approx(
            sum(float(row[name]) for name in ("african", "asian", "caucasian")), abs=0.003
        )
        assert 5 <= float(row["age"]) <= 80
        assert 0 <= float(row["gender"]) <= 1
        assert 0.55 <= float(row["intensity"]) <= 1.15
        assert all(0 <= float(row[f"au{au:02}"]) <= 2.2 for au in AUS)
        assert all(abs(float(row[angle])) < 60 for angle in ("yaw", "pitch", "roll"))


def test_units_tell_the_classes(table):
    """Happy faces pull the corners of the mouth up, sad ones down; the lids of the surprised are raised."""

    def mean(label: str, unit: str) -> float:
        return np.mean([float(row[unit]) for row in table if row["shown"] == label])

    assert mean("happy", "au12") > 0.4 > mean("sad", "au12")
    assert mean("sad", "au15") > 0.4 > mean("happy", "au15")
    assert mean("surprise", "au05") > 0.4 > mean("sad", "au05")


@pytest.mark.parametrize("kind", ["balanced", "fer2013"])
@pytest.mark.parametrize("faces", [21, 1000, 7001])
def test_counts_sum_to_the_faces_asked_for(kind, faces):
    """Classes are even to one face or have FER2013's shares, and that many faces are planned."""
    plan = replace(PLAN, faces=faces, counts=kind)
    found = counts(plan)
    planned = Counter(order.label for its in orders(plan) for order in its)

    assert faces == sum(found)
    assert dict(zip(LABELS, found, strict=True)) == {label: planned[label] for label in LABELS}
    assert found[3] == max(found) if kind == "fer2013" else max(found) - min(found) <= 1


def test_label_noise_comes_at_its_rate():
    """A fifth of the labels is wrong where a fifth is asked for; what is shown stays."""
    plan = replace(PLAN, label_noise=0.2, ambiguity=0.0)
    told = [(o.label, *ordered(plan, o)[:2]) for its in orders(plan) for o in its]
    wrong = np.mean([label != asked for asked, label, _ in told])

    assert 0.2 == pytest.approx(wrong, abs=0.035)
    assert all(asked == shown.label for asked, _, shown in told)


def test_ambiguous_faces_come_at_their_rate():
    """A tenth of the faces has a second class mixed in, never more than half."""
    found = [ordered(PLAN, o)[1] for its in orders(PLAN) for o in its]
    mixed = [shown for shown in found if shown.second]

    assert 0.1 == pytest.approx(len(mixed) / len(found), abs=0.03)
    assert all(0 < shown.second_share < 0.5 and shown.second != shown.label for shown in mixed)


def test_splits_hold_every_split_even_of_few_people():
    """Three people are enough for three splits."""
    assert set(SPLITS) == set(splits(replace(PLAN, faces=21)))


def test_views_know_nothing_of_the_expression():
    """With another class in the same place, the view and the person are the same."""
    first = orders(PLAN)[4][0]
    other = replace(first, label="happy" if first.label != "happy" else "sad")

    assert ordered(PLAN, first)[2] == ordered(PLAN, other)[2]


def test_a_mirrored_face_is_the_mirror_picture(person):
    """Left and right units are swapped by `mirrored` as a mirror swaps them."""
    even = replace(person, part=0.0, hair="bald", beard="none", blotches=0.0)
    shown = replace(pure("happy"), aus={12: (1.1, 0.1), 2: (0.0, 1.2), 43: (0.8, 0.0)}, gaze=(0.5, 0.1))
    look = Look(yaw=12, roll=5, azimuth=40, clutter=0.0, shift=(0.03, 0.0))
    straight, mirrored = picture(even, shown, look), picture(even, shown.mirrored(), look.mirrored())
    apart = np.abs(straight[:, ::-1].astype(float) - mirrored).mean()

    assert apart < 4 < np.abs(straight.astype(float) - mirrored).mean()


def test_yaw_turns_the_face_to_the_side_it_says(person):
    """With positive yaw the nose's side of the face is the viewer's right: the far eye comes nearer the middle."""
    left, right, mouth = landmarks(person, pure("neutral"), Look(yaw=30), 48)

    assert right[0] - mouth[0] < mouth[0] - left[0]


def test_eyes_and_mouth_lie_where_fer2013_has_them(person):
    """The eyes are in row 14 to 18 of 48, left and right of the middle, the mouth in row 33 to 39."""
    left, right, mouth = landmarks(person, pure("neutral"), Look(), 48)

    assert 14 < left[1] < 18
    assert 14 < right[1] < 18
    assert 13 < left[0] < 18
    assert 30 < right[0] < 35
    assert 33 < mouth[1] < 39


def test_a_shape_is_never_pulled_beyond_what_skin_can_do():
    """Weights are cut, and closed lips do not press while the jaw is open."""
    far = replace(pure("angry"), aus=dict.fromkeys(AUS, (3.0, 3.0)))

    assert max(shape_weights(far).values()) <= 1.9
    assert 0 == shape_weights(far).get("mouthPressLeft", 0)


def test_the_depth_buffer_shows_what_is_near():
    """Of two squares at one place the nearer is seen, whole, and the back of a triangle never is."""
    points = np.array([[0, 0, z] for z in (1, 2)] + [[8, 0, z] for z in (1, 2)] + [[0, 8, z] for z in (1, 2)])
    front = np.array([[0, 4, 2], [1, 5, 3]], np.int32)
    hits = rasterize(points.astype(np.float32), front, 8)

    assert {1} == set(hits.triangles.tolist())
    assert 36 == len(hits.pixels)
    assert 0 == len(rasterize(points.astype(np.float32), front[:, ::-1], 8).pixels)


def test_the_pictures_are_those_of_this_version(person):
    """A smile looks as it did when `render.VERSION` was set, to a grey level in the means of 16 squares."""
    found = picture(person, pure("happy"), Look()).reshape(4, 12, 4, 12).mean((1, 3))
    expected = [[96, 158, 177, 169], [73, 120, 136, 135], [95, 141, 172, 166], [115, 103, 138, 202]]

    assert 1 == VERSION
    assert np.abs(found - expected).max() < 1


@pytest.mark.parametrize("side", [48, 64, 256])
def test_pictures_have_the_side_asked_for(person, side):
    """A picture is uint8 (side, side) with something to see in it."""
    found = picture(person, pure("surprise"), Look(), side=side)

    assert (side, side) == found.shape
    assert np.uint8 == found.dtype
    assert found.std() > 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"faces": 20}, "--faces must be from 21"),
        ({"side": 47}, "--side must be from 48 to 256"),
        ({"side": 257}, "--side must be from 48 to 256"),
        ({"seed": -1}, "--seed must be 0 or more"),
        ({"counts": "even"}, 'balanced or fer2013 and is "even"'),
        ({"label_noise": 0.9}, "--label-noise must be from 0 to 0.8"),
        ({"ambiguity": -0.1}, "--ambiguity must be from 0 to 1"),
    ],
)
def test_impossible_wishes_get_one_line(tmp_path, arguments, message):
    """Each is a DataError that names the option, and no folder is made."""
    with pytest.raises(DataError, match=message):
        render(tmp_path / "none", **arguments)

    assert not list(tmp_path.iterdir())


def test_the_page_shows_the_set_beside_fer2013(rendered, tmp_path):
    """render.html holds a sheet of every class, the figures and the plain warning, and requests nothing."""
    write_page(rendered, tmp_path / "render.html")
    html = (tmp_path / "render.html").read_text(encoding="utf-8")

    assert "no measure of performance on people" in html
    assert html.count("Labeled ") >= 7 * 11
    mean = read_dataset(rendered).development().train.images.mean()
    assert f'<th scope="row">grey of all pixels, mean</th><td>{mean:.0f}</td><td>129</td>' in html
    assert "http" not in html.replace("http-equiv", "")
    assert len(html) < 2_000_000


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_reads_well_in_a_browser(browser, rendered, tmp_path, width, scheme):
    """In Chromium nothing leaves the page, nothing overflows a phone, every picture loads, dark is dark."""
    write_page(rendered, tmp_path / "render.html")
    reads_well(browser, tmp_path / "render.html", width, scheme)


def test_other_faces_have_no_such_page(toy, tmp_path):
    """A data set that was packed is refused."""
    with pytest.raises(DataError):
        write_page(toy, tmp_path / "render.html")
