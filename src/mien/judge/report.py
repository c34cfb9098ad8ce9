"""What `mien judge` prints: anybody's tables of predictions, judged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.judge.alignment import align
from mien.judge.coverage import write_coverage
from mien.judge.paired import differences
from mien.judge.text import per_class_table, table
from mien.judge.verdict import Verdict, judge
from mien.labels import did_you_mean
from mien.predictions import Predictions, read_predictions
from mien.text import escaped, many


def judge_tables(
    paths: Sequence[Path],
    *,
    as_seeds: bool = False,
    split: str | None = None,
    draws: int = 2000,
    per_class: bool = False,
) -> str:
    """Return the figures of tables of predictions, with 95 % intervals, as text for a terminal.

    Each table is a network of its own, or (`as_seeds`) all are seeds of one. Where some faces are
    not clean, the clean part is told beside the whole. Tables of the same faces are compared
    pair by pair, on the clean part. Raises DataError naming file and row.
    """
    tables, apart = _read(paths, split, as_seeds)
    networks = {n: [t] for n, t in tables.items()}
    if as_seeds:
        networks = {" + ".join(tables): list(tables.values())}
    cleaned = {name: [seed.only(seed.clean) for seed in seeds] for name, seeds in networks.items()}
    verdicts: dict[str, Verdict] = {}
    for name, seeds in networks.items():
        verdicts[name] = judge(seeds, draws=draws)
        if 0 < len(cleaned[name][0]) < len(seeds[0]):
            verdicts[f"{name}, clean"] = judge(cleaned[name], draws=draws)
    parts = [table(verdicts)]
    if per_class:
        parts += [f"{name}\n{per_class_table(verdict)}" for name, verdict in verdicts.items()]
    copied = [name for name, (first, *_) in cleaned.items() if not len(first)]
    parts += [
        f"Every face of {name} stands in an earlier split too; nothing can be concluded." for name in copied
    ]
    if apart:
        parts.append(apart)
    elif len(networks) > 1 and not copied:
        parts += [difference.sentence for difference in differences(cleaned, draws=draws)]
    return "\n".join(parts).rstrip()


def coverage_of(
    paths: Sequence[Path],
    folder: Path,
    *,
    as_seeds: bool = False,
    split: str | None,
    threshold: float | None,
    draws: int = 2000,
) -> str:
    """Draw the risk-coverage curves of tables of predictions into a folder, see `coverage.py`; return it in words."""
    tables, _ = _read(paths, split, as_seeds)
    text = write_coverage(tables, folder, threshold=threshold, draws=draws)
    return f"{text}\n{folder}: coverage.svg, coverage.png and coverage.csv".lstrip()


def _read(paths: Sequence[Path], split: str | None, as_seeds: bool) -> tuple[dict[str, Predictions], str]:
    """Return the tables by name, of the same faces in the same order, or else why they are not compared."""
    tables = {name: _of_split(read_predictions(path), path, split) for name, path in _named(paths).items()}
    apart = "" if as_seeds else _why_not_compared(tables)
    if not apart:
        tables = dict(zip(tables, align(list(tables.values()), list(tables)), strict=True))
    return tables, apart


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the paths by the shortest ends that tell them apart."""
    paths = [Path(path) for path in paths]
    for parts in range(1, max(1, *(len(path.parts) for path in paths)) + 1):
        for suffix in (".csv", ""):
            names = [escaped(str(Path(*path.parts[-parts:])).removesuffix(suffix)) for path in paths]
            if len(set(names)) == len(names):
                return dict(zip(names, paths, strict=True))
    raise DataError(f"{paths[0]}: the same table is given twice")


def _of_split(predictions: Predictions, path: Path, split: str | None) -> Predictions:
    splits = predictions.split_names
    if split is None and len(splits) > 1:
        raise DataError(f"{path}: holds the splits {', '.join(splits)}; say which with --split")
    if split is not None and split not in splits:
        raise DataError(
            f'{path}: no row of split "{split}"{did_you_mean(split, splits)} (it has {", ".join(splits)})'
        )
    return predictions if split is None else predictions.only(predictions.splits == split)


def _why_not_compared(tables: Mapping[str, Predictions]) -> str:
    """Return why tables are not of the same faces, "" where they are."""
    (first, one), *others = tables.items()
    for name, other in others:
        if one.split_names != other.split_names:
            held, here = (", ".join(table.split_names) for table in (one, other))
            return f"Not compared: {first} holds {held}, {name} holds {here}."
        shared = len(np.intersect1d(one.ids, other.ids))
        if not shared == len(one) == len(other):
            both = (
                f"{first} has {many(len(one), 'face')} and {name} {len(other):,}, {shared:,} with the same id"
            )
            return f"Not compared, as they are not of the same faces: {both}."
    return ""
