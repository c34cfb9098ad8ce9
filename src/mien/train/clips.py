"""Training of a head over time on clips: the features of frames are computed once. Takes the loop's place of a step.

A batch is a window of each of some clips, from a moment and at a frame rate that are drawn anew, so that the head knows
beginnings, middles and other cameras. Shorter clips are filled up, and what fills counts for nothing.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mien.dataset import Development, Faces
from mien.errors import DataError, RunError, Stopped
from mien.folds import subset
from mien.networks.clip import ClipNetwork
from mien.networks.engine import Engine
from mien.networks.features import FrameFeatures, cached_features, frame_features, network_on
from mien.recipe import ClipHead, Recipe
from mien.run import Run
from mien.train.schedule import TrainState
from mien.train.seeds import derive_seed
from mien.train.step import Training, begin_step, end_step, make_optimizer

NONE = -1  # of a label: there is none
BLOCK = 256  # frames that are classified at once
LARGEST_GRADIENT = 1.0  # norm, of all weights together


@dataclass(slots=True)
class Clip:
    """The frames of one clip."""

    features: torch.Tensor  # float32 (T, F); end to end uint8 (T, S, S), the faces
    seconds: torch.Tensor  # float32 (T,), from the clip's beginning
    labels: torch.Tensor  # int64 (T,)
    label: int  # of the clip; NONE where it has none
    rows: np.ndarray  # int64 (T,), of the faces


def clips_of(faces: Faces, features: np.ndarray, device: str = "cpu") -> list[Clip]:
    """Return the clips that some faces are the frames of; `features` are what a network takes of each (`inputs_of`).

    DataError for no clips.
    """
    if faces.frames is None:
        raise DataError(
            "a data set of pictures, not of clips: its table has no column clip (mien pack --clips)"
        )
    clips = []
    for rows in faces.frames.rows():
        arrays = (features[rows], faces.frames.seconds[rows].astype(np.float32), faces.labels[rows])
        known, seconds, labels = (torch.from_numpy(one).to(device) for one in arrays)
        clips.append(Clip(known, seconds, labels, int(faces.frames.clip_labels[rows[0]]), rows))
    return clips


@dataclass(slots=True)
class Batch:
    """Windows of some clips, filled up to the longest."""

    features: torch.Tensor  # float32 (N, T, F), or uint8 (N, T, S, S)
    gaps: torch.Tensor  # float32 (N, T), seconds since the frame before, 0 for the first
    labels: torch.Tensor  # int64 (N, T), NONE where nothing is
    last: torch.Tensor  # int64 (N,), the last frame
    clip_labels: torch.Tensor  # int64 (N,), NONE where there is none


class ClipBatches:
    """Draws batches from clips."""

    def __init__(self, clips: list[Clip], options: ClipHead) -> None:
        self.clips, self._options = clips, options

    def begin_epoch(self, epoch: int) -> None:
        """Do nothing: every batch is drawn anew."""

    def batch(self, numbers: torch.Tensor, *, generator: torch.Generator) -> Batch:
        """Return a window of each of some clips."""
        return collate([self._window(self.clips[number], generator) for number in numbers.tolist()])

    def _window(self, clip: Clip, generator: torch.Generator) -> Clip:
        stride = 1 + _below(min(self._options.stride, max(1, len(clip.labels) // 2)), generator)
        start = _below(max(1, len(clip.labels) - stride * self._options.window), generator)
        rows = slice(start, start + stride * self._options.window, stride)
        return Clip(clip.features[rows], clip.seconds[rows], clip.labels[rows], clip.label, clip.rows[rows])


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator, device=generator.device))


def collate(clips: list[Clip]) -> Batch:
    """Return clips as one batch."""
    pad = nn.utils.rnn.pad_sequence
    gaps = [F.pad(clip.seconds.diff(), (1, 0)) for clip in clips]
    device = clips[0].labels.device
    return Batch(
        features=pad([clip.features for clip in clips], batch_first=True),
        gaps=pad(gaps, batch_first=True),
        labels=pad([clip.labels for clip in clips], batch_first=True, padding_value=NONE),
        last=torch.tensor([len(clip.labels) - 1 for clip in clips], device=device),
        clip_labels=torch.tensor([clip.label for clip in clips], device=device),
    )


def clip_loss(network: ClipNetwork, batch: Batch, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss of a batch, and how many frames are classified correctly.

    Cross-entropy of the frames, each clip alike, and at the end of each window of the class of its clip.
    """
    options, smoothing = recipe.network, recipe.training.label_smoothing
    assert isinstance(options, ClipHead)
    frames, clips, _, _ = network(batch.features, batch.gaps)
    there = batch.labels != NONE
    losses = F.cross_entropy(
        frames.flatten(0, 1),
        batch.labels.flatten(),
        ignore_index=NONE,
        label_smoothing=smoothing,
        reduction="none",
    )
    loss = (losses.reshape(there.shape).sum(1) / there.sum(1)).mean()
    known = batch.clip_labels != NONE
    if options.clip_weight and known.any():
        ends = clips[torch.arange(len(clips), device=clips.device), batch.last][known]
        whole = F.cross_entropy(ends, batch.clip_labels[known], label_smoothing=smoothing)
        loss = (1 - options.clip_weight) * loss + options.clip_weight * whole
    return loss, (frames.argmax(2) == batch.labels).sum()


@dataclass(slots=True, kw_only=True)
class ClipTraining(Training):
    """A training whose examples are clips; `rows`, `labels` and an epoch's order are those of clips."""

    batches: ClipBatches  # pyright: ignore[reportIncompatibleVariableOverride]
    network: ClipNetwork  # pyright: ignore[reportIncompatibleVariableOverride]
    eval_network: ClipNetwork  # pyright: ignore[reportIncompatibleVariableOverride]
    val: list[Clip]

    def step(self) -> None:
        """Take one step; all randomness follows from the seed and the step's number."""
        step_seed, numbers = begin_step(self)
        torch.manual_seed(step_seed)
        batch = self.batches.batch(numbers, generator=self.generator)
        loss, correct = clip_loss(self.network, batch, self.recipe)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        end_step(self, loss.detach(), correct, int((batch.labels != NONE).sum()))

    def judge(self, val: Faces) -> np.ndarray:
        """Return the probabilities of the frames of val, float64 (N, C)."""
        probs = np.empty((len(val), self.eval_network.frame_classifier.out_features))
        for clip in self.val:
            probs[clip.rows] = classify_clip(self.eval_network, clip)[0]
        return probs


def begin_clips(run: Run, data: Development, engine: Engine, stop: Callable[[], bool]) -> ClipTraining:
    """Return the training of a head before its first step; features are read from beside the run, or computed.

    Raises Stopped where `stop()` says so while they are computed.
    """

    def check() -> None:
        if stop():
            raise Stopped(f"{run.folder}: stopped while features were computed; the same command begins anew")

    options = run.recipe.network
    assert isinstance(options, ClipHead)
    features = run_features(run, engine)
    tables = cached_features(run.folder.parent, features, data, check)
    torch.manual_seed(derive_seed(run.seed, "init", 0))
    network = network_on(features, options, classes=len(run.data.labels))
    network.scale_by(torch.from_numpy(tables[0]))
    inputs = (data.train.images, data.val.images) if options.end_to_end else tables
    network = network.to(engine.device)
    train, val = (
        clips_of(faces, table, engine.device)
        for faces, table in zip((data.train, data.val), inputs, strict=True)
    )
    return ClipTraining(
        recipe=run.recipe,
        engine=engine,
        seed=run.seed,
        network=network,
        eval_network=deepcopy(network) if run.recipe.optimizer.ema_decay else network,
        optimizer=make_optimizer(network, run.recipe.optimizer),
        batches=ClipBatches(train, options),
        labels=torch.tensor([clip.label for clip in train]),
        side=run.data.side,
        state=TrainState(lr=run.recipe.optimizer.lr),
        generator=torch.Generator(engine.device),
        rows=clip_subset(data.train, run.recipe.training.subset),
        loss=F.cross_entropy,
        val=val,
    )


def run_features(run: Run, engine: Engine) -> FrameFeatures:
    """Return what gives the features that a run's head reads; RunError where its model's file is another one now."""
    assert isinstance(run.recipe.network, ClipHead)
    features = frame_features(run.recipe.network, side=run.data.side, threads=engine.threads)
    model = features.model
    known = (model.graph_sha256, model.sha256)  # older runs noted the file's
    if run.init is None or run.init["sha256"] not in known:
        raise RunError(
            f"{model.path}: changed since {run.folder} was begun with it; bring it back, or train it anew"
        )
    return features


def inputs_of(run: Run, engine: Engine, faces: Faces) -> np.ndarray:
    """Return what a run's network takes of each face: features, float32 (N, F), or itself, uint8 (N, S, S).

    RunError where the model's file is another one now.
    """
    features = run_features(run, engine)
    assert isinstance(run.recipe.network, ClipHead)
    return faces.images if run.recipe.network.end_to_end else features(faces.images)


def check_clips(recipe: Recipe, data: Development) -> dict:
    """Return file name and sha256 of the graph of the model whose features are read, before a folder is made.

    Of the graph, since a file changes with its card.

    Raises RecipeError or ModelError where it does not fit, DataError for faces that are no clips.
    """
    options = recipe.network
    assert isinstance(options, ClipHead)
    if data.train.frames is None:
        raise DataError(
            f"{data.info.folder}: a data set of pictures, and network.kind=clip trains on clips (mien pack --clips)"
        )
    features = frame_features(options, side=data.info.side)
    network_on(features, options, classes=len(data.info.labels))
    model = features.model
    return {"file": model.path.name, "sha256": model.graph_sha256}


def clip_subset(faces: Faces, share: float) -> torch.Tensor:
    """Return the numbers of the clips that are trained on, int64, whole people together (see `folds.subset`)."""
    assert faces.frames is not None
    first = np.array([rows[0] for rows in faces.frames.rows()])
    return torch.from_numpy(subset(faces.labels[first], faces.groups[first], share))


@torch.inference_mode()
def classify_clip(network: ClipNetwork, clip: Clip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities of each frame and of the clip up to it, float64 (T, C), and weights (T,), of one clip.

    The state is carried over blocks of frames, so memory does not grow with a clip's length.
    """
    network.eval()
    gaps, state, parts = F.pad(clip.seconds.diff(), (1, 0)), None, []
    for features, seconds in zip(clip.features.split(BLOCK), gaps.split(BLOCK), strict=True):
        frames, clips, weights, state = network(features[None], seconds[None], state)
        parts.append((frames[0].double().softmax(1), clips[0].double().softmax(1), weights[0].double()))
    frames, clips, weights = (torch.cat(list(one)).cpu().numpy() for one in zip(*parts, strict=True))
    return frames, clips, weights
