"""Flat and blurred pictures, and splits that differ in brightness, contrast or sharpness."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mien.audit.data import AuditData, Finding
from mien.audit.pictures import SIDE, resized
from mien.labels import SPLITS
from mien.workers import spread

BLOCK = 512  # pictures at a time
MEASURES = {
    "brightness": "mean grey, 0 black to 255 white",
    "contrast": "standard deviation of a picture's greys",
    "sharpness": "spread of the Laplacian / spread of the greys",
}
BLURRED_BELOW = 0.3  # sharpness; chosen by looking at FER2013's, see LOG.md
SLIGHT, CLEAR = 0.1, 0.3  # differences of means in standard deviations that are worth a word
ERRORS = 3  # standard errors that a difference must exceed as well


@dataclass(frozen=True, slots=True)
class Spread:
    """How a measure lies in a split."""

    mean: float
    deviation: float
    quantiles: tuple[float, ...]  # 5, 25, 50, 75 and 95 %


@dataclass(frozen=True, slots=True)
class Contrast:
    """How far a measure's mean differs between two splits, in standard deviations."""

    measure: str
    split: str
    other: str
    effect: float  # (mean of split - mean of other) / pooled standard deviation
    error: float  # its standard error
    worth: str  # saying: "none", "slight" or "clear"


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """The measures of all faces and what they say."""

    values: dict[str, np.ndarray] = field(
        repr=False
    )  # measure -> float64 (N,); sharpness is nan for flat pictures
    spreads: dict[str, dict[str, Spread]]  # measure -> split -> spread
    contrasts: tuple[Contrast, ...]
    flat: int
    blurred: int


def measure(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return each measure of faces uint8 (n, S, S), float64 (n,); a flat picture's sharpness is nan."""
    x = images.astype(np.float32)
    if x.shape[1] > SIDE:
        x = resized(x)  # or a large picture's neighbors would differ less
    variance = x.var((1, 2), dtype=np.float64)
    across = np.diff(x, 2, axis=2)[:, 1:-1] + np.diff(x, 2, axis=1)[:, :, 1:-1]
    edges = across.var((1, 2), dtype=np.float64)
    flat = images.min((1, 2)) == images.max((1, 2))  # asked of the bytes: shrunk ones are uneven by rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpness = np.where(flat, np.nan, np.sqrt(edges / variance))
    return {
        "brightness": x.mean((1, 2), dtype=np.float64),
        "contrast": np.sqrt(variance),
        "sharpness": sharpness,
    }


def find_poor(data: AuditData, counting: Callable) -> tuple[Quality, list[Finding]]:
    """Measure every face; tell the flat ones and the blurred ones, the worst first."""
    starts = range(0, len(data), BLOCK)
    measured = spread(lambda start: measure(data.images[start : start + BLOCK]), starts)
    blocks = list(counting("measuring faces", len(starts), measured))
    values = {name: np.concatenate([block[name] for block in blocks]) for name in MEASURES}
    flat = np.flatnonzero(np.isnan(values["sharpness"]))
    blurred = np.flatnonzero(values["sharpness"] < BLURRED_BELOW)
    blurred = blurred[np.argsort(values["sharpness"][blurred], kind="stable")]
    findings = [
        Finding("flat", int(row), None, None, f"every pixel is {data.images[row, 0, 0]}") for row in flat
    ]
    findings += [
        Finding("blurred", row, None, float(values["sharpness"][row]), "the score is its sharpness")
        for row in blurred.tolist()
    ]
    spreads = {name: _spreads(data, values[name]) for name in MEASURES}
    contrasts = _contrasts(data, values)
    return Quality(values, spreads, contrasts, len(flat), len(blurred)), findings


def _of_split(data: AuditData, values: np.ndarray, split: str) -> np.ndarray:
    chosen = values[data.stage == SPLITS.index(split)]
    return chosen[~np.isnan(chosen)]


def _spreads(data: AuditData, values: np.ndarray) -> dict[str, Spread]:
    spreads = {}
    for split in SPLITS:
        own = _of_split(data, values, split)
        if len(own):
            quantiles = np.quantile(own, (0.05, 0.25, 0.5, 0.75, 0.95))
            spreads[split] = Spread(float(own.mean()), float(own.std()), tuple(map(float, quantiles)))
    return spreads


def _contrasts(data: AuditData, values: dict[str, np.ndarray]) -> tuple[Contrast, ...]:
    """Compare val and test with train, and test with val, where both have faces."""
    contrasts = []
    for name, of_all in values.items():
        for split, other in (("val", "train"), ("test", "train"), ("test", "val")):
            a, b = (_of_split(data, of_all, s) for s in (split, other))
            if len(a) > 1 and len(b) > 1:
                pooled = np.sqrt((len(a) * a.var() + len(b) * b.var()) / (len(a) + len(b)))
                effect = (a.mean() - b.mean()) / pooled if pooled else 0.0
                error = np.sqrt(1 / len(a) + 1 / len(b))
                worth = _worth(abs(float(effect)), float(error))
                contrasts.append(Contrast(name, split, other, float(effect), float(error), worth))
    return tuple(contrasts)


def _worth(size: float, error: float) -> str:
    if size < SLIGHT or size < ERRORS * error:
        return "none"
    return "clear" if size >= CLEAR else "slight"
