"""What a run ran on: packages, machine, time. Knows nothing about training."""

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from mien import __version__
from mien.networks.engine import Engine

PACKAGES = ("torch", "numpy", "safetensors")


def environment(engine: Engine, sessions: list[dict]) -> dict:
    """Return the contents of `environment.json`."""
    return {
        "packages": {"mien": __version__} | {name: version(name) for name in PACKAGES},
        "machine": machine(engine.device),
        "engine": asdict(engine),
        "sessions": sessions,
        "train_seconds": sum(session["seconds"] for session in sessions),
    }


def machine(device: str) -> dict:
    """Return what this machine is, to stand beside measurements."""
    return {
        "device": _device_name(device),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
