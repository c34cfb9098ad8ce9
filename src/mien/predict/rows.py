"""Answers as text, picture by picture as they come: lines for a terminal, CSV, JSON. Reads no picture."""

import csv
import io
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from mien import __version__
from mien.model import Model
from mien.predict.answer import LIMITS, Answer
from mien.predict.columns import NO_FACE, column_names
from mien.predict.growing import Line
from mien.predict.recognizer import UNCERTAIN, FaceExpression
from mien.text import escaped, joined, many, percent, shortened, thousands

FORMAT = 1  # of the JSON lines
LINE_FORMAT = 2  # of the lines of a file; 1 began with a line that was no picture
HEAD = ("picture", "face", "expression", "then", "score", "at")
NUMBER, SCORE, PLACE = 4, 5, 25  # characters of three columns; a place in a very large picture takes more
NARROWEST_NAME = 12
LIKELY = 0.1  # a second class is told from here on


class Lines:
    """A line a face; `width` is the terminal's in characters, None where there is none and nothing is cut."""

    def __init__(self, out: TextIO, names: Sequence[str], labels: Sequence[str], width: int | None):
        self._out = out
        label = max(len(HEAD[2]), *(len(f"{label} 100%") for label in labels))
        longest = max(map(_cells, (HEAD[0], *names)))
        room = width - NUMBER - 2 * label - SCORE - PLACE - 10 if width else longest + label
        self._seconds = 2 if room >= NARROWEST_NAME + label else 1
        self._widths = (min(longest, max(NARROWEST_NAME, room - (self._seconds - 1) * label)), label,
                        self._seconds * label)  # fmt: skip
        self._begun = False

    def add(self, answer: Answer) -> None:
        """Write the lines of a picture; one that could not be used has none, its line is on standard error."""
        if answer.problem:
            return
        if not self._begun:
            self._write(*HEAD)
            self._begun = True
        name = answer.source.shown
        for number, face in enumerate(answer.faces, start=1):
            likely = [f"{label} {percent(p, 0)}" for label, p in _others(face)[: self._seconds]]
            self._write(
                name, str(number), in_words(face), ", ".join(likely), _number(face.score, 2), place(face)
            )
            name = ""
        if not answer.faces:
            self._write(name, "-", NO_FACE, "", "", "")
        self._out.flush()

    def _write(self, name: str, number: str, expression: str, likely: str, score: str, at: str) -> None:
        name, expression, likely = map(_filled, (name, expression, likely), self._widths)
        cells = (name, number.rjust(NUMBER), expression, likely, score.rjust(SCORE), at)
        print("  ".join(cells).rstrip(), file=self._out)


class Csv:
    """A row a face; a picture without a face, and one that could not be used, has one row, face 0."""

    sparse = False

    def __init__(self, model: Model):
        self._labels = model.labels
        self._columns = column_names(model.labels)
        self.head = csv_line(self._columns)

    def rows(self, answer: Answer) -> str:
        """Return the rows of a picture."""
        name = encodable(answer.source.name)
        if not answer.faces:
            empty = [""] * (len(self._columns) - 3)
            return csv_line((name, 0, *empty, answer.problem or NO_FACE))
        return "".join(
            csv_line((name, number, *self._cells(face))) for number, face in enumerate(answer.faces, start=1)
        )

    def _cells(self, face: FaceExpression) -> Iterator[str]:
        yield from (face.label, face.best, f"{face.confidence:.6f}")
        yield from (f"{face.probabilities[label]:.6f}" for label in self._labels)
        yield from (_number(value, 2) for value in face.box)
        yield _number(face.score, 4)
        yield from (_number(value, 2) for value in face.landmarks.ravel().tolist())
        yield ""

    def name(self, picture: str) -> str:
        """Return a picture's name as a row has it."""
        return encodable(picture)

    def parse(self, line: str) -> Line | None:
        """Return what a row says; None for what is none of this table."""
        try:
            (cells,) = csv.reader([line])
        except (ValueError, csv.Error):
            return None
        if len(cells) != len(self._columns) or not cells[1].isdecimal():
            return None
        if cells[1] == "0":
            outcome = "empty" if cells[-1] == NO_FACE else "failed"
            return Line(cells[0], begins=True, ends=True, outcome=outcome)
        return Line(cells[0], begins=cells[1] == "1", labels=[cells[2]])


class Json:
    """One object a line, a picture each, which names the model it comes from."""

    head = ""
    sparse = False

    def __init__(self, model: Model, card: str):
        self._origin = origin(model, card)

    def rows(self, answer: Answer) -> str:
        """Return the line of a picture."""
        value = picture_object(answer.source.name, answer.faces, answer.size, answer.problem)
        if answer.note:
            value["note"] = answer.note
        return json.dumps(value | self._origin, allow_nan=False) + "\n"

    def name(self, picture: str) -> str:
        """Return a picture's name as a line has it."""
        return picture

    def parse(self, line: str) -> Line | None:
        """Return what a line says; None for what is none of this table."""
        try:
            value = json.loads(line)
            name: str = value["picture"]
            faces: list[dict[str, Any]] = value.get("faces") or []
            labels: list[str] = [face["label"] for face in faces]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        outcome = "failed" if "problem" in value else "" if faces else "empty"
        return Line(name, begins=True, ends=True, labels=labels, outcome=outcome)


def origin(model: Model, card: str) -> dict[str, object]:
    """Return what a line of JSON says of the model that it comes from."""
    named = {"model": model.name, "sha256": model.sha256, "uncertain_below": model.threshold}
    prior = dict(zip(model.labels, model.prior, strict=True))
    return {**named, "prior": prior, "card": card, "mien": __version__, "format": LINE_FORMAT}


def csv_line(cells: Iterable[object]) -> str:
    """Return a row of a CSV table."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def header(model: Model, card: str) -> dict[str, object]:
    """Return what JSON says of a model and its limits; `card` is where its card stands."""
    named = {"mien": __version__, "format": FORMAT, "model": model.name, "sha256": model.sha256}
    return {
        **named,
        "labels": model.labels,
        "uncertain_below": model.threshold,
        "prior": dict(zip(model.labels, model.prior, strict=True)),
        "card": card,
        "limits": LIMITS,
    }


def picture_object(
    name: str, faces: Sequence[FaceExpression], size: tuple[int, int], problem: str = ""
) -> dict[str, Any]:
    """Return what JSON says of a picture: its width, height and faces, or why it could not be used."""
    if problem:
        return {"picture": name, "problem": problem}
    return {"picture": name, "width": size[0], "height": size[1], "faces": [face.to_dict() for face in faces]}


def answer_object(face: FaceExpression) -> dict[str, object]:
    """Return where a face is and what is said of it, as JSON has it, without its landmarks."""
    return {name: value for name, value in face.to_dict().items() if name != "landmarks"}


def in_words(face: FaceExpression) -> str:
    """Return a face's label, with its probability where it is certain enough: "happy 97%"."""
    return f"{face.label} {percent(face.confidence, 0)}" if face.certain else UNCERTAIN


def place(face: FaceExpression) -> str:
    """Return where a face is in its picture, in pixels: "88 x 120 at 182, 58"."""
    left, top, width, height = (round(value) for value in face.box)
    return f"{width} x {height} at {left}, {top}"


def _others(face: FaceExpression) -> list[tuple[str, float]]:
    """Return the likely classes that are not in the label, the most probable first, two at most."""
    ordered = sorted(face.probabilities.items(), key=lambda item: -item[1])
    return [(label, p) for label, p in ordered[int(face.certain) :] if p >= LIKELY][:2]


def summary(answers: Counter[str], labels: Counter[str], passed_over: int) -> str:
    """Return a sentence on all pictures; `answers` counts pictures, faces, empty and failed ones."""
    pictures = many(answers["pictures"], "picture")
    first = f"{pictures}, {many(answers['faces'], 'face')}{by_label(labels)}"
    rest = [(answers["empty"], "without a face"), (answers["failed"], "not read")]
    rest += [
        (passed_over, f"{'file' if passed_over == 1 else 'files'} passed over, no pictures by their names")
    ]
    rest = [f"{thousands(count)} {words}" for count, words in rest if count]
    return "; ".join([first, joined(rest)] if rest else [first]) + "."


def by_label(labels: Counter[str]) -> str:
    """Return how many there are of each label, as it goes on behind their number: ": 3 happy, 1 sad", or ""."""
    kinds = ", ".join(f"{thousands(count)} {label}" for label, count in labels.most_common())
    return f": {kinds}" if kinds else ""


def encodable(name: str) -> str:
    """Return a name as a cell of a table holds it, escaped.

    One that a spreadsheet would take for a formula has `./` before it, which names the same file.
    """
    text = escaped(name)
    return f"./{text}" if text.startswith(("=", "+", "-", "@")) and text != "-" else text


def _number(value: float, places: int) -> str:
    return "" if math.isnan(value) else f"{value:.{places}f}"


def _filled(text: str, width: int) -> str:
    """Return a text cut in its middle or filled up to so many places of a terminal."""
    cut = next(
        cut for kept in range(width, 0, -1) if _cells(cut := shortened(text, kept)) <= width or kept == 1
    )
    return cut + " " * (width - _cells(cut))


def _cells(text: str) -> int:
    """Return how many places of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)
