"""Runs as one CSV file: a row a setting, a row a value of a curve, a row a final figure with its interval."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mien.errors import StorageError
from mien.files import write_csv
from mien.reading import open_file
from mien.run import Run
from mien.track.record import Result, Setting

COLUMNS = ("run", "kind", "name", "epoch", "value", "low", "high")  # kind: setting, curve, figure or report


class CsvTable:
    """A CSV file of runs in long form, whole at any time; an earlier one of ours is replaced."""

    def __init__(self, path: Path):
        self._path = path
        self._rows: dict[str, dict[tuple[str, str, int | str], Sequence[Any]]] = {}
        if path.exists() and _header(path) != list(COLUMNS):
            raise StorageError(f"{path}: exists and is no table of tracked runs; give another name")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, name: str, run: Run, settings: Mapping[str, Setting]) -> None:
        """Take a run's settings."""
        self._rows[name] = {}
        for key, value in settings.items():
            self._put(name, "setting", key, "", value)

    def epoch(self, name: str, epoch: int, curves: Mapping[str, float]) -> None:
        """Take an epoch's figures."""
        for key, value in curves.items():
            self._put(name, "curve", key, epoch, value)

    def finish(self, name: str, epochs: int, result: Result, pages: Sequence[Path]) -> None:
        """Take the final figures, and where the report's page lies."""
        for figure in result.figures:
            ends = ("" if end is None else end for end in (figure.low, figure.high))
            self._put(name, "figure", figure.name, epochs, figure.value, *ends)
        for page in pages:
            if page.suffix == ".html":
                self._put(name, "report", page.name, "", page)

    def flush(self) -> None:
        """Write the file."""
        write_csv(self._path, COLUMNS, [row for rows in self._rows.values() for row in rows.values()])

    def _put(self, run: str, kind: str, name: str, epoch: int | str, value: Any, *ends: Any) -> None:
        low, high = ends or ("", "")
        self._rows[run][kind, name, epoch] = (run, kind, name, epoch, value, low, high)


def _header(path: Path) -> list[str]:
    with open_file(path) as file:
        return next(csv.reader([file.readline(1000).decode("utf-8", "replace")]), [])
