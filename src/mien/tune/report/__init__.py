"""The report of a search: any Optuna storage in, one HTML page, figures, tables and recipes out. Needs no torch.

`report` makes a folder with `report.html` (one file that opens anywhere), `figures/` (each as SVG
and PNG), `numbers/trials.csv` and `recipes/`, the best as TOML for `mien train` where the search was
mien's; `summary` tells the result in the terminal.
"""

from collections.abc import Sequence
from pathlib import Path

from mien import __version__
from mien.files import refuse_other_contents, replacing_folder, write_atomic, write_csv
from mien.pages import render
from mien.pages.figures import themed
from mien.text import filled, quoted
from mien.tune.report import page, words
from mien.tune.report.effects import FEWEST_TRIALS, Importance, importances
from mien.tune.report.figures import MOST_PAIRS, draw, told
from mien.tune.study import Study, best_recipes, read_study

PAGE = "report.html"
CONTENTS = {PAGE, "figures", "numbers", "recipes"}
SECTIONS = (
    ("trials", "The trials"),
    ("history", "History"),
    ("front", "The front"),
    ("importances", "What matters"),
    ("contours", "Contours"),
    ("slices", "Slices"),
    ("recipe", "The best recipe"),
    ("method", "How to read this"),
)


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
        drawn = draw(read, ranked, folder / "figures")
        write_atomic(folder / PAGE, _html(read, ranked, drawn, out))
        write_csv(folder / "numbers" / "trials.csv", *_rows(read))
        for name, text in best_recipes(read).items():
            write_atomic(folder / "recipes" / name, text)
    return read


def _html(study: Study, ranked: Sequence[Importance], drawn: dict, out: Path) -> str:
    recipes = best_recipes(study)
    there = {name for name, figures in drawn.items() if figures} | {"trials", "method"}
    there |= {"recipe"} if recipes else set()
    return render(
        "mien.tune.report",
        "report.html",
        study=study,
        title=f"The search {study.name}",
        lead=words.lead(study),
        said=words.say(study, ranked),
        sections=[section for section in SECTIONS if section[0] in there],
        tables=page.tables(study),
        drawn=drawn,
        told=told(study),
        better="higher" if study.maximized[0] else "lower",
        fewest=FEWEST_TRIALS,
        undrawn=len(study.axes) * (len(study.axes) - 1) // 2 > MOST_PAIRS,
        recipes=recipes,
        notes=study.told.get("data", {}).get("notes", ()),
        command=f"mien tune report {quoted(study.source)} --study {quoted(study.name)} --out {quoted(out)}",
        version=__version__,
    )


def _rows(study: Study) -> tuple[list[str], list[list]]:
    """Return the header and the rows of `trials.csv`: every trial with all that is known of it but its recipe."""
    axes = [axis.name for axis in study.axes]
    notes = ("parameters", "multiply_adds", "memory_mb", "milliseconds", "repeats", "refused", "fault")
    head = [
        "trial",
        "state",
        *study.objectives,
        "epochs",
        "begun",
        "ended",
        *axes,
        *(f"note {n}" for n in notes),
    ]
    rows = []
    for t in study.trials:
        values = t.values if len(t.values) == len(study.objectives) else [None] * len(study.objectives)
        params = [t.params.get(name) for name in axes]
        rows.append(
            [
                t.number,
                t.state,
                *values,
                len(t.curve),
                t.begun,
                t.ended,
                *params,
                *(t.notes.get(n) for n in notes),
            ]
        )
    return head, rows


def summary(study: Study) -> str:
    """Return what is said of a search as text of at most 100 columns."""
    said = words.say(study, importances(study))
    return "\n".join(f"{one.head}\n{filled(one.sentence, '  ')}" for one in said)
