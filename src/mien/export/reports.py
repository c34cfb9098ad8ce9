"""What stress and fairness reports say of a model, as sections of its card. Measures nothing."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from mien.errors import DataError
from mien.model.card import FAIRNESS, STRESS
from mien.pages.tables import Table
from mien.reading import LARGEST_TABLE, read_text
from mien.text import decimal, percent, points

MODELS, CONDITIONS, OUTCOMES = "models.csv", "conditions.csv", "outcomes.csv"
MOST_GAPS = 10  # in a card; a report has all
STRONGEST = "5"
Row = Mapping[str, str]


def report_sections(folders: Sequence[Path], name: str) -> dict[str, str]:
    """Return the sections that reports of `mien stress` and `mien fairness` give a model's card, by title.

    Raises DataError for a folder that is neither, or that does not have the model.
    """
    sections = {}
    for folder in map(Path, folders):
        numbers = folder / "numbers"
        if (numbers / OUTCOMES).is_file():
            sections[FAIRNESS] = fairness_section(numbers / OUTCOMES, name)
        elif (numbers / CONDITIONS).is_file():
            sections[STRESS] = stress_section(numbers / MODELS, numbers / CONDITIONS, name)
        else:
            raise DataError(f"{folder}: no report of mien stress or mien fairness; give the folder of one")
    return sections


def stress_section(models: Path, conditions: Path, name: str) -> str:
    """Return what a stress report's tables say of a model, Markdown."""
    (model,) = _rows(models, name)[:1]
    by_corruption: dict[str, list[Row]] = {}
    for row in _rows(conditions, name):
        by_corruption.setdefault(row["corruption"], []).append(row)
    (unchanged,) = by_corruption.pop("none")
    rows = []
    for corruption, each in by_corruption.items():
        last = next(row for row in each if row["strength"] == STRONGEST)
        if float(last.get("found", 1)) < 1:
            raise DataError(f"{conditions}: is of faces in photographs; a card has the stress of crops")
        mean = sum(float(row["accuracy"]) for row in each) / len(each)
        cells = (mean, float(last["accuracy"]), float(last["uncertain"]))
        rows.append((corruption, *map(percent, cells), decimal(float(last["ece"]))))
    head = ("corruption", "accuracy, mean of 5 strengths", "at the strongest", "uncertain there", "ECE there")
    faces = f"{int(model['faces']):,} of " if "faces" in model else ""  # earlier reports do not say how many
    return (
        f"Accuracy is {_share(model, 'accuracy', 'low', 'high')} on {faces}val's faces as they are and "
        f"{_share(model, 'mean_accuracy', 'mean_low', 'mean_high')} over 18 corruptions at five strengths: "
        f"{100 * float(model['loss']):.1f} [{100 * float(model['loss_low']):.1f}, "
        f"{100 * float(model['loss_high']):.1f}] points less. Uncertain are {percent(float(unchanged['uncertain']))} "
        f"as they are (`mien stress`, by the labels of its data set).\n\n{Table('', head, [('', rows)]).markdown()}"
    )


def fairness_section(outcomes: Path, name: str) -> str:
    """Return what a fairness report's table says of a model, Markdown: the largest differences that hold."""
    compared = [row for row in _rows(outcomes, name) if row["difference"]]
    held = [row for row in compared if row["conclusion"] in ("higher", "lower")]
    held.sort(key=lambda row: -abs(float(row["difference"])))
    rows = [
        (
            f"{row['level']} against {row['compared_with']}",
            row["outcome"],
            f"{points(float(row['difference']))} [{points(float(row['difference_low']))}, "
            f"{points(float(row['difference_high']))}]",
        )
        for row in held
        if row["outcome"] != "half at"  # an intensity
    ]
    text = (
        "The same rendered people with one attribute changed (`mien fairness`). They are drawings: a difference is a "
        "reason to look at photographs of people who agreed to it, and no difference is no proof of fairness. "
        f"{len(held)} of {len(compared)} differences hold after correction for their number"
    )
    if not rows:
        return f"{text}."
    table = Table("", ("", "outcome", "difference, points"), [("", rows[:MOST_GAPS])])
    return f"{text}; the largest are:\n\n{table.markdown()}"


def _rows(path: Path, name: str) -> list[Row]:
    """Return a model's rows of a table of numbers; DataError where it has none."""
    try:
        rows = list(csv.DictReader(read_text(path, LARGEST_TABLE).splitlines()))
        own: list[Row] = [row for row in rows if row["model"] == name]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: is no table of a report ({error})") from None
    if not own:
        names = ", ".join(sorted({row["model"] for row in rows}))
        raise DataError(
            f'{path}: has no model "{name}" (it has {names}); a report knows models by their file'
        )
    return own


def _share(row: Row, point: str, low: str, high: str) -> str:
    return f"{percent(float(row[point]))} [{100 * float(row[low]):.1f}, {100 * float(row[high]):.1f}]"
