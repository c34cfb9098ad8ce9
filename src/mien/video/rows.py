"""Answers on videos as text, frame by frame as they come: CSV, JSON, lines for a terminal. Reads no video."""

import csv
import json
from typing import TextIO

from mien.model import Model
from mien.predict.rows import encodable, header, in_words
from mien.text import joined, percent, thousands
from mien.video.seen import Seen, SeenFace
from mien.video.timeline import Timeline, clock

MOST_PEOPLE = 20  # that a terminal shows of a video
REMEMBERED = 1000  # people whose last label is known
RARE = 0.05  # share of a person's time from which on a label is told


class Csv:
    """A row a face and frame; a video that could not be used, or not to its end, has a row with the reason more."""

    def __init__(self, out: TextIO, model: Model):
        self._out, self._labels = out, model.labels
        self._table = csv.writer(out, lineterminator="\n")
        shares = (f"{kind}_{label}" for kind in ("p", "raw") for label in model.labels)
        self._columns = ("video", "frame", "seconds", "person", "label", "best", *shares,
                         "left", "top", "width", "height", "score", "problem")  # fmt: skip
        self._table.writerow(self._columns)

    def add(self, name: str, seen: Seen) -> None:
        """Write the rows of a frame."""
        name, frame = encodable(name), seen.frame
        for face in seen.faces:
            shares = [
                f"{kind[label]:.6f}" for kind in (face.probabilities, face.raw) for label in self._labels
            ]
            box = [f"{value:.2f}" for value in face.box]
            said = face.person, face.label, face.best
            self._table.writerow((name, frame.number, f"{frame.seconds:.4f}", *said, *shares, *box,
                                  f"{face.score:.4f}", ""))  # fmt: skip
        self._out.flush()

    def end(self, name: str, frames: int, seconds: float, problem: str) -> None:
        """Write what ended a video before its end, if anything did."""
        if problem:
            self._table.writerow((encodable(name), *[""] * (len(self._columns) - 2), problem))
            self._out.flush()


class Json:
    """One object a line: a header that names the model and its limits, one a frame with faces, one a video's end."""

    def __init__(self, out: TextIO, model: Model, card: str):
        self._out = out
        self._write(header(model, card))

    def add(self, name: str, seen: Seen) -> None:
        """Write the line of a frame."""
        if seen.faces:
            at = {"video": name, "frame": seen.frame.number, "seconds": round(seen.frame.seconds, 4)}
            self._write(at | {"faces": [_object(face) for face in seen.faces]})

    def end(self, name: str, frames: int, seconds: float, problem: str) -> None:
        """Write how much of a video was read, and what ended it before its end."""
        told = {"video": name, "frames": frames, "seconds": round(seconds, 4)}
        self._write(told | ({"problem": problem} if problem else {}))

    def _write(self, value: dict) -> None:
        print(json.dumps(value, allow_nan=False), file=self._out, flush=True)


def _object(face: SeenFace) -> dict:
    return {
        "person": face.person,
        "box": [round(value, 2) for value in face.box],
        "score": round(face.score, 4),
        "label": face.label,
        "best": face.best,
        "probabilities": {label: round(p, 6) for label, p in face.probabilities.items()},
        "raw": {label: round(p, 6) for label, p in face.raw.items()},
    }


class Changes:
    """A line where a person comes or the label changes: what somebody in front of a camera wants to see."""

    def __init__(self, out: TextIO):
        self._out = out
        self._labels: dict[int, str] = {}

    def add(self, name: str, seen: Seen) -> None:
        """Write the lines of a frame, mostly none."""
        for face in seen.faces:
            if self._labels.pop(face.person, None) != face.label:
                print(
                    f"{clock(seen.frame.seconds)}  person {face.person}: {in_words(face)}",
                    file=self._out,
                    flush=True,
                )
            self._labels[face.person] = face.label
        while len(self._labels) > REMEMBERED:
            self._labels.pop(next(iter(self._labels)))

    def end(self, name: str, frames: int, seconds: float, problem: str) -> None:
        """Write nothing."""


def summary(name: str, seen: Timeline) -> str:
    """Return what is said of a whole video, a line a person, those longest seen."""
    longest = sorted(seen.people, key=lambda one: -one.seconds)[:MOST_PEOPLE]
    count = (
        f"{thousands(seen.count)} {'person' if seen.count == 1 else 'people'}"
        if seen.count
        else "no face found"
    )
    missed = f" ({thousands(seen.missed)} missed)" if seen.missed else ""
    lines = [f"{name}: {thousands(seen.frames)} frames{missed}, {clock(seen.seconds)}, {count}"]
    for one in sorted(longest, key=lambda one: one.number):
        kinds = [f"{label} {percent(share, 0)}" for label, share in one.shares() if share >= RARE]
        lines.append(
            f"  person {one.number:>2}  {clock(one.first)} to {clock(one.last)}  {joined(kinds)} of the time"
        )
    if seen.count > len(longest):
        lines.append(f"  and {thousands(seen.count - len(longest))} seen for a shorter time")
    return "\n".join(lines)
