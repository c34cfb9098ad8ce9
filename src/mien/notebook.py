"""What objects show at the end of a notebook's cell: tables, curves and faces in plain HTML.

All text is escaped. Colors are the notebook's own, so that light and dark ones can be read, and nothing but
numpy, Pillow and a template's escaping is needed. `mien.text.Shown` loads this module when an object is shown.
"""

import base64
import io
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from mien.compare import Comparison, summarize
from mien.dataset import SPLITS, Dataset, DatasetInfo, left_out_line
from mien.judge import Difference, Verdict
from mien.judge.paired import Differences
from mien.judge.text import ONE_SEED, class_table, difference_table, scores_table
from mien.model import Model
from mien.model import facts as facts_of_model
from mien.pages.tables import Table
from mien.recipe import SECTIONS, Recipe
from mien.recipe.fields import values
from mien.recipe.toml import toml_value
from mien.run import Run
from mien.run import facts as facts_of_run

WIDTH, HEIGHT = 300, 150  # pixels of a chart
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 24, 22
VAL = "#3d8fd1"  # a contrast of 3 and more on white and on black
WORDS = Markup(' style="text-align:left"')
NUMBERS = Markup(' style="text-align:right;white-space:nowrap"')
CAPTION = Markup(' style="text-align:left;font-weight:600;white-space:nowrap"')


MOST_SHOWN, ALL_SHOWN = 8, 96  # faces of a class, and of all
LARGEST_SHOWN_SIDE = 48


@singledispatch
def show(thing: object) -> str:
    """Return the HTML of an object."""
    raise TypeError(f"nothing is known of how to show {type(thing).__name__}")


@show.register
def _(info: DatasetInfo) -> str:
    return _dataset(info, [])


@show.register
def _(dataset: Dataset) -> str:
    most = min(MOST_SHOWN, ALL_SHOWN // len(dataset.info.labels))
    return _dataset(dataset.info, dataset.samples(most, LARGEST_SHOWN_SIDE))


def _dataset(info: DatasetInfo, samples: Sequence[np.ndarray]) -> str:
    """Show the counts, a row a class, with pictures uint8 (n, S, S) of each class if given."""
    rows = []
    for number, label in enumerate(info.labels):
        row = [label, *(f"{info.counts[split][label]:,}" for split in SPLITS)]
        if samples:
            pictures = samples[number]
            row.append(faces(pictures, f"{len(pictures)} faces labeled {label}") if len(pictures) else "")
        rows.append(row)
    total = ("all", *(f"{info.count(split):,}" for split in SPLITS), *([""] if samples else []))
    head = ("class", *SPLITS, *([words("faces of train")] if samples else []))
    counts = table(f"{info}, fingerprint {info.fingerprint}", head, [*rows, total])
    return html(counts, *info.notes, left_out_line(info))


@show.register
def _(recipe: Recipe) -> str:
    rows = []
    for name in SECTIONS:
        fields = values(getattr(recipe, name))
        rows.append((name, ", ".join(f"{key} = {toml_value(value)}" for key, value in fields.items())))
    return html(table(recipe.name, (), rows))


@show.register
def _(run: Run) -> str:
    fold = f", {run.fold}" if run.fold else ""
    rows = run.metrics() if (run.folder / "metrics.csv").exists() else []
    kept = run.result()["kept_epoch"] if run.complete else None
    return html(table(f"{run.name}, seed {run.seed}{fold}", (), facts_of_run(run)), curves(rows, kept))


@show.register
def _(model: Model) -> str:
    return html(table(model.name, (), facts_of_model(model)))


@show.register
def _(verdict: Verdict) -> str:
    scores = scores_table({"": verdict}, "Scores with their 95 % intervals")
    return html(_filled(scores), _filled(class_table(verdict)), ONE_SEED if verdict.seeds == 1 else "")


@show.register
def _(difference: Difference) -> str:
    return html(_filled(difference_table(difference)), difference.sentence)


@show.register
def _(differences: Differences) -> str:
    return "".join(map(show, differences))


@show.register
def _(comparison: Comparison) -> str:
    caption, clean, sentences = summarize(comparison)
    report = Markup("<p>The whole report: {}</p>").format(link(comparison.page))
    return html(_filled(scores_table(clean, caption)), *sentences, report)


def _filled(of: Table) -> Markup:
    return table(of.caption, of.head, of.rows)


def html(*parts: str) -> str:
    """Return parts as the HTML of one output; what is no Markup becomes an escaped paragraph."""
    pieces = (
        part if isinstance(part, Markup) else Markup("<p>{}</p>").format(part) for part in parts if part
    )
    return str(Markup('<div style="max-width:60em">{}</div>').format(Markup().join(pieces)))


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Return a table whose rows start with their own heading; without a head its cells are words.

    Under a head cells are numbers and stand right; what is Markup stands left.
    """
    top = Markup("<thead>{}</thead>").format(_row(head, "th", right=True)) if any(head) else ""
    body = Markup().join(_row(row, "td", right=bool(head)) for row in rows)
    return Markup("<table><caption{}>{}</caption>{}<tbody>{}</tbody></table>").format(
        CAPTION, caption, top, body
    )


def _row(row: Sequence[str], tag: str, *, right: bool) -> Markup:
    cells = [Markup("<th{}>{}</th>").format(WORDS, row[0])]
    for text in row[1:]:
        look = NUMBERS if right and not isinstance(text, Markup) else WORDS
        cells.append(Markup(f"<{tag}{{}}>{{}}</{tag}>").format(look, text))
    return Markup("<tr>{}</tr>").format(Markup().join(cells))


def words(text: str) -> Markup:
    """Return text that stands left under a head, as pictures do."""
    return Markup("{}").format(text)


def link(path: Path) -> Markup:
    """Return a file's place, as a link where a notebook can follow it: below its own folder."""
    if path.is_absolute():
        return Markup("<code>{}</code>").format(path)
    return Markup('<a href="{}" target="_blank">{}</a>').format(quote(str(path)), path)


def faces(pictures: np.ndarray, words: str) -> Markup:
    """Return pictures uint8 (N, S, S) in a row, as one picture that `words` describe."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.concatenate(list(pictures), axis=1)).save(data, format="png", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    side = pictures.shape[1]
    return Markup(
        '<img src="{}" alt="{}" width="{}" height="{}" style="display:block;max-width:none">'
    ).format(address, words, side * len(pictures), side)


def curves(rows: Sequence[dict[str, float]], kept: int | None = None) -> Markup:
    """Return loss and accuracy over epochs side by side; `rows` are a run's metrics, `kept` an epoch."""
    charts = [_chart(rows, name, kept) for name in ("loss", "accuracy")] if rows else []
    return Markup('<div style="display:flex;flex-wrap:wrap;gap:8px">{}</div>').format(Markup().join(charts))


def _chart(rows: Sequence[dict[str, float]], name: str, kept: int | None) -> Markup:
    share = name == "accuracy"
    values = {split: [row[f"{split}_{name}"] for row in rows] for split in ("train", "val")}
    top = 1.0 if share else 1.05 * max(map(max, values.values())) or 1.0
    x = np.linspace(LEFT, WIDTH - RIGHT, len(rows)) if len(rows) > 1 else np.array([(LEFT + WIDTH) / 2])
    y = {split: _heights(line, top) for split, line in values.items()}
    parts = [_tick(top * part, top, share) for part in (0, 0.5, 1)]
    parts += [_line(x, y["train"], 'stroke="currentColor" stroke-opacity=".65" stroke-dasharray="5 3"')]
    parts += [_line(x, y["val"], f'stroke="{VAL}"')]
    if kept:
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" fill="{}"/>')
        parts.append(dot.format(x[kept - 1], y["val"][kept - 1], VAL))
    parts += [_text(x[0], HEIGHT - 5, f"{rows[0]['epoch']:.0f}", "middle")] if len(rows) > 1 else []
    parts += [
        _text(x[-1], HEIGHT - 5, f"epoch {rows[-1]['epoch']:.0f}", "end" if len(rows) > 1 else "middle")
    ]
    parts += [_text(LEFT, 13, f"{name}: val (blue) and train (dashed)", "start")]
    last = f"{name} over epochs; last on train {values['train'][-1]:.3f}, on val {values['val'][-1]:.3f}"
    return Markup(
        '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}" '
        'style="font:11px sans-serif;fill:currentColor">{}</svg>'
    ).format(WIDTH, HEIGHT, WIDTH, HEIGHT, last, Markup().join(parts))


def _heights(line: Sequence[float], top: float) -> np.ndarray:
    """Return pixel rows; what is no number stays none, what is above the top is cut."""
    return HEIGHT - BOTTOM - np.clip(np.array(line) / top, 0, 1) * (HEIGHT - TOP - BOTTOM)


def _line(x: np.ndarray, y: np.ndarray, look: str) -> Markup:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
    line = Markup('<polyline points="{}" fill="none" stroke-width="1.8" {}/>')
    return line.format(points, Markup(look))


def _tick(value: float, top: float, share: bool) -> Markup:
    (y,) = _heights([value], top)
    rule = Markup('<path d="M{} {:.1f}H{}" stroke="currentColor" stroke-opacity=".2"/>')
    text = f"{100 * value:.0f}%" if share else f"{value:.1f}"
    return rule.format(LEFT, y, WIDTH - RIGHT) + _text(LEFT - 5, y + 4, text, "end")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)
