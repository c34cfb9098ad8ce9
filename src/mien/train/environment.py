"""What a run ran on: packages, commits, machine, time. Knows nothing about training."""

import json
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

import torch

from mien import __version__
from mien.networks.engine import Engine
from mien.system import cpu_name

PACKAGES = ("torch", "numpy", "safetensors")
GIT_SECONDS = 10.0  # that git may take in a large repository


def environment(engine: Engine, sessions: list[dict]) -> dict[str, Any]:
    """Return the contents of `environment.json`.

    `packages` are those that a run depends on, `installed` is what `pip freeze` lists, both name to version. `source`
    holds the git commits, see `source`, as they are when the run is complete.
    """
    return {
        "packages": {"mien": __version__} | {name: version(name) for name in PACKAGES},
        "installed": installed(),
        "source": source(),
        "machine": machine(engine.device),
        "engine": asdict(engine),
        "sessions": sessions,
        "train_seconds": sum(session["seconds"] for session in sessions),
    }


def machine(device: str) -> dict:
    """Return what this machine is, to stand beside measurements."""
    return {
        "device": _device_name(device),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


@cache  # of a search's trials, too
def installed() -> dict[str, str]:
    """Return every installed distribution's version by its name, in the order of names."""
    versions = {}
    for one in distributions():
        with suppress(ValueError, KeyError, TypeError):  # damaged metadata, which a run must not end by
            versions[str(one.metadata["Name"] or "")] = str(one.version)
    versions.pop("", None)
    return dict(sorted(versions.items(), key=lambda pair: pair[0].lower()))


def source() -> dict[str, dict[str, Any]]:
    """Return the commit of mien's source and of the current folder, where these are known to git.

    Each is {"commit": 40 hex digits, "changed": whether files that git tracks differ from it}. What pip installed of a
    repository has its commit in its metadata; what a registry gave has a version alone, and is left out.
    """
    commits = {"mien": _installed_commit() or git_commit(Path(__file__).parent), "folder": git_commit(Path())}
    return {name: commit for name, commit in commits.items() if commit}


def _installed_commit() -> dict[str, Any] | None:
    """Return what pip noted of the commit that it installed mien from (PEP 610), None where it did not."""
    try:
        noted = json.loads(Distribution.from_name("mien").read_text("direct_url.json") or "{}")
        return {"commit": noted["vcs_info"]["commit_id"], "changed": False}
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return None


def git_commit(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the git repository that tracks files in a folder, None where there is none, or no git."""
    try:
        if not shutil.which("git") or not _git(folder, "ls-files"):
            return None
        changed = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
        return {"commit": _git(folder, "rev-parse", "HEAD"), "changed": changed}
    except (OSError, subprocess.SubprocessError):  # no repository, one without a commit, one of another user
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    done = subprocess.run(command, capture_output=True, check=True, timeout=GIT_SECONDS)
    return done.stdout.decode("utf-8", "replace").strip()


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
