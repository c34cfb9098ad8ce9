"""Numbers as a reader wants them, lines and columns of a terminal. Knows nothing about HTML."""

import re
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath

from mien.labels import CONTROL

MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"
WIDTH = 100  # characters in a line of a terminal


@dataclass(frozen=True, slots=True)
class Conclusion:
    """One thing that a page says at its head: in a few words, in full, and what stands quietly beside it."""

    head: str
    sentence: str
    beside: str = ""


class Shown:
    """An object that a notebook shows as HTML. `mien.notebook`, which is loaded only then, knows how."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return import_module("mien.notebook").show(self)


def capitalized(text: str) -> str:
    """Return text with its first letter as a capital, all others as they are."""
    return text[:1].upper() + text[1:]


def quoted(path) -> str:
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))


def without_password(address: str | PurePath) -> str:
    """Return an address, as of a database or a server, with "…" in place of its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", str(address))


def filled(text: str, indent: str = "") -> str:
    """Return text in lines of a terminal's width, with plain spaces."""
    lines = textwrap.fill(
        text, WIDTH, break_on_hyphens=False, initial_indent=indent, subsequent_indent=indent
    )
    return lines.replace(NO_BREAK, " ")


def escaped(name: str) -> str:
    """Return a name in which bytes that are not UTF-8 and control characters stand as escapes.

    Control characters move a terminal's cursor, change its colors or turn the direction of the text around them.
    """
    text = CONTROL.sub(_escape, name)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _escape(sign: re.Match[str]) -> str:
    is_byte = "\udc80" <= sign[0] <= "\udcff"  # as Python has bytes of a name that is not UTF-8
    return sign[0] if is_byte else sign[0].encode("unicode_escape").decode()


def escaped_lines(text: str) -> str:
    """Return text of several lines, each escaped: what a file says on its way to a terminal."""
    return "\n".join(map(escaped, text.split("\n")))


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned lines, the first column to the left and the others to the right."""
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = (
        "  ".join((row[0].ljust(first), *(cell.rjust(w) for cell, w in zip(row[1:], widths, strict=True))))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def percent(share: float, places: int = 1) -> str:
    """Return a share in 0..1 as percent: 0.6987 is "69.9%"."""
    return f"{100 * share:.{places}f}%"


def points(difference: float, places: int = 1) -> str:
    """Return a difference of shares in percentage points, with its sign: "+1.3"."""
    return signed(100 * difference, places)


def signed(value: float, places: int) -> str:
    """Return a number with its sign, a true minus and no negative zero."""
    return f"{value:+z.{places}f}".replace("-", MINUS)


def decimal(value: float, places: int = 3) -> str:
    """Return a number with a true minus."""
    return f"{value:z.{places}f}".replace("-", MINUS)


def thousands(value: float) -> str:
    """Return a count with commas, rounded to a whole number."""
    return f"{round(value):,}"


def many(count: int, one: str, several: str = "") -> str:
    """Return how many there are of what: "1 face", "2,000 faces", "3 copies" where `several` is given."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def millions(value: float) -> str:
    """Return a large count in millions: "35.6 M", "0.28 M"; below a hundred thousand the number itself."""
    if value < 100_000:
        return thousands(value)
    return f"{value / 1e6:.{1 if value >= 1e7 else 2}f}{NO_BREAK}M"


def p_value(p: float, places: int = 3) -> str:
    """Return a p value with so many digits; what is smaller than 0.001, as they show it, is told as such."""
    return f"< {10**-places:.{places}f}" if p < 10**-places else f"{p:.{places}f}"


def p_statement(p: float, places: int = 3) -> str:
    """Return a p value as a sentence has it: "p = 0.010", "p < 0.001"."""
    shown = p_value(p, places)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def seconds(value: float) -> str:
    """Return a duration: "48 s", "12 min", "2 h 05 min"."""
    if value < 120:
        return f"{value:.0f}{NO_BREAK}s"
    minutes = round(value / 60)
    if minutes < 120:
        return f"{minutes}{NO_BREAK}min"
    return f"{minutes // 60}{NO_BREAK}h {minutes % 60:02}{NO_BREAK}min"


def seeds_in_words(count: int) -> str:
    """Return how many seeds there are: "one seed", "3 seeds"."""
    return "one seed" if count == 1 else f"{count} seeds"


def typeset(sentence: str) -> str:
    """Return a sentence with true minus signs, and with "p = 0.03" kept on one line."""
    sentence = re.sub(r"(?<=\s)-(?=\d)", MINUS, sentence)
    return re.sub(r"\bp ([=<]) ", rf"p{NO_BREAK}\1{NO_BREAK}", sentence)


def joined(words: Sequence[str], last: str = "and") -> str:
    """Return "a", "a and b" or "a, b and c"."""
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def shortened(text: str, length: int) -> str:
    """Return the text, cut in its middle where it is longer than `length` characters."""
    if len(text) <= length:
        return text
    kept = length - 1
    return f"{text[: kept - kept // 2]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - kept // 2 :]}"
