"""What may stand in the ONNX file of a model: a list of all that mien writes. What is not on it is refused.

The numbers are those of onnx.proto (github.com/onnx/onnx). The list is closed, so that whatever a later ONNX adds, code
that runs or files that are opened, is refused before onnxruntime gets a byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mien.model.protobuf import BYTES, FIXED32, VARINT, fields
from mien.text import escaped, shortened

LONGEST_SHOWN = 60  # letters of a name that a file gives

WIRES = {int: VARINT, float: FIXED32, bytes: BYTES}
FUNCTIONS, TRAINING = "functions of its own", "training steps"
SUBGRAPHS, SPARSE, EXTERNAL = "graphs inside its graph", "sparse weights", "weights in other files"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A field that takes some values alone."""

    kind: type
    values: tuple
    otherwise: str  # what the file holds with another value, in words


# Of each message by field number: a type, the fields of a message, a list of one of these where the field may be
# repeated, or, of what is refused, the words that say what it is.
DOMAIN = OneOf(bytes, (b"", b"ai.onnx"), 'operators of "{}", which are not ONNX\'s own')
ENTRY = {1: bytes, 2: bytes}
TENSOR = {
    1: [int],  # dims
    2: int,  # data_type
    **dict.fromkeys((4, 5, 7, 10, 11), bytes),  # numbers, packed
    8: bytes,  # name
    9: bytes,  # raw_data
    12: bytes,  # doc_string
    13: EXTERNAL,
    14: OneOf(int, (0,), EXTERNAL),  # data_location
    16: [ENTRY],
}
DIMENSION = {1: int, 2: bytes, 3: bytes}
TYPE = {1: {1: int, 2: {1: [DIMENSION]}}, 6: bytes}  # tensors alone
VALUE = {1: bytes, 2: TYPE, 3: bytes, 4: [ENTRY]}
ATTRIBUTE = {
    1: bytes,  # name
    2: float,
    3: int,
    4: bytes,
    5: TENSOR,
    6: SUBGRAPHS,
    7: [float],
    8: [int],
    9: [bytes],
    10: [TENSOR],
    11: SUBGRAPHS,
    13: bytes,  # doc_string
    20: int,  # type
    22: SPARSE,
    23: SPARSE,
}
NODE = {
    1: [bytes],  # input
    2: [bytes],  # output
    3: bytes,  # name
    4: bytes,  # op_type
    5: [ATTRIBUTE],
    6: bytes,  # doc_string
    7: DOMAIN,
    8: FUNCTIONS,  # which of several
    9: [ENTRY],
}
GRAPH = {
    1: [NODE],
    2: bytes,  # name
    5: [TENSOR],
    10: bytes,  # doc_string
    11: [VALUE],  # input
    12: [VALUE],  # output
    13: [VALUE],  # value_info
    15: SPARSE,
    16: [ENTRY],
}
MODEL = {
    1: int,  # ir_version
    2: bytes,  # producer_name
    3: bytes,  # producer_version
    4: bytes,  # domain
    5: int,  # model_version
    6: bytes,  # doc_string
    7: GRAPH,
    8: [{1: DOMAIN, 2: int}],  # opset_import
    14: [ENTRY],  # metadata_props
    20: TRAINING,
    25: FUNCTIONS,
}


def unwanted(data: memoryview, message: dict, budget: Iterator) -> str:
    """Return the first thing in a message that is not on its list, in words, or ""; raises NotCanonical."""
    once: set[int] = set()
    for field in fields(data, budget):
        kind = message.get(field.number, "parts that ONNX does not have or models do not need")
        if field.number in once:
            return "a part twice that may be there once"
        if isinstance(kind, list):
            kind = kind[0]
        else:
            once.add(field.number)
        if words := _unwanted_value(kind, field.wire, field.value, budget):
            return words
    return ""


def _unwanted_value(kind, wire: int, value, budget: Iterator) -> str:
    if isinstance(kind, str):
        return kind
    plain = kind.kind if isinstance(kind, OneOf) else bytes if isinstance(kind, dict) else kind
    if wire != WIRES[plain]:
        return "a part of another type than ONNX gives it"
    if isinstance(kind, dict):
        return unwanted(value, kind, budget)
    if isinstance(kind, OneOf) and value not in kind.values:
        shown = (
            escaped(shortened(bytes(value).decode(errors="replace"), LONGEST_SHOWN))
            if plain is bytes
            else value
        )
        return kind.otherwise.format(shown)
    return ""
