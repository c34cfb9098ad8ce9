"""Tables that grow row by row, so that a killed process leaves its rows, and that are taken up again. Reads no video.

A row is a line. Rows of a video that was not finished are cut off before it is read once more.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

from mien.errors import DataError, StorageError
from mien.files import require_place
from mien.model import Model
from mien.predict import STANDARD_OUTPUT
from mien.predict.rows import encodable
from mien.video.rows import Csv, Json, PeopleCsv, Writer

Tables = dict[str, str | Path | None]  # by kind: "csv", "json", "people"; "-" is standard output
Name = Callable[[str], str]  # of a line: the video it is about, as a table's cell holds it; "" for none


def open_tables(
    stack: ExitStack, tables: Tables, model: Model, card: str, *, resume: bool
) -> tuple[list[Writer], frozenset[str]]:
    """Open the tables; return who writes them, and the videos, as cells, that an earlier run's hold already."""
    kinds = {"csv": partial(Csv, model=model), "people": partial(PeopleCsv, model=model)}
    kinds["json"] = partial(Json, model=model, card=card)
    files = {kind: Path(path) for kind, path in tables.items() if path not in (None, STANDARD_OUTPUT)}
    for path in files.values():
        require_place(path)
    done = (
        _take_up({kind: (path, _first_line(kinds[kind])) for kind, path in files.items()}) if resume else ()
    )
    writers: list[Writer] = [
        kinds[kind](sys.stdout) for kind, path in tables.items() if path == STANDARD_OUTPUT
    ]
    for kind, path in files.items():
        file = stack.enter_context(_growing(path, "a" if resume else "w"))
        writers.append(kinds[kind](file, begun=file.tell() > 0))
    return writers, frozenset(done)


@contextmanager
def _growing(path: Path, mode: str) -> Iterator[TextIO]:
    """Yield a text file that is added to; StorageError where the disk refuses, and what was written stays."""
    try:
        with open(path, mode, encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
    except BrokenPipeError:
        raise  # of another file: the reader of standard output went
    except OSError as error:
        raise StorageError(
            f"{path}: could not be written ({error.strerror}); rows so far are kept"
        ) from error


def _first_line(write: Callable[[TextIO], Writer]) -> str:
    text = io.StringIO()
    write(text)
    return text.getvalue()


def _take_up(tables: dict[str, tuple[Path, str]]) -> frozenset[str]:
    """Cut tables of an earlier run to the videos that they hold whole; return these, as cells of a table.

    `tables` are by kind ("csv", "json", "people"), each with its first line as this run would write it. DataError where
    that is another one.
    """
    for kind, (path, first) in tables.items():
        line = next(_lines(path), (0, first))[1]
        if HEAD[kind](line) != HEAD[kind](first):
            raise DataError(f"{path}: not begun with this model; name another file, or leave out --resume")
    kind = "json" if "json" in tables else "csv"  # the former tells where a video ends
    done = frozenset(DONE[kind](tables[kind][0]))
    for kind, (path, _) in tables.items():
        _cut(path, done, NAME[kind])
    return done


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield where each whole line of a file ends, and the line; nothing where there is no file."""
    if not path.exists():
        return
    end = 0
    try:
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield end, line.decode("utf-8", "replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _cut(path: Path, done: frozenset[str], name: Name) -> None:
    """Cut a table before the first row that is about no video of those done, and before a torn one."""
    kept = 0
    for end, line in _lines(path):
        if name(line) and name(line) not in done:
            break
        kept = end
    if path.exists():
        with open(path, "r+b") as file:
            file.truncate(kept)


def _csv_name(line: str) -> str:
    cell = next(csv.reader([line]), [""])[0]
    return "" if cell == "video" else cell


def _json_name(line: str) -> str:
    video = _parsed(line).get("video")
    return encodable(video) if isinstance(video, str) else ""


def _parsed(line: str) -> dict:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _done_of_csv(path: Path) -> Iterator[str]:
    """Yield the videos of which a table has all rows: all but the last, and that one where it ends with a problem."""
    before, problem = "", ""
    for _, line in _lines(path):
        name = _csv_name(line)
        if before and name != before:
            yield before
        before, problem = name, next(csv.reader([line]), [""])[-1]
    if before and problem:
        yield before


def _done_of_json(path: Path) -> Iterator[str]:
    for _, line in _lines(path):
        if "frames" in _parsed(line):
            yield _json_name(line)


def _json_head(line: str) -> list[object]:
    return [_parsed(line).get(key) for key in ("model", "sha256", "uncertain_below")]


NAME: dict[str, Name] = {"csv": _csv_name, "people": _csv_name, "json": _json_name}
DONE = {"csv": _done_of_csv, "json": _done_of_json}
HEAD: dict[str, Callable[[str], object]] = {"csv": str, "people": str, "json": _json_head}
