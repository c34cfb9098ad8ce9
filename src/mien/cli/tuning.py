"""The commands that search: tune, and tune report."""

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from mien.cli.app import app, note_renamed, stop_asked


class FirstByDefault(TyperGroup):
    """Commands of which the first needs no word of its own: `mien tune SPACE` is `mien tune search SPACE`."""

    def parse_args(self, ctx, args):
        """Put the first command's word before arguments that start with no command's."""
        if args and args[0] not in (*self.commands, "--help"):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


tune = typer.Typer(
    cls=FirstByDefault,
    help="Search a space of recipes, and report on a search.\n\n"
    "`mien tune SPACE DATASET` searches, `mien tune report FOLDER` makes its report. "
    "Options: `mien tune search --help`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(tune, name="tune")


@tune.command("search")
def tune_search(
    space: Annotated[str, typer.Argument(help="a shipped space's name or a .toml file")],
    dataset: Annotated[Path, typer.Argument(help="a data set's folder; only its train and val are seen")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields fixed, as training.epochs=5; or objectives=…"),
    ] = None,
    trials: Annotated[int, typer.Option(help="how many, by all workers together")] = 40,
    hours: Annotated[float | None, typer.Option(help="stop after so long; the same command goes on")] = None,
    out: Annotated[Path | None, typer.Option(help="the search's folder, searches/NAME by default")] = None,
    storage: Annotated[
        str | None, typer.Option(help="an address such as postgresql://HOST/DATABASE, for many machines")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that share this machine's threads")] = 1,
    sampler: Annotated[str, typer.Option(help="tpe, random or nsga2")] = "tpe",
    pruner: Annotated[
        str | None, typer.Option(help="median, hyperband or none; by default median, with one objective")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the search and of every training")] = 0,
    confirm: Annotated[int, typer.Option(min=0, help="train the best three again, with so many seeds")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads, all cores by default")] = None,
) -> None:
    """Search a space of recipes on train and val; stopped at any moment, the same command goes on."""
    from mien.tune.space_file import read_space

    note_renamed(overrides or ())
    chosen = read_space(space, tuple(overrides or ()))
    from mien.dataset import read_dataset

    development = read_dataset(dataset).development()
    from mien.networks.engine import require_device
    from mien.progress import Terminal
    from mien.tune.confirm import confirm as train_again
    from mien.tune.plan import Plan
    from mien.tune.report import summary
    from mien.tune.search import log, tune
    from mien.tune.storage import shown

    if device != "auto":
        require_device(device)
    folder = out or Path("searches") / chosen.name
    search = {"seed": seed, "sampler": sampler, "pruner": pruner, "storage": storage}
    plan = Plan(chosen, development, folder, trials, hours, **search, device=device, threads=threads)
    with stop_asked() as stop:
        study = tune(plan, workers=workers, stop=stop, log=log, progress=Terminal())
        if confirm:
            study = train_again(plan, confirm, stop=stop, log=log, progress=Terminal())
    where = shown(storage) if storage else folder  # an address without its password
    print(f"{summary(study)}\n\n{folder}: mien tune report {where} draws it")


@tune.command("report")
def tune_report(
    where: Annotated[
        str, typer.Argument(help="a search's folder, or any Optuna storage: a file or an address")
    ],
    study: Annotated[str | None, typer.Option(help="which study, where the storage holds several")] = None,
    out: Annotated[Path | None, typer.Option(help="the report's folder, FOLDER/report by default")] = None,
) -> None:
    """Make the report of a search, or of anybody's Optuna study: one HTML page, figures, tables, recipes."""
    from mien.tune.report import PAGE, report, summary

    folder = out or (Path(where) / "report" if Path(where).is_dir() else Path("reports/tune"))
    print(f"{summary(report(where, folder, study=study))}\n\n{folder / PAGE}")
