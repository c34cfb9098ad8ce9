"""Judges predictions: labels and probabilities in, numbers with 95 % intervals out.

`judge` gives the verdict on one network, `differences` compares several on the same faces,
`table` prints. Needs numpy alone; knows nothing about networks, runs or pictures.
"""

from mien.judge.alignment import align
from mien.judge.paired import Difference, SeedPair, differences, holm, mcnemar_exact
from mien.judge.scores import (
    HIGHER_IS_BETTER,
    METRICS,
    Interval,
    Reliability,
    accuracy,
    balanced_accuracy,
    brier,
    confusion,
    ece,
    log_loss,
    macro_f1,
    reliability,
)
from mien.judge.text import per_class_table, table
from mien.judge.verdict import ClassScores, Verdict, judge

__all__ = [
    "HIGHER_IS_BETTER",
    "METRICS",
    "ClassScores",
    "Difference",
    "Interval",
    "Reliability",
    "SeedPair",
    "Verdict",
    "accuracy",
    "align",
    "balanced_accuracy",
    "brier",
    "confusion",
    "differences",
    "ece",
    "holm",
    "judge",
    "log_loss",
    "macro_f1",
    "mcnemar_exact",
    "per_class_table",
    "reliability",
    "table",
]
