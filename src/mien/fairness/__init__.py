"""For whom a recognizer works worse: rendered people in pairs, one attribute changed and all else the same.

Each person shows the same expressions at the same intensities, poses and lights with each attribute at each level, so
differences are paired and their cause is known, which no set of photographs gives. What it cannot say stands at the
head of the report: rendered faces are no people. `fairness` makes a folder with `fairness.html`, `numbers/` (CSV) and
`figures/`; `summary` tells the result in the terminal.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mien.classifiers import Classifier, Probabilities, read_classifiers, together
from mien.errors import DataError, ModelError
from mien.fairness.attributes import ATTRIBUTES
from mien.fairness.faces import NEUTRAL, SHOWN, PersonFaces, Plan, example, render_people
from mien.fairness.kept import KeptPeople
from mien.fairness.measure import Answers, Design, Fairness, Gap, LevelResult, measure
from mien.fairness.report import PAGE, fill
from mien.fairness.text import summary
from mien.judge.bootstrap import check_draws
from mien.labels import LABELS, known_words
from mien.pages.report import writing_report
from mien.progress import Counting
from mien.text import quoted

__all__ = ["ATTRIBUTES", "PEOPLE", "Fairness", "Gap", "LevelResult", "fairness", "summary"]

PEOPLE = 32  # by default
FEWEST, MOST = 2, 2000
USUAL_SIDE = 48  # pixels of the faces
SIDES = (16, 256)
EXAMPLE_SIDE = 96


def fairness(
    models: Sequence[str | Path],
    out: Path,
    *,
    others: Mapping[str, Probabilities] | None = None,
    people: int = PEOPLE,
    attributes: Sequence[str] = (),
    seed: int = 0,
    draws: int = 2000,
    workers: int = 1,
    progress: Counting | None = None,
) -> Fairness:
    """Compare how models, or runs, classify rendered people who differ in one attribute; write the report into `out`.

    A model is a shipped one's name, a `.onnx` file or the folder of a complete run; it classifies FER2013's seven
    classes. `others` are any other classifiers by name: functions from faces uint8 (N, S, S) to probabilities, float
    (N, 7), in the order of `mien.labels.LABELS`; they are never "uncertain". `attributes` are names of ATTRIBUTES, none
    takes all; those that are controls are always there. `workers` are processes that render and change no figure; more
    than one need a script whose work stands below `if __name__ == "__main__"`. A stopped comparison keeps the rendered
    people in `OUT.unfinished`, and the same call goes on. Raises DataError for people or attributes that there are not,
    ModelError or RunError for a model that cannot be used, StorageError where `out` holds anything else, MissingExtra
    without matplotlib.
    """
    out = Path(out)
    if not models and not others:
        raise ModelError("there is no model to compare people by")
    if not FEWEST <= people <= MOST:
        raise DataError(f"--people must be from {FEWEST} to {MOST:,} and is {people:,}")
    check_draws(draws, seed)
    classifiers = read_classifiers(models)
    asked = together(
        {name: (each.in_order(LABELS), each.threshold) for name, each in classifiers.items()},
        {name: (each, 0.0) for name, each in (others or {}).items()},
    )
    plan = Plan(seed, _side(classifiers), _chosen(attributes))
    with writing_report(out, PAGE, extra="compare") as report:
        kept = KeptPeople(out, plan)
        rendered = kept.people(people, partial(render_people, plan, workers))
        answers, detected = ask(asked, rendered, people, progress or Counting())
        result = measure(design_of(plan), answers, detected, draws=draws, seed=seed)
        examples = {name: example(plan, name, side=EXAMPLE_SIDE) for name in plan.attributes}
        command = f"mien fairness {' '.join(quoted(m) for m in models)} --people {people} --seed {seed}"
        command += "".join(f" --attribute {quoted(name)}" for name in attributes) + f" --out {quoted(out)}"
        fill(report, result, examples=examples, command=command)
    kept.remove()
    return result


def _side(classifiers: dict[str, Classifier]) -> int:
    """Return the side of the faces that all classify; ModelError where classes or sides differ."""
    side = next((classifier.side for classifier in classifiers.values()), USUAL_SIDE)
    for classifier in classifiers.values():
        classifier.refuse_other_faces(LABELS, side, "a rendered person")
    if not SIDES[0] <= side <= SIDES[1]:
        raise ModelError(f"faces of {side} pixels are not rendered, only of {SIDES[0]} to {SIDES[1]}")
    return side


def _chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Return the attributes of these names, or all, in the table's order, and the controls."""
    for name in names:
        if name not in ATTRIBUTES:
            raise DataError(f'no attribute "{name}"{known_words(name, ATTRIBUTES)}')
    return tuple(name for name, each in ATTRIBUTES.items() if not names or name in names or each.control)


def design_of(plan: Plan) -> Design:
    """Return what a plan shows of each person."""
    labels = [label for label, _ in SHOWN]
    return Design(
        levels={name: list(ATTRIBUTES[name].levels) for name in plan.attributes},
        classes=LABELS,
        labels=np.array([LABELS.index(label) for label in labels]),
        intensities=np.array([intensity for _, intensity in SHOWN]),
        graded=np.array([label != NEUTRAL for label in labels]),
        controls=frozenset(name for name in plan.attributes if ATTRIBUTES[name].control),
    )


def ask(
    asked: Mapping[str, tuple[Probabilities, float]],
    rendered: Iterator[PersonFaces],
    people: int,
    progress: Counting,
) -> tuple[dict[str, Answers], np.ndarray]:
    """Return each model's answers to the rendered people, and how often their faces were found.

    `asked` has what gives a model's probabilities, and below which it is "uncertain".
    """
    probs: dict[str, list[np.ndarray]] = {name: [] for name in asked}
    detected = []
    for person in progress.over("people", people, rendered):
        for name, (probabilities, _) in asked.items():
            probs[name].append(_probabilities(probabilities, person.faces))
        detected.append(person.detected)
    answers = {name: Answers(np.stack(probs[name]), threshold) for name, (_, threshold) in asked.items()}
    return answers, np.stack(detected)


def _probabilities(classify: Probabilities, faces: np.ndarray) -> np.ndarray:
    """Return probabilities (levels, SHOWN, C) of a person's faces uint8 (levels, SHOWN, S, S)."""
    levels, shown, side, _ = faces.shape
    return classify(faces.reshape(-1, side, side)).reshape(levels, shown, -1)
