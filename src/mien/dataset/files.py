"""What the files of a data set are called and how they begin. Knows nothing about what stands in them."""

import io

import numpy as np

FORMAT = 1
COLUMNS = ("id", "label", "split", "source", "group")
LEFT_OUT_FILE = "left-out.csv"
LEFT_OUT_COLUMNS = ("source", "reason")
WHAT = "a mien data set"


def npy_header(count: int, side: int) -> bytes:
    """Return the header of a .npy file, padded alike for every count."""
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        text, {"descr": "|u1", "fortran_order": False, "shape": (count, side, side)}
    )
    return text.getvalue()


def npy_header_bytes(count: int, side: int) -> int:
    """Return how many bytes that header has."""
    return len(npy_header(count, side))
