"""What a video file says of itself before a frame is decoded: what it is, how long it lasts, its codec.

MP4 and QuickTime files are boxes in boxes (ISO/IEC 14496-12). Knows nothing about decoding.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mien.errors import VideoError
from mien.pictures import LFS
from mien.reading import Unreadable, open_file, reason

HEAD_BYTES = 4096
LARGEST_INDEX = 64 * 2**20  # bytes of an MP4 file's index that are looked at
MATROSKA = b"\x1aE\xdf\xa3"
STARTS = (
    ((b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*"), "a picture; mien predict reads it, named as one"),
    ((b"#EXTM3U", b"ffconcat", b"[playlist]", b"v=0\r\no="), "a playlist, not a video; give the videos themselves"),
    ((b"ID3", b"fLaC"), "sound alone, no pictures in it"),
    ((LFS,), "a git-LFS pointer, not the video: git lfs pull"),
)  # fmt: skip
SOUND = "sound alone, no pictures in it"
NOTHING = "no video in it that can be read: another kind of file, damaged, or sound alone"


def check_head(path: str | Path) -> bytes:
    """Return the first bytes of a file; VideoError for what is no file, or plainly something else than a video."""
    try:
        with open_file(path) as file:
            head = file.read(HEAD_BYTES)
    except (Unreadable, FileNotFoundError) as error:
        raise VideoError(reason(error)) from None
    except OSError as error:
        raise VideoError(f"cannot be opened ({error.strerror})") from None
    if not head:
        raise VideoError("an empty file")
    animated = b"acTL" in head  # an animated PNG
    for starts, words in STARTS:
        if head.startswith(starts) and not animated:
            raise VideoError(words)
    return head


def why_unreadable(path: str | Path) -> str:
    """Return in words why OpenCV opens no video in a file."""
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return SOUND
        if head[4:8] != b"ftyp":
            return NOTHING
        index = _index(file)
    if not index:
        return "cut short: the index at its end is missing"
    if b"vide" not in index:
        return SOUND
    track = _video_track(index)
    codec = _codec(track) if track else ""
    return f"its codec ({codec}) is unknown to this OpenCV" if codec else NOTHING


def shown_seconds(path: str | Path) -> float:
    """Return how long an MP4 file's video is shown, its edit list applied; 0.0 where nothing tells."""
    with open(path, "rb") as file:
        if file.read(8)[4:] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return 0.0
        index = _index(file)
    track, movie = _video_track(index), _child(index, b"mvhd")
    header = _child(track, b"tkhd") if track else b""
    if not header or not movie:
        return 0.0
    scale = _number(movie, 12, 20, length=4)
    units = _number(header, 20, 28)
    return units / scale if scale and units not in (2**32 - 1, 2**64 - 1) else 0.0


def _number(box: bytes, place: int, long_place: int, *, length: int | None = None) -> int:
    """Return a number of a box with a version, where it stands in version 0 and in version 1."""
    long = box[:1] == b"\1"
    start = long_place if long else place
    return int.from_bytes(box[start : start + (length or (8 if long else 4))], "big")


def _index(file: BinaryIO) -> bytes:
    """Return the contents of an MP4 file's "moov" box, b"" where it has none that is whole."""
    end, at = os.fstat(file.fileno()).st_size, 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, kind, start = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, start = int.from_bytes(head[8:], "big"), 16
        size = size or end - at
        if size < start or at + size > end:
            return b""
        if kind == b"moov":
            file.seek(at + start)
            return file.read(min(size - start, LARGEST_INDEX))
        at += size
    return b""


def _children(box: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and contents of the boxes in a box, up to one that is not whole."""
    at = 0
    while at + 8 <= len(box):
        size = int.from_bytes(box[at : at + 4], "big")
        if size < 8 or at + size > len(box):
            return
        yield box[at + 4 : at + 8], box[at + 8 : at + size]
        at += size


def _child(box: bytes, *kinds: bytes) -> bytes:
    """Return the first box of the first kind in a box, of the second kind in that, and so on; b"" without one."""
    for kind in kinds:
        box = next((contents for name, contents in _children(box) if name == kind), b"")
    return box


def _video_track(index: bytes) -> bytes:
    tracks = (contents for kind, contents in _children(index) if kind == b"trak")
    return next((track for track in tracks if _child(track, b"mdia", b"hdlr")[8:12] == b"vide"), b"")


def _codec(track: bytes) -> str:
    """Return the four letters of a track's codec, "" where they are none."""
    name = _child(track, b"mdia", b"minf", b"stbl", b"stsd")[12:16]
    return name.decode("ascii", "replace").strip() if name.isalnum() else ""
