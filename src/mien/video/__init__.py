"""Videos and cameras: people tracked over time, the expression of each. Knows nothing about training or judging.

`sources.py` says which videos are meant; `footage.py`, `images.py` and `camera.py` give frames, `follow.py` tracks
faces, `steady.py` smooths probabilities, `seen.py` joins these, `people.py` adds up; `rows.py`, `film.py` and
`timeline.py` show the answers.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mien.errors import DataError
from mien.faces.finder import LONG_SIDE
from mien.model import Model, Prior
from mien.predict import check_options, check_outputs, open_recognizer, real_places, run_options
from mien.predict.answer import NOTICE, card_at
from mien.predict.growing import STANDARD_OUTPUT, Place, Tables, Work, check_resume
from mien.progress import Counting
from mien.reading import DEFAULT_MODEL
from mien.video.camera import Device
from mien.video.footage import HIGHEST_RATE, LOWEST_RATE, RATE, Frame
from mien.video.rows import Csv, Json, PeopleCsv, Table
from mien.video.run import Limits, Run
from mien.video.seen import Region, TrackedFace, TrackedFrame, Watcher
from mien.video.sources import Source, placed
from mien.video.sources import sources as find_sources

__all__ = ["Frame", "Region", "TrackedFrame", "TrackedFace", "Watcher", "video"]


def video(
    sources: Iterable[str | os.PathLike] = (),
    *,
    camera: int | str | Device | None = None,
    model: str | Path | Model = DEFAULT_MODEL,
    csv: str | Path | None = None,
    json: str | Path | None = None,
    people: str | Path | None = None,
    annotate: str | Path | None = None,
    timeline: str | Path | None = None,
    long_side: int = LONG_SIDE,
    threshold: float | None = None,
    prior: Prior | None = None,
    min_score: float = 0.0,
    min_face: float = 0.0,
    region: Region | None = None,
    every: int = 1,
    seconds: float | None = None,
    frames: int | None = None,
    rate: float = RATE,
    device: str | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Counting | None = None,
) -> Counter[str]:
    """Classify all faces in videos and write what is asked for; return the counts of videos, frames, people, failed.

    `sources` are videos, see `sources.py`; `camera` is one by number, path, or as a `Device`, and comes last. It is
    read until `stop` says so, or for `seconds` or `frames`, which limit files too; of `every` so many frames one is
    taken. `threshold`, `prior`, `min_score`, `min_face` and `device` are `Recognizer`'s; only faces in `region`, left,
    top, width and height in pixels, count. `rate` is that of numbered pictures, in frames a second. `csv` and `json`
    are files, or `-` for standard output, which has a summary otherwise; `people` is a file with a row a person. They
    grow row by row; with `resume` those that a stopped run left go on behind the last video whose end they hold.
    `annotate` is a video file and `timeline` a figure, .svg or .png; each may be a folder instead, and must be one for
    several sources. A source that cannot be used, or not to its end, is a line on standard error; what was read of it
    is written and the others are done. Videos and failed ones are counted in all, frames and people of what is read
    now. Raises DataError, ModelError or StorageError in one line where nothing can be done at all, Stopped where
    `progress` says so, with the rows so far kept.
    """
    import cv2  # noqa: F401 (missing, it is told before anything is written)

    limits = Limits(seconds, frames, every)
    check_options(csv, json, long_side)
    check_resume(resume, csv, json)
    _check(limits, people, region, rate)
    places = Places(annotate, timeline)
    videos = find_sources(sources, camera, stop=stop, rate=rate, written=places.films)
    videos = _placed(videos, places, resume)
    check_outputs({"--csv": csv, "--json": json, "--people": people}, real_places(v.name for v in videos))
    recognizer = open_recognizer(
        model, long_side=long_side, threshold=threshold, prior=prior, min_score=min_score, min_face=min_face,
        device=device,
    )  # fmt: skip
    card = card_at(str(model if not isinstance(model, Model) else model.path))
    options = run_options(recognizer, asdict(places), region=region, rate=rate, **asdict(limits))
    work = Work([source.name for source in videos], "videos", options, resume, sync_seconds=0)
    out = sys.stdout if STANDARD_OUTPUT not in (csv, json) else None
    with Tables(_formats(recognizer.model, card, csv, json, people), work) as growing:
        counts = Run(recognizer, limits, region, progress or Counting(), growing, out).read_all(videos)
    if out and counts["frames"]:
        print(f"{NOTICE} {card}", file=out)
    return counts


def _formats(model: Model, card: str, csv: Place, json: Place, people: Place) -> list[tuple[Place, Table]]:
    return [(csv, Csv(model)), (json, Json(model, card)), (people, PeopleCsv(model))]


@dataclass(frozen=True, slots=True)
class Places:
    """Where films and figures go: a file, or a folder of them, each."""

    annotate: str | Path | None
    timeline: str | Path | None

    @property
    def films(self) -> Path | None:
        """Where films go, as a path."""
        return Path(self.annotate) if self.annotate else None


def _placed(sources: Sequence[Source], places: Places, resume: bool) -> list[Source]:
    """Return the sources with the places of what is made of each; DataError for a camera that is to be resumed."""
    if resume and sources[-1].live:
        raise DataError("--resume reads an interrupted video once more, and a camera cannot be; leave it out")
    return placed(sources, places.annotate, places.timeline)


def _check(limits: Limits, people: Place, region: Region | None, rate: float) -> None:
    """Raise DataError for what cannot be asked."""
    limits.check()
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DataError(f"--rate must be from {LOWEST_RATE:g} to {HIGHEST_RATE:g} and is {rate:g}")
    if region is not None and not (min(region[:2]) >= 0 and min(region[2:]) > 0):
        raise DataError(f"--region must be x,y,width,height in pixels and is {','.join(map(str, region))}")
    if people == STANDARD_OUTPUT:
        raise DataError("--people: give the name of a file")
