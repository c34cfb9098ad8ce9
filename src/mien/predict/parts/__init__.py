"""Large sources: a table in part files, made by processes or a cluster, that the same command goes on with.

`plan.py` says which pictures there are and cuts them into parts, `archives.py` reads archives and parquet files,
`write.py` makes one part, `processes.py` and `cluster.py` have parts made. A part that is there is not made again.
"""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien import __version__
from mien.errors import DataError, Stopped
from mien.files import make_folder, write_atomic
from mien.locks import locked_name
from mien.model import Model, shipped_models
from mien.predict import Recognizer, check_options, run_options
from mien.predict.answer import NOTICE, card_at
from mien.predict.parts.plan import Part, Plan, plan_of
from mien.predict.parts.processes import make_parts
from mien.predict.parts.write import Job, Progress, Totals, totals_of
from mien.predict.rows import summary
from mien.progress import Counting
from mien.reading import read_json
from mien.text import many, thousands
from mien.workers import available_cores

FORMAT = 1  # of STATE
STATE = "_mien.json"  # in the folder; readers of parquet folders pass over names that begin so


def predict_parts(
    recognizer: Recognizer,
    paths: Iterable[str | os.PathLike[str]],
    out: str | Path,
    *,
    lists: Sequence[str] = (),
    name_column: str | None = None,
    shard: tuple[int, int] = (1, 1),
    crop: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    part_pictures: int | None = None,
    progress: Counting | None = None,
) -> Counter[str]:
    """Classify all faces in pictures into the parquet files of a folder, and return the counts of pictures.

    `paths` are files, folders and patterns; `lists` text files of paths, a line each. Tar and zip archives and parquet
    files are read as the pictures in them, of which `name_column` names those of parquet files. A part is a file of 50
    to 4,000 pictures, by their number, or of `part_pictures`; it appears whole, and one that is there is not made
    again, so the same call goes on. `shard` (3, 16) makes the third of sixteen shares of the parts. `workers` processes
    with a thread each work at a time, by default one a core; with `ray`, the address of a cluster or "local", as many
    actors there, by default one for each of its cores. A picture that cannot be used has a row with its problem, and a
    line on standard error. The counts are of the pictures of this shard: pictures, faces, empty and failed ones. Raises
    DataError or StorageError in one line where nothing can be done at all, Stopped with what was kept.
    """
    out = Path(out)
    check_options(None, None, recognizer.long_side)
    number, shards = _checked_shard(shard)
    plan = plan_of(paths, lists, out, name_column)
    options = run_options(recognizer, {}, crop=crop, part_pictures=part_pictures)
    make_folder(out)
    with locked_name(out / f"shard-{number}-of-{shards}", "the shard"):
        job = Job(recognizer, out, crop, _origin(recognizer.model, _begin(out, options, plan)))
        work = _Work(out, list(plan.parts(number - 1, shards, part_pictures)))
        todo = [part for part in work.parts if not work.keep(totals_of(job, part))]
        if len(todo) < len(work.parts):
            print(f"mien: {work.in_words()}", file=sys.stderr)
        work.follow(
            _messages(job, todo, workers, ray), sum(part.pictures for part in todo), progress or Counting()
        )
    print(f"{work.in_words()}. {summary(work.counts, work.labels, plan.passed_over)}")
    print(f"{NOTICE} {card_at(_named(recognizer.model))}")
    return work.counts


@dataclass(slots=True)
class _Work:
    """The parts of a shard, and what those hold that are made."""

    out: Path
    parts: list[Part]
    made: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    labels: Counter[str] = field(default_factory=Counter[str])

    def keep(self, totals: Totals | None) -> bool:
        """Count a part that is there; tell whether it is."""
        if totals is not None:
            self.made += 1
            self.counts.update(totals.counts)
            self.labels.update(totals.labels)
        return totals is not None

    def follow(self, messages: Iterator[Progress | Totals], pictures: int, progress: Counting) -> None:
        """Have the rest made, with a line on standard error for each picture that cannot be used."""
        try:
            for line in progress.over("predict", pictures, self._lines(messages)):
                if line:
                    print(f"mien: {line}", file=sys.stderr)
        except Stopped:
            raise Stopped(f"stopped; {self.in_words()}, the same command goes on") from None

    def _lines(self, messages: Iterator[Progress | Totals]) -> Iterator[str]:
        for message in messages:
            if isinstance(message, Totals):
                self.keep(message)
            else:
                yield from message.problems

    def in_words(self) -> str:
        """Return how much is there: "out has 3 of 256 parts"."""
        return f"{self.out} has {thousands(self.made)} of {many(len(self.parts), 'part')}"


def _messages(
    job: Job, parts: Sequence[Part], workers: int | None, ray: str | None
) -> Iterator[Progress | Totals]:
    if ray is None:
        return make_parts(job, parts, workers or available_cores())
    from mien.predict.parts.cluster import make_parts_on_cluster

    return make_parts_on_cluster(job, parts, ray, workers)


def _checked_shard(shard: tuple[int, int]) -> tuple[int, int]:
    number, shards = shard
    if not 1 <= number <= shards:
        raise DataError(f"--shard must be 1/{shards} to {shards}/{shards} and is {number}/{shards}")
    return shard


def _begin(out: Path, options: dict[str, object], plan: Plan) -> dict[str, Any]:
    """Return what the folder's run is, stated in a file there; DataError where an earlier one was another."""
    same = {"format": FORMAT, "mien": __version__, **options, "sources": plan.fingerprint()}
    stated: dict[str, Any] = json.loads(json.dumps(same))
    path = out / STATE
    if path.exists():
        before = read_json(path, what="a table in parts", newest=FORMAT, error=DataError)
        for name, value in stated.items():
            if before.get(name) != value:
                was, now = _in_words(name, before.get(name)), _in_words(name, value)
                raise DataError(
                    f"{out}: begun with {was}, and now {now}; go on with the same, or take another folder"
                )
    else:
        write_atomic(path, json.dumps(stated, indent=2) + "\n")
    return stated


def _origin(model: Model, stated: dict[str, Any]) -> dict[str, Any]:
    """Return what each part's metadata says of the model and the run."""
    run = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
    return {"model": model.name, "sha256": model.sha256, "mien": __version__, "run": run}


def _named(model: Model) -> str:
    """Return what a model goes by on the command line."""
    return model.name if shipped_models().get(model.name) == model.path else str(model.path)


def _in_words(name: str, value: Any) -> str:
    if name == "sources" and isinstance(value, dict):
        sources: dict[str, Any] = {**value}
        return f"sources {str(sources.get('sha256'))[:8]} (their names, or an archive's or a list's size)"
    return f"{name.replace('_', ' ')} {value}"
