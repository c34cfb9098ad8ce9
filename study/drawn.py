"""Which figures docs/study.md has, and what each shows of the tables."""

from mien.pages.charts import Range
from mien.pages.theme import series
from mien.text import thousands
from study import charts, connections, wrong
from study.plan import PUBLISHED
from study.swapped import SMALL
from study.tables import TITLES, Tables, difference_of


def figures(tables: Tables, guess: float) -> dict:
    """Return (what it shows, figure) by name, of those whose numbers are there."""
    made = {
        "swapped": ("accuracy on faces that were trained on and on others", _swapped(tables)),
        "search": ("test loss of each trial", _search(tables, guess)),
        "published": ("accuracy of the study's networks", _published(tables)),
        "connections": ("differences between ways to connect layers", _connections(tables)),
        "gradients-start": ("gradients by layer before training", _gradients(tables, "start")),
        "gradients-middle": ("gradients by layer halfway through training", _gradients(tables, "middle")),
        "reuse": ("feature reuse in three blocks", _reuse(tables)),
        "depth": ("accuracy by depth", _depth(tables)),
    }
    return {name: told for name, told in made.items() if told[1] is not None}


def _swapped(tables: Tables):
    rows = []
    for number, name in enumerate(wrong.SWAPPED):
        for split, words in (("test", "on its train faces"), ("val", "on unseen faces")):
            span = wrong.swapped_span(tables, name, split)
            if span:
                rows.append(Range(f"{TITLES[name]} {words}", *series(number), (span,)))
    rest = f"accuracy, trained on {thousands(SMALL)} faces"
    return charts.shares("Swapped splits", rest, rows) if rows else None


def _search(tables: Tables, guess: float):
    return charts.search("The study's search", "loss on its test set, by trial", wrong.losses(tables), guess)


def _published(tables: Tables):
    rows = []
    for number, name in enumerate(reversed(PUBLISHED)):
        span = tables.score("published", name)
        if span:
            seeds = tables("published/seeds", network=name, part=tables.part("published"))
            dots = [float(row["accuracy"]) for row in seeds] if len(seeds) > 1 else ()
            rows.append(Range(TITLES[name], *series(number), (span,), dots))
    rest = f"accuracy on {tables.word('published')} test faces; strokes: seeds"
    return charts.shares("As published, honestly", rest, rows) if rows else None


def _connections(tables: Tables):
    rows = []
    for a, b in connections.PAIRS:
        found = difference_of(tables, "connections", a, b)
        if found:
            rows.append(Range(f"{a} − {b}", *series(0), (found.span,)))
    rest = f"points on {tables.word('connections')} PrivateTest, equal cost"
    return charts.differences("What connections buy", rest, rows) if rows else None


def _gradients(tables: Tables, when: str):
    lines = connections.gradients(tables, when)
    if not lines:
        return None
    words = {"start": "before training", "middle": "halfway through training"}[when]
    rest = "norm over the kernel's norm, 3 × 3 kernels, log scale"
    third = len(lines[0].values) // connections.BLOCKS
    ticks = (1, *(third * block for block in range(1, connections.BLOCKS + 1)))
    return charts.curves(f"Gradients {words}", rest, lines, "layer", log=True, ticks=ticks)


def _reuse(tables: Tables):
    blocks = connections.reuse(tables)
    return (
        charts.reuse("Feature reuse", "mean weight: white none, dark the column's largest", blocks)
        if blocks
        else None
    )


def _depth(tables: Tables):
    lines = connections.depths(tables)
    layers = [int(x) for x, _ in lines[0].values] if lines else ()
    rest = f"accuracy on {tables.word(*connections.DEPTH_GROUPS)} PrivateTest"
    return charts.curves("Depth at equal cost", rest, lines, "layers", ticks=layers) if lines else None
