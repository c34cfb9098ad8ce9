import shutil
from pathlib import Path

import numpy as np
import pytest
from audit_faces import SIDE, brightened, fine_rows, left_out, some_faces
from refusals import raises_naming

from mien.audit import DROPPED_BY_DEFAULT, KINDS, audit
from mien.dataset import read_dataset
from mien.errors import DataError, StorageError

pytest_plugins = ["audit_fixtures"]


def test_the_cleaned_data_set_is_clean(made, tmp_path):
    """Audited again, the cleaned data set has no copies across splits, no flat ones and no conflicts."""
    again = audit(made.dropped.folder, tmp_path / "again")

    assert not any(again.counts[kind] for kind in DROPPED_BY_DEFAULT)
    assert not any(again.near.copied.values())
    assert again.near.pairs == {"near": 1, "augmented": 1}  # those within train stay by default


def test_the_test_split_is_not_thinned(made, faces, rows):
    """Test loses its flat picture alone; every other face is there with its id, pixels, label and votes."""
    before, after = (read_dataset(folder).whole() for folder in (faces, made.dropped.folder))
    of_test = before.table["split"] == "test"
    kept = after.table["split"] == "test"
    lost = set(before.table["id"][of_test]) - set(after.table["id"][kept])
    place = np.array([int(i) for i in after.table["id"]])

    assert {str(rows.at["flat 1"])} == lost
    assert np.array_equal(before.images[place], after.images)
    for name in set(after.table) - {"group"}:
        assert np.array_equal(before.table[name][place], after.table[name]), name


def test_every_dropped_row_is_listed_with_its_reason(made, rows):
    """left-out.csv names each face that is missing, the kind and the face it is like."""
    at = rows.at
    told = left_out(made.dropped.folder)

    assert told == {
        **{f"toy, row {at[f'flat {n}']}": "flat" for n in range(3)},
        f"toy, row {at['twice in train']}": "identical: see face 0 of train",
        "toy, row 1": f"identical-across: see face {at['val in train']} of val",
        "toy, row 2": f"identical-across: see face {at['test in train']} of test",
        "toy, row 84": f"identical-across: see face {at['test in val']} of test",
        "toy, row 3": f"conflict: see face {at['conflict in train']} of train",
        f"toy, row {at['conflict in train']}": "conflict: see face 3 of train",
        "toy, row 4": f"conflict: see face {at['conflict with test']} of test",
        "toy, row 11": f"near-across: see face {at['near in test']} of test",
        "toy, row 13": f"augmented-across: see face {at['turned in val']} of val",
    }
    assert len(told) == sum(sum(of.values()) for of in made.dropped.counts.values())
    assert read_dataset(made.dropped.folder).info.left_out == len(told)


def test_the_origin_says_what_was_cleaned(made, faces):
    """A cleaned data set names the data set it is of, that one's origin, the kinds and the counts."""
    source, origin = read_dataset(faces).info, read_dataset(made.dropped.folder).info.origin

    assert (origin["kind"], origin["from"]) == ("audit", source.fingerprint)
    assert origin["origin"] == source.origin
    assert origin["kinds"] == [kind for kind in KINDS if kind in DROPPED_BY_DEFAULT]
    assert origin["dropped"] == made.dropped.counts


def test_other_kinds_can_be_asked_for(faces, rows, tmp_path):
    """Near copies in one split, blurred pictures, wrong labels and no faces go when asked, and no others."""
    at = rows.at
    kinds = ("near", "augmented", "blurred", "label-noise", "not-a-face")
    audit(faces, tmp_path / "audit", drop=tmp_path / "cleaned", kinds=kinds)

    assert left_out(tmp_path / "cleaned") == {
        f"toy, row {at['near in train']}": "near: see face 10 of train",
        f"toy, row {at['turned in train']}": "augmented: see face 12 of train",
        f"toy, row {at['blurred']}": "blurred",
        f"toy, row {at['unvoted']}": "label-noise",
        f"toy, row {at['no face']}": "not-a-face",
    }


def test_copies_of_copies_follow_their_pictures(tmp_path):
    """A near copy of a picture whose twin stands in test leaves train, and of near ones the first stays."""
    rows = fine_rows()
    face = some_faces(1, seed=50)[0]
    for name, split, picture in (
        ("original", "train", face),
        ("twin", "test", face),
        ("brighter", "train", brightened(face, 0.8)),
        ("darker", "val", brightened(face, 1.3)),
    ):
        rows.add(picture, "sad", split, name)
    other = some_faces(1, seed=51)[0]
    for name, gamma in (("a", 1.0), ("b", 0.8), ("c", 1.3)):
        rows.add(brightened(other, gamma), "sad", "train", name)
    kinds = (*DROPPED_BY_DEFAULT, "near")
    audit(rows.write(tmp_path / "faces"), tmp_path / "audit", drop=tmp_path / "cleaned", kinds=kinds)
    told = left_out(tmp_path / "cleaned")

    assert {f"toy, row {rows.at[name]}" for name in ("original", "brighter", "darker", "b", "c")} == set(told)
    assert f"near: see face {rows.at['a']} of train" == told[f"toy, row {rows.at['c']}"]


def test_the_same_cleaning_is_left_as_it_is(made, faces, tmp_path):
    """Asked for again, a cleaned data set is not written anew; asked for in another way it is refused."""
    target = shutil.copytree(made.dropped.folder, tmp_path / "cleaned")
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    audit(faces, tmp_path / "audit", drop=target)
    after = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}

    assert before == after
    with pytest.raises(DataError):
        audit(faces, tmp_path / "audit", drop=target, kinds=("flat",))


def test_anything_else_is_not_overwritten(faces, tmp_path):
    """A data set of another kind, a foreign folder and the data set itself are no places to write to."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.txt").write_text("mine")
    with raises_naming(DataError, "mine"):
        audit(faces, tmp_path / "audit", drop=tmp_path / "mine")
    with pytest.raises(DataError):
        audit(faces, tmp_path / "audit", drop=faces)
    with pytest.raises(StorageError):
        audit(faces, tmp_path / "mine")
    for inside in ("audit", "audit/cleaned"):
        with pytest.raises(StorageError):
            audit(faces, tmp_path / "audit", drop=tmp_path / inside)
    with pytest.raises(StorageError):
        audit(faces, Path("."))

    assert ["mine"] == [path.name for path in tmp_path.iterdir()]
    assert ["mine.txt"] == [path.name for path in (tmp_path / "mine").iterdir()]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("flatt",), r'"flatt" is not one of flat, .*; did you mean "flat"\?'),
        (("blurred", "Near"), '"Near" is not one of .*; did you mean "near"'),
    ],
)
def test_an_unknown_kind_is_told(faces, tmp_path, kinds, message):
    """A kind that is not known ends the audit before it begins, with the nearest one named."""
    with pytest.raises(DataError, match=message):
        audit(faces, tmp_path / "audit", kinds=kinds)


def test_a_split_is_not_emptied(tmp_path):
    """Where cleaning would leave no face of a split, nothing is written."""
    rows = fine_rows()
    rows.rows = [row for row in rows.rows if row[2] != "val"]
    rows.add(np.zeros((SIDE, SIDE), np.uint8), "sad", "val")
    folder = rows.write(tmp_path / "faces")
    with raises_naming(DataError, "--kinds"):
        audit(folder, tmp_path / "audit", drop=tmp_path / "cleaned")

    assert ["faces"] == [path.name for path in tmp_path.iterdir()]


def test_what_was_left_out_before_stays_listed(made, tmp_path):
    """A cleaned data set that is cleaned once more lists what the first cleaning left out, too."""
    first = made.dropped.folder
    audit(first, tmp_path / "audit", drop=tmp_path / "twice", kinds=("blurred",))
    told = left_out(tmp_path / "twice")

    assert left_out(first).items() < told.items()
    assert len(left_out(first)) + 1 == len(told)
