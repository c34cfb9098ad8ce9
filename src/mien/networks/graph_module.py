"""A model's ONNX graph as a torch module whose weights can be trained, and the graph with them. Knows no model.

Operators are those of graphs that mien exports, where norms are part of the convolutions.
"""

from collections.abc import Callable

import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import nn

from mien.errors import RecipeError

Tensors = list[torch.Tensor]
WEIGHED = ("Conv", "Gemm")  # whose further inputs are weights
TYPES: dict[int, torch.dtype] = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64}


class Attributes:
    """The attributes of a node."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self._values = {one.name: helper.get_attribute_value(one) for one in node.attribute}

    def number(self, name: str, default: int | None = None) -> int:
        """Return a whole number."""
        return int(self._values.get(name, default))

    def numbers(self, name: str) -> list[int]:
        """Return a list of whole numbers."""
        return list(self._values[name])


def _slice(inputs: Tensors, _: Attributes) -> torch.Tensor:
    x, *ranges = inputs
    starts, ends, axes, steps = (one.tolist() for one in ranges)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        kept = range(x.shape[axis])[start:end:step]
        x = x.index_select(axis, torch.tensor(list(kept), device=x.device))
    return x


def _conv(inputs: Tensors, at: Attributes) -> torch.Tensor:
    top, left, bottom, right = at.numbers("pads")
    x, weight, *bias = F.pad(inputs[0], (left, right, top, bottom)), *inputs[1:]
    return F.conv2d(
        x,
        weight,
        bias[0] if bias else None,
        at.numbers("strides"),
        dilation=at.numbers("dilations"),
        groups=at.number("group"),
    )


def _reshape(inputs: Tensors, _: Attributes) -> torch.Tensor:
    x, shape = inputs[0], inputs[1].tolist()
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])


def _gemm(inputs: Tensors, at: Attributes) -> torch.Tensor:
    x, weight, *bias = inputs
    return F.linear(x, weight if at.number("transB", 0) else weight.T, *bias)


def _unsqueeze(inputs: Tensors, _: Attributes) -> torch.Tensor:
    x = inputs[0]
    for axis in sorted(inputs[1].tolist()):
        x = x.unsqueeze(axis)
    return x


OPERATORS: dict[str, Callable[[Tensors, Attributes], torch.Tensor]] = {
    "Add": lambda x, at: x[0] + x[1],
    "AveragePool": lambda x, at: F.avg_pool2d(x[0], at.numbers("kernel_shape"), at.numbers("strides")),
    "Cast": lambda x, at: x[0].to(TYPES[at.number("to")]),
    "Clip": lambda x, at: x[0].clamp(*x[1:]),
    "Concat": lambda x, at: torch.cat(x, at.number("axis")),
    "Conv": _conv,
    "Div": lambda x, at: x[0] / x[1],
    "Flatten": lambda x, at: x[0].flatten(at.number("axis")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, at: x[0].mean((2, 3), keepdim=True),
    "Log": lambda x, at: x[0].log(),
    "MaxPool": lambda x, at: F.max_pool2d(
        x[0], at.numbers("kernel_shape"), at.numbers("strides"), at.numbers("pads")[:2]
    ),
    "Mul": lambda x, at: x[0] * x[1],
    "ReduceMean": lambda x, at: x[0].mean(at.numbers("axes"), keepdim=bool(at.number("keepdims"))),
    "Relu": lambda x, at: x[0].relu(),
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": lambda x, at: x[0].softmax(at.number("axis")),
    "Squeeze": lambda x, at: x[0].squeeze(x[1].tolist()),
    "Sub": lambda x, at: x[0] - x[1],
    "Unsqueeze": _unsqueeze,
}


class GraphModule(nn.Module):
    """A graph with one input and one output; its convolutions' and linear layers' weights are parameters.

    Raises RecipeError for an operator that is not known, as those of 8-bit files.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        self._model = model
        nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        if unknown := sorted({node.op_type for node in nodes} - set(OPERATORS)):
            raise RecipeError(
                f"network.end_to_end: the graph of network.pretrained holds {', '.join(unknown)}, which is not trained "
                f"here (8-bit files are not)"
            )
        self._nodes = [(OPERATORS[node.op_type], Attributes(node), node) for node in nodes]
        weights = [name for node in nodes if node.op_type in WEIGHED for name in node.input[1:]]
        values = {one.name: one for one in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant":
                values[node.output[0]] = helper.get_attribute_value(node.attribute[0])
        self._places: dict[str, str] = {}  # by the graph's name, ours
        for number, (name, value) in enumerate(values.items()):
            tensor, place = torch.from_numpy(numpy_helper.to_array(value).copy()), f"tensor{number}"
            self._places[name] = place
            if name in weights:
                self.register_parameter(place, nn.Parameter(tensor))
            else:
                self.register_buffer(place, tensor, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the graph's output for its input."""
        known = {name: getattr(self, place) for name, place in self._places.items()}
        known[self._model.graph.input[0].name] = x
        for operator, attributes, node in self._nodes:
            known[node.output[0]] = operator([known[name] for name in node.input if name], attributes)
        return known[self._model.graph.output[0].name]

    def written(self) -> onnx.ModelProto:
        """Return the graph with the weights as they are now."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for one in model.graph.initializer:
            value = getattr(self, self._places[one.name]).detach().cpu().numpy()
            one.CopyFrom(numpy_helper.from_array(value, one.name))
        return model
