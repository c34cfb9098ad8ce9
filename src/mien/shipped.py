"""Files that ship with mien and go by name, and TOML files of users that go by path. Knows nothing of what they say."""

import tomllib
from importlib import resources
from pathlib import Path

from mien.errors import MienError
from mien.labels import known_words
from mien.reading import LARGEST_TOML, read_text, reason

DEFAULT_MODEL = "pocket"  # what classifies the faces of photos, videos and the page unless told otherwise


def shipped(folder: str, suffix: str = ".toml") -> dict[str, Path]:
    """Return the files of one of the package's folders, such as "recipes", by name; none where there is no folder."""
    place = resources.files("mien") / folder
    files = sorted(place.iterdir(), key=str) if place.is_dir() else []
    return {Path(str(f)).stem: Path(str(f)) for f in files if f.name.endswith(suffix)}


def read_named(name: str | Path, folder: str, *, what: str, error: type[MienError]) -> tuple[Path, dict]:
    """Return path and contents of a file given by its name in a folder of the package, or by its path.

    Raises `error` in one line where there is no such file or it is no TOML.
    """
    known = shipped(folder)
    path = known.get(str(name), Path(name))
    if path.suffix != ".toml":
        there = f"{path}: a file, but its name does not end in .toml" if path.is_file() else ""
        raise error(there or f'no {what} "{name}"{known_words(str(name), known)}')
    try:
        return path, tomllib.loads(read_text(path, LARGEST_TOML))
    except (OSError, ValueError, RecursionError) as fault:
        raise error(f"{path}: cannot be read as a {what} ({reason(fault)})") from None
