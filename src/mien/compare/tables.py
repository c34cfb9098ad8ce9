"""The numbers and tables of a comparison: what networks reach, and by how much they differ. Computes no score."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mien.compare.galleries import Gallery
from mien.compare.inputs import Network, Results
from mien.compare.provenance import fold_number
from mien.compare.shares import PROBABILITY_BINS, normalized, probability_shares, reliability_bins
from mien.judge import METRICS, Difference, Interval, Metric, Verdict
from mien.judge.parts import PARTS
from mien.pages.tables import Data, Table, small
from mien.run import Run
from mien.text import capitalized, decimal, many, p_value, percent, seconds, thousands

RANGE = ("point", "low", "high")


def data(results: Results, galleries: Sequence[Gallery]) -> dict[str, Data]:
    """Return every number of a report but those of `provenance.py`, by the name of its file."""
    return {
        "scores": _scores(results),
        "seeds": _seeds(results),
        "differences": _differences(results),
        "mcnemar": _mcnemar(results),
        "classes": _classes(results),
        "confusion": _confusion(results),
        "probabilities": _probabilities(results),
        "reliability": _reliability(results),
        "faces": _faces(results, galleries),
    }


def _range(value: Interval) -> tuple[float, float, float]:
    return value.point, value.low, value.high


def _interval(metric: Metric, value: Interval) -> str:
    """Return a score with its interval in a quiet second line."""
    return small(metric.text(value.point), f"{metric.number(value.low)} to {metric.number(value.high)}")


def _change(metric: Metric, value: Interval) -> str:
    """Return a difference with its interval; shares in percentage points."""
    return small(metric.change(value.point), f"{metric.change(value.low)} to {metric.change(value.high)}")


def _texts(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(metric.text(values[name]) for name, metric in METRICS.items())


def parts_of(results: Results) -> list[tuple[str, str]]:
    """Return (part, its words with the number of faces) in the order in which they are shown."""
    inputs = results.inputs
    faces = {part: many(v.faces, "face") for part, v in next(iter(results.verdicts.values())).items()}
    if inputs.folds > 1:
        return [("all", f"{inputs.where}, {faces['all']}")]
    words = {"all": f"the whole {inputs.split} split"}
    words |= {part: f"{PARTS[part]} of {inputs.split}" for part in inputs.shown_parts if part != "all"}
    return [(part, f"{words[part]}, {faces[part]}") for part in inputs.shown_parts]


def _scores(results: Results) -> Data:
    rows = []
    for net in results.inputs.networks:
        for part in results.inputs.parts:
            verdict, fold_sd = results.verdicts[net.name][part], net.fold_sd(part)
            for metric in METRICS:
                sds = [sd[metric] if sd else "" for sd in (verdict.seed_sd, fold_sd)]
                band = verdict.ece_band if metric == "ece" else ("", "")
                row = (net.name, part, verdict.faces, metric, *_range(verdict.scores[metric]), *sds, *band)
                rows.append(row)
    header = ("network", "part", "faces", "score", *RANGE, "seed_sd", "fold_sd", "calibrated_low",
              "calibrated_high")  # fmt: skip
    return Data.of(header, rows)


def network_tables(results: Results) -> list[Table]:
    """Return what each network reaches on each part and what it costs, a column a network."""
    networks = results.inputs.networks
    head = ["", *(net.name for net in networks)]
    tables = []
    for part, words in parts_of(results):
        verdicts = [results.verdicts[net.name][part] for net in networks]
        rows: list[tuple[str, ...]] = [
            (metric.title, *(_interval(metric, verdict.scores[name]) for verdict in verdicts))
            for name, metric in METRICS.items()
        ]
        band = (f"{decimal(v.ece_band[0])} to {decimal(v.ece_band[1])}" for v in verdicts)
        rows.append(("ECE if perfectly calibrated", *band))
        tables.append(Table(capitalized(words), head, [("", rows)]))
    return tables


def _seeds(results: Results) -> Data:
    rows = []
    for net in results.inputs.networks:
        scores = {part: net.run_scores(part) for part in results.inputs.parts}
        for i, (seed, fold, training) in enumerate(_trainings(net)):
            for part in results.inputs.parts:
                rows.append((net.name, seed, fold, part, *scores[part][i].values(), *training))
        for part in results.inputs.parts if net.folds > 1 else ():
            per_seed = results.verdicts[net.name][part].per_seed
            for seed, scores_of_all in zip(net.seed_numbers, per_seed, strict=True):
                rows.append((net.name, seed, "all", part, *scores_of_all.values(), "", "", ""))
    return Data.of(
        ("network", "seed", "fold", "part", *METRICS, "epochs", "kept_epoch", "train_seconds"), rows
    )


def _trainings(net: Network) -> Iterator[tuple[int, int | str, tuple[int | float | str, ...]]]:
    """Yield seed, fold, and epochs, epoch kept and seconds, of each run; these are not known of tables alone."""
    for run in net.runs:
        result = run.result()
        training = result["epochs"], result["kept_epoch"], float(run.environment()["train_seconds"])
        yield run.seed, fold_number(run), training
    if not net.runs:
        yield from ((seed, "", ("", "", "")) for seed in net.seed_numbers)


def seed_tables(results: Results) -> list[Table]:
    """Return every seed's scores, and every fold's, with their mean and spread, a table a part."""
    head = [
        "seed",
        *(metric.short for metric in METRICS.values()),
        "epoch kept",
        "accuracy on val, without TTA",
        "training",
    ]
    tables = []
    for part, words in parts_of(results):
        bodies = []
        for net in results.inputs.networks:
            verdict = results.verdicts[net.name][part]
            if net.folds > 1:
                bodies.append((f"{net.name}, each fold on its own faces", _fold_rows(net, part)))
                every = [(seed, ("", "", "")) for seed in net.seed_numbers]
            else:
                every = [(run.seed, _training(run)) for run in net.runs]
                every = every or [(seed, ("", "", "")) for seed in net.seed_numbers]
            rows = [
                (f"seed {seed}", *_texts(scores), *training)
                for (seed, training), scores in zip(every, verdict.per_seed, strict=True)
            ]
            name = f"{net.name}, all folds together" if net.folds > 1 else net.name
            bodies.append((name, [*rows, *_spread(verdict)]))
        every = "seed and fold" if results.inputs.folds > 1 else "seed"
        tables.append(Table(f"Every {every}, {words}", head, bodies))
    return tables


def _fold_rows(net: Network, part: str) -> list[tuple[str, ...]]:
    scores_by_run = net.run_scores(part)
    rows = [
        (f"seed {run.seed}, fold {run.fold.number if run.fold else 1}", *_texts(scores), *_training(run))
        for run, scores in zip(net.runs, scores_by_run, strict=True)
    ]
    means = _texts({m: float(np.mean([scores[m] for scores in scores_by_run])) for m in METRICS})
    return [
        *rows,
        ("mean", *means, "", "", ""),
        *_deviation("standard deviation over folds", net.fold_sd(part)),
    ]


def _training(run: Run) -> tuple[str, str, str]:
    result = run.result()
    epochs = f"{result['kept_epoch']} of {result['epochs']}"
    return epochs, percent(result["val"]["accuracy"]), seconds(run.environment()["train_seconds"])


def _spread(verdict: Verdict) -> list[tuple[str, ...]]:
    mean = ("mean", *_texts({m: verdict.scores[m].point for m in METRICS}), "", "", "")
    deviation = _deviation("standard deviation", verdict.seed_sd)
    return [mean, *deviation] if deviation else []


def _deviation(title: str, sd: dict[str, float] | None) -> list[tuple[str, ...]]:
    if sd is None:
        return []
    return [(title, *(metric.number(sd[name]) for name, metric in METRICS.items()), "", "", "")]


def _differences(results: Results) -> Data:
    """Return every score's difference; accuracy alone is tested, so it alone has p values and a conclusion."""
    rows = []
    for part in results.inputs.parts:
        for d in results.differences[part]:
            for metric in METRICS:
                tested = (d.p, d.p_holm, d.conclusion) if metric == "accuracy" else ("", "", "")
                rows.append((d.a, d.b, part, d.faces, metric, *_range(d.scores[metric]), *tested))
    return Data.of(
        ("a", "b", "part", "faces", "score", *RANGE, "accuracy_p", "accuracy_p_holm", "conclusion"), rows
    )


def difference_tables(results: Results) -> list[Table]:
    """Return the differences of all pairs, a table a pair, and McNemar's tests of all seed pairs."""
    parts = parts_of(results)
    tables = []
    for number, first in enumerate(results.differences["all"]):
        pairs = [results.differences[part][number] for part, _ in parts]
        rows = [(m.title, *(_change(m, d.scores[name]) for d in pairs)) for name, m in METRICS.items()]
        tests = [
            ("p over all seed pairs", *(p_value(d.p) for d in pairs)),
            (f"p by Holm{_comparisons(results)}", *(p_value(d.p_holm) for d in pairs)),
            (f"{first.a} is", *(conclusion(d) for d in pairs)),
        ]
        caption = f"{first.a} minus {first.b}; shares in percentage points"
        tables.append(
            Table(caption, ["", *(words for _, words in parts)], [("", rows), ("accuracy, tested", tests)])
        )
    return tables


def _comparisons(results: Results) -> str:
    count = len(results.differences["all"])
    return f", {count} comparisons" if count > 1 else ""


def conclusion(difference: Difference) -> str:
    """Return the conclusion as it ends "a is …"."""
    return "not told apart" if difference.conclusion == "cannot tell" else difference.conclusion


def _mcnemar(results: Results) -> Data:
    seeds = {net.name: net.seed_numbers for net in results.inputs.networks}
    rows = [
        (d.a, a_seed, d.b, b_seed, part, pair.only_a, pair.only_b, pair.p)
        for part in results.inputs.parts
        for d in results.differences[part]
        for a_seed, b_seed, pair in zip(seeds[d.a], seeds[d.b], d.seed_pairs, strict=False)
    ]
    return Data.of(("a", "seed_a", "b", "seed_b", "part", "only_a_right", "only_b_right", "p"), rows)


def mcnemar_table(results: Results) -> Table:
    """Return McNemar's exact tests, a row a pair of seeds."""
    seeds = {net.name: net.seed_numbers for net in results.inputs.networks}
    bodies = []
    for part, words in parts_of(results):
        for d in results.differences[part]:
            rows = [
                (f"{a} and {b}", thousands(pair.only_a), thousands(pair.only_b), p_value(pair.p))
                for a, b, pair in zip(seeds[d.a], seeds[d.b], d.seed_pairs, strict=False)
            ]
            bodies.append((f"{d.a} and {d.b}, {words}", rows))
    head = ["seeds", "only the first correct", "only the second correct", "p"]
    return Table(
        "McNemar's exact test by pair of seeds: faces that only one of the two classifies correctly",
        head,
        bodies,
    )


def _classes(results: Results) -> Data:
    rows = [
        (name, part, c.label, c.support, figure, *_range(share))
        for name, parts in results.verdicts.items()
        for part in results.inputs.parts
        for c in parts[part].per_class
        for figure, share in c.shares.items()
    ]
    return Data.of(("network", "part", "class", "faces", "score", *RANGE), rows)


def class_tables(results: Results) -> list[Table]:
    """Return precision, recall and F1 of each class, a table a part."""
    tables = []
    for part, words in parts_of(results):
        bodies = []
        for net in results.inputs.networks:
            rows = [
                (
                    c.label,
                    thousands(c.support),
                    *(_interval(METRICS["accuracy"], v) for v in c.shares.values()),
                )
                for c in results.verdicts[net.name][part].per_class
            ]
            bodies.append((net.name, rows))
        tables.append(Table(f"Each class, {words}", ["class", "faces", "precision", "recall", "F1"], bodies))
    return tables


def _confusion(results: Results) -> Data:
    classes = results.inputs.classes
    rows = []
    for name, parts in results.verdicts.items():
        for part in results.inputs.parts:
            counts = parts[part].confusion
            shares = normalized(counts)
            for (i, j), count in np.ndenumerate(counts):
                rows.append((name, part, classes[i], classes[j], float(count), float(shares[i, j])))
    return Data.of(("network", "part", "labeled", "read_as", "mean_faces", "share_of_labeled"), rows)


def _probabilities(results: Results) -> Data:
    rows = []
    edges = np.linspace(0, 1, PROBABILITY_BINS + 1)
    for part in results.inputs.parts:
        for name, tables in results.inputs.tables(part).items():
            for whose, shares in zip(("of the class", "all other"), probability_shares(tables), strict=True):
                for (c, b), share in np.ndenumerate(shares):
                    label = results.inputs.classes[c]
                    rows.append(
                        (name, part, label, whose, float(edges[b]), float(edges[b + 1]), float(share))
                    )
    return Data.of(("network", "part", "class", "faces", "from", "to", "share"), rows)


def _reliability(results: Results) -> Data:
    names = ("count", "confidence", "accuracy", "low", "high")
    rows = []
    for part in results.inputs.parts:
        for name, tables in results.inputs.tables(part).items():
            bins = reliability_bins(tables)
            for i, values in enumerate(zip(*(bins[n] for n in names), strict=True)):
                edges = float(bins["edges"][i]), float(bins["edges"][i + 1])
                rows.append((name, part, *edges, *(float(v) for v in values)))
    header = ("network", "part", "from", "to", "mean_faces", "mean_probability", "share_right",
              "calibrated_low", "calibrated_high")  # fmt: skip
    return Data.of(header, rows)


def _faces(results: Results, galleries: Sequence[Gallery]) -> Data:
    classes = results.inputs.classes
    probs = {net.name: net.probs for net in results.inputs.networks}
    rows = []
    for gallery in galleries:
        for face in gallery.faces:
            for guess in face.guesses:
                shares = (float(share) for share in probs[guess.network][face.row])
                rows.append((gallery.name, face.id, face.label, guess.network, guess.label, *shares))
            if not face.guesses:
                rows.append((gallery.name, face.id, face.label, "", "", *[""] * len(classes)))
    return Data.of(("figure", "id", "label", "network", "read_as", *classes), rows)
