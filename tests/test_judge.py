import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mien.errors import DataError
from mien.judge import METRICS, Interval, Verdict, judge, metrics
from mien.judge.alignment import group_numbers
from mien.judge.bootstrap import bootstrap, interval
from mien.judge.metrics import scores_of
from mien.judge.sums import Sample, Sums
from mien.predictions import Predictions


def predictions(labels, probs, groups=None, classes=None) -> Predictions:
    """Return a table of predictions with ids f00000, f00001 and so on."""
    ids = np.array([f"f{i:05d}" for i in range(len(labels))])
    classes = classes or tuple("abcdefghij"[: np.shape(probs)[1]])
    groups = ids if groups is None else np.array([f"g{g}" for g in groups])
    return Predictions(
        classes, ids, np.asarray(labels), np.full(len(ids), "test"), np.asarray(probs), groups, ids == ids
    )


def network(
    rng: np.random.Generator, count: int = 60, seeds: int = 1, *, classes: int = 3, skill=1.0, spread=0.0
) -> list[Predictions]:
    """Return the tables of a network's seeds; `spread` is the standard deviation of their skill."""
    labels = rng.integers(classes, size=count)
    shared = rng.normal(size=(count, classes))
    tables = []
    for _ in range(seeds):
        logits = shared + 0.5 * rng.normal(size=(count, classes))
        logits[np.arange(count), labels] += skill + spread * rng.normal()
        probs = np.exp(logits)
        tables.append(predictions(labels, probs / probs.sum(1, keepdims=True)))
    return tables


def from_right(right, groups=None) -> Predictions:
    """Return a table of two classes whose faces are classified correctly where `right` says so."""
    right = np.asarray(right, bool)
    labels = np.arange(len(right)) % 2
    guesses = np.where(right, labels, 1 - labels)
    return predictions(labels, np.where(np.eye(2)[guesses] == 1, 0.8, 0.2), groups)


def copied(one: Predictions, times: int, *, grouped: bool) -> Predictions:
    """Return the table with every face standing `times` times, grouped or as if they were different."""
    rows = np.repeat(np.arange(len(one)), times)
    return predictions(one.labels[rows], one.probs[rows], rows if grouped else None, one.classes)


def shuffled(one: Predictions, rng: np.random.Generator) -> Predictions:
    """Return the table with its rows in another order."""
    return one.only(rng.permutation(len(one)))


def ends(verdict: Verdict, metric: str = "accuracy") -> tuple[float, float]:
    """Return low and high of one score."""
    return verdict.scores[metric].low, verdict.scores[metric].high


class TestPoints:
    """The verdict's points."""

    def test_one_seeds_points_are_the_plain_functions(self):
        """With one seed the points equal accuracy(...) and the other functions, and no sd is given."""
        (one,) = network(np.random.default_rng(0))
        verdict = judge([one], draws=100)
        expected = {metric: getattr(metrics, metric)(one.labels, one.probs) for metric in METRICS}

        assert expected == pytest.approx({m: verdict.scores[m].point for m in METRICS})
        assert [pytest.approx(expected)] == verdict.per_seed
        assert verdict.seed_sd is None
        assert (60, 60, 1) == (verdict.faces, verdict.groups, verdict.seeds)

    def test_several_seeds_points_are_their_mean(self):
        """With three seeds the points, the matrix and the class shares are means; sd has ddof 1."""
        tables = network(np.random.default_rng(1), seeds=3, spread=0.3)
        verdict = judge(tables, draws=100)
        each = [metrics.macro_f1(t.labels, t.probs) for t in tables]
        matrices = [metrics.confusion(t.labels, t.probs) for t in tables]
        recalls = [matrix[1, 1] / matrix[1].sum() for matrix in matrices]

        assert np.mean(each) == pytest.approx(verdict.scores["macro_f1"].point)
        assert np.std(each, ddof=1) == pytest.approx(verdict.seed_sd["macro_f1"])
        assert each == pytest.approx([seed["macro_f1"] for seed in verdict.per_seed])
        np.testing.assert_allclose(np.mean(matrices, axis=0), verdict.confusion)
        assert np.mean(recalls) == pytest.approx(verdict.per_class[1].recall.point)
        assert matrices[0][1].sum() == verdict.per_class[1].support

    def test_a_share_of_no_faces_has_the_widest_interval(self):
        """Precision of a class never guessed and recall of one without faces are 0 in 0..1."""
        labels = [0, 0, 1, 1]
        probs = np.eye(4)[[0, 0, 0, 2]]
        by_label = {each.label: each for each in judge([predictions(labels, probs)], draws=100).per_class}

        assert Interval(0.0, 0.0, 1.0) == by_label["b"].precision == by_label["c"].recall
        assert (0.0, 0.0) == (by_label["b"].recall.point, by_label["b"].recall.low)
        assert 1 - 0.025**0.5 == pytest.approx(by_label["b"].recall.high)  # none of two, Clopper and Pearson
        assert [2, 2, 0, 0] == [each.support for each in by_label.values()]


class TestIntervals:
    """The bootstrap by face, by group and by seed."""

    @pytest.mark.parametrize("right", [True, False])
    def test_where_all_faces_agree_the_interval_is_exact(self, right):
        """Of 20 faces in 5 groups all right, or none: the interval is that of 5 cases, not of no width."""
        labels = [0, 1] * 10
        probs = np.eye(2)[labels if right else [1 - label for label in labels]]
        table = dataclasses.replace(
            predictions(labels, probs), groups=np.array([str(i // 4) for i in range(20)])
        )
        verdict = judge([table], draws=100)
        end = stats.binomtest(5 if right else 0, 5).proportion_ci(method="exact")

        for share in (verdict.scores["accuracy"], *(each.recall for each in verdict.per_class)):
            assert (end.low, end.high) == pytest.approx((share.low, share.high))

    def test_accuracy_interval_is_the_binomials(self):
        """For independent faces accuracy's interval is the normal approximation of the binomial's."""
        right = np.random.default_rng(2).random(3000) < 0.7
        verdict = judge([from_right(right)], draws=4000)
        half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 3000)

        assert right.mean() - half == pytest.approx(ends(verdict)[0], abs=0.06 * half)
        assert right.mean() + half == pytest.approx(ends(verdict)[1], abs=0.06 * half)

    def test_log_loss_interval_is_scipys(self):
        """The interval of log loss agrees with scipy's percentile bootstrap of the mean."""
        (one,) = network(np.random.default_rng(3), count=400)
        losses = -np.log(one.probs[np.arange(400), one.labels])
        theirs = stats.bootstrap(
            (losses,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
        ).confidence_interval
        low, high = ends(judge([one], draws=4000), "log_loss")

        assert theirs.low == pytest.approx(low, abs=0.06 * (high - low))
        assert theirs.high == pytest.approx(high, abs=0.06 * (high - low))

    def test_copies_add_nothing(self):
        """Four grouped copies of every face leave all intervals as they were."""
        (one,) = network(np.random.default_rng(4), count=80)
        single, grouped = judge([one], draws=300), judge([copied(one, 4, grouped=True)], draws=300)

        assert (80, 80) == (single.groups, grouped.groups)
        assert 320 == grouped.faces
        for metric in METRICS:
            assert ends(single, metric) == pytest.approx(ends(grouped, metric))
        assert single.ece_band == pytest.approx(grouped.ece_band)

    def test_copies_taken_for_new_faces_halve_the_interval(self):
        """Four copies without a group make the interval half as wide as it should be."""
        (one,) = network(np.random.default_rng(5), count=300)
        grouped, naive = (judge([copied(one, 4, grouped=g)], draws=2000) for g in (True, False))

        assert 2 == pytest.approx(np.ptp(ends(grouped)) / np.ptp(ends(naive)), abs=0.15)

    def test_intervals_cover_what_they_should(self):
        """Of 300 sets of four-fold faces about 95 % have the truth in the interval, ungrouped far fewer."""
        rng = np.random.default_rng(6)
        hits = naive_hits = 0
        for _ in range(300):
            four = copied(from_right(rng.random(100) < 0.7), 4, grouped=True)
            hits += self.covers(Sample.of([four], group_numbers(four)), 0.7)
            naive_hits += self.covers(Sample.of([four], np.arange(400)), 0.7)

        assert 0.91 <= hits / 300 <= 0.98
        assert naive_hits / 300 < 0.8

    def test_seeds_are_covered_too(self):
        """With three seeds of known spread about 95 % of intervals hold the recipe's true accuracy."""
        rng = np.random.default_rng(7)
        hits = faces_only = 0
        for _ in range(250):
            hard = rng.random(150)
            skills = 0.7 + 0.03 * rng.normal(size=3)
            tables = [from_right(hard < skill) for skill in skills]
            hits += self.covers(Sample.of(tables, np.arange(150)), 0.7)
            faces_only += self.covers(Sample.of(tables[:1], np.arange(150)), 0.7)

        assert 0.91 <= hits / 250 <= 0.98
        assert faces_only / 250 < 0.92

    @staticmethod
    def accuracy(sums: Sums) -> np.ndarray:
        """Return the accuracy of sums, (..., 1)."""
        return metrics.METRICS["accuracy"].of(sums)[..., None]

    @staticmethod
    def covers(sample: Sample, truth: float) -> bool:
        """Whether the interval of accuracy holds the truth."""
        (values,) = bootstrap([Sample(sample.groups)], TestIntervals.accuracy, draws=200, seed=0)
        point = TestIntervals.accuracy(sample.total()).mean()
        found = interval(point, values[:, 0], lowest=0, highest=1)
        return found.low <= truth <= found.high

    @pytest.mark.parametrize("seeds", [2, 3, 5])
    def test_few_seeds_spread_without_bias(self, seeds):
        """Where faces do not matter, draws of the mean of K seeds have the variance s^2 / K."""
        values = np.random.default_rng(8).normal(size=(seeds, 1, 1))
        (drawn,) = bootstrap([Sample(Sums(values, 2))], lambda sums: sums.flat, draws=40_000, seed=0)

        assert values.mean() == pytest.approx(drawn.mean(), abs=0.03)
        assert values.var(ddof=1) / seeds == pytest.approx(drawn.var(), rel=0.03)

    def test_ece_interval_is_moved_back_to_its_point(self):
        """Resampled ECEs of few faces lie above the point; the interval has the point inside."""
        rng = np.random.default_rng(9)
        probs = rng.dirichlet(np.ones(3), size=150)
        labels = (rng.random((150, 1)) > probs.cumsum(1)).sum(1)
        one = predictions(labels, probs)
        (values,) = bootstrap([Sample.of([one], np.arange(150))], scores_of, draws=500, seed=0)
        found = judge([one], draws=500).scores["ece"]
        low, median, high = np.quantile(values[:, list(METRICS).index("ece")], (0.025, 0.5, 0.975))

        assert median > found.point * 1.1
        assert found.low < found.point < found.high
        assert high - median == pytest.approx(found.high - found.point)
        assert max(0, found.point - (median - low)) == pytest.approx(found.low)

    @pytest.mark.parametrize(("point", "expected"), [(0.9, (0.4, 0.9)), (0.1, (0.1, 0.6)), (0.5, (0.4, 0.6))])
    def test_an_interval_reaches_its_point(self, point, expected):
        """Where all draws lie on one side of the point the interval is stretched to hold it."""
        found = interval(point, np.repeat([0.4, 0.6], 50), lowest=0, highest=1)

        assert expected == (found.low, found.high)

    def test_band_holds_calibrated_networks_and_leaves_out_others(self):
        """About 95 of 100 calibrated networks show an ECE in their band; an overconfident one does not."""
        rng = np.random.default_rng(10)
        inside = 0
        for _ in range(100):
            probs = rng.dirichlet(np.ones(3), size=200)
            labels = (rng.random((200, 1)) > probs.cumsum(1)).sum(1)
            verdict = judge([predictions(labels, probs)], draws=100)
            inside += verdict.ece_band[0] <= verdict.scores["ece"].point <= verdict.ece_band[1]
        sharp = probs**4 / (probs**4).sum(1, keepdims=True)
        over = judge([predictions(labels, sharp)], draws=100)

        assert 90 <= inside <= 99
        assert over.scores["ece"].point > over.ece_band[1]

    def test_draws_come_from_the_seed_alone(self):
        """The same seed gives the same verdict whatever numpy's global generator does; another does not."""
        tables = network(np.random.default_rng(11), seeds=2, spread=0.2)
        first, again, other = judge(tables, seed=3), judge(tables, seed=3), judge(tables, seed=4)

        assert first.to_dict() == again.to_dict()
        assert ends(first, "log_loss") != ends(other, "log_loss")
        assert first.ece_band != other.ece_band

    def test_memory_is_bounded(self):
        """2,000 draws of 20,000 faces, 320 MB as one array, are judged in under 150 MB."""
        (one,) = network(np.random.default_rng(12), count=20_000, classes=7)
        tracemalloc.start()
        judge([one])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 150e6

    @pytest.mark.parametrize("bad", [{"draws": 99}, {"draws": 100_001}, {"draws": 1e3}, {"seed": -1}])
    def test_absurd_draws_and_seeds_are_refused(self, bad):
        """Fewer than 100 draws, more than 100,000, a fraction or a negative seed raise DataError."""
        (name,) = bad
        with pytest.raises(DataError, match=f"{name} must be a whole number"):
            judge(network(np.random.default_rng(0)), **bad)


class TestProperties:
    """What holds for any table."""

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 3), st.integers(2, 5))
    def test_intervals_hold_their_point_within_bounds(self, seed, count, seeds, classes):
        """Every interval has low <= point <= high inside its score's bounds."""
        tables = network(np.random.default_rng(seed), count, seeds, classes=classes, spread=1.0)
        verdict = judge(tables, draws=100)

        for metric, found in verdict.scores.items():
            assert METRICS[metric].lowest <= found.low <= found.point <= found.high <= METRICS[metric].highest
        for each in verdict.per_class:
            for found in (each.precision, each.recall, each.f1):
                assert 0 <= found.low <= found.point <= found.high <= 1
        assert 0 <= verdict.ece_band[0] <= verdict.ece_band[1] <= 1

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 3))
    def test_orders_and_names_change_nothing(self, seed, count, seeds):
        """Shuffled rows, reordered columns and renamed groups leave scores and intervals as they are."""
        rng = np.random.default_rng(seed)
        group = rng.integers(count, size=count)
        tables = [
            dataclasses.replace(one, groups=group.astype(str))
            for one in network(rng, count, seeds, spread=0.5)
        ]
        rename = rng.permutation(count)
        columns = rng.permutation(3)
        moved = [
            dataclasses.replace(
                shuffled(one, rng),
                classes=tuple(one.classes[c] for c in columns),
            )
            for one in tables
        ]
        moved = [
            dataclasses.replace(
                one,
                probs=one.probs[:, columns],
                labels=np.argsort(columns)[one.labels],
                groups=np.array([f"x{rename[int(g)]}" for g in one.groups]),
            )
            for one in moved
        ]
        expected, actual = judge(tables, draws=100), judge(moved, draws=100)

        for metric in METRICS:
            assert ends(expected, metric) == pytest.approx(ends(actual, metric))
        assert expected.ece_band == pytest.approx(actual.ece_band)
        recalls = {each.label: each.recall.to_dict() for each in expected.per_class}
        for each in actual.per_class:
            assert recalls[each.label] == pytest.approx(each.recall.to_dict())

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
    def test_group_numbers_are_a_renaming(self, group):
        """Equal groups get equal numbers, different ones different, without a gap from 0 up."""
        one = predictions(np.zeros(len(group), int), [[0.5, 0.5]] * len(group), group)
        numbers = group_numbers(one)

        assert len(set(group)) == len(set(zip(group, numbers.tolist(), strict=True)))
        assert set(range(len(set(group)))) == set(numbers.tolist())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_a_class_of_a_few_faces_has_its_exact_interval(count):
    """1 to 9 faces of a class, all correct, prove as little as Clopper and Pearson say, beside another class."""
    labels = np.array([0] * count + [1] * 60)
    probs = np.where(np.eye(2)[np.where(np.arange(len(labels)) % 7 == 6, 1 - labels, labels)] == 1, 0.8, 0.2)
    probs[:count] = (0.8, 0.2)
    recall = judge([predictions(labels, probs)], draws=400).per_class[0].recall

    assert (1.0, pytest.approx(0.025 ** (1 / count)), 1.0) == (recall.point, recall.low, recall.high)


def test_scores_of_a_handful_of_faces_are_not_certain():
    """Means over classes that are all correct end where the classes' intervals do; one face tells nothing."""
    few, alone = (judge([from_right(np.ones(n, bool))], draws=200) for n in (6, 1))
    ends = [np.mean([getattr(c, name).low for c in few.per_class]) for name in ("recall", "f1")]

    assert 0.025 ** (1 / 3) == pytest.approx(ends[0])
    assert ends == pytest.approx([few.scores[name].low for name in ("balanced_accuracy", "macro_f1")])
    assert all(score.low == METRICS[name].lowest for name, score in alone.scores.items())
    assert all(score.high == METRICS[name].highest for name, score in alone.scores.items())
