import csv
import html
import json
import re
import shutil

import pytest
from browser import reads_well
from report_runs import write_faces, write_fake_run, write_fake_runs

from mien.compare import compare, summary
from mien.compare.inputs import gather
from mien.errors import RunError, StorageError
from mien.judge import METRICS
from mien.labels import LABELS
from mien.text import percent, points

A, B = "quick-densenet", "quick-cnn"
FIGURES = {
    *(f"score-{name}" for name in ("accuracy", "balanced-accuracy", "macro-f1", "log-loss", "ece")),
    *(f"difference-{name}" for name in ("accuracy", "macro-f1", "log-loss")),
    *("counts", "samples", "random", "class-precision", "class-recall", "class-f1"),
    *(
        f"{kind}-{name}"
        for kind in ("history", "confusion", "confusion_shares", "probabilities", "reliability")
        for name in (A, B)
    ),
    *(f"{kind}-{name}" for kind in ("mistakes", "network") for name in (A, B)),
    *(f"confusion_difference-{A}+{B}", f"only-{A}+not-{B}", f"only-{B}+not-{A}"),
}
FACES = {name for name in FIGURES if name.startswith(("samples", "random", "mistakes", "only"))}
NUMBERS = {
    *("networks", "scores", "seeds", "differences", "mcnemar", "classes", "confusion", "counts"),
    *("histories", "probabilities", "reliability", "stages", "openings", "faces"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three finished runs of each of two networks."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """The comparison of all six."""
    return compare(runs, tmp_path_factory.mktemp("reports") / "report", draws=200)


@pytest.fixture(scope="module")
def page(report):
    """The text of its page."""
    return report.page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lonely(tmp_path_factory):
    """A report of one network with one seed, on data without copies that is gone by now."""
    folder = tmp_path_factory.mktemp("lonely")
    run = write_fake_run(folder / "run", write_faces(folder / "faces", copies=0), B, 0, epochs=1)
    shutil.rmtree(folder / "faces")
    return compare([run], folder / "report", draws=200)


def rows(report, name):
    """The rows of one of the report's tables, as dicts."""
    with open(report.folder / "numbers" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def plain(page):
    """The page's text without markup."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page))).replace("\xa0", " ")


def test_the_report_is_three_things(report):
    """A report's folder holds the page, the figures and the numbers, and nothing beside it is left over."""
    assert {path.name for path in report.folder.iterdir()} == {"report.html", "figures", "numbers"}
    assert [path.name for path in report.folder.parent.iterdir()] == ["report"]
    assert report.page == report.folder / "report.html"


def test_every_figure_is_a_file(report):
    """Each figure lies there as SVG and as PNG."""
    names = {path.name for path in (report.folder / "figures").iterdir()}

    assert names == {f"{name}.{ending}" for name in FIGURES for ending in ("svg", "png")}


def test_every_figure_stands_in_the_page(report, page):
    """Drawn figures stand in the page as SVG with a label, and every face of the galleries as a picture."""
    labels = re.findall(r'<svg viewBox="[^"]*" role="img" aria-label="([^"]+)">', page)
    faces = {row["id"]: row for row in rows(report, "faces")}

    assert len(labels) == len(FIGURES - FACES)
    assert len(set(labels)) == len(labels)
    assert page.count('<img src="data:image/png;base64,') == sum(
        len({row["id"] for row in rows(report, "faces") if row["figure"] == name}) for name in FACES
    )
    assert faces


def test_every_number_is_a_table(report):
    """The tables are exactly these, each with rows."""
    names = {path.stem for path in (report.folder / "numbers").iterdir()}

    assert names == NUMBERS
    assert all(rows(report, name) for name in NUMBERS)


def test_scores_stand_in_the_table_for_both_parts(report):
    """`scores.csv` holds every score of the verdicts, on the clean part and on the whole split."""
    told = {(row["network"], row["part"], row["score"]): row for row in rows(report, "scores")}

    assert set(told) == {(n, p, m) for n in (A, B) for p in ("clean", "all") for m in METRICS}
    for (name, part, metric), row in told.items():
        verdict = report.verdicts[name][part]
        value = verdict.scores[metric]
        got = [float(row[key]) for key in ("point", "low", "high")]
        assert got == pytest.approx([value.point, value.low, value.high], rel=1e-8)
        assert int(row["faces"]) == verdict.faces


def test_figures_say_what_the_verdicts_say(report):
    """The texts of figures by class, of confusions and of their differences hold the verdicts' numbers and sides."""
    labels = {drawn.name: drawn.label for found in report.drawn.values() for drawn in found}
    clean = {name: report.verdicts[name]["clean"] for name in (A, B)}
    for figure in ("precision", "recall", "f1"):
        told = labels[f"class-{figure}"]
        for name, verdict in clean.items():
            shares = [f"{c.label} {percent(getattr(c, figure).point, 0)}" for c in verdict.per_class]
            assert f"{name} {', '.join(shares)}" in told
    pairs = zip(clean[A].per_class, clean[B].per_class, strict=True)
    changes = [f"{a.label} {points(a.recall.point - b.recall.point, 0)}" for a, b in pairs]
    assert labels[f"confusion_difference-{A}+{B}"].endswith(f"recall: {', '.join(changes)}")
    for name, verdict in clean.items():
        wrong = {
            (row, column): verdict.confusion[row, column]
            for row in range(len(LABELS))
            for column in range(len(LABELS))
            if row != column
        }
        row, column = max(wrong, key=wrong.__getitem__)
        assert (
            f"most frequent mistake is {LABELS[row]} predicted as {LABELS[column]},"
            in labels[f"confusion-{name}"]
        )


def test_clean_and_whole_have_their_own_faces(report):
    """The clean part is the split without the faces that stand in train or val too."""
    assert {parts["all"].faces for parts in report.verdicts.values()} == {210}
    assert {parts["clean"].faces for parts in report.verdicts.values()} == {198}
    assert [d.faces for d in report.differences["clean"]] == [198]


def test_the_conclusion_is_drawn_from_the_clean_part(report, page):
    """The page says the clean part's conclusion in words, what the whole split says, and why."""
    text = plain(page)
    found = report.differences["clean"][0]

    assert found.conclusion == "better"
    assert f"{A} is better than {B}" in text
    assert found.sentence.replace(" -", " \N{MINUS SIGN}") in text
    assert "On the whole split the conclusion is the same: a difference of" in text
    assert "Of the 210 faces of test, 12 stand in train or val too, pixel for pixel." in text


def test_both_parts_stand_in_the_page(report, page):
    """The page's tables give the scores of the clean part and of the whole split."""
    text = plain(page)

    assert "Clean part of test, 198 faces" in text
    assert "The whole test split, 210 faces" in text
    for parts in report.verdicts.values():
        for verdict in parts.values():
            value = verdict.scores["accuracy"]
            assert f"{100 * value.point:.1f}% {100 * value.low:.1f} to {100 * value.high:.1f}" in text


def test_the_page_tells_how_it_was_done(runs, page):
    """The page holds every opening of the test split, the data's fingerprint, the recipes and the command."""
    text = plain(page)
    told = json.loads((runs[0] / "run.json").read_text())

    for run in runs:
        opening = json.loads((run / "openings.jsonl").read_text())
        assert f"{run.name} {opening['time']} yes yes" in text
    assert told["data"]["fingerprint"] in text
    assert "Nothing was chosen on the test split." in text
    assert f"Recipe of {A}" in text
    assert 'kind = "one-cycle"' in text
    assert f"mien compare \\ {runs[0]}" in text
    assert "torch 2.13.0+cpu" in text


def test_the_page_is_one_small_file(page):
    """The page has at most 6 MB and names no address to load from."""
    addresses = re.findall(r'(?:src|href|action|data)="([^"#][^"]*)"', page)

    assert len(page.encode()) <= 6_000_000
    assert all(address.startswith("data:") for address in addresses)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "<script" not in page


def test_the_page_is_well_formed(page):
    """Ids are unique, links lead to them, headings come in order, and every picture has a text."""
    ids = re.findall(r'\sid="([^"]+)"', page)
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]

    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert page.count("<img ") == page.count(' alt="A face labeled ')
    assert page.count("<svg ") == page.count(' role="img" aria-label="')
    assert '<html lang="en">' in page
    assert "<th>" not in page


def test_the_same_runs_give_the_same_bytes(runs, report):
    """Made again in the same place, the report replaces the old one byte for byte."""
    files = sorted(path for path in report.folder.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}

    compare(runs, report.folder, draws=200)

    assert sorted(path for path in report.folder.rglob("*") if path.is_file()) == files
    assert [path.name for path in files if path.read_bytes() != before[path]] == []
    assert [path.name for path in report.folder.parent.iterdir()] == ["report"]


def test_a_folder_with_other_files_is_left_alone(runs, tmp_path):
    """Where anything but a report would be lost, nothing is written."""
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(StorageError):
        compare(runs, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def error_of(runs, tmp_path, **options):
    """The one line that refuses a comparison, which leaves nothing behind."""
    with pytest.raises(RunError) as caught:
        compare(runs, tmp_path / "report", **options)

    assert not (tmp_path / "report").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_run_is_refused(tmp_path):
    """Without a run there is nothing to compare."""
    assert (
        error_of([], tmp_path)
        == "there is no run to compare; give run folders, or tables as NAME=A.csv,B.csv"
    )


def test_runs_on_other_data_are_refused(runs, tmp_path):
    """Runs on two data sets cannot be compared."""
    other = write_fake_run(tmp_path / "other", write_faces(tmp_path / "faces", seed=1), B, 0)

    said = error_of([runs[0], other], tmp_path)

    assert said.startswith(f"{other}: trained on other data (")
    assert said.endswith("compare runs of one data set")


def test_one_seed_twice_is_refused(runs, tmp_path):
    """A network's seed counts once."""
    said = error_of([runs[0], runs[1], runs[0]], tmp_path)

    assert said == f"{runs[0]}: seed 0 of {A} is given twice ({runs[0]})"


def test_one_name_for_two_recipes_is_refused(runs, tmp_path):
    """Runs of one name must be of one recipe; the message names the fields that differ."""
    other = write_fake_run(tmp_path / "other", runs[0].parent / "faces", A, 7, epochs=12)

    said = error_of([runs[0], other], tmp_path)

    assert "training.epochs (10 there, 12 here)" in said


def test_missing_predictions_are_told(runs, tmp_path):
    """A run that was not evaluated is refused with the command that does it."""
    bare = shutil.copytree(runs[0], tmp_path / "bare")
    (bare / "predictions-test.csv").unlink()

    assert error_of([bare], tmp_path) == f"{bare}: no predictions on test yet: mien evaluate --test {bare}"


def test_runs_that_are_not_complete_are_refused(runs, tmp_path):
    """A run without a result is refused."""
    begun = shutil.copytree(runs[0], tmp_path / "begun")
    (begun / "result.json").unlink()

    assert "training is not complete" in error_of([begun], tmp_path)


def test_without_the_data_set_there_are_no_pictures(lonely):
    """Where the data set is gone the report says so, has no picture, and still has its numbers."""
    text = plain(lonely.page.read_text(encoding="utf-8"))
    names = {path.name for path in (lonely.folder / "figures").iterdir()}

    assert "This report has no pictures of faces: the data set is no longer at" in text
    assert "<img" not in lonely.page.read_text(encoding="utf-8")
    assert not {name for name in names if name.startswith(("samples", "random", "mistakes"))}
    assert {row["figure"] for row in rows(lonely, "faces")} == {"random", f"mistakes-{B}"}


@pytest.mark.slow
def test_a_page_that_would_be_too_large_leaves_its_pictures_out(runs, tmp_path, monkeypatch):
    """Where the faces would make the page too large, they stay in `figures/` and the page says so."""
    monkeypatch.setattr("mien.compare.report.LARGEST_PAGE_BYTES", 300_000)

    made = compare(runs[-1:], tmp_path / "report", draws=100)

    page = made.page.read_text(encoding="utf-8")
    assert "<img" not in page
    assert "no pictures of faces, which would make it too large; they are in figures/." in plain(page)
    assert (made.folder / "figures" / f"mistakes-{B}.png").exists()


def test_a_changed_data_set_gives_no_pictures(runs, tmp_path):
    """Pictures come only from the very data set that the runs were trained on."""
    faces = write_faces(tmp_path / "faces")
    run = write_fake_run(tmp_path / "run", faces, B, 0)
    shutil.rmtree(faces)
    write_faces(faces, seed=3)

    inputs = gather([run], "test")

    assert inputs.dataset is None
    assert "has changed since the training" in inputs.missing


def test_one_network_with_one_seed_is_judged_alone(lonely):
    """One run is enough: no pairs, and the spread over seeds is said to be unknown."""
    text = plain(lonely.page.read_text(encoding="utf-8"))

    assert lonely.differences == {"all": [], "clean": []}
    assert f"{B}, judged" in text
    assert "With one seed the spread over seeds is unknown" in text
    assert "Differences" not in text
    assert rows(lonely, "differences") == []


def test_without_copies_the_clean_part_is_the_whole(lonely):
    """Data without copies gives one verdict for both parts, and the page says why."""
    text = plain(lonely.page.read_text(encoding="utf-8"))

    assert lonely.verdicts[B]["clean"] is lonely.verdicts[B]["all"]
    assert "No face of the test split stands in train or val too, so the clean part is the whole" in text


def test_the_summary_fits_a_terminal(report, lonely):
    """The summary has the table, the conclusion and the page's path, in at most 100 columns but for the path."""
    for made in (report, lonely):
        *lines, last = summary(made).splitlines()

        assert max(map(len, lines)) <= 100
        assert last == str(made.page)
    assert "clean part of test: 198 of 210 faces" in summary(report)
    assert report.differences["clean"][0].sentence in " ".join(summary(report).split())


def test_a_comparison_can_be_written_as_json(report):
    """`to_dict` holds plain values alone, for both parts."""
    told = json.loads(json.dumps(report.to_dict()))

    assert set(told["verdicts"][A]) == {"all", "clean"}
    assert told["differences"]["clean"][0]["conclusion"] == "better"


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_reads_well_in_a_browser(browser, report, width, scheme):
    """In Chromium nothing leaves the page, nothing overflows a phone, every picture loads, dark is dark."""
    reads_well(browser, report.page, width, scheme)
