import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import DataError
from mien.judge import beside_annotators, judge_annotators


def faces(*rows: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return votes of faces, and groups without copies."""
    votes = np.array(rows)
    return votes, np.arange(len(votes)).astype(str)


def brute_force(votes: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Return what `judge_annotators` says, one annotator at a time."""
    majority, one, others = [], [], []
    for row, label in zip(votes, labels, strict=True):
        tied = np.flatnonzero(row == row.max())
        majority.append((label in tied) / len(tied))
        answers = np.repeat(np.arange(len(row)), row)
        one.append(np.mean(answers == label))
        shares = []
        for place, answer in enumerate(answers):
            rest = np.bincount(np.delete(answers, place), minlength=len(row))
            shares.append((rest[answer] == rest.max()) / (rest == rest.max()).sum())
        others.append(np.mean(shares))
    return float(np.mean(majority)), float(np.mean(one)), float(np.mean(others))


def test_known_votes_give_known_shares():
    """A label with 8 of 10 votes is the majority's; nine in ten and a tie count as what they are."""
    votes, groups = faces((8, 2, 0), (5, 5, 0), (0, 0, 10))

    annotators = judge_annotators(votes, np.array([0, 0, 1]), groups)

    assert annotators is not None
    assert 3 == annotators.faces
    assert (1 + 0.5 + 0) / 3 == pytest.approx(annotators.majority.point)
    assert (0.8 + 0.5 + 0) / 3 == pytest.approx(annotators.one.point)
    assert (0.8 + 0 + 1) / 3 == pytest.approx(annotators.one_by_others.point)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(0, 9)
)
def test_shares_are_those_of_each_annotator_in_turn(rows, seed):
    """For any votes the expected shares are the means over annotators; faces with fewer than two votes are left out."""
    votes, groups = faces(*rows)
    labels = np.random.default_rng(seed).integers(0, 3, len(rows))
    enough = votes.sum(1) >= 2

    annotators = judge_annotators(votes, labels, groups, draws=100)

    if not enough.any():
        assert annotators is None
        return
    assert annotators is not None
    expected = brute_force(votes[enough], labels[enough])
    values = annotators.majority, annotators.one, annotators.one_by_others
    assert expected == pytest.approx([value.point for value in values])
    assert all(value.low <= value.point <= value.high for value in values)


def test_a_network_beside_one_annotator():
    """Always with the majority it is ahead of one annotator by what that one misses; never with a vote, behind."""
    votes, groups = faces(*[(7, 3, 0)] * 40)
    labels, predicted = np.zeros(40, int), np.zeros((2, 40), int)

    beside = beside_annotators(predicted, votes, labels, groups)
    behind = beside_annotators(predicted + 2, votes, labels, groups)

    assert beside is not None and behind is not None
    assert [0.3, 0.3] == pytest.approx([beside.by_labels.point, beside.by_others.point])
    assert [-0.7, -0.7] == pytest.approx([behind.by_labels.point, behind.by_others.point])


def test_copies_are_one_observation():
    """Eight copies of each face make no interval narrower."""
    rng = np.random.default_rng(0)
    votes, groups = faces(*rng.multinomial(10, [0.4, 0.3, 0.3], 60).tolist())
    labels = rng.integers(0, 3, 60)
    copied = np.repeat(votes, 8, 0), np.repeat(labels, 8), np.repeat(groups, 8)

    alone, together = judge_annotators(votes, labels, groups), judge_annotators(*copied)

    assert alone is not None and together is not None
    assert 60 * 8 == together.faces
    assert list(alone.one.to_dict().values()) == pytest.approx(list(together.one.to_dict().values()))


def test_arrays_of_different_faces_are_refused():
    """Votes, labels and groups of different lengths are a DataError."""
    votes, groups = faces((1, 1), (2, 0))

    with pytest.raises(DataError):
        judge_annotators(votes, np.array([0]), groups)
