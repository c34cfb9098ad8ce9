"""Files from anybody, read in bounded time and memory, JSON of ours checked, TOML by name. Knows no contents.

Only regular files are opened, never a device, a pipe only where a user may well give one, and nothing that is larger
than its kind may be. JSON that mien writes carries a checksum of its own, since a flipped bit in a number is a number,
too; older files lack it.
"""

import errno
import hashlib
import json
import os
import select
import stat
import tomllib
from importlib import resources
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, NoReturn

from mien.errors import MienError
from mien.labels import known_words
from mien.system import READ_FLAGS

DEFAULT_MODEL = (
    "pocket-photos"  # what classifies the faces of photos, videos and the page unless told otherwise
)
LARGEST_TOML = 2**20  # bytes
LARGEST_JSON = 64 * 2**20
LARGEST_TABLE = 512 * 2**20  # millions of rows
LARGEST_NUMBER = 2**63
PIPE_SECONDS = 60  # for the next bytes of a pipe
CHUNK_BYTES = 2**16
CHECKSUM = "checksum"
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class Unreadable(OSError):
    """Something that is no file, or too large; `strerror` is the reason."""


def refuse_other_than_file(path: str | os.PathLike[str]) -> os.stat_result:
    """Return a regular file's status; Unreadable for a folder, a pipe, a device or a socket, OSError for none."""
    try:
        return _regular(Path(path).stat())
    except FileNotFoundError:
        link = Path(path).is_symlink()
        raise FileNotFoundError(errno.ENOENT, "a link to nothing" if link else "no such file") from None
    except ValueError:
        raise FileNotFoundError(errno.ENOENT, "no such file (the name holds a NUL)") from None


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read its bytes; Unreadable or another OSError, without waiting, for anything else."""
    refuse_other_than_file(path)
    handle = os.open(path, READ_FLAGS)
    try:
        _regular(os.fstat(handle))
    except Unreadable:
        os.close(handle)
        raise
    return open(handle, "rb")


def _regular(status: os.stat_result) -> os.stat_result:
    for asks, kind in KINDS:
        if asks(status.st_mode):
            raise Unreadable(errno.EINVAL, f"{kind}, not a file")
    return status


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """Return a file's bytes; Unreadable for more than `most` or no regular file, else OSError."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise Unreadable(errno.EFBIG, f"{size:,} bytes, more than {most:,}")
        return file.read(most)


def read_file_or_pipe(path: str | os.PathLike[str], most: int) -> bytes:
    """Return a file's bytes as `read_bytes` does, or all that a pipe brings, as of `<(command)` in a shell.

    Unreadable for more than `most` bytes and where a pipe brings nothing for a minute; a pipe to which nobody writes is
    empty.
    """
    try:
        if not stat.S_ISFIFO(Path(path).stat().st_mode):
            return read_bytes(path, most)
    except (OSError, ValueError):
        return read_bytes(path, most)  # which says what it is
    parts, size = [], 0
    with open(os.open(path, READ_FLAGS), "rb", buffering=0) as pipe:
        while part := _next_part(pipe):
            parts.append(part)
            size += len(part)
            if size > most:
                raise Unreadable(errno.EFBIG, f"more than {most:,} bytes")
    return b"".join(parts)


def _next_part(pipe: FileIO) -> bytes:
    """Return the next bytes of a pipe, b"" at its end."""
    part = pipe.read(CHUNK_BYTES)
    if part is None:  # nothing yet
        ready, _, _ = select.select([pipe], [], [], PIPE_SECONDS)
        if not ready:
            raise Unreadable(errno.ETIMEDOUT, f"a pipe that brought nothing for {PIPE_SECONDS} s")
        return _next_part(pipe)
    return part


def read_text(path: str | os.PathLike[str], most: int, encoding: str = "utf-8") -> str:
    """Return a file's text, line ends as they stand; errors as `read_bytes`, and UnicodeDecodeError."""
    return read_bytes(path, most).decode(encoding)


def sha256_text(text: str) -> str:
    """Return the sha256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object with a checksum over all of it, for `read_json` and `read_lines` to check."""
    return {**value, CHECKSUM: _checksum(value)}


def _checksum(value: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(value))  # keys as they are read
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def unsealed(value: dict) -> dict:
    """Return the object without its checksum; ValueError where that is another one."""
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    if CHECKSUM not in value:
        return value
    plain = {key: part for key, part in value.items() if key != CHECKSUM}
    if _checksum(plain) != value[CHECKSUM]:
        raise ValueError("it was changed after it was written")
    return plain


def parse_json(text: str | bytes):
    """Return what a JSON text holds; ValueError, also for nan, infinities and what is nested too deep."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def read_json(
    path: Path, *, what: str, newest: int, error: type[MienError], shape: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Read a JSON object of ours that carries `format`; `newest` is what this version knows.

    Raises `error` in one line when the file is missing, damaged, of a newer format or not of the `shape` that
    `misfit` takes.
    """
    path = Path(path)
    try:
        value = parse_json(read_bytes(path, LARGEST_JSON))
        if not isinstance(value, dict) or not isinstance(value.get("format"), int):
            raise ValueError("it has no format number")
        if value["format"] <= newest:
            value = unsealed(value)
    except FileNotFoundError:
        why = f"it has no {path.name}" if path.parent.exists() else "there is no such folder"
        raise error(f"{path.parent}: not {what} ({why})") from None
    except NotADirectoryError:
        raise error(f"{path.parent}: a file, and not {what}, which is a folder") from None
    except (OSError, ValueError) as fault:
        raise error(f"{path}: {what} is damaged here ({reason(fault)})") from None
    if value["format"] > newest:
        raise error(
            f"{path}: written in format {value['format']} by a newer mien; this one reads up to "
            f"format {newest}: pip install --upgrade mien"
        )
    if fault := misfit(value, shape or {}):
        raise error(f"{path}: {what} is damaged here ({fault})")
    return value


def read_lines(path: Path, *, what: str, error: type[MienError]) -> list[dict]:
    """Return the JSON objects that `append_line` added to a file; `error` in one line where one is damaged."""
    try:
        rows = [parse_json(line) for line in read_text(path, LARGEST_JSON).splitlines()]
        if not rows or not all(isinstance(row, dict) for row in rows):
            raise ValueError("it is no list of objects")
        return [unsealed(row) for row in rows]
    except (OSError, ValueError) as fault:
        raise error(f"{path}: {what} is damaged here, a line cannot be read ({reason(fault)})") from None


def reason(fault: Exception) -> str:
    """Return what an exception says, in a few words for the end of a line."""
    return getattr(fault, "strerror", None) or str(fault) or type(fault).__name__


def misfit(value, shape, place: str = "") -> str:
    """Return where a JSON value is not of a shape, in words, or "".

    A shape is a type, where `float` takes whole numbers and `dict` any object; [shape], a list of such; {str: shape},
    an object with any keys; or {"key": shape}, an object with these keys, and "key?" where it may be missing. Numbers
    are finite and strings can be encoded.
    """
    if isinstance(shape, type):
        return "" if _is_of(value, shape) else f"{place or 'it'} is {_brief(value)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place or 'it'} is {_brief(value)}"
        parts = ((part, shape[0], f"{place}[{number}]") for number, part in enumerate(value))
    else:
        if not isinstance(value, dict):
            return f"{place or 'it'} is {_brief(value)}"
        parts = _members(value, shape, place)
    return next((fault for part in parts if (fault := misfit(*part))), "")


def _members(value: dict, shape: dict, place: str):
    for key, inner in shape.items():
        if key is str:
            yield from ((part, inner, f"{place}.{name}") for name, part in value.items())
            continue
        name = key.removesuffix("?")
        if name in value or name == key:
            yield value.get(name), inner, f"{place}.{name}".removeprefix(".")


def _is_of(value, kind: type) -> bool:
    if kind in (int, float):
        number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        return number and abs(value) < LARGEST_NUMBER  # nor is nan
    if kind is str and isinstance(value, str):
        return value.encode("utf-8", "replace").decode() == value
    return isinstance(value, kind)


def _brief(value) -> str:
    text = repr(value)
    return "missing or null" if value is None else text if len(text) <= 40 else f"{text[:40]}…"


def shipped(folder: str, suffix: str = ".toml") -> dict[str, Path]:
    """Return the files of one of the package's folders, such as "recipes", by name; none where there is no folder."""
    place = resources.files("mien") / folder
    files = sorted(place.iterdir(), key=str) if place.is_dir() else []
    return {Path(str(f)).stem: Path(str(f)) for f in files if f.name.endswith(suffix)}


def read_named(
    name: str | Path, folder: str, *, what: str, error: type[MienError]
) -> tuple[Path, dict[str, Any]]:
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
