"""What a CSV file of `mien predict` or `mien video` holds, in words. Reads it row by row."""

import csv
from collections import Counter
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from mien.errors import DataError
from mien.predict.columns import NO_FACE
from mien.predict.growing import unfinished
from mien.predict.recognizer import UNCERTAIN
from mien.predict.rows import by_label, summary
from mien.reading import open_file
from mien.text import many

MAKERS = {"picture": "mien predict", "video": "mien video"}  # by the first column
NEEDED = ("label", "problem")
LARGEST_HEAD = 2**16  # characters


def _opened(path: Path) -> TextIO:
    return TextIOWrapper(open_file(path), encoding="utf-8", newline="")


def is_ours(path: Path) -> bool:
    """Whether a CSV file begins as one of the two does."""
    try:
        with _opened(path) as file:
            head = next(csv.reader([file.readline(LARGEST_HEAD)]), list[str]())
    except (OSError, ValueError, csv.Error):
        return False
    return bool(head) and head[0] in MAKERS and set(NEEDED) <= set(head)


def in_words(path: Path) -> str:
    """Return a line about such a file; DataError, with the row if it can, for one that is damaged or cut short."""
    counts, labels = Counter[str](), Counter[str]()
    sources, people = set[str](), set[tuple[str, str]]()
    head: list[str] = []
    try:
        with _opened(path) as file:
            rows = csv.reader(file)
            head = next(rows)
            place = {name: i for i, name in enumerate(head)}
            known = {name.removeprefix("p_") for name in head if name.startswith("p_")} | {UNCERTAIN, ""}
            for number, row in enumerate(rows, start=2):
                if len(row) != len(head) or row[place["label"]] not in known:
                    raise DataError(f"{path}, row {number}: {_not_as_written(head)}")
                sources.add(row[0])
                if label := row[place["label"]]:
                    labels[label] += 1
                    people.add((row[0], row[place.get("person", 0)]))
                else:
                    counts["empty" if row[place["problem"]] == NO_FACE else "failed"] += 1
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path}: {_not_as_written(head)}") from None
    rest = "; unfinished, --resume goes on" if unfinished(path).exists() else ""
    if "person" in place:
        persons = f"{many(len(people), 'person', 'people')} in {many(len(sources), 'video')}"
        return f"{path}: of mien video, {persons}, {many(labels.total(), 'row')}{by_label(labels)}{rest}."
    counts |= Counter(pictures=len(sources), faces=labels.total())
    return f"{path}: of mien predict, {summary(counts, labels, 0).removesuffix('.')}{rest}."


def _not_as_written(head: list[str]) -> str:
    maker = MAKERS[head[0]] if head else " or ".join(MAKERS.values())
    return f"not as {maker} writes it; make the file anew"
