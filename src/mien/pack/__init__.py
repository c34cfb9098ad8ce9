"""Packing: any source of faces becomes a data set. Knows nothing about networks or judging.

`source.py` streams the text of tables; `fer2013.py`, `listing.py`, `folders.py` and `parquet.py`
read the sources; `items.py` decodes images into faces; `naming.py` maps names to classes;
`splits.py` draws the splits that a source lacks.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from mien.dataset import PERSON, DatasetInfo, DatasetWriter, Row, read_dataset, standing, writing_dataset
from mien.errors import DataError, FolderExists
from mien.labels import FERPLUS_LABELS, FERPLUS_VOTES, LABELS
from mien.pack.archives import archive_tree, archives_tree, is_archive_name
from mien.pack.fer2013 import COLUMNS, SIDE, read_faces
from mien.pack.ferplus import Votes, majority_of, read_votes
from mien.pack.folders import is_picture, read_folder
from mien.pack.items import Face, FaceDecoder, Item, SkippedImage, digest_of
from mien.pack.listing import is_listing, read_listing
from mien.pack.naming import LEFT_OUT, Naming
from mien.pack.parquet import count_rows, names_people, read_parquet
from mien.pack.source import is_archive, rows_of
from mien.pack.splits import fill_splits
from mien.pack.tree import Tree, shown, walk
from mien.progress import Counting
from mien.reading import sha256_file
from mien.text import many

__all__ = ["pack"]

SMALLEST, LARGEST = 16, 512  # sides of a data set's faces
NOTES = {
    "animated": "animated; the first frame was taken",
    "not square": "not square; the middle square was taken",
    "enlarged": "smaller than the data set's side and enlarged",
    "several faces": "of several faces; the largest was taken",
}


@dataclass(slots=True)
class Source:
    """An opened source: its kind, its items and the checksums of its tables."""

    kind: str
    items: Callable[[], Iterable[Item]]  # read anew at each call
    files: dict[str, str]  # name -> sha256, of its tables
    total: int | None = None  # number of items, where it is known in advance
    pictures: bool = True  # whether images lie in files of their own
    people: bool = False  # whether it says who each image is of
    notes: list[str] = field(default_factory=list)


def pack(
    source: Path,
    target: Path,
    *,
    votes: Path | None = None,
    majority: bool = False,
    side: int = SIDE,
    labels: Sequence[str] = (),
    detect: bool = False,
    strict: bool = False,
    person: str = "",
    seed: int = 0,
    progress: Counting | None = None,
) -> DatasetInfo:
    """Write a data set of S x S gray faces to `target`, completely or not at all.

    `source` is FER2013's archive or table (or `icml_face_data.csv`), a table path,label[,split],
    a folder of class folders, RAF-DB's basic set, or parquet files. `votes` is FER+'s
    `fer2013new.csv`; its ten vote counts then stand in the table. With `majority` they give the labels, too: FER+'s
    eight classes, and faces without a majority are skipped. `labels` are the items of `--labels` (see
    `naming.py`), which then skip or rename FER+'s classes. `detect` detects and aligns the largest face of each
    photo.

    A person is known from a column `person` of a table, or from `person`, a regular expression that is searched for in
    each image's path: its first group, or all that it matches. Drawn splits, folds and the bootstrap keep a person's
    faces together.

    An image that cannot be used is skipped and listed in `left-out.csv`; with `strict` it is a
    DataError. A data set already made from the same source with the same options is checked and kept.
    Raises DataError, in one line that names file and row, for any other error; no data set is written then.
    """
    source, target = Path(source), Path(target)
    if not SMALLEST <= side <= LARGEST:
        raise DataError(f"--side must be from {SMALLEST} to {LARGEST} pixels and is {side}")
    if majority and votes is None:
        raise DataError("--majority takes FER+'s classes, so it needs --votes")
    if target.exists() and source.exists() and target.samefile(source):
        raise DataError(f"{target}: the source itself; give the data set another place")
    options = {"side": side, "labels": list(labels), "detect": detect, "seed": seed, "majority": majority}
    options["person"] = _pattern(person).pattern
    naming = Naming(labels or (FERPLUS_LABELS if majority else ()))
    opened = _open(source, naming, detect)
    if votes is not None and opened.kind != "fer2013":
        raise DataError(f"{votes}: FER+'s votes go with FER2013's table, and {source} is none")
    if opened.kind == "fer2013":
        naming = naming.among(FERPLUS_LABELS if majority else LABELS)
    job = Job(source, opened, naming, None if votes is None else Path(votes), strict, options)
    progress = progress or Counting()
    if not target.exists():
        try:
            _make(job, target, progress)
            return read_dataset(target).info
        except FolderExists:
            pass  # another process made it meanwhile
    info = _standing(job, target)
    progress.note(f"{target}: made of the same source before; checked, and left as it is")
    return info


@dataclass(frozen=True, slots=True)
class Job:
    """A source to pack, and the options."""

    source: Path
    opened: Source
    naming: Naming
    votes: Path | None
    strict: bool
    options: dict  # those that change the data set

    def origin(self) -> dict:
        """Return the kind and checksums of the source and the options that differ from the defaults."""
        default = {"side": SIDE, "labels": [], "detect": False, "seed": 0, "majority": False, "person": ""}
        options = {name: value for name, value in self.options.items() if value != default[name]}
        origin = {"kind": self.opened.kind, "files": dict(self.opened.files)}
        origin |= {"options": options} if options else {}
        return origin | ({"votes": {shown(self.votes.name): _sha256(self.votes)}} if self.votes else {})


def _standing(job: Job, target: Path) -> DatasetInfo:
    """Return the data set at `target`; DataError unless it was made from this source with these options."""
    origin = job.origin()
    if job.opened.pictures:
        origin["files"]["pictures"] = digest_of(job.opened.items())
    info = standing(target, lambda there: there == origin)
    if job.strict and info.left_out and job.opened.kind != "fer2013":  # in FER2013 only votes skip faces
        raise DataError(
            f"{target}: was packed without --strict, and {many(info.left_out, 'picture was', 'pictures were')} left out"
        )
    return info


def _make(job: Job, target: Path, progress: Counting) -> None:
    """Write the data set; raises FolderExists when another process has written it."""
    origin, options, opened = job.origin(), job.options, job.opened
    votes = read_votes(job.votes) if job.votes is not None else None
    decoder = FaceDecoder(options["side"], _finder() if options["detect"] else None)
    people = opened.people or bool(options["person"])
    extra = (PERSON,) * people + (tuple(f"vote_{name}" for name in FERPLUS_VOTES) if votes else ())
    waiting = partial(progress.wait, f"pack {target}")
    with writing_dataset(
        target, side=options["side"], labels=job.naming.labels, extra=extra, waiting=waiting
    ) as writer:
        faces = decoder.decode(opened.items())
        faces = progress.over(f"pack {job.source.resolve().name}", opened.total, faces)
        unwanted = _write(job, writer, faces, votes, people=people)
        if not writer.rows:
            raise DataError(f"{job.source}: {_no_face(writer.left_out)}")
        if opened.pictures:
            origin["files"]["pictures"] = decoder.digest.hexdigest()
        names = [str(row.extra[0]) for row in writer.rows] if people else []
        if people and not any(names):
            raise DataError(
                f"{job.source}: no picture's person is known; --person is a pattern for their paths"
            )
        splits = fill_splits(writer.rows, seed=options["seed"], people=names)
        seen = [f"{decoder.seen[key]:,} {text}." for key, text in NOTES.items() if decoder.seen[key]]
        dropped = [
            f'Left out, as asked: {many(count, "face")} of "{name}".' for name, count in unwanted.items()
        ]
        empty = empty_classes(job.naming, writer.rows)
        writer.finish(origin, notes=(*opened.notes, *seen, *dropped, *empty, *splits))


def _write(
    job: Job,
    writer: DatasetWriter,
    faces: Iterable[Face | SkippedImage],
    votes: Votes | None,
    *,
    people: bool,
) -> Counter[str]:
    """Write all faces; return the number of faces of each class that --labels skips."""
    number, unwanted = -1, Counter()
    pattern = _pattern(job.options["person"])
    for number, face in enumerate(faces):
        if isinstance(face, SkippedImage):
            if job.strict:
                raise DataError(
                    f"{job.source}: {face.source}: {face.reason} (without --strict the rest is packed)"
                )
            writer.leave_out(face.source, face.reason)
            continue
        counts = votes.of(number, face.split or "", face.source) if votes else ()
        found = majority_of(counts) if job.options["majority"] else face.label
        label = None if found is None else job.naming.class_of(found)
        if label is None:
            writer.leave_out(face.source, "FER+'s voters agree on none of its eight classes")
        elif label == LEFT_OUT:
            unwanted[found] += 1
        else:
            extra = ((face.person or _person(pattern, face.source),) if people else ()) + tuple(counts)
            writer.add(face.pixels, label=label, split=face.split, source=face.source, extra=extra)
    if votes:
        votes.must_be_used_up(number + 1)
    return unwanted


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as fault:
        raise DataError(f"--person: {text!r} is no regular expression ({fault})") from None


def _person(pattern: re.Pattern[str], source: str) -> str:
    """Return the person that a path names, "" for none."""
    match = pattern.search(source) if pattern.pattern else None
    if match is None:
        return ""
    return next((group for group in match.groups() if group), "") if pattern.groups else match[0]


def empty_classes(naming: Naming, rows: list[Row]) -> list[str]:
    """Return a sentence on custom classes without a face, which may be typing errors."""
    there = {row.label for row in rows}
    empty = [label for label in naming.labels if label not in there]
    return [f"No face is of {', '.join(empty)}."] if naming.own and empty else []


def _no_face(left_out: list[tuple[str, str]]) -> str:
    if not left_out:
        return "there is no face in it"
    first, reason = left_out[0]
    if len(left_out) == 1:
        return f"its only picture cannot be used; {first}: {reason}"
    return f"none of its {len(left_out):,} pictures can be used; the first, {first}: {reason}"


def _finder():
    from mien.faces import Finder

    return Finder()


def _open(source: Path, naming: Naming, detect: bool) -> Source:
    """Open a source and detect its kind; its faces are not read yet."""
    if source.is_dir():
        return _open_folder(source, naming, detect)
    if is_archive_name(source.name) and source.is_file() and (tree := _pictures_in(source)):
        return _from_tree(tree, naming, detect)
    sha256 = _sha256(source)
    if source.suffix == ".parquet":
        return _parquet(source.parent, [PurePosixPath(source.name)], naming)
    listed = next(rows_of(source, _first_row), None)
    if listed is None or not is_listing(listed):
        if detect and listed and set(COLUMNS) & {cell.strip() for cell in listed}:
            raise DataError(
                f"{source}: a table of FER2013's pixels holds faces, which --detect does not find again"
            )
        return Source(
            "fer2013", lambda: rows_of(source, read_faces), {shown(source.name): sha256}, pictures=False
        )
    if is_archive(source):
        raise DataError(f"{source}: its table names pictures by path; unpack it and pack the table")

    def pictures(name: str, lines: Iterable[str]) -> Iterator[Item]:
        return read_listing(name, lines, root=source.parent, naming=naming)

    people = PERSON in {cell.strip() for cell in listed}
    return Source("table", lambda: rows_of(source, pictures), {shown(source.name): sha256}, people=people)


def _first_row(_: str, lines: Iterable[str]) -> Iterator[list[str]]:
    try:
        yield next(csv.reader(lines), [])
    except csv.Error:
        return  # the reader of faces reports it with its row


def _open_folder(source: Path, naming: Naming, detect: bool) -> Source:
    tree = walk(source)
    tables = [file for file in tree.files if file.suffix == ".parquet"]
    if tables and not any(map(is_picture, tree.files)):
        return _parquet(source, tables, naming)
    archives = [file for file in tree.files if is_archive_name(file.name)]
    if archives and not any(map(is_picture, tree.files)):
        packed = archives_tree(source, archives)
        tree = packed if any(map(is_picture, packed.files)) else tree
    return _from_tree(tree, naming, detect)


def _pictures_in(source: Path) -> Tree | None:
    """Return the files in an archive of pictures; None for one that holds a table, or none."""
    tree = archive_tree(source)
    table = source.suffix.lower() == ".tar" and any(file.suffix == ".csv" for file in tree.files)
    return tree if any(map(is_picture, tree.files)) and not table else None


def _from_tree(tree: Tree, naming: Naming, detect: bool) -> Source:
    notes: list[str] = []
    items = read_folder(tree, naming, whole_photos=detect, note=notes.append)
    return Source("folder", lambda: items, {}, len(items), notes=notes)


def _parquet(root: Path, tables: list[PurePosixPath], naming: Naming) -> Source:
    files = {shown(table): _sha256(root / table) for table in tables}
    total = count_rows(root, tables)
    people = names_people(root, tables)
    return Source(
        "parquet", lambda: read_parquet(root, tables, naming), files, total, pictures=False, people=people
    )


def _sha256(path: Path) -> str:
    try:
        if not path.is_file():
            raise DataError(f"{path}: {'not a regular file' if path.exists() else 'no such file or folder'}")
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
