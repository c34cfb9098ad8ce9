"""Writes every number of a report as CSV, a file a subject. Computes next to nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.compare.figures import Results
from mien.compare.galleries import Gallery
from mien.compare.shares import PROBABILITY_BINS, normalized, probability_shares, reliability_bins
from mien.files import write_csv
from mien.judge import METRICS, Interval
from mien.run import Run

PARTS = ("clean", "all")
RANGE = ("point", "low", "high")


def write_numbers(results: Results, galleries: Sequence[Gallery], folder: Path) -> None:
    """Write the tables into a folder; figures keep 9 digits, shares are 0..1, times are seconds."""
    tables = (_networks, _scores, _seeds, _differences, _mcnemar, _classes, _confusion, _counts, _histories,
              _probabilities, _reliability, _stages, _openings)  # fmt: skip
    for table in tables:
        header, rows = table(results)
        write_csv(folder / f"{table.__name__[1:]}.csv", header, rows)
    write_csv(folder / "faces.csv", *_faces(results, galleries))


def _range(value: Interval) -> tuple[float, float, float]:
    return value.point, value.low, value.high


def _networks(results: Results):
    rows = (
        (
            n.name,
            n.summary["parameters"],
            n.summary["multiply_adds"],
            len(n.tables),
            n.folds,
            n.mean_seconds(),
        )
        for n in results.inputs.networks
    )
    return ("network", "parameters", "multiply_adds", "seeds", "folds", "mean_train_seconds"), rows


def _scores(results: Results):
    rows = []
    for net in results.inputs.networks:
        for part in PARTS:
            verdict, fold_sd = results.verdicts[net.name][part], net.fold_sd(part)
            for metric in METRICS:
                sds = [sd[metric] if sd else "" for sd in (verdict.seed_sd, fold_sd)]
                band = verdict.ece_band if metric == "ece" else ("", "")
                row = (net.name, part, verdict.faces, metric, *_range(verdict.scores[metric]), *sds, *band)
                rows.append(row)
    header = ("network", "part", "faces", "score", *RANGE, "seed_sd", "fold_sd", "calibrated_low",
              "calibrated_high")  # fmt: skip
    return header, rows


def _seeds(results: Results):
    rows = []
    for net in results.inputs.networks:
        scores = {part: net.run_scores(part) for part in PARTS}
        for i, run in enumerate(net.runs):
            result, seconds = run.result(), run.environment()["train_seconds"]
            training = (result["epochs"], result["kept_epoch"], float(seconds))
            for part in PARTS:
                rows.append((net.name, run.seed, _fold(run), part, *scores[part][i].values(), *training))
        for part in PARTS if net.folds > 1 else ():
            per_seed = results.verdicts[net.name][part].per_seed
            for seed, scores_of_all in zip(net.seed_numbers, per_seed, strict=True):
                rows.append((net.name, seed, "all", part, *scores_of_all.values(), "", "", ""))
    return ("network", "seed", "fold", "part", *METRICS, "epochs", "kept_epoch", "train_seconds"), rows


def _fold(run: Run) -> int | str:
    return run.fold.number if run.fold else ""


def _differences(results: Results):
    """Return every score's difference; accuracy alone is tested, so it alone has p values and a conclusion."""
    rows = []
    for part in PARTS:
        for d in results.differences[part]:
            for metric in METRICS:
                tested = (d.p, d.p_holm, d.conclusion) if metric == "accuracy" else ("", "", "")
                rows.append((d.a, d.b, part, d.faces, metric, *_range(d.scores[metric]), *tested))
    return ("a", "b", "part", "faces", "score", *RANGE, "accuracy_p", "accuracy_p_holm", "conclusion"), rows


def _mcnemar(results: Results):
    seeds = {net.name: net.seed_numbers for net in results.inputs.networks}
    rows = [
        (d.a, a_seed, d.b, b_seed, part, pair.only_a, pair.only_b, pair.p)
        for part in PARTS
        for d in results.differences[part]
        for a_seed, b_seed, pair in zip(seeds[d.a], seeds[d.b], d.seed_pairs, strict=False)
    ]
    return ("a", "seed_a", "b", "seed_b", "part", "only_a_right", "only_b_right", "p"), rows


def _classes(results: Results):
    rows = [
        (name, part, c.label, c.support, figure, *_range(getattr(c, figure)))
        for name, parts in results.verdicts.items()
        for part in PARTS
        for c in parts[part].per_class
        for figure in ("precision", "recall", "f1")
    ]
    return ("network", "part", "class", "faces", "score", *RANGE), rows


def _confusion(results: Results):
    classes = results.inputs.classes
    rows = []
    for name, parts in results.verdicts.items():
        for part in PARTS:
            counts = parts[part].confusion
            shares = normalized(counts)
            for (i, j), count in np.ndenumerate(counts):
                rows.append((name, part, classes[i], classes[j], float(count), float(shares[i, j])))
    return ("network", "part", "labeled", "read_as", "mean_faces", "share_of_labeled"), rows


def _counts(results: Results):
    counts = results.inputs.data.counts
    return ("split", "class", "faces"), [
        (s, c, n) for s, by_class in counts.items() for c, n in by_class.items()
    ]


def _histories(results: Results):
    rows: list[tuple] = []
    columns: list[str] = []
    for net in results.inputs.networks:
        for run in net.runs:
            metrics = run.metrics()
            columns = list(metrics[0])
            run_columns = (net.name, run.seed, _fold(run))
            rows += [(*run_columns, int(row["epoch"]), *list(row.values())[1:]) for row in metrics]
    return ("network", "seed", "fold", *columns), rows


def _probabilities(results: Results):
    rows = []
    edges = np.linspace(0, 1, PROBABILITY_BINS + 1)
    for part in PARTS:
        for name, tables in results.inputs.tables(part).items():
            for whose, shares in zip(("of the class", "all other"), probability_shares(tables), strict=True):
                for (c, b), share in np.ndenumerate(shares):
                    label = results.inputs.classes[c]
                    rows.append(
                        (name, part, label, whose, float(edges[b]), float(edges[b + 1]), float(share))
                    )
    return ("network", "part", "class", "faces", "from", "to", "share"), rows


def _reliability(results: Results):
    names = ("count", "confidence", "accuracy", "low", "high")
    rows = []
    for part in PARTS:
        for name, tables in results.inputs.tables(part).items():
            bins = reliability_bins(tables)
            for i, values in enumerate(zip(*(bins[n] for n in names), strict=True)):
                edges = float(bins["edges"][i]), float(bins["edges"][i + 1])
                rows.append((name, part, *edges, *(float(v) for v in values)))
    header = ("network", "part", "from", "to", "mean_faces", "mean_probability", "share_right",
              "calibrated_low", "calibrated_high")  # fmt: skip
    return header, rows


def _stages(results: Results):
    rows = [
        (
            net.name,
            i,
            s["kind"],
            s["label"],
            s["layers"],
            "x".join(map(str, s["shape"])),
            s["parameters"],
            s["multiply_adds"],
        )
        for net in results.inputs.networks
        for i, s in enumerate(net.summary["stages"], start=1)
    ]
    return ("network", "stage", "kind", "label", "layers", "shape", "parameters", "multiply_adds"), rows


def _openings(results: Results):
    rows = [
        (run.folder.name, o["time"], o.get("split", ""), o["weights_sha256"], o["data_fingerprint"])
        for net in results.inputs.networks
        for run in net.runs
        for o in run.openings()
    ]
    return ("run", "time", "split", "weights_sha256", "data_fingerprint"), rows


def _faces(results: Results, galleries: Sequence[Gallery]):
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
    return ("figure", "id", "label", "network", "read_as", *classes), rows
