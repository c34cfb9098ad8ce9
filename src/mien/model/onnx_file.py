"""The bytes of an ONNX file: its metadata read and written, and whether it holds more than a model's graph.

Nothing is executed and no other file is opened here. The reader is our own, since onnx comes with training alone and,
like every protobuf library, takes what it does not know without a word.
"""

import hashlib
import json
from dataclasses import dataclass

from mien.model.allowed import MODEL, unwanted
from mien.model.protobuf import BYTES, NotCanonical, bytes_field, fields

GRAPH, METADATA = 7, 14  # of a ModelProto
KEY, VALUE = 1, 2
MOST_FIELDS = 2**20  # the largest of ours has a hundredth
CHECKSUM = "mien.checksum"


class NotOnnx(ValueError):
    """Bytes that are no ONNX file; the message is the reason."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What is known of an ONNX file without running it."""

    metadata: dict[str, str]
    graph_sha256: str  # of all but the metadata
    checksum: str  # of graph_sha256 and the metadata but for CHECKSUM
    unwanted: str  # what the file holds that a model of ours never does, in words, or ""


def read_onnx(data: bytes) -> OnnxFile:
    """Read a file's bytes; raises NotOnnx where they are cut short, no ONNX or not as protobuf writes it."""
    view, budget = memoryview(data), iter(range(MOST_FIELDS))
    graph_sha256, metadata, graphs = hashlib.sha256(), {}, 0
    try:
        for field in fields(view, budget):
            if field.number != METADATA:
                graph_sha256.update(field.raw)
                graphs += field.number == GRAPH
                continue
            key, text = _texts(field.value, budget)
            if key in metadata:
                raise NotOnnx("its metadata names one thing twice")
            metadata[key] = text
        if graphs != 1:
            raise NotOnnx("it holds several graphs" if graphs else "it holds no graph")
        refused = unwanted(view, MODEL, budget)
    except NotCanonical as fault:
        raise NotOnnx(str(fault)) from None
    digest = graph_sha256.hexdigest()
    return OnnxFile(metadata, digest, _checksum(digest, metadata), refused)


def with_metadata(data: bytes, metadata: dict[str, str]) -> bytes:
    """Return a file's bytes with this metadata and a checksum over all of it; it had none before."""
    graph_sha256 = read_onnx(data).graph_sha256
    whole = {**metadata, CHECKSUM: _checksum(graph_sha256, metadata)}
    entries = (
        bytes_field(KEY, key.encode()) + bytes_field(VALUE, text.encode()) for key, text in whole.items()
    )
    return data + b"".join(bytes_field(METADATA, entry) for entry in entries)


def without_metadata(data: bytes) -> bytes:
    """Return a file's bytes without its metadata; raises NotOnnx as `read_onnx` does."""
    try:
        parts = fields(memoryview(data), iter(range(MOST_FIELDS)))
        return b"".join(bytes(field.raw) for field in parts if field.number != METADATA)
    except NotCanonical as error:
        raise NotOnnx(str(error)) from None


def _checksum(graph_sha256: str, metadata: dict[str, str]) -> str:
    covered = {key: text for key, text in metadata.items() if key != CHECKSUM}
    return hashlib.sha256((graph_sha256 + json.dumps(covered, sort_keys=True)).encode()).hexdigest()


def _texts(entry: int | memoryview, budget) -> tuple[str, str]:
    """Return key and value of an entry of the metadata."""
    if isinstance(entry, int):
        raise NotOnnx("a number stands where its metadata belongs")
    parts = {field.number: field.value for field in fields(entry, budget) if field.wire == BYTES}
    try:
        return bytes(parts.get(KEY, b"")).decode(), bytes(parts.get(VALUE, b"")).decode()
    except UnicodeDecodeError:
        raise NotOnnx("its metadata is no text") from None
