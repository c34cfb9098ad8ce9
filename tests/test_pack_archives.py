"""Packing pictures in tar and zip archives, without unpacking them."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from test_pack_folders import picture, png, rows_of, told

from mien.dataset import read_dataset, read_left_out
from mien.errors import DataError
from mien.labels import LABELS, SPLITS
from mien.pack import pack


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    """Write a tar archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    """Write a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """Class folders, with a picture that is none, hidden files and a text."""
    folder = tmp_path_factory.mktemp("unpacked") / "faces"
    for split in SPLITS:
        for label in LABELS:
            picture(folder / split / label / "1.png")
    (folder / "train" / "sad" / "bad.png").write_bytes(b"no picture")
    (folder / "train" / "sad" / ".hidden.png").write_bytes(png())
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "1.png").write_bytes(png())
    (folder / "README.txt").write_text("faces")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their names in an archive."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("write", [tar_of, zip_of])
def test_an_archive_is_packed_as_its_folder(unpacked, tmp_path, write):
    """The same faces, labels, splits and names come of an archive as of what it holds, and nothing is unpacked."""
    source = write(tmp_path / f"faces{'.tar' if write is tar_of else '.zip'}", files_of(unpacked))
    info, expected = pack(source, tmp_path / "packed"), pack(unpacked, tmp_path / "expected")

    assert rows_of(tmp_path / "expected") == rows_of(tmp_path / "packed")
    expected_images, images = (
        read_dataset(tmp_path / name).whole().images for name in ("expected", "packed")
    )
    assert (expected_images == images).all()
    assert ["train/sad/bad.png"] == [name for name, _ in read_left_out(info)]
    assert expected.notes == info.notes
    assert {source.name, "packed", "expected"} == {path.name for path in tmp_path.iterdir()}
    assert info == pack(source, tmp_path / "packed")
    write(source, {"sad/1.png": png()})
    with raises_naming(DataError, "packed"):
        pack(source, tmp_path / "packed")


def test_shards_have_their_labels_beside_the_pictures(tmp_path):
    """WebDataset's shards: the class in .cls, the split in the archive's name; a picture without its class is named."""
    shards = {"train-0000": ["0", "1"], "train-0001": ["1"], "val-0000": ["0"], "test-0000": ["1"]}
    for shard, classes in shards.items():
        files = {}
        for number, name in enumerate(classes):
            files |= {f"{number:04}.png": png(), f"{number:04}.cls": f"{name}\n".encode()}
        tar_of(tmp_path / "shards" / f"{shard}.tar", files)
    pack(tmp_path / "shards", tmp_path / "faces", labels=("0=angry", "1=happy"))

    assert {
        ("angry", "train", "train-0000.tar/0000.png"),
        ("happy", "train", "train-0000.tar/0001.png"),
        ("happy", "train", "train-0001.tar/0000.png"),
        ("angry", "val", "val-0000.tar/0000.png"),
        ("happy", "test", "test-0000.tar/0000.png"),
    } == told(tmp_path / "faces")
    tar_of(tmp_path / "shards" / "train-0002.tar", {"0.png": png(), "1.png": png(), "1.cls": b"1"})
    with raises_naming(DataError, "train-0002.tar/0.png", "0.cls"):
        pack(tmp_path / "shards", tmp_path / "more", labels=("0=angry", "1=happy"))


def test_several_archives_of_class_folders(tmp_path):
    """Folders in archives mean what folders mean; an archive's name is no class."""
    zip_path = tmp_path / "in" / "more.zip"
    tar_of(tmp_path / "in" / "a.tar", {"train/sad/1.png": png(), "train/happy/1.png": png()})
    zip_of(zip_path, {"val/sad/1.png": png(), "test/happy/1.png": png()})
    pack(tmp_path / "in", tmp_path / "faces")

    assert {
        ("sad", "train", "a.tar/train/sad/1.png"),
        ("happy", "train", "a.tar/train/happy/1.png"),
        ("sad", "val", "more.zip/val/sad/1.png"),
        ("happy", "test", "more.zip/test/happy/1.png"),
    } == told(tmp_path / "faces")
    zip_of(zip_path, {"1.png": png()})
    with raises_naming(DataError, "in"):
        pack(tmp_path / "in", tmp_path / "no class")


@pytest.mark.parametrize("name", ["../happy/1.png", "/happy/1.png"])
@pytest.mark.parametrize("write", [tar_of, zip_of])
def test_an_archive_that_climbs_out_is_refused(tmp_path, write, name):
    """A member of a name outside refuses the archive as a whole."""
    suffix = ".tar" if write is tar_of else ".zip"
    source = write(tmp_path / f"in{suffix}", {"happy/0.png": png(), name: png()})

    with raises_naming(DataError, source.name, "1.png"):
        pack(source, tmp_path / "faces")
    assert [source.name] == [path.name for path in tmp_path.iterdir()]


@given(st.floats(0, 1, exclude_max=True), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_damaged_archive_is_never_taken_for_whole(tmp_path_factory, cut, between_blocks):
    """Wherever an archive is cut off, between two files too, packing fails, names it and leaves nothing."""
    folder = tmp_path_factory.mktemp("cut")
    files = {f"{label}/{number}.png": png() for label in ("sad", "happy") for number in range(3)}
    for path in (tar_of(folder / "a.tar", files), zip_of(folder / "a.zip", files)):
        content = path.read_bytes()
        whole = content.rstrip(b"\0") if path.suffix == ".tar" else content
        length = int(cut * len(whole))
        path.write_bytes(content[: length // 512 * 512 if between_blocks else length])
        with raises_naming(DataError, path.name):
            pack(path, folder / "faces", strict=True)
    assert {"a.tar", "a.zip"} == {path.name for path in folder.iterdir()}
    shutil.rmtree(folder)
