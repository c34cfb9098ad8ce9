"""Soft targets of augmented views: what teachers answer to the very pictures that a student learns from.

A student that sees an augmented face, with the answer to the plain face as its target, learns another function than its
teacher's (Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", 2022).
Here each face has so many views, drawn once; teachers answer each of them, and epoch e trains on view e modulo their
number, as in Wu et al. ("TinyViT", 2022). Knows nothing about networks.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mien.dataset import Faces
from mien.errors import RecipeError
from mien.files import write_atomic
from mien.recipe import Augment, current_name
from mien.train.augment import augment

FORMAT = 1
SUFFIX = ".safetensors"
UNFINISHED = ".unfinished"  # of the folder beside a file to come, in which each view has a file
CHUNK = 2048  # faces that are augmented together
# What `augment` reads; the rest (mixup, noise, outliers …) is done to batches of views, and no part of a view.
OF_A_VIEW = ("flip", "rotation", "scale", "shift", "brightness", "contrast", "random_erasing", "function")


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Answers of teachers to views of each train face."""

    classes: tuple[str, ...]
    augment: dict  # fields of the recipe's section, without what is done to a batch of views
    faces: str  # sha256 of the train faces
    teachers: tuple[str, ...]  # of their weights, sha256
    total: int  # views that the file shall have
    probs: np.ndarray  # float16 (views so far, N, C)
    weights: tuple[float, ...] = ()  # of the teachers in their mean; () where all have the same
    features: tuple[int, ...] = ()  # pooled features kept of each teacher; () where none are
    pooled: tuple[np.ndarray, ...] = ()  # of each teacher, float16 (views so far, N, F); () where not read

    @property
    def complete(self) -> bool:
        """Whether every view has its answers."""
        return len(self.probs) == self.total

    @property
    def bytes_a_view(self) -> int:
        """What a view of all faces takes in the file."""
        return self.probs.shape[1] * (self.probs.shape[2] + sum(self.features)) * self.probs.itemsize


def draw_view(images: np.ndarray, options: Augment, number: int) -> np.ndarray:
    """Return view `number` of faces uint8 (N, S, S): each augmented by the recipe's section, always the same."""
    generator = torch.Generator().manual_seed(number)
    chunks = torch.from_numpy(images).split(CHUNK)
    return torch.cat([augment(chunk, options, generator=generator) for chunk in chunks]).numpy()


def view_fields(options: Augment) -> dict:
    """Return the fields on which a view depends."""
    return {name: getattr(options, name) for name in OF_A_VIEW}


def faces_sha256(faces: Faces) -> str:
    """Return a hash of faces and their ids, in their order."""
    digest = hashlib.sha256("\n".join(faces.ids.tolist()).encode())
    digest.update(np.ascontiguousarray(faces.images).data)
    return digest.hexdigest()


def write_views(path: Path, views: Views) -> None:
    """Write answers to views, whole or not at all."""
    metadata = {
        "format": FORMAT,
        "classes": views.classes,
        "augment": views.augment,
        "faces": views.faces,
        "teachers": views.teachers,
        "total": views.total,
        "weights": views.weights,
        "features": views.features,
    }
    tensors = {"probs": views.probs} | {_tensor(n): pooled for n, pooled in enumerate(views.pooled)}
    write_atomic(path, save(tensors, {"views": json.dumps(metadata)}))


def read_views(path: Path, *, features: bool = True) -> Views:
    """Return what `write_views` wrote, on request without features; RecipeError for any other file."""
    try:
        with safe_open(path, "np") as file:
            metadata = json.loads(file.metadata()["views"])
            probs = file.get_tensor("probs")
            sizes = tuple(metadata.get("features", ()))
            kept = tuple(file.get_tensor(_tensor(n)) for n in range(len(sizes) * features))
        if metadata["format"] > FORMAT:
            raise RecipeError(f"{path}: written by a newer mien; pip install --upgrade mien")
        stored = {_current(name): value for name, value in metadata["augment"].items()}
        return Views(
            classes=tuple(metadata["classes"]),
            augment={  # what later versions added was off; earlier ones kept fields that change no view
                name: stored.get(name, off) for name, off in view_fields(Augment()).items()
            },
            faces=metadata["faces"],
            teachers=tuple(metadata["teachers"]),
            total=metadata["total"],
            probs=probs,
            weights=tuple(metadata.get("weights", ())),
            features=sizes,
            pooled=kept,
        )
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise RecipeError(
            f"{path}: not a file of answers to views ({' '.join(str(error).split())})"
        ) from None


def views_folder(path: Path) -> Path:
    """Return the folder of answered views, a file each, until the file `path` is made of them."""
    return path.with_name(path.name + UNFINISHED)


def joined_views(parts: Sequence[Views]) -> Views:
    """Return the views of several files, in their order; all are of the same faces, teachers and weights."""
    probs = np.concatenate([part.probs for part in parts])
    pooled = map(np.concatenate, zip(*(part.pooled for part in parts), strict=True))
    return replace(parts[0], total=len(probs), probs=probs, pooled=tuple(pooled))


def view_features(path: Path, sizes: Sequence[int], number: int) -> np.ndarray:
    """Return a file's features of one view, float16 (N, F), teacher after teacher; RecipeError where it lacks them."""
    try:
        with safe_open(path, "np") as file:
            return np.concatenate([file.get_slice(_tensor(n))[number] for n in range(len(sizes))], axis=1)
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        raise RecipeError(f"{path}: its features cannot be read ({' '.join(str(error).split())})") from None


def _tensor(teacher: int) -> str:
    return f"features/{teacher}"


def _current(name: str) -> str:
    return current_name(f"augment.{name}").removeprefix("augment.")


def view_targets(path: Path, faces: Faces, options: Augment, labels: tuple[str, ...]) -> np.ndarray:
    """Return a file's probabilities for each view of the faces, float64 (V, N, C), columns in the order of `labels`.

    Raises RecipeError where it is incomplete, or of other faces, classes or augmentations.
    """
    views = read_views(path, features=False)
    if not views.complete:
        raise RecipeError(
            f"{path}: {len(views.probs)} of {views.total} views are done; the command that began it goes on"
        )
    if set(views.classes) != set(labels):
        raise RecipeError(
            f"{path}: has the classes {', '.join(views.classes)}, the data set {', '.join(labels)}"
        )
    if views.faces != faces_sha256(faces):
        raise RecipeError(f"{path}: answers views of other train faces; make it from this data set")
    own = view_fields(options)
    differing = [
        f"augment.{name}={views.augment.get(name)}" for name in own if own[name] != views.augment.get(name)
    ]
    if differing:
        raise RecipeError(
            f"{path}: its views are augmented otherwise than the recipe says; train with {' '.join(differing)}"
        )
    probs = views.probs.astype(np.float64)[:, :, [views.classes.index(label) for label in labels]]
    return probs / probs.sum(2, keepdims=True)
