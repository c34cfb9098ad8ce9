"""One clip tracked: the crops of the face that it shows, or why it has none. Knows nothing about data sets.

Crops of the faces are appended to a file as they come, so memory grows by 16 bytes a face and frame; which face is the
clip's is decided at its end. What is known of a clip is written last, so that a stopped job keeps what it finished.
"""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mien.clips.items import ClipItem
from mien.errors import Stopped, VideoError
from mien.faces import Finder, align
from mien.files import write_atomic
from mien.reading import LARGEST_TABLE, read_bytes
from mien.text import many
from mien.video.follow import Follower
from mien.video.footage import Footage
from mien.video.run import Limits
from mien.video.sources import sources

COLUMNS = ("crops", "frames", "seconds")  # of a track, in the note of a clip
FEWEST_FRAMES = 2
LEAST_SHARE = 0.5  # of a clip's frames in which its face must be followed
MOST_FACES = 8  # of a frame that are cropped, the largest: the clip's face is among them
RIVAL = (
    0.5  # share of the face's frames, and of its area summed over them, from which on another one is a rival
)


@dataclass(slots=True)
class Track:
    """A face as long as it is followed: which crops are its own, and when."""

    crops: "array[int]" = field(default_factory=lambda: array("I"))  # places in the file of crops
    frames: "array[int]" = field(default_factory=lambda: array("I"))
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    area: float = 0.0  # of its boxes, summed


@dataclass(frozen=True, slots=True)
class Tracked:
    """A clip's face, or the problem it has instead."""

    track: Track
    problem: str = ""
    partial: bool = False  # the face is not in all frames, or a cut parted it

    def pixels(self, place: Path, side: int) -> Iterator[bytes]:
        """Yield the crops of the clip's face, side * side gray bytes each."""
        size = side * side
        with open(place, "rb") as file:
            for crop in self.track.crops:
                file.seek(crop * size)
                yield file.read(size)


def track_clip(
    item: ClipItem,
    crops: Path,
    *,
    finder: Finder,
    side: int,
    limits: Limits,
    rate: float,
    stop: Callable[[], bool],
) -> Tracked:
    """Return a clip's face, tracked now or by an earlier job; `crops` is the file of its crops.

    `finder` may be that of other clips; `rate` is that of numbered pictures. Raises Stopped where `stop()` says so.
    """
    note = crops.with_suffix(".json")
    if (known := _read(note)) is not None:
        return known
    try:
        footage = _opened(item, rate, stop)
        tracked = _tracked(item, footage, crops, side, Follower(finder), limits, stop)
    except VideoError as error:
        tracked = Tracked(Track(), str(error))
    track = tracked.track
    value = {name: getattr(track, name).tolist() for name in COLUMNS}
    write_atomic(note, json.dumps(value | {"problem": tracked.problem, "partial": tracked.partial}))
    return tracked


def _read(note: Path) -> Tracked | None:
    """Return what an earlier job noted of a clip."""
    if not note.exists():
        return None
    value = json.loads(read_bytes(note, LARGEST_TABLE))
    track = Track()
    for name in COLUMNS:
        getattr(track, name).extend(value[name])
    return Tracked(track, value["problem"], value["partial"])


def _opened(item: ClipItem, rate: float, stop: Callable[[], bool]) -> Footage:
    """Return a clip's frames; VideoError where there is not one clip at its place."""
    places = sources([item.place], None, stop=stop, rate=rate)
    if len(places) > 1:
        raise VideoError(f"a folder with {len(places):,} clips in it, not one")
    return places[0].open()


def _tracked(
    item: ClipItem,
    footage: Footage,
    crops: Path,
    side: int,
    follower: Follower,
    limits: Limits,
    stop: Callable[[], bool],
) -> Tracked:
    tracks: dict[int, Track] = {}
    count = frames = 0
    with closing(footage), open(crops, "wb") as file:
        for frame in limits.within(footage.frames()):
            if stop():
                raise Stopped(f"{item.name}: stopped; clips that were finished are kept for the same command")
            frames += 1
            faces = follower.step(frame.pixels, frame.seconds)
            for number, face in sorted(faces, key=lambda one: -one[1].area)[:MOST_FACES]:
                track = tracks.setdefault(number, Track())
                file.write(align(frame.pixels, face, side).tobytes())
                track.crops.append(count)
                track.frames.append(frame.number)
                track.seconds.append(frame.seconds)
                track.area += face.area
                count += 1
    return chosen(list(tracks.values()), frames)


def chosen(tracks: list[Track], frames: int) -> Tracked:
    """Return the face that a clip of so many frames shows: the one that is largest for longest, if that is clear."""
    if not frames:
        return Tracked(Track(), "no frame in it")
    if not tracks:
        return Tracked(Track(), f"no face found in its {many(frames, 'frame')}")
    main = max(tracks, key=lambda track: track.area)
    own, length = set(main.frames), len(main.frames)
    rivals = [
        other
        for other in tracks
        if other is not main
        and other.area >= RIVAL * main.area
        and len(own.intersection(other.frames)) >= RIVAL * length
    ]
    if rivals:
        return Tracked(
            Track(), f"{len(rivals) + 1} faces of about one size in it; cut it to the part with one of them"
        )
    if length < max(FEWEST_FRAMES, LEAST_SHARE * frames):
        return Tracked(
            Track(),
            f"a face is followed through {length:,} of its {many(frames, 'frame')} alone{_why(tracks)}",
        )
    return Tracked(main, partial=length < frames)


def _why(tracks: list[Track]) -> str:
    """Return a guess why no face is followed for long: there are parts one after the other, as where a cut is."""
    starts = Counter(track.frames[0] for track in tracks)
    return f"; there are {len(starts)} parts, as of a cut: cut it there" if len(starts) > 1 else ""
