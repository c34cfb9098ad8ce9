import json
import os

import numpy as np
import pytest
from audit_faces import SIDE, Rows, brightened, findings, fine_rows, pairs, planted, some_faces
from refusals import raises_naming

from mien.audit import KINDS, audit
from mien.audit.data import gather
from mien.audit.quality import measure
from mien.audit.votes import find_label_noise
from mien.dataset import read_dataset, writing_dataset
from mien.errors import DataError, MissingExtra, StorageError
from mien.labels import FERPLUS_LABELS, FERPLUS_VOTES, LABELS
from mien.pack import pack
from mien.progress import Counting

pytest_plugins = ["audit_fixtures"]

CONTENTS = {"audit.html", "findings.csv", "figures", "numbers"}


def test_an_audit_is_four_things(made):
    """The folder holds page, findings, figures and numbers, and nothing beside it is left over."""
    assert CONTENTS == {path.name for path in made.folder.iterdir()}
    assert {"audit", "cleaned"} == {path.name for path in made.folder.parent.iterdir()}
    assert made.folder / "audit.html" == made.page


def test_identical_pictures_are_counted(made):
    """Groups, redundant rows and disagreeing labels are those that were planted."""
    assert (7, 7) == (made.copies.groups, made.copies.redundant)
    assert 2 == made.copies.conflicting
    assert {("val", "train"): 1, ("test", "train"): 3, ("test", "val"): 1} == made.copies.across
    assert {"train": 0, "val": 1, "test": 4} == made.copies.copied


def test_identical_pictures_are_told_by_split(made, rows):
    """Each copy stands beside the first picture like it in its own split and in each earlier one."""
    at = rows.at

    assert pairs(made, "identical") == {
        frozenset(pair) for pair in ((0, at["twice in train"]), (3, at["conflict in train"]))
    }
    assert pairs(made, "identical-across") == {
        frozenset(pair)
        for pair in (
            (1, at["val in train"]),
            (2, at["test in train"]),
            (84, at["test in val"]),
            (4, at["conflict with test"]),
            (at["flat 0"], at["flat 1"]),
        )
    }


def test_conflicts_are_told_with_their_counts(made, rows):
    """Every face of a group whose labels disagree is told beside one with another label."""
    told = findings(made, "conflict")

    assert [row["detail"] for row in told] == [
        *[f"labeled {LABELS[3]} 1 time and {LABELS[4]} 1 time"] * 2,
        *[f"labeled {LABELS[4]} 1 time and {LABELS[5]} 1 time"] * 2,
    ]
    assert all(row["label"] != row["other_label"] for row in told)


def test_near_and_turned_copies_are_told(made, rows):
    """The planted near copies and turned copies are found, in one split and across, and no others."""
    at = rows.at

    assert pairs(made, "near") == {frozenset((10, at["near in train"]))}
    assert pairs(made, "near-across") == {frozenset((11, at["near in test"]))}
    assert pairs(made, "augmented") == {frozenset((12, at["turned in train"]))}
    assert pairs(made, "augmented-across") == {frozenset((13, at["turned in val"]))}
    assert {"near": 2, "augmented": 2} == made.near.pairs
    assert made.near.redundant["train"] == 4
    assert made.near.copied == {"train": 0, "val": 2, "test": 5}


def test_flat_and_blurred_pictures_are_told(made, rows):
    """Pictures of one grey are flat, a soft one is blurred."""
    assert {str(rows.at[f"flat {n}"]) for n in range(3)} == {row["id"] for row in findings(made, "flat")}
    assert [str(rows.at["blurred"])] == [row["id"] for row in findings(made, "blurred")]
    assert [("flat", "every pixel is 200")] == [
        (row["kind"], row["detail"]) for row in findings(made, "flat") if row["split"] == "val"
    ]


def test_votes_question_labels(made, rows):
    """A label without a vote, against nearly all voters, is told; so is what is no face."""
    assert [str(rows.at["unvoted"])] == [row["id"] for row in findings(made, "label-noise")]
    assert [str(rows.at["no face"])] == [row["id"] for row in findings(made, "not-a-face")]
    assert "of 10 votes: happiness 10" == findings(made, "label-noise")[0]["detail"]
    assert (1, 1) == (made.votes.unvoted, made.votes.not_a_face)
    assert made.votes.faces - 1 == made.votes.agreeing


def test_findings_name_both_faces(made, faces):
    """A row of findings.csv has id, split, label and source of both faces, and the kinds in their order."""
    table = read_dataset(faces).whole().table
    told = findings(made)
    kinds = [row["kind"] for row in told]

    assert kinds == sorted(kinds, key=list(KINDS).index)
    for row in told:
        for before in ("", "other_") if row["other_id"] else ("",):
            number = int(row[f"{before}id"])
            assert [row[f"{before}{name}"] for name in ("split", "label", "source")] == [
                table[name][number] for name in ("split", "label", "source")
            ]
    assert made.counts == {kind: kinds.count(kind) for kind in KINDS}


def test_splits_that_differ_are_told(tmp_path):
    """A test split that is brighter and softer than train is told, with by how much."""
    rows = Rows()
    for number, face in enumerate(some_faces(300, seed=2)):
        split = ("train", "train", "val", "test")[number % 4]
        rows.add(brightened(face, 0.6) if split == "test" else face, LABELS[number % 7], split)
    made = audit(rows.write(tmp_path / "faces"), tmp_path / "audit")
    worth = {(c.measure, c.split, c.other): c.worth for c in made.quality.contrasts}
    (said,) = [said for said in made.conclusions if said.head.startswith("The splits")]

    assert "clear" == worth["brightness", "test", "train"]
    assert "none" == worth["brightness", "val", "train"]
    assert "The splits differ" == said.head
    assert "brightness of test is higher than that of train by" in said.sentence


def test_a_data_set_of_flat_pictures_is_audited(tmp_path):
    """Even where every picture is flat there is an audit."""
    rows = Rows()
    for number in range(9):
        rows.add(
            np.full((SIDE, SIDE), 10 * number, np.uint8),
            LABELS[number % 7],
            ("train", "val", "test")[number % 3],
        )
    made = audit(rows.write(tmp_path / "faces"), tmp_path / "audit")

    assert 9 == made.counts["flat"] == sum(made.counts.values())


@pytest.mark.parametrize(
    ("people", "shared", "head"),
    [
        (
            ["ann", "ben", "ann", "cem", "", ""],
            {"train": 0, "val": 1, "test": 0},
            "1 of 2 val faces shows a person",
        ),
        (
            ["ann", "ann", "ben", "ben", "ann", "ben"],
            {"train": 0, "val": 0, "test": 2},
            "2 of 2 test faces show",
        ),
        (
            ["ann", "ann", "ben", "cem", "", ""],
            {"train": 0, "val": 0, "test": 0},
            "No person stands in two splits",
        ),
    ],
    ids=("one", "two", "none"),
)
def test_people_of_two_splits_are_told(people, shared, head, tmp_path):
    """Faces are counted whose person stands in an earlier split; those of nobody named are not."""
    with writing_dataset(tmp_path / "faces", side=SIDE, labels=LABELS, extra=("person",)) as writer:
        for n, (face, person) in enumerate(zip(some_faces(6, seed=5), people, strict=True)):
            split = ("train", "train", "val", "val", "test", "test")[n]
            writer.add(face.tobytes(), label=LABELS[n], split=split, source=str(n), extra=(person,))
        writer.finish({"kind": "test"})

    result = audit(tmp_path / "faces", tmp_path / "audit")

    assert shared == result.copies.people
    assert any(one.head.startswith(head) for one in result.conclusions)


def test_an_audit_can_be_written_as_json(made, fine):
    """`to_dict` holds plain values alone."""
    told = json.loads(json.dumps(made.to_dict(), allow_nan=False))

    assert 7 == told["copies"]["redundant"]
    assert {"val in train": 1, "test in train": 3, "test in val": 1} == told["copies"]["across"]
    assert json.loads(json.dumps(fine.to_dict()))["votes"] is None


class Interrupted(Counting):
    """Is stopped at a phase of the work."""

    def __init__(self, phase):
        self.phase = phase

    def over(self, name, total, things):
        """Raise at the phase, after the first thing."""
        for thing in things:
            yield thing
            if name == self.phase:
                raise KeyboardInterrupt


@pytest.mark.parametrize("phase", ["comparing faces", "looking at pairs", "writing faces"])
def test_an_interrupted_audit_leaves_nothing(faces, tmp_path, phase):
    """Ctrl-C at any moment leaves neither audit nor cleaned data set."""
    with pytest.raises(KeyboardInterrupt):
        audit(faces, tmp_path / "audit", drop=tmp_path / "cleaned", progress=Interrupted(phase))

    assert [] == list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_audit(made, faces, monkeypatch):
    """Where the disk is full, the audit that stands there stays, and the error is one line."""
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        audit(faces, made.folder)

    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    assert {"audit", "cleaned"} == {path.name for path in made.folder.parent.iterdir()}


def test_without_matplotlib_the_extra_is_named(faces, tmp_path, monkeypatch):
    """A missing matplotlib is told with the extra that brings it."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with raises_naming(MissingExtra, "mien[audit]"):
        audit(faces, tmp_path / "audit")


def test_a_picture_of_one_grey_is_flat_at_any_side():
    """Shrunk to the audit's side it would be uneven by rounding."""
    for side in (48, 96, 100, 128):
        assert np.isnan(measure(np.full((1, side, side), 77, np.uint8))["sharpness"]).all()


def test_voters_question_their_own_classes(tmp_path):
    """Where FER+'s voters gave the labels, contempt among them, their votes question the labels all the same."""
    extra = tuple(f"vote_{name}" for name in FERPLUS_VOTES)
    with writing_dataset(tmp_path / "faces", side=16, labels=FERPLUS_LABELS, extra=extra) as writer:
        for number, (label, voted) in enumerate(
            (("contempt", "contempt"), ("contempt", "happiness"), ("sad", "sadness"))
        ):
            votes = tuple("10" if name == voted else "0" for name in FERPLUS_VOTES)
            pixels = np.random.default_rng(number).integers(0, 256, 256, np.uint8).tobytes()
            writer.add(pixels, label=label, split="train", source=str(number), extra=votes)
        writer.finish({"kind": "none", "files": {}})
    check, found = find_label_noise(gather(tmp_path / "faces"))

    assert (3, 2, 1) == (check.faces, check.agreeing, check.unvoted)
    assert [1] == [finding.row for finding in found]


def test_votes_are_counted_face_by_face(tmp_path):
    """Eight of ten votes question a label, seven do not; each class has its faces, and each label its majorities."""
    rows = Rows()
    cast = (
        ("happy", {"happiness": 9, "neutral": 1}),
        ("happy", {"sadness": 8, "neutral": 2}),
        ("happy", {"sadness": 7, "neutral": 3}),
        ("sad", {"sadness": 6, "fear": 4}),
        ("sad", {"unknown": 10}),
    )
    for picture, (label, votes) in zip(some_faces(5, seed=5), cast, strict=True):
        rows.add(picture, label, "train", votes=tuple(votes.get(name, 0) for name in FERPLUS_VOTES))
    check, found = find_label_noise(gather(rows.write(tmp_path / "faces")))
    seen = {label: {name: n for name, n in of.items() if n} for label, of in check.confusion.items()}

    assert (4, 2, 1) == (check.faces, check.agreeing, check.unvoted)
    assert [1] == [finding.row for finding in found]
    assert {"happy": (1, 3), "sad": (1, 1)} == {k: v for k, v in check.by_class.items() if any(v)}
    assert {"happy": {"happiness": 1, "sadness": 2}, "sad": {"sadness": 1}} == {
        k: v for k, v in seen.items() if v
    }


def test_votes_that_are_no_numbers_are_told(tmp_path):
    """A vote that is no whole number is refused in one line."""
    rows = fine_rows()
    rows.rows[5] = (*rows.rows[5][:3], ("x",) * 10)
    with raises_naming(DataError, "table.csv"):
        audit(rows.write(tmp_path / "faces"), tmp_path / "audit")


@pytest.fixture(scope="module")
def packed(fer2013, tmp_path_factory):
    """FER2013, packed with FER+'s votes where they lie beside it."""
    votes = fer2013.with_name("fer2013new.csv")
    folder = tmp_path_factory.mktemp("fer2013") / "fer2013"
    pack(fer2013, folder, votes=votes if votes.exists() else None)
    return folder


def test_the_counts_of_fer2013(packed):
    """Of FER2013 the audit tells the copies, conflicts, flat pictures and agreeing labels that are known."""
    from mien.audit.copies import find_copies
    from mien.audit.data import gather
    from mien.audit.quality import find_poor
    from mien.audit.votes import find_label_noise

    data = gather(packed)
    copies, _ = find_copies(data)
    quality, _ = find_poor(data, lambda name, total, things: things)
    check, _ = find_label_noise(data)

    assert (1518, 1855, 60) == (copies.groups, copies.redundant, copies.conflicting)
    assert {("val", "train"): 280, ("test", "train"): 288, ("test", "val"): 44} == copies.across
    assert 314 == copies.copied["test"]
    assert 3275 == data.info.count("test") - copies.copied["test"]
    assert 12 == quality.flat
    assert check is None or round(check.share, 2) == 0.63


@pytest.mark.slow
def test_500_copies_planted_into_fer2013_are_found(packed):
    """Of 500 faces of FER2013, changed in every way that counts as near, at least 95 % are found again."""
    from mien.audit.near import find_pairs

    rng = np.random.default_rng(11)
    whole = read_dataset(packed).whole()
    fresh = np.flatnonzero(whole.table["group"] == whole.table["id"])
    images = whole.images[fresh]
    images = images[images.reshape(len(images), -1).std(1) > 0]
    kinds = (
        "mirrored",
        "gamma",
        "jpeg",
        "shifted",
        "mirrored gamma",
        "shifted jpeg",
        "mirrored shifted gamma jpeg",
    )
    chosen = rng.choice(len(images), 500, replace=False)
    copies = [planted(images[row], kinds[n % len(kinds)], rng) for n, row in enumerate(chosen)]
    pairs, _ = find_pairs(np.concatenate([images, copies]), lambda name, total, things: things)
    found = {(pair.row, pair.other) for pair in pairs}

    assert sum((row, len(images) + n) in found for n, row in enumerate(chosen.tolist())) >= 475


@pytest.mark.slow
def test_the_audit_of_fer2013(packed, tmp_path):
    """The audit of FER2013 finds near copies, fits into its page, and cleaned no face stands in two splits."""
    made = audit(packed, tmp_path / "audit", drop=tmp_path / "cleaned")
    again = audit(tmp_path / "cleaned", tmp_path / "again")

    assert made.near.pairs["near"] > 1000
    assert made.page.stat().st_size <= 6_000_000
    assert not any(again.near.copied.values())
    assert 0 == again.counts["flat"]
    assert {"test"} == {row["split"] for row in findings(again, "identical", "conflict")}
