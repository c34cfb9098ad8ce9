"""Keep a report's numbers and put them into README and the recipes: python scripts/results.py [REPORT] [--check].

Reads REPORT/numbers/*.csv (made by `make run` or `make weights`), writes results/SET-*.csv, the tables between marks
in README and docs/ and the `# claim:` line of each recipe that was run. Without REPORT, from results/ as it
stands; --check changes nothing and fails where a page or a recipe differs.
"""

import argparse
import csv
import hashlib
import itertools
import re
import shutil
import sys
from pathlib import Path

from mien.judge.parts import CLEAN
from mien.text import p_statement

ROOT = Path(__file__).resolve().parent.parent
# in the order of docs/results.md; each was trained on one machine and compared in one report
FER2013 = ("pocket", "pocket-densenet", "quick")  # judged by FER2013's own labels
MAJORITY = ("pocket-photos", "pocket-photos-mild")  # judged by what most of FER+'s annotators say
SETS = FER2013 + MAJORITY
SHIPPED = ("pocket", "pocket-photos", "sharp")  # models
KEPT = ("networks", "scores", "seeds", "differences", "mcnemar", "classes")
MARKS = "<!-- {}: python scripts/results.py -->", "<!-- end of {} -->"  # of a table that stands in a page


def read(kept: str, name: str) -> list[dict[str, str]]:
    """Return the rows of a set's kept table."""
    return rows_of(f"{kept}-{name}")


def rows_of(name: str) -> list[dict[str, str]]:
    """Return the rows of results/NAME.csv."""
    with open(ROOT / "results" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def networks(sets: tuple[str, ...] = SETS) -> list[tuple[str, dict[str, str]]]:
    """Return set and row of each network that was measured."""
    there = (kept for kept in sets if (ROOT / "results" / f"{kept}-networks.csv").exists())
    return [(kept, row) for kept in there for row in read(kept, "networks")]


def keep(kept: str, report: Path, runs: Path) -> None:
    """Copy a report's numbers and note the machine that the runs were trained on."""
    (ROOT / "results").mkdir(exist_ok=True)
    for name in KEPT:
        shutil.copyfile(report / "numbers" / f"{name}.csv", ROOT / "results" / f"{kept}-{name}.csv")
    import torch

    from mien.networks.engine import tta_views
    from mien.run import read_run

    run = read_run(next(runs.glob("*-s0") if kept == "quick" else runs.glob(f"{kept}-s0")))
    told, tta = run.environment(), run.recipe.tta
    row = {
        "date": told["sessions"][0]["started"][:10],
        "device": told["machine"]["device"],
        "cpu": told["machine"]["cpu"],
        "threads": run.engine["threads"],
        "precision": run.engine["precision"],
        "torch": told["packages"]["torch"],
        "data": run.data.fingerprint,
        "views": len(tta_views(torch.zeros(1, 1, 1), tta.flip, tta.shift)),
    }
    with open(ROOT / "results" / f"{kept}-machine.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(row), lineterminator="\n")
        table.writeheader()
        table.writerow(row)


def cell(score: dict[str, str]) -> str:
    """Return a score as README shows it, shares in percent."""
    point, low, high = (float(score[key]) for key in ("point", "low", "high"))
    if score["score"] in ("log_loss", "ece"):
        return f"{point:.3f} [{low:.3f}, {high:.3f}]"
    return f"{100 * point:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def scores_of(kept: str, network: str, part: str) -> dict[str, dict[str, str]]:
    """Return a network's scores on a part by name."""
    return {s["score"]: s for s in read(kept, "scores") if s["network"] == network and s["part"] == part}


def results_table() -> str:
    """Return the table of docs/results.md, with the paired comparison below it."""
    parts = [(part, "accuracy") for part in ("all", "clean", "strict")]
    lines = networks_table(FER2013, "PrivateTest %", (*parts, *BESIDE))
    lines.append("\n95 % intervals over faces and seeds; whatever was chosen was chosen on PublicTest.")
    kept_sets = dict.fromkeys(kept for kept, _ in networks(FER2013))
    sentences = [*filter(None, map(pairs_of, kept_sets)), *map(trained_on, kept_sets)]
    return "\n".join([*lines, *sentences])


BESIDE = (("all", "macro_f1"), ("all", "ece"))
TITLES = {
    ("clean", "accuracy"): "clean %",
    ("strict", "accuracy"): "strictly clean %",
    ("clean", "balanced_accuracy"): "clean, balanced %",
    ("all", "macro_f1"): "macro F1 %",
    ("all", "ece"): "ECE",
}


def networks_table(sets: tuple[str, ...], first: str, scores: tuple[tuple[str, str], ...]) -> list[str]:
    """Return a table's lines: a row a network, a column a score of a part, the first of them named `first`."""
    head = ("network", *(TITLES.get(one, first) for one in scores), "seeds", "s a seed", "parameters")
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for kept, net in networks(sets):
        figures = (scores_of(kept, net["network"], part).get(score) for part, score in scores)
        seconds, parameters = float(net["mean_train_seconds"]), int(net["parameters"])
        cells = (
            f"`{net['network']}`",
            *(cell(figure) if figure else "–" for figure in figures),
            net["seeds"],
            f"{seconds:,.0f}",
            f"{parameters:,}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def majority_table() -> str:
    """Return the table of what agrees with FER+'s annotators, as docs/predicting.md has it."""
    parts = [(part, "accuracy") for part in ("all", "clean", "strict")]
    scores = (*parts, ("clean", "balanced_accuracy"), ("all", "ece"))
    lines = networks_table(MAJORITY, "annotators' majority %", scores)
    return "\n".join([*lines, "", *map(trained_on, MAJORITY)])


def rare_classes() -> str:
    """Return how the models that ship read the two rarest classes of the annotators' majority."""
    rows = [row for row in rows_of("majority-models") if row["class"] in ("disgust", "fear")]
    lines = ["| class | test faces | model | recall % | precision % |", "| --- " * 5 + "|"]
    for name, part in itertools.product(("disgust", "fear"), ("clean", "strict")):
        for model in SHIPPED:
            at = [r for r in rows if (r["class"], r["part"], r["network"]) == (name, part, model)]
            recall, precision = (
                next(r for r in at if r["score"] == which) for which in ("recall", "precision")
            )
            faces = f"{recall['faces']} {CLEAN[part]}"
            lines.append(f"| {name} | {faces} | `{model}` | {cell(recall)} | {cell(precision)} |")
    return "\n".join(lines)


def rendered_people() -> str:
    """Return how the models that ship read rendered people."""
    rows = rows_of("rendered-people")
    head = ("model", "prior", "all %", "not mixed with a second class %", "anger found, not mixed %")
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    wanted = (("all", "accuracy"), ("not mixed", "accuracy"), ("not mixed", "recall of angry"))
    for model, prior in dict.fromkeys((row["model"], row["prior"]) for row in rows):
        at = {(r["part"], r["score"]): r for r in rows if (r["model"], r["prior"]) == (model, prior)}
        lines.append(f"| `{model}` | {prior} | " + " | ".join(cell(at[one]) for one in wanted) + " |")
    return "\n".join(lines)


def packages() -> str:
    """Return README's table of what ships beside other packages."""
    rows, facts = rows_of("packages"), {row["network"]: row for row in rows_of("package-facts")}
    at = {row["network"]: row for row in rows if (row["part"], row["score"]) == ("strict", "accuracy")}
    head = (
        "what you install",
        "FER2013 test, strictly clean %",
        "MB",
        "time a face",
        "works offline",
        "weights' licence",
    )
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for name, row in facts.items():
        cells = (name, cell(at[name]), row["megabytes"], row["times_as_long"], row["offline"], row["licence"])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


PARTS = {"clean": "clean", "strict": "strictly clean"}


def packages_differences() -> str:
    """Return by how much what ships differs from other packages, in sentences."""
    return "\n".join(
        f"{row['network']} on the {int(row['faces']):,} {PARTS[row['part']]} faces: {cell(row)} points."
        for row in rows_of("packages")
        if " minus " in row["network"]
    )


def browser() -> str:
    """Return the table of packages for browsers, as docs/web.md has it."""
    rows = rows_of("browser")
    head = ("in Chromium", "FER2013's labels, clean %", "annotators' majority, clean %", "times as long")
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for name in dict.fromkeys(row["recognizer"] for row in rows):
        own = [row for row in rows if row["recognizer"] == name]
        clean = {row["labels"]: cell(row) for row in own if row["part"] == "clean"}
        (ratio,) = (float(row["point"]) for row in own if row["score"] == "times_as_long")
        lines.append(f"| {name} | {clean['fer2013']} | {clean['majority']} | {ratio:.1f} |")
    return "\n".join(lines)


def pairs_of(kept: str) -> str:
    """Return the paired comparisons of a set's networks on its strictest part in sentences, "" of one network."""
    rows = [row for row in read(kept, "differences") if row["score"] == "accuracy"]
    part = "strict" if any(row["part"] == "strict" for row in rows) else "clean"
    pairs = sum(m["part"] == part for m in read(kept, "mcnemar"))
    return " ".join(
        f"On the {int(pair['faces']):,} {CLEAN[part]} faces `{pair['a']}` minus `{pair['b']}` is {cell(pair)} points; "
        f"McNemar's exact test over {pairs} seed pairs gives {p_statement(float(pair['accuracy_p_holm']))}."
        for pair in rows
        if pair["part"] == part
    )


def trained_on(kept: str) -> str:
    """Return where a set was trained."""
    names = " and ".join(f"`{net['network']}`" for of, net in networks() if of == kept)
    views = read(kept, "machine")[0].get("views", "")
    return f"{names}: trained on {where(kept)}{f'; a face is read in {views} views' if views else ''}."


def where(kept: str) -> str:
    """Return machine, engine and date of a set's training."""
    told = read(kept, "machine")[0]
    if told.get("device", "cpu") != "cpu":
        return f"{told['device']}, {told['precision']}, torch {told['torch']}, {told['date']}"
    cores = f"{told['threads']} core{'' if told['threads'] == '1' else 's'}"
    return f"{cores} of {told['cpu']}, {told['precision']}, torch {told['torch']}, {told['date']}"


def claim(kept: str, net: dict[str, str]) -> str:
    """Return the line that a recipe's header carries."""
    whole, clean = (scores_of(kept, net["network"], part)["accuracy"] for part in ("all", "clean"))
    what = "annotators' majority, seven classes, test" if kept in MAJORITY else "PrivateTest"
    return (
        f"# claim: {what} {cell(whole)} %, clean {cell(clean)} %, {seeds_of(net)}, "
        f"{float(net['mean_train_seconds']):.0f} s a seed\n"
        f"# on {where(kept)}\n"
    )


def seeds_of(net: dict[str, str]) -> str:
    """Return how many seeds a figure is the mean of."""
    return "one seed" if net["seeds"] == "1" else f"mean of {net['seeds']} seeds"


def own_faces() -> str:
    """Return the table of what `finetune` gains, as docs/training.md has it."""
    rows = rows_of("own-faces")
    head = ("faces", "network", "test faces", "seeds", "accuracy %", "macro F1 %", "ECE")
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for faces, network in dict.fromkeys((row["faces"], row["network"]) for row in rows):
        scores = {r["score"]: r for r in rows if (r["faces"], r["network"]) == (faces, network)}
        first, unit = scores["accuracy"], " points" if " minus " in network else ""
        cells = (faces, network, f"{int(first['test_faces']):,}", first["seeds"], cell(first) + unit)
        others = (cell(scores[name]) if name in scores else "" for name in ("macro_f1", "ece"))
        lines.append("| " + " | ".join((*cells, *others)) + " |")
    return "\n".join(lines)


def means(name: str) -> str:
    """Return the table of what each technique is worth, from results/NAME.csv of `scripts/ablation.py`."""
    rows = rows_of(name)
    lines = ["| technique | val clean % | difference, points | log loss | difference |", "| --- " * 5 + "|"]
    for technique in dict.fromkeys(row["means"] for row in rows):
        right, loss = (
            next(row for row in rows if (row["means"], row["score"]) == (technique, score))
            for score in ("accuracy", "log_loss")
        )
        cells = (technique.replace("-", " "), f"{100 * float(right['point']):.1f}", changed(right, 100, 1))
        lines.append(f"| {' | '.join(cells)} | {float(loss['point']):.3f} | {changed(loss, 1, 3)} |")
    return "\n".join(lines)


def changed(row: dict[str, str], unit: int, places: int) -> str:
    """Return a difference with its interval, "" where a row has none."""
    if not row["difference"]:
        return ""
    difference, low, high = (unit * float(row[key]) for key in ("difference", "low", "high"))
    return f"{difference:+z.{places}f} [{low:z.{places}f}, {high:z.{places}f}]"


def filled(path: Path, **tables: str) -> str:
    """Return a page's text with each table between its two marks."""
    text = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        first, last = (mark.format(name) for mark in MARKS)
        before, rest = text.split(first)
        text = f"{before}{first}\n{table}\n{last}{rest.split(last)[1]}"
    return text


def shipped(name: str) -> str:
    """Return what a model that ships was made of, as results/NAME-model.csv holds it."""
    from mien.model import read_model

    model = read_model(name)
    told = {"file": model.sha256, "graph": model.graph_sha256, "data fingerprint": model.data["fingerprint"]}
    for run in model.runs:
        name = f"{run['name']} seed {run['seed']}"
        told[f"recipe of {name}"] = hashlib.sha256(run["recipe"].encode()).hexdigest()
        told[f"weights of {name}"] = run["weights_sha256"]
    return "of,sha256\n" + "".join(f"{what},{value}\n" for what, value in told.items())


def wanted_texts() -> dict[Path, str]:
    """Return each file that carries results, as it should be."""
    readme, results, training = (
        ROOT / "README.md",
        ROOT / "docs" / "results.md",
        ROOT / "docs" / "training.md",
    )
    tables = {"means": means("means"), "more-means": means("means-more"), "own-faces": own_faces()}
    predicting, web = ROOT / "docs" / "predicting.md", ROOT / "docs" / "web.md"
    texts = {
        readme: filled(readme, packages=packages()),
        results: filled(results, results=results_table(), packages=packages_differences()),
        training: filled(training, **tables),
        predicting: filled(
            predicting, majority=majority_table(), rare=rare_classes(), rendered=rendered_people()
        ),
        web: filled(web, browser=browser()),
    }
    for kept, net in networks():
        path = ROOT / "src" / "mien" / "recipes" / f"{net['network']}.toml"
        text = path.read_text(encoding="utf-8")
        head, tail = re.split(r"^# claim: .*\n(?:# on .*\n)?", text, maxsplit=1, flags=re.M)
        texts[path] = head + claim(kept, net) + tail
    return texts | {ROOT / "results" / f"{name}-model.csv": shipped(name) for name in SHIPPED}


def main() -> None:
    """Keep, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, nargs="?", help="a report's folder, as reports/fer2013")
    parser.add_argument("--runs", type=Path, help="its runs' folder; by default runs/NAME")
    parser.add_argument("--set", dest="kept", choices=SETS, default="quick")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.report:
        keep(options.kept, options.report, options.runs or Path("runs") / options.report.name)
    stale = [
        path for path, text in wanted_texts().items() if not path.exists() or path.read_text("utf-8") != text
    ]
    if options.check:
        sys.exit(
            "".join(f"{p.relative_to(ROOT)} does not say what results/ says: make results\n" for p in stale)
            or 0
        )
    for path, text in wanted_texts().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
