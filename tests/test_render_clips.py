import csv
import struct

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.render.clips import COLUMNS, avi, frames, mixed, render_clip
from mien.render.expression import Expression, pure


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The folder of a short clip."""
    folder = tmp_path_factory.mktemp("clips") / "smile"
    render_clip(folder, "apex", label="happy", seconds=1.2, rate=5, side=48, seed=2)
    return folder


def test_a_clip_has_a_picture_and_a_row_of_truth_for_each_moment(clip):
    """Frames, truth and video are whole: six of each for 1.2 seconds at 5 a second."""
    with open(clip / "truth.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pictures = [np.asarray(Image.open(path)) for path in sorted((clip / "frames").iterdir())]

    assert list(COLUMNS) == list(rows[0])
    assert ["0.0000", "0.2000", "0.4000", "0.6000", "0.8000", "1.0000"] == [row["seconds"] for row in rows]
    assert [(48, 48)] * 6 == [picture.shape for picture in pictures]
    assert {"frames", "truth.csv", "clip.avi"} == {path.name for path in clip.iterdir()}


def test_an_expression_comes_and_goes():
    """In "apex" the corners of the mouth go up, stay, and come down again; phases come in their order."""
    found = list(frames("apex", "happy", "sad", seconds=4, rate=25, seed=1))
    smile = [frame.shown.au(12) for frame in found]

    assert 100 == len(found)
    assert 0 == smile[0] == smile[-1]
    assert max(smile) == smile[50] > 0.5
    assert ["neutral", "onset", "apex", "offset", "neutral"] == _in_order(frame.phase for frame in found)
    assert max(np.abs(np.diff(smile))) < 0.1


def test_an_expression_turns_into_another():
    """In "change" the label goes from the first to the second, through a mixture of both."""
    found = list(frames("change", "angry", "surprise", seconds=4, rate=25, seed=1))

    assert ["angry", "surprise"] == _in_order(frame.shown.label for frame in found)
    assert any(frame.shown.second == "surprise" for frame in found)
    assert {"before", "change", "after"} == {frame.phase for frame in found}


def test_a_head_turns_from_side_to_side():
    """In "turn" the yaw reaches 25 degrees both ways."""
    yaws = [frame.look.yaw for frame in frames("turn", "neutral", "sad", seconds=4, rate=10, seed=1)]

    assert min(yaws) < -25
    assert max(yaws) > 25


def test_a_mouth_that_talks_opens_and_closes():
    """In "talk" the jaw opens and closes about four times a second."""
    jaw = np.array([f.shown.au(26) for f in frames("talk", "neutral", "sad", seconds=3, rate=25, seed=1)])
    peaks = ((jaw[1:-1] > jaw[:-2]) & (jaw[1:-1] >= jaw[2:])).sum()

    assert 8 <= peaks <= 14


def test_a_mixture_of_expressions_is_labeled_by_the_nearer():
    """Below half it is the first, from half on the second, and the units are between."""
    first, other = pure("happy"), pure("sad")

    assert "happy" == mixed(first, other, 0.4).label
    assert "sad" == mixed(first, other, 0.6).label
    assert first.au(12) / 2 == pytest.approx(mixed(first, other, 0.5).au(12))
    assert "" == mixed(Expression("neutral", 0, {}), first, 1.0).second


def test_the_video_is_motion_jpeg(clip):
    """clip.avi is a RIFF file whose sizes add up and whose index finds every JPEG."""
    data = (clip / "clip.avi").read_bytes()
    riff, size, kind = struct.unpack("<4sI4s", data[:12])
    movi, index = data.index(b"movi"), data.index(b"idx1")
    entries = [struct.unpack_from("<4sIII", data, index + 8 + 16 * i) for i in range(6)]

    assert (b"RIFF", len(data) - 8, b"AVI ") == (riff, size, kind)
    assert 6 * 16 == struct.unpack_from("<I", data, index + 4)[0]
    for name, _, offset, length in entries:
        assert b"00dc" == name == data[movi + offset : movi + offset + 4]
        assert b"\xff\xd8" == data[movi + offset + 8 : movi + offset + 10]
        assert b"\xff\xd9" == data[movi + offset + 8 : movi + offset + 8 + length][-2:]


def test_a_video_pads_pictures_of_odd_length():
    """Each chunk begins at an even place, as RIFF wants it."""
    data = avi([b"\xff\xd8x\xff\xd9", b"\xff\xd8\xff\xd9"], 16, 5)

    assert 0 == len(data) % 2
    assert 0 == data.rindex(b"00dc", 0, data.index(b"idx1")) % 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "walk"}, 'apex, change, turn or talk and is "walk"'),
        ({"label": "bored"}, '"bored" is no class'),
        ({"seconds": 0.0}, "--seconds must be from"),
        ({"rate": 100}, "--rate must be from"),
        ({"side": 20}, "--side must be from"),
    ],
)
def test_impossible_clips_get_one_line(tmp_path, arguments, message):
    """Each is a DataError that names what is wrong, and no folder is made."""
    with pytest.raises(DataError, match=message):
        render_clip(tmp_path / "none", **({"kind": "apex"} | arguments))

    assert not list(tmp_path.iterdir())


def test_a_clip_is_not_written_over(clip):
    """A folder that stands is refused."""
    with pytest.raises(DataError):
        render_clip(clip, "apex")


def _in_order(words):
    """Return words without repetitions side by side."""
    found = []
    for word in words:
        if not found or found[-1] != word:
            found.append(word)
    return found
