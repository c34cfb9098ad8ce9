"""People through pack: a column or a pattern, splits and folds that keep them whole, what pack and info tell."""

import csv

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli import app
from mien.dataset import read_dataset
from mien.errors import DataError
from mien.folds import Fold, merged
from mien.info import info
from mien.pack import pack

PEOPLE, EACH = 20, 6
CLASSES = ("happy", "sad")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """CLASS/PERSON/NUMBER.png of 20 people, and the same as a table with a column person."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    rows = []
    for person in range(PEOPLE):
        for number in range(EACH):
            label = CLASSES[number % 2]
            path = root / label / f"S{person:02}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (48, 48), np.uint8)).save(path)
            rows.append((path.relative_to(root), label, f"S{person:02}"))
    with open(root / "table.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label", "person"), *rows])
    return root


def people_of(dataset, split: str) -> set[str]:
    """Return the people of a split."""
    return set(dataset.annotations(dataset.ids(split)).columns["person"].tolist())


@pytest.mark.parametrize("source", ["table", "folder", "group"])
def test_drawn_splits_keep_people_together(folder, tmp_path, source):
    """By a column or a pattern for paths each person stands in one split, and every split has some."""
    patterns = {"table": "", "folder": "S[0-9]+", "group": "/S([0-9]+)/"}
    where = folder / "table.csv" if source == "table" else folder
    pack(where, tmp_path / "set", person=patterns[source])
    dataset = read_dataset(tmp_path / "set")
    people = {split: people_of(dataset, split) for split in ("train", "val", "test")}

    assert PEOPLE == sum(map(len, people.values())) == len(set.union(*people.values()))
    assert all(1 <= len(people[split]) <= 4 for split in ("val", "test"))
    assert {"val": 0, "test": 0} == dataset.shared()["person"]
    assert "By person, no faces" in info(tmp_path / "set")


def test_folds_and_draws_keep_people_together(folder, tmp_path):
    """No person stands in two folds, and predictions carry people as the groups that a bootstrap draws."""
    pack(folder / "table.csv", tmp_path / "set")
    dataset = read_dataset(tmp_path / "set")
    for number in (1, 2, 3):
        fold = dataset.development(Fold(number, 3))
        people = [
            set(dataset.annotations(part.ids).columns["person"].tolist()) for part in (fold.train, fold.val)
        ]

        assert not people[0] & people[1]
    faces = dataset.open_val()
    persons = dataset.annotations(faces.ids).columns["person"]
    assert len(set(faces.groups.tolist())) == len(set(persons.tolist()))


def test_people_in_two_splits_are_told(folder, tmp_path):
    """Where a source has splits that tear people apart, pack and info say how many faces that touches."""
    rows = list(csv.reader((folder / "table.csv").read_text().splitlines()))
    with open(folder / "torn.csv", "w", encoding="utf-8", newline="") as file:
        head, *faces = rows
        splits = ("train", "train", "train", "train", "val", "test")
        csv.writer(file).writerows([[*head, "split"], *([*r, splits[i % EACH]] for i, r in enumerate(faces))])
    result = CliRunner().invoke(app, ["pack", str(folder / "torn.csv"), str(tmp_path / "torn")])

    assert 0 == result.exit_code
    assert {"val": PEOPLE, "test": PEOPLE} == read_dataset(tmp_path / "torn").shared()["person"]
    assert "By person, 20 faces of test and 20 faces of val" in " ".join(result.stdout.split())


@pytest.mark.parametrize("pattern", ["(", "nobody"])
def test_a_pattern_that_names_nobody_is_refused(folder, tmp_path, pattern):
    """A broken expression, and one that no path matches, is one line, and nothing is written."""
    with pytest.raises(DataError, match="--person"):
        pack(folder, tmp_path / "set", person=pattern)

    assert not (tmp_path / "set").exists()


def test_merged_groups_hang_together_over_columns():
    """Faces that share a name in any column are of one group; empty names join nothing."""
    pixels, persons = np.array(["0", "1", "2", "2", "4"]), np.array(["x", "", "", "x", ""])

    assert ["0", "1", "0", "0", "4"] == merged(pixels, persons).tolist()
    assert pixels.tolist() == merged(pixels).tolist()
