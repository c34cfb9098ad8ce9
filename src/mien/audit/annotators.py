"""What annotators reach on each split, the ceiling for networks there."""

import numpy as np

from mien.audit.data import AuditData
from mien.dataset import class_votes, not_asked
from mien.judge import Annotators, judge_annotators
from mien.labels import SPLITS

AnnotatorsBySplit = dict[str, Annotators]


def find_annotators(data: AuditData) -> AnnotatorsBySplit:
    """Judge annotators on each split by its labels; empty without votes for the data set's classes."""
    classes = data.info.labels
    if data.votes is None or not_asked(classes):
        return {}
    votes = class_votes(data.votes, classes)
    labels = np.array([classes.index(label) for label in data.labels])
    judged = {}
    for stage, split in enumerate(SPLITS):
        rows = data.stage == stage
        if annotators := judge_annotators(votes[rows], labels[rows], data.first[rows]):
            judged[split] = annotators
    return judged
