from array import array
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli import app
from mien.clips import pack_clips
from mien.clips.items import ClipItem, read_items
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
    numbers = array("I", range(first, first + frames))
    return Track(numbers, numbers, array("d", (n / 25 for n in numbers)), area * frames)


def test_the_clips_face_is_the_one_that_is_largest_for_longest():
    """A small face in the background is passed over; a cut in the middle, and no frame, are problems."""
    main, small = track(0, 40, 900.0), track(0, 40, 100.0)

    assert main is chosen([small, main], 40).track
    assert chosen([main], 50).partial
    assert not chosen([main], 40).problem
    assert "cut" in chosen([track(0, 20, 900.0), track(20, 20, 900.0), track(40, 20, 900.0)], 60).problem
    assert chosen([], 0).problem and chosen([], 9).problem


def video(path: Path, face: np.ndarray) -> None:
    """Write a video of a face."""
    import cv2

    path.parent.mkdir(parents=True)
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        canvas = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
        canvas[40 : 40 + SIDE, 30 + number : 30 + number + SIDE] = face[..., None]
        film.write(canvas)
    film.release()


@pytest.mark.parametrize("layout", ["ravdess", "ck+", "dfew"])
def test_sets_of_the_field_pack_by_a_table_beside_them(faces, tmp_path, layout):
    """Actors' videos, sequences of subjects and videos with numbered classes keep class, split and person."""
    happy, sad = faces
    if layout == "ravdess":  # Actor_NN/MODALITY-CHANNEL-EMOTION-….mp4
        names = ["Actor_01/01-02-03-01-01-01-01.mp4", "Actor_02/01-02-04-01-01-01-02.mp4"]
        columns, labels = ["happy,train,Actor_01", "sad,test,Actor_02"], ()
    elif layout == "ck+":  # SUBJECT/SEQUENCE/SUBJECT_SEQUENCE_NUMBER.png, from neutral to the apex
        names = ["S005/001", "S010/002"]
        columns, labels = ["happy,,S005", "sad,,S010"], ()
    else:  # NUMBER.mp4 and a class from 1 to 7
        names = ["clips/1.mp4", "clips2/2.mp4"]
        columns, labels = ["1,train,", "2,test,"], ("1=happy", "2=sad")
    for name, face in zip(names, (happy, sad), strict=True):
        if layout != "ck+":
            video(tmp_path / name, face)
            continue
        frames(tmp_path / name, face)
        for file in (tmp_path / name).iterdir():
            file.rename(file.with_name(f"{name.replace('/', '_')}_{int(file.stem) + 1:08}.png"))

    rows = [f"{name},{rest}" for name, rest in zip(names, columns, strict=True)]
    info = pack_clips(table(tmp_path, *rows), tmp_path / "set", labels=labels)
    packed = read_dataset(tmp_path / "set").whole().table

    assert (2, 0, 2 * FRAMES) == (info.clips, len(read_left_out(info)), len(packed["id"]))
    assert ["happy"] * FRAMES + ["sad"] * FRAMES == packed["label"].tolist()
    assert dict(zip(names, [line.split(",")[2] for line in columns], strict=True)) == dict(
        zip(packed["clip"].tolist(), packed["person"].tolist(), strict=True)
    )
    if layout != "ck+":
        assert ["train"] * FRAMES + ["test"] * FRAMES == packed["split"].tolist()


def test_clips_without_frames_and_cuts_are_left_out_by_name(faces, source, tmp_path):
    """A missing file, an empty folder and cuts to other faces have a line each; with no clip there is no data set."""
    frames(tmp_path / "cut", faces[0], count=12)
    for number in range(4, 8):
        still = tmp_path / "cut" / f"{number:04}.png"
        Image.fromarray(np.roll(np.array(Image.open(still)), 150, 1)).save(still)
    (tmp_path / "empty").mkdir()
    bad = ["missing.mp4,happy,,a", "empty,happy,,b", "cut,happy,,c"]
    info = pack_clips(table(tmp_path, *bad, f"{source / 'sad' / 'one'},sad,,d"), tmp_path / "set")
    with pytest.raises(DataError) as error:
        pack_clips(table(tmp_path, *bad), tmp_path / "none")

    assert {"missing.mp4", "empty", "cut"} == set(dict(read_left_out(info)))
    assert "3 parts" in dict(read_left_out(info))["cut"]
    assert "missing.mp4" in str(error.value)
    assert not (tmp_path / "none").exists()


def test_of_a_crowd_the_largest_faces_are_cropped(faces, tmp_path, monkeypatch):
    """Of more faces than are kept the clip's is found all the same, and its file of crops holds no others."""
    import mien.clips.tracking as tracking

    monkeypatch.setattr(tracking, "MOST_FACES", 1)
    happy, _ = faces
    small = np.asarray(Image.fromarray(happy).resize((48, 48), Image.Resampling.BOX))
    behind = np.full((SIDE, SIDE), 150, np.uint8)
    behind[:48, :48] = small
    frames(tmp_path / "crowd", behind, happy)
    item = ClipItem(str(tmp_path / "crowd"), "crowd", "happy", None, "")
    limits, crops = tracking.Limits(), tmp_path / "crops"
    tracked = tracking.track_clip(
        item, crops, finder=tracking.Finder(), side=48, limits=limits, rate=25, stop=lambda: False
    )

    assert not tracked.problem
    assert list(range(FRAMES)) == list(tracked.track.frames)
    assert FRAMES * 48 * 48 == crops.stat().st_size
