"""What a device can do, and what a training asks of it: multiplications and bytes."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mien.bench.clock import Step, now

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIDES = {"cpu": 1536, "cuda": 8192}  # of the matrices
COPIED_BYTES = {"cpu": 1 << 27, "cuda": 1 << 30}
TRIES = 7


def operations_per_second(device: str, precision: str) -> float:
    """Return what a large product of square matrices reaches: additions and multiplications a second, the best try."""
    side = SIDES[device.split(":")[0]]
    one, other = (torch.rand(side, side, device=device).to(PRECISIONS[precision]) for _ in range(2))
    return 2 * side**3 / _least(lambda: one @ other, device)


def bytes_per_second(device: str) -> float:
    """Return what a large copy reaches, bytes read and bytes written together, the best try."""
    size = COPIED_BYTES[device.split(":")[0]]
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    return 2 * size / _least(lambda: target.copy_(source), device)


def demand(step: Step) -> tuple[int, int]:
    """Return the additions and multiplications of one step's convolutions and products, and the bytes of all its calls.

    A call's bytes are those of the tensors that it reads and writes, views left out. What a cache serves is in
    them, so a small network's share of the device's bandwidth can pass 1.
    """
    with FlopCounterMode(display=False) as operations, Traffic() as traffic:
        step(lambda _: None)
    return operations.get_total_flops(), traffic.bytes


class Traffic(TorchDispatchMode):
    """Counts the bytes of the tensors that torch's calls read and write."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Make the call and count it."""
        made = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(made)
        taken = {tensor.untyped_storage().data_ptr() for tensor in read}
        fresh = [tensor for tensor in written if tensor.untyped_storage().data_ptr() not in taken]
        changes = func._schema.is_mutable
        if (fresh or changes) and not func._schema.name.startswith("aten::empty"):
            self.bytes += sum(tensor.nbytes for tensor in [*read, *fresh])
            self.bytes += read[0].nbytes if changes and read else 0
        return made


def _tensors(tree) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _least(action, device: str) -> float:
    action()
    seconds = []
    for _ in range(TRIES):
        began = now(device)
        action()
        seconds.append(now(device) - began)
    return min(seconds)
