import ast
import base64
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from refusals import raises_naming
from report_runs import write_faces, write_fake_run, write_fake_runs

from mien import notebook
from mien.compare import Comparison, compare
from mien.dataset import read_dataset, read_info, writing_dataset
from mien.errors import DataError
from mien.judge import differences, judge
from mien.pages.theme import DARK, LIGHT
from mien.recipe import read_recipe
from mien.render import render
from mien.run import read_run

STUDY = Path(__file__).parent.parent / "notebooks" / "study.ipynb"
LABELS = ("<script>alert(1)</script>", "disgust & co", "fear", 'hap"py', "sad", "surprise", "neutral")
VOID = {"img", "meta", "circle", "path", "polyline", "use", "rect", "image", "br"}


class Reader(HTMLParser):
    """Reads HTML strictly: every tag is closed in its order; keeps texts, tags and addresses."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.texts, self.tags, self.addresses = [], [], set(), []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Note a tag and what it refers to."""
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Close the tag that was opened last."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep the text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text in one line."""
        return " ".join(" ".join(self.texts).split())


def shown(thing) -> Reader:
    """What a notebook shows of an object."""
    html = thing._repr_html_()
    assert len(html) < 500_000
    return Reader(html)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs of two networks on faces whose classes have odd names."""
    return write_fake_runs(tmp_path_factory.mktemp("runs"), seeds=1, labels=LABELS)


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory) -> Comparison:
    """The comparison of these runs; its PNG files, which no test here reads, are left empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.pages.figures._png", lambda figure: b"")
        return compare(runs, tmp_path_factory.mktemp("out") / "report", draws=100)


@pytest.fixture(scope="module")
def things(runs, report):
    """One of everything that shows itself, by name."""
    dataset, run = read_dataset(runs[0].parent / "faces"), read_run(runs[0])
    table, other = run.predictions("test"), read_run(runs[1]).predictions("test")
    found = differences({"<b>": [table], "other": [other]}, draws=100)
    return {
        "dataset": dataset,
        "info": dataset.info,
        "development": dataset.development(),
        "faces": dataset.development().val,
        "whole": dataset.whole(),
        "run": run,
        "recipe": run.recipe,
        "predictions": table,
        "verdict": judge([table], draws=100),
        "difference": found[0],
        "differences": found,
        "comparison": report,
        "figures": report.figures("confusion"),
        "drawn": report.figures("confusion")[0],
    }


SHOWING = (
    "dataset",
    "info",
    "run",
    "recipe",
    "verdict",
    "difference",
    "differences",
    "comparison",
    "figures",
    "drawn",
)


@pytest.mark.parametrize("name", SHOWING)
def test_what_is_shown_is_whole_and_escaped(things, name):
    """Each object gives closed tags, no script of a class's name, and nothing that must be fetched."""
    reader = shown(things[name])

    assert not {"script", "b", "iframe", "link"} & reader.tags
    local = ("data:", "#")
    assert [] == [a for a in reader.addresses if not a.startswith(local)]
    assert reader.text


def test_every_object_is_a_short_line_in_a_terminal(things):
    """No plain repr prints an array or a page."""
    for thing in things.values():
        assert len(repr(thing)) < 300
        assert "array(" not in repr(thing)
        assert "\n" not in repr(thing)


def test_reprs_say_what_the_objects_are(things, runs, report):
    """The one lines name what somebody wants to know first."""
    faces = runs[0].parent / "faces"

    assert f"Dataset({faces}: 420 faces of 48 x 48 pixels in 7 classes)" == repr(things["dataset"])
    assert f"Development({faces}: 140 train and 70 val faces, no test split)" == repr(things["development"])
    assert f"Run({runs[0]}: quick-densenet, seed 0, complete)" == repr(things["run"])
    assert "Recipe(quick-densenet: densenet, sgd, 10 epochs)" == repr(things["recipe"])
    assert "Predictions(210 faces of test, 7 classes)" == repr(things["predictions"])
    assert f"Comparison(quick-densenet, quick-cnn on test: {report.page})" == repr(report)
    assert repr(things["verdict"]).startswith("Verdict(210 faces, one seed: accuracy ")
    assert repr(things["differences"]).startswith("[Difference(<b> minus other: accuracy ")


def test_a_data_set_shows_its_counts_and_train_faces(things):
    """A row a class with its counts and a strip that holds faces of train, and of no other split."""
    dataset = things["dataset"]
    reader = shown(dataset)
    strips = [np.array(Image.open(io.BytesIO(base64.b64decode(a.split(",")[1])))) for a in reader.addresses]
    known = {face.tobytes() for face in dataset.development().train.images}

    assert 7 == len(strips)
    for strip in strips:
        assert {face.tobytes() for face in np.split(strip, strip.shape[1] // 48, axis=1)} <= known
    for label in LABELS:
        assert label in reader.texts
    assert "all 140 70 210" in reader.text
    assert not shown(dataset.info).addresses


@pytest.mark.parametrize("classes", [2, 60, 300])
def test_many_classes_and_large_faces_stay_small(tmp_path, classes):
    """With many classes fewer faces of each are shown, and large ones are shrunk; a class may have none."""
    labels = tuple(f"class {n}" for n in range(classes))
    rng = np.random.default_rng(0)
    with writing_dataset(tmp_path / "faces", side=96, labels=labels) as writer:
        for split in ("train", "train", "val"):
            for label in labels[1:]:
                pixels = rng.integers(0, 256, 96 * 96, np.uint8).tobytes()
                writer.add(pixels, label=label, split=split, source="made")
        writer.finish({"kind": "made"})

    reader = shown(read_dataset(tmp_path / "faces"))
    assert (classes - 1 if classes < 97 else 0) == len(reader.addresses)
    assert "class 0 0 0 0" in reader.text


def test_what_was_left_out_is_told(tmp_path):
    """Notes and the number of faces left out stand below the counts."""
    with writing_dataset(tmp_path / "faces", side=16, labels=("a", "b")) as writer:
        writer.add(bytes(256), label="a", split="train", source="made")
        writer.leave_out("odd.png", "an empty file")
        writer.finish({"kind": "made"}, notes=("Made for a test.",))

    told = shown(read_info(tmp_path / "faces")).text
    assert "Made for a test." in told
    assert "1 left out, each with its reason in" in told


def test_a_run_shows_its_network_result_and_history(things):
    """A run tells parameters, result and openings, and draws loss and accuracy with the epoch kept."""
    html = things["run"]._repr_html_()
    text = Reader(html).text

    assert "quick-densenet, seed 0" in text
    assert "275,119 parameters" in text
    assert "10 epochs in 615 s, epoch 10 kept" in text
    assert "opened 1 time 2026-01-01" in text
    assert 4 == html.count("<polyline ")
    assert 2 == html.count("<circle ")


def test_a_run_that_has_only_begun_shows_itself(things, runs, tmp_path):
    """Before its first epoch a run has no history and no result, and says how it goes on."""
    begun = shutil.copytree(runs[0], tmp_path / "begun")
    for name in ("result.json", "metrics.csv", "openings.jsonl"):
        (begun / name).unlink()
    run = read_run(begun)

    assert "not complete" in repr(run)
    assert "not complete the command that began it goes on with it" in shown(run).text
    assert "svg" not in shown(run).tags


def test_a_run_of_one_epoch_shows_its_point(tmp_path):
    """One epoch makes no line, but the point of the epoch kept can be seen."""
    run = read_run(
        write_fake_run(tmp_path / "run", write_faces(tmp_path / "faces"), "quick-cnn", 0, epochs=1)
    )

    assert "svg" in shown(run).tags
    assert "epoch 1" in shown(run).text


def test_a_verdict_shows_scores_and_classes(things):
    """A verdict has every score with its interval, every class, and says what one seed cannot tell."""
    verdict = things["verdict"]
    text = shown(verdict).text
    point, low, high = (100 * getattr(verdict.scores["accuracy"], n) for n in ("point", "low", "high"))

    assert f"accuracy % {point:.1f} [{low:.1f}, {high:.1f}]" in text
    assert f"{LABELS[0]} {verdict.per_class[0].support}" in text
    assert "One seed: the spread over seeds is unknown" in text


def test_differences_show_numbers_and_the_conclusion(things):
    """A difference has its points, its p and its sentence; a list of them shows each."""
    one = things["difference"]

    assert one.sentence in shown(one).text
    assert "conclusion <b> is better" in shown(one).text
    assert "conclusion cannot tell" in shown(replace(one, conclusion="cannot tell")).text
    assert shown(one).text in shown(things["differences"]).text
    assert differences({"alone": [things["predictions"]]}, draws=100) == []


def test_a_comparison_shows_the_result_and_where_its_report_is(report):
    """Both networks, what the faces are, the conclusion and the report's place."""
    text = shown(report).text

    assert "clean part of test: 198 of 210 faces" in text
    assert "quick-densenet quick-cnn faces 198 198" in text
    assert report.differences["clean"][0].sentence in text
    assert str(report.page) in text


def test_a_report_below_the_notebook_is_a_link():
    """A relative place becomes a link; an absolute one, which a notebook cannot follow, is text."""
    assert ["study%20files/report.html"] == Reader(notebook.link(Path("study files/report.html"))).addresses
    assert ["javascript%3Aalert%281%29"] == Reader(notebook.link(Path("javascript:alert(1)"))).addresses
    assert "a" not in Reader(notebook.link(Path("/somewhere/report.html"))).tags


def test_a_comparison_gives_its_figures_by_kind(report):
    """Figures come in the report's order; the docstring names every kind; another word is refused."""
    names = [one.name for one in report.figures("networks", "confusion")]
    both = ("quick-densenet", "quick-cnn")

    assert [*(f"network-{n}" for n in both), *(f"confusion-{n}" for n in both)] == names
    assert sorted(path.stem for path in (report.folder / "figures").glob("*.svg")) == sorted(
        one.name for one in report.figures()
    )
    assert [] == [kind for kind in report.drawn if kind not in Comparison.figures.__doc__]
    with raises_naming(DataError, "confusions", "confusion"):
        report.figures("confusions")


def test_networks_are_drawn_before_they_are_trained():
    """`draw` gives a figure a recipe, with its parameters, and leaves torch's random numbers alone."""
    torch = pytest.importorskip("torch")
    from mien.networks.draw import draw

    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    figures = draw(read_recipe("quick-cnn"), read_recipe("study-densenet"))

    assert expected.equal(torch.rand(3))
    assert ["network-quick-cnn", "network-study-densenet"] == [one.name for one in figures]
    assert "529,511 parameters" in shown(figures).text


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",))), min_size=2), max_size=4
    )
)
def test_a_table_gives_back_the_texts_that_went_in(rows):
    """Whatever stands in a cell is read back as it was."""
    reader = Reader(notebook.html(notebook.table("", (), rows)))

    assert [text for row in rows for text in row if text] == reader.texts


@given(st.lists(st.tuples(*[st.floats(0, 1e6)] * 2, *[st.floats(0, 1)] * 2), max_size=30))
def test_curves_are_drawn_inside_their_picture(values):
    """Any losses and accuracies give a drawing that an XML reader takes and whose points lie inside."""
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    rows = [{"epoch": n, **dict(zip(names, four, strict=True))} for n, four in enumerate(values, start=1)]
    drawn = ET.fromstring(notebook.curves(rows, kept=len(rows) or None))
    points = [
        tuple(map(float, point.split(",")))
        for line in drawn.iter("polyline")
        for point in line.get("points").split()
    ]

    assert 4 * len(rows) == len(points)
    assert all(0 <= x <= notebook.WIDTH and 0 <= y <= notebook.HEIGHT for x, y in points)


def test_showing_needs_neither_torch_nor_matplotlib(runs):
    """Where both are missing, data sets, runs, recipes, verdicts and differences show themselves."""
    code = f"""
import sys
sys.modules["torch"] = sys.modules["matplotlib"] = None
from mien.dataset import read_dataset
from mien.judge import differences, judge
from mien.run import read_run
run, other = read_run({str(runs[0])!r}), read_run({str(runs[1])!r})
tables = {{one.name: [one.predictions("val")] for one in (run, other)}}
things = [read_dataset({str(runs[0].parent / "faces")!r}), run, run.recipe, judge(tables[run.name], draws=100)]
things += differences(tables, draws=100)
print(all(thing._repr_html_() for thing in things))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)

    assert ("True\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("body", "theme"),
    [('data-jp-theme-light="true"', LIGHT), ('data-jp-theme-light="false"', DARK), ("", LIGHT)],
)
def test_figures_follow_the_notebooks_mode(browser, report, body, theme):
    """In a dark notebook figures stand on the dark paper, else on the light one; nothing is fetched."""
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(f"<body {body}>{report.figures('confusion')._repr_html_()}{report._repr_html_()}</body>")
    color = page.evaluate("getComputedStyle(document.querySelector('.mien-figures')).backgroundColor")
    page.close()

    assert tuple(int(theme["paper"][i : i + 2], 16) for i in (1, 3, 5)) == tuple(
        map(int, re.findall(r"\d+", color))
    )
    assert [] == [address for address in asked if not address.startswith(("data:", "about:"))]


@pytest.fixture(scope="module")
def study():
    """The committed notebook."""
    return nbformat.read(STUDY, as_version=4)


def code_of(study) -> list:
    """The notebook's cells of code."""
    return [cell for cell in study.cells if cell.cell_type == "code"]


def test_the_notebook_is_valid_and_shows_its_results(study):
    """It is valid nbformat 4 as Jupyter writes it, run once from top to bottom, without faults or private metadata."""
    nbformat.validate(study)

    assert nbformat.writes(study) + "\n" == STUDY.read_text(encoding="utf-8")
    assert (4, 5) == (study.nbformat, study.nbformat_minor)
    assert len(study.cells) == len({cell.id for cell in study.cells})
    assert {"display_name": "Python 3", "language": "python", "name": "python3"} == study.metadata.kernelspec
    assert {"name": "python"} == study.metadata.language_info
    assert list(range(1, len(code_of(study)) + 1)) == [cell.execution_count for cell in code_of(study)]
    outputs = [output for cell in code_of(study) for output in cell.outputs]
    assert [] == [one for one in outputs if one.output_type == "error" or one.get("name") == "stderr"]
    assert sum("text/html" in one.get("data", {}) for one in outputs) > 15
    assert [] == [cell.id for cell in study.cells if cell.metadata]


def test_the_notebook_names_no_place_of_one_machine(study):
    """No absolute path stands in it or in what it shows, so that it runs anywhere."""
    outputs = [output for cell in code_of(study) for output in cell.outputs]
    shown = [one.get("text", "") + one.get("data", {}).get("text/plain", "") for one in outputs]
    text = "\n".join([*(cell.source for cell in study.cells), *shown])

    assert [] == re.findall(r"(?<![\w.~])/(?:home|root|tmp|work|Users|usr|mnt|opt|data)\b|[A-Z]:\\\\", text)


def test_what_the_notebook_imports_is_there(study):
    """Each cell is Python, and each name that it imports from mien exists."""
    trees = [ast.parse(cell.source) for cell in code_of(study)]
    wanted = [
        (node.module, alias.name)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mien")
        for alias in node.names
    ]

    assert len(wanted) > 8
    assert [] == [pair for pair in wanted if not hasattr(importlib.import_module(pair[0]), pair[1])]


def test_the_notebook_opens_test_in_one_cell_after_it_has_chosen(study):
    """One cell evaluates on test, and it stands below the choice."""
    opening = [n for n, cell in enumerate(study.cells) if 'split="test"' in cell.source]
    (choosing,) = (n for n, cell in enumerate(study.cells) if cell.source.startswith("chosen = "))

    assert 1 == len(opening)
    assert choosing < opening[0]


@pytest.mark.parametrize(
    ("data", "cached", "folder", "made"),
    [
        (None, True, "cache", []),
        (None, False, "study-files/rendered", [("rendered", "study-files/rendered")]),
        ("faces", False, "faces", []),
        ("in/fer2013.tar.gz", False, "study-files/fer2013", [("packed", "study-files/fer2013")]),
    ],
)
def test_data_may_be_rendered_faces_a_data_set_or_a_source(
    study, tmp_path, monkeypatch, data, cached, folder, made
):
    """Without DATA the cache is taken where it is filled; a data set is taken as it is; all else is packed."""
    monkeypatch.chdir(tmp_path)
    for name in ("faces", *(["cache"] if cached else [])):
        Path(name).mkdir()
    Path("faces", "dataset.json").touch()
    calls = []
    names = {
        **{"os": os, "Path": Path, "DATA": data, "cached_folder": lambda: Path("cache")},
        "render": lambda target, **_: calls.append(("rendered", str(target))),
        "pack": lambda source, target: calls.append(("packed", str(target))),
    }
    (cell,) = (cell for cell in code_of(study) if cell.id == "make-faces")
    exec(cell.source, names)

    assert (folder, made) == (str(names["folder"]), calls)


@pytest.fixture(scope="module")
def executed(study, tmp_path_factory):
    """The notebook executed on a few rendered faces, every warning an error, and the folder it ran in."""
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    render(folder / "faces", faces=210)
    copy = nbformat.from_dict(study)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_DATA", "faces")
        patch.setenv("MIEN_SCALE", "0.01")
        patch.setenv("PYTHONWARNINGS", "error")
        place = {"metadata": {"path": str(folder)}}
        NotebookClient(copy, timeout=600, kernel_name="python3", resources=place).execute()
    return {cell.id: cell for cell in code_of(copy)}, folder


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_results(executed):
    """Every cell runs, none writes to standard error, and each result is shown."""
    cells, folder = executed
    html = {
        name: "".join(o.data.get("text/html", "") for o in cell.outputs if "data" in o)
        for name, cell in cells.items()
    }
    text = {name: Reader(shown).text for name, shown in html.items()}
    said = {name: "".join(o.get("text", "") for o in cell.outputs) for name, cell in cells.items()}

    assert [] == [(n, o) for n, c in cells.items() for o in c.outputs if o.get("name") == "stderr"]
    assert "faces of train" in text["show-faces"]
    assert "26 dense layers, growth 16" in text["draw"]
    assert "529,511 parameters" in text["second-run"]
    assert "growth_rate = [24, 32, 48]" in text["scale"]
    assert "accuracy %" in text["judge"]
    assert "quick-densenet minus quick-cnn" in text["compare-val"]
    assert "Chosen on val, before test is opened: quick-" in said["choose"]
    assert re.search(r"learned from: +\d+\.\d%\n.*never saw: +\d+\.\d%", said["show-swap"])
    assert ["study-files/"] == [a[:12] for a in Reader(html["open-test"]).addresses]
    for name in ("scores", "confusions", "classes", "probabilities", "calibration", "random", "mistakes"):
        assert "svg" in Reader(html[f"show-{name}"]).tags, name
    assert "rightly (one seed each)" in text["conclude"]
    assert 1 == len(list(folder.rglob("report.html")))


@pytest.mark.slow
def test_the_executed_notebook_opened_test_once_a_run(executed):
    """Both networks opened test once, and the one that was trained on swapped splits never."""
    _, folder = executed
    opened = {path.parent.name: len(read_run(path.parent).openings()) for path in folder.rglob("run.json")}

    assert {"quick-densenet": 1, "quick-cnn": 1, "swapped": 0} == opened
