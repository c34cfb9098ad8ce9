"""Draws every figure of a report but the faces, from verdicts and runs. Computes no score."""

from collections.abc import Callable, Sequence
from itertools import combinations
from types import SimpleNamespace

import numpy as np

from mien.compare.inputs import Network, Results
from mien.compare.shares import normalized, probability_shares, reliability_bins
from mien.judge import METRICS, Interval, Metric
from mien.judge.parts import CLEAN
from mien.labels import SPLITS
from mien.pages import charts, drawing
from mien.pages.charts import Range
from mien.pages.legend import Series
from mien.pages.report import Report
from mien.pages.theme import series
from mien.text import MINUS, capitalized, decimal, joined, percent, points, signed, thousands

MOST_PAIRS = 15  # of matrices that show a difference
DIFFERENCES = ("accuracy", "macro_f1", "log_loss")  # the scores whose differences are drawn
CLASS_SCORES = {
    "precision": "of the faces predicted as a class, how many are",
    "recall": "of a class's faces, how many are predicted as it",
    "f1": "harmonic mean of precision and recall",
}


def draw(report: Report, results: Results) -> None:
    """Draw the figures by section; draw inside `themed()`."""
    networks = results.inputs.networks
    for metric in METRICS.values():
        if metric.has_figure:
            _score(report, results, metric)
    if len(networks) > 1:
        for name in DIFFERENCES:
            _difference(report, results, METRICS[name])
    _counts(report, results)
    _histories(report, results)
    for net in networks:
        _confusion(report, results, net)
        _confusion_shares(report, results, net)
    for a, b in list(combinations(networks, 2))[:MOST_PAIRS]:
        _confusion_difference(report, results, a, b)
    for score in CLASS_SCORES:
        _by_class(report, results, score)
    for net in networks:
        _probabilities(report, results, net)
        _reliability(report, results, net)
    _drawings(report, results)


def _spans(results: Results, by_part: dict[str, Interval]) -> list[tuple[float, float, float]]:
    parts = (results.inputs.main, "all") if results.inputs.has_copies else ("all",)
    return [(by_part[p].point, by_part[p].low, by_part[p].high) for p in parts]


def _score(report: Report, results: Results, metric: Metric) -> None:
    rows = []
    for net in results.inputs.networks:
        verdicts = results.verdicts[net.name]
        dots = [run[metric.name] for run in net.run_scores(results.inputs.main)] if len(net.own) > 1 else []
        band = verdicts[results.inputs.main].ece_band if metric.name == "ece" else None
        spans = _spans(results, {part: verdict.scores[metric.name] for part, verdict in verdicts.items()})
        rows.append(Range(net.name, net.color, net.marker, spans, dots, band))
    title = capitalized(metric.title)

    def write(point: float, low: float, high: float) -> str:
        return f"{metric.text(point)}  ({metric.number(low)} to {metric.number(high)})"

    figure = charts.ranges(
        title,
        _parts_note(results, metric.direction),
        rows,
        write=write,
        ticks=_percent_tick if metric.is_share else _decimal_tick,
    )
    values = _in_words(rows, write)
    report.draw("scores", figure, f"score-{metric.name.replace('_', '-')}", f"{title}: {values}")


def _in_words(rows: Sequence[Range], write: Callable[[float, float, float], str]) -> str:
    return "; ".join(f"{row.name} {' '.join(write(*row.spans[0]).split())}" for row in rows)


def _parts_note(results: Results, note: str) -> str:
    if not results.inputs.has_copies:
        return note
    return f"{note}; filled: {CLEAN[results.inputs.main]}, hollow: whole"  # a panel's width


def _percent_tick(value: float) -> str:
    return f"{100 * value:g}%"


def _decimal_tick(value: float) -> str:
    return f"{value:.3g}"


def _signed_tick(value: float) -> str:
    return "0" if abs(value) < 1e-9 else f"{value:+.3g}".replace("-", MINUS)


def _difference(report: Report, results: Results, metric: Metric) -> None:
    rows = []
    for main, whole in zip(results.differences[results.inputs.main], results.differences["all"], strict=True):
        spans = _spans(
            results, {results.inputs.main: main.scores[metric.name], "all": whole.scores[metric.name]}
        )
        color = next(net.color for net in results.inputs.networks if net.name == main.a)
        rows.append(Range(f"{main.a} {MINUS} {main.b}", color, "o", spans))

    def write(point: float, low: float, high: float) -> str:
        return f"{metric.change(point)}  ({metric.change(low)} to {metric.change(high)})"

    title = f"Difference in {metric.title}"
    unit = "percentage points" if metric.is_share else metric.unit
    note = _parts_note(results, unit)
    scale = 100 if metric.is_share else 1
    figure = charts.ranges(title, note, rows, write=write, ticks=lambda v: _signed_tick(scale * v), zero=True)
    label = f"{title}{unit and f', {unit}'}: {_in_words(rows, write)}"
    report.draw("differences", figure, f"difference-{metric.name.replace('_', '-')}", label)


def _counts(report: Report, results: Results) -> None:
    data = results.inputs.data
    if data is None:
        return
    splits = [
        Series(split, series(i)[0], "s", [data.counts.get(split, {}).get(c, 0) for c in data.labels])
        for i, split in enumerate(SPLITS)
    ]
    total = sum(sum(series_of_split.values) for series_of_split in splits)
    figure = charts.bars("Faces by class and split", f"{thousands(total)} faces", data.labels, splits)
    totals = "; ".join(
        f"{series_of_split.name} {thousands(sum(series_of_split.values))} faces" for series_of_split in splits
    )
    report.draw("counts", figure, "counts", f"Bars of the faces by class in each split: {totals}")


def _histories(report: Report, results: Results) -> None:
    trained = results.inputs.trained
    if not trained:
        return
    histories = {net.name: [_seed_history(run) for run in net.runs] for net in trained}
    losses = [
        value
        for seeds in histories.values()
        for s in seeds
        for key in ("train_loss", "val_loss")
        for value in s[key]
    ]
    top = 1.08 * float(np.quantile(losses, 0.995))
    for net in trained:
        seeds = histories[net.name]
        figure = charts.histories(net.name, net.seeds, seeds, net.color, top_loss=top)
        last = ", ".join(percent(s["val_accuracy"][s["epoch"].index(s["kept"])]) for s in seeds)
        label = f"Loss and accuracy over epochs of {net.name}; accuracy on val at the epoch kept: {last}"
        report.draw("histories", figure, f"history-{net.name}", label)


def draw_for_paper(report: Report, results: Results) -> None:
    """Draw for print what a page has no room for: the training curves of all networks in one figure."""
    trained = results.inputs.trained
    if not trained:
        return
    histories = [[_seed_history(run) for run in net.runs] for net in trained]
    looks = [Series(net.name, net.color, net.marker) for net in trained]
    names = joined([net.name for net in trained])
    caption = (
        f"Loss (above) and accuracy (below) on the validation split over epochs of {names}, a line a run"
    )
    report.print(
        "curves",
        charts.training_curves("Training", "validation split", looks, histories),
        "training-curves",
        caption,
    )


def _seed_history(run) -> dict:
    rows = run.metrics()
    history = {key: [row[key] for row in rows] for key in rows[0]}
    return {**history, "epoch": [int(n) for n in history["epoch"]], "kept": run.result()["kept_epoch"]}


def _confusion(report: Report, results: Results, net: Network) -> None:
    counts = results.verdict(net).confusion
    rest = results.part(round(counts.sum())) + (f", mean of {net.seeds}" if len(net.tables) > 1 else "")
    figure = charts.matrix(
        net.name,
        rest,
        results.inputs.classes,
        counts / counts.max(),
        [[thousands(n) for n in row] for row in counts],
    )
    label = f"Counts of faces by true and predicted label of {net.name}; {_most_mixed(results, counts)}"
    report.draw("confusion", figure, f"confusion-{net.name}", label)


def _most_mixed(results: Results, counts: np.ndarray) -> str:
    off = counts - np.diag(np.diag(counts))
    if not off.any():
        return "every face is correct"
    row, column = np.unravel_index(off.argmax(), off.shape)
    classes = results.inputs.classes
    mistake = f"{classes[row]} predicted as {classes[column]}"
    return f"the most frequent mistake is {mistake}, of {off.max():,.1f} faces a seed"


def _confusion_shares(report: Report, results: Results, net: Network) -> None:
    shares = normalized(results.verdict(net).confusion)
    classes = results.inputs.classes
    top = max(normalized(results.verdict(each).confusion).max() for each in results.inputs.networks)
    figure = charts.matrix(
        net.name, "percent of the faces of a class", classes, shares / top, _hundredths(shares)
    )
    recall = ", ".join(f"{c} {percent(shares[i, i], 0)}" for i, c in enumerate(classes))
    label = f"Shares of each true label by predicted label of {net.name}; recall: {recall}"
    report.draw("confusion_shares", figure, f"confusion_shares-{net.name}", label)


def _hundredths(shares: np.ndarray) -> list[list[str]]:
    return [[f"{100 * share:.0f}" for share in row] for row in shares]


def _confusion_difference(report: Report, results: Results, a: Network, b: Network) -> None:
    change = normalized(results.verdict(a).confusion) - normalized(results.verdict(b).confusion)
    strongest = max(np.abs(change).max(), 0.05)
    texts = [[signed(100 * value, 0) if abs(value) >= 0.005 else "0" for value in row] for row in change]
    figure = charts.matrix(
        f"{a.name} {MINUS} {b.name}",
        "percentage points of a class",
        results.inputs.classes,
        change / strongest,
        texts,
    )
    diagonal = ", ".join(f"{c} {points(change[i, i], 0)}" for i, c in enumerate(results.inputs.classes))
    label = f"Difference of the shares, {a.name} minus {b.name}, in points; recall: {diagonal}"
    report.draw("confusion_differences", figure, f"confusion_difference-{a.name}+{b.name}", label)


def _by_class(report: Report, results: Results, figure_name: str) -> None:
    networks: list[Series] = []
    for network in results.inputs.networks:
        values = [getattr(c, figure_name) for c in results.verdict(network).per_class]
        networks.append(
            Series(network.name, network.color, network.marker, [(v.point, v.low, v.high) for v in values])
        )
    main = {"f1": "F1"}.get(figure_name, figure_name.capitalize())
    figure = charts.class_ranges(main, CLASS_SCORES[figure_name], results.inputs.classes, networks)
    recalls = "; ".join(
        f"{network.name} "
        + ", ".join(
            f"{c} {percent(v[0], 0)}" for c, v in zip(results.inputs.classes, network.values, strict=True)
        )
        for network in networks
    )
    report.draw("classes", figure, f"class-{figure_name}", f"{main} by class: {recalls}")


def _probabilities(report: Report, results: Results, net: Network) -> None:
    tables = results.inputs.tables(results.inputs.main)[net.name]
    own, others = probability_shares(tables)
    figure = charts.probabilities(
        net.name, results.part(len(tables[0])), results.inputs.classes, net.color, own, others
    )
    label = (
        f"For each class, how {net.name} distributes its probability over faces of the class and all others"
    )
    report.draw("probabilities", figure, f"probabilities-{net.name}", label)


def _reliability(report: Report, results: Results, net: Network) -> None:
    tables = results.inputs.tables(results.inputs.main)[net.name]
    bins = SimpleNamespace(**reliability_bins(tables))
    style = Series(net.name, net.color, net.marker)
    figure = charts.reliability(net.name, results.part(len(tables[0])), style, bins)
    verdict = results.verdict(net)
    low, high = (decimal(edge) for edge in verdict.ece_band)
    label = (
        f"Accuracy against confidence of {net.name}; calibration error "
        f"{decimal(verdict.scores['ece'].point)}, if perfectly calibrated {low} to {high}"
    )
    report.draw("reliability", figure, f"reliability-{net.name}", label)


def _drawings(report: Report, results: Results) -> None:
    networks, data = results.inputs.trained, results.inputs.data
    if not networks or data is None:
        return
    most = drawing.widest([net.summary for net in networks])
    for net in networks:
        figure = drawing.network(net.name, net.summary, side=data.side, most_channels=most, color=net.color)
        stages = ", ".join(stage["label"] for stage in net.summary["stages"])
        report.draw("networks", figure, f"network-{net.name}", f"Drawing of {net.name}: {stages}")
