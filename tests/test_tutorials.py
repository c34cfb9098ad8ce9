"""README's and the tutorials' own commands and scripts, run in their order as a reader would."""

import csv
import glob
import io
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from party_photo import write_party
from PIL import Image
from small_table import table
from test_pack import archive_of

from mien.cli import main
from mien.labels import LABELS
from mien.render.clips import avi
from mien.render.draw import Draw
from mien.render.expression import pure
from mien.render.identity import identity
from mien.render.look import Look
from mien.render.scene import picture

ROOT = Path(__file__).parent.parent
SHORT = ["training.epochs=1", "training.batch_size=14"]  # for every training of a page
FEW = {"--faces": "105", "--seeds": "1"}  # how many are enough here


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and text of each block of code that a reader would run."""
    return re.findall(r"^```(sh|python)\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


def run_line(line: str) -> None:
    """Run a `mien` line in this process as a shell would; it must end with status 0."""
    words = shlex.split(line, comments=True)[1:]
    words = [FEW.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    if words[0] == "train":
        words = [word for word in words if not word.startswith("training.epochs")] + SHORT
    arguments = [name for word in words for name in (sorted(glob.glob(word)) if "*" in word else [word])]
    sys.argv = ["mien", *arguments]
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, line


def run_page(page: str) -> int:
    """Run all that a page shows, and return how many lines and scripts that were."""
    done = 0
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page, "exec"), {"__name__": "__main__"})
            done += 1
            continue
        for line in text.splitlines():
            if line.startswith("mien "):
                run_line(line)
                done += 1
    return done


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    return tmp_path


def test_readme_runs_from_archive_to_report(place, capsys):
    """Every `mien` line and script of README does what it says, on a small table."""
    archive_of(place / "fer2013.tar.gz", table(84))
    (place / "mien").symlink_to(ROOT)

    assert run_page("README.md") >= 7
    assert (place / "reports" / "mine" / "report.html").exists()


def test_the_first_photo(place, capsys):
    """The tutorial finds the faces of a photo, and leaves a table, the photo with boxes and a page."""
    write_party(place / "party.jpg")

    assert 3 == run_page("docs/start/photo.md")
    assert (place / "faces.csv").exists() and (place / "faces.html").exists()
    assert ["party-faces.jpg"] == [path.name for path in (place / "marked").iterdir()]


@pytest.mark.slow
def test_the_first_comparison(place, capsys):
    """The tutorial ends with a report of two networks."""
    assert 7 == run_page("docs/start/comparison.md")
    assert (place / "reports" / "first" / "report.html").exists()
    assert (place / "reports" / "first" / "numbers" / "differences.csv").exists()


def test_own_faces(place, capsys):
    """The tutorial trains on class folders, judges beside what ships, and exports a model."""
    draw = np.random.default_rng(0)
    for label in ("happy", "sad", "neutral", "angry", "disgust", "fear", "surprise"):
        (place / "my-faces" / label).mkdir(parents=True)
        for i in range(30):
            face = draw.integers(0, 256, (48, 48), dtype=np.uint8)
            Image.fromarray(face).save(place / "my-faces" / label / f"{i}.png")

    assert 8 == run_page("docs/start/own-faces.md")
    assert (place / "mine.onnx").exists() and list((place / "audit").glob("*.html"))


@pytest.mark.slow
def test_faces_in_time(place, capsys):
    """The page packs clips, trains a head over time, and follows a face in a video with the model that it exported."""
    face = picture(identity(Draw(0, "person", 0)), pure("happy"), Look(), side=96)
    draw, jpegs = np.random.default_rng(0), []
    for clip in range(28):
        folder = place / "my-clips" / LABELS[clip % 7] / f"clip {clip}"
        folder.mkdir(parents=True)
        for frame in range(3):
            scene = np.full((160, 160), 150.0)
            scene[30:126, 30 + frame : 126 + frame] = face
            image = Image.fromarray((scene + draw.normal(0, 3, scene.shape)).clip(0, 255).astype(np.uint8))
            image.save(folder / f"{frame}.png")
            image.convert("RGB").save(data := io.BytesIO(), format="jpeg")
            jpegs.append(data.getvalue())
    (place / "talk.avi").write_bytes(avi(jpegs[:8], 160, 10))

    assert 8 == run_page("docs/clips.md")
    assert {"1"} == {row["person"] for row in csv.DictReader((place / "talk.csv").read_text().splitlines())}


def run_notebook(name: str, place: Path) -> str:
    """Run a notebook in a folder and return the text of what it showed."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": place}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [] == [output["text"] for output in outputs if output.get("name") == "stderr"]
    return "".join(output.get("text", "") + str(output.get("data", "")) for output in outputs)


@pytest.mark.slow
def test_the_notebook_on_a_photo(tmp_path):
    """Five cells find six faces and write a table, from what pip brings alone."""
    shown = run_notebook("photo.ipynb", tmp_path)

    assert 6 == shown.count("box [") and "image/png" in shown
    assert 7 == len((tmp_path / "faces.csv").read_text().splitlines())


@pytest.mark.slow
def test_the_notebook_on_own_networks(tmp_path, monkeypatch):
    """A network written in a cell is trained beside mien's and compared on test."""
    for name, value in {"MIEN_SEEDS": "2", "MIEN_EPOCHS": "1", "MIEN_FACES": "210"}.items():
        monkeypatch.setenv(name, value)
    shown = run_notebook("own-network.ipynb", tmp_path)

    assert "accuracy" in shown and "mine" in shown
    assert (tmp_path / "own-network-files" / "mine-s1" / "openings.jsonl").exists()
