import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mien.render import cached_folder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_first_forty_lines_show_what_it_is():
    """A picture, the install, an answer, a table, the study and the two commands stand in README's first 40 lines."""
    head = "\n".join(README.splitlines()[:40])

    assert "people-faces.png" in head and "pip install" in head and "mien predict" in head
    assert "from mien import Recognizer" in head
    assert "| mien, `pocket` |" in head and "| fer" in head
    assert "make run DATA=" in head and "make test" in head
    assert "(docs/study.md)" in head


def test_readme_is_short():
    """Whoever reads README sees all of it in a few minutes."""
    assert len(README.splitlines()) <= 120


def test_readme_and_recipes_say_what_results_say():
    """README's table and the recipes' claims are what scripts/results.py makes of results/*.csv."""
    done = subprocess.run(
        [sys.executable, "scripts/results.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stderr


def test_readmes_links_lead_somewhere():
    """Each file that README links to is there."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)

    assert [] == [link for link in links if not (ROOT / link).exists()]
    assert len(links) > 20


def test_readme_counts_copies_as_the_audit_does():
    """The copies that README tells of are those in results/audit-copies.csv."""
    with open(ROOT / "results" / "audit-copies.csv", encoding="utf-8", newline="") as file:
        rows = {(row["split"], row["stands_in"]): row for row in csv.DictReader(file)}
    counted = rows["test", "any earlier"]

    words = " ".join(README.split())
    assert f"test faces {counted['identical']} stand in `train` or `val`" in words
    assert f"and {counted['identical_or_near']} as some copy" in words


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
