"""Packing class folders, RAF-DB, lists of pictures and parquet."""

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import raises_naming

from mien.dataset import Row, read_dataset, read_left_out
from mien.errors import DataError, MienError
from mien.labels import LABELS, SPLITS
from mien.pack import pack
from mien.pack.naming import LEFT_OUT, Naming, items_of
from mien.pack.splits import fill_splits
from mien.pack.tree import walk

RNG = np.random.default_rng(0)


def picture(path: Path, value: int | None = None, side: int = 48) -> Path:
    """Write a picture, random or of one grey, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (side, side)) if value is None else np.full((side, side), value)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def rows_of(folder: Path) -> list[dict]:
    """Return a data set's table."""
    with open(folder / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def told(folder: Path) -> set[tuple[str, str, str]]:
    """Return (label, split, source) of each face."""
    return {(row["label"], row["split"], row["source"]) for row in rows_of(folder)}


LAYOUTS = {
    "split over class": ("{split}/{label}/{n}.png", None),
    "class over split": ("{label}/{split}/{n}.png", None),
    "wrapped": ("archive/FER 2013/{split}/{label}/{n}.png", None),
    "deeper below the class": ("{split}/{label}/subject 3/{n}.png", None),
    "numbered, spelt freely": ("{split}/{n0}_{label}/{n}.PNG", str.upper),
    "file names": ("all/{label}/{usage}_{n}.png", None),
    "file names win over folders": ("test/{label}/{usage}_{n}.png", None),
}
SPELLINGS = {"train": "Training", "val": "validation", "test": "Test"}
USAGES = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_class_folders_are_read_in_every_usual_spelling(tmp_path, layout):
    """Class and split are found wherever they stand on the way to a picture."""
    form, spelt = LAYOUTS[layout]
    wanted = set()
    for n, label in enumerate(LABELS):
        for split in SPLITS:
            names = {"label": (spelt or str)(label), "split": SPELLINGS[split], "usage": USAGES[split]}
            way = form.format(**names, n=n, n0=f"{n:02}")
            picture(tmp_path / "source" / way)
            wanted.add((label, split, way))
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert LABELS == info.labels
    assert wanted == told(tmp_path / "faces")


def test_alphabetical_folders_and_synonyms_mean_the_seven(tmp_path):
    """Labels come from names, so neither the folders' order nor their language of nouns matters."""
    names = ("Anger", "Disgusted", "fearful", "Happiness", "sadness", "Suprise", "NEUTRAL")
    for name in names:
        picture(tmp_path / "source" / "train" / name / "1.png")
    pack(tmp_path / "source", tmp_path / "faces")

    assert set(zip(LABELS, names, strict=True)) == {
        (label, Path(source).parts[1]) for label, _, source in told(tmp_path / "faces")
    }


@pytest.mark.parametrize("name", ["contempt", "0", "happyish", "images"])
def test_a_name_that_means_no_class_is_refused(tmp_path, name):
    """Neither another class nor a bare number is guessed at; the way out is named, and nothing is left."""
    picture(tmp_path / "source" / "train" / "happy" / "1.png")
    picture(tmp_path / "source" / "train" / name / "1.png")

    with pytest.raises(DataError, match=f'"{name}" .*--labels {name}='):
        pack(tmp_path / "source", tmp_path / "faces")
    assert ["source"] == [p.name for p in tmp_path.iterdir()]


def test_own_labels_are_kept_in_their_order(tmp_path):
    """--labels with names makes an own set; a name of the source can be mapped or left out."""
    for name in ("Bored", "awake", "asleep", "blurred"):
        picture(tmp_path / "source" / name / "1.png")
    info = pack(
        tmp_path / "source", tmp_path / "faces", labels=["bored", "awake", "asleep=bored", "blurred="]
    )

    assert ("bored", "awake") == info.labels
    assert {"bored": 2, "awake": 1} == Counter(label for label, _, _ in told(tmp_path / "faces"))
    assert any('Left out, as asked: 1 picture of "blurred".' in note for note in info.notes)


def test_the_seven_never_take_another_order():
    """However they are asked for, classes of the seven stand in FER2013's order."""
    assert LABELS == Naming(["neutral", "sad", "happy", "surprise", "fear", "disgust", "angry"]).labels
    assert ("happy", "neutral") == Naming(["neutral", "happiness"]).labels
    assert LABELS == Naming(["1=surprise", "contempt="]).labels


def test_numbers_mean_what_labels_says():
    """Numbers map by FOUND=NAME alone."""
    naming = Naming(["1=Surprised", "2=fear", "contempt="])

    assert ["surprise", "fear", LEFT_OUT, None] == [naming.class_of(n) for n in ("1", " 2", "Contempt", "3")]
    with raises_naming(DataError, "joyous"):
        Naming(["3=joyous"])
    with pytest.raises(DataError):
        Naming(["=happy"])


def test_numbered_folders_are_packed_with_the_labels_that_the_message_names(tmp_path):
    """Folders 0 to 6 are refused with the numbers of FER2013's table spelled out, which then pack them rightly."""
    for number in range(7):
        picture(tmp_path / "source" / str(number) / "a.png", 30 * number)

    with pytest.raises(DataError) as refused:
        pack(tmp_path / "source", tmp_path / "faces")
    pack(tmp_path / "source", tmp_path / "faces", labels=items_of(str(refused.value).split("--labels ")[1]))

    assert {(label, f"{number}/a.png") for number, label in enumerate(LABELS)} == {
        (row["label"], row["source"]) for row in rows_of(tmp_path / "faces")
    }


def test_a_name_may_hold_what_separates_names():
    """A comma stands in quotes, as the refusal suggests it; of several equals signs the last one parts."""
    naming = Naming(items_of('0=angry, "joy, mild"=happy,,sad = blue=sad'))

    assert ["angry", "happy", "sad"] == [naming.class_of(name) for name in ("0", "Joy, mild", "sad = blue")]
    assert [] == items_of(" ")
    assert ["bored", "wide awake"] == items_of("bored\nwide awake\n")
    own = Naming(["joy", "happy", "calm"])
    assert ["joy", "happy", "happy"] == [own.class_of(name) for name in ("Joy", "happy", "happiness")]
    with raises_naming(DataError, "--labels", "joy, wild"):
        naming.check(["joy, wild"], "here")


def test_a_source_without_splits_gets_them(tmp_path):
    """A tenth of each class is val and a tenth test, the same ones again, and it is said."""
    for label in ("happy", "sad"):
        for n in range(40):
            picture(tmp_path / "source" / label / f"{n}.png")
    info = pack(tmp_path / "source", tmp_path / "faces")
    again = pack(tmp_path / "source", tmp_path / "again")
    other = pack(tmp_path / "source", tmp_path / "other", seed=1)

    for split, count in (("train", 32), ("val", 4), ("test", 4)):
        assert (count, count) == (info.counts[split]["happy"], info.counts[split]["sad"])
    assert info.fingerprint == again.fingerprint != other.fingerprint
    assert (
        "no splits: val and test were drawn from train, 10% of each class for test, then of" in info.notes[-1]
    )


def test_val_is_drawn_from_what_test_left():
    """Of 400 faces 40 become test and a tenth of the others, 36, val."""
    rows = [Row(str(n), "happy", None, f"{n}.png", str(n)) for n in range(400)]
    fill_splits(rows, seed=0)

    assert {"train": 324, "val": 36, "test": 40} == Counter(row.split for row in rows)


def test_only_the_split_that_is_missing_is_drawn(tmp_path):
    """With train and test folders val comes from train and test stays as it is."""
    for split, count in (("train", 20), ("test", 5)):
        for n in range(count):
            picture(tmp_path / "source" / split / "happy" / f"{n}.png")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert [18, 2, 5] == [info.counts[split]["happy"] for split in SPLITS]
    assert "no val split" in info.notes[-1]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([None, *SPLITS]), st.integers(0, 30)), max_size=60
    ),
    st.integers(0, 3),
)
def test_drawn_splits_keep_identical_pictures_together(faces, seed):
    """A group of identical pictures without a split is never torn, and given splits are never changed."""
    rows = [Row(str(i), label, split, f"s{i}", str(group)) for i, (label, split, group) in enumerate(faces)]
    fill_splits(rows, seed=seed)

    groups: dict[str, list] = {}
    for row, (_, split, _) in zip(rows, faces, strict=True):
        assert row.split in SPLITS
        assert split in (None, row.split) or split == "train"
        groups.setdefault(row.group, []).append((split, row.split))
    for members in groups.values():
        drawn = {after for before, after in members if before in (None, "train")}
        assert len(drawn) <= 1


def test_rafdb_by_numbered_folders(tmp_path):
    """RAF-DB's folders 1 to 7 are known by the names of their files; val is drawn."""
    for number in range(1, 8):
        for split in ("train", "test"):
            picture(tmp_path / "DATASET" / split / str(number) / f"{split}_{number:05}_aligned.jpg", side=100)
    pack(tmp_path / "DATASET", tmp_path / "faces")
    found = {(Path(s).parts[1], label) for label, _, s in told(tmp_path / "faces")}

    order = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    assert {(str(n), label) for n, label in enumerate(order, start=1)} == found


def test_rafdb_by_its_list(tmp_path):
    """RAF-DB's list gives label and split, and the aligned faces are taken, not the original photos."""
    base = tmp_path / "basic"
    lines = ["train_00001.jpg 5", "train_00002.jpg 1", "test_0001.jpg 4"]
    for name, value in (("train_00001", 10), ("train_00002", 20), ("test_0001", 30)):
        picture(base / "Image" / "aligned" / f"{name}_aligned.png", value)
        picture(base / "Image" / "original" / f"{name}.png", 200)
    (base / "EmoLabel").mkdir()
    (base / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")
    pack(base, tmp_path / "faces")
    dataset = read_dataset(tmp_path / "faces")

    assert {("sad", 10), ("surprise", 20), ("happy", 30)} == {
        (label, int(image[0, 0]))
        for label, image in zip(dataset.whole().table["label"], dataset.whole().images, strict=True)
    }
    assert [("happy", "test")] == [
        (label, split) for label, split, _ in told(tmp_path / "faces") if split == "test"
    ]
    (base / "EmoLabel" / "list_patition_label.txt").write_text("train_00001.jpg 5\ntrain_00003.jpg 5\n")
    with raises_naming(DataError, "row 2", "train_00003.jpg"):
        pack(base, tmp_path / "faces 2")
    (base / "EmoLabel" / "list_patition_label.txt").write_text("train_00001.jpg 5\ntrain_00001.jpg 4\n")
    with raises_naming(DataError, "row 2", "train_00001.jpg"):
        pack(base, tmp_path / "faces 2")
    (base / "EmoLabel" / "list_patition_label.txt").write_text("\n\ntrain_00001.jpg 9\n")
    with raises_naming(DataError, "row 3"):
        pack(base, tmp_path / "faces 2")
    (base / "EmoLabel" / "list_patition_label.txt").write_text("Image/train_00001.jpg 5\n")
    assert "Passed over, since not in the list: 2 pictures." in pack(base, tmp_path / "faces 3").notes


def test_a_list_of_pictures(tmp_path):
    """A table path,label,split beside its pictures becomes a data set, in its order."""
    for n in range(3):
        picture(tmp_path / "in" / "pictures" / f"{n}.png", 50 * n)
    (tmp_path / "in" / "list.csv").write_text(
        "\ufeffpath, label ,split\r\npictures/2.png,Joy,training\r\n\r\n"
        '"pictures/0.png",sad,valid\r\npictures/1.png,sad,TEST\r\n',
        encoding="utf-8",
    )
    pack(tmp_path / "in" / "list.csv", tmp_path / "faces")

    assert [("happy", "train"), ("sad", "val"), ("sad", "test")] == [
        (row["label"], row["split"]) for row in rows_of(tmp_path / "faces")
    ]
    assert [100, 0, 50] == read_dataset(tmp_path / "faces").whole().images[:, 0, 0].tolist()


def test_paths_of_windows_in_a_table_are_read(tmp_path, monkeypatch):
    """Backslashes separate folders where no file has them in its name; elsewhere the reason names a drive."""
    monkeypatch.setattr("mien.pack.listing.os.name", "posix")
    picture(tmp_path / "in" / "a.png")
    paths = ("in/a.png", "in\\a.png", "in\\b.png", "C:\\in\\a.png")
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{path},sad\n" for path in paths))
    info = pack(tmp_path / "list.csv", tmp_path / "faces")
    (_, lost), (_, drive) = read_left_out(info)

    assert 2 == sum(map(info.count, SPLITS))
    assert "C:" in drive and "C:" not in lost


BAD_LISTS = {
    "label": ("path,label\na.png,contempt\n", 'row 2: "contempt" means none of'),
    "number": ("path,label\na.png,3\n", 'row 2: "3" means no class'),
    "split": ("path,label,split\na.png,sad,tets\n", 'row 2: split "tets" is not one of.*did you mean "test"'),
    "no path": ("path,label\n,sad\n", "row 2: no path"),
    "fields": ("path,label\na.png\n", "row 2: 1 fields, the header has 2"),
    "column twice": ("path,label,label\na,b,c\n", 'column "label" stands twice'),
    "no such columns": ("file,emotions\na,b\n", "neither the columns emotion, pixels, Usage nor path, label"),
    "header alone": ("path,label\n", "there is no face in it"),
    "lost pictures": (
        "path,label\nlost.png,sad\n",
        "its only picture cannot be used; lost.png: no such",
    ),
    "NUL": ("path,label\na\0b.png,sad\n", "its only picture cannot be used; .* holds a NUL"),
    "long line": (f"path,label\n{'x' * 1_000_000},sad\n", "row 2: not a table row"),
    "endless line": ("path,label\n" + "x" * (1 << 22), "line 2: longer than"),
}


@pytest.mark.parametrize("fault", BAD_LISTS)
def test_a_bad_list_is_told_with_its_row(tmp_path, fault):
    """Each fault of a list of pictures names table and row and leaves nothing."""
    text, message = BAD_LISTS[fault]
    (tmp_path / "list.csv").write_text(text)

    with pytest.raises(DataError, match=f"list.csv.*{message}"):
        pack(tmp_path / "list.csv", tmp_path / "faces")
    assert ["list.csv"] == [p.name for p in tmp_path.iterdir()]


@given(st.text(st.sampled_from('abpathlsd.png,"\n\r\t\x00é=/'), max_size=200))
@settings(deadline=None)
def test_any_list_is_packed_or_refused(tmp_path_factory, text):
    """No list, however wild, brings anything but a data set or an error of ours."""
    folder = tmp_path_factory.mktemp("wild")
    (folder / "list.csv").write_text("path,label,split\n" + text)
    try:
        pack(folder / "list.csv", folder / "faces")
    except MienError:
        assert not (folder / "faces").exists()


def test_icml_face_data_is_read(tmp_path):
    """The table whose columns have leading spaces and another order is FER2013's too."""
    pixels = " ".join(["7"] * 2304)
    (tmp_path / "icml_face_data.csv").write_text(
        f"emotion, Usage, pixels\n3,Training,{pixels}\n5,PrivateTest,{pixels}\n"
    )
    info = pack(tmp_path / "icml_face_data.csv", tmp_path / "faces")

    assert (1, 1) == (info.counts["train"]["happy"], info.counts["test"]["surprise"])


def test_a_table_without_usage_gets_splits(tmp_path):
    """The challenge's train.csv tells no split, so they are drawn and it is said."""
    rows = [f"{n % 7},{' '.join(str((n * 7 + i) % 256) for i in range(2304))}" for n in range(70)]
    (tmp_path / "train.csv").write_text("emotion,pixels\n" + "\n".join(rows))
    info = pack(tmp_path / "train.csv", tmp_path / "faces")

    assert [56, 7, 7] == [info.count(split) for split in SPLITS]
    assert "no splits" in info.notes[-1]


def test_another_side_is_asked_for(tmp_path):
    """--side makes the faces of pictures and of FER2013's table as large as asked."""
    picture(tmp_path / "source" / "happy" / "a.png", 90, side=200)
    (tmp_path / "t.csv").write_text(f"emotion,pixels,Usage\n3,{' '.join(['90'] * 2304)},Training\n")
    for source in ("source", "t.csv"):
        info = pack(tmp_path / source, tmp_path / f"faces of {source}", side=32)
        images = read_dataset(info.folder).whole().images

        assert (1, 32, 32) == images.shape
        assert {90} == set(images.ravel().tolist())
    with raises_naming(DataError, "--side"):
        pack(tmp_path / "source", tmp_path / "x", side=3)


def broken_source(folder: Path) -> Path:
    """Write a folder with four good pictures, four broken ones and files that are none."""
    for n in range(4):
        picture(folder / "train" / "happy" / f"{n}.png")
    happy = folder / "train" / "happy"
    (happy / "empty.jpg").touch()
    (happy / "text.jpg").write_text("no picture")
    os.mkfifo(happy / "pipe.png")
    picture(happy / "tiny.png", 3, side=1)
    (happy / "notes.txt").write_text("no picture by its name")
    (happy / ".hidden.jpg").write_text("left by a system")
    return folder


def test_broken_pictures_are_left_out_and_listed(tmp_path):
    """The rest is packed; left-out.csv names each broken file and why."""
    info = pack(broken_source(tmp_path / "source"), tmp_path / "faces")

    assert 4 == sum(info.count(split) for split in SPLITS)
    assert {
        "train/happy/empty.jpg": "an empty file",
        "train/happy/pipe.png": "a pipe, not a file",
        "train/happy/text.jpg": "not a picture of a kind that mien reads",
        "train/happy/tiny.png": "1 x 1 pixels are too few for a face; 8 a side at least",
    } == dict(read_left_out(info))
    assert any("not those of pictures: 1 .txt" in note for note in info.notes)


def test_strict_stops_at_the_first_broken_picture(tmp_path):
    """With --strict a broken picture is a fault and there is no data set."""
    with raises_naming(DataError, "empty.jpg"):
        pack(broken_source(tmp_path / "source"), tmp_path / "faces", strict=True)
    assert ["source"] == [p.name for p in tmp_path.iterdir()]


def test_the_command_tells_what_was_left_out(tmp_path):
    """Exit status 1, the counts, the first reasons; 2 with --strict, in one line."""
    source = broken_source(tmp_path / "source")
    command = [sys.executable, "-m", "mien", "pack", str(source)]
    ways = (["faces"], ["faces", "--strict"], ["other", "--strict"])
    loose, again, strict = (
        subprocess.run([*command, *way], capture_output=True, text=True, cwd=tmp_path) for way in ways
    )

    assert (1, "") == (loose.returncode, loose.stderr)
    assert "4 left out, each with its reason in" in loose.stdout
    assert "train/happy/empty.jpg: an empty file" in loose.stdout
    assert (2, "") == (again.returncode, again.stdout)
    assert "was packed without --strict, and 4 pictures were left out" in again.stderr
    assert (2, 1) == (strict.returncode, len(strict.stderr.splitlines()))
    assert "train/happy/empty.jpg: an empty file" in strict.stderr
    assert not (tmp_path / "other").exists()


def test_the_same_folder_packed_again_is_left_as_it_is(tmp_path):
    """What was packed is known again by its content; a changed picture or option is another source."""
    source = broken_source(tmp_path / "source")
    first = pack(source, tmp_path / "faces")
    before = (tmp_path / "faces" / "dataset.json").stat().st_mtime_ns

    assert first == pack(source, tmp_path / "faces")
    assert before == (tmp_path / "faces" / "dataset.json").stat().st_mtime_ns
    with pytest.raises(DataError):
        pack(source, tmp_path / "faces", side=32)
    picture(source / "train" / "happy" / "0.png")
    with pytest.raises(DataError):
        pack(source, tmp_path / "faces")


def test_a_data_set_that_two_processes_pack_at_once_is_made_by_one(tmp_path):
    """Both end well; the second one waits, finds the data set made, and says so."""
    for number in range(200):
        picture(tmp_path / "source" / "happy" / f"{number}.png", number)
    command = [sys.executable, "-m", "mien", "pack", "source", "faces"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE) for _ in "12"
    ]
    said = [process.communicate() for process in both]

    assert [0, 0] == [process.returncode for process in both]
    assert said[0][0] == said[1][0]
    assert [0, 1] == sorted(b"made of the same source" in errors for _, errors in said)
    assert ["faces", "source"] == sorted(p.name for p in tmp_path.iterdir())


def test_odd_names_are_shown_as_text(tmp_path):
    """Line breaks and bytes that are not UTF-8 in names are escaped; the pictures are read all the same."""
    happy = picture(tmp_path / "source" / "happy" / "a\nb.png").parent
    os.rename(picture(happy / "c.png"), os.fsencode(happy) + b"/\xff\xfe.png")
    pack(tmp_path / "source", tmp_path / "faces")

    assert {"happy/a\\nb.png", "happy/\\xff\\xfe.png"} == {
        source for _, _, source in told(tmp_path / "faces")
    }


def test_a_folder_that_holds_itself_is_walked_once(tmp_path):
    """A loop of links is told and does not hang; a link to another folder is followed."""
    picture(tmp_path / "source" / "happy" / "a.png")
    picture(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "source" / "happy" / "again").symlink_to(tmp_path / "source")
    (tmp_path / "source" / "sad").symlink_to(tmp_path / "elsewhere")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert {"happy/a.png", "sad/b.png"} == {source for _, _, source in told(tmp_path / "faces")}
    assert [("happy/again", "a link to a folder that is read already")] == read_left_out(info)


def test_a_link_to_itself_costs_nothing_else(tmp_path):
    """A broken link is left out; its neighbors and its folder are read."""
    happy = picture(tmp_path / "source" / "happy" / "a.png").parent
    (happy / "loop.png").symlink_to("loop.png")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert {"happy/a.png"} == {source for _, _, source in told(tmp_path / "faces")}
    assert ["happy/loop.png"] == [source for source, _ in read_left_out(info)]


def test_folders_linked_to_each_other_are_read_once(tmp_path):
    """Links among many folders do not multiply the work, nor a link into another split the faces."""
    for n in range(12):
        picture(tmp_path / "source" / "happy" / str(n) / "a.png")
        for other in range(12):
            (tmp_path / "source" / "happy" / str(n) / f"to {other}").symlink_to(
                tmp_path / "source" / "happy" / str(other)
            )
    (tmp_path / "source" / "test").mkdir()
    (tmp_path / "source" / "test" / "happy").symlink_to(tmp_path / "source" / "happy")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert 12 == sum(info.count(split) for split in SPLITS)
    assert ("test/happy", "a link to a folder that is read already") in read_left_out(info)


def test_folders_below_a_class_are_told(tmp_path):
    """What lies in folders below a class's is of it, and it is said; two classes on one way are a fault."""
    picture(tmp_path / "source" / "happy" / "contempt" / "a.png")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert 1 == info.counts["train"]["happy"]
    assert 'folder above: 1 picture in deeper folders, "contempt"' in info.notes[0]
    picture(tmp_path / "other" / "happy" / "sad" / "a.png")
    with raises_naming(DataError, "happy", "sad"):
        pack(tmp_path / "other", tmp_path / "faces 2")


def test_labels_win_over_rafdb_numbers(tmp_path):
    """Numbers that --labels explains mean what it says, even where files are called as RAF-DB's."""
    picture(tmp_path / "source" / "1" / "train_00001.png")
    info = pack(tmp_path / "source", tmp_path / "faces", labels=["1=neutral"])

    assert 1 == info.counts["train"]["neutral"]


def test_a_file_name_of_rafdb_means_nothing_elsewhere(tmp_path):
    """`test_3.jpg` in a class folder is no test face by its name."""
    for n in range(4):
        picture(tmp_path / "source" / "train" / "happy" / f"test_{n}.png")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert 2 == info.count("train")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0=angry", "0=happy"], 'is to mean both "angry" and "happy"'),
        (["b\udcff"], "is not NAME, FOUND=NAME or FOUND="),
    ],
)
def test_contradicting_labels_are_refused(labels, message):
    """A name cannot mean two classes, and names are text."""
    with pytest.raises(DataError, match=message):
        Naming(labels)


def test_a_class_that_no_face_has_is_told(tmp_path):
    """A typing error among own labels is seen in the summary; one class spelt twice is one."""
    picture(tmp_path / "source" / "bored" / "a.png")
    info = pack(tmp_path / "source", tmp_path / "faces", labels=["bored", "Bored", "aweke"])

    assert ("bored", "aweke") == info.labels
    assert "No face is of aweke." in info.notes


def test_too_few_faces_for_a_split_are_told(tmp_path):
    """Where nothing can be drawn it is said, and not that something was."""
    picture(tmp_path / "source" / "happy" / "a.png")
    info = pack(tmp_path / "source", tmp_path / "faces")

    assert [
        "There are too few different pictures to draw any for val.",
        "There are too few different pictures to draw any for test.",
    ] == list(info.notes)


def test_odd_names_of_tables_are_shown_as_text(tmp_path):
    """A table whose name is not UTF-8 is packed like any other."""
    source = tmp_path / os.fsdecode(b"na\xffme.csv")
    source.write_text(f"emotion,pixels,Usage\n3,{' '.join(['9'] * 2304)},Training\n")
    pack(source, tmp_path / "faces")

    assert [r"na\xffme.csv, row 2"] == [row["source"] for row in rows_of(tmp_path / "faces")]


def test_a_closed_folder_is_told(tmp_path, monkeypatch):
    """A folder that may not be looked into is listed with its reason."""
    picture(tmp_path / "happy" / "a.png")
    (tmp_path / "sad").mkdir()
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "sad":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    tree = walk(tmp_path)

    assert ["happy/a.png"] == [str(file) for file in tree.files]
    assert ["the folder cannot be opened (Permission denied)"] == [item.reason for item in tree.closed]


def test_an_empty_folder_and_a_folder_of_tables_are_told(tmp_path):
    """Where no picture is found, the table that was probably meant is named."""
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError):
        pack(tmp_path / "source", tmp_path / "faces")
    (tmp_path / "source" / "fer2013.csv").touch()
    with raises_naming(DataError, "fer2013.csv"):
        pack(tmp_path / "source", tmp_path / "faces")


def test_two_splits_on_one_way_are_refused(tmp_path):
    """A picture below both a train and a test folder belongs to neither."""
    picture(tmp_path / "source" / "train" / "test" / "happy" / "a.png")

    with raises_naming(DataError, "test", "train"):
        pack(tmp_path / "source", tmp_path / "faces")


def png() -> bytes:
    """Return a random picture's file."""
    data = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (48, 48)).astype(np.uint8)).save(data, "png")
    return data.getvalue()


def parquet(path: Path, labels, names=None, images=None, **more) -> Path:
    """Write a parquet file as dataset hubs do."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    images = images or [{"bytes": png(), "path": f"{n}.png"} for n in range(len(labels))]
    table = pa.table({"image": images, "label": labels, **more})
    if names:
        feature = {"names": names, "_type": "ClassLabel"}
        told = json.dumps({"info": {"features": {"label": feature}}})
        table = table.replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path)
    return path


def test_parquet_is_read_as_hubs_write_it(tmp_path):
    """Splits come from the files' names, labels from the names in the metadata; a row without label is told."""
    names = ["anger", "joy", "neutral"]
    for split in ("train", "validation", "test"):
        parquet(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet", [0, 1, 2, -1], names)
    info = pack(tmp_path / "hub", tmp_path / "faces")

    assert [3, 3, 3] == [info.count(split) for split in SPLITS]
    assert {"angry": 3, "happy": 3, "neutral": 3} == Counter(
        label for label, _, _ in told(tmp_path / "faces")
    )
    assert ["no label"] * 3 == [reason for _, reason in read_left_out(info)]
    for split in ("train", "dev"):
        parquet(tmp_path / "dev" / split / "0000.parquet", [0], names)
    apart = pack(tmp_path / "dev", tmp_path / "apart")
    alone = pack(tmp_path / "dev" / "dev" / "0000.parquet", tmp_path / "alone")
    assert [1, 1, 0] == [apart.count(split) for split in SPLITS]
    assert {"train/0000.parquet, row 1", "dev/0000.parquet, row 1"} == {
        s for _, _, s in told(tmp_path / "apart")
    }
    assert [1, 0, 0] == [alone.count(split) for split in SPLITS]


def test_a_column_of_people_in_parquet_keeps_each_in_one_split(tmp_path):
    """Names and numbers are people, and an empty cell is nobody known; another kind of cell is refused."""
    people = [n // 3 for n in range(60)]
    parquet(tmp_path / "faces.parquet", ["sad"] * 60, person=[*people[:-1], None])
    pack(tmp_path / "faces.parquet", tmp_path / "faces")
    dataset = read_dataset(tmp_path / "faces")
    by_split = [set(dataset.annotations(dataset.ids(s)).columns["person"].tolist()) - {""} for s in SPLITS]

    assert set(map(str, people)) == set.union(*by_split)
    assert 20 == sum(map(len, by_split)) and all(by_split)
    with raises_naming(DataError, "row 1", "person"):
        pack(parquet(tmp_path / "bad.parquet", ["sad"], person=[1.5]), tmp_path / "bad")


def test_bad_parquet_is_told(tmp_path):
    """Numbers without names, a label without a name, broken bytes and a cut file each have their line."""
    with raises_naming(DataError, "row 1", "0"):
        pack(parquet(tmp_path / "a.parquet", [0, 1]), tmp_path / "faces")
    with raises_naming(DataError, "row 2", "5"):
        pack(parquet(tmp_path / "b.parquet", [0, 5], ["sad"]), tmp_path / "faces")
    images = [
        {"bytes": b"no picture", "path": "x"},
        {"bytes": None, "path": "y"},
        {"bytes": png(), "path": "z"},
    ]
    info = pack(parquet(tmp_path / "c.parquet", ["sad"] * 3, images=images), tmp_path / "faces")
    assert {"c.parquet, row 1", "c.parquet, row 2"} == {source for source, _ in read_left_out(info)}
    whole = (tmp_path / "c.parquet").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 3):
        (tmp_path / "d.parquet").write_bytes(whole[:cut])
        with raises_naming(DataError, "d.parquet"):
            pack(tmp_path / "d.parquet", tmp_path / "no faces")


def test_votes_belong_to_fer2013_alone(tmp_path):
    """FER+'s votes beside a folder are refused."""
    picture(tmp_path / "source" / "happy" / "a.png")

    with pytest.raises(DataError):
        pack(tmp_path / "source", tmp_path / "faces", votes=tmp_path / "votes.csv")


def test_detect_finds_the_largest_face_in_a_photo(tmp_path, astronaut):
    """--detect cuts the larger of two faces out of a photo, on either side, and lists the photo that has none."""
    happy = tmp_path / "source" / "happy"
    happy.mkdir(parents=True)
    small = np.asarray(Image.fromarray(astronaut[:, ::-1]).resize((256, 256)))
    both = np.concatenate([np.pad(small, ((0, 256), (0, 0), (0, 0))), astronaut], 1)
    for name, photo in (("a", astronaut), ("both", both), ("other", both[:, ::-1])):
        Image.fromarray(photo).save(happy / f"{name}.png")
    picture(happy / "nobody.png", 120, side=200)
    info = pack(tmp_path / "source", tmp_path / "faces", detect=True)
    a, both, other = read_dataset(tmp_path / "faces").pictures(["0", "1", "2"]).astype(int)

    assert [("happy/nobody.png", "no face found")] == read_left_out(info)
    assert {f"happy/{name}.png" for name in ("a", "both", "other")} == {
        source for _, _, source in told(tmp_path / "faces")
    }
    for large in (both, other[:, ::-1]):  # the small face looks the other way
        assert np.abs(a - large).mean() < 20 < np.abs(a - large[:, ::-1]).mean()
