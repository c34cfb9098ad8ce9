import csv
import inspect
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mien.cli import judging
from mien.errors import DataError, ModelError, StorageError
from mien.fairness import ATTRIBUTES, PEOPLE, fairness
from mien.fairness.attributes import person_numbered
from mien.fairness.faces import Plan, render_person, shown, view
from mien.fairness.measure import BALANCED, DETECTOR, FOUND, HALF, Answers, Design, half_intensity, measure
from mien.labels import LABELS
from mien.render.change import with_age, with_ancestry, with_gender, with_hair
from mien.render.scene import picture

LEVELS = {"age": ("30", "9", "72"), "glasses": ("without", "with"), "noise": ("one", "another")}
STEPS = (0.3, 0.6, 0.9)
CONTROL = "background and noise"


def design() -> Design:
    """Return three attributes, the last of them a control, and three classes: two graded, one not."""
    labels = np.array([2, *np.repeat((0, 1), len(STEPS))])
    intensities = np.array([1.0, *STEPS, *STEPS])
    return Design(LEVELS, ("a", "b", "c"), labels, intensities, labels != 2, frozenset({"noise"}))


def answers(seed: int, people: int = 40, worse: tuple[str, str] | None = None, by: float = 0.8) -> Answers:
    """Return what a made-up recognizer says: better of stronger expressions, of some people, and worse of one level."""
    plan, rng = design(), np.random.default_rng(seed)
    rows, faces = len(plan.rows), len(plan.labels)
    scores = rng.normal(0, 0.6, (people, rows, faces, 3))
    gain = 1.6 * plan.intensities + rng.normal(0, 0.5, (people, 1, 1)) + np.zeros((people, rows, 1))
    if worse is not None:
        gain[:, plan.rows.index(worse)] -= by
    scores[:, :, np.arange(faces), plan.labels] += gain
    odds = np.exp(3 * scores)
    return Answers(odds / odds.sum(-1, keepdims=True), 0.5)


@pytest.mark.parametrize("level", [("age", "72"), ("glasses", "with")])
def test_planted_unfairness_is_named_with_group_and_sign(level):
    """A recognizer that answers worse for one level has its worst gap there, below 0, and holds no gap elsewhere."""
    result = measure(design(), {"unfair": answers(1, worse=level)}, draws=300)

    worst, held = result.worst["unfair"], result.holding("unfair")
    assert level == (worst.attribute, worst.level)
    assert worst.holds
    assert worst.difference.high < 0
    assert {level} == {(gap.attribute, gap.level) for gap in held}
    assert next(gap for gap in held if gap.outcome == BALANCED).difference.point < 0


def test_an_outcome_that_is_undefined_holds_nowhere():
    """Where half are never recognized at a level, the difference of that intensity is nan and does not hold."""
    result = measure(design(), {"unfair": answers(1, worse=("age", "72"), by=2.0)}, draws=300)

    gap = result.gap("unfair", "age", "72", HALF)
    assert gap is not None
    assert np.isnan(gap.difference.point)
    assert not gap.holds


def test_a_first_level_that_is_worse_makes_the_others_better():
    """What is planted in the level that others are compared with shows with the opposite sign in all of them."""
    result = measure(design(), {"unfair": answers(2, worse=("age", "30"))}, draws=300)

    held = {
        (g.attribute, g.level): g.difference.point for g in result.holding("unfair") if g.outcome == BALANCED
    }
    assert {("age", "9"), ("age", "72")} == set(held)
    assert min(held.values()) > 0


def test_without_a_difference_at_most_one_of_twenty_claims_one():
    """Of 20 recognizers that treat all levels alike at most one holds any of its gaps, after Holm."""
    results = [measure(design(), {"fair": answers(100 + n)}, draws=100, seed=n) for n in range(20)]

    assert sum(bool(result.holding("fair")) for result in results) <= 1


def test_identical_answers_have_no_gap_and_a_measurement_repeats_to_the_digit():
    """Levels answered alike differ by exactly 0 with p 1; a second measurement of anything is equal."""
    same = answers(3).probs
    same[:, 1:] = same[:, :1]
    detected = np.ones((40, 7))

    first, again = (
        measure(design(), {"m": Answers(same, 0.5), "other": answers(4)}, detected, draws=100, seed=5)
        for _ in range(2)
    )

    assert first == again
    own = [gap for gap in first.gaps if gap.model in ("m", DETECTOR)]
    assert {(0.0, 0.0, 0.0, 1.0)} == {(*g.difference.to_dict().values(), g.p) for g in own}
    assert {FOUND} == {gap.outcome for gap in own if gap.model == DETECTOR}


def test_intervals_are_of_people():
    """Answers that come five times from each person make no interval narrower than people allow."""
    single = answers(6, people=12, worse=("glasses", "with"), by=0.3)
    design_of_five = replace(design(), labels=np.tile(design().labels, 5), intensities=np.tile(design().intensities, 5),
                             graded=np.tile(design().graded, 5))  # fmt: skip
    five = Answers(np.tile(single.probs, (1, 1, 5, 1)), single.threshold)

    once, repeated = (measure(plan, {"m": each}, draws=200) for plan, each in
                      ((design(), single), (design_of_five, five)))  # fmt: skip

    for one, other in zip(once.gaps, repeated.gaps, strict=True):
        assert one.difference.to_dict() == pytest.approx(other.difference.to_dict(), nan_ok=True)


@pytest.mark.parametrize(
    ("recall", "expected"),
    [((0.2, 0.4, 0.6), 0.75), ((0.5, 0.7, 0.8), 0.3), ((0.1, 0.2, 0.4), np.nan), ((0.2, 0.8, 0.3), 0.45)],
)
def test_half_intensity_is_where_the_curve_first_reaches_half(recall, expected):
    """It lies on straight lines between intensities; nan where half are never recognized."""
    assert half_intensity(np.array(recall), np.array(STEPS)) == pytest.approx(expected, nan_ok=True)


def test_one_attribute_changes_and_the_others_stay():
    """Age, gender and ancestry change the head and what belongs to them; there and back is the same person."""
    person = person_numbered(0, 3)
    other = with_ancestry(with_gender(person, 0.95), (1.0, 0.0, 0.0))

    assert person.skin == other.skin
    assert (person.hair, person.hair_tone, person.age, person.iris) == (
        other.hair,
        other.hair_tone,
        other.age,
        other.iris,
    )
    assert np.abs(other.vertices - person.vertices).max() > 0.01
    back = with_ancestry(with_gender(other, person.gender), person.ancestry)
    assert np.abs(back.vertices - person.vertices).max() < 1e-4
    assert back.brow == pytest.approx(person.brow)
    assert with_age(person, 72.0).age_lines > with_age(person, 25.0).age_lines
    assert "bald" == with_hair(person, "bald").hair


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_each_level_of_an_attribute_gives_another_picture(name):
    """No two levels render to the same pixels, and the same level always renders to the same ones."""
    person, seen = person_numbered(0, 1), view(0, 1, "happy")
    attribute = ATTRIBUTES[name]
    smile = shown(0, 1, "happy", 1.0)

    changed = [level(*attribute.basis(person, seen)) for level in attribute.levels.values()]
    pixels = [picture(each, smile, look).tobytes() for each, look in changed]

    assert len(attribute.levels) == len(set(pixels))


def test_a_person_has_the_same_faces_among_any_number_of_people():
    """Faces depend on the seed and the person's number; the face is found in the pictures with surroundings."""
    plan = Plan(0, 16, ("glasses",))

    first, again = render_person(plan, 1), render_person(plan, 1)

    assert np.array_equal(first.faces, again.faces)
    assert (2, 31, 16, 16) == first.faces.shape
    assert first.detected.max() > 0


def test_the_command_writes_a_report(toy_model, tmp_path):
    """`mien fairness MODEL` writes page, figures and numbers of the chosen attributes and of the control."""
    out = tmp_path / "report"
    words = [sys.executable, "-m", "mien", "fairness", toy_model, "--people", "2", "--attribute", "glasses"]
    done = subprocess.run(
        [*words, "--out", out, "--draws", "100"], capture_output=True, text=True, check=True
    )

    assert toy_model.stem in done.stdout
    assert 4 == (out / "fairness.html").read_text(encoding="utf-8").count("<svg")
    with open(out / "numbers" / "outcomes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"glasses", CONTROL} == {row["attribute"] for row in rows}
    assert 4 * (len(LABELS) * 2 + 4 + 1) == len(rows)
    assert {"compared with", "cannot tell"} == {row["conclusion"] for row in rows}


def test_any_classifier_is_compared_on_the_same_people(tmp_path):
    """A function from faces to probabilities needs no model beside it; one that ignores the face holds no gap."""
    others = {"constant": lambda faces: np.eye(len(LABELS))[np.zeros(len(faces), int)]}

    result = fairness([], tmp_path / "report", others=others, people=2, attributes=["glasses"], draws=100)

    assert ["constant"] == result.models
    assert {0.0, 1.0} == {
        result.level("constant", "glasses", "glasses").values[f"recall of {c}"].point for c in LABELS
    }
    assert [] == result.holding("constant")


@pytest.mark.slow
def test_a_stopped_comparison_renders_only_the_people_that_are_missing(toy_model, tmp_path, monkeypatch):
    """A person kept whole is not rendered again, a damaged one is; the numbers are those of an undisturbed run."""
    rendered, attributes = [], ["glasses"]
    options = {"people": 3, "attributes": attributes, "draws": 100}
    whole = fairness([toy_model], tmp_path / "whole", **options)
    folder = tmp_path / "stopped.unfinished"

    def stopping(plan, workers, numbers):
        for number in numbers:
            if number == 2 and 2 not in rendered:
                rendered.append(2)
                raise KeyboardInterrupt
            rendered.append(number)
            yield render_person(plan, number)

    monkeypatch.setattr("mien.fairness.render_people", stopping)
    with pytest.raises(KeyboardInterrupt):
        fairness([toy_model], tmp_path / "stopped", **options)
    files = sorted(folder.iterdir())
    files[1].write_bytes(files[1].read_bytes()[:-40])
    resumed = fairness([toy_model], tmp_path / "stopped", **options)

    assert 2 == len(files)
    assert [0, 1, 2, 1, 2] == rendered
    assert whole == resumed
    assert not folder.exists()


def test_the_command_compares_as_many_people_as_the_function():
    """Without options both render the same number of people."""
    default = inspect.signature(judging.fairness).parameters["people"].default

    assert PEOPLE == default == inspect.signature(fairness).parameters["people"].default


@pytest.mark.parametrize(
    "options", [{"people": 1}, {"people": 2001}, {"attributes": ["glases"]}, {"draws": 5}], ids=str
)
def test_bad_options_are_refused_and_nothing_is_written(options, toy_model, tmp_path):
    """Too few or many people, an unknown attribute and too few draws are DataErrors before a face is rendered."""
    with pytest.raises(DataError):
        fairness([toy_model], tmp_path / "out", **options)

    assert [] == list(tmp_path.iterdir())


def test_no_model_two_of_one_name_and_a_foreign_folder_are_refused(toy_model, tmp_path):
    """Nothing is written over other files or without a model."""
    (tmp_path / "notes.txt").write_text("mine")

    for models in ([], [toy_model, toy_model]):
        with pytest.raises(ModelError):
            fairness(models, tmp_path / "out")
    with pytest.raises(StorageError):
        fairness([toy_model], tmp_path, people=2)
    assert ["notes.txt"] == [path.name for path in tmp_path.iterdir()]
