"""Tables that grow item by item, and go on where a stopped run left them. Knows nothing about what the items are.

While FILE is not complete, FILE.unfinished lies beside it; it says what the run was asked and how many items have ended
on the disk, and goes with the last row. The lines of one call are written at once, so that a process killed at any
moment leaves whole items and those of one that had not ended, and a power cut at most a torn end, which `scan` finds.
"""

import hashlib
import json
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from mien import __version__
from mien.errors import DataError, Stopped, StorageError
from mien.files import require_place, sync_folder, with_no_error, write_atomic
from mien.locks import locked_name
from mien.reading import read_json
from mien.system import WRITE_FLAGS, beside
from mien.text import joined, many, thousands

FORMAT = 1  # of FILE.unfinished
SUFFIX = ".unfinished"
STANDARD_OUTPUT = "-"
SYNC_EVERY_SECONDS = 5.0
PROGRESS = ("ended", "bytes")  # what FILE.unfinished says beside what was asked

Place = str | Path | None  # a file, "-" for standard output, or nothing


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a table says."""

    name: str  # of its item, as the table has it
    begins: bool = False  # whether it is certainly the item's first
    ends: bool = False  # whether it is certainly the item's last
    labels: Sequence[str] = ()  # what it adds to a count by label
    outcome: str = ""  # what its item adds to a count by outcome


class TableFormat(Protocol):
    """How items stand in a table, in lines."""

    @property
    def head(self) -> str:
        """What stands before all lines."""
        ...

    @property
    def sparse(self) -> bool:
        """Whether an item may have no line."""
        ...

    def name(self, item: str, /) -> str:
        """Return an item's name as a line has it."""
        ...

    def parse(self, line: str, /) -> Line | None:
        """Return what a line says; None for one that this format has not."""
        ...


AnyFormat = TypeVar("AnyFormat", bound=TableFormat)


@dataclass(slots=True)
class Kept:
    """The items that stand in a table already."""

    items: int = 0
    end: int = 0  # of their lines, in bytes
    labels: Counter[str] = field(default_factory=Counter[str])
    outcomes: Counter[str] = field(default_factory=Counter[str])

    def add(self, lines: Sequence[Line], end: int) -> None:
        """Count an item of which all lines are there."""
        self.items += 1
        self.end = end
        for line in lines:
            self.labels.update(line.labels)
        self.outcomes.update({line.outcome for line in lines if line.outcome})


def scan(
    path: Path, form: TableFormat, names: Sequence[str], *, most: int | None = None, ended: int = 0
) -> Kept:
    """Return which of the items `names`, in this order, a table holds whole; at most so many of them.

    What stands behind the first line that is torn, or of another item, does not count; nor does the last item where
    lines of it may be missing, unless it is one of the first `ended`, which are known to have all theirs. DataError for
    a file that does not begin as such a table.
    """
    names = [form.name(name) for name in names[:most]]
    head, kept, lines = form.head.encode(), Kept(), list[Line]()
    kept.end = end = len(head)
    with open(path, "rb") as file:
        if (begins := file.read(len(head))) != head:
            if head.startswith(begins):  # torn there
                return Kept()
            raise DataError(f"{path}: not begun by this command and model; give another name, or remove it")
        for raw in file:
            line = form.parse(raw.decode(errors="replace")) if raw.endswith(b"\n") else None
            if line is None:
                break
            if lines and (line.begins or line.name != names[kept.items]):
                kept.add(lines, end)
                lines = []
            while form.sparse and kept.items < min(ended, len(names)) and line.name != names[kept.items]:
                kept.add([], end)
            if kept.items == len(names) or line.name != names[kept.items]:
                return kept
            lines.append(line)
            end += len(raw)
            if line.ends:
                kept.add(lines, end)
                lines = []
    if lines and kept.items < ended:
        kept.add(lines, end)
    while form.sparse and kept.items < min(ended, len(names)):
        kept.add([], end)
    return kept


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does to its items, in their order."""

    names: Sequence[str]  # of the items
    things: str  # what they are called
    options: Mapping[str, object]  # what must be the same for a run to go on with a table
    resume: bool
    sync_seconds: float = SYNC_EVERY_SECONDS  # what has ended is synced at most so often


class GrowingTable:
    """A table in a file. To be entered: `kept` says then what stands in it already; `go_on` comes before `append`."""

    def __init__(self, path: str | Path, form: TableFormat, work: Work) -> None:
        self.path = Path(path)
        self.kept = Kept()
        self.complete = False  # whether an earlier run ended it, so that nothing is left to do
        self._state = unfinished(self.path)
        self._form, self._names, self._work = form, work.names, work
        same = {"format": FORMAT, "mien": __version__, work.things: fingerprint(work.names), **work.options}
        self._options: dict[str, Any] = json.loads(json.dumps(same))  # as it is read again
        self._stack = ExitStack()
        self._ended, self._synced = 0, time.monotonic()

    def __enter__(self) -> Self:
        require_place(self.path)
        try:
            self._stack.enter_context(locked_name(self.path, "the table"))
            self._handle = os.open(self.path, WRITE_FLAGS, 0o666)
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
        size = self.path.stat().st_size
        if self._state.exists() and size:
            if not self._work.resume:
                raise DataError(
                    f"{self.path}: an earlier run did not come to its end; --resume goes on with it, and to begin "
                    f"anew remove {self._state}"
                )
            state = read_json(self._state, what="an unfinished table", newest=FORMAT, error=DataError)
            state.setdefault("device", "cpu")  # of before there was a choice
            self._compare(state)
            self.kept = scan(self.path, self._form, self._names, ended=_ended(state, size))
        elif self._work.resume and size:
            self.kept = scan(self.path, self._form, self._names, ended=len(self._names))
            self.complete = True
            if (self.kept.items, self.kept.end) != (len(self._names), size):
                raise DataError(
                    f"{self.path}: complete, and of other {self._work.things}; without --resume it is made anew"
                )

    def _compare(self, before: Mapping[str, Any]) -> None:
        """Raise DataError unless the table was begun with the same model, options and items."""
        for name, value in self._options.items():
            if before.get(name) != value:
                raise DataError(
                    f"{self.path}: begun with {_in_words(name, before.get(name))}, and now {_in_words(name, value)}; "
                    f"go on with the same, or remove {self._state} to begin anew"
                )

    def go_on(self, items: int) -> None:
        """Drop all lines but those of so many items, as many as `kept` or fewer, and go on behind them."""
        if self.complete and items == self.kept.items:
            return
        if items < self.kept.items:
            self.kept = scan(self.path, self._form, self._names, most=items, ended=items)
            self.complete = False
        self._ended = items
        if not items:
            os.ftruncate(self._handle, 0)  # first: what stood here is not of the run that the state tells of
        self._write_state(self.kept.end if items else 0)
        os.ftruncate(self._handle, self.kept.end if items else 0)
        os.lseek(self._handle, 0, os.SEEK_END)
        if not items:
            self.append(self._form.head)

    def _write_state(self, end: int) -> None:
        progress = dict(zip(PROGRESS, (self._ended, end), strict=True))
        write_atomic(self._state, json.dumps(self._options | progress, indent=2) + "\n")

    def append(self, text: str) -> None:
        """Write lines, all or none; StorageError where the disk refuses."""
        end, data = os.lseek(self._handle, 0, os.SEEK_CUR), text.encode(errors="backslashreplace")
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError as error:
            with_no_error(os.ftruncate, self._handle, end)
            raise self._not_written(error) from None

    def end_item(self) -> None:
        """Take note that all lines of an item are there; StorageError where the disk refuses."""
        self._ended += 1
        if time.monotonic() - self._synced < self._work.sync_seconds:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise self._not_written(error) from None
        self._write_state(os.lseek(self._handle, 0, os.SEEK_CUR))
        self._synced = time.monotonic()

    def _not_written(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self.path}: could not be written ({error.strerror}); what was done is in it, --resume goes on"
        )


class Tables(Generic[AnyFormat]):
    """The tables of one run: those in files, which go on together behind the same item, and one on standard output.

    To be entered: `kept` says then what stands in every file already, as the first one has it. Stopped, from within,
    says which files keep what was done.
    """

    def __init__(self, formats: Sequence[tuple[Place, AnyFormat]], work: Work) -> None:
        self.kept = Kept()
        self._formats, self._work = formats, work
        self._files = {
            place: GrowingTable(place, form, work)
            for place, form in formats
            if place is not None and place != STANDARD_OUTPUT
        }
        self._sinks: list[tuple[AnyFormat, Callable[[str], object]]] = []
        self._stack = ExitStack()
        self._done = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            tables = [stack.enter_context(table) for table in self._files.values()]
            self._done = min((table.kept.items for table in tables), default=0)
            for table in tables:
                table.go_on(self._done)
            self._stack = stack.pop_all()
        if tables and self._done:
            self.kept = tables[0].kept
            print(f"mien: {self._in_words()}", file=sys.stderr)
        for place, form in self._formats:
            if place is not None:
                self._sinks.append((form, self._sink(place, form)))
        return self

    def _sink(self, place: str | Path, form: AnyFormat) -> Callable[[str], object]:
        if place in self._files:
            return self._files[place].append
        _to_standard_output(form.head)
        return _to_standard_output

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if isinstance(error, Stopped) and self._files:
            raise Stopped(f"stopped; {self._in_words()}, --resume goes on") from None

    def write(self, lines: Callable[[AnyFormat], str]) -> None:
        """Add to each table the lines that its format has for something."""
        for form, sink in self._sinks:
            if text := lines(form):
                sink(text)

    def end_item(self) -> None:
        """Take note that all lines of an item are written."""
        self._done += 1
        for table in self._files.values():
            table.end_item()

    def _in_words(self) -> str:
        """Return what the files keep: "faces.csv keeps 120 of 2,000 pictures"."""
        verb = "keeps" if len(self._files) == 1 else "keep"
        done = f"{thousands(self._done)} of {thousands(len(self._work.names))} {self._work.things}"
        return f"{joined([str(table.path) for table in self._files.values()])} {verb} {done}"


def unfinished(path: Path) -> Path:
    """Return the file beside a table that says how far it is."""
    return beside(path, SUFFIX, hidden=False)


def check_resume(resume: bool, *places: Place) -> None:
    """Raise DataError where there is no table in a file to go on with."""
    if resume and not {*places} - {None, STANDARD_OUTPUT}:
        raise DataError("--resume goes on with a table in a file; name it with --csv or --json")


def fingerprint(names: Sequence[str]) -> dict[str, int | str]:
    """Return what tells whether items are the same: how many, and a hash of their names and sizes as files."""
    digest = hashlib.sha256()
    for name in names:
        try:
            status = os.stat(name)  # noqa: PTH116 (names need not be paths)
            size = status.st_size if stat.S_ISREG(status.st_mode) else -1
        except (OSError, ValueError):
            size = -1
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    return {"number": len(names), "sha256": digest.hexdigest()}


def _ended(state: Mapping[str, Any], size: int) -> int:
    """Return how many items have ended as a state says; none where the table is shorter than it was then."""
    ended: Any = state.get(PROGRESS[0])
    end: Any = state.get(PROGRESS[1])
    return ended if isinstance(ended, int) and isinstance(end, int) and end <= size else 0


def _to_standard_output(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, dict):
        items: dict[str, Any] = {**value}
        number = many(items.get("number", 0), name.removesuffix("s"))
        return f"{number} (names and sizes {str(items.get('sha256'))[:8]})"
    return f"{name.replace('_', ' ')} {value}"
