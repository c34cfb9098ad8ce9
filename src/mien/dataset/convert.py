"""Faces as other libraries hold them: a torch Dataset, a pandas or an Arrow table. Each is imported when asked for."""

# pyright: standard
# pandas and pyarrow have no types

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.dataset.files import COLUMNS
from mien.errors import MissingExtra

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset

LEADING_ZERO = re.compile(r"0\d")


def to_torch(images: np.ndarray, labels: np.ndarray) -> "TensorDataset":
    """Return uint8 faces (N, S, S) and int64 labels (N,) as a torch Dataset of (uint8 (1, S, S), int64 ()) pairs."""
    with _installed("torch", "'mien[train]'"):
        import torch
        from torch.utils.data import TensorDataset

    return TensorDataset(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels))


def to_pandas(images: np.ndarray, table: dict[str, np.ndarray]) -> Any:
    """Return a `pandas.DataFrame` of the table's columns and `image`, an object column of uint8 (S, S) arrays."""
    with _installed("pandas", "pandas"):
        import pandas

    columns = {name: _typed(name, column) for name, column in table.items()}
    frame = pandas.DataFrame({name: column.tolist() for name, column in columns.items()})
    frame["image"] = pandas.Series(list(images), dtype=object)
    return frame


def to_arrow(images: np.ndarray, table: dict[str, np.ndarray]) -> Any:
    """Return a `pyarrow.Table` of the table's columns and `image`, a fixed-shape tensor of uint8 (S, S)."""
    with _installed("pyarrow", "'mien[pack]'"):
        import pyarrow

    columns = {name: pyarrow.array(_typed(name, column)) for name, column in table.items()}
    tensors = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images))
    return pyarrow.table(columns | {"image": tensors})


def _typed(name: str, column: np.ndarray) -> np.ndarray:
    """Return a column of text as int64 or float64 where all of it is such numbers; empty cells are nan then.

    The columns that every data set has stay text, and so do codes such as 007, which a number would change.
    """
    if name in COLUMNS or any(LEADING_ZERO.match(cell) for cell in column):
        return column
    try:
        whole = column.astype(np.int64)
        return whole if (whole.astype(str) == column).all() else column
    except ValueError:
        pass
    try:
        return np.where(column == "", "nan", column).astype(np.float64)
    except ValueError:
        return column


@contextmanager
def _installed(package: str, install: str) -> Iterator[None]:
    """Raise MissingExtra where a package that is imported in this block is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtra(f"{package} is not installed: pip install {install}") from None
