"""A data set of rendered clips: faces over time, with the ground truth of every frame. Knows nothing about files.

Every clip depends on the seed and its own number alone. Kinds say how the expression goes: "apex" comes and goes,
"mixed" too, blended with a second class, "failing" turns back before it is one, "change" becomes another, "hold" stays.
Whatever the kind, people talk, blink, turn and are covered for a moment, the camera shakes, and a cut changes the view.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

from mien.labels import LABELS
from mien.render.clips import awake, blinking, head_moved, mixed, rise, talking
from mien.render.draw import Draw
from mien.render.expression import Expression
from mien.render.faces import NEAR, SECOND_SHARE, TRUTH, Rendered, in_processes, truth_of
from mien.render.identity import Person, identity
from mien.render.look import Look, look
from mien.render.photo import developed_noise
from mien.render.scene import picture

CLIP_TRUTH = ("clip", "frame", "seconds", "clip_label", "kind", "phase", *TRUTH)
KINDS = {"apex": 0.4, "change": 0.2, "hold": 0.15, "mixed": 0.13, "failing": 0.12}
CLIPS_A_PERSON = 3
LENGTHS = (0.6, 1.4)  # of the mean length
SHARES = {"val": 0.1, "test": 0.2}  # of the people
TALKING, COVERED, CUT, SHAKING, TURNING = 0.3, 0.2, 0.12, 0.35, 0.2  # of the clips
FAILED_PEAKS = (0.2, 0.42)  # how much of an expression a failing one reaches
SECONDS_BETWEEN_BLINKS = 2.5
COVERED_SECONDS = (0.4, 1.2)
SHAKES_PER_SECOND = (1.5, 6.0)
NEUTRAL = Expression("neutral", 0.0, {})


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """The options of a data set of clips."""

    clips: int
    side: int
    seed: int
    seconds: float  # mean length
    rate: int  # frames a second

    @property
    def people(self) -> int:
        """How many people there are: at least one a split."""
        return max(3, -(-self.clips // CLIPS_A_PERSON))

    def person_of(self, clip: int) -> int:
        """Return the number of the person that a clip shows."""
        return clip % self.people

    def splits(self) -> list[str]:
        """Return each person's split."""
        names = [name for name, share in SHARES.items() for _ in range(max(1, round(share * self.people)))]
        names += ["train"] * (self.people - len(names))
        placed = [""] * self.people
        for name, person in zip(names, Draw(self.seed, "clipsplt").order(self.people), strict=True):
            placed[person] = name
        return placed

    def frames(self, clip: int) -> int:
        """Return a clip's number of frames."""
        return max(2, round(Draw(self.seed, "length", clip).uniform(*LENGTHS) * self.seconds * self.rate))


@dataclass(frozen=True)
class Script:
    """All that is drawn of a clip before its first frame."""

    plan: ClipPlan
    number: int

    def draw(self, purpose: str, *numbers: int) -> Draw:
        """Return the stream of one purpose of this clip."""
        return Draw(self.plan.seed, purpose, self.number, *numbers)

    @cached_property
    def label(self) -> str:
        """The class that is shown: classes are equally frequent, and nobody shows one alone."""
        return LABELS[(self.number + self.number // self.plan.people) % len(LABELS)]

    @cached_property
    def kind(self) -> str:
        """How the expression goes; a neutral face has nothing to reach."""
        kind = self.draw("kind").choice(KINDS)
        return "hold" if self.label == "neutral" and kind != "change" else kind

    @cached_property
    def second(self) -> str:
        """The class that a clip changes to, or that is mixed in."""
        others = NEAR[self.label] if self.kind == "mixed" else [name for name in LABELS if name != self.label]
        return others[self.draw("second").below(len(others))]

    @property
    def clip_label(self) -> str:
        """The class of the whole clip; "" where it changes."""
        return {"change": "", "failing": "neutral"}.get(self.kind, self.label)

    @cached_property
    def seconds(self) -> float:
        """The clip's length."""
        return self.plan.frames(self.number) / self.plan.rate

    @cached_property
    def times(self) -> tuple[float, ...]:
        """When the expression begins to come, is there, begins to go and is gone, in seconds."""
        draw, length = self.draw("times"), self.seconds
        start, stay = draw.uniform(0.1, 0.3) * length, draw.uniform(0.25, 0.5) * length
        come, go = draw.uniform(0.2, 0.6), draw.uniform(0.25, 0.8)
        return start, start + come, start + come + stay, start + come + stay + go

    @cached_property
    def faces(self) -> tuple[Expression, Expression]:
        """The expressions shown: the class's, blended with the second class in "mixed", and the second class's."""
        first, second = awake(self.draw("clip"), self.label), awake(self.draw("clip2"), self.second)
        if self.kind == "mixed":
            first = mixed(first, second, self.draw("share").uniform(*SECOND_SHARE))
        return first, second

    @cached_property
    def peak(self) -> float:
        """How much of the expression is reached."""
        return self.draw("peak").uniform(*FAILED_PEAKS) if self.kind == "failing" else 1.0

    @cached_property
    def views(self) -> tuple[Look, Look]:
        """The view before and after the cut."""
        first, second = (look(self.draw("view", i), (self.plan.seed, self.number, i)) for i in range(2))
        still = {"occluder": first.occluder if first.occluder == "glasses" else "none", "roll": 0.0}
        before, after = (
            replace(one, yaw=0.6 * one.yaw, pitch=0.6 * one.pitch, **still) for one in (first, second)
        )
        return before, after

    @cached_property
    def blinks(self) -> list[float]:
        """When blinks begin, in seconds."""
        draw, at, times = self.draw("blinks"), 0.0, []
        while (at := at - SECONDS_BETWEEN_BLINKS * math.log(1 - draw.uniform(0, 0.999))) < self.seconds:
            times.append(at)
        return times

    @cached_property
    def cut(self) -> float:
        """When the view changes; after the end where it does not."""
        draw = self.draw("cut")
        return draw.uniform(0.25, 0.75) * self.seconds if draw.chance(CUT) else math.inf

    @cached_property
    def cover(self) -> tuple[float, float, str, float]:
        """When something comes before the face and goes, what it is, and where; never where there is nothing."""
        draw = self.draw("covered")
        if not draw.chance(COVERED):
            return math.inf, math.inf, "none", 0.5
        start = draw.uniform(0, 0.8) * self.seconds
        return (
            start,
            start + draw.uniform(*COVERED_SECONDS),
            draw.choice({"hand": 0.7, "object": 0.3}),
            draw.uniform(0.3, 0.7),
        )

    @cached_property
    def sway(self) -> list[float]:
        """Phases of the head's movement."""
        return [self.draw("sway", i).uniform(0, 2 * math.pi) for i in range(4)]

    @cached_property
    def shake(self) -> list[tuple[float, float, float]]:
        """Of the camera's movement to the right, down and around: strength, times a second, phase."""
        draw = self.draw("shake")
        strength = draw.uniform(0.01, 0.045) if draw.chance(SHAKING) else 0.0
        return [(strength * f, draw.uniform(*SHAKES_PER_SECOND), draw.uniform(0, 6.28)) for f in (1, 1, 60)]


def shown_at(script: Script, time: float) -> tuple[str, Expression]:
    """Return the phase and the expression of a clip at a time in seconds."""
    start, there, going, gone = script.times
    first, second = script.faces
    if script.kind == "hold":
        return "apex" if script.label != "neutral" else "neutral", first
    come, go = rise(time, start, there), rise(time, going, gone)
    if script.kind == "change":
        phase = "before" if come == 0 else "after" if come == 1 else "change"
        return phase, mixed(first, second, come)
    ends = ((start, "neutral"), (there, "onset"), (going, "apex"), (gone, "offset"))
    phase = next((name for end, name in ends if time < end), "neutral")
    share = script.peak * (come - go)
    return phase, _faded(first, share)


def _faded(shown: Expression, share: float) -> Expression:
    """Return an expression at a share of its strength; below half its label is neutral."""
    faint = mixed(NEUTRAL, shown, share)
    if shown.second and faint.label == shown.label:
        return replace(faint, second=shown.second, second_share=shown.second_share)
    return faint


def view_at(script: Script, time: float) -> Look:
    """Return the view of a clip at a time in seconds: head, camera, cut and what covers the face."""
    view = script.views[time >= script.cut]
    turning = script.draw("turning").chance(TURNING)
    view = head_moved(view, turning, time, script.seconds, script.sway)
    right, down, around = (s * math.sin(2 * math.pi * f * time + p) for s, f, p in script.shake)
    blur = view.blur + 12 * script.shake[0][0]
    view = replace(
        view, shift=(view.shift[0] + right, view.shift[1] + down), roll=view.roll + around, blur=blur
    )
    start, end, what, across = script.cover
    if not start <= time < end:
        return view
    up = math.sin(math.pi * (time - start) / (end - start))  # it comes from below and goes there again
    return replace(view, occluder=what, place=(across, 1.15 - 0.6 * up, 0.24))


def render_clip_faces(script: Script, person: Person, split: str) -> list[Rendered]:
    """Return the faces of a clip in their order."""
    plan, faces = script.plan, []
    talks = script.draw("talks").chance(TALKING)
    for frame in range(plan.frames(script.number)):
        time = frame / plan.rate
        phase, shown = shown_at(script, time)
        shown = talking(shown, time, plan.seed + script.number) if talks else shown
        for blink in script.blinks:
            shown = blinking(shown, time - blink)
        view = view_at(script, time)
        still = picture(person, shown, replace(view, noise=0.0), side=plan.side)
        pixels = developed_noise(still, view.noise, script.draw("grain", frame))
        at = (str(script.number), str(frame), f"{time:.4f}", script.clip_label, script.kind, phase)
        truth = at + truth_of(plan.person_of(script.number), person, shown, view)
        source = f"clip {script.number} frame {frame}"
        faces.append(Rendered(pixels.tobytes(), shown.label, split, source, truth))
    return faces


def render_clips(plan: ClipPlan, workers: int) -> Iterator[list[Rendered]]:
    """Yield the faces of each clip, in the order of clips."""
    yield from in_processes(partial(_one, plan, plan.splits()), range(plan.clips), workers)


def _one(plan: ClipPlan, splits: list[str], clip: int) -> list[Rendered]:
    number = plan.person_of(clip)
    person = identity(Draw(plan.seed, "person", number))
    return render_clip_faces(Script(plan, clip), person, splits[number])
