"""Optuna's storages: ours opened for work, anybody's opened to be read. Knows nothing about spaces or training.

A search keeps its trials in a journal file in its own folder, or behind an address such as
postgresql://HOST/DATABASE. What is opened to be read is never written to: of an SQLite file a
private copy is read, which Optuna may bring to its newest schema.
"""

import fcntl
import json
import logging
import os
import re
import sqlite3
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from mien.errors import MissingExtra, TuneError
from mien.labels import did_you_mean

JOURNAL = "journal.log"
SQLITE_HEADER = b"SQLite format 3\0"
POSTGRESQL_DRIVERS = ("psycopg", "psycopg2", "pg8000")
TRIES = 5  # to make the tables, where workers begin at once
PATIENCE_SECONDS = 3  # with a file that another program has locked


def optuna():
    """Return the package, quiet; raises MissingExtra where it is not installed."""
    try:
        import optuna
    except ModuleNotFoundError as missing:
        if missing.name != "optuna":
            raise
        raise MissingExtra("optuna is not installed: pip install 'mien[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class FileLock:
    """Optuna's lock of a journal by flock: the kernel frees it however the process ends.

    Whoever takes it also removes a line that a full disk or a power cut left without its end,
    after which nobody could read the journal any more.
    """

    def __init__(self, path: Path):
        self._path = path
        self._handle = -1

    def acquire(self) -> bool:
        """Wait for the lock and hold it."""
        self._handle = os.open(self._path, os.O_RDWR)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        cut_torn_line(self._handle)
        return True

    def release(self) -> None:
        """Let it go."""
        os.close(self._handle)


def cut_torn_line(handle: int) -> None:
    """Shorten an open file to the end of its last whole line."""
    end = size = os.fstat(handle).st_size
    while end and os.pread(handle, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(handle, end)


def is_address(where: str | Path) -> bool:
    """Tell whether a storage is given by an address and not by a path."""
    return "://" in str(where)


def shown(where: str | Path) -> str:
    """Return a storage's address without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", str(where))


def open_to_work(where: str | Path):
    """Return the storage at an address, or in a journal file, which is made where it is missing.

    Raises TuneError in one line.
    """
    if not is_address(where):
        return _journal(Path(where), lock=FileLock(Path(where)))
    return _relational(where, str(where))


@contextmanager
def open_to_read(where: str | Path):
    """Yield the storage at a path or an address, which stays as it is.

    Raises TuneError in one line where there is none, it is not Optuna's or it is locked.
    """
    if str(where).startswith("sqlite:///"):
        where = Path(str(where).removeprefix("sqlite:///"))
    if is_address(where):
        with (
            told_in_one_line(where),
            closing(_relational(where, str(where), skip_table_creation=True)) as storage,
        ):
            yield storage
        return
    path = Path(where)
    path = path / JOURNAL if path.is_dir() else path
    if not path.is_file():
        raise TuneError(f"{where}: no search and no Optuna storage is there")
    with open(path, "rb") as file:
        start = file.read(len(SQLITE_HEADER))
    if start != SQLITE_HEADER:
        yield _journal(path)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        told_in_one_line(where),
        closing(_copy_of_sqlite(path, Path(folder) / "copy.db")) as storage,
    ):
        yield storage


@contextmanager
def closing(storage):
    """Yield a storage and close its connections to a database, if it has any, when the block ends."""
    try:
        yield storage
    finally:
        if hasattr(storage, "engine"):
            storage.remove_session()
            storage.engine.dispose()


def _journal(path: Path, lock=None):
    """Return the storage in a journal file; TuneError where its lines are not Optuna's."""
    journal = optuna().storages.journal
    try:
        return optuna().storages.JournalStorage(journal.JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, TypeError, AssertionError) as fault:
        raise TuneError(f"{path}: not an Optuna storage, or damaged ({_brief(fault)})") from None


def _copy_of_sqlite(path: Path, copy: Path):
    with sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=PATIENCE_SECONDS) as source:
        names = {name for (name,) in source.execute("SELECT name FROM sqlite_master")}
        if not {"studies", "trials", "version_info"} <= names:
            raise TuneError(f"{path}: an SQLite file, but not an Optuna storage")
        with sqlite3.connect(copy) as target:
            source.backup(target)
    source.close()
    target.close()
    storage = _relational(path, f"sqlite:///{copy}", skip_compatibility_check=True)
    if storage.get_current_version() != storage.get_head_version():
        with _no_log():
            storage.upgrade()
    return storage


@contextmanager
def _no_log():
    """Keep what alembic logs from the terminal."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _relational(where: str | Path, address: str, **options):
    """Return the storage in a database; TuneError where it cannot be used by this Optuna."""
    try:
        with told_in_one_line(where):
            if options.get("skip_table_creation"):
                _require_tables(address)
            return _made_by_one(lambda: optuna().storages.RDBStorage(_with_driver(address), **options))
    except ModuleNotFoundError as missing:
        raise TuneError(f"{shown(where)}: its driver {missing.name} is not installed") from None
    except RuntimeError as fault:
        if "optuna" not in str(fault):
            raise
        raise TuneError(
            f"{shown(where)}: written by another Optuna; run `optuna storage upgrade` on it"
        ) from None


def _made_by_one(make):
    """Return what `make` does: of workers that begin at once all but one fail to make the tables, and try again."""
    import sqlalchemy

    for _ in range(TRIES):
        try:
            return make()
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
            time.sleep(0.5)
    return make()


def _require_tables(address: str) -> None:
    """Refuse a database without Optuna's tables."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(_with_driver(address))
    try:
        there = sqlalchemy.inspect(engine).has_table("version_info")
    finally:
        engine.dispose()
    if not there:
        raise TuneError(f"{shown(address)}: the database holds no Optuna storage")


def _with_driver(address: str) -> str:
    """Return an address that names a driver for PostgreSQL which is installed."""
    scheme, _, rest = address.partition("://")
    if scheme not in ("postgresql", "postgres"):
        return address
    driver = next((name for name in POSTGRESQL_DRIVERS if find_spec(name)), None)
    if driver is None:
        raise TuneError("no driver for PostgreSQL is installed: pip install 'psycopg[binary]'")
    return f"postgresql+{driver}://{rest}"


@contextmanager
def told_in_one_line(where: str | Path):
    """Turn what a database raises inside this block into a TuneError."""
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, optuna().exceptions.StorageInternalError) as fault:
        raise TuneError(f"{shown(where)}: the storage cannot be used ({_brief(fault)})") from None


def _brief(fault: Exception) -> str:
    """Return the first line of what an exception says, without SQLAlchemy's address of help."""
    cause = getattr(fault, "orig", None) or fault.__cause__ or fault
    lines = str(cause).strip().splitlines()
    return shown(lines[0]) if lines else type(cause).__name__


def only_study(names: list[str], wanted: str | None, where: str | Path) -> str:
    """Return the name of the study that is meant; TuneError where that is none or open."""
    if wanted in names or (wanted is None and len(names) == 1):
        return wanted or names[0]
    if not names:
        raise TuneError(f"{shown(where)}: no Optuna storage, or one that holds no study")
    known = ", ".join(json.dumps(name, ensure_ascii=False) for name in names)
    if wanted is None:
        raise TuneError(f"{shown(where)}: name one of its studies with --study: {known}")
    near = did_you_mean(wanted, names) or "."
    raise TuneError(f'{shown(where)}: no study "{wanted}"{near} Known: {known}')
