import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.dataset import Faces, read_dataset, write_families
from mien.errors import ModelError, StorageError
from mien.faces import Finder, align
from mien.stress import CORRUPTIONS, STRENGTHS, corrupted, stress
from mien.stress.measure import Recognizing, measure
from mien.stress.photographs import in_photographs, photograph


def faces_like(count: int, side: int = 24, seed: int = 0) -> Faces:
    """Return smooth random faces of three classes that stand in their brightness; every fourth is a copy."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    ramp = np.linspace(0, 30, side)[None, :, None] + np.linspace(0, 20, side)[None, None, :]
    images = (40 + 60 * labels[:, None, None] + ramp).astype(np.uint8)
    ids = np.array([str(n) for n in range(count)])
    groups = np.array([str(n - (n % 4 == 3)) for n in range(count)])
    return Faces(images, labels, ids, groups, np.ones(count, bool))


def by_brightness(images: np.ndarray) -> np.ndarray:
    """Classify a face by its mean grey, the less surely the farther it is from the class's."""
    distance = abs(images.mean((1, 2))[:, None] - (65 + 60 * np.arange(3)))
    return np.exp(-distance / 20) / np.exp(-distance / 20).sum(1, keepdims=True)


@pytest.mark.parametrize("name", CORRUPTIONS)
@settings(deadline=None, max_examples=10)
@given(
    count=st.integers(1, 4),
    side=st.integers(4, 70),
    strength=st.sampled_from(STRENGTHS),
    seed=st.integers(0, 9),
)
def test_every_corruption_keeps_shape_and_input_and_repeats(name, count, side, strength, seed):
    """Faces of any side come back uint8 of the same shape, the same for the same seed; the input stays as it is."""
    faces = np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)
    before = faces.copy()

    first, again = (corrupted(faces, name, strength, seed=seed) for _ in range(2))

    assert (first.dtype, first.shape) == (np.uint8, faces.shape)
    assert np.array_equal(first, again)
    assert np.array_equal(before, faces)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_strength_changes_a_face_more(name, astronaut):
    """From strength 1 to 5 the mean distance from a photographed face grows with each step."""
    portrait = astronaut[20:164, 150:294].mean(2).astype(np.uint8)[::3, ::3]
    faces = np.repeat(portrait[None], 60, 0).copy()

    away = [abs(corrupted(faces, name, s).astype(int) - faces).mean() for s in STRENGTHS]

    assert 0 < away[0]
    assert sorted(away) == away


def test_a_strength_or_a_name_that_is_none_is_refused():
    """Strength 0 and 6 are ValueErrors, an unknown corruption a KeyError or ValueError."""
    faces = faces_like(1).images
    for strength in (0, 6):
        with pytest.raises(ValueError):
            corrupted(faces, "defocus", strength)
    with pytest.raises((KeyError, ValueError)):
        corrupted(faces, "rain", 1)


def test_known_answers_give_known_numbers():
    """One that classifies by brightness loses in low light and not when moved; one that guesses loses nothing."""
    faces = faces_like(40)
    blind = Recognizing(lambda images: np.tile([0.5, 0.3, 0.2], (len(images), 1)), 0.6)

    result = measure({"bright": Recognizing(by_brightness, 0.5), "blind": blind}, faces, draws=100)

    zeros = float(np.mean(faces.labels == 0))
    assert result.unchanged("bright").accuracy.point == 1
    assert result.mean_of("bright", "rotation") > 0.9
    assert result.of("bright", "low light")[5].accuracy.point == pytest.approx(zeros)
    assert {condition.uncertain for condition in result.of("blind", "mask")} == {1.0}
    assert result.accuracy["blind"].point == pytest.approx(zeros)
    assert result.loss["blind"].point == pytest.approx(0)
    assert result.mean_corruption_error["bright"] == 1
    difference = result.differences["bright", "blind"]
    assert difference.point == pytest.approx(result.accuracy["bright"].point - zeros)
    assert difference.low <= difference.point <= difference.high


def test_equal_models_differ_by_nothing_and_repeat_to_the_digit():
    """A model against itself has the difference 0 with the interval 0 to 0, and a second measurement is equal."""
    faces, model = faces_like(20), Recognizing(by_brightness, 0.5)

    first, again = (measure({"a": model, "b": model}, faces, draws=100, seed=3) for _ in range(2))

    assert (0, 0, 0) == tuple(first.differences["a", "b"].to_dict().values())
    assert first == again


def test_a_face_that_is_not_found_is_not_correct_and_counts_in_no_other_figure():
    """Accuracy is of all faces, calibration and "uncertain" are of those found, and nan where none is."""
    faces = faces_like(40)
    answers = np.eye(3)[[1]]

    def view(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = images.mean((1, 2)) > 90
        return images[found], found

    model = Recognizing(lambda images: np.repeat(answers, len(images), 0), 0.5)
    result = measure({"second class": model}, faces, draws=100, view=view)

    unchanged, dark = result.unchanged("second class"), result.of("second class", "low light")[5]
    assert result.photographs
    assert unchanged.found == pytest.approx(np.mean(faces.labels > 0))
    assert unchanged.accuracy.point == pytest.approx(np.mean(faces.labels == 1))
    assert unchanged.ece == pytest.approx(1 - np.mean(faces.labels[faces.labels > 0] == 1))
    assert (0, 0) == (dark.found, dark.accuracy.point)
    assert np.isnan(dark.ece)


def test_faces_are_found_in_photographs_and_cropped_where_they_were(astronaut):
    """A photographed face comes back near its own pixels, noise is not found, and the row alone decides the place."""
    finder = Finder()
    face = align(astronaut, finder.find(astronaut)[0], 48)
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)

    crops, found = in_photographs(np.stack([face, noise, face]), finder)

    assert [True, False, True] == found.tolist()
    assert (2, 48, 48) == crops.shape
    for crop in crops:
        assert np.corrcoef(crop.ravel(), face.ravel())[0, 1] > 0.7
    again, center, side = photograph(face, 0, 2)
    assert np.array_equal(again, photograph(face, 0, 2)[0])
    assert not np.array_equal(again, photograph(face, 0, 0)[0])
    assert max(center) + side / 2 < len(again)


def test_any_classifier_stands_beside_a_model(toy, toy_model, tmp_path):
    """A function from faces to probabilities is asked for the same faces; the name of a model is refused."""
    rows = []

    def constant(images: np.ndarray) -> np.ndarray:
        rows.append(len(images))
        return np.eye(7)[np.zeros(len(images), int)]

    options = {"faces": 4, "draws": 100}
    result = stress([toy_model], toy, tmp_path / "report", others={"constant": constant}, **options)

    assert [toy_model.stem, "constant"] == list(result.accuracy)
    assert [4] * (1 + len(CORRUPTIONS) * len(STRENGTHS)) == rows
    assert {0.0} == {c.uncertain for c in result.conditions if c.model == "constant"}
    with pytest.raises(ModelError):
        stress([toy_model], toy, tmp_path / "other", others={toy_model.stem: constant})


def test_faces_without_a_copy_of_any_kind_in_train_are_taken(toy, toy_model, tmp_path):
    """Where an audit has told copies, no val face with one is corrupted, and the page says so."""
    data = tmp_path / "data"
    shutil.copytree(toy, data)
    dataset = read_dataset(data)
    faces = dataset.development()
    copied = faces.val.ids[:-3].tolist()
    write_families(dataset.info, [[faces.train.ids[0], *copied]])

    result = stress([toy_model], data, tmp_path / "report", draws=100)

    assert result.faces == 3
    assert "strictly clean" in (tmp_path / "report" / "stress.html").read_text(encoding="utf-8")


def test_the_command_writes_a_report_of_a_run_and_of_a_model(toy, toy_run, toy_model, tmp_path):
    """`mien stress RUN MODEL --data DATASET` writes page, panels and numbers; one network as both differs by 0."""
    out = tmp_path / "report"
    words = [
        sys.executable,
        "-m",
        "mien",
        "stress",
        toy_run,
        toy_model,
        "--data",
        toy,
        "--out",
        out,
        "--draws",
        "100",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)

    assert toy_model.stem in done.stdout
    assert (out / "stress.html").read_text(encoding="utf-8").count("<svg") == len(CORRUPTIONS)
    assert len(list((out / "figures").glob("*.png"))) == len(CORRUPTIONS)
    with open(out / "numbers" / "conditions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (1 + len(CORRUPTIONS) * len(STRENGTHS))
    with open(out / "numbers" / "differences.csv", encoding="utf-8", newline="") as file:
        (difference,) = csv.DictReader(file)
    assert abs(float(difference["difference"])) < 0.02


def test_two_models_of_one_name_no_model_and_a_foreign_folder_are_refused(toy, toy_model, tmp_path):
    """Without a model, with one twice or with an --out of other files nothing is written."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")

    with pytest.raises(ModelError):
        stress([], toy, tmp_path / "out")
    with pytest.raises(ModelError):
        stress([toy_model, toy_model], toy, tmp_path / "out")
    with pytest.raises(StorageError):
        stress([toy_model], toy, other)
    assert ["notes.txt"] == [path.name for path in other.iterdir()]
    assert not (tmp_path / "out").exists()
