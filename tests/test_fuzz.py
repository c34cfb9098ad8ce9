"""Random damage to every kind of source: a data set or one of our errors, and nothing half-written."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from test_pack import VOTE_HEADER, VOTE_ROW, archive_of
from test_pack_folders import parquet, picture

from mien.dataset import read_dataset
from mien.errors import MienError
from mien.pack import pack

ROWS = "".join(f"{n % 7},{' '.join([str(n)] * 48 * 48)},{usage}\n" for n, usage in
               enumerate(("Training", "PublicTest", "PrivateTest", "Training")))  # fmt: skip
TABLE = f"emotion,pixels,Usage\n{ROWS}"
TOKENS = (b"", b"\n", b"\r\n", b",", b'"', b"\0", b"\xff\xfe", b"-1", b"1e9", b"9" * 40, b"PK\3\4", b"../")
ODD_NAMES = (
    "happy",
    "Train",
    "TEST",
    "3",
    "sad ",
    ".x",
    "a\nb",
    "é",
    "\udcff",
    "Training_1",
    "x.jpg",
    "..png",
)


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with some changed, cut out, doubled or put in."""
    for _ in range(rng.integers(1, 3)):
        start = int(rng.integers(len(data) + 1))
        end = min(len(data), start + int(rng.geometric(0.2)))
        put_in = (data[start:end] * 2, TOKENS[rng.integers(len(TOKENS))], b"1", rng.bytes(end - start))
        data = data[:start] + put_in[rng.integers(len(put_in))] + data[end:]
    return data if rng.random() < 0.8 else data[: rng.integers(len(data) + 1)]


def table(folder: Path, rng) -> Path:
    """FER2013's table, plain."""
    (folder / "t.csv").write_bytes(damage(TABLE.encode(), rng))
    return folder / "t.csv"


def zipped_table(folder: Path, rng) -> Path:
    """FER2013's table, gzipped, damaged before or after."""
    text = damage(TABLE.encode(), rng) if rng.random() < 0.5 else TABLE.encode()
    zipped = gzip.compress(text, mtime=0)
    (folder / "t.csv.gz").write_bytes(zipped if text != TABLE.encode() else damage(zipped, rng))
    return folder / "t.csv.gz"


def archive(folder: Path, rng) -> Path:
    """The challenge's archive."""
    path = archive_of(folder / "t.tar.gz", TABLE)
    path.write_bytes(damage(path.read_bytes(), rng))
    return path


def listing(folder: Path, rng) -> Path:
    """A list of pictures."""
    picture(folder / "a.png", 7)
    text = "path,label,split\na.png,happy,train\na.png,sad,test\n"
    (folder / "list.csv").write_bytes(damage(text.encode(), rng))
    return folder / "list.csv"


def hub(folder: Path, rng) -> Path:
    """A parquet file."""
    path = parquet(folder / "train.parquet", [0, 1], ["sad", "happy"])
    path.write_bytes(damage(path.read_bytes(), rng))
    return path


def class_folders(folder: Path, rng) -> Path:
    """Folders with odd names, links and damaged pictures."""
    root = folder / "source"
    root.mkdir()
    whole = picture(folder / "whole.png", 7).read_bytes()
    for _ in range(rng.integers(1, 6)):
        names = [ODD_NAMES[rng.integers(len(ODD_NAMES))] for _ in range(rng.integers(1, 4))]
        place = root.joinpath(("happy", "surprised", names[0])[rng.integers(3)], *names)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if rng.random() < 0.2:
                place.symlink_to(root)
            else:
                place.with_name(place.name + ".png").write_bytes(
                    whole if rng.random() < 0.5 else damage(whole, rng)
                )
        except OSError:
            continue  # a file stands where a folder should
    return root


def rafdb(folder: Path, rng) -> Path:
    """RAF-DB with a damaged list."""
    root = folder / "basic"
    for name in ("train_00001", "test_0001"):
        picture(root / f"{name}_aligned.png", 9)
    (root / "list_patition_label.txt").write_bytes(damage(b"train_00001.jpg 5\ntest_0001.jpg 4\n", rng))
    return root


SOURCES = (table, zipped_table, archive, listing, hub, class_folders, rafdb)


def fuzz(source, folder: Path, times: int) -> None:
    """Pack so many damaged sources."""
    for number in range(times):
        rng = np.random.default_rng([number, SOURCES.index(source)])
        here = folder / str(number)
        here.mkdir()
        path = source(here, rng)
        before = {p.name for p in here.iterdir()}
        try:
            pack(path, here / "faces")
        except MienError:
            assert before == {p.name for p in here.iterdir()}
        else:
            read_dataset(here / "faces")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_a_damaged_source_is_packed_or_refused(tmp_path, source):
    """Of forty damaged sources of each kind none ends in anything else."""
    fuzz(source, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_thousands_of_damaged_sources_are_packed_or_refused(tmp_path, source):
    """Of two thousand damaged sources of each kind none ends in anything else."""
    fuzz(source, tmp_path, 2000)


def test_damaged_votes_are_read_or_refused(tmp_path):
    """Two hundred damaged tables of votes end in votes or in one of our errors."""
    source = tmp_path / "t.csv"
    source.write_text("emotion,pixels,Usage\n" + ROWS.splitlines()[0] + "\n")
    for number in range(200):
        votes = tmp_path / f"votes{number}.csv"
        votes.write_bytes(damage((VOTE_HEADER + VOTE_ROW).encode(), np.random.default_rng(number)))
        try:
            pack(source, tmp_path / f"faces{number}", votes=votes)
        except MienError:
            assert not (tmp_path / f"faces{number}").exists()
