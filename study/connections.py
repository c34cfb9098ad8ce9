"""What dense connections buy, from the tables: accuracy, fit, gradients, reuse, depth."""

from collections.abc import Sequence

import numpy as np

from mien.pages.charts import Series
from mien.pages.text import joined, points
from mien.pages.theme import series
from study.plan import PLAN
from study.tables import WAYS, Tables, difference_of, in_words, seeds_of, shown, table, told_pair

DEPTHS = {3: "-shallow", 6: "", 12: "-deep"}
BLOCKS = 3


PAIRS = (("dense", "plain"), ("residual", "plain"), ("dense", "residual"))


def compared(tables: Tables) -> dict:
    """Return the comparison of the three ways to connect the same layers."""
    rows = []
    for name in WAYS:
        spans = (
            tables.score("connections", name, part="all"),
            tables.score("connections", name),
            tables.score("connections", name, score="macro_f1"),
        )
        rows.append(
            (
                name,
                *map(shown, spans),
                seeds_of(tables, "connections", name) or "",
                *_cost(tables, "connections", name),
            )
        )
    header = (
        "connected",
        "PrivateTest %",
        "clean %",
        "clean macro F1 %",
        "seeds",
        "parameters",
        "multiply-adds",
    )
    sentences = [told_pair(tables, "connections", a, b) for a, b in PAIRS]
    return {
        "connections_table": table(header, rows),
        "connections_sentence": "\n".join(f"- {sentence}" for sentence in sentences),
        "connections_short": _answer(tables),
    }


def _cost(tables: Tables, group: str, name: str) -> tuple[str, str]:
    rows = tables(f"{group}/networks", network=name)
    if not rows:
        return "", ""
    return f"{int(rows[0]['parameters']):,}", f"{int(rows[0]['multiply_adds']) / 1e6:.2f} M"


def _answer(tables: Tables) -> str:
    others = {"plain": "layers that are not connected", "residual": "layers connected by addition"}
    found = {name: difference_of(tables, "connections", "dense", name) for name in others}
    if not all(found.values()):
        return "Not measured yet."
    words = {1: "more than", -1: "less than", 0: "not measurably more or less than"}
    told = []
    for name, other in others.items():
        point, low, high = map(points, found[name].span)
        told.append(f"{words[found[name].outcome]} {other} ({point} points [{low}, {high}])")
    seeds = in_words(seeds_of(tables, "connections", "dense"))
    return (
        f"The same layers, connected densely, read {joined(told)}, at equal parameters and equal multiply-adds, "
        f"{seeds} each."
    )


def fit(tables: Tables) -> dict:
    """Return how far train and validation lie apart."""
    rows, gaps = [], {}
    for name in WAYS:
        told = {
            split: [float(r["accuracy"]) for r in tables("fit", network=name, split=split)]
            for split in ("train", "val")
        }
        if told["train"]:
            each = np.array(told["train"]) - np.array(told["val"])
            gaps[name] = each
            means = (100 * np.mean(told["train"]), 100 * np.mean(told["val"]), 100 * each.mean())
            rows.append((name, *(f"{m:.1f}" for m in means), ", ".join(f"{100 * g:.1f}" for g in each)))
    sentence = "Not measured yet."
    if len(gaps) == len(WAYS):
        by_gap = sorted(gaps, key=lambda name: -gaps[name].mean())
        sentence = (
            f"Both splits are read as they are, one view a face. The gap is largest for {by_gap[0]} layers "
            f"({100 * gaps[by_gap[0]].mean():.1f} points) and smallest for {by_gap[-1]} ones "
            f"({100 * gaps[by_gap[-1]].mean():.1f}): in so short a training what fits the train faces better "
            f"{_also(rows)} the others better."
        )
    header = ("connected", "train %", "val %", "gap, points", "by seed")
    return {"fit_table": table(header, rows), "fit_sentence": sentence}


def _also(rows: Sequence[tuple]) -> str:
    train, val = ([float(row[i]) for row in rows] for i in (1, 2))
    return "reads" if np.argmax(train) == np.argmax(val) else "does not read"


def gradients(tables: Tables, when: str) -> list[Series]:
    """Return each network's relative gradient by layer, the mean over seeds."""
    lines = []
    for number, name in enumerate(WAYS):
        rows = [
            row for row in tables("gradients", network=name, when=when) if row["name"].endswith("grow.conv")
        ]
        by_seed = {row["seed"]: [] for row in rows}
        for row in rows:
            by_seed[row["seed"]].append(float(row["relative"]))
        if by_seed:
            mean = np.exp(np.mean(np.log(list(by_seed.values())), axis=0))
            lines.append(Series(name, *series(number), list(enumerate(mean, start=1))))
    return lines


def gradients_sentence(tables: Tables) -> str:
    """Return how much smaller gradients are at the first layer than at the last."""
    told = []
    for when, words in (("start", "Before training"), ("middle", "Halfway")):
        ratios = {line.name: line.values[0][1] / line.values[-1][1] for line in gradients(tables, when)}
        if ratios:
            each = joined([f"{ratio:.2g} times in the {name} network" for name, ratio in ratios.items()])
            told.append(f"{words}, the first layer's is {each} what the last layer's is.")
    return " ".join(told) or "Not measured yet."


def reuse(tables: Tables) -> list[np.ndarray]:
    """Return the mean absolute weights of each block over seeds, (L + 1, L + 1) with nan where nothing is read."""
    rows = tables("reuse", network="dense")
    if not rows:
        return []
    blocks = []
    for number in sorted({int(row["block"]) for row in rows}):
        of_block = [row for row in rows if int(row["block"]) == number]
        size = max(int(row["to"]) for row in of_block)
        sums, seeds = np.zeros((size, size)), {row["seed"] for row in of_block}
        for row in of_block:
            sums[int(row["from"]), int(row["to"]) - 1] += float(row["mean_weight"]) / len(seeds)
        blocks.append(np.where(np.triu(np.ones_like(sums)) > 0, sums, np.nan))
    return blocks


def reuse_sentence(blocks: Sequence[np.ndarray]) -> str:
    """Return how strongly layers read the newest features and older ones."""
    if not blocks:
        return "Not measured yet."
    newest = np.mean([block[i, i] / np.nanmax(block[:, i]) for block in blocks for i in range(1, len(block))])
    older = np.mean(
        [
            block[s, i] / np.nanmax(block[:, i])
            for block in blocks
            for i in range(2, len(block))
            for s in range(1, i)
        ]
    )
    source = np.mean([block[0, i] / np.nanmax(block[:, i]) for block in blocks for i in range(1, len(block))])
    return (
        f"Relative to a reader's strongest source, the newest features weigh {newest:.2f} on average, older layers of "
        f"the block {older:.2f} and the block's input {source:.2f}: "
        + ("layers do read far back." if older > newest / 2 else "layers read the newest features most.")
    )


VARIANTS = (
    ("dense", "connections"), ("dense-shallow", "variants"), ("dense-deep", "variants"),
    ("residual", "connections"), ("residual-shallow", "variants"), ("residual-deep", "variants"),
    ("plain", "connections"), ("plain-shallow", "variants"), ("plain-deep", "variants"),
    ("dense-growth-6", "variants"), ("dense-growth-18", "variants"),
    ("dense-bottleneck-1", "variants"), ("dense-bottleneck-2", "variants"), ("residual-narrow", "variants"),
)  # fmt: skip


def variants(tables: Tables) -> dict:
    """Return the effect of depth, growth and bottleneck."""
    planned = {p.name: dict(change.split("=") for change in p.changes) for p in PLAN}
    rows, seeds = [], set()
    for name, group in VARIANTS:
        span = tables.score(group, name)
        if span is None:
            continue
        options = planned[name]
        layers, growth = options["network.layers"].split(",")[0], options["network.growth"].replace(",", ", ")
        seeds.add(seeds_of(tables, group, name))
        cost = _cost(tables, group, name)
        rows.append((f"`{name}`", f"3 × {layers}", growth, options["network.bottleneck"], *cost, shown(span),
                     seeds_of(tables, group, name)))  # fmt: skip
    header = (
        "network",
        "layers",
        "growth or width",
        "bottleneck",
        "parameters",
        "multiply-adds",
        "clean %",
        "seeds",
    )
    sentence = (
        "Shallow and deep networks cost about what the others do; growth and bottleneck change the cost."
    )
    if 1 in seeds:
        sentence += (
            " Where a row has one seed, its interval holds the spread over faces and not that over seeds."
        )
    return {
        "variants_table": table(header, rows),
        "variants_sentence": sentence,
        "depth_drawn": bool(depths(tables)),
    }


def depths(tables: Tables) -> list[Series]:
    """Return accuracy by depth for each way to connect."""
    lines = []
    for number, name in enumerate(WAYS):
        spans = {
            layers * BLOCKS: tables.score("variants" if ending else "connections", name + ending)
            for layers, ending in DEPTHS.items()
        }
        if all(spans.values()):
            lines.append(Series(name, *series(number), [(layers, span[0]) for layers, span in spans.items()]))
    return lines
