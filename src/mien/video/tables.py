"""Tables that grow row by row, so that a killed process leaves its rows, and that are taken up again. Reads no video.

A row is a line. Rows of a video that was not finished are cut off before it is read once more.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from mien.errors import DataError, StorageError
from mien.files import require_place
from mien.locks import locked_name
from mien.model import Model
from mien.predict import STANDARD_OUTPUT
from mien.predict.rows import encodable
from mien.video.rows import Csv, Json, PeopleCsv, Writer

Tables = dict[str, str | Path | None]  # by kind: "csv", "json", "people"; "-" is standard output
Name = Callable[[str], str]  # of a line: the video it is about, as a table's cell holds it; "" for none


def open_tables(
    stack: ExitStack, tables: Tables, model: Model, card: str, *, resume: bool
) -> tuple[list[Writer], frozenset[str]]:
    """Open the tables; return who writes them, and the videos, as cells, that an earlier run's hold already.

    DataError where a table to be resumed was begun with another model.
    """
    paths = {kind: Path(path) for kind, path in tables.items() if path not in (None, STANDARD_OUTPUT)}
    for path in paths.values():
        require_place(path)
        stack.enter_context(locked_name(path, "the table"))
    done = _take_up(paths, model, card) if resume else frozenset()
    writers: list[Writer] = []
    for kind, path in tables.items():
        if path is not None:
            known = kind in paths
            file = stack.enter_context(_growing(paths[kind], resume)) if known else sys.stdout
            writers.append(_writer(kind, file, model, card, begun=known and file.tell() > 0))
    return writers, done


def _writer(kind: str, file: TextIO, model: Model, card: str, *, begun: bool) -> Writer:
    if kind == "json":
        return Json(file, model, card)
    return (Csv if kind == "csv" else PeopleCsv)(file, model, begun=begun)


@contextmanager
def _growing(path: Path, resume: bool) -> Iterator[TextIO]:
    """Yield a text file that is added to, a new one without `resume`. StorageError where the disk refuses more."""
    mode = "a" if resume else "w"
    try:
        with open(path, mode, encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
    except BrokenPipeError:
        raise  # of another file: the reader of standard output went
    except OSError as error:
        raise StorageError(
            f"{path}: could not be written ({error.strerror}); rows so far are kept"
        ) from error


def _take_up(paths: Mapping[str, Path], model: Model, card: str) -> frozenset[str]:
    """Cut tables of an earlier run, by kind, to the videos that they hold whole; return these, as cells of a table."""
    for kind, path in paths.items():
        if not _is_of(kind, path, model, card):
            raise DataError(f"{path}: not begun with this model; name another file, or leave out --resume")
    done = frozenset(_ends(paths["json"]) if "json" in paths else _whole(paths["csv"]))
    for kind, path in paths.items():
        _cut(path, done, NAME[kind])
    return done


def _is_of(kind: str, path: Path, model: Model, card: str) -> bool:
    """Whether a table, if there is one, was begun by the same writer with the same model."""
    if kind == "json":
        lines = (_parsed(line) for _, line in _lines(path))
        return all("video" in line and line.get("sha256", model.sha256) == model.sha256 for line in lines)
    head = io.StringIO()
    _writer(kind, head, model, card, begun=False)
    return next(_lines(path), (0, head.getvalue()))[1] == head.getvalue()


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


def _whole(path: Path) -> Iterator[str]:
    """Yield the videos of which a CSV table has all rows: all but the last, and that one if a problem ended it."""
    before, problem = "", ""
    for _, line in _lines(path):
        name = _csv_name(line)
        if before and name != before:
            yield before
        before, problem = name, next(csv.reader([line]), [""])[-1]
    if before and problem:
        yield before


def _ends(path: Path) -> Iterator[str]:
    """Yield the videos whose end is in a JSON table."""
    for _, line in _lines(path):
        if "frames" in _parsed(line):
            yield _json_name(line)


NAME: dict[str, Name] = {"csv": _csv_name, "people": _csv_name, "json": _json_name}
