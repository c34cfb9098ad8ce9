"""Labels against FER+'s ten votes a face. Says nothing of a data set that has no votes."""

from dataclasses import dataclass

import numpy as np

from mien.audit.data import AuditData, Finding
from mien.labels import FERPLUS_NAMES, FERPLUS_VOTES

EMOTIONS = [i for i, name in enumerate(FERPLUS_VOTES) if name not in ("unknown", "NF")]
AGREED_SHARE = 0.8  # of a face's votes on one other class, for its label to be in question
"""At FER+'s ten votes a face this is eight of them."""


@dataclass(frozen=True, slots=True)
class VoteCheck:
    """How labels and votes agree; the majority is taken among FER+'s eight emotions."""

    faces: int  # with a vote for an emotion
    agreeing: int  # whose label has the most votes, the first in FER+'s order where several have
    by_class: dict[str, tuple[int, int]]  # label -> (agreeing, faces)
    confusion: dict[str, dict[str, int]]  # label -> FER+'s majority -> faces
    not_a_face: int
    unvoted: int  # faces whose label got no vote while nearly all agree on another class

    @property
    def share(self) -> float:
        """Share of faces whose label is the majority's."""
        return self.agreeing / self.faces if self.faces else float("nan")


def find_label_noise(data: AuditData) -> tuple[VoteCheck | None, list[Finding]]:
    """Compare labels with votes; (None, []) without votes or where voters were not asked for a class."""
    names = {label: FERPLUS_NAMES.get(label, label) for label in data.info.labels}
    if data.votes is None or not set(names.values()) <= set(FERPLUS_VOTES):
        return None, []
    votes = data.votes
    own = np.array([FERPLUS_VOTES.index(names[label]) for label in data.labels])
    total, most = votes.sum(1), votes[:, EMOTIONS].argmax(1)
    voted = votes[:, EMOTIONS].sum(1) > 0
    not_a_face = (total > 0) & (votes.argmax(1) == FERPLUS_VOTES.index("NF"))
    is_class = np.isin(
        most, [FERPLUS_VOTES.index(name) for name in {*FERPLUS_NAMES.values(), *names.values()}]
    )
    agreed = votes[:, EMOTIONS].max(1) >= AGREED_SHARE * total
    unvoted = voted & is_class & agreed & (votes[np.arange(len(own)), own] == 0)
    findings = [_noise(data.votes[row], row) for row in np.flatnonzero(unvoted).tolist()]
    findings.sort(key=lambda finding: (-(finding.score or 0), finding.row))
    findings += [_noise(data.votes[row], row, "not-a-face") for row in np.flatnonzero(not_a_face).tolist()]
    agrees = voted & (most == own)
    check = VoteCheck(
        faces=int(voted.sum()),
        agreeing=int(agrees.sum()),
        by_class=_by_class(data, voted, agrees),
        confusion=_confusion(data, voted, most),
        not_a_face=int(not_a_face.sum()),
        unvoted=int(unvoted.sum()),
    )
    return check, findings


def _by_class(data: AuditData, voted: np.ndarray, agrees: np.ndarray) -> dict[str, tuple[int, int]]:
    of_class = {label: data.labels == label for label in data.info.labels}
    return {label: (int((agrees & of).sum()), int((voted & of).sum())) for label, of in of_class.items()}


def _confusion(data: AuditData, voted: np.ndarray, most: np.ndarray) -> dict[str, dict[str, int]]:
    counts = {}
    for label in data.info.labels:
        numbers = np.bincount(most[voted & (data.labels == label)], minlength=len(EMOTIONS))
        counts[label] = dict(zip([FERPLUS_VOTES[i] for i in EMOTIONS], numbers.tolist(), strict=True))
    return counts


def _noise(votes: np.ndarray, row: int, kind: str = "label-noise") -> Finding:
    counts = [
        f"{name} {votes[i]}"
        for i, name in sorted(enumerate(FERPLUS_VOTES), key=lambda pair: -votes[pair[0]])
        if votes[i]
    ]
    return Finding(
        kind, row, None, float(votes.max() / votes.sum()), f"of {votes.sum()} votes: {', '.join(counts)}"
    )
