"""Answers on videos as text, frame by frame as they come: CSV, JSON, lines for a terminal. Reads no video."""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from mien.model import Model
from mien.predict.columns import NO_FACE
from mien.predict.growing import Line
from mien.predict.recognizer import UNCERTAIN, rounded
from mien.predict.rows import answer_object, csv_line, encodable, in_words, origin
from mien.text import joined, many, percent, thousands
from mien.video.people import People, Person
from mien.video.seen import TrackedFace, TrackedFrame

MOST_PEOPLE = 20  # that a terminal shows of a video
REMEMBERED = 1000  # people whose last label is known
RARE = 0.05  # share of a person's time from which on a label is told


class Table(ABC):
    """A table: the lines that stand for what is known of a video as it comes."""

    head = ""
    sparse = False

    def name(self, video: str) -> str:
        """Return a video's name as a line has it."""
        return encodable(video)

    @abstractmethod
    def parse(self, line: str) -> Line | None:
        """Return what a line says; None for what is none of this table."""

    def frame(self, name: str, tracked: TrackedFrame) -> str:
        """Return what is said of a frame and its faces."""
        return ""

    def person(self, name: str, person: Person) -> str:
        """Return what is said of a person who stayed and has left."""
        return ""

    def end(self, name: str, people: People | None, problem: str) -> str:
        """Return what is said at a video's end: its people, None where it could not be opened, and what ended it."""
        return ""


class Csv(Table):
    """A row a face and frame; a video without a face, or that could not be used to its end, has a row that says so."""

    def __init__(self, model: Model) -> None:
        self._labels = model.labels
        shares = (f"{kind}_{label}" for kind in ("p", "raw") for label in model.labels)
        self._columns = ("video", "frame", "seconds", "person", "label", "best", "confidence", *shares,
                         "left", "top", "width", "height", "score", "problem")  # fmt: skip
        self.head = csv_line(self._columns)

    def frame(self, name: str, tracked: TrackedFrame) -> str:
        """Return the rows of a frame."""
        at = (encodable(name), tracked.frame.number, f"{tracked.frame.seconds:.4f}")
        return "".join(csv_line((*at, *self._cells(face), "")) for face in tracked.faces)

    def _cells(self, face: TrackedFace) -> Iterable[object]:
        yield from (face.person, face.label, face.best, f"{face.confidence:.6f}")
        yield from (f"{kind[label]:.6f}" for kind in (face.probabilities, face.raw) for label in self._labels)
        yield from (f"{value:.2f}" for value in face.box)
        yield f"{face.score:.4f}"

    def end(self, name: str, people: People | None, problem: str) -> str:
        """Return the row of a video that ended too early or has no other one."""
        if people is not None and not people.count:
            problem = problem or NO_FACE
        return csv_line((encodable(name), *[""] * (len(self._columns) - 2), problem)) if problem else ""

    def parse(self, line: str) -> Line | None:
        """Return what a row says; None for what is none of this table."""
        cells = _cells_of(line)
        if len(cells) != len(self._columns):
            return None
        return Line(cells[0], outcome="failed" if cells[-1] not in ("", NO_FACE) else "")


class PeopleCsv(Table):
    """A row a person who stayed, when they have left: first and last moment, share of the time with each label."""

    sparse = True

    def __init__(self, model: Model) -> None:
        self._labels = (*model.labels, UNCERTAIN)
        times = ("person", "first", "last", "seconds", "frames", "label")
        shares, means = (f"share_{label}" for label in self._labels), (f"p_{label}" for label in model.labels)
        self._columns = ("video", *times, *shares, *means)
        self.head = csv_line(self._columns)

    def person(self, name: str, person: Person) -> str:
        """Return a person's row."""
        shares, means = dict(person.shares()), person.probabilities()
        times = (f"{value:.4f}" for value in (person.first, person.last, person.seconds))
        values = (f"{value:.6f}" for value in (*(shares[label] for label in self._labels), *means.values()))
        label = person.shares()[0][0]
        return csv_line((encodable(name), person.number, *times, person.frames, label, *values))

    def parse(self, line: str) -> Line | None:
        """Return what a row says; None for what is none of this table."""
        cells = _cells_of(line)
        return Line(cells[0]) if len(cells) == len(self._columns) else None


class Json(Table):
    """One object a line: a frame with faces, a person who stayed, a video's end, which names the model too."""

    def __init__(self, model: Model, card: str) -> None:
        self._origin = origin(model, card)

    def frame(self, name: str, tracked: TrackedFrame) -> str:
        """Return the line of a frame."""
        at = {"video": name, "frame": tracked.frame.number, "seconds": round(tracked.frame.seconds, 4)}
        faces = [
            {"person": face.person, **answer_object(face), "raw": rounded(face.raw)} for face in tracked.faces
        ]
        return _json_line(at | {"faces": faces}) if faces else ""

    def person(self, name: str, person: Person) -> str:
        """Return the line of a person who stayed."""
        times = {"first": person.first, "last": person.last, "on_screen": person.seconds}
        return _json_line(
            {"video": name, "person": person.number}
            | {key: round(value, 4) for key, value in times.items()}
            | {"labels": rounded(dict(person.shares())), "probabilities": rounded(person.probabilities())}
        )

    def end(self, name: str, people: People | None, problem: str) -> str:
        """Return how much of a video was read, how many people there were, and what ended it before its end."""
        line: dict[str, object] = {"video": name, "frames": 0, "seconds": 0.0}
        if people is not None:
            line |= {"frames": people.frames, "seconds": round(people.seconds, 4)}
            line |= {"people": people.staying, "passing": people.passing}
        return _json_line(line | ({"problem": problem} if problem else {}) | self._origin)

    def parse(self, line: str) -> Line | None:
        """Return what a line says; None for what is none of this table."""
        try:
            value = json.loads(line)
            outcome = "failed" if "problem" in value else ""
            return Line(encodable(value["video"]), ends="frames" in value, outcome=outcome)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _cells_of(line: str) -> list[str]:
    """Return the cells of a CSV row, none of what is no row."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _json_line(value: Mapping[str, object]) -> str:
    return json.dumps(value, allow_nan=False) + "\n"


class Changes:
    """A line where a person comes or the label changes: what somebody in front of a camera wants to see."""

    def __init__(self) -> None:
        self._labels: dict[int, str] = {}

    def lines(self, tracked: TrackedFrame) -> str:
        """Return the lines of a frame, mostly none."""
        at, lines = clock(tracked.frame.seconds), []
        for face in tracked.faces:
            if self._labels.pop(face.person, None) != face.label:
                lines.append(f"{at}  person {face.person}: {in_words(face)}\n")
            self._labels[face.person] = face.label
        while len(self._labels) > REMEMBERED:
            self._labels.pop(next(iter(self._labels)))
        return "".join(lines)


def summary(name: str, people: People, *, missed: int = 0) -> str:
    """Return what is said of a whole video, a line a person who stays, those longest on screen; `missed` are frames."""
    count = f"{many(people.staying, 'person', 'people')}" if people.count else NO_FACE
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
