"""The prior of a model: how frequent it takes the classes to be."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import raises_naming

from mien import Recognizer
from mien.errors import DataError
from mien.labels import LABELS
from mien.model import read_model
from mien.model.prior import read_prior, shift_prior

positive = st.floats(1e-3, 1.0)
priors = arrays(np.float64, 7, elements=positive).map(lambda values: values / values.sum())
answers = arrays(np.float64, (5, 7), elements=positive).map(lambda v: v / v.sum(1, keepdims=True))


def test_bayes_rule_by_hand():
    """A class three times as frequent as before gets three times the odds."""
    probs = np.array([[0.2, 0.8]])
    shifted = shift_prior(probs, (0.25, 0.75), (0.5, 0.5))
    odds = shifted[0, 0] / shifted[0, 1]

    assert np.isclose(3 * 0.2 / 0.8, odds)


@given(answers, priors, priors)
def test_a_shift_there_and_back_changes_nothing(probs, source, target):
    """Probabilities sum to 1 under any prior, and return to what they were."""
    shifted = shift_prior(probs, source, target)

    assert np.allclose(1, shifted.sum(1))
    assert np.allclose(probs, shift_prior(shifted, target, source))


@given(priors, st.integers(0, 2**32 - 1))
def test_the_right_prior_gives_the_true_posterior(prior, seed):
    """Answers of a classifier that knows the classes' densities are, shifted, those under the other prior."""
    likelihood = np.random.default_rng(seed).random((4, 7)) + 0.01  # p(x | y)
    balanced = likelihood / likelihood.sum(1, keepdims=True)
    expected = likelihood * prior / (likelihood * prior).sum(1, keepdims=True)

    assert np.allclose(expected, shift_prior(balanced, np.full(7, 1 / 7), prior))


def test_a_prior_is_named_given_or_read(tmp_path):
    """Words, counts by label and a JSON file mean the same shares, of sum 1, in the model's order."""
    counts = dict(zip(reversed(LABELS), range(1, 8), strict=True))
    (tmp_path / "prior.json").write_text(json.dumps(counts))
    expected = tuple(counts[label] / 28 for label in LABELS)

    assert np.allclose(expected, read_prior(counts, LABELS, ()))
    assert np.allclose(expected, read_prior(tmp_path / "prior.json", LABELS, ()))
    assert np.allclose(expected, read_prior("train", LABELS, [counts[label] for label in LABELS]))
    assert (1 / 7,) * 7 == pytest.approx(read_prior("balanced", LABELS, expected))


def test_a_number_is_a_power_of_trains_shares():
    """1 is train's shares, 0 balanced, .5 their roots of sum 1, as a number or as text."""
    train = (0.64, 0.36)

    assert train == pytest.approx(read_prior(1, ("a", "b"), train))
    assert (0.5, 0.5) == pytest.approx(read_prior("0", ("a", "b"), train))
    assert (0.8 / 1.4, 0.6 / 1.4) == pytest.approx(read_prior(0.5, ("a", "b"), train))
    assert read_prior(0.5, ("a", "b"), train) == read_prior("0.5", ("a", "b"), train)


@pytest.mark.parametrize(
    "wrong",
    [
        "even",
        1.5,
        -0.1,
        float("nan"),
        True,
        {"happy": 1.0},
        dict.fromkeys(LABELS, 1) | {"bored": 1},
        dict.fromkeys(LABELS, 0),
        dict.fromkeys(LABELS, float("nan")),
        dict.fromkeys(LABELS, float("inf")),
        dict.fromkeys(LABELS, -1),
        dict.fromkeys(LABELS, "1"),
        dict.fromkeys(LABELS, True),
    ],
    ids=repr,
)
def test_what_is_no_prior_is_refused(wrong):
    """Unknown words, missing and surplus classes, shares that are none: each is a DataError."""
    with pytest.raises(DataError):
        read_prior(wrong, LABELS, (1,) * 7)


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"happy": 1}', "[" * 100_000, "\xff"])
def test_a_broken_file_is_named(tmp_path, content):
    """Of a file that holds no prior the error names the file."""
    path = tmp_path / "prior.json"
    path.write_text(content, encoding="latin-1")
    with raises_naming(DataError, "prior.json"):
        read_prior(path, LABELS, (1,) * 7)


def test_a_model_answers_under_its_training_shares_until_told_otherwise():
    """`pocket` takes disgust for rare; balanced it is likelier, back it is as before, and a copy keeps the prior."""
    model = read_model("pocket", threads=1)
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48), dtype=np.uint8)
    plain = model.probabilities(images)
    balanced = model.with_prior("balanced")
    disgust = model.labels.index("disgust")

    assert model.prior[disgust] == pytest.approx(436 / 28709)
    assert (balanced.probabilities(images)[:, disgust] > plain[:, disgust]).all()
    assert np.float32 == balanced.probabilities(images).dtype
    assert np.array_equal(plain, balanced.with_prior("train").probabilities(images))
    assert np.array_equal(
        balanced.probabilities(images), pickle.loads(pickle.dumps(balanced)).probabilities(images)
    )


def test_a_recognizer_takes_a_prior():
    """`Recognizer(prior=…)` answers under it, crops as faces in pictures."""
    crop = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    (plain,), (balanced,) = (Recognizer(prior=prior).predict(crop, crop=True) for prior in (None, "balanced"))
    before = np.array([list(plain.probabilities.values())])
    expected = shift_prior(before, read_model().prior, np.full(7, 1 / 7))[0]

    assert np.allclose(expected, list(balanced.probabilities.values()), atol=1e-5)
