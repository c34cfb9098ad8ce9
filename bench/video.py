"""Frames a second of `mien video` on one core: python bench/video.py [--frames 250] [--long N].

Two rendered people's faces, one changing its expression and one talking, move through a 640 x 480 video (mp4). The
whole way counts, from the file to the rows, with and without an annotated video; beside it, in the same process and
taken in turn, stands bare decoding of the same file. Then the stages, each alone, in milliseconds a frame, and how far
boxes found are from where the faces were put. `--long N` reads the video N times over as one stream and tells memory.
Processor time of this process and of ffmpeg counts, so that a busy machine changes little. Ratios travel between
machines; frames a second do not. Aim: 25 a second on one core.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np

from mien.files import write_atomic
from mien.predict import Recognizer
from mien.render.clips import frames
from mien.render.draw import Draw
from mien.render.identity import identity
from mien.render.scene import picture
from mien.video import Frame, Watcher, video
from mien.video.footage import FileFootage
from mien.video.people import People

SIDE, RATE, RENDERED = 140, 25, 75
NOISE = 4.0  # grey levels
PEOPLE = (("change", "happy", "surprise", 3), ("talk", "sad", "sad", 4))


def faces() -> list[np.ndarray]:
    """Render the people's faces (N, S, S), so many frames as there are before it starts again."""
    told = []
    for kind, label, second, seed in PEOPLE:
        person = identity(Draw(seed, "person", 0))
        moments = frames(kind, label, second, seconds=RENDERED / RATE, rate=RATE, seed=seed)
        told.append(np.stack([picture(person, moment.shown, moment.look, side=SIDE) for moment in moments]))
    return told


def places(number: int) -> list[tuple[int, int]]:
    """Return where the faces' squares stand in a frame: left and top of each."""
    turn = number / RATE
    return [
        (round(90 + 60 * np.sin(turn)), round(120 + 30 * np.sin(0.7 * turn))),
        (round(400 + 60 * np.sin(0.8 * turn)), round(180 + 40 * np.cos(turn))),
    ]


def write(path: Path, count: int) -> None:
    """Write the video of two faces."""
    people, rng = faces(), np.random.default_rng(0)
    wall = np.repeat(np.repeat(rng.uniform(60, 190, (15, 20, 3)), 32, 0), 32, 1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (640, 480))
    for number in range(count):
        seen = wall.copy()
        forth = number % (2 * RENDERED)
        for person, (left, top) in zip(people, places(number), strict=True):
            face = person[min(forth, 2 * RENDERED - 1 - forth)]
            seen[top : top + SIDE, left : left + SIDE] = face[:, :, None]
        writer.write((seen + rng.normal(0, NOISE, (480, 640, 1))).clip(0, 255).astype(np.uint8))
    writer.release()


def decoded(path: Path) -> float:
    """Return seconds of decoding a file with OpenCV alone."""
    began, capture = time.process_time(), cv2.VideoCapture(str(path))
    while capture.read()[0]:
        pass
    return time.process_time() - began


def whole(path: Path, model, folder: Path, *, annotate: bool) -> float:
    """Return seconds of the whole way, the reading of the model's file left out, ffmpeg's time included."""
    began = sum(os.times()[:4])
    film = folder / "film.mp4" if annotate else None
    video([path], model=model, csv=folder / "rows.csv", json=folder / "rows.json", annotate=film)
    return sum(os.times()[:4]) - began


def stages(path: Path, recognizer: Recognizer) -> dict[str, float]:
    """Return milliseconds a frame of the stages that a frame goes through."""
    watcher, spent = Watcher(recognizer), dict.fromkeys(("track", "crop", "classify"), 0.0)

    def timed(name: str, function):
        def call(*arguments, **options):
            began = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] += time.process_time() - began

        return call

    watcher._follower.step = timed("track", watcher._follower.step)
    recognizer.crop_faces = timed("crop", recognizer.crop_faces)
    recognizer.classify = timed("classify", recognizer.classify)
    count = sum(1 for _ in map(watcher.see, FileFootage(path).frames()))
    del recognizer.crop_faces, recognizer.classify
    return {name: 1000 * seconds / count for name, seconds in spent.items()}


def truth(path: Path, recognizer: Recognizer) -> str:
    """Say how many of the faces put into the video are found, by whom, and how far off the middles of boxes are."""
    watcher, found, off, numbers, strangers = Watcher(recognizer), 0, [], [set(), set()], 0
    for frame in FileFootage(path).frames():
        middles = [(left + SIDE / 2, top + SIDE / 2) for left, top in places(frame.number)]
        for face in watcher.see(frame).faces:
            left, top, width, height = face.box
            away = [np.hypot(left + width / 2 - x, top + height / 2 - y) for x, y in middles]
            if min(away) > SIDE / 3:
                strangers += 1
                continue
            found += 1
            off.append(min(away))
            numbers[int(np.argmin(away))].add(face.person)
    return (
        f"of {2 * (frame.number + 1)} faces {found} are found, {strangers} where none is; middles "
        f"{statistics.mean(off):.1f} pixels off on the mean; numbers given to the two: {numbers[0]} and {numbers[1]}"
    )


def long(path: Path, recognizer: Recognizer, times: int) -> Iterator[str]:
    """Read the video many times over as one stream; tell the memory after each tenth."""
    watcher, people, number = Watcher(recognizer), People(recognizer.model.labels, RATE), 0
    for turn in range(times):
        for frame in FileFootage(path).frames():
            people.add(watcher.see(Frame(number, number / RATE, frame.pixels)))
            number += 1
        if turn % max(1, times // 10) == 0:
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            yield f"{number:,} frames, {number / RATE / 60:.1f} min: {used:.0f} MB at most"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=0, metavar="N")
    parser.add_argument("--keep", type=Path, help="keep the video here")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "two.mp4"
        write(path, options.frames)
        if options.keep:
            write_atomic(options.keep, path.read_bytes())
        recognizer = Recognizer(threads=1)
        quiet = sys.stdout
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        times = [
            (
                decoded(path),
                whole(path, recognizer.model, folder, annotate=False),
                whole(path, recognizer.model, folder, annotate=True),
            )
            for _ in range(options.rounds)
        ]
        sys.stdout = quiet
        bare, plain, drawn = (statistics.median(some) for some in zip(*times, strict=True))
        count = options.frames
        print(f"640 x 480, two faces, {count} frames, one core")
        print(f"decoding alone: {count / bare:7.1f} frames a second")
        print(f"mien video:     {count / plain:7.1f} ({plain / bare:.1f} times decoding's time)")
        print(f"  --annotate:   {count / drawn:7.1f} ({drawn / bare:.1f} times)")
        for name, milliseconds in {"decode": 1000 * bare / count, **stages(path, recognizer)}.items():
            print(f"  {name:10} {milliseconds:5.1f} ms a frame")
        print(f"  {'annotate':10} {1000 * (drawn - plain) / count:5.1f} ms a frame")
        print(truth(path, recognizer))
        for line in long(path, recognizer, options.long):
            print(line, flush=True)


if __name__ == "__main__":
    main()
