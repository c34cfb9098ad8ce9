"""Optuna's storages in databases as another program makes them, closed at the end of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.storages import RDBStorage


@contextmanager
def database(address: str) -> Iterator[RDBStorage]:
    """Yield a storage whose connections are closed when the block ends; Python 3.13 warns of those that are not."""
    storage = RDBStorage(address)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
