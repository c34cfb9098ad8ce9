"""A head over time: features of a face's frames in, expression of each frame and of the clip so far out.

It is causal, and goes frame by frame: `step` takes a frame and the state of what was before, and `forward` is `step`
over all frames, so what is trained is what runs live. A state is one row of floats a face; zeros are a beginning.
Knows nothing about where features come from or how it is trained.
"""

import torch
import torch.nn.functional as F
from torch import nn

from mien.recipe import ClipHead

LONGEST_GAP = 1.0  # seconds since the frame before, as the network sees it at most
FADE_SECONDS = 0.3  # time constant with which averages begin their training
LARGEST_SCORE = 4.0  # a frame weighs between exp(-4) and exp(4)
DILATIONS = (1, 2, 4, 8)
TAPS = 3  # frames that a convolution reads


class Cell(nn.Module):
    """One of the ways to remember: takes x (N, W) of a frame and a state (N, size), gives hidden (N, W) and state."""

    size: int  # floats of the state

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.size = width, 0

    def forward(
        self, x: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden (N, W) and the next state; a cell that remembers nothing gives x. `seconds` are (N,)."""
        return x, state


class Average(Cell):
    """The mean over frames so far, recent ones more, each channel with its own time constant.

    With `attention` a learned score says how much a frame weighs: attention pooling (Ilse et al. 2018), causal.
    """

    def __init__(self, width: int, *, attention: bool) -> None:
        super().__init__(width)
        self.size = 2 * width
        self.score = nn.Linear(width, width) if attention else None
        self.fade = nn.Parameter(torch.full((width,), 1 / FADE_SECONDS).expm1().log())  # through softplus

    def forward(
        self, x: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted mean (N, W) and the state: the sums of weighted frames and of weights."""
        weight = torch.ones_like(x) if self.score is None else bounded(self.score(x)).exp()
        kept = torch.exp(-F.softplus(self.fade) * seconds[:, None])
        summed = kept * state[:, : self.width] + weight * x
        weights = kept * state[:, self.width :] + weight
        return summed / weights, torch.cat([summed, weights], 1)


class Recurrent(Cell):
    """A GRU (Cho et al. 2014); its state is the hidden vector."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.size = width
        self.inputs, self.hidden = nn.Linear(width, 3 * width), nn.Linear(width, 3 * width)

    def forward(
        self, x: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next hidden vector (N, W), twice: as output and as state."""
        reset, update, new = self.inputs(x).chunk(3, 1)
        reset_state, update_state, new_state = self.hidden(state).chunk(3, 1)
        update = torch.sigmoid(update + update_state)
        new = torch.tanh(new + torch.sigmoid(reset + reset_state) * new_state)
        state = update * state + (1 - update) * new
        return state, state


class Convolutions(Cell):
    """A TCN (Bai et al. 2018): dilated causal convolutions over frames with residuals.

    Its state is what the convolutions will read again of earlier frames, 30 a channel; zeros stand for what was before.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.kept = [(TAPS - 1) * dilation for dilation in DILATIONS]  # frames, a layer
        self.size = width * sum(self.kept)
        self.layers = nn.ModuleList(nn.Linear(TAPS * width, width) for _ in DILATIONS)

    def forward(
        self, x: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the last layer gives (N, W), and the state with this frame in and the oldest out."""
        after = []
        memories = state.split([self.width * frames for frames in self.kept], 1)
        for layer, memory, dilation in zip(self.layers, memories, DILATIONS, strict=True):
            earlier = [memory[:, self.width * d : self.width * (d + 1)] for d in (0, dilation)]
            after.append(torch.cat([memory[:, self.width :], x], 1))
            x = x + F.relu(layer(torch.cat([*earlier, x], 1)))
        return x, torch.cat(after, 1)


def bounded(score: torch.Tensor) -> torch.Tensor:
    """Return a score within -4..4, whose exponential neither vanishes nor overflows in sums over any time."""
    return LARGEST_SCORE * torch.tanh(score / LARGEST_SCORE)


def make_cell(head: str, width: int) -> Cell:
    """Return the cell that a recipe names."""
    if head in ("mean", "attention"):
        return Average(width, attention=head == "attention")
    return {"frame": Cell, "gru": Recurrent, "tcn": Convolutions}[head](width)


class ClipNetwork(nn.Module):
    """The head: features are scaled and projected, a cell remembers, and two classifiers read what it gives.

    One says what each frame shows; the other what the clip so far shows, off the mean of all frames, weighted by a
    score that is learned (all alike with the heads "mean" and "frame").
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, options: ClipHead, *, features: int, classes: int) -> None:
        super().__init__()
        width = options.width
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.dropout = nn.Dropout(options.dropout)
        self.project = nn.Linear(features + 1, width)
        self.cell = make_cell(options.head, width)
        self.score = nn.Linear(width, 1) if options.head in ("attention", "gru", "tcn") else None
        self.frame_classifier = nn.Linear(width, classes)
        self.clip_classifier = nn.Linear(width, classes)
        self.state_size = self.cell.size + width + 1

    def scale_by(self, features: torch.Tensor) -> None:
        """Take mean and deviation of features (N, F), those of train, as the scale of all."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp_min(1e-3))

    def example(self, side: int) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG002 (of networks that take faces)
        """Return a frame of one face, as `forward` takes it; faces have `side` pixels."""
        return torch.zeros(1, 1, len(self.mean)), torch.zeros(1, 1)

    def start(self, faces: int) -> torch.Tensor:
        """Return the state of so many faces before their first frame, zeros (N, size)."""
        return torch.zeros(faces, self.state_size, device=self.mean.device)

    def inputs(self, features: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
        """Return what the cell takes (..., W) of features (..., F) and seconds (...) since the frame before."""
        scaled = self.dropout((features - self.mean) / self.deviation)
        gap = seconds.clamp(0, LONGEST_GAP)[..., None]
        return F.relu(self.project(torch.cat([scaled, gap], -1)))

    def step(
        self, x: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return hidden and pooled vectors (N, W), the frame's weight (N, 1) and the state after a frame."""
        size = self.cell.size
        hidden, memory = self.cell(x, seconds, state[:, :size])
        weight = torch.ones_like(x[:, :1]) if self.score is None else bounded(self.score(hidden)).exp()
        summed = state[:, size:-1] + weight * hidden
        weights = state[:, -1:] + weight
        return hidden, summed / weights, weight, torch.cat([memory, summed, weights], 1)

    def forward(
        self, features: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits of each frame and of the clip up to it (N, T, C), weights (N, T) and the last state.

        `features` are (N, T, F), `seconds` (N, T) since the frame before.
        """
        state = self.start(len(features)) if state is None else state
        inputs, steps = self.inputs(features, seconds), []
        for frame in range(features.shape[1]):
            *outputs, state = self.step(inputs[:, frame], seconds[:, frame], state)
            steps.append(outputs)
        hidden, pooled, weights = (torch.stack(list(one), 1) for one in zip(*steps, strict=True))
        return self.frame_classifier(hidden), self.clip_classifier(pooled), weights[..., 0], state
