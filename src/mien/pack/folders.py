"""Class folders in every usual spelling, and RAF-DB's basic set: label and split from an image's path."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

from mien.errors import DataError, PictureError
from mien.labels import FER2013_SPLITS, RAFDB, split_of
from mien.pack.archives import is_archive_name
from mien.pack.items import ImageItem, Item
from mien.pack.naming import LEFT_OUT, MOST_NAMED, NO_FOLDER, Naming
from mien.pack.tree import Tree, shown
from mien.pictures import SUFFIXES
from mien.text import many

FER2013_NAME = re.compile(rf"({'|'.join(FER2013_SPLITS)})_")
RAFDB_NAME = re.compile(r"(train|test)_\d+(_aligned)?$")
CLASS_FILE = ".cls"  # beside a picture: its class, as WebDataset's shards have it
RAFDB_LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the first is how it is published

Labeled = tuple[PurePosixPath, str, str | None]  # a file, its class name in the source, and its split


def is_picture(file: PurePosixPath) -> bool:
    """Return whether a file's name is that of an image."""
    return file.suffix.lower() in SUFFIXES


def read_folder(tree: Tree, naming: Naming, *, whole_photos: bool, note: Callable[[str], None]) -> list[Item]:
    """Return a folder's images with label and split: by RAF-DB's list, files of classes, its numbers or folders' names.

    `whole_photos` prefers RAF-DB's original photos to its aligned faces. `note` takes sentences for the
    summary. Raises DataError for names without a class and for contradictory splits.
    """
    pictures = [file for file in tree.files if is_picture(file)]
    if not pictures:
        raise DataError(f"{tree.root}: {_nothing_found(tree)}")
    lists = [file for file in tree.files if file.name in RAFDB_LISTS]
    classes = {file for file in tree.files if file.suffix == CLASS_FILE}
    known = {*lists, *classes}
    others = Counter(
        f.suffix.lower() or "no ending" for f in tree.files if not is_picture(f) and f not in known
    )
    if others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(others.items()))
        note(f"Passed over, since their names are not those of pictures: {kinds}.")
    if lists:
        labeled = _rafdb_by_list(tree, lists, pictures, whole_photos, note)
        note(f"RAF-DB: labels from {shown(lists[0])}.")
    elif classes:
        labeled = [(f, _class_beside(tree, f, classes), split_of_path(tree, f)) for f in pictures]
        note(f"Labels from the file {CLASS_FILE} beside each picture.")
    elif _is_rafdb(pictures, naming):
        labeled = [(f, RAFDB[f.parent.name], split_of_path(tree, f) or _rafdb_split(f)) for f in pictures]
        note("RAF-DB: folders 1 to 7 are surprise, fear, disgust, happy, sad, angry, neutral.")
    else:
        labeled = [(f, class_folder(tree, f, naming), split_of_path(tree, f)) for f in pictures]
        _note_deeper_folders(labeled, note)
        if any(FER2013_NAME.match(f.name) for f in pictures):
            note("Splits from file names: Training_ is train, PublicTest_ val, PrivateTest_ test.")
    return [*tree.closed, *_items(tree, labeled, naming, note)]


def _items(
    tree: Tree, labeled: Sequence[Labeled], naming: Naming, note: Callable[[str], None]
) -> Iterator[ImageItem]:
    naming.check((name for _, name, _ in labeled), str(tree.root))
    unwanted = Counter(name for _, name, _ in labeled if naming.class_of(name) == LEFT_OUT)
    for name, count in unwanted.items():
        note(f'Left out, as asked: {many(count, "picture")} of "{shown(name)}".')
    for file, name, split in labeled:
        if (label := naming.meant(name, str(tree.root))) != LEFT_OUT:
            yield ImageItem(partial(tree.read, file), label, split, shown(file))


def _class_beside(tree: Tree, file: PurePosixPath, classes: Container[PurePosixPath]) -> str:
    """Return what the file of its class beside a picture says; DataError where there is none."""
    beside = file.with_suffix(CLASS_FILE)
    if beside not in classes:
        raise DataError(f"{tree.root}: {shown(file)} has no {shown(beside.name)} beside it, as others have")
    try:
        return tree.read(beside).decode("utf-8").strip()
    except (PictureError, UnicodeDecodeError) as fault:
        raise DataError(f"{tree.root}: {shown(beside)}: cannot be read ({fault})") from None


def _split_of(folder: str) -> str | None:
    """Return the split that a folder's name tells, or an archive's, as train-0001.tar."""
    return split_of(re.split(r"[-_.]", folder)[0] if is_archive_name(folder) else folder)


def _may_be_class(folder: str) -> bool:
    return split_of(folder) is None and not is_archive_name(folder)


def _is_rafdb(pictures: list[PurePosixPath], naming: Naming) -> bool:
    """Return whether file names and numbered folders are RAF-DB's; numbers that --labels maps are not."""
    explained = any(naming.class_of(number) is not None for number in RAFDB)
    return not explained and all(_rafdb_split(f) and f.parent.name in RAFDB for f in pictures)


def _rafdb_split(file: PurePosixPath) -> str | None:
    """Return the split in the name of a file of RAF-DB."""
    match = RAFDB_NAME.match(file.stem)
    return match[1] if match else None


def class_folder(tree: Tree, file: PurePosixPath, naming: Naming) -> str:
    """Return the name of the folder that is a class, else that of the nearest one that is no split."""
    folders = [name for name in reversed(file.parent.parts) if _may_be_class(name)]
    known = {naming.class_of(name): name for name in folders if naming.class_of(name) is not None}
    if len(known) > 1:
        named = " and ".join(sorted(f'"{shown(name)}"' for name in known.values()))
        raise DataError(f"{tree.root}: {shown(file)} lies in folders of two classes, {named}")
    return next(iter(known.values()), folders[0] if folders else NO_FOLDER)


def _note_deeper_folders(labeled: Sequence[Labeled], note: Callable[[str], None]) -> None:
    """Note which folders below a class folder were taken as that class."""
    below = Counter(
        f.parent.name for f, name, _ in labeled if f.parent.name != name and _may_be_class(f.parent.name)
    )
    if below:
        some = ", ".join(f'"{shown(name)}"' for name, _ in below.most_common(MOST_NAMED))
        more = ", …" if len(below) > MOST_NAMED else ""
        pictures = many(sum(below.values()), "picture")
        note(f"Taken as of the class's folder above: {pictures} in deeper folders, {some}{more}.")


def split_of_path(tree: Tree, file: PurePosixPath) -> str | None:
    """Return the split that a file's name or folders tell; DataError where they contradict each other."""
    by_name = FER2013_NAME.match(file.name)
    if by_name:
        return FER2013_SPLITS[by_name[1]]
    splits = {split for name in file.parent.parts if (split := _split_of(name)) is not None}
    if len(splits) > 1:
        raise DataError(
            f"{tree.root}: {shown(file)} lies in folders of two splits, {' and '.join(sorted(splits))}"
        )
    return splits.pop() if splits else None


def _rafdb_by_list(tree: Tree, lists: list[PurePosixPath], pictures, whole_photos: bool, note):
    """Return (file, label, split) for each line `train_00001.jpg 5` of RAF-DB's list."""
    listed = lists[0]
    if len(lists) > 1:
        raise DataError(
            f"{tree.root}: holds two lists, {shown(listed)} and {shown(lists[1])}; pack the folder of one"
        )
    by_stem: dict[str, PurePosixPath] = {}
    for file in pictures:
        stem = file.stem.removesuffix("_aligned")
        aligned = file.stem.endswith("_aligned")
        if stem not in by_stem or aligned != whole_photos:
            by_stem[stem] = file
    listed_files: dict[PurePosixPath, tuple[str, str]] = {}
    for number, line in _lines(tree, listed):
        where = f"{shown(listed)}, row {number}"
        name, _, label = line.strip().partition(" ")
        named = RAFDB_NAME.match(PurePosixPath(name).stem)
        if label.strip() not in RAFDB or not named:
            raise DataError(
                f'{tree.root}: {where}: "{shown(line[:60])}" is not "train_NUMBER.jpg LABEL", LABEL 1 to 7'
            )
        file = by_stem.get(PurePosixPath(name).stem)
        if file is None:
            raise DataError(f"{tree.root}: {where}: there is no picture {name} (nor its _aligned one)")
        if file in listed_files:
            raise DataError(f"{tree.root}: {where}: {name} stands there twice")
        listed_files[file] = (RAFDB[label.strip()], named[1])
    unlisted = len(by_stem) - len(listed_files)
    if unlisted:
        note(f"Passed over, since not in the list: {many(unlisted, 'picture')}.")
    return [(file, label, split) for file, (label, split) in listed_files.items()]


def _lines(tree: Tree, listed: PurePosixPath) -> list[tuple[int, str]]:
    """Return the lines that are not blank, each with its number in the file."""
    try:
        text = tree.read(listed).decode("utf-8")
    except (DataError, UnicodeDecodeError) as fault:
        raise DataError(f"{tree.root}: {shown(listed)}: cannot be read ({fault})") from None
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _nothing_found(tree: Tree) -> str:
    if any(str(file) == "dataset.json" for file in tree.files):
        return "a data set already; pack makes one of pictures"
    tables = [shown(file) for file in tree.files if file.suffix in (".csv", ".gz", ".zip", ".tgz", ".tar")]
    if tables:
        return f"no picture in this folder; did you mean the file {tables[0]} in it?"
    if tree.closed:
        return f"no picture in this folder; {tree.closed[0].source}: {tree.closed[0].reason}"
    others = f" (files of other kinds: {len(tree.files):,})" if tree.files else ""
    return f"no picture in this folder{others}"
