"""How to smooth in time what is read of a face: python bench/video_filter.py [--kept FOLDER] [--out FILE.csv].

Rendered clips of 4 s at 25 frames a second, whose truth is known, move through a 640 x 480 picture with a camera's
noise; the shipped model reads each frame through finding, following and cutting out. Settings of `mien.video.steady`
are chosen on the clips of one set of seeds and shown on another's. Half an hour on one core; `--kept` keeps what was
read, so that another search takes two minutes.

A clip is steady where its truth does not change. There a change of the label is false. Delays are told of clips whose
truth changes once, where the model says one thing of the steady part before and another of the steady part after, on
the mean: from the moment of the change until the label is what it says of the part after, for the first time, and until
it is that and stays so for half a second (settled). Single frames are late in the second way too, since they flicker.
Both delays are means over those clips in which single frames settle at all, so that all filters are compared on the
same changes; how many of all never settle stands beside. Chosen is, among settings that settle on the mean no more
than a frame later than single frames and whose label no single wrong frame changes, the one with the fewest false
changes. A median over a few frames before the exponential mean was tried too; it is no part of mien, so the choice is
among settings without one, and the table shows what it would give.
"""

import argparse
import itertools
import os
from dataclasses import astuple, dataclass, replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from mien.files import write_csv
from mien.labels import LABELS
from mien.predict import Recognizer
from mien.render.clips import frames
from mien.render.draw import Draw
from mien.render.identity import identity
from mien.render.scene import picture
from mien.video.follow import Follower
from mien.video.steady import Settings, Steady

CLIPS = {"change": 24, "apex": 6, "turn": 4, "talk": 4}
SETS = {"chosen on": 1000, "shown on": 2000}
SECONDS, RATE, SIDE = 4, 25, 128
SETTLED_SECONDS = 0.5
NOISE = 4.0  # grey levels
SINGLE = Settings(constant_seconds=0, margin=1, hold=1)
MEDIANS = (0, 3, 5, 9)  # frames
GRID = {
    "constant_seconds": (0, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3),
    "margin": (1, 1.15, 1.3, 1.5, 1.75, 2, 2.5),
    "hold": (1, 0.9, 0.8, 0.7),
}
SCORES = ("false_changes_a_minute", "first_seconds", "settled_seconds", "changes", "never_settled", "right")
COLUMNS = ("clips", "filter", "median_frames", *GRID, *SCORES)
MOVING = ("onset", "offset", "change")  # phases in which the truth is on its way


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A clip read frame by frame."""

    kind: str
    truth: np.ndarray  # str (N,): what is on the face
    steady: np.ndarray  # bool (N,): the truth neither changes nor is on its way
    seconds: np.ndarray
    probabilities: np.ndarray  # (N, C)


def labels_of(kind: str, seed: int) -> tuple[str, str]:
    """Draw two different classes; an apex is none of neutral, where it would show nothing."""
    draw = Draw(seed, "labels")
    first = draw.below(len(LABELS))
    second = (first + 1 + draw.below(len(LABELS) - 1)) % len(LABELS)
    if kind == "apex" and LABELS[first] == "neutral":
        first = second
    return LABELS[first], LABELS[second]


def rendered(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render a clip's pictures (N, S, S), with the class of each, and whether it is steady."""
    person = identity(Draw(seed, "person", 0))
    moments = list(frames(kind, *labels_of(kind, seed), seconds=SECONDS, rate=RATE, seed=seed))
    pictures = np.stack([picture(person, m.shown, m.look, side=SIDE) for m in moments])
    return (
        pictures,
        np.array([m.shown.label for m in moments]),
        np.array([m.phase not in MOVING for m in moments]),
    )


def scene(face: np.ndarray, number: int, rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    """Return a 640 x 480 RGB picture in which the face goes slowly to the right."""
    seen = wall.copy()
    left, top = 200 + number // 2, 150 + number // 8
    seen[top : top + SIDE, left : left + SIDE] = face[:, :, None]
    return np.rint(seen + rng.normal(0, NOISE, (480, 640, 1))).clip(0, 255).astype(np.uint8)


def read(kind: str, seed: int, recognizer: Recognizer) -> Read:
    """Read a clip as `mien video` does; a frame in which the face is not found is left out."""
    pictures, truth, steady = rendered(kind, seed)
    rng, follower = np.random.default_rng(seed), Follower()
    wall = np.repeat(np.repeat(rng.uniform(60, 190, (15, 20, 3)), 32, 0), 32, 1)
    kept, rows = [], []
    for number, face in enumerate(pictures):
        pixels = scene(face, number, rng, wall)
        found = [one for _, one in follower.step(pixels, number / RATE)]
        if found:
            rows.append(list(recognizer.read(recognizer.cut(pixels, found[:1]))[0].probabilities.values()))
            kept.append(number)
    return Read(kind, truth[kept], steady[kept], np.array(kept) / RATE, np.array(rows))


def read_all(base: int, recognizer: Recognizer, folder: Path | None) -> list[Read]:
    told = []
    for place, (kind, count) in enumerate(CLIPS.items()):
        for seed in range(base + 100 * place, base + 100 * place + count):
            file = folder / f"{kind}-{seed}.npz" if folder else None
            if file and file.exists():
                told.append(
                    Read(
                        **{name: value if value.ndim else str(value) for name, value in np.load(file).items()}
                    )
                )
                continue
            told.append(read(kind, seed, recognizer))
            print(f"read {kind} {seed}", flush=True)
            if file:
                folder.mkdir(parents=True, exist_ok=True)
                np.savez(file, **{name: getattr(told[-1], name) for name in Read.__slots__})
    return told


def smoothed(clip: Read, frames_: int) -> Read:
    """Return a clip whose probabilities are medians, class by class, over each frame and those just before it."""
    if not frames_:
        return clip
    rows = [clip.probabilities[max(0, n + 1 - frames_) : n + 1] for n in range(len(clip.seconds))]
    return replace(clip, probabilities=np.array([np.median(some, axis=0) for some in rows]))


def labels_over(clip: Read, settings: Settings, threshold: float) -> np.ndarray:
    """Return the label's place at each moment, -1 where it is uncertain."""
    steady = Steady(threshold, settings)
    places = (steady.add(s, p)[1] for s, p in zip(clip.seconds.tolist(), clip.probabilities, strict=True))
    return np.array([-1 if place is None else place for place in places])


def false_changes(clip: Read, places: np.ndarray) -> tuple[int, float]:
    """Return the changes of the label within steady parts, and how long these are in seconds."""
    within = clip.steady[1:] & clip.steady[:-1] & (clip.truth[1:] == clip.truth[:-1])
    return int(((places[1:] != places[:-1]) & within).sum()), within.sum() / RATE


def change(clip: Read) -> tuple[int, int] | None:
    """Return when the truth changes and what the model says of the part after, where that is told; see above.

    What it says is the greatest mean of its logarithms over all single frames, so no filter has a say in it.
    """
    turns = np.flatnonzero(clip.truth[1:] != clip.truth[:-1]) + 1
    if clip.kind != "change" or len(turns) != 1:
        return None
    later = np.arange(len(clip.truth)) >= turns[0]
    before, after = (
        int(np.log(clip.probabilities[part & clip.steady]).mean(0).argmax()) for part in (~later, later)
    )
    return None if before == after else (int(turns[0]), after)


def delays(clip: Read, places: np.ndarray, turn: int, wanted: int) -> tuple[float, float]:
    """Return seconds until a label is first what is wanted, and until it settles on that; inf where it never does."""
    first = settled = np.inf
    for place in np.flatnonzero(places[turn:] == wanted) + turn:
        waited = clip.seconds[place] - clip.seconds[turn]
        first = min(first, waited)
        rest = (clip.seconds >= clip.seconds[place]) & (clip.seconds < clip.seconds[place] + SETTLED_SECONDS)
        if clip.seconds[-1] - clip.seconds[place] >= SETTLED_SECONDS and (places[rest] == wanted).all():
            return first, waited
    return first, settled


def score(
    clips: list[Read], changes: list, settings: Settings, threshold: float, alike: np.ndarray
) -> tuple[float, ...]:
    """Return the figures of SCORES; `changes` has what `change` says of each clip without a median.

    `alike` says over which of the changes delays are means.
    """
    false, minutes, waited, right, steady = 0, 0.0, [], 0, 0
    for clip, told in zip(clips, changes, strict=True):
        places = labels_over(clip, settings, threshold)
        some, seconds = false_changes(clip, places)
        false, minutes = false + some, minutes + seconds / 60
        truth = np.array([LABELS.index(label) for label in clip.truth])
        right, steady = right + int((places == truth)[clip.steady].sum()), steady + int(clip.steady.sum())
        if told is not None:
            waited.append(delays(clip, places, *told))
    waited = np.array(waited)
    settled = np.isfinite(waited[:, 1])
    means = waited[alike].mean(0).tolist()
    return false / minutes, *means, len(waited), int((~settled).sum()), right / steady


def settled_alone(clips: list[Read], threshold: float) -> np.ndarray:
    """Return of each clip with a change whether single frames settle on it."""
    told = ((clip, change(clip)) for clip in clips)
    return np.array(
        [
            delays(clip, labels_over(clip, SINGLE, threshold), *one)[1] < np.inf
            for clip, one in told
            if one is not None
        ]
    )


def search(clips: list[Read], threshold: float) -> dict[tuple[int, Settings], tuple[float, ...]]:
    """Return the scores of all settings, with each number of frames in a median."""
    changes, alike = [change(clip) for clip in clips], settled_alone(clips, threshold)
    settings = [Settings(*values) for values in itertools.product(*GRID.values())]
    told = {}
    for frames_ in MEDIANS:
        some = [smoothed(clip, frames_) for clip in clips]
        told |= {(frames_, one): score(some, changes, one, threshold, alike) for one in settings}
    return told


def unmoved(settings: Settings) -> bool:
    """Whether one frame that says another class for certain, among sure ones, changes no label."""
    steady, sure, wrong = Steady(0.4, settings), np.array([0.9, 0.05, 0.05]), np.array([0.0, 1.0, 0.0])
    return {0} == {steady.add(n / RATE, wrong if n == 20 else sure)[1] for n in range(40)}


def best(told: dict[tuple[int, Settings], tuple[float, ...]], medians: bool) -> tuple[int, Settings]:
    """Return what has the fewest false changes, is not moved by a wrong frame and settles as single frames do.

    That is as often, and no more than a frame later.
    """
    _, _, latest, _, never, _ = told[0, SINGLE]
    allowed = [
        one for one, scores in told.items()
        if (one[0] > 0) == medians and scores[2] <= latest + 1 / RATE and scores[4] <= never
        and (one[0] > 0 or unmoved(one[1]))
    ]  # fmt: skip
    return min(allowed, key=lambda one: (told[one][0], told[one][2]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kept", type=Path, help="a folder for what was read of the clips")
    parser.add_argument("--out", type=Path, help="write the table here, as CSV")
    options = parser.parse_args()
    recognizer = Recognizer()
    threshold = recognizer.model.threshold
    sets = {words: read_all(base, recognizer, options.kept) for words, base in SETS.items()}
    told = search(sets["chosen on"], threshold)
    chosen = {"single frames": (0, SINGLE), "chosen": best(told, False), "with a median": best(told, True)}
    rows = []
    for words, clips in sets.items():
        changes, alike = [change(clip) for clip in clips], settled_alone(clips, threshold)
        for name, (frames_, settings) in chosen.items():
            scores = score([smoothed(clip, frames_) for clip in clips], changes, settings, threshold, alike)
            rows.append((words, name, frames_, *astuple(settings), *scores))
            print(f"{words}, {name}: median of {frames_ or 1}, {settings}")
            print("   " + ", ".join(f"{key} {value:.3g}" for key, value in zip(SCORES, scores, strict=True)))
    if options.out:
        write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
