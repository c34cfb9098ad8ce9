"""What was wrong with the study, from the tables."""

import math

from mien.text import thousands
from study.tables import TITLES, Span, Tables, shown, span_of, table

WEAK_L2 = 1e-5
SWAPPED = ("swapped-densenet", "swapped-cnn")


def swapped_span(tables: Tables, name: str, split: str, score: str = "accuracy") -> Span | None:
    """Return a score on the faces that were trained on ("test") or on others ("val")."""
    found = tables("swapped", network=name, split=split, score=score)
    return span_of(found[0]) if found else None


def swapped(tables: Tables) -> dict:
    """Return the table and sentences on the swapped splits."""
    rows, sentences = [], []
    for name in SWAPPED:
        seen, unseen = (swapped_span(tables, name, split) for split in ("test", "val"))
        f1 = (swapped_span(tables, name, split, "macro_f1") for split in ("test", "val"))
        seen_f1, unseen_f1 = (f"{100 * span[0]:.0f}" if span else "" for span in f1)
        rows.append((TITLES[name], shown(seen), seen_f1, shown(unseen), unseen_f1))
        if seen and unseen:
            sentences.append(
                f"The {TITLES[name]} reads {100 * seen[0]:.1f} % of the faces it was trained on and "
                f"{100 * unseen[0]:.1f} % of others."
            )
    header = ("network", "the faces it was trained on %", "macro F1 %", "unseen faces %", "macro F1 %")
    return {
        "swapped_table": table(header, rows),
        "swapped_sentence": " ".join(sentences),
        "swapped_short": f"Made again on purpose: t{sentences[0][1:]}" if sentences else "",
    }


def refusal(tables: Tables) -> str:
    """Return what mien says when it is asked to compare networks on the faces that they were trained on."""
    rows = tables("refusal")
    return rows[0]["message"] if rows else ""


def never(tables: Tables) -> dict:
    """Return how often each class is read, by the CNN trained on the swapped splits."""
    found = tables("swapped-classes", network="swapped-cnn", split="val")
    counts = {row["class"]: (int(row["labeled"]), int(row["read_as"])) for row in found}
    rows = [(name, thousands(labeled), thousands(read)) for name, (labeled, read) in counts.items()]
    return {
        "never_sentence": _never(counts) if counts else "Not measured yet.",
        "classes_table": table(("class", "labeled so", "predicted by the CNN"), rows),
    }


def _never(counts: dict[str, tuple[int, int]]) -> str:
    least = min(counts, key=lambda name: counts[name][1] / max(1, counts[name][0]))
    labeled, read = counts[least]
    faces = thousands(sum(labeled for labeled, _ in counts.values()))
    told = "In the study's confusion matrices one class is never predicted. "
    if read:
        return told + (
            "The swap alone does not do that: trained on as small a split, the study's CNN here predicts every class. "
            f"The least often, for its share, is {least}, {read} times among {faces} unseen faces of which {labeled} "
            "are labeled so. Where the empty column comes from, the study's files do not tell."
        )
    return told + (
        f"It comes with the small split: trained on it, the study's CNN here never predicts {least}, among {faces} "
        f"unseen faces of which {labeled} are labeled so."
    )


def dropout(tables: Tables) -> str:
    """Return the table of what the doubled channels cost."""
    rows = [
        (
            row["network"],
            *(row[f"block_{i}"] for i in (1, 2, 3)),
            f"{int(row['parameters']) / 1e6:.2f} M",
            f"{int(row['multiply_adds']) / 1e6:.1f} M",
        )
        for row in tables("dropout")
    ]
    header = (
        "the best trial's network",
        *(f"channels after block {i}" for i in (1, 2, 3)),
        "parameters",
        "multiply-adds",
    )
    return table(header, rows)


def losses(tables: Tables) -> list[float]:
    """Return each trial's test loss, nan where it failed."""
    return [float(row["test_loss"]) if row["test_loss"] else math.nan for row in tables("search")]


def search(tables: Tables, guess: float) -> str:
    """Return what the study's search found."""
    rows = tables("search")
    done = [row for row in rows if row["state"] == "complete"]
    best = min(done, key=lambda row: float(row["test_loss"]))
    hours = sum(float(row["minutes"]) for row in done) / 60
    weak = [row for row in done if float(row["l2_regularization"]) < WEAK_L2]
    worse, worse_weak = (sum(float(row["test_loss"]) > guess for row in some) for some in (done, weak))
    return (
        f"Its storage holds {len(done)} complete trials, {hours:.1f} hours, and {len(rows) - len(done)} failed ones. "
        "Each trial's value is the loss on what was called the test set; the best is "
        f"{float(best['test_loss']):.3f} ({best['num_blocks']} blocks, growth {best['growth_rate']}, reduction "
        f"{float(best['reduction']):.4f}, dropout {float(best['dropout_rate']):.4f}). A network that looks at no face "
        f"and answers with the shares of the classes has a loss of {guess:.3f}: {worse} of the {len(done)} trials are "
        f"worse than that, among them {worse_weak} of the {len(weak)} whose L2 is below {WEAK_L2:g}, where the penalty "
        "that Keras adds to the loss is small."
    )
