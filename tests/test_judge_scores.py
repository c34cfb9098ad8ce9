import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mien.errors import DataError
from mien.judge import (
    METRICS,
    accuracy,
    auroc,
    balanced_accuracy,
    brier,
    confusion,
    ece,
    log_loss,
    macro_f1,
    mcc,
    metrics,
    reliability,
    top_2_accuracy,
)
from mien.judge.metrics import scores_of, shares_of
from mien.judge.sums import BLOCK_ROWS, Sample, add_up, running_sums
from mien.predictions import Predictions

SCORES = tuple(getattr(metrics, name) for name in METRICS)


def faces(seed: int, count: int = 200, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (count,) and probabilities (count, classes) that are right more often than chance."""
    rng = np.random.default_rng([7, seed])
    labels = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), labels] += 1
    probs = np.exp(logits)
    return labels, probs / probs.sum(1, keepdims=True)


def without_guesses_of(probs: np.ndarray, index: int) -> np.ndarray:
    """Return probabilities under which one class is never the most probable."""
    probs = probs.copy()
    probs[:, index] = 0
    return probs / probs.sum(1, keepdims=True)


def slow_ece(labels, probs, bins=15) -> float:
    """Guo et al. 2017, equations 2 to 5, one face and one bin at a time."""
    total = 0.0
    for m in range(bins):
        inside = [i for i in range(len(labels)) if m / bins < max(probs[i]) <= (m + 1) / bins]
        if inside:
            right = sum(int(np.argmax(probs[i])) == labels[i] for i in inside) / len(inside)
            sure = sum(max(probs[i]) for i in inside) / len(inside)
            total += len(inside) / len(labels) * abs(right - sure)
    return total


class TestAgainstOthers:
    """The points are those of independent implementations."""

    @pytest.mark.parametrize("seed", range(5))
    def test_scikit_learn_has_the_same_points(self, seed):
        """Accuracy, balanced accuracy, macro F1, log loss and Brier equal scikit-learn's."""
        labels, probs = faces(seed, classes=2 + seed)
        guesses = probs.argmax(1)
        classes = range(probs.shape[1])

        assert sk.accuracy_score(labels, guesses) == pytest.approx(accuracy(labels, probs), abs=1e-12)
        assert sk.balanced_accuracy_score(labels, guesses) == pytest.approx(balanced_accuracy(labels, probs))
        assert sk.f1_score(labels, guesses, average="macro") == pytest.approx(macro_f1(labels, probs))
        assert sk.log_loss(labels, probs, labels=classes) == pytest.approx(log_loss(labels, probs))
        assert ((probs - np.eye(len(classes))[labels]) ** 2).sum(1).mean() == pytest.approx(
            brier(labels, probs)
        )
        assert np.mean(
            [y in row.argsort()[-2:] for y, row in zip(labels, probs, strict=True)]
        ) == pytest.approx(top_2_accuracy(labels, probs))
        assert sk.matthews_corrcoef(labels, guesses) == pytest.approx(mcc(labels, probs))
        scores = probs[:, 1] if len(classes) == 2 else probs
        assert sk.roc_auc_score(labels, scores, multi_class="ovr") == pytest.approx(auroc(labels, probs))

    @pytest.mark.parametrize("rows", [0, 1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 5 * BLOCK_ROWS + 3])
    def test_running_sums_are_exact_at_every_length(self, rows):
        """Sums in blocks, of which the last may be shorter, are those of numpy, which adds column by column."""
        rng = np.random.default_rng(rows)
        times = rng.integers(0, 5, (40, 7)).astype(np.float32)
        picked = rng.integers(40, size=rows)
        expected = np.concatenate([np.zeros((1, 7), np.float32), times[picked].cumsum(0)])

        assert np.array_equal(expected, running_sums(times, picked))

    def test_equal_probabilities_count_half_in_auroc(self):
        """Ties are half won, as in scikit-learn, and faces of one class alone give 0.5."""
        labels, probs = faces(5, classes=2)
        probs = np.round(probs, 1)

        assert sk.roc_auc_score(labels, probs[:, 1]) == pytest.approx(auroc(labels, probs))
        assert 0.5 == auroc(labels, np.full((200, 2), 0.5)) == auroc(np.zeros(200, int), probs)

    def test_two_classes_have_twice_the_binary_brier_score(self):
        """The Brier score sums over classes, so with two it is twice scikit-learn's binary one."""
        labels, probs = faces(0, classes=2)

        assert 2 * sk.brier_score_loss(labels, probs[:, 1]) == pytest.approx(brier(labels, probs))

    def test_a_class_never_guessed_has_f1_zero_and_counts(self):
        """A class that is never guessed stays in the mean of macro F1 with 0."""
        labels, probs = faces(1)
        probs = without_guesses_of(probs, 2)
        expected = sk.f1_score(labels, probs.argmax(1), average="macro", zero_division=0)

        assert expected == pytest.approx(macro_f1(labels, probs))

    def test_a_class_without_faces_is_in_no_mean(self):
        """Balanced accuracy, macro F1 and AUROC leave out a class without faces, also where it is guessed."""
        labels, probs = faces(2)
        keep = labels != 3
        labels, probs = labels[keep], probs[keep]
        guesses = probs.argmax(1)
        assert (guesses == 3).any()
        with warnings.catch_warnings():
            # scikit-learn (since 0.20) warns of the very case that is tested here.
            warnings.simplefilter("ignore", UserWarning)
            balanced = sk.balanced_accuracy_score(labels, guesses)

        there = np.unique(labels)
        f1 = sk.f1_score(labels, guesses, labels=there, average="macro")
        areas = [sk.roc_auc_score(labels == c, probs[:, c]) for c in there]

        assert balanced == pytest.approx(balanced_accuracy(labels, probs))
        assert f1 == pytest.approx(macro_f1(labels, probs))
        assert np.mean(areas) == pytest.approx(auroc(labels, probs))

    def test_a_class_without_faces_and_guesses_counts_nowhere(self):
        """A column that is neither true nor guessed changes no score of guesses."""
        labels, probs = faces(3)
        wider = np.column_stack([probs, np.zeros(len(probs))])

        for score in SCORES:
            assert score(labels, probs) == pytest.approx(score(labels, wider))

    def test_log_loss_of_a_zero_is_finite(self):
        """A true class of probability 0 counts as 1e-15."""
        expected = (-np.log(1e-15) - np.log(0.5)) / 2

        assert expected == pytest.approx(log_loss([0, 1], [[0, 1], [0.5, 0.5]]))

    def test_confusion_is_scikit_learns(self):
        """The matrix holds counts as int64, rows true and columns guessed, classes without faces too."""
        labels, probs = faces(4)
        keep = labels != 1
        actual = confusion(labels[keep], probs[keep])
        expected = sk.confusion_matrix(labels[keep], probs[keep].argmax(1), labels=range(5))

        assert expected.tolist() == actual.tolist()
        assert np.int64 == actual.dtype

    def test_shares_are_scikit_learns(self):
        """Precision, recall and F1 of each class equal scikit-learn's, zeros included."""
        labels, probs = faces(5)
        keep = labels != 0
        labels, probs = labels[keep], without_guesses_of(probs[keep], 4)
        expected = sk.precision_recall_fscore_support(
            labels, probs.argmax(1), labels=range(5), zero_division=0
        )
        actual = shares_of(add_up(labels, probs))

        np.testing.assert_allclose(np.stack(expected[:3], axis=1), actual)
        assert actual[0, 1] == 0 == actual[4, 0]

    @pytest.mark.parametrize("bins", [1, 7, 15])
    def test_ece_is_the_slow_loops(self, bins):
        """ECE equals a loop over bins and faces written from the paper."""
        labels, probs = faces(6, classes=3)

        assert slow_ece(labels, probs, bins) == pytest.approx(ece(labels, probs, bins))

    def test_bins_hold_their_upper_edge(self):
        """A confidence on an edge belongs to the bin below it, and 1 to the last bin."""
        edges = np.linspace(0, 1, 16)[8:]
        probs = np.stack([edges, 1 - edges], axis=1)
        count = reliability(np.zeros(8, int), probs).count

        assert [0] * 7 + [1] * 8 == count.tolist()


class TestReliability:
    """The numbers of a reliability diagram."""

    def test_ece_is_its_weighted_gap(self):
        """The gaps between accuracy and confidence, weighted by count, sum to the ECE."""
        labels, probs = faces(8)
        diagram = reliability(labels, probs)
        gap = np.nan_to_num(np.abs(diagram.accuracy - diagram.confidence))

        assert (gap * diagram.count).sum() / len(labels) == pytest.approx(ece(labels, probs))
        assert len(labels) == diagram.count.sum()

    def test_means_are_those_of_the_bins_faces(self):
        """Confidence and accuracy of a bin are means over its faces alone; an empty bin has nan."""
        diagram = reliability([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]], bins=5)

        assert [0, 0, 0, 1, 2] == diagram.count.tolist()
        assert [0.7, 0.9] == pytest.approx(diagram.confidence[3:].tolist())
        assert [1.0, 0.5] == pytest.approx(diagram.accuracy[3:].tolist())
        assert np.isnan(diagram.accuracy[:3]).all() and np.isnan(diagram.confidence[:3]).all()
        assert [None, None, None, 1.0, 0.5] == diagram.to_dict()["accuracy"]


class TestSums:
    """Every score is a function of sums that add up."""

    def test_sums_of_resampled_faces_give_the_scores_of_resampled_faces(self):
        """Multiplying groups' sums by how often each was drawn equals copying the faces."""
        labels, probs = faces(9, count=90)
        rng = np.random.default_rng(1)
        group = np.concatenate([np.arange(30), rng.integers(30, size=60)])
        times = rng.integers(4, size=30)
        copied = np.repeat(np.arange(90), times[group])
        everywhere = np.ones(90, bool)
        table = Predictions(
            tuple("abcde"), np.arange(90), labels, np.full(90, "val"), probs, group, everywhere
        )
        actual = scores_of(Sample.of([table], group).drawn(times[None]))[0, 0]
        expected = [score(labels[copied], probs[copied]) for score in SCORES]

        assert expected == pytest.approx(actual.tolist())

    def test_every_metric_stands_under_its_own_name(self):
        """A metric's key in METRICS is its name, and a public function of that name gives it."""
        assert [metric.name for metric in METRICS.values()] == list(METRICS)
        assert [score.__name__ for score in SCORES] == list(METRICS)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 6))
    def test_scores_stay_in_bounds_and_ignore_the_order_of_faces(self, seed, count, classes):
        """Scores lie within their range, and neither shuffled faces nor renamed classes change them."""
        labels, probs = faces(seed, count, classes)
        rng = np.random.default_rng(seed)
        rows, columns = rng.permutation(count), rng.permutation(classes)
        moved = np.argsort(columns)[labels[rows]], probs[rows][:, columns]

        for name, score in zip(METRICS, SCORES, strict=True):
            assert METRICS[name].lowest <= score(labels, probs) <= METRICS[name].highest
            assert score(labels, probs) == pytest.approx(score(*moved))

    def test_perfect_and_hopeless_guesses_reach_the_bounds(self):
        """Certain right guesses have the best value of each score; certain wrong ones the worst."""
        right, wrong = np.eye(3), np.eye(3)[[1, 2, 0]]

        for name, score in zip(METRICS, SCORES, strict=True):
            metric, best, worst = METRICS[name], score(range(3), right), score(range(3), wrong)
            ends = (metric.lowest, metric.highest)
            # with three classes MCC ends at -1/2 and AUROC at 1/4; the second of equal places is right by chance
            hopeless = {"mcc": -0.5, "auroc": 0.25, "top_2_accuracy": 1 / 3}
            lowest = hopeless.get(name, ends[not metric.higher_is_better])
            assert ends[metric.higher_is_better] == pytest.approx(best, abs=1e-12)
            assert lowest == pytest.approx(worst)


@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        ([], np.empty((0, 2)), "there is no face to judge"),
        ([0, 1], [[0.5, 0.5]], r"labels of shape \(2,\) do not go with probabilities of shape \(1, 2\)"),
        ([0], [0.5], "do not go with"),
        ([0], [[1.0]], "do not go with"),
        ([0.0], [[0.5, 0.5]], "labels must be whole numbers .* not float64"),
        ([0, 2], [[0.5, 0.5]] * 2, "face 1: label 2 is no class, there are 2"),
        ([-1], [[0.5, 0.5]], "face 0: label -1 is no class"),
        ([0, 0], [[0.5, 0.5], [3.0, -2.0]], r"face 1: .* \(logits need a softmax first\)"),
        ([0], [[0.5, 0.4]], "face 0: probabilities must be 0..1 and sum to 1"),
        ([0], [[np.nan, 1.0]], "face 0: probabilities must be 0..1 and sum to 1"),
    ],
)
def test_unusable_input_is_refused_in_words(labels, probs, message):
    """Labels and probabilities that do not fit raise DataError naming the first face at fault."""
    for score in (*SCORES, confusion, reliability):
        with pytest.raises(DataError, match=message):
            score(labels, probs)


def test_narrow_types_are_judged_as_wide_ones():
    """Labels as uint8 and probabilities as float32 give the same points within float32's precision."""
    labels, probs = faces(10)

    for score in SCORES:
        assert score(labels, probs) == pytest.approx(
            score(labels.astype(np.uint8), probs.astype(np.float32)), rel=1e-4
        )
