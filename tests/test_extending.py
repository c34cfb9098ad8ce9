import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TOY_SIDE, write_toy
from torch.nn import functional as F

from mien.cli import main
from mien.errors import RecipeError
from mien.folds import subset
from mien.labels import LABELS
from mien.recipe import read_recipe
from mien.run import read_run
from mien.train import train
from mien.train.losses import focal, make_loss
from mien.train.schedule import TrainState, lr_at
from mien.train.seeds import epoch_order

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
MODULES = ("my_net", "my_parts", "wrapped")
SCRIPTS = ("train_mobile.py", "elsewhere.py", "elsewhere_sklearn.py")


def run_mien(line: str) -> None:
    """Run one command of the page in this process; it must end with status 0."""
    command, *arguments = line.split()
    assert "mien" == command
    sys.argv = ["mien", *arguments]
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, line


@pytest.mark.slow
def test_the_examples_of_the_page_run_in_their_order(tmp_path, monkeypatch):
    """Files of docs/extending.md are written under their names, its scripts and commands run to their end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.syspath_prepend(tmp_path)
    write_toy(tmp_path / "data" / "faces")
    for kind, text in BLOCKS:
        if kind == "sh":
            for line in text.splitlines():
                run_mien(line)
            continue
        name = text.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(text)
        if name in SCRIPTS:
            runpy.run_path(name)
    for module in MODULES:
        sys.modules.pop(module, None)

    assert {"mobile-s0", "python-s0", "quick-densenet-s0", "parts-s0"} <= {
        p.name for p in (tmp_path / "runs").iterdir()
    }
    assert (tmp_path / "report" / "report.html").exists() and (tmp_path / "mobile.onnx").exists()
    assert (tmp_path / "hub" / "mobile" / "README.md").exists()
    assert {"curve", "figure", "setting"} == {
        row.split(",")[1] for row in (tmp_path / "tracked.csv").read_text().splitlines()[1:]
    }
    assert 4 <= len((tmp_path / "runs.csv").read_text().splitlines())
    assert 2 == len(list((tmp_path / "events").iterdir()))
    assert 8 == dict(read_run(tmp_path / "runs" / "python-s0").recipe.network.options)["width"]


def test_focal_loss_with_gamma_0_is_cross_entropy_and_lowers_what_is_sure():
    """With soft targets, too; a face classified with confidence counts less."""
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    targets = torch.tensor([[0.9, 0.1, 0.0], [1.0, 0.0, 0.0]])

    assert torch.allclose(F.cross_entropy(logits, targets), focal(logits, targets, gamma=0.0))
    labels = torch.eye(3)[[0, 0]]
    sure, unsure = (focal(logits[i : i + 1], labels[i : i + 1], gamma=2.0) for i in (0, 1))
    plain = [F.cross_entropy(logits[i : i + 1], labels[i : i + 1]) for i in (0, 1)]
    assert sure / plain[0] < unsure / plain[1] < 1


PARTS = {  # what a loss gives of logits and targets, and an augmentation of images
    "loss": {
        "nan": "logits.sum() / 0",
        "a number a face": "-(targets * logits.log_softmax(1)).sum(1)",
        "a number of Python's": "1.0",
        "a complex number": "logits.sum().to(torch.complex64)",
        "what no logits are in": "targets.sum().requires_grad_()",
        "no gradient": "(logits.sum() - logits.sum()).sqrt()",
        "nothing for a whole batch": "F.cross_entropy(logits, targets) if len(logits) < 8 else 1 / 0",
        "the end of the process": "exit(3)",
    },
    "function": {
        "floats": "images / 255",
        "another size": "images[:, 1:-1, 1:-1]",
        "fewer faces": "images[:1]",
        "nothing": "None",
        "floats for a whole batch": "images if len(images) < 8 else images.float()",
        "an error for a whole batch": "images if len(images) < 8 else images[9999]",
    },
}
FIELDS = {"loss": "training.loss", "function": "augment.function"}
SIGNATURES = {"loss": "logits, targets", "function": "images, *, generator"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_does_not_fit_is_refused_before_training(part, toy_data, tmp_path, monkeypatch):
    """One line names the field, and no folder is made."""
    lines = ["import torch", "from torch.nn import functional as F"]
    lines += [f"def f{n}({SIGNATURES[part]}): return {value}" for n, value in enumerate(PARTS[part].values())]
    (tmp_path / f"bad_{part}.py").write_text("\n".join([*lines, "class Class(torch.nn.Module): pass", ""]))
    monkeypatch.chdir(tmp_path)
    names = [f"bad_{part}:f{n}" for n in range(len(PARTS[part]))]
    for name in (*names, f"bad_{part}:Class", f"bad_{part}:g", "math:sqrt", "foca"):
        recipe = read_recipe("quick-cnn", (f"{FIELDS[part]}={name}", "network.channels=8,16"))
        with pytest.raises(RecipeError) as raised:
            train(recipe, toy_data, tmp_path / "run")
        assert FIELDS[part] in str(raised.value) and "\n" not in str(raised.value), name

    assert not (tmp_path / "run").exists()


def test_an_augmentation_that_fails_in_a_later_batch_ends_the_training_in_one_line(
    toy_data, tmp_path, monkeypatch
):
    """What one batch passed is looked at in every other, too."""
    (tmp_path / "bad_later.py").write_text(
        "calls = []\ndef later(images, *, generator):\n    calls.append(1)\n"
        "    return images if len(calls) < 3 else images.float()\n"
    )
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe("quick-cnn", ("augment.function=bad_later:later", "network.channels=8,16"))
    with pytest.raises(RecipeError, match=r"augment\.function"):
        train(recipe, toy_data, tmp_path / "run")


def test_cosine_rises_and_falls_to_zero():
    """The highest rate stands at the end of the warm-up, half of it in the middle of the fall."""
    recipe = read_recipe("quick-cnn", ("schedule.kind=cosine", "schedule.warmup=0.2", "training.epochs=1"))
    rates = [lr_at(recipe, TrainState(lr=0.1, step=step), 100) for step in range(100)]

    assert 19 == int(np.argmax(rates)) and 0.1 == pytest.approx(rates[19], rel=1e-2)
    assert 0.05 == pytest.approx(rates[60], rel=0.05) and rates[-1] < 1e-3


def test_a_balanced_sampler_draws_classes_equally_often():
    """A class of a tenth of the faces is half of those drawn, and the same epoch draws the same faces."""
    classes = torch.tensor([0] * 900 + [1] * 100)
    order = epoch_order(0, 1, 1000, "cpu", classes=classes)

    assert 0.5 == pytest.approx(classes[order].double().mean().item(), abs=0.06)
    assert torch.equal(order, epoch_order(0, 1, 1000, "cpu", classes=classes))


def test_a_subset_is_stratified_nested_and_keeps_copies_together():
    """Each class has its share, a smaller subset's faces are in a larger one, and a group is whole or not there."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [400, 200, 100, 4])
    groups = np.array([f"{label}-{rng.integers(0, 60)}" for label in labels])
    tenth, half = (subset(labels, groups, share) for share in (0.1, 0.5))

    assert set(tenth) < set(half)
    assert not set(groups[half]) & set(np.delete(groups, half))
    counts = np.bincount(labels[half], minlength=4)
    assert (np.abs(counts - [200, 100, 50, 2]) <= 20).all() and 1 <= np.bincount(
        labels[tenth], minlength=4
    ).min()


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer.kind=adamw", "optimizer.lr=0.01", "schedule.kind=cosine"),
        ("training.loss=focal", "training.sampler=balanced", "training.subset=0.5"),
    ],
)
def test_each_part_trains_and_says_so(overrides, toy_data, tmp_path):
    """A run with each of them ends with finite figures."""
    recipe = read_recipe("quick-cnn", ("network.channels=8,16", "training.epochs=2", *overrides))
    run = train(recipe, toy_data, tmp_path / "run")

    assert np.isfinite([row["train_loss"] for row in run.metrics()]).all()
    assert TOY_SIDE == run.data.side and len(LABELS) == len(run.data.labels)


def test_an_unknown_loss_is_refused_with_the_nearest_name():
    """The line says which there are."""
    with pytest.raises(RecipeError, match='did you mean "focal"'):
        make_loss(read_recipe("quick-cnn", ("training.loss=foca",)).training)
