"""Canonical protocol buffers, field by field, and nothing else. Knows nothing about ONNX.

The encoding (protobuf.dev/programming-guides/encoding) lets one value be written in several ways, and readers differ in
what they make of the odd ones: a tag of more than 32 bits is cut by one and kept by another. What is checked here and
then read by another library must mean the same to both, so only what `SerializeToString` writes is read.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LARGEST_TAG, LARGEST_VARINT = 2**32 - 1, 2**64 - 1
FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


class NotCanonical(ValueError):
    """Bytes that no protocol buffer library writes; the message is the reason."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire: int  # VARINT, FIXED64, BYTES or FIXED32
    value: int | memoryview  # a number of a VARINT, the bytes of all others
    raw: memoryview  # tag and all


def fields(data: memoryview, budget: Iterator) -> Iterator[Field]:
    """Yield the fields of a message in their order; raises NotCanonical.

    Each takes one item of `budget`, which bounds the time that a file of many tiny fields costs.
    """
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if tag > LARGEST_TAG or not number:
            raise NotCanonical("its bytes are no protocol buffer")
        if wire == VARINT:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if wire == BYTES else (FIXED_SIZES.get(wire), at)
            if size is None:
                raise NotCanonical("its bytes are no protocol buffer")
            value, at = data[at : at + size], at + size
        if at > len(data):
            raise NotCanonical("it ends in the middle")
        if next(budget, None) is None:
            raise NotCanonical("it has more parts than any model")
        yield Field(number, wire, value, data[start:at])


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a field of bytes as it is written."""
    return _written(number << 3 | BYTES) + _written(len(value)) + value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise NotCanonical("it ends in the middle")
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value > LARGEST_VARINT or (shift and not byte):
                break
            return value, at
    raise NotCanonical("its bytes are no protocol buffer")


def _written(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
