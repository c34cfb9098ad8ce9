"""The one builder of reports: a page, its figures as SVG and PNG, its numbers as CSV, in a folder that appears whole.

A package that reports fills a `Report` in its `report.py`: `figures.py` draws, `tables.py` makes the tables and the
data behind them, `text.py` has the sentences, and the template `report.html` puts all into sections.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mien.files import refuse_other_contents, replacing_folder, write_atomic, write_csv
from mien.pages.figures import Drawn, save, save_for_print, themed
from mien.pages.tables import Data
from mien.system import file_key
from mien.text import capitalized

FIGURES, NUMBERS, PAPER = "figures", "numbers", "paper"


class Report:
    """A report in the making."""

    def __init__(self, folder: Path, page: str, *, paper: bool = False) -> None:
        self.folder = folder
        self.page = page
        self.paper = paper  # whether figures are written for a paper, too
        self.captions: list[tuple[str, str]] = []  # section and caption of each figure for a paper
        self._names: set[str] = set()
        self.figures: dict[str, list[Drawn]] = defaultdict(list)  # by section, empty for one without figures

    def draw(self, section: str, figure, name: str, label: str) -> Drawn:
        """Write a matplotlib figure, which `label` describes, and keep it for a section of the page.

        Its files get `name`, with a number behind where another figure's is the same but for upper and lower case.
        """
        first, number = name, 2
        while file_key(name) in self._names:
            name, number = f"{first}-{number}", number + 1
        self._names.add(file_key(name))
        drawn = save(figure, self.folder / FIGURES, name, label)
        self.figures[section].append(drawn)
        if self.paper:
            self.print(section, figure, name, label)
        return drawn

    def print(self, section: str, figure, name: str, caption: str) -> None:
        """Write a figure for a paper into `paper/`, and keep its caption."""
        save_for_print(figure, self.folder / PAPER, name)
        self.captions.append((section, f"{name}: {capitalized(caption)}."))

    def write_captions(self, notes: Mapping[str, str]) -> None:
        """Write the captions of the figures for a paper, each ending in the note on its section, if there is one."""
        lines = (f"{caption} {notes.get(section, '')}".rstrip() for section, caption in self.captions)
        write_atomic(self.folder / PAPER / "captions.txt", "\n\n".join(lines) + "\n")

    def write_numbers(self, data: Mapping[str, Data]) -> None:
        """Write a CSV file a subject; figures keep 9 digits, shares are 0..1, times are seconds."""
        for name, each in data.items():
            write_csv(self.folder / NUMBERS / f"{name}.csv", *each.csv())

    def write_page(self, html: str) -> None:
        """Write the page, the HTML of the package's `report.html`."""
        write_atomic(self.folder / self.page, html)


@contextmanager
def writing_report(
    out: Path,
    page: str,
    *,
    extra: str,
    others: tuple[str, ...] = (),
    earlier: tuple[set[str], ...] = (),
    paper: bool = False,
) -> Iterator[Report]:
    """Yield a report whose folder takes the name `out` when the block ends well; an earlier report is replaced.

    Figures can be drawn in the block. `others` are files and folders beside the page, the figures and the numbers,
    `earlier` what a report of before holds and is replaced, too. With `paper` each figure is written for print as well,
    into `paper/`. Raises StorageError where `out` holds anything else,
    MissingExtra, which names `extra`, without matplotlib.
    """
    layout = {page, FIGURES, NUMBERS, *others}
    refuse_other_contents(out, layout, layout | {PAPER}, *earlier)
    with themed(extra), replacing_folder(out) as folder:
        for name in (FIGURES, NUMBERS, *([PAPER] if paper else [])):
            (folder / name).mkdir()
        yield Report(folder, page, paper=paper)
