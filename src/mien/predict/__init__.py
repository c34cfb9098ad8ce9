"""Predicting: pictures in, faces with the expression that is read in each out. Knows nothing about training or judging.

`recognizer.py` finds and reads the faces, `occlusion.py` tells why; `sources.py` says which pictures a PATH means,
`rows.py`, `annotate.py` and `page.py` show the answers.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePath
from typing import TextIO

from mien.errors import DataError, PictureError
from mien.faces.finder import LONG_SIDE
from mien.files import appearing_file, make_folder, write_atomic
from mien.model import Model
from mien.pack.folders import is_picture
from mien.pictures import decode, quiet
from mien.predict.answer import LIMITS, Answer, card_at
from mien.predict.recognizer import SMALLEST_LONG_SIDE, FaceExpression, ReadFace, Recognizer
from mien.predict.rows import Csv, Json, Lines, summary
from mien.predict.sources import STANDARD_INPUT, Source, sources
from mien.progress import Counting
from mien.workers import spread

__all__ = ["FaceExpression", "ReadFace", "Recognizer", "predict"]

STANDARD_OUTPUT = "-"
LOSSLESS = (".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
LARGEST_LONG_SIDE = 4096
MOST_PROBLEMS = 300  # that a page lists
LONGEST_STEM = 200  # bytes of the name of what is drawn


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is made of each picture beside its answer."""

    crop: bool = False
    read: frozenset[str] = frozenset()  # the files that are read, which nothing is written over
    annotate: Path | None = None
    explain: Path | None = None
    small: bool = False


def predict(
    paths: Iterable[str | PathLike],
    *,
    model: str | Path | Model = "pocket",
    crop: bool = False,
    csv: str | Path | None = None,
    json: str | Path | None = None,
    annotate: Path | None = None,
    page: Path | None = None,
    explain: Path | None = None,
    long_side: int = LONG_SIDE,
    width: int | None = None,
    progress: Counting | None = None,
) -> Counter:
    """Read all faces in pictures and write what is asked for; return the counts of pictures, faces, empty, failed.

    `paths` are files, folders, patterns and `-`, see `sources.py`. `csv` and `json` are files, or `-` for standard
    output, which has a table of at most `width` characters a line otherwise. `annotate` and `explain` are folders,
    `page` an HTML file. `crop` takes each picture for a face. A picture that cannot be used is a line on standard
    error, and the others are done. A table or page is whole or not there. Raises DataError, ModelError or
    StorageError in one line where nothing can be done at all.
    """
    paths = list(paths)
    _check(paths, csv, json, long_side)
    folders = [Path(folder) for folder in (annotate, explain) if folder is not None]
    found, passed_over = sources(paths, written=folders)
    if all(source.missing for source in found):
        raise DataError(f"{found[0].shown}: {found[0].missing}")
    read = real_places(source.name for source in found)
    check_outputs({"--csv": csv, "--json": json, "--page": page}, read)
    recognizer = Recognizer(model, long_side=long_side)
    wanted = Wanted(
        crop, read, *(Path(f) if f is not None else None for f in (annotate, explain)), page is not None
    )
    out, card = sys.stdout, card_at(str(model if not isinstance(model, Model) else model.path))
    counts, labels, photos, problems = Counter(), Counter(), [], []
    with ExitStack() as stack:
        stack.enter_context(quiet())
        told = []
        if STANDARD_OUTPUT not in (csv, json):
            told.append(Lines(out, [source.shown for source in found], recognizer.model.labels, width))
        if csv is not None:
            told.append(Csv(stack.enter_context(written(csv, out)), recognizer.model))
        if json is not None:
            told.append(Json(stack.enter_context(written(json, out)), recognizer.model, card))
        sheet = stack.enter_context(appearing_file(page)) if page is not None else None
        answers = _answers(recognizer, found, wanted)
        for answer in (progress or Counting()).over("predict", len(found), answers):
            _count(answer, counts, labels)
            for one in told:
                one.add(answer)
            if answer.problem:
                print(f"mien: {answer.source.shown}: {answer.problem}", file=sys.stderr)
            if sheet is not None:
                _collect(answer, photos, problems)
        if sheet is not None:
            from mien.predict.page import page as filled

            sheet.write(filled(photos, problems, counts, labels, recognizer.model, card))
    if STANDARD_OUTPUT not in (csv, json):
        print(
            f"{summary(counts, labels, passed_over)}\n{LIMITS} The model's card and limits: {card}", file=out
        )
    return counts


def _check(paths: list, csv, json, long_side: int) -> None:
    """Raise DataError for what cannot be asked."""
    if not paths:
        raise DataError("give a picture, a folder of pictures, a pattern, or - for standard input")
    if [str(path) for path in paths].count(STANDARD_INPUT) > 1:
        raise DataError("- stands for standard input, which can be read once")
    check_options(csv, json, long_side)


def check_options(csv, json, long_side: int) -> None:
    """Raise DataError for what no reading of pictures or videos can do."""
    if csv == json == STANDARD_OUTPUT:
        raise DataError("--csv - and --json - would both write to standard output; give one of them a file")
    if not SMALLEST_LONG_SIDE <= long_side <= LARGEST_LONG_SIDE:
        raise DataError(
            f"--long-side must be from {SMALLEST_LONG_SIDE} to {LARGEST_LONG_SIDE:,} and is {long_side}"
        )


def real_places(names: Iterable[str]) -> frozenset[str]:
    """Return where files really lie; a link to itself stays what it is."""
    return frozenset(map(os.path.realpath, names))


def check_outputs(outputs: Mapping[str, str | PathLike | None], read: frozenset[str]) -> None:
    """Raise DataError where a file that shall be written is one to be read, looks like a picture, or is named twice."""
    files = {option: Path(name) for option, name in outputs.items() if name not in (None, STANDARD_OUTPUT)}
    taken = {}
    for option, path in files.items():
        place = os.path.realpath(path)
        if place in read or is_picture(PurePath(path)):
            raise DataError(
                f"{option} {path}: would write over a picture, or what is read; name another file"
            )
        if place in taken:
            raise DataError(f"{taken[place]} and {option} would both write {path}; name another file")
        taken[place] = option


@contextmanager
def written(where: str | Path, out: TextIO) -> Iterator[TextIO]:
    """Yield the text file that appears at a place, or `out` for `-`."""
    if where == STANDARD_OUTPUT:
        yield out
        return
    with appearing_file(Path(where)) as file:
        yield file


def _answers(recognizer: Recognizer, found: list[Source], wanted: Wanted) -> Iterator[Answer]:
    """Yield the answers in order: pictures are read and looked at on all cores, the network reads batches of faces.

    Where something is drawn, each picture is read, drawn and written at once, so that none has to wait in memory.
    """
    if wanted.annotate is not None or wanted.explain is not None:
        yield from spread(lambda source: _drawn(recognizer, source, wanted), found)
        return
    stream = recognizer.stream(lambda source: _looked(recognizer, source, wanted)[0], found)
    for detections, faces in stream:
        yield replace(detections.about, faces=faces)


def _looked(recognizer: Recognizer, source: Source, wanted: Wanted):
    """Return a picture looked at, with its answer still without faces, and its pixels; None where it has none."""
    try:
        picture = decode(source.read(), color=True)
        small = _small(picture.pixels) if wanted.small else b""
        answer = Answer(source, [], size=picture.size, small=small)
        found = recognizer.detect(picture.pixels, crop=wanted.crop, reduction=picture.reduction, about=answer)
        return found, picture.pixels
    except PictureError as fault:
        return recognizer.no_detections(Answer(source, [], problem=str(fault))), None


def _drawn(recognizer: Recognizer, source: Source, wanted: Wanted) -> Answer:
    from mien.predict.annotate import annotated, encoded, explained

    looked, pixels = _looked(recognizer, source, wanted)
    faces = recognizer.classify(looked)
    if wanted.annotate is not None and pixels is not None:
        lossless = Path(source.name).suffix.lower() in LOSSLESS
        target = _target(wanted, wanted.annotate, source.place, f"-faces.{'png' if lossless else 'jpg'}")
        write_atomic(target, encoded(annotated(pixels, faces), lossless=lossless))
    if wanted.explain is not None:
        for number, face in enumerate(faces, start=1):
            target = _target(wanted, wanted.explain, source.place, f"-why{number}.png")
            write_atomic(target, encoded(explained(face, recognizer.explain(face)), lossless=True))
    return replace(looked.about, faces=faces)


def _target(wanted: Wanted, folder: Path, place: str, ending: str) -> Path:
    """Return where a picture is written, in a folder that is there; its name keeps within what a file's may take."""
    path = folder / place
    stem = os.fsencode(path.name)[:LONGEST_STEM].decode(errors="ignore")
    path = path.with_name(f"{stem}{ending}")
    if os.path.realpath(path) in wanted.read:
        raise DataError(f"{path}: would write over a picture that is read; name another folder")
    make_folder(path.parent)
    return path


def _small(pixels) -> bytes:
    from mien.predict.annotate import encoded
    from mien.predict.page import QUALITY, shrunk

    return encoded(shrunk(pixels), lossless=False, quality=QUALITY)


def _count(answer: Answer, counts: Counter, labels: Counter) -> None:
    counts["pictures"] += 1
    counts["faces"] += len(answer.faces)
    counts["failed"] += bool(answer.problem)
    counts["empty"] += not answer.problem and not answer.faces
    labels.update(face.label for face in answer.faces)


def _collect(answer: Answer, photos: list, problems: list) -> None:
    """Keep what a page shows of a picture, while there is room for it."""
    from mien.predict.page import MOST_PICTURES, photo

    if answer.problem:
        if len(problems) < MOST_PROBLEMS:
            problems.append((answer.source.shown, answer.problem))
    elif len(photos) < MOST_PICTURES:
        photos.append(photo(answer))
