"""Tables, each defined once: what a page, a notebook, a terminal, Markdown and a CSV file show of the same rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mien.text import WIDTH, in_columns

ESCAPED_BAR = r"\|"  # in a cell of a Markdown table


@dataclass(frozen=True, slots=True)
class Table:
    """A table for readers: each row starts with its own heading; a body may have a heading of its own."""

    caption: str
    head: Sequence[str]
    bodies: Sequence[tuple[str, Sequence[Sequence[str]]]]

    @property
    def rows(self) -> list[Sequence[str]]:
        """The rows of all bodies."""
        return [row for _, rows in self.bodies for row in rows]

    def without(self, heading: str) -> "Table":
        """Return the table without the rows of a heading."""
        bodies = [(name, [row for row in rows if row[0] != heading]) for name, rows in self.bodies]
        return replace(self, bodies=bodies)

    def text(self, width: int = WIDTH) -> str:
        """Return the table as lines; columns that do not fit side by side follow below each other."""
        head, *columns = zip(*(line for line in (self.head, *self.rows) if line), strict=True)
        blocks: list[list[tuple[str, ...]]] = []
        room = 0
        for column in columns:
            taken = 2 + max(map(len, column))
            if not blocks or taken > room:
                blocks.append([head])
                room = width - max(map(len, head))
            blocks[-1].append(column)
            room -= taken
        return "\n\n".join(in_columns(list(zip(*block, strict=True))) for block in blocks)

    def markdown(self) -> str:
        """Return the table in Markdown, its columns to the right but for the first."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        return "\n".join(
            f"| {' | '.join(cell.replace('|', ESCAPED_BAR) for cell in line)} |" for line in lines
        )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a CSV file, and how readers are shown it."""

    name: str
    title: str | None = None  # None where it stands in the file alone
    text: Callable[[Any], str] = str
    in_file: bool = True


@dataclass(frozen=True, slots=True)
class Data:
    """Rows of values as a CSV file has them, and what readers see of them."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> "Data":
        """Return data of which each column has a name alone."""
        return cls([Column(name) for name in names], rows)

    def csv(self) -> tuple[list[str], list[list[Any]]]:
        """Return the header and the rows of the file."""
        kept = [i for i, column in enumerate(self.columns) if column.in_file]
        return [self.columns[i].name for i in kept], [[row[i] for i in kept] for row in self.rows]

    def table(self, caption: str, *, by: str = "", last: Sequence[Sequence[str]] = ()) -> Table:
        """Return the columns that have a title, in bodies of equal values of the column `by`, and further rows."""
        shown = [i for i, column in enumerate(self.columns) if column.title is not None]
        heading = [column.name for column in self.columns].index(by) if by else None
        bodies: dict[str, list[Sequence[str]]] = {}
        for row in self.rows:
            body = bodies.setdefault("" if heading is None else row[heading], [])
            body.append([self.columns[i].text(row[i]) for i in shown])
        if last:
            bodies.setdefault("", []).extend(last)
        return Table(caption, [self.columns[i].title or "" for i in shown], list(bodies.items()))


def small(text: str, rest: str) -> str:
    """Return a cell's text with a quiet second line, as markup."""
    from markupsafe import Markup

    return Markup("{} <small>{}</small>").format(text, rest)
