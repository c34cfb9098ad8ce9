"""ONNX files as an attacker writes them, byte by byte, with a checksum that is right."""

import hashlib
import json

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from mien.model.onnx_file import CHECKSUM
from mien.model.protobuf import BYTES, VARINT, bytes_field

HIGH = 1 << 32  # protobuf cuts a tag to 32 bits; a reader that does not sees another field
GRAPH, OPSET, FUNCTIONS, TRAINING, METADATA = 7, 8, 25, 20, 14
NODE, INITIALIZER, SPARSE = 1, 5, 15


def varint(value: int, *, longer: int = 0) -> bytes:
    """A number as protobuf writes it, or with so many bytes more than it needs."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    for _ in range(longer):
        parts[-1] |= 128
        parts.append(0)
    return bytes(parts)


def tag(number: int, wire: int = BYTES, *, high: bool = False, longer: int = 0) -> bytes:
    """A field's tag, also with a bit above the 32nd, or longer than need be."""
    return varint(number << 3 | wire | HIGH * high, longer=longer)


def hidden(number: int, value: bytes) -> bytes:
    """A field of bytes that protobuf reads under its number, and a careless reader under another."""
    return tag(number, high=True) + varint(len(value)) + value


def forged(graph: bytes, metadata: dict[str, str]) -> bytes:
    """A file's bytes with metadata and a checksum over all of it, whatever the graph's bytes are."""
    covered = {key: text for key, text in metadata.items() if key != CHECKSUM}
    digest = hashlib.sha256(graph).hexdigest()
    checksum = hashlib.sha256((digest + json.dumps(covered, sort_keys=True)).encode()).hexdigest()
    entries = {**covered, CHECKSUM: checksum}.items()
    return graph + b"".join(
        bytes_field(METADATA, bytes_field(1, key.encode()) + bytes_field(2, text.encode()))
        for key, text in entries
    )


def small_model(
    *, nodes=None, takes=TensorProto.UINT8, name="faces", gives=7, fixed=None, **more
) -> ModelProto:
    """A model that gives the same for every face of 16 pixels, and what else is asked of it."""
    shape = [fixed or "N", 1, 16, 16]
    zeros = helper.make_tensor("zeros", TensorProto.FLOAT, [256, gives], np.zeros(256 * gives))
    nodes = nodes or [
        helper.make_node("Cast", [name], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "zeros"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, takes, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [fixed or "N", gives])],
        more.pop("initializer", [zeros]),
    )
    opsets = more.pop("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def small_graph(**options) -> bytes:
    """Its bytes."""
    return small_model(**options).SerializeToString()


def with_graph(graph: bytes, model: ModelProto | None = None) -> bytes:
    """A model's bytes, whose graph has these bytes."""
    plain = ModelProto()
    plain.CopyFrom(model or small_model())
    plain.ClearField("graph")
    return bytes_field(GRAPH, graph) + plain.SerializeToString()


def more_in_graph(extra: bytes) -> bytes:
    """A model's bytes with more at the end of its graph."""
    return with_graph(small_model().graph.SerializeToString() + extra)


def more_in_node(extra: bytes) -> bytes:
    """A model's bytes with more at the end of its first node."""
    nodes = [node.SerializeToString() for node in small_model().graph.node]
    rest = GraphProto()
    rest.CopyFrom(small_model().graph)
    rest.ClearField("node")
    first = bytes_field(NODE, nodes[0] + extra)
    return with_graph(
        first + b"".join(bytes_field(NODE, node) for node in nodes[1:]) + rest.SerializeToString()
    )


def more_in_initializer(extra: bytes) -> bytes:
    """A model's bytes with more at the end of its weights."""
    graph = GraphProto()
    graph.CopyFrom(small_model().graph)
    weights = graph.initializer[0].SerializeToString()
    graph.ClearField("initializer")
    return with_graph(graph.SerializeToString() + bytes_field(INITIALIZER, weights + extra))


def loop() -> NodeProto:
    """A loop of 2**62 turns."""
    turns = helper.make_node("Constant", [], ["turns"], value_int=2**62)
    inner = helper.make_graph([turns], "inner", [], [])
    return helper.make_node("Loop", ["turns", ""], ["x"], body=inner)


SUBGRAPH = bytes_field(1, b"body") + bytes_field(
    6, helper.make_graph([], "inner", [], []).SerializeToString()
)
LOCATION = bytes_field(1, b"location") + bytes_field(2, b"/etc/passwd")
FUNCTION = helper.make_function(
    "", "Mine", ["a"], ["b"], [], [helper.make_opsetid("", 17)]
).SerializeToString()
FAR = bytes_field(13, LOCATION) + tag(14, VARINT) + b"\1"  # of a tensor: weights in another file
SPARSE_TENSOR = SparseTensorProto().SerializeToString()


def attribute(value: bytes, name: bytes = b"odd") -> bytes:
    """A node's attribute."""
    return bytes_field(5, bytes_field(1, name) + value)


# Of each attack the model's bytes, which protobuf reads (or some of its versions), and mien must not.
ATTACKS = {
    # tags with a bit that protobuf cuts off
    "hidden subgraph": more_in_node(attribute(hidden(6, b""))),
    "hidden list of subgraphs": more_in_node(attribute(hidden(11, b""))),
    "hidden attribute": more_in_node(hidden(5, SUBGRAPH)),
    "hidden node": more_in_graph(hidden(NODE, loop().SerializeToString())),
    "hidden domain": more_in_node(hidden(7, b"com.microsoft")),
    "hidden opset": small_graph() + hidden(OPSET, bytes_field(1, b"com.microsoft") + b"\x10\1"),
    "hidden function": small_graph() + hidden(FUNCTIONS, FUNCTION),
    "hidden training": small_graph() + hidden(TRAINING, b""),
    "hidden external data": more_in_initializer(hidden(13, LOCATION)),
    "hidden location": more_in_initializer(tag(14, VARINT, high=True) + b"\1"),
    "hidden graph": small_graph() + hidden(GRAPH, GraphProto(node=[loop()]).SerializeToString()),
    "hidden metadata": small_graph() + hidden(METADATA, bytes_field(1, b"mien.name") + bytes_field(2, b"x")),
    # numbers that are longer than they need be, or too large
    "long tag": small_graph() + tag(2, longer=1) + b"\0",
    "long length": small_graph() + tag(2) + varint(1, longer=2) + b"x",
    "long number": small_graph() + tag(1, VARINT) + varint(8, longer=3),
    "location of 33 bits": more_in_initializer(tag(14, VARINT) + varint(HIGH | 1)),
    "number of 70 bits": small_graph() + tag(5, VARINT) + b"\xff" * 9 + b"\x7f",
    "endless number": small_graph() + tag(5, VARINT) + b"\xff" * 11,
    # what is no field, or of another type than ONNX gives it
    "field 0": small_graph() + tag(0) + b"\0",
    "group": small_graph() + tag(2, 3) + tag(2, 4),
    "end of a group": small_graph() + tag(2, 4),
    "type 6": small_graph() + tag(2, 6),
    "type 7": small_graph() + tag(2, 7),
    "unknown field": small_graph() + bytes_field(99, b""),
    "unknown field of a node": more_in_node(bytes_field(99, b"")),
    "unknown field of a tensor": more_in_initializer(bytes_field(99, b"")),
    "node that is a number": more_in_graph(tag(NODE, VARINT) + b"\1"),
    "location that is bytes": more_in_initializer(bytes_field(14, b"\1")),
    "domain that is a number": more_in_node(tag(7, VARINT) + b"\1"),
    "metadata that is a number": small_graph() + tag(METADATA, VARINT) + b"\1",
    # twice what may be there once: protobuf merges such, or takes the last
    "graph twice": small_graph() * 2,
    "two graphs": small_graph() + bytes_field(GRAPH, b""),
    "domain twice": more_in_node(bytes_field(7, b"") + bytes_field(7, b"")),
    "name of an operator twice": more_in_node(bytes_field(4, b"Loop")),
    "name of weights twice": more_in_initializer(bytes_field(8, b"zeros")),
    "constant twice": more_in_node(attribute(bytes_field(5, b"") + bytes_field(5, b""))),
    "version twice": small_graph() + tag(1, VARINT) + b"\x08",
    # bytes behind the end
    "trailing byte": small_graph() + b"\1",
    "trailing zeros": small_graph() + b"\0\0\0\0",
    "trailing bytes of a graph": more_in_graph(b"\x0a"),
    "cut length": small_graph() + tag(2) + b"\x7f",
    # graphs in graphs, whatever operator has them
    "loop": small_graph(nodes=[loop()]),
    "if": small_graph(
        nodes=[helper.make_node("If", ["faces"], ["probabilities"], then_branch=GraphProto(), else_branch=GraphProto())]
    ),
    "scan": small_graph(nodes=[helper.make_node("Scan", ["faces"], ["x"], body=GraphProto(), num_scan_inputs=1)]),
    "subgraph of a cast": more_in_node(bytes_field(5, SUBGRAPH)),
    "list of subgraphs": more_in_node(attribute(bytes_field(11, b""))),
    # code and operators of others
    "function": small_graph() + bytes_field(FUNCTIONS, FUNCTION),
    "overload": more_in_node(bytes_field(8, b"one")),
    "attribute of a function": more_in_node(attribute(bytes_field(21, b"outer"))),
    "foreign operator": small_graph(nodes=[helper.make_node("Gelu", ["faces"], ["x"], domain="com.microsoft")]),
    "foreign opset": small_graph() + bytes_field(OPSET, bytes_field(1, b"org.example") + b"\x10\1"),
    "opset of ONNX's machine learning": small_graph() + bytes_field(OPSET, bytes_field(1, b"ai.onnx.ml") + b"\x10\1"),
    "training": small_graph() + bytes_field(TRAINING, bytes_field(1, b"")),
    # weights elsewhere, wherever weights may be
    "external weights": more_in_initializer(FAR),
    "external weights without a location": more_in_initializer(tag(14, VARINT) + b"\1"),
    "external constant": more_in_node(attribute(bytes_field(5, FAR))),
    "external constants": more_in_node(attribute(bytes_field(10, FAR))),
    "sparse weights": more_in_graph(bytes_field(SPARSE, SPARSE_TENSOR)),
    "external sparse weights": more_in_graph(bytes_field(SPARSE, bytes_field(1, FAR))),
    "sparse constant": more_in_node(attribute(bytes_field(22, SPARSE_TENSOR))),
    "sparse constants": more_in_node(attribute(bytes_field(23, SPARSE_TENSOR))),
    "external weights of training": small_graph() + bytes_field(TRAINING, bytes_field(2, bytes_field(5, FAR))),
    "part of a tensor": more_in_initializer(bytes_field(3, b"")),
    # values that are no tensors
    "sequence": more_in_graph(bytes_field(11, bytes_field(1, b"s") + bytes_field(2, bytes_field(4, b"")))),
    "map": more_in_graph(bytes_field(11, bytes_field(1, b"m") + bytes_field(2, bytes_field(5, b"")))),
    # too much
    "millions of nodes": more_in_graph(bytes_field(NODE, b"") * 2**21),
}  # fmt: skip
