"""File names, columns and the .npy header of a data set. Knows nothing about faces."""

import io

import numpy as np

FORMAT = 1
COLUMNS = ("id", "label", "split", "source", "group")
PERSON = "person"  # a column that a table may have: faces of one person stay together
LEFT_OUT_FILE = "left-out.csv"
FAMILIES_FILE = "families.json"
LEFT_OUT_COLUMNS = ("source", "reason")
WHAT = "a mien data set"


def npy_header(count: int, side: int) -> bytes:
    """Return the header of a .npy file, of the same length for every count."""
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        text, {"descr": "|u1", "fortran_order": False, "shape": (count, side, side)}
    )
    return text.getvalue()


def npy_header_bytes(count: int, side: int) -> int:
    """Return the length of that header in bytes."""
    return len(npy_header(count, side))
