"""The bytes of an ONNX file: its metadata read and written, what is not wanted in it found. Knows nothing about faces.

An ONNX file is one protocol buffer (github.com/onnx/onnx, onnx.proto; the encoding: protobuf.dev). Of its fields we
need so few that a reader of forty lines does; nothing is executed and no other file is opened here.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MODEL_OPSET, MODEL_GRAPH, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS = 8, 7, 14, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_ATTRIBUTE, NODE_DOMAIN = 5, 7
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
TENSOR_EXTERNAL = (13, 14)  # external_data, data_location
STANDARD_DOMAINS = (b"", b"ai.onnx")
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
    """Read a file's bytes; raises NotOnnx where they are cut short or no ONNX."""
    graph_sha256, metadata, graphs, unwanted = hashlib.sha256(), {}, 0, ""
    for number, value, raw in _fields(memoryview(data)):
        if number == MODEL_METADATA:
            key, text = _texts(value)
            metadata[key] = text
            continue
        graph_sha256.update(raw)
        graphs += number == MODEL_GRAPH
        unwanted = unwanted or _unwanted_in_model(number, value)
    if graphs != 1:
        raise NotOnnx("it holds no graph" if not graphs else "it holds several graphs")
    digest = graph_sha256.hexdigest()
    return OnnxFile(metadata, digest, _checksum(digest, metadata), unwanted)


def with_metadata(data: bytes, metadata: dict[str, str]) -> bytes:
    """Return a file's bytes with this metadata and a checksum over all of it; it had none before."""
    graph_sha256 = read_onnx(data).graph_sha256
    whole = {**metadata, CHECKSUM: _checksum(graph_sha256, metadata)}
    entries = (_written(1, key.encode()) + _written(2, text.encode()) for key, text in whole.items())
    return data + b"".join(_written(MODEL_METADATA, entry) for entry in entries)


def _checksum(graph_sha256: str, metadata: dict[str, str]) -> str:
    told = {key: text for key, text in metadata.items() if key != CHECKSUM}
    return hashlib.sha256((graph_sha256 + json.dumps(told, sort_keys=True)).encode()).hexdigest()


def _unwanted_in_model(number: int, value) -> str:
    if number == MODEL_OPSET:
        domains = [bytes(v) for n, v, _ in _fields(_message(value)) if n == 1]
        return _foreign_domain(domains)
    if number == MODEL_FUNCTIONS:
        return "functions of its own"
    if number == MODEL_TRAINING:
        return "training steps"
    return _unwanted_in_graph(value) if number == MODEL_GRAPH else ""


def _unwanted_in_graph(graph) -> str:
    for number, value, _ in _fields(_message(graph)):
        found = ""
        if number == GRAPH_NODE:
            found = _unwanted_in_node(value)
        elif number == GRAPH_INITIALIZER:
            found = _external(value)
        elif number == GRAPH_SPARSE:
            found = "sparse weights"
        if found:
            return found
    return ""


def _unwanted_in_node(node) -> str:
    for number, value, _ in _fields(_message(node)):
        if number == NODE_DOMAIN and (found := _foreign_domain([bytes(value)])):
            return found
        if number != NODE_ATTRIBUTE:
            continue
        for kind, inner, _ in _fields(_message(value)):
            if kind in ATTRIBUTE_GRAPHS:
                return "graphs inside its graph"
            if kind in ATTRIBUTE_SPARSE:
                return "sparse weights"
            if kind in ATTRIBUTE_TENSORS and (found := _external(inner)):
                return found
    return ""


def _foreign_domain(domains: list[bytes]) -> str:
    foreign = [d.decode(errors="replace") for d in domains if d not in STANDARD_DOMAINS]
    return f'operators of "{foreign[0]}", which are not ONNX\'s own' if foreign else ""


def _external(tensor) -> str:
    far = any(n in TENSOR_EXTERNAL and (n == 13 or v != 0) for n, v, _ in _fields(_message(tensor)))
    return "weights in other files" if far else ""


def _texts(entry) -> tuple[str, str]:
    found = {number: bytes(_message(value)) for number, value, _ in _fields(_message(entry))}
    try:
        return found.get(1, b"").decode(), found.get(2, b"").decode()
    except UnicodeDecodeError:
        raise NotOnnx("its metadata is no text") from None


def _message(value) -> memoryview:
    if not isinstance(value, memoryview):
        raise NotOnnx("a number stands where a message belongs")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Yield (field number, value, all its bytes) of a message; a value is a number or, of BYTES, a part of the data."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            value, at = 0, at + (8 if kind == FIXED64 else 4)
        elif kind == BYTES:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise NotOnnx("its bytes are no protocol buffer")
        if at > len(data) or not number:
            raise NotOnnx("it ends in the middle" if number else "its bytes are no protocol buffer")
        yield number, value, data[start:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise NotOnnx("it ends in the middle")
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise NotOnnx("its bytes are no protocol buffer")


def _written(number: int, value: bytes) -> bytes:
    """Return one BYTES field."""
    return _written_varint(number << 3 | BYTES) + _written_varint(len(value)) + value


def _written_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
