"""Random numbers that are the same on every machine and numpy. Knows nothing about faces.

Only `Generator.random` is used: numpy promises the stream of its bit generators and no stream
of its distributions.
"""

import math
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")


class Draw:
    """A random stream for one purpose: seed, purpose and numbers determine it."""

    def __init__(self, seed: int, purpose: str, *numbers: int):
        word = int.from_bytes(purpose.encode()[:8], "little")
        self._generator = np.random.default_rng([seed, word, *numbers])

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number in low..high."""
        return low + (high - low) * float(self._generator.random())

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return float(self._generator.random()) < probability

    def below(self, count: int) -> int:
        """Return a whole number in 0..count-1."""
        return int(self._generator.random() * count)

    def normal(self, mean: float = 0.0, deviation: float = 1.0, cut: float = 2.5) -> float:
        """Return a standard normal number, clipped at `cut` standard deviations (Box and Muller 1958)."""
        radius = math.sqrt(-2 * math.log(1 - float(self._generator.random())))
        value = radius * math.cos(2 * math.pi * float(self._generator.random()))
        return mean + deviation * max(-cut, min(cut, value))

    def choice(self, shares: dict[Key, float]) -> Key:
        """Return a key with probability proportional to its value."""
        place, *keys = self.uniform(0, sum(shares.values())), *shares
        for key in keys:
            place -= shares[key]
            if place < 0:
                return key
        return keys[-1]

    def mix(self, count: int) -> list[float]:
        """Return shares that sum to 1, mostly one or two of them large (Dirichlet of 1/2)."""
        squares = [self.normal(cut=9) ** 2 + 1e-9 for _ in range(count)]
        return [square / sum(squares) for square in squares]

    def order(self, count: int) -> list[int]:
        """Return 0..count-1 in a random order."""
        keys = self._generator.random(count)
        return np.argsort(keys, kind="stable").tolist()

    def array(self, *shape: int) -> np.ndarray:
        """Return numbers in 0..1, float32."""
        return self._generator.random(shape).astype(np.float32)

    def noise(self, *shape: int) -> np.ndarray:
        """Return nearly normal numbers (the sum of four uniform ones), float32."""
        summed = self._generator.random((4, *shape)).sum(0) - 2.0
        return (summed * math.sqrt(3.0)).astype(np.float32)
