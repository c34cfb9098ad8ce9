"""Chooses the faces that a report shows. Knows nothing about pictures or how they are drawn.

What a network says of a face is the mean of its seeds' probabilities; all faces are of the
strictest part. The same runs give the same choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mien.compare.inputs import ComparisonInput, Network
from mien.dataset import Dataset
from mien.text import many

SAMPLES_PER_CLASS = 8
RANDOM_FACES = 20
MISTAKES = 25
DISAGREEMENTS = 12  # each way, for a pair
MOST_DISAGREEMENTS = 72  # over all pairs, or the page would grow without end


@dataclass(frozen=True, slots=True)
class Guess:
    """What a network says of a face."""

    network: str
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Shown:
    """One face of a gallery."""

    id: str
    label: str
    guesses: tuple[Guess, ...] = ()
    row: int = -1  # in the tables


@dataclass(frozen=True, slots=True)
class Gallery:
    """Faces under one heading."""

    name: str  # of its files
    kind: str  # "samples", "random", "mistakes" or "disagreements"
    title: str
    rest: str
    faces: tuple[Shown, ...]
    networks: tuple[str, ...] = ()  # whose guesses are shown, in the order of `Shown.guesses`


def choose(inputs: ComparisonInput) -> list[Gallery]:
    """Return all galleries of a report; one that has no face is left out."""
    galleries = [_random(inputs)]
    galleries += [_mistakes(inputs, network) for network in inputs.networks]
    pairs = list(combinations(inputs.networks, 2))
    each = max(2, min(DISAGREEMENTS, MOST_DISAGREEMENTS // (2 * max(1, len(pairs)))))
    for a, b in pairs:
        galleries += [_disagreements(inputs, a, b, each), _disagreements(inputs, b, a, each)]
    if inputs.dataset is not None:
        galleries.insert(0, _samples(inputs, inputs.dataset))
    return [gallery for gallery in galleries if gallery.faces]


def _samples(inputs: ComparisonInput, dataset: Dataset) -> Gallery:
    """Choose faces of `val` by class, since nobody should get used to the faces of `test`."""
    table = dataset.table("val")
    rng = np.random.default_rng(0)
    faces = []
    for label in inputs.labels:
        ids = table["id"][table["label"] == label]
        for i in np.sort(rng.permutation(len(ids))[:SAMPLES_PER_CLASS]):
            faces.append(Shown(str(ids[i]), label))
    return Gallery("samples", "samples", "Faces by class", "drawn at random from val", tuple(faces))


def _random(inputs: ComparisonInput) -> Gallery:
    rows = np.flatnonzero(inputs.chosen)
    picked = np.sort(np.random.default_rng(0).permutation(rows)[:RANDOM_FACES])
    names = tuple(network.name for network in inputs.networks)
    faces = _shown(inputs, picked, inputs.networks)
    rest = f"the same {len(faces)} for every network, drawn at random"
    return Gallery("random", "random", "Random faces", rest, faces, names)


def _mistakes(inputs: ComparisonInput, network: Network) -> Gallery:
    probs = network.probs
    wrong = np.flatnonzero((probs.argmax(1) != inputs.faces.labels) & inputs.chosen)
    most_confident = wrong[np.argsort(-probs[wrong].max(1), kind="stable")][:MISTAKES]
    rest = (
        f"of its mistakes the {len(most_confident)} of the highest confidence"
        if len(most_confident) != 1
        else "its only mistake"
    )
    faces = _shown(inputs, most_confident, (network,))
    return Gallery(f"mistakes-{network.name}", "mistakes", network.name, rest, faces, (network.name,))


def _disagreements(inputs: ComparisonInput, a: Network, b: Network, most: int) -> Gallery:
    """Choose faces that `a` classifies correctly and `b` does not, those first on which most seeds agree."""
    labels, rows = inputs.faces.labels, np.arange(len(inputs.faces))
    right = {net.name: net.probs.argmax(1) == labels for net in (a, b)}
    only = np.flatnonzero(right[a.name] & ~right[b.name] & inputs.chosen)
    lead = _share_right(a, labels) - _share_right(b, labels)
    margin = a.probs[rows, labels] - b.probs[rows, labels]
    order = np.lexsort((-margin[only], -lead[only]))
    faces = _shown(inputs, only[order][:most], (a, b))
    rest = f"{len(faces)} of {many(len(only), 'face')} that it classifies correctly and {b.name} does not"
    return Gallery(
        f"only-{a.name}+not-{b.name}",
        "disagreements",
        f"{a.name}, not {b.name}",
        rest,
        faces,
        (a.name, b.name),
    )


def _share_right(network: Network, labels: np.ndarray) -> np.ndarray:
    return np.mean([table.probs.argmax(1) == labels for table in network.tables], axis=0)


def _shown(inputs: ComparisonInput, rows: np.ndarray, networks: Sequence[Network]) -> tuple[Shown, ...]:
    faces, classes = inputs.faces, inputs.classes
    probs = [network.probs for network in networks]
    return tuple(
        Shown(
            str(faces.ids[row]),
            classes[faces.labels[row]],
            tuple(
                Guess(network.name, classes[p[row].argmax()], float(p[row].max()))
                for network, p in zip(networks, probs, strict=True)
            ),
            int(row),
        )
        for row in rows
    )
