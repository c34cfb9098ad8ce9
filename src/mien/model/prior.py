"""The prior of a classifier: how frequent it takes each class to be. Knows nothing about models or faces.

A network answers under its training set's shares of classes. Under other shares Bayes' rule gives other answers,
without training anew: p'(y | x) is proportional to p(y | x) target(y) / source(y) (Saerens et al. 2002; as logit
adjustment Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError

TRAIN, BALANCED = "train", "balanced"
Prior = str | float | Path | Mapping[str, float]
NAMED = {TRAIN: 1.0, BALANCED: 0.0}  # the power of train's shares
LARGEST_FILE = 1_000_000  # bytes


def shift_prior(probs: np.ndarray, source: Sequence[float], target: Sequence[float]) -> np.ndarray:
    """Return probabilities (N, C), given under the prior `source`, under the prior `target`; both (C,), above 0.

    The dtype stays.
    """
    shifted = probs * prior_gains(source, target)
    return (shifted / shifted.sum(1, keepdims=True)).astype(probs.dtype)


def prior_gains(source: Sequence[float], target: Sequence[float]) -> np.ndarray:
    """Return by what each class's probability is multiplied, float64 (C,), before all are scaled to sum 1 again."""
    return np.asarray(target, np.float64) / np.asarray(source, np.float64)


def read_prior(prior: Prior, labels: Sequence[str], train: Sequence[float]) -> tuple[float, ...]:
    """Return the share of each label that `prior` means, above 0 and of sum 1, in the order of `labels`.

    "train" is `train` itself, "balanced" gives each class the same, a number from 0 to 1, or its text, is what lies
    between: `train` to that power, which is 1 minus the tau of Menon et al. Else a mapping from every label to a share
    or a count, or the path of a JSON file with one. Raises DataError for anything else.
    """
    power = _power(prior)
    if power is not None:
        return _shares(np.asarray(train, np.float64) ** power)
    if not isinstance(prior, str | Path | Mapping):
        raise DataError(f"prior: a number must be from 0 to 1 and is {prior!r}")
    where = "prior" if isinstance(prior, Mapping) else str(prior)
    table = prior if isinstance(prior, Mapping) else _read_file(Path(prior))
    if set(table) != set(labels):
        raise DataError(f"{where}: names {_listed(table)}, and the model's classes are {', '.join(labels)}")
    for label, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise DataError(f"{where}: {label} must be a number above 0 and is {value!r}")
    return _shares([table[label] for label in labels])


def _power(prior: Prior) -> float | None:
    """Return the power of train's shares that a prior's name or number means, None for any other prior."""
    if isinstance(prior, Mapping | Path | bool):
        return None
    if prior in NAMED:
        return NAMED[str(prior)]
    try:
        power = float(prior)
    except ValueError:
        return None
    return power if 0 <= power <= 1 else None


def train_shares(counts: Mapping[str, int], labels: Sequence[str]) -> tuple[float, ...]:
    """Return the share of each label among train's faces, of which `counts` holds the numbers; none counts as one."""
    return _shares([max(1, counts.get(label, 0)) for label in labels])


def _shares(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    numbers = np.asarray(values, np.float64)
    numbers = numbers / numbers.max()  # whose sum is finite
    return tuple((numbers / numbers.sum()).tolist())


def _read_file(path: Path) -> Mapping[str, float]:
    hint = f'give {TRAIN}, {BALANCED}, a number from 0 to 1 or a JSON file as {{"happy": 0.5, …}}'
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE)
        table = json.loads(content)
    except OSError as error:
        raise DataError(f"prior {path}: cannot be read ({error.strerror}); {hint}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON; {hint}") from None
    if not isinstance(table, dict):
        raise DataError(f"{path}: no JSON object; {hint}")
    return table


def _listed(names: Mapping[str, float]) -> str:
    return ", ".join(map(str, names)) or "no class"
