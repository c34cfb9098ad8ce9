"""Dropout and concatenation that take less of a CPU's time than torch's. Knows nothing about networks.

A module that has a fast path carries `fast`; `make_plain` turns it off, to measure and to test against.
"""

import torch
import torch.nn.functional as F
from torch import nn

DRAWS = 1 << 16  # an element of a mask is decided by 16 random bits


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) whose mask costs a quarter of a random number an element on a CPU.

    torch draws a number for each; here one of 64 bits decides four, with the chance rounded to 1/65,536. On CPUs
    other than Intel's torch's masks take a seventh of the study DenseNet's step.
    """

    fast = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with elements set to 0 by chance `p` and the others divided by 1 - p; x itself outside training."""
        if not (self.training and self.p and self.fast and x.device.type == "cpu"):
            return F.dropout(x, self.p, self.training)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = torch.empty_like(x)  # dense, in any layout
        kept.as_strided((x.numel(),), (1,)).copy_(draws[: x.numel()].ge_(round(self.p * DRAWS) - DRAWS // 2))
        return x * kept.mul_(1 / (1 - self.p))


class Join(torch.autograd.Function):
    """Concatenation of channels whose gradients are dense.

    Those of torch.cat are strided views of one tensor. What follows a layer's ReLU there took a tenth of the quick
    DenseNet's step in bf16: the ReLU's own backward, and sums that could not be taken in place.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Return (B, C + M, H, W) of (B, C, H, W) and (B, M, H, W)."""
        ctx.channels = x.shape[1]
        last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if last else torch.contiguous_format
        return torch.cat([x, made], 1)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradients of both, each of its own memory in the layout of `x`."""
        parts = gradient[:, : ctx.channels], gradient[:, ctx.channels :]
        return tuple(part.contiguous(memory_format=ctx.layout) for part in parts)


def make_plain(network: nn.Module) -> nn.Module:
    """Turn the fast paths of a network off, and return it."""
    for module in network.modules():
        if hasattr(module, "fast"):
            module.fast = False
    return network
