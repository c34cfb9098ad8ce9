"""Runs in MLflow, on a server or in a database. Needs mlflow or mlflow-skinny, of which it uses the client alone."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from mien import __version__
from mien.errors import StorageError
from mien.reading import sha256_file
from mien.run import Run
from mien.text import shortened, without_password
from mien.track.record import CURVES, Result, Setting

EXPERIMENT = "mien"  # unless MLFLOW_EXPERIMENT_NAME names another
TAG = "mien.run"  # sha256 of the run.json that an MLflow run is a copy of
MOST_AT_ONCE = 100  # settings in a request
LONGEST_SETTING = 500  # characters, in older servers
LONGEST_REASON = 300
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its 7 take four minutes to say that no server is there
    "GIT_PYTHON_REFRESH": "quiet",
}


class Mlflow:
    """An experiment of MLflow's. A run that was copied before is gone on with."""

    def __init__(self, uri: str):
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for logger in ("mlflow", "alembic"):  # what they say of the tables that they make
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._where = f"mlflow:{without_password(uri)}"
        self._ids: dict[str, str] = {}
        self._last: dict[str, int] = {}
        with self._errors():
            self._client = MlflowClient(uri or None)
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
            known = self._client.get_experiment_by_name(name)
            self._experiment = known.experiment_id if known else self._client.create_experiment(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, name: str, run: Run, settings: Mapping[str, Setting]) -> None:
        """Make the run, or find the one that it was copied to before, and write its settings."""
        from mlflow.entities import Param

        digest = sha256_file(run.folder / "run.json")
        with self._errors():
            there = self._client.search_runs([self._experiment], f"tags.`{TAG}` = '{digest}'")
            tags = {TAG: digest, "mien.version": __version__}
            copy = there[0] if there else self._client.create_run(self._experiment, tags=tags, run_name=name)
            known = copy.data.params
            parameters = [Param(k, str(v)[:LONGEST_SETTING]) for k, v in settings.items() if k not in known]
            for first in range(0, len(parameters), MOST_AT_ONCE):
                some = parameters[first : first + MOST_AT_ONCE]
                self._client.log_batch(copy.info.run_id, params=some)
            history = self._client.get_metric_history(copy.info.run_id, f"{CURVES}val_accuracy")
            self._last[name] = max((point.step for point in history), default=0)
            self._ids[name] = copy.info.run_id

    def epoch(self, name: str, epoch: int, curves: Mapping[str, float]) -> None:
        """Write an epoch's figures, unless they are there."""
        if epoch > self._last[name]:
            self._write(name, epoch, {CURVES + key: value for key, value in curves.items()})
            self._last[name] = epoch

    def finish(self, name: str, epochs: int, result: Result, pages: Sequence[Path]) -> None:
        """Write final figures, intervals as _low and _high, the summary as the run's description, and the report."""
        run_id = self._ids[name]
        with self._errors():
            there = self._client.get_run(run_id).data.metrics
            new = {key: value for key, value in result.numbers().items() if there.get(key) != value}
            self._write(name, epochs, new)
            self._client.set_tag(run_id, "mlflow.note.content", result.summary)
            for page in pages:
                self._client.log_artifact(run_id, str(page), "report")
            self._client.set_terminated(run_id)

    def flush(self) -> None:
        """Nothing waits here."""

    def _write(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        """Write numbers in one request, so that an epoch is there whole or not at all."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        with self._errors():
            metrics = [Metric(key, float(value), now, step) for key, value in numbers.items()]
            self._client.log_batch(self._ids[name], metrics=metrics)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise StorageError, in one line, for what MLflow, its server or its database says no to."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError, ImportError) as error:
            reason = shortened(without_password(" ".join(str(error).split())), LONGEST_REASON)
            raise StorageError(f"{self._where}: nothing could be written there ({reason})") from None
