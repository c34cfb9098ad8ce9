"""Keep a report's numbers and put them into README and the recipes: python scripts/results.py REPORT [--check].

Reads REPORT/numbers/*.csv (made by `make run DATA=fer2013.tar.gz SEEDS=3`), writes results/quick-*.csv,
the table between README's two marks and the `# claim:` line of each recipe that was run.
Without REPORT, from results/ as it stands; --check changes nothing and fails where README or a recipe differ.
"""

import argparse
import csv
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("networks", "scores", "seeds", "differences", "mcnemar", "classes")
MARKS = ("<!-- results: python scripts/results.py -->", "<!-- end of results -->")


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a kept table."""
    with open(ROOT / "results" / f"quick-{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def machine() -> dict[str, str]:
    """Return where and when the runs were made, from results/quick-machine.csv."""
    return read("machine")[0]


def keep(report: Path, runs: Path) -> None:
    """Copy a report's numbers and note the machine that the runs were trained on."""
    (ROOT / "results").mkdir(exist_ok=True)
    for name in KEPT:
        shutil.copyfile(report / "numbers" / f"{name}.csv", ROOT / "results" / f"quick-{name}.csv")
    from mien.run import read_run

    run = read_run(next(runs.glob("*-s0")))
    told = run.environment()
    row = {
        "date": told["sessions"][0]["started"][:10],
        "cpu": told["machine"]["cpu"],
        "threads": run.engine["threads"],
        "precision": run.engine["precision"],
        "torch": told["packages"]["torch"],
        "data": run.data.fingerprint,
    }
    with open(ROOT / "results" / "quick-machine.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(row), lineterminator="\n")
        table.writeheader()
        table.writerow(row)


def cell(score: dict[str, str]) -> str:
    """Return a score as README shows it, shares in percent."""
    point, low, high = (float(score[key]) for key in ("point", "low", "high"))
    if score["score"] in ("log_loss", "ece"):
        return f"{point:.3f} [{low:.3f}, {high:.3f}]"
    return f"{100 * point:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def scores_of(network: str, part: str) -> dict[str, dict[str, str]]:
    """Return a network's scores on a part by name."""
    return {s["score"]: s for s in read("scores") if s["network"] == network and s["part"] == part}


def readme_table() -> str:
    """Return the table that stands in README, with the paired comparison below it."""
    head = (
        "network",
        "PrivateTest %",
        "clean %",
        "PrivateTest macro F1 %",
        "PrivateTest ECE",
        "seeds",
        "s a seed",
        "parameters",
    )
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for net in read("networks"):
        whole, clean = scores_of(net["network"], "all"), scores_of(net["network"], "clean")
        seconds, parameters = float(net["mean_train_seconds"]), int(net["parameters"])
        figures = (whole["accuracy"], clean["accuracy"], whole["macro_f1"], whole["ece"])
        cells = (
            f"`{net['network']}`",
            *map(cell, figures),
            net["seeds"],
            f"{seconds:.0f}",
            f"{parameters:,}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    where = machine()
    for pair in read("differences"):
        if pair["score"] == "accuracy" and pair["part"] == "clean":
            pairs = sum(m["part"] == "clean" for m in read("mcnemar"))
            lines.append(
                f"\nOn the {int(pair['faces']):,} clean faces `{pair['a']}` minus `{pair['b']}` is "
                f"{cell(pair)} points; McNemar's exact test over {pairs} seed pairs gives "
                f"p = {float(pair['accuracy_p_holm']):.3f}."
            )
    lines.append(
        f"95 % intervals over faces and seeds. Trained on {where['cpu']}, {where['threads']} cores, "
        f"{where['precision']}, torch {where['torch']}, {where['date']}; chosen on PublicTest alone."
    )
    return "\n".join(lines)


def claim(network: str) -> str:
    """Return the line that a recipe's header carries."""
    whole, clean = scores_of(network, "all")["accuracy"], scores_of(network, "clean")["accuracy"]
    net = next(n for n in read("networks") if n["network"] == network)
    where = machine()
    engine = f"{where['cpu']}, {where['precision']}, torch {where['torch']}"
    return (
        f"# claim: PrivateTest {cell(whole)} %, clean {cell(clean)} %, mean of {net['seeds']} seeds, "
        f"{float(net['mean_train_seconds']):.0f} s a seed\n"
        f"# on {where['threads']} cores of {engine}, {where['date']}\n"
    )


def wanted_texts() -> dict[Path, str]:
    """Return each file that carries results, as it should be."""
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(MARKS[0])
    texts = {readme: f"{before}{MARKS[0]}\n{readme_table()}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"}
    for net in read("networks"):
        path = ROOT / "src" / "mien" / "recipes" / f"{net['network']}.toml"
        text = path.read_text(encoding="utf-8")
        head, tail = re.split(r"^# claim: .*\n(?:# on .*\n)?", text, maxsplit=1, flags=re.M)
        texts[path] = head + claim(net["network"]) + tail
    return texts


def main() -> None:
    """Keep, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, nargs="?", help="a report's folder, as reports/fer2013")
    parser.add_argument("--runs", type=Path, help="its runs' folder; by default runs/NAME")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.report:
        keep(options.report, options.runs or Path("runs") / options.report.name)
    stale = [path for path, text in wanted_texts().items() if path.read_text(encoding="utf-8") != text]
    if options.check:
        sys.exit(
            "".join(f"{p.relative_to(ROOT)} does not say what results/ says: make results\n" for p in stale)
            or 0
        )
    for path, text in wanted_texts().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
