"""Optuna's storages: one opened for a search's work, or anybody's opened to be read. Knows nothing about training.

A search keeps its trials in a journal file in its own folder, or behind an address such as
postgresql://HOST/DATABASE. What is opened to be read is never written to: of an SQLite file a
private copy is read, which Optuna may bring to its newest schema.
"""

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from mien.errors import MienError, TuneError
from mien.locks import locked_name
from mien.reading import open_file, sealed, unsealed
from mien.text import without_password as shown
from mien.tune import JOURNAL

SQLITE_HEADER = b"SQLite format 3\0"
DRIVERS = {
    "postgresql": ("psycopg", "psycopg2", "pg8000"),
    "mysql": ("pymysql", "MySQLdb"),
}  # first is advised
PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
TRIES = 5  # to make the tables, where workers begin at once
PATIENCE_SECONDS = 3  # with a file that another program has locked


class FileLock:
    """Lock of a file, which is made: it is free however the process ends, where Optuna's wait 30 seconds.

    Whoever takes it also removes a line that a full disk or a power cut left without its end,
    after which nobody could read a journal any more.
    """

    def __init__(self, path: Path):
        self._path = path
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock and hold it."""
        self._held.enter_context(locked_name(self._path, "the search", waiting=lambda: None))
        with open(self._path, "ab+") as file:
            cut_torn_line(file)
        return True

    def release(self) -> None:
        """Free the lock, if it is held."""
        self._held.close()


def cut_torn_line(file: BinaryIO) -> None:
    """Shorten an open file to the end of its last whole line."""
    end = size = file.seek(0, os.SEEK_END)
    while end:
        file.seek(end - 1)
        if file.read(1) == b"\n":
            break
        end -= 1
    if end < size:
        file.truncate(end)


def is_address(where: str | Path) -> bool:
    """Tell whether a storage is given by an address and not by a path."""
    return "://" in str(where)


@contextmanager
def open_to_work(where: str | Path) -> Iterator[BaseStorage]:
    """Yield the storage at an address, or in a journal file, which is made where it is missing.

    Raises TuneError in one line, also where the database fails in the block.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _storage_errors(where):
        storage = _made_by_one(str(where)) if is_address(where) else _journal(Path(where))
    with _database_errors(where), _closing(storage):
        yield storage


@contextmanager
def open_to_read(where: str | Path) -> Iterator[BaseStorage]:
    """Yield the storage at a path or an address, which stays as it is.

    Raises TuneError in one line where there is none, or it is not Optuna's, locked or damaged: what goes
    wrong in the block counts as damage, since every byte of a storage may be a stranger's.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if str(where).startswith("sqlite:///"):
        where = Path(str(where).removeprefix("sqlite:///"))
    with _storage_errors(where), tempfile.TemporaryDirectory() as folder:
        if is_address(where):
            storage = _database(str(where))
        elif _is_sqlite(path := _file_of(where)):
            storage = _copy_of_sqlite(path, Path(folder) / "copy.db")
        else:
            storage = JournalStorage(SealedJournal(str(path)))
        with _closing(storage):
            yield storage


@contextmanager
def _closing(storage: BaseStorage) -> Iterator[None]:
    """Close a storage's connections to a database, if it has any, when the block ends."""
    try:
        yield
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def _file_of(where: str | Path) -> Path:
    path = Path(where)
    path = path / JOURNAL if path.is_dir() else path
    if not path.is_file():
        raise TuneError(f"{where}: no search and no Optuna storage is there")
    return path


def _is_sqlite(path: Path) -> bool:
    with open_file(path) as file:
        return file.read(len(SQLITE_HEADER)) == SQLITE_HEADER


def _journal(path: Path) -> JournalStorage:
    lock: Any = FileLock(path)  # the base class of Optuna's locks is private
    return JournalStorage(SealedJournal(str(path), lock_obj=lock))


class SealedJournal(JournalFileBackend):
    """A journal whose lines carry a checksum, of which Optuna takes no notice; those that others wrote have none."""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the lines from a number on; ValueError for one that was changed."""
        yield from map(unsealed, super().read_logs(log_number_from))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines, each with its checksum."""
        super().append_logs([sealed(log) for log in logs])


def _copy_of_sqlite(path: Path, copy: Path) -> RDBStorage:
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_SECONDS)) as source:
        names = {name for (name,) in source.execute("SELECT name FROM sqlite_master")}
        if not {"studies", "trials", "version_info"} <= names:
            raise TuneError(f"{path}: an SQLite file, but not an Optuna storage")
        with closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    storage = RDBStorage(f"sqlite:///{copy}", skip_compatibility_check=True)
    if storage.get_current_version() != storage.get_head_version():
        logging.disable(logging.WARNING)  # what alembic logs of each step
        try:
            storage.upgrade()
        finally:
            logging.disable(logging.NOTSET)
    return storage


def _database(address: str) -> RDBStorage:
    """Return the storage at an address to be read; TuneError where its database has none of Optuna's tables."""
    engine = sqlalchemy.create_engine(_with_driver(address))
    try:
        if not sqlalchemy.inspect(engine).has_table("version_info"):
            raise TuneError(f"{shown(address)}: the database holds no Optuna storage")
    finally:
        engine.dispose()
    return RDBStorage(_with_driver(address), skip_table_creation=True)


def _made_by_one(address: str) -> RDBStorage:
    """Return the storage at an address: of workers that begin at once all but one fail to make the tables."""
    for _ in range(TRIES):
        try:
            return RDBStorage(_with_driver(address))
        except (IntegrityError, ProgrammingError):
            time.sleep(0.5)
    return RDBStorage(_with_driver(address))


def _with_driver(address: str) -> str:
    """Return an address that names a driver which is installed, where it left the choice."""
    scheme, _, rest = address.partition("://")
    database = "postgresql" if scheme == "postgres" else scheme
    if database not in DRIVERS:
        return address
    driver = next((name for name in DRIVERS[database] if find_spec(name)), DRIVERS[database][0])
    return f"{database}+{driver.lower()}://{rest}"


@contextmanager
def _storage_errors(where: str | Path) -> Iterator[None]:
    """Turn whatever Optuna, a driver or a damaged storage raises inside this block into a TuneError."""
    try:
        with _database_errors(where):
            yield
    except MienError:
        raise
    except Exception as error:
        raise TuneError(f"{shown(where)}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        driver = getattr(error.__cause__ or error, "name", None) or str(error)
        return f"its driver {driver} is not installed: pip install '{PACKAGES.get(driver, driver)}'"
    if isinstance(error, OSError):
        return f"the storage cannot be used ({error.strerror or error})"
    if isinstance(error, RuntimeError) and "optuna" in str(error):
        return "written by another Optuna; run `optuna storage upgrade` on it"
    return f"not an Optuna storage, or damaged ({_brief(error)})"


@contextmanager
def _database_errors(where: str | Path) -> Iterator[None]:
    """Turn what a database raises inside this block into a TuneError."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.StorageInternalError) as error:
        raise TuneError(f"{shown(where)}: the storage cannot be used ({_brief(error)})") from None


def _brief(error: Exception) -> str:
    """Return the first line of an exception's message, without SQLAlchemy's address of help."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    lines = str(cause).strip().splitlines()
    return shown(lines[0][:200]) if lines else type(cause).__name__
