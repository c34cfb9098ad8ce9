"""Draws every figure of a report but the faces, from verdicts and runs. Computes no score."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from mien.compare.material import Material, Network
from mien.compare.shares import normalized, probability_shares, reliability_bins
from mien.judge import METRICS, Difference, Interval, Metric, Verdict
from mien.labels import SPLITS
from mien.pages import charts, drawing
from mien.pages.charts import Range
from mien.pages.figures import Drawn, save
from mien.pages.legend import Series
from mien.pages.theme import series
from mien.text import MINUS, capitalized, decimal, percent, points, signed, thousands

MOST_PAIRS = 15  # of matrices that show a difference
DIFFERENCES = ("accuracy", "macro_f1", "log_loss")  # the scores whose differences are drawn
CLASS_SCORES = {
    "precision": "of the faces predicted as a class, how many are",
    "recall": "of a class's faces, how many are predicted as it",
    "f1": "harmonic mean of precision and recall",
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What was judged, and the folder that takes the figures."""

    material: Material
    verdicts: dict[str, dict[str, Verdict]]  # network -> part -> verdict
    differences: dict[str, list[Difference]]  # part -> pairs
    folder: Path

    def looks(self) -> list[Series]:
        """Return the networks' looks as series without values."""
        return [Series(net.name, net.color, net.marker) for net in self.material.networks]

    def part(self, faces: int) -> str:
        """Return the words for the clean part in a figure's second line."""
        what = f"clean part of {self.material.where}" if self.material.has_copies else self.material.where
        return f"{what}, {thousands(faces)} faces"


def draw(judged: Judged) -> dict[str, list[Drawn]]:
    """Draw, write and return the figures by section; draw inside `themed()`."""
    networks = judged.material.networks
    return {
        "scores": [_score(judged, metric) for metric in METRICS.values() if metric.has_figure],
        "differences": [_difference(judged, METRICS[name]) for name in DIFFERENCES]
        if len(networks) > 1
        else [],
        "counts": [_counts(judged)],
        "histories": _histories(judged),
        "confusion": [_confusion(judged, net) for net in networks],
        "confusion_shares": [_confusion_shares(judged, net) for net in networks],
        "confusion_differences": [
            _confusion_difference(judged, a, b) for a, b in list(combinations(networks, 2))[:MOST_PAIRS]
        ],
        "classes": [_by_class(judged, figure) for figure in CLASS_SCORES],
        "probabilities": [_probabilities(judged, net) for net in networks],
        "reliability": [_reliability(judged, net) for net in networks],
        "networks": _drawings(judged),
    }


def _spans(judged: Judged, by_part: dict[str, Interval]) -> list[tuple[float, float, float]]:
    parts = ("clean", "all") if judged.material.has_copies else ("clean",)
    return [(by_part[p].point, by_part[p].low, by_part[p].high) for p in parts]


def _score(judged: Judged, metric: Metric) -> Drawn:
    rows = []
    for net in judged.material.networks:
        verdicts = judged.verdicts[net.name]
        dots = [run[metric.name] for run in net.run_scores("clean")] if len(net.runs) > 1 else []
        band = verdicts["clean"].ece_band if metric.name == "ece" else None
        spans = _spans(judged, {part: verdict.scores[metric.name] for part, verdict in verdicts.items()})
        rows.append(Range(net.name, net.color, net.marker, spans, dots, band))
    title = capitalized(metric.title)

    def write(point: float, low: float, high: float) -> str:
        return f"{metric.text(point)}  ({metric.number(low)} to {metric.number(high)})"

    figure = charts.ranges(
        title,
        _parts_note(judged, metric.direction),
        rows,
        write=write,
        ticks=_percent_tick if metric.is_share else _decimal_tick,
    )
    values = "; ".join(f"{row.name} {write(*row.spans[0])}" for row in rows)
    return save(figure, judged.folder, f"score-{metric.name.replace('_', '-')}", f"{title}: {values}")


def _parts_note(judged: Judged, note: str) -> str:
    return f"{note}; filled: clean part, hollow: whole split" if judged.material.has_copies else note


def _percent_tick(value: float) -> str:
    return f"{100 * value:g}%"


def _decimal_tick(value: float) -> str:
    return f"{value:.3g}"


def _signed_tick(value: float) -> str:
    return "0" if abs(value) < 1e-9 else f"{value:+.3g}".replace("-", MINUS)


def _difference(judged: Judged, metric: Metric) -> Drawn:
    rows = []
    for clean, whole in zip(judged.differences["clean"], judged.differences["all"], strict=True):
        spans = _spans(judged, {"clean": clean.scores[metric.name], "all": whole.scores[metric.name]})
        color = next(net.color for net in judged.material.networks if net.name == clean.a)
        rows.append(Range(f"{clean.a} {MINUS} {clean.b}", color, "o", spans))

    def write(point: float, low: float, high: float) -> str:
        return f"{metric.change(point)}  ({metric.change(low)} to {metric.change(high)})"

    title = f"Difference in {metric.title}"
    note = _parts_note(judged, "percentage points" if metric.is_share else metric.unit)
    scale = 100 if metric.is_share else 1
    figure = charts.ranges(title, note, rows, write=write, ticks=lambda v: _signed_tick(scale * v), zero=True)
    values = "; ".join(f"{row.name} {write(*row.spans[0])}" for row in rows)
    return save(figure, judged.folder, f"difference-{metric.name.replace('_', '-')}", f"{title}: {values}")


def _counts(judged: Judged) -> Drawn:
    data = judged.material.data
    looks = [
        Series(split, series(i)[0], "s", [data.counts.get(split, {}).get(c, 0) for c in data.labels])
        for i, split in enumerate(SPLITS)
    ]
    total = sum(sum(look.values) for look in looks)
    figure = charts.bars("Faces by class and split", f"{thousands(total)} faces", data.labels, looks)
    told = "; ".join(f"{look.name} {thousands(sum(look.values))} faces" for look in looks)
    return save(figure, judged.folder, "counts", f"Bars of the faces by class in each split: {told}")


def _histories(judged: Judged) -> list[Drawn]:
    told = {net.name: [_seed_history(run) for run in net.runs] for net in judged.material.networks}
    losses = [
        value
        for seeds in told.values()
        for s in seeds
        for key in ("train_loss", "val_loss")
        for value in s[key]
    ]
    top = 1.08 * float(np.quantile(losses, 0.995))
    drawn = []
    for net in judged.material.networks:
        seeds = told[net.name]
        figure = charts.histories(net.name, net.seeds, seeds, net.color, top_loss=top)
        last = ", ".join(percent(s["val_accuracy"][s["epoch"].index(s["kept"])]) for s in seeds)
        label = f"Loss and accuracy over epochs of {net.name}; accuracy on val at the epoch kept: {last}"
        drawn.append(save(figure, judged.folder, f"history-{net.name}", label))
    return drawn


def _seed_history(run) -> dict:
    rows = run.metrics()
    history = {key: [row[key] for row in rows] for key in rows[0]}
    return {**history, "epoch": [int(n) for n in history["epoch"]], "kept": run.result()["kept_epoch"]}


def _confusion(judged: Judged, net: Network) -> Drawn:
    counts = judged.verdicts[net.name]["clean"].confusion
    rest = judged.part(round(counts.sum())) + (f", mean of {net.seeds}" if len(net.tables) > 1 else "")
    figure = charts.matrix(
        net.name,
        rest,
        judged.material.classes,
        counts / counts.max(),
        [[thousands(n) for n in row] for row in counts],
    )
    label = f"Counts of faces by true class and class read by {net.name}; {_most_mixed(judged, counts)}"
    return save(figure, judged.folder, f"confusion-{net.name}", label)


def _most_mixed(judged: Judged, counts: np.ndarray) -> str:
    off = counts - np.diag(np.diag(counts))
    if not off.any():
        return "no face is read wrongly"
    row, column = np.unravel_index(off.argmax(), off.shape)
    classes = judged.material.classes
    return f"the most frequent mistake is {classes[row]} read as {classes[column]}, of {off.max():,.1f} faces a seed"


def _confusion_shares(judged: Judged, net: Network) -> Drawn:
    shares = normalized(judged.verdicts[net.name]["clean"].confusion)
    classes = judged.material.classes
    top = max(normalized(parts["clean"].confusion).max() for parts in judged.verdicts.values())
    figure = charts.matrix(
        net.name, "percent of the faces of a class", classes, shares / top, _hundredths(shares)
    )
    recall = ", ".join(f"{c} {percent(shares[i, i], 0)}" for i, c in enumerate(classes))
    label = f"Shares of each true class by class read by {net.name}; read rightly: {recall}"
    return save(figure, judged.folder, f"confusion_shares-{net.name}", label)


def _hundredths(shares: np.ndarray) -> list[list[str]]:
    return [[f"{100 * share:.0f}" for share in row] for row in shares]


def _confusion_difference(judged: Judged, a: Network, b: Network) -> Drawn:
    change = normalized(judged.verdicts[a.name]["clean"].confusion) - normalized(
        judged.verdicts[b.name]["clean"].confusion
    )
    strongest = max(np.abs(change).max(), 0.05)
    texts = [[signed(100 * value, 0) if abs(value) >= 0.005 else "0" for value in row] for row in change]
    figure = charts.matrix(
        f"{a.name} {MINUS} {b.name}",
        "percentage points of a class",
        judged.material.classes,
        change / strongest,
        texts,
    )
    diagonal = ", ".join(f"{c} {points(change[i, i], 0)}" for i, c in enumerate(judged.material.classes))
    label = f"Difference of the shares, {a.name} minus {b.name}, in points; read rightly: {diagonal}"
    return save(figure, judged.folder, f"confusion_difference-{a.name}+{b.name}", label)


def _by_class(judged: Judged, figure_name: str) -> Drawn:
    looks: list[Series] = []
    for look in judged.looks():
        values = [getattr(c, figure_name) for c in judged.verdicts[look.name]["clean"].per_class]
        looks.append(Series(look.name, look.color, look.marker, [(v.point, v.low, v.high) for v in values]))
    main = {"f1": "F1"}.get(figure_name, figure_name.capitalize())
    figure = charts.class_ranges(main, CLASS_SCORES[figure_name], judged.material.classes, looks)
    told = "; ".join(
        f"{look.name} "
        + ", ".join(
            f"{c} {percent(v[0], 0)}" for c, v in zip(judged.material.classes, look.values, strict=True)
        )
        for look in looks
    )
    return save(figure, judged.folder, f"class-{figure_name}", f"{main} by class: {told}")


def _probabilities(judged: Judged, net: Network) -> Drawn:
    tables = judged.material.tables("clean")[net.name]
    own, others = probability_shares(tables)
    figure = charts.probabilities(
        net.name, judged.part(len(tables[0])), judged.material.classes, net.color, own, others
    )
    label = (
        f"For each class, how {net.name} distributes its probability over faces of the class and all others"
    )
    return save(figure, judged.folder, f"probabilities-{net.name}", label)


def _reliability(judged: Judged, net: Network) -> Drawn:
    tables = judged.material.tables("clean")[net.name]
    bins = SimpleNamespace(**reliability_bins(tables))
    look = Series(net.name, net.color, net.marker)
    figure = charts.reliability(net.name, judged.part(len(tables[0])), look, bins)
    verdict = judged.verdicts[net.name]["clean"]
    low, high = (decimal(edge) for edge in verdict.ece_band)
    label = (
        f"Share read rightly against probability for {net.name}; calibration error "
        f"{decimal(verdict.scores['ece'].point)}, if perfectly calibrated {low} to {high}"
    )
    return save(figure, judged.folder, f"reliability-{net.name}", label)


def _drawings(judged: Judged) -> list[Drawn]:
    networks: Sequence[Network] = judged.material.networks
    most = drawing.widest([net.told for net in networks])
    drawn = []
    for net in networks:
        figure = drawing.network(
            net.name, net.told, side=judged.material.data.side, most_channels=most, color=net.color
        )
        stages = ", ".join(stage["label"] for stage in net.told["stages"])
        drawn.append(save(figure, judged.folder, f"network-{net.name}", f"Drawing of {net.name}: {stages}"))
    return drawn
