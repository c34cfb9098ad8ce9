"""The report of a search: any Optuna storage in, one HTML page, figures, tables and recipes out. Needs no torch.

`report` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as SVG
and PNG), `numbers/trials.csv` and `recipes/`, the best as TOML for `mien train` where the search was
mien's; `summary` tells the result in the terminal.
"""

from pathlib import Path

from mien import __version__
from mien.files import refuse_other_contents, replacing_folder, write_atomic, write_csv
from mien.pages import render
from mien.pages.figures import Drawn, themed
from mien.text import filled, quoted
from mien.tune.report import tables, text
from mien.tune.report.effects import FEWEST_TRIALS, importances
from mien.tune.report.figures import MOST_PAIRS, draw
from mien.tune.study import Study, best_recipes, read_study

PAGE = "report.html"
CONTENTS = {PAGE, "figures", "numbers", "recipes"}
SECTIONS = {
    "trials": "The trials",
    "history": "History",
    "front": "The front",
    "importances": "What matters",
    "contours": "Contours",
    "slices": "Slices",
    "recipe": "The best recipe",
    "method": "How to read this",
}


def report(where: str | Path, out: Path, *, study: str | None = None) -> Study:
    """Write the report of a search, or of a study in any Optuna storage, into folder `out`; return the study.

    The folder appears whole or not at all; a report that stands there is replaced, the storage is
    left as it is. Raises TuneError where there is nothing to report, StorageError where `out` holds
    anything else, MissingExtra without matplotlib or Optuna.
    """
    out = Path(out)
    refuse_other_contents(out, CONTENTS)
    read = read_study(where, study)
    with themed("tune"), replacing_folder(out) as folder:
        for name in sorted(CONTENTS - {PAGE}):
            (folder / name).mkdir()
        ranked = importances(read)
        figures = draw(read, ranked, folder / "figures")
        said = text.findings(read, ranked)
        write_atomic(folder / PAGE, _html(read, said, figures, out))
        write_csv(folder / "numbers" / "trials.csv", *tables.csv(read))
        for name, toml in best_recipes(read).items():
            write_atomic(folder / "recipes" / name, toml)
    return read


def _html(study: Study, said: list, figures: dict[str, list[Drawn]], out: Path) -> str:
    recipes = best_recipes(study)
    filled_sections = {name for name, drawn in figures.items() if drawn} | {"trials", "method"}
    filled_sections |= {"recipe"} if recipes else set()
    return render(
        "mien.tune.report",
        "report.html",
        study=study,
        title=f"The search {study.name}",
        lead=text.lead(study),
        said=said,
        sections=[(name, heading) for name, heading in SECTIONS.items() if name in filled_sections],
        tables=tables.tables(study),
        drawn=figures,
        objective=text.objective(study),
        better="higher" if study.maximized[0] else "lower",
        fewest=FEWEST_TRIALS,
        undrawn=len(study.axes) * (len(study.axes) - 1) // 2 > MOST_PAIRS,
        recipes=recipes,
        notes=study.metadata.get("data", {}).get("notes", ()),
        command=f"mien tune report {quoted(study.source)} --study {quoted(study.name)} --out {quoted(out)}",
        version=__version__,
    )


def summary(study: Study) -> str:
    """Return what is said of a search as text of at most 100 columns."""
    said = text.findings(study, importances(study))
    return "\n".join(f"{one.head}\n{filled(one.sentence, '  ')}" for one in said)
