"""Dropout and concatenation that take less of a CPU's time than torch's. Knows nothing about networks.

A module that has a fast path carries `fast`; `make_plain` turns it off, to measure and to test against.
"""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import nn

from mien.networks.network import Kind

DRAWS = 1 << 16  # an element of a mask is decided by 16 random bits


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) whose mask costs a quarter of a random number an element on a CPU.

    torch draws a number for each; here one of 64 bits decides four, with the chance rounded to 1/65,536. On CPUs
    other than Intel's torch's masks take a seventh of the study DenseNet's step.
    """

    fast: bool = True

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return it with elements set to 0 by chance `p` and the others divided by 1 - p; itself outside training."""
        x = input
        if not (self.training and self.p and self.fast and x.device.type == "cpu"):
            return F.dropout(x, self.p, self.training)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        mask = torch.empty_like(x)  # dense, in any layout
        mask.as_strided((x.numel(),), (1,)).copy_(draws[: x.numel()].ge_(round(self.p * DRAWS) - DRAWS // 2))
        return x * mask.mul_(1 / (1 - self.p))


class Join(torch.autograd.Function):
    """Concatenation of channels whose gradients are dense.

    Those of torch.cat are strided views of one tensor. What follows a layer's ReLU there took a tenth of the quick
    DenseNet's step in bf16: the ReLU's own backward, and sums that could not be taken in place.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return (B, C + M, H, W) of (B, C, H, W) and (B, M, H, W)."""
        ctx.channels = x.shape[1]
        last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if last else torch.contiguous_format
        return torch.cat([x, features], 1)

    @staticmethod
    def backward(ctx, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradients of both, each of its own memory in the layout of `x`."""
        (gradient,) = gradients
        of_x = gradient[:, : ctx.channels].contiguous(memory_format=ctx.layout)
        of_features = gradient[:, ctx.channels :].contiguous(memory_format=ctx.layout)
        return of_x, of_features


SMALL_SIDE = 8  # pixels up to which a depthwise 5x5 convolution of stride 1 gains


class DepthwiseConv2d(nn.Conv2d):
    """A convolution in each channel that pads as TensorFlow does, an even side more on the right and the bottom.

    On CPUs torch's backward pass takes ten to twenty times its forward one where the stride is 2 or the faces are
    small; `Depthwise` takes 1/1.2 to 1/20 of it there.
    """

    fast: bool = True

    def __init__(self, channels: int, kernel: int, stride: int):
        super().__init__(channels, channels, kernel, stride, groups=channels, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return (B, C, ceil(H / stride), ceil(W / stride)) of (B, C, H, W)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        x = F.pad(input, same_padding(input, kernel, stride))
        small = kernel > 3 and x.shape[-1] - kernel < SMALL_SIDE
        if not (self.training and self.fast and x.device.type == "cpu" and (stride > 1 or small)):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        return Depthwise.apply(x.to(dtype), self.weight.to(dtype), stride)


def same_padding(x: torch.Tensor, kernel: int, stride: int) -> list[int]:
    """Return the pixels (left, right, top, bottom) that let a convolution give ceil(side / stride) of each side."""
    pads = []
    for side in (int(x.shape[3]), int(x.shape[2])):
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        pads += [total // 2, total - total // 2]
    return pads


class Depthwise(torch.autograd.Function):
    """A depthwise convolution without padding whose gradients are sums and convolutions that are quick on a CPU."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
        """Return (B, C, h, w) of (B, C, H, W) and a kernel (C, 1, K, K)."""
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, stride=stride, groups=len(weight))

    @staticmethod
    def backward(ctx, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Return the gradients of x and of the kernel: of a weight the sum of what it read times what came of it."""
        (gradient,) = gradients
        (x, weight), stride, size = ctx.saved_tensors, ctx.stride, ctx.saved_tensors[1].shape[-1]
        height, width = (
            stride * (side - 1) + 1 for side in gradient.shape[2:]
        )  # that each weight reads from
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_kernel = [
            (x[:, :, row : row + height : stride, column : column + width : stride] * gradient).sum((0, 2, 3))
            for row in range(size)
            for column in range(size)
        ]
        if stride > 1:
            spread = gradient.new_zeros(*gradient.shape[:2], height, width)
            spread = spread.contiguous(memory_format=torch.channels_last)
            spread[:, :, ::stride, ::stride] = gradient
            gradient = spread
        before = size - 1
        gradient = F.pad(gradient, (before, x.shape[3] - width, before, x.shape[2] - height))
        of_input = F.conv2d(gradient, weight.flip(2, 3), groups=len(weight))
        return of_input, torch.stack(of_kernel, 1).view(weight.shape), None


@runtime_checkable
class HasFastPath(Protocol):
    """A module that can do without its fast path."""

    fast: bool


def make_plain(network: Kind) -> Kind:
    """Turn the fast paths of a network off, and return it."""
    for module in network.modules():
        if isinstance(module, HasFastPath):
            module.fast = False
    return network
