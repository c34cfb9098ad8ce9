"""How fast clips are packed, and in how much memory: bench/pack_clips.py [FOLDER] [--minutes 30] [--out FILE.csv].

Videos of 640 x 360 with one rendered person, of 1280 x 720 with nine, one of them in front, and folders of three to
twenty pictures, as CK+ has them, are each packed twice by `mien pack --clips`: a tenth, and all. What all takes more
than the tenth is what the work itself takes, without a start. Processor time is counted, so that a machine with other
work on it gives the same figures. `ffmpeg` joins the rendered clips.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mien.dataset import read_dataset
from mien.files import write_csv
from mien.labels import LABELS
from mien.render.clips import render_clip

COLUMNS = ("source", "clips", "video_minutes", "frames", "cpu_seconds", "cpu_a_video_second", "frames_a_cpu_second",
           "peak_mb_tenth", "peak_mb_all")  # fmt: skip
RATE, SECONDS, PEOPLE = 25, 2, 9
SHORTEST, LONGEST = 3, 20  # pictures of a folder
ONE = "[0]scale=224:224,pad=640:360:208:60:gray"
BEHIND = 130  # pixels of a face in the background


@dataclass(frozen=True, slots=True)
class Packed:
    """What a job has taken."""

    cpu_seconds: float
    peak_mb: float
    frames: int


def pack(source: Path, target: Path, every: int) -> Packed:
    """Pack clips in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "mien",
        "pack",
        str(source),
        str(target),
        "--clips",
        "--every",
        str(every),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{source}: mien pack ended with status {os.waitstatus_to_exitcode(status)}")
    frames = sum(sum(by_label.values()) for by_label in read_dataset(target).info.counts.values())
    return Packed(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, frames)


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def crowd_filter() -> str:
    """Return the filter that puts the first clip in front of the others."""
    scaled = [f"[{n}]scale={BEHIND}:{BEHIND}[s{n}]" for n in range(1, PEOPLE)]
    layers = ["[0]scale=340:340,pad=1280:720:60:180:gray[v0]"]
    for n in range(1, PEOPLE):
        x, y = 480 + 190 * ((n - 1) % 4), 120 + 300 * ((n - 1) // 4)
        layers.append(f"[v{n - 1}][s{n}]overlay={x}:{y}[v{n}]")
    return ";".join([*scaled, *layers])


def video(clips: list[Path], filters: str, label: str, minutes: float, path: Path) -> None:
    """Write a video of so many minutes: a pass of the clips, again and again."""
    once = path.with_name("once.avi")
    inputs = itertools.chain.from_iterable(("-i", clip / "clip.avi") for clip in clips)
    ffmpeg(
        *inputs,
        "-filter_complex",
        filters,
        *(("-map", label) if label else ()),
        "-c:v",
        "mjpeg",
        "-q:v",
        "4",
        once,
    )
    ffmpeg("-stream_loop", max(1, round(60 * minutes / SECONDS)) - 1, "-i", once, "-c", "copy", path)
    once.unlink()


def folders(clips: list[Path], count: int, root: Path) -> int:
    """Write class folders with so many folders of pictures, no two alike; return how many pictures there are."""
    total = 0
    lengths, starts = range(SHORTEST, LONGEST + 1), range(SECONDS * RATE - LONGEST)
    windows = itertools.product(starts, enumerate(clips), lengths)
    for number, (start, (place, clip), length) in enumerate(itertools.islice(windows, 0, None, 7)):
        if number == count:
            break
        folder = root / LABELS[place % len(LABELS)] / f"{number:05}"
        folder.mkdir(parents=True)
        for frame in sorted((clip / "frames").iterdir())[start : start + length]:
            os.link(frame, folder / frame.name)
        total += length
    return total


def sources(
    clips: list[Path], share: float, minutes: float, count: int, root: Path, only: str | None
) -> dict[str, tuple[Path, int, float]]:
    """Write a share of every source, or of one; return of each its folder, clips and minutes of video."""
    kinds = {"one person": ([clips[0]], ONE, ""), "nine people": (clips, crowd_filter(), f"[v{PEOPLE - 1}]")}
    written = {}
    for name, (some, filters, label) in kinds.items():
        if only not in (None, name):
            continue
        folder = root / name / "happy"
        folder.mkdir(parents=True)
        video(some, filters, label, share * minutes, folder / "video.avi")
        written[name] = folder.parent, 1, share * minutes
    if only in (None, "folders"):
        pictures = folders(clips, round(share * count), root / "folders")
        written["folders"] = root / "folders", round(share * count), pictures / RATE / 60
    return written


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", help="where clips are rendered, and kept for the next time"
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--folders", type=int, default=400)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", help="one kind of source")
    parser.add_argument("--out", type=Path, help="write the table here, as CSV")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder and options.folder.parent) as scratch:
        root, rows = Path(scratch), []
        home = options.folder or root / "people"
        clips = [home / str(n) for n in range(PEOPLE)]
        for n, clip in enumerate(clips):
            if not clip.exists():
                render_clip(
                    clip,
                    "apex",
                    label=LABELS[n % len(LABELS)],
                    second="surprise",
                    seconds=SECONDS,
                    rate=RATE,
                    side=128,
                    seed=n,
                )
        small, whole = (
            sources(clips, share, options.minutes, options.folders, root / str(share), options.only)
            for share in (0.1, 1.0)
        )
        for name in whole:
            tenth = pack(small[name][0], root / f"{name} 0.1", options.every)
            full = pack(whole[name][0], root / f"{name} 1", options.every)
            seconds, frames = full.cpu_seconds - tenth.cpu_seconds, full.frames - tenth.frames
            minutes = whole[name][2] - small[name][2]
            figures = (
                full.cpu_seconds,
                seconds / minutes / 60,
                frames / seconds,
                tenth.peak_mb,
                full.peak_mb,
            )
            rows.append(
                (
                    name,
                    whole[name][1],
                    f"{whole[name][2]:.1f}",
                    full.frames,
                    *(f"{one:.3g}" for one in figures),
                )
            )
            print(*zip(COLUMNS, rows[-1], strict=True), flush=True)
            shutil.rmtree(root / f"{name} 1")
    if options.out:
        write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
