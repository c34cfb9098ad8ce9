"""Selective classification: accuracy among the faces of high confidence. Knows nothing about models or pictures.

A risk-coverage curve (El-Yaniv and Wiener, "On the foundations of noise-free selective classification", 2010): the
share of faces that get an answer when the others are left "uncertain", against the accuracy among those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.files import make_folder, write_csv
from mien.judge.alignment import group_numbers
from mien.judge.bootstrap import Interval, bootstrap, interval, with_exact_end
from mien.judge.parts import only_part, parts_of
from mien.judge.sums import Sample, Sums
from mien.predictions import Predictions
from mien.text import many

SHARES = np.linspace(0.05, 1, 20)
FEWEST = 40  # faces; with fewer the most confident twentieth is a face or two


@dataclass(frozen=True, slots=True)
class Answered:
    """What a threshold gives: faces whose highest probability is at least `threshold` are answered."""

    threshold: float
    share: Interval  # of the faces
    accuracy: Interval  # among the answered


def risk_coverage(
    table: Predictions, thresholds: Sequence[float] = (), *, draws: int = 2000
) -> list[Answered]:
    """Return what thresholds give, or else those that answer 5, 10, … 100 % of the faces, the strictest first.

    Intervals are over faces, copies drawn together, at a fixed threshold. DataError for fewer than 40 faces, and where
    a threshold leaves none to be answered.
    """
    if len(table) < FEWEST:
        raise DataError(
            f"{many(len(table), 'face is', 'faces are')} too few for a curve; {FEWEST} are needed"
        )
    confidence, right = table.probs.max(1), table.probs.argmax(1) == table.labels
    cuts = sorted(thresholds, reverse=True) or np.quantile(confidence, 1 - SHARES, method="lower").tolist()
    answered = confidence[:, None] >= np.array([*cuts, 0.0])  # the last column counts all faces
    if not answered.any(0).all():
        raise DataError(f"no face has a confidence of {max(cuts):g} or more; give a lower threshold")
    figures = np.concatenate([answered, answered & right[:, None]], axis=1).astype(np.float64)
    group = group_numbers(table)
    sums = np.zeros((1, group.max() + 1, figures.shape[1]))
    np.add.at(sums[0], group, figures)
    points = _shares(Sums(sums.sum(1), 0))[0]
    (values,) = bootstrap([Sample(Sums(sums, 0))], _shares, draws=draws, seed=0)
    spans = [interval(p, drawn, lowest=0, highest=1) for p, drawn in zip(points, values.T, strict=True)]
    # groups with an answered face, by threshold; the last number is that of all
    groups = (sums[0] > 0).sum(0).tolist()
    cases = [groups[len(cuts)]] * len(cuts) + groups[: len(cuts)]
    spans = [with_exact_end(span, n) for span, n in zip(spans, cases, strict=True)]
    return [
        Answered(float(t), share, accuracy)
        for t, share, accuracy in zip(cuts, spans, spans[len(cuts) :], strict=False)
    ]


def _shares(sums: Sums) -> np.ndarray:
    """Return the shares answered and the accuracies among them; nan where a draw has none answered."""
    answered, right = np.split(sums.flat, 2, axis=-1)
    among = np.where(answered > 0, right / np.maximum(answered, 1), np.nan)
    return np.concatenate([(answered / answered[..., -1:])[..., :-1], among[..., :-1]], axis=-1)


def write_coverage(
    tables: Mapping[str, Predictions], folder: Path, *, threshold: float | None = None, draws: int = 2000
) -> str:
    """Write coverage.csv, coverage.svg and coverage.png of tables into a folder; return what the threshold gives.

    The curve and the sentence are about the strictest part, clean or strictly clean, where there are other faces too.
    """
    from mien.pages import figures
    from mien.pages.charts import coverage

    folder = Path(folder)
    clean = {name: only_part([table], parts_of(table)[0])[0] for name, table in tables.items()}
    curves: dict[str, list[Answered]] = {}
    marks: dict[str, Answered] = {}
    for name, table in clean.items():
        try:
            curves[name] = risk_coverage(table, draws=draws)
            if threshold is not None:
                (marks[name],) = risk_coverage(table, [threshold], draws=draws)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    rows = [row for name, curve in curves.items() for row in _rows(name, curve, marks.get(name))]
    head = ("table", "answered_from", "share", "accuracy", "low", "high", "marked")
    with figures.themed():
        make_folder(folder)
        write_csv(folder / "coverage.csv", head, rows)
        counts = dict.fromkeys(f"{len(table):,}" for table in clean.values())
        rest = f"{' and '.join(counts)} faces; the band is the 95 % interval"
        figure = coverage("Accuracy of the answered faces", rest, curves, marks)
        figures.save(figure, folder, "coverage", "Accuracy among the faces that get an answer")
    return "\n".join(_sentence(name, clean[name], curves[name][-1], mark) for name, mark in marks.items())


def _rows(name: str, curve: Sequence[Answered], mark: Answered | None) -> list[tuple[str | int, ...]]:
    answered = [*curve, mark] if mark else [*curve]
    answered.sort(key=lambda one: -one.threshold)
    return [
        (name, f"{one.threshold:.4f}", f"{one.share.point:.4f}",
         *(f"{x:.4f}" for x in (one.accuracy.point, one.accuracy.low, one.accuracy.high)), int(one is mark))
        for one in answered
    ]  # fmt: skip


def _sentence(name: str, table: Predictions, whole: Answered, mark: Answered) -> str:
    figures = [(mark.share, "answered"), (mark.accuracy, "of those correct"), (whole.accuracy, "of all")]
    parts = [f"{100 * x.point:.1f} % [{100 * x.low:.1f}, {100 * x.high:.1f}] {words}" for x, words in figures]
    return f"{name}, {many(len(table), 'face')}, answered from {mark.threshold:g} on: {', '.join(parts)}"
