"""Makes a small data set and finished runs of two networks without torch, for reports of tests."""

import json
from pathlib import Path

import numpy as np

from mien.dataset import read_dataset, writing_dataset
from mien.labels import LABELS, SPLITS
from mien.predictions import Predictions, write_predictions
from mien.recipe import read_recipe
from mien.run import Run, RunData, write_json, write_metrics, write_run

ENGINE = {"device": "cpu", "precision": "fp32", "layout": "channels last", "threads": 2}
SHARES = (0.14, 0.03, 0.14, 0.25, 0.17, 0.11, 0.16)  # of faces by class, about FER2013's
CNN_STAGES = (
    ("conv", "conv 16, pool", 1, [16, 24, 24], 192, 331776),
    ("conv", "conv 32, pool", 1, [32, 12, 12], 4704, 2654208),
    ("conv", "conv 64, pool", 1, [64, 6, 6], 18624, 2654208),
    ("conv", "conv 128, pool", 1, [128, 3, 3], 74112, 2654208),
    ("conv", "conv 256, pool", 1, [256, 1, 1], 295680, 2654208),
    ("head", "hidden layer, classes", 1, [7], 136199, 134656),
)
QUICK_STAGES = (
    ("stem", "stem", 1, [48, 24, 24], 528, 248832),
    ("dense", "2 dense layers, growth 24", 2, [96, 24, 24], 26784, 15261696),
    ("transition", "transition", 1, [48, 12, 12], 4704, 2654208),
    ("dense", "3 dense layers, growth 32", 3, [144, 12, 12], 71232, 10174464),
    ("transition", "transition", 1, [72, 6, 6], 10512, 1492992),
    ("dense", "3 dense layers, growth 48", 3, [216, 6, 6], 159840, 5723136),
    ("head", "average pool, classes", 1, [7], 1519, 1512),
)
STUDY_STAGES = (
    ("stem", "stem", 1, [32, 12, 12], 1632, 903168),
    ("dense", "4 dense layers, growth 16", 4, [96, 12, 12], 52160, 7372800),
    ("transition", "transition", 1, [40, 6, 6], 4032, 552960),
    ("dense", "26 dense layers, growth 16", 26, [456, 6, 6], 654784, 23003136),
    ("transition", "transition", 1, [194, 3, 3], 89376, 3184704),
    ("dense", "4 dense layers, growth 16", 4, [258, 3, 3], 94928, 834048),
    ("head", "average pool, classes", 1, [7], 2329, 1806),
)
NETWORKS = {
    "quick-cnn": CNN_STAGES,
    "study-cnn": CNN_STAGES,
    "quick-densenet": QUICK_STAGES,
    "study-densenet": STUDY_STAGES,
}
SKILL = {"quick-cnn": 0.56, "study-cnn": 0.5, "quick-densenet": 0.7, "study-densenet": 0.53}


def network_json(recipe: str) -> dict:
    """Return what `networks.cost.describe` tells of a shipped recipe at 48 pixels and seven classes."""
    keys = ("kind", "label", "layers", "shape", "parameters", "multiply_adds")
    stages = [dict(zip(keys, stage, strict=True)) for stage in NETWORKS[recipe]]
    totals = {key: sum(stage[key] for stage in stages) for key in keys[-2:]}
    return {**totals, "stages": stages}


def cartoon(label: int, rng: np.random.Generator, side: int = 48) -> np.ndarray:
    """Return a drawn face, uint8 (side, side), whose brows and mouth depend on the class."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    x, y = x + rng.normal(0, 0.02), y + rng.normal(0, 0.02)
    picture = np.full((side, side), rng.uniform(20, 90))
    picture[(x / 0.36) ** 2 + (y / 0.46) ** 2 < 1] = rng.uniform(150, 220)
    curve = (-1, -0.5, -0.6, 1.2, -1.2, 0, 0)[label]
    tall = (0.03, 0.02, 0.05, 0.04, 0.02, 0.09, 0.02)[label]
    picture[(np.abs(y - 0.22 + curve * (x**2 * 3 - 0.05)) < tall) & (np.abs(x) < 0.16)] = 60
    for eye in (-0.15, 0.15):
        picture[((x - eye) / 0.06) ** 2 + ((y + 0.1) / (0.02 + tall / 2)) ** 2 < 1] = 40
        picture[(np.abs(y + 0.2 + curve * 0.3 * (np.abs(x) - 0.15)) < 0.012) & (np.abs(x - eye) < 0.08)] = 50
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


def write_faces(folder: Path, counts=(140, 70, 210), copies: int = 12, seed: int = 0, labels=LABELS) -> Path:
    """Write a data set of drawn faces; the first `copies` test faces stand in train too."""
    rng = np.random.default_rng(seed)
    first = []
    with writing_dataset(folder, side=48, labels=labels) as writer:
        for split, count in zip(SPLITS, counts, strict=True):
            drawn = [*range(7), *rng.choice(7, count - 7, p=SHARES)]
            for row, label in enumerate(drawn):
                picture = cartoon(label, rng)
                if split == "train":
                    first.append((label, picture))
                elif split == "test" and row < copies:
                    label, picture = first[row]
                writer.add(picture.tobytes(), label=labels[label], split=split, source=f"{split} {row}")
        writer.finish({"kind": "drawn", "note": "faces drawn for a test"})
    return folder


def guesses(faces, skill: float, rng: np.random.Generator, classes=LABELS) -> np.ndarray:
    """Return made-up probabilities, float64 (N, C), right for about a share `skill` of the faces."""
    truth = np.eye(len(classes))[faces.labels]
    alike = np.eye(len(classes)) + 0.5 * np.roll(np.eye(len(classes)), 3, 1)
    logits = rng.normal(0, 1, truth.shape) + (5 * skill - 1) * (truth @ alike)
    powers = np.exp(1.3 * logits)
    return powers / powers.sum(1, keepdims=True)


def _predictions(faces, split: str, skill: float, rng, classes) -> Predictions:
    probs = guesses(faces, skill, rng, classes)
    splits = np.full(len(faces), split)
    return Predictions(tuple(classes), faces.ids, faces.labels, splits, probs, faces.groups, faces.clean)


def write_fake_run(
    folder: Path, dataset: Path, recipe: str, seed: int, *, epochs: int = 10, name: str = ""
) -> Path:
    """Write a complete run of a shipped recipe as `mien train` and `mien evaluate` leave it."""
    read = read_dataset(dataset)
    rng = np.random.default_rng([seed, *recipe.encode()])
    overrides = (f"training.epochs={epochs}", *([f"name={name}"] if name else []))
    folder.mkdir(parents=True)
    run = Run(folder, read_recipe(recipe, overrides), seed, RunData.of(read.info), ENGINE)
    write_run(run, network_json(recipe))
    skill = SKILL[recipe] + rng.normal(0, 0.01)
    write_metrics(run, [_epoch(n, epochs, skill, rng) for n in range(1, epochs + 1)])
    weights = f"{seed:064x}"
    val = {"accuracy": skill, "log_loss": 1.1}
    kept = epochs if run.recipe.training.checkpoint == "last" else max(1, epochs - 3)
    result = {"epochs": epochs, "kept_epoch": kept, "stopped_early": kept < epochs, "val": val}
    write_json(folder / "result.json", {**result, "weights_sha256": weights})
    write_json(folder / "environment.json", _environment(seed, epochs))
    development, test = read.development(), read._faces("test")
    for split, faces in (("val", development.val), ("test", test)):
        table = _predictions(faces, split, skill, rng, read.info.labels)
        write_predictions(folder / f"predictions-{split}.csv", table)
    opening = {"time": f"2026-01-0{seed + 1}T10:00:00+00:00", "split": "test", "weights_sha256": weights,
               "data_fingerprint": read.info.fingerprint}  # fmt: skip
    (folder / "openings.jsonl").write_text(json.dumps(opening) + "\n", encoding="utf-8")
    return folder


def _epoch(number: int, epochs: int, skill: float, rng: np.random.Generator) -> dict:
    done = 1 - np.exp(-4 * number / epochs)
    return {
        "epoch": number,
        "lr": 0.1 * (1 - number / epochs),
        "train_loss": 2 - 1.1 * done + rng.normal(0, 0.02),
        "train_accuracy": (skill + 0.08) * done + 0.02,
        "val_loss": 2 - 0.8 * done + rng.normal(0, 0.04),
        "val_accuracy": skill * done + rng.normal(0, 0.01),
    }


def _environment(seed: int, epochs: int) -> dict:
    seconds = 61.5 * epochs + seed
    return {
        "packages": {"mien": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0+cpu"},
        "machine": {"cpu": "AMD EPYC 9575F", "cores": 2, "system": "Linux 6.1 x86_64", "python": "3.11.2"},
        "sessions": [{"started": f"2026-01-0{seed + 1}T08:00:00+00:00", "seconds": seconds}],
        "train_seconds": seconds,
    }


def write_fake_runs(folder: Path, recipes=("quick-densenet", "quick-cnn"), seeds=3, **dataset) -> list[Path]:
    """Write a data set and runs of each recipe with seeds 0, 1, …; return the runs' folders."""
    faces = write_faces(folder / "faces", **dataset)
    return [write_fake_run(folder / f"{r}-s{s}", faces, r, s) for r in recipes for s in range(seeds)]
