"""Rendered faces: a free data set with exact ground truth. Knows nothing about networks or evaluation.

`render` writes the data set, which `faces.py` plans, `render_clips` one of clips, which `clip_set.py` plans. `draw.py`
gives random numbers and `shapes.py` reads the blend shapes; `identity.py`, `expression.py` and `look.py` sample person,
expression and view; `geometry.py`, `raster.py`, `textures.py`, `paint.py`, `shade.py` and `photo.py` render them for
`scene.picture`. All of that needs numpy alone. `showcase.py` fills the page that `write_page` writes.
"""

import inspect
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mien import __version__
from mien.dataset import DatasetInfo, read_dataset, standing, writing_dataset
from mien.errors import DataError, FolderExists
from mien.files import write_atomic
from mien.labels import LABELS
from mien.progress import Counting
from mien.reading import sha256_file
from mien.render.clip_set import CLIP_TRUTH, ClipPlan
from mien.render.clip_set import render_clips as _rendered_clips
from mien.render.clips import RATES, SECONDS
from mien.render.faces import TRUTH, Plan, Rendered, render_all
from mien.render.faces import people as _people
from mien.render.shapes import PACK, shapes

__all__ = ["COUNTS", "cached_folder", "is_default", "render", "render_clips", "write_page"]

SMALLEST, LARGEST = 48, 256  # sides of the faces
FEWEST, MOST = 21, 200_000
FEWEST_CLIPS, MOST_CLIPS = 6, 100_000
COUNTS = ("balanced", "fer2013")
VERSION = 1  # of the images; incremented when the same seed renders other ones
LARGEST_NOISE = 0.8
SECTIONS = (
    ("classes", "By class"),
    ("intensities", "From faint to strong"),
    ("units", "Unit by unit"),
    ("views", "Views and lights"),
    ("people", "People"),
    ("figures", "In figures"),
    ("origin", "Where they come from"),
)
NOTE = "These are rendered faces: a figure on them is no measure of performance on people."


def render(
    target: Path,
    *,
    faces: int = 7000,
    side: int = 48,
    seed: int = 0,
    counts: str = "balanced",
    label_noise: float = 0.0,
    ambiguity: float = 0.3,
    workers: int = 1,
    progress: Counting | None = None,
) -> DatasetInfo:
    """Write a data set of rendered S x S gray faces to `target`, completely or not at all.

    `counts` is "balanced" or "fer2013", for the class distribution of FER2013. `label_noise` is
    the share of faces with a wrong label, `ambiguity` the share of faces with a second class
    mixed in. People are split 80 : 10 : 10 and the same people show all classes. The table holds
    the ground truth of each face. `workers` is the number of processes and changes no byte; more than one
    need a script guarded by `if __name__ == "__main__"`.

    A data set already made with the same options is checked and kept. Raises DataError, in
    one line, for anything else.
    """
    plan = _checked(Plan(faces, side, seed, counts, float(label_noise), float(ambiguity)))
    items = ([face] for face in render_all(plan, workers))
    job = _Job(Path(target), plan.side, TRUTH, _origin(plan), _notes(plan), plan.faces, items)
    return _made(job, progress or Counting())


def render_clips(
    target: Path,
    *,
    clips: int,
    side: int = 48,
    seed: int = 0,
    seconds: float = 3.0,
    rate: int = 25,
    workers: int = 1,
    progress: Counting | None = None,
) -> DatasetInfo:
    """Write a data set of rendered clips, faces S x S over time, to `target`, completely or not at all.

    `seconds` is a clip's mean length and `rate` its frames a second. The table has the ground truth of each frame;
    people are split 70 : 10 : 20. `workers` and errors are those of `render`.
    """
    for name, value, (low, high) in (
        ("clips", clips, (FEWEST_CLIPS, MOST_CLIPS)), ("side", side, (SMALLEST, LARGEST)),
        ("seconds", seconds, SECONDS), ("rate", rate, RATES),
    ):  # fmt: skip
        if not low <= value <= high:
            raise DataError(f"--{name} must be from {low:g} to {high:,g} and is {value:g}")
    plan = ClipPlan(clips, side, seed, float(seconds), rate)
    origin = _origin_of("rendered-clips", asdict(plan))
    items = _rendered_clips(plan, workers)
    return _made(_Job(Path(target), side, CLIP_TRUTH, origin, [NOTE], clips, items), progress or Counting())


@dataclass(frozen=True, slots=True)
class _Job:
    """A data set to be rendered."""

    target: Path
    side: int
    extra: tuple[str, ...]  # columns of the ground truth
    origin: dict
    notes: list[str]
    total: int
    items: Iterable[list[Rendered]]  # so many lists of faces


def _made(job: _Job, progress: Counting) -> DatasetInfo:
    """Return the data set, rendered now or earlier in the same way."""
    if not job.target.exists():
        try:
            _make(job, progress)
            return read_dataset(job.target).info
        except FolderExists:
            pass  # another process made it meanwhile
    info = standing(job.target, lambda there: there == job.origin)
    progress.note(f"{job.target}: rendered in the same way before; checked, and left as it is")
    return info


def _make(job: _Job, progress: Counting) -> None:
    """Render the data set; raises FolderExists when another process has written it."""
    waiting = partial(progress.wait, f"render {job.target}")
    with writing_dataset(
        job.target, side=job.side, labels=LABELS, extra=job.extra, waiting=waiting
    ) as writer:
        for faces in progress.over(f"render {job.target.name}", job.total, job.items):
            for face in faces:
                writer.add(
                    face.pixels, label=face.label, split=face.split, source=face.source, extra=face.truth
                )
        writer.finish(job.origin, notes=job.notes)


def is_default(**options) -> bool:
    """Return whether options of `render` are the defaults."""
    defaults = inspect.signature(render).parameters
    return all(defaults[name].default == value for name, value in options.items())


def cached_folder() -> Path:
    """Return where the default data set of rendered faces is kept: in the user's cache (XDG_CACHE_HOME)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mien" / f"rendered-v{VERSION}"


def _checked(plan: Plan) -> Plan:
    if not FEWEST <= plan.faces <= MOST:
        raise DataError(f"--faces must be from {FEWEST} to {MOST:,} and is {plan.faces:,}")
    if not SMALLEST <= plan.side <= LARGEST:
        raise DataError(f"--side must be from {SMALLEST} to {LARGEST} pixels and is {plan.side}")
    if plan.seed < 0:
        raise DataError(f"--seed must be 0 or more and is {plan.seed}")
    if plan.counts not in COUNTS:
        raise DataError(f'--counts must be {" or ".join(COUNTS)} and is "{plan.counts}"')
    if not 0 <= plan.label_noise <= LARGEST_NOISE:
        raise DataError(f"--label-noise must be from 0 to {LARGEST_NOISE} and is {plan.label_noise:g}")
    if not 0 <= plan.ambiguity <= 1:
        raise DataError(f"--ambiguity must be from 0 to 1 and is {plan.ambiguity:g}")
    return plan


def _origin(plan: Plan) -> dict:
    options = {"faces": plan.faces, "side": plan.side, "seed": plan.seed, "counts": plan.counts}
    options |= {"label_noise": plan.label_noise, "ambiguity": plan.ambiguity}
    return _origin_of("rendered", options)


def _origin_of(kind: str, options: dict) -> dict:
    origin = {"kind": kind, "files": {PACK.name: sha256_file(PACK)}, "wheel": dict([shapes().origin])}
    return origin | {"version": VERSION, "options": options}


def _notes(plan: Plan) -> list[str]:
    notes = [NOTE]
    if plan.label_noise:
        notes.append(
            f"{plan.label_noise:.0%} of the labels are wrong on purpose; the column shown has the truth."
        )
    if plan.ambiguity:
        notes.append(
            f"{plan.ambiguity:.0%} of the faces are mixed with a second class, in the column second."
        )
    return notes


def write_page(dataset: Path, page: Path) -> None:
    """Write the page, one HTML file, that shows a data set of rendered faces and how they are made.

    Raises DataError for any other data set.
    """
    from mien.pages import render as filled
    from mien.render import showcase

    read = read_dataset(Path(dataset))
    if read.info.origin.get("kind") != "rendered":
        raise DataError(f"{dataset}: its faces are not rendered, so there is no page of how they are made")
    options = read.info.origin["options"]
    plan = _checked(Plan(**options))
    html = filled(
        "mien.render",
        "render.html",
        lead=f"{sum(map(read.info.count, read.info.counts)):,} faces of {_people(plan):,} people, rendered in 3D "
        f"from free shapes. Expression, person, pose and light are known exactly and stand in the table.",
        sections=SECTIONS,
        side=read.info.side,
        notes=read.info.notes,
        classes=showcase.by_class(read),
        intensities=showcase.by_intensity(),
        units=showcase.by_unit(),
        looks=showcase.by_look(),
        strangers=showcase.strangers(),
        figures=showcase.figures_table(read, plan),
        counts=showcase.counts_table(read),
        truth=showcase.truth_table(read),
        wheel=shapes().origin[0],
        command=_command(dataset, options),
        folder=dataset,
        fingerprint=read.info.fingerprint,
        version=__version__,
    )
    write_atomic(Path(page), html)


def _command(dataset: Path, options: dict) -> str:
    words = (f"--{name.replace('_', '-')} {value}" for name, value in options.items())
    return f"mien render {dataset} {' '.join(words)}"
