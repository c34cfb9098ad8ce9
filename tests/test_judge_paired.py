import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises_naming
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from test_judge import from_right, network, predictions, shuffled

from mien.errors import DataError
from mien.files import to_json
from mien.judge import METRICS, Difference, SeedPair, differences, holm, judge, mcnemar_exact
from mien.judge.bootstrap import bootstrap
from mien.judge.metrics import scores_of
from mien.judge.paired import combined_p
from mien.judge.sums import Sample


def one_difference(a, b, **options) -> Difference:
    """Return the difference of two networks named a and b."""
    (difference,) = differences({"a": a, "b": b}, **options)
    return difference


def right_on(count: int, *faces: slice) -> np.ndarray:
    """Return bool (count,), true on the given slices."""
    right = np.zeros(count, bool)
    for part in faces:
        right[part] = True
    return right


class TestMcNemar:
    """The exact test of one pair of seeds."""

    @pytest.mark.parametrize("counts", [(0, 1), (3, 0), (5, 5), (5, 6), (10, 25), (700, 811), (2000, 1700)])
    def test_statsmodels_has_the_same_p(self, counts):
        """The p value equals statsmodels' exact McNemar test."""
        only_a, only_b = counts

        assert mcnemar([[9, only_a], [only_b, 9]], exact=True).pvalue == pytest.approx(mcnemar_exact(*counts))

    @pytest.mark.parametrize(
        "counts", [(20_000, 20_000), (19_800, 20_200), (19_000, 21_000), (16_000, 24_000)]
    )
    def test_scipy_has_the_same_p_for_many_faces(self, counts):
        """For 40,000 discordant faces the p value equals scipy's, down to 1e-300 and below."""
        assert binomtest(counts[0], sum(counts)).pvalue == pytest.approx(mcnemar_exact(*counts), rel=1e-9)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 300), st.integers(0, 300))
    def test_it_is_symmetric_and_a_probability(self, only_a, only_b):
        """Swapping the networks changes nothing, and 0 < p <= 1, as scipy has it."""
        p = mcnemar_exact(only_a, only_b)

        assert p == mcnemar_exact(only_b, only_a)
        assert 0 < p <= 1
        if only_a + only_b:
            assert binomtest(only_a, only_a + only_b).pvalue == pytest.approx(p)

    def test_no_discordant_face_is_no_evidence(self):
        """Without any face that only one network classifies correctly p is 1."""
        assert 1.0 == mcnemar_exact(0, 0)

    def test_numpys_integers_do_not_overflow(self):
        """Counts of numpy's narrow types give the p of Python's integers."""
        assert mcnemar_exact(100, 140) == mcnemar_exact(np.uint8(100), np.int16(140))

    def test_negative_counts_are_refused(self):
        """A negative count raises DataError."""
        with pytest.raises(DataError):
            mcnemar_exact(3, -1)


class TestSeveralTests:
    """Holm's adjustment and the one p of several seed pairs."""

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_holm_is_statsmodels(self, ps):
        """The adjusted p values equal statsmodels', in the given order, ties included."""
        assert multipletests(ps, method="holm")[1].tolist() == pytest.approx(holm(ps))

    def test_holm_of_three_of_one_and_of_none(self):
        """The smallest of three p is tripled, none is below a smaller one's, one p stays as it is, none gives none."""
        assert [0.03, 0.06, 0.06] == pytest.approx(holm([0.01, 0.04, 0.03]))
        assert [0.04] == holm([0.04])
        assert [] == holm([])

    @pytest.mark.parametrize(
        ("ps", "expected"),
        [([0.03], 0.03), ([0.5, 0.01, 0.02], 0.04), ([0.01, 0.03], 0.04), ([0.9] * 3, 1.0)],
    )
    def test_seed_pairs_are_combined_by_twice_the_median(self, ps, expected):
        """One pair keeps its p; several give twice their median, 1 at most."""
        assert expected == pytest.approx(combined_p(ps))

    @pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
    def test_combined_p_keeps_its_level(self, shared):
        """Under the null at most 5 % of combined p values fall below 0.05, however dependent the pairs."""
        rng = np.random.default_rng(0)
        same, own = rng.random(4000), rng.random((4000, 3))
        ps = np.where(rng.random((4000, 3)) < shared, same[:, None], own)

        assert np.mean([combined_p(list(each)) < 0.05 for each in ps]) <= 0.057


class TestDifferences:
    """Numbers of a difference."""

    def test_points_are_differences_of_the_verdicts(self):
        """Each score's difference is that of the two verdicts' points."""
        rng = np.random.default_rng(1)
        a, b = self.two(rng, seeds=(3, 2))
        difference = one_difference(a, b, draws=100)
        of_a, of_b = judge(a, draws=100), judge(b, draws=100)

        for metric in METRICS:
            expected = of_a.scores[metric].point - of_b.scores[metric].point
            assert expected == pytest.approx(difference.scores[metric].point)
        assert 60 == difference.faces

    @staticmethod
    def two(rng, count=60, seeds=(1, 1), spread=0.3):
        """Return two networks on the same faces."""
        a = network(rng, count, seeds[0], spread=spread)
        b = network(rng, count, seeds[1], spread=spread)
        return a, [dataclasses.replace(one, labels=a[0].labels) for one in b]

    def test_seed_pairs_count_faces_that_one_network_classifies_correctly(self):
        """Seed i of a meets seed i of b, as many as both have."""
        a = [from_right(right_on(20, slice(0, 15))), from_right(right_on(20, slice(0, 20)))]
        b = [from_right(right_on(20, slice(5, 18)))]
        difference = one_difference(a, b, draws=100)

        assert [SeedPair(5, 3, mcnemar_exact(5, 3))] == difference.seed_pairs
        assert difference.p == difference.seed_pairs[0].p == difference.p_holm

    def test_seeds_of_each_network_are_drawn_apart(self):
        """Two networks with the same three seeds differ by 0, with an interval as wide as two spreads."""
        tables = network(np.random.default_rng(12), 300, 3, spread=0.8)
        found = one_difference(tables, tables).scores["accuracy"]
        sd = judge(tables, draws=100).seed_sd["accuracy"]

        assert found.point == 0
        assert 2 * 1.96 * sd * np.sqrt(2 / 3) == pytest.approx(found.high - found.low, rel=0.2)

    def test_ece_difference_is_moved_back_to_its_point(self):
        """The draws' median of the ECE's difference, which bias moves off the point, is put back on it."""
        rng = np.random.default_rng(13)
        probs = rng.dirichlet(np.ones(3), size=150)
        labels = (rng.random((150, 1)) > probs.cumsum(1)).sum(1)
        calibrated, sharp = (predictions(labels, p / p.sum(1, keepdims=True)) for p in (probs, probs**4))
        found = one_difference([calibrated], [sharp], draws=500).scores["ece"]
        drawn = bootstrap(
            [Sample.of([one], np.arange(150)) for one in (calibrated, sharp)],
            scores_of,
            draws=500,
            seed=0,
            names=("a", "b"),
        )
        values = (drawn[0] - drawn[1])[:, list(METRICS).index("ece")]
        low, median, high = np.quantile(values, (0.025, 0.5, 0.975))

        assert median > found.point + 0.01
        assert (found.point - (median - low), found.point + high - median) == pytest.approx(
            (found.low, found.high)
        )

    def test_faces_are_drawn_together(self):
        """Networks that err on the same faces have a narrower interval than the binomial of each gives."""
        rng = np.random.default_rng(2)
        right = rng.random(1000) < 0.7
        other = right.copy()
        other[:50] = True
        found = one_difference([from_right(other)], [from_right(right)]).scores["accuracy"]
        gained = (other & ~right).mean()
        half = 1.96 * np.sqrt(gained * (1 - gained) / 1000)

        assert gained == pytest.approx(found.point)
        assert 2 * half == pytest.approx(found.high - found.low, rel=0.1)

    def test_interval_covers_the_true_difference(self):
        """Of 300 simulated pairs with three seeds each about 95 % have the truth in their interval."""
        rng = np.random.default_rng(3)
        hits = 0
        for _ in range(300):
            hard = rng.random(200)
            a, b = (
                [from_right(hard < skill + 0.02 * rng.normal()) for _ in range(3)] for skill in (0.7, 0.65)
            )
            found = one_difference(a, b, draws=200).scores["accuracy"]
            hits += found.low <= 0.05 <= found.high

        assert 0.9 <= hits / 300 <= 0.98

    def test_equal_networks_are_rarely_told_apart(self):
        """Of 300 simulated pairs of equally good networks at most 5 % get a conclusion, and some do."""
        rng = np.random.default_rng(4)
        told = sum(
            one_difference(
                [from_right(rng.random(200) < 0.7)], [from_right(rng.random(200) < 0.7)], draws=200
            ).conclusion
            != "cannot tell"
            for _ in range(300)
        )

        assert 1 <= told <= 15

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 3))
    def test_a_network_against_itself_cannot_be_told(self, seed, count, seeds):
        """Against itself a network has the difference 0, p = 1 and the conclusion "cannot tell"."""
        rng = np.random.default_rng(seed)
        tables = network(rng, count, seeds, spread=0.5)
        difference = one_difference(tables, [shuffled(one, rng) for one in tables], draws=100)

        for found in difference.scores.values():
            assert found.low <= 0 <= found.high
            assert pytest.approx(0, abs=1e-12) == found.point
        assert (1.0, "cannot tell") == (difference.p, difference.conclusion)
        if seeds == 1:
            assert pytest.approx(0, abs=1e-12) == difference.scores["accuracy"].high

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 3), st.integers(1, 3))
    def test_swapping_networks_swaps_signs(self, seed, count, seeds_a, seeds_b):
        """B minus a is a minus b with the sign turned, for points, intervals and the conclusion."""
        a, b = self.two(np.random.default_rng(seed), count, (seeds_a, seeds_b))
        (forth,) = differences({"a": a, "b": b}, draws=100)
        (back,) = differences({"b": b, "a": a}, draws=100)

        for metric in METRICS:
            x, y = forth.scores[metric], back.scores[metric]
            assert (x.point, x.low, x.high) == pytest.approx((-y.point, -y.high, -y.low), abs=1e-12)
        assert forth.p == back.p
        opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
        assert opposite[forth.conclusion] == back.conclusion

    def test_company_changes_only_holms_p(self):
        """A third network leaves a pair's intervals and p as they were and raises p_holm."""
        rng = np.random.default_rng(5)
        a, b = self.two(rng, 200, (2, 3))
        alone = one_difference(a, b, draws=300)
        company = differences({"c": a[:1], "a": a, "b": b}, draws=300)
        (same,) = [each for each in company if (each.a, each.b) == ("a", "b")]

        assert [("c", "a"), ("c", "b"), ("a", "b")] == [(each.a, each.b) for each in company]
        for metric in METRICS:
            assert alone.scores[metric].to_dict() == pytest.approx(same.scores[metric].to_dict())
        assert alone.p == same.p
        assert holm([each.p for each in company]) == [each.p_holm for each in company]

    def test_draws_come_from_the_seed_alone(self):
        """The same seed gives the same numbers; another seed gives others."""
        a, b = self.two(np.random.default_rng(6), 100, (2, 2))

        assert one_difference(a, b, seed=1) == one_difference(a, b, seed=1)
        assert one_difference(a, b, seed=1).scores != one_difference(a, b, seed=2).scores

    def test_fewer_than_two_networks_have_no_difference(self):
        """No network and one network give an empty list."""
        assert [] == differences({})
        assert [] == differences({"a": network(np.random.default_rng(0))})

    def test_misfits_name_the_network(self):
        """A table that does not fit is named by network and position, a network without tables by name."""
        (one,) = network(np.random.default_rng(7), count=5)
        with raises_naming(DataError, "table 2", "f00004", "table 1"):
            differences({"dense": [one], "cnn": [one, one.only(np.arange(4))]})
        with raises_naming(DataError, "cnn"):
            differences({"dense": [one], "cnn": []})
        with raises_naming(DataError, "draws"):
            differences({"dense": [one]}, draws=3)

    def test_differences_are_frozen_and_json(self):
        """A difference cannot be changed, and its dict goes through JSON and back unchanged."""
        difference = one_difference(*self.two(np.random.default_rng(8)), draws=100)

        assert difference.to_dict() == json.loads(to_json(difference.to_dict()))
        with pytest.raises(dataclasses.FrozenInstanceError):
            difference.p = 0.0
        with pytest.raises(dataclasses.FrozenInstanceError):
            difference.seed_pairs[0].p = 0.0


class TestConclusions:
    """What is concluded, and in which words."""

    @staticmethod
    def seeds(rng, skill: float, count: int = 1, faces: int = 600) -> list:
        """Return seeds that read `skill` of the faces rightly, the same hard faces being hard for all."""
        hard = np.linspace(0, 1, faces)
        return [from_right(hard + 0.1 * rng.normal(size=faces) < skill) for _ in range(count)]

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_clear_difference_is_better_or_worse(self, count):
        """A network with ten points more is better, and the other one worse, by sentence and field."""
        rng = np.random.default_rng(9)
        good, bad = self.seeds(rng, 0.8, count), self.seeds(rng, 0.7, count)
        (forth,) = differences({"dense": good, "cnn": bad})
        (back,) = differences({"cnn": bad, "dense": good})

        assert ("better", "worse") == (forth.conclusion, back.conclusion)
        assert "dense is better than cnn on faces like these." in forth.sentence
        assert "cnn is worse than dense on faces like these." in back.sentence
        assert forth.scores["accuracy"].low > 0 > back.scores["accuracy"].high
        assert forth.p_holm < 0.05
        assert (count == 1) == ("spread over seeds is unknown" in forth.sentence)
        assert (count == 1) == ("As trained here" in forth.sentence)

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_small_difference_cannot_be_told(self, count):
        """Where the data fit a difference of either sign the sentence gives the range, not equality."""
        rng = np.random.default_rng(10)
        difference = one_difference(self.seeds(rng, 0.75, count), self.seeds(rng, 0.75, count))
        low, high = (
            100 * end for end in (difference.scores["accuracy"].low, difference.scores["accuracy"].high)
        )

        assert "cannot tell" == difference.conclusion
        assert (
            f"a true difference anywhere from {low:z.1f} to {high:z.1f} points fits the data"
            in difference.sentence
        )
        assert "equal" not in difference.sentence
        assert (count == 1) == ("spread over seeds is unknown" in difference.sentence)

    def test_the_sentence_is_pinned(self):
        """The sentence gives accuracies, faces, seeds, difference, interval and p in this form."""
        a, b = from_right(right_on(200, slice(0, 150))), from_right(right_on(200, slice(0, 120)))
        difference = one_difference([a], [b])
        found = difference.scores["accuracy"]

        assert (
            "a classifies 75.0% and b 60.0% of 200 faces correctly (one seed each): a difference of 15.0 points, "
            f"95% interval {100 * found.low:.1f} to {100 * found.high:.1f}, p < 0.0001. "
            "As trained here, a is better than b on faces like these. With one seed the spread over seeds "
            "is unknown, so this is about these trained networks, not about their recipes."
        ) == difference.sentence

    def test_a_face_or_five_prove_no_difference(self):
        """Where one network reads all and the other none, as few faces as there are leave the difference open."""
        for count, low in ((1, -1.0), (5, 2 * 0.025 ** (1 / 5) - 1)):
            right = np.ones(count, bool)
            found = one_difference([from_right(right)], [from_right(~right)], draws=200)

            assert (1.0, pytest.approx(low), 1.0) == dataclasses.astuple(found.scores["accuracy"])
            assert "cannot tell" == found.conclusion

    def test_networks_that_read_other_faces_are_not_alike(self):
        """Two faces in one group, one read by each network, are no sign that both read the same."""
        a, b = (from_right(right, groups=[0, 0]) for right in ([True, False], [False, True]))

        assert "right on the same faces" not in one_difference([a], [b], draws=200).sentence

    def test_unequal_numbers_of_seeds_are_told(self):
        """With three seeds of one network and one of the other both counts stand in the sentence."""
        rng = np.random.default_rng(11)
        difference = one_difference(self.seeds(rng, 0.8, 3), self.seeds(rng, 0.7, 1))

        assert "(3 seeds of a, one seed of b)" in difference.sentence
        assert "spread over seeds is unknown" in difference.sentence

    def test_no_difference_has_no_minus_zero(self):
        """A difference that rounds to nothing is printed as 0.0, never as -0.0."""
        one, other = (from_right(right_on(3000, slice(0, end))) for end in (2000, 2001))
        sentence = one_difference([one], [other]).sentence

        assert "a difference of 0.0 points, 95% interval -0.1 to 0.0, p = 1.0000." in sentence

    def test_many_comparisons_can_outweigh_an_interval(self):
        """An interval without 0 is not enough where Holm's p is not below 0.05, and the sentence says so."""
        a, b = from_right(right_on(100, slice(0, 60))), from_right(right_on(100, slice(0, 46), slice(60, 64)))
        networks = {"a": [a], "b": [b], "c": [b], "d": [b]}
        difference = differences(networks)[0]

        assert difference.scores["accuracy"].low > 0
        assert difference.p < 0.05 <= difference.p_holm
        assert "cannot tell" == difference.conclusion
        assert "(Holm, 6 comparisons)" in difference.sentence
        assert "disagree: the interval excludes 0, but p is not below 0.05" in difference.sentence

    def test_copies_can_outweigh_a_small_p(self):
        """Thirty copies of one face fool McNemar but not the interval, and the sentence says so."""
        groups = np.concatenate([np.arange(100), np.full(30, 100)])
        a, b = (from_right(right_on(130, slice(0, end)), groups) for end in (130, 100))
        difference = one_difference([a], [b])

        assert difference.p_holm < 1e-6
        assert 0 == difference.scores["accuracy"].low
        assert "cannot tell" == difference.conclusion
        assert "disagree: p is below 0.05, but the interval includes 0" in difference.sentence

    def test_a_better_score_of_another_kind_concludes_nothing(self):
        """The conclusion is of accuracy: a far better log loss alone leaves it at "cannot tell"."""
        labels = np.arange(300) % 2
        sure, unsure = (predictions(labels, np.where(np.eye(2)[labels] == 1, p, 1 - p)) for p in (0.99, 0.51))
        difference = one_difference([sure], [unsure])

        assert difference.scores["log_loss"].high < 0
        assert "cannot tell" == difference.conclusion
