"""Networks beside the annotators of the same faces, where the data set has their votes. Fills no page."""

from dataclasses import dataclass

import numpy as np

from mien.compare.inputs import ComparisonInput
from mien.judge import Annotators, BesideAnnotators, beside_annotators, judge_annotators
from mien.judge.text import annotators_sentence, points_with_interval
from mien.pages.tables import Column, Data


@dataclass(frozen=True, slots=True)
class Humans:
    """What annotators reach, and what networks reach beyond one of them."""

    annotators: Annotators
    networks: dict[str, BesideAnnotators]

    def data(self) -> Data:
        """Return a row a network and measure: its accuracy minus one annotator's."""
        rows = [
            (name, measure, points_with_interval(value), value.point, value.low, value.high)
            for name, beside in self.networks.items()
            for measure, value in (
                ("by the labels", beside.by_labels),
                ("by the others' majority", beside.by_others),
            )
        ]
        columns = (
            Column("network", ""),
            Column("measure", "accuracy"),
            Column("", "minus one annotator's, points", in_file=False),
            *map(Column, ("difference", "low", "high")),
        )
        return Data(columns, rows)


def judge_humans(inputs: ComparisonInput, draws: int) -> Humans | None:
    """Judge annotators and networks on all faces that are compared; None where votes are not known."""
    faces, dataset = inputs.faces, inputs.dataset
    if dataset is None or sorted(dataset.info.labels) != sorted(inputs.classes):
        return None
    votes = dataset.class_votes(faces.ids)
    if votes is None:
        return None
    votes = votes[:, [dataset.info.labels.index(label) for label in inputs.classes]]
    annotators = judge_annotators(votes, faces.labels, faces.groups, draws=draws)
    if annotators is None:
        return None
    networks = {}
    for net in inputs.networks:
        predicted = np.stack([table.probs.argmax(1) for table in net.tables])
        networks[net.name] = beside_annotators(predicted, votes, faces.labels, faces.groups, draws=draws)
    return Humans(annotators, networks)


def about_humans(inputs: ComparisonInput, humans: Humans | None) -> str:
    """Return what annotators reach, as a sentence, or "" where votes are not known."""
    if humans is None:
        return ""
    return f"{annotators_sentence(humans.annotators, inputs.where)} Those who gave none of the classes are left out."
