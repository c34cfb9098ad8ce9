"""The commands that train: train, distill, bench."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.app import app, note_renamed, stop_asked
from mien.errors import DataError

if TYPE_CHECKING:
    from mien.dataset import Dataset
    from mien.folds import Fold
    from mien.networks.engine import Engine
    from mien.recipe import Recipe


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
        str | None,
        typer.Option(
            metavar="K|subject",
            help="cross-validate: a run a fold of train and val together, identical pictures, clips and people in one "
            "fold; subject: leave one person out at a time",
        ),
    ] = None,
    val_apart: Annotated[
        bool, typer.Option("--val-apart", help="folds of train alone, for `mien distill`: val stays unseen")
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

    Stopped at any moment, the same command goes on. A network of your own: network.kind=module:Class name=mine.
    Several GPUs: torchrun --nproc-per-node GPUS -m mien train …
    """
    from mien.recipe import Distillation, read_recipe

    note_renamed(overrides or ())
    chosen = read_recipe(recipe, tuple(overrides or ()))
    from mien.dataset import read_dataset
    from mien.folds import folds_of

    if val_apart and folds is None:
        raise DataError("--val-apart says how --folds K deals its folds; give that, too")
    data = read_dataset(dataset)
    dealt = list(folds_of(*_folds(folds, val_apart, data)))
    data.development(dealt[0])  # refused before torch is loaded
    from mien.networks.engine import choose_engine

    engine = choose_engine(device=device, precision=chosen.training.precision, threads=threads)
    if chosen.distillation.weight != Distillation().weight and not chosen.distillation.soft_targets:
        _print_once(
            f"{chosen.name}: trains on the labels alone, since distillation.soft_targets names no file"
        )
    with stop_asked() as stop:
        for seed in range(first_seed, first_seed + seeds):
            _train_seed(chosen, data, out, seed, dealt, engine, stop)


def _folds(text: str | None, val_apart: bool, data: "Dataset") -> tuple[int | None, bool, bool]:
    """Return how many folds are asked for, whether of train alone, and whether each is a person."""
    from mien.folds import Fold

    if text is None:
        return None, val_apart, False
    if text in ("subject", "person"):
        return data.people_count(Fold(1, 1, val_apart)), val_apart, True
    if not text.strip().lstrip("-").isdigit():
        raise DataError(
            f"--folds {text}: give a number of folds, or subject to leave one person out at a time"
        )
    return int(text), val_apart, False


def _train_seed(
    recipe: "Recipe",
    data: "Dataset",
    out: Path,
    seed: int,
    folds: "list[Fold | None]",
    engine: "Engine",
    stop: Callable[[], bool],
) -> None:
    """Train a seed on train, or on each of the folds, and print the results."""
    from mien.progress import Terminal, TerminalCounting
    from mien.run import folder_name, outcome
    from mien.train import train
    from mien.train.folds import summary

    runs, faces = [], []
    for fold in folds:
        development, folder = data.development(fold), out / folder_name(recipe.name, seed, fold)
        waiting = partial(TerminalCounting(stop=stop).wait, f"train {folder}")
        options = {"seed": seed, "engine": engine, "stop": stop, "progress": Terminal()}
        run = train(recipe, development, folder, waiting=waiting, **options)
        _print_once(f"{folder}: {outcome(run)}")
        runs.append(run)
        faces.append(len(development.val))
    if folds != [None]:
        _print_once(summary(runs, faces))


def _print_once(text: str) -> None:
    """Print from the first of torchrun's processes, or from this one where it is alone."""
    if os.environ.get("RANK", "0") == "0":
        print(text)


@app.command()
def distill(
    dataset: Annotated[Path, typer.Argument(help="a data set's folder; only its train faces are used")],
    teachers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEACHER]...",
            help="runs or model files; without any, the votes of FER+'s annotators",
        ),
    ] = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="votes become the labels that faces with such votes have")
    ] = False,
    views: Annotated[
        int,
        typer.Option(min=0, help="augmented views of each face for teachers to answer; 0: the plain face"),
    ] = 0,
    student: Annotated[
        str, typer.Option(help="recipe whose [augment] draws the views", metavar="RECIPE")
    ] = "pocket",
    weighted: Annotated[
        bool, typer.Option("--weighted", help="weigh teachers by the log loss of their mean on val")
    ] = False,
    features: Annotated[
        bool, typer.Option("--features", help="with --views: keep teachers' pooled features, too")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="the file to write; targets.csv, or with --views targets.safetensors")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Write teachers' answers as soft targets for a student.

    `mien train RECIPE DATASET distillation.soft_targets=FILE` trains with them.
    """
    if views and translate:
        raise DataError("--translate is for annotators' votes, --views for teachers")
    if features and not views:
        raise DataError("--features are of views, as a student sees a face: give --views, too")
    if views:
        options = {"teachers": teachers or [], "weighted": weighted, "features": features, "device": device}
        _distill_views(dataset, out or Path("targets.safetensors"), views, student, options)
        return
    from mien.distill import distill
    from mien.judge import accuracy
    from mien.progress import TerminalCounting

    out = out or Path("targets.csv")
    options = {"teachers": teachers or (), "translate": translate, "weighted": weighted, "device": device}
    targets = distill(dataset, out, progress=TerminalCounting(), **options)
    print(f"{out}: {len(targets):,} train faces, accuracy {accuracy(targets.labels, targets.probs):.1%}")


app.command("teach", hidden=True)(distill)  # its name in the first version


def _distill_views(dataset: Path, out: Path, views: int, student: str, options: dict[str, Any]) -> None:
    from mien.distill import distill_views
    from mien.progress import TerminalCounting
    from mien.recipe import read_recipe

    with stop_asked() as stop:
        progress, recipe = TerminalCounting(stop=stop), read_recipe(student)
        answered = distill_views(dataset, out, student=recipe, views=views, progress=progress, **options)
    print(f"{out}: {answered.total} views of {answered.probs.shape[1]:,} train faces")


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
        result = bench(chosen, **timed, progress=TerminalCounting(stop=stop))
    write(result, folder)
    print(f"{summary(result)}\n\n{folder / 'bench.html'}")
