"""Everything that an audit found, together: what sentences, page, figures and tables are made of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.audit.annotators import AnnotatorsBySplit
from mien.audit.clean import Dropped
from mien.audit.copies import Copies
from mien.audit.data import KINDS, AuditData, Finding
from mien.audit.doubts import Doubts
from mien.audit.families import Near
from mien.audit.quality import Quality
from mien.audit.votes import VoteCheck
from mien.files import plain
from mien.text import Conclusion


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """A data set, what was found in it, and where the page lies that says so."""

    folder: Path
    page: Path
    fingerprint: str
    copies: Copies
    near: Near
    quality: Quality
    votes: VoteCheck | None  # None without votes
    annotators: AnnotatorsBySplit  # what they reach, by split; empty without votes
    doubts: Doubts | None  # None without predictions
    counts: dict[str, int]  # kind -> findings
    conclusions: tuple[Conclusion, ...]
    dropped: Dropped  # from a cleaned data set, or what would be; its folder is None where none was written
    data: AuditData = field(repr=False)
    family: np.ndarray = field(repr=False)  # int64 (N,), first row of each face's family of copies
    findings: Sequence[Finding] = field(repr=False)  # by kind, the most certain first

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of some kinds, the highest score first where they have one."""
        chosen = [finding for finding in self.findings if finding.kind in kinds]
        return sorted(chosen, key=lambda finding: -(finding.score or 0)) if len(kinds) > 1 else chosen

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain dicts, lists, strings and numbers, ready for JSON."""
        return plain(self) | ({} if self.dropped.folder else {"dropped": None})


def count_kinds(findings: Sequence[Finding]) -> dict[str, int]:
    """Return the number of findings of each kind."""
    counts = Counter(finding.kind for finding in findings)
    return {kind: counts[kind] for kind in KINDS}
