"""Maps the class names of a source to the classes of the data set. Knows nothing about files.

By default names are matched with FER2013's seven classes, by name and synonym, never by number: numbers mean
other classes in each data set. `--labels` changes that: NAME lists the data set's own classes,
in order; FOUND=NAME maps a name of the source; FOUND= skips its faces. A name with a
comma goes in double quotes, as in CSV; of several equals signs the last one counts.
"""

import csv
from collections.abc import Iterable, Sequence
from copy import copy

from mien.errors import DataError
from mien.labels import LABELS, NUMBERS, SYNONYMS, did_you_mean, plain, refuse_class_names
from mien.pack.tree import shown
from mien.predictions import refuse_column_names

LEFT_OUT = ""
NO_FOLDER = "(no folder)"
MOST_NAMED = 12


class Naming:
    """The classes of the data set, and the names of the source that are mapped to each."""

    def __init__(self, items: Sequence[str] = ()):
        named, mapped = [], {}
        for item in items:
            found, name = (
                part.strip() for part in (item.rsplit("=", 1) if "=" in item else (item, LEFT_OUT))
            )
            if not plain(found) or shown(item) != item:
                raise DataError(f'--labels: "{shown(item)}" is not NAME, FOUND=NAME or FOUND=')
            if "=" in item:
                if mapped.setdefault(plain(found), name) != name:
                    raise DataError(
                        f'--labels: "{found}" is to mean both "{mapped[plain(found)]}" and "{name}"'
                    )
            else:
                named.append(found)
        self.asked, self.own = bool(items), bool(named)
        self.labels = _in_order([*named, *mapped.values()] if named else LABELS)
        refuse_class_names(self.labels)
        refuse_column_names(self.labels)
        self._meant = {word: name for name in self.labels for word in _words(name)}
        # A name takes precedence over a synonym of another class.
        self._meant |= {plain(name): name for name in self.labels}
        for found, name in mapped.items():
            self._meant[found] = self._target(name)

    def _target(self, name: str) -> str:
        if name == LEFT_OUT:
            return LEFT_OUT
        meant = self._meant.get(plain(name))
        if not meant:
            raise DataError(
                f'--labels: "{name}" is not one of {", ".join(self.labels)}{did_you_mean(name, LABELS)}'
            )
        return meant

    def among(self, names: Sequence[str]) -> "Naming":
        """Return this naming for a source with these names alone: those without a class are skipped."""
        narrowed = copy(self)
        narrowed._meant = {plain(name): LEFT_OUT for name in names} | self._meant
        return narrowed

    def class_of(self, found: str) -> str | None:
        """Return the class of a name, LEFT_OUT where --labels skips it, None where it has none."""
        return self._meant.get(plain(found))

    def meant(self, found: str, where: str) -> str:
        """Return the class of a name or LEFT_OUT; raises DataError as `check` does."""
        self.check([found], where)
        return self._meant[plain(found)]

    def check(self, found: Iterable[str], where: str) -> None:
        """Raise DataError that lists the names without a class, and how to map or keep them."""
        names = sorted(set(found))
        unknown = [name for name in names if self.class_of(name) is None]
        if not unknown:
            return
        if unknown == [NO_FOLDER]:
            raise DataError(
                f"{where}: pictures lie in no class's folder; sort them into some or list them in a table"
            )
        named = ", ".join(f'"{shown(name)}"' for name in unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        near = did_you_mean(unknown[0], self._meant)
        raise DataError(f"{where}: {named}{more} {self._not_known(unknown, names)}{near}")

    def _not_known(self, unknown: list[str], names: list[str]) -> str:
        numbers = all(name.strip().isdigit() for name in unknown)
        first, label = shown(unknown[0].strip()), self.labels[-1]
        if "," in first:
            first = f"""'"{first}"'"""  # for the shell, and for `items_of`
        mean = "means" if len(unknown) == 1 else "mean"
        if numbers:
            return f"{mean} no class, since numbers differ from set to set; {self._numbers_meant(unknown, first)}"
        plain_names = 1 < len(names) <= MOST_NAMED and not any(set(name) & set(" ,=\"'") for name in names)
        own = f"--labels {','.join(names)}" if plain_names else "--labels and all its names"
        one = "it" if len(unknown) == 1 else "each"
        return (
            f"{mean} none of {', '.join(self.labels)}; keep an own set with {own}, map {one} with --labels "
            f"{first}={label}, or leave it out with --labels {first}="
        )

    def _numbers_meant(self, unknown: list[str], first: str) -> str:
        """Return how to map numbers to classes: spelled out where they may be those of FER2013's table."""
        if self.own or not {name.strip() for name in unknown} <= NUMBERS.keys():
            return f"say what each means, as --labels {first}={self.labels[-1]}"
        items = ",".join(f"{number}={label}" for number, label in NUMBERS.items())
        return f"if they are those of FER2013's table (copies in alphabetical order have others): --labels {items}"


def items_of(text: str) -> list[str]:
    """Return the items of `--labels`."""
    return [
        item for row in csv.reader(text.splitlines(), skipinitialspace=True) for item in row if item.strip()
    ]


def _words(name: str) -> list[str]:
    return [plain(name), *SYNONYMS.get(plain(name), ())]


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names once each; where all are of FER2013's seven, as spelled and ordered there."""
    labels = {plain(name): name for name in reversed(names) if name != LEFT_OUT}  # the first spelling
    labels = dict.fromkeys(labels[plain(name)] for name in names if name != LEFT_OUT)
    standard = {word: label for label in LABELS for word in _words(label)}
    if all(plain(name) in standard for name in labels):
        meant = {standard[plain(name)] for name in labels}
        return tuple(label for label in LABELS if label in meant)
    return tuple(labels)
