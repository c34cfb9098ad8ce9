"""What the study's networks give under an honest protocol and with a better recipe; how sure it is."""

from collections.abc import Sequence

import numpy as np

from mien.text import joined, seeds_in_words
from study.plan import FULL_SEEDS, PLAN, PUBLISHED
from study.tables import TITLES, WAYS, Tables, difference_of, seeds_of, shown, table, told_pair


def scored(tables: Tables, group: str, names: Sequence[str], extra=lambda name: ()) -> list[tuple]:
    """Return a row a network: accuracy on all faces and the strictest part, its macro F1, seeds, parameters, more."""
    rows = []
    for name in names:
        net = tables(f"{group}/networks", network=name)
        cost = f"{int(net[0]['parameters']) / 1e6:.2f} M" if net else ""
        figures_of_it = (
            shown(tables.score(group, name, part="all")),
            shown(tables.score(group, name)),
            shown(tables.score(group, name, score="macro_f1")),
        )
        rows.append((f"`{name}`", *extra(name), *figures_of_it, seeds_of(tables, group, name) or "", cost))
    return rows


def scored_header(tables: Tables, group: str) -> tuple[str, ...]:
    """Return the titles of the columns of `scored` behind the network's own."""
    word = tables.word(group)
    return ("PrivateTest %", f"{word} %", f"{word} macro F1 %", "seeds", "parameters")


def published(tables: Tables) -> dict:
    """Return what the study's networks give honestly."""
    names = PUBLISHED
    spans = [tables.score("published", name) for name in names]
    epochs = {name: _epochs(tables, "published", name) for name in names}
    rows = scored(tables, "published", names, lambda name: (epochs[name],))
    sentence = told_pair(tables, "published", *names)
    short = "Not measured yet."
    if all(spans):
        found = difference_of(tables, "published", *names)
        ends = {
            1: "So under its own recipe the study's conclusion turns round",
            0: "Under its own recipe the two cannot be told apart",
            -1: "Under its own recipe the DenseNet is better, by far less than was claimed",
        }
        seeds = [seeds_of(tables, "published", name) for name in names]
        short = (
            f"Under the study's own recipes and FER2013's official splits its CNN reads {shown(spans[0])} % of the "
            f"{tables.word('published')} test faces ({seeds_in_words(seeds[0])}) and its DenseNet {shown(spans[1])} % "
            f"({seeds_in_words(seeds[1])}). {ends[found.outcome]}"
            f"{', as far as one seed can say' if 1 in seeds else ''}."
        )
    return {
        "published_table": table(("recipe", "epochs run (kept)", *scored_header(tables, "published")), rows),
        "published_sentence": sentence,
        "published_short": short,
    }


def claim(tables: Tables, name: str) -> str:
    """Return the lines of a recipe's header that say what was measured with it."""
    whole, strictest = (tables.score("published", name, part=part) for part in ("all", None))
    if not whole:
        return "# claim: not measured yet\n"
    row, seeds = tables("runs", name=name)[0], seeds_of(tables, "published", name)
    trained = "one seed" if seeds == 1 else f"mean of {seeds} seeds"
    return (
        f"# claim: PrivateTest {shown(whole)} %, {tables.word('published')} {shown(strictest)} %, {trained}\n"
        f"# on {row['machine']}, {row['precision']}, torch {row['torch']}, {row['date']}\n"
    )


def _epochs(tables: Tables, group: str, name: str) -> str:
    rows = tables(f"{group}/seeds", network=name, part="all")
    return ", ".join(f"{row['epochs']} ({row['kept_epoch']})" for row in rows)


def better(tables: Tables) -> dict:
    """Return what a better recipe gives, at equal time and at equal parameters."""
    names = ("quick-cnn", "study-densenet-better", "quick-densenet", "cnn-narrow")

    def extra(name: str) -> tuple:
        rows = tables("runs", name=name)
        if not rows:
            return TITLES[name], "", ""
        seconds = np.mean([float(row["train_seconds"]) for row in rows])
        return TITLES[name], rows[0]["epochs"], f"{seconds:.0f}"

    rows = scored(tables, "better", names, extra)
    sentences = [
        "About equal time: " + told_pair(tables, "better", "quick-cnn", "study-densenet-better"),
        told_pair(tables, "better", "quick-densenet", "quick-cnn"),
        "Equal parameters: " + told_pair(tables, "better", "quick-densenet", "cnn-narrow"),
        "The seconds were taken beside other work.",
    ]
    return {
        "better_table": table(
            ("recipe", "network", "epochs", "seconds per seed", *scored_header(tables, "better")), rows
        ),
        "better_sentence": " ".join(sentences),
    }


def missing(tables: Tables) -> str:
    """Return which planned runs or seeds are not there."""
    done = {p.name: len({row["seed"] for row in tables("runs", name=p.name)}) for p in PLAN}
    none = [f"`{name}`" for name, count in done.items() if not count]
    several = [f"`{name}` {count}" for name, count in done.items() if 1 < count < FULL_SEEDS]
    told = ["all of it at full scale: larger networks, training to the end"]
    if several or 1 in done.values():
        there = f"; now {joined(several)}, all others one" if several else "; now one"
        told.append(f"{FULL_SEEDS} seeds of each run, which a GPU makes{there}")
    if none:
        told.append(f"any run of {joined(none)}")
    return "\n".join(f"- {one}" for one in told)


def machine(tables: Tables) -> str:
    """Return on what the runs were made."""
    rows = tables("runs")
    if not rows:
        return ""
    kinds = sorted({(row["machine"], row["precision"], row["torch"]) for row in rows})
    dates = sorted({row["date"] for row in rows})
    each = joined([f"{cpu} ({precision}, torch {torch})" for cpu, precision, torch in kinds])
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return (
        f"{len(rows)} runs on {each}, {when}, one or two threads a run, other work on the machine beside them, so "
        f"seconds are rough."
    )


def sure(tables: Tables) -> dict:
    """Return how far the answers may be trusted."""
    seeds = {name: seeds_of(tables, "connections", name) for name in WAYS}
    spans = [span for name in PUBLISHED if (span := tables.score("published", name))]
    widths = [100 * (high - low) / 2 for _, low, high in spans]
    precision = f"known to about {max(widths):.0f} points" if widths else "not measured yet"
    short = (
        "The swap, the dropout and the search's use of the test set can be made or read again; the empty class is "
        f"unexplained. The study's networks are {precision}. Connections are measured on small networks in "
        f"short trainings, {seeds_in_words(min(seeds.values()))} each; large networks trained to the end are not "
        "measured yet."
    )
    full = (
        "One network is called better only where the interval of the difference leaves out 0 and McNemar's exact test "
        "gives p below .05, adjusted after Holm where several pairs are compared; all else is undecided. "
        "The intervals hold the spread over faces and, where there are several seeds, over seeds. They do not hold "
        "what another data set, another recipe or another scale would change: the three ways to connect layers were "
        "compared under one recipe that was tuned for none of them, at about 0.18 M parameters and six epochs."
    )
    return {"sure_short": short, "sure": full}
