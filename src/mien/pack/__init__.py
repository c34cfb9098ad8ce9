"""Packing: any source of faces becomes a data set. Knows nothing about networks or judging."""

from pathlib import Path

from mien.dataset import WHAT, DatasetInfo, read_dataset, writing_dataset
from mien.errors import DataError, MienError
from mien.files import sha256_file
from mien.labels import FERPLUS_VOTES, LABELS
from mien.pack.fer2013 import SIDE, read_faces
from mien.pack.ferplus import read_votes
from mien.pack.source import rows_of


def pack(source: Path, target: Path, *, votes: Path | None = None) -> DatasetInfo:
    """Make a data set of FER2013: its `fer2013.tar.gz`, or its `fer2013.csv`, plain or gzipped.

    `votes` is FER+'s `fer2013new.csv`; its ten vote counts then stand in the table. A data set
    that was made of the same files already is checked and left as it is.

    Raises DataError, in one line that names file and row, for anything that is not as it should
    be; then there is no data set.
    """
    source, target = Path(source), Path(target)
    votes = Path(votes) if votes is not None else None
    origin = {"kind": "fer2013", "files": {p.name: _fingerprint(p) for p in (source, votes) if p is not None}}
    if target.exists():
        return _already_there(target, origin)
    vote_rows = read_votes(votes) if votes is not None else None
    extra = tuple(f"vote_{name}" for name in FERPLUS_VOTES) if vote_rows else ()
    with writing_dataset(target, side=SIDE, labels=LABELS, extra=extra) as writer:
        for face in rows_of(source, read_faces):
            counts = vote_rows.of(writer.count, face.split, face.source) if vote_rows else ()
            writer.add(face.pixels, label=face.label, split=face.split, source=face.source, extra=counts)
        if vote_rows:
            vote_rows.must_be_used_up(writer.count)
        writer.finish(origin)
    return read_dataset(target).info


def _fingerprint(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"{path}: a folder; mien pack reads fer2013.tar.gz, fer2013.csv or fer2013.csv.gz")
    try:
        if not path.is_file():
            raise DataError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _already_there(target: Path, origin: dict) -> DatasetInfo:
    try:
        info = read_dataset(target).info
    except MienError as fault:
        raise DataError(
            f"{target}: exists and is not {WHAT} in order ({fault}); delete it or give another name"
        ) from None
    if info.origin != origin:
        raise DataError(f"{target}: exists and was packed from other files; delete it or give another name")
    return info
