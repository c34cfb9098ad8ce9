"""The report of a search: any Optuna storage in, one HTML page, figures, tables and recipes out. Needs no torch.

`report` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as SVG
and PNG), `numbers/trials.csv` and `recipes/`, the best as TOML for `mien train` where the search was
mien's; `summary` tells the result in the terminal.
"""

from pathlib import Path

from mien.files import write_atomic
from mien.pages import render
from mien.pages.report import Report, writing_report
from mien.text import quoted
from mien.tune import tables, text
from mien.tune.effects import FEWEST_TRIALS, Importance, importances
from mien.tune.figures import MOST_PAIRS, draw
from mien.tune.study import Study, best_recipes, read_study
from mien.tune.text import summary

__all__ = ["PAGE", "report", "summary"]

PAGE, RECIPES = "report.html", "recipes"


def report(where: str | Path, out: Path, *, study: str | None = None) -> Study:
    """Write the report of a search, or of a study in any Optuna storage, into folder `out`; return the study.

    The folder appears whole or not at all; a report that stands there is replaced, the storage is
    left as it is. Raises TuneError where there is nothing to report, StorageError where `out` holds
    anything else, MissingExtra without matplotlib or Optuna.
    """
    out = Path(out)
    with writing_report(out, PAGE, extra="tune", others=(RECIPES,)) as builder:
        read = read_study(where, study)
        ranked = importances(read)
        draw(builder, read, ranked)
        builder.write_numbers({"trials": tables.trials(read)})
        builder.write_page(_html(builder, read, ranked, out))
        (builder.folder / RECIPES).mkdir()
        for name, toml in best_recipes(read).items():
            write_atomic(builder.folder / RECIPES / name, toml)
    return read


def _html(builder: Report, study: Study, ranked: list[Importance], out: Path) -> str:
    return render(
        "mien.tune",
        "report.html",
        study=study,
        title=f"The search {study.name}",
        lead=text.lead(study),
        conclusions=text.conclude(study, ranked),
        tables=tables.tables(study),
        drawn=builder.figures,
        objective=text.objective(study),
        better="higher" if study.maximized[0] else "lower",
        fewest=FEWEST_TRIALS,
        undrawn=len(study.axes) * (len(study.axes) - 1) // 2 > MOST_PAIRS,
        recipes=best_recipes(study),
        notes=study.metadata.get("data", {}).get("notes", ()),
        command=f"mien tune report {quoted(study.source)} --study {quoted(study.name)} --out {quoted(out)}",
    )
