"""A training's state as one safetensors file, and back. Knows nothing about data or schedules.

One file, renamed into place whole, so network, optimizer, best weights and standing can never
be of different moments. Generator states need no place in it: each step seeds its generators
from (seed, step). Checksums stand in it: a flipped bit in a weight is another weight.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from mien.errors import RunError
from mien.files import write_atomic
from mien.reading import reason, refuse_other_than_file, sealed, unsealed
from mien.train.schedule import TrainState

FORMAT = 1
TENSORS = "tensors_sha256"


def save_state(
    path: Path,
    network: nn.Module,
    judged: nn.Module,
    optimizer,
    best: dict | None,
    standing: TrainState,
    regressor: nn.Module | None = None,
) -> None:
    """Write all that the next step depends on; `judged` is the network itself or its moving average."""
    tensors = _prefixed("network", network.state_dict())
    if regressor is not None:
        tensors |= _prefixed("regressor", regressor.state_dict())
    if judged is not network:
        tensors |= _prefixed("average", judged.state_dict())
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= _prefixed(f"optimizer/{index}", slots)
    if best is not None:
        tensors |= _prefixed("best", best)
    tensors = _plain(tensors)
    value = {"format": FORMAT, **dataclasses.asdict(standing), TENSORS: _sha256(tensors)}
    write_atomic(path, save(tensors, metadata={"standing": json.dumps(sealed(value))}))


def load_state(
    path: Path, network: nn.Module, judged: nn.Module, optimizer, regressor: nn.Module | None = None
) -> tuple[dict | None, TrainState]:
    """Put a saved state into what is trained; return the best weights and the standing."""
    try:
        refuse_other_than_file(path)
        with safe_open(path, "pt") as file:
            value = unsealed(json.loads((file.metadata() or {})["standing"]))  # infinities, too
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if value.pop("format") > FORMAT:
            raise RunError(f"{path}: written by a newer mien; pip install --upgrade mien")
        if value.pop(TENSORS, None) not in (None, _sha256(tensors)):
            raise ValueError("it was changed after it was written")
        network.load_state_dict(_group(tensors, "network"))
        if judged is not network:
            judged.load_state_dict(_group(tensors, "average"))
        if regressor is not None:
            regressor.load_state_dict(_group(tensors, "regressor"))
        _load_optimizer(optimizer, _group(tensors, "optimizer"))
        return _group(tensors, "best") or None, TrainState(**value)
    except (
        SafetensorError,
        OSError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        RecursionError,
    ) as fault:
        message = " ".join(reason(fault).split())
        raise RunError(
            f"{path}: the state is damaged ({message}); delete the run folder and start anew"
        ) from None


def save_weights(path: Path, weights: dict[str, torch.Tensor], labels: Sequence[str]) -> None:
    """Write a network's state dict as safetensors, with the names of its classes."""
    write_atomic(path, save(_plain(weights), metadata={"labels": json.dumps(labels)}))


def _load_optimizer(optimizer, flat: dict[str, torch.Tensor]) -> None:
    """Fill the optimizer's slots, each in the layout of its parameter as a fresh step would make it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in flat.items():
        index, slot = name.split("/")
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(value)
        value = value.to(parameter.device)  # Adam's count of steps, too: fused optimizers keep it there
        optimizer.state[parameter][slot] = value


def _sha256(tensors: dict[str, torch.Tensor]) -> str:
    """Return a hash of tensors in plain layout on the CPU: names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _prefixed(prefix: str, tensors: dict) -> dict[str, torch.Tensor]:
    return {f"{prefix}/{name}": t for name, t in tensors.items() if isinstance(t, torch.Tensor)}


def _group(tensors: dict, prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(f"{prefix}/")}


def _plain(tensors: dict) -> dict[str, torch.Tensor]:
    """Return the tensors in plain layout on the CPU, as safetensors wants them."""
    return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
