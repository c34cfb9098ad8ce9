"""Features of faces by a model's file: what its networks' last layers read. Knows nothing about clips or training.

The file's graph is cut before the classifier of each network in it and the views of a face are averaged. The
logarithms of its probabilities stand beside, and alone where no such layer is found, as in 8-bit files. So any model of
mien's will do, an ensemble too, and no network is needed as torch has it.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mien.dataset import Development
from mien.errors import RecipeError
from mien.files import write_atomic
from mien.model import BATCH, INPUT, OUTPUT, Model, open_session, read_model
from mien.networks.clip import ClipNetwork
from mien.reading import read_bytes
from mien.recipe import ClipHead

FEATURES = "features"
SMALLEST = 1e-4  # probability whose logarithm is a feature
LARGEST_FILE_BYTES = 2**34


def features_graph(model: Model) -> onnx.ModelProto:
    """Return the model's graph with the output `features`, float32 (N, F), in place of probabilities."""
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


class FrameFeatures:
    """Gives the features of faces by a model's file."""

    def __init__(self, model: Model, *, threads: int = 0) -> None:
        self.model = model
        self.graph = features_graph(model)
        self._session = open_session(model.path, self.graph.SerializeToString(), threads)
        self.size = self(np.zeros((1, model.side, model.side), np.uint8)).shape[1]

    def __call__(self, images: np.ndarray, check: Callable[[], None] = lambda: None) -> np.ndarray:
        """Return features, float32 (N, F), of faces uint8 (N, S, S); `check()` is called before each batch."""
        parts = [np.empty((0, self.size), np.float32)] if not len(images) else []
        for start in range(0, len(images), BATCH):
            check()
            batch = images[start : start + BATCH, None]
            parts.append(np.asarray(self._session.run([FEATURES], {INPUT: batch})[0]))
        return np.concatenate(parts)


def cached_features(
    folder: Path, features: FrameFeatures, data: Development, check: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features, float32 (n, F), of the train and of the val faces, from a file in `folder` if it has them.

    They are computed once for all runs, seeds and folds: the file goes by the graph and by the faces of train and val
    together. `check` is what `FrameFeatures` calls.
    """
    ids = np.concatenate([data.train.ids, data.val.ids])
    order = np.argsort(ids)
    key = "\n".join([features.model.graph_sha256, data.info.learned_sha256, *ids[order].tolist()])
    path = Path(folder) / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    by_id = _read(path, (len(ids), features.size))
    if by_id is None:
        by_id = np.concatenate([features(some.images, check) for some in (data.train, data.val)])[order]
        write_atomic(path, save({FEATURES: by_id}))
    rows = np.empty_like(by_id)
    rows[order] = by_id
    return rows[: len(data.train)], rows[len(data.train) :]


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the features that a file holds, None where it is missing or damaged: they are computed anew then."""
    try:
        table = load(read_bytes(path, LARGEST_FILE_BYTES))[FEATURES]
    except (OSError, SafetensorError, LookupError, ValueError):
        return None
    return table if table.shape == shape and table.dtype == np.float32 else None


def clip_network(options: ClipHead, *, side: int, classes: int) -> ClipNetwork:
    """Return the head that a recipe's options describe, on the features of the model that they name.

    Raises ModelError for a model that cannot be read, RecipeError for one of faces of another side.
    """
    return ClipNetwork(options, features=frame_features(options, side=side).size, classes=classes)


def frame_features(options: ClipHead, *, side: int, threads: int = 0) -> FrameFeatures:
    """Return what gives the features that a head reads; errors are those of `clip_network`."""
    model = read_model(options.pretrained, threads=threads)
    if model.side != side:
        raise RecipeError(
            f"network.pretrained: {model.path} reads faces of {model.side} pixels, the data set has {side}"
        )
    return FrameFeatures(model, threads=threads)
