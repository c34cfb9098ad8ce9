"""The commands that train: train, teach, bench."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.app import app, note_renamed, stop_asked
from mien.errors import DataError


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="a shipped recipe's name or a .toml file")],
    dataset: Annotated[Path, typer.Argument(help="a data set's folder")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields changed, as optimizer.lr=0.05"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="how many runs, seeds 0, 1, …")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="the first seed")] = 0,
    folds: Annotated[
        int | None,
        typer.Option(
            help="cross-validate: a run a fold of train and val together, identical pictures in one fold"
        ),
    ] = None,
    val_apart: Annotated[
        bool, typer.Option("--val-apart", help="folds of train alone, for `mien teach`: val stays unseen")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="where the runs' folders NAME-sSEED or NAME-sSEED-fFOLDofFOLDS lie")
    ] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads, all cores by default; a run begun keeps its own")
    ] = None,
) -> None:
    """Train a recipe on a data set.

    Stopped at any moment, the same command goes on. Several GPUs: torchrun --nproc-per-node GPUS -m mien train …
    """
    from mien.recipe import Distillation, read_recipe

    note_renamed(overrides or ())
    chosen = read_recipe(recipe, tuple(overrides or ()))
    from mien.dataset import read_dataset
    from mien.errors import DataError
    from mien.folds import folds_of

    if val_apart and folds is None:
        raise DataError("--val-apart says how --folds K deals its folds; give that, too")
    data = read_dataset(dataset)
    data.development(next(folds_of(folds, val_apart)))  # refused before torch is loaded
    from mien.networks.engine import choose_engine
    from mien.progress import Terminal, TerminalCounting
    from mien.run import folder_name, outcome
    from mien.train import train
    from mien.train.folds import summary

    engine = choose_engine(device=device, precision=chosen.training.precision, threads=threads)
    alone = os.environ.get("RANK", "0") == "0"  # or the first of torchrun's processes
    say = print if alone else lambda _: None
    if chosen.distillation.weight != Distillation().weight and not chosen.distillation.soft_targets:
        say(f"{chosen.name}: trains on the labels alone, since distillation.soft_targets names no file")
    with stop_asked() as stop:
        for seed in range(first_seed, first_seed + seeds):
            runs, faces = [], []
            for fold in folds_of(folds, val_apart):
                development, folder = data.development(fold), out / folder_name(chosen.name, seed, fold)
                options = {"seed": seed, "engine": engine, "stop": stop, "progress": Terminal()}
                waiting = partial(TerminalCounting(stop=stop).wait, f"train {folder}")
                run = train(chosen, development, folder, waiting=waiting, **options)
                say(f"{folder}: {outcome(run)}")
                runs.append(run)
                faces.append(len(development.val))
            if folds:
                say(summary(runs, faces))


@app.command()
def teach(
    dataset: Annotated[Path, typer.Argument(help="a data set's folder; its train faces alone are read")],
    teachers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEACHER]...",
            help="runs or model files; without any, FER+'s voters, where the data set has votes",
        ),
    ] = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="voters' answers become the labels that such faces have")
    ] = False,
    views: Annotated[
        int, typer.Option(min=0, help="augmented views of each face that teachers answer; 0: the plain face")
    ] = 0,
    student: Annotated[
        str, typer.Option(help="recipe whose [augment] draws the views", metavar="RECIPE")
    ] = "pocket",
    out: Annotated[
        Path | None, typer.Option(help="the file made here; targets.csv, or with --views targets.safetensors")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Write soft targets for a training.

    They go into it as `mien train RECIPE DATASET distillation.soft_targets=TABLE`.
    """
    if views and translate:
        raise DataError("views are answered by networks: translating is for voters alone")
    if views:
        _teach_views(dataset, teachers or [], views, student, out or Path("targets.safetensors"), device)
        return
    from mien.judge import accuracy
    from mien.teach import teach

    out = out or Path("targets.csv")
    told = teach(dataset, out, teachers=teachers or (), translate=translate, device=device)
    print(f"{out}: {len(told):,} train faces, {accuracy(told.labels, told.probs):.1%} as labelled")


def _teach_views(
    dataset: Path, teachers: list[str], views: int, student: str, out: Path, device: str
) -> None:
    from mien.progress import TerminalCounting
    from mien.recipe import read_recipe
    from mien.teach import teach_views

    with stop_asked() as stop:
        rules = {"student": read_recipe(student), "views": views, "device": device}
        done = teach_views(dataset, out, teachers=teachers, progress=TerminalCounting(stop=stop), **rules)
    print(f"{out}: {done.total} views of {done.probs.shape[1]:,} train faces")


@app.command()
def bench(
    recipe: Annotated[str, typer.Argument(help="a shipped recipe's name or a .toml file")] = "quick-densenet",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields changed, as training.batch_size=64"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="figures and numbers go here, reports/bench/NAME by default")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads, all cores by default")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="in each every contender has a turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0, max=600, help="of a turn")] = 1.0,
) -> None:
    """Measure how fast this machine trains and classifies.

    Beside it stands a training as it is mostly written.
    """
    from mien.recipe import read_recipe

    note_renamed(overrides or ())
    chosen = read_recipe(recipe, tuple(overrides or ()))
    from mien.bench import bench
    from mien.bench.report import check, write
    from mien.bench.text import summary
    from mien.progress import TerminalCounting

    folder = out or Path("reports/bench") / chosen.name
    check(folder)
    timed = {"device": device, "threads": threads, "rounds": rounds, "seconds": seconds}
    with stop_asked() as stop:
        told = bench(chosen, **timed, progress=TerminalCounting(stop=stop))
    write(told, folder)
    print(f"{summary(told)}\n\n{folder}: figures speed and stages, bench.json")
