"""Resampling of faces and seeds. Knows nothing about labels, files or what a score means.

Efron, "Bootstrap methods", 1979; whole groups are drawn (copies of one face are one
observation: Davison and Hinkley, "Bootstrap methods and their application", 1997, chapter 3.8).
A draw of faces is a vector of how often each group was drawn; multiplied with the groups'
sums it gives the sums of the drawn faces, so that no face is ever copied.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mien.errors import DataError
from mien.judge.sums import Sample, Sums, bin_of

LEAST_DRAWS, MOST_DRAWS = 100, 100_000
BAND_DRAWS = 1_000
QUANTILES = (0.025, 0.975)
CHUNK_CELLS = 2**21  # 16 MB of numbers at a time


@dataclass(frozen=True, slots=True)
class Interval:
    """A point and its 95 % interval, in the unit of the score (shares are 0..1); low <= point <= high."""

    point: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the three numbers by name, ready for JSON."""
        return asdict(self)


def check_draws(draws: object, seed: object) -> None:
    """Raise DataError unless `draws` and `seed` can be used."""
    if not isinstance(draws, int | np.integer) or not LEAST_DRAWS <= draws <= MOST_DRAWS:
        raise DataError(f"draws must be a whole number from {LEAST_DRAWS} to {MOST_DRAWS:,}, not {draws}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise DataError(f"seed must be a whole number from 0 up, not {seed}")


def bootstrap(
    networks: Sequence[Sample],
    figures: Callable[[Sums], np.ndarray],
    *,
    draws: int,
    seed: int,
    names: Sequence[str] = ("",),
) -> list[np.ndarray]:
    """Return for each network the figures of resampled faces and seeds, float64 (draws, figures).

    A network's sample holds the sums of K seeds and G groups of faces, the same groups for all
    networks. `figures` turns sums (...) into numbers (..., figures). All networks see the
    same faces in a draw, so differences of draws are paired; a network's seeds are drawn by its
    name, so that neither order nor company of the networks changes its draws.
    """
    groups = networks[0].groups.flat.shape[1]
    faces_rng = np.random.default_rng([seed, 0])
    seed_rngs = [np.random.default_rng([seed, 1, *name.encode(errors="surrogateescape")]) for name in names]
    widest = max(sample.groups.flat.size // groups for sample in networks)
    chunk = max(1, CHUNK_CELLS // max(groups, widest))
    parts: list[list[np.ndarray]] = [[] for _ in networks]
    for start in range(0, draws, chunk):
        times = times_drawn(faces_rng, min(chunk, draws - start), groups)
        for part, sample, rng in zip(parts, networks, seed_rngs, strict=True):
            part.append(over_seeds(figures(sample.drawn(times)), rng))  # (K, chunk, figures)
    return [np.concatenate(part) for part in parts]


def times_drawn(rng: np.random.Generator, draws: int, groups: int) -> np.ndarray:
    """Return how often each group was drawn when as many groups are drawn as there are, (draws, G)."""
    times = np.empty((draws, groups))
    # One draw at a time stays in the cache: four times as fast as all at once for 36,000 groups.
    for draw in times:
        draw[:] = np.bincount(rng.integers(groups, size=groups), minlength=groups)
    return times


def over_seeds(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mean over seeds (K, draws, figures) -> (draws, figures), with the noise of few seeds."""
    seeds, draws, _ = values.shape
    mean = values.mean(0)
    if seeds == 1:
        return mean
    picked = rng.integers(seeds, size=(draws, seeds)).T
    again = np.take_along_axis(values, picked[..., None], axis=0).mean(0)
    # Seeds drawn from K seeds spread by (K - 1) / K of their true variance, since they scatter
    # around their own mean; the factor gives the mean of K seeds its unbiased variance s^2 / K.
    return mean + np.sqrt(seeds / (seeds - 1)) * (again - mean)


def with_exact_end(share: Interval, cases: int) -> Interval:
    """Return the interval of a share; where all cases agree, and every resample with them, the exact one.

    That is Clopper and Pearson's of 1934: of n right, n right, it begins at .025 ** (1 / n).
    """
    if not all_agree(share, 0, 1):
        return share
    farthest = exact_end(cases)
    return Interval(1.0, farthest, 1.0) if share.point else Interval(0.0, 0.0, 1 - farthest)


def all_agree(score: Interval, *ends: float) -> bool:
    """Tell whether all faces, and every resample with them, show the same: one of the ends that a score can take."""
    return score.low == score.high == score.point and score.point in ends


def exact_end(cases: int) -> float:
    """Return where the interval of a share begins that is 1 in all of so many cases."""
    return QUANTILES[0] ** (1 / max(1, cases))


def interval(
    point: float, values: np.ndarray, *, lowest: float, highest: float, recenter: bool = False
) -> Interval:
    """Return the percentile interval of resampled values (draws,), cut to lowest..highest.

    A value that is nan, of a draw that tells nothing, is left out. `recenter` moves the values so that their median is
    the point.
    """
    if recenter:
        values = values - (np.median(values) - point)
    low, high = np.clip(np.nanquantile(values, QUANTILES), lowest, highest)
    # With few faces or classes that vanish from a draw, a percentile can miss the point.
    return Interval(float(point), float(min(low, point)), float(max(high, point)))


def calibrated_band(
    confidences: Sequence[np.ndarray], group: np.ndarray, *, seed: int, draws: int = BAND_DRAWS
) -> tuple[float, float]:
    """Return the 95 % band of the ECE that perfectly calibrated seeds with these confidences show.

    `confidences` holds one float64 (N,) a seed, `group` is int64 (N,) from 0 up. Consistency
    resampling: Broecker and Smith, "Increasing the reliability of reliability diagrams", 2007;
    Vaicenavicius et al., "Evaluating model calibration in classification", AISTATS 2019.
    """
    rng = np.random.default_rng([seed, 2])
    bins = [bin_of(confidence) for confidence in confidences]
    eces = np.empty(draws)
    for draw in range(draws):
        # Copies and seeds share one throw: they err on the same faces, and the ECEs of seeds
        # thrown apart would have a mean that spreads too little.
        luck: np.ndarray = rng.random(int(group.max()) + 1)[group]
        gaps = [
            np.abs(np.bincount(number, confidence - (luck < confidence))).sum()
            for number, confidence in zip(bins, confidences, strict=True)
        ]
        eces[draw] = np.mean(gaps) / len(group)
    low, high = np.quantile(eces, QUANTILES)
    return float(low), float(high)
