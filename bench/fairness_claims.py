"""Whether `mien fairness` names planted unfairness, and what it claims where there is none.

python bench/fairness_claims.py planted RENDERED RUNS OUT [--people 32]
    RENDERED is a data set by `mien render`. Three networks are trained on its train faces, by one recipe and seed: on
    all but a random fifth of the people (control), without people of 50 years and more, and with wrong labels (the
    next class) for those with a full beard. OUT is the report by `mien fairness` of all three; the worst gap of each
    is printed, and OUT.csv has a row a claim and a gap of balanced accuracy.
python bench/fairness_claims.py control OUT.csv MODEL… [--people 16] [--seeds 20]
    So many measurements of other rendered people each, where background and noise alone differ: each claim is false.
python bench/fairness_claims.py exchanged OUT.csv MODEL… [--people 32] [--seeds 20]
    So many measurements of the same rendered people with all attributes, each person's answers at the levels of an
    attribute exchanged at random: again no difference is left, among as many comparisons as a report has.
Both write a row a seed; stopped, the same command goes on.

A claim is a difference that `holds`: p below .05 after Holm over all comparisons of a report, and an interval that
lacks 0.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mien.classifiers import Probabilities, read_classifiers
from mien.dataset import COLUMNS, read_dataset, writing_dataset
from mien.fairness import ATTRIBUTES, Fairness, ask, design_of, fairness
from mien.fairness.faces import Plan, render_people
from mien.fairness.kept import KeptPeople
from mien.fairness.measure import BALANCED, Answers, Gap, measure
from mien.fairness.tables import difference_text
from mien.labels import LABELS
from mien.progress import Counting, TerminalCounting
from mien.workers import available_cores

OLD = 50  # years
CONTROL_DROPPED = 0.2  # of the people, as many as the groups that others lack have about
RECIPE = ("quick-densenet", "network.growth_rate=16,20,28", "network.stem_channels=24", "training.epochs=15")
SIDE = 48  # pixels
FIRST_SEED = 1000  # of people that no report has
CONTROL = next(name for name, attribute in ATTRIBUTES.items() if attribute.control)
Row = dict[str, str]


def _control(row: Row) -> str | None:
    dropped = np.random.default_rng(int(row["person"])).random() < CONTROL_DROPPED
    return None if dropped else row["label"]


def _without_old(row: Row) -> str | None:
    return None if float(row["age"]) >= OLD else row["label"]


def _wrong_for_bearded(row: Row) -> str | None:
    wrong = LABELS[(LABELS.index(row["label"]) + 1) % len(LABELS)]
    return wrong if row["beard"] == "full" else row["label"]


PLANTED: dict[str, Callable[[Row], str | None]] = {
    "control": _control,
    "without-old": _without_old,
    "wrong-for-bearded": _wrong_for_bearded,
}
"""How each network is made: what a train face is labeled, None for one that is left out."""


def planted(source: Path, runs: Path, out: Path, people: int) -> None:
    """Train the networks and write their report."""
    folders = []
    for name, label in PLANTED.items():
        data, run = runs / f"{name}-data", runs / f"{name}-s0"
        if not data.exists():
            write_variant(source, data, label)
        command = [sys.executable, "-m", "mien", "train", RECIPE[0], str(data), *RECIPE[1:], f"name={name}"]
        subprocess.run([*command, "--threads", "1", "--out", str(runs)], check=True)
        folders.append(run)
    result = fairness(folders, out, people=people, progress=TerminalCounting())
    for model, worst in result.worst.items():
        print(f"{model}: {worst.level} against {worst.first} {difference_text(worst)}, p (Holm) {worst.p_holm:.2g}; "
              f"{len(claims(result, model))} claims")  # fmt: skip
    write_claims(out.with_name(f"{out.name}.csv"), result)


def write_variant(source: Path, target: Path, label: Callable[[Row], str | None]) -> None:
    """Write a data set with other labels, or without some faces, in train; val and test stay."""
    whole = read_dataset(source).whole()
    extra = tuple(name for name in whole.table if name not in COLUMNS)
    names = list(whole.table)
    with writing_dataset(target, side=whole.images.shape[1], labels=LABELS, extra=extra) as writer:
        for image, *values in zip(whole.images, *whole.table.values(), strict=True):
            row = dict(zip(names, map(str, values), strict=True))
            given = label(row) if row["split"] == "train" else row["label"]
            if given is not None:
                writer.add(image.tobytes(), label=given, split=row["split"], source=row["source"],
                           extra=tuple(row[name] for name in extra), identity=row["id"])  # fmt: skip
        writer.finish({"kind": "planted", "from": str(source.name), "as": target.name})


def write_claims(path: Path, result: Fairness) -> None:
    """Write what a report claims, and all gaps of balanced accuracy."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ("model", "level", "compared_with", "outcome", "points", "low", "high", "p_holm", "claimed")
        )
        for gap in result.gaps:
            if gap.holds or gap.outcome == BALANCED:
                ends = (f"{100 * value:.2f}" for value in gap.difference.to_dict().values())
                place = gap.model, gap.level, gap.first, gap.outcome
                table.writerow((*place, *ends, f"{gap.p_holm:.3f}", int(gap.holds)))


def claims(result: Fairness, model: str) -> list[Gap]:
    """Return the differences of a model that hold, without those of the control."""
    return [gap for gap in result.holding(model) if gap.attribute not in result.design.controls]


def control(models: list[str], people: int) -> Callable[[int], Fairness]:
    """Return what measures other people by the control alone."""
    classifiers = asked(models)

    def measured(seed: int) -> Fairness:
        plan = Plan(FIRST_SEED + seed, SIDE, (CONTROL,))
        answers, detected = ask(classifiers, render_people(plan, 1, range(people)), people, Counting())
        return measure(design_of(plan), answers, detected, seed=seed)

    return measured


def exchanged(models: list[str], people: int, out: Path) -> Callable[[int], Fairness]:
    """Return what measures the same people with the levels of each attribute exchanged within each person.

    The people stay in OUT.unfinished, as those of a stopped `mien fairness` do.
    """
    plan = Plan(0, SIDE, tuple(ATTRIBUTES))
    rendered = KeptPeople(out, plan).people(people, partial(render_people, plan, available_cores()))
    answers, detected = ask(asked(models), rendered, people, TerminalCounting())
    design = design_of(plan)
    ends = np.cumsum([len(levels) for levels in design.levels.values()])[:-1]
    rows = np.split(np.arange(len(design.rows)), ends)

    def measured(seed: int) -> Fairness:
        rng = np.random.default_rng(seed)
        order = np.array([np.concatenate([rng.permutation(own) for own in rows]) for _ in range(people)])
        each = np.arange(people)[:, None], order
        mixed = {name: Answers(one.probs[each], one.threshold) for name, one in answers.items()}
        return measure(design, mixed, detected[each], seed=seed)

    return measured


def asked(models: list[str]) -> dict[str, tuple[Probabilities, float]]:
    """Return what gives each model's probabilities, and below which it is "uncertain"."""
    return {name: (each.in_order(LABELS), each.threshold) for name, each in read_classifiers(models).items()}


def write_rows(out: Path, measured: Callable[[int], Fairness], seeds: int) -> None:
    """Append a row a seed: how many comparisons are claimed, and the worst gap of each model."""
    done = len(out.read_text(encoding="utf-8").splitlines()) - 1 if out.exists() else -1
    with open(out, "a", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if done < 0:
            table.writerow(("seed", "people", "comparisons", "claims", "smallest_p_holm", "worst_gaps"))
        for seed in range(max(done, 0), seeds):
            result = measured(seed)
            held = sum(gap.holds for gap in result.gaps)
            worst = " ".join(f"{100 * gap.difference.point:+.2f}" for gap in result.worst.values())
            least = min(gap.p_holm for gap in result.gaps)
            table.writerow((seed, result.people, len(result.gaps), held, f"{least:.4f}", worst))
            file.flush()


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("planted")
    for name in ("rendered", "runs", "out"):
        one.add_argument(name, type=Path)
    one.add_argument("--people", type=int, default=32)
    for name, count in (("control", 16), ("exchanged", 32)):
        other = commands.add_parser(name)
        other.add_argument("out", type=Path)
        other.add_argument("models", nargs="+")
        other.add_argument("--people", type=int, default=count)
        other.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    if options.command == "planted":
        planted(options.rendered, options.runs, options.out, options.people)
    elif options.command == "control":
        write_rows(options.out, control(options.models, options.people), options.seeds)
    else:
        write_rows(options.out, exchanged(options.models, options.people, options.out), options.seeds)


if __name__ == "__main__":
    main()
