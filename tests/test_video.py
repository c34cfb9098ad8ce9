import contextlib
import csv
import io
import json
import math
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import raises_naming

from mien.errors import DataError, MissingExtra, StorageError, VideoError
from mien.faces import Finder
from mien.info import info
from mien.labels import LABELS
from mien.predict import Recognizer, predict
from mien.predict.answer import CAMERA_NOTICE
from mien.reading import DEFAULT_MODEL
from mien.render.clips import avi, render_clip
from mien.video import Frame, TrackedFace, TrackedFrame, Watcher, encoder, video
from mien.video.camera import CameraFootage, camera_number
from mien.video.film import LONGEST_STILL_SECONDS, Film
from mien.video.follow import FULL_EVERY_SECONDS, GAP_SECONDS, Follower
from mien.video.footage import Clock, FileFootage, frame_rate, silenced
from mien.video.people import MOST_BINS, MOST_KEPT, STAY_SECONDS, People
from mien.video.rows import clock
from mien.video.steady import FAINTEST, Settings, Steady

cv2 = pytest.importorskip("cv2")

RESULTS = Path(__file__).parent.parent / "results" / "video-filter.csv"
RATE = 12


@pytest.fixture(scope="module")
def recognizer():
    """A recognizer with the model that ships."""
    return Recognizer()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A rendered clip of ten frames, 128 x 128, as Motion JPEG."""
    folder = tmp_path_factory.mktemp("clips") / "change"
    render_clip(folder, "change", seconds=10 / RATE, rate=RATE, side=128, seed=3)
    return folder / "clip.avi"


@pytest.fixture(scope="module")
def portrait(astronaut):
    """A face in its surroundings, 200 x 200."""
    return astronaut[20:220, 120:320]


def room(portrait, *places, seed=0) -> np.ndarray:
    """A picture of 320 x 480 with a portrait at each place (left, top), every other one mirrored."""
    wall = np.random.default_rng(seed).integers(60, 190, (8, 12, 3), np.uint8)
    seen = np.kron(wall, np.ones((40, 40, 1), np.uint8))
    for number, (left, top) in enumerate(places):
        face = portrait[:, ::-1] if number % 2 else portrait
        seen[top : top + 200, left : left + 200] = face
    return seen


def jpeg(pixels) -> bytes:
    """A picture as the bytes of a JPEG file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=92)
    return data.getvalue()


def write_mp4(path: Path, pictures, rate=RATE) -> Path:
    """Write pictures as an MP4 video; skips where OpenCV has no encoder for that."""
    height, width = pictures[0].shape[:2]
    with silenced():  # FFmpeg is told once in a process how loud it may be
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height)
        )
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MP4")
    for picture in pictures:
        writer.write(picture[:, :, ::-1].copy())
    writer.release()
    return path


@pytest.fixture(scope="module")
def mp4(portrait, tmp_path_factory):
    """A video of two people, twelve frames, one second."""
    path = tmp_path_factory.mktemp("videos") / "two.mp4"
    return write_mp4(path, [room(portrait, (10 + 2 * n, 60), (270 - 2 * n, 100)) for n in range(12)])


def mien(*arguments, **options) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def rows_of(path: Path) -> list[dict]:
    """The rows of a table."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def face(person=1, label="happy", probability=0.88) -> TrackedFace:
    """A face in a frame without one."""
    rest = (1 - probability) / (len(LABELS) - 1)
    shares = {name: probability if name == label else rest for name in LABELS}
    empty = np.empty((0, 0), np.uint8)
    return TrackedFace((10.0, 10.0, 50.0, 60.0), 0.9, np.zeros((5, 2)), empty, shares, label, person, shares)


def tracked(number: int, seconds: float, *faces: TrackedFace) -> TrackedFrame:
    """A small frame with faces."""
    return TrackedFrame(Frame(number, seconds, np.full((120, 160, 3), 90, np.uint8)), list(faces))


def ffmpeg(*arguments) -> Path:
    """Have ffmpeg write the file that the last argument names; skips where it is not installed."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *map(str, arguments)], capture_output=True, text=True
    )
    if "Unknown encoder" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert 0 == done.returncode, done.stderr
    return Path(arguments[-1])


@pytest.fixture(scope="module")
def h264(clip):
    """The clip as H.264 in MP4, a key frame each fifth frame, with a tone."""
    tone = ("-f", "lavfi", "-i", "sine=440:duration=0.8")
    return ffmpeg("-i", clip, *tone, "-pix_fmt", "yuv420p", "-g", 5, "-c:a", "aac", clip.with_name("a.mp4"))


def test_the_command_writes_all_it_is_asked_for(clip, tmp_path):
    """A clip becomes a summary, a row a frame, JSON lines, a video with boxes and a figure; nothing is on stderr."""
    made = {kind: tmp_path / f"made.{kind}" for kind in ("csv", "json", "people.csv", "mp4", "svg")}
    done = mien("video", clip, "--csv", made["csv"], "--json", made["json"], "--people", made["people.csv"],
                "--annotate", made["mp4"], "--timeline", made["svg"])  # fmt: skip
    rows = rows_of(made["csv"])
    *frames, person, end = map(json.loads, made["json"].read_text().splitlines())

    assert (0, "") == (done.returncode, done.stderr)
    assert "10 frames, 0:00.8, 1 person" in done.stdout
    assert 1 == done.stdout.count("not what a person feels")
    assert [(str(n), f"{n / RATE:.4f}", "1") for n in range(10)] == [
        (row["frame"], row["seconds"], row["person"]) for row in rows
    ]
    for kind in ("p", "raw"):
        assert all(
            1 == pytest.approx(sum(float(row[f"{kind}_{name}"]) for name in LABELS), abs=1e-5) for row in rows
        )
    raw = np.array([[float(row[f"raw_{name}"]) for name in LABELS] for row in rows])
    floored = np.maximum(raw[0], FAINTEST) / np.maximum(raw[0], FAINTEST).sum()  # a mean of one face
    assert np.allclose(floored, [float(rows[0][f"p_{name}"]) for name in LABELS], atol=2e-6)
    assert rows[9]["p_happy"] != rows[9]["raw_happy"]
    assert DEFAULT_MODEL == end["model"] and f"mien info {DEFAULT_MODEL}" == end["card"]
    assert [row["label"] for row in rows] == [frame["faces"][0]["label"] for frame in frames]
    counts = {"video": str(clip), "frames": 10, "seconds": 0.8333, "people": 1, "passing": 0}
    assert counts == {name: end[name] for name in counts}
    assert (1, 0.0, 0.8333) == (person["person"], person["first"], person["on_screen"])
    shares = {name: sum(row["label"] == name for row in rows) / 10 for name in person["labels"]}
    assert shares == pytest.approx(person["labels"], abs=1e-6)
    (total,) = rows_of(made["people.csv"])
    assert shares == pytest.approx({name: float(total[f"share_{name}"]) for name in shares}, abs=1e-6)
    assert ("10", max(shares, key=shares.get)) == (total["frames"], total["label"])
    assert f"{made['csv']}: of mien video, 1 person in 1 video, 10 rows: " in info(made["csv"])
    assert 10 == sum(1 for _ in FileFootage(made["mp4"]).frames())
    assert {"Person 1", *LABELS} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", made["svg"].read_text()))
    assert set(made.values()) == set(tmp_path.iterdir())


def test_people_keep_their_numbers_and_are_where_they_are(mp4, recognizer):
    """Two people in an MP4 are two numbers over all frames, each in its place."""
    watcher = Watcher(recognizer)
    frames = [watcher.see(frame) for frame in FileFootage(mp4).frames()]

    assert [[1, 2]] * 12 == [[face.person for face in one.faces] for one in frames]
    for number in (0, 1):
        lefts = [one.faces[number].box[0] for one in frames]
        assert 22 == pytest.approx(abs(lefts[-1] - lefts[0]), abs=5)


def test_full_looks_are_rare(portrait):
    """Between full looks a face is looked for where it was alone."""
    calls = []

    class Counted(Finder):
        def find(self, *arguments, **options):
            calls.append("find")
            return super().find(*arguments, **options)

    follower = Follower(Counted())
    picture = room(portrait, (100, 60))
    found = [follower.step(picture, n / 25) for n in range(25)]

    assert [1] * 25 == [len(one) for one in found]
    assert len(calls) <= 1 / FULL_EVERY_SECONDS + 1


def test_who_is_away_for_a_moment_keeps_the_number(portrait):
    """A short gap changes no number, a long one does."""
    follower, here, away = Follower(), room(portrait, (100, 60)), room(portrait)
    here[:4, :4] = 255

    def numbers(picture, seconds):
        return [number for number, _ in follower.step(picture, seconds)]

    assert ([1], [], [1]) == (numbers(here, 0), numbers(away, 0.1), numbers(here, GAP_SECONDS - 0.1))
    assert ([], [2]) == (numbers(away, 2), numbers(here, 2 + GAP_SECONDS + 0.1))


def test_rare_frames_break_nothing(portrait):
    """At a frame every three seconds a person stays the same one."""
    follower = Follower()

    assert [1, 1, 1] == [follower.step(room(portrait, (100 + 9 * n, 60)), 3.0 * n)[0][0] for n in range(3)]


def test_frames_of_one_moment_break_nothing(portrait):
    """Where a file gives frames the same time, who is gone in the second is not told of it."""
    follower = Follower()
    follower.step(room(portrait, (100, 60)), 0.0)

    assert [] == follower.step(room(portrait), 0.0)


def test_after_a_cut_everybody_is_new(portrait):
    """A face in the same place of another scene gets a number of its own; darker light is no other scene."""
    follower = Follower()
    one, other = room(portrait, (100, 60)), room(portrait[:, ::-1], (100, 60), seed=9)
    dark = (one * 0.6).astype(np.uint8)
    numbers = [
        follower.step(picture, n / 25)[0][0] for n, picture in enumerate((one, dark, one, other, other))
    ]

    assert [1, 1, 1, 2, 2] == numbers


def test_a_new_face_is_found_soon(portrait):
    """Somebody who comes is found after at most the time between full looks, and the first one stays the first."""
    follower = Follower()
    follower.step(room(portrait, (0, 60)), 0)
    both = room(portrait, (0, 60), (270, 90))
    counts = [len(follower.step(both, 0.04 * n)) for n in range(1, 14)]

    assert counts[round(FULL_EVERY_SECONDS / 0.04)] == 2
    assert [1, 2] == [number for number, _ in follower.step(both, 0.6)]


def test_a_near_look_sees_what_a_full_one_sees(portrait):
    """Around a face both give the same landmarks, to a tenth of the eyes' distance; elsewhere there is nothing."""
    picture, finder = room(portrait, (100, 60)), Finder()
    (full,) = finder.find(picture)
    (near,) = finder.near(picture, tuple(np.add(full.box, (6, -4, 5, 5))))
    eyes = np.linalg.norm(full.landmarks[1] - full.landmarks[0])

    assert np.linalg.norm(full.landmarks - near.landmarks, axis=1).max() < 0.1 * eyes
    assert [] == finder.near(picture, (380, 240, 60, 60))
    assert [] == finder.near(picture, (-900, 0, 60, 60))


def test_smoothing_is_the_same_at_any_rate():
    """After a step, so many seconds later as many of its logarithm's way is gone at 10 frames a second and at 50."""
    calm, moved = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.8, 0.1])

    def after(rate: int) -> np.ndarray:
        steady = Steady(0.4)
        steady.add(0.0, calm)
        return [steady.add(n / rate, moved)[0] for n in range(1, rate // 2 + 1)][-1]

    part = 1 - np.exp(-0.5 / Settings().constant_seconds)
    logs = np.log(calm) + part * (np.log(moved) - np.log(calm))

    assert after(10) == pytest.approx(after(50), abs=1e-9)
    assert after(10) == pytest.approx(np.exp(logs) / np.exp(logs).sum(), abs=1e-9)


def test_what_does_not_change_stays_as_it_is():
    """Equal frames give the very probabilities of one."""
    steady, shares = Steady(0.4), np.array([0.7, 0.2, 0.1])
    told = [steady.add(n / 25, shares) for n in range(10)]

    assert all(smoothed == pytest.approx(shares, abs=1e-12) and label == 0 for smoothed, label in told)


def test_a_label_does_not_flicker():
    """Two classes that take turns give one label; one wrong frame changes nothing; a lasting change does."""
    near, other = np.array([0.48, 0.46, 0.06]), np.array([0.46, 0.48, 0.06])
    turns, steady = Steady(0.4), Steady(0.4)
    labels = [turns.add(n / 25, near if n % 2 else other)[1] for n in range(40)]
    sure, wrong = np.array([0.9, 0.05, 0.05]), np.array([0.0, 1.0, 0.0])
    blink = [steady.add(n / 25, wrong if n == 20 else sure)[1] for n in range(40)]
    lasting = [steady.add(2 + n / 25, np.array([0.05, 0.9, 0.05]))[1] for n in range(40)]

    assert 1 == len(set(labels))
    assert {0} == set(blink)
    assert 1 == lasting[-1]
    assert lasting.index(1) / 25 < 0.5


def test_uncertain_comes_and_goes_at_different_heights():
    """A label is given up well below the threshold and taken above it."""
    steady = Steady(0.5, Settings(constant_seconds=0, margin=1.3, hold=0.8))

    def label(share: float) -> int | None:
        rest = (1 - share) / 6
        return steady.add(0, np.array([share, *[rest] * 6]))[1]

    assert [None, 0, 0, None, None, 0] == [label(share) for share in (0.49, 0.51, 0.41, 0.39, 0.49, 0.51)]


def test_settings_are_those_that_were_chosen():
    """On other clips than they were chosen on they change the label wrongly less often than single frames, no later."""
    rows = {(row["clips"], row["filter"]): row for row in rows_of(RESULTS)}
    single, shown = rows["shown on", "single frames"], rows["shown on", "chosen"]

    assert (Settings().constant_seconds, Settings().margin, Settings().hold) == tuple(
        float(rows["chosen on", "chosen"][name]) for name in ("constant_seconds", "margin", "hold")
    )
    assert float(shown["false_changes_a_minute"]) < 0.2 * float(single["false_changes_a_minute"])
    assert float(shown["settled_seconds"]) <= float(single["settled_seconds"])
    assert int(shown["never_settled"]) <= int(single["never_settled"])


def test_seconds_are_the_containers(portrait, tmp_path):
    """Of a video whose frames do not come at equal times each has its own time, and --annotate keeps it."""
    pictures = [jpeg(room(portrait, (100, 60))[:, 60:380]) for _ in range(9)]
    path = tmp_path / "uneven.avi"
    path.write_bytes(
        avi([pictures[0], b"", b"", pictures[3], pictures[4], b"", pictures[6], b"", pictures[8]], 320, 10)
    )
    counts = video([path], csv=tmp_path / "rows.csv", annotate=tmp_path / "drawn.avi")
    drawn = list(FileFootage(tmp_path / "drawn.avi").frames())

    assert 5 == counts["frames"]
    assert [0, 0.3, 0.4, 0.6, 0.8] == [float(row["seconds"]) for row in rows_of(tmp_path / "rows.csv")]
    assert [round(n / 10, 4) for n in range(9)] == [round(frame.seconds, 4) for frame in drawn]


def test_time_goes_on_where_timestamps_start_anew():
    """Timestamps that go back, or on by hours, start anew; frames without one follow; small steps back stand still."""
    clock = Clock(0.1)
    stamps = (0.0, 1.0, 2.0, 0.0, 0.1, 0.05, 0.2, math.nan, 9e4, 9e4 + 0.1, 5.0, 5.5)
    moments = [clock.moment(stamp) for stamp in stamps]

    assert [0.0, 1.0, 2.0, 2.1, 2.2, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 3.2] == pytest.approx(moments)
    assert [2.1, 2.4, 2.6] == pytest.approx(clock.restarts)


def test_joined_files_keep_their_time(h264, tmp_path, capsys):
    """Two MPEG-TS files joined byte by byte last as long as both, each frame with a time of its own, and it is said."""
    one = ffmpeg("-i", h264, "-c", "copy", tmp_path / "one.ts")
    (tmp_path / "two.ts").write_bytes(2 * one.read_bytes())
    counts = video([tmp_path / "two.ts"], csv=tmp_path / "rows.csv")
    times = [float(row["seconds"]) for row in rows_of(tmp_path / "rows.csv")]
    errors = capsys.readouterr().err

    assert (20, 0) == (counts["frames"], counts["failed"])
    assert [n / RATE for n in range(20)] == pytest.approx(times, abs=0.01)
    assert 1 == len(errors.splitlines()) and "two.ts: its timestamps start anew after 0.8 s" in errors


def test_whole_files_are_not_called_damaged(h264, tmp_path):
    """A file cut by an edit list and one that starts at five seconds are read to their end, and from 0."""
    for path, count in (
        (ffmpeg("-ss", 0.45, "-i", h264, "-c", "copy", tmp_path / "cut.mp4"), 5),
        (ffmpeg("-itsoffset", 5, "-i", h264, "-copyts", "-c", "copy", tmp_path / "late.mkv"), 10),
    ):
        frames = list(FileFootage(path).frames())

        assert count == pytest.approx(len(frames), abs=1)
        assert [n / RATE for n in range(len(frames))] == pytest.approx([f.seconds for f in frames], abs=0.01)


def test_a_codec_that_is_not_there_is_named(clip, tmp_path):
    """AV1 is read where this OpenCV decodes it; else one line names it and says what to do."""
    path = ffmpeg("-i", clip, "-frames:v", 2, "-c:v", "libaom-av1", "-cpu-used", 8, tmp_path / "a.mp4")
    try:
        assert 2 == len(list(FileFootage(path).frames()))
    except VideoError as error:
        assert "AV1" in str(error) and "ffmpeg -i" in str(error)


def test_a_rate_with_gaps_is_not_their_mean():
    """The rate is the container's unless that is a mean with gaps in it, or the unit of its timestamps."""
    steady, sparse = [n / 25 for n in range(9)], [n / 5 for n in range(9)]

    assert [25, 25, 25, 10, 5] == [
        pytest.approx(frame_rate(*case))
        for case in ((steady, 25.0), (steady, 5.8), (steady, 1000.0), (sparse, 10.0), (sparse, 1000.0))
    ]


def test_an_annotated_film_keeps_a_gap(h264, tmp_path):
    """A film of a video with a gap of three seconds shows each frame at its time, and a still in the gap."""
    gap = "setpts='if(gt(N,4),PTS+3/TB,PTS)'"
    path = ffmpeg("-i", h264, "-an", "-vf", gap, "-vsync", "vfr", tmp_path / "gap.mp4")
    video([path], annotate=tmp_path / "film.mp4")
    frames = list(FileFootage(tmp_path / "film.mp4").frames())
    moved = [n for n in range(1, len(frames)) if (frames[n].pixels != frames[n - 1].pixels).mean() > 0.02]

    assert 46 == pytest.approx(len(frames), abs=1)
    assert {*range(1, 5), *range(41, 46)} >= {n for n in moved if not 5 <= n < 41}
    assert 4 <= len([n for n in moved if n >= 40])


def test_frames_are_files_too(clip, tmp_path):
    """A folder of numbered pictures and a pattern of their names are the clip; a missing one is a gap."""
    frames = clip.with_name("frames")
    folder = tmp_path / "some"
    shutil.copytree(frames, folder)
    (folder / "0003.png").unlink()
    (folder / "0005.png").write_bytes(b"no picture")
    counts = video([frames, frames / "%04d.png", folder], csv=tmp_path / "a.csv", rate=RATE)
    rows = rows_of(tmp_path / "a.csv")
    *of_folder, problem = [row for row in rows if row["video"] == str(folder)]

    assert (3, 28, 1) == (counts["videos"], counts["frames"], counts["failed"])
    assert [n / RATE for n in range(10)] * 2 == pytest.approx(
        [float(row["seconds"]) for row in rows[:20]], abs=1e-4
    )
    assert [0, 1, 2, 4, 6, 7, 8, 9] == [int(row["frame"]) for row in of_folder]
    assert "0005.png" in problem["problem"]


def test_a_folder_and_a_pattern_are_their_videos(clip, tmp_path):
    """Videos below a folder, or of a pattern, are read each once, and not what mien annotated there before."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.avi", "deep/b.avi", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(clip.read_bytes())
    for _ in range(2):
        counts = video([tmp_path / "in", f"{tmp_path}/in/*.avi"], annotate=tmp_path / "in", frames=1)

    assert (2, 0) == (counts["videos"], counts["failed"])
    assert {"a.avi", "notes.txt", "deep", "a-faces.mp4", "b-faces.mp4"} == {
        path.name for path in (tmp_path / "in").iterdir()
    }


def test_every_so_many_frames_and_a_region(mp4, tmp_path):
    """--every takes each third frame at its own time; in a region there is one of two people, where he was before."""
    video([mp4], csv=tmp_path / "all.csv", every=3)
    video([mp4], csv=tmp_path / "left.csv", every=3, region=(0, 0, 240, 320))
    rows, left = rows_of(tmp_path / "all.csv"), rows_of(tmp_path / "left.csv")

    assert [0, 0, 3, 3, 6, 6, 9, 9] == [int(row["frame"]) for row in rows]
    assert [f"{n / RATE:.4f}" for n in (0, 3, 6, 9)] == [row["seconds"] for row in left]
    for both, alone in zip([row for row in rows if row["person"] == "1"], left, strict=True):
        assert float(both["left"]) == pytest.approx(float(alone["left"]), abs=8)
    with raises_naming(DataError, "--region"):
        video([mp4], region=(0, 0, 0, 9))
    assert 1 == video([mp4], region=(900, 0, 9, 9))["failed"]


def test_small_and_doubtful_faces_can_be_dropped(mp4, tmp_path):
    """--min-face and --min-score leave out faces below them, --threshold says from where on they are certain."""
    counts = [
        video([mp4], frames=2, **limit)["people"] for limit in ({}, {"min_face": 150}, {"min_score": 0.99})
    ]
    video([mp4], frames=2, csv=tmp_path / "a.csv", threshold=1.0)

    assert [2, 0, 0] == counts
    assert {"uncertain"} == {row["label"] for row in rows_of(tmp_path / "a.csv")}
    with raises_naming(DataError, "--min-score"):
        video([mp4], min_score=7)


@pytest.mark.parametrize("suffix", [".mp4", pytest.param(".webm", marks=pytest.mark.slow)])
def test_an_annotated_film_plays_in_a_browser(suffix, h264, tmp_path, browser):
    """With ffmpeg a film plays in Chromium, with its sound, and takes no more bytes than four times its source."""
    film = tmp_path / f"film{suffix}"
    video([h264], annotate=film)
    (tmp_path / "page.html").write_text(f"<video src='{film.name}' muted></video>")
    tab = browser.new_page()
    tab.goto((tmp_path / "page.html").as_uri())
    played = tab.evaluate(
        "new Promise(done => { const v = document.querySelector('video'); v.onerror = () => done(v.error.message);"
        "v.onended = () => done([v.videoWidth, v.duration, v.webkitAudioDecodedByteCount]); v.play(); })"
    )
    tab.close()

    assert [512, pytest.approx(10 / RATE, abs=0.1)] == played[:2]
    assert played[2] > 0
    assert film.stat().st_size < 4 * h264.stat().st_size


def test_without_ffmpeg_a_film_says_where_it_does_not_play(clip, tmp_path, monkeypatch, capsys):
    """OpenCV alone writes an MP4 that browsers do not play, and one line says so; a .webm has no such line."""
    monkeypatch.setattr("mien.video.encoder._encoders", frozenset)
    for name in ("a.mp4", "a.webm", "a.avi"):
        video([clip], annotate=tmp_path / name, frames=2)
    errors = capsys.readouterr().err.splitlines()

    assert 1 >= len(errors)  # none where this OpenCV has an encoder of H.264
    assert all("a.mp4: " in line and "browsers do not play" in line for line in errors)
    for name in ("a.mp4", "a.webm", "a.avi"):
        assert 2 == sum(1 for _ in FileFootage(tmp_path / name).frames())


@pytest.mark.parametrize("works", ["exec sleep 60", "sleep 60"], ids=["itself", "a program that it started"])
def test_an_ffmpeg_that_hangs_is_ended(clip, tmp_path, monkeypatch, works):
    """Where ffmpeg takes no more frames, it and what it started is ended in time, and one line says so."""
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n[ $# = 2 ] && echo ' V libx264' || {works}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("mien.video.encoder.FRAME_SECONDS", 0.3)
    monkeypatch.setattr("mien.video.encoder.END_SECONDS", 0.3)
    encoder._encoders.cache_clear()
    began = time.monotonic()
    for size in (64, 2000):  # frames that the pipe holds, and that it does not
        with (
            raises_naming(StorageError, "a.mp4"),
            Film(tmp_path / "a.mp4", 10) as film,
        ):
            film.add(TrackedFrame(Frame(0, 0.0, np.zeros((size, size, 3), np.uint8)), []))
    encoder._encoders.cache_clear()

    assert time.monotonic() - began < 10
    assert [program] == list(tmp_path.iterdir())


def test_rows_on_a_terminal_have_no_bar_between_them(clip):
    """On a terminal `--csv -` gives whole rows and nothing else."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mien", "video", str(clip), "--csv", "-", "--frames", "3"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # at its end
            while part := os.read(ours, 65536):
                text += part
    os.close(ours)
    rows = list(csv.reader(text.decode().splitlines()))

    assert 0 == process.returncode
    assert [len(rows[0])] * 4 == [len(row) for row in rows]


def test_a_rotated_video_is_upright(mp4, tmp_path):
    """A video that a phone stored lying is turned as its header says."""
    data = mp4.read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a version 0 track header (ISO/IEC 14496-12)
    turned = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    (tmp_path / "lying.mp4").write_bytes(data[:at] + turned + data[at + 36 :])
    frame, upright = (next(FileFootage(path).frames()).pixels for path in (tmp_path / "lying.mp4", mp4))

    assert (320, 480, 3) == upright.shape
    assert np.abs(np.rot90(upright, -1).astype(int) - frame).mean() < 3


def test_a_wrong_suffix_does_not_matter(clip, tmp_path):
    """What is in a file counts, not its name."""
    (tmp_path / "notes.txt").write_bytes(clip.read_bytes())

    assert 10 == video([tmp_path / "notes.txt"])["frames"]


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I", 8 + len(content)) + kind + content


FTYP = box(b"ftyp", b"isom\0\0\0\0isom")
BAD = {
    "empty.mp4": (b"", "an empty file"),
    "text.mp4": (b"no video\n" * 99, "no video in it that can be read"),
    "picture.mp4": (jpeg(np.zeros((64, 64, 3), np.uint8)), "a picture; mien predict reads it"),
    "list.mp4": (b"#EXTM3U\nhttp://localhost/video.ts\n", "a playlist, not a video"),
    "lfs.mp4": (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer"),
    "sound.wav": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(400), "sound alone"),
    "sound.mp4": (FTYP + box(b"moov", box(b"hdlr", bytes(8) + b"soun")), "sound alone"),
    "half.mp4": (FTYP + box(b"mdat", bytes(9999))[:5000], "cut short: the index at its end is missing"),
    "noindex.mp4": (FTYP + box(b"mdat", bytes(99)), "cut short: the index at its end is missing"),
    "noframes.avi": (avi([b""], 64, 25), "no frame in it can be decoded"),
    "small.avi": (avi([jpeg(np.zeros((4, 4, 3), np.uint8))], 4, 25), "pixels are too few for a face"),
}  # fmt: skip


def test_bad_files_are_a_line_each_and_the_others_are_done(clip, tmp_path):
    """Damaged files, other files, folders and addresses: one clear line each, status 1, and the good one is read."""
    for name, (data, _) in BAD.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.mp4").mkdir()
    wanted = {name: words for name, (_, words) in BAD.items()}
    wanted |= {"folder.mp4": "a folder without a video", "none.mp4": "no such file"}
    wanted |= {"rtsp://localhost/x": "fetches nothing", "-": "not read from standard input"}
    wanted |= {"0": "--camera 0", "*.none": "no file matches", "f/%05d.png": "no file has such a name"}
    done = mien("video", *wanted, clip, "--csv", "rows.csv", cwd=tmp_path)
    lines = done.stderr.splitlines()

    assert 1 == done.returncode
    assert len(wanted) == len(lines)
    for line, (name, words) in zip(lines, wanted.items(), strict=True):
        assert line.startswith(f"mien: {name}: ") and words in line
    rows = rows_of(tmp_path / "rows.csv")
    assert list(wanted) == [row["video"] for row in rows if row["problem"]]
    assert 10 == sum(row["video"] == str(clip) for row in rows)


def test_what_was_read_of_a_video_that_is_cut_short_is_kept(clip, portrait, tmp_path, capfd):
    """Half a file gives half the rows, half a video, the reason, and status 1."""
    data = avi([jpeg(room(portrait, (100, 60))[:, 60:380])] * 30, 320, 10)
    (tmp_path / "half.avi").write_bytes(data[: len(data) // 2])
    counts = video([tmp_path / "half.avi"], json=tmp_path / "rows.json", annotate=tmp_path / "drawn.mp4")
    *_, last, _, end = map(json.loads, (tmp_path / "rows.json").read_text().splitlines())

    assert (1, 1) == (counts["videos"], counts["failed"])
    assert 10 < counts["frames"] < 20
    assert counts["frames"] == last["frame"] + 1 == end["frames"]
    assert "of 3.0 s: cut short or damaged there" in end["problem"]
    assert counts["frames"] == sum(1 for _ in FileFootage(tmp_path / "drawn.mp4").frames())
    assert 1 == len(capfd.readouterr().err.splitlines())


def test_odd_names_are_read_or_told(clip, tmp_path, monkeypatch, capsys):
    """A name with a colon is no protocol; one that is no UTF-8, on which OpenCV crashes, is a line."""
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / os.fsdecode(b"odd\xff.avi")
    for path in (tmp_path / "12:30.avi", odd):
        path.write_bytes(clip.read_bytes())
    read = video(["12:30.avi"], annotate="21:45.avi", timeline="t:1.svg", frames=1)
    silent = capsys.readouterr().err
    refused = video([odd, clip], frames=1)

    assert (0, "") == (read["failed"], silent)
    assert Path("21:45.avi").exists() and Path("t:1.svg").exists()
    assert (1, 1) == (refused["failed"], refused["frames"])
    assert "its name is no UTF-8" in capsys.readouterr().err
    with pytest.raises(StorageError):
        video([clip], annotate=tmp_path / os.fsdecode(b"a\xff.avi"))
    with raises_naming(DataError, "--annotate"):
        video([clip], annotate="")


def test_what_cannot_be_asked_is_refused_before_anything_is_written(clip, tmp_path):
    """No source, two cameras, one file for two videos, the source itself, an unknown kind of video, no folder."""
    other = tmp_path / "other.avi"
    other.write_bytes(clip.read_bytes())
    for asked, words in (
        ({}, "give a video file, or a camera"),
        ({"sources": ["/dev/video0"], "camera": 1}, "one camera at a time"),
        ({"camera": "front"}, "give a camera's number"),
        ({"sources": [clip, other], "annotate": tmp_path / "a.mp4"}, "one file for 2 sources; give a folder"),
        ({"sources": [other], "annotate": other}, "that is the source itself"),
        ({"sources": [clip], "annotate": tmp_path / "a.gif"}, "give a .mp4, .mov, .avi, .mkv, .webm file"),
        ({"sources": [clip], "timeline": tmp_path / "a.pdf"}, "give a .svg, .png file"),
        ({"sources": [clip], "timeline": tmp_path / "none" / "a.svg"}, "none: no such folder"),
        ({"sources": [clip], "csv": "-", "json": "-"}, "both write to standard output"),
        ({"sources": [clip], "frames": 0}, "--frames must be above 0"),
        ({"sources": [clip], "long_side": 9}, "--long-side must be from"),
    ):
        with pytest.raises((DataError, StorageError), match=words):
            video(**asked)

    assert [other] == list(tmp_path.iterdir())
    assert 2 == mien("video").returncode


def test_several_videos_get_a_file_each_in_a_folder(clip, tmp_path):
    """Folders for videos and figures are made; names that are the same get numbers."""
    again = tmp_path / "clip.avi"
    again.write_bytes(clip.read_bytes())
    counts = video([clip, again], annotate=tmp_path / "a", timeline=tmp_path / "b", frames=2)

    assert (2, 4) == (counts["videos"], counts["frames"])
    assert {"clip-faces.mp4", "clip-2-faces.mp4"} == {path.name for path in (tmp_path / "a").iterdir()}
    assert {"clip-timeline.svg", "clip-2-timeline.svg"} == {path.name for path in (tmp_path / "b").iterdir()}


def test_so_much_is_read_as_is_asked_for(clip):
    """--frames and --seconds end early, and that is no fault."""
    some, less = video([clip], frames=3), video([clip], seconds=0.4)

    assert (3, 0) == (some["frames"], some["failed"])
    assert (5, 0) == (less["frames"], less["failed"])


class Played:
    """A camera that plays pictures at wall-clock pace, then does what `after` says."""

    def __init__(self, pictures, rate, after=lambda: None):
        self.rate, self.closed = float(rate), False
        self._pictures, self._after, self._began = list(pictures), after, None

    def read(self):
        """Give the next picture when its time has come."""
        self._began = time.monotonic() if self._began is None else self._began
        if not self._pictures:
            return self._after()
        self._due = getattr(self, "_due", self._began) + 1 / self.rate
        time.sleep(max(0.0, self._due - time.monotonic()))
        return self._pictures.pop(0)

    def close(self):
        """Note that somebody let go of it."""
        self.closed = True


def test_who_is_slower_than_a_camera_misses_frames():
    """A slow reader gets the newest frame each time; the numbers tell which were missed and the times are true."""
    footage = CameraFootage(Played([np.full((40, 40, 3), n, np.uint8) for n in range(50)], 100))
    taken = []
    with pytest.raises(VideoError):
        for frame in footage.frames():
            taken.append(frame)
            time.sleep(0.08)

    assert 2 <= len(taken) <= 9
    assert all(frame.number == frame.pixels[0, 0, 0] for frame in taken)
    assert all(abs(frame.seconds - frame.number / 100) < 0.3 for frame in taken)
    assert all(a.number < b.number for a, b in zip(taken, taken[1:], strict=False))
    assert 49 == taken[-1].number


def test_a_camera_that_vanishes_leaves_whole_files(clip, tmp_path, capfd):
    """All that was seen before is written, one line says what happened, and it counts as failed."""
    device = Played([frame.pixels for frame in FileFootage(clip).frames()], 25)
    counts = video(
        camera=device, csv=tmp_path / "a.csv", annotate=tmp_path / "a.mp4", timeline=tmp_path / "a.png"
    )
    told = capfd.readouterr()
    *rows, last = rows_of(tmp_path / "a.csv")

    assert device.closed
    assert 1 == counts["failed"]
    assert 1 <= len(rows) == counts["frames"] <= 10
    assert last["problem"] == "the camera is gone: it gives no more pictures"
    assert f"{CAMERA_NOTICE}\nmien: camera: the camera is gone: it gives no more pictures\n" == told.err
    assert re.search(r"^0:00\.\d  person 1: ", told.out, re.M)
    with Image.open(tmp_path / "a.png") as figure:
        assert figure.width > 700
    seconds = [frame.seconds for frame in FileFootage(tmp_path / "a.mp4").frames()]
    assert seconds[-1] == pytest.approx(float(rows[-1]["seconds"]), abs=0.05)


def test_a_camera_is_ended_by_stop(clip, tmp_path):
    """Ctrl-C before a camera is its normal end: whole files and no fault."""
    picture = next(FileFootage(clip).frames()).pixels
    began = time.monotonic()
    counts = video(camera=Played([picture] * 500, 25), csv=tmp_path / "a.csv",
                   stop=lambda: time.monotonic() - began > 0.8)  # fmt: skip

    assert 0 == counts["failed"]
    assert 1 <= counts["frames"] == len(rows_of(tmp_path / "a.csv"))


BEFORE_A_CAMERA = """
import sys, time
import mien.video
from mien.cli import main
from mien.video.footage import FileFootage

class Endless:
    rate = 25.0
    pictures = [frame.pixels for frame in FileFootage(sys.argv[1]).frames()]
    def read(self):
        time.sleep(0.04)
        return self.pictures[0]
    def close(self):
        pass

mien.video.sources.OpenCvDevice = lambda number: Endless()
sys.argv = ["mien", "video", "--camera", "0", "--csv", sys.argv[2], "--annotate", sys.argv[3]]
main()
"""


def test_ctrl_c_ends_a_camera_well(clip, tmp_path):
    """The command before a camera, interrupted: status 0, a summary, whole files, a word on standard error."""
    table, film = tmp_path / "a.csv", tmp_path / "a.mp4"
    command = [sys.executable, "-c", BEFORE_A_CAMERA, str(clip), str(table), str(film)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        told, faults = process.communicate(timeout=60)

    assert re.match(r"0:0\d\.\d  person 1: ", first)
    assert 0 == process.returncode
    assert [CAMERA_NOTICE, "mien: stopping; once more stops at once"] == list(
        filter(None, faults.splitlines())
    )
    assert "/dev/video0: " in told and "1 person" in told
    assert 1 <= len(rows_of(table))
    assert 1 <= sum(1 for _ in FileFootage(film).frames())
    assert {table, film} == set(tmp_path.iterdir())


def test_a_camera_that_hangs_is_given_up():
    """Without a picture for long the camera is told to be silent, and closing does not wait for it."""
    device = Played([], 25, after=lambda: time.sleep(3))
    footage = CameraFootage(device, silent_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(VideoError):
        next(footage.frames())
    footage.close()

    assert time.monotonic() - began < 2
    assert not device.closed


def test_a_camera_that_is_not_there_is_told():
    """--camera with a number that no camera has: one line, status 1."""
    done = mien("video", "--camera", "7731")

    assert 1 == done.returncode
    assert re.fullmatch(r"mien: /dev/video7731: no such camera; .*\n", done.stderr)


def test_cameras_go_by_number_and_path():
    """A number, or a path below /dev, names a camera; a file does not."""
    assert [0, 3, None, None, None] == [
        camera_number(name) for name in ("0", "/dev/video3", "clip.mp4", "/dev/null", "²")
    ]


@pytest.mark.slow
def test_memory_does_not_grow_with_time():
    """Ten hours of hundreds of people keep so many bins of so many people, those longest seen; shares stay right."""
    people, left = People(LABELS, 1), []
    for second in range(36_000):
        passing = [face(2 + second // 60)] if second % 60 < (50 if second // 60 in (5, 6) else 20) else []
        left += people.add(
            tracked(second, float(second), face(1, "sad" if second % 4 else "happy"), *passing)
        )
    left += people.end()
    first = people.longest(MOST_KEPT)[0]

    assert (601, 601, 0) == (people.count, people.staying, people.passing)
    assert [*range(2, 602), 1] == [person.number for person in left]
    assert MOST_KEPT == len(people.longest(601))
    assert [1, 7, 8] == [person.number for person in people.longest(3)]
    assert MOST_BINS // 2 <= len(first.bins) <= MOST_BINS
    assert 36_000 == pytest.approx(first.seconds, rel=1e-6)
    assert [("sad", pytest.approx(0.75)), ("happy", pytest.approx(0.25))] == first.shares()[:2]


def test_who_is_on_screen_for_a_moment_is_told_apart():
    """One frame, or less than half a second, is a moment; of a video shorter than a second half of it is enough."""
    people, brief = People(LABELS, 25), People(LABELS, 25)
    long = round(STAY_SECONDS * 25) + 1
    for number in range(100):
        here = [
            n
            for n, frames in ((1, range(100)), (2, [50]), (3, range(60, 65)), (4, range(long)))
            if number in frames
        ]
        people.add(tracked(number, number / 25, *(face(n) for n in here)))
    for number in range(10):
        brief.add(tracked(number, number / 25, face(1), *([face(2)] if number == 5 else [])))

    assert [4, 1] == [person.number for person in [*people._left.values(), *people.end()]]
    assert (4, 2, 2) == (people.count, people.staying, people.passing)
    assert [1] == [person.number for person in brief.end()]
    assert (1, 1) == (brief.staying, brief.passing)


def test_a_film_stands_still_where_nothing_comes_and_goes_where_it_fails(tmp_path):
    """A frame stands until the next one; after an error no file and no hidden one is left, nor what a kill left."""
    (tmp_path / ".a.avi.0123.tmp.avi").touch()
    os.utime(tmp_path / ".a.avi.0123.tmp.avi", (0, 0))
    with Film(tmp_path / "a.avi", 10) as film:
        for number, seconds in enumerate((0, 0.1, 0.5, 0.52, 1.0)):
            film.add(tracked(number, seconds, face()))
    with pytest.raises(RuntimeError), Film(tmp_path / "b.avi", 10) as film:
        film.add(tracked(0, 0.0))
        raise RuntimeError
    with (
        raises_naming(StorageError, "c.avi"),
        Film(tmp_path / "none" / "c.avi", 10) as film,
    ):
        film.add(tracked(0, 0.0))

    with Film(tmp_path / "long.avi", 1) as film:
        for number, seconds in enumerate((0, 3600, 3601)):
            film.add(tracked(number, seconds))

    assert {tmp_path / "a.avi", tmp_path / "long.avi"} == set(tmp_path.iterdir())
    assert 3 + LONGEST_STILL_SECONDS == sum(1 for _ in FileFootage(tmp_path / "long.avi").frames())
    frames = list(FileFootage(tmp_path / "a.avi").frames())
    assert 11 == len(frames)
    assert (480, 360) == frames[0].pixels.shape[1::-1]  # 160 x 120 would not hold a label


def test_a_figure_shows_those_who_stay(tmp_path):
    """A figure has a panel for each of eight people who stay, and counts the others; without a face it says so."""
    from mien.video.timeline import write

    nobody, some = People(LABELS, 10), People(LABELS, 10)
    nobody.add(tracked(0, 0.0))
    for number in range(50):
        some.add(
            tracked(
                number, number / 10, *(face(n) for n in (range(1, 11) if number != 25 else range(11, 14)))
            )
        )
    some.end()
    write(nobody, tmp_path / "a.svg", "a.mp4")
    write(some, tmp_path / "b.svg", "b.mp4")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "b.svg").read_text())

    assert "no face was found" in (tmp_path / "a.svg").read_text()
    assert [f"Person {n}" for n in range(1, 9)] == [text for text in texts if text.startswith("Person")]
    assert "Expressions in b.mp4 (2 more who stay, 3 for a moment only)" in texts


def test_moments_are_told_as_clocks_do():
    """Minutes, seconds and tenths, hours where there are any."""
    assert ["0:07.4", "1:00.0", "1:02:07.4", "2:05"] == [
        clock(7.4), clock(59.96), clock(3727.4), clock(125, tenths=False),
    ]  # fmt: skip


def test_predict_says_who_reads_a_video(clip):
    """`mien predict clip.avi` is one line that names the command for it."""
    with pytest.raises(DataError):
        predict([clip])


def test_a_missing_package_names_the_extra():
    """Without OpenCV the line says which extra brings it."""
    from mien.cli import missing_extra

    error = missing_extra(ModuleNotFoundError(name="cv2"))

    assert isinstance(error, MissingExtra)
    assert "pip install 'mien[video]'" in str(error)
