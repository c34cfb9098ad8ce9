"""Tracking: runs are copied to TensorBoard, MLflow or a CSV file, after training or beside it. Changes no run.

`record.py` reads what a run's files tell; `tensorboard.py`, `mlflow.py` and `table.py` each write one kind of tracker.
Training knows nothing of any: it writes its files, and this package reads them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mien.errors import DataError, MissingExtra, Stopped, StorageError
from mien.labels import did_you_mean
from mien.run import Run, read_run
from mien.text import many, without_password
from mien.track.record import Tracker, epochs_of, names_of, result_of, settings_of

POLL_SECONDS = 2.0
KINDS = ("tensorboard", "mlflow", "csv")


def track(
    runs: Sequence[Path],
    to: str,
    *,
    follow: bool = False,
    report: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda line: None,
    poll_seconds: float = POLL_SECONDS,
) -> list[str]:
    """Copy runs to "tensorboard:DIR", "mlflow:URI" or "csv:FILE"; return a line on each.

    A run's settings are its recipe's fields, seed, data and engine; its curves are `metrics.csv`; its final figures are
    those of its predictions on val and test, whole, clean and strictly clean, with 95 % intervals over faces (of one
    seed: the spread over seeds is not in them). `report` is the folder that `mien compare` wrote; it goes along.

    With `follow` epochs are copied as they end, also of a run that has not begun, until every run is complete; a
    tracker that does not answer then is tried again. Otherwise a run is copied as it stands. The same command again
    goes on, and adds figures of predictions made meanwhile; nothing is there twice.

    Raises DataError, RunError, StorageError in one line, MissingExtra without the tracker's package, Stopped where
    `stop()` is true first.
    """
    names = names_of(runs)
    pages = _report_files(report)
    if not follow:
        for folder in names:
            read_run(folder)
    with _opened(to) as tracker:
        copies = [_Copy(folder, name, tracker, pages) for folder, name in names.items()]
        while True:
            for copy in copies:
                _follow(copy, note) if follow else copy.advance()
            if not follow or all(copy.complete for copy in copies):
                return [f"{copy}, in {without_password(to)}" for copy in copies]
            _wait(poll_seconds, stop)


class _Copy:
    """One run on its way to a tracker."""

    def __init__(self, folder: Path, name: str, tracker: Tracker, pages: Sequence[Path]):
        self.folder, self.name = folder, name
        self.complete = self.waits = self._begun = False
        self._tracker, self._pages = tracker, pages
        self._epochs = self._figures = 0

    def advance(self) -> None:
        """Copy what is new in the run."""
        run = read_run(self.folder)
        complete = run.complete  # asked before its epochs are read: afterwards none is added
        if not self._begun:
            self._tracker.begin(self.name, run, settings_of(run))
            self._begun = True
        for epoch, curves in epochs_of(run).items():
            if epoch > self._epochs:
                self._tracker.epoch(self.name, epoch, curves)
                self._epochs = epoch
        if complete:
            self._finish(run)
        self._tracker.flush()
        self.complete = complete

    def _finish(self, run: Run) -> None:
        result = result_of(run)
        self._tracker.finish(self.name, self._epochs, result, self._pages)
        self._figures = len(result.figures)

    def __str__(self) -> str:
        state = f"{self._figures} figures" if self.complete else "not complete"
        return f"{self.folder}: {many(self._epochs, 'epoch')}, {state}"


def _follow(copy: _Copy, note: Callable[[str], None]) -> None:
    """Copy what is new in a run, which need not have begun, to a tracker, which need not answer now."""
    if copy.complete:
        return
    try:
        if (copy.folder / "run.json").exists():
            copy.advance()
            copy.waits = False
        elif not copy.waits:
            copy.waits = True
            note(f"{copy.folder}: waits until training begins")
    except StorageError as error:
        if not copy.waits:
            copy.waits = True
            note(f"{error}; it is tried again")


def _report_files(report: Path | None) -> list[Path]:
    """Return the page and the figures of a report's folder; DataError where it holds none."""
    if report is None:
        return []
    pages = [*sorted(report.glob("*.html")), *sorted(report.glob("figures/*.png"))]
    if not pages:
        raise DataError(f"{report}: no report's folder; give the one that mien compare --out wrote")
    return pages


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if stop():
            raise Stopped("stopped; the same command goes on from here")
        time.sleep(min(0.1, seconds))


def _opened(to: str) -> Tracker:
    """Return the tracker that a target names; its package is imported here."""
    kind, colon, place = to.partition(":")
    if not colon or kind not in KINDS:
        raise DataError(
            f"--to {without_password(to)}: give tensorboard:DIR, mlflow:URI or csv:FILE{did_you_mean(kind, KINDS)}"
        )
    if not place and kind != "mlflow":
        raise DataError(f"--to {to}: name the {'file' if kind == 'csv' else 'folder'} after the colon")
    try:
        return _tracker(kind, place)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name} is not installed: pip install 'mien[track]'") from None


def _tracker(kind: str, place: str) -> Tracker:
    if kind == "tensorboard":
        from mien.track.tensorboard import TensorBoard

        return TensorBoard(Path(place))
    if kind == "mlflow":
        from mien.track.mlflow import Mlflow

        return Mlflow(place)
    from mien.track.table import CsvTable

    return CsvTable(Path(place))
