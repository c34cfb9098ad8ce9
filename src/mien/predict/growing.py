"""A table that grows picture by picture, and goes on where a stopped run left it. Knows nothing about faces.

While FILE is not complete, FILE.unfinished lies beside it and says what the run was asked; it goes with the last row.
The rows of a picture are written at once, so that a process killed at any moment leaves whole pictures and, after a
power cut, at most a torn end, which `scan` finds.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from mien import __version__
from mien.errors import DataError, StorageError
from mien.files import require_place, sync_folder, with_no_error, write_atomic
from mien.locks import locked_name
from mien.reading import read_json
from mien.text import many

FORMAT = 1  # of FILE.unfinished
SUFFIX = ".unfinished"
SYNC_EVERY_SECONDS = 5.0


Answer = TypeVar("Answer", contravariant=True)  # what is said of a picture


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a table says."""

    name: str  # of its picture, as the table has it
    begins: bool  # whether it is the picture's first
    ends: bool  # whether it is certainly the picture's last
    labels: list[str]  # of the faces in it
    outcome: str = ""  # "empty" or "failed" of a picture without a face


class TableFormat(Protocol[Answer]):
    """How pictures stand in a table, a line each or more."""

    @property
    def head(self) -> str:
        """What stands before all rows."""
        ...

    def rows(self, answer: Answer, /) -> str:
        """Return the lines of a picture."""
        ...

    def name(self, picture: str) -> str:
        """Return a picture's name as a line has it."""
        ...

    def parse(self, line: str) -> Line | None:
        """Return what a line says; None for one that this format has not."""
        ...


@dataclass(slots=True)
class Kept:
    """The pictures that stand in a table already."""

    pictures: int = 0
    end: int = 0  # of their rows, in bytes
    counts: Counter = field(default_factory=Counter)  # pictures, faces, empty and failed ones
    labels: Counter = field(default_factory=Counter)

    def add(self, lines: Sequence[Line], end: int) -> None:
        """Count a picture of which all lines are there."""
        labels = [label for line in lines for label in line.labels]
        self.pictures += 1
        self.end = end
        self.labels.update(labels)
        self.counts.update(pictures=1, faces=len(labels))
        self.counts.update([lines[0].outcome] if lines[0].outcome else [])


def scan(
    path: Path, form: TableFormat, names: Sequence[str], *, most: int | None = None, ended: bool = False
) -> Kept:
    """Return which of the pictures `names`, in this order, a table holds whole; at most so many of them.

    What stands behind the first line that is torn, or of another picture, does not count; nor does the last picture
    where rows of it may be missing, unless the table is known to have `ended`. DataError for a file that does not begin
    as such a table.
    """
    head, kept, lines = form.head.encode(), Kept(), []
    kept.end = end = len(head)
    with open(path, "rb") as file:
        if file.read(len(head)) != head:
            raise DataError(f"{path}: not begun by this run; give another name, or remove it")
        for raw in file:
            line = form.parse(raw.decode(errors="replace")) if raw.endswith(b"\n") else None
            if line is None:
                break
            if line.begins:
                if lines:
                    kept.add(lines, end)
                lines = []
            place = kept.pictures
            if place == most or place == len(names) or line.name != form.name(names[place]):
                break
            if not line.begins and not lines:
                break
            lines.append(line)
            end += len(raw)
            if line.ends:
                kept.add(lines, end)
                lines = []
    if lines and ended:
        kept.add(lines, end)
    return kept


class GrowingTable(Generic[Answer]):
    """A table in a file. To be entered: `kept` says then what stands in it already; `go_on` comes before `add`."""

    def __init__(
        self, path: str | Path, form: TableFormat[Answer], names: Sequence[str], asked: dict, *, resume: bool
    ):
        self.path = Path(path)
        self.kept = Kept()
        self.complete = False  # whether an earlier run ended it, so that nothing is left to do
        self._state = Path(f"{self.path}{SUFFIX}")
        self._form, self._names, self._resume = form, names, resume
        self._asked = {"format": FORMAT, "mien": __version__, "pictures": fingerprint(names), **asked}
        self._stack = ExitStack()
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        require_place(self.path)
        try:
            self._stack.enter_context(locked_name(self.path, "the table"))
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._stack.callback(os.close, self._handle)
            self._open()
        except OSError as error:
            self._stack.close()
            raise StorageError(f"{self.path}: could not be written ({error.strerror})") from None
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None and not self.complete:
                os.fsync(self._handle)
                with_no_error(self._state.unlink)
                sync_folder(self.path.parent)

    def _open(self) -> None:
        empty = not self.path.stat().st_size
        if self._state.exists() and not empty:
            if not self._resume:
                raise DataError(
                    f"{self.path}: an earlier run did not come to its end; --resume goes on with it, and to begin "
                    f"anew remove {self._state}"
                )
            self._compare(read_json(self._state, what="an unfinished table", newest=FORMAT, error=DataError))
            self.kept = scan(self.path, self._form, self._names)
        elif self._resume and not empty:
            self.kept, self.complete = scan(self.path, self._form, self._names, ended=True), True
            if (self.kept.pictures, self.kept.end) != (len(self._names), self.path.stat().st_size):
                raise DataError(
                    f"{self.path}: complete, and of other pictures; without --resume it is made anew"
                )

    def _compare(self, before: dict) -> None:
        """Raise DataError unless the table was begun with the same model, options and pictures."""
        for name, value in self._asked.items():
            if before.get(name) != value:
                raise DataError(
                    f"{self.path}: begun with {_in_words(name, before.get(name))}, and now {_in_words(name, value)}; "
                    f"go on with the same, or remove {self._state} to begin anew"
                )

    def go_on(self, pictures: int) -> None:
        """Drop all rows but those of so many pictures, as many as `kept` or fewer, and go on behind them."""
        if self.complete and pictures == self.kept.pictures:
            return
        if pictures < self.kept.pictures:
            self.kept, self.complete = scan(self.path, self._form, self._names, most=pictures), False
        if not pictures:
            os.ftruncate(self._handle, 0)  # first: what stood here is not of the run that the state tells of
        write_atomic(self._state, json.dumps(self._asked, indent=2) + "\n")
        os.ftruncate(self._handle, self.kept.end if pictures else 0)
        os.lseek(self._handle, 0, os.SEEK_END)
        if not pictures:
            self._append(self._form.head)

    def add(self, answer: Answer) -> None:
        """Write the rows of a picture, all or none; StorageError where the disk refuses."""
        self._append(self._form.rows(answer))

    def _append(self, text: str) -> None:
        end, data = os.lseek(self._handle, 0, os.SEEK_CUR), text.encode()
        try:
            while data:
                data = data[os.write(self._handle, data) :]
            if time.monotonic() - self._synced > SYNC_EVERY_SECONDS:
                os.fsync(self._handle)
                self._synced = time.monotonic()
        except OSError as error:
            with_no_error(os.ftruncate, self._handle, end)
            raise StorageError(
                f"{self.path}: could not be written ({error.strerror}); what was done is in it, --resume goes on"
            ) from None


def go_on_together(tables: Sequence[GrowingTable]) -> Kept:
    """Have tables of one run go on behind the same picture, and return what stands in each before it."""
    done = min((table.kept.pictures for table in tables), default=0)
    for table in tables:
        table.go_on(done)
    return tables[0].kept if tables else Kept()


def fingerprint(names: Sequence[str]) -> dict[str, int | str]:
    """Return what tells whether pictures are the same: how many, and a hash of their names and sizes."""
    digest = hashlib.sha256()
    for name in names:
        try:
            size = os.stat(name).st_size  # noqa: PTH116 (names need not be paths)
        except (OSError, ValueError):
            size = -1
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    return {"number": len(names), "sha256": digest.hexdigest()}


def _in_words(name: str, value) -> str:
    if name == "pictures" and isinstance(value, dict):
        return f"{many(value.get('number', 0), 'picture')} (names and sizes {str(value.get('sha256'))[:8]})"
    return f"{name.replace('_', ' ')} {value}"
