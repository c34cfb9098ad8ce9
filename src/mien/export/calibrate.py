"""How sure a network may be: temperature and threshold, found on val. Pure numpy; knows nothing about networks."""

import numpy as np

from mien.judge.sums import SMALLEST_PROBABILITY

COLDEST, HOTTEST = 0.2, 5.0  # what lies beyond is chance, of a val that is small or read without a fault
HALVINGS = 60
ANSWERED = 0.85  # share of val's clean faces that get an answer; the others are "uncertain"
DIGITS = 4  # that are kept, so that the last bits of a sum change no file


def unlearned(clean: np.ndarray) -> np.ndarray:
    """Return which faces, bool (N,), calibrate: the clean ones, since of pictures that it learned a network is surer.

    Where none is clean all do.
    """
    return clean if clean.any() else ~clean


def calibrated(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities, float64 (N, C), whose logarithms are divided by a temperature; their order stays."""
    logits = _logits(probs) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def temperature(labels: np.ndarray, probs: np.ndarray) -> float:
    """Return the temperature, 0.2 to 5, at which probabilities (N, C) have the least log loss.

    Guo et al., "On calibration of modern neural networks", ICML 2017. In 1 / T the log loss is convex, so its slope
    is halved down to its root; where it has none (all is read rightly, or by chance) a bound is returned. Four digits.
    """
    logits, rows = _logits(probs), np.arange(len(labels))
    truth = logits[rows, labels]

    def falls(cold: float) -> bool:
        """Say whether the log loss falls with 1 / T: the true logit is above the mean one."""
        return bool(np.mean((calibrated(probs, 1 / cold) * logits).sum(1) - truth) < 0)

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if falls(middle) else (low, middle)
    return _rounded(1 / low)


def threshold(probs: np.ndarray, share: float = ANSWERED) -> float:
    """Return the highest probability below which an answer is "uncertain", so that a share of faces is answered.

    It is a bound of at most four digits with at least this share of the rows' maxima, (N, C), at or above it: how
    sure the least sure of the answered faces is (Chow, "On optimum recognition error and reject tradeoff", 1970).
    """
    sure = np.sort(probs.max(1))[::-1]
    least = sure[int(np.ceil(share * len(sure))) - 1]
    return float(np.floor(least * 10**DIGITS) / 10**DIGITS)


def _logits(probs: np.ndarray) -> np.ndarray:
    return np.log(np.clip(np.asarray(probs, np.float64), SMALLEST_PROBABILITY, 1))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
