import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mien.cli import main
from mien.errors import StorageError
from mien.hub import write_hub
from mien.model import read_model

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a model that ships, as `mien export pocket --hub` writes it."""
    folder = tmp_path_factory.mktemp("hub") / "pocket"
    write_hub(read_model("pocket"), folder)
    return folder


def printed(code: str) -> str:
    """Return what an example of the card prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "README.md", "exec"), {"__name__": "example"})
    return out.getvalue()


def test_the_folder_holds_model_card_labels_and_git_attributes(folder):
    """The model's file is the same to the byte; the metadata are YAML that hubs know, the card follows whole."""
    model = read_model("pocket")
    front, card = (folder / "README.md").read_text().split("---\n", 2)[1:]
    metadata = yaml.safe_load(front)
    config = json.loads((folder / "config.json").read_text())

    assert {"README.md", "config.json", "model.onnx", ".gitattributes"} == {p.name for p in folder.iterdir()}
    assert model.path.read_bytes() == (folder / "model.onnx").read_bytes()
    assert ("apache-2.0", "image-classification") == (metadata["license"], metadata["pipeline_tag"])
    assert "onnx" in metadata["tags"]
    assert list(model.labels) == list(config["id2label"].values())
    assert all(part in card for part in model.card.split("\n## "))
    assert model.sha256 == config["sha256"]


def test_the_examples_of_the_card_run_and_agree(folder, astronaut, monkeypatch):
    """With mien on a photo, and with onnxruntime alone on a crop, where both give the same probability."""
    monkeypatch.chdir(folder)
    with_mien, alone = BLOCK.findall((folder / "README.md").read_text())
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (48, 48), dtype=np.uint8)
    try:
        Image.fromarray(astronaut).save("photo.jpg")
        Image.fromarray(crop).save("face.png")
        label, confidence = printed(with_mien).split()
        answer, probability = printed(alone).split()
    finally:
        for name in ("photo.jpg", "face.png"):
            Path(name).unlink(missing_ok=True)
    model = read_model("pocket")
    (expected,) = model.probabilities(crop[None])

    assert label == "happy" and float(confidence) > 0.5
    assert model.labels[expected.argmax()] == answer
    assert pytest.approx(expected.max(), abs=1e-6) == float(probability)


def test_a_folder_that_is_a_clone_keeps_what_else_lies_in_it(folder, tmp_path):
    """Files of mien's are written again; somebody's own README is not lost."""
    (tmp_path / "LICENSE").write_text("mine")
    for _ in range(2):
        write_hub(read_model("pocket"), tmp_path)
    assert "mine" == (tmp_path / "LICENSE").read_text()
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(StorageError):
        write_hub(read_model("pocket"), tmp_path)

    assert "mine" == (tmp_path / "README.md").read_text()


def test_a_model_that_ships_is_exported_to_a_folder_by_name(tmp_path, monkeypatch, capsys):
    """`mien export pocket --hub DIR` makes no other file, and says where it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mien", "export", "pocket", "--hub", "card"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert not ended.value.code
    assert ["card"] == [path.name for path in tmp_path.iterdir()]
    assert "card/README.md" in capsys.readouterr().out
