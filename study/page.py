"""Write docs/study.md, its figures and two recipes' claims from results/study/: python -m study.page [--check].

Trains nothing and needs no faces. What the page concludes is worked out from the numbers here, so that more seeds
change it; --check changes nothing and fails where the page does not say what results/study/ says.
"""

import argparse
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import jinja2
import numpy as np

from mien.pages.figures import save, themed
from mien.text import joined, thousands
from study import connections, drawn, holds, wrong
from study.plan import PUBLISHED, RESULTS
from study.swapped import SMALL
from study.tables import Tables

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/study.md")
PICTURES = Path("docs/pictures")
RECIPES = Path("src/mien/recipes")
CLAIM = re.compile(r"^# claim: .*\n(?:# on .*\n)?", re.MULTILINE)


def content(tables: Tables) -> dict:
    """Return all that the template shows."""
    claims = tomllib.loads((ROOT / "study" / "claims.toml").read_text(encoding="utf-8"))
    counts = np.array(list(claims["faces"].values()))
    shares = counts / counts.sum()
    guess = float(-(shares * np.log(shares)).sum())
    return {
        "claims": claims,
        "face_count": int(counts.sum()),
        "guess": guess,
        "small": SMALL,
        "n": thousands,
        "percent": lambda share: f"{100 * share:.0f}",
        "joined": lambda values: joined([str(value) for value in values]),
        **wrong.swapped(tables),
        **wrong.never(tables),
        "refusal": wrong.refusal(tables),
        "dropout_table": wrong.dropout(tables),
        "search_sentence": wrong.search(tables, guess),
        **holds.published(tables),
        **holds.better(tables),
        **connections.compared(tables),
        **connections.fit(tables),
        **connections.variants(tables),
        "gradients_sentence": connections.gradients_sentence(tables),
        "reuse_sentence": connections.reuse_sentence(connections.reuse(tables)),
        **holds.sure(tables),
        "missing": holds.missing(tables),
        "machine": holds.machine(tables),
    }


def text(told: dict) -> str:
    """Return the page."""
    template = (ROOT / "study" / "study.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    return environment.from_string(template).render(**told)


def written(root: Path) -> None:
    """Write page and figures below `root`."""
    (root / PICTURES).mkdir(parents=True, exist_ok=True)
    tables = Tables(ROOT / RESULTS)
    told = content(tables)
    with themed():
        for name, (label, figure) in drawn.figures(tables, told["guess"]).items():
            save(figure, root / PICTURES, f"study-{name}", label)
            (root / PICTURES / f"study-{name}.png").unlink()
    (root / PAGE).write_text(text(told), encoding="utf-8")
    (root / RECIPES).mkdir(parents=True, exist_ok=True)
    for name in PUBLISHED:
        recipe = (ROOT / RECIPES / f"{name}.toml").read_text(encoding="utf-8")
        told = CLAIM.sub(lambda _, name=name: holds.claim(tables, name), recipe, count=1)
        (root / RECIPES / f"{name}.toml").write_text(told, encoding="utf-8")


def stale() -> list[Path]:
    """Return the files of the page that differ from what results/study/ gives."""
    with tempfile.TemporaryDirectory() as fresh:
        written(Path(fresh))
        made = [path.relative_to(fresh) for path in sorted(Path(fresh).rglob("study*")) if path.is_file()]
        return [
            p
            for p in made
            if not (ROOT / p).exists() or (ROOT / p).read_bytes() != (Path(fresh) / p).read_bytes()
        ]


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        sys.exit(
            "".join(f"{path} does not say what results/study/ says: make study-page\n" for path in stale())
            or 0
        )
    written(ROOT)


if __name__ == "__main__":
    main()
