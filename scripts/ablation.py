"""Ablations of the training techniques, one removed or added at a time: python scripts/ablation.py DATA OUT TABLE
--voters VOTERS --network NETWORK --epochs 8.

The recipe is `pocket` with fewer epochs, distilled from VOTERS and NETWORK (files of `mien distill`). Each run has one
technique less (flip, crop, rotation, …) or one more (mixup, SAM, …) than the base, all else equal, and is judged on the
clean faces of val against the base: accuracy and log loss, each with the 95 % interval of the difference. Few epochs
favor what learns fast over what prevents overfitting, so what helps here helps a short training. Test-time augmentation
is compared on the base's own weights. Stopped, the same command resumes; --only lets several processes share the work.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from mien.dataset import read_dataset
from mien.evaluate import load_network
from mien.files import write_csv
from mien.judge import differences, judge
from mien.networks.engine import probabilities
from mien.predictions import Predictions, read_predictions
from mien.run import read_run

BASE = "base"
ABLATIONS = {
    BASE: (),
    "without-flip": ("augment.flip=false",),
    "without-crop": ("augment.shift=0",),
    "without-rotation": ("augment.rotation=0",),
    "without-zoom": ("augment.scale=0",),
    "without-teachers": ("distillation.soft_targets=[]",),
    "voters-alone": ("distillation.soft_targets={voters}",),
    "network-alone": ("distillation.soft_targets={network}",),
    "with-label-smoothing": ("training.label_smoothing=0.1",),
    "with-ema": ("optimizer.ema_decay=0.998",),
    "with-mixup": ("augment.mixup=0.2",),
    "with-cutmix": ("augment.cutmix=1", "augment.mix_prob=0.5"),
    "with-erasing": ("augment.random_erasing=0.25",),
    "with-brightness": ("augment.brightness=25", "augment.contrast=0.2"),
    "with-squeeze": ("network.se_ratio=0.25",),
    "with-stochastic-depth": ("network.drop_path=0.1",),
    "with-resizing": ("training.progressive_resizing=32",),
    "with-sam": ("optimizer.sam_rho=0.05",),
}
VIEWS = {"read once": {}, "flip": {"flip": True}, "flip and crops": {"flip": True, "shift": 2}}
HEAD = ("means", "changed", "epochs", "faces", "score", "point", "difference", "low", "high")
SCORES = ("accuracy", "log_loss")


def train(name: str, options: argparse.Namespace) -> None:
    """Train a run and have it read val, where that is not done."""
    tables = {"voters": options.voters, "network": options.network}
    changes = [
        f"training.epochs={options.epochs}",
        "distillation.soft_targets={voters},{network}",
        *ABLATIONS[name],
    ]
    changes = [change.format(**tables) for change in changes]
    where = ("--out", str(options.out), "--threads", str(options.threads))
    run = str(options.out / f"{name}-s0")
    for step in (("train", "pocket", str(options.data), f"name={name}", *changes, *where), ("evaluate", run)):
        done = subprocess.run([sys.executable, "-m", "mien", *step])
        if done.returncode:
            sys.exit(done.returncode)


def clean(table: Predictions) -> Predictions:
    """Return val's faces that do not stand in train, too."""
    return table.only(table.clean)


def by_view(options: argparse.Namespace) -> dict[str, Predictions]:
    """Return what the base says of val when a face is read in more or fewer views."""
    folder = options.out / f"{BASE}-s0"
    run = read_run(folder)
    network, engine = load_network(run, run.result()["weights_sha256"], "cpu")
    images = torch.from_numpy(read_dataset(options.data).development().val.images)
    table = read_predictions(folder / "predictions-val.csv")
    return {
        name: clean(replace(table, probs=probabilities(network, images, engine, **views)))
        for name, views in VIEWS.items()
    }


def rows(found: dict[str, Predictions], epochs: int) -> list[tuple]:
    """Return the figures of each, and how it differs from the first."""
    base, told = next(iter(found)), []
    for name, table in found.items():
        changed = " ".join(ABLATIONS.get(name, ("views",)))
        other = base if name != base else next(one for one in found if one != base)
        (between,) = differences({name: [table], other: [found[other]]})
        scores = judge([table], draws=100).scores
        for score in SCORES:
            at = between.scores[score]
            apart = ("", "", "") if name == base else tuple(f"{x:.6f}" for x in (at.point, at.low, at.high))
            told.append((name, changed, epochs, len(table), score, f"{scores[score].point:.6f}", *apart))
    return told


def main() -> None:
    """Train what is not trained, then write the table of all that is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, help="a folder for the runs")
    parser.add_argument("table", type=Path, help="the CSV file of the figures")
    parser.add_argument("--voters", type=Path, required=True, help="from `mien distill DATA --translate`")
    parser.add_argument("--network", type=Path, required=True, help="from `mien distill DATA RUN`")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=ABLATIONS, default=list(ABLATIONS))
    options = parser.parse_args()
    for name in options.only:
        train(name, options)
    there = [name for name in ABLATIONS if (options.out / f"{name}-s0" / "predictions-val.csv").exists()]
    if there[:1] != [BASE] or len(there) < 2:
        sys.exit("no table yet: it needs the base and another run")
    found = {
        name: clean(read_predictions(options.out / f"{name}-s0" / "predictions-val.csv")) for name in there
    }
    told = rows(found, options.epochs) + rows(by_view(options), options.epochs)
    write_csv(options.table, HEAD, told)


if __name__ == "__main__":
    main()
