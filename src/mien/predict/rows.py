"""Answers as text, picture by picture as they come: lines for a terminal, CSV, JSON. Reads no picture."""

import csv
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from mien import __version__
from mien.model import Model
from mien.predict.answer import LIMITS, Answer
from mien.predict.recognizer import UNCERTAIN, FaceExpression
from mien.text import escaped, joined, many, percent, shortened, thousands

FORMAT = 1  # of the JSON lines
HEAD = ("picture", "face", "expression", "then", "at")
NO_FACE = "no face found"
NUMBER, PLACE = 4, 25  # characters of two columns; a place in a very large picture takes more
NARROWEST_NAME = 16
LIKELY = 0.1  # a second class is told from here on
POINTS = ("eye1", "eye2", "nose", "mouth1", "mouth2")  # left to right as seen


class Lines:
    """A line a face; `width` is the terminal's in characters, None where there is none and nothing is cut."""

    def __init__(self, out: TextIO, names: Sequence[str], labels: Sequence[str], width: int | None):
        self._out = out
        label = max(len(f"{label} 100%") for label in (*labels, HEAD[2]))
        longest = max(map(_cells, (HEAD[0], *names)))
        room = width - NUMBER - 2 * label - PLACE - 8 if width else longest + label
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
            self._write(name, str(number), in_words(face), ", ".join(likely), place(face))
            name = ""
        if not answer.faces:
            self._write(name, "-", NO_FACE, "", "")
        self._out.flush()

    def _write(self, name: str, number: str, expression: str, likely: str, at: str) -> None:
        name, expression, likely = map(_filled, (name, expression, likely), self._widths)
        print("  ".join((name, number.rjust(NUMBER), expression, likely, at)).rstrip(), file=self._out)


class Csv:
    """A row a face; a picture without a face, and one that could not be used, has one row, face 0."""

    def __init__(self, out: TextIO, model: Model):
        self._labels = model.labels
        self._out = out
        self._table = csv.writer(out, lineterminator="\n")
        points = (f"{point}_{axis}" for point in POINTS for axis in "xy")
        box = ("left", "top", "width", "height", "score")
        chosen = ("label", "best", *(f"p_{label}" for label in model.labels))
        self._table.writerow(("picture", "face", *chosen, *box, *points, "problem"))

    def add(self, answer: Answer) -> None:
        """Write the rows of a picture."""
        name = encodable(answer.source.name)
        for number, face in enumerate(answer.faces, start=1):
            shares = (f"{face.probabilities[label]:.6f}" for label in self._labels)
            box = (_number(value, 2) for value in face.box)
            points = (_number(value, 2) for value in face.landmarks.ravel().tolist())
            seen = (*box, _number(face.score, 4), *points)
            self._table.writerow((name, number, face.label, face.best, *shares, *seen, ""))
        if not answer.faces:
            empty = [""] * (2 + len(self._labels) + 5 + 2 * len(POINTS))
            self._table.writerow((name, 0, *empty, answer.problem or NO_FACE))
        self._out.flush()


class Json:
    """One object a line: first a header that names the model and its limits, then one a picture."""

    def __init__(self, out: TextIO, model: Model, card: str):
        self._out = out
        self._write(header(model, card))

    def add(self, answer: Answer) -> None:
        """Write the line of a picture."""
        self._write(told(answer.source.name, answer.faces, answer.size, answer.problem))

    def _write(self, value: dict) -> None:
        print(json.dumps(value, allow_nan=False), file=self._out, flush=True)


def header(model: Model, card: str) -> dict:
    """Return what JSON says of a model and its limits; `card` is where its card stands."""
    named = {"mien": __version__, "format": FORMAT, "model": model.name, "sha256": model.sha256}
    return named | {
        "labels": model.labels,
        "uncertain_below": model.threshold,
        "card": card,
        "limits": LIMITS,
    }


def told(name: str, faces: Sequence[FaceExpression], size: tuple[int, int], problem: str = "") -> dict:
    """Return what JSON says of a picture: its width, height and faces, or why it could not be used."""
    if problem:
        return {"picture": name, "problem": problem}
    return {"picture": name, "width": size[0], "height": size[1], "faces": [_object(f) for f in faces]}


def _object(face: FaceExpression) -> dict:
    """Return a face as JSON has it; what is not known of a crop is null."""
    known = not math.isnan(face.score)
    return {
        "box": [round(value, 2) for value in face.box],
        "landmarks": face.landmarks.round(2).tolist() if known else None,
        "score": round(face.score, 4) if known else None,
        "label": face.label,
        "best": face.best,
        "probabilities": {label: round(p, 6) for label, p in face.probabilities.items()},
    }


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


def summary(answers: Counter, labels: Counter, passed_over: int) -> str:
    """Return a sentence on all pictures; `answers` counts pictures, faces, empty and failed ones."""
    pictures = many(answers["pictures"], "picture")
    told = [f"{pictures}, {many(answers['faces'], 'face')}{by_label(labels)}"]
    rest = [(answers["empty"], "without a face"), (answers["failed"], "not read")]
    rest += [
        (passed_over, f"{'file' if passed_over == 1 else 'files'} passed over, no pictures by their names")
    ]
    rest = [f"{thousands(count)} {words}" for count, words in rest if count]
    return "; ".join([*told, joined(rest)] if rest else told) + "."


def by_label(labels: Counter) -> str:
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
