import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from refusals import raises_naming
from test_judge import from_right, network, shuffled

from mien.errors import DataError
from mien.files import to_json
from mien.judge import METRICS, ClassScores, Interval, Verdict, align, judge, per_class_table, table
from mien.judge.judgement import judge_files
from mien.judge.report import as_text
from mien.predictions import write_predictions


def test_tables_are_judged_and_compared_on_their_clean_faces(tmp_path):
    """Where the seen faces say the opposite, the clean part has figures of its own and decides."""
    n = np.arange(200)
    for name, right in (("a", (n < 50) | (n >= 100)), ("b", n < 90)):
        told = dataclasses.replace(from_right(right), clean=n < 100)
        write_predictions(tmp_path / f"{name}.csv", told)
    text = as_text(judge_files([tmp_path / "a.csv", tmp_path / "b.csv"], draws=200))
    accuracies = " ".join(line for line in text.splitlines() if line.startswith("accuracy"))

    assert ["a, clean", "b, clean"] == re.findall(r"\w, clean", text)
    assert ["75.0", "50.0", "45.0", "90.0"] == re.findall(r"([\d.]+) \[", accuracies)
    assert "a is worse than b" in text


class TestAlign:
    """Tables of the same faces are brought to one order."""

    def test_rows_and_columns_follow_the_first_table(self):
        """A shuffled table with reordered columns becomes equal to the first."""
        (one,) = network(np.random.default_rng(13))
        other = shuffled(one, np.random.default_rng(0))
        other = dataclasses.replace(
            other, classes=("c", "a", "b"), probs=other.probs[:, [2, 0, 1]], labels=(other.labels + 1) % 3
        )
        first, second = align([one, other])

        assert first.classes == second.classes == ("a", "b", "c")
        for field in ("ids", "labels", "probs", "groups", "clean", "splits"):
            np.testing.assert_array_equal(getattr(one, field), getattr(second, field))
        assert one.ids.tolist() == first.ids.tolist()

    def test_groups_and_clean_come_from_whoever_knows(self):
        """All tables get the coarsest grouping, and a face is clean if no table denies it."""
        (one,) = network(np.random.default_rng(14), count=4)
        groups = np.array(["f00000", "f00000", "f00002", "f00003"])
        known = dataclasses.replace(one, groups=groups, clean=np.array([True, True, False, True]))

        for pair in ([one, known], [known, one]):
            for table_ in align(pair):
                assert groups.tolist() == table_.groups.tolist()
                assert [True, True, False, True] == table_.clean.tolist()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.only(np.arange(1, 5)), 'table 2: no face "f00000", which table 1 has'),
            (lambda t: dataclasses.replace(t, ids=np.append(t.ids[:4], "f9")), 'table 2: no face "f00004"'),
            (lambda t: t.only(np.array([0, 1, 2, 3, 4, 4])), 'table 2: face "f00004" stands more than once'),
            (lambda t: t.only(np.array([], int)), "table 2: there is no face to judge"),
            (
                lambda t: dataclasses.replace(t, labels=(t.labels + (np.arange(5) == 3)) % 3),
                'table 2: face "f00003" is labeled "[abc]", in table 1 "[abc]"',
            ),
            (
                lambda t: dataclasses.replace(t, classes=("a", "b", "d")),
                'table 2: no class "c", which table 1 has',
            ),
            (
                lambda t: dataclasses.replace(
                    t, classes=("a", "b", "c", "d"), probs=np.column_stack([t.probs, np.zeros(5)])
                ),
                'table 1: no class "d", which table 2 has',
            ),
        ],
    )
    def test_misfits_are_named(self, change, message):
        """A table that does not fit raises DataError with its position and the face or class at fault."""
        (one,) = network(np.random.default_rng(15), count=5)
        for use in (align, judge):
            with pytest.raises(DataError, match=message):
                use([one, change(one)])

    def test_a_face_too_many_is_named(self):
        """A face that only the later table has is named, too."""
        (one,) = network(np.random.default_rng(16), count=5)
        with raises_naming(DataError, "table 2", "f00004", "table 1"):
            align([one.only(np.arange(4)), one])

    def test_no_table_is_refused(self):
        """An empty list raises DataError."""
        with pytest.raises(DataError):
            judge([])


class TestShapeOfResults:
    """Types, JSON and printed tables."""

    def test_verdicts_are_frozen_and_json(self):
        """A verdict cannot be changed, and its dict goes through JSON and back unchanged."""
        verdict = judge(network(np.random.default_rng(17), seeds=2), draws=100)
        as_dict = verdict.to_dict()

        assert as_dict == json.loads(to_json(as_dict))
        assert {field.name for field in dataclasses.fields(Verdict)} == set(as_dict)
        with pytest.raises(dataclasses.FrozenInstanceError):
            verdict.faces = 1
        with pytest.raises(dataclasses.FrozenInstanceError):
            verdict.scores["ece"].point = 0.0
        with pytest.raises(dataclasses.FrozenInstanceError):
            verdict.per_class[0].support = 1

    @staticmethod
    def verdict(seeds: int = 3) -> Verdict:
        """Return a verdict with known numbers."""
        percent, decimal = Interval(0.6314, 0.615, 0.64749), Interval(1.01249, 0.9871, 1.034)
        values = dict(zip(METRICS, [percent] * 4 + [decimal] * 5, strict=True))
        one_class = ClassScores("happy", 1234, percent, Interval(1.0, 1.0, 1.0), Interval(0.0, 0.0, 1.0))
        return Verdict(3589, 3500, seeds, values, [], None, [one_class], np.zeros((1, 1)), (0.0104, 0.0251))

    def test_table_is_pinned(self):
        """Shares are printed in percent with one decimal place, losses with three."""
        expected = """\
                                    dense
faces                               3,589
seeds                                   3
accuracy %              63.1 [61.5, 64.7]
balanced accuracy %     63.1 [61.5, 64.7]
macro F1 %              63.1 [61.5, 64.7]
top-2 accuracy %        63.1 [61.5, 64.7]
AUROC                1.012 [0.987, 1.034]
MCC                  1.012 [0.987, 1.034]
log loss             1.012 [0.987, 1.034]
Brier                1.012 [0.987, 1.034]
ECE                  1.012 [0.987, 1.034]
ECE if calibrated          [0.010, 0.025]
"""

        assert expected == table({"dense": self.verdict()})

    @pytest.mark.parametrize("length", range(5, 60))
    def test_table_fits_into_100_columns(self, length):
        """Seven networks are printed in blocks of at most 100 characters a line, each network once."""
        names = [f"{i}".rjust(length, "n") for i in range(7)]
        printed = table({name: self.verdict() for name in names})

        assert max(map(len, printed.splitlines())) <= 100
        assert names == [word for word in printed.split() if word in names]

    def test_table_uses_its_width(self):
        """Three networks of usual names stand side by side, a fourth below."""
        three, four = (table({f"net-{i}": self.verdict() for i in range(n)}) for n in (3, 4))

        assert three.count("log loss") == 1
        assert four.count("log loss") == 2

    def test_table_says_what_one_seed_lacks(self):
        """The note on the unknown spread over seeds stands below a table with a single seed only."""
        assert "spread over seeds is unknown" in table(
            {"a": self.verdict(seeds=3), "b": self.verdict(seeds=1)}
        )
        assert "unknown" not in table({"a": self.verdict(seeds=3)})

    def test_per_class_table_is_pinned(self):
        """A row a class: support, then precision, recall and F1 in percent."""
        expected = (
            "       faces        precision %              recall %              F1 %\n"
            "happy  1,234  63.1 [61.5, 64.7]  100.0 [100.0, 100.0]  0.0 [0.0, 100.0]\n"
        )

        assert expected == per_class_table(self.verdict())

    def test_the_room_needs_numpy_alone(self):
        """Importing mien.judge loads neither torch, scipy, matplotlib nor scikit-learn."""
        code = "import sys, mien.judge; print({'torch', 'scipy', 'matplotlib', 'sklearn'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "set()" == done.stdout.strip()
