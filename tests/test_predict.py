import base64
import csv
import importlib
import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import reads_well
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import raises_naming

from mien.cli import main
from mien.dataset import read_dataset
from mien.errors import DataError, ModelError, PictureError, StorageError
from mien.faces.finder import MODEL as DETECTOR
from mien.info import info
from mien.labels import LABELS
from mien.model import shipped_models
from mien.predict import Recognizer, predict
from mien.predict.annotate import SMALLEST, annotated, label_places
from mien.predict.columns import POINTS
from mien.predict.occlusion import most, occlusion
from mien.predict.sources import sources
from mien.reading import DEFAULT_MODEL
from mien.workers import spread


@pytest.fixture(scope="module")
def recognizer(toy_model):
    """A recognizer with the toy model."""
    return Recognizer(toy_model)


@pytest.fixture(scope="module")
def faces(recognizer, astronaut):
    """What is read in the astronaut's portrait."""
    return recognizer.predict(astronaut, channels="rgb")


@pytest.fixture(scope="module")
def photos(astronaut, toy, tmp_path_factory):
    """A folder of a portrait, two of it side by side below a folder, a picture without a face, a broken one, notes."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    Image.fromarray(astronaut).save(folder / "portrait.png")
    two = np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)[:300]
    Image.fromarray(two).save(folder / "below" / "two.jpg", quality=95)
    Image.fromarray(np.full((90, 120), 128, np.uint8)).save(folder / "empty.png")
    (folder / "broken.jpg").write_bytes((folder / "below" / "two.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("no picture")
    return folder


def mien(*arguments, **options) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "mien", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, **options)


def same(ones, others, within: float = 0.0) -> bool:
    """Whether faces have the same boxes and, within a difference, the same probabilities."""
    pairs = list(zip(ones, others, strict=True))
    return all(a.box == b.box for a, b in pairs) and all(
        abs(a.probabilities[label] - b.probabilities[label]) <= within for a, b in pairs for label in LABELS
    )


def test_a_face_is_found_and_read(faces):
    """A portrait has one face: its box, landmarks, score, crop and probabilities that sum to 1."""
    (face,) = faces
    left, top, width, height = face.box

    assert left < 203 < 246 < left + width
    assert top < 101 < 142 < top + height
    assert (5, 2) == face.landmarks.shape
    assert 0.5 < face.score <= 1
    assert (16, 16) == face.crop.shape
    assert LABELS == tuple(face.probabilities)
    assert 1 == pytest.approx(sum(face.probabilities.values()), abs=1e-5)
    assert face.confidence == max(face.probabilities.values())


def test_a_picture_may_come_in_any_form(recognizer, faces, astronaut, photos):
    """A path, bytes, a Pillow image and arrays in either order of channels give the same answer."""
    path = photos / "portrait.png"

    assert same(faces, recognizer.predict(str(path)))
    assert same(faces, recognizer.predict(path))
    assert same(faces, recognizer.predict(path.read_bytes()))
    assert same(faces, recognizer.predict(Image.open(path)))
    assert same(faces, recognizer.predict(astronaut[:, :, ::-1], channels="bgr"))
    assert 1 == len(recognizer.predict(np.asarray(Image.open(path).convert("L"))))


def test_a_picture_is_turned_as_its_camera_says(recognizer, faces, astronaut):
    """A file that lies on its side and says so in its EXIF data is read upright."""
    told, file = Image.Exif(), io.BytesIO()
    told[0x0112] = 6
    Image.fromarray(np.rot90(astronaut)).save(file, "PNG", exif=told)

    assert same(faces, recognizer.predict(file.getvalue()))


@pytest.mark.parametrize(
    ("image", "channels", "error", "message"),
    [
        (np.zeros((9, 9, 3), np.uint8), None, ValueError, 'channels="rgb"'),
        (np.zeros((9, 9, 3), np.uint8), "gbr", ValueError, 'channels="rgb"'),
        (np.zeros((9, 9, 3)), "rgb", ValueError, r"float64 \(9, 9, 3\)"),
        (np.zeros((0, 9), np.uint8), None, ValueError, "no picture"),
        (np.zeros((9, 9, 4), np.uint8), "rgb", ValueError, "no picture"),
        (7, None, TypeError, "not int"),
        ("gone.jpg", None, PictureError, "gone.jpg: no such file"),
        (b"", None, PictureError, "an empty file"),
    ],
)
def test_what_is_no_picture_is_refused(recognizer, image, channels, error, message):
    """Channels are never guessed, and what cannot be read says why."""
    with pytest.raises(error, match=message):
        recognizer.predict(image, channels=channels)


def test_a_crop_is_read_as_it_is(recognizer, toy):
    """A face that is cropped already is what the model gets; its place is the whole picture."""
    images = read_dataset(toy).development().val.images
    (face,) = recognizer.predict(images[3], crop=True)
    expected = recognizer.model.probabilities(images[3:4])[0]

    assert (face.crop == images[3]).all()
    assert (0, 0, 16, 16) == face.box
    assert np.isnan(face.score)
    assert np.isnan(face.landmarks).all()
    assert list(face.probabilities.values()) == pytest.approx(expected, abs=1e-5)


def test_a_strip_is_no_face(recognizer):
    """A picture far too long for a face is refused as a crop."""
    with pytest.raises(PictureError):
        recognizer.predict(np.zeros((10, 2000), np.uint8), crop=True)


def test_many_pictures_get_the_answers_of_each(recognizer, toy):
    """In batches, in order and to 1e-5, each picture is read as alone."""
    images = list(read_dataset(toy).development().val.images) * 3
    together = list(recognizer.predict_many(iter(images), crop=True))

    assert len(images) == len(together)
    for image, answer in zip(images, together, strict=True):
        assert same(recognizer.predict(image, crop=True), answer, within=1e-5)


def test_many_pictures_with_bad_ones(recognizer, photos):
    """A bad picture is raised, or stands in its place when asked for."""
    some = [photos / "portrait.png", photos / "broken.jpg", photos / "empty.png"]
    one, fault, none = recognizer.predict_many(some, return_errors=True)

    assert 1 == len(one)
    assert "damaged or cut short" in str(fault)
    assert [] == none
    with raises_naming(PictureError, "broken.jpg"):
        list(recognizer.predict_many(some))


def test_an_unclear_face_is_uncertain(toy_model, toy):
    """A face is labeled from the model's threshold on and uncertain below, and keeps its most probable class."""
    images = read_dataset(toy).development().val.images
    recognizer = Recognizer(toy_model)
    answers = [face for (face,) in recognizer.predict_many(images, crop=True)]
    middle = float(np.median([face.confidence for face in answers]))
    stricter = Recognizer(replace(recognizer.model, threshold=middle))
    again = [face for (face,) in stricter.predict_many(images, crop=True)]

    assert {face.certain for face in again} == {True, False}
    for face in again:
        assert face.label == (face.best if face.confidence >= middle else "uncertain")


def test_recognizer_comes_with_mien():
    """`from mien import Recognizer, PictureError` works, and other names are told as missing."""
    import mien

    assert (mien.Recognizer, mien.PictureError) == (Recognizer, PictureError)
    assert set(mien.__all__) <= set(dir(mien))
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        _ = mien.Recogniser


def test_predict_writes_all_that_is_asked_for(photos, toy_model, tmp_path, capsys):
    """Table, CSV, JSON lines, drawn pictures, explanations and page agree on the faces that were found."""
    made = {name: tmp_path / name for name in ("annotate", "explain")}
    files = {"csv": tmp_path / "o.csv", "json": tmp_path / "o.jsonl", "page": tmp_path / "o.html"}
    counts = predict([photos], model=toy_model, **made, **files)
    said = capsys.readouterr()
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    objects = [json.loads(line) for line in files["json"].read_text().splitlines()]

    assert Counter(pictures=4, faces=3, failed=1, empty=1) == counts
    assert ["0", "0", "1", "1", "2"] == sorted(row["face"] for row in rows)
    assert f"mien: {photos / 'broken.jpg'}: damaged or cut short" in said.err
    assert 1 == len(said.err.splitlines())
    assert "4 pictures, 3 faces" in said.out
    assert "1 without a face, 1 not read and 1 file passed over" in said.out
    assert 4 == len(objects)
    assert ["below/two-faces.jpg", "empty-faces.png", "portrait-faces.png"] == listed(made["annotate"])
    assert ["below/two-why1.png", "below/two-why2.png", "portrait-why1.png"] == listed(made["explain"])
    assert "3 faces in 4 pictures" in files["page"].read_text()
    by_json = [(o["picture"], f) for o in objects for f in o.get("faces", [])]
    by_row = [row for row in rows if row["face"] != "0"]
    for row, (name, face) in zip(by_row, by_json, strict=True):
        assert (name, face["label"], face["best"]) == (row["picture"], row["label"], row["best"])
        assert face["confidence"] == float(row["confidence"]) == max(face["probabilities"].values())
        assert face["probabilities"] == {label: float(row[f"p_{label}"]) for label in LABELS}
        box = [float(row[part]) for part in ("left", "top", "width", "height", "score")]
        assert [*face["box"], face["score"]] == pytest.approx(box)
        marks = [[float(row[f"{point}_{axis}"]) for axis in "xy"] for point in POINTS]
        assert np.allclose(marks, face["landmarks"], atol=0.006)
    assert {one["sha256"] for one in objects} == {Recognizer(toy_model).model.sha256}
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_table_tells_what_it_holds(photos, toy_model, tmp_path, capsys):
    """`mien info` of a CSV file repeats what `mien predict` said of the pictures; a row that is none is named."""
    whole, cut = tmp_path / "o.csv", tmp_path / "cut.csv"
    predict([photos], model=toy_model, csv=whole)
    (said,) = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("4 pictures, 3 faces: ")
    )
    text = whole.read_text()

    assert f"{whole}: of mien predict, {said.partition(';')[0]}; 1 without a face and 1 not read." == info(
        whole
    )
    cut.write_bytes((text + text.partition("\n")[2] * 50).encode() + b"\xff")
    (tmp_path / "long.csv").write_text("x" * 200_000 + "\n")
    with raises_naming(DataError, "long.csv"):
        info(tmp_path / "long.csv")
    with raises_naming(DataError, "cut.csv"):
        info(cut)
    for damaged in (text.replace(",happy,", ",hapy,", 1), text.rstrip()[:-9]):
        cut.write_text(damaged)
        with raises_naming(DataError, "cut.csv"):
            info(cut)


def listed(folder) -> list[str]:
    """The files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_limits_stand_where_answers_do(photos, toy_model, tmp_path, capsys):
    """Terminal, page and each line of JSON point to the model card; the first two say that no feeling is known."""
    predict([photos / "empty.png"], model=toy_model, json="-", page=tmp_path / "o.html")
    (line,) = capsys.readouterr().out.splitlines()
    predict([photos / "empty.png"], model=toy_model)
    *_, last = capsys.readouterr().out.splitlines()

    for text in ((tmp_path / "o.html").read_text(), last, line):
        assert f"mien info {toy_model}" in text
        assert text == line or "not what a person feels" in text
    assert len(last.replace(str(toy_model), "pocket")) < 100


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paths": []}, DataError, "give a picture"),
        ({"paths": ["-", "-"]}, DataError, "read once"),
        ({"csv": "-", "json": "-"}, DataError, "both write to standard output"),
        ({"long_side": 3}, DataError, "--long-side must be from 64 to 4,096 and is 3"),
        ({"csv": "."}, StorageError, "a folder; give the name of a file"),
        ({"csv": "a.jpg"}, DataError, "--csv a.jpg: would write over a picture"),
        ({"csv": "x", "page": "./x"}, DataError, "--csv and --page would both write x"),
    ],
)
def test_what_cannot_be_asked_is_told(photos, toy_model, options, error, message):
    """Options that contradict each other end in one line."""
    with pytest.raises(error, match=message):
        predict(**{"paths": [photos / "empty.png"], "model": toy_model, **options})


def test_a_picture_is_never_written_over(photos, toy_model, tmp_path):
    """A table that is given the place of a picture to be read is refused, whatever that picture's name is."""
    picture = tmp_path / "portrait"
    picture.write_bytes((photos / "empty.png").read_bytes())
    before = picture.read_bytes()
    with raises_naming(DataError, "--json"):
        predict([picture], model=toy_model, json=picture)

    assert before == picture.read_bytes()


def test_what_is_drawn_takes_no_pictures_place(photos, toy_model, tmp_path):
    """A picture named as another one's drawing would be is not lost; a very long name is cut, not a fault."""
    for name in ("x.png", "x-faces.png"):
        (tmp_path / name).write_bytes((photos / "empty.png").read_bytes())
    before = (tmp_path / "x-faces.png").read_bytes()
    with raises_naming(DataError, "x-faces.png"):
        predict([tmp_path / "x.png", tmp_path / "x-faces.png"], model=toy_model, annotate=tmp_path)
    assert before == (tmp_path / "x-faces.png").read_bytes()

    long = tmp_path / f"{'é' * 124}.png"
    long.write_bytes(before)
    predict([long], model=toy_model, annotate=tmp_path / "drawn")
    assert [f"{'é' * 100}-faces.png"] == [path.name for path in (tmp_path / "drawn").iterdir()]


def test_odd_places_are_a_line_each(photos, toy_model, tmp_path, capsys):
    """A link to itself is a picture that cannot be read; a pipe is no place for a table, and no model."""
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.onnx")
    counts = predict([tmp_path / "loop.png", photos / "empty.png"], model=toy_model)

    assert (2, 1) == (counts["pictures"], counts["failed"])
    assert "loop.png" in capsys.readouterr().err
    for place in (tmp_path / "pipe.csv", "/dev/null"):
        with pytest.raises(StorageError):
            predict([photos / "empty.png"], model=toy_model, csv=place)
    with raises_naming(ModelError, "pipe.onnx"):
        predict([photos / "empty.png"], model=tmp_path / "pipe.onnx")


def test_a_table_holds_any_name(photos, toy_model, tmp_path, monkeypatch):
    """No cell is a formula, and a table with a line's end in a name is read back."""
    for name in ("=1+1.png", "a\rb.png"):
        (tmp_path / name).write_bytes((photos / "empty.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    predict(["=1+1.png", "a\rb.png"], model=toy_model, csv="t.csv")
    with open("t.csv", newline="") as file:
        names = [row["picture"] for row in csv.DictReader(file)]

    assert ["./=1+1.png", "a\\rb.png"] == names
    assert "2 pictures" in info(tmp_path / "t.csv")


def test_the_command_line(photos, toy_model):
    """Standard input is read with the model that is named, in a process of its own."""
    data = (photos / "portrait.png").read_bytes()
    piped = mien("-", "--model", toy_model, "--json", "-", input=data)

    assert (0, b"") == (piped.returncode, piped.stderr)
    assert [1] == [len(json.loads(line)["faces"]) for line in piped.stdout.splitlines()]


def status(monkeypatch, *arguments) -> int:
    """Run `mien predict` in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["mien", "predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_without_a_model_the_one_that_ships_reads(photos, monkeypatch, capsys):
    """`mien predict PHOTO` finds the face and says with the default model what everybody sees: a smile."""
    done = status(monkeypatch, photos / "portrait.png")
    table = capsys.readouterr().out

    assert 0 == done
    assert f"{photos / 'portrait.png'}     1  happy " in table
    assert "1 picture, 1 face: 1 happy." in table
    assert f"mien info {DEFAULT_MODEL}" in table


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read as a mien model (no such file)"),
        (b"", "not a mien model, nor any ONNX file, or cut short"),
        (bytes(range(256)) * 9, "not a mien model, nor any ONNX file, or cut short"),
        ("whole", "the file was changed after it was exported"),
        ("cut", "not a mien model, nor any ONNX file, or cut short"),
        ("foreign", "an ONNX file, but not a mien model"),
    ],
    ids=["missing", "empty", "random", "changed", "cut", "foreign"],
)
def test_a_bad_model_is_one_line_and_status_2(photos, tmp_path, monkeypatch, capsys, content, told):
    """Nothing is read, nothing is written and nothing is executed with a model that is none."""
    model, whole = tmp_path / "m.onnx", shipped_models()["pocket"].read_bytes()
    made = {"whole": whole.replace(b"happy", b"angry", 1), "cut": whole[: len(whole) // 2]}
    made["foreign"] = DETECTOR.read_bytes()
    if content is not None:
        model.write_bytes(made[content] if isinstance(content, str) else content)
    done = status(monkeypatch, photos / "portrait.png", "--model", model, "--csv", tmp_path / "o.csv")
    said = capsys.readouterr()

    assert (2, "", 1) == (done, said.out, len(said.err.splitlines()))
    assert told in said.err
    assert not (tmp_path / "o.csv").exists()


def test_bad_pictures_do_not_stop_the_others(photos, tmp_path, monkeypatch, capsys):
    """Each bad picture is a line, the good ones are read, and the status is 1."""
    bad = {"empty.jpg": b"", "random.jpg": bytes(range(256)) * 20, "text.png": b"no picture at all",
           "cut.png": (photos / "portrait.png").read_bytes()[:5000]}  # fmt: skip
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "good.png").write_bytes((photos / "portrait.png").read_bytes())
    named = [tmp_path / name for name in (*bad, "pipe.jpg", "gone.jpg", "good.png")]
    done = status(monkeypatch, *named)
    said = capsys.readouterr()

    assert 1 == done
    assert [str(path) for path in named[:-1]] == [line.split(": ")[1] for line in said.err.splitlines()]
    assert "7 pictures, 1 face: 1 happy; 6 not read." in said.out


def test_a_terminal_gets_short_lines(photos, toy_model, tmp_path, capsys):
    """On a terminal of 80 characters no line of a table is longer, whatever the names; in a pipe nothing is cut."""
    long = tmp_path / ("very " * 30 + "long.png")
    long.write_bytes((photos / "portrait.png").read_bytes())
    predict([long], model=toy_model, width=80)
    head, row, *_ = capsys.readouterr().out.splitlines()
    predict([long], model=toy_model)

    assert max(len(head), len(row)) <= 80
    assert "…" in row
    assert capsys.readouterr().out.splitlines()[1].startswith(str(long))


def test_sources(photos, monkeypatch):
    """Folders, patterns and files mean each picture once; nothing is fetched; what is not there is told when read."""
    monkeypatch.chdir(photos)
    found, passed_over = sources([".", "*.png", "portrait.png", "http://a/b.jpg", "*.gif", "", "gone.png"])
    said = {}
    for source in found[-4:]:
        with pytest.raises(PictureError) as caught:
            source.read()
        said[source.name] = str(caught.value)

    assert 1 == passed_over
    assert ["below/two.jpg", "broken.jpg", "empty.png", "portrait.png"] == sorted(s.name for s in found[:-4])
    assert "fetches nothing" in said["http://a/b.jpg"]
    assert "an empty name" in said[""]
    assert {"*.gif": "no file matches", "gone.png": "no such file"}.items() <= said.items()
    assert len(found) == len({source.place for source in found})


def test_what_was_written_is_not_read_again(photos, toy_model, tmp_path):
    """A second run over a folder that holds drawn pictures counts the same pictures."""
    Image.open(photos / "portrait.png").save(tmp_path / "a.png")
    first, second = (predict([tmp_path], model=toy_model, annotate=tmp_path) for _ in range(2))

    assert first == second
    assert ["a-faces.png", "a.png"] == listed(tmp_path)


def test_small_pictures_are_drawn_larger(faces, recognizer, astronaut):
    """A label can be read at any size: small pictures grow by a whole factor, large ones stay."""
    small = np.asarray(Image.fromarray(astronaut).resize((96, 96)))

    assert (480, 480) == annotated(small, recognizer.predict(small, channels="rgb")).size
    assert (512, 512) == annotated(astronaut, faces).size
    assert SMALLEST == 480
    assert (np.asarray(annotated(astronaut, faces)) != astronaut).any()


boxes = st.tuples(*[st.floats(-50, 900)] * 2, *[st.floats(5, 300)] * 2)


@given(st.lists(boxes, max_size=12))
@settings(deadline=None, max_examples=60)
def test_labels_stay_in_the_picture(drawn):
    """Wherever faces are, each label has its place inside the picture."""
    corners = [(x, y, x + w, y + h) for x, y, w, h in drawn]
    for left, top, right, bottom in label_places(corners, [(80, 20)] * len(corners), (800, 600)):
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= 800 + 1e-6
        assert bottom <= 600 + 1e-6


def test_occlusion_points_to_what_counts():
    """Where one place alone makes the probability, the map is highest there, and hiding it costs most."""
    face = np.full((48, 48), 90, np.uint8)
    face[10:16, 30:36] = 250

    def bright(faces):
        return faces[:, 10:16, 30:36].mean((1, 2)) / 255

    places = occlusion(face, bright)
    y, x = np.unravel_index(places.argmax(), places.shape)

    assert (48, 48) == places.shape
    assert 7 <= y < 19
    assert 27 <= x < 39
    assert most(places, 0.2)[10:16, 30:36].all()
    assert round(0.2 * 48 * 48) == most(places, 0.2).sum()


def test_hiding_where_it_looked_costs_more_than_elsewhere(recognizer, toy):
    """Over the toy faces, hiding the fifth that is pointed to lowers the probability more than a random fifth."""
    rng = np.random.default_rng(0)
    falls = []
    for image in read_dataset(toy).development().val.images:
        (face,) = recognizer.predict(image, crop=True)
        random = most(rng.random(image.shape), 0.2)
        hidden = [
            np.where(m, np.uint8(image.mean()), image) for m in (most(recognizer.explain(face), 0.2), random)
        ]
        chosen = recognizer.model.probabilities(np.stack(hidden))[:, LABELS.index(face.best)]
        falls.append(face.confidence - chosen)
    pointed, elsewhere = np.mean(falls, axis=0)

    assert pointed > elsewhere + 0.05


def test_work_is_spread_in_order_and_not_far_ahead():
    """Results come in order, and no more things are taken than a few ahead of the reader."""
    taken = []

    def things():
        for number in range(10_000):
            taken.append(number)
            yield number

    results = spread(lambda n: n * n, things(), ahead=4)
    first = [next(results) for _ in range(20)]
    results.close()

    assert [n * n for n in range(20)] == first
    assert len(taken) <= 20 + 4 * len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope="module")
def sheet(photos, toy_model, tmp_path_factory):
    """The contact sheet of the photos."""
    path = tmp_path_factory.mktemp("page") / "o.html"
    predict([photos], model=toy_model, page=path)
    return path


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_in_a_browser(browser, sheet, width, scheme):
    """The contact sheet is one file that requests nothing, fits a telephone and knows dark."""
    reads_well(browser, sheet, width, scheme)


def test_names_cannot_become_markup(photos, toy_model, tmp_path):
    """A file name with markup stands in the page as text."""
    odd = tmp_path / "<img src=x onerror=alert(1)>.png"
    odd.write_bytes((photos / "empty.png").read_bytes())
    predict([odd], model=toy_model, page=tmp_path / "o.html")

    assert "<img src=x" not in (tmp_path / "o.html").read_text()
    assert "&lt;img src=x" in (tmp_path / "o.html").read_text()


def in_another_process(recognizer: Recognizer, path: str) -> list[tuple]:
    """Return box and label of each face; a function of this module, as `spawn` needs one."""
    return [(face.box, face.label) for face in recognizer.predict(path)]


@pytest.mark.parametrize(
    "method", sorted({"spawn", "forkserver"} & {*multiprocessing.get_all_start_methods()})
)
def test_a_recognizer_travels_to_other_processes(recognizer, photos, faces, method):
    """Pickled into a process that inherits nothing, a recognizer gives the same answers with the same settings."""
    strict = Recognizer(recognizer.model, threshold=1.0)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        (answer,) = pool.submit(in_another_process, strict, str(photos / "portrait.png")).result()

    assert (faces[0].box, "uncertain") == answer


def test_a_model_that_changed_does_not_travel(toy_model, tmp_path):
    """A file that is another one by now is not sent in the place of the model that was read."""
    path = tmp_path / "m.onnx"
    path.write_bytes(Path(toy_model).read_bytes())
    recognizer = Recognizer(path)
    path.write_bytes(b"another")
    with pytest.raises(ModelError):
        pickle.dumps(recognizer)


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_every_bad_item_is_an_error_in_its_place(recognizer, astronaut, workers):
    """Whatever an item is, with `return_errors` the stream goes on behind it and keeps its order."""
    bad = [None, 1.5, object(), [], "gone.jpg", b"", b"text", astronaut.astype(np.uint16), np.zeros((0, 3), np.uint8),
           np.zeros((9, 9, 4), np.uint8), np.float32(3), "data:image/png;base64,AAAA", io.StringIO("text")]  # fmt: skip
    items = [one for item in bad for one in (item, astronaut)]
    answers = list(recognizer.predict_many(items, channels="rgb", return_errors=True, workers=workers))

    assert all(isinstance(answer, PictureError) for answer in answers[::2])
    assert all(len(answer) == 1 for answer in answers[1::2])
    assert len(items) == len(answers)


@pytest.mark.parametrize(
    "one",
    ["party.jpg", b"bytes", Path("party.jpg"), np.zeros((600, 900, 3), np.uint8), np.zeros((60, 90), np.uint8),
     np.zeros((60, 90, 4), np.uint8), Image.new("L", (9, 9)), io.BytesIO(b"file")],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_one_image_is_not_many(recognizer, one):
    """`predict_many` refuses at once any single image, which it would take apart."""
    with pytest.raises(TypeError):
        recognizer.predict_many(one)


def test_a_stack_of_pictures_is_many(recognizer, astronaut):
    """An array (N, H, W, 3) or (N, H, W) is N pictures."""
    stack = np.stack([astronaut, astronaut])

    assert [1, 1] == [len(faces) for faces in recognizer.predict_many(stack, channels="rgb")]
    assert [1, 1] == [len(faces) for faces in recognizer.predict_many(stack[:, :, :, 0])]


@pytest.mark.parametrize(
    "settings", [{"long_side": 5}, {"threshold": 1.5}, {"threshold": -1}, {"min_score": 2}, {"min_face": -1},
                 {"min_score": float("nan")}, {"min_face": float("nan")}],
)  # fmt: skip
def test_settings_out_of_their_range_are_refused(recognizer, settings):
    """Each setting is checked when the recognizer is made; so is the number of workers."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        Recognizer(recognizer.model, **settings)
    with pytest.raises(ValueError, match="workers"):
        recognizer.predict_many([], workers=0)


def test_no_more_workers_compute_than_are_asked_for(recognizer, astronaut, monkeypatch):
    """Detection and classification together run in so many threads at a time."""
    running, most, lock = [0], [0], threading.Lock()

    def counted(work):
        def inside(*arguments, **options):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.002)
            try:
                return work(*arguments, **options)
            finally:
                with lock:
                    running[0] -= 1

        return inside

    monkeypatch.setattr(Recognizer, "detect", counted(Recognizer.detect))
    monkeypatch.setattr(
        Recognizer, "classify_batch", counted(lambda self, several: [(d, []) for d in several])
    )
    crops = [np.zeros((16, 16), np.uint8)] * 60
    for workers in (1, 2):
        most[0] = 0
        assert 60 == len(list(recognizer.predict_many(crops, crop=True, workers=workers)))
        assert most[0] <= workers


def test_a_score_a_size_and_a_threshold_of_ones_own(recognizer, faces, astronaut):
    """Faces below a score or a size are dropped, and a face below a threshold of one's own is uncertain."""
    (face,) = faces
    side, model = min(face.box[2:]), recognizer.model

    def found(**settings):
        return Recognizer(model, **settings).predict(astronaut, channels="rgb")

    assert 1 == len(found(min_score=face.score, min_face=side))
    assert [] == found(min_score=face.score + 1e-6) == found(min_face=side + 0.01)
    assert face.best == found(threshold=face.confidence)[0].label
    assert "uncertain" == found(threshold=face.confidence + 1e-6)[0].label
    crop = Recognizer(model, min_face=16, min_score=1.0)
    assert [1, 0] == [len(crop.predict(np.zeros((n, n), np.uint8), crop=True)) for n in (16, 15)]


def test_any_form_of_a_file_is_read(recognizer, faces, photos):
    """File objects, base64 as text or bytes, with line breaks or not, and data URIs are the file they hold."""
    data = (photos / "portrait.png").read_bytes()
    text = base64.encodebytes(data).decode()
    with open(photos / "portrait.png", "rb") as file:
        assert same(faces, recognizer.predict(file))
    for image in (io.BytesIO(data), text, text.encode(), text.replace("\n", ""), f"data:image/png;base64,{text}",
                  f"DATA:;base64,{text}".encode()):  # fmt: skip
        assert same(faces, recognizer.predict(image))


@pytest.mark.parametrize(
    "text",
    ["data:image/jpeg;base64," + "A" * 9001, "data:image/svg+xml,<svg>" + "x" * 9000, "A" * 9004, "b" * 9001],
)
def test_an_error_does_not_repeat_a_whole_picture(recognizer, text):
    """What is said of a long text is short."""
    with pytest.raises(PictureError) as caught:
        recognizer.predict(text)

    assert len(str(caught.value)) < 300


def test_a_data_uri_and_a_folder_of_other_files_are_told_shortly(tmp_path):
    """A data URI as PATH is not repeated whole, and a folder without a picture names the endings in it."""
    uri, folder = sources(["data:image/png;base64," + "A" * 5000, tmp_path])[0]
    (tmp_path / "a.heics").write_bytes(b"")
    (with_ending,) = sources([tmp_path])[0]

    assert len(uri.shown) + len(uri.missing) < 150
    assert folder.missing.startswith("a folder without a picture")
    assert ".heics" in with_ending.missing


def test_the_pyinstaller_hook_is_declared():
    """The entry point that PyInstaller asks for leads to a folder with the hook for mien."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    module, _, name = project["project"]["entry-points"]["pyinstaller40"]["hook-dirs"].partition(":")
    (folder,) = getattr(importlib.import_module(module), name)()

    assert (Path(folder) / "hook-mien.py").is_file()
