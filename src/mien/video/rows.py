"""Answers on videos as text, frame by frame as they come: CSV, JSON, lines for a terminal. Reads no video."""

import csv
import json
from typing import Protocol, TextIO

from mien import __version__
from mien.model import Model
from mien.predict.recognizer import UNCERTAIN
from mien.predict.rows import LINE_FORMAT, encodable, in_words
from mien.text import joined, many, percent, thousands
from mien.video.people import People, Person
from mien.video.seen import TrackedFace, TrackedFrame

MOST_PEOPLE = 20  # that a terminal shows of a video
REMEMBERED = 1000  # people whose last label is known
RARE = 0.05  # share of a person's time from which on a label is told


class Writer(Protocol):
    """Takes what is known of a video as it comes."""

    def add(self, name: str, tracked: TrackedFrame) -> None:
        """Take a frame's faces."""

    def left(self, name: str, person: Person) -> None:
        """Take a person who stayed and has left."""

    def end(self, name: str, people: People | None, problem: str) -> None:
        """Take the end of a video: its people, None where it could not be opened, and what ended it too early."""


class Csv:
    """A row a face and frame; a video that could not be used, or not to its end, has a row with the reason more."""

    def __init__(self, out: TextIO, model: Model, *, begun: bool = False) -> None:
        self._out, self._labels = out, model.labels
        self._table = csv.writer(out, lineterminator="\n")
        shares = (f"{kind}_{label}" for kind in ("p", "raw") for label in model.labels)
        self._columns = ("video", "frame", "seconds", "person", "label", "best", "confidence", *shares,
                         "left", "top", "width", "height", "score", "problem")  # fmt: skip
        if not begun:
            self._table.writerow(self._columns)

    def add(self, name: str, tracked: TrackedFrame) -> None:
        """Write the rows of a frame."""
        name, frame = encodable(name), tracked.frame
        for face in tracked.faces:
            shares = [
                f"{kind[label]:.6f}" for kind in (face.probabilities, face.raw) for label in self._labels
            ]
            box = [f"{value:.2f}" for value in face.box]
            label = face.person, face.label, face.best, f"{face.confidence:.6f}"
            self._table.writerow((name, frame.number, f"{frame.seconds:.4f}", *label, *shares, *box,
                                  f"{face.score:.4f}", ""))  # fmt: skip
        self._out.flush()

    def left(self, name: str, person: Person) -> None:
        """Write nothing."""

    def end(self, name: str, people: People | None, problem: str) -> None:
        """Write what ended a video before its end, if anything did."""
        if problem:
            self._table.writerow((encodable(name), *[""] * (len(self._columns) - 2), problem))
            self._out.flush()


class PeopleCsv:
    """A row a person who stayed, written when they have left: when, how long, share of the time with each label."""

    def __init__(self, out: TextIO, model: Model, *, begun: bool = False) -> None:
        self._out, self._labels = out, (*model.labels, UNCERTAIN)
        self._table = csv.writer(out, lineterminator="\n")
        if not begun:
            times = ("person", "first", "last", "seconds", "frames", "label")
            shares = (f"share_{label}" for label in self._labels)
            means = (f"p_{label}" for label in model.labels)
            self._table.writerow(("video", *times, *shares, *means))

    def add(self, name: str, tracked: TrackedFrame) -> None:
        """Write nothing."""

    def left(self, name: str, person: Person) -> None:
        """Write a person's row."""
        shares, means = dict(person.shares()), person.probabilities()
        times = (f"{value:.4f}" for value in (person.first, person.last, person.seconds))
        values = (f"{value:.6f}" for value in (*(shares[label] for label in self._labels), *means.values()))
        label = person.shares()[0][0]
        self._table.writerow((encodable(name), person.number, *times, person.frames, label, *values))
        self._out.flush()

    def end(self, name: str, people: People | None, problem: str) -> None:
        """Write nothing."""


class Json:
    """One object a line: a frame with faces, a person who stayed, a video's end, which names the model too."""

    def __init__(self, out: TextIO, model: Model, card: str) -> None:
        self._out = out
        origin = {"model": model.name, "sha256": model.sha256, "uncertain_below": model.threshold}
        self._origin = {**origin, "card": card, "mien": __version__, "format": LINE_FORMAT}

    def add(self, name: str, tracked: TrackedFrame) -> None:
        """Write the line of a frame."""
        if tracked.faces:
            at = {"video": name, "frame": tracked.frame.number, "seconds": round(tracked.frame.seconds, 4)}
            self._write(at | {"faces": [_face(face) for face in tracked.faces]})

    def left(self, name: str, person: Person) -> None:
        """Write the line of a person who stayed."""
        times = {"first": person.first, "last": person.last, "on_screen": person.seconds}
        self._write(
            {"video": name, "person": person.number}
            | {key: round(value, 4) for key, value in times.items()}
            | {"labels": _rounded(dict(person.shares())), "probabilities": _rounded(person.probabilities())}
        )

    def end(self, name: str, people: People | None, problem: str) -> None:
        """Write how much of a video was read, how many people there were, and what ended it before its end."""
        line: dict[str, object] = {"video": name, "frames": 0, "seconds": 0.0}
        if people is not None:
            line |= {"frames": people.frames, "seconds": round(people.seconds, 4)}
            line |= {"people": people.staying, "passing": people.passing}
        self._write(line | ({"problem": problem} if problem else {}) | self._origin)

    def _write(self, value: dict) -> None:
        print(json.dumps(value, allow_nan=False), file=self._out, flush=True)


def _face(face: TrackedFace) -> dict:
    return {
        "person": face.person,
        "box": [round(value, 2) for value in face.box],
        "score": round(face.score, 4),
        "label": face.label,
        "best": face.best,
        "confidence": round(face.confidence, 6),
        "probabilities": _rounded(face.probabilities),
        "raw": _rounded(face.raw),
    }


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {label: round(share, 6) for label, share in shares.items()}


class Changes:
    """A line where a person comes or the label changes: what somebody in front of a camera wants to see."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._labels: dict[int, str] = {}

    def add(self, name: str, tracked: TrackedFrame) -> None:
        """Write the lines of a frame, mostly none."""
        for face in tracked.faces:
            if self._labels.pop(face.person, None) != face.label:
                print(
                    f"{clock(tracked.frame.seconds)}  person {face.person}: {in_words(face)}",
                    file=self._out,
                    flush=True,
                )
            self._labels[face.person] = face.label
        while len(self._labels) > REMEMBERED:
            self._labels.pop(next(iter(self._labels)))

    def left(self, name: str, person: Person) -> None:
        """Write nothing."""

    def end(self, name: str, people: People | None, problem: str) -> None:
        """Write nothing."""


def summary(name: str, people: People, *, missed: int = 0) -> str:
    """Return what is said of a whole video, a line a person who stays, those longest on screen; `missed` are frames."""
    count = f"{many(people.staying, 'person', 'people')}" if people.count else "no face found"
    skipped = f" ({thousands(missed)} missed)" if missed else ""
    lines = [f"{name}: {many(people.frames, 'frame')}{skipped}, {clock(people.seconds)}, {count}"]
    longest = people.longest(MOST_PEOPLE)
    for one in longest:
        kinds = [f"{label} {percent(share, 0)}" for label, share in one.shares() if share >= RARE]
        lines.append(
            f"  person {one.number:>2}  {clock(one.first)} to {clock(one.last)}  {joined(kinds)} of the time"
        )
    if others := people.staying - len(longest):
        lines.append(f"  and {thousands(others)} on screen for a shorter time")
    if people.passing:
        lines.append(f"  and {many(people.passing, 'face')} for a moment only")
    return "\n".join(lines)


def clock(seconds: float, *, tenths: bool = True) -> str:
    """Return a moment as "0:07.4" or "1:02:07.4", or without tenths."""
    count = round(seconds * 10)
    minutes, count = divmod(count, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{count // 10:02}" + (f".{count % 10}" if tenths else "")
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"
