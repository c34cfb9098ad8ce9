import json
import shutil

import numpy as np
import pytest
from conftest import TOY_COUNTS, TOY_SIDE, write_toy
from refusals import raises_naming

from mien.dataset import read_dataset, read_info, summary, writing_dataset
from mien.errors import DataError
from mien.labels import LABELS
from mien.reading import unsealed


def test_a_data_set_is_read_as_it_was_written(toy):
    """Pixels, labels, splits and counts come back as they went in."""
    development = read_dataset(toy).development()
    train = development.train

    assert (TOY_COUNTS["train"] * 7, TOY_SIDE, TOY_SIDE) == train.images.shape
    assert np.uint8 == train.images.dtype
    assert [0, 1, 2, 3, 4, 5, 6] == train.labels[:7].tolist()
    assert LABELS == development.info.labels
    assert {s: dict.fromkeys(LABELS, n) for s, n in TOY_COUNTS.items()} == development.info.counts


def test_development_has_no_test_split(toy_data):
    """What training and tuning receive has no way to a test face."""
    assert {"info", "train", "val", "fold"} == set(type(toy_data).__slots__)


def test_the_table_of_the_test_split_is_refused(toy):
    """The table, labels and all, can be had for train and val alone."""
    dataset = read_dataset(toy)

    assert 35 == len(dataset.table("val")["label"])
    with raises_naming(DataError, "--test"):
        dataset.table("test")


def test_clean_means_in_no_earlier_split(toy):
    """The test faces whose pixels stand in train are not clean, all others are."""
    test = read_dataset(toy).open_test()

    assert [False, False] + [True] * 33 == test.clean.tolist()
    assert ["0", "1"] == test.groups[:2].tolist()


def test_a_test_face_that_stands_in_val_alone_is_not_clean(tmp_path):
    """The earlier splits of test are both train and val."""
    with writing_dataset(tmp_path / "d", side=16, labels=("a", "b")) as writer:
        for split, grey in (("train", 1), ("val", 2), ("test", 2), ("test", 3)):
            writer.add(bytes([grey]) * 256, label="a", split=split, source=f"{split} {grey}")
        writer.finish({"kind": "none", "files": {}})

    assert [False, True] == read_dataset(tmp_path / "d").open_test().clean.tolist()


def test_pictures_come_by_id(toy):
    """Pixels are found by id in the order asked for; an unknown id is named."""
    dataset = read_dataset(toy)
    train = dataset.development().train

    assert np.array_equal(train.images[[5, 2]], dataset.pictures(["5", "2"]))
    with raises_naming(DataError, "999"):
        dataset.pictures(["999"])


def test_the_head_of_the_faces_decides_nothing(toy, tmp_path):
    """Its bytes stand in no sum, so pixels are read from where they must lie, whatever it says."""
    folder = write_toy(tmp_path / "same")
    data = bytearray((folder / "faces.npy").read_bytes())
    data[:128] = data[:128].replace(b"|u1", b"|i1").replace(b"False", b"True ")
    (folder / "faces.npy").write_bytes(data)

    read, expected = (read_dataset(path).development().val.images for path in (folder, toy))
    assert np.uint8 == read.dtype
    assert np.array_equal(expected, read)
    (folder / "faces.npy").write_bytes(data[:20])
    with raises_naming(DataError, "faces.npy"):
        read_dataset(folder)


def test_counts_stand_apart_in_the_summary(tmp_path):
    """Where names are short and counts long, the columns do not run together."""
    with writing_dataset(tmp_path / "d", side=16, labels=("a", "b")) as writer:
        for number in range(1_200):
            writer.add(bytes([number % 256]) * 256, label="ab"[number % 2], split="train", source=str(number))
        writer.finish({"kind": "none", "files": {}})

    head, first, *_ = summary(read_dataset(tmp_path / "d").info).splitlines()
    assert (["train", "val", "test", "all"], ["a", "600", "0", "0", "600"]) == (head.split(), first.split())
    assert len(head) == len(first)


def test_the_fingerprint_follows_pixels_and_labels(toy, tmp_path):
    """The same faces give the same fingerprint, others another one."""
    same = write_toy(tmp_path / "same")
    other = write_toy(tmp_path / "other", copies=3)

    assert read_info(toy).fingerprint == read_info(same).fingerprint
    assert read_info(toy).fingerprint != read_info(other).fingerprint


def damage_cut_pixels(folder):
    """Cut the pixels short."""
    data = (folder / "faces.npy").read_bytes()
    (folder / "faces.npy").write_bytes(data[:-1])
    return "faces.npy: the file is cut short or was changed after packing"


def damage_change_label(folder):
    """Change one label in the table."""
    text = (folder / "table.csv").read_text()
    (folder / "table.csv").write_text(text.replace("angry", "happy", 1))
    return "table.csv: the file is cut short or was changed after packing"


def damage_lose_pixels(folder):
    """Lose the pixels."""
    (folder / "faces.npy").unlink()
    return "faces.npy: a mien data set is damaged here"


def damage_newer_format(folder):
    """Come from the future."""
    told = unsealed(json.loads((folder / "dataset.json").read_text()))
    (folder / "dataset.json").write_text(json.dumps({**told, "format": 99}))
    return "written in format 99 by a newer mien"


def damage_lose_key(folder):
    """Lose a key of the description."""
    (folder / "dataset.json").write_text('{"format": 1}')
    return "dataset.json: a mien data set is damaged here"


@pytest.mark.parametrize(
    "change",
    [{"side": 8}, {"counts": {}}, {"labels": "abc"}, {"labels": ["angry"]}, {"origin": []}],
    ids=str,
)
def test_a_description_that_does_not_fit_is_noticed(toy, tmp_path, change):
    """A description whose side, counts or labels are not those of the files is never believed."""
    folder = tmp_path / "copy"
    shutil.copytree(toy, folder)
    said = unsealed(json.loads((folder / "dataset.json").read_text()))
    (folder / "dataset.json").write_text(json.dumps({**said, **change}))

    with raises_naming(DataError, "copy"):
        read_dataset(folder)


@pytest.mark.parametrize(
    "damage",
    [damage_cut_pixels, damage_change_label, damage_lose_pixels, damage_newer_format, damage_lose_key],
)
def test_a_damaged_data_set_is_told_in_one_line(toy, tmp_path, damage):
    """Whatever is cut, changed, lost or newer is noticed before a face is used."""
    folder = tmp_path / "copy"
    shutil.copytree(toy, folder)
    message = damage(folder)

    with pytest.raises(DataError, match=message):
        read_dataset(folder)


def test_a_data_set_without_val_cannot_be_developed_on(tmp_path):
    """An empty split is named when it is asked for."""
    folder = write_toy(tmp_path / "toy", counts={"train": 2, "test": 2})

    with raises_naming(DataError, "val"):
        read_dataset(folder).development()
