"""What the tests share: a toy data set that a network learns in seconds, and FER2013 where it is there."""

import importlib.util
import os
import shutil
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # toy networks are faster so, also in the processes that tests start

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.dataset import read_dataset, writing_dataset
from mien.labels import LABELS

WINDOWS = os.name == "nt" or "simulated" in sys.modules  # as `make test-portable` has it
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOY_SIDE = 16
TOY_COUNTS = {"train": 12, "val": 5, "test": 5}  # faces a class


# Begun first, so that no worker of `make test` waits in the end for another one's longest file.
LONGEST = (
    "test_serve_page.py",
    "test_compare_tables.py",
    "test_serve_attacks.py",
    "test_train.py",
    "test_serve.py",
)


def pytest_collection_modifyitems(items):
    """Put the longest files first; leave out what Windows has not, there and where it is simulated."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        if WINDOWS and (mark := item.get_closest_marker("posix")):
            item.add_marker(pytest.mark.skip(reason=f"not on Windows: {mark.args[0]}"))


def toy_face(rng: np.random.Generator, label: int, side: int = TOY_SIDE) -> bytes:
    """A noisy grey square with one bright bar whose height tells the class."""
    face = rng.integers(60, 120, (side, side))
    top = 1 + label * 2
    face[top : top + 2, 2:-2] += 110
    return face.astype(np.uint8).tobytes()


def write_toy(folder: Path, *, copies: int = 2, side: int = TOY_SIDE, counts=None) -> Path:
    """Write a toy data set whose first `copies` test faces stand in train too."""
    rng = np.random.default_rng(7)
    first = []
    with writing_dataset(folder, side=side, labels=LABELS) as writer:
        for split, count in (counts or TOY_COUNTS).items():
            for number in range(count * len(LABELS)):
                label = number % len(LABELS)
                pixels = toy_face(rng, label, side)
                if split == "train":
                    first.append(pixels)
                elif split == "test" and number < copies:
                    pixels = first[number]
                writer.add(pixels, label=LABELS[label], split=split, source=f"toy {split} {number}")
        writer.finish({"kind": "toy", "files": {}})
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Path:
    """The folder of the toy data set."""
    return write_toy(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture(scope="session")
def toy_data(toy):
    """The toy data set's train and val."""
    return read_dataset(toy).development()


TOY_DENSENET = (
    "name=toy-densenet",
    "network.layers=1,1",
    "network.growth_rate=4,8",
    "network.stem_channels=8",
    "training.epochs=16",
    "training.batch_size=14",
)


def train_toy(toy: Path, folder: Path, *overrides: str, seed: int = 0) -> Path:
    """Train a small DenseNet on the toy data set; returns the run's folder."""
    from mien.recipe import read_recipe
    from mien.train import train

    recipe = read_recipe("quick-densenet", (*TOY_DENSENET, *overrides))
    return train(recipe, read_dataset(toy).development(), folder, seed=seed).folder


@pytest.fixture(scope="session")
def toy_run(toy, tmp_path_factory) -> Path:
    """The folder of a complete run on the toy data set."""
    return train_toy(toy, tmp_path_factory.mktemp("runs") / "toy-densenet-s0")


@pytest.fixture(scope="session")
def toy_model(toy_run, tmp_path_factory) -> Path:
    """The model file that is exported of the toy run, named "toy"; it reads faces of 16 pixels."""
    from mien.export import export

    return export([toy_run], tmp_path_factory.mktemp("models") / "toy.onnx", licence="CC0-1.0").path


@pytest.fixture(scope="session")
def fer2013() -> Path:
    """FER2013's challenge archive, from MIEN_FER2013; skips without it."""
    path = os.environ.get("MIEN_FER2013")
    if not path:
        pytest.skip("MIEN_FER2013 does not say where fer2013.tar.gz lies")
    return Path(path)


def photo(package: str, *parts: str) -> np.ndarray:
    """A photo that ships inside a package, uint8 (H, W, 3); the package is not imported."""
    folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
    return np.array(Image.open(folder.joinpath(*parts)).convert("RGB"))


def leaning_portrait(astronaut: np.ndarray) -> np.ndarray:
    """A photo of a cup with a faint leaning face, 40 pixels at 60, 60, that the finder sees in the mirror alone."""
    brown = (120, 70, 50)
    portrait = Image.fromarray(astronaut).crop((120, 10, 340, 230))
    leaning = portrait.rotate(-45, Image.Resampling.BICUBIC, fillcolor=brown).resize((40, 40))
    picture = Image.fromarray(photo("skimage", "data", "coffee.png")).resize((640, 427))
    picture.paste(Image.blend(leaning, Image.new("RGB", (40, 40), brown), 0.7), (60, 60))
    return np.asarray(picture)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """NASA's portrait of Eileen Collins, public domain, 512 x 512, as scikit-image ships it."""
    return photo("skimage", "data", "astronaut.png")


@pytest.fixture(scope="session")
def playwright():
    """Playwright, of which a process may have one; skips where no Chromium is installed."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


def chromium(playwright, *more: str):
    """A real Chromium, without a network of its own, to be closed by whoever called."""
    quiet = ("background-networking", "component-update", "sync")
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments, *more])


@pytest.fixture(scope="session")
def browser(playwright):
    """A real Chromium, without a network of its own."""
    started = chromium(playwright)
    yield started
    started.close()
