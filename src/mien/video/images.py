"""Numbered pictures as the frames of a clip. Knows nothing about faces."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.errors import PictureError, VideoError
from mien.pictures import decode, read_file
from mien.video.footage import Frame, refuse_size

PATTERN = re.compile(r"%0?\d*d")
NUMBERED = re.compile(r"(.*?)(\d+)(\.\w+)")


class ImageFootage:
    """Numbered pictures, each a frame; their numbers tell the time, so a missing one is a gap."""

    def __init__(self, files: Sequence[tuple[int, Path]], rate: float) -> None:
        self._files, self.rate = files, rate
        self.total: int | None = len(files)
        self.notes: list[str] = []

    def frames(self) -> Iterator[Frame]:
        """Yield the frames; VideoError at the end where some pictures could not be read."""
        bad, first = [], self._files[0][0]
        for number, path in self._files:
            try:
                pixels = decode(read_file(path), color=True).pixels
            except PictureError as error:
                bad.append(f"{path.name}: {error}")
                continue
            refuse_size(*pixels.shape[1::-1])
            yield Frame(number - first, (number - first) / self.rate, pixels)
        if bad:
            raise VideoError(f"{len(bad):,} of {self.total:,} pictures were skipped, as {bad[0]}")

    def close(self) -> None:
        """There is nothing to let go of."""


def of_pattern(pattern: str) -> list[tuple[int, Path]]:
    """Return the pictures of a pattern like "frames/%05d.png" by number; VideoError where there is none."""
    path = Path(pattern)
    if not PATTERN.search(path.name):
        raise VideoError("the number, as %05d, must be in the file's name")
    before, after = map(re.escape, PATTERN.split(path.name, maxsplit=1))
    matching = re.compile(rf"{before}(\d+){after}")
    files = path.parent.iterdir() if path.parent.is_dir() else ()
    numbered = [(int(match[1]), file) for file in files if (match := matching.fullmatch(file.name))]
    if not numbered:
        raise VideoError("no file has such a name with a number")
    return sorted(numbered)


def of_names(files: Sequence[Path]) -> list[tuple[int, Path]]:
    """Return pictures by their numbers; VideoError where their names differ in more than a number."""
    matches = [(NUMBERED.fullmatch(file.name), file) for file in files]
    kinds = {(match[1], match[3].lower()) if match else None for match, _ in matches}
    if None in kinds or len(kinds) > 1:
        raise VideoError("its pictures are not numbered alike, as frame_00001.png; mien predict reads photos")
    return sorted((int(match[2]), file) for match, file in matches if match)
