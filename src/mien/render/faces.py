"""A data set of rendered faces: the person, expression, view and ground truth of each.

Every face depends on the seed and its own number alone, so the number of workers changes nothing.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from mien.labels import LABELS
from mien.render.draw import Draw
from mien.render.expression import AUS, Expression, expression
from mien.render.identity import Person, identity
from mien.render.look import Look, look
from mien.render.scene import picture

FER2013_COUNTS = (4953, 547, 5121, 8989, 6077, 4002, 6198)
"""How many faces FER2013 has of each class, in the order of its table."""
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}  # of the people
FAINTEST, STRONGEST = 0.55, 1.15  # intensities of the expressions
SECOND_SHARE = (0.3, 0.48)  # how much of an ambiguous face is of its second class
NEAR = {  # what a class is mixed with in an ambiguous face
    "angry": ("disgust", "sad", "neutral"), "disgust": ("angry", "sad", "neutral"),
    "fear": ("surprise", "sad", "neutral"), "happy": ("neutral", "surprise", "disgust"),
    "sad": ("neutral", "fear", "angry"), "surprise": ("fear", "happy", "neutral"),
    "neutral": ("sad", "angry", "happy"),
}  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CHUNK = 20  # people per task of a worker
TRUTH = (
    "person", "shown", "second", "second_share", "intensity", "age", "gender", "african", "asian", "caucasian",
    "hair", "beard", *(f"au{number:02}" for number in AUS), "gaze_right", "gaze_up", "yaw", "pitch", "roll",
    "light_azimuth", "light_elevation", "light_hardness", "occluder", "blur", "noise",
)  # fmt: skip

Thing = TypeVar("Thing")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a data set."""

    faces: int
    side: int
    seed: int
    counts: str  # "balanced" or "fer2013"
    label_noise: float
    ambiguity: float


@dataclass(frozen=True, slots=True)
class Order:
    """A face to be rendered."""

    person: int
    number: int  # of the person's faces
    label: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A face of the data set."""

    pixels: bytes
    label: str
    split: str
    source: str
    truth: tuple[str, ...]


def people(plan: Plan) -> int:
    """Return the number of people, such that each shows about every class."""
    return max(3, -(-plan.faces // len(LABELS)))


def counts(plan: Plan) -> list[int]:
    """Return the number of faces of each class; they sum to the plan's."""
    shares = np.ones(len(LABELS)) if plan.counts == "balanced" else np.array(FER2013_COUNTS, float)
    exact = plan.faces * shares / shares.sum()
    whole = np.floor(exact).astype(int)
    for row in np.argsort(whole - exact, kind="stable")[: plan.faces - int(whole.sum())]:
        whole[row] += 1
    return whole.tolist()


def orders(plan: Plan) -> list[list[Order]]:
    """Return each person's faces. A class goes round all people in an order of its own."""
    by_person: list[list[Order]] = [[] for _ in range(people(plan))]
    for row, (label, count) in enumerate(zip(LABELS, counts(plan), strict=True)):
        sequence = Draw(plan.seed, "order", row).order(len(by_person))
        for i in range(count):
            person = sequence[i % len(sequence)]
            by_person[person].append(Order(person, len(by_person[person]), label))
    return by_person


def splits(plan: Plan) -> list[str]:
    """Return each person's split."""
    count = people(plan)
    held = max(1, round(count * SHARES["val"])), max(1, round(count * SHARES["test"]))
    names = ["val"] * held[0] + ["test"] * held[1] + ["train"] * (count - sum(held))
    placed = [""] * count
    for name, person in zip(names, Draw(plan.seed, "splits").order(count), strict=True):
        placed[person] = name
    return placed


def ordered(plan: Plan, order: Order) -> tuple[str, Expression, Look]:
    """Return a face's label, its expression and its view."""
    place = order.person, order.number
    draw = Draw(plan.seed, "shown", *place)
    intensity = round(draw.uniform(FAINTEST, STRONGEST), 3)
    second, share = "", 0.0
    if draw.chance(plan.ambiguity):
        second = NEAR[order.label][draw.below(len(NEAR[order.label]))]
        share = round(draw.uniform(*SECOND_SHARE), 3)
    face = Draw(plan.seed, "express", *place)
    shown = expression(face, order.label, intensity, second=second, second_share=share)
    label = order.label
    noise = Draw(plan.seed, "label", *place)
    if noise.chance(plan.label_noise):
        others = [name for name in LABELS if name != label]
        label = others[noise.below(len(others))]
    return label, shown, look(Draw(plan.seed, "look", *place), (plan.seed, *place))


def person_of(plan: Plan, number: int) -> Person:
    """Return the person with a number."""
    return identity(Draw(plan.seed, "person", number))


def render_person(plan: Plan, split: str, its: list[Order]) -> list[Rendered]:
    """Return a person's faces."""
    if not its:
        return []
    person = person_of(plan, its[0].person)
    faces = []
    for order in its:
        label, shown, view = ordered(plan, order)
        pixels = picture(person, shown, view, side=plan.side).tobytes()
        truth = truth_of(order.person, person, shown, view)
        faces.append(Rendered(pixels, label, split, f"person {order.person} face {order.number}", truth))
    return faces


def truth_of(number: int, person: Person, shown: Expression, view: Look) -> tuple[str, ...]:
    """Return the columns of `TRUTH`, rounded so that they are the same text everywhere."""
    values = (
        str(number), shown.label, shown.second, shown.second_share, shown.intensity, person.age, person.gender,
        *person.ancestry, person.hair, person.beard, *(shown.au(au) for au in AUS), *shown.gaze, view.yaw,
        view.pitch, view.roll, view.azimuth, view.elevation, view.hardness, view.occluder, view.blur, view.noise,
    )  # fmt: skip
    return tuple(value if isinstance(value, str) else f"{value:z.3f}" for value in values)


def render_all(plan: Plan, workers: int) -> Iterator[Rendered]:
    """Yield every face, person by person."""
    everyone = list(zip(splits(plan), orders(plan), strict=True))
    chunks = [everyone[i : i + CHUNK] for i in range(0, len(everyone), CHUNK)]
    for faces in in_processes(partial(_render_chunk, plan), chunks, workers):
        yield from faces


def in_processes(work: Callable[[Thing], Result], things: Iterable[Thing], workers: int) -> Iterator[Result]:
    """Yield `work(thing)` of each thing, in order, in that many single-threaded processes; 1 is this process."""
    if workers == 1:
        yield from map(work, things)
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_ctrl_c)
        try:
            yield from pool.map(work, things)
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each():
    """Have the processes that start meanwhile compute on one core each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _leave_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles it


def _render_chunk(plan: Plan, chunk: list[tuple[str, list[Order]]]) -> list[Rendered]:
    return [face for split, its in chunk for face in render_person(plan, split, its)]
