"""Judges predictions: labels and probabilities in, numbers with 95 % intervals out.

`judge` gives the verdict on one network, `differences` compares several on the same faces,
`table` prints. Needs numpy alone; knows nothing about networks, runs or pictures.
"""

from mien.judge.alignment import align
from mien.judge.annotators import Annotators, BesideAnnotators, beside_annotators, judge_annotators
from mien.judge.bootstrap import Interval
from mien.judge.metrics import (
    METRICS,
    Metric,
    Reliability,
    accuracy,
    auroc,
    balanced_accuracy,
    brier,
    confusion,
    ece,
    log_loss,
    macro_f1,
    mcc,
    reliability,
    top_2_accuracy,
)
from mien.judge.paired import Difference, SeedPair, differences, holm, mcnemar_exact
from mien.judge.text import per_class_table, table
from mien.judge.verdict import ClassScores, Verdict, judge

__all__ = [
    "METRICS",
    "Annotators",
    "BesideAnnotators",
    "ClassScores",
    "Difference",
    "Interval",
    "Metric",
    "Reliability",
    "SeedPair",
    "Verdict",
    "accuracy",
    "align",
    "auroc",
    "balanced_accuracy",
    "beside_annotators",
    "brier",
    "confusion",
    "differences",
    "ece",
    "holm",
    "judge",
    "judge_annotators",
    "log_loss",
    "macro_f1",
    "mcc",
    "mcnemar_exact",
    "per_class_table",
    "reliability",
    "table",
    "top_2_accuracy",
]
