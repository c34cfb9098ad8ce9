"""One part: its pictures classified in one thread and written as one parquet file, whole or not at all."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import PictureError
from mien.files import whole_file
from mien.model import BATCH
from mien.predict.answer import Answer, detected
from mien.predict.arrow import read_metadata, write_parquet
from mien.predict.columns import face_table
from mien.predict.parts.plan import Part
from mien.predict.recognizer import Detections, FaceExpression, Recognizer, batches
from mien.predict.sources import Source, refused

FORMAT = 1  # of a part's metadata
CRASHED = "its decoder crashed, or took too much memory"


@dataclass(frozen=True, slots=True)
class Job:
    """How parts are made; it travels to other processes and machines."""

    recognizer: Recognizer
    out: Path
    crop: bool
    origin: Mapping[str, Any]  # what each file says of the model and the run


@dataclass(frozen=True, slots=True)
class Progress:
    """The next pictures of a part are done; a line each says why one could not be used, or what is odd, or is ""."""

    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a part holds, by outcome of pictures and label of faces. It stands in the part's metadata."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    labels: dict[str, int] = field(default_factory=dict[str, int])


def write_part(job: Job, part: Part, crashed: Collection[int], report: Callable[[str], object]) -> Totals:
    """Classify the pictures of a part, write its file, and return its totals.

    `report` is called after each picture with its line of Progress. Those whose places are in `crashed` are not
    decoded. StorageError where the disk refuses.
    """
    counts, labels = Counter[str](), Counter[str]()

    def answers() -> Iterator[tuple[str, list[FaceExpression] | PictureError]]:
        for several in batches(_detections(job, part, crashed, report), first=BATCH):
            for detections, faces in job.recognizer.classify_batch(several):
                answer: Answer = detections.about
                counts.update(pictures=1, faces=len(faces), failed=bool(answer.problem))
                counts.update(empty=not answer.problem and not faces)
                labels.update(face.label for face in faces)
                yield answer.source.name, PictureError(answer.problem) if answer.problem else faces

    columns = face_table(job.recognizer.model.labels, answers())
    totals = Totals(dict(counts), dict(labels))
    with whole_file(job.out / part.name) as file:
        write_parquet(file, columns, {**job.origin, "format": FORMAT, **asdict(totals)})
    job.recognizer.release_memory()
    return totals


def totals_of(job: Job, part: Part) -> Totals | None:
    """Return the totals of a part that is there, whole and of this run; None where it must be made."""
    stated = read_metadata(job.out / part.name)
    if stated is None or {**stated, **job.origin} != stated or stated.get("format") != FORMAT:
        return None
    totals = Totals(stated.get("counts", {}), stated.get("labels", {}))
    return totals if totals.counts.get("pictures") == part.pictures else None


def _detections(
    job: Job, part: Part, crashed: Collection[int], report: Callable[[str], object]
) -> Iterator[Detections]:
    for place, source in enumerate(part.chunk.pictures()):
        given: Source = refused(source.name, CRASHED) if place in crashed else source
        detections = detected(job.recognizer, given, crop=job.crop)[0]
        answer: Answer = detections.about
        line = answer.problem or answer.note
        report(f"{source.shown}: {line}" if line else "")
        yield detections
