"""Probabilities of one person smoothed in time, and a label that does not flicker. Knows nothing about pictures.

How much is in `Settings`, chosen on rendered clips with known truth: bench/video_filter.py, results/video-filter.csv.
Time is told in seconds, so that it does the same at any rate of frames.
"""

import math
from dataclasses import dataclass

import numpy as np

FAINTEST = 0.005  # a probability below it counts as this much: one frame must not outweigh all others


@dataclass(frozen=True, slots=True)
class Settings:
    """How probabilities are smoothed and when a label changes."""

    constant_seconds: float = 0.1  # the time constant of an exponential mean of logarithms
    margin: float = 1.3  # times the label's probability another class must have to take its place
    hold: float = 0.7  # times the threshold the label's probability must fall below to be uncertain


OVER_TIME = Settings(constant_seconds=0.1, margin=3.0)  # behind a model over time: bench/clips.py


def default_settings(*, over_time: bool) -> Settings:
    """Return how answers of a model over time, or of one of single faces, are smoothed where nobody says."""
    return OVER_TIME if over_time else Settings()


class Steady:
    """Smooths the probabilities of one person, whose moments are given in their order."""

    def __init__(self, threshold: float, settings: Settings | None = None) -> None:
        self._threshold = threshold
        self._settings = settings or Settings()
        self._mean: np.ndarray | None = None
        self._seconds = 0.0
        self._label: int | None = None

    def add(self, seconds: float, probabilities: np.ndarray) -> tuple[np.ndarray, int | None]:
        """Return the smoothed probabilities (C,) after a frame's, and the label's place, None where it is uncertain.

        Means are of logarithms, so that classes keep their proportions, and what comes out sums to 1.
        """
        logs = np.log(np.maximum(probabilities, FAINTEST))
        if self._mean is None:
            self._mean = logs
        else:
            part = _share(seconds - self._seconds, self._settings.constant_seconds)
            self._mean = self._mean + part * (logs - self._mean)
        self._seconds = seconds
        shares = np.exp(self._mean - self._mean.max())
        smoothed = shares / shares.sum()
        self._label = self._next(smoothed)
        return smoothed, self._label

    def _next(self, smoothed: np.ndarray) -> int | None:
        """Return the label that follows the present one: hysteresis between classes, and towards uncertain."""
        best, now = int(smoothed.argmax()), self._label
        near, held = self._settings.margin, self._settings.hold * self._threshold
        if now is not None and smoothed[best] <= near * smoothed[now] and smoothed[now] >= held:
            return now
        return best if smoothed[best] >= self._threshold else None


def _share(seconds: float, constant: float) -> float:
    """Return how much of the way to a new value an exponential mean goes in so long."""
    return 1.0 if constant <= 0 else 1 - math.exp(-max(0.0, seconds) / constant)
