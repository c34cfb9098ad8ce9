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
from torch.nn.modules.batchnorm import _BatchNorm

from mien.errors import RunError

ASK_EVERY_STEPS = 10
VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # by torchrun, to each process


def init(device: str) -> None:
    """Become one of the processes that torchrun started, each with a GPU of its own unless `device` is "cpu"."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        return
    if missing := [name for name in VARIABLES if name not in os.environ]:
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


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Tell whether this is the process that writes files."""
    return rank() == 0


def check(device: str, batch_size: int) -> None:
    """Raise RunError for a batch with fewer faces than processes, or a device that they would share."""
    if world_size() > batch_size:
        raise RunError(
            f"{world_size()} processes for a batch of {batch_size}; start fewer, or raise training.batch_size"
        )
    if world_size() > 1 and ":" in device:
        raise RunError(f"{world_size()} processes take a GPU each, and not all {device}; give --device cuda")


def barrier() -> None:
    """Wait until every process has come here."""
    if world_size() > 1:
        dist.all_reduce(torch.zeros(1))


def shard(rows: torch.Tensor) -> torch.Tensor:
    """Return this process's rows of the (N, …) that all have: as many as the others', give or take one."""
    return rows if world_size() == 1 else rows.tensor_split(world_size())[rank()]


def all_reduce_sum(tensors: list[torch.Tensor]) -> None:
    """Put the sum over all processes into each tensor, in one message of float32."""
    if world_size() == 1:
        return
    flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def all_reduce_max(value: int, step: int) -> int:
    """Return the largest value of any process; they ask each other each tenth step, between them it is 0."""
    if world_size() == 1:
        return value
    if step % ASK_EVERY_STEPS:
        return 0
    largest = torch.tensor(value)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def all_gather(rows: np.ndarray, total: int) -> np.ndarray:
    """Return all rows (total, C) of which each process has its `shard`, the same bytes in each."""
    if world_size() == 1:
        return rows
    whole = torch.zeros(total, rows.shape[1], dtype=torch.float64)
    shard(whole).copy_(torch.from_numpy(rows))
    dist.all_reduce(whole)
    return whole.numpy()


def sync_batch_norm(network: nn.Module) -> nn.Module:
    """Let a network's batch norms take their statistics over all processes; return it."""
    if world_size() > 1:
        for module in network.modules():
            if type(module) in SYNCHRONIZED:
                module.__class__ = SYNCHRONIZED[type(module)]
    return network


class _SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes (torch's own, `nn.SyncBatchNorm`, wants a GPU)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the input, normalized by the statistics of all processes in training, else by the running ones."""
        if not self.training:
            return super().forward(input)
        y, mean, variance, counted = _Normalize.apply(input, self.weight, self.bias, self.eps)
        running, momentum = (self.num_batches_tracked, self.running_mean, self.running_var), self.momentum
        assert running[0] is not None and running[1] is not None and running[2] is not None
        assert momentum is not None  # as in all networks here
        with torch.no_grad():
            running[0].add_(1)
            running[1].lerp_(mean, momentum)
            running[2].lerp_(variance * (counted / (counted - 1)), momentum)
        return y


class SyncBatchNorm1d(_SyncBatchNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over all processes."""


class SyncBatchNorm2d(_SyncBatchNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes."""


SYNCHRONIZED = {nn.BatchNorm1d: SyncBatchNorm1d, nn.BatchNorm2d: SyncBatchNorm2d}


class _Normalize(torch.autograd.Function):
    """Batch norm whose means, forward and backward, are taken over all processes (Ioffe & Szegedy 2015)."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        axes = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = torch.var_mean(x.float(), axes, correction=0)
        counted = x.numel() // x.shape[1]
        parts = _rows_of_all(torch.cat([mean, variance, mean.new_tensor([counted])]))
        means, variances, counts = parts[:, : len(mean)], parts[:, len(mean) : -1], parts[:, -1:]
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), total)
        ctx.mark_non_differentiable(mean, variance, total)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance, total

    @staticmethod
    def backward(ctx, *gradients):
        x, weight, mean, scale, total = ctx.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        normal = (x.float() - mean.view(shape)) * scale.view(shape)
        gradient = gradients[0].float()
        sums = torch.stack([gradient.sum(axes), (gradient * normal).sum(axes)])
        own = sums.clone()  # the weights' gradients are added up with all others
        dist.all_reduce(sums)
        shift, slope = (sums / total).view(2, *shape)
        moved = (weight * scale).view(shape) * (gradient - shift - normal * slope)
        return moved.to(x.dtype), own[1], own[0], None


def _rows_of_all(row: torch.Tensor) -> torch.Tensor:
    """Return the rows (processes, N) of all processes."""
    rows = [torch.empty_like(row) for _ in range(world_size())]
    dist.all_gather(rows, row)
    return torch.stack(rows)
