"""Predicting: pictures in, faces with their expression out. Knows nothing about training or judging.

`recognizer.py` detects and classifies the faces, `images.py` takes what callers have as images, `occlusion.py` tells
why; `sources.py` says which pictures a PATH means, `rows.py`, `annotate.py` and `page.py` show the answers.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from mien.errors import DataError, PictureError
from mien.faces.finder import LONG_SIDE
from mien.files import appearing_file, make_folder, write_atomic
from mien.growing import STANDARD_OUTPUT, Kept, Place, Tables, check_resume
from mien.model import Model, Prior
from mien.pack.folders import is_picture
from mien.pictures import decode, quiet
from mien.predict.answer import NOTICE, Answer, card_at
from mien.predict.page import Sheet, page_of, thumbnail, thumbnail_bytes
from mien.predict.recognizer import SMALLEST_LONG_SIDE, Detections, FaceExpression, ReadFace, Recognizer
from mien.predict.rows import Csv, Json, Lines, summary
from mien.predict.sources import STANDARD_INPUT, Source, sources
from mien.progress import Counting
from mien.shipped import DEFAULT_MODEL
from mien.workers import spread

__all__ = ["FaceExpression", "ReadFace", "Recognizer", "predict"]

LOSSLESS = (".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
LARGEST_LONG_SIDE = 4096
LONGEST_STEM = 200  # bytes of the name of what is drawn


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is made of each picture beside its answer."""

    crop: bool = False
    read: frozenset[str] = frozenset()  # the files that are read, which nothing is written over
    annotate: Path | None = None
    explain: Path | None = None
    thumbnail: int = 0  # the most bytes of its thumbnail, where a page is to show it


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
    workers: int | None = None,
    resume: bool = False,
    width: int | None = None,
    progress: Counting | None = None,
) -> Counter:
    """Detect and classify all faces in pictures, write what is asked for, and return the counts of pictures.

    `paths` are files, folders, patterns and `-`, see `sources.py`. `csv` and `json` are files that grow picture by
    picture, or `-` for standard output, which has a table of at most `width` characters a line otherwise. With `resume`
    a file that a stopped run left goes on behind its last whole picture. `annotate` and `explain` are folders, `page`
    an HTML file, which is whole or not there. `crop` takes each picture for a face; the other settings are
    Recognizer's and `predict_many`'s. A picture that cannot be used is a line on standard error, and the others are
    done. The counts are of pictures, faces, empty and failed ones, in all. Raises DataError, ModelError or StorageError
    in one line where nothing can be done at all, Stopped with what was kept.
    """
    paths = list(paths)
    _check(paths, csv, json, long_side)
    _check_resume(resume, csv, json, page)
    folders = [Path(folder) for folder in (annotate, explain) if folder is not None]
    found, passed_over = sources(paths, written=folders)
    if all(source.missing for source in found):
        raise DataError(f"{found[0].shown}: {found[0].missing}")
    read = real_places(source.name for source in found)
    check_outputs({"--csv": csv, "--json": json, "--page": page}, read)
    settings = {"threshold": threshold, "prior": prior, "min_score": min_score, "min_face": min_face}
    recognizer = open_recognizer(model, long_side=long_side, **settings)
    card = card_at(str(model if not isinstance(model, Model) else model.path))
    thumbnails = 0 if page is None else thumbnail_bytes(len(found))
    outputs = Outputs(crop, read, *_as_paths(annotate, explain), thumbnail=thumbnails)
    formats: list[tuple[Place, Csv | Json]]
    formats = [(csv, Csv(recognizer.model)), (json, Json(recognizer.model, card))]
    drawn = {"annotate": outputs.annotate, "explain": outputs.explain}
    options = run_options(recognizer, drawn, crop=crop)
    names = [source.name for source in found]
    with ExitStack() as stack:
        stack.enter_context(quiet())
        tables = stack.enter_context(Tables(formats, names, options, things="pictures", resume=resume))
        tally, rest = Tally.of(tables.kept), found[tables.kept.items :]
        sinks = []
        if STANDARD_OUTPUT not in (csv, json):
            shown = [source.shown for source in found]
            sinks.append(Lines(sys.stdout, shown, recognizer.model.labels, width).add)
        page_file, sheet = stack.enter_context(appearing_file(page)) if page is not None else None, Sheet()
        if page_file is not None:
            sinks.append(sheet.add)
        answers = _answers(recognizer, rest, outputs, workers)
        for answer in (progress or Counting()).over("predict", len(rest), answers):
            tables.write(lambda form, answer=answer: form.rows(answer))
            tables.end_item()
            for sink in sinks:
                sink(answer)
            tally.add(answer)
        if page_file is not None:
            page_file.write(page_of(sheet, tally.counts, tally.labels, recognizer.model, card))
    if STANDARD_OUTPUT not in (csv, json):
        print(f"{summary(tally.counts, tally.labels, passed_over)}\n{NOTICE} {card}")
    return tally.counts


@dataclass(slots=True)
class Tally:
    """What is counted over all pictures."""

    counts: Counter  # pictures, faces, empty and failed ones
    labels: Counter

    @classmethod
    def of(cls, kept: Kept) -> Self:
        """Return what is counted of the pictures that tables keep."""
        return cls(
            Counter(pictures=kept.items, faces=kept.labels.total()) + kept.outcomes, kept.labels.copy()
        )

    def add(self, answer: Answer) -> None:
        """Count a picture, and say on standard error what is odd about it."""
        self.counts["pictures"] += 1
        self.counts["faces"] += len(answer.faces)
        self.counts["failed"] += bool(answer.problem)
        self.counts["empty"] += not answer.problem and not answer.faces
        self.labels.update(face.label for face in answer.faces)
        for line in filter(None, (answer.problem, answer.note)):
            print(f"mien: {answer.source.shown}: {line}", file=sys.stderr)


def _check(paths: list, csv, json, long_side: int) -> None:
    """Raise DataError for what cannot be asked."""
    if not paths:
        raise DataError("give a picture, a folder of pictures, a pattern, or - for standard input")
    if [str(path) for path in paths].count(STANDARD_INPUT) > 1:
        raise DataError("- stands for standard input, which can be read once")
    check_options(csv, json, long_side)


def _check_resume(resume: bool, csv, json, page) -> None:
    """Raise DataError where there is nothing to go on with."""
    check_resume(resume, csv, json)
    if resume and page is not None:
        raise DataError("--page shows the pictures of one whole run; make it without --resume")


def check_options(csv, json, long_side: int) -> None:
    """Raise DataError for what no reading of pictures or videos can do."""
    if csv == json == STANDARD_OUTPUT:
        raise DataError("--csv - and --json - would both write to standard output; give one of them a file")
    if STANDARD_OUTPUT in (csv, json) and sys.__stdout__ is None:
        raise DataError("standard output is closed; give --csv or --json a file")
    if not SMALLEST_LONG_SIDE <= long_side <= LARGEST_LONG_SIDE:
        raise DataError(
            f"--long-side must be from {SMALLEST_LONG_SIDE} to {LARGEST_LONG_SIDE:,} and is {long_side}"
        )


def open_recognizer(model: str | Path | Model, **settings) -> Recognizer:
    """Return the recognizer; DataError names the option that is out of its range."""
    try:
        return Recognizer(model, **settings)
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise DataError(f"--{name.replace('_', '-')} {rest}") from None


def _as_paths(*folders: str | Path | None) -> list[Path | None]:
    return [None if folder is None else Path(folder) for folder in folders]


def run_options(recognizer: Recognizer, drawn: Mapping[str, Place], **others) -> dict[str, object]:
    """Return all that decides what stands in a table, and where what is `drawn` beside it goes, for a resumed run."""
    return {
        "model": recognizer.model.sha256,
        "threshold": recognizer.model.threshold,
        "prior": " ".join(map(repr, recognizer.model.prior)),
        "long_side": recognizer.long_side,
        "min_score": recognizer.min_score,
        "min_face": recognizer.min_face,
        **others,
        **{option: path and os.path.realpath(path) for option, path in drawn.items()},
    }


def real_places(names: Iterable[str]) -> frozenset[str]:
    """Return where files really lie; a link to itself stays what it is."""
    return frozenset(map(os.path.realpath, names))


def check_outputs(outputs: Mapping[str, str | PathLike | None], read: frozenset[str]) -> None:
    """Raise DataError where a file that shall be written is one to be read, looks like a picture, or is named twice."""
    files = {option: Path(name) for option, name in outputs.items() if name not in (None, STANDARD_OUTPUT)}
    taken = {}
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
    recognizer: Recognizer, found: list[Source], outputs: Outputs, workers: int | None
) -> Iterator[Answer]:
    """Yield the answers in order: faces are detected by several threads and classified in batches.

    Where something is drawn, each picture is decoded, classified, drawn and written at once, so that none has to wait
    in memory.
    """
    if outputs.annotate is not None or outputs.explain is not None:
        yield from spread(lambda source: _drawn(recognizer, source, outputs), found, workers=workers)
        return
    stream = recognizer.stream(
        lambda source: _detected(recognizer, source, outputs)[0], found, workers=workers
    )
    for detections, faces in stream:
        yield replace(detections.about, faces=faces)


def _detected(
    recognizer: Recognizer, source: Source, outputs: Outputs
) -> tuple[Detections, np.ndarray | None, int]:
    """Return a picture's detections with its answer, still without faces; its pixels, if any; and their reduction."""
    try:
        picture = decode(source.read(), color=True)
        found = recognizer.detect(picture.pixels, crop=outputs.crop, reduction=picture.reduction)
        size = outputs.thumbnail
        small = thumbnail(picture.pixels, len(found.faces), size) if size else b""
        answer = Answer(source, [], note=picture.note, size=picture.size, small=small)
        return replace(found, about=answer), picture.pixels, picture.reduction
    except PictureError as error:
        return recognizer.no_detections(Answer(source, [], problem=str(error))), None, 1


def _drawn(recognizer: Recognizer, source: Source, outputs: Outputs) -> Answer:
    from mien.predict.annotate import annotated, encoded, explained

    detections, pixels, reduction = _detected(recognizer, source, outputs)
    faces = recognizer.classify(detections)
    if outputs.annotate is not None and pixels is not None:
        lossless = Path(source.name).suffix.lower() in LOSSLESS
        target = _target(outputs, outputs.annotate, source.place, f"-faces.{'png' if lossless else 'jpg'}")
        drawn = annotated(pixels, [face.scaled(1 / reduction) for face in faces])
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
