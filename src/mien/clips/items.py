"""Which clips a source has, and what is known of each: class, split and person. Opens no video.

A clip is a video file or a folder of numbered pictures. A source is a folder of class folders, or a table
`path,label[,split][,subject]`, whose paths are relative to it.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from mien.errors import DataError
from mien.pack.folders import class_folder, is_picture, split_of_path
from mien.pack.listing import COLUMNS, is_listing, split_in_table
from mien.pack.naming import LEFT_OUT, Naming
from mien.pack.source import rows_of
from mien.pack.tree import shown, walk
from mien.video.images import PATTERN
from mien.video.sources import ENDINGS

PEOPLE = ("subject", "person")  # headers of the column that names them


@dataclass(frozen=True, slots=True)
class ClipItem:
    """A clip that is not read yet."""

    place: str  # of a video, a folder of numbered pictures, or their pattern
    name: str  # as the source calls it
    label: str
    split: str | None
    person: str  # "" where nobody says who it is


def read_items(source: Path, naming: Naming) -> list[ClipItem]:
    """Return a source's clips in their order.

    Raises DataError, in one line that names the row or file, for names without a class, a clip that stands there twice
    and a person in two splits.
    """
    items = (
        _of_folder(source, naming)
        if source.is_dir()
        else list(rows_of(source, partial(_of_table, source, naming)))
    )
    if not items:
        raise DataError(f"{source}: no clip in it: a clip is a video or a folder of numbered pictures")
    return items


def _of_folder(root: Path, naming: Naming) -> list[ClipItem]:
    tree = walk(root)
    videos = [file for file in tree.files if file.suffix.lower() in ENDINGS]
    folders = dict.fromkeys(file.parent for file in tree.files if is_picture(file))
    places = sorted([*((file, file) for file in videos), *((folder, folder / "0") for folder in folders)])
    named = [
        (place, class_folder(tree, inside, naming), split_of_path(tree, inside)) for place, inside in places
    ]
    naming.check((name for _, name, _ in named), str(root))
    return [
        ClipItem(str(root / place), shown(place), label, split, "")
        for place, name, split in named
        if (label := naming.meant(name, str(root))) != LEFT_OUT
    ]


def _of_table(source: Path, naming: Naming, name: str, lines: Iterable[str]) -> Iterator[ClipItem]:
    rows = csv.reader(lines)
    header = [column.strip() for column in next(rows, [])]
    if not is_listing(header):
        raise DataError(
            f"{name}: a table of clips has the columns {', '.join(COLUMNS)} and may have split, {PEOPLE[0]}"
        )
    columns = (*COLUMNS, "split", *PEOPLE)
    twice = [column for column in columns if header.count(column) > 1]
    if twice or set(PEOPLE) <= set(header):
        raise DataError(f'{name}: column "{(twice or PEOPLE)[0]}" stands twice')
    paths: dict[str, int] = {}
    splits: dict[str, tuple[str | None, int]] = {}
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        where = f"{name}, row {number}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} fields, the header has {len(header)}")
        fields = {column: field.strip() for column, field in zip(header, row, strict=True)}
        item = _item(source.parent, naming, where, fields)
        if (first := paths.setdefault(os.path.normpath(item.place), number)) != number:
            raise DataError(f"{where}: {item.name} stands in row {first}, too")
        split, first = splits.setdefault(item.person, (item.split, number))
        if item.person and split != item.split:
            raise DataError(
                f"{where}: {shown(item.person)} is in {item.split or 'no split'} here and in {split or 'no split'} in "
                f"row {first}; nobody may stand in two splits"
            )
        if item.label != LEFT_OUT:
            yield item


def _item(root: Path, naming: Naming, where: str, fields: dict[str, str]) -> ClipItem:
    path = fields["path"]
    if not path:
        raise DataError(f"{where}: no path")
    person = next((fields[column] for column in PEOPLE if column in fields), "")
    label, split = naming.meant(fields["label"], where), split_in_table(where, fields.get("split", ""))
    return ClipItem(str(root / path), shown(path), label, split, shown(person))


def files_of(item: ClipItem) -> list[Path]:
    """Return the files that a clip is read from, in the order of their names."""
    place = Path(item.place)
    if PATTERN.search(place.name):
        return sorted(file for file in place.parent.glob("*") if is_picture(PurePosixPath(file.name)))
    if place.is_dir():
        return sorted(file for file in place.iterdir() if is_picture(PurePosixPath(file.name)))
    return [place]
