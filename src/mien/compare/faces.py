"""Turns galleries into sheets for `figures/` and into pieces for the page. Chooses no face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.compare.galleries import Gallery, Shown
from mien.compare.inputs import Results
from mien.pages.faces import Tile, bar_sheet, data_uri, sheet
from mien.pages.report import Report
from mien.text import percent

COLUMNS = {"samples": 8, "mistakes": 5, "disagreements": 6}


@dataclass(frozen=True, slots=True)
class Piece:
    """A face in the page."""

    face: Shown
    uri: str
    bars: list[dict]  # a row a class: name, whether it is the label, shares by network


@dataclass(frozen=True, slots=True)
class Pieces:
    """A gallery in the page."""

    gallery: Gallery
    pieces: list[Piece]

    def of_class(self, label: str) -> list[Piece]:
        """Return the pieces of one class."""
        return [piece for piece in self.pieces if piece.face.label == label]


def place_faces(report: Report, results: Results, galleries: Sequence[Gallery]) -> dict[str, list[Pieces]]:
    """Draw a sheet of each gallery and return the galleries for the page, by kind.

    Without a data set there is nothing to show and the answer has no pieces.
    """
    by_kind: dict[str, list[Pieces]] = {
        kind: [] for kind in ("samples", "random", "mistakes", "disagreements")
    }
    if results.inputs.dataset is None:
        return by_kind
    for gallery in galleries:
        pictures = results.inputs.dataset.pictures([face.id for face in gallery.faces])
        bars = [_bars(results, face) if gallery.kind == "random" else [] for face in gallery.faces]
        if gallery.kind == "random":
            figure = _random_sheet(results, gallery, pictures, bars)
        else:
            tiles = [Tile(p, _lines(gallery, face)) for p, face in zip(pictures, gallery.faces, strict=True)]
            placed = _by_class(results, gallery, tiles) if gallery.kind == "samples" else tiles
            figure = sheet(_heading(gallery), _key(gallery), placed, COLUMNS[gallery.kind])
        report.draw(gallery.kind, figure, gallery.name, _label(gallery))
        pieces = [
            Piece(face, data_uri(picture), bar)
            for face, picture, bar in zip(gallery.faces, pictures, bars, strict=True)
        ]
        by_kind[gallery.kind].append(Pieces(gallery, pieces))
    return by_kind


def _by_class(results: Results, gallery: Gallery, tiles: list[Tile]) -> list[Tile | None]:
    """Return the tiles with gaps, so that each class has a row of its own."""
    sheet: list[Tile | None] = []
    for label in results.inputs.labels:
        row = [tile for tile, face in zip(tiles, gallery.faces, strict=True) if face.label == label]
        sheet += [*row, *[None] * (COLUMNS["samples"] - len(row))]
    return sheet


def _heading(gallery: Gallery) -> str:
    return f"Mistakes of {gallery.title}" if gallery.kind == "mistakes" else gallery.title


def _label(gallery: Gallery) -> str:
    letters = f"; {_key(gallery)}" if gallery.kind == "disagreements" else ""
    return f"{_heading(gallery)}: {gallery.rest}{letters}"


def _key(gallery: Gallery) -> str:
    """Return a sheet's second line, which tells what the letters below the faces mean."""
    if gallery.kind != "disagreements":
        return gallery.rest
    return ", ".join(f"{letter}: {name}" for letter, name in zip("ab", gallery.networks, strict=True))


def _lines(gallery: Gallery, face: Shown) -> tuple[str, ...]:
    guesses = [f"{g.label} {percent(g.probability, 0)}" for g in face.guesses]
    if gallery.kind == "mistakes":
        return (f"labeled {face.label}", f"predicted {guesses[0]}")
    if gallery.kind == "disagreements":
        return (f"a {guesses[0]}", f"b {guesses[1]}")
    return (face.label,)


def _bars(results: Results, face: Shown) -> list[dict]:
    shares = [net.probs[face.row] for net in results.inputs.networks]
    return [
        {"label": label, "true": label == face.label, "shares": [float(share[c]) for share in shares]}
        for c, label in enumerate(results.inputs.classes)
    ]


def _random_sheet(results: Results, gallery: Gallery, pictures: np.ndarray, bars: list[list[dict]]):
    tiles = [
        Tile(picture, (), [bar["shares"] for bar in rows], [bar["true"] for bar in rows].index(True))
        for picture, rows in zip(pictures, bars, strict=True)
    ]
    rest = f"{gallery.rest}; the label is bold"
    return bar_sheet(gallery.title, rest, tiles, results.inputs.classes, results.looks())
