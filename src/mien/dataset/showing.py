"""A data set's summary as lines for a terminal, and the list of skipped faces."""

import csv
import io
from collections.abc import Sequence

from mien.dataset.faces import Dataset, DatasetInfo
from mien.dataset.files import LEFT_OUT_FILE, WHAT
from mien.errors import DataError
from mien.labels import SPLITS
from mien.reading import LARGEST_TABLE, read_text, reason, sha256_text
from mien.text import filled, in_columns, joined, many

MOST_LEFT_OUT_SHOWN = 10


def left_out_line(info: DatasetInfo) -> str:
    """Return the number of skipped faces and the file that lists them; "" where there is none."""
    if not info.left_out:
        return ""
    return f"{info.left_out:,} left out, each with its reason in {info.folder / LEFT_OUT_FILE}"


def summary(info: DatasetInfo) -> str:
    """Return the data set's counts by label and split, how it was made and which faces were skipped, as text."""
    totals = [info.count(split) for split in SPLITS]
    rows = [
        ("", *SPLITS, "all"),
        *((label, *_row([info.counts[split][label] for split in SPLITS])) for label in info.labels),
        ("all", *_row(totals)),
    ]
    lines = [in_columns(rows), *_clips(info), *map(filled, info.notes)]
    if info.left_out:
        lines.append(f"{left_out_line(info)}:")
        lines += [f"  {source}: {reason}" for source, reason in read_left_out(info)[:MOST_LEFT_OUT_SHOWN]]
        lines += ["  …"] * (info.left_out > MOST_LEFT_OUT_SHOWN)
    return "\n".join(lines)


def _clips(info: DatasetInfo) -> list[str]:
    """Return a line on the clips, in a data set of them."""
    if not info.clips:
        return []
    people = many(info.people, "person", "people") if info.people else "people who are not named"
    return [f"Frames of {many(info.clips, 'clip')} of {people}; none of them stands in two splits or folds."]


SHARED = {
    "pixels": ("Pixel for pixel", "stand in an earlier split, too"),
    "family": ("As a copy of any kind", "have a copy in an earlier split"),
    "person": ("By person", "are of people who stand in an earlier split"),
}


def about_sharing(dataset: Dataset) -> list[str]:
    """Return sentences on copies and people that stand in two splits."""
    lines: list[str] = []
    for what, counts in dataset.shared().items():
        how, share = SHARED[what]
        some = [f"{many(count, 'face')} of {split}" for split, count in reversed(counts.items()) if count]
        lines.append(filled(f"{how}, {joined(some) if some else 'no faces'} {share}."))
    if not dataset.audited:
        lines.append(filled(f"Near copies are not known: mien audit {dataset.info.folder} --store"))
    return lines


def _row(counts: Sequence[int]) -> list[str]:
    return [f"{count:,}" for count in (*counts, sum(counts))]


def read_left_out(info: DatasetInfo) -> list[tuple[str, str]]:
    """Return (source, reason) of each skipped face."""
    if not info.left_out:
        return []
    path = info.folder / LEFT_OUT_FILE
    try:
        text = read_text(path, LARGEST_TABLE)
        if info.left_out_sha256 not in ("", sha256_text(text)):
            raise ValueError("it was changed after packing")
        rows = csv.reader(io.StringIO(text, newline=""))
        return [(row[0], row[1]) for row in list(rows)[1:]]
    except (OSError, ValueError, csv.Error, IndexError) as fault:
        raise DataError(f"{path}: {WHAT} is damaged here ({reason(fault)})") from None
