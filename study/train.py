"""Train what docs/study.md tells of and is not there yet: python -m study.train DATASET [--only NAME …].

Stopped at any moment, the same command goes on. A GPU trains every run over five seeds, a CPU as many as
`study.plan` says; two processes with one thread each, on other runs, use two cores better than one with
two. Probed runs are looked into before the first step, in the middle and at the end.
"""

import argparse
import signal
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from mien.dataset import Development, read_dataset
from mien.errors import MienError, Stopped
from mien.evaluate import evaluate
from mien.files import to_json, write_atomic
from mien.judge import accuracy, log_loss
from mien.networks import build
from mien.networks.engine import choose_engine, probabilities
from mien.networks.inside import feature_reuse, gradients
from mien.progress import Terminal
from mien.recipe import read_recipe
from mien.train import train
from mien.train.seeds import derive_seed
from mien.train.state import load_state
from mien.train.step import make_optimizer
from study.plan import FULL_SEEDS, PLAN, Planned
from study.swapped import swapped

PROBED_FACES = 1024
KNOWN = [planned.name for planned in PLAN]


@cache
def development(folder: Path) -> Development:
    """Return a data set's train and val splits, read once."""
    return read_dataset(folder).development()


def make(planned: Planned, seed: int, faces: Path, threads: int | None, asked) -> None:
    """Train one run, look into it where that is planned, and write its predictions."""
    data = development(swapped(faces) if planned.faces == "swapped" else faces)
    recipe = read_recipe(planned.recipe, planned.overrides)
    engine = choose_engine(precision=recipe.training.precision, threads=threads)
    folder = planned.folder(seed)

    def go_on(stop, on_epoch=lambda row: None) -> None:
        options = {"seed": seed, "engine": engine, "stop": stop, "on_epoch": on_epoch, "progress": Terminal()}
        train(recipe, data, folder, **options)

    if planned.probed:
        _probe(folder, "start", data, lambda: _fresh(recipe, data, seed))
        middle, epochs = recipe.training.epochs // 2, [_epochs_done(recipe, data, folder)]
        try:
            if not _told(folder, "middle").exists() and epochs[-1] < middle:
                go_on(lambda: asked() or epochs[-1] >= middle, lambda row: epochs.append(row["epoch"]))
        except Stopped:
            if asked():
                raise
        _probe(folder, "middle", data, lambda: _half_trained(recipe, data, folder)[0])
    go_on(asked)
    for split in ("val", "test"):
        evaluate(folder, split=split)
    if planned.probed:
        _probe(folder, "end", data, lambda: _trained(recipe, data, folder))
    if planned.probed or planned.faces == "swapped":
        _fit(folder, data, lambda: _trained(recipe, data, folder), engine)


def _build(recipe, data):
    return build(recipe.network, side=data.info.side, classes=len(data.info.labels))


def _fresh(recipe, data, seed):
    torch.manual_seed(derive_seed(seed, "init", 0))
    return _build(recipe, data)


def _half_trained(recipe, data, folder):
    """Return the network of a run that is not complete, and its state."""
    network = _build(recipe, data)
    optimizer = make_optimizer(network, recipe.optimizer)
    _, state = load_state(folder / "state.safetensors", network, network, optimizer)
    return network, state


def _epochs_done(recipe, data, folder) -> int:
    begun = (folder / "state.safetensors").exists()
    return _half_trained(recipe, data, folder)[1].epoch if begun else 0


def _trained(recipe, data, folder):
    network = _build(recipe, data)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network


def _told(folder: Path, when: str) -> Path:
    return folder.with_name(f"{folder.name}-{when}.json")


def _probe(folder: Path, when: str, data: Development, network) -> None:
    """Write a network's gradients on the first faces of train, and what its dense layers reuse."""
    if _told(folder, when).exists():
        return
    network = network()
    images = torch.from_numpy(data.train.images[:PROBED_FACES])
    labels = torch.from_numpy(data.train.labels[:PROBED_FACES])
    told = {"gradients": [[g.name, g.norm, g.relative] for g in gradients(network, images, labels)]}
    if any(kind == "dense" for kind, _, _ in network.stages()):
        told["reuse"] = [np.where(np.isnan(block), None, block).tolist() for block in feature_reuse(network)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(_told(folder, when), to_json(told))


def _fit(folder: Path, data: Development, network, engine) -> None:
    """Write how a trained network reads the faces that it was trained on, and those of val, without changes."""
    if _told(folder, "fit").exists():
        return
    network, told = engine.place(network()), {}
    for split, faces in (("train", data.train), ("val", data.val)):
        images = torch.from_numpy(faces.images).to(engine.device)
        probs = probabilities(network, images, engine)
        told[split] = {"accuracy": accuracy(faces.labels, probs), "log_loss": log_loss(faces.labels, probs)}
    write_atomic(_told(folder, "fit"), to_json(told))


def main() -> None:
    """Train the plan, or the runs named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--only", nargs="+", default=KNOWN, choices=KNOWN, metavar="NAME", help=", ".join(KNOWN)
    )
    options = parser.parse_args()
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: asked.append(signum))
    try:
        for planned in (p for p in PLAN if p.name in options.only):
            for seed in range(FULL_SEEDS if torch.cuda.is_available() else planned.seeds):
                make(planned, seed, options.dataset, options.threads, lambda: bool(asked))
    except MienError as fault:
        print(fault, file=sys.stderr)
        sys.exit(130 if isinstance(fault, Stopped) else 2)


if __name__ == "__main__":
    main()
