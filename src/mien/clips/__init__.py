"""Clips become a data set: the face of each is found, followed and cropped. Knows nothing about networks.

`items.py` says which clips there are, `tracking.py` tracks the face of one, `splits.py` draws missing splits.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mien.clips.items import ClipItem, files_of, read_items
from mien.clips.splits import fill_clip_splits
from mien.clips.tracking import Track, Tracked, track_clip
from mien.dataset import DatasetInfo, DatasetWriter, read_dataset, standing, units_of, writing_dataset
from mien.errors import DataError, FolderExists, MienError
from mien.faces import Finder
from mien.files import make_folder
from mien.pack import empty_classes
from mien.pack.naming import Naming
from mien.progress import Counting
from mien.reading import sha256_file
from mien.text import many
from mien.video.footage import HIGHEST_RATE, LOWEST_RATE, RATE
from mien.video.run import Limits
from mien.workers import spread

__all__ = ["pack_clips"]

SMALLEST, LARGEST = 16, 512  # sides of a data set's faces
EXTRA = ("clip", "frame", "seconds", "person")
AHEAD = 2  # clips a worker that are tracked before they are written


def pack_clips(
    source: Path,
    target: Path,
    *,
    labels: Sequence[str] = (),
    side: int = 48,
    every: int = 1,
    rate: float = RATE,
    strict: bool = False,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    progress: Counting | None = None,
) -> DatasetInfo:
    """Write a data set of the faces S x S of clips to `target`, completely or not at all.

    `source` is a folder of class folders with videos and folders of numbered pictures, or a table
    path,label[,split][,subject]. Of each clip the face that is largest for longest is tracked and cropped, in every
    `every`-th frame; `rate` is the frames a second of numbered pictures. `labels` are the items of `--labels`.

    A clip that cannot be used is skipped and listed in `left-out.csv`: no face, two faces of about one size, a face
    that is followed through less than half of it, no frame, damaged, or the bytes of another clip; with `strict` it is
    a DataError. Missing splits are drawn, whole people together. Clips that a stopped job has finished are kept in
    `.TARGET.clips` until the data set is whole. Raises DataError for any other error, Stopped where `stop()` says so.
    """
    source, target, progress = Path(source), Path(target), progress or Counting()
    limits = Limits(every=every)
    limits.check()
    if not SMALLEST <= side <= LARGEST:
        raise DataError(f"--side must be from {SMALLEST} to {LARGEST} pixels and is {side}")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DataError(f"--rate must be from {LOWEST_RATE:g} to {HIGHEST_RATE:g} and is {rate:g}")
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    naming = Naming(labels)
    items = read_items(source, naming)
    options = {"side": side, "labels": list(labels), "every": every, "rate": rate, "seed": seed}
    digests = list(progress.over(f"check {source.name}", len(items), map(_digest, items)))
    named = [(i.name, i.label, i.split, i.person, d) for i, d in zip(items, digests, strict=True)]
    origin = {
        "kind": "clips",
        "files": {"clips": hashlib.sha256(repr(named).encode()).hexdigest()},
        "options": options,
    }
    if not target.exists():
        try:
            finder = Finder(threads=1)  # one for all clips: its network takes .1 s to read
            track = partial(track_clip, finder=finder, side=side, limits=limits, rate=rate, stop=stop)
            _make(_Job(source, items, digests, naming, strict, options), target, origin, track, progress)
            return read_dataset(target).info
        except FolderExists:
            pass  # another process made it meanwhile
    info = standing(target, lambda there: there == origin)
    progress.note(f"{target}: made of the same clips before; checked, and left as it is")
    return info


@dataclass(frozen=True, slots=True)
class _Job:
    """The clips to pack, and how."""

    source: Path
    items: list[ClipItem]
    digests: list[str]  # of each clip's bytes, "" where it cannot be read
    naming: Naming
    strict: bool
    options: dict  # those that change the data set

    def crops(self, folder: Path, number: int) -> Path:
        """Return the file of a clip's crops: by its place, its bytes and what else they depend on."""
        item, options = self.items[number], {name: self.options[name] for name in ("side", "every", "rate")}
        key = hashlib.sha256(repr((item.place, self.digests[number], options)).encode()).hexdigest()
        return folder / f"{key[:24]}.faces"


def _make(
    job: _Job, target: Path, origin: dict, track: Callable[[ClipItem, Path], Tracked], progress: Counting
) -> None:
    """Write the data set; raises FolderExists when another process has written it."""
    side, waiting = job.options["side"], partial(progress.wait, f"pack {target}")
    with writing_dataset(target, side=side, labels=job.naming.labels, extra=EXTRA, waiting=waiting) as writer:
        folder = target.with_name(f".{target.name}.clips")
        make_folder(folder)
        partial_clips = 0
        numbers = progress.over(
            f"pack {job.source.resolve().name}", len(job.items), _tracked(job, folder, track)
        )
        for number, tracked in numbers:
            item = job.items[number]
            if tracked.problem and job.strict:
                raise DataError(
                    f"{job.source}: {item.name}: {tracked.problem} (without --strict the rest is packed)"
                )
            if tracked.problem:
                writer.leave_out(item.name, tracked.problem)
                continue
            partial_clips += tracked.partial
            _write(writer, item, tracked, job.crops(folder, number))
        if not writer.rows:
            first, reason = writer.left_out[0]
            raise DataError(f"{job.source}: no clip can be used; the first, {first}: {reason}")
        writer.finish(origin, notes=_notes(job, writer, partial_clips))
    shutil.rmtree(folder, ignore_errors=True)


def _tracked(
    job: _Job, folder: Path, track: Callable[[ClipItem, Path], Tracked]
) -> Iterator[tuple[int, Tracked]]:
    """Yield the number of each clip with its face, tracked on all cores; of clips of the same bytes only the first."""
    first: dict[str, str] = {}
    copies = {
        number: other
        for number, (item, digest) in enumerate(zip(job.items, job.digests, strict=True))
        if digest and (other := first.setdefault(digest, item.name)) != item.name
    }

    def one(number: int) -> tuple[int, Tracked]:
        if number in copies:
            return number, Tracked(Track(), f"the same bytes as {copies[number]}")
        return number, track(job.items[number], job.crops(folder, number))

    yield from spread(one, range(len(job.items)), ahead=AHEAD)


def _write(writer: DatasetWriter, item: ClipItem, tracked: Tracked, crops: Path) -> None:
    """Write the faces of a clip."""
    start, moments = tracked.track.seconds[0], zip(tracked.track.frames, tracked.track.seconds, strict=True)
    for pixels, (frame, seconds) in zip(tracked.pixels(crops, writer.side), moments, strict=True):
        moment = (item.name, frame, f"{seconds - start:.4f}", item.person)
        source = f"{item.name} frame {frame}"
        writer.add(pixels, label=item.label, split=item.split, source=source, extra=moment)


def _notes(job: _Job, writer: DatasetWriter, partial_clips: int) -> list[str]:
    """Draw the splits that are missing, and return sentences on how the data set was made."""
    clips, people = (
        np.array([row.extra[EXTRA.index(name)] for row in writer.rows]) for name in ("clip", "person")
    )
    splits = fill_clip_splits(writer.rows, units_of(clips, people).tolist(), seed=job.options["seed"])
    several = (
        f"Of {many(partial_clips, 'clip')} a part was taken: the face is not followed through all of it."
    )
    return [*([several] if partial_clips else []), *empty_classes(job.naming, writer.rows), *splits]


def _digest(item: ClipItem) -> str:
    """Return a hash of a clip's bytes, "" where they cannot be read."""
    try:
        return hashlib.sha256("".join(map(sha256_file, files_of(item))).encode()).hexdigest()
    except (OSError, MienError):
        return ""
