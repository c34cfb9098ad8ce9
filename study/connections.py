"""What dense connections buy, from the tables: accuracy, fit, gradients, reuse, depth."""

from collections.abc import Sequence

import numpy as np

from mien.pages.legend import Series
from mien.pages.theme import series
from mien.text import joined, points, seeds_in_words
from study.plan import PLAN
from study.tables import WAYS, Tables, difference_of, seeds_of, shown, table, told_pair

DEPTHS = {3: "-shallow", 6: "", 12: "-deep"}
DEPTH_GROUPS = ("connections", "variants")
BLOCKS = 3
EVEN = 0.9  # of the newest features' weight: nothing to be told apart


PAIRS = (("dense", "plain"), ("residual", "plain"), ("dense", "residual"))
CONNECTIONS = {way: way for way in WAYS}
EQUAL = {"dense": "dense", "residual": "equal-residual", "plain": "equal-plain"}


def compared(tables: Tables) -> dict:
    """Return the comparison of the three ways to connect the same layers."""
    return {
        "connections_table": _scores_and_cost(tables, "connections", CONNECTIONS),
        "connections_sentence": _told_pairs(tables, "connections", CONNECTIONS),
        "connections_short": _answer(tables),
        "equal_table": _scores_and_cost(tables, "equal", EQUAL),
        "equal_sentence": _told_pairs(tables, "equal", EQUAL),
    }


def _scores_and_cost(tables: Tables, group: str, names: dict[str, str]) -> str:
    rows, word = [], tables.word(group)
    for way, name in names.items():
        spans = (
            tables.score(group, name, part="all"),
            tables.score(group, name),
            tables.score(group, name, score="macro_f1"),
        )
        seeds = seeds_of(tables, group, name) or ""
        rows.append((way, *map(shown, spans), seeds, *_cost(tables, group, name)))
    header = (
        "connected",
        "PrivateTest %",
        f"{word} %",
        f"{word} macro F1 %",
        "seeds",
        "parameters",
        "multiply-adds",
    )
    return table(header, rows)


def _told_pairs(tables: Tables, group: str, names: dict[str, str]) -> str:
    return "\n".join(f"- {told_pair(tables, group, names[a], names[b])}" for a, b in PAIRS)


def _cost(tables: Tables, group: str, name: str) -> tuple[str, str]:
    rows = tables(f"{group}/networks", network=name)
    if not rows:
        return "", ""
    return f"{int(rows[0]['parameters']):,}", f"{int(rows[0]['multiply_adds']) / 1e6:.2f} M"


def _answer(tables: Tables) -> str:
    found = {pair: difference_of(tables, "connections", *pair) for pair in PAIRS}
    if not all(found.values()):
        return "Not measured yet."
    words = {1: "{a} beats {b}", -1: "{b} beats {a}", 0: "whether {a} beats {b} is undecided"}
    told = []
    for (a, b), pair in found.items():
        point, low, high = map(points, pair.span)
        told.append(f"{words[pair.outcome].format(a=a, b=b)} ({point} points [{low}, {high}])")
    seeds = seeds_in_words(seeds_of(tables, "connections", "dense"))
    return (
        f"At equal parameters and multiply-adds, connected densely, by addition (residual) or not at all (plain): "
        f"{'; '.join(told)}. Small networks, {seeds} each.{_by_depth(tables)}"
    )


def _by_depth(tables: Tables) -> str:
    """Return how the three compare at each depth, where that was measured."""
    lines = depths(tables)
    if len(lines) < len(WAYS):
        return ""
    layers = joined([f"{x:g}" for x, _ in lines[0].values])
    each = "; ".join(f"{line.name} {joined([f'{100 * y:.1f}' for _, y in line.values])} %" for line in lines)
    return f" By depth, at like cost: with {layers} layers they read {each}."


def fit(tables: Tables) -> dict:
    """Return how far train and validation lie apart."""
    rows, means = [], {}
    for name in WAYS:
        train, val = (
            np.array([float(row["accuracy"]) for row in tables("fit", network=name, split=split)])
            for split in ("train", "val")
        )
        if len(train):
            means[name] = float(train.mean()), float(val.mean())
            gap = (train - val).mean()
            each = ", ".join(points(one) for one in train - val)
            rows.append((name, *(f"{100 * share:.1f}" for share in means[name]), points(gap), each))
    header = ("connected", "train %", "val %", "gap, points", "by seed")
    sentence = _overfit(means) if len(means) == len(WAYS) else "Not measured yet."
    return {"fit_table": table(header, rows), "fit_sentence": sentence}


def _overfit(means: dict[str, tuple[float, float]]) -> str:
    fits, reads = (max(means, key=lambda name: means[name][i]) for i in (0, 1))
    end = "they also read the others best" if fits == reads else f"{reads} ones read the others best"
    return (
        "Both splits are read as they are, one view a face. The gaps are small, there is little overfitting yet: "
        f"{fits} layers read the train faces best, and {end}."
    )


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
    """Return how much larger gradients are at the first layer than at the last."""
    told = []
    for when, words in (("start", "Before training"), ("middle", "Halfway")):
        ratios = [(line.name, line.values[0][1] / line.values[-1][1]) for line in gradients(tables, when)]
        if ratios:
            (name, ratio), *others = ratios
            first = f"{ratio:.2g} times the last layer's in the {name} network"
            each = joined([first, *(f"{ratio:.2g} times in the {name} one" for name, ratio in others)])
            told.append(f"{words} the first layer's gradient is {each}.")
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
    """Return how strongly layers read the newest features and older ones, and the classifier likewise."""
    if not blocks:
        return "Not measured yet."
    layers = [
        (block / np.nanmax(block, axis=0))[:, 1:-1] for block in blocks
    ]  # the first has the input alone
    newest = np.mean([block[i + 1, i] for block in layers for i in range(block.shape[1])])
    older = np.mean([block[s, i] for block in layers for i in range(block.shape[1]) for s in range(i + 1)])
    classifier = blocks[-1][:, -1] / blocks[-1][:, -1].max()
    told = (
        f"Relative to a layer's strongest source, the newest features weigh {newest:.2f} on average and all older ones "
        f"{older:.2f}; for the classifier the newest weigh {classifier[-1]:.2f} and the last block's input "
        f"{classifier[0]:.2f}."
    )
    if older > EVEN * newest:
        told += (
            " Layers read nearly evenly: after so short a training their weights are near their random start."
        )
    return told


VARIANTS = (
    ("dense", "connections"), ("dense-shallow", "variants"), ("dense-deep", "variants"),
    ("residual", "connections"), ("residual-shallow", "variants"), ("residual-deep", "variants"),
    ("plain", "connections"), ("plain-shallow", "variants"), ("plain-deep", "variants"),
    ("dense-slow", "variants"), ("residual-slow", "variants"), ("plain-slow", "variants"),
    ("dense-growth-6", "variants"), ("dense-growth-18", "variants"),
    ("dense-bottleneck-1", "variants"), ("dense-bottleneck-2", "variants"), ("residual-narrow", "variants"),
)  # fmt: skip


def variants(tables: Tables) -> dict:
    """Return the effect of depth, growth and bottleneck."""
    planned = {p.name: dict(change.split("=") for change in p.changes) for p in PLAN}
    rows, seeds, part = [], set(), tables.part(*DEPTH_GROUPS)
    for name, group in VARIANTS:
        span = tables.score(group, name, part=part)
        if span is None:
            continue
        options = planned[name]
        layers = options["network.layers"].split(",")[0]
        growth = options["network.growth_rate"].replace(",", ", ")
        seeds.add(seeds_of(tables, group, name))
        told = (growth, options["network.bottleneck"], options["optimizer.lr"], *_cost(tables, group, name))
        rows.append((f"`{name}`", f"3 × {layers}", *told, shown(span), seeds_of(tables, group, name)))
    header = ("network", "layers", "growth or width", "bottleneck", "learning rate", "parameters", "multiply-adds",
              f"{tables.word(*DEPTH_GROUPS)} %", "seeds")  # fmt: skip
    sentences = [
        "Shallow and deep networks cost what the others do to within 14 %; growth and bottleneck change the cost."
    ]
    slow = {name: tables.score("variants", f"{name}-slow") for name in WAYS}
    if all(slow.values()):
        each = joined([f"{shown(span)} % for {name} layers" for name, span in slow.items()])
        apart = slow["plain"][2] < min(slow["dense"][1], slow["residual"][1])
        cause = "It is not the learning rate alone" if apart else "The learning rate has a part in it"
        sentences.append(f"{cause}: with a fifth of it the three read {each}.")
    if 1 in seeds:
        sentences.append(
            "Where a row has one seed, its interval holds the spread over faces and not that over seeds."
        )
    sentence = " ".join(sentences)
    return {
        "variants_table": table(header, rows),
        "variants_sentence": sentence,
        "depth_drawn": bool(depths(tables)),
    }


def depths(tables: Tables) -> list[Series]:
    """Return accuracy by depth for each way to connect."""
    lines, part = [], tables.part(*DEPTH_GROUPS)
    for number, name in enumerate(WAYS):
        spans = {
            layers * BLOCKS: tables.score("variants" if ending else "connections", name + ending, part=part)
            for layers, ending in DEPTHS.items()
        }
        if all(spans.values()):
            lines.append(Series(name, *series(number), [(layers, span[0]) for layers, span in spans.items()]))
    return lines
