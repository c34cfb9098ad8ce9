"""A model: one `.onnx` file that reads faces, with all that must be known of it inside. Knows nothing about torch.

The graph takes `faces`, uint8 (N, 1, S, S), and gives `probabilities`, float32 (N, C), calibrated, rows summing to 1:
the input's scale, the mean with the mirror picture, the mean over an ensemble and the temperature are in it. The
file's metadata holds the rest (`metadata.py`).

A model over time takes `seconds` since the frame before, float32 (N,), and `state`, float32 (N, D), too, and gives
`clip_probabilities`, float32 (N, C), of the clip so far and `next_state`; zeros are the state before the first frame.

`mien export` writes such a file; everything that reads one does it here.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.devices import choose
from mien.devices import open_session as session_on
from mien.errors import DataError, DeviceError, ModelError
from mien.labels import did_you_mean
from mien.model.metadata import parsed
from mien.model.onnx_file import CHECKSUM, NotOnnx, OnnxFile, read_onnx
from mien.model.prior import Prior, read_prior, shift_prior, train_shares
from mien.reading import DEFAULT_MODEL, read_bytes, reason, shipped
from mien.text import Shown, quoted

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT = 2  # 1 framed faces by their landmarks alone
INPUT, OUTPUT = "faces", "probabilities"
SECONDS, STATE, CLIP_OUTPUT, NEXT_STATE = "seconds", "state", "clip_probabilities", "next_state"
BATCH = 32  # faces that are read at once: more do not fit into a core's cache and are a sixth slower
LARGEST_FILE_BYTES = 2**30  # several of the largest networks; protobuf itself ends at twice that
SUM_TOLERANCE = 1e-3  # between a row's sum and 1
WHAT = "a mien model"


@dataclass(frozen=True, slots=True, eq=False)
class ClipAnswer:
    """What a model over time says of N faces after a frame of each."""

    probabilities: np.ndarray  # float32 (N, C), of this frame
    clip_probabilities: np.ndarray  # float32 (N, C), of the clip so far
    state: np.ndarray  # float32 (N, D), for the next frame


@dataclass(frozen=True, slots=True, eq=False)
class Model(Shown):
    """A model read and checked. It may be used by several threads at once."""

    path: Path
    name: str
    labels: tuple[str, ...]
    side: int  # pixels
    temperature: float
    threshold: float  # below this highest probability the answer is "uncertain"
    crop: dict[
        str, Any
    ]  # marks, where they belong as shares of the side, and from which lean on a face is turned upright
    data: dict  # fingerprint, origin, counts, notes
    runs: list[dict]  # name, seed, recipe, weights_sha256
    reading: dict  # mirror, shift, precision
    card: str  # Markdown
    licence: str
    sha256: str  # of the file
    graph_sha256: str  # of the file without its metadata: the same for the same answers
    graph_prior: tuple[float, ...]  # the share that the graph takes each class to have
    prior: tuple[float, ...]  # the share that `probabilities` takes each class to have
    state_size: int  # floats a face that a model over time remembers; 0: it knows single faces alone
    device: str  # which runs it: "cpu", "cuda", …
    _session: "InferenceSession" = field(repr=False)

    def with_prior(self, prior: Prior) -> "Model":
        """Return this model with answers under another prior: "train", "balanced", label to share, or a JSON file.

        Raises DataError for shares that are not of this model's classes.
        """
        train = train_shares(self.data["counts"].get("train", {}), self.labels)
        return replace(self, prior=read_prior(prior, self.labels, train))

    def on_device(self, device: str) -> "Model":
        """Return this model on another device, see `read_model`."""
        return self if choose(device) == self.device else _unpickled(*self._contents(), device)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, float32 (N, C), of faces uint8 (N, S, S); DataError for other arrays.

        A model over time takes each for the first frame of a clip. Raises ModelError where the graph fails, or gives
        what are no probabilities.
        """
        images = self._checked(images)
        starts = range(0, len(images), BATCH)
        parts = [self._run(images[start : start + BATCH]).probabilities for start in starts]
        return np.concatenate([np.empty((0, len(self.labels)), np.float32), *parts])

    def start(self, faces: int) -> np.ndarray:
        """Return the state of so many faces before the first frame of each, float32 (N, D)."""
        return np.zeros((faces, self.state_size), np.float32)

    def step(self, images: np.ndarray, seconds: np.ndarray, state: np.ndarray) -> ClipAnswer:
        """Return what a model over time says of the next frame of each of N faces, uint8 (N, S, S).

        `seconds`, (N,), passed since the frame before, 0 for a first one; `state` is that of the answer to it, or of
        `start`. Raises DataError for other arrays, ModelError where the graph fails.
        """
        images = self._checked(images)
        if (
            not self.state_size
            or state.shape != (len(images), self.state_size)
            or len(seconds) != len(images)
        ):
            raise DataError(f"{self.name} takes a state (N, {self.state_size}) and seconds (N,) beside faces")
        if not len(images):
            none = np.empty((0, len(self.labels)), np.float32)
            return ClipAnswer(none, none, state)
        return self._run(images, np.asarray(seconds, np.float32), np.asarray(state, np.float32))

    def _checked(self, images: np.ndarray) -> np.ndarray:
        """Return faces uint8 (N, S, S); DataError for other arrays."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (self.side, self.side):
            raise DataError(
                f"{self.name} reads faces uint8 (N, {self.side}, {self.side}), not {images.dtype} {images.shape}"
            )
        return images

    def __reduce__(self):
        """Carry the file's bytes: another process, or machine, need not have it."""
        return _unpickled, (*self._contents(), self.device)

    def _contents(self) -> tuple[Path, bytes, int, float, tuple[float, ...]]:
        """Return what makes this model again, but for its device; ModelError where its file was changed."""
        data = read_bytes(self.path, LARGEST_FILE_BYTES)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelError(
                f"{self.path}: changed since it was read, so it cannot be sent to another process"
            )
        threads = self._session.get_session_options().intra_op_num_threads
        return self.path, data, threads, self.threshold, self.prior

    def _run(
        self, images: np.ndarray, seconds: np.ndarray | None = None, state: np.ndarray | None = None
    ) -> ClipAnswer:
        """Return what the graph says of a batch; ModelError where it fails or its answers are no probabilities."""
        inputs: dict[str, np.ndarray] = {INPUT: images[:, None]}
        outputs = [OUTPUT]
        if self.state_size:
            inputs[SECONDS] = np.zeros(len(images), np.float32) if seconds is None else seconds
            inputs[STATE] = self.start(len(images)) if state is None else state
            outputs += [CLIP_OUTPUT, NEXT_STATE]
        try:
            probs, *others = (np.asarray(one) for one in self._session.run(outputs, inputs))
        except Exception as fault:  # onnxruntime's own errors have no common class but this
            raise ModelError(
                f"{self.path}: its graph fails ({_first_line(fault)}); export it again"
            ) from None
        clips, after = others or (probs, inputs[INPUT])
        return ClipAnswer(self._probs(probs, len(images)), self._probs(clips, len(images)), after)

    def _probs(self, probs: np.ndarray, faces: int) -> np.ndarray:
        """Return probabilities (N, C) that a graph gave under the prior; ModelError where they are none."""
        shaped = probs.shape == (faces, len(self.labels)) and probs.min() >= 0  # nor is nan
        if not shaped or np.abs(probs.sum(1) - 1).max() > SUM_TOLERANCE:
            raise ModelError(f"{self.path}: what its graph gives are no probabilities; export it again")
        return probs if self.prior == self.graph_prior else shift_prior(probs, self.graph_prior, self.prior)

    def __repr__(self) -> str:
        return f"Model({self.path}: {self.name}, {self.side} x {self.side}, {', '.join(self.labels)})"


def shipped_models() -> dict[str, Path]:
    """Return the models that come with mien, by name."""
    return shipped("weights", ".onnx")


def read_model(where: str | Path = DEFAULT_MODEL, *, threads: int = 0, device: str = "cpu") -> Model:
    """Read a shipped model by name, or any model of mien's by path; `threads` 0 takes all cores.

    `device` runs it: "cpu", "cuda", "coreml", "directml", "openvino", or "auto", a GPU that onnxruntime can use or the
    CPU. Raises DeviceError where there is none, or its answers are not the CPU's (`mien.devices`).

    Nothing of it is executed but a graph of ONNX's own operators, without loops or branches, and no other file is
    opened. Raises ModelError in one line for a file that is missing, damaged, cut short, of a newer format, not made by
    mien, that holds more than such a graph or whose graph fails.
    """
    path = _found(where)
    try:
        data = read_bytes(path, LARGEST_FILE_BYTES)
    except OSError as fault:
        raise ModelError(f"{path}: cannot be read as {WHAT} ({reason(fault)})") from None
    _refuse_weights(path, data)
    return _of_bytes(path, data, threads, device)


def run_graph(graph: bytes, images: np.ndarray) -> np.ndarray:
    """Return what a graph without metadata gives for faces uint8 (N, 1, S, S), float32 (N, C).

    Raises ModelError where it holds what a model's file may not, or cannot be run.
    """
    path = Path("its graph")
    if unwanted := read_onnx(graph).unwanted:
        raise ModelError(f"{path} holds {unwanted}")
    try:
        return np.asarray(open_session(path, graph, threads=1).run([OUTPUT], {INPUT: images})[0])
    except ModelError:
        raise
    except Exception as fault:  # onnxruntime's own errors have no common class but this
        raise ModelError(f"{path} fails ({_first_line(fault)})") from None


def _unpickled(
    path: Path, data: bytes, threads: int, threshold: float, prior: tuple[float, ...], device: str = "cpu"
) -> Model:
    return replace(_of_bytes(path, data, threads, device), threshold=threshold, prior=prior)


def _of_bytes(path: Path, data: bytes, threads: int, device: str) -> Model:
    try:
        read = read_onnx(data)
    except NotOnnx as fault:
        raise ModelError(f"{path}: not {WHAT}, nor any ONNX file, or cut short ({fault})") from None
    _check(path, read)
    try:
        values = parsed(read.metadata)
    except (ValueError, DataError) as fault:
        raise ModelError(f"{path}: {WHAT} is damaged here ({fault}); export it again") from None
    side, size, device = values["side"], values["state_size"], choose(device)
    session = open_session(path, data, threads, device, _probe(side, size))
    _check_ends(path, session, side, len(values["labels"]), size)
    model = Model(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        graph_sha256=read.graph_sha256,
        device=device,
        _session=session,
        graph_prior=values["prior"],
        **{**values, "labels": tuple(values["labels"])},
    )
    model.probabilities(np.zeros((1, model.side, model.side), np.uint8))  # a graph that fails does so here
    return model


def _refuse_weights(path: Path, data: bytes) -> None:
    """Raise ModelError for what has a network's weights alone: safetensors, or what torch saves."""
    safetensors = data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data)
    if safetensors or data.startswith((b"PK\3\4", b"\x80\2")):
        raise ModelError(
            f"{path}: weights alone, which do not say how a face is read; mien export {quoted(path.parent)} makes "
            f"a model of a run"
        )


def _found(where: str | Path) -> Path:
    known = shipped_models()
    if str(where) in known:
        return known[str(where)]
    path = Path(where)
    if path.suffix != ".onnx" and not path.exists():
        names = f"known are {', '.join(known)}" if known else "none ships with this mien"
        hint = did_you_mean(str(where), known)
        raise ModelError(f'no model "{where}", {names}{hint or "; or give a .onnx file"}')
    return path


def _check(path: Path, told: OnnxFile) -> None:
    """Raise ModelError unless the file is one that mien exported, whole and in a format that is known."""
    number = told.metadata.get("mien.format")
    if number is None:
        raise ModelError(
            f"{path}: an ONNX file, but not {WHAT}: it does not say which classes it has, nor how a face must be "
            f"cropped and scaled; make one with mien export"
        )
    if not number.isdecimal() or int(number) > FORMAT:
        raise ModelError(
            f"{path}: written in format {number} by a newer mien; this one reads up to format {FORMAT}: "
            f"pip install --upgrade mien"
        )
    if int(number) < FORMAT:
        raise ModelError(
            f"{path}: written in format {number} by an older mien, which cut faces otherwise; export its run again"
        )
    if told.unwanted:
        raise ModelError(f"{path}: holds {told.unwanted}; {WHAT} never does, so it is not opened")
    if told.metadata.get(CHECKSUM) != told.checksum:
        raise ModelError(f"{path}: the file was changed after it was exported; export it again")


def _probe(side: int, state_size: int) -> dict[str, np.ndarray]:
    """Return what a device is tried with: even gray and noise, uint8 (4, 1, S, S), and times and states if need be."""
    faces = np.random.default_rng(0).integers(0, 256, (4, 1, side, side), np.uint8)
    faces[0] = 128
    times = {SECONDS: np.zeros(4, np.float32), STATE: np.zeros((4, state_size), np.float32)}
    return {INPUT: faces} | (times if state_size else {})


def open_session(
    path: Path, data: bytes, threads: int, device: str = "cpu", probe: Mapping[str, np.ndarray] | None = None
) -> "InferenceSession":
    """Return an onnxruntime session of a graph's bytes; ModelError, naming `path`, where there is none.

    A device but the CPU is tried with `probe`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, and is one line
    try:
        return session_on(data, device, options, probe or {})
    except DeviceError:
        raise
    except Exception as fault:  # onnxruntime's own errors have no common class but this
        raise ModelError(f"{path}: onnxruntime cannot read it ({_first_line(fault)})") from None


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]


def _check_ends(path: Path, session, side: int, classes: int, state: int) -> None:
    """Raise ModelError unless the graph takes and gives what the metadata says."""
    actual = [
        [(e.name, e.type, e.shape) for e in ends] for ends in (session.get_inputs(), session.get_outputs())
    ]
    floats = "tensor(float)"
    takes, gives = [(INPUT, "tensor(uint8)", [1, side, side])], [(OUTPUT, floats, [classes])]
    if state:
        takes += [(SECONDS, floats, []), (STATE, floats, [state])]
        gives += [(CLIP_OUTPUT, floats, [classes]), (NEXT_STATE, floats, [state])]
    without_batch = [[(name, kind, shape[1:]) for name, kind, shape in ends] for ends in actual]
    free = all(not isinstance(shape[0], int) for ends in actual for _, _, shape in ends if shape)
    if without_batch != [takes, gives] or not free:
        raise ModelError(
            f"{path}: its graph takes {actual[0]} and gives {actual[1]}; {WHAT} with its labels and side takes "
            f"faces uint8 (N, 1, {side}, {side}) and gives probabilities float32 (N, {classes})"
        )


def facts(model: Model) -> list[tuple[str, str]]:
    """Return what a model's file tells as (name, words)."""
    members = ", ".join(f"{run['name']} seed {run['seed']}" for run in model.runs)
    whole = f"an ensemble of {len(model.runs)} networks" if len(model.runs) > 1 else "one network"
    origin = model.data["origin"].get("kind", "unknown")
    return [
        ("reads", f"{model.side} x {model.side} grey faces, each {views_in_words(model.reading)}"),
        ("classes", ", ".join(model.labels)),
        ("made of", f"{whole} in {model.reading['precision']}: {members}"),
        ("trained on", f"{origin}, fingerprint {model.data['fingerprint']}"),
        (
            "prior",
            ", ".join(f"{label} {100 * p:.1f} %" for label, p in zip(model.labels, model.prior, strict=True)),
        ),
        *([("over time", f"remembers {model.state_size:,} numbers a face")] if model.state_size else []),
        ("calibrated", f"temperature {model.temperature:g}, uncertain below {model.threshold:g}"),
        ("licence", model.licence),
        ("sha256", model.sha256),
    ]


def summary(model: Model) -> str:
    """Return what a model is, as lines."""
    size = model.path.stat().st_size
    lines = [f"{model.path}: model {model.name}, {size / 1e6:.2f} MB"]
    return "\n".join([*lines, *(f"{name}: {words}" for name, words in facts(model))])


def views_in_words(reading: dict) -> str:
    """Return how often a face is read, in words."""
    parts = ["itself"]
    if reading["shift"]:
        parts.append(f"moved by {reading['shift']} pixels to each corner")
    if reading["mirror"]:
        parts.append("mirrored")
    return "once" if len(parts) == 1 else f"as the mean of {', '.join(parts[:-1])} and {parts[-1]}"
