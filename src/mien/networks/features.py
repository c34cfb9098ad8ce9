"""Features of faces by a model's file (`features_graph.py`), computed once. Knows nothing about training."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mien.dataset import Development
from mien.errors import RecipeError
from mien.files import write_atomic
from mien.model import BATCH, INPUT, OUTPUT, Model, open_session, read_model
from mien.networks.clip import ClipNetwork
from mien.reading import read_bytes
from mien.recipe import ClipHead

KEY = "features"  # of the tensor in the file that keeps them
LARGEST_FILE_BYTES = 2**34


class FrameFeatures:
    """Gives the features of faces by a model's file, and with `probabilities` these, too, at no further cost."""

    def __init__(self, model: Model, *, threads: int = 0, probabilities: bool = False) -> None:
        from mien.networks.features_graph import (  # with onnx, which is slow to import
            FEATURES,
            features_graph,
        )

        self.model, self._output = model, FEATURES
        self.graph = features_graph(model, probabilities=probabilities)
        self._session = open_session(model.path, self.graph.SerializeToString(), threads)
        self.size = self(np.zeros((1, model.side, model.side), np.uint8)).shape[1]
        self.pooled = self.size - len(model.labels)  # of them, those that classifiers read; they stand first

    def __call__(self, images: np.ndarray, check: Callable[[], None] = lambda: None) -> np.ndarray:
        """Return features, float32 (N, F), of faces uint8 (N, S, S); `check()` is called before each batch."""
        if not len(images):
            return np.empty((0, self.size), np.float32)
        return self._run([self._output], images, check)[0]

    def with_probabilities(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities, float32 (N, C), and features, float32 (N, F), of at least one face, uint8 (N, S, S)."""
        probs, features = self._run([OUTPUT, self._output], images)
        return probs, features

    def _run(
        self, outputs: list[str], images: np.ndarray, check: Callable[[], None] = lambda: None
    ) -> list[np.ndarray]:
        """Return outputs of the graph, float32 (N, …) each, of at least one face; `check()` comes before each batch."""
        parts = []
        for start in range(0, len(images), BATCH):
            check()
            parts.append(self._session.run(outputs, {INPUT: images[start : start + BATCH, None]}))
        return [np.concatenate(list(map(np.asarray, column))) for column in zip(*parts, strict=True)]


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
        write_atomic(path, save({KEY: by_id}))
    rows = np.empty_like(by_id)
    rows[order] = by_id
    return rows[: len(data.train)], rows[len(data.train) :]


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the features that a file holds, None where it is missing or damaged: they are computed anew then."""
    try:
        table = load(read_bytes(path, LARGEST_FILE_BYTES))[KEY]
    except (OSError, SafetensorError, LookupError, ValueError):
        return None
    return table if table.shape == shape and table.dtype == np.float32 else None


def clip_network(options: ClipHead, *, side: int, classes: int) -> ClipNetwork:
    """Return the head that a recipe's options describe, on the features of the model that they name.

    Raises ModelError for a model that cannot be read, RecipeError for one of faces of another side.
    """
    return network_on(frame_features(options, side=side), options, classes=classes)


def network_on(features: FrameFeatures, options: ClipHead, *, classes: int) -> ClipNetwork:
    """Return the head that reads some features, or, end to end, takes the faces and has the model's weights, too.

    Raises RecipeError where the model's graph cannot be trained.
    """
    if not options.end_to_end:
        return ClipNetwork(options, features=features.size, classes=classes)
    from mien.networks.end_to_end import EndToEnd
    from mien.networks.graph_module import GraphModule

    return EndToEnd(options, GraphModule(features.graph), features=features.size, classes=classes)


def frame_features(options: ClipHead, *, side: int, threads: int = 0) -> FrameFeatures:
    """Return what gives the features that a head reads; errors are those of `clip_network`."""
    model = read_model(options.pretrained, threads=threads)
    if model.side != side:
        raise RecipeError(
            f"network.pretrained: {model.path} reads faces of {model.side} pixels, the data set has {side}"
        )
    return FrameFeatures(model, threads=threads)
