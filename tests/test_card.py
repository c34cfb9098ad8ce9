import csv
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.export.card import verdicts_by_part
from mien.export.reports import report_sections
from mien.model import read_model
from mien.model.card import (
    CAVEATS,
    EIGHT_BITS,
    FAIRNESS,
    FORBIDDEN,
    LAYOUT,
    OWN,
    RECIPE,
    RESULTS,
    STRESS,
    compose,
    model_index,
    scores_of,
    sections_of,
)
from mien.predictions import Predictions

TABLE = (
    "|  | val | test, clean |\n| --- | ---: | ---: |\n| accuracy % | 70.5 [69.0, 72.0] | 68.0 [66.0, 70.0] |"
)
KEPT = Path(__file__).parent.parent / "results"


def write(path, rows: list[dict]) -> None:
    """Write a table of numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def test_a_card_has_the_sections_of_model_cards_and_gives_them_back():
    """Mitchell et al.'s sections are there in their order; what was put in is read again, also code with a heading."""
    own = {RESULTS: TABLE, RECIPE: "```toml\n## no heading\n```", CAVEATS: "- some"}

    card = compose("toy", "A network.", own)
    sections = sections_of(card)

    titles = [
        title for level, title in LAYOUT if level == 2 and not title.endswith(" data")
    ]  # not of this toy
    places = [card.index(f"\n## {title}\n") for title in titles]
    assert places == sorted(places)
    assert own == {title: sections[title] for title in own}
    assert "A network." == sections["Model details"]
    assert all(word in sections[FORBIDDEN] for word in ("not legal advice", "5(1)(f)", "2025-02-02", "2(12)"))
    assert card == compose(
        "toy", "A network.", {title: text for title, text in sections.items() if title in own}
    )
    assert {"val": {"accuracy %": 70.5}, "test, clean": {"accuracy %": 68.0}} == scores_of(card)


def test_the_scores_of_a_card_are_a_model_index():
    """Accuracy of each part of the card's table stands in it with its split; without a table there is none."""
    (model,) = model_index(compose("toy", "A network.", {RESULTS: TABLE}), "toy", "fer2013")

    assert ["val", "test"] == [one["dataset"]["split"] for one in model["results"]]
    assert {"type": "accuracy", "name": "accuracy %", "value": 70.5} == model["results"][0]["metrics"][0]
    assert [] == model_index(compose("toy", "A network.", {}), "toy", "fer2013")


@pytest.mark.parametrize(
    ("clean", "strict", "parts"),
    [
        ([1, 1, 1, 1], None, {"test": 4}),
        ([1, 1, 1, 0], None, {"test": 4, "test, clean": 3}),
        ([1, 1, 1, 0], [1, 1, 0, 0], {"test": 4, "test, clean": 3, "test, strictly clean": 2}),
        ([1, 1, 1, 0], [1, 1, 1, 0], {"test": 4, "test, clean": 3}),
        ([0, 0, 0, 0], [0, 0, 0, 0], {"test": 4}),
    ],
)
def test_a_card_judges_each_part_that_is_known(clean, strict, parts):
    """Clean and strictly clean faces have results of their own where they are fewer, and some."""
    ids, labels = np.array(list("abcd")), np.array([0, 1, 0, 1])
    known = None if strict is None else np.array(strict, bool)
    table = Predictions(
        ("x", "y"), ids, labels, np.full(4, "test"), np.eye(2)[labels], ids, np.array(clean, bool), known
    )

    assert parts == {name: verdict.faces for name, verdict in verdicts_by_part({"test": table}).items()}


@pytest.fixture
def reports(tmp_path):
    """The folders of a stress and a fairness report on the model `toy`, as far as a card reads them."""
    stress, fairness = tmp_path / "stress", tmp_path / "fairness"
    model = {"model": "toy", "faces": 1200, "accuracy": 0.7, "low": 0.68, "high": 0.72,
             "mean_accuracy": 0.5, "mean_low": 0.48, "mean_high": 0.52,
             "loss": 0.2, "loss_low": 0.19, "loss_high": 0.21}  # fmt: skip
    write(stress / "numbers" / "models.csv", [model])
    conditions = [
        ("none", 0, 0.7),
        *(("defocus", strength, 0.7 - 0.1 * strength) for strength in range(1, 6)),
    ]
    write(stress / "numbers" / "conditions.csv", [
        {"model": "toy", "corruption": name, "strength": strength, "accuracy": value, "ece": 0.1, "uncertain": 0.2}
        for name, strength, value in conditions
    ])  # fmt: skip
    write(fairness / "numbers" / "outcomes.csv", [
        {"model": "toy", "level": level, "compared_with": "no beard", "outcome": "balanced accuracy",
         "difference": difference, "difference_low": -0.1, "difference_high": -0.01, "conclusion": conclusion}
        for level, difference, conclusion in (
            ("no beard", "", "compared with"), ("stubble", -0.02, "cannot tell"), ("full beard", -0.06, "lower"))
    ])  # fmt: skip
    return stress, fairness


def test_reports_become_sections_of_a_card(reports):
    """A stress report gives loss and each corruption, a fairness report the differences that hold and no others."""
    sections = report_sections(reports, "toy")

    assert {STRESS, FAIRNESS} == set(sections)
    assert "1,200 of val's faces" in sections[STRESS]
    assert "20.0 [19.0, 21.0] points" in sections[STRESS]
    assert "| defocus | 40.0% | 20.0% | 20.0% | 0.100 |" in sections[STRESS]
    assert "1 of 2 differences" in sections[FAIRNESS]
    assert "full beard against no beard" in sections[FAIRNESS]
    assert "stubble" not in sections[FAIRNESS]


def test_reports_of_another_model_or_kind_are_refused(reports, tmp_path):
    """A folder that is no report, and a report without the model, are DataErrors."""
    for folders, name in (([tmp_path], "toy"), (reports, "other")):
        with pytest.raises(DataError):
            report_sections(folders, name)


def test_the_stress_of_photographs_is_no_section_of_a_card(reports):
    """A report in which some faces were not found is a DataError: the card's figures are of crops."""
    path = reports[0] / "numbers" / "conditions.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row | {"found": 0.5} for row in csv.DictReader(file)]
    write(path, rows)

    with pytest.raises(DataError):
        report_sections(reports[:1], "toy")


@pytest.mark.parametrize("name", ["pocket", "pocket-photos", "sharp"])
def test_a_shipped_card_holds_what_is_known_of_the_model(name):
    """It has its own sections, and stress and fairness where results/ has measured them."""
    sections = sections_of(read_model(name).card)
    kept = {STRESS: "stress-models.csv", FAIRNESS: "fairness-outcomes.csv"}
    measured = {
        title
        for title, file in kept.items()
        if (KEPT / file).exists() and f"\n{name}," in (KEPT / file).read_text()
    }

    assert {*OWN, *measured} - {EIGHT_BITS} <= set(sections)
