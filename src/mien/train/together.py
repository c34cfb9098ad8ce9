"""Several processes that train one network, as `torchrun` starts them: on several GPUs, or on CPUs.

Every process has the whole data set, draws the whole batch and keeps its part of it; gradients are added up and
batch norm sees the whole batch, so the result is that of one process at the same batch, to rounding. Dropout and
stochastic depth draw their own numbers in each process. All of this does nothing in a process that is alone.
Checked with two CPU processes; its speed on GPUs is not measured yet.
"""

import atexit
import os

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from mien.errors import RunError

ASK_EVERY_STEPS = 10
TOLD = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # by torchrun, to each process


def join(device: str) -> None:
    """Become one of the processes that torchrun started, each with a GPU of its own unless `device` is "cpu"."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        return
    if missing := [name for name in TOLD if name not in os.environ]:
        raise RunError(
            f"WORLD_SIZE is set and {', '.join(missing)} not: start several processes by torchrun, or unset it for one"
        )
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise RunError(f"more processes than the {gpus} GPUs here; give torchrun --nproc-per-node {gpus}")
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    atexit.register(dist.destroy_process_group)


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Tell whether this is the process that writes files."""
    return rank() == 0


def refuse_misfit(device: str, batch_size: int) -> None:
    """Raise RunError for a batch with fewer faces than processes, or a device that they would share."""
    if count() > batch_size:
        raise RunError(
            f"{count()} processes for a batch of {batch_size}; start fewer, or raise training.batch_size"
        )
    if count() > 1 and ":" in device:
        raise RunError(f"{count()} processes take a GPU each, and not all {device}; give --device cuda")


def wait() -> None:
    """Wait until every process has come here."""
    if count() > 1:
        dist.all_reduce(torch.zeros(1))


def own(rows: torch.Tensor) -> torch.Tensor:
    """Return this process's part of rows (N, …) that all have: as many as the others', give or take one."""
    return rows if count() == 1 else rows.tensor_split(count())[rank()]


def add_up(tensors: list[torch.Tensor]) -> None:
    """Put the sum over all processes into each tensor, in one message of float32."""
    if count() == 1:
        return
    flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def highest(wish: int, step: int) -> int:
    """Return the highest wish of any process; each tenth step they ask each other, between them it is 0."""
    if count() == 1:
        return wish
    if step % ASK_EVERY_STEPS:
        return 0
    told = torch.tensor(wish)
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return int(told)


def gathered(rows: np.ndarray, total: int) -> np.ndarray:
    """Return all rows (total, C) of which each process has its `own`, the same bytes in each."""
    if count() == 1:
        return rows
    whole = torch.zeros(total, rows.shape[1], dtype=torch.float64)
    own(whole).copy_(torch.from_numpy(rows))
    dist.all_reduce(whole)
    return whole.numpy()


def synchronize(network: nn.Module) -> nn.Module:
    """Let a network's batch norms take their statistics over all processes; return it."""
    if count() > 1:
        for module in network.modules():
            if type(module) in SHARED:
                module.__class__ = SHARED[type(module)]
    return network


class _Shared:
    """Batch norm over the batches of all processes (torch's own, `nn.SyncBatchNorm`, wants a GPU)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, normalized by the statistics of all processes in training, by the running ones otherwise."""
        if not self.training:
            return super().forward(x)
        y, mean, variance, counted = _Normalize.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (counted / (counted - 1)), self.momentum)
        return y


class SharedNorm1d(_Shared, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over all processes."""


class SharedNorm2d(_Shared, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes."""


SHARED = {nn.BatchNorm1d: SharedNorm1d, nn.BatchNorm2d: SharedNorm2d}


class _Normalize(torch.autograd.Function):
    """Batch norm whose means, forward and backward, are taken over all processes (Ioffe & Szegedy 2015)."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        axes = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = torch.var_mean(x.float(), axes, correction=0)
        counted = x.numel() // x.shape[1]
        parts = _of_all(torch.cat([mean, variance, mean.new_tensor([counted])]))
        means, variances, counts = parts[:, : len(mean)], parts[:, len(mean) : -1], parts[:, -1:]
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), total)
        ctx.mark_non_differentiable(mean, variance, total)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance, total

    @staticmethod
    def backward(ctx, gradient, *_):
        x, weight, mean, scale, total = ctx.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        normal = (x.float() - mean.view(shape)) * scale.view(shape)
        gradient = gradient.float()
        sums = torch.stack([gradient.sum(axes), (gradient * normal).sum(axes)])
        own = sums.clone()  # the weights' gradients are added up with all others
        dist.all_reduce(sums)
        shift, slope = (sums / total).view(2, *shape)
        moved = (weight * scale).view(shape) * (gradient - shift - normal * slope)
        return moved.to(x.dtype), own[1], own[0], None


def _of_all(row: torch.Tensor) -> torch.Tensor:
    """Return the rows (processes, N) of all processes."""
    rows = [torch.empty_like(row) for _ in range(count())]
    dist.all_gather(rows, row)
    return torch.stack(rows)
