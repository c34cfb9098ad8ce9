import subprocess
import sys

import numpy as np
import pytest
from report_runs import write_fake_runs

from mien.compare.galleries import choose
from mien.compare.material import gather
from mien.compare.shares import binomial_band, normalized, probability_shares, reliability_bins
from mien.dataset import Dataset
from mien.files import replacing_folder
from mien.judge import reliability
from mien.labels import LABELS
from mien.predictions import read_predictions

A, B = "quick-densenet", "quick-cnn"
GALLERIES = {"samples", "random", f"mistakes-{A}", f"mistakes-{B}", f"only-{A}+not-{B}", f"only-{B}+not-{A}"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs of each of two networks."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"), seeds=2)


def test_galleries_show_what_they_say(runs):
    """Mistakes are wrong and sorted by sureness; of a disagreement the first is right and the second wrong."""
    material = gather(runs, "test")
    clean = set(material.faces.ids[material.faces.clean])
    galleries = {gallery.name: gallery for gallery in choose(material)}

    assert set(galleries) == GALLERIES
    for name, gallery in galleries.items():
        assert gallery.kind == "samples" or {face.id for face in gallery.faces} <= clean, name
    for name in (A, B):
        faces = galleries[f"mistakes-{name}"].faces
        sure = [face.guesses[0].probability for face in faces]
        assert all(face.guesses[0].label != face.label for face in faces)
        assert sure == sorted(sure, reverse=True)
    for face in galleries[f"only-{A}+not-{B}"].faces:
        assert [guess.label == face.label for guess in face.guesses] == [True, False]


def test_labels_of_test_come_from_predictions_alone(runs, monkeypatch):
    """A report asks the data set for val's table alone and never opens its test split."""
    asked = []
    table = Dataset.table
    monkeypatch.setattr(Dataset, "table", lambda self, split: asked.append(split) or table(self, split))
    monkeypatch.setattr(Dataset, "open_test", lambda self: pytest.fail("the test split was opened"))

    choose(gather(runs, "test"))

    assert asked == ["val"]


def test_normalized_rows_sum_to_one_or_nothing():
    """A class without faces has a row of zeros."""
    shares = normalized(np.array([[2.0, 2.0], [0.0, 0.0]]))

    assert shares.tolist() == [[0.5, 0.5], [0.0, 0.0]]


def test_binomial_band_holds_95_percent():
    """Less than 2.5% of the counts lie below the band and less than 2.5% above it."""
    rng = np.random.default_rng(0)
    for n, p in ((1, 0.5), (20, 0.9), (400, 0.31)):
        low, high = binomial_band(n, p)
        drawn = rng.binomial(n, p, 200_000) / n

        assert (drawn < low - 1e-9).mean() <= 0.027
        assert (drawn > high + 1e-9).mean() <= 0.027
    assert binomial_band(0, 0.3) == (0.3, 0.3)


def test_reliability_of_one_seed_is_that_of_the_judge(runs):
    """With one seed the diagram shows the judge's own numbers; with equal seeds it stays the same."""
    table = read_predictions(runs[0] / "predictions-test.csv")
    told = reliability(table.labels, table.probs)

    for tables in ([table], [table, table]):
        bins = reliability_bins(tables)
        for name in ("count", "confidence", "accuracy"):
            assert np.allclose(bins[name], getattr(told, name), equal_nan=True)


def test_probability_shares_sum_to_one(runs):
    """Each class's probability is spread over its own faces and over all others, each to 1."""
    own, others = probability_shares([read_predictions(runs[0] / "predictions-test.csv")])

    assert own.shape == others.shape == (len(LABELS), 25)
    assert np.allclose(own.sum(1), 1)
    assert np.allclose(others.sum(1), 1)


def test_importing_compare_loads_nothing_heavy():
    """Neither torch nor matplotlib nor jinja2 is loaded before a report is made."""
    code = "import mien.compare, sys; print({'torch', 'matplotlib', 'jinja2', 'PIL'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "set()"


def test_a_replacement_that_was_killed_loses_nothing(tmp_path):
    """An old report that was set aside when the process died comes back, and a half-made one goes."""
    target = tmp_path / "report"
    for name in (".report.old", ".report.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page").write_text(name)

    with pytest.raises(KeyError), replacing_folder(target):
        raise KeyError

    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (target / "page").read_text() == ".report.old"


def test_a_replaced_report_is_the_new_one(tmp_path):
    """The new folder takes the old one's place whole, and nothing else stays."""
    for word in ("one", "two"):
        with replacing_folder(tmp_path / "report") as folder:
            (folder / word).write_text(word)

    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["two"]
