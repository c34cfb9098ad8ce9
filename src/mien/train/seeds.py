"""The random numbers of a run: each draw has a seed of its own. Knows nothing about networks."""

import hashlib

import torch


def derive_seed(seed: int, purpose: str, number: int) -> int:
    """Return 63 bits for one purpose, so that no two draws of a run share a stream."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_order(
    seed: int, epoch: int, count: int, device: str, *, classes: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the faces' order in an epoch, int64 (count,), from the seed and the epoch alone.

    With `classes`, int64 (count,), each class has the same chance at every place, and faces are drawn with replacement.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    if classes is None:
        return torch.randperm(count, generator=generator).to(device)
    chances = 1 / torch.bincount(classes).double()[classes]
    return torch.multinomial(chances, count, replacement=True, generator=generator).to(device)
