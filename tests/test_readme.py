import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from party_photo import write_party
from small_table import predictions, table
from test_pack import archive_of

from mien.recipe import shipped_recipes
from mien.render import cached_folder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.S))
COMMANDS = [line for line in SHELL.splitlines() if line.startswith("mien ")]


def test_the_first_forty_lines_tell_what_it_is():
    """One sentence, the result table and the two commands stand in README's first 40 lines."""
    head = "\n".join(README.splitlines()[:40])

    assert "trains, judges and ships recognizers of facial expression" in head
    assert "| `quick-densenet` |" in head
    assert "| `quick-cnn` |" in head
    assert "make run DATA=" in head
    assert "make test" in head


def test_readme_and_recipes_say_what_results_say():
    """README's table and the recipes' claims are what scripts/results.py makes of results/*.csv."""
    done = subprocess.run(
        [sys.executable, "scripts/results.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stderr


def test_readme_leads_to_every_page():
    """Each page of docs/ is linked from README."""
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name}" in README, page.name


def test_readme_counts_copies_as_the_audit_does():
    """The copies that README tells of are those in results/audit-copies.csv."""
    with open(ROOT / "results" / "audit-copies.csv", encoding="utf-8", newline="") as file:
        rows = {(row["split"], row["stands_in"]): row for row in csv.DictReader(file)}
    counted = rows["test", "any earlier"]

    assert f"test faces {counted['identical']} stand in `train` or `val`" in README
    assert f"and {counted['identical_or_near']} as some copy" in README


def test_readmes_commands_work_in_their_order(tmp_path):
    """Every `mien` line of README does what it says, from the archive to the report, on a small table."""
    archive_of(tmp_path / "fer2013.tar.gz", table(84))
    for number, name in enumerate(("mine", "theirs", "s0", "s1", "s2")):
        (tmp_path / f"{name}.csv").write_text(predictions(seed=number))
    write_party(tmp_path / "party.jpg")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in COMMANDS:
        plain = command.partition("#")[0]
        short = " training.epochs=1 training.batch_size=14" if plain.startswith("mien train") else ""
        done = subprocess.run(
            plain + short,
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, f"{command}\n{done.stderr}"

    assert len(COMMANDS) >= 7
    assert (tmp_path / "reports" / "mine" / "report.html").exists()


def test_readme_names_every_shipped_recipe():
    """Each recipe in the wheel can be found from README."""
    assert [] == [name for name in shipped_recipes() if f"`{name}`" not in README]


def test_make_run_goes_the_whole_way(tmp_path):
    """`make run` packs, trains, evaluates and compares; without DATA it renders the faces."""
    planned = subprocess.run(
        ["make", "-n", "run", "DATA=faces/fer2013.tar.gz", "SEEDS=2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    words = [line.split()[1] for line in planned.stdout.splitlines() if line.startswith(".venv/bin/mien")]
    rendered = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ["pack", "train", "train", "evaluate", "compare"] == words
    assert '"runs/fer2013/quick-cnn-s1"' in planned.stdout
    assert ".venv/bin/mien render\n" in rendered.stdout
    assert f'train quick-cnn "{cached_folder()}" --seeds 1 --out "runs/rendered"' in rendered.stdout


@pytest.mark.parametrize("path", ["docs/architecture.md", "CHANGELOG.md", "LOG.md", "LICENSE", "NOTICE"])
def test_what_readme_promises_is_there(path):
    """The pages beside README exist and say something."""
    assert (ROOT / path).stat().st_size > 100
