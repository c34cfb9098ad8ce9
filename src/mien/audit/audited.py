"""Everything that an audit found, together: what words, page, figures and tables are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.audit.clean import Dropped
from mien.audit.copies import Copies
from mien.audit.data import KINDS, AuditData, Finding
from mien.audit.families import Near
from mien.audit.quality import Quality
from mien.audit.votes import VoteCheck


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """A data set, and what was found in it."""

    data: AuditData
    copies: Copies
    near: Near
    quality: Quality
    votes: VoteCheck | None
    family: np.ndarray  # int64 (N,), first row of each face's family of copies
    findings: Sequence[Finding]  # by kind, the most certain first
    dropped: Dropped  # what was left out, or would be by default

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of some kinds, the highest score first where they have one."""
        chosen = [finding for finding in self.findings if finding.kind in kinds]
        return sorted(chosen, key=lambda finding: -(finding.score or 0)) if len(kinds) > 1 else chosen

    def counts(self) -> dict[str, int]:
        """Return the number of findings of each kind."""
        return {kind: sum(finding.kind == kind for finding in self.findings) for kind in KINDS}
