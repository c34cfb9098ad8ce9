"""Columns as Arrow tables and parquet files. The one module here that loads pyarrow.

pyarrow ships no types, so what it gives is Any.
"""
# pyright: standard

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mien.errors import DataError
from mien.predict.columns import TEXT

METADATA = b"mien"  # the key of what a file's footer says of how it was made
ROWS_AT_ONCE = 64


def arrow_schema(names: Iterable[str]) -> Any:
    """Return the pyarrow.Schema of columns with these names."""
    import pyarrow

    kinds = dict.fromkeys(TEXT, pyarrow.string()) | {"face": pyarrow.int32()}
    return pyarrow.schema([(name, kinds.get(name, pyarrow.float32())) for name in names])


def arrow_table(columns: Mapping[str, np.ndarray]) -> Any:
    """Return columns as a pyarrow.Table, in which nan and None are null."""
    import pyarrow

    schema = arrow_schema(columns)
    arrays = [pyarrow.array(columns[field.name], field.type, from_pandas=True) for field in schema]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def append_columns(table: Any, batch: Any, kept: Mapping[str, Sequence[Any]]) -> Any:
    """Return a pyarrow.Table with columns more, each of the type that it has in `batch`."""
    import pyarrow

    for name, values in kept.items():
        field = batch.schema.field(name)
        table = table.append_column(field, pyarrow.array(values, field.type))
    return table


def write_parquet(file: BinaryIO, columns: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write columns as a parquet file whose footer carries `metadata` as JSON; the same gives the same bytes."""
    from pyarrow import parquet

    text = json.dumps(metadata, sort_keys=True).encode()
    table = arrow_table(columns).replace_schema_metadata({METADATA: text})
    parquet.write_table(table, file, compression="zstd")


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Return what the footer of a file that `write_parquet` wrote says; None where there is no such file, or none."""
    import pyarrow
    from pyarrow import parquet

    try:
        stated = (parquet.read_metadata(path).metadata or {})[METADATA]
        value = json.loads(stated)
    except (OSError, KeyError, ValueError, pyarrow.ArrowException):
        return None
    return value if isinstance(value, dict) else None


def read_rows(path: Path, start: int, stop: int, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield rows of a parquet file, of these columns, in bounded memory; DataError where it is damaged."""
    import pyarrow

    from mien.pack.parquet import open_parquet

    file, first = open_parquet(path), 0
    try:
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first < stop and start < first + rows:
                batches = file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=list(columns))
                for number, row in enumerate((row for batch in batches for row in batch.to_pylist()), first):
                    if start <= number < stop:
                        yield row
            first += rows
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise DataError(f"damaged ({' '.join(str(fault).split())[:80]})") from None


def count_rows(path: Path) -> tuple[int, list[str]]:
    """Return how many rows a parquet file has, and the names of its columns; DataError where it is none."""
    from mien.pack.parquet import open_parquet

    file = open_parquet(path)
    return file.metadata.num_rows, list(file.schema_arrow.names)
