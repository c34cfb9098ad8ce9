"""The tables and sentences of a report's page. Draws nothing and computes no score."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from mien.compare.figures import Results
from mien.compare.inputs import ComparisonInput, Network
from mien.judge import METRICS, Difference, Interval, Metric, Verdict
from mien.pages.tables import Table
from mien.recipe import Recipe, to_toml
from mien.run import Run
from mien.text import capitalized, decimal, joined, many, millions, p_value, percent, seconds, thousands


def _interval(metric: Metric, value: Interval) -> Markup:
    """Return a score with its interval in a quiet second line."""
    return Markup("{} <small>{} to {}</small>").format(
        metric.text(value.point), metric.number(value.low), metric.number(value.high)
    )


def _change(metric: Metric, value: Interval) -> Markup:
    """Return a difference with its interval; shares in percentage points."""
    return Markup("{} <small>{} to {}</small>").format(
        *map(metric.change, (value.point, value.low, value.high))
    )


def _scores(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(metric.text(values[name]) for name, metric in METRICS.items())


def parts_of(results: Results) -> list[tuple[str, str]]:
    """Return (part, its words with the number of faces) in the order in which they are shown."""
    verdicts = next(iter(results.verdicts.values()))
    split, whole = results.inputs.split, many(verdicts["all"].faces, "face")
    if results.inputs.folds > 1:
        return [("all", f"{results.inputs.where}, {whole}")]
    if not results.inputs.has_copies:
        return [("all", f"the whole {split} split, {whole}")]
    clean = many(verdicts["clean"].faces, "face")
    return [
        ("clean", f"clean part of {split}, {clean}"),
        ("all", f"the whole {split} split, {whole}"),
    ]


def tables(results: Results) -> dict:
    """Return every table of the page by name."""
    inputs = results.inputs
    return {
        "networks": network_tables(results),
        "seeds": seed_tables(results),
        "differences": difference_tables(results),
        "mcnemar": mcnemar_table(results),
        "classes": class_tables(results),
        "counts": count_table(results),
        "stages": stage_tables(results),
        "openings": openings_table(inputs),
        "runs": run_table(inputs),
        "packages": package_table(inputs),
    }


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
    return [*tables, Table("What each network costs", head, [("", _costs(networks))])]


def _costs(networks: Sequence[Network]) -> list[tuple[str, ...]]:
    folds = [("folds", *(str(net.folds) for net in networks))] if networks[0].folds > 1 else []
    return [
        ("seeds", *(str(len(net.tables)) for net in networks)),
        *folds,
        ("parameters", *(thousands(net.summary["parameters"]) for net in networks)),
        ("multiply-adds a face", *(millions(net.summary["multiply_adds"]) for net in networks)),
        ("epoch kept, of epochs", *(_epochs(net) for net in networks)),
        (
            f"training, mean of {'folds' if folds else 'seeds'}",
            *(seconds(net.mean_seconds()) for net in networks),
        ),
        ("trained on", *(_engines(net) for net in networks)),
    ]


def _epochs(net: Network) -> str:
    epochs = [f"{r['kept_epoch']} of {r['epochs']}" for r in (run.result() for run in net.runs)]
    return ", ".join(dict.fromkeys(epochs))


def _engines(net: Network) -> Markup:
    return Markup("; ").join(dict.fromkeys(engine_text(run) for run in net.runs))


def engine_text(run: Run) -> Markup:
    """Return on what a run was trained, in words; the threads of a processor stand in a second line."""
    engine = run.engine
    text = Markup("{}, {}").format(engine.get("device", "?"), engine.get("precision", "?"))
    if engine.get("device") == "cpu" and engine.get("threads"):
        text += Markup(" <small>{}</small>").format(many(engine["threads"], "thread"))
    return text


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
            rows = [
                (f"seed {seed}", *_scores(scores), *training)
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
        (f"seed {run.seed}, fold {run.fold.number if run.fold else 1}", *_scores(scores), *_training(run))
        for run, scores in zip(net.runs, scores_by_run, strict=True)
    ]
    means = _scores({m: float(np.mean([scores[m] for scores in scores_by_run])) for m in METRICS})
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
    mean = ("mean", *_scores({m: verdict.scores[m].point for m in METRICS}), "", "", "")
    deviation = _deviation("standard deviation", verdict.seed_sd)
    return [mean, *deviation] if deviation else []


def _deviation(title: str, sd: dict[str, float] | None) -> list[tuple[str, ...]]:
    if sd is None:
        return []
    return [(title, *(metric.number(sd[name]) for name, metric in METRICS.items()), "", "", "")]


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
                    *(_interval(METRICS["accuracy"], v) for v in (c.precision, c.recall, c.f1)),
                )
                for c in results.verdicts[net.name][part].per_class
            ]
            bodies.append((net.name, rows))
        tables.append(Table(f"Each class, {words}", ["class", "faces", "precision", "recall", "F1"], bodies))
    return tables


def count_table(results: Results) -> Table:
    """Return the data set's counts, a row a class."""
    counts = results.inputs.data.counts
    splits = list(counts)
    rows = [(c, *(thousands(counts[s].get(c, 0)) for s in splits)) for c in results.inputs.data.labels]
    total = ("all", *(thousands(sum(counts[s].values())) for s in splits))
    return Table("Faces by class and split", ["class", *splits], [("", [*rows, total])])


def stage_tables(results: Results) -> list[Table]:
    """Return each network's stages with their cost."""
    head = ["stage", "gives", "parameters", "multiply-adds"]
    tables = []
    for net in results.inputs.networks:
        rows = [
            (
                s["label"],
                " × ".join(f"{n:,}" for n in s["shape"]),
                thousands(s["parameters"]),
                thousands(s["multiply_adds"]),
            )
            for s in net.summary["stages"]
        ]
        total = ("all", "", thousands(net.summary["parameters"]), thousands(net.summary["multiply_adds"]))
        tables.append(Table(f"Stages of {net.name}", head, [("", [*rows, total])]))
    return tables


def run_table(inputs: ComparisonInput) -> Table:
    """Return where and how long each run was trained."""
    rows = []
    for net in inputs.networks:
        for run in net.runs:
            environment = run.environment()
            machine = environment.get("machine", {})
            times = seconds(environment["train_seconds"]), str(len(environment.get("sessions", ())))
            weights = run.result()["weights_sha256"][:12]
            on = engine_text(run), run.engine.get("layout", ""), machine.get("cpu", "")
            rows.append((run.folder.name, *on, *times, weights))
    head = ["run", "trained on", "layout", "processor", "training", "sessions", "weights (sha256)"]
    return Table("The runs", head, [("", rows)])


def package_table(inputs: ComparisonInput) -> Table:
    """Return the packages' versions over all runs."""
    versions_of: dict[str, dict[str, None]] = {}
    for net in inputs.networks:
        for run in net.runs:
            environment = run.environment()
            system = {key: environment.get("machine", {}).get(key) for key in ("python", "system")}
            for name, version in {**system, **environment.get("packages", {})}.items():
                versions_of.setdefault(name, {})[str(version)] = None
    rows = [(name, joined(list(versions), "or")) for name, versions in versions_of.items()]
    return Table("What the runs were trained with", ["", "version"], [("", rows)])


def openings_table(inputs: ComparisonInput) -> Table:
    """Return every recorded opening of the test split."""
    rows = []
    for net in inputs.networks:
        for run in net.runs:
            kept = run.result()["weights_sha256"]
            for opening in run.openings():
                same = "yes" if opening["weights_sha256"] == kept else "no"
                data = "yes" if opening["data_fingerprint"] == inputs.data.fingerprint else "no"
                if not any(run.data.counts.get("test", {}).values()):
                    data = "trained where test was not"
                rows.append((run.folder.name, opening["time"], same, data))
    head = ["run", "time", "with the weights kept", "on this data"]
    return Table("Every recorded opening of the test split", head, [("", rows)])


def chosen_by(recipe: Recipe) -> str:
    """Return which split chose what in a run of this recipe, as one sentence."""
    training = recipe.training
    parts = []
    if training.keep == "best":
        parts.append("the epoch whose weights are kept is the one with the highest accuracy on val")
    else:
        parts.append("the last epoch's weights are kept, so no epoch was chosen")
    if training.patience:
        parts.append(f"training ends after {training.patience} epochs without a better accuracy on val")
    else:
        parts.append(f"training always runs for {training.epochs} epochs")
    if recipe.schedule.kind == "plateau":
        parts.append("the learning rate falls when the loss on val stands still")
    return "; ".join(parts)


def origin(inputs: ComparisonInput) -> list[tuple[str, str]]:
    """Return where the faces come from as (name, value), nested names joined."""
    return _flat("", inputs.data.origin)


def _flat(name: str, value) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{name} {key}".strip(), inner)]
    return [(name, str(value))]


def recipes(inputs: ComparisonInput) -> list[tuple[str, str]]:
    """Return each network's recipe with every field written out."""
    return [(net.name, to_toml(net.runs[0].recipe)) for net in inputs.networks]
