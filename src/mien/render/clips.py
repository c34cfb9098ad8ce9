"""Clips: one person's face over time. Writes frames, the ground truth of each frame, and a video.

Knows nothing about data sets. A clip's folder has `frames/0000.png` and so on, `truth.csv` with a
row a frame, and `clip.avi` (Motion JPEG, which players and OpenCV read).
"""

import csv
import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.files import appearing_folder
from mien.labels import LABELS
from mien.progress import Counting
from mien.render.draw import Draw
from mien.render.expression import Expression, expression
from mien.render.faces import TRUTH, truth_of
from mien.render.identity import Person, identity
from mien.render.look import Look, look
from mien.render.scene import picture

KINDS = ("apex", "change", "turn", "talk")
COLUMNS = ("frame", "seconds", "phase", *TRUTH)
ONSET, OFFSET = (0.15, 0.4), (0.7, 0.95)  # ranges of their times, as shares of the clip
SYLLABLES_PER_SECOND = 4.0
BLINK_SECONDS = 0.25
SIDES, SECONDS, RATES = (48, 256), (0.2, 120.0), (1, 60)


@dataclass(frozen=True, slots=True)
class Frame:
    """A moment of a clip."""

    seconds: float
    phase: str
    shown: Expression
    look: Look


def frames(kind: str, label: str, second: str, *, seconds: float, rate: int, seed: int) -> Iterator[Frame]:
    """Yield a clip's moments.

    "apex" goes from neutral to `label` and back, "change" from `label` to `second`, "turn" moves the
    head and "talk" the mouth, both with `label` on the face.
    """
    first, other = awake(Draw(seed, "clip"), label), awake(Draw(seed, "clip2"), second)
    calm = replace(look(Draw(seed, "look"), (seed,)), occluder="none", blur=0.0, yaw=0.0, pitch=0.0, roll=0.0)
    sway = [Draw(seed, "sway", i).uniform(0, 2 * math.pi) for i in range(4)]
    blink_at = Draw(seed, "blink").uniform(0.1, 0.9) * seconds
    for number in range(round(seconds * rate)):
        time = number / rate
        phase, shown = _at(kind, time / seconds, first, other)
        shown = blinking(talking(shown, time, seed) if kind == "talk" else shown, time - blink_at)
        yield Frame(round(time, 4), phase, shown, head_moved(calm, kind == "turn", time, seconds, sway))


def awake(draw: Draw, label: str) -> Expression:
    """Draw an expression that is no blink."""
    shown = expression(draw, label, 0.95)
    eyes = tuple(min(0.4, value) for value in shown.aus.get(43, (0.0, 0.0)))
    return replace(shown, aus={**shown.aus, 43: eyes})


def _at(kind: str, share: float, first: Expression, other: Expression) -> tuple[str, Expression]:
    up, down = rise(share, *ONSET), rise(share, *OFFSET)
    if kind == "apex":
        words = ((ONSET[0], "neutral"), (ONSET[1], "onset"), (OFFSET[0], "apex"), (OFFSET[1], "offset"))
        phase = next((word for end, word in words if share < end), "neutral")
        return phase, mixed(Expression("neutral", 0.0, {}), first, up - down)
    if kind == "change":
        change = rise(share, 0.35, 0.65)
        phase = "before" if change == 0 else "after" if change == 1 else "change"
        return phase, mixed(first, other, change)
    return kind, first


def rise(share: float, start: float, end: float) -> float:
    """Return how far a smooth step from 0 at `start` to 1 at `end` has gone."""
    t = min(1.0, max(0.0, (share - start) / (end - start)))
    return t * t * (3 - 2 * t)


def mixed(one: Expression, other: Expression, share: float) -> Expression:
    """Return an expression interpolated between two; its label is the nearer one's."""
    aus = {
        au: _between(one.aus.get(au, (0.0, 0.0)), other.aus.get(au, (0.0, 0.0)), share)
        for au in sorted({**one.aus, **other.aus})
    }
    gaze = _between(one.gaze, other.gaze, share)
    near, far, rest = (one, other, share) if share < 0.5 else (other, one, 1 - share)
    strength = (1 - share) * one.intensity + share * other.intensity
    second = far.label if rest > 0 and far.label != near.label else ""
    return Expression(near.label, round(strength, 4), aus, gaze, second, round(rest if second else 0.0, 4))


def _between(one: tuple[float, float], other: tuple[float, float], share: float) -> tuple[float, float]:
    return (1 - share) * one[0] + share * other[0], (1 - share) * one[1] + share * other[1]


def talking(shown: Expression, time: float, seed: int) -> Expression:
    """Return an expression with the lips and the jaw of somebody who speaks."""
    syllable = int(time * SYLLABLES_PER_SECOND)
    open_ = math.sin(math.pi * (time * SYLLABLES_PER_SECOND - syllable)) ** 2
    draw = Draw(seed, "talk", syllable)
    spoken = {
        26: draw.uniform(0.1, 0.4),
        16: draw.uniform(0, 0.4),
        18: draw.uniform(-0.6, 0.5),
        20: draw.uniform(-0.3, 0.4),
    }
    aus = dict(shown.aus)
    for au, most in spoken.items():
        left, right = aus.get(au, (0.0, 0.0))
        aus[au] = left + max(0.0, most) * open_, right + max(0.0, most) * open_
    return replace(shown, aus=aus)


def blinking(shown: Expression, since: float) -> Expression:
    """Return an expression with its lids as a blink has them so many seconds after it began."""
    if not 0 <= since < BLINK_SECONDS:
        return shown
    closed = math.sin(math.pi * since / BLINK_SECONDS)
    before = shown.aus.get(43, (0.0, 0.0))
    return replace(shown, aus={**shown.aus, 43: tuple(max(value, closed) for value in before)})


def head_moved(still: Look, turning: bool, time: float, seconds: float, sway: list[float]) -> Look:
    """Return the view with the head's movement: always a little, and from side to side where it turns."""
    slow = 2 * math.pi * time
    yaw, pitch = 2.0 * math.sin(0.4 * slow + sway[0]), 1.5 * math.sin(0.5 * slow + sway[1])
    if turning:
        yaw += 32 * math.sin(slow / seconds)
        pitch += 10 * math.sin(2 * slow / seconds + sway[2])
    roll = 1.5 * math.sin(0.3 * slow + sway[3])
    return replace(still, yaw=still.yaw + yaw, pitch=still.pitch + pitch, roll=still.roll + roll)


def render_clip(
    target: Path, kind: str, *, label: str = "happy", second: str = "surprise", seconds: float = 4.0,
    rate: int = 25, side: int = 128, seed: int = 0, progress: Counting | None = None,
) -> int:  # fmt: skip
    """Render a clip into the folder `target`, completely or not at all; return the number of frames.

    Raises DataError, in one line, for what is no clip or where `target` exists.
    """
    target = Path(target)
    _check(target, kind, label, second, seconds, rate, side)
    person = identity(Draw(seed, "person", 0))
    moments = frames(kind, label, second, seconds=seconds, rate=rate, seed=seed)
    total = round(seconds * rate)
    pictures, rows = [], []
    progress = progress or Counting()
    with appearing_folder(target, waiting=partial(progress.wait, f"render {target}")) as folder:
        (folder / "frames").mkdir()
        for number, frame in enumerate(progress.over(f"render {target.name}", total, moments)):
            image = picture(person, frame.shown, frame.look, side=side)
            pictures.append(_jpeg(image))
            _save_png(image, folder / "frames" / f"{number:04}.png")
            rows.append(_row(number, frame, person))
        with open(folder / "truth.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
        (folder / "clip.avi").write_bytes(avi(pictures, side, rate))
    return total


def _check(target: Path, kind: str, label: str, second: str, seconds: float, rate: int, side: int) -> None:
    if kind not in KINDS:
        raise DataError(f'--clip must be {", ".join(KINDS[:-1])} or {KINDS[-1]} and is "{kind}"')
    for name in (label, second):
        if name not in LABELS:
            raise DataError(f'"{name}" is no class; the classes are {", ".join(LABELS)}')
    if kind == "change" and label == second:
        raise DataError(f"--second must be another class than --label and is {second}, too")
    for name, value, (low, high) in (
        ("seconds", seconds, SECONDS),
        ("rate", rate, RATES),
        ("side", side, SIDES),
    ):
        if not low <= value <= high:
            raise DataError(f"--{name} must be from {low:g} to {high:g} and is {value:g}")
    if target.exists():
        raise DataError(f"{target}: exists; delete it or give another name")


def _row(number: int, frame: Frame, person: Person) -> tuple[str, ...]:
    return (str(number), f"{frame.seconds:.4f}", frame.phase, *truth_of(0, person, frame.shown, frame.look))


def _save_png(image: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(image).save(path, optimize=False)


def _jpeg(image: np.ndarray) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.repeat(image[:, :, None], 3, axis=2)).save(data, format="jpeg", quality=92)
    return data.getvalue()


def avi(pictures: list[bytes], side: int, rate: int) -> bytes:
    """Return a Motion JPEG video of JPEG pictures, side x side, so many a second."""
    largest = max(map(len, pictures))
    main = struct.pack(
        "<14I",
        1_000_000 // rate,
        largest * rate,
        0,
        0x10,
        len(pictures),
        0,
        1,
        largest,
        side,
        side,
        0,
        0,
        0,
        0,
    )
    kind = struct.pack("<4s4sIHHI", b"vids", b"MJPG", 0, 0, 0, 0)
    stream = kind + struct.pack("<7I4H", 1, rate, 0, len(pictures), largest, 10_000, 0, 0, 0, side, side)
    form = struct.pack("<IiiHH4sIiiII", 40, side, side, 1, 24, b"MJPG", side * side * 3, 0, 0, 0, 0)
    header = _list(
        b"hdrl", _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", form))
    )
    index, data, place = b"", [], 4
    for jpeg in pictures:
        chunk = _chunk(b"00dc", jpeg)
        index += struct.pack("<4sIII", b"00dc", 0x10, place, len(jpeg))
        place += len(chunk)
        data.append(chunk)
    body = header + _list(b"movi", b"".join(data)) + _chunk(b"idx1", index)
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"AVI ") + body


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2)


def _list(name: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", name + data)
