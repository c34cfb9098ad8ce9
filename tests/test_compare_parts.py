import subprocess
import sys

import numpy as np
import pytest
from report_runs import write_fake_runs

from mien.compare import tables as compare_tables
from mien.compare.galleries import DISAGREEMENTS, choose
from mien.compare.inputs import Results, gather
from mien.compare.shares import binomial_band, normalized, probability_shares, reliability_bins
from mien.compare.text import conclude
from mien.dataset import Dataset
from mien.judge import METRICS, differences, judge, reliability
from mien.labels import LABELS
from mien.predictions import read_predictions

A, B = "quick-densenet", "quick-cnn"
GALLERIES = {"samples", "random", f"mistakes-{A}", f"mistakes-{B}", f"only-{A}+not-{B}", f"only-{B}+not-{A}"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs of each of two networks."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"), seeds=2)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The results of three networks of two seeds."""
    folder = tmp_path_factory.mktemp("three")
    inputs = gather(write_fake_runs(folder, (A, B, "study-cnn"), seeds=2), "test")
    tables = {part: inputs.tables(part) for part in ("clean", "all")}
    verdicts = {
        net.name: {part: judge(tables[part][net.name], draws=100) for part in tables}
        for net in inputs.networks
    }
    found = {part: differences(tables[part], draws=100) for part in tables}
    return Results(inputs, verdicts, found)


def numbers(results, name: str, keys: tuple[str, ...], values: tuple[str, ...]) -> dict[tuple, list[float]]:
    """Return columns of one of the tables of numbers by other columns, which tell its rows apart."""
    head, cells = compare_tables.data(results, [])[name].csv()
    rows = [dict(zip(head, map(str, row), strict=True)) for row in cells]
    cells = {tuple(row[key] for key in keys): [row[value] for value in values] for row in rows}
    assert len(rows) == len(cells)
    return {key: list(map(float, row)) for key, row in cells.items() if any(row)}


def span(value) -> list[float]:
    """Return the numbers of an interval."""
    return [value.point, value.low, value.high]


def same(wanted: dict, found: dict) -> bool:
    """Tell whether two dicts hold the same numbers, but for what is cut off behind nine digits."""
    assert wanted.keys() == found.keys()
    return all(found[key] == pytest.approx(value, rel=1e-8, abs=0) for key, value in wanted.items())


def test_numbers_of_pairs_stand_in_their_columns(three):
    """Each pair's differences, both its p and the faces that only one classifies correctly are those of the judge."""
    pairs = [(part, d) for part, found in three.differences.items() for d in found]
    whole = {(d.a, d.b, part, m): span(d.scores[m]) for part, d in pairs for m in METRICS}
    tests = {(d.a, d.b, part, "accuracy"): [d.p, d.p_holm] for part, d in pairs}
    seeds = {
        (d.a, str(seed), d.b, str(seed), part): [pair.only_a, pair.only_b, pair.p]
        for part, d in pairs
        for seed, pair in enumerate(d.seed_pairs)
    }
    sides = ("only_a_right", "only_b_right", "p")

    assert 3 == len(three.differences["all"])
    key, tested = ("a", "b", "part", "score"), ("accuracy_p", "accuracy_p_holm")
    assert same(whole, numbers(three, "differences", key, ("point", "low", "high")))
    assert same(tests, numbers(three, "differences", key, tested))
    assert same(seeds, numbers(three, "mcnemar", ("a", "seed_a", "b", "seed_b", "part"), sides))


def test_numbers_of_networks_stand_in_their_columns(three):
    """Scores by seed and by class, and the confusions as labeled and as read, are those of the verdicts."""
    told = [(name, part, verdict) for name, of in three.verdicts.items() for part, verdict in of.items()]
    seeds = {
        (name, str(seed), part): [scores[m] for m in METRICS]
        for name, part, verdict in told
        for seed, scores in enumerate(verdict.per_seed)
    }
    classes = {
        (name, part, c.label, figure): [c.support, *span(getattr(c, figure))]
        for name, part, verdict in told
        for c in verdict.per_class
        for figure in ("precision", "recall", "f1")
    }
    confused = {
        (name, part, LABELS[i], LABELS[j]): [count, count / verdict.confusion[i].sum()]
        for name, part, verdict in told
        for (i, j), count in np.ndenumerate(verdict.confusion)
    }
    of_class, of_cell = ("network", "part", "class", "score"), ("network", "part", "labeled", "read_as")

    assert same(seeds, numbers(three, "seeds", ("network", "seed", "part"), METRICS))
    assert same(classes, numbers(three, "classes", of_class, ("faces", "point", "low", "high")))
    assert same(confused, numbers(three, "confusion", of_cell, ("mean_faces", "share_of_labeled")))


def test_the_head_names_the_better_network_first(runs, tmp_path):
    """Whichever network is given first, a conclusion's head begins with the one that reads better."""
    for folders, conclusion in ((runs, "better"), (runs[::-1], "worse")):
        inputs = gather(folders, "test")
        found = {part: differences(inputs.tables(part), draws=100) for part in ("clean", "all")}
        told = conclude(Results(inputs, {}, found))

        assert [conclusion] == [difference.conclusion for difference in found["clean"]]
        assert [f"{A} is better than {B}"] == [one.head for one in told]


def test_galleries_show_what_they_say(runs):
    """Mistakes are wrong and sorted by sureness; of a disagreement the first is right and the second wrong."""
    inputs = gather(runs, "test")
    clean = set(inputs.faces.ids[inputs.faces.clean])
    galleries = {gallery.name: gallery for gallery in choose(inputs)}

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


def test_disagreements_come_by_how_many_seeds_agree(runs):
    """First come faces that most seeds of the one and fewest of the other read, then those of the widest margin."""
    inputs = gather(runs, "test")
    galleries = {gallery.name: gallery for gallery in choose(inputs)}
    labels, places = inputs.faces.labels, np.arange(len(inputs.faces))
    for a, b in (inputs.networks, inputs.networks[::-1]):
        seeds = [np.mean([t.probs.argmax(1) == labels for t in net.tables], axis=0) for net in (a, b)]
        right = [net.probs.argmax(1) == labels for net in (a, b)]
        margin = a.probs[places, labels] - b.probs[places, labels]
        rows = np.flatnonzero(right[0] & ~right[1] & inputs.faces.clean).tolist()
        rows.sort(key=lambda row: (seeds[1][row] - seeds[0][row], -margin[row]))
        shown = galleries[f"only-{a.name}+not-{b.name}"].faces

        assert rows[:DISAGREEMENTS] == [face.row for face in shown]


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
    table = read_predictions(runs[0] / "predictions-test.csv")
    own, others = probability_shares([table])
    happy = LABELS.index("happy")
    counts, _ = np.histogram(table.probs[table.labels == happy, happy], 25, (0, 1))

    assert own.shape == others.shape == (len(LABELS), 25)
    assert np.allclose(own.sum(1), 1)
    assert np.allclose(others.sum(1), 1)
    assert np.allclose(counts / counts.sum(), own[happy])


def test_importing_compare_loads_nothing_heavy():
    """Neither torch nor matplotlib nor jinja2 is loaded before a report is made."""
    code = "import mien.compare, sys; print({'torch', 'matplotlib', 'jinja2', 'PIL'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "set()"
