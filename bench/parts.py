"""`mien predict --parquet` beside `predict_many`, killed and resumed: python bench/parts.py [--pictures 200000].

Pictures are rendered faces and copies of them, each with other noise, as small JPEG files in a folder. They go
through the command with two processes, which is killed (SIGKILL) three times on the way and started again; then every
picture must have its row, once. One in a thousand files is broken. Printed are

- the memory of the command and its processes together, the most within each tenth of an undisturbed run;
- pictures a second of processor time, of all processes, beside one thread of `predict_many` on the same files in
  this process: what parts, processes and parquet cost. The clock, too, which tells little on a busy machine.

With --ray the same parts are made by one and by two actors of a Ray that is started here, and by two of which one is
killed; the table must be the same bytes. With --once, for many pictures, there is one run, killed in its first tenth.
"""

import argparse
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow.parquet as parquet
from PIL import Image

from mien import Recognizer
from mien.render.faces import Plan, orders, render_person
from mien.workers import available_cores

DIFFERENT, SIDE = 280, 96
BROKEN = 1000  # one in so many
KILLS = 3
SAMPLE = 2000  # pictures for the figure of one thread


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument(
        "--detect", action="store_true", help="detect faces; else each picture is one (--crop)"
    )
    parser.add_argument("--ray", action="store_true", help="with Ray, too")
    parser.add_argument(
        "--once", action="store_true", help="one run, killed in its first tenth; for hundreds of thousands"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the pictures, made where it is not there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = options.keep or Path(folder) / "in"
        if not source.exists():
            write_pictures(source, options.pictures)
        mode = [] if options.detect else ["--crop"]
        one = of_one_thread(source, options.pictures, crop=not options.detect)
        if options.once:
            kill_thrice(source, Path(folder) / "whole", options.pictures, mode, of=10 * (KILLS + 1))
        undisturbed(source, Path(folder) / "whole", options.pictures, mode, one)
        if options.once:
            return
        killed(source, Path(folder) / "killed", options.pictures, mode)
        same_bytes(Path(folder) / "whole", Path(folder) / "killed")
        if options.ray:
            ray_ratio(source, Path(folder), options.pictures, mode)
            on_ray(source, Path(folder) / "ray", options.pictures, mode, 2, kill=True)
            same_bytes(Path(folder) / "whole", Path(folder) / "ray")


def write_pictures(folder: Path, count: int) -> None:
    """Write rendered faces, each many times with other noise, a thousand in a folder."""
    plan = Plan(faces=DIFFERENT, side=SIDE, seed=42, counts="balanced", label_noise=0.0, ambiguity=0.0)
    faces = [face for its in orders(plan) for face in render_person(plan, "train", its)]
    pixels = [np.frombuffer(face.pixels, np.uint8).reshape(SIDE, SIDE).astype(np.int16) for face in faces]
    rng = np.random.default_rng(0)
    for number in range(count):
        below = folder / f"{number // 1000:05}"
        below.mkdir(parents=True, exist_ok=True)
        changed = pixels[number % len(pixels)] + rng.integers(-6, 7, (SIDE, SIDE), np.int16)
        file = io.BytesIO()
        Image.fromarray(changed.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        data = file.getvalue()
        (below / f"{number:08}.jpg").write_bytes(data[:99] if number % BROKEN == 500 else data)


def paths(source: Path, count: int) -> Iterator[Path]:
    return (source / f"{number // 1000:05}" / f"{number:08}.jpg" for number in range(count))


def of_one_thread(source: Path, count: int, *, crop: bool) -> float:
    """Return the pictures a second of processor time of `predict_many` with one thread."""
    recognizer = Recognizer(threads=1)
    some = list(paths(source, min(count, SAMPLE)))
    list(recognizer.predict_many(some[:50], crop=crop, return_errors=True, workers=1))
    began = time.process_time()
    for _ in recognizer.predict_many(some, crop=crop, return_errors=True, workers=1):
        pass
    speed = len(some) / (time.process_time() - began)
    print(f"one thread of predict_many: {speed:.1f} pictures a second of processor time", flush=True)
    return speed


def command(source: Path, out: Path, mode: list[str], *more: str) -> list[str]:
    return [sys.executable, "-m", "mien", "predict", str(source), "--parquet", str(out), *mode, *more]


def undisturbed(source: Path, out: Path, count: int, mode: list[str], one: float) -> None:
    """Run the command to its end and print memory by tenth, and pictures a second of processor time."""
    there = len(list(out.glob("part-*.parquet")))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command(source, out, mode, "--workers", "2"), stderr=subprocess.DEVNULL)
    peaks: dict[int, float] = {}
    total = 0
    while process.poll() is None:
        state = list(out.glob("part-*.parquet"))
        total = total or parts_of(out, count)
        if state and total:
            tenth = min(9, 10 * len(state) // total)
            peaks[tenth] = max(peaks.get(tenth, 0.0), tree_megabytes(process.pid))
        time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"memory, MB at most by tenth: {', '.join(f'{peaks[tenth]:.0f}' for tenth in sorted(peaks))}")
    done = count * (total - there) / total
    speed = done / seconds
    print(
        f"--parquet: {speed:.1f} pictures a second of processor time, {speed / one:.3f} of one thread's",
        end="",
    )
    print(f"; {done / (time.perf_counter() - began):.1f} by the clock, {available_cores()} cores", flush=True)
    check(source, out, count)


def parts_of(out: Path, count: int) -> int:
    """Return how many parts there will be, from the first one's pictures."""
    pictures = parts_pictures(out)
    return -(-count // pictures) if pictures else 0


def parts_pictures(out: Path) -> int:
    """Return how many pictures are in a part, 0 where none is there."""
    first = next(out.glob("part-*.parquet"), None)
    if first is None:
        return 0
    return json.loads(parquet.read_metadata(first).metadata[b"mien"])["counts"]["pictures"]


def tree_megabytes(pid: int) -> float:
    """Return what a process and those below it have in memory."""
    total = 0
    for one in (pid, *children(pid)):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGESIZE") / 2**20


def children(pid: int) -> list[int]:
    """Return the processes below one."""
    below = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below += [int(one) for one in task.read_text().split()]
        except OSError:
            continue
    return below + [other for one in below for other in children(one)]


def killed(source: Path, out: Path, count: int, mode: list[str]) -> None:
    """Kill the command three times, at random moments, and let it end the fourth time."""
    kill_thrice(source, out, count, mode, of=KILLS + 1)
    subprocess.run(command(source, out, mode, "--workers", "2"), stderr=subprocess.DEVNULL, check=False)
    check(source, out, count)


def kill_thrice(source: Path, out: Path, count: int, mode: list[str], *, of: int) -> None:
    """Kill the command once 1, 2 and 3 of so many equal shares of the parts are there."""
    rng, total = random.Random(0), 0
    for number in range(1, KILLS + 1):
        process = subprocess.Popen(command(source, out, mode, "--workers", "2"), stderr=subprocess.DEVNULL)
        while process.poll() is None and (not total or len(list(out.glob("part-*"))) < number * total // of):
            total = total or parts_of(out, count)
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 2))
        process.kill()
        process.wait()
        print(f"killed at {len(list(out.glob('part-*')))} of {total} parts", flush=True)


def ray_ratio(source: Path, folder: Path, count: int, mode: list[str]) -> None:
    """Print what a second actor gains."""
    one, two = (on_ray(source, folder / f"ray{n}", count, mode, n, kill=False) for n in (1, 2))
    print(
        f"Ray: {one:.1f} pictures a second with one actor, {two:.1f} with two, ratio {two / one:.2f}",
        flush=True,
    )


def on_ray(source: Path, out: Path, count: int, mode: list[str], actors: int, *, kill: bool) -> float:
    """Make the same parts by Ray, of whose actors one may be killed, and return pictures a second once all are warm."""
    arguments = command(source, out, mode, "--ray", "local", "--workers", str(actors))
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    while process.poll() is None and kill and len(list(out.glob("part-*"))) < 3:
        time.sleep(0.1)
    if kill:
        victim = actor_processes()[0]
        os.kill(victim, signal.SIGKILL)
        print(f"killed the actor {victim}")
    process.wait()
    check(source, out, count)
    return warm_speed(out)


def warm_speed(out: Path) -> float:
    """Return the pictures a second of the second half of the parts, by the times of their files."""
    times = sorted(path.stat().st_mtime for path in out.glob("part-*"))
    first, last = len(times) // 2, len(times) - 3  # the last are made while others have nothing left to do
    return (last - first) * parts_pictures(out) / (times[last] - times[first])


def actor_processes() -> list[int]:
    """Return the processes of Ray's actors that make parts."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if place.read_bytes().startswith(b"ray::") and b"PartActor" in place.read_bytes():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def check(source: Path, out: Path, count: int) -> None:
    """End unless every picture has its rows, and every broken one its problem."""
    rows = Counter[str]()
    broken = 0
    for part in sorted(out.glob("part-*.parquet")):
        table = parquet.read_table(part, columns=["picture", "face", "problem"]).to_pandas()
        rows.update(table[table.face <= 1].picture)
        broken += int((table.problem.notna() & (table.problem != "no face found")).sum())
    expected = [str(path) for path in paths(source, count)]
    ids = len(rows) == count and rows.total() == count and all(path in rows for path in expected)
    print(f"every picture once: {ids}; broken ones: {broken}, expected {count // BROKEN}", flush=True)
    if not ids or broken != count // BROKEN:
        sys.exit("the table is not whole")


def same_bytes(one: Path, other: Path) -> None:
    """Say whether two folders hold the same parts."""
    names = sorted(path.name for path in one.glob("part-*"))
    same = names == sorted(path.name for path in other.glob("part-*"))
    same = same and all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    print(f"{other.name} has the bytes of {one.name}: {same}", flush=True)


if __name__ == "__main__":
    main()
