from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli import app
from mien.clips import pack_clips
from mien.clips.items import read_items
from mien.clips.tracking import Track, chosen
from mien.dataset import read_dataset, read_left_out
from mien.errors import DataError, Stopped
from mien.pack.naming import Naming
from mien.render.draw import Draw
from mien.render.expression import pure
from mien.render.identity import identity
from mien.render.look import Look
from mien.render.scene import picture

SIDE, WIDTH, HEIGHT, FRAMES = 96, 320, 180, 5


@pytest.fixture(scope="module")
def faces():
    """A smiling and a sad face of two people."""
    people = [identity(Draw(0, "person", number)) for number in range(2)]
    shown = zip(people, ("happy", "sad"), strict=True)
    return [picture(person, pure(label), Look(background=0.6), side=SIDE) for person, label in shown]


def frames(folder: Path, *shown: np.ndarray, count: int = FRAMES) -> None:
    """Write numbered pictures in which faces stand beside each other and move a pixel a frame."""
    folder.mkdir(parents=True)
    for number in range(count):
        canvas = np.full((HEIGHT, WIDTH), 150, np.uint8)
        for place, face in enumerate(shown):
            left = 30 + 150 * place + number % 3
            canvas[40 : 40 + SIDE, left : left + SIDE] = face
        Image.fromarray(canvas).save(folder / f"{number:04}.png")


@pytest.fixture(scope="module")
def source(faces, tmp_path_factory):
    """Class folders with clips of one face, two faces, none, and the same pictures twice."""
    root = tmp_path_factory.mktemp("clips")
    happy, sad = faces
    frames(root / "happy" / "one", happy)
    frames(root / "sad" / "one", sad)
    frames(root / "happy" / "two faces", happy, sad)
    frames(root / "sad" / "nobody")
    frames(root / "sad" / "one again", sad)
    (root / "happy" / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(400))
    return root


@pytest.fixture(scope="module")
def packed(source, tmp_path_factory):
    """The folder of the data set of these clips."""
    folder = tmp_path_factory.mktemp("packed") / "set"
    pack_clips(source, folder, rate=10)
    return folder


def table(folder: Path, *rows: str, header: str = "path,label,split,subject") -> Path:
    """Write a table of clips."""
    file = folder / "clips.csv"
    file.write_text("\n".join((header, *rows)) + "\n")
    return file


def test_clips_become_the_frames_of_one_face_each(packed):
    """Each frame has its clip, number and moment, and the crop shows the face that the clip shows."""
    data = read_dataset(packed)
    columns = data.whole().table

    assert (2, 2 * FRAMES) == (data.info.clips, len(columns["id"]))
    assert ["happy/one"] * FRAMES + ["sad/one"] * FRAMES == columns["clip"].tolist()
    assert [str(n) for n in range(FRAMES)] * 2 == columns["frame"].tolist()
    assert [f"{n / 10:.4f}" for n in range(FRAMES)] * 2 == columns["seconds"].tolist()
    assert {"happy", "sad"} == set(columns["label"])
    spread = data.whole().images.std((1, 2))
    assert (spread > 20).all()


def test_clips_that_cannot_be_used_have_a_line_each(packed):
    """Two faces, no face, other clips' bytes and a damaged video are left out, each with its reason."""
    left_out = dict(read_left_out(read_dataset(packed).info))

    assert {"happy/two faces", "sad/nobody", "sad/one again", "happy/broken.mp4"} == set(left_out)
    assert "2 faces" in left_out["happy/two faces"]
    assert "no face" in left_out["sad/nobody"]
    assert "sad/one" in left_out["sad/one again"]


def test_nothing_is_left_beside_a_packed_data_set(packed, source):
    """The crops of tracked clips go when the data set is whole; the same command then checks and keeps it."""
    before = (packed / "table.csv").stat().st_mtime_ns

    pack_clips(source, packed, rate=10)

    assert not [path for path in packed.parent.iterdir() if path.suffix in (".clips", ".partial")]
    assert before == (packed / "table.csv").stat().st_mtime_ns
    with pytest.raises(DataError):
        pack_clips(source, packed, rate=20)


def test_a_stopped_job_keeps_the_clips_it_finished(source, tmp_path, monkeypatch):
    """No data set is there after a stop, and the same command tracks only what is missing."""
    import mien.clips.tracking as tracking

    asked = iter(range(10_000))
    rows = [f"{source / 'happy' / 'one'},happy", f"{source / 'sad' / 'one'},sad"]
    clips, target = table(tmp_path, *rows, header="path,label"), tmp_path / "set"
    monkeypatch.setattr("mien.clips.spread", lambda one, numbers, ahead: map(one, numbers))
    with pytest.raises(Stopped):
        pack_clips(clips, target, stop=lambda: next(asked) >= FRAMES)
    assert not target.exists()
    tracked = []
    own = tracking._tracked
    monkeypatch.setattr(
        tracking, "_tracked", lambda item, *rest: tracked.append(item.label) or own(item, *rest)
    )

    info = pack_clips(clips, target)

    assert ["sad"] == tracked
    assert 2 == info.clips


def test_a_table_names_people_and_none_is_torn_apart(source, tmp_path):
    """The column may be called subject or person, and is kept; splits that are missing are drawn by person."""
    rows = [f"{source / 'happy' / 'one'},happy,,ann", f"{source / 'sad' / 'one'},sad,,bob"]
    info = pack_clips(table(tmp_path, *rows), tmp_path / "set")
    columns = read_dataset(tmp_path / "set").whole().table

    assert 2 == info.people
    assert {"ann", "bob"} == set(columns["person"])
    assert all(len(set(columns["split"][columns["person"] == who])) == 1 for who in ("ann", "bob"))


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (["a,happy,train,ann", "b,sad,val,ann"], ("row 3", "ann", "row 2")),
        (["a,happy,train,ann", "a,sad,train,bob"], ("row 3", "row 2")),
        (["a,happy,train"], ("row 2",)),
        (["a,happy,evening,ann"], ("row 2", "evening")),
        (["a,joyless,train,ann"], ("row 2", "joyless")),
        ([",happy,train,ann"], ("row 2",)),
        ([], ("clips.csv",)),
    ],
)
def test_a_mistake_in_a_table_is_a_line_that_names_its_row(tmp_path, rows, named):
    """A person in two splits, a clip twice and what is no row are refused before a video is opened."""
    with pytest.raises(DataError) as error:
        read_items(table(tmp_path, *rows), Naming())
    assert all(word in str(error.value) for word in named)


def test_the_command_tells_what_it_packed_and_left_out(source, tmp_path):
    """Exit status 1 where clips were left out; options that do not go together are refused."""
    answer = CliRunner().invoke(app, ["pack", str(source), str(tmp_path / "set"), "--clips", "--every", "2"])

    assert 1 == answer.exit_code, answer.output
    assert "2 clips" in answer.output
    for options in (["--every", "2"], ["--clips", "--detect"]):
        refused = CliRunner().invoke(app, ["pack", str(source), str(tmp_path / "x"), *options])
        assert isinstance(refused.exception, DataError)


def track(first: int, frames: int, area: float) -> Track:
    """Return a face followed from a frame on."""
    numbers = list(range(first, first + frames))
    return Track(numbers, numbers, [n / 25 for n in numbers], area * frames)


def test_the_clips_face_is_the_one_that_is_largest_for_longest():
    """A small face in the background is passed over; a cut in the middle, and no frame, are problems."""
    main, small = track(0, 40, 900.0), track(0, 40, 100.0)

    assert main is chosen([small, main], 40).track
    assert chosen([main], 50).partial
    assert not chosen([main], 40).problem
    assert "cut" in chosen([track(0, 20, 900.0), track(20, 20, 900.0), track(40, 20, 900.0)], 60).problem
    assert chosen([], 0).problem and chosen([], 9).problem
