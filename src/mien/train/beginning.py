"""How a run begins, or is taken up as the one that is asked for. Trains nothing."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from mien.dataset import Development, same_faces
from mien.errors import DataError, RecipeError, RunError
from mien.folds import Fold
from mien.networks import build
from mien.networks.cost import describe
from mien.networks.custom import check
from mien.networks.engine import Engine, choose_engine
from mien.networks.initial import initial_file, read_initial
from mien.reading import sha256_file
from mien.recipe import ClipHead, Recipe, differing_fields
from mien.run import Run, RunData, read_run, write_run
from mien.train.augment import check_function
from mien.train.clips import check_clips
from mien.train.hints import TeacherFeatures, require_pooled_features
from mien.train.losses import check_loss
from mien.train.schedule import side_at
from mien.train.targets import soft_target_files, targets


def checked(recipe: Recipe, data: Development) -> dict | None:
    """Return file name and sha256 of the weights to start from, None for fresh ones, before a folder is made.

    Raises RecipeError where these, the network, the tables of targets or the first faces do not fit, DataError for
    fewer than two train faces, or classes of these.
    """
    if len(data.train) < 2:
        raise DataError(f"{data.info.folder}: at least 2 train faces are needed")
    if len(there := set(data.train.labels.tolist())) < 2:
        raise DataError(
            f"{data.info.folder}: all train faces are {data.info.labels[there.pop()]}; at least 2 classes are needed"
        )
    if isinstance(recipe.network, ClipHead):
        return check_clips(recipe, data)
    network = check(recipe.network, side=data.info.side, classes=len(data.info.labels))
    _refuse_too_small(recipe, network, data.info.side)
    targets(data.train, recipe, data.info.labels)
    if recipe.distillation.features:
        require_pooled_features(network, recipe.network.kind, data.info.side)
        TeacherFeatures(recipe, len(data.train), "cpu")
    check_loss(recipe.training, len(data.info.labels))
    check_function(recipe.augment, torch.from_numpy(data.train.images[: recipe.training.batch_size]))
    if not recipe.network.pretrained:
        return None
    path = initial_file(recipe.network.pretrained)
    read_initial(path, network, data.info.labels)
    sha256 = sha256_file(path)
    of_a_run = all((path.parent / name).exists() for name in ("run.json", "result.json"))
    if path.name == "weights.safetensors" and of_a_run:
        _refuse_other_than_chosen(path, sha256)
    return {"file": path.name, "sha256": sha256}


def _refuse_other_than_chosen(path: Path, sha256: str) -> None:
    """Raise RecipeError where a run's weights are others than those that it ended with."""
    if sha256 != read_run(path.parent).result()["weights_sha256"]:
        raise RecipeError(f"network.pretrained: {path}: changed or cut short since its run ended")


def remarks(data: Development) -> list[str]:
    """Return a sentence on the classes that no face of train has, and one on those that none of val has."""
    sentences = []
    for faces, split, follows in (
        (data.train, "train", "they cannot be learned"),
        (data.val, "val", "its figures say nothing of them"),
    ):
        there = set(faces.labels.tolist())
        missing = [label for number, label in enumerate(data.info.labels) if number not in there]
        if missing:
            sentences.append(f"no face of {split} is {' or '.join(missing)}: {follows}")
    return sentences


def begin_or_take_up(
    recipe: Recipe, data: Development, folder: Path, seed: int, engine: Engine | None, init: dict | None
) -> Run:
    """Return the run in `folder`, begun now or earlier; RunError when it is not the one asked for."""
    wanted = RunData.of(data.info)
    if (folder / "run.json").exists():
        run = read_run(folder)
        _refuse_other(run, recipe, wanted, seed, data.fold)
        _refuse_other_weights(run)
        _refuse_other_teacher(run)
        return run
    leftovers = {"recipe.toml", "network.json"}
    foreign = sorted(
        f.name for f in folder.iterdir() if f.name not in leftovers and not f.name.endswith((".tmp", ".lock"))
    )
    if foreign:
        raise RunError(f"{folder}: not a run and not empty ({foreign[0]}); give another --out")
    engine = engine or choose_engine(precision=recipe.training.precision)
    run = Run(folder, recipe, seed, wanted, asdict(engine), data.fold, init, soft_target_files(recipe))
    network = build(recipe.network, side=wanted.side, classes=len(wanted.labels))
    write_run(run, describe(network, wanted.side))
    return run


def _refuse_other(run: Run, recipe: Recipe, data: RunData, seed: int, fold: Fold | None) -> None:
    faults = differing_fields(run.recipe, recipe)
    if run.name != recipe.name:
        faults.append(f"name ({run.name} there, {recipe.name} here)")
    if run.seed != seed:
        faults.append(f"seed ({run.seed} there, {seed} here)")
    if run.fold != fold:
        faults.append(f"fold ({run.fold or 'none'} there, {fold or 'none'} here)")
    if not same_faces(run.data, data):
        faults.append(f"data ({run.data.fingerprint} there, {data.fingerprint} here)")
    if faults:
        raise RunError(f"{run.folder}: holds another run: {'; '.join(faults)}; give another name=… or --out")


def _refuse_too_small(recipe: Recipe, network: nn.Module, side: int) -> None:
    """Raise RecipeError when faces of `training.progressive_resizing` pixels are too small for the network."""
    smallest = side_at(recipe, 0, side)
    if smallest == side:
        return
    try:
        with torch.device(next(network.parameters()).device):
            describe(network, smallest)
    except (RuntimeError, ValueError):  # of torch, and of checks in somebody's own network
        raise RecipeError(
            f"training.progressive_resizing: faces of {smallest} pixels are too small for this network"
        ) from None


def _refuse_other_weights(run: Run) -> None:
    """Raise RunError when the file of `network.pretrained` is there and is not the one that the run was begun with."""
    if run.init and not isinstance(
        run.recipe.network, ClipHead
    ):  # whose features are checked as they are computed
        _refuse_changed(run, initial_file(run.recipe.network.pretrained), run.init["sha256"])


def _refuse_other_teacher(run: Run) -> None:
    """Raise RunError when a table of targets is there and is not the one that the run was begun with."""
    for table, begun_with in zip(run.recipe.distillation.soft_targets, run.teacher, strict=True):
        _refuse_changed(run, Path(table), begun_with["sha256"])


def _refuse_changed(run: Run, path: Path, sha256: str) -> None:
    if path.is_file() and sha256_file(path) != sha256:
        raise RunError(
            f"{path}: changed since {run.folder} was begun with it (sha256 {sha256} then); "
            f"bring it back, or give another name=… or --out"
        )
