"""What `macros.html` shows as a table. Knows nothing about what stands in it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A table: each row starts with its own heading; a body may have a heading of its own."""

    caption: str
    head: Sequence[str]
    bodies: Sequence[tuple[str, Sequence[Sequence[str]]]]
