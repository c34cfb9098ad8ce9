"""Rendered people that a stopped comparison keeps, so that the same command goes on. Renders nothing itself."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mien import __version__
from mien.fairness.faces import PersonFaces, Plan
from mien.files import make_folder, whole_file
from mien.reading import open_file

SUFFIX = ".unfinished"  # of the folder beside a report that is not complete


class KeptPeople:
    """The people of a plan in the folder `OUT.unfinished`, a file each; people of another plan are not taken."""

    def __init__(self, out: Path, plan: Plan) -> None:
        self.folder = out.with_name(out.name + SUFFIX)
        described = json.dumps([__version__, asdict(plan)])
        self._plan = hashlib.sha256(described.encode()).hexdigest()[:16]

    def people(
        self, count: int, render: Callable[[Iterable[int]], Iterator[PersonFaces]]
    ) -> Iterator[PersonFaces]:
        """Yield the faces of so many people, and keep those that `render(numbers)` yields for the missing ones."""
        missing = [number for number in range(count) if self._read(number) is None]
        rendered = render(missing)
        for number in range(count):
            person = self._read(number)
            yield self._keep(number, next(rendered)) if person is None else person

    def remove(self) -> None:
        """Remove the folder, once a report is made of its people."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self._plan}-{number}.npz"

    def _keep(self, number: int, person: PersonFaces) -> PersonFaces:
        make_folder(self.folder)
        with whole_file(self._path(number)) as file:
            np.savez_compressed(file, faces=person.faces, detected=person.detected)
        return person

    def _read(self, number: int) -> PersonFaces | None:
        """Return a person, None where there is none whole."""
        try:
            with open_file(self._path(number)) as file, np.load(file) as arrays:
                return PersonFaces(arrays["faces"], arrays["detected"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
