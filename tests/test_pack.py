import gzip
import io
import os
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import raises_naming
from small_table import table

from mien.dataset import read_dataset
from mien.errors import DataError, MienError
from mien.labels import LABELS, SPLITS
from mien.pack import pack
from mien.pack.fer2013 import parse_pixels
from mien.pack.ferplus import majority_of

PIXELS = " ".join(["7"] * 48 * 48)
HEADER = "emotion,pixels,Usage\n"
ROW = f"3,{PIXELS},Training\n"


def archive_of(path: Path, text: str, *, member: str = "fer2013/fer2013.csv", **changes) -> Path:
    """Write a .tar.gz with one table, its member changed as told."""
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(member)
        info.size = len(text.encode())
        for name, value in changes.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(text.encode()))
    return path


def write_as(path: Path, text: str) -> Path:
    """Write a table plain, gzipped or archived, as the name says."""
    if path.name.endswith(".tar.gz"):
        return archive_of(path, text)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.csv.gz", "fer2013.tar.gz"])
def test_the_three_forms_of_the_table_give_the_same_faces(tmp_path, name):
    """Plain, gzipped and archived tables become the same pixels, labels and splits."""
    text = table()
    info = pack(write_as(tmp_path / name, text), tmp_path / "faces")
    train = read_dataset(tmp_path / "faces").development().train
    first = np.array(text.splitlines()[1].split(",")[1].split(), np.uint8).reshape(48, 48)

    assert {"train": 14, "val": 14, "test": 14} == {s: info.count(s) for s in info.counts}
    assert np.array_equal(first, train.images[0])
    assert list(range(7)) * 2 == train.labels.tolist()


def test_columns_are_found_by_name(tmp_path):
    """The order of the columns does not matter, nor does one that is not needed."""
    path = write_as(tmp_path / "t.csv", f"Usage,id,pixels,emotion\nPrivateTest,9,{PIXELS},4\n")
    info = pack(path, tmp_path / "faces")

    assert 1 == info.counts["test"]["sad"]


def test_the_same_source_packed_again_is_left_as_it_is(tmp_path):
    """Packing is idempotent; another source is refused and the data set kept."""
    source = write_as(tmp_path / "a.csv", table(seed=1))
    other = write_as(tmp_path / "b.csv", table(seed=2))
    first = pack(source, tmp_path / "faces")
    before = (tmp_path / "faces" / "dataset.json").stat().st_mtime_ns

    assert first == pack(source, tmp_path / "faces")
    assert before == (tmp_path / "faces" / "dataset.json").stat().st_mtime_ns
    with pytest.raises(DataError):
        pack(other, tmp_path / "faces")


BAD_TABLES = {
    "empty": ("", "the file is empty"),
    "header alone": (HEADER, "a header and no face"),
    "no pixels": (f"emotion,pixel,Usage\n{ROW}", 'no column "pixels"; did you mean "pixel"'),
    "column twice": (f"emotion,emotion,pixels,Usage\n3,{ROW}", 'column "emotion" stands twice'),
    "few fields": (f"{HEADER}{ROW}3,{PIXELS}\n", "row 3: 2 fields, the header has 3"),
    "many fields": (f"{HEADER}3,{PIXELS},Training,more\n", "row 2: 4 fields, the header has 3"),
    "label of digits": (
        f"{HEADER}{'3' * 5000},{PIXELS},Training\n",
        'row 2: emotion "3{40}" is not a number',
    ),
    "few pixels": (f"{HEADER}3,1 2 3,Training\n", "row 2: 3 pixels, 48 x 48 = 2,304 are needed"),
    "no pixel": (f"{HEADER}3,,Training\n", "row 2: 0 pixels"),
    "one more": (f"{HEADER}3,{PIXELS} 7,Training\n", "row 2: 2,305 pixels"),
    "too bright": (f"{HEADER}3,256{PIXELS[1:]},Training\n", "row 2: pixel value 256 is outside 0 to 255"),
    "negative": (f"{HEADER}3,-1{PIXELS[1:]},Training\n", "row 2: pixel value -1 is outside"),
    "huge": (f"{HEADER}3,{'9' * 30}{PIXELS[1:]},Training\n", "row 2: pixel value .* is outside"),
    "fraction": (f"{HEADER}3,7.5{PIXELS[1:]},Training\n", "row 2: pixels hold something"),
    "word": (f"{HEADER}3,x{PIXELS[1:]},Training\n", "row 2: pixels hold something"),
    "label 7": (f"{HEADER}7,{PIXELS},Training\n", 'row 2: emotion "7" is not a number from 0 to 6'),
    "label word": (f"{HEADER}happy,{PIXELS},Training\n", 'row 2: emotion "happy" is not a number'),
    "label -1": (f"{HEADER}-1,{PIXELS},Training\n", 'row 2: emotion "-1" is not a number'),
    "split": (
        f"{HEADER}3,{PIXELS},Trainig\n",
        'row 2: Usage "Trainig" is not one of .*did you mean "Training"',
    ),
    "long line": (f"{HEADER}3,{'7 ' * 500_000},Training\n", "row 2: not a table row"),
    "late fault": (HEADER + ROW * 5 + "3,1,Training\n", "row 7: 1 pixels"),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_a_bad_table_is_told_with_its_row_and_leaves_nothing(tmp_path, fault):
    """Each fault names table and row, and neither a data set nor a trace of one is left."""
    text, message = BAD_TABLES[fault]
    source = write_as(tmp_path / "t.csv", text)

    with pytest.raises(DataError, match=f"t.csv.*{message}"):
        pack(source, tmp_path / "faces")
    assert ["t.csv"] == [p.name for p in tmp_path.iterdir()]


def bad_archive(kind: str, path: Path) -> str:
    """Write a bad archive and return what is to be said of it."""
    text = HEADER + ROW
    if kind == "climbs":
        archive_of(path, text, member="../fer2013.csv")
        return "climbs out of the archive"
    if kind == "absolute":
        archive_of(path, text, member="/fer2013.csv")
        return "climbs out of the archive"
    if kind in ("symlink", "hardlink"):
        link = tarfile.SYMTYPE if kind == "symlink" else tarfile.LNKTYPE
        archive_of(path, "", type=link, linkname="/etc/passwd")
        return "is a link"
    if kind == "fifo":
        archive_of(path, "", type=tarfile.FIFOTYPE)
        return "is a device or pipe"
    if kind == "no table":
        archive_of(path, "hello", member="README")
        return "holds no .csv table"
    if kind == "two tables":
        with tarfile.open(path, "w:gz") as archive:
            for name in ("a.csv", "b.csv"):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        return "holds two tables"
    if kind == "not utf-8":
        path.write_bytes(b"emotion,pixels,Usage\n3,\xff\xfe")
        return "not a text table"
    if kind == "zip":
        path.write_bytes(b"PK\x03\x04" + bytes(100))
        return "a zip archive; unpack it"
    if kind == "random bytes":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
        return "cut short or damaged|not a text table"
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "climbs",
        "absolute",
        "symlink",
        "hardlink",
        "fifo",
        "no table",
        "two tables",
        "not utf-8",
        "zip",
        "random bytes",
    ],
)
def test_a_foreign_or_unsafe_archive_is_refused(tmp_path, kind):
    """Members that climb out, links, pipes and archives of other things are refused, nothing is extracted."""
    path = tmp_path / "in" / "faces.tar.gz"
    path.parent.mkdir()
    message = bad_archive(kind, path)

    with pytest.raises(DataError, match=message):
        pack(path, tmp_path / "faces")
    assert ["in"] == [p.name for p in tmp_path.iterdir()]
    assert ["faces.tar.gz"] == [p.name for p in path.parent.iterdir()]


@given(st.integers(0, 10_000), st.sampled_from(["tar.gz", "csv.gz"]))
@settings(max_examples=40, deadline=None)
def test_a_truncated_source_is_never_taken_for_whole(tmp_path_factory, cut, kind):
    """Wherever an archive or a gzipped table is cut off, packing fails and leaves nothing."""
    folder = tmp_path_factory.mktemp("cut")
    path = write_as(folder / f"faces.{kind}", table(7))
    content = path.read_bytes()
    path.write_bytes(content[: cut % (len(content) - 1024)])

    with pytest.raises(DataError):
        pack(path, folder / "faces")
    assert [path.name] == [p.name for p in folder.iterdir()]


def test_a_flipped_bit_in_an_archive_is_noticed(tmp_path):
    """Gzip's checksum is read to the end, so even a legible wrong pixel is found."""
    path = archive_of(tmp_path / "faces.tar.gz", HEADER + ROW)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError):
        pack(path, tmp_path / "faces")


@given(st.text(st.sampled_from('0123456789 ,"\n\r\tTraing\x00é'), max_size=300))
@settings(deadline=None)
def test_any_table_is_packed_or_refused(tmp_path_factory, text):
    """No text, however wild, brings anything but a data set or an error of ours."""
    folder = tmp_path_factory.mktemp("wild")
    path = write_as(folder / "t.csv", HEADER + text)
    try:
        pack(path, folder / "faces")
    except MienError:
        assert not (folder / "faces").exists()
    else:
        read_dataset(folder / "faces")


@given(arrays(np.uint8, 48 * 48))
@settings(max_examples=20)
def test_any_pixels_come_back(pixels):
    """Every value from 0 to 255 survives the way from text to bytes."""
    assert pixels.tobytes() == parse_pixels(" ".join(map(str, pixels)), "row 2")


VOTE_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
VOTE_ROW = "Training,fer0.png,4,0,0,1,3,2,0,0,0,0\n"


def test_votes_stand_in_the_table(tmp_path):
    """FER+'s ten counts follow each face into the data set, in whatever order their columns stand."""
    source = write_as(tmp_path / "t.csv", HEADER + ROW)
    for order in (1, -1):
        text = [",".join(line.split(",")[::order]) for line in (VOTE_HEADER + VOTE_ROW).splitlines()]
        votes = write_as(tmp_path / f"v{order}.csv", "\n".join(text))
        pack(source, tmp_path / f"faces{order}", votes=votes)
        lines = (tmp_path / f"faces{order}" / "table.csv").read_text().splitlines()

        assert lines[0].endswith(
            "vote_neutral,vote_happiness,vote_surprise,vote_sadness,vote_anger,"
            "vote_disgust,vote_fear,vote_contempt,vote_unknown,vote_NF"
        )
        assert lines[1].endswith(",4,0,0,1,3,2,0,0,0,0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("Usage,Image name\n", 'no column "neutral"'),
        (VOTE_HEADER, "0 rows of votes, fewer than there are faces"),
        (VOTE_HEADER + VOTE_ROW * 2, "2 rows of votes for 1 faces"),
        (
            VOTE_HEADER + VOTE_ROW.replace("Training", "PublicTest"),
            "row 2: votes for a val face, but .* train",
        ),
        (VOTE_HEADER + VOTE_ROW.replace("4", "x"), 'row 2: "x" is not a number of votes'),
        (VOTE_HEADER + VOTE_ROW.replace("4", "4" * 30), 'row 2: "4{30}" is not a number of votes'),
        (VOTE_HEADER + "Training,x,1\n", "row 2: 3 fields, too few"),
    ],
)
def test_votes_that_do_not_fit_are_refused(tmp_path, text, message):
    """A table of votes that is not these faces' is named with its row, and nothing is left."""
    source = write_as(tmp_path / "t.csv", HEADER + ROW)
    votes = write_as(tmp_path / "v.csv", text)

    with pytest.raises(DataError, match=f"v.csv.*{message}"):
        pack(source, tmp_path / "faces", votes=votes)
    assert not (tmp_path / "faces").exists()


# Counts in the order neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF.
MAJORITIES = {
    (4, 0, 0, 1, 3, 2, 0, 0, 0, 0): None,  # 4 of 9 once the single vote is gone
    (5, 1, 1, 1, 1, 1, 0, 0, 0, 0): "neutral",
    (0, 0, 0, 0, 5, 5, 0, 0, 0, 0): None,
    (0, 0, 0, 0, 6, 4, 0, 0, 0, 0): "angry",
    (0, 0, 0, 0, 0, 0, 2, 8, 0, 0): "contempt",
    (2, 0, 0, 0, 0, 0, 0, 0, 8, 0): None,
    (0, 2, 0, 0, 0, 0, 0, 0, 0, 8): None,
    (1, 1, 1, 1, 1, 1, 1, 1, 1, 1): None,
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0): None,
}


@pytest.mark.parametrize("counts", MAJORITIES)
def test_a_majority_is_more_than_half_without_the_single_votes(counts):
    """FER+'s protocol: slips do not count, ties and what is no expression are left out."""
    assert MAJORITIES[counts] == majority_of(tuple(map(str, counts)))


def test_a_data_set_of_majorities_has_ferplus_classes(tmp_path):
    """With --majority the voters label the faces; those they do not agree on are listed, and rows keep their votes."""
    source = write_as(tmp_path / "t.csv", HEADER + ROW * 3)
    agreed, split = "Training,a,1,0,0,1,0,0,0,8,0,0\n", "Training,b,5,5,0,0,0,0,0,0,0,0\n"
    votes = write_as(tmp_path / "v.csv", VOTE_HEADER + split + agreed + agreed)
    info = pack(source, tmp_path / "faces", votes=votes, majority=True)
    lines = (tmp_path / "faces" / "table.csv").read_text().splitlines()

    assert (*LABELS, "contempt") == info.labels
    assert 1 == info.left_out
    assert ["0,contempt", "1,contempt"] == [",".join(line.split(",")[:2]) for line in lines[1:]]
    assert lines[1].endswith(",1,0,0,1,0,0,0,8,0,0")
    for strict in (False, True):  # voters who do not agree are no broken picture
        assert info == pack(source, tmp_path / "faces", votes=votes, majority=True, strict=strict)
    with pytest.raises(DataError):
        pack(source, tmp_path / "faces", votes=votes)
    with raises_naming(DataError, "--majority", "--votes"):
        pack(source, tmp_path / "other", majority=True)


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["contempt="], LABELS, ["happy"]),
        (["contempt=angry"], LABELS, ["angry", "happy"]),
        (["happy", "contempt"], ("happy", "contempt"), ["contempt", "happy"]),
    ],
)
def test_majorities_leave_out_or_rename_classes(tmp_path, labels, classes, expected):
    """With --labels a majority's class is left out, folded into another, or one of a few that are kept."""
    source = write_as(tmp_path / "t.csv", HEADER + ROW * 2)
    contempt, happy = "Training,a,1,0,0,1,0,0,0,8,0,0\n", "Training,b,0,9,0,0,0,0,0,0,1,0\n"
    votes = write_as(tmp_path / "v.csv", VOTE_HEADER + contempt + happy)
    info = pack(source, tmp_path / "faces", votes=votes, majority=True, labels=labels)
    lines = (tmp_path / "faces" / "table.csv").read_text().splitlines()

    assert tuple(classes) == info.labels
    assert expected == [line.split(",")[1] for line in lines[1:]]


def test_what_is_no_file_is_refused_without_hanging(tmp_path):
    """A missing file, a folder and a pipe are named; the pipe is not waited for."""
    os.mkfifo(tmp_path / "pipe")

    for name, message in (
        ("gone", "no such file"),
        (".", "no picture in this folder"),
        ("pipe", "not a regular file"),
    ):
        with pytest.raises(DataError, match=message):
            pack(tmp_path / name, tmp_path / "faces")


def test_a_part_of_fer2013s_classes(tmp_path):
    """--labels keeps some of FER2013's classes, in its order, and maps others; the rest is left out and counted."""
    source = write_as(tmp_path / "t.csv", table(210))
    whole = pack(source, tmp_path / "whole")
    for name, labels, sums in (
        ("some", ["happy", "angry"], {"angry": ["angry"], "happy": ["happy"]}),
        (
            "mapped",
            ["good", "bad", "happy=good", "sad=bad", "fear=bad"],
            {"good": ["happy"], "bad": ["sad", "fear"]},
        ),
    ):
        info = pack(source, tmp_path / name, labels=labels)

        assert list(sums) == list(info.labels)
        for split, counts in info.counts.items():
            assert {
                name: sum(whole.counts[split][c] for c in classes) for name, classes in sums.items()
            } == counts
        assert not info.left_out
        assert any(str(sum(whole.counts[s]["neutral"] for s in SPLITS)) in note for note in info.notes)


def test_a_table_of_pixels_takes_no_detect(tmp_path):
    """FER2013's faces are cut out already; --detect is not silently ignored, nor is a class that has no faces."""
    source = write_as(tmp_path / "t.csv", HEADER + ROW)

    for options in ({"detect": True}, {"labels": ["good", "bad"]}):
        with pytest.raises(DataError):
            pack(source, tmp_path / "faces", **options)

    assert not (tmp_path / "faces").exists()


def test_a_full_disk_ends_in_one_line(tmp_path):
    """When the disk takes no more bytes, packing says so, exits with 2 and leaves nothing."""
    source = write_as(tmp_path / "t.csv", table(210))
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    command = [sys.executable, "-m", "mien", "pack", str(source), str(tmp_path / "faces")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)

    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert "could not be written (File too large); nothing was kept" in done.stderr
    assert ["t.csv"] == [p.name for p in tmp_path.iterdir()]


def test_fer2013_has_its_known_counts(fer2013, tmp_path):
    """The challenge archive gives the published counts, the known copies and a clean test of 3,275."""
    info = pack(fer2013, tmp_path / "faces")
    told = (tmp_path / "faces" / "dataset.json").read_text()
    test = read_dataset(tmp_path / "faces").open_test()

    assert [3995, 436, 4097, 7215, 4830, 3171, 4965] == list(info.counts["train"].values())
    assert [467, 56, 496, 895, 653, 415, 607] == list(info.counts["val"].values())
    assert [491, 55, 528, 879, 594, 416, 626] == list(info.counts["test"].values())
    assert '"groups": 1518' in told
    assert '"redundant": 1855' in told
    assert 3275 == int(test.clean.sum())
