"""A model's graph cut before its classifiers, so that it gives what they read. Knows nothing about clips or training.

The views of a face are averaged. The logarithms of the model's probabilities stand beside, and alone where no linear
layer before a softmax is found, as in 8-bit files. So any model of mien's will do, an ensemble too, and no network is
needed as torch has it.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.model import OUTPUT, Model

FEATURES = "features"
SMALLEST = 1e-4  # probability whose logarithm is a feature


def features_graph(model: Model, *, probabilities: bool = False) -> onnx.ModelProto:
    """Return the model's graph with the output `features`, float32 (N, F), in place of or beside `probabilities`."""
    graph = onnx.load(str(model.path))
    del graph.metadata_props[:]
    nodes = graph.graph.node
    by_output = {name: node for node in nodes for name in node.output}
    read = [
        by_output[node.input[0]].input[0]
        for node in nodes
        if node.op_type == "Softmax"
        and node.input[0] in by_output
        and by_output[node.input[0]].op_type == "Gemm"
    ]
    parts = [_mean_over_views(graph.graph, name, _views(model)) for name in read]
    parts.append(_logarithms(graph.graph))
    nodes.append(helper.make_node("Concat", parts, [FEATURES], axis=1))
    if not probabilities:
        del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", "F"]))
    return graph


def _views(model: Model) -> int:
    """Return in how many views the model's graph reads a face."""
    return (5 if model.reading["shift"] else 1) * (2 if model.reading["mirror"] else 1)


def _mean_over_views(graph: onnx.GraphProto, name: str, views: int) -> str:
    """Append nodes that average a tensor (views N, F) over the views; return the name of the mean (N, F)."""
    if views == 1:
        return name
    shape = _constant(graph, f"{name}/shape", np.array([views, -1, _width(graph, name)], np.int64))
    graph.node.append(helper.make_node("Reshape", [name, shape], [f"{name}/views"]))
    graph.node.append(
        helper.make_node("ReduceMean", [f"{name}/views"], [f"{name}/mean"], axes=[0], keepdims=0)
    )
    return f"{name}/mean"


def _width(graph: onnx.GraphProto, name: str) -> int:
    """Return F of a tensor (N, F) that a Gemm reads."""
    gemm = next(node for node in graph.node if node.op_type == "Gemm" and node.input[0] == name)
    weight = next(one for one in graph.initializer if one.name == gemm.input[1])
    transposed = any(a.name == "transB" and a.i for a in gemm.attribute)
    return weight.dims[1] if transposed else weight.dims[0]


def _logarithms(graph: onnx.GraphProto) -> str:
    """Append nodes that give the logarithms of the probabilities; return their name."""
    least = _constant(graph, "features/smallest", np.float32(SMALLEST))
    graph.node.append(helper.make_node("Clip", [OUTPUT, least], ["features/clipped"]))
    graph.node.append(helper.make_node("Log", ["features/clipped"], ["features/logarithms"]))
    return "features/logarithms"


def _constant(graph: onnx.GraphProto, name: str, value: np.ndarray | np.generic) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name
