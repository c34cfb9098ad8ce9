"""Predicting: pictures in, faces with their expression out. Knows nothing about training or judging.

`recognizer.py` detects and classifies the faces, `images.py` takes what callers have as images, `occlusion.py` tells
why; `sources.py` says which pictures a PATH means, `rows.py`, `annotate.py` and `report.py` show the answers.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Self

from mien.errors import DataError
from mien.faces.finder import LONG_SIDE
from mien.files import appearing_file, make_folder, write_atomic
from mien.model import Model, Prior
from mien.pack.folders import is_picture
from mien.pictures import Picture, quiet
from mien.predict.answer import NOTICE, Answer, card_at, detected
from mien.predict.batch import BatchPredictor
from mien.predict.growing import STANDARD_OUTPUT, Kept, Place, Tables, Work, check_resume
from mien.predict.recognizer import SMALLEST_LONG_SIDE, Detections, FaceExpression, ReadFace, Recognizer
from mien.predict.report import Sheet, page_of, thumbnail, thumbnail_bytes
from mien.predict.rows import Csv, Json, Lines, summary
from mien.predict.sources import STANDARD_INPUT, Source, sources
from mien.progress import Counting
from mien.reading import DEFAULT_MODEL
from mien.workers import spread

__all__ = ["BatchPredictor", "FaceExpression", "ReadFace", "Recognizer", "predict"]

LOSSLESS = (".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
LARGEST_LONG_SIDE = 4096
LONGEST_STEM = 200  # bytes of the name of what is drawn


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is made of each picture, and where it goes."""

    csv: Place = None
    json: Place = None
    page: Path | None = None
    annotate: Path | None = None
    explain: Path | None = None
    crop: bool = False
    read: frozenset[str] = frozenset()  # the files that are read, which nothing is written over
    thumbnail: int = 0  # the most bytes of a picture's thumbnail, where a page is to show it

    @property
    def to_terminal(self) -> bool:
        """Whether standard output is for people, as no table takes it."""
        return STANDARD_OUTPUT not in (self.csv, self.json)


def predict(
    paths: Iterable[str | PathLike[str]],
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    crop: bool = False,
    csv: str | Path | None = None,
    json: str | Path | None = None,
    annotate: Path | None = None,
    page: Path | None = None,
    explain: Path | None = None,
    long_side: int = LONG_SIDE,
    threshold: float | None = None,
    prior: Prior | None = None,
    min_score: float = 0.0,
    min_face: float = 0.0,
    device: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    width: int | None = None,
    progress: Counting | None = None,
) -> Counter[str]:
    """Detect and classify all faces in pictures, write what is asked for, and return the counts of pictures.

    `paths` are files, folders, patterns and `-`, see `sources.py`. `csv` and `json` are files that grow picture by
    picture, or `-` for standard output, which has a table of at most `width` characters a line otherwise. With `resume`
    a file that a stopped run left goes on behind its last whole picture. `annotate` and `explain` are folders, `page`
    an HTML file, which is whole or not there. `crop` takes each picture for a face; the other settings are
    Recognizer's and `predict_many`'s. A picture that cannot be used is a line on standard error, and the others are
    done. The counts are of pictures, faces, empty and failed ones, in all. Raises DataError, ModelError or StorageError
    in one line where nothing can be done at all, Stopped with what was kept.
    """
    outputs = Outputs(csv, json, _path(page), _path(annotate), _path(explain), crop)
    given = list(paths)
    _check(given, outputs, long_side, resume=resume)
    folders = [folder for folder in (outputs.annotate, outputs.explain) if folder is not None]
    pictures, passed_over = sources(given, written=folders)
    if all(source.missing for source in pictures):
        raise DataError(f"{pictures[0].shown}: {pictures[0].missing}")
    thumbnail = thumbnail_bytes(len(pictures)) if outputs.page else 0
    outputs = replace(outputs, read=real_places(source.name for source in pictures), thumbnail=thumbnail)
    check_outputs({"--csv": csv, "--json": json, "--page": page}, outputs.read)
    recognizer = open_recognizer(
        model, long_side=long_side, threshold=threshold, prior=prior, min_score=min_score, min_face=min_face,
        device=device,
    )  # fmt: skip
    card = card_at(str(model if not isinstance(model, Model) else model.path))
    lines = Lines(sys.stdout, [p.shown for p in pictures], recognizer.model.labels, width)
    with quiet(), _tables(recognizer, pictures, outputs, card, resume=resume) as tables:
        tally, rest = Tally.of(tables.kept), pictures[tables.kept.items :]
        answers = _answers(recognizer, rest, outputs, workers)
        counted = (progress or Counting()).over("predict", len(rest), answers)
        _write(
            counted, tables, tally, lines if outputs.to_terminal else None, outputs, recognizer.model, card
        )
    if outputs.to_terminal:
        print(f"{summary(tally.counts, tally.labels, passed_over)}\n{NOTICE} {card}")
    return tally.counts


def _tables(
    recognizer: Recognizer, pictures: list[Source], outputs: Outputs, card: str, *, resume: bool
) -> Tables[Csv | Json]:
    """Return the tables that grow."""
    formats: list[tuple[Place, Csv | Json]] = [
        (outputs.csv, Csv(recognizer.model)),
        (outputs.json, Json(recognizer.model, card)),
    ]
    drawn: dict[str, Place] = {"annotate": outputs.annotate, "explain": outputs.explain}
    options = run_options(recognizer, drawn, crop=outputs.crop)
    names = [source.name for source in pictures]
    return Tables(formats, Work(names, "pictures", options, resume))


def _write(
    answers: Iterable[Answer],
    tables: Tables[Csv | Json],
    tally: "Tally",
    lines: Lines | None,
    outputs: Outputs,
    model: Model,
    card: str,
) -> None:
    """Write and count each answer as it comes, and at the end the page."""
    sheet = Sheet()
    with appearing_file(outputs.page) if outputs.page else nullcontext() as page:
        for answer in answers:
            tables.write(lambda form, answer=answer: form.rows(answer))
            tables.end_item()
            if lines:
                lines.add(answer)
            if page:
                sheet.add(answer)
            tally.add(answer)
        if page:
            page.write(page_of(sheet, tally.counts, tally.labels, model, card))


@dataclass(slots=True)
class Tally:
    """What is counted over all pictures."""

    counts: Counter[str]  # pictures, faces, empty and failed ones
    labels: Counter[str]

    @classmethod
    def of(cls, kept: Kept) -> Self:
        """Return what is counted of the pictures that tables keep."""
        counts = Counter(pictures=kept.items, faces=kept.labels.total())
        return cls(counts + kept.outcomes, kept.labels.copy())

    def add(self, answer: Answer) -> None:
        """Count a picture, and say on standard error what is odd about it."""
        self.counts["pictures"] += 1
        self.counts["faces"] += len(answer.faces)
        self.counts["failed"] += bool(answer.problem)
        self.counts["empty"] += not answer.problem and not answer.faces
        self.labels.update(face.label for face in answer.faces)
        for line in filter(None, (answer.problem, answer.note)):
            print(f"mien: {answer.source.shown}: {line}", file=sys.stderr)


def _check(paths: Sequence[str | PathLike[str]], outputs: Outputs, long_side: int, *, resume: bool) -> None:
    """Raise DataError for what cannot be asked."""
    if not paths:
        raise DataError("give a picture, a folder of pictures, a pattern, or - for standard input")
    if [str(path) for path in paths].count(STANDARD_INPUT) > 1:
        raise DataError("- stands for standard input, which can be read once")
    check_options(outputs.csv, outputs.json, long_side)
    check_resume(resume, outputs.csv, outputs.json)
    if resume and outputs.page is not None:
        raise DataError("--page shows the pictures of one whole run; make it without --resume")


def check_options(csv: Place, json: Place, long_side: int) -> None:
    """Raise DataError for what no reading of pictures or videos can do."""
    if csv == json == STANDARD_OUTPUT:
        raise DataError("--csv - and --json - would both write to standard output; give one of them a file")
    if STANDARD_OUTPUT in (csv, json) and sys.__stdout__ is None:
        raise DataError("standard output is closed; give --csv or --json a file")
    if not SMALLEST_LONG_SIDE <= long_side <= LARGEST_LONG_SIDE:
        raise DataError(
            f"--long-side must be from {SMALLEST_LONG_SIDE} to {LARGEST_LONG_SIDE:,} and is {long_side}"
        )


def open_recognizer(
    model: str | Path | Model,
    *,
    long_side: int,
    threshold: float | None,
    prior: Prior | None,
    min_score: float,
    min_face: float,
    device: str | None,
) -> Recognizer:
    """Return the recognizer; DataError names the option that is out of its range."""
    try:
        recognizer = Recognizer(
            model,
            long_side=long_side,
            threshold=threshold,
            prior=prior,
            min_score=min_score,
            min_face=min_face,
            device=device,
        )
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise DataError(f"--{name.replace('_', '-')} {rest}") from None
    if recognizer.device_note:
        print(f"mien: {recognizer.device_note}", file=sys.stderr)
    return recognizer


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)


def run_options(recognizer: Recognizer, drawn: Mapping[str, Place], **others: object) -> dict[str, object]:
    """Return all that decides what stands in a table, and where what is `drawn` beside it goes, for a resumed run."""
    return {
        "model": recognizer.model.sha256,
        "threshold": recognizer.model.threshold,
        "prior": " ".join(map(repr, recognizer.model.prior)),
        "long_side": recognizer.long_side,
        "min_score": recognizer.min_score,
        "min_face": recognizer.min_face,
        "device": recognizer.device,
        **others,
        **{option: path and os.path.realpath(path) for option, path in drawn.items()},
    }


def real_places(names: Iterable[str]) -> frozenset[str]:
    """Return where files really lie; a link to itself stays what it is."""
    return frozenset(map(os.path.realpath, names))


def check_outputs(outputs: Mapping[str, str | PathLike[str] | None], read: frozenset[str]) -> None:
    """Raise DataError where a file that shall be written is one to be read, looks like a picture, or is named twice."""
    files = {option: Path(name) for option, name in outputs.items() if name and name != STANDARD_OUTPUT}
    taken: dict[str, str] = {}
    for option, path in files.items():
        place = os.path.realpath(path)
        if place in read or is_picture(PurePosixPath(path)):
            raise DataError(
                f"{option} {path}: would write over a picture, or what is read; name another file"
            )
        if place in taken:
            raise DataError(f"{taken[place]} and {option} would both write {path}; name another file")
        taken[place] = option


def _answers(
    recognizer: Recognizer, pictures: list[Source], outputs: Outputs, workers: int | None
) -> Iterator[Answer]:
    """Yield the answers in order: faces are detected by several threads and classified in batches.

    Where something is drawn, each picture is decoded, classified, drawn and written at once, so that none has to wait
    in memory.
    """
    if outputs.annotate is not None or outputs.explain is not None:
        yield from spread(lambda source: _drawn(recognizer, source, outputs), pictures, workers=workers)
        return
    stream = recognizer.stream(
        lambda source: _detected(recognizer, source, outputs)[0], pictures, workers=workers
    )
    for detections, faces in stream:
        yield replace(detections.about, faces=faces)


def _detected(recognizer: Recognizer, source: Source, outputs: Outputs) -> tuple[Detections, Picture | None]:
    """Return a picture's detections with its answer, which has its thumbnail where a page is to show it."""
    detections, picture = detected(recognizer, source, crop=outputs.crop)
    if picture is None or not outputs.thumbnail:
        return detections, picture
    small = thumbnail(picture.pixels, len(detections.faces), outputs.thumbnail)
    return replace(detections, about=replace(detections.about, small=small)), picture


def _drawn(recognizer: Recognizer, source: Source, outputs: Outputs) -> Answer:
    from mien.predict.annotate import annotated, encoded, explained

    detections, picture = _detected(recognizer, source, outputs)
    faces = recognizer.classify(detections)
    if outputs.annotate is not None and picture is not None:
        lossless = Path(source.name).suffix.lower() in LOSSLESS
        target = _target(outputs, outputs.annotate, source.place, f"-faces.{'png' if lossless else 'jpg'}")
        drawn = annotated(picture.pixels, [face.scaled(1 / picture.reduction) for face in faces])
        write_atomic(target, encoded(drawn, lossless=lossless))
    if outputs.explain is not None:
        for number, face in enumerate(faces, start=1):
            target = _target(outputs, outputs.explain, source.place, f"-why{number}.png")
            write_atomic(target, encoded(explained(face, recognizer.explain(face)), lossless=True))
    return replace(detections.about, faces=faces)


def _target(outputs: Outputs, folder: Path, place: str, ending: str) -> Path:
    """Return where a picture is written, in a folder that is there; its name keeps within what a file's may take."""
    path = folder / place
    stem = os.fsencode(path.name)[:LONGEST_STEM].decode(errors="ignore")
    path = path.with_name(f"{stem}{ending}")
    if os.path.realpath(path) in outputs.read:
        raise DataError(f"{path}: would write over a picture that is read; name another folder")
    make_folder(path.parent)
    return path
