"""How many trials an hour workers reach: python bench/tune_workers.py DATASET FOLDER [--trials 8] [KEY=VALUE …].

A line a way: one worker of one thread, two workers of one thread each, one worker of two threads, all with the same
trials of real `quick-cnn` training (random draws, nothing pruned, one epoch unless told otherwise). The time is that
from the first trial's beginning to the last one's end, so the start of processes does not count. A way that is done
stands in FOLDER and is not measured again; one that was stopped is begun anew. The aim: two one-thread workers reach
at least 1.6 times the trials of one.
"""

import argparse
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from mien.dataset import read_dataset
from mien.tune.plan import Plan
from mien.tune.search import state_of
from mien.tune.space_file import read_space

SPACE = """
name = "workers"
recipe = "quick-cnn"
[fixed]
training.epochs = 1
[parameters]
optimizer.lr = { low = 0.02, high = 0.2, log = true }
optimizer.weight_decay = { low = 1e-5, high = 1e-3, log = true }
"""
WAYS = {
    "one worker, one thread": (1, 1),
    "two workers, one thread each": (2, 2),
    "one worker, two threads": (1, 2),
}


def trials_an_hour(plan: Plan) -> float | None:
    """Return the trials an hour of a search that is done, None of any other."""
    study = state_of(plan)
    if len(study.of_state("complete")) < plan.trials or any(
        len(t.notes["sessions"]) > 1 for t in study.trials
    ):
        return None
    moments = [datetime.fromisoformat(m) for t in study.trials for m in t.notes["sessions"][0][1:]]
    return 3600 * plan.trials / (max(moments) - min(moments)).total_seconds()


def main() -> None:
    """Print a line a way and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--trials", type=int, default=8)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "workers.toml"
    path.write_text(SPACE)
    space = read_space(path, options.overrides)
    data = read_dataset(options.dataset).development()
    reached = {}
    for way, (workers, threads) in WAYS.items():
        folder = options.folder / way.replace(",", "").replace(" ", "-")
        plan = Plan(space, data, folder, options.trials, sampler="random", pruner="none", threads=threads)
        if folder.exists() and trials_an_hour(plan) is None:
            shutil.rmtree(folder)
        command = [sys.executable, "-m", "mien", "tune", str(path), str(options.dataset), *options.overrides]
        command += ["--trials", str(options.trials), "--sampler", "random", "--pruner", "none"]
        command += ["--workers", str(workers), "--threads", str(threads), "--out", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        reached[way] = trials_an_hour(plan)
        print(f"{way}: {reached[way]:.1f} trials an hour", flush=True)
    one, two, wide = reached.values()
    print(f"two workers / one worker: {two / one:.2f}; two workers / one with two threads: {two / wide:.2f}")


if __name__ == "__main__":
    main()
