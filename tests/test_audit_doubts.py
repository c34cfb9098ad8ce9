import csv

import numpy as np
import pytest
from audit_faces import fine_rows

from mien.audit import audit
from mien.audit.doubts import doubtful_labels, estimated_joint
from mien.dataset import read_dataset
from mien.errors import DataError
from mien.labels import LABELS
from mien.predictions import Predictions, write_predictions


def planted(count: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of three classes with a tenth of class 0 called 1, good probabilities, and which were flipped."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, count)
    flipped = (true == 0) & (rng.random(count) < 0.1)
    logits = rng.normal(0, 1, (count, 3)) + 8 * np.eye(3)[true]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.where(flipped, 1, true), probs, flipped


def test_planted_wrong_labels_are_found_and_few_others():
    """Three in four of the labels that were changed are doubtful, and nine in ten doubtful labels were changed."""
    labels, probs, flipped = planted()

    joint = estimated_joint(labels, probs)
    doubtful = doubtful_labels(labels, probs, joint)

    assert 1500 == pytest.approx(joint.sum())
    assert 0.75 * flipped.sum() <= joint[1, 0] <= 1.1 * flipped.sum()
    assert (doubtful & flipped).sum() >= 0.75 * flipped.sum()
    assert (doubtful & flipped).sum() >= 0.9 * doubtful.sum()


def test_right_labels_are_not_doubted():
    """Where predictions agree with all labels none is doubtful; a class without a face changes nothing."""
    labels = np.repeat((0, 1), 50)
    probs = np.column_stack([0.9 - 0.8 * labels, 0.1 + 0.8 * labels, np.zeros(100)])

    joint = estimated_joint(labels, probs)

    assert np.array_equal(np.diag((50, 50, 0)), joint)
    assert not doubtful_labels(labels, probs, joint).any()


@pytest.fixture
def faces(tmp_path):
    """A data set whose first happy train faces are labeled sad, and predictions of its train faces that know better."""
    rows = fine_rows()
    wrong = [n for n, (_, label, split, _) in enumerate(rows.rows) if (label, split) == ("happy", "train")][
        :3
    ]
    true = [LABELS.index(label) for _, label, split, _ in rows.rows if split == "train"]
    for number in wrong:
        rows.rows[number] = (rows.rows[number][0], "sad", *rows.rows[number][2:])
    folder = rows.write(tmp_path / "faces")
    train = read_dataset(folder).development().train
    probs = np.full((len(train), len(LABELS)), 0.02)
    probs[np.arange(len(train)), true] = 0.88
    splits, clean = np.full(len(train), "train"), np.ones(len(train), bool)
    table = Predictions(LABELS, train.ids, train.labels, splits, probs, train.groups, clean)
    write_predictions(tmp_path / "out-of-fold.csv", table)
    return folder, tmp_path / "out-of-fold.csv", [str(number) for number in wrong]


def test_an_audit_drops_what_predictions_contradict(faces, tmp_path):
    """Planted wrong labels, and no others, are findings, stand in the page and are left out of the cleaned data set."""
    folder, table, wrong = faces

    made = audit(
        folder, tmp_path / "audit", drop=tmp_path / "clean", kinds=["doubtful-label"], predictions=[table]
    )

    with open(made.folder / "findings.csv", encoding="utf-8", newline="") as file:
        doubtful = [row["id"] for row in csv.DictReader(file) if row["kind"] == "doubtful-label"]
    assert wrong == sorted(doubtful, key=int)
    assert made.doubts is not None and made.doubts.against_votes is not None
    assert (1.0, 0.0) == made.doubts.against_votes
    left = read_dataset(tmp_path / "clean").development().train
    assert not set(wrong) & set(left.ids.tolist())
    assert 84 - len(wrong) == len(left)
    assert {"train", "val", "test"} == set(made.annotators)
    page = made.page.read_text(encoding="utf-8")
    assert "--predictions" in page
    assert (made.folder / "numbers" / "annotators.csv").exists()


def test_predictions_of_other_classes_or_faces_are_refused(faces, tmp_path):
    """A table with another class or an unknown face is a DataError that names it, before anything is written."""
    folder, table, _ = faces
    text = table.read_text(encoding="utf-8")
    other, unknown = tmp_path / "classes.csv", tmp_path / "faces.csv"
    other.write_text(text.replace("disgust", "contempt"), encoding="utf-8")
    unknown.write_text(text.replace("\n0,", "\nno-such-face,"), encoding="utf-8")

    for path in (other, unknown):
        with pytest.raises(DataError, match=path.name):
            audit(folder, tmp_path / "audit", predictions=[path])
    assert not (tmp_path / "audit").exists()
