"""No class of rendered faces can be told without looking at the face."""

import csv

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mien.render import render

CHANCE, MARGIN = 1 / 7, 0.03
FACES, WORKERS = 4900, 2


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Pixels, classes and splits of many rendered faces."""
    folder = tmp_path_factory.mktemp("rendered") / "faces"
    render(folder, faces=FACES, seed=1, workers=WORKERS)
    with open(folder / "table.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown, split = (np.array([row[name] for row in rows]) for name in ("shown", "split"))
    return np.load(folder / "faces.npy").astype(np.float32), shown, split == "train"


def whole_picture(images: np.ndarray) -> np.ndarray:
    """Return mean, spread, sharpness and quantiles of each picture's greys."""
    around = images[:, :-2, 1:-1] + images[:, 2:, 1:-1] + images[:, 1:-1, :-2] + images[:, 1:-1, 2:]
    sharpness = (4 * images[:, 1:-1, 1:-1] - around).std((1, 2))
    quantiles = np.percentile(images.reshape(len(images), -1), [1, 5, 25, 50, 75, 95, 99], axis=1).T
    return np.c_[images.mean((1, 2)), images.std((1, 2)), sharpness, quantiles]


def corners(images: np.ndarray) -> np.ndarray:
    """Return the pixels that the face hardly ever covers."""
    parts = [images[:, :10, :5], images[:, :10, -5:], images[:, -10:, :4], images[:, -10:, -4:]]
    return np.concatenate([part.reshape(len(images), -1) for part in parts], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("features", [whole_picture, corners])
@pytest.mark.parametrize("kind", ["line", "forest"])
def test_no_class_is_told_by_what_is_around_the_face(faces, features, kind):
    """Whole-picture statistics and the picture's corners tell the class no better than chance, to 3 points."""
    images, shown, train = faces
    known = features(images)
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, C=0.1))
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=0)
    model = (line if kind == "line" else forest).fit(known[train], shown[train])

    assert CHANCE == pytest.approx(model.score(known[~train], shown[~train]), abs=MARGIN)
